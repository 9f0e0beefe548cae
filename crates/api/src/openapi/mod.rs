//! `GET /openapi.json`: the API as an OpenAPI 3.1 document.
//!
//! Written by hand, a file per group of paths, with every bound and every error code taken from the code itself. Tests
//! hold it to the table of routes, to the parameters that are really taken, and to the catalogue of errors.

mod manage;
mod operate;
mod operation;
mod publish;
mod read;
mod schemas;

use std::sync::OnceLock;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};

use crate::App;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/json");

const ABOUT: &str = "\
Bongsu carries events from a backend to browsers and apps. One event, published once, is read by polling, long polling, \
HTTP streaming, server-sent events or WebSocket from the same URL, with the same order and the same cursor.

`HEAD` is answered wherever `GET` is, `OPTIONS` everywhere. Every refusal is a problem (RFC 9457) with a `code` from one \
catalogue. Unknown query parameters and unknown fields are refused. Times are Unix milliseconds.";

/// `GET /openapi.json`.
pub(crate) async fn page(State(app): State<App>) -> Response {
    // The version is that of the program, so the text is the same for every router of a process.
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| document(app.version).to_string().into());
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], text.clone()).into_response()
}

/// The whole document.
pub(crate) fn document(version: &str) -> Value {
    let mut paths = Map::new();
    for group in [read::paths(), publish::paths(), manage::paths(), operate::paths()] {
        merge(&mut paths, group);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bongsu",
            "version": version,
            "summary": "Events to browsers and apps, by five ways from one URL",
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This server" }],
        "tags": [
            { "name": "Read", "description": "Receiving events, by all five ways" },
            { "name": "Publish", "description": "Sending events" },
            { "name": "Manage", "description": "Channels and connections" },
            { "name": "Operate", "description": "Health, figures and documents" },
        ],
        "paths": paths,
        "components": { "schemas": schemas::all() },
    })
}

/// Adds the operations of `group` to `paths`; two groups may have operations of one path.
fn merge(paths: &mut Map<String, Value>, group: Vec<(&'static str, &'static str, Value)>) {
    for (path, method, operation) in group {
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method] = operation;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bongsu_core::ErrorCode;

    use super::*;
    use crate::routes::{Parameters, ROUTES};

    fn operations(document: &Value) -> Vec<(String, String, Value)> {
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                operations.push((path.clone(), method.to_uppercase(), operation.clone()));
            }
        }
        operations
    }

    fn parameters(operation: &Value, place: &str) -> BTreeSet<String> {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        parameters
            .filter(|parameter| parameter["in"] == place)
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_endpoint_is_described_and_nothing_else() {
        let described: BTreeSet<_> =
            operations(&document("x")).into_iter().map(|(path, method, _)| (path, method)).collect();
        let routed = ROUTES.iter().flat_map(|route| {
            route.endpoints.iter().map(|endpoint| (route.path.to_owned(), endpoint.method.to_string()))
        });
        assert_eq!(described, routed.collect());
    }

    #[test]
    fn every_parameter_is_described() {
        for (path, method, operation) in operations(&document("x")) {
            let route = ROUTES.iter().find(|route| route.path == path).unwrap();
            let endpoint = route.endpoints.iter().find(|endpoint| endpoint.method.as_str() == method).unwrap();
            if let Parameters::These(names) = endpoint.parameters {
                let names: BTreeSet<_> = names.iter().map(ToString::to_string).collect();
                assert_eq!(parameters(&operation, "query"), names, "{method} {path}");
            }
            let in_path: BTreeSet<_> = path.split(['{', '}']).skip(1).step_by(2).map(ToString::to_string).collect();
            assert_eq!(parameters(&operation, "path"), in_path, "{method} {path}");
        }
    }

    #[test]
    fn every_code_is_in_the_document() {
        let document = document("x");
        let codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
        let expected: Vec<_> = ErrorCode::ALL.iter().map(|code| Value::from(code.name())).collect();
        assert_eq!(*codes, expected);
    }

    #[test]
    fn references_lead_somewhere() {
        fn check(value: &Value, document: &Value, found: &mut usize) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                        *found += 1;
                    }
                    members.values().for_each(|value| check(value, document, found));
                }
                Value::Array(elements) => elements.iter().for_each(|value| check(value, document, found)),
                _ => {}
            }
        }
        let document = document("x");
        let mut found = 0;
        check(&document, &document, &mut found);
        assert!(found > 20, "{found}");
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut ids = BTreeSet::new();
        for (path, method, operation) in operations(&document("x")) {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "{method} {path}");
        }
    }
}
