//! What holds for every request, whatever its path: bounds on the head, parameters, CORS, caching, counting.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bongsu_core::{ErrorCode, Problem};
use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use http_body::Frame;
use tokio::time::Instant;

use crate::body::Lingering;
use crate::problem::Refusal;
use crate::routes::{Parameters, Route};
use crate::{App, cors, parameters};

/// What a page may try on a path that does not exist, so that it gets to see that.
const ALL_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, DELETE, OPTIONS");

/// Stands around every handler, those for what does not exist included.
pub(crate) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().and_then(|path| Route::find(path.as_str()));
    let method = request.method().clone();
    let origin = app.cors.allowed(request.headers());
    let request = Lingering::wrap(request);
    let mut response = match before(&app, route, &request) {
        Ok(None) => next.run(request).await,
        Ok(Some(response)) => response,
        Err(problem) => Refusal(problem).into_response(),
    };
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    app.cors.mark(origin, headers);
    answered(&app, route, &method, response.status(), Some(started));
    without_false_length(&method, response)
}

/// Counts a request that was answered, and tells of it.
pub(crate) fn answered(
    app: &App,
    route: Option<&Route>,
    method: &Method,
    status: StatusCode,
    started: Option<Instant>,
) {
    app.0.requests.add(route, method, status);
    // The route and not the path: a path may hold the id of a connection, and who knows that may speak for it.
    tracing::debug!(
        method = method.as_str(),
        route = route.map_or("none", |route| route.path),
        status = status.as_u16(),
        micros = started.map(|started| started.elapsed().as_micros()),
        "answered"
    );
}

/// What can be said before a handler is asked.
fn before(app: &App, route: Option<&Route>, request: &Request) -> Result<Option<Response>, Problem> {
    check_head(request, app.limits.head_bytes_max)?;
    if let Err(problem) = check_message(request.version(), request.headers()) {
        // Where this request ends may be understood differently too: nothing that follows it is taken.
        return Ok(Some(([(header::CONNECTION, "close")], Refusal(problem)).into_response()));
    }
    if request.method() == Method::OPTIONS {
        return Ok(options(app, route, request));
    }
    app.cors.check_socket(request.headers())?;
    let endpoint = route.and_then(|route| route.endpoint(request.method()));
    if let Some(Parameters::These(names)) = endpoint.map(|endpoint| &endpoint.parameters) {
        parameters::of(request.uri(), names)?;
    }
    Ok(None)
}

/// The connection's own bound may be wider, because parsers allocate in steps.
fn check_head(request: &Request, bytes_max: usize) -> Result<(), Problem> {
    let uri = request.uri();
    let uri_bytes = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if uri_bytes > bytes_max {
        let detail = format!("the address has {uri_bytes} bytes; at most {bytes_max} are allowed (`head_bytes_max`)");
        return Err(Problem::new(ErrorCode::UriTooLong, detail));
    }
    // As HTTP/1.1 writes a field: a colon, a space and a line end beside name and value.
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let head_bytes = uri_bytes + fields.sum::<usize>();
    if head_bytes > bytes_max {
        let detail = format!("the head has {head_bytes} bytes; at most {bytes_max} are allowed (`head_bytes_max`)");
        return Err(Problem::new(ErrorCode::HeadTooLarge, detail));
    }
    Ok(())
}

/// What hyper lets pass, although a proxy in front may understand it differently (RFC 9112 §3.2, §6.1).
fn check_message(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    if version != Version::HTTP_11 {
        return Ok(());
    }
    let is_host = |host: &HeaderValue| {
        host.to_str().is_ok_and(|host| {
            host.is_empty() || host.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@'))
        })
    };
    if !only(headers, header::HOST).is_some_and(is_host) {
        return Err(Problem::new(ErrorCode::BadRequest, "send the header `Host` once, as `Host: name:port`"));
    }
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if headers.contains_key(header::TRANSFER_ENCODING)
        && !only(headers, header::TRANSFER_ENCODING).is_some_and(is_chunked)
    {
        let detail = "`Transfer-Encoding` can only be `chunked`, once; bodies are not unpacked";
        return Err(Problem::new(ErrorCode::BadRequest, detail));
    }
    Ok(())
}

/// The value of a header that may be there only once.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The answer to OPTIONS: what can be done here, and by which pages. `None` where nothing is.
fn options(app: &App, route: Option<&Route>, request: &Request) -> Option<Response> {
    let methods = match route {
        Some(route) => route.allow(),
        // RFC 9110 §9.3.7: `*` is the server in general.
        None if request.uri().path() == "*" || cors::is_preflight(request.headers()) => ALL_METHODS,
        None => return None,
    };
    let mut response = StatusCode::NO_CONTENT.into_response();
    app.cors.permit(request.headers(), &methods, response.headers_mut());
    response.headers_mut().insert(header::ALLOW, methods);
    Some(response)
}

/// The answer where a route matches and the method does not.
pub(crate) async fn method_not_allowed(path: MatchedPath, method: Method) -> Response {
    let allow = Route::find(path.as_str()).map_or(ALL_METHODS, Route::allow);
    let shown: String = method.as_str().chars().take(32).collect();
    let problem = Problem::new(ErrorCode::MethodNotAllowed, format!("`{shown}` cannot be used on `{}`", path.as_str()));
    let hint = format!("allowed here: {}", allow.to_str().unwrap_or_default());
    let mut response = Refusal(problem.hint(hint)).into_response();
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

/// Keeps the router from telling a length of zero where there is only no body.
///
/// RFC 9110 §8.6: a server must not send `Content-Length` in such an answer unless it is that of the answer to the same
/// request by GET, or of `200`; the router would add it to every empty body.
fn without_false_length(method: &Method, response: Response) -> Response {
    let bodiless =
        method == Method::HEAD || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodiless || response.headers().contains_key(header::CONTENT_LENGTH) || !response.body().is_end_stream() {
        return response;
    }
    response.map(|_| Body::new(Nothing))
}

/// A body that has no bytes and tells no length.
struct Nothing;

impl http_body::Body for Nothing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}
