//! The client against the real server: each test starts a `bongsu` process of its own, on a free port and an empty data
//! directory, and ends it.
//!
//! `BONGSU_BIN` names the binary; without it, it is built. Faults of the network come from a small proxy, and faults of
//! the protocol, which no real server commits, from scripted answers.

mod commands;
mod example;
mod faults;
mod manage;
mod outage;
mod publish;
mod support;
mod switch;
mod ways;
