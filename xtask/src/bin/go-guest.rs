//! `go-guest WIT-FOLDER WORLD SOURCE.go PLUGIN.wasm`: makes a plugin from one Go file, with the `go` on the PATH.
//!
//! The same as these four, which would have to be installed:
//! `wit-bindgen go`, `go build` for wasip1, `wasm-tools component embed`, `wasm-tools component new --adapt`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use wasi_preview1_component_adapter_provider::{WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER};
use wit_bindgen_core::{
    Files,
    wit_parser::{Resolve, WorldId},
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// The Go module that generated code imports.
const SUPPORT: &str = "go.bytecodealliance.org/pkg";

fn main() -> Result<()> {
    let args: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [wit, world, source, plugin] = args.as_slice() else {
        bail!("usage: go-guest WIT-FOLDER WORLD SOURCE.go PLUGIN.wasm");
    };
    // The generated module stays beside the plugin: it is what an editor needs, and what an author wants to read.
    let bindings = plugin.with_extension("bindings");
    let world = world.to_str().context("the world's name is not UTF-8")?;
    let mut resolve = Resolve::default();
    let world = generate(wit, world, &bindings, &mut resolve).with_context(|| format!("cannot bind {}", wit.display()))?;

    add(source, &bindings).with_context(|| format!("cannot read {}", source.display()))?;
    compile(&bindings).with_context(|| source.display().to_string())?;
    let module = fs::read(bindings.join("core.wasm"))?;
    let component = componentize(module, &resolve, world).with_context(|| format!("{} makes no component", source.display()))?;
    fs::write(plugin, component).with_context(|| format!("cannot write {}", plugin.display()))
}

/// Writes the bindings of a world, a Go module.
fn generate(wit: &Path, world: &str, folder: &Path, resolve: &mut Resolve) -> Result<WorldId> {
    let (package, _) = resolve.push_dir(wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_go::Opts::default().build().generate(resolve, world, &mut files)?;
    for (name, contents) in files.iter() {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, contents)?;
    }
    Ok(world)
}

/// Puts a source file into the module, where the generated code looks for the package that it says it is.
fn add(source: &Path, bindings: &Path) -> Result<()> {
    let text = fs::read_to_string(source)?;
    let package = text.lines().find_map(|line| line.strip_prefix("package ")).context("there is no line `package …`")?;
    let folder = bindings.join(package.trim());
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(source.file_name().context("this is no file")?), text)?;
    Ok(())
}

fn compile(bindings: &Path) -> Result<()> {
    let support = support_module()?;
    let replaced = format!("-replace={SUPPORT}={}", support.display());
    go(bindings, &["mod", "edit", &replaced])?;
    // Generated code names functions of the runtime, which the linker has to be told to allow.
    go(bindings, &["build", "-mod=mod", "-buildvcs=false", "-buildmode=c-shared", "-ldflags=-checklinkname=0 -s -w", "-o", "core.wasm"])
}

fn go(folder: &Path, words: &[&str]) -> Result<()> {
    let mut go = Command::new("go");
    go.args(words).current_dir(folder);
    // Nothing is fetched: the one module that is needed is here, and a toolchain that is too old says so.
    go.envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("GOWORK", "off")]);
    go.env_remove("GOFLAGS");
    let status = go.status().context("cannot start `go`")?;
    if !status.success() {
        bail!("`go {}` failed ({status})", words.join(" "));
    }
    Ok(())
}

/// The folder of the Go module that generated code imports. The generator's crate carries the one that it was written with.
fn support_module() -> Result<PathBuf> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--format-version", "1", "--offline", "--features", "go-guest", "--filter-platform", &platform()?]);
    cargo.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let output = cargo.output().context("cannot start `cargo`")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let manifest = packages.find(|package| package["name"] == "wit-bindgen-go").and_then(|package| package["manifest_path"].as_str());
    let module = Path::new(manifest.context("cargo knows no crate wit-bindgen-go")?).with_file_name("src").join("pkg");
    if !module.join("go.mod").is_file() {
        bail!("{} holds no Go module: has wit-bindgen-go another version?", module.display());
    }
    Ok(module)
}

/// Crates of this platform only: those of others have not been fetched.
fn platform() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start `rustc`")?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say its platform")?.to_owned())
}

/// Turns a core module into a component. Go's runtime asks for WASI's first version, so an adapter comes between.
fn componentize(mut module: Vec<u8>, resolve: &Resolve, world: WorldId) -> Result<Vec<u8>> {
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8, false)?;
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.module(&module)?;
    encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?.validate(true).encode()
}
