//! A publisher: a keep-alive connection with one publish in flight.

use super::link::Link;
use crate::Fallible;
use crate::parse::http::{self, Body, Head};
use crate::payload::{self, PAYLOAD_BYTES, Stamp};

/// A publisher.
pub(crate) struct Publisher {
    /// Its connection.
    pub(crate) link: Link,
    /// Whether it is connected.
    pub(crate) ready: bool,
    /// What has come of an answer that is not whole.
    rest: Vec<u8>,
}

impl Publisher {
    /// A publisher on a connection that is being made.
    pub(crate) fn new(link: Link) -> Self {
        Self { link, ready: false, rest: Vec::new() }
    }

    /// Takes what has arrived; gives the status and content of the answer when it is whole.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Fallible<Option<(u16, Vec<u8>)>> {
        self.rest.extend_from_slice(bytes);
        let Some((Head { status, mut body, closes }, head)) = http::head(&self.rest)? else { return Ok(None) };
        if closes || body == Body::UntilEnd {
            return Err("the server does not keep a publisher's connection: it would be measured connecting".into());
        }
        let mut content = Vec::new();
        let used = body.decode(&self.rest[head..], &mut content)?;
        if !body.is_done() {
            return Ok(None);
        }
        self.rest.drain(..head + used);
        Ok(Some((status, content)))
    }
}

/// Appends the request that publishes `stamp` to a channel.
pub(crate) fn write_publish(out: &mut Vec<u8>, channel: usize, stamp: Stamp) {
    let head = format!(
        "POST /v1/channels/bench:{channel} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {PAYLOAD_BYTES}\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    payload::write(out, stamp);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_is_a_whole_request() {
        let mut out = Vec::new();
        let stamp = Stamp { id: 3, sent_ns: 4 };
        write_publish(&mut out, 7, stamp);
        let (request, head) = http::request(&out).expect("well-formed").expect("whole");
        assert_eq!((request.method, request.path), (&b"POST"[..], &b"/v1/channels/bench:7"[..]));
        assert_eq!(payload::read(&out[head..head + request.length]), Some(stamp));
    }
}
