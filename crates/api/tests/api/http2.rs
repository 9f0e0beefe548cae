//! HTTP/2 is another way to carry the same requests: the answers are the same.

use crate::support::{Answer, Server};

/// What must not depend on the version of HTTP.
fn essence(answer: &Answer) -> (u16, Vec<Option<&str>>, String) {
    let names =
        ["content-type", "content-length", "allow", "etag", "cache-control", "vary", "access-control-allow-origin"];
    let headers = names.map(|name| answer.header(name));
    // When to ask again is drawn anew for each answer.
    let body = String::from_utf8_lossy(&answer.body).split(",\"retry_ms\"").next().unwrap_or_default().to_owned();
    (answer.status.as_u16(), headers.into(), body)
}

#[tokio::test]
async fn answers_are_the_same_over_http2() {
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8]);
    let server = Server::start().await;
    let cursor = server.publish("a", "1").await["id"].as_str().unwrap().to_owned();
    let etag = format!("\"{cursor}\"");
    let (ndjson, key) = (("content-type", "application/x-ndjson"), ("idempotency-key", "k"));
    server.send("POST", "/v1/channels/b", &[key], b"1").await;
    let long = vec![b'x'; 2 << 20];
    let cases: [Case<'_>; 12] = [
        ("GET", "/v1/channels/a?since=start", &[], b""),
        ("HEAD", "/v1/channels/a?since=start", &[], b""),
        ("HEAD", "/v1/channels/a", &[("accept", "text/event-stream")], b""),
        ("GET", "/v1/channels/a", &[("if-none-match", &etag)], b""),
        ("GET", "/v1/channels", &[], b""),
        ("OPTIONS", "/v1/channels", &[("origin", "https://x.example")], b""),
        ("PUT", "/v1/channels", &[], b"x"),
        ("GET", "/nowhere", &[], b""),
        ("POST", "/v1/channels/b", &[key], b"1"),
        ("POST", "/v1/channels/b", &[], &long),
        ("POST", "/v1/events", &[("content-type", "image/png")], &long),
        ("POST", "/v1/events", &[ndjson], b"nonsense\n{\"chanel\":1}\n"),
    ];
    for (method, target, headers, body) in cases {
        let first = server.send(method, target, headers, body).await;
        let second = server.send_http2(method, target, headers, body).await;
        assert_eq!(essence(&second), essence(&first), "{method} {target}");
    }
}
