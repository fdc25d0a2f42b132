//! `cargo xtask instructions`: how many instructions an entry takes to decode and to correlate, held to the bounds in `tests/instructions/`.

use anyhow::{Result, bail};

use crate::shell;

/// Of the whole workspace, so that what it is built on is what was compiled for the tests.
const COUNT: &str = "bench --profile dev --workspace --bench instructions -- check";

pub fn run() -> Result<()> {
    if !shell::has_program("valgrind") {
        let missing = "valgrind is missing (Debian and Ubuntu: sudo apt-get install valgrind)";
        if shell::is_ci() {
            bail!("{missing}");
        }
        eprintln!("xtask: counts of instructions are left out: {missing}");
        return Ok(());
    }
    shell::run(shell::cargo().args(COUNT.split(' ')))
}
