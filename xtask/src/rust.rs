//! The parts of the Rust toolchain that a plain installation leaves out.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::shell;

/// The target that plugins are compiled for.
pub const GUEST_TARGET: &str = "wasm32-wasip2";

/// Makes sure that plugins can be compiled.
pub fn ensure_guest_target() -> Result<()> {
    if sysroot()?.join("lib/rustlib").join(GUEST_TARGET).join("lib").is_dir() {
        return Ok(());
    }
    rustup(&["target", "add", GUEST_TARGET])
}

/// Makes sure that formatting and lints can be checked.
pub fn ensure_components() -> Result<()> {
    let programs = sysroot()?.join("bin");
    for (program, component) in [("rustfmt", "rustfmt"), ("cargo-clippy", "clippy")] {
        if !programs.join(program).exists() && !shell::has_program(program) {
            rustup(&["component", "add", component])?;
        }
    }
    Ok(())
}

fn rustup(words: &[&str]) -> Result<()> {
    let command = format!("rustup {}", words.join(" "));
    if !shell::has_program("rustup") {
        bail!("missing: {}; with rustup (https://rustup.rs): {command}", words.last().unwrap_or(&""));
    }
    shell::run(Command::new("rustup").args(words).current_dir(shell::root()))
}

fn sysroot() -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).current_dir(shell::root()).output();
    let output = output.context("cannot start `rustc`; https://rustup.rs installs it")?;
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
