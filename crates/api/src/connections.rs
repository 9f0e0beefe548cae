//! Connections: listing them, looking at one, ending one.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use bongsu_core::control::{Close, close_code};
use bongsu_core::{ErrorCode, Problem};
use bongsu_wire::receipt::{ConnectionInfo, ConnectionList};
use http::StatusCode;

use crate::problem::{Answer, Refusal};
use crate::{App, parameters, path};

/// When a client that was sent away is to come back. One at a time, so there is nothing to spread.
const RETRY: Duration = Duration::from_secs(1);

fn described(info: bongsu_transports::ConnectionInfo) -> ConnectionInfo {
    ConnectionInfo {
        connection: info.id,
        user: info.user.map(|user| user.to_string()),
        transport: info.way,
        channels: info.channels,
        since: info.since,
    }
}

/// `GET /v1/connections`: streaming connections and waiting long polls, in the order of their ids.
pub(crate) async fn list(State(app): State<App>, request: Request) -> Answer {
    let query = parameters::of(request.uri(), &["after", "limit"])?;
    let limit = parameters::limit(&query)?;
    // One more than is answered tells whether there is more.
    let mut found = app.transports.connections().list(query.one("after")?, limit + 1);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.id.clone());
    let connections = found.into_iter().map(described).collect();
    Ok(Json(ConnectionList { connections, next }).into_response())
}

/// `GET /v1/connections/{connection}`.
pub(crate) async fn show(State(app): State<App>, request: Request) -> Answer {
    let id = path::connection(request.uri());
    let info = app.transports.connections().get(id).ok_or_else(|| unknown(id))?;
    Ok(Json(described(info)).into_response())
}

/// `DELETE /v1/connections/{connection}`: sends `$close` and ends it.
pub(crate) async fn close(State(app): State<App>, request: Request) -> Answer {
    let query = parameters::of(request.uri(), &["reconnect"])?;
    let reconnect = query.choice("reconnect", &[("true", true), ("false", false)])?.unwrap_or(true);
    let id = path::connection(request.uri());
    if app.transports.connections().close(id, goodbye(reconnect)) {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(unknown(id))
    }
}

fn goodbye(reconnect: bool) -> Close {
    let reason = "closed by the operator".to_owned();
    if reconnect {
        Close { code: close_code::DRAINING, reason, reconnect, retry: RETRY }
    } else {
        Close { code: close_code::FORBIDDEN, reason, reconnect, retry: Duration::ZERO }
    }
}

fn unknown(id: &str) -> Refusal {
    let id: String = id.chars().take(64).collect();
    let problem = Problem::new(ErrorCode::NotFound, format!("there is no connection `{id}`"));
    Refusal(problem.hint("it may have ended; `GET /v1/connections` lists those that are open"))
}
