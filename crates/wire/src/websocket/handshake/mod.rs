//! The opening handshake (RFC 6455 §4): from an HTTP/1.1 request to a WebSocket, on both sides.
//!
//! Headers come in as pairs of name and value, so that hyper's map and httparse's slice fit alike:
//! `headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes()))` or `.map(|h| (h.name, h.value))`. It must
//! not know how a head is read or written, nor origins, tokens and limits: who may connect is
//! decided by its callers.

mod client;
mod server;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

pub use client::{ClientHandshake, Refusal};
pub use server::{Accepted, Rejection, Request, accept, is_upgrade, offered_protocols};

/// The only version of the protocol there is (§4.1).
pub const VERSION: &str = "13";

/// §1.3: a string "unlikely to be used by network endpoints that do not understand the protocol".
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` that proves that `key`, taken literally, was understood (§4.2.2).
fn accept_value(key: &str) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// The elements of a comma-separated header value, without white space around them. A value with
/// bytes beyond ASCII holds no token, so it has none.
fn tokens(value: &[u8]) -> impl Iterator<Item = &str> {
    let value = str::from_utf8(value).unwrap_or_default();
    value.split(',').map(str::trim_ascii).filter(|token| !token.is_empty())
}

/// Whether a comma-separated header value has `token`, in any case.
fn has_token(value: &[u8], token: &str) -> bool {
    tokens(value).any(|each| each.eq_ignore_ascii_case(token))
}
