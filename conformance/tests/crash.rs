//! Item by item: no acknowledged event missing, offsets dense, no duplicate for a retried key, all
//! readers see every event exactly once and in order, over 20 ends of the server.

use bongsu_conformance::binary;
use bongsu_conformance::crash::{Options, run};

#[test]
fn twenty_kills() {
    let options = Options { binary: binary::find().expect("a server binary"), rounds: 20, seed: fastrand::u64(..) };
    let summary = run(&options, &mut |line| println!("{line}")).unwrap_or_else(|f| panic!("{f}"));
    assert!(summary.events > 20, "every round acknowledges something");
    assert!(summary.resumes >= 20, "readers were cut: {summary:?}");
}
