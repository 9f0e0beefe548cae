//! `GET /metrics`: the server in figures, in Prometheus' text format.
//!
//! One [table](METRICS) declares every metric with how it is read; the page, its help texts and
//! `docs/reference/metrics.md` are made from it. Reading the figures takes no lock that a publish or a delivery waits for.

mod table;
mod text;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bongsu_core::log::LogUsage;
use bongsu_hub::Figures;
use bongsu_transports::Memory;
use http::{HeaderValue, header};

use crate::App;
use crate::process::Process;

pub(crate) use table::METRICS;
use text::Samples;

/// The text format of Prometheus (exposition format 0.0.4).
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// One metric.
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// A sentence without its full stop.
    pub(crate) help: &'static str,
    pub(crate) labels: &'static [&'static str],
    /// Gives the present values.
    read: fn(&Reading<'_>, &mut Samples<'_>),
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only rises, from the start of the process.
    Counter,
    /// Rises and falls.
    Gauge,
    /// How many took how long.
    Histogram,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What the metrics are read from, taken once for a page.
struct Reading<'a> {
    app: &'a App,
    figures: &'a Figures,
    log: LogUsage,
    memory: Memory,
    process: Process,
}

/// `GET /metrics`.
pub(crate) async fn page(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], render(&app).await).into_response()
}

async fn render(app: &App) -> String {
    let memory = app.transports.memory().await;
    let log = app.hub.log_usage();
    let reading = Reading { app, figures: app.hub.figures(), log, memory, process: Process::read() };
    let mut page = String::with_capacity(8 << 10);
    for metric in METRICS {
        (metric.read)(&reading, &mut Samples::begin(&mut page, metric));
    }
    page
}
