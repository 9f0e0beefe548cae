//! One request as a value, so that it can be sent again, and the whole answer to it.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::origin::Origin;
use crate::error::Error;
use crate::problem::Problem;

/// The body of any request.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How this client names itself.
pub(crate) const USER_AGENT: &str = concat!("bongsu-client/", env!("CARGO_PKG_VERSION"));

/// What need not be escaped in a segment of a path or in the value of a query (RFC 3986 §2.3, and `:`).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// A request that can be made as often as need be.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The path after the server's prefix, with the query.
    target: String,
    headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether sending it twice does no more than sending it once.
    pub(crate) repeatable: bool,
}

impl Call {
    /// A request without query, headers and body.
    pub(crate) fn new(method: Method, segments: &[&str]) -> Self {
        let mut target = String::new();
        for segment in segments {
            let _ = write!(target, "/{}", utf8_percent_encode(segment, PLAIN));
        }
        let repeatable = method != Method::POST;
        Self { method, target, headers: HeaderMap::new(), body: Bytes::new(), repeatable }
    }

    pub(crate) fn get(segments: &[&str]) -> Self {
        Self::new(Method::GET, segments)
    }

    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        let separator = if self.target.contains('?') { '&' } else { '?' };
        let _ = write!(self.target, "{separator}{name}={}", utf8_percent_encode(value, PLAIN));
        self
    }

    /// Adds a query parameter if there is a value.
    pub(crate) fn maybe_query(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, &value.to_string()),
            None => self,
        }
    }

    /// Adds a header.
    ///
    /// # Errors
    /// The value has characters that no header can have.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Result<Self, Error> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Error::usage(format!("{value:?} cannot be sent as the header {name}")))?;
        self.headers.append(HeaderName::from_static(name), value);
        Ok(self)
    }

    /// Adds a header whose value is known to be one.
    pub(crate) fn static_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// Makes the request for a connection to `origin`.
    pub(crate) fn request(&self, origin: &Origin, http2: bool) -> Result<Request<Body>, Error> {
        self.request_with(origin, http2, Full::new(self.body.clone()).boxed_unsync())
    }

    /// The same with another body.
    pub(crate) fn request_with(&self, origin: &Origin, http2: bool, body: Body) -> Result<Request<Body>, Error> {
        let target = format!("{}{}", origin.prefix, self.target);
        // HTTP/1.1 sends the path alone and the host in a header (RFC 9112 §3.2.1), HTTP/2 both in the address.
        let uri = if http2 { format!("http://{}{target}", origin.authority) } else { target };
        let mut request = Request::builder().method(self.method.clone()).uri(uri);
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&self.headers);
            headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
            if !http2 && let Ok(host) = HeaderValue::from_str(&origin.authority) {
                headers.insert(header::HOST, host);
            }
        }
        request.body(body).map_err(|error| Error::usage(format!("that is no request: {error}")))
    }
}

/// An answer that has come whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The answer if it is a success, else what the server refused it with.
    pub(crate) fn success(self) -> Result<Self, Error> {
        match self.status {
            200..=299 => Ok(self),
            _ => Err(self.into_error()),
        }
    }

    /// The error that an answer other than the expected stands for.
    pub(crate) fn into_error(self) -> Error {
        match self.status {
            400.. => Error::refused(Problem::from_answer(self.status, &self.body, retry_after(&self.headers))),
            300..=399 => {
                let to = self.headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
                Error::protocol(format!("the server redirects to {to}: use that address"))
            }
            status => Error::protocol(format!("the server answered {status}, which has no meaning here")),
        }
    }

    /// The value of the JSON body.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::protocol(format!("the server's answer cannot be read: {error}")))
    }
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3). The form with a date is passed over: clocks differ.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(call: &Call, url: &str, http2: bool) -> String {
        call.request(&Origin::parse(url).unwrap(), http2).unwrap().uri().to_string()
    }

    #[test]
    fn targets() {
        let plain = Call::get(&["v1", "channels", "shop:7"]);
        assert_eq!(uri(&plain, "http://h:1", false), "/v1/channels/shop:7");
        assert_eq!(uri(&plain, "http://h:1/live/", false), "/live/v1/channels/shop:7");
        assert_eq!(uri(&plain, "http://h:1", true), "http://h:1/v1/channels/shop:7");
        let odd = Call::get(&["v1", "channels", "a/b?c#d%20봉"]).query("type", "a&b=c d").maybe_query("limit", Some(5));
        let odd = odd.maybe_query("last", None::<u32>);
        assert_eq!(uri(&odd, "http://h", false), "/v1/channels/a%2Fb%3Fc%23d%2520%EB%B4%89?type=a%26b%3Dc%20d&limit=5");
    }

    #[test]
    fn heads() {
        let call = Call::get(&["x"]).header("idempotency-key", "k").unwrap();
        let request = call.request(&Origin::parse("http://h:1").unwrap(), false).unwrap();
        assert_eq!(request.headers()["host"], "h:1");
        assert_eq!(request.headers()["idempotency-key"], "k");
        assert!(call.request(&Origin::parse("http://h:1").unwrap(), true).unwrap().headers().get("host").is_none());
        assert!(Call::get(&["x"]).header("idempotency-key", "a\nb").is_err());
    }

    #[test]
    fn answers_that_are_no_success() {
        let answer = |status, headers: &[(&'static str, &'static str)]| {
            let headers =
                headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            Answer { status, headers: headers.collect(), body: Bytes::new() }
        };
        let error = answer(503, &[("retry-after", "7")]).success().unwrap_err();
        assert_eq!((error.retry_after(), error.is_retryable()), (Some(Duration::from_secs(7)), true));
        let error = answer(429, &[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]).success().unwrap_err();
        assert_eq!((error.retry_after(), error.is_retryable()), (None, true));
        let error = answer(308, &[("location", "https://x/")]).success().unwrap_err();
        assert!(error.to_string().contains("https://x/") && !error.is_retryable());
        assert!(answer(204, &[]).success().is_ok());
    }
}
