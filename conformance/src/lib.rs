//! Conformance: every promise of the protocol page, as data, against a real server process.
//!
//! The scenarios in `scenarios/*.toml` say what is sent and what has to come back; this crate runs
//! them over raw HTTP/1.1, HTTP/2 and WebSocket on each of the five ways. It exists so that the
//! contract is read a second time by code that shares nothing with the server.
//!
//! It must not know any other crate of the workspace, and no scenario may know how the server is
//! built: only what a client on the other end of a socket can see.

pub mod binary;
pub mod crash;
pub mod encode;
pub mod error;
pub mod item;
pub mod mutate;
pub mod net;
pub mod pattern;
pub mod reader;
pub mod run;
pub mod scenario;
pub mod server;
pub mod sse;
pub mod transcript;
pub mod vars;
pub mod way;
