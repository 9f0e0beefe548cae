//! The router as hyper calls it: what a client has begun to change is finished, although the client has gone away.
//!
//! A client that sends a whole request and closes at once is common (scripts that "fire and forget"). hyper drops a
//! request as soon as it sees the end of its connection, which may well be before the handler has run at all.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::response::Response;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper_util::service::{TowerToHyperService, TowerToHyperServiceFuture};
use tokio::runtime::Handle;

/// Serves a router on connections of hyper. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service(TowerToHyperService<Router>);

/// `router` as a service for hyper's connections.
pub fn service(router: Router) -> Service {
    Service(TowerToHyperService::new(router))
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        // Nobody gains by a read that nobody waits for.
        let finishes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        Answering { answer: Some(Box::pin(self.0.call(request))), finishes }
    }
}

type Answer = TowerToHyperServiceFuture<Router, Request<Incoming>>;

/// An answer in the making.
///
/// Dropped before it is made, it goes on by itself if the request changes something. That ends: from a connection that is
/// gone comes what has arrived, then an error, and nothing more.
pub struct Answering {
    answer: Option<Pin<Box<Answer>>>,
    finishes: bool,
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = &mut self.answer else { return Poll::Pending };
        let output = answer.as_mut().poll(context);
        if output.is_ready() {
            self.answer = None;
        }
        output
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let answer = self.answer.take().filter(|_| self.finishes);
        if let (Some(answer), Ok(runtime)) = (answer, Handle::try_current()) {
            runtime.spawn(answer);
        }
    }
}
