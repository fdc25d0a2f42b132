//! npm packages, in a folder below target/.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{shell, system};

/// Clients of Redis that agents in TypeScript publish with: ioredis and node-redis.
pub const PUBLISHERS: [(&str, &str); 2] = [("ioredis", "6.0.0"), ("@redis/client", "6.3.1")];

/// The folder that `node_modules` lies in.
pub fn environment() -> PathBuf {
    shell::target_dir().join("node")
}

/// Makes sure that the folder holds exactly these versions.
pub fn ensure(packages: &[(&str, &str)]) -> Result<()> {
    if packages.iter().all(|(name, version)| has(name, version)) && shell::has_program("node") {
        return Ok(());
    }
    let missing: Vec<&str> =
        [("node", "nodejs"), ("npm", "npm")].iter().filter(|(program, _)| !shell::has_program(program)).map(|it| it.1).collect();
    if !missing.is_empty() {
        system::install(&missing)?;
    }
    let folder = environment();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut npm = Command::new("npm");
    // Nothing of theirs runs while they are installed.
    npm.args(["install", "--silent", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(folder);
    npm.args(packages.iter().map(|(name, version)| format!("{name}@{version}")));
    shell::run_quietly(&mut npm)
}

fn has(name: &str, version: &str) -> bool {
    let description = fs::read_to_string(environment().join("node_modules").join(name).join("package.json"));
    description.is_ok_and(|text| text.contains(&format!("\"version\": \"{version}\"")))
}
