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
    let mut taken = 0;
    while taken < 64 << 20
        && let Ok(count) = client.stream.write(&burst)
    {
        taken += count;
    }
    assert!(taken > 1 << 20, "the kernel holds more than the server");
    let memory = house.runtime.block_on(house.transports.memory());
    let held = memory.by_way[bongsu_core::read::Way::WebSocket as usize];
    assert!(held.connections == 1 && held.bytes < 512 << 10, "{held:?}");
}

#[test]
fn commands_are_heard_during_a_long_replay() {
    let house = House::with(Setup {
        limits: Limits { ring_bytes_max: 1, ..Limits::default() },
        slow: Duration::from_millis(5),
        ..Setup::default()
    });
    for _ in 0..3_000 {
        house.publish("x", format!("\"{}\"", "x".repeat(1_000)));
    }
    let mut client = house.get("/v1/channels/x?since=start", UPGRADE);
    client.until("$open");
    client.write(text(r#"{"op":"subscribe","ref":7,"channels":["y"]}"#));
    let replay = client.until("\"ref\":7");
    assert!(!replay.contains("$live"), "heard only after all {} events", replay.matches("\"offset\"").count());
}

#[test]
fn a_request_that_begins_late_has_its_time() {
    let house = House::new(Limits { head_timeout: Duration::from_secs(2), ..Limits::default() }, 1);
    let mut client = house.connect();
    std::thread::sleep(Duration::from_millis(1_500));
    client.write("POST /v1/channels/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n1");
    std::thread::sleep(Duration::from_millis(1_000));
    client.write("2");
    client.answer();
}

/// Whatever a connection is at, its end is noticed and leaves nothing behind.
#[test]
fn whoever_vanishes_leaves_nothing_behind() {
    let requests: &[(&str, &str)] = &[
        ("/v1/channels/x?since=start", "Accept: text/event-stream\r\n"),
        ("/v1/channels/x?last=2", "Accept: text/event-stream\r\n"),
        ("/v1/channels/x?since=start", "Accept: application/x-ndjson\r\n"),
        ("/v1/channels/x?since=start", UPGRADE),
        ("/v1/channels/x?last=2", UPGRADE),
        ("/v1/events?channel=x&channel=y&since=start", UPGRADE),
        ("/v1/channels/x?since=start", ""),
        ("/v1/channels/x?last=2", ""),
        ("/v1/channels/x", ""),
        ("/v1/channels/x?since=start", "Prefer: wait=60\r\n"),
        ("/v1/channels/x?last=2", "Prefer: wait=60\r\n"),
        ("/v1/channels/y", "Prefer: wait=60\r\n"),
        ("/v1/channels/y", "Accept: text/event-stream\r\n"),
        ("/v1/channels/y", UPGRADE),
        ("/v1/events", UPGRADE),
        ("/echo", UPGRADE),
    ];
    let house = House::cold();
    for _ in 0..300 {
        house.publish("x", format!("\"{}\"", "x".repeat(1_000)));
    }
    house.gate.shut();
    for resets in [false, true] {
        for more in ["", "GET /v1/channels/y HTTP/1.1\r\nHost: h\r\n\r\n", "GET /v1"] {
            let clients: Vec<Client> = requests
                .iter()
                .map(|(target, headers)| {
                    let mut client = house.connect();
                    client.write(format!("GET {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n{more}"));
                    client
                })
                .collect();
            house.wait_until("they are there", |house| {
                house.transports.sockets().open() >= requests.len() && house.gate.standing() >= 8
            });
            for client in clients {
                if resets {
                    socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
                }
            }
            let mut left = 0;
            house.wait_until("all are gone", |house| {
                left = house.transports.sockets().open();
                left == 0
            });
            house.wait_until("off the table", |house| house.transports.connections().is_empty());
            assert_eq!(house.transports.connections().by_way(), [0; 5]);
            for channel in ["x", "y"] {
                assert_eq!(house.hub.channel(&channel.parse().unwrap()).1.total(), 0, "{channel}");
            }
            let idle = house.shards.as_ref().unwrap().idle();
            house.runtime.block_on(async { tokio::time::timeout(PATIENCE, idle).await.unwrap() });
            house.gate.open();
            house.gate.shut();
        }
    }
}

#[test]
fn a_flood_of_pipelined_requests_is_answered_in_order() {
    for instant in [true, false] {
        let house = House::with(Setup { instant, send_buffer_bytes: Some(4_000), ..Setup::default() });
        let mut client = house.connect();
        let mut writing = client.stream.try_clone().unwrap();
        const ROUNDS: usize = 3_000;
        let writer = std::thread::spawn(move || {
            let mut all = String::new();
            for n in 1..=ROUNDS {
                let body = format!("{n}");
                let length = body.len();
                all += &format!("POST /v1/channels/x HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}");
                all += "GET /v1/channels/x?last=1 HTTP/1.1\r\nHost: h\r\n\r\n";
                all += "HEAD /v1/channels/x?last=1 HTTP/1.1\r\nHost: h\r\n\r\n";
                all += "GET /v1/channels/x?last=1&wait=1 HTTP/1.1\r\nHost: h\r\n\r\n";
            }
            writing.write_all(all.as_bytes()).unwrap();
        });
        for n in 1..=ROUNDS {
            assert!(client.answer().1.contains(&format!("\"offset\":{n},")), "{n}");
            assert!(client.answer().1.contains(&format!("\"data\":{n}}}")), "{n}");
            assert!(client.until("\r\n\r\n").contains("content-length: "));
            assert!(client.answer().1.contains(&format!("\"data\":{n}}}")), "{n}");
        }
        writer.join().unwrap();
    }
}

#[test]
fn a_drain_among_slow_reads_tells_everybody() {
    for count in [1, 3] {
        let mut house = House::with(Setup {
            limits: Limits { ring_bytes_max: 2_000, ..Limits::default() },
            count,
            slow: Duration::from_millis(3),
            send_buffer_bytes: Some(4_000),
            ..Setup::default()
        });
        for n in 0..2_000 {
            house.publish("x", format!("\"{n}{}\"", "x".repeat(300)));
        }
        let shards = house.shards.take().unwrap();
        std::thread::scope(|scope| {
            let house = &house;
            let readers: Vec<_> = (0..30)
                .map(|index| {
                    scope.spawn(move || {
                        let (target, headers) = [
                            ("/v1/channels/x?since=start", "Accept: text/event-stream\r\n"),
                            ("/v1/channels/x?since=start&type=none", "Accept: application/x-ndjson\r\n"),
                            ("/v1/channels/x?since=start", "Accept: application/x-ndjson\r\n"),
                            ("/v1/channels/y?since=start", UPGRADE),
                            ("/v1/channels/x?since=start", UPGRADE),
                        ][index % 5];
                        std::thread::sleep(Duration::from_millis(5 * index as u64));
                        let mut client = house.get(target, headers);
                        // Who comes after the drain, or at its moment, is refused in other words.
                        let told = client.hears("\"$close\"");
                        if told && headers == UPGRADE {
                            // Closes as it is told to.
                            client.write(bongsu_wire::websocket::encode_masked(
                                bongsu_wire::websocket::Opcode::Close,
                                &[3, 233],
                                [1, 2, 3, 4],
                            ));
                        }
                        while client.hears("never") {}
                        (told, index)
                    })
                })
                .collect();
            house.wait_until("some are there", |house| house.transports.connections().len() >= 10);
            house.transports.drain();
            shards.drain();
            let told = readers.into_iter().map(|reader| reader.join().unwrap());
            let told: Vec<usize> = told.filter_map(|(told, index)| told.then_some(index)).collect();
            assert!(told.len() >= 10, "those who were there: {told:?}");
            house.wait_until("all ended", |house| house.transports.connections().is_empty());
        });
        house.runtime.block_on(async { tokio::time::timeout(PATIENCE, shards.idle()).await.unwrap() });
        shards.stop();
        assert_eq!(house.transports.sockets().open(), 0);
    }
}

fn post(body: &str) -> String {
    format!("POST /v1/channels/x HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A publish that is refused does not shift the answers of those behind it.
#[test]
fn each_publish_has_its_own_answer() {
    let limits = Limits { publish_bytes_in_flight_max: 1_000, ..Limits::default() };
    let house = House::with(Setup { limits, instant: false, ..Setup::default() });
    house.writes.shut();
    let mut first = house.connect();
    first.write(post(&"1".repeat(500)));
    house.writes.wait_for(1);
    let mut client = house.connect();
    client.write([post(&"2".repeat(600)), post("3"), post("4")].concat());
    assert!(client.answer().0.contains(" 503 "));
    house.get("/v1/channels/y", "").answer();
    house.writes.open();
    for offset in 2..=3 {
        let (head, answer) = client.answer();
        assert!(answer.contains(&format!("\"offset\":{offset}")), "{offset}: {head}{answer}");
    }
    assert!(first.answer().1.contains("\"offset\":1"));
}

#[test]
fn each_command_has_its_own_answer() {
    let limits = Limits { publish_bytes_in_flight_max: 1_000, ..Limits::default() };
    let house = House::with(Setup { limits, instant: false, ..Setup::default() });
    house.writes.shut();
    let mut first = house.connect();
    first.write(post(&"1".repeat(500)));
    house.writes.wait_for(1);
    let mut client = house.get("/v1/events", UPGRADE);
    client.until("\"replay\":0}");
    let publish = |reference: u64, body: &str| {
        text(&format!("{{\"op\":\"publish\",\"ref\":{reference},\"channel\":\"x\",\"data\":{body}}}"))
    };
    client.write(publish(1, &"2".repeat(600)));
    client.write([publish(2, &"2".repeat(600)), publish(3, "3")].concat());
    for reference in 1..=2 {
        let reply = client.until("}}");
        assert!(reply.contains(&format!("\"ref\":{reference},\"error\"")) && reply.contains("overloaded"), "{reply}");
    }
    house.get("/v1/channels/y", "").answer();
    house.writes.open();
    let reply = client.until("}}");
    assert!(reply.contains("\"ref\":3,\"ok\""), "{reply}");
}

/// Nothing counts as unanswered that is hyper's.
#[test]
fn what_is_handed_over_is_not_waited_for() {
    let house = House::new(Limits::default(), 1);
    let mut client = house.connect();
    client.write("POST /v1/channels/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nwr");
    std::thread::sleep(Duration::from_millis(100));
    client.write("ongDELETE /v1/channels/x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.answer().0.contains(" 400 "));
    house.wait_until("it is handed over", |house| house.transports.sockets().open() == 0);
    let idle = house.shards.as_ref().unwrap().idle();
    house.runtime.block_on(async { tokio::time::timeout(PATIENCE, idle).await.expect("waits for nobody") });
}

#[test]
fn a_request_that_has_come_before_the_drain_is_answered() {
    let house = House::new(Limits::default(), 1);
    let mut waiting = house.get("/v1/channels/x", "");
    waiting.answer();
    house.writes.shut();
    let mut first = house.connect();
    first.write(post("1"));
    // The publisher's thread is the sequencer: the shard stands still.
    house.writes.wait_for(1);
    waiting.write(post("2"));
    house.shards.as_ref().unwrap().drain();
    house.writes.open();
    assert!(first.answer().1.contains("\"offset\":1"));
    assert!(waiting.answer().1.contains("\"offset\":2"));
}

/// One event after the other to shards that sleep in between: no wake is lost.
#[test]
fn no_wake_is_lost() {
    for instant in [true, false] {
        let house = House::with(Setup { count: 3, instant, ..Setup::default() });
        let mut readers: Vec<Client> =
            (0..6).map(|_| house.get("/v1/channels/x?heartbeat=300", "Accept: application/x-ndjson\r\n")).collect();
        for reader in &mut readers {
            reader.until("$live");
        }
        let mut publisher = house.connect();
        for n in 0..1_000 {
            let data = format!("{{\"n\":{n}}}");
            if n % 2 == 0 {
                house.publish("x", data.clone());
            } else {
                publisher.write(post(&data));
                publisher.answer();
            }
            for reader in &mut readers {
                reader.until(&data);
            }
        }
    }
}

#[test]
fn who_ends_its_side_behind_many_requests_has_all_answers() {
    for instant in [true, false] {
        let house = House::with(Setup { instant, ..Setup::default() });
        for (request, count) in [("GET /v1/channels/x HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 100), (post("1"), 100)] {
            let mut client = house.connect();
            client.write(request.repeat(count));
            client.stream.shutdown(std::net::Shutdown::Write).unwrap();
            for n in 0..count {
                let (head, _) = client.answer();
                assert!(head.starts_with("HTTP/1.1 200"), "{n}: {head}");
            }
        }
    }
}
