//! Bytes to nouns and back, without I/O: one file per encoding.
//!
//! What leaves the server: [`framing`] gives every object in every encoding, out of [`event`], [`control`] and
//! [`problem`]; [`answer`] and [`receipt`] are the bodies of ordinary responses. What comes in: [`query`] is what a
//! reader asks for, [`publish`] what a publisher says, [`command`] what a client says on its connection. [`json`] checks
//! payloads, [`http1`] reads and writes heads of HTTP/1.1. Each has its way back, for clients.
//!
//! Nothing here touches a socket, a clock or a task, and nothing panics, whatever it is given. It knows neither hub nor
//! log: who may do what, and what becomes of it, is decided elsewhere.

pub mod answer;
mod as_text;
pub mod command;
pub mod control;
mod error;
pub mod event;
mod fields;
pub mod framing;
pub mod headers;
pub mod http1;
pub mod json;
mod media;
mod nearest;
pub mod problem;
pub mod publish;
pub mod query;
pub mod receipt;
pub mod sse;
pub mod websocket;
mod websocket_frame;

pub use error::Malformed;
pub use headers::HeaderLookup;
