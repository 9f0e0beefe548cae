//! Every target on what the fuzzers have found interesting, and on mutations of it.
//!
//! The mutations are the same in every run. They are no substitute for the fuzzers, which follow coverage; they are what stable
//! Rust can do within seconds on every change.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the helpers are part of the tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bongsu_fuzz::{TARGETS, Target};
use fastrand::Rng;

const MUTATIONS: usize = 10_000;

/// libFuzzer's own default: longer inputs are found by nobody.
const INPUT_BYTES_MAX: usize = 4096;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("corpus").join(name)
}

/// The corpus of a target in the order of its names, which no file system decides.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Runs a target, and shows the input if it fails.
fn run((name, target): Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        eprintln!("`{name}` failed on b\"{}\"", input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Rng) {
    let place = |input: &[u8], random: &mut Rng| random.usize(..=input.len());
    let (a, b) = (place(input, random), place(input, random));
    let (from, to) = (a.min(b), a.max(b));
    match random.u8(..6) {
        0 if from < input.len() => input[from] = random.u8(..),
        1 if from < input.len() => input[from] ^= 1 << random.u8(..8),
        2 => drop(input.drain(from..to.min(from + 8))),
        // Twice, or moved: what smugglers do with lines.
        3 => {
            let copy = input[from..to].to_vec();
            let at = place(input, random);
            input.splice(at..at, copy);
        }
        4 => {
            let other = &corpus[random.usize(..corpus.len())];
            let (c, d) = (place(other, random), place(other, random));
            input.splice(from..to.min(from + 8), other[c.min(d)..c.max(d)].iter().copied());
        }
        _ => {
            let special = b"\r\n\t \0,:;/?#%\"'[]{}@$+-0159aZ\x7f\x80\xff";
            input.insert(from, special[random.usize(..special.len())]);
        }
    }
    input.truncate(INPUT_BYTES_MAX);
}

fn replay(target: Target) {
    let corpus = corpus(target.0);
    assert!(corpus.len() > 10, "the corpus of `{}` is missing", target.0);
    run(target, b"");
    for input in &corpus {
        run(target, input);
    }
    let mut random = Rng::with_seed(7);
    for _ in 0..MUTATIONS {
        let mut input = corpus[random.usize(..corpus.len())].clone();
        for _ in 0..random.usize(1..=4) {
            mutate(&mut input, &corpus, &mut random);
        }
        run(target, &input);
    }
}

#[test]
fn head() {
    replay(TARGETS[0]);
}

#[test]
fn websocket() {
    replay(TARGETS[1]);
}

#[test]
fn command() {
    replay(TARGETS[2]);
}

#[test]
fn query() {
    replay(TARGETS[3]);
}

#[test]
fn every_corpus_has_a_target_and_a_program() {
    let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(known, ["head", "websocket", "command", "query"], "each has a test above");
    for entry in std::fs::read_dir(folder("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name.as_str()), "fuzz/corpus/{name} has no target");
    }
    for name in known {
        let program = folder("").with_file_name("fuzz_targets").join(format!("{name}.rs"));
        assert!(std::fs::read_to_string(program).unwrap().contains(&format!("bongsu_fuzz::{name}")), "{name}");
    }
}
