//! Publish, manage, health and metrics over HTTP.
//!
//! [`App::router`] puts everything the server answers under one roof: reads go to `bongsu-transports` as they are; publishes
//! are read from the request by `bongsu-wire` and handed to the hub; the rest is management. What holds for every answer
//! (problems as RFC 9457, methods, CORS, counting) is in one place, the `layer`; which paths exist is one table, `routes`,
//! from which methods, parameters, hints, metrics and the tests of the OpenAPI document follow. [`App::front`] is the same for
//! reads and publishes that socket shards answer without the router.
//!
//! This crate must not know sockets, TLS, configuration files or a concrete store.

mod body;
mod channels;
mod connections;
mod cors;
mod count;
mod front;
mod health;
mod layer;
mod metrics;
mod openapi;
mod parameters;
mod path;
mod problem;
mod process;
mod publish;
pub mod reference;
mod router;
mod routes;
mod service;
mod stream_publish;
mod welcome;

use std::sync::Arc;

use axum::Router;
use bongsu_core::Millis;
use bongsu_core::limits::Limits;
use bongsu_hub::Hub;
use bongsu_transports::Transports;
use bongsu_transports::shard::Front;
use tokio::sync::watch;

pub use cors::Cors;
pub use service::{Service, service};

/// Everything the API needs.
pub struct Api {
    /// Where publishes go and channels are known.
    pub hub: Hub,
    /// The five ways of reading.
    pub transports: Transports,
    /// The bounds on requests: `body_bytes_max` and `head_bytes_max` are kept here, the others are told.
    pub limits: Limits,
    /// Which web origins may use the API from a browser.
    pub cors: Cors,
    /// When the server started.
    pub started: Millis,
    /// The server's version, as `healthz` and the metrics tell it.
    pub version: &'static str,
    /// Whether `/test/echo` exists. For conformance suites only.
    pub test_endpoints: bool,
    /// Turns true when the server begins to drain: `readyz` fails from then on, and publish streams end after what they
    /// have handed over.
    pub draining: watch::Receiver<bool>,
}

/// The API: what every handler sees. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    api: Api,
    requests: count::Requests,
    /// The name under which idempotency keys are kept while publishers have no names.
    nobody: Arc<str>,
}

impl App {
    /// The API over these parts.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self(Arc::new(Inner { api, requests: count::Requests::default(), nobody: Arc::from("") }))
    }

    /// Everything the server answers over HTTP, upgrades included. Serve it by [`service`](crate::service()), on connections
    /// that allow upgrades.
    pub fn router(&self) -> Router {
        router::router(self.clone())
    }

    /// What socket shards need to answer reads and publishes as the router does.
    #[must_use]
    pub fn front(&self) -> Arc<dyn Front> {
        Arc::new(front::ApiFront::new(self.clone()))
    }

    fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}

impl std::ops::Deref for App {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.0.api
    }
}
