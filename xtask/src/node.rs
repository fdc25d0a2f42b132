//! npm packages, in folders below target/.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{shell, system};

/// Clients of Redis that agents in TypeScript publish with: ioredis and node-redis.
pub const PUBLISHERS: [(&str, &str); 2] = [("ioredis", "6.0.0"), ("@redis/client", "6.3.1")];

/// The folder that their `node_modules` lies in.
pub fn publishers() -> PathBuf {
    shell::target_dir().join("node")
}

/// Makes sure that the folder holds these versions, and nothing else: npm removes what it is not told of.
pub fn ensure(folder: &Path, packages: &[(&str, &str)]) -> Result<()> {
    if packages.iter().all(|(name, version)| has(folder, name, version)) && shell::has_program("node") {
        return Ok(());
    }
    let missing: Vec<&str> =
        [("node", "nodejs"), ("npm", "npm")].iter().filter(|(program, _)| !shell::has_program(program)).map(|it| it.1).collect();
    if !missing.is_empty() {
        system::install(&missing)?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut npm = Command::new("npm");
    // Nothing of theirs runs while they are installed.
    npm.args(["install", "--silent", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(folder);
    npm.args(packages.iter().map(|(name, version)| format!("{name}@{version}")));
    shell::run_quietly(&mut npm)
}

fn has(folder: &Path, name: &str, version: &str) -> bool {
    let description = fs::read_to_string(folder.join("node_modules").join(name).join("package.json"));
    description.is_ok_and(|text| text.contains(&format!("\"version\": \"{version}\"")))
}
