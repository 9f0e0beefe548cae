//! Which handler answers which path.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;

use crate::routes::ECHO;
use crate::{App, channels, connections, health, layer, metrics, openapi, path, publish, welcome};

pub(crate) fn router(app: App) -> Router {
    let router = Router::new()
        .route("/", get(welcome::page))
        .route("/v1/events", get(read_several).post(publish::to_events))
        .route("/v1/channels", get(channels::list))
        .route("/v1/channels/{channel}", get(read_channel).post(publish::to_channel).delete(channels::drop_history))
        .route("/v1/channels/{channel}/info", get(channels::info))
        .route("/v1/connections", get(connections::list))
        .route("/v1/connections/{connection}", get(connections::show).delete(connections::close))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::page))
        .route("/openapi.json", get(openapi::page));
    let router = if app.test_endpoints { router.route(ECHO.path, get(echo)) } else { router };
    router
        .fallback(path::unknown)
        .method_not_allowed_fallback(layer::method_not_allowed)
        .layer(from_fn_with_state(app.clone(), layer::around))
        .with_state(app)
}

/// `GET /v1/channels/{channel}`, by all five ways.
async fn read_channel(State(app): State<App>, request: Request) -> Response {
    let channel = path::channel_segment(request.uri()).to_owned();
    app.transports.read(Some(&channel), without_body(request)).await.map(Body::new)
}

/// `GET /v1/events`, by all five ways.
async fn read_several(State(app): State<App>, request: Request) -> Response {
    app.transports.read(None, without_body(request)).await.map(Body::new)
}

/// `GET /test/echo`.
async fn echo(State(app): State<App>, request: Request) -> Response {
    app.transports.echo(without_body(request)).await.map(Body::new)
}

/// A read is all in its head. What came as its body is thrown away.
fn without_body(request: Request) -> http::Request<()> {
    request.map(drop)
}
