//! Plugins in Go: the Go toolchain, and our own `go-guest` in place of wit-bindgen's and wasm-tools' programs.

use std::path::Path;

use anyhow::Result;

use super::guest_program;
use crate::{go, shell};

pub const TOOLS: &[&str] = &["xtask/Cargo.toml", "xtask/src/bin/go-guest.rs", "xtask/src/go.rs"];

pub fn prepare() -> Result<()> {
    go::ensure()
}

pub fn build(source: &Path, component: &Path) -> Result<()> {
    let mut tool = guest_program("go-guest");
    tool.env("PATH", go::path()?);
    tool.arg(shell::root().join("wit")).arg("exporter").arg(source.join("summary.go")).arg(component);
    shell::run(&mut tool)
}
