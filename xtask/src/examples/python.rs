//! Plugins in Python: componentize-py, in a virtual environment below target/.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::{python, shell};

pub const TOOLS: &[&str] = &["xtask/src/examples/python.rs", "xtask/src/python.rs"];

const COMPONENTIZE: &str = "componentize-py==0.25.1";

pub fn prepare() -> Result<()> {
    python::ensure(&[COMPONENTIZE])
}

pub fn build(source: &Path, component: &Path) -> Result<()> {
    let mut tool = Command::new(python::environment().join("bin/componentize-py"));
    tool.arg("-d").arg(shell::root().join("wit")).args(["-w", "exporter", "componentize", "app", "-o"]).arg(component);
    // Python would leave its compiled files among the sources.
    tool.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(source);
    shell::run_quietly(&mut tool)
}
