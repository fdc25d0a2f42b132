//! Plugins in JavaScript: componentize-js, in a folder of npm's below target/.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{node, shell};

pub const TOOLS: &[&str] = &["xtask/src/examples/js.rs", "xtask/src/node.rs"];

const COMPONENTIZE: [(&str, &str); 1] = [("@bytecodealliance/componentize-js", "0.23.0")];

fn folder() -> PathBuf {
    shell::target_dir().join("componentize-js")
}

pub fn prepare() -> Result<()> {
    node::ensure(&folder(), &COMPONENTIZE)
}

pub fn build(source: &Path, component: &Path) -> Result<()> {
    let mut tool = Command::new(folder().join("node_modules/.bin/componentize-js"));
    tool.arg(source.join("summary.js")).arg("-w").arg(shell::root().join("wit")).args(["-n", "exporter", "-o"]).arg(component);
    shell::run_quietly(&mut tool)
}
