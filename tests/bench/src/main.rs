//! `cargo xtask bench`: what the whole pipeline costs, against a reader that throws everything away.
//!
//! - `server`: a redis-server. `load`: entries as agents write them. `resp`: where replies end. `ceiling`: the reader that is the yardstick.
//! - `host`: a host, the release binary. `guests`: plugins of the bench's own. `flow`: one backlog through one host. `measure`: processors and memory.
//! - `rows`: what is measured, a file per subject. `policies`: what the filter keeps. `peers`: others that do the same job. `options`, `table`, `report`: what is asked for and what is said.
//!
//! It starts what it needs itself, on free ports, and leaves nothing behind.

mod ceiling;
mod flow;
mod guests;
mod host;
mod load;
mod measure;
mod options;
mod peers;
mod policies;
mod report;
mod resp;
mod rows;
mod server;
mod table;

use std::process::ExitCode;

use anyhow::{Result, bail};

use measure::Machine;
use options::Options;
use report::Report;
use rows::Bench;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = Options::parse(&arguments)?;
    if options.help {
        print!("{}", options::help());
        return Ok(());
    }
    // Before anything takes time: a file that cannot be compared with is said at once.
    let before = options.compare.as_deref().map(Report::read).transpose()?;
    let machine = Machine::look();
    println!("{}", machine.describe());
    let mut bench = Bench::new(options.clone())?;
    let (mut report, mut failed) = (Report::new(machine), Vec::new());
    for row in rows::all().filter(|row| options.wants(row)) {
        eprintln!("bench: {} …", row.name);
        let figures = (row.run)(&mut bench).unwrap_or_else(|error| {
            // What else was measured is not lost by that.
            eprintln!("bench: row {} failed: {error:#}", row.name);
            failed.push(row.name);
            Vec::new()
        });
        for figure in figures {
            println!("{}", table::line(&figure));
            report.figures.push(figure);
        }
    }
    println!("\n{}", table::table(&report, before.as_ref()));
    let path = options.json_path();
    report.write(&path)?;
    println!("also written to {}", path.display());
    if failed.is_empty() { Ok(()) } else { bail!("these rows failed: {}", failed.join(", ")) }
}
