//! `cargo xtask examples`: the example plugins in other languages, as components in target/examples/.
//!
//! An example is built only when something that goes into it has changed. When its toolchain cannot be had it is left out with
//! a line that says which command would get it; on CI that is an error.

mod c;
mod go;
mod js;
mod python;
mod stamp;

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::shell;
use stamp::Stamp;

/// One example plugin: `examples/{name}/` becomes `target/examples/{name}.wasm`.
struct Example {
    name: &'static str,
    /// What goes into it besides its own folder and wit/, from the root.
    tools: &'static [&'static str],
    /// Fetches what `build` needs. Failing is no fault of the example's.
    prepare: fn() -> Result<()>,
    /// Builds from the first path, the example's folder, into the second.
    build: fn(&Path, &Path) -> Result<()>,
}

const EXAMPLES: [Example; 4] = [
    Example {
        name: "c-summary",
        tools: c::TOOLS,
        prepare: c::prepare,
        build: c::build,
    },
    Example {
        name: "go-summary",
        tools: go::TOOLS,
        prepare: go::prepare,
        build: go::build,
    },
    Example {
        name: "js-summary",
        tools: js::TOOLS,
        prepare: js::prepare,
        build: js::build,
    },
    Example {
        name: "python-summary",
        tools: python::TOOLS,
        prepare: python::prepare,
        build: python::build,
    },
];

/// A run of a program of xtask that makes plugins, for its arguments to be added. Both are built with the same features, so that what
/// they share is compiled once.
fn guest_program(name: &str) -> Command {
    let mut program = shell::cargo();
    program.args(["run", "-p", "xtask", "--features", "c-guest,go-guest", "--bin", name, "--"]);
    program
}

pub fn run() -> Result<()> {
    let folder = shell::target_dir().join("examples");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for example in &EXAMPLES {
        bring_up_to_date(example, &folder).with_context(|| format!("examples/{}", example.name))?;
    }
    Ok(())
}

fn bring_up_to_date(example: &Example, folder: &Path) -> Result<()> {
    let source = shell::root().join("examples").join(example.name);
    let component = folder.join(example.name).with_extension("wasm");
    let mut inputs = vec![source.clone(), shell::root().join("wit")];
    inputs.extend(example.tools.iter().map(|tool| shell::root().join(tool)));
    let stamp = Stamp::of(&inputs)?;
    if component.is_file() && stamp.is_at(&component) {
        return Ok(());
    }

    // From here on the old component is out of date, and no test may take it for the example.
    let _ = fs::remove_file(&component);
    if let Err(error) = (example.prepare)() {
        if shell::is_ci() {
            return Err(error);
        }
        eprintln!("xtask: examples/{} is left out: {error:#}", example.name);
        return Ok(());
    }
    eprintln!("xtask: building examples/{}", example.name);
    (example.build)(&source, &component)?;
    stamp.put_at(&component)
}
