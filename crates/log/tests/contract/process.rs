//! The end of the process in the middle of its work: killed, or out of room for a file.
//!
//! The other process is this test again, which finds out from its environment that it is to play that part.

#![expect(clippy::print_stdout, reason = "the other process reports to this one")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bongsu_core::Seq;
use bongsu_core::log::{Log, LogError};
use bongsu_log::LogConfig;

use super::fixture::*;

const DIR: &str = "BONGSU_TEST_LOG";

/// Where the log is, if this is the other process.
fn part() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

/// Starts the test `name` once more, to play the other part. `limit` is the largest file it may write, in blocks of 512
/// bytes; the signal that would end it there is ignored, so that it sees an error.
fn start(name: &str, dir: &Path, limit: Option<u64>) -> Child {
    let limit = limit.map(|blocks| format!("trap '' XFSZ; ulimit -f {blocks}; ")).unwrap_or_default();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit}exec \"$0\" \"$@\"")]).arg(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]).env(DIR, dir).stdout(Stdio::piped()).spawn().unwrap()
}

/// The channels each round of events goes to: kept whole, trimmed, and not synced.
const CHANNELS: [&str; 3] = ["a", "few:a", "os:a"];

/// Appends round after round, as fast as it goes; tells each one that was acknowledged.
fn append_for_ever(dir: &Path) {
    let log = open(dir, LogConfig::default(), START);
    let mut round = log.channel(&name("a")).map_or(0, |state| state.head_offset);
    loop {
        round += 1;
        let text = format!("{round} {}", "x".repeat(round as usize * 37 % 3_000));
        let groups = CHANNELS.map(|channel| publish(keyed(channel, &text, &round.to_string())));
        log.append(groups.to_vec(), START).unwrap();
        println!("round {round}");
    }
}

#[test]
fn a_killed_log_has_everything_that_was_acknowledged() {
    if let Some(dir) = part() {
        append_for_ever(&dir);
    }
    let dir = directory();
    let mut highest = 0;
    for kill in 1..=6 {
        let mut child = start("process::a_killed_log_has_everything_that_was_acknowledged", dir.path(), None);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let rounds = lines.filter_map(|line| line.strip_prefix("round ")?.parse::<u64>().ok());
        let acknowledged = rounds.take(kill * 30).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();

        let log = open(dir.path(), LogConfig::default(), START);
        assert_eq!(log.opened().new_epoch, None, "the system did not stop");
        assert!(log.head() > Seq(highest), "numbers are never given twice");
        let kept = |channel: &str| log.read(&name(channel), Seq(0), END, ALL).unwrap().events;
        let all = kept("a");
        assert!(all.len() as u64 >= acknowledged, "{} of {acknowledged}", all.len());
        for (event, round) in all.iter().zip(1..) {
            assert!(event.offset == round && body(event).starts_with(&format!("{round} ")), "{event:?}");
        }
        // A round goes in one append: what was not acknowledged is there in all channels or in none.
        let rounds = all.len() as u64;
        for channel in CHANNELS {
            assert_eq!(log.channel(&name(channel)).unwrap().head_offset, rounds, "{channel}");
        }
        assert_eq!(
            kept("few:a").iter().map(|event| event.offset).collect::<Vec<_>>(),
            [rounds - 2, rounds - 1, rounds]
        );
        assert_eq!(log.usage().idempotency_keys, 3 * rounds);
        highest = all.last().unwrap().id.seq.0;
    }
}

/// Appends until it fails, then sees that reading goes on and writing does not.
fn append_until_it_fails(dir: &Path) {
    let log = open(dir, LogConfig::default(), START);
    let append = |text: &str| log.append(vec![publish(draft("a", text))], START);
    let mut taken = 0;
    let error = loop {
        match append(&"x".repeat(10_000)) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(taken > 0, "there was room at first");
    let is_poisoned = |error: &LogError| matches!(error, LogError::Poisoned(why) if why.contains("large"));
    assert!(is_poisoned(&error), "{error}");
    assert!(append("small").is_err_and(|error| is_poisoned(&error)), "it stays so");
    assert!(log.maintain(START).is_err_and(|error| is_poisoned(&error)));
    assert!(log.health().is_err_and(|error| is_poisoned(&error)));
    assert!(log.close().is_err_and(|error| is_poisoned(&error)));
    let slice = log.read(&name("a"), Seq(0), END, ALL).unwrap();
    assert_eq!(slice.events.len(), 1 + taken, "what was refused is not visible, what was taken is");
    println!("taken {taken}");
}

#[test]
fn a_failed_write_ends_writing_until_the_log_is_opened_again() {
    if let Some(dir) = part() {
        append_until_it_fails(&dir);
        return;
    }
    let mut log = Fixture::new(Kind::Embedded);
    log.text("a", "before");
    log.log.close().unwrap();
    log.kill();
    let test = "process::a_failed_write_ends_writing_until_the_log_is_opened_again";
    let output = start(test, &log.path(), Some(400)).wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    let taken = told.lines().find_map(|line| line.strip_prefix("taken ")).unwrap().parse::<u64>().unwrap();

    let opened = log.start();
    assert_eq!((opened.clean, opened.new_epoch), (false, None), "the half that was written was never acknowledged");
    assert!(opened.torn.is_some());
    assert_eq!(log.all("a").events.len() as u64, 1 + taken);
    assert_eq!(log.text("a", "after").offset, taken + 2);
}
