//! What must hold between several options.
//!
//! Each single value was checked when it was parsed; here are the relations. A complaint points at the option that a
//! person wrote, not at the default it collides with.

use super::complaint::Complaint;
use super::load::{Loaded, Origin};
use super::{Config, bytes_in_memory};
use crate::options::units;

/// Everything that does not fit together.
pub(super) fn relations(loaded: &Loaded) -> Vec<Complaint> {
    let config = &loaded.config;
    let mut complaints: Vec<Complaint> = [address(loaded), test_endpoints(loaded)].into_iter().flatten().collect();
    let limits = &config.limits;
    for (small, small_bytes, large, large_bytes) in [
        ("payload_bytes_max", limits.payload_bytes_max, "body_bytes_max", limits.body_bytes_max),
        ("body_bytes_max", limits.body_bytes_max, "publish_bytes_in_flight_max", limits.publish_bytes_in_flight_max),
    ] {
        if small_bytes > large_bytes {
            let (small_bytes, large_bytes) = (units::bytes(small_bytes as u64), units::bytes(large_bytes as u64));
            let complaint = Complaint::new(format!("`{small}` is {small_bytes}, but `{large}` is only {large_bytes}"));
            let complaint = complaint.help(format!("lower `{small}` or raise `{large}`"));
            complaints.push(pointed(complaint, loaded, &[small, large]));
        }
    }
    if limits.sockets_max() < limits.connections_max {
        let (sockets, connections) = (limits.sockets_max(), limits.connections_max);
        let complaint = Complaint::new(format!(
            "`sockets_max` is {sockets}, but each of `connections_max`, {connections}, needs one"
        ));
        let complaint = complaint.help("lower `connections_max`, or leave `sockets_max` to the server (auto)");
        complaints.push(pointed(complaint, loaded, &["sockets_max", "connections_max"]));
    }
    complaints.extend(rules(loaded));
    complaints
}

/// An address that others reach needs somebody to say that this is meant.
fn address(loaded: &Loaded) -> Option<Complaint> {
    let config = &loaded.config;
    if config.is_loopback() || config.insecure {
        return None;
    }
    let complaint = Complaint::new(format!(
        "`listen` is {}, which other machines can reach, and nobody would have to show a key",
        config.listen
    ));
    let complaint = complaint
        .help("listen on 127.0.0.1 and put a proxy that checks who comes in front")
        .help("or, if everybody who reaches it may read and publish everything, set `insecure` (--insecure)");
    Some(pointed(complaint, loaded, &["listen"]))
}

fn test_endpoints(loaded: &Loaded) -> Option<Complaint> {
    let Config { test_endpoints, listen, .. } = loaded.config;
    if !test_endpoints || loaded.config.is_loopback() {
        return None;
    }
    let complaint = Complaint::new(format!("`test_endpoints` is set, but other machines can reach {listen}"));
    let complaint = complaint.help("the test endpoints can move the server's clock: listen on 127.0.0.1 with them");
    Some(pointed(complaint, loaded, &["test_endpoints", "listen"]))
}

/// A rule may lower the largest payload, not raise it: the readers of requests stop at the general one.
fn rules(loaded: &Loaded) -> impl Iterator<Item = Complaint> {
    let general = loaded.config.limits.payload_bytes_max;
    let too_large = move |bytes: u64| bytes_in_memory(bytes) > general;
    loaded.rules.iter().filter(move |said| said.rule.payload_bytes_max.is_some_and(too_large)).map(move |said| {
        let general = units::bytes(general as u64);
        let complaint = Complaint::new(format!("a rule cannot allow larger payloads than the server, {general}"))
            .help("raise `payload_bytes_max` under [limits], and lower it by rules for other channels");
        match said.mark("payload_bytes_max") {
            Some(mark) => complaint.at(mark.clone()),
            None => complaint,
        }
    })
}

/// What is said but has no effect. Not wrong, and worth a line.
pub(super) fn oddities(config: &Config) -> Vec<String> {
    let mut oddities = Vec::new();
    for (index, rule) in config.rules.iter().enumerate() {
        let pattern = rule.channels.as_str();
        let covers =
            |earlier: &&super::Rule| matches!(earlier.channels.as_str(), "**") || earlier.channels == rule.channels;
        if let Some(earlier) = config.rules[..index].iter().find(covers) {
            oddities.push(format!(
                "the rule for `{pattern}` has no effect: the rule for `{}` stands before it and the first match wins",
                earlier.channels
            ));
        }
    }
    oddities
}

/// The complaint at the first of `names` that somebody wrote.
fn pointed(complaint: Complaint, loaded: &Loaded, names: &[&str]) -> Complaint {
    let written = names.iter().map(|name| loaded.origin(name)).find(|origin| **origin != Origin::Default);
    match written {
        Some(Origin::File(mark)) => complaint.at(mark.clone()),
        Some(Origin::Env(variable)) => complaint.help(format!("it was said by the environment variable {variable}")),
        Some(Origin::Flag(flag)) => complaint.help(format!("it was said by --{flag}")),
        Some(Origin::Default) | None => complaint,
    }
}
