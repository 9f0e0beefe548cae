//! The generator against the floors: real sockets, everything delivered, nothing counted that was not.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Job, Sending, ring, serve};
use crate::generator::{Dialect, Generator, Plan, Way};

const PATIENCE: Duration = Duration::from_secs(20);

/// Serves in a thread of the test, which ends with the test program.
fn started(job: Job, dir: &Path) -> SocketAddr {
    let port_file = dir.join("port");
    let path = port_file.clone();
    std::thread::spawn(move || serve(job, &path).map_err(|error| error.to_string()));
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(text) = std::fs::read_to_string(&port_file) {
            return text.trim().parse().expect("an address");
        }
        assert!(Instant::now() < deadline, "the floor was not ready in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn plan(target: SocketAddr) -> Plan {
    Plan { channels: 3, each: 4, publishers: 5, comes_back: true, ..Plan::new(target, Dialect::Bongsu, Way::Sse) }
}

/// All subscribe, get 300 events, go away, miss 30 and come back to a floor that keeps so many per channel.
fn after_coming_back(keep: usize, sending: Sending) -> crate::ledger::Tally {
    let dir = tempfile::tempdir().expect("a directory");
    let target = started(Job::Fanout { keep, sending }, dir.path());
    let mut generator = Generator::new(plan(target)).expect("a generator");
    generator.join(PATIENCE).expect("all subscribe");
    generator.connect_publishers(PATIENCE).expect("all connect");
    generator.publish_count(300, PATIENCE).expect("all arrive");
    assert_eq!(generator.desk.ledger.tally().delivered, 300 * 4);
    assert!(generator.desk.deliveries.max_us() > 0.0);

    generator.disconnect(target);
    generator.connect_publishers(PATIENCE).expect("all connect");
    generator.publish_to_nobody(30, PATIENCE).expect("all are acknowledged");
    assert!(!generator.all_have_all());
    generator.join(PATIENCE).expect("all subscribe again");
    assert!(generator.run(PATIENCE, Generator::all_have_all).expect("a floor that goes on"));
    generator.finish();
    generator.desk.ledger.tally()
}

#[test]
fn all_get_all_and_come_back_for_what_they_missed() {
    let expected = crate::ledger::Tally { delivered: 330 * 4, ..Default::default() };
    let mut sendings = vec![Sending::Each, Sending::Tens];
    sendings.extend(ring::Ring::new().map(|ring| Sending::Ring(Box::new(ring))));
    for sending in sendings {
        assert_eq!(after_coming_back(1_000, sending), expected);
    }
}

#[test]
fn what_the_floor_does_not_keep_is_counted_as_lost() {
    // Ten of each of three channels were missed, two of them kept.
    let lost = 3 * 8 * 4;
    let expected = crate::ledger::Tally { delivered: 330 * 4 - lost, lost, ..Default::default() };
    assert_eq!(after_coming_back(2, Sending::Each), expected);
}

#[test]
fn a_crowd_that_never_reads_is_not_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let target = started(Job::Fanout { keep: 0, sending: Sending::Each }, dir.path());
    let plan = Plan { channels: 1, crowd: 6, crowd_receive_bytes: Some(4096), ..plan(target) };
    let mut generator = Generator::new(plan).expect("a generator");
    generator.join(PATIENCE).expect("all subscribe");
    generator.stall_crowd().expect("sockets that can be left alone");
    generator.connect_publishers(PATIENCE).expect("all connect");
    generator.publish_count(3_000, PATIENCE).expect("all arrive at those that read");
    generator.forget_crowd();
    assert!(generator.all_have_all());
    generator.finish();
    let expected = crate::ledger::Tally { delivered: 3_000 * 4, ..Default::default() };
    assert_eq!(generator.desk.ledger.tally(), expected);
}

#[test]
fn in_open_loop_all_arrives_while_a_crowd_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let target = started(Job::Fanout { keep: 1_000, sending: Sending::Each }, dir.path());
    let plan = Plan { channels: 1, crowd: 50, crowd_channel: 1, ..plan(target) };
    let mut generator = Generator::new(plan).expect("a generator");
    generator.join(PATIENCE).expect("all subscribe");
    generator.connect_publishers(PATIENCE).expect("all connect");
    generator.publish_to_crowd(5, false, PATIENCE).expect("all arrive");
    generator.disconnect(target);
    generator.connect_publishers(PATIENCE).expect("all connect");
    generator.publish_to_crowd(20, true, PATIENCE).expect("all are acknowledged");
    generator.join_regulars(PATIENCE).expect("some subscribe");
    assert!(!generator.has_all(4));
    generator.desk.begin_measuring();
    let enough = |it: &Generator| it.all_are_subscribed() && (4..54).all(|who| it.has_all(who));
    assert!(generator.publish_at(2_000.0, true, PATIENCE, enough).expect("a floor that goes on"));
    generator.close_loop(PATIENCE).expect("all are answered");
    assert!(generator.run(PATIENCE, Generator::all_have_all).expect("a floor that goes on"));
    generator.finish();
    let delivered = 25 * 50 + generator.desk.published * 4;
    let expected = crate::ledger::Tally { delivered, ..Default::default() };
    assert_eq!(generator.desk.ledger.tally(), expected);
}

#[test]
fn the_echo_answers_and_its_file_has_all() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let file = std::fs::File::create_new(&path).expect("a file");
    for job in [Job::Echo(None), Job::Echo(Some(file))] {
        let own = tempfile::tempdir().expect("a directory");
        let target = started(job, own.path());
        let plan = Plan { channels: 1, each: 0, numbered: false, ..plan(target) };
        let mut generator = Generator::new(plan).expect("a generator");
        generator.connect_publishers(PATIENCE).expect("all connect");
        generator.publish_count(200, PATIENCE).expect("all are answered");
        assert_eq!(generator.desk.published, 200);
    }
    assert_eq!(std::fs::metadata(&path).expect("the file").len(), 200 * 100);
}

fn connected(target: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(target).expect("a floor");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

#[test]
fn a_subscriber_that_reads_late_gets_all() {
    // More than the socket's buffers hold, so that the floor has to keep the rest.
    const EVENTS: usize = 30_000;
    let dir = tempfile::tempdir().expect("a directory");
    let target = started(Job::Fanout { keep: 0, sending: Sending::Each }, dir.path());
    let mut late = BufReader::new(connected(target));
    late.get_mut().write_all(b"GET /v1/channels/bench:0 HTTP/1.1\r\n\r\n").expect("a floor");
    let mut lines = late.by_ref().lines().map(|line| line.expect("text"));
    assert!(lines.any(|line| line.contains("$live")));
    let plan = Plan { channels: 1, each: 0, ..plan(target) };
    let mut generator = Generator::new(plan).expect("a generator");
    generator.connect_publishers(PATIENCE).expect("all connect");
    generator.publish_count(EVENTS, PATIENCE).expect("all are acknowledged");
    let events = late.lines().map(|line| line.expect("text")).filter(|line| line.starts_with("data:"));
    for (number, line) in events.take(EVENTS).enumerate() {
        assert!(line.contains(&format!("\"offset\":{},", number + 1)), "{line}");
    }
}

#[test]
fn requests_may_come_in_pieces() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut stream = connected(started(Job::Echo(None), dir.path()));
    let requests: String =
        (1..=3).map(|number| format!("POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{number}.")).collect();
    for piece in requests.as_bytes().chunks(7) {
        stream.write_all(piece).expect("a floor");
        std::thread::sleep(Duration::from_millis(2));
    }
    stream.shutdown(std::net::Shutdown::Write).expect("a socket");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("text");
    let bodies: Vec<&str> = answers.split("\r\n\r\n").skip(1).map(|rest| &rest[..2]).collect();
    assert_eq!(bodies, ["1.", "2.", "3."], "{answers}");
}
