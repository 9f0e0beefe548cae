//! What must be true of any bytes that a peer can send: one function for each parser that faces peers.
//!
//! A target takes any bytes and panics if the parser panics or a promise of it is broken. The fuzzers in `fuzz/` look for such
//! bytes; `tests/replay.rs` tries on stable Rust what they have found interesting, and mutations of it. A target must be
//! deterministic and must not keep anything from one call to the next.

#![allow(clippy::panic, clippy::missing_panics_doc, reason = "panics are how a target reports")]

mod command;
mod head;
mod query;
mod websocket;

pub use command::command;
pub use head::head;
pub use query::query;
pub use websocket::websocket;

/// A target with its name, which is that of its folder in `fuzz/corpus`.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[("head", head), ("websocket", websocket), ("command", command), ("query", query)];
