//! What was measured, and as a file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::measure::Machine;

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// One figure of the table.
#[derive(Debug, Clone)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    pub target: Option<Target>,
    /// What `value` would be on a machine of our own, as far as processor times tell.
    pub by_cpu: Option<f64>,
    /// Processor time of the host for a span, microseconds.
    pub cpu_micros: Option<f64>,
    /// The most memory that the host held.
    pub peak_bytes: Option<u64>,
    /// What else was seen, for people.
    pub notes: Vec<String>,
}

impl Figure {
    pub fn new(name: &str, value: f64, unit: &'static str) -> Figure {
        Figure {
            name: name.to_owned(),
            value,
            unit,
            target: None,
            by_cpu: None,
            cpu_micros: None,
            peak_bytes: None,
            notes: Vec::new(),
        }
    }

    pub fn target(self, target: Target) -> Figure {
        Figure { target: Some(target), ..self }
    }

    pub fn by_cpu(self, value: f64) -> Figure {
        Figure { by_cpu: Some(value), ..self }
    }

    pub fn cpu(self, micros: f64) -> Figure {
        Figure { cpu_micros: Some(micros), ..self }
    }

    pub fn peak(self, bytes: u64) -> Figure {
        Figure { peak_bytes: Some(bytes), ..self }
    }

    pub fn note(mut self, note: String) -> Figure {
        self.notes.push(note);
        self
    }

    /// Whether it is what it should be; `None` when nothing was wanted.
    pub fn met(&self) -> Option<bool> {
        self.target.map(|target| match target {
            Target::AtLeast(least) => self.value >= least,
            Target::AtMost(most) => self.value <= most,
        })
    }

    fn json(&self) -> Value {
        let target = self.target.map(|target| match target {
            Target::AtLeast(least) => json!({"at_least": least}),
            Target::AtMost(most) => json!({"at_most": most}),
        });
        json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "target": target,
            "met": self.met(),
            "by_cpu": self.by_cpu,
            "cpu_micros_per_span": self.cpu_micros,
            "peak_bytes": self.peak_bytes,
            "notes": self.notes,
        })
    }
}

/// Everything that was measured in one run.
#[derive(Debug)]
pub struct Report {
    machine: Machine,
    pub figures: Vec<Figure>,
}

/// What is needed of an earlier report: figures by name.
#[derive(Debug)]
pub struct Before(Vec<(String, f64)>);

impl Before {
    pub fn value(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }
}

impl Report {
    pub fn new(machine: Machine) -> Report {
        Report { machine, figures: Vec::new() }
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        let document = json!({"machine": self.machine.json(), "figures": figures});
        fs::write(path, serde_json::to_vec_pretty(&document)?).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// An earlier report.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Before> {
        let text = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let document: Value = serde_json::from_slice(&text).with_context(|| format!("{} is no report of the bench", path.display()))?;
        let figures = document["figures"].as_array().with_context(|| format!("{} is no report of the bench", path.display()))?;
        let figure = |figure: &Value| Some((figure["name"].as_str()?.to_owned(), figure["value"].as_f64()?));
        Ok(Before(figures.iter().filter_map(figure).collect()))
    }
}
