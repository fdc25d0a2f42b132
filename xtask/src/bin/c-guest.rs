//! `c-guest WIT-FOLDER WORLD SOURCE.c PLUGIN.wasm`: makes a plugin from one C file.
//!
//! The same as these three, which would have to be installed:
//! `wit-bindgen c`, `clang --target=wasm32-wasi`, `wasm-tools component new`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use wit_bindgen_core::{Files, wit_parser::Resolve};
use wit_component::ComponentEncoder;

fn main() -> Result<()> {
    let args: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [wit, world, source, plugin] = args.as_slice() else {
        bail!("usage: c-guest WIT-FOLDER WORLD SOURCE.c PLUGIN.wasm");
    };
    // The generated header stays beside the plugin: it is what an editor needs, and what an author wants to read.
    let bindings = plugin.with_extension("bindings");
    let world = world.to_str().context("the world's name is not UTF-8")?;
    let generated = generate(wit, world, &bindings).with_context(|| format!("cannot bind {}", wit.display()))?;

    let module = bindings.join("core.wasm");
    compile(source, &bindings, &generated, &module)?;
    let component = componentize(&fs::read(&module)?).with_context(|| format!("{} makes no component", source.display()))?;
    fs::write(plugin, component).with_context(|| format!("cannot write {}", plugin.display()))
}

/// Writes the bindings of a world, and answers which of their files have to be compiled and linked.
fn generate(wit: &Path, world: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;

    fs::create_dir_all(folder)?;
    let mut linked = Vec::new();
    for (name, contents) in files.iter() {
        let path = folder.join(name);
        fs::write(&path, contents)?;
        if path.extension().is_some_and(|kind| kind == "c" || kind == "o") {
            linked.push(path);
        }
    }
    Ok(linked)
}

fn compile(source: &Path, bindings: &Path, generated: &[PathBuf], module: &Path) -> Result<()> {
    let mut clang = Command::new("clang");
    clang.args(["--target=wasm32-wasi", "--sysroot=/usr", "-mexec-model=reactor", "-std=c11", "-O2", "-Wall", "-Wextra"]);
    clang.arg("-Wl,--strip-all").arg("-I").arg(bindings).arg(source).args(generated).arg("-o").arg(module);
    let status = clang.status().context("cannot start `clang`")?;
    if !status.success() {
        bail!("{} does not compile", source.display());
    }
    Ok(())
}

/// Turns a core module into a component. A module that uses stdio or files would need an adapter here; a plugin logs instead.
fn componentize(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default().module(module)?.validate(true).encode()
}
