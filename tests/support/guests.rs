//! Plugins to drop in: guests of the tests' own, and the examples in other languages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Cargo's target directory.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("tmp lies in the target directory")
}

/// The component built from `tests/evil/{name}.rs`.
pub fn evil(name: &str) -> Vec<u8> {
    let path = built().join(name.replace('-', "_")).with_extension("wasm");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Builds the guests, once per run, and says where they are. Runs at the same time wait for each other, as cargo locks the directory.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = target().join("evil");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/evil"));
        cargo.args(["build", "--release", "--locked", "--examples", "--target", "wasm32-wasip2", "--target-dir"]).arg(&target);
        // What is meant for the host's build is not meant for theirs.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
            cargo.env_remove(name);
        }
        let output = cargo.output().expect("cargo runs");
        assert!(output.status.success(), "tests/evil: {}", String::from_utf8_lossy(&output.stderr));
        target.join("wasm32-wasip2/release/examples")
    })
}

/// The component of an example in another language; `None` when it has not been built, which is an error on CI.
pub fn example(name: &str) -> Option<Vec<u8>> {
    let path = target().join("examples").join(name).with_extension("wasm");
    let read = fs::read(&path);
    assert!(read.is_ok() || !super::on_ci(), "{} is missing: cargo xtask examples builds it", path.display());
    if read.is_err() {
        eprintln!("left out: {} has not been built (cargo xtask examples)", path.display());
    }
    read.ok()
}
