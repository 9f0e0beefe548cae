//! Scenarios with one expectation changed: every one of them has to fail. A sample by default, drawn
//! anew each time; `BONGSU_MUTANTS=all` takes all of them, a number that many.

use bongsu_conformance::mutate::mutants;
use bongsu_conformance::run::{Pool, trial};
use bongsu_conformance::{binary, scenario};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Mutants of a usual run.
const SAMPLE: usize = 60;
/// Mutants at a time; those that wait for something that never comes use no processor.
const THREADS: usize = 24;

/// One trial of each scenario: another way or case would be broken in the same places.
fn originals() -> Vec<scenario::Trial> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut seen = HashSet::new();
    let mut trials = scenario::load(&dir).expect("right scenarios");
    // A server of one's own for each mutant, or ten thousand connections, is more than a sample is worth.
    trials.retain(|t| !t.scenario.own_server && t.scenario.timeout_s <= 40);
    trials.retain(|t| seen.insert(t.scenario.name.clone()));
    trials
}

fn sample(mut all: Vec<scenario::Trial>) -> Vec<scenario::Trial> {
    let wanted = match std::env::var("BONGSU_MUTANTS").as_deref() {
        Ok("all") => all.len(),
        Ok(number) => number.parse().expect("BONGSU_MUTANTS is `all` or a number"),
        Err(_) => SAMPLE,
    };
    fastrand::shuffle(&mut all);
    all.truncate(wanted);
    all
}

#[test]
fn every_expectation_can_fail() {
    let work = sample(originals().iter().flat_map(mutants).collect());
    assert!(work.len() >= SAMPLE.min(10), "there is something to break");
    let pool = Pool::new(binary::find().expect("a server binary"));
    let (next, survivors) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(mutant) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if trial(&pool, mutant).is_ok() {
                        survivors.lock().expect("nobody panics").push(mutant.name.clone());
                    }
                }
            });
        }
    });
    let survivors = survivors.into_inner().expect("nobody panics");
    assert!(survivors.is_empty(), "{} of {}: {survivors:#?}", survivors.len(), work.len());
}
