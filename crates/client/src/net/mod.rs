//! Sockets and HTTP: one request and its answer, on a kept connection or on one of its own.
//!
//! It must not know channels, events or ways.

pub(crate) mod call;
pub(crate) mod connect;
pub(crate) mod origin;
pub(crate) mod transport;
