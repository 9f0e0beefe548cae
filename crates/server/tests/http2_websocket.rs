//! WebSocket over HTTP/2 (RFC 8441): the same handshake, objects and commands as over HTTP/1.1.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::future::pending;
use std::time::Duration;

use bongsu_server::Config;
use bongsu_wire::websocket::{Limits, Message, Opcode, Reader, Role, encode_masked};
use bytes::Bytes;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response, Version};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// A server of this test's own, and one HTTP/2 connection to it.
async fn connect() -> h2::client::SendRequest<Bytes> {
    let folder = tempfile::tempdir().unwrap();
    let config =
        Config { listen: "127.0.0.1:0".parse().unwrap(), data_dir: folder.path().join("data"), ..Config::default() };
    let (ready, address) = oneshot::channel();
    tokio::spawn(async move {
        let _folder = folder;
        bongsu_server::run(config, |address| ready.send(address).unwrap(), pending::<()>).await.unwrap();
    });
    let stream = TcpStream::connect(address.await.unwrap()).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut requests = requests.ready().await.unwrap();
    // The server's settings arrive on their own time.
    while !requests.is_extended_connect_protocol_enabled() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        requests = requests.ready().await.unwrap();
    }
    requests
}

async fn open(version: &str) -> (Response<RecvStream>, SendStream<Bytes>) {
    let mut requests = connect().await;
    let request = Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .uri("http://localhost/v1/channels/x")
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", version)
        .header("sec-websocket-protocol", "other, bongsu.v1")
        .body(())
        .unwrap();
    let (response, sending) = requests.send_request(request, false).unwrap();
    (response.await.unwrap(), sending)
}

/// Reads text messages until one of them has `wanted` in it.
async fn until(body: &mut RecvStream, reader: &mut Reader, wanted: &str) -> Vec<String> {
    let mut texts = Vec::new();
    while !texts.iter().any(|text: &String| text.contains(wanted)) {
        let bytes = tokio::time::timeout(Duration::from_secs(20), body.data()).await.expect(wanted).unwrap().unwrap();
        body.flow_control().release_capacity(bytes.len()).unwrap();
        let mut input = &bytes[..];
        while let Some(message) = reader.read(&mut input).unwrap() {
            if let Message::Text(text) = message {
                texts.push(text);
            }
        }
    }
    texts
}

#[tokio::test]
async fn a_websocket_opens_publishes_and_reads_over_http2() {
    let (response, mut sending) = open("13").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["sec-websocket-protocol"], "bongsu.v1");
    let mut body = response.into_body();
    let mut reader = Reader::new(Role::Client, Limits::default());
    assert!(until(&mut body, &mut reader, "$live").await[0].contains("\"type\":\"$open\""));
    let command = br#"{"op":"publish","channel":"x","data":{"over":"HTTP/2"},"ref":7}"#;
    sending.send_data(encode_masked(Opcode::Text, command, [1, 2, 3, 4]), false).unwrap();
    let mut texts = until(&mut body, &mut reader, "\"ref\":7").await;
    if !texts.iter().any(|text| text.contains("\"over\":\"HTTP/2\"")) {
        texts = until(&mut body, &mut reader, "\"over\":\"HTTP/2\"").await;
    }
    assert!(texts.iter().any(|text| text.contains("\"offset\":1")), "{texts:?}");
}

#[tokio::test]
async fn another_version_is_refused() {
    let (response, _) = open("8").await;
    assert_eq!(response.status(), 426);
}
