//! Load generators and reports: figures with the server's CPU seconds.
//!
//! `publish`, `fanout`, `rate`, `idle`, `storm`, `stalled` and `resume` start a server on a core of its own, load it from another and print what it
//! did per CPU-second, beside the *floor*: the least program that does the same, measured in the same run. Ratios to
//! the floor can be compared between days; absolute figures cannot. The bench talks to the server as any client does
//! and must not use its crates.

mod floor;
mod generator;
mod latency;
mod ledger;
mod machine;
mod measure;
mod options;
mod parse;
mod payload;
mod peers;
mod process;
mod report;
mod target;

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use crate::options::{Floor, FloorSending, Task};
use crate::report::{Report, compare};

/// What can fail, with a sentence for the person at the terminal.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match options::read().and_then(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing is left to be done when even this cannot be written.
            let _ = writeln!(std::io::stderr(), "bongsu-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Fallible<bool> {
    match task {
        Task::Measure(what, common) => {
            give_up_after(common.deadline);
            measure::run(&what, &common)
        }
        Task::Compare(old, new) => {
            let text = compare::of(&Report::load(&old)?, &Report::load(&new)?);
            std::io::stdout().write_all(text.as_bytes())?;
            Ok(true)
        }
        Task::Install(peers) => {
            peers::install(&peers)?;
            Ok(true)
        }
        Task::Floor(floor) => be_floor(floor),
        Task::Launch(core, command) => {
            let words: Vec<&OsStr> = command.iter().map(AsRef::as_ref).collect();
            let (program, arguments) = words.split_first().ok_or("launch needs a program")?;
            process::launch(core, program, arguments)?;
            Ok(true)
        }
    }
}

/// Ends the process when it takes too long. The servers it started die with it.
fn give_up_after(time: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(time);
        let _ = writeln!(std::io::stderr(), "bongsu-bench: not done after {} s: given up (--deadline)", time.as_secs());
        std::process::exit(1);
    });
}

fn be_floor(floor: Floor) -> Fallible<bool> {
    match floor {
        Floor::Sse(keep, sending, port_file) => {
            let sending = match sending {
                FloorSending::Each => floor::Sending::Each,
                FloorSending::Tens => floor::Sending::Tens,
                FloorSending::Ring => floor::Sending::Ring(Box::new(floor::ring::Ring::new()?)),
            };
            floor::serve(floor::Job::Fanout { keep, sending }, &port_file)?;
        }
        Floor::Echo(sync, port_file) => {
            let file = sync.map(File::create_new).transpose()?;
            floor::serve(floor::Job::Echo(file), &port_file)?;
        }
        Floor::Commit(file, batch, record_bytes, time) => {
            let committed = floor::commit::run(&file, batch, record_bytes, time)?;
            serde_json::to_writer(std::io::stdout(), &committed)?;
        }
    }
    Ok(true)
}
