//! WebSocket: full duplex. Objects go out as text frames, commands come in as text frames.

use std::any::Any;
use std::sync::Arc;

use bongsu_core::read::ReadRequest;
use bongsu_core::{ErrorCode, Problem};
use bongsu_wire::websocket::{Limits, handshake};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;

use crate::body::Body;
use crate::connections::Call;
use crate::driver::Reading;
use crate::session::Session;
use crate::signal::Signal;
use crate::talk::Talk;
use crate::{Context, response, socket};

/// What our protocol is called in `Sec-WebSocket-Protocol`.
pub(crate) const PROTOCOLS: &[&str] = &["bongsu.v1"];

/// Something in the extensions of a request that lives as long as the WebSocket that the request becomes. Whoever serves
/// connections that carry several requests cannot know otherwise that one is in use.
#[derive(Clone)]
pub struct Alive(pub Arc<dyn Any + Send + Sync>);

/// The upgrade; the connection goes on in a task of its own.
pub(crate) async fn open<B>(
    context: &Context,
    read: ReadRequest,
    request: &mut Request<B>,
) -> Result<Response<Body>, Problem> {
    let accepted = match accept(request) {
        Ok(accepted) => accepted,
        Err(rejection) => return Ok(reject(rejection)),
    };
    let signal = Arc::new(Signal::default());
    let entry = context.enter(&read, Call::Task(signal.clone()))?;
    let (reader, replay) = context.reader(&read, &signal).await?;
    let session = Session::new(&read, entry.id().to_string(), context.draw_retry(), replay);
    let session = Reading { session, reader };
    let talk = Talk::new(context, session, signal, entry);
    let limits = limits(context);
    spawn(request, move |io| socket::run(io, talk, read.heartbeat, limits));
    Ok(accepted)
}

/// The largest message: a publish command around the largest payload, which base64 makes a third larger.
pub(crate) fn limits(context: &Context) -> Limits {
    let bytes = context.limits.payload_bytes_max / 3 * 4 + (16 << 10);
    Limits { message_bytes_max: bytes.try_into().unwrap_or(u32::MAX), ..Limits::default() }
}

/// Runs `talk` over the connection once hyper has sent the answer and let go of it.
pub(crate) fn spawn<B, T, F>(request: &mut Request<B>, talk: T)
where
    T: FnOnce(TokioIo<hyper::upgrade::Upgraded>) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let alive = request.extensions_mut().remove::<Alive>();
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let _alive = alive;
        // A client that is gone before the upgrade is done leaves nothing to do.
        if let Ok(upgraded) = upgrade.await {
            talk(TokioIo::new(upgraded)).await;
        }
    });
}

/// Over HTTP/2 a WebSocket begins with `CONNECT` and `:protocol` (RFC 8441 §4). Makes it look like the upgrade of HTTP/1.1,
/// so that from here on both are one; every other request is left as it is.
pub(crate) fn unify<B>(mut request: Request<B>) -> Request<B> {
    let is_websocket = request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    if request.method() == Method::CONNECT && is_websocket {
        *request.method_mut() = Method::GET;
        request.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    request
}

/// Checks the handshake and makes the answer to it.
pub(crate) fn accept<B>(request: &Request<B>) -> Result<Response<Body>, handshake::Rejection> {
    if request.version() == Version::HTTP_2 && request.extensions().get::<Protocol>().is_some() {
        return accept_http2(request.headers());
    }
    let line =
        handshake::Request { method: request.method().as_str(), http_1_1: request.version() == Version::HTTP_11 };
    let accepted = handshake::accept(line, pairs(request.headers()), PROTOCOLS)?;
    let mut builder = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    for (name, value) in accepted.headers() {
        builder = builder.header(name, value);
    }
    Ok(response::finish(builder, Body::empty()))
}

/// RFC 8441 §5: the answer is a 200, and neither a key nor `Connection` has a part in it.
fn accept_http2(headers: &HeaderMap) -> Result<Response<Body>, handshake::Rejection> {
    let mut versions = headers.get_all(header::SEC_WEBSOCKET_VERSION).iter();
    if versions.next().map(HeaderValue::as_bytes) != Some(b"13") || versions.next().is_some() {
        return Err(handshake::Rejection::Version);
    }
    let mut builder = Response::builder().status(StatusCode::OK);
    let offered = handshake::offered_protocols(pairs(headers)).find(|offered| PROTOCOLS.contains(offered));
    if let Some(protocol) = offered {
        builder = builder.header(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response::finish(builder, Body::empty()))
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

/// The refusal of a handshake.
pub(crate) fn reject(rejection: handshake::Rejection) -> Response<Body> {
    let code = match rejection.status() {
        405 => ErrorCode::MethodNotAllowed,
        426 => ErrorCode::UpgradeRequired,
        _ => ErrorCode::BadRequest,
    };
    let mut refusal = response::problem(&Problem::new(code, rejection.reason()));
    for (name, value) in rejection.headers() {
        refusal.headers_mut().insert(*name, HeaderValue::from_static(value));
    }
    refusal
}
