//! The crash test from the command line: `bongsu-crash [--rounds N] [--seed N] [--driver shards|hyper]`.

use bongsu_conformance::crash::{Options, run};
use bongsu_conformance::way::Driver;
use bongsu_conformance::{binary, error};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Rounds unless `--rounds` says otherwise.
const ROUNDS: u32 = 20;

const USAGE: &str = "usage: bongsu-crash [--rounds NUMBER] [--seed NUMBER] [--driver shards|hyper]";

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
    let (binary, driver) = (PathBuf::new(), Driver::default());
    let mut options = Options { binary, rounds: ROUNDS, seed: fastrand::u64(..), driver };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        match (name.as_str(), value.parse::<u64>(), value.as_str()) {
            ("--rounds", Ok(n), _) => options.rounds = u32::try_from(n).unwrap_or(u32::MAX),
            ("--seed", Ok(n), _) => options.seed = n,
            ("--driver", _, "shards") => options.driver = Driver::Shards,
            ("--driver", _, "hyper") => options.driver = Driver::Hyper,
            _ => return Err(error::Failure::wrong(USAGE)),
        }
    }
    options.binary = binary::find()?;
    Ok(options)
}

/// A line of progress; a closed pipe is no reason to stop the test.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
