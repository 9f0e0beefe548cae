//! Request bodies: bounded in bytes and in time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use bongsu_core::{ErrorCode, Problem};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a client may pause within a body: mobile networks stall for some seconds, a dead peer for ever.
pub(crate) const BODY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a whole body may take: 32 MiB at about 1 Mbit/s.
pub(crate) const BODY_TIME_MAX: Duration = Duration::from_secs(300);
/// How much is reserved on the word of a `Content-Length` alone, in bytes.
const RESERVED_BYTES_MAX: usize = 64 << 10;
/// How much of a refused body is thrown away so that the client gets to read the refusal, in bytes.
const DRAINED_BYTES_MAX: usize = 64 << 20;
/// The same in time.
const DRAINED_TIME_MAX: Duration = Duration::from_secs(10);

/// How much a body may hold, and which option says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) bytes_max: usize,
    pub(crate) option: &'static str,
}

/// The whole body, in memory of its own.
///
/// # Errors
/// It is longer than `bound`, which is found out before anything is read if the head says so; it takes too long; or the
/// connection broke.
pub(crate) async fn whole(headers: &HeaderMap, mut body: Body, bound: Bound) -> Result<Bytes, Problem> {
    let announced = announced(headers);
    if announced.is_some_and(|length| length > bound.bytes_max) {
        return Err(too_large(bound));
    }
    let end = Instant::now() + BODY_TIME_MAX;
    // A buffer of its own: a slice of the connection's buffer would keep all of that alive as long as the event.
    let mut bytes = Vec::with_capacity(announced.unwrap_or_default().min(RESERVED_BYTES_MAX));
    while let Some(piece) = next_until(&mut body, end).await? {
        if piece.len() > bound.bytes_max - bytes.len() {
            return Err(too_large(bound));
        }
        bytes.extend_from_slice(&piece);
    }
    bytes.shrink_to_fit();
    Ok(bytes.into())
}

/// The length the head announces. One that does not fit a `usize` is the largest.
fn announced(headers: &HeaderMap) -> Option<usize> {
    let text = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
    Some(text.parse().unwrap_or(usize::MAX))
}

/// The next bytes of `body`; `None` at its end.
///
/// # Errors
/// They do not come before `end`, or the pause is too long, or the connection broke.
pub(crate) async fn next_until(body: &mut Body, end: Instant) -> Result<Option<Bytes>, Problem> {
    let until = end.min(Instant::now() + BODY_PAUSE_MAX);
    timeout_at(until, next(body)).await.map_err(|_| too_slow())?
}

/// The next bytes of `body`, however long they take. May be dropped at any time without a loss.
///
/// # Errors
/// The connection broke.
pub(crate) async fn next(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        // Trailers say nothing here.
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn too_large(Bound { bytes_max, option }: Bound) -> Problem {
    Problem::new(ErrorCode::PayloadTooLarge, format!("the body may have at most {bytes_max} bytes (`{option}`)"))
        .hint(format!("send less at once, or raise `{option}`"))
}

fn too_slow() -> Problem {
    let (pause, time) = (BODY_PAUSE_MAX.as_secs(), BODY_TIME_MAX.as_secs());
    let detail = format!("the body did not arrive: it may pause for {pause} s and take {time} s in all");
    Problem::new(ErrorCode::RequestTimeout, detail)
}

/// The client has gone, most likely, and will not see this.
fn broken(error: &axum::Error) -> Problem {
    Problem::new(ErrorCode::BadRequest, format!("the body cannot be read: {error}"))
}

/// A request body that is read on for a while, and thrown away, when the handler has dropped it before its end.
///
/// A connection that is closed while the client still writes is reset, and the client's system may then throw away the
/// answer before the client has read it (RFC 9112 §9.6). It also lets the connection be used for the next request.
pub(crate) struct Lingering(Option<Body>);

impl Lingering {
    /// `request` with a body that lingers, if it has any.
    pub(crate) fn wrap(request: Request) -> Request {
        if request.body().is_end_stream() {
            return request;
        }
        request.map(|body| Body::new(Self(Some(body))))
    }
}

impl http_body::Body for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let left = self.0.take().filter(|body| !body.is_end_stream());
        if let (Some(body), Ok(runtime)) = (left, Handle::try_current()) {
            // Nobody waits for this task: it ends with the body, with the connection, or at its bounds.
            runtime.spawn(timeout(DRAINED_TIME_MAX, discard(body)));
        }
    }
}

async fn discard(mut body: Body) {
    let mut left = DRAINED_BYTES_MAX;
    while let Ok(Some(piece)) = next(&mut body).await {
        let Some(rest) = left.checked_sub(piece.len()) else { break };
        left = rest;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    fn length(length: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_LENGTH, http::HeaderValue::from_static(length))])
    }

    /// A body that comes in these pieces, one every `pause`.
    fn slow(pieces: &'static [&'static [u8]], pause: Duration) -> Body {
        let pieces = stream::unfold(pieces.iter(), move |mut left| async move {
            tokio::time::sleep(pause).await;
            left.next().map(|piece| (Ok::<_, Infallible>(Bytes::from_static(piece)), left))
        });
        Body::from_stream(pieces)
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_are_bounded_in_bytes_and_time() {
        const DRIPS: [&[u8]; 11] = [b""; 11];
        let second = Duration::from_secs(1);
        let none = HeaderMap::new;
        type Case = (&'static str, HeaderMap, Body, Result<&'static [u8], ErrorCode>);
        let cases: [Case; 9] = [
            ("empty", none(), Body::empty(), Ok(b"")),
            ("whole", none(), Body::from("12345"), Ok(b"12345")),
            ("in pieces", none(), slow(&[b"12", b"345"], second), Ok(b"12345")),
            ("long", none(), Body::from("123456"), Err(ErrorCode::PayloadTooLarge)),
            ("long in pieces", none(), slow(&[b"12", b"3456"], second), Err(ErrorCode::PayloadTooLarge)),
            ("announced", length("6"), slow(&[b"1"], BODY_PAUSE_MAX * 2), Err(ErrorCode::PayloadTooLarge)),
            ("absurd", length("99999999999999999999999"), Body::empty(), Err(ErrorCode::PayloadTooLarge)),
            ("stalled", none(), slow(&[b"1"], BODY_PAUSE_MAX + second), Err(ErrorCode::RequestTimeout)),
            ("dripping", none(), slow(&DRIPS, BODY_PAUSE_MAX - second), Err(ErrorCode::RequestTimeout)),
        ];
        for (name, headers, body, expected) in cases {
            let bytes =
                whole(&headers, body, Bound { bytes_max: 5, option: "x" }).await.map_err(|problem| problem.code);
            assert_eq!(bytes.as_deref().map_err(|code| *code), expected, "{name}");
        }
    }
}
