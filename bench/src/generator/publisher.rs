//! A publisher: a keep-alive connection with one publish in flight.

use super::link::Link;
use crate::Fallible;
use crate::parse::http::{self, Body, Head};

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
