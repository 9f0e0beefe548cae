//! Item by item: no acknowledged event missing, offsets dense, no duplicate for a retried key, all
//! readers see every event exactly once and in order, over 20 ends of the server; in short once more where shards do not
//! serve the sockets.

#![allow(clippy::print_stdout, reason = "the rounds are told as they end")]

use bongsu_conformance::binary;
use bongsu_conformance::crash::{Options, run};
use bongsu_conformance::way::Driver;

fn kill(rounds: u32, driver: Driver) {
    let options = Options { binary: binary::find().expect("a server binary"), rounds, seed: fastrand::u64(..), driver };
    let summary = run(&options, &mut |line| println!("{line}")).unwrap_or_else(|f| panic!("{f}"));
    assert!(summary.events > rounds as usize, "every round acknowledges something");
    assert!(summary.resumes >= u64::from(rounds), "readers were cut: {summary:?}");
}

#[test]
fn twenty_kills() {
    kill(20, Driver::Shards);
}

#[test]
fn five_kills_on_hyper_alone() {
    kill(5, Driver::Hyper);
}
