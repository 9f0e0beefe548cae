//! Gets what the suites need beside Rust, Node and npm. Does nothing where it is there already.

use crate::step::{Failed, run, run_with, works};

/// The licence checker, at the version that the project's `deny.toml` is written for.
pub(crate) fn cargo_deny() -> Result<(), Failed> {
    if works("cargo", &["deny", "--version"]) {
        return Ok(());
    }
    run("cargo", &["install", "cargo-deny", "--version", "^0.20", "--locked"])
}

/// Debian packages, unless `probe` works already.
pub(crate) fn debian(probe: (&str, &[&str]), packages: &[&str]) -> Result<(), Failed> {
    if works(probe.0, probe.1) {
        return Ok(());
    }
    let root = works("sh", &["-c", "test \"$(id -u)\" = 0"]);
    let quiet = [("DEBIAN_FRONTEND", "noninteractive")];
    let apt = |args: &[&str]| {
        if root {
            run_with("apt-get", args, &quiet)
        } else {
            let with_sudo: Vec<&str> = ["-n", "apt-get"].iter().chain(args).copied().collect();
            run_with("sudo", &with_sudo, &quiet)
        }
    };
    apt(&["update", "-qq"])?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(packages);
    apt(&install).map_err(|Failed(why)| Failed(format!("{why}; install by hand: {}", packages.join(" "))))
}
