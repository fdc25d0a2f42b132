//! Plugins in Python: componentize-py, in a virtual environment below target/.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{shell, system};

pub const TOOLS: &[&str] = &["xtask/src/examples/python.rs"];

const COMPONENTIZE: &str = "componentize-py==0.25.1";

pub fn prepare() -> Result<()> {
    if has_componentize() {
        return Ok(());
    }
    if !shell::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        system::install(&["python3", "python3-venv"])?;
    }
    let pip = environment().join("bin/pip");
    shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment()))?;
    shell::run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", COMPONENTIZE]))
}

pub fn build(source: &Path, component: &Path) -> Result<()> {
    let mut tool = Command::new(environment().join("bin/componentize-py"));
    tool.arg("-d").arg(shell::root().join("wit")).args(["-w", "exporter", "componentize", "app", "-o"]).arg(component);
    // Python would leave its compiled files among the sources.
    tool.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(source);
    shell::run_quietly(&mut tool)
}

fn environment() -> PathBuf {
    shell::target_dir().join("venv")
}

/// Whether the environment holds exactly the version that is wanted.
fn has_componentize() -> bool {
    let output = Command::new(environment().join("bin/pip")).args(["freeze", "--disable-pip-version-check"]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).lines().any(|line| line == COMPONENTIZE))
}
