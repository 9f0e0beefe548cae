//! The suites behind `cargo xtask test`.

use std::path::PathBuf;
use std::process::Command;

use crate::install;
use crate::step::{Failed, root, run, run_with};

type Suite = (&'static str, fn() -> Result<(), Failed>);

/// In the order in which they are most likely to find something soon.
const SUITES: &[Suite] = &[("rust", rust), ("node", node), ("samples", samples), ("autobahn", autobahn)];

pub(crate) fn all() -> Result<(), Failed> {
    SUITES.iter().try_for_each(|(_, suite)| suite())?;
    println!("\nall suites passed");
    Ok(())
}

pub(crate) fn one(name: &str) -> Result<(), Failed> {
    match SUITES.iter().find(|(known, _)| *known == name) {
        Some((_, suite)) => suite(),
        None => {
            let known: Vec<&str> = SUITES.iter().map(|(known, _)| *known).collect();
            Err(Failed(format!("no such suite: {name}; there are {}", known.join(", "))))
        }
    }
}

/// Unit, property, contract, conformance, crash, client and command-line tests, and the samples in the code's docs.
fn rust() -> Result<(), Failed> {
    let server = server()?;
    let server = server.to_string_lossy();
    run_with("cargo", &["test", "--workspace", "--locked", "--no-fail-fast"], &[("BONGSU_BIN", &server)])
}

/// Pages and `EventSource` in Chromium, and real recorded payloads from npm.
fn node() -> Result<(), Failed> {
    install::debian(("chromium", &["--version"]), &["chromium"])?;
    let server = server()?;
    run("npm", &["ci", "--prefix", "conformance/node", "--no-audit", "--no-fund", "--loglevel=error"])?;
    run_with("npm", &["test", "--prefix", "conformance/node"], &[("BONGSU_BIN", &server.to_string_lossy())])
}

/// The commands that the README and `docs/` tell people to paste.
fn samples() -> Result<(), Failed> {
    let server = server()?;
    run_with("node", &["conformance/samples/run.mjs"], &[("BONGSU_BIN", &server.to_string_lossy())])
}

/// The public WebSocket suite against the echo endpoint.
fn autobahn() -> Result<(), Failed> {
    install::debian(("python3", &["-c", "import venv, ensurepip"]), &["python3", "python3-venv"])?;
    let server = server()?;
    run_with("conformance/autobahn/run", &[], &[("BONGSU_BIN", &server.to_string_lossy())])
}

/// Builds the server, and gives its path.
fn server() -> Result<PathBuf, Failed> {
    run("cargo", &["build", "--package", "bongsu-cli", "--locked"])?;
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .current_dir(root())
        .output()
        .map_err(|error| Failed(format!("`cargo metadata` could not be started: {error}")))?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| Failed(format!("`cargo metadata` gave no JSON: {error}")))?;
    let target = metadata["target_directory"].as_str().ok_or_else(|| Failed("no target directory".into()))?;
    Ok(PathBuf::from(target).join("debug").join("bongsu"))
}
