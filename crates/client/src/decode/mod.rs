//! Bytes to objects, without I/O: the two framings of streaming answers, and the JSON object within.
//!
//! Tolerant where the protocol may grow (unknown fields, control types and codes are passed over), strict where a
//! mistake would lose an event. It must not know sockets, time or reconnecting.

pub(crate) mod answer;
pub(crate) mod lines;
pub(crate) mod object;
pub(crate) mod sse;
