//! What is asked for.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::rows::{self, Peer, Row};

/// Entries of the backlog, unless asked otherwise.
const ENTRIES: u64 = 1_000_000;

/// The command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// These rows only; all, when there are none.
    pub only: Vec<String>,
    /// Entries of the backlog that the throughput rows read.
    pub entries: u64,
    /// A report to show the difference to.
    pub compare: Option<PathBuf>,
    /// Where the report is written.
    pub json: Option<PathBuf>,
    /// Another host than the one beside this program.
    pub host: Option<PathBuf>,
    /// An OpenTelemetry Collector, and a registry of MCP Mesh, to be measured beside it.
    pub otelcol: Option<PathBuf>,
    pub registry: Option<PathBuf>,
    /// Only say what can be asked for.
    pub help: bool,
}

impl Options {
    /// # Errors
    /// What is not understood, and what would be.
    pub fn parse(arguments: &[String]) -> Result<Options> {
        let mut options = Options {
            only: Vec::new(),
            entries: ENTRIES,
            compare: None,
            json: None,
            host: None,
            otelcol: None,
            registry: None,
            help: false,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{argument} wants a value; --help says which"));
            match argument.as_str() {
                "--help" | "-h" => options.help = true,
                "--only" => options.only.extend(value()?.split(',').map(known_row).collect::<Result<Vec<_>>>()?),
                "--entries" => options.entries = entries(value()?)?,
                "--compare" => options.compare = Some(value()?.into()),
                "--json" => options.json = Some(value()?.into()),
                "--host" => options.host = Some(binary(argument, value()?)?),
                "--peer-otelcol" => options.otelcol = Some(binary(argument, value()?)?),
                "--peer-registry" => options.registry = Some(binary(argument, value()?)?),
                other => bail!("bench does not take `{other}`; --help says what it takes"),
            }
        }
        if let Some(row) = rows::all().find(|row| options.only.iter().any(|name| name == row.name) && !options.has(row.peer)) {
            bail!("the row {0} wants --{0} BINARY", row.name);
        }
        Ok(options)
    }

    /// Whether this row is asked for, and can be measured.
    pub fn wants(&self, row: &Row) -> bool {
        self.has(row.peer) && (self.only.is_empty() || self.only.iter().any(|name| name == row.name))
    }

    fn has(&self, peer: Option<Peer>) -> bool {
        match peer {
            None => true,
            Some(Peer::Otelcol) => self.otelcol.is_some(),
            Some(Peer::Registry) => self.registry.is_some(),
        }
    }

    /// Where the report goes.
    pub fn json_path(&self) -> PathBuf {
        self.json.clone().unwrap_or_else(|| "bench.json".into())
    }
}

fn entries(text: &str) -> Result<u64> {
    match text.parse() {
        // Fewer are read before the clocks have told anything.
        Ok(entries) if (50_000..=20_000_000).contains(&entries) => Ok(entries),
        _ => bail!("--entries {text}: a number from 50000 to 20000000 is wanted"),
    }
}

fn binary(option: &str, path: &str) -> Result<PathBuf> {
    std::fs::canonicalize(path).with_context(|| format!("{option} {path}"))
}

fn known_row(name: &str) -> Result<String> {
    if rows::all().any(|row| row.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = rows::all().map(|row| row.name).collect();
    bail!("there is no row `{name}`; there are {}", names.join(", "))
}

/// What is printed for `--help`.
pub fn help() -> String {
    let mut text = "\
cargo xtask bench [OPTIONS]

  --only ROW[,ROW…]   these rows; all of them otherwise
  --entries N         entries of the backlog that throughput is measured with (1000000)
  --compare OLD.json  show the difference to an earlier report
  --host BINARY       measure this host instead of the one that was just built
  --json FILE         where the report goes (bench.json)
  --peer-otelcol BINARY   measure this OpenTelemetry Collector beside the host; it needs the components otlp, tail_sampling,
                          batch and otlphttp, as the contrib distribution has them
  --peer-registry BINARY  measure this registry of MCP Mesh beside the host

Rows:
"
    .to_owned();
    for row in rows::all() {
        text.push_str(&format!("  {:<20}{}\n", row.name, row.about));
    }
    text
}
