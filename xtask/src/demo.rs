//! `cargo xtask demo`: the demo from a fresh clone, needing no more than Rust.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::{rust, shell};

pub fn run(args: &[&str]) -> Result<()> {
    rust::ensure_guest_target()?;
    build()?;
    let mut demo = shell::cargo();
    demo.args(["run", "-q", "-p", "meshtrace", "--manifest-path"]).arg(shell::root().join("Cargo.toml"));
    demo.args(["--", "demo"]).args(args);
    // Paths among the arguments are meant from where the command was given.
    demo.current_dir(std::env::current_dir()?);
    // Replaces this process: Ctrl-C and the exit code are the demo's own.
    Err(demo.exec()).with_context(|| format!("cannot start `{}`", shell::describe(&demo)))
}

/// The first build takes minutes, and so does one after a pull, which nobody should have to wait for in silence: cargo says what it does.
fn build() -> Result<()> {
    if !shell::target_dir().join("debug/meshtrace").exists() {
        eprintln!("xtask: building meshtrace, some minutes the first time");
    }
    shell::run(shell::cargo().args(["build", "-p", "meshtrace"]))
}
