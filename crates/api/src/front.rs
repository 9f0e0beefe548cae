//! The API as socket shards see it: the same routes, checks, marks and counters as the router's, without its types.
//!
//! A shard answers reads and publishes to one channel; everything else goes to the router. What the layer around every
//! handler says of a request must come out here too, but for what a plain head cannot have: a bad `Host`, an encoded
//! body, a head that is too long, another method than three. A test asks both the same.

use std::time::Duration;

use bongsu_core::Problem;
use bongsu_core::log::Draft;
use bongsu_transports::shard::{self, Front};
use bongsu_wire::http1::{Head, Method};
use bongsu_wire::publish::channel_body;
use bongsu_wire::query::path_channel;
use bytes::Bytes;
use http::StatusCode;

use crate::cors::Cors;
use crate::publish::{payload_bound, with_publisher};
use crate::routes::{CHANNEL, ECHO, EVENTS, Route};
use crate::{App, layer};

/// The API with what can be made before the first request.
pub(crate) struct ApiFront {
    app: App,
    /// For an answer that names no origin.
    plain: Marks,
    /// For each that can be named.
    named: Vec<(String, Marks)>,
}

/// Lines of a head.
struct Marks {
    /// Reads and WebSockets have their own words for caches.
    read: Bytes,
    other: Bytes,
}

impl Marks {
    fn new(cors: &Cors, origin: Option<&str>) -> Self {
        let read = Cors::lines(origin);
        let mut other = read.to_vec();
        other.extend_from_slice(b"cache-control: no-store\r\n");
        if cors.differs_by_origin() {
            other.extend_from_slice(b"vary: Origin\r\n");
        }
        Self { read, other: other.into() }
    }
}

impl ApiFront {
    pub(crate) fn new(app: App) -> Self {
        let cors = &app.cors;
        let named = cors.known().into_iter().map(|origin| (origin.to_owned(), Marks::new(cors, Some(origin))));
        Self { named: named.collect(), plain: Marks::new(cors, None), app }
    }
}

impl Front for ApiFront {
    fn route<'a>(&self, head: &Head<'a>) -> shard::Route<'a> {
        let reads = head.method != Method::Post;
        if let Some(channel) = head.path.strip_prefix("/v1/channels/") {
            return match channel {
                // No route, or one of its own.
                "" => shard::Route::Other,
                _ if channel.contains('/') => shard::Route::Other,
                _ if reads => shard::Route::Read(Some(channel)),
                _ => shard::Route::Publish(channel),
            };
        }
        match head.path {
            EVENTS if reads => shard::Route::Read(None),
            // What is no handshake, or has parameters, is refused in the layer's words.
            path if path == ECHO.path && self.app.test_endpoints && head.upgrade && head.query.is_empty() => {
                shard::Route::Echo
            }
            _ => shard::Route::Other,
        }
    }

    fn check(&self, head: &Head<'_>) -> Result<(), Problem> {
        // Most requests are none of a page's, and most pages open no WebSocket.
        if head.upgrade { self.app.cors.check_socket(head) } else { Ok(()) }
    }

    fn marks(&self, head: &Head<'_>, route: shard::Route<'_>) -> Bytes {
        let origin = self.app.cors.allowed(head);
        let named = origin.and_then(|origin| self.named.iter().find(|(known, _)| known == origin));
        let marks = named.map_or(&self.plain, |(_, marks)| marks);
        match route {
            shard::Route::Read(_) | shard::Route::Echo => marks.read.clone(),
            shard::Route::Publish(_) | shard::Route::Other => marks.other.clone(),
        }
    }

    fn draft(&self, head: &Head<'_>, channel: &str, body: Bytes) -> Result<Draft, Problem> {
        with_publisher(&self.app, |publisher| channel_body(publisher, channel, head.query, head, body))
    }

    fn body_bytes_max(&self, channel: &str) -> usize {
        // The body of a publish to what is no channel is not read.
        path_channel(channel).map_or(0, |channel| payload_bound(&self.app, &channel).bytes_max)
    }

    fn answered(&self, route: shard::Route<'_>, method: Method, status: u16) {
        let route = match route {
            shard::Route::Read(None) => Route::find(EVENTS),
            shard::Route::Read(Some(_)) | shard::Route::Publish(_) => Route::find(CHANNEL),
            shard::Route::Echo => Some(&ECHO),
            shard::Route::Other => None,
        };
        let method = match method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
            Method::Post => http::Method::POST,
        };
        layer::answered(&self.app, route, &method, StatusCode::from_u16(status).unwrap_or_default(), None);
    }

    fn published(&self, took: Duration) {
        self.app.0.requests.publishes.add(took);
    }
}
