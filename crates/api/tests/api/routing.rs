//! Paths, methods and parameters, held to what the server's own document says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{Server, Setup};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"];

/// Path and methods with their operations, as `/openapi.json` has them.
async fn document(server: &Server) -> BTreeMap<String, BTreeMap<String, Value>> {
    let paths = server.get("/openapi.json").await.json()["paths"].clone();
    let operations = |item: &Value| {
        item.as_object().unwrap().iter().map(|(method, operation)| (method.to_uppercase(), operation.clone())).collect()
    };
    paths.as_object().unwrap().iter().map(|(path, item)| (path.clone(), operations(item))).collect()
}

/// A path to ask for.
fn filled(path: &str) -> String {
    path.replace("{channel}", "a").replace("{connection}", "b")
}

/// The values that a hint lists: `x`, `y`.
fn listed(hint: &str) -> BTreeSet<String> {
    hint.split('`').skip(1).step_by(2).map(ToString::to_string).collect()
}

#[tokio::test]
async fn methods_are_those_of_the_document() {
    let server = Server::start().await;
    for (path, operations) in document(&server).await {
        let mut expected: BTreeSet<_> = operations.keys().map(String::as_str).chain(["OPTIONS"]).collect();
        if expected.contains("GET") {
            expected.insert("HEAD");
        }
        for method in METHODS {
            let answer = server.send(method, &filled(&path), &[], b"").await;
            assert_eq!(answer.status != 405, expected.contains(method), "{method} {path}: {answer:?}");
            if matches!(answer.status.as_u16(), 405) || method == "OPTIONS" {
                let allow = answer.header("allow").unwrap().split(", ").collect::<BTreeSet<_>>();
                assert_eq!(allow, expected, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn parameters_are_those_of_the_document() {
    let server = Server::start().await;
    for (path, operations) in document(&server).await {
        for (method, operation) in operations {
            let target = format!("{}?surprise=1", filled(&path));
            let answer = server.send(&method, &target, &[], b"").await;
            assert_eq!(answer.code(), "unknown_parameter", "{method} {path}: {answer:?}");
            let described = operation["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == "query");
            let mut described: BTreeSet<_> = described.map(|one| one["name"].as_str().unwrap().to_owned()).collect();
            if operation["operationId"] == "readChannel" {
                // Known, so that the refusal can say why it has no place here.
                described.insert("channel".to_owned());
            }
            assert_eq!(listed(&answer.hint()), described, "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_with_a_hint() {
    let server = Server::start().await;
    let cases = [
        ("GET", "/v1/chanels", "not_found", "`/v1/channels`"),
        ("GET", "/v1/channels/a/b", "not_found", "%2F"),
        ("POST", "/v1/event", "not_found", "`/v1/events`"),
        ("GET", "/nothing/like/it", "not_found", "openapi"),
        ("GET", "/v1/channels?limt=1", "unknown_parameter", "limit"),
        ("GET", "/v1/channels?limit=0", "bad_parameter", ""),
        ("GET", "/v1/channels?limit=1001", "bad_parameter", ""),
        ("GET", "/v1/channels/%ff/info", "bad_channel", ""),
        ("GET", "/v1/channels/%zz", "bad_channel", ""),
        ("POST", "/v1/channels/a%2", "bad_channel", ""),
        ("DELETE", "/v1/channels/$x", "reserved", ""),
        ("POST", "/v1/channels/$x", "reserved", ""),
        ("GET", "/v1/channels/$x", "reserved", ""),
        ("GET", "/v1/connections/none", "not_found", "GET /v1/connections"),
        ("DELETE", "/v1/connections/none", "not_found", "GET /v1/connections"),
        ("DELETE", "/v1/connections/none?reconnect=no", "bad_parameter", ""),
        ("PUT", "/v1/channels/a", "method_not_allowed", "GET, HEAD, POST, DELETE"),
        ("GET", "/test/echo", "not_found", ""),
    ];
    for (method, target, code, hint) in cases {
        let answer = server.send(method, target, &[], b"").await;
        assert_eq!(answer.code(), code, "{method} {target}: {answer:?}");
        assert!(answer.hint().contains(hint), "{method} {target}: {answer:?}");
    }
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = Server::start().await;
    let long = "x".repeat(20_000);
    let answer = server.get(&format!("/v1/channels/a?type={long}")).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (414, "uri_too_long"));
    let answer = server.send("GET", "/healthz", &[("cookie", &long)], b"").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (431, "head_too_large"));
}

#[tokio::test]
async fn the_echo_is_for_tests_only() {
    let server = Server::start_with(Setup { test_endpoints: true, ..Setup::default() }).await;
    let answer = server.get("/test/echo").await;
    assert!(answer.status.is_client_error() && answer.status != 404, "a plain GET is no handshake: {answer:?}");
    assert!(!document(&server).await.contains_key("/test/echo"));
}

#[tokio::test]
async fn the_welcome_names_this_server() {
    let server = Server::start().await;
    let text = String::from_utf8(server.get("/").await.body.to_vec()).unwrap();
    assert!(text.contains("1.2.3") && text.contains("http://own.example/v1/channels/hello"), "{text}");
}
