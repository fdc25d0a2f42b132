//! `cargo xtask setup`: what the checks need. Quick and silent when everything is there.

use anyhow::{Result, bail};

use crate::{node, python, rust, shell, system};

/// Programs that tests start, each in the Debian package of the same name.
const PROGRAMS: [&str; 4] = ["redis-server", "jq", "curl", "openssl"];

/// Goes through all of it before it fails, so that one look says everything that is to be done by hand.
pub fn run() -> Result<()> {
    let results = [
        rust::ensure_guest_target(),
        rust::ensure_components(),
        ensure_programs(),
        ensure_disk(),
        ensure_clock(),
        ensure_valgrind(),
        ensure_otlp(),
        ensure_publishers(),
    ];
    let faults: Vec<String> = results.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    if faults.is_empty() { Ok(()) } else { bail!(faults.join("\nxtask: ")) }
}

fn ensure_programs() -> Result<()> {
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !shell::has_program(program)).collect();
    if missing.is_empty() { Ok(()) } else { system::install(&missing) }
}

/// A file system in a file: what mounts and freezes it is on every Debian.
fn ensure_disk() -> Result<()> {
    let found = if shell::has_program("mkfs.ext4") { Ok(()) } else { system::install(&["e2fsprogs"]) };
    unless_left_out("a full, a read-only and a slow disk", found)
}

/// A clock that can be set, for processes that are started with it.
fn ensure_clock() -> Result<()> {
    let found = if shell::has_program("faketime") { Ok(()) } else { system::install(&["faketime"]) };
    unless_left_out("clocks that jump", found)
}

fn ensure_valgrind() -> Result<()> {
    let found = if shell::has_program("valgrind") { Ok(()) } else { system::install(&["valgrind"]) };
    unless_left_out("counts of instructions", found)
}

fn ensure_otlp() -> Result<()> {
    unless_left_out("tests of the otlp exporter", python::ensure(&python::OTLP))
}

fn ensure_publishers() -> Result<()> {
    unless_left_out("tests with publishers in Python", python::ensure(&python::PUBLISHER))?;
    unless_left_out("tests with publishers in JavaScript", node::ensure(&node::publishers(), &node::PUBLISHERS))
}

/// Tests that need what cannot be had are left out, but not on CI.
fn unless_left_out(tests: &str, ensured: Result<()>) -> Result<()> {
    match ensured {
        Err(error) if !shell::is_ci() => {
            eprintln!("xtask: left out are {tests}: {error:#}");
            Ok(())
        }
        ensured => ensured,
    }
}
