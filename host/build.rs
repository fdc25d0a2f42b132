//! Builds the bundled plugins, and writes down which functions the plugin contract has, and what in it is not explained.

use std::env;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use wit_parser::{Docs, PackageId, Resolve, TypeDefKind};

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
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    std::fs::write(out.join("explained.rs"), explained(&resolve, package))?;
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

/// What the contract has, each with whether a doc comment says what it means: whoever writes a plugin by hand has nothing else.
fn explained(resolve: &Resolve, package: PackageId) -> String {
    let package = &resolve.packages[package];
    let mut items = vec![("the package".to_owned(), &package.docs)];
    items.extend(package.worlds.iter().map(|(name, world)| (format!("world {name}"), &resolve.worlds[*world].docs)));
    for (interface, id) in &package.interfaces {
        let found = &resolve.interfaces[*id];
        items.push((format!("interface {interface}"), &found.docs));
        items.extend(found.functions.iter().map(|(name, function)| (format!("{interface}.{name}"), &function.docs)));
        for (name, kind) in &found.types {
            let (name, kind) = (format!("{interface}.{name}"), &resolve.types[*kind]);
            let part = |part: &str| format!("{name}.{part}");
            match &kind.kind {
                // Used from another interface, where it is explained.
                TypeDefKind::Type(_) => continue,
                TypeDefKind::Record(record) => items.extend(record.fields.iter().map(|field| (part(&field.name), &field.docs))),
                TypeDefKind::Variant(variant) => items.extend(variant.cases.iter().map(|case| (part(&case.name), &case.docs))),
                TypeDefKind::Enum(cases) => items.extend(cases.cases.iter().map(|case| (part(&case.name), &case.docs))),
                TypeDefKind::Flags(flags) => items.extend(flags.flags.iter().map(|flag| (part(&flag.name), &flag.docs))),
                _ => {}
            }
            items.push((name, &kind.docs));
        }
    }
    let is_explained = |docs: &Docs| docs.contents.as_ref().is_some_and(|text| !text.trim().is_empty());
    let items: Vec<(String, bool)> = items.into_iter().map(|(name, docs)| (name, is_explained(docs))).collect();
    format!("const EXPLAINED: &[(&str, bool)] = &{items:?};\n")
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
