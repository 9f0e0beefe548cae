//! Arrows between crates go downwards only, and the map in ARCHITECTURE.md knows every crate.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The layers of ARCHITECTURE.md. A crate may use crates of lower layers only.
const LAYERS: &[(&str, u8)] = &[
    ("bongsu-core", 0),
    ("bongsu-wire", 1),
    ("bongsu-log", 1),
    ("bongsu-hub", 2),
    ("bongsu-transports", 3),
    ("bongsu-api", 4),
    ("bongsu-server", 5),
    ("bongsu-cli", 6),
    // Beside the server: the client and what measures or tests from outside.
    ("bongsu-client", 2),
    ("bongsu-conformance", 7),
    ("bongsu-bench", 7),
    ("bongsu-fuzz", 7),
    ("xtask", 7),
];

/// What a crate must not know, beyond the layers. Crates outside the project that would be a breach.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("bongsu-core", &["serde_json", "tokio", "http", "hyper", "axum"]),
    ("bongsu-hub", &["serde_json", "tokio", "http", "hyper", "axum", "bongsu-wire", "bongsu-log"]),
    ("bongsu-wire", &["tokio", "hyper", "axum"]),
    ("bongsu-log", &["tokio", "http", "hyper", "axum", "serde_json", "bongsu-wire"]),
    ("bongsu-client", &["bongsu-log", "bongsu-hub", "bongsu-transports", "bongsu-api", "bongsu-server"]),
    // The scenarios read the protocol with their own eyes.
    ("bongsu-conformance", &["bongsu-core", "bongsu-wire", "bongsu-client"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Each crate of the project with what it is built from; what only its tests use is left out.
fn crates() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            let names = dependencies
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned());
            (package["name"].as_str().unwrap().to_owned(), names.collect())
        })
        .collect()
}

/// The breaches among `crates`, in words.
fn breaches(crates: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let mut found = Vec::new();
    for (name, dependencies) in crates {
        let Some(layer) = layers.get(name.as_str()) else {
            found.push(format!("{name} has no layer"));
            continue;
        };
        let forbidden = FORBIDDEN.iter().filter(|(of, _)| of == name).flat_map(|(_, list)| list.iter());
        let forbidden: Vec<&&str> = forbidden.collect();
        for dependency in dependencies {
            if layers.get(dependency.as_str()).is_some_and(|below| below >= layer) {
                found.push(format!("{name} uses {dependency}, which is not below it"));
            }
            if forbidden.iter().any(|forbidden| **forbidden == dependency) {
                found.push(format!("{name} must not know {dependency}"));
            }
        }
    }
    found
}

#[test]
fn arrows_go_downwards_only() {
    assert_eq!(breaches(&crates()), Vec::<String>::new());
}

#[test]
fn a_breach_would_be_found() {
    let cases: &[(&str, &str)] =
        &[("bongsu-core", "bongsu-hub"), ("bongsu-wire", "bongsu-log"), ("bongsu-hub", "serde_json"), ("new", "bytes")];
    for (name, dependency) in cases {
        let crates = BTreeMap::from([((*name).to_owned(), vec![(*dependency).to_owned()])]);
        assert_eq!(breaches(&crates).len(), 1, "{name} → {dependency}");
    }
}

#[test]
fn the_map_in_architecture_md_knows_every_crate() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for name in crates().keys() {
        let short = name.trim_start_matches("bongsu-");
        assert!(map.contains(&format!("`{short}`")), "ARCHITECTURE.md does not mention `{short}`");
    }
}

#[test]
fn each_transport_stays_a_small_file() {
    for way in ["poll", "long_poll", "stream", "sse", "websocket"] {
        let path = root().join(format!("crates/transports/src/{way}.rs"));
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines < 400, "{way}.rs has {lines} lines: what ways share belongs beside them");
    }
}
