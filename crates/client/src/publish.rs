//! Publishing one event, or an array of them.

use std::time::Duration;

use bongsu_core::limits::PUBLISH_EVENTS_MAX;
use bytes::Bytes;
use http::Method;
use serde::Serialize;

use crate::client::Client;
use crate::error::Error;
use crate::net::call::Call;
use crate::publication::Publication;
use crate::receipt::Receipt;

/// An event about to be published, made by [`Client::publish`]. [`Publish::send`] sends it.
#[derive(Clone, Debug)]
#[must_use = "nothing is published before `send`"]
pub struct Publish {
    client: Client,
    publication: Publication,
    once: bool,
}

impl Publish {
    pub(crate) fn new(client: Client, channel: String) -> Self {
        Self { client, publication: Publication::new(channel), once: false }
    }

    fn with(mut self, change: impl FnOnce(Publication) -> Publication) -> Self {
        self.publication = change(self.publication);
        self
    }

    /// The payload is `value` as JSON.
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        self.with(|publication| publication.json(value))
    }

    /// The payload is a JSON text that exists already. It is sent as it is.
    pub fn json_text(self, text: impl Into<String>) -> Self {
        self.with(|publication| publication.json_text(text))
    }

    /// The payload is a text.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.with(|publication| publication.text(text))
    }

    /// The payload is bytes of the media type `content_type`. If that is JSON's, or a text's, the server takes them for
    /// such.
    pub fn bytes(self, bytes: impl Into<Bytes>, content_type: impl Into<String>) -> Self {
        self.with(|publication| publication.bytes(bytes, content_type))
    }

    /// The type of the event; without it `message`.
    pub fn kind(self, kind: impl Into<String>) -> Self {
        self.with(|publication| publication.kind(kind))
    }

    /// Names the thing the event is about, for channels that keep the newest event of each key.
    pub fn key(self, key: impl Into<String>) -> Self {
        self.with(|publication| publication.key(key))
    }

    /// The event is not delivered any more after this time, rounded up to whole seconds.
    pub fn ttl(self, ttl: Duration) -> Self {
        self.with(|publication| publication.ttl(ttl))
    }

    /// With `false` the event is for those who read at this moment, and is not kept.
    pub fn store(self, store: bool) -> Self {
        self.with(|publication| publication.store(store))
    }

    /// Names this publish, so that the server takes it once even if another process sends it again. Without it a name
    /// is made up for the attempts of this one.
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        self.with(|publication| publication.idempotency_key(key))
    }

    /// Sends it a single time, without a made-up idempotency key: cheaper for the server, which has to remember each
    /// key for a while, and for events that may as well be lost.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Sends it and waits until it is as durable as the channel's rule says.
    ///
    /// While the connection breaks or the server asks to come back later it is sent again, under the same idempotency
    /// key, for as long as [`ClientBuilder::patience`](crate::ClientBuilder::patience).
    ///
    /// # Errors
    /// The server refused it, or patience ended. After [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) it is
    /// not known whether the event was taken.
    pub async fn send(self) -> Result<Receipt, Error> {
        let publication = if self.once { self.publication } else { self.publication.named() };
        let call = single_call(&publication)?;
        let answer = if self.once { self.client.call(&call).await? } else { self.client.call_patiently(&call).await? };
        Receipt::from_json(&answer.body)
    }
}

fn single_call(publication: &Publication) -> Result<Call, Error> {
    let (body, content_type) = publication.body()?;
    let mut call = Call::new(Method::POST, &["v1", "channels", publication.channel()]);
    call = publication.parameters().fold(call, |call, (name, value)| call.query(name, &value));
    call = call.header("content-type", content_type)?;
    if let Some(name) = publication.name() {
        call = call.header("idempotency-key", name)?;
        call.repeatable = true;
    }
    call.body = body;
    Ok(call)
}

impl Client {
    /// Publishes up to 1,000 events by one request. They are taken one by one, in order; the result has the answer to
    /// each. Sent again as [`Publish::send`] is.
    ///
    /// ```no_run
    /// # async fn example(client: bongsu_client::Client) -> Result<(), bongsu_client::Error> {
    /// use bongsu_client::Publication;
    ///
    /// let events = (1..=3).map(|number| Publication::new("numbers").json(&number));
    /// for result in client.publish_batch(events).await? {
    ///     println!("offset {:?}", result?.offset);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The request as a whole failed: nothing is known to have been taken. More than 1,000 events are refused before
    /// anything is sent; use [`Client::publish_all`] for any number.
    pub async fn publish_batch(
        &self,
        publications: impl IntoIterator<Item = Publication>,
    ) -> Result<Vec<Result<Receipt, Error>>, Error> {
        let publications: Vec<Publication> =
            publications.into_iter().map(|each| each.named().checked()).collect::<Result<_, _>>()?;
        if publications.len() > PUBLISH_EVENTS_MAX {
            let count = publications.len();
            return Err(Error::usage(format!("{count} events in one batch; at most {PUBLISH_EVENTS_MAX} are allowed")));
        }
        let body = serde_json::to_vec(&publications)
            .map_err(|error| Error::usage(format!("the batch cannot be written as JSON: {error}")))?;
        let mut call = Call::new(Method::POST, &["v1", "events"]).static_header("content-type", "application/json");
        call.body = body.into();
        call.repeatable = true;
        let answer = self.call_patiently(&call).await?;
        Receipt::list_from_json(&answer.body, publications.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::origin::Origin;

    #[test]
    fn a_single_publish_on_the_wire() {
        let publication = Publication::new("shop:7").text("hi").kind("a b").key("k").store(false).idempotency_key("i");
        let call = single_call(&publication.ttl(Duration::from_secs(9))).unwrap();
        let request = call.request(&Origin::parse("http://h").unwrap(), false).unwrap();
        assert_eq!(request.uri(), "/v1/channels/shop:7?type=a%20b&key=k&ttl=9&store=false");
        assert_eq!(request.headers()["content-type"], "text/plain");
        assert_eq!(request.headers()["idempotency-key"], "i");
        assert!(call.repeatable && &call.body[..] == b"hi");
        assert!(!single_call(&Publication::new("a").json(&1)).unwrap().repeatable);
    }
}
