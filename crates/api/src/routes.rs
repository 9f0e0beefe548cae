//! The table of paths: which exist, by which methods, with which query parameters.
//!
//! Methods and `Allow`, the refusal of unknown parameters, hints for mistyped paths, the labels of the request counters
//! and the tests of the OpenAPI document all follow from it. What answers a path stands in `router`; a test holds the two
//! together.

use http::{HeaderValue, Method};

/// A path and what can be done there.
#[derive(Debug)]
pub(crate) struct Route {
    /// As the router matches it.
    pub(crate) path: &'static str,
    /// What is answered. `HEAD` is answered wherever `GET` is, `OPTIONS` everywhere.
    pub(crate) endpoints: &'static [Endpoint],
}

/// One method of a path.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) parameters: Parameters,
}

/// Which query parameters an endpoint has.
#[derive(Debug)]
pub(crate) enum Parameters {
    /// These; any other is refused before the handler runs.
    These(&'static [&'static str]),
    /// Those of a read. The code that parses them refuses others, so that no driver can forget to.
    OfARead,
    /// Those of a publish to one channel, likewise.
    OfAPublish,
}

use Parameters::{OfAPublish, OfARead, These};

const fn get(parameters: Parameters) -> Endpoint {
    Endpoint { method: Method::GET, parameters }
}

const fn post(parameters: Parameters) -> Endpoint {
    Endpoint { method: Method::POST, parameters }
}

const fn delete(parameters: Parameters) -> Endpoint {
    Endpoint { method: Method::DELETE, parameters }
}

/// Reads of several channels, and publishes that name their channels.
pub(crate) const EVENTS: &str = "/v1/events";
/// One channel.
pub(crate) const CHANNEL: &str = "/v1/channels/{channel}";

/// Every path but those for tests.
pub(crate) static ROUTES: &[Route] = &[
    Route { path: "/", endpoints: &[get(These(&[]))] },
    Route { path: EVENTS, endpoints: &[get(OfARead), post(These(&[]))] },
    Route { path: "/v1/channels", endpoints: &[get(These(&["prefix", "after", "limit"]))] },
    Route { path: CHANNEL, endpoints: &[get(OfARead), post(OfAPublish), delete(These(&[]))] },
    Route { path: "/v1/channels/{channel}/info", endpoints: &[get(These(&[]))] },
    Route { path: "/v1/connections", endpoints: &[get(These(&["after", "limit"]))] },
    Route { path: "/v1/connections/{connection}", endpoints: &[get(These(&[])), delete(These(&["reconnect"]))] },
    Route { path: "/healthz", endpoints: &[get(These(&[]))] },
    Route { path: "/readyz", endpoints: &[get(These(&[]))] },
    Route { path: "/metrics", endpoints: &[get(These(&[]))] },
    Route { path: "/openapi.json", endpoints: &[get(These(&[]))] },
];

/// The WebSocket echo. It is no part of the API and stands in no document.
pub(crate) static ECHO: Route = Route { path: "/test/echo", endpoints: &[get(These(&[]))] };

impl Route {
    /// The route of that path.
    pub(crate) fn find(path: &str) -> Option<&'static Self> {
        ROUTES.iter().chain([&ECHO]).find(|route| route.path == path)
    }

    /// What can be done by `method`.
    pub(crate) fn endpoint(&self, method: &Method) -> Option<&Endpoint> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.endpoints.iter().find(|endpoint| endpoint.method == *method)
    }

    /// The methods, as `Allow` lists them.
    pub(crate) fn allow(&self) -> HeaderValue {
        let mut methods = Vec::new();
        for endpoint in self.endpoints {
            methods.push(endpoint.method.as_str());
            if endpoint.method == Method::GET {
                methods.push("HEAD");
            }
        }
        methods.push("OPTIONS");
        HeaderValue::try_from(methods.join(", ")).expect("names of methods are letters")
    }
}
