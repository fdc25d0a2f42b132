//! Plugins in C: Debian's clang, linker and libc, and our own `c-guest` in place of wit-bindgen's and wasm-tools' programs.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use super::guest_program;
use crate::{shell, system};

pub const TOOLS: &[&str] = &["xtask/Cargo.toml", "xtask/src/bin/c-guest.rs"];

const PACKAGES: [&str; 4] = ["clang", "lld", "wasi-libc", "libclang-rt-dev-wasm32"];

pub fn prepare() -> Result<()> {
    if can_link()? { Ok(()) } else { system::install(&PACKAGES) }
}

/// Links an empty program: the only question that answers for compiler, linker, libc and run-time library at once.
fn can_link() -> Result<bool> {
    let scratch = shell::target_dir().join("examples/probe.wasm");
    let mut clang = Command::new("clang");
    clang.args(["--target=wasm32-wasi", "--sysroot=/usr", "-mexec-model=reactor", "-x", "c", "/dev/null", "-o"]).arg(&scratch);
    let linked = shell::succeeds(&mut clang);
    if linked {
        fs::remove_file(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    Ok(linked)
}

pub fn build(source: &Path, component: &Path) -> Result<()> {
    let mut tool = guest_program("c-guest");
    tool.arg(shell::root().join("wit")).arg("exporter").arg(source.join("summary.c")).arg(component);
    shell::run(&mut tool)
}
