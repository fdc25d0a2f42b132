//! Programs that come from the operating system's packages.

use std::{os::unix::fs::MetadataExt, process::Command, process::Stdio};

use anyhow::{Result, bail};

use crate::shell;

/// Installs Debian packages when we may, and otherwise fails with the one command that would.
pub fn install(packages: &[&str]) -> Result<()> {
    let command = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !is_root() || !shell::has_program("apt-get") {
        bail!("missing: {}; on Debian and Ubuntu: sudo {command}", packages.join(", "));
    }
    eprintln!("xtask: installing {}", packages.join(", "));
    let update = apt(&["update", "-qq"]);
    let mut words = vec!["install", "-y", "-qq", "--no-install-recommends"];
    words.extend(packages);
    update.and_then(|()| apt(&words)).map_err(|error| error.context(format!("`apt-get update && {command}` did not work")))
}

fn apt(words: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // A redis-server package wants to start its service on the usual port; tests start their own servers.
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
