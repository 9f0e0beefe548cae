//! Which web pages may use the server (the Fetch standard's CORS protocol).
//!
//! A browser shows an answer to a page of another origin only if the answer names that origin; without that header
//! nothing is refused here, the browser refuses. A WebSocket is not protected in that way (RFC 6455 §10.2), so for it
//! the server looks at the origin itself.

use bongsu_core::{ErrorCode, Problem};
use bongsu_wire::HeaderLookup;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

/// Which web origins may use the API from a browser. Credentials such as cookies are never allowed across sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// Any origin: for a server on which everybody may do everything anyway.
    Any,
    /// No other origin than the server's own.
    None,
    /// These, each as the browser sends it: `https://app.example.com`.
    Only(Vec<String>),
}

/// What a page may send beside the headers that are always allowed.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Accept, Authorization, Cache-Control, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer",
);
/// What a page may see beside the headers that are always shown.
const RESPONSE_HEADERS: &str = "Allow, ETag, Retry-After";
/// How long a browser may remember a preflight, in seconds: the longest that Chromium takes.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

impl Cors {
    /// The origin to name in the answer, if the page may see it.
    pub(crate) fn allowed(&self, request: &dyn HeaderLookup) -> Option<&str> {
        match self {
            // Also without an `Origin`: the answer is then the same for everybody, whatever caches lie between.
            Self::Any => Some("*"),
            Self::None => None,
            Self::Only(origins) => {
                let origin = request.first_value("origin")?;
                origins.iter().find(|known| known.as_bytes() == origin).map(String::as_str)
            }
        }
    }

    /// Adds to an answer what every answer has.
    pub(crate) fn mark(&self, allowed: Option<&str>, headers: &mut HeaderMap) {
        if let Some(Ok(origin)) = allowed.map(HeaderValue::from_str) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
        }
        if self.differs_by_origin() && !varies_by_origin(headers) {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
    }

    /// The same as lines of a head, but for `Vary`.
    pub(crate) fn lines(allowed: Option<&str>) -> Bytes {
        match allowed {
            None => Bytes::new(),
            Some(origin) => Bytes::from(format!(
                "access-control-allow-origin: {origin}\r\naccess-control-expose-headers: {RESPONSE_HEADERS}\r\n"
            )),
        }
    }

    /// Whether an answer must say so: without that, a cache would show one origin's answer to another.
    pub(crate) fn differs_by_origin(&self) -> bool {
        matches!(self, Self::Only(_))
    }

    /// Every answer of [`Cors::allowed`] but none.
    pub(crate) fn known(&self) -> Vec<&str> {
        match self {
            Self::Any => vec!["*"],
            Self::None => Vec::new(),
            Self::Only(origins) => origins.iter().map(String::as_str).collect(),
        }
    }

    /// Adds to an answer what a preflight asks for. `methods` are those of the path.
    pub(crate) fn permit(&self, request: &dyn HeaderLookup, methods: &HeaderValue, headers: &mut HeaderMap) {
        if is_preflight(request) && self.allowed(request).is_some() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
    }

    /// RFC 6455 §10.2: "Servers that are not intended to process input from any web page but only for certain sites
    /// SHOULD verify the |Origin| field is an origin they expect."
    pub(crate) fn check_socket(&self, request: &dyn HeaderLookup) -> Result<(), Problem> {
        let Some(origin) = request.first_value("origin").filter(|_| is_websocket(request)) else { return Ok(()) };
        if self.allowed(request).is_some() || is_own(origin, request) {
            return Ok(());
        }
        let origin = String::from_utf8_lossy(origin);
        let detail = format!("pages of the origin {origin:?} may not open a WebSocket here");
        Err(Problem::new(ErrorCode::NotPermitted, detail).hint("add the origin to the server's option `cors`"))
    }
}

/// Whether a browser asks what a page may do (the Fetch standard's "CORS-preflight request").
pub(crate) fn is_preflight(request: &dyn HeaderLookup) -> bool {
    ["origin", "access-control-request-method"].iter().all(|name| request.first_value(name).is_some())
}

fn is_websocket(request: &dyn HeaderLookup) -> bool {
    request.first_value("upgrade").is_some_and(|upgrade| upgrade.eq_ignore_ascii_case(b"websocket"))
}

/// Whether the page came from the very host it now talks to. The scheme is not compared: behind a proxy that ends TLS
/// the server cannot know its own.
fn is_own(origin: &[u8], request: &dyn HeaderLookup) -> bool {
    let origin = std::str::from_utf8(origin).unwrap_or_default();
    let origin_host = origin.split_once("://").map(|(_, host)| host.as_bytes());
    origin_host.is_some() && origin_host == request.first_value("host")
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    headers.get_all(header::VARY).iter().any(|value| {
        let value = value.to_str().unwrap_or_default();
        value.split(',').any(|name| name.trim().eq_ignore_ascii_case("origin"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect::<HeaderMap>()
    }

    fn only() -> Cors {
        Cors::Only(vec!["https://a.example".into(), "http://localhost:3000".into()])
    }

    #[test]
    fn origins_are_compared_whole() {
        let cases = [
            (Cors::Any, Some("https://x.example"), Some("*")),
            (Cors::Any, None, Some("*")),
            (Cors::None, Some("https://a.example"), None),
            (only(), Some("https://a.example"), Some("https://a.example")),
            (only(), Some("http://localhost:3000"), Some("http://localhost:3000")),
            (only(), Some("http://localhost:30000"), None),
            (only(), Some("https://a.example.evil"), None),
            (only(), Some("http://a.example"), None),
            (only(), Some("null"), None),
            (only(), None, None),
        ];
        for (cors, origin, expected) in cases {
            let request = origin.map(|origin| headers(&[("origin", origin)])).unwrap_or_default();
            let allowed = cors.allowed(&request);
            assert_eq!(allowed, expected, "{cors:?} {origin:?}");
            assert!(allowed.is_none_or(|allowed| cors.known().contains(&allowed)), "{cors:?} {origin:?}");
        }
    }

    #[test]
    fn a_cache_is_told_when_origins_matter() {
        let cases = [
            (Cors::Any, None, None),
            (only(), None, Some("Origin")),
            (only(), Some("Accept, origin"), Some("Accept, origin")),
        ];
        for (cors, before, after) in cases {
            let mut answer = before.map(|value| headers(&[("vary", value)])).unwrap_or_default();
            cors.mark(None, &mut answer);
            let vary: Vec<_> = answer.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(vary, after.into_iter().collect::<Vec<_>>(), "{cors:?}");
        }
    }

    #[test]
    fn sockets_of_strange_pages_are_refused() {
        let socket = ("upgrade", "WebSocket");
        type Case<'a> = (Cors, &'a [(&'static str, &'static str)], bool);
        let cases: &[Case<'_>] = &[
            (Cors::Any, &[socket, ("origin", "https://x.example")], true),
            (only(), &[socket, ("origin", "https://a.example")], true),
            (only(), &[socket, ("origin", "https://x.example")], false),
            (only(), &[socket], true),
            (only(), &[("origin", "https://x.example")], true),
            (Cors::None, &[socket, ("origin", "https://x.example")], false),
            (Cors::None, &[socket, ("origin", "https://own.example"), ("host", "own.example")], true),
            (Cors::None, &[socket, ("origin", "null"), ("host", "own.example")], false),
            (Cors::None, &[socket, ("origin", "null")], false),
        ];
        for (cors, pairs, expected) in cases {
            assert_eq!(cors.check_socket(&headers(pairs)).is_ok(), *expected, "{cors:?} {pairs:?}");
        }
    }
}
