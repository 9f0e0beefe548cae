//! The `bongsu` command: reads the command line, runs one command, ends with its exit code.
//!
//! Each command is a file under `commands` with the same silhouette: `command()` says what it takes, `run()` does it.

mod commands;
mod failure;
mod options;
mod output;
mod runtime;

use std::process::ExitCode;

fn main() -> ExitCode {
    // clap ends the process itself for `--help` (0) and for a wrong command line (2).
    let matches = commands::command().get_matches();
    match commands::run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.end(),
    }
}
