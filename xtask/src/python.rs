//! Python packages, in a virtual environment below target/.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{shell, system};

/// What tests decode OTLP with: OpenTelemetry's own messages, and the ones that errors are told in.
pub const OTLP: [&str; 2] = ["opentelemetry-proto==1.45.2", "googleapis-common-protos==1.76.0"];

/// The client of Redis that agents in Python publish with.
pub const PUBLISHER: [&str; 1] = ["redis==8.1.0"];

/// The environment that all of them share.
pub fn environment() -> PathBuf {
    shell::target_dir().join("venv")
}

/// Makes sure that the environment holds exactly these versions.
pub fn ensure(packages: &[&str]) -> Result<()> {
    if has(packages) {
        return Ok(());
    }
    if !shell::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        system::install(&["python3", "python3-venv"])?;
    }
    let pip = environment().join("bin/pip");
    if !shell::succeeds(Command::new(&pip).arg("--version")) {
        shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment()))?;
    }
    shell::run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))
}

fn has(packages: &[&str]) -> bool {
    let output = Command::new(environment().join("bin/pip")).args(["freeze", "--disable-pip-version-check"]).output();
    output.is_ok_and(|output| {
        let installed = String::from_utf8_lossy(&output.stdout);
        packages.iter().all(|package| installed.lines().any(|line| line == *package))
    })
}
