//! What `bongsu_wire::websocket` promises, from single frames to a conversation over TCP.
//!
//! Most tests are tables: bytes in, messages or a violation out. `properties` holds what must be true
//! of any bytes, cut anywhere. The vectors of RFC 6455 (§1.3, §5.7) are quoted where they are used.

#![expect(clippy::unwrap_used, reason = "a helper that fails, fails its test")]

mod echo;
mod frame;
mod handshake;
mod hostile;
mod properties;
mod reader;
mod session;
mod support;
