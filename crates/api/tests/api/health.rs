//! Health that does not lie, and figures that count.

use bongsu_core::log::Log;
use serde_json::{Value, json};

use crate::support::{Answer, Server};

#[tokio::test]
async fn a_server_that_works_is_healthy_and_ready() {
    let server = Server::start().await;
    let health = server.get("/healthz").await.json();
    assert_eq!((&health["status"], &health["version"]), (&json!("ok"), &json!("1.2.3")), "{health}");
    let ready = server.get("/readyz").await;
    let ok = json!({ "ok": true });
    let expected = json!({ "status": "ready", "checks": { "accepting": ok, "sequencer": ok, "log": ok } });
    assert_eq!((ready.status.as_u16(), ready.json()), (200, expected));
    assert!(metrics(&server).await.contains("\nbongsu_events_published_total 0\n"), "the check publishes nothing");
}

/// The status of the answer, its code, and which checks failed.
fn failed(answer: &Answer) -> (u16, String, Vec<String>) {
    let checks = answer.json()["checks"].as_object().unwrap().clone();
    let failed = checks.iter().filter(|(_, check)| check["ok"] != Value::Bool(true));
    (answer.status.as_u16(), answer.code(), failed.map(|(name, _)| name.clone()).collect())
}

#[tokio::test]
async fn what_does_not_work_is_not_ready() {
    let server = Server::start().await;
    server.draining.send(true).unwrap();
    assert_eq!(failed(&server.get("/readyz").await), (503, "draining".into(), vec!["accepting".into()]));
    assert!(metrics(&server).await.contains("\nbongsu_ready 0\n"));

    let server = Server::start().await;
    server.log.close().unwrap();
    let answer = server.get("/readyz").await;
    let (status, code, checks) = failed(&answer);
    assert_eq!((status, code.as_str()), (503, "log_failed"), "{answer:?}");
    assert!(
        checks.contains(&"sequencer".into()),
        "the memory log says it is well until it is asked to append: {answer:?}"
    );
    assert_eq!(server.get("/healthz").await.status, 200);

    let mut server = Server::start().await;
    server.stop_hub();
    let answer = server.get("/readyz").await;
    let (status, code, checks) = failed(&answer);
    assert_eq!((status, code.as_str()), (503, "draining"), "{answer:?}");
    assert!(checks.contains(&"sequencer".into()), "{answer:?}");
    let refused = server.post("/v1/channels/a", "application/json", "1").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "draining"));
}

async fn metrics(server: &Server) -> String {
    let answer = server.get("/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let server = Server::start().await;
    server.publish("a", "1").await;
    server.publish("b", "1").await;
    server.send("POST", "/v1/channels/a", &[("idempotency-key", "k")], b"1").await;
    server.send("POST", "/v1/channels/a", &[("idempotency-key", "k")], b"1").await;
    server.send("POST", "/v1/channels/a", &[("idempotency-key", "k")], b"2").await;
    server.get("/nowhere").await;
    server.send("PUT", "/v1/events", &[], b"").await;
    let page = metrics(&server).await;
    let expected = [
        "bongsu_build_info{version=\"1.2.3\"} 1",
        "bongsu_ready 1",
        "bongsu_events_published_total 3",
        "bongsu_publish_duplicates_total 1",
        "bongsu_publish_refused_total 1",
        "bongsu_publish_duration_seconds_bucket{le=\"+Inf\"} 5",
        "bongsu_publish_duration_seconds_count 5",
        "bongsu_log_channels 2",
        "bongsu_log_events 3",
        "bongsu_log_bytes 3",
        "bongsu_log_idempotency_keys 1",
        "bongsu_connections{transport=\"sse\"} 0",
        "bongsu_http_requests_total{route=\"/v1/channels/{channel}\",method=\"POST\",status=\"200\"} 4",
        "bongsu_http_requests_total{route=\"/v1/channels/{channel}\",method=\"POST\",status=\"422\"} 1",
        "bongsu_http_requests_total{route=\"/v1/events\",method=\"other\",status=\"405\"} 1",
        "bongsu_http_requests_total{route=\"other\",method=\"GET\",status=\"404\"} 1",
    ];
    for line in expected {
        assert!(page.lines().any(|one| one == line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn connections_of_hyper_are_counted_as_such() {
    let server = Server::start().await;
    let mut reader = server.raw(b"GET /v1/channels/a HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n").await;
    reader.read_until("$live").await;
    let page = metrics(&server).await;
    let expected = [
        "bongsu_connections{transport=\"sse\"} 1",
        "bongsu_hyper_connections{transport=\"sse\"} 1",
        "bongsu_hyper_connections{transport=\"websocket\"} 0",
        // There are no shards here.
        "bongsu_shard_connections{transport=\"sse\"} 0",
        "bongsu_connection_memory_bytes{transport=\"none\"} 0",
    ];
    for line in expected {
        assert!(page.lines().any(|one| one == line), "{line}\n{page}");
    }
    drop(reader);
    while !metrics(&server).await.contains("\nbongsu_hyper_connections{transport=\"sse\"} 0\n") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn every_sample_belongs_to_a_metric() {
    let server = Server::start().await;
    server.publish("a", "1").await;
    let page = metrics(&server).await;
    let mut current = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            current = rest.split(' ').next().unwrap().to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest.split(' ').next(), Some(current.as_str()));
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with(&current), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
