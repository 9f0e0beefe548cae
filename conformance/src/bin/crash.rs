//! The crash test from the command line: `bongsu-crash [--rounds N] [--seed N]`.

use bongsu_conformance::crash::{Options, run};
use bongsu_conformance::{binary, error};
use std::io::Write;
use std::process::ExitCode;

/// Rounds unless `--rounds` says otherwise.
const ROUNDS: u32 = 20;

fn main() -> ExitCode {
    match options().and_then(|options| test(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&format!("FAILED: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn test(options: &Options) -> error::Result<()> {
    let summary = run(options, &mut |line| say(line))?;
    say(&format!("passed: {summary:?}"));
    Ok(())
}

fn options() -> error::Result<Options> {
    let mut options = Options { binary: std::path::PathBuf::new(), rounds: ROUNDS, seed: fastrand::u64(..) };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|v| v.parse::<u64>().ok());
        match (name.as_str(), value) {
            ("--rounds", Some(n)) => options.rounds = u32::try_from(n).unwrap_or(u32::MAX),
            ("--seed", Some(n)) => options.seed = n,
            _ => {
                return Err(error::Failure::wrong("usage: bongsu-crash [--rounds NUMBER] [--seed NUMBER]"));
            }
        }
    }
    options.binary = binary::find()?;
    Ok(options)
}

/// A line of progress; a closed pipe is no reason to stop the test.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
