//! What a reader asks for, and the request that asks for it.

use crate::encode::{add_query, percent};
use crate::net::Request;
use crate::way::{Http, Way};
use std::net::SocketAddr;

/// How the way is chosen (§2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choose {
    /// By `Accept`, `Prefer` and `Upgrade`.
    #[default]
    Header,
    /// By `?transport=` (and `?wait=`).
    Query,
}

/// How the cursor is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resume {
    /// As the parameter `since`.
    #[default]
    Since,
    /// As `Last-Event-ID` (SSE) or `If-None-Match` (polling ways); as `since` elsewhere.
    Header,
}

/// Everything that makes up a subscription.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The server.
    pub addr: SocketAddr,
    /// Which of the five.
    pub way: Way,
    /// HTTP version (a WebSocket is always HTTP/1.1).
    pub http: Http,
    /// Full channel names.
    pub channels: Vec<String>,
    /// `since`: a cursor, `start` or `now`.
    pub since: Option<String>,
    /// `last`.
    pub last: Option<u64>,
    /// `limit`.
    pub limit: Option<u64>,
    /// `type`, any number of times.
    pub types: Vec<String>,
    /// `heartbeat`, seconds.
    pub heartbeat: Option<u64>,
    /// `format`.
    pub format: Option<String>,
    /// Seconds a long poll waits.
    pub wait: u64,
    /// How the way is chosen.
    pub choose: Choose,
    /// How the cursor is sent.
    pub resume: Resume,
    /// More header fields.
    pub headers: Vec<(String, String)>,
    /// WebSocket subprotocol to offer.
    pub subprotocol: Option<String>,
}

impl Spec {
    /// Whether only payloads are asked for.
    #[must_use]
    pub fn payload_only(&self) -> bool {
        self.format.as_deref() == Some("data")
    }

    /// The request of this subscription, from `since` on.
    #[must_use]
    pub fn request(&self, since: Option<&str>) -> Request {
        let mut request = Request::new("GET", self.target());
        self.choose_way(&mut request);
        if let Some(since) = since {
            self.resume_from(&mut request, since);
        }
        request.headers.extend(self.headers.iter().cloned());
        request
    }

    fn target(&self) -> String {
        let mut target = match self.channels.as_slice() {
            [one] => format!("/v1/channels/{}", percent(one)),
            several => {
                let mut target = "/v1/events".to_owned();
                for channel in several {
                    add_query(&mut target, "channel", channel);
                }
                target
            }
        };
        for name in &self.types {
            add_query(&mut target, "type", name);
        }
        if let Some(n) = self.limit {
            add_query(&mut target, "limit", &n.to_string());
        }
        if let Some(n) = self.heartbeat {
            add_query(&mut target, "heartbeat", &n.to_string());
        }
        if let Some(format) = &self.format {
            add_query(&mut target, "format", format);
        }
        target
    }

    fn choose_way(&self, request: &mut Request) {
        if self.choose == Choose::Query {
            add_query(&mut request.target, "transport", self.way.name());
            if self.way == Way::Longpoll {
                add_query(&mut request.target, "wait", &self.wait.to_string());
            }
            return;
        }
        let field = match self.way {
            Way::Poll | Way::Websocket => return,
            Way::Longpoll => ("Prefer", format!("wait={}", self.wait)),
            Way::Stream => ("Accept", "application/x-ndjson".to_owned()),
            Way::Sse => ("Accept", "text/event-stream".to_owned()),
        };
        request.headers.push((field.0.to_owned(), field.1));
    }

    fn resume_from(&self, request: &mut Request, since: &str) {
        let is_cursor = !matches!(since, "start" | "now");
        let name = match (self.resume, self.way) {
            (Resume::Header, Way::Sse) if is_cursor => "Last-Event-ID",
            (Resume::Header, Way::Poll | Way::Longpoll) if is_cursor => "If-None-Match",
            _ => return add_query(&mut request.target, "since", since),
        };
        let value = match name {
            "If-None-Match" => format!("\"{since}\""),
            _ => since.to_owned(),
        };
        request.headers.push((name.to_owned(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(way: Way) -> Spec {
        Spec {
            addr: SocketAddr::from(([127, 0, 0, 1], 1)),
            way,
            http: Http::H1,
            channels: vec!["a:b".into()],
            since: None,
            last: None,
            limit: None,
            types: Vec::new(),
            heartbeat: None,
            format: None,
            wait: 25,
            choose: Choose::Header,
            resume: Resume::Since,
            headers: Vec::new(),
            subprotocol: None,
        }
    }

    #[test]
    fn one_channel_by_header() {
        let request = spec(Way::Sse).request(Some("c1"));
        assert_eq!(request.target, "/v1/channels/a%3Ab?since=c1");
        assert_eq!(request.headers, [("Accept".into(), "text/event-stream".into())]);
    }

    #[test]
    fn several_channels_by_query() {
        let mut spec = spec(Way::Longpoll);
        spec.channels.push("c".into());
        spec.choose = Choose::Query;
        assert_eq!(spec.request(None).target, "/v1/events?channel=a%3Ab&channel=c&transport=longpoll&wait=25");
    }

    #[test]
    fn resume_by_header_where_there_is_one() {
        for (way, name, value) in [(Way::Sse, "Last-Event-ID", "c1"), (Way::Poll, "If-None-Match", "\"c1\"")] {
            let mut spec = spec(way);
            spec.resume = Resume::Header;
            let request = spec.request(Some("c1"));
            assert!(request.headers.contains(&(name.to_owned(), value.to_owned())));
            assert!(!request.target.contains("since"));
            assert!(spec.request(Some("start")).target.ends_with("since=start"));
        }
    }
}
