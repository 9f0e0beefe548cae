//! The API as a client sees it: a real hub over the memory log, a real server on a loopback port, real requests.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod bodies;
mod cors;
mod front;
mod health;
mod http2;
mod lists;
mod publish;
mod reads;
mod routing;
mod stream;
mod support;
