//! `cargo xtask bench`: builds the host and the bench as they are released, and runs the bench.

use std::env;

use anyhow::Result;

use crate::shell;

pub fn run(options: &[&str]) -> Result<()> {
    // Both at once, so that they share what they compile; the bench starts the host that lies beside it.
    shell::run(shell::cargo().args(["build", "--release", "-p", "meshtrace", "-p", "meshtrace-bench"]))?;
    let mut bench = std::process::Command::new(shell::target_dir().join("release/meshtrace-bench"));
    // Files are meant from where the command was given.
    shell::run(bench.current_dir(env::current_dir()?).args(options))
}
