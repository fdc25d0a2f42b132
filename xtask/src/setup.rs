//! `cargo xtask setup`: what the checks need. Quick and silent when everything is there.

use anyhow::{Result, bail};

use crate::{python, rust, shell, system};

/// Programs that tests start, each in the Debian package of the same name.
const PROGRAMS: [&str; 4] = ["redis-server", "jq", "curl", "openssl"];

/// Goes through all of it before it fails, so that one look says everything that is to be done by hand.
pub fn run() -> Result<()> {
    let results = [rust::ensure_guest_target(), rust::ensure_components(), ensure_programs(), ensure_otlp()];
    let faults: Vec<String> = results.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    if faults.is_empty() { Ok(()) } else { bail!(faults.join("\nxtask: ")) }
}

fn ensure_programs() -> Result<()> {
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !shell::has_program(program)).collect();
    if missing.is_empty() { Ok(()) } else { system::install(&missing) }
}

/// Tests that need it are left out where it cannot be had.
fn ensure_otlp() -> Result<()> {
    let ensured = python::ensure(&python::OTLP);
    if shell::is_ci() {
        return ensured;
    }
    if let Err(error) = ensured {
        eprintln!("xtask: tests of the otlp exporter are left out: {error:#}");
    }
    Ok(())
}
