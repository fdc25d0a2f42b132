//! `cargo xtask <command>`: everything that a checkout needs done. One file per command.

mod bench;
mod demo;
mod examples;
mod go;
mod instructions;
mod node;
mod python;
mod rust;
mod setup;
mod shell;
mod system;
mod test;
mod torture;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask <command>

  setup             fetch what the checks need: the wasm32-wasip2 target, redis-server, jq, curl, openssl, packages of Python and node
  demo [ARGS…]      run `meshtrace demo` (needs neither Redis nor agents); ARGS are passed on
  examples          build the example plugins in C, Go, JavaScript and Python into target/examples/
  test [--quick]    all checks: formatting, lints, docs, examples, tests; --quick leaves out plugins/, docs
                    and most of the fault harness
  torture [OPTIONS] break everything at random, and account for every trace: [--minutes N] [--seed S] [--hosts N] [--outage N] [--maxlen N]
                    [--report FILE], or --hostile N: so many hostile entries, and nothing else
  instructions      count the instructions that an entry takes to decode and to correlate, and hold them to their bounds (needs valgrind)
  bench [OPTIONS]   measure the whole pipeline against a reader that throws everything away; --help lists its rows and options
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let Some((command, rest)) = args.split_first() else {
        print!("{HELP}");
        return Ok(());
    };
    let options: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (command.as_str(), options.as_slice()) {
        ("setup", []) => setup::run(),
        ("demo", options) => demo::run(options),
        ("examples", []) => examples::run(),
        ("test", []) => test::run(test::Extent::Full),
        ("test", ["--quick"]) => test::run(test::Extent::Quick),
        ("torture", options) => torture::run(options),
        ("instructions", []) => instructions::run(),
        ("bench", options) => bench::run(options),
        ("help" | "--help" | "-h", []) => {
            print!("{HELP}");
            Ok(())
        }
        ("setup" | "examples" | "instructions" | "test", [first, ..]) => {
            bail!("`{command}` does not take `{first}`; `cargo xtask help` lists what there is")
        }
        _ => bail!("there is no command `{command}`; `cargo xtask help` lists what there is"),
    }
}
