//! Publishing a stream of lines, with both directions open at once.

use bongsu_core::limits::Limits;
use serde_json::{Value, json};

use crate::support::{Raw, Server, Setup};

/// A publish stream in the making: chunks go in, answers come out.
struct Publisher(Raw);

impl Publisher {
    async fn open(server: &Server) -> Self {
        let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        let mut raw = server.raw(head.as_bytes()).await;
        let answer = raw.read_until("\r\n\r\n").await.to_lowercase();
        assert!(answer.starts_with("http/1.1 200") && answer.contains("application/x-ndjson"), "{answer}");
        Self(raw)
    }

    async fn say(&mut self, text: &str) {
        self.0.write(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await;
    }

    async fn end(&mut self) {
        self.0.write(b"0\r\n\r\n").await;
    }

    /// The next answer that is not an empty line.
    async fn hear(&mut self) -> Value {
        loop {
            // A line is within one chunk; the chunk's size and end are lines too.
            let line = self.0.read_until("\n").await;
            if line.starts_with('{') {
                return serde_json::from_str(&line).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn each_line_is_answered_before_the_next_is_sent() {
    let server = Server::start().await;
    let mut publisher = Publisher::open(&server).await;
    for n in 1..=3 {
        publisher.say(&format!("{{\"channel\":\"a\",\"data\":{n}}}\n")).await;
        let answer = publisher.hear().await;
        assert_eq!((&answer["channel"], &answer["offset"]), (&json!("a"), &json!(n)), "{answer}");
        assert_eq!(server.kept("a").await.len(), n, "an answer says that the event is there");
    }
    publisher.end().await;
    publisher.0.read_until("0\r\n\r\n").await;
}

#[tokio::test]
async fn answers_are_in_order_whatever_the_lines_are() {
    let server = Server::start().await;
    let mut publisher = Publisher::open(&server).await;
    let (first, second) =
        ("{\"channel\":\"a\",\"da", "ta\":1}\r\n\n  \nnonsense\n{\"channel\":\"small:1\",\"data\":\"1234567890\"}\n");
    publisher.say(first).await;
    publisher.say(second).await;
    publisher.say("{\"channels\":[\"a\",\"b\"],\"data\":2}\n{\"channel\":\"a\",\"data\":3}").await;
    publisher.end().await;
    assert_eq!(publisher.hear().await["offset"], 1);
    assert_eq!(publisher.hear().await["code"], "bad_json");
    assert_eq!(publisher.hear().await["code"], "payload_too_large");
    assert_eq!(publisher.hear().await["results"][1]["channel"], "b");
    assert_eq!(publisher.hear().await["offset"], 3);
    publisher.0.read_until("0\r\n\r\n").await;
    assert_eq!(server.kept("a").await, [json!(1), json!(2), json!(3)]);
}

#[tokio::test]
async fn a_full_hub_slows_the_stream_and_refuses_nothing() {
    const LINES: usize = 3_000;
    let limits = Limits { publishes_in_flight_max: 2, publish_bytes_in_flight_max: 8, ..Limits::default() };
    let server = Server::start_with(Setup { limits, ..Setup::default() }).await;
    let (mut one, mut other) = (Publisher::open(&server).await, Publisher::open(&server).await);
    let lines = |channel| format!("{{\"channel\":\"{channel}\",\"data\":12345}}\n").repeat(LINES);
    let both = async |publisher: &mut Publisher, channel| {
        publisher.say(&lines(channel)).await;
        publisher.end().await;
        for n in 1..=LINES {
            assert_eq!(publisher.hear().await["offset"], n);
        }
        publisher.0.read_until("0\r\n\r\n").await;
    };
    tokio::join!(both(&mut one, "a"), both(&mut other, "b"));
}

#[tokio::test]
async fn a_client_that_does_not_listen_is_not_read_from() {
    const LINES: usize = 4_000_000;
    let server = Server::start().await;
    let mut publisher = Publisher::open(&server).await;
    let line = "{\"channel\":\"a\",\"data\":1}\n";
    let batch = line.repeat(100);
    let mut sent = 0;
    // Until the system takes no more for some time: the server has stopped reading.
    while sent < LINES {
        let chunk = format!("{:x}\r\n{batch}\r\n", batch.len());
        let write = tokio::time::timeout(std::time::Duration::from_secs(1), publisher.0.write(chunk.as_bytes()));
        if write.await.is_err() {
            break;
        }
        sent += 100;
    }
    assert!(sent < LINES, "the server went on reading without being listened to");
    let published = server.get("/v1/channels/a/info").await.json()["head"].as_u64().unwrap();
    assert!(published > 0);
    for n in 1..=published {
        assert_eq!(publisher.hear().await["offset"], n, "and when it is listened to again, nothing is missing");
    }
}

#[tokio::test]
async fn a_drain_ends_the_stream_after_what_was_handed_over() {
    let server = Server::start().await;
    let mut publisher = Publisher::open(&server).await;
    publisher.say("{\"channel\":\"a\",\"data\":1}\n").await;
    assert_eq!(publisher.hear().await["offset"], 1);
    server.draining.send(true).unwrap();
    let last = publisher.hear().await;
    assert_eq!((&last["code"], &last["status"]), (&json!("draining"), &json!(503)), "{last}");
    publisher.0.read_until("0\r\n\r\n").await;
}

#[tokio::test]
async fn what_a_client_said_before_it_went_is_published() {
    let server = Server::start().await;
    let mut publisher = Publisher::open(&server).await;
    publisher.say("{\"channel\":\"a\",\"data\":1}\n{\"channel\":\"a\",\"da").await;
    publisher.hear().await;
    drop(publisher);
    assert_eq!(server.kept("a").await, [json!(1)]);
}

#[tokio::test]
async fn nothing_without_end_is_followed() {
    let limits = Limits { body_bytes_max: 100, ..Limits::default() };
    let server = Server::start_with(Setup { limits, ..Setup::default() }).await;
    let mut publisher = Publisher::open(&server).await;
    publisher.say(&"x".repeat(50_000)).await;
    assert_eq!(publisher.hear().await["code"], "payload_too_large");
    publisher.0.read_until("0\r\n\r\n").await;

    let mut publisher = Publisher::open(&server).await;
    publisher.say(&"\n".repeat(100_000)).await;
    assert_eq!(publisher.hear().await["code"], "bad_request");
    publisher.0.read_until("0\r\n\r\n").await;
}

#[tokio::test]
async fn a_silent_stream_is_told_that_it_is_alive() {
    let server = Server::start().await;
    let mut publisher = Publisher::open(&server).await;
    // From here on time passes as fast as nobody has anything to do.
    tokio::time::pause();
    for _ in 0..2 {
        publisher.0.read_until("1\r\n\n\r\n").await;
    }
    tokio::time::resume();
    publisher.say("{\"channel\":\"a\",\"data\":1}\n").await;
    assert_eq!(publisher.hear().await["offset"], 1);
}
