//! Channels and connections: listing, looking, dropping, ending.

use serde_json::{Value, json};

use crate::support::{Raw, Server};

#[tokio::test]
async fn channels_are_listed_page_by_page() {
    let server = Server::start().await;
    for channel in ["a:1", "a:2", "a:3", "b"] {
        server.publish(channel, "1").await;
    }
    server.publish("a:2", "2").await;
    let cases = [
        ("", "a:1=1 a:2=2 a:3=1 b=1", Value::Null),
        ("?prefix=a:", "a:1=1 a:2=2 a:3=1", Value::Null),
        ("?prefix=a:&limit=2", "a:1=1 a:2=2", json!("a:2")),
        ("?prefix=a:&limit=2&after=a:2", "a:3=1", Value::Null),
        ("?prefix=a:&limit=3", "a:1=1 a:2=2 a:3=1", Value::Null),
        ("?prefix=c", "", Value::Null),
    ];
    for (query, expected, next) in cases {
        let page = server.get(&format!("/v1/channels{query}")).await.json();
        let channels = page["channels"].as_array().unwrap().iter();
        let listed: Vec<_> =
            channels.map(|one| format!("{}={}", one["channel"].as_str().unwrap(), one["offset"])).collect();
        assert_eq!((listed.join(" ").as_str(), &page["next"]), (expected, &next), "{query}");
    }
}

#[tokio::test]
async fn info_counts_what_is_kept_and_who_reads() {
    let server = Server::start().await;
    let empty = server.get("/v1/channels/a/info").await.json();
    assert_eq!((&empty["head"], &empty["oldest"], &empty["events"]), (&json!(0), &json!(0), &json!(0)), "{empty}");
    server.publish("a", r#""1234""#).await;
    server.publish("a", "7").await;
    let _stream = stream(&server, "a").await;
    let expected = json!({
        "channel": "a", "head": 2, "oldest": 1, "events": 2, "bytes": 7,
        "subscribers": { "poll": 0, "longpoll": 0, "stream": 1, "sse": 0, "websocket": 0, "total": 1 },
    });
    assert_eq!(server.get("/v1/channels/a/info").await.json(), expected);
    assert_eq!(server.publish("a", "8").await["subscribers"], 1);
}

#[tokio::test]
async fn a_dropped_history_is_gone_and_told() {
    let server = Server::start().await;
    let first = server.publish("a", "1").await;
    server.publish("b", "1").await;
    let dropped = server.send("DELETE", "/v1/channels/a", &[], b"").await;
    assert_eq!((dropped.status.as_u16(), &dropped.json()["channel"]), (200, &json!("a")), "{dropped:?}");
    assert_eq!(server.kept("a").await, [] as [Value; 0]);
    assert_eq!(server.kept("b").await, [json!(1)]);
    assert_eq!(server.publish("a", "2").await["offset"], 2);

    let since = first["id"].as_str().unwrap();
    let events = server.get(&format!("/v1/channels/a?since={since}")).await.json()["events"].clone();
    assert_eq!(
        (&events[0]["type"], &events[0]["reason"], &events[1]["offset"]),
        (&json!("$gap"), &json!("reset"), &json!(2))
    );
    assert_eq!(events[0]["cursor"], dropped.json()["cursor"]);
}

#[tokio::test]
async fn connections_are_listed_and_ended() {
    let server = Server::start().await;
    let (mut first, one) = stream(&server, "a").await;
    let (mut second, other) = stream(&server, "b").await;
    let mut ids = [one.clone(), other.clone()];
    ids.sort();

    let page = server.get("/v1/connections").await.json();
    let listed: Vec<_> = page["connections"].as_array().unwrap().iter().map(|one| one["connection"].clone()).collect();
    assert_eq!((listed, &page["next"]), (ids.iter().map(|id| json!(id)).collect(), &Value::Null));
    let page = server.get("/v1/connections?limit=1").await.json();
    assert_eq!((&page["connections"][0]["connection"], &page["next"]), (&json!(ids[0]), &json!(ids[0])));
    let page = server.get(&format!("/v1/connections?limit=1&after={}", ids[0])).await.json();
    assert_eq!((&page["connections"][0]["connection"], &page["next"]), (&json!(ids[1]), &Value::Null));

    let shown = server.get(&format!("/v1/connections/{one}")).await.json();
    assert_eq!((&shown["transport"], &shown["channels"]), (&json!("stream"), &json!(["a"])), "{shown}");

    for (raw, id, query, code, reconnect) in
        [(&mut first, &one, "", 1001, true), (&mut second, &other, "?reconnect=false", 4003, false)]
    {
        let answer = server.send("DELETE", &format!("/v1/connections/{id}{query}"), &[], b"").await;
        assert_eq!((answer.status.as_u16(), answer.body.len(), answer.header("content-length")), (204, 0, None));
        raw.read_until("{\"type\":\"$close\"").await;
        let close = raw.read_until("}").await;
        let expected = [format!("\"code\":{code}"), format!("\"reconnect\":{reconnect}")];
        assert!(expected.iter().all(|part| close.contains(part)), "{close}");
        raw.read_until("0\r\n\r\n").await;
        assert_eq!(server.get(&format!("/v1/connections/{id}")).await.code(), "not_found");
    }
}

/// An open stream of one channel, and its connection's id.
async fn stream(server: &Server, channel: &str) -> (Raw, String) {
    let request = format!("GET /v1/channels/{channel} HTTP/1.1\r\nhost: x\r\naccept: application/x-ndjson\r\n\r\n");
    let mut raw = server.raw(request.as_bytes()).await;
    raw.read_until("\"connection\":\"").await;
    let id = raw.read_until("\"").await;
    (raw, id.trim_end_matches('"').to_owned())
}
