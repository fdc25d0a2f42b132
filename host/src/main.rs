//! The `meshtrace` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    meshtrace::cli::main()
}
