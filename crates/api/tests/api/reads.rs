//! Reads reach the transports whole: the channel, the headers, HEAD. How they answer is tested there.

use crate::support::Server;

#[tokio::test]
async fn channels_come_decoded_once() {
    let server = Server::start().await;
    for (encoded, name) in [("a%2Fb", "a/b"), ("%2525", "%25"), ("%EB%B4%89%EC%88%98:1", "봉수:1"), ("a+b", "a+b")] {
        let receipt = server.publish(encoded, "1").await;
        assert_eq!(receipt["channel"], name, "{encoded}");
        let answer = server.get(&format!("/v1/channels/{encoded}?since=start")).await.json();
        assert_eq!(answer["events"][0]["channel"], name, "{encoded}");
        let info = server.get(&format!("/v1/channels/{encoded}/info")).await.json();
        assert_eq!((&info["channel"], &info["head"]), (&name.into(), &1.into()), "{encoded}");
    }
}

#[tokio::test]
async fn polls_go_through() {
    let server = Server::start().await;
    server.publish("a", r#"{"n":1}"#).await;
    server.publish("b", "2").await;
    let answer = server.get("/v1/events?channel=a&channel=b&since=start").await;
    let json = answer.json();
    assert_eq!(json["events"].as_array().unwrap().len(), 2, "{json}");
    assert_eq!((&json["events"][0]["data"]["n"], &json["events"][1]["data"]), (&1.into(), &2.into()));
    let etag = answer.header("etag").unwrap();
    assert_eq!(etag, format!("\"{}\"", json["cursor"].as_str().unwrap()));

    let same = server.send("GET", "/v1/events?channel=a", &[("if-none-match", etag)], b"").await;
    assert_eq!((same.status.as_u16(), same.body.len(), same.header("content-length")), (304, 0, None), "{same:?}");
}

#[tokio::test]
async fn head_tells_what_get_would() {
    let server = Server::start().await;
    server.publish("a", "1").await;
    for target in ["/v1/channels/a?since=start", "/v1/channels", "/openapi.json", "/healthz", "/nowhere"] {
        let (get, head) = (server.get(target).await, server.send("HEAD", target, &[], b"").await);
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{target}");
        for name in ["content-type", "content-length", "etag"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {target}");
        }
    }
    let stream = server.send("HEAD", "/v1/channels/a", &[("accept", "text/event-stream")], b"").await;
    assert_eq!((stream.status.as_u16(), stream.header("content-length")), (200, None), "{stream:?}");
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
}

#[tokio::test]
async fn a_websocket_is_handed_over() {
    let server = Server::start().await;
    let mut raw = server
        .raw(
            b"GET /v1/channels/a HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
               sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    let head = raw.read_until("\r\n\r\n").await.to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(!head.contains("content-length") && head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    raw.read_until("\"$open\"").await;
    server.publish("a", r#""over the socket""#).await;
    raw.read_until(r#""data":"over the socket""#).await;
}
