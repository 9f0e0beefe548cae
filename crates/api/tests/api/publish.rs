//! Publishing: what is taken, what is refused, and what is answered.

use serde_json::{Value, json};

use crate::support::{Server, Setup};

const JSON: &str = "application/json";

#[tokio::test]
async fn a_body_becomes_an_event() {
    let server = Server::start().await;
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], Value);
    let cases: [Case<'_>; 7] = [
        ("", &[("content-type", JSON)], br#"{"n": 1}"#, json!({ "data": { "n": 1 } })),
        ("", &[], b"[1]", json!({ "data": [1] })),
        ("", &[("content-type", "text/plain")], b"hi", json!({ "data": "hi", "content_type": "text/plain" })),
        ("", &[("content-type", "image/x")], b"\x00\xff", json!({ "data_base64": "AP8=", "content_type": "image/x" })),
        ("?type=t&key=k", &[], b"1", json!({ "data": 1, "type": "t", "key": "k" })),
        ("?ttl=60", &[], b"1", json!({ "data": 1 })),
        ("", &[("content-type", "application/x-www-form-urlencoded")], b"{}", json!({ "data": {} })),
    ];
    for (place, (query, headers, body, expected)) in cases.into_iter().enumerate() {
        let answer = server.send("POST", &format!("/v1/channels/c{place}{query}"), headers, body).await;
        let receipt = answer.json();
        assert_eq!(answer.header("content-type"), Some(JSON));
        let members: Vec<_> = receipt.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members.len(), 5, "{receipt}");
        assert_eq!((&receipt["offset"], &receipt["duplicate"]), (&json!(1), &json!(false)), "{receipt}");
        let event = server.get(&format!("/v1/channels/c{place}?since=start")).await.json()["events"][0].clone();
        assert_eq!(event["id"], receipt["id"]);
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(event[name], *value, "{name} of {event}");
        }
    }
    let live = server.post("/v1/channels/live?store=false", JSON, "1").await.json();
    assert_eq!(live, json!({ "channel": "live", "subscribers": 0, "duplicate": false }));
}

#[tokio::test]
async fn events_are_described_by_objects() {
    let server = Server::start().await;
    let one = server.post("/v1/events", JSON, r#"{"channel":"a","data":1}"#).await.json();
    assert_eq!((&one["channel"], &one["offset"]), (&json!("a"), &json!(1)), "{one}");

    let several = server.post("/v1/events", JSON, r#"{"channels":["a","b"],"data":2}"#).await.json();
    let results: Vec<_> =
        several["results"].as_array().unwrap().iter().map(|one| (&one["channel"], &one["offset"])).collect();
    assert_eq!(results, [(&json!("a"), &json!(2)), (&json!("b"), &json!(1))]);

    let array = r#"[{"channel":"a","data":3},{"chanel":"a","data":4},{"channels":["a","c"],"data":5},{"channel":"$x","data":6}]"#;
    let answer = server.post("/v1/events", JSON, array).await;
    let results = answer.json()["results"].clone();
    assert_eq!((answer.status.as_u16(), results.as_array().unwrap().len()), (200, 4), "{results}");
    assert_eq!((&results[0]["offset"], &results[1]["code"]), (&json!(3), &json!("unknown_field")), "{results}");
    assert_eq!((&results[2]["results"][1]["channel"], &results[3]["code"]), (&json!("c"), &json!("reserved")));
    assert_eq!(server.post("/v1/events", JSON, "[]").await.json(), json!({ "results": [] }));
    assert_eq!(server.kept("a").await, [json!(1), json!(2), json!(3), json!(5)]);

    let cloud = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"d","data":{"n":7}}"#;
    let first = server.post("/v1/events", "application/cloudevents+json", cloud).await.json();
    assert_eq!((&first["channel"], &first["duplicate"]), (&json!("d"), &json!(false)), "{first}");
    let again = server.post("/v1/events", "application/cloudevents-batch+json", &format!("[{cloud}]")).await.json();
    assert_eq!((&again["results"][0]["id"], &again["results"][0]["duplicate"]), (&first["id"], &json!(true)));
}

#[tokio::test]
async fn a_retry_gets_the_first_answer() {
    let server = Server::start().await;
    let publish =
        async |key, body: &'static [u8]| server.send("POST", "/v1/channels/a", &[("idempotency-key", key)], body).await;
    let first = publish("k", b"1").await.json();
    let again = publish("k", b"1").await.json();
    assert_eq!((&again["id"], &again["offset"], &again["duplicate"]), (&first["id"], &first["offset"], &json!(true)));
    let other = publish("k", b"2").await;
    assert_eq!((other.status.as_u16(), other.code().as_str()), (422, "idempotency_mismatch"));
    assert_eq!(publish("l", b"2").await.json()["offset"], 2);
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_and_changes_nothing() {
    let limits = bongsu_core::limits::Limits { body_bytes_max: 2_000, payload_bytes_max: 1_000, ..Default::default() };
    let server = Server::start_with(Setup { limits, ..Setup::default() }).await;
    let long = format!("\"{}\"", "x".repeat(999));
    let huge = format!("[{}]", " ".repeat(2_000));
    let cases: [(&str, &str, &str, &str, &str); 17] = [
        ("/v1/channels/a", JSON, "{\"a\":\n tru}", "bad_json", "line 2"),
        ("/v1/channels/a", JSON, "", "bad_json", ""),
        ("/v1/channels/a", JSON, &long, "payload_too_large", "1000"),
        ("/v1/channels/small:1", "text/plain", "12345678901", "payload_too_large", "10"),
        ("/v1/channels/a", "text/plain; charset=latin1", "x", "unsupported_media_type", ""),
        ("/v1/channels/a?tpye=x", JSON, "1", "unknown_parameter", "`type`"),
        ("/v1/channels/a?ttl=0", JSON, "1", "bad_parameter", "`ttl`"),
        ("/v1/channels/a?type=$x", JSON, "1", "reserved", "`type`"),
        ("/v1/channels/a?type=a%0Ab", JSON, "1", "bad_parameter", "`type`"),
        ("/v1/events?channel=a", JSON, r#"{"data":1}"#, "unknown_parameter", "`channel`"),
        ("/v1/events", JSON, r#"{"data":1}"#, "bad_field", "`channel`"),
        ("/v1/events", JSON, r#"{"channel":"a"}"#, "bad_field", "`data`"),
        ("/v1/events", JSON, r#"{"channel":"a b","data":1}"#, "bad_channel", ""),
        ("/v1/events", JSON, "5", "bad_request", "object"),
        ("/v1/events", "image/png", "x", "unsupported_media_type", "image/png"),
        ("/v1/events", JSON, r#"[{"channel":"a","data":1}"#, "bad_json", ""),
        ("/v1/events", JSON, &huge, "payload_too_large", "body_bytes_max"),
    ];
    for (target, content_type, body, code, part) in cases {
        let answer = server.post(target, content_type, body).await;
        assert_eq!(answer.code(), code, "{target} {body:.60}: {answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(part), "{target}: {answer:?}");
    }
    assert_eq!(server.get("/v1/channels").await.json()["channels"], json!([]));
    let fits = server.post("/v1/channels/a", "text/plain", &"x".repeat(1_000)).await;
    assert_eq!(fits.status, 200, "{fits:?}");
}

#[tokio::test]
async fn many_at_once_each_get_their_own_answer() {
    let server = Server::start().await;
    let publishes = (0..50).map(|n| {
        let (addr, body) = (&server, n.to_string());
        async move { addr.publish("a", &body).await["offset"].as_u64().unwrap() }
    });
    let mut offsets = futures_util::future::join_all(publishes).await;
    offsets.sort_unstable();
    assert_eq!(offsets, (1..=50).collect::<Vec<_>>());
}
