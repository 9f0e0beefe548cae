//! `POST /test/clock?advance_ms=…`: moves the server's time ahead, so that tests of what falls due need not wait.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::routing::post;
use bongsu_core::Clock;
use serde::Deserialize;

use crate::ports::ShiftedClock;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: u64,
}

pub(crate) fn router(clock: Arc<ShiftedClock>) -> Router {
    Router::new().route("/test/clock", post(advance)).with_state(clock)
}

/// Answers the new time in Unix milliseconds.
async fn advance(State(clock): State<Arc<ShiftedClock>>, Query(by): Query<Advance>) -> String {
    clock.advance(Duration::from_millis(by.advance_ms));
    format!("{}\n", clock.now().0)
}
