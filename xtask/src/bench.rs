//! `cargo xtask bench`: builds the host and the bench as they are released, and runs the bench.

use std::process::Command;

use anyhow::Result;

use crate::shell;

pub fn run(options: &[&str]) -> Result<()> {
    // Both at once, so that they share what they compile; the bench starts the host that lies beside it.
    shell::run(shell::cargo().args(["build", "--release", "-p", "meshtrace", "-p", "meshtrace-bench"]))?;
    shell::run(Command::new(shell::target_dir().join("release/meshtrace-bench")).args(options))
}
