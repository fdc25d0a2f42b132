//! `cargo xtask torture`: the fault harness, for as long as one likes. The tests have a short run of it.

use std::{env, process::Command};

use anyhow::{Context, Result, bail};

use crate::shell;

const USAGE: &str = "[--minutes N] [--seed S] [--hosts 1..3] [--outage MINUTES] [--maxlen N] [--report FILE], or --hostile N [--seed S] [--default-bounds] [--report FILE]";
/// The test that is the harness, and the one that is about hostile entries alone.
pub const TORTURE: &str = "torture::nothing_is_lost_whatever_breaks";
const HOSTILE: &str = "torture::hostile_entries_cost_neither_memory_nor_a_good_trace";

/// Says that the hosts get no bounds but their own.
const DEFAULT_BOUNDS: &str = "MESHTRACE_TORTURE_DEFAULT_BOUNDS";

/// The command that runs one test of the whole host, whose name is to be added.
pub fn harness() -> Command {
    let mut test = shell::cargo();
    test.args(["test", "--workspace", "--test", "whole_host", "--", "--exact", "--nocapture"]);
    test
}

pub fn run(options: &[&str]) -> Result<()> {
    let mut test = harness();
    let mut name = TORTURE;
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        if *option == "--default-bounds" {
            test.env(DEFAULT_BOUNDS, "true");
            continue;
        }
        let value = rest.next().with_context(|| format!("{option} wants a value; torture takes {USAGE}"))?;
        let variable = match *option {
            "--minutes" => "MESHTRACE_TORTURE_MINUTES",
            "--seed" => "MESHTRACE_TORTURE_SEED",
            "--hosts" => "MESHTRACE_TORTURE_HOSTS",
            "--outage" => "MESHTRACE_TORTURE_OUTAGE",
            "--maxlen" => "MESHTRACE_TORTURE_MAXLEN",
            "--hostile" => {
                name = HOSTILE;
                "MESHTRACE_TORTURE_HOSTILE"
            }
            "--report" => {
                // Meant from where the command was given; the test runs elsewhere.
                test.env("MESHTRACE_TORTURE_REPORT", env::current_dir()?.join(value));
                continue;
            }
            other => bail!("torture does not take `{other}`; it takes {USAGE}"),
        };
        if value.parse::<f64>().is_err() {
            bail!("{option} {value}: a number is wanted");
        }
        test.env(variable, value);
    }
    if name != HOSTILE && test.get_envs().any(|(variable, _)| variable == DEFAULT_BOUNDS) {
        bail!("--default-bounds goes with --hostile only; torture takes {USAGE}");
    }
    shell::run(test.arg(name))
}
