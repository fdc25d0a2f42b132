//! Plugins of the bench's own, built once per run from `guests/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Where they are built: in Cargo's target directory.
#[derive(Debug)]
pub struct Guests {
    dir: PathBuf,
}

impl Guests {
    pub fn build() -> Result<Guests> {
        let program = std::env::current_exe()?;
        let target = program.parent().and_then(Path::parent).context("the bench lies in Cargo's target directory")?.join("bench-guests");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("guests"));
        cargo.args(["build", "--release", "--locked", "--examples", "--target", "wasm32-wasip2", "--target-dir"]).arg(&target);
        // What is meant for the host's build is not meant for theirs.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
            cargo.env_remove(name);
        }
        let output = cargo.output().context("cargo does not run")?;
        if !output.status.success() {
            bail!("the bench's guests are not built: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Guests {
            dir: target.join("wasm32-wasip2/release/examples"),
        })
    }

    /// The component built from `guests/{name}.rs`.
    pub fn component(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.dir.join(name.replace('-', "_")).with_extension("wasm");
        fs::read(&path).with_context(|| path.display().to_string())
    }
}
