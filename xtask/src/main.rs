//! The project's own chores: test, ci, generated docs.
//!
//! `cargo xtask test` is the test command of the README: it installs what the tests need beside Rust and runs every
//! suite. `cargo xtask ci` adds the checks of style and licences. Each step prints what it runs, so that it can be run by
//! hand.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the person who runs it")]

mod install;
mod step;
mod suites;

use std::process::ExitCode;

use step::Failed;

const HELP: &str = "\
Chores of the project.

Usage: cargo xtask <COMMAND>

Commands:
  test         Every suite: unit, property, conformance, crash, WebSocket conformance, browser, docs samples
  test SUITE   One of them: samples, node, autobahn, rust
  ci           Format, lints and licences, then `test`
  docs         Writes the files anew that the tests hold to the code: reference pages, wire vectors, golden texts
  help         This text

Needs Rust, Node and npm; installs the rest itself by Debian's apt, npm and PyPI.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["test"] => suites::all(),
        ["test", suite] => suites::one(suite),
        ["ci"] => ci(),
        ["docs"] => docs(),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => Err(Failed(format!("no such command: {}\n\n{HELP}", args.join(" ")))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(why)) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn ci() -> Result<(), Failed> {
    step::run("cargo", &["fmt", "--all", "--check"])?;
    step::run("cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    // What people run is the release build, whose types have other sizes than those of the tests.
    step::run("cargo", &["check", "--release", "--locked"])?;
    install::cargo_deny()?;
    let deny = ["deny", "--all-features", "--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    step::run("cargo", &deny)?;
    suites::all()
}

/// The crates with tests that compare a file with what the code says: reference pages, wire vectors, golden texts. With
/// `BONGSU_BLESS` set those tests write the file first.
const BLESSED: [&str; 3] = ["bongsu-api", "bongsu-server", "bongsu-wire"];

fn docs() -> Result<(), Failed> {
    let packages = BLESSED.iter().flat_map(|name| ["--package", name]);
    let args: Vec<&str> =
        ["test", "--quiet", "--locked", "--lib", "--test", "vectors"].into_iter().chain(packages).collect();
    step::run_with("cargo", &args, &[("BONGSU_BLESS", "1")])?;
    step::run("git", &["status", "--short", "--", "docs", "crates"])
}
