//! Bodies that are too large, refused, or left by their client: nobody loses an answer, nothing is lost.

use serde_json::json;

use crate::support::{Server, Setup};

fn head(method: &str, target: &str, length: usize, more: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{more}\r\n")
}

#[tokio::test]
async fn a_refusal_is_readable_while_the_client_still_writes() {
    let server = Server::start().await;
    // More than any socket buffer takes, so the client is certainly still writing when the refusal comes.
    let body = vec![b'x'; 40 << 20];
    let targets = ["/v1/channels/a", "/v1/channels/$a", "/nowhere", "/v1/events?x=1", "/v1/events"];
    for (target, code) in targets.into_iter().zip([413, 403, 404, 400, 415]) {
        let mut raw = server.raw(head("POST", target, body.len(), "content-type: image/png\r\n").as_bytes()).await;
        raw.write(&body).await;
        let answer = raw.read_until("\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{target}: {answer}");
        raw.read_until("}").await;
        // All was read, so the next request on the same connection is understood.
        raw.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(raw.read_until("\"ok\"").await.contains("HTTP/1.1 200"), "{target}");
    }
}

#[tokio::test]
async fn who_asks_before_sending_is_told_in_time() {
    let server = Server::start().await;
    let expect = "expect: 100-continue\r\n";
    let mut refused = server.raw(head("POST", "/v1/channels/a", 2 << 20, expect).as_bytes()).await;
    let answer = refused.read_until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "no 100 comes before: {answer}");

    for target in ["/v1/channels/a", "/v1/events"] {
        let body = r#"{"channel":"a","data":1}"#;
        let ndjson = "content-type: application/x-ndjson\r\n";
        let mut taken = server.raw(head("POST", target, body.len(), &format!("{ndjson}{expect}")).as_bytes()).await;
        assert!(taken.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 100"), "{target}");
        taken.write(body.as_bytes()).await;
        assert!(taken.read_until("\"duplicate\":false}").await.starts_with("HTTP/1.1 200"), "{target}");
    }
}

#[tokio::test]
async fn an_event_is_taken_though_its_client_is_gone() {
    let server = Server::start().await;
    for n in 0..20 {
        let body = n.to_string();
        let request = head("POST", "/v1/channels/a", body.len(), "content-type: application/json\r\n") + &body;
        drop(server.raw(request.as_bytes()).await);
    }
    // A cut in the middle of a body publishes nothing.
    drop(server.raw((head("POST", "/v1/channels/a", 5, "content-type: text/plain\r\n") + "12").as_bytes()).await);
    for _ in 0..500 {
        if server.kept("a").await.len() == 20 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut kept: Vec<_> = server.kept("a").await.iter().map(|value| value.as_u64().unwrap()).collect();
    kept.sort_unstable();
    assert_eq!(kept, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn chunked_bodies_are_bounded_too() {
    let limits = bongsu_core::limits::Limits { body_bytes_max: 100, payload_bytes_max: 100, ..Default::default() };
    let server = Server::start_with(Setup { limits, ..Setup::default() }).await;
    let chunked = |chunk: &str, times| {
        let chunk = format!("{:x}\r\n{chunk}\r\n", chunk.len()).repeat(times);
        format!(
            "POST /v1/channels/a HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"
        )
    };
    for (times, status) in [(10, 200), (11, 413)] {
        let mut raw = server.raw(chunked("1234567890", times).as_bytes()).await;
        let answer = raw.read_until("\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{times}: {answer}");
    }
    assert_eq!(server.kept("a").await, [json!("1234567890".repeat(10))]);
}
