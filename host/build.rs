//! Builds the bundled plugins, and writes down which functions the plugin contract has.

use std::env;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const PLUGINS: [&str; 6] = ["console", "json", "otlp", "redact", "sampling", "stats"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    let plugins = PLUGINS.map(|plugin| format!("plugins/{plugin}"));
    let watched = ["wit", "plugins/Cargo.toml", "plugins/Cargo.lock", "plugins/sdk"].map(str::to_owned);
    for watched in watched.iter().chain(&plugins) {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    write_surface(&root.join("wit"), &out)?;
    build_plugins(&root.join("plugins"), &out)
}

/// The contract's interfaces and their functions, as a constant: wasmtime's linker cannot say what it has.
fn write_surface(wit: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    let package = &resolve.packages[package];
    let version = package.name.version.as_ref().ok_or("the WIT package has no version")?;
    let mut text = format!("const VERSION: &str = {:?};\nconst SURFACE: &[(&str, &[&str])] = &[\n", version.to_string());
    for (name, interface) in &package.interfaces {
        let functions: Vec<&String> = resolve.interfaces[*interface].functions.keys().collect();
        writeln!(text, "    ({name:?}, &{functions:?}),")?;
    }
    text.push_str("];\n");
    Ok(std::fs::write(out.join("surface.rs"), text)?)
}

fn build_plugins(plugins: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    // A target directory of their own: this build holds the lock of the other. One for all features of the host, which are nothing to them.
    let target = out.ancestors().nth(3).ok_or("OUT_DIR is not below a target directory")?.join("bundled-plugins");
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo.current_dir(plugins).args(["build", "--release", "--locked", "--target", "wasm32-wasip2", "--target-dir"]).arg(&target);
    for plugin in PLUGINS {
        cargo.args(["--package", &format!("meshtrace-{plugin}")]);
    }
    // What is meant for the host's build is not meant for theirs.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS"] {
        cargo.env_remove(name);
    }
    if !cargo.status()?.success() {
        return Err(
            "the bundled plugins could not be built; if the target wasm32-wasip2 is missing: rustup target add wasm32-wasip2".into()
        );
    }
    for plugin in PLUGINS {
        let built = target.join("wasm32-wasip2/release").join(format!("{plugin}.wasm"));
        std::fs::copy(&built, out.join(format!("{plugin}.wasm"))).map_err(|error| format!("{}: {error}", built.display()))?;
    }
    Ok(())
}
