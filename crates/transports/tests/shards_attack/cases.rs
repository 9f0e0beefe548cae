//! Suspicions, one test each.

use std::io::Write as _;
use std::time::Duration;

use bongsu_core::limits::Limits;

use super::house::*;

#[test]
fn a_frame_right_behind_the_handshake_is_heard() {
    for house in [House::new(Limits::default(), 1), House::cold()] {
        house.publish("x", "1");
        for target in ["/v1/channels/x", "/v1/channels/x?since=start", "/v1/channels/x?last=3"] {
            let mut client = house.connect();
            let command = text(r#"{"op":"subscribe","ref":7,"channels":["y"]}"#);
            let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{UPGRADE}\r\n");
            client.write([head.as_bytes(), &command].concat());
            client.until("$live");
            client.until("\"ref\":7");
        }
    }
}

#[test]
fn channels_are_left_during_a_cold_read() {
    let house = House::cold();
    house.publish("x", "\"x1\"");
    house.publish("y", "\"y1\"");
    house.publish("x", "\"x2\"");
    let mut client = house.connect();
    let head = format!("GET /v1/events?channel=x&channel=y&since=start HTTP/1.1\r\nHost: h\r\n{UPGRADE}\r\n");
    let command = text(r#"{"op":"unsubscribe","ref":7,"channels":["x"]}"#);
    client.write([head.as_bytes(), &command].concat());
    let all = client.until("$live");
    assert!(all.contains("y1"), "{all}");
}

/// Whoever reads by `headers` is at a read of the disk that brings nothing when an event comes.
fn news_during_a_cold_read_are_told(headers: &str) {
    let house = House::cold();
    let poll = headers.starts_with("Prefer");
    let beat = if poll { "" } else { "&heartbeat=300" };
    let mut client = house.get(&format!("/v1/channels/x?type=wanted{beat}"), headers);
    if poll {
        house.wait_until("waits", |house| house.hub.channel(&"x".parse().unwrap()).1.total() == 1);
    } else {
        client.until("$live");
    }
    house.gate.shut();
    // The ring is empty again at once, but it may be read before.
    while house.gate.standing() == 0 {
        house.publish_as("x", Some("other"), "1");
        std::thread::sleep(Duration::from_millis(20));
    }
    house.publish_as("x", Some("wanted"), "\"here\"");
    // So that the shard has seen the bell.
    house.get("/v1/channels/y?since=now", "").answer();
    house.gate.open();
    client.until("\"here\"");
}

#[test]
fn news_during_a_cold_read_are_told_to_long_polls() {
    news_during_a_cold_read_are_told("Prefer: wait=60\r\n");
}

#[test]
fn news_during_a_cold_read_are_told_to_streams() {
    news_during_a_cold_read_are_told("Accept: text/event-stream\r\n");
}

#[test]
fn news_during_a_cold_read_are_told_to_sockets() {
    news_during_a_cold_read_are_told(UPGRADE);
}

#[test]
fn a_last_answer_is_whole_however_slowly_it_is_read() {
    let house = House::new(Limits { head_timeout: Duration::from_secs(2), ..Limits::default() }, 1);
    let filler = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..80 {
        house.publish("x", filler.clone());
    }
    for headers in ["Connection: close\r\n", ""] {
        let mut client = house.get("/v1/channels/x?since=start&limit=1000", headers);
        client.until("\r\n\r\n");
        // Somebody on a slow line.
        std::thread::sleep(Duration::from_secs(4));
        while client.read.len() < 8_000_000 {
            assert!(client.fill(), "{headers:?}: cut after {} bytes", client.read.len());
        }
    }
}

#[test]
fn a_drain_waits_for_answers_that_are_being_read() {
    let mut house = House::new(Limits::default(), 1);
    let filler = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..80 {
        house.publish("x", filler.clone());
    }
    let mut client = house.get("/v1/channels/x?since=start&limit=1000", "");
    client.until("\r\n\r\n");
    let shards = house.shards.take().unwrap();
    let reading = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        while client.read.len() < 8_000_000 {
            assert!(client.fill(), "cut after {} bytes", client.read.len());
        }
    });
    house.transports.drain();
    shards.drain();
    house.runtime.block_on(async { tokio::time::timeout(PATIENCE, shards.idle()).await.unwrap() });
    shards.stop();
    reading.join().unwrap();
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    let house = House::new(Limits::default(), 1);
    let filler = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..84 {
        house.publish("x", filler.clone());
    }
    // 8 MiB each: more than what all of them may hold together.
    let mut clients: Vec<Client> = (0..40).map(|_| house.get("/v1/channels/x?since=start&limit=1000", "")).collect();
    let refused = clients.iter_mut().filter_map(|client| client.until("\r\n").contains(" 503 ").then_some(())).count();
    assert!(refused > 0, "nobody is refused");
}

#[test]
fn a_long_poll_that_is_looked_up_hears_of_the_drain() {
    let house = House::cold();
    house.publish("x", "1");
    house.gate.shut();
    let mut client = house.get("/v1/channels/x?last=1&type=none", "Prefer: wait=60\r\n");
    house.gate.wait_for(1);
    house.transports.drain();
    // So that the shard has read its letter.
    let mut other = house.get("/v1/channels/y", "");
    other.answer();
    house.gate.open();
    client.answer();
}

#[test]
fn a_burst_of_commands_is_not_answered_out_of_all_bounds() {
    let house = House::new(Limits::default(), 1);
    let mut client = house.get("/v1/channels/x", UPGRADE);
    client.until("$live");
    // Not read: how much of it does the server take in?
    client.stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let burst = text("{}").repeat(8_000);
    let (mut taken, began) = (0, resident());
    while taken < 64 << 20
        && let Ok(count) = client.stream.write(&burst)
    {
        taken += count;
    }
    eprintln!("took {taken} bytes of commands, grew by {} KiB", resident().saturating_sub(began));
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
