//! Whether the process runs (`healthz`), and whether it does its work (`readyz`).

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bongsu_core::{ErrorCode, Problem};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::{App, problem, publish};

/// How long the sequencer may take to answer: longer than any disk that still works needs for a sync.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// `GET /healthz`: this process answers requests. Restart it if this fails.
pub(crate) async fn healthz(State(app): State<App>) -> Response {
    let uptime = app.hub.clock().now().since(app.started).as_secs();
    Json(json!({ "status": "ok", "version": app.version, "uptime_seconds": uptime })).into_response()
}

/// `GET /readyz`: publishes are taken and become durable. Send no new work here while this fails.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let checks = [("accepting", accepting(&app)), ("sequencer", sequencer(&app).await), ("log", app.hub.health())];
    let mut report = Map::new();
    for (name, check) in &checks {
        let outcome = match check {
            Ok(()) => json!({ "ok": true }),
            Err(problem) => json!({ "ok": false, "code": problem.code.name(), "detail": problem.detail }),
        };
        report.insert((*name).to_owned(), outcome);
    }
    match checks.into_iter().find_map(|(_, check)| check.err()) {
        None => Json(json!({ "status": "ready", "checks": report })).into_response(),
        Some(problem) => not_ready(problem, report),
    }
}

fn accepting(app: &App) -> Result<(), Problem> {
    if !app.is_draining() {
        return Ok(());
    }
    Err(Problem::new(ErrorCode::Draining, "the server takes no new work because it is shutting down"))
}

/// Sends an empty publish all the way: through the queue and the sequencer to an append, and back. That the parts say
/// they are well is not enough; a disk that hangs says nothing at all.
async fn sequencer(app: &App) -> Result<(), Problem> {
    let (done, mut answer) = publish::callback();
    app.hub.publish(Vec::new(), done)?;
    match timeout(ANSWER_TIME_MAX, publish::answered(&mut answer)).await {
        Ok(answer) => answer.map(|_| ()),
        Err(_) => {
            let seconds = ANSWER_TIME_MAX.as_secs();
            let detail = format!("the sequencer has not answered within {seconds} s; the disk may hang");
            Err(Problem::new(ErrorCode::Overloaded, detail))
        }
    }
}

/// The problem, with the outcome of each check as one more member (RFC 9457 §3.2).
fn not_ready(mut why: Problem, report: Map<String, Value>) -> Response {
    // Whoever probes this path looks for one status, whatever the reason is.
    if why.code.status() != 503 {
        why.code = ErrorCode::LogFailed;
    }
    let mut body: Value = serde_json::from_slice(&bongsu_wire::problem::encode(&why)).unwrap_or_default();
    body["checks"] = Value::Object(report);
    problem::respond(&why, body.to_string())
}
