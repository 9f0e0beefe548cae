//! Gets what the suites need beside Rust, Node and npm. Does nothing, and needs no network, where it is there already.

use std::fs;
use std::io::IsTerminal as _;

use crate::step::{Failed, output_of, root, run, run_with, works};

/// The oldest Node that the tests are written for.
const NODE_MIN: u32 = 20;

/// The licence checker. Without optimisation it is built in half the time, and checks in a second all the same.
pub(crate) fn cargo_deny() -> Result<(), Failed> {
    if works("cargo", &["deny", "--version"]) {
        return Ok(());
    }
    run("cargo", &["install", "cargo-deny", "--version", "^0.20", "--locked", "--debug"])
}

/// Debian packages, unless `probe` works already.
pub(crate) fn debian(probe: (&str, &[&str]), packages: &[&str]) -> Result<(), Failed> {
    if works(probe.0, probe.1) {
        return Ok(());
    }
    let mut install = vec!["install", "-y", "-qq", "-o", "Dpkg::Use-Pty=0", "--no-install-recommends"];
    install.extend(packages);
    apt(&["update", "-qq"]).and_then(|()| apt(&install)).map_err(|Failed(why)| {
        let (program, packages) = (probe.0, packages.join(" "));
        Failed(format!(
            "the tests need `{program}` and could not install it: {why}; install the package {packages} by hand"
        ))
    })
}

fn apt(args: &[&str]) -> Result<(), Failed> {
    let quiet = [("DEBIAN_FRONTEND", "noninteractive")];
    if works("sh", &["-c", "test \"$(id -u)\" = 0"]) {
        return run_with("apt-get", args, &quiet);
    }
    // Where nobody sits, a question for a password would wait for ever.
    let ask: &[&str] = if std::io::stdin().is_terminal() { &[] } else { &["-n"] };
    run_with("sudo", &[ask, &["DEBIAN_FRONTEND=noninteractive", "apt-get"], args].concat(), &[])
}

/// Says so in words if Node is missing or too old; npm's own words for it are hard to read.
pub(crate) fn node() -> Result<(), Failed> {
    let version = String::from_utf8_lossy(&output_of("node", &["--version"])?).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MIN => Ok(()),
        _ => Err(Failed(format!("the tests need Node {NODE_MIN} or newer; `node --version` says {version}"))),
    }
}

/// The packages of a folder's `package-lock.json`.
pub(crate) fn npm(folder: &str) -> Result<(), Failed> {
    let lock = root().join(folder).join("package-lock.json");
    let wanted = fs::read(&lock).map_err(|error| Failed(format!("{}: {error}", lock.display())))?;
    // A copy beside the packages tells of which list they are.
    let installed = root().join(folder).join("node_modules").join(".installed");
    if fs::read(&installed).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    run("npm", &["ci", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error", "--no-update-notifier"])?;
    fs::write(&installed, wanted).map_err(|error| Failed(format!("{}: {error}", installed.display())))
}
