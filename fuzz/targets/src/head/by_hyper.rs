//! hyper as a reader of the same bytes: what a shard serves, hyper would have read alike.
//!
//! Both have connections of the same server behind the same proxy. If they disagreed on where a request ends, the rest of one
//! client's request could become the beginning of another's.

use std::cell::RefCell;
use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::{Builder, Runtime};

use super::strict::Message;

/// What follows the request on its connection.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: next\r\n\r\n";

/// Bodies above this are announced and not sent.
const BODY_BYTES_MAX: usize = 4 << 10;

/// More than is ever sent or answered here, so that nobody waits.
const PIPE_BYTES: usize = 64 << 10;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().build().expect("a runtime without drivers needs nothing");
}

/// A request as hyper hands it on.
#[derive(Debug)]
struct Seen {
    message: Message,
    body: Bytes,
}

/// Lets hyper read the head and body of `ours` at the front of `bytes`, and a request behind them.
pub(super) fn check(bytes: &[u8], ours: &Message) {
    let (head, rest) = bytes.split_at(ours.head_bytes);
    let announced_only = ours.body_bytes > BODY_BYTES_MAX;
    let body: Vec<u8> = match announced_only {
        true => Vec::new(),
        // As far as the input goes, and then anything.
        false => rest.iter().copied().chain(std::iter::repeat(b'x')).take(ours.body_bytes).collect(),
    };
    let next = if announced_only { "" } else { NEXT };
    let seen = serve(&[head, &body, next.as_bytes()].concat(), announced_only);
    let first = seen.first().unwrap_or_else(|| panic!("hyper refuses {ours:?}"));
    let message = Message { head_bytes: ours.head_bytes, ..first.message.clone() };
    assert_eq!((sorted(&message), &first.body[..]), (sorted(ours), &body[..]), "hyper reads another request");
    let others: Vec<&str> = seen[1..].iter().map(|seen| seen.message.path.as_str()).collect();
    let expected: &[&str] = if ours.keep_alive && !announced_only { &["/next"] } else { &[] };
    assert_eq!(others, expected, "hyper reads on from another place");
}

/// Header maps keep only the order of values with the same name.
fn sorted(message: &Message) -> Message {
    let mut message = message.clone();
    message.headers.sort_by(|a, b| a.0.cmp(&b.0));
    message
}

/// The requests that hyper finds on a connection with these bytes.
fn serve(input: &[u8], leave_bodies: bool) -> Vec<Seen> {
    let seen = RefCell::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| async {
        let found = read(request, leave_bodies).await;
        seen.borrow_mut().extend(found);
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(PIPE_BYTES);
            let mut written = client.write_all(input).await;
            written = written.and(client.shutdown().await);
            assert!(written.is_ok(), "the pipe holds {PIPE_BYTES} bytes");
            // How the connection ends does not matter: what it brought is in `seen`.
            let _ = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service).await;
        });
    });
    seen.into_inner()
}

/// `None` if the body broke off.
async fn read(request: Request<Incoming>, leave_body: bool) -> Option<Seen> {
    let (parts, body) = request.into_parts();
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| (name.to_string(), value.as_bytes().to_vec());
    let message = Message {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        head_bytes: 0,
        body_bytes: usize::try_from(body.size_hint().exact()?).ok()?,
        keep_alive: !closes(&parts.headers),
        upgrade: parts.extensions.get::<hyper::upgrade::OnUpgrade>().is_some(),
        headers: parts.headers.iter().map(header).collect(),
    };
    let body = if leave_body { Bytes::new() } else { body.collect().await.ok()?.to_bytes() };
    Some(Seen { message, body })
}

/// hyper does not tell; whether it reads on is seen by the next request.
fn closes(headers: &http::HeaderMap) -> bool {
    let values = headers.get_all(http::header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case("close"))
}
