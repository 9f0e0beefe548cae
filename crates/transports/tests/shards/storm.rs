//! Many clients of all ways that connect, read slowly, stop, vanish, resume and change ways, while publishers publish, trim
//! and drop; each client then has every event of its channels once, in order, or was told of a gap.
//!
//! `STORM_SECONDS` (3 unless said) and `STORM_SEED` say how long and which.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bongsu_core::limits::Limits;
use bongsu_core::policy::{Policy, Retention};
use bongsu_core::{ChannelPattern, Clock, Cursor, Millis};
use bongsu_wire::websocket::{Opcode, encode_masked};
use serde_json::Value;

use super::house::*;

struct Real;

impl Clock for Real {
    fn now(&self) -> Millis {
        Millis(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64)
    }
}

/// Chance from a seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// `t…` keep 20 events, `d…` are dropped now and then, `k…` keep all.
const CHANNELS: [&str; 6] = ["k0", "k1", "t0", "t1", "d0", "d1"];
const KINDS: [Option<&str>; 3] = [None, Some("a"), Some("b")];

/// What was published.
#[derive(Clone)]
struct Told {
    n: u64,
    /// None for what is not stored.
    seq: Option<u64>,
    kind: Option<&'static str>,
    passing: bool,
}

struct Stage {
    house: House,
    told: Mutex<HashMap<&'static str, Vec<Told>>>,
    /// When publishers stop.
    over: Instant,
    done: AtomicBool,
    events: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Stage {
    /// One publish over HTTP.
    fn tell(&self, client: &mut Client, channel: &'static str, n: u64, dice: &mut Dice, last: Option<&'static str>) {
        let kind = if self.done_soon() { last } else { KINDS[dice.below(3) as usize] };
        let (unstored, ttl) = if last.is_some() { (false, false) } else { (dice.one_in(10), dice.one_in(12)) };
        let mut query = format!("?x{}", if unstored { "&store=false" } else { "" });
        if let Some(kind) = kind.filter(|kind| *kind != "message") {
            query += &format!("&type={kind}");
        }
        if ttl {
            query += "&ttl=30";
        }
        let filler = match dice.below(30) {
            0 => 30_000,
            1..4 => 3_000,
            _ => dice.below(100) as usize,
        };
        let end = if last.is_some() { ",\"end\":true" } else { "" };
        let body = format!("{{\"n\":{n}{end},\"f\":\"{}\"}}", "x".repeat(filler));
        let head =
            format!("POST /v1/channels/{channel}{query} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
        client.write(head + &body);
        let (head, answer) = client.answer();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let seq = answer.get("id").and_then(Value::as_str).map(seq_of);
        assert_eq!(seq.is_none(), unstored, "{answer}");
        let kind = kind.filter(|kind| *kind != "message");
        let told = Told { n, seq, kind, passing: unstored || ttl };
        self.told.lock().unwrap().entry(channel).or_default().push(told);
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    fn done_soon(&self) -> bool {
        Instant::now() > self.over
    }

    fn publisher(&self, channel: &'static str, seed: u64) {
        let mut dice = Dice::new(seed);
        let mut client = self.house.connect();
        let mut n = 0;
        while !self.done_soon() {
            // Bursts and pauses.
            for _ in 0..dice.below(40) {
                n += 1;
                self.tell(&mut client, channel, n, &mut dice, None);
            }
            if channel.starts_with('d') && dice.one_in(10) {
                let (done, answer) = std::sync::mpsc::channel();
                self.house.hub.drop_history(channel.parse().unwrap(), move |_| done.send(()).unwrap()).unwrap();
                answer.recv().unwrap();
            }
            if dice.one_in(5) {
                client = self.house.connect();
            }
            std::thread::sleep(Duration::from_millis(dice.below(15)));
        }
        for kind in ["message", "a", "b"] {
            n += 1;
            self.tell(&mut client, channel, n, &mut dice, Some(kind));
        }
    }
}

fn seq_of(id: &str) -> u64 {
    Cursor::from_str(id).unwrap().seq.0
}

/// What one client has heard, over all its connections.
struct Heard {
    name: String,
    channels: Vec<&'static str>,
    types: Vec<Option<&'static str>>,
    start: u64,
    cursor: String,
    /// n and seq of what came, by channel.
    events: HashMap<String, Vec<(u64, Option<u64>)>>,
    /// Between which positions nothing is to be expected, by channel.
    gaps: HashMap<String, Vec<(u64, u64)>>,
    /// The newest position in this connection.
    newest: u64,
    ends: Vec<String>,
    history: Vec<String>,
}

impl Heard {
    fn hears(&mut self, object: &Value) {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let kind = text("type").unwrap_or("message");
        match kind {
            "$gap" => {
                let channel = text("channel").unwrap().to_owned();
                let last = self.position(&channel);
                let through = seq_of(text("cursor").unwrap());
                assert!(!channel.starts_with('k'), "{}: {object}", self.name);
                self.gaps.entry(channel).or_default().push((last, through));
            }
            "$live" | "$beat" => {
                let cursor = text("cursor").unwrap();
                assert!(seq_of(cursor) >= self.newest, "{}: {object} after {}", self.name, self.newest);
                self.newest = seq_of(cursor);
                self.cursor = cursor.to_owned();
            }
            "$open" | "$reply" | "$close" => {}
            _ => self.hears_event(object),
        }
    }

    fn position(&self, channel: &str) -> u64 {
        let events = self.events.get(channel);
        events.and_then(|events| events.iter().rev().find_map(|(_, seq)| *seq)).unwrap_or(self.start)
    }

    fn hears_event(&mut self, object: &Value) {
        let channel = object["channel"].as_str().unwrap();
        assert!(self.channels.contains(&channel), "{}: {object}", self.name);
        let n = object["data"]["n"].as_u64().unwrap();
        let kind = object.get("type").and_then(Value::as_str);
        assert!(self.types.is_empty() || self.types.contains(&kind), "{}: {object}", self.name);
        let seq = object.get("id").and_then(Value::as_str).map(seq_of);
        if let Some(seq) = seq {
            assert!(seq > self.newest, "{}: {seq} after {}: {:?}", self.name, self.newest, self.history);
            let gap = self.gaps.get(channel).and_then(|gaps| gaps.last());
            assert!(gap.is_none_or(|(_, through)| seq > *through), "{}: {seq} in {gap:?}", self.name);
            self.newest = seq;
            self.cursor = object["id"].as_str().unwrap().to_owned();
        }
        let events = self.events.entry(channel.to_owned()).or_default();
        let last = events.last().map_or(0, |(n, _)| *n);
        assert!(n > last, "{}: {channel} {n} after {last}: {:?}", self.name, self.history);
        events.push((n, seq));
        if object["data"].get("end").is_some() && (self.types.is_empty() || kind == self.types[self.types.len() - 1]) {
            let end_of_all = !self.types.is_empty() || kind == Some("b");
            if end_of_all && !self.ends.iter().any(|end| end == channel) {
                self.ends.push(channel.to_owned());
            }
        }
    }

    fn is_done(&self) -> bool {
        self.ends.len() == self.channels.len()
    }

    /// Everything that was told and wanted is here, or in a gap, or was passing.
    fn is_complete(&self, told: &HashMap<&'static str, Vec<Told>>) {
        for channel in &self.channels {
            let heard = self.events.get(*channel).map_or(&[][..], |events| events);
            let gaps = self.gaps.get(*channel).map_or(&[][..], |gaps| gaps);
            let mut heard = heard.iter().peekable();
            for told in &told[channel] {
                let was_heard = heard.next_if(|(n, _)| *n == told.n);
                if let Some((_, seq)) = was_heard {
                    assert_eq!(*seq, told.seq, "{}: {channel} {}", self.name, told.n);
                    continue;
                }
                let wanted = self.types.is_empty() || self.types.contains(&told.kind);
                let seq = told.seq.unwrap_or(0);
                let in_gap = gaps.iter().any(|(from, through)| seq > *from && seq <= *through);
                let excused = !wanted || told.passing || seq <= self.start || in_gap;
                assert!(excused, "{} lost {channel} {} {seq}; gaps {gaps:?}; {:?}", self.name, told.n, self.history);
            }
            assert!(heard.peek().is_none(), "{}: {channel} {heard:?} was never told", self.name);
        }
    }
}

/// What came, up to objects.
#[derive(Debug, Default)]
pub(super) struct Parser {
    pub(super) raw: Vec<u8>,
    body: Vec<u8>,
    pub(super) head: bool,
    ended: bool,
    /// Not answered yet.
    pub(super) pings: usize,
}

impl Parser {
    /// The whole objects at the front.
    pub(super) fn objects(&mut self, way: &str) -> Vec<Value> {
        if !self.head {
            let Some(end) = self.raw.windows(4).position(|window| window == b"\r\n\r\n") else { return Vec::new() };
            let head = String::from_utf8(self.raw.drain(..end + 4).collect()).unwrap();
            assert!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.1 101"), "{head}");
            self.head = true;
        }
        match way {
            "websocket" => self.frames(),
            _ => {
                self.unchunk();
                self.lines(way)
            }
        }
    }

    fn unchunk(&mut self) {
        while let Some(line) = self.raw.windows(2).position(|window| window == b"\r\n") {
            let length = std::str::from_utf8(&self.raw[..line]).unwrap();
            let length = usize::from_str_radix(length, 16).unwrap_or_else(|_| panic!("no length: {length:?}"));
            if self.raw.len() < line + length + 4 {
                break;
            }
            assert_eq!(&self.raw[line + 2 + length..line + 4 + length], b"\r\n");
            self.body.extend_from_slice(&self.raw[line + 2..line + 2 + length]);
            self.raw.drain(..line + length + 4);
            self.ended |= length == 0;
        }
    }

    fn lines(&mut self, way: &str) -> Vec<Value> {
        let end: &[u8] = if way == "sse" { b"\n\n" } else { b"\n" };
        let mut objects = Vec::new();
        while let Some(at) = self.body.windows(end.len()).position(|window| window == end) {
            let event = String::from_utf8(self.body.drain(..at + end.len()).collect()).unwrap();
            let data = match way {
                "sse" => event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap(),
                _ => &event,
            };
            let object: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {event:?}"));
            if way == "sse" && object.get("channel").is_some() && object.get("offset").is_some() {
                let id = event.lines().find_map(|line| line.strip_prefix("id: "));
                assert_eq!(id, object["id"].as_str());
            }
            objects.push(object);
        }
        objects
    }

    fn frames(&mut self) -> Vec<Value> {
        let mut objects = Vec::new();
        while let [first, second, ..] = self.raw[..] {
            let (head, length) = match (second, self.raw.len()) {
                (126, 4..) => (4, usize::from(u16::from_be_bytes([self.raw[2], self.raw[3]]))),
                (127, 10..) => (10, u64::from_be_bytes(self.raw[2..10].try_into().unwrap()) as usize),
                (126 | 127, _) => break,
                (length, _) => (2, usize::from(length)),
            };
            if self.raw.len() < head + length {
                break;
            }
            let frame: Vec<u8> = self.raw.drain(..head + length).skip(head).collect();
            match first {
                0x81 => objects.push(serde_json::from_slice(&frame).unwrap()),
                0x88 => self.ended = true,
                0x89 => self.pings += 1,
                0x8a => {}
                other => panic!("a frame that begins with {other:x}"),
            }
        }
        objects
    }
}

/// One client, until it has all.
fn client(stage: &Stage, number: u64, seed: u64) -> Heard {
    let mut dice = Dice::new(seed ^ (number + 1) << 32);
    let mut channels: Vec<&'static str> = CHANNELS.to_vec();
    let first = dice.below(6) as usize;
    channels.rotate_left(first);
    channels.truncate([1, 1, 2, 6][dice.below(4) as usize]);
    let types: Vec<_> = match dice.below(3) {
        0 => vec![KINDS[dice.below(3) as usize]],
        _ => Vec::new(),
    };
    let start = Cursor::new(stage.house.hub.epoch(), stage.house.hub.head());
    let mut heard = Heard {
        name: format!("client {number} of seed {seed} reads {channels:?} {types:?}"),
        channels,
        types,
        start: start.seq.0,
        cursor: start.to_string(),
        events: HashMap::new(),
        gaps: HashMap::new(),
        newest: 0,
        ends: Vec::new(),
        history: Vec::new(),
    };
    let began = Instant::now();
    while !heard.is_done() {
        let late = stage.done.load(Ordering::Relaxed);
        let over = began.elapsed() > Duration::from_secs(60) + (stage.over - began.min(stage.over));
        assert!(!over, "{} does not come to its end: {:?} {:?}", heard.name, heard.ends, heard.history);
        heard.newest = seq_of(&heard.cursor);
        match dice.below(6) {
            0 => polls(stage, &mut heard, &mut dice, false),
            1 => polls(stage, &mut heard, &mut dice, true),
            2 => streams(stage, &mut heard, &mut dice, "sse", late),
            3 => streams(stage, &mut heard, &mut dice, "stream", late),
            _ => streams(stage, &mut heard, &mut dice, "websocket", late),
        }
        if heard.history.len() > 12 {
            heard.history.remove(0);
        }
    }
    heard
}

fn target(heard: &Heard, more: &str) -> String {
    let mut target = format!("/v1/events?since={}{more}", heard.cursor);
    heard.channels.iter().for_each(|channel| target += &format!("&channel={channel}"));
    heard.types.iter().for_each(|kind| target += &format!("&type={}", kind.unwrap_or("message")));
    target
}

fn polls(stage: &Stage, heard: &mut Heard, dice: &mut Dice, waits: bool) {
    let mut client = stage.house.connect();
    for _ in 0..1 + dice.below(20) {
        let wait = if waits { "&wait=1" } else { "" };
        let limit = 1 + dice.below(300);
        let close = dice.one_in(10);
        let before = heard.cursor.clone();
        client.get(&target(heard, &format!("&limit={limit}{wait}")), if close { "Connection: close\r\n" } else { "" });
        if dice.one_in(30) {
            return heard.history.push(format!("vanished from a poll since {before}"));
        }
        let (head, answer) = client.answer();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        for object in answer["events"].as_array().unwrap() {
            heard.hears(object);
        }
        let cursor = answer["cursor"].as_str().unwrap();
        assert!(seq_of(cursor) >= heard.newest, "{}", heard.name);
        heard.newest = seq_of(cursor);
        heard.cursor = cursor.to_owned();
        heard.history.push(format!("poll {waits} {limit}: {before} to {cursor}"));
        if close || heard.is_done() {
            return;
        }
    }
}

/// A small window, so that the server feels a slow reader.
// Below about 8 KB the kernel sends by its persist timer only: a few KB a second.
fn connect_small(stage: &Stage, bytes: usize) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(bytes).unwrap();
    socket.connect(&stage.house.address.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    stream
}

fn streams(stage: &Stage, heard: &mut Heard, dice: &mut Dice, way: &str, late: bool) {
    let small = dice.one_in(2) && !late;
    let mut stream = connect_small(stage, if small { 8_000 } else { 100_000 });
    let headers = if way == "websocket" { UPGRADE } else { "" };
    let before = heard.cursor.clone();
    let target = target(heard, &format!("&transport={way}&heartbeat=5"));
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut parser = Parser::default();
    let bytes_max = dice.below(if small { 100_000 } else { 3_000_000 });
    let until = Instant::now() + Duration::from_millis(if late { 60_000 } else { dice.below(1_500) });
    let mut buffer = vec![0; if small { 700 } else { 64 << 10 }];
    let mut read = 0;
    while Instant::now() < until && (late || read < bytes_max) && !heard.is_done() {
        match stream.read(&mut buffer) {
            Ok(0) => panic!("{}: {way} ended by itself: {:?}", heard.name, heard.history),
            Ok(count) => {
                read += count as u64;
                parser.raw.extend_from_slice(&buffer[..count]);
                for object in parser.objects(way) {
                    heard.hears(&object);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{}: {way}: {error}", heard.name),
        }
        if small && dice.one_in(4) {
            std::thread::sleep(Duration::from_millis(dice.below(60)));
        }
        if way == "websocket" && dice.one_in(10) {
            let ping = encode_masked(Opcode::Ping, b"?", [1, 2, 3, 4]);
            stream.write_all(&ping).unwrap();
        }
        if late && !stage.done.load(Ordering::Relaxed) {
            break;
        }
    }
    heard.history.push(format!("{way} {before} to {} after {read}", heard.cursor));
    match dice.below(3) {
        // Vanishes with a reset.
        0 => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
        1 if way == "websocket" => {
            let _ = stream.write_all(&encode_masked(Opcode::Close, &[3, 232], [1, 2, 3, 4]));
        }
        _ => {}
    }
}

/// Reads payloads only, which have no cursors: what comes on one connection is in order, and without holes where all is kept.
fn reads_data(stage: &Stage, number: u64, seed: u64) {
    let mut dice = Dice::new(seed ^ (number + 100) << 32);
    let mut heard: Vec<Vec<u64>> = Vec::new();
    let channel = CHANNELS[number as usize % CHANNELS.len()];
    while !stage.done.load(Ordering::Relaxed) {
        let way = ["stream", "websocket"][dice.below(2) as usize];
        let mut stream = connect_small(stage, 8_000);
        let upgrade = if way == "websocket" { UPGRADE } else { "" };
        let target = format!("/v1/channels/{channel}?format=data&transport={way}");
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n").as_bytes()).unwrap();
        let (mut parser, mut numbers) = (Parser::default(), Vec::new());
        let until = Instant::now() + Duration::from_millis(dice.below(2_000));
        let mut buffer = [0; 3_000];
        while Instant::now() < until {
            if let Ok(count) = stream.read(&mut buffer) {
                assert!(count > 0, "{way} of data ended by itself");
                parser.raw.extend_from_slice(&buffer[..count]);
                numbers.extend(parser.objects(way).iter().map(|data| data["n"].as_u64().unwrap()));
            }
            if dice.one_in(8) {
                std::thread::sleep(Duration::from_millis(dice.below(40)));
            }
        }
        assert!(numbers.is_sorted_by(|one, other| one < other), "{channel} {way}: {numbers:?}");
        heard.push(numbers);
    }
    if channel.starts_with('k') {
        let told = stage.told.lock().unwrap();
        let lasting: Vec<u64> = told[channel].iter().filter(|told| !told.passing).map(|told| told.n).collect();
        for numbers in heard.iter().filter(|numbers| !numbers.is_empty()) {
            let span = numbers[0]..=numbers[numbers.len() - 1];
            let mut missing = lasting.iter().filter(|n| span.contains(n) && numbers.binary_search(n).is_err());
            assert_eq!(missing.next(), None, "{channel}: {numbers:?}");
        }
    }
}

impl Stage {
    /// Everybody's part, until all have ended; what each of the clients heard.
    fn run(&self, seed: u64, clients: u64) -> Vec<Heard> {
        std::thread::scope(|scope| {
            let publishers: Vec<_> = CHANNELS
                .iter()
                .enumerate()
                .map(|(index, channel)| scope.spawn(move || self.publisher(channel, seed * 100 + index as u64)))
                .collect();
            let clients: Vec<_> = (0..clients).map(|number| scope.spawn(move || client(self, number, seed))).collect();
            let readers: Vec<_> = (0..6).map(|number| scope.spawn(move || reads_data(self, number, seed))).collect();
            for publisher in publishers {
                if publisher.join().is_err() {
                    self.failures.lock().unwrap().push("a publisher".into());
                }
            }
            self.done.store(true, Ordering::Relaxed);
            for reader in readers {
                if reader.join().is_err() {
                    self.failures.lock().unwrap().push("a reader of data".into());
                }
            }
            clients
                .into_iter()
                .filter_map(|client| {
                    client.join().map_err(|_| self.failures.lock().unwrap().push("a client".into())).ok()
                })
                .collect()
        })
    }
}

pub(super) fn storm(seed: u64, seconds: u64, clients: u64) {
    let mut dice = Dice::new(seed);
    let ring_bytes_max = [1, 3_000, 60_000, 8 << 20][dice.below(4) as usize];
    let count = [1, 3][dice.below(2) as usize];
    let instant = dice.one_in(2);
    let slow = Duration::from_millis([0, 1, 3][dice.below(3) as usize]);
    let send_buffer_bytes = [None, Some(2_000), Some(20_000)][dice.below(3) as usize];
    let what = format!(
        "seed {seed}: ring {ring_bytes_max}, {count} shards, instant {instant}, slow {slow:?}, send {send_buffer_bytes:?}"
    );
    let few = Policy { retention: Retention { events_max: 20, ..Retention::default() }, ..Policy::default() };
    let house = House::with(Setup {
        limits: Limits { ring_bytes_max, ..Limits::default() },
        count,
        rules: vec![(ChannelPattern::new("t0").unwrap(), few), (ChannelPattern::new("t1").unwrap(), few)],
        instant,
        slow,
        send_buffer_bytes,
        clock: Arc::new(Real),
        ..Setup::default()
    });
    let stage = Stage {
        house,
        told: Mutex::default(),
        over: Instant::now() + Duration::from_secs(seconds),
        done: AtomicBool::new(false),
        events: AtomicU64::new(0),
        failures: Mutex::default(),
    };
    let heard = stage.run(seed, clients);
    assert!(stage.failures.lock().unwrap().is_empty(), "{what}: {:?}", stage.failures);
    let told = stage.told.lock().unwrap();
    heard.iter().for_each(|heard| heard.is_complete(&told));
    let all: usize = heard.iter().flat_map(|heard| heard.events.values()).map(Vec::len).sum();
    let gaps: usize = heard.iter().flat_map(|heard| heard.gaps.values()).map(Vec::len).sum();
    eprintln!("{what}: {} events, {all} deliveries, {gaps} gaps", stage.events.load(Ordering::Relaxed));
    nothing_is_left(&stage.house, &what);
}

/// Whoever has gone has left no connection, socket, reader or unanswered request behind.
fn nothing_is_left(house: &House, what: &str) {
    house.wait_until("all connections are off the table", |house| house.transports.connections().is_empty());
    house.wait_until("all sockets are closed", |house| house.transports.sockets().open() == 0);
    assert_eq!(house.transports.connections().by_way(), [0; 5]);
    for channel in CHANNELS {
        assert_eq!(house.hub.channel(&channel.parse().unwrap()).1.total(), 0, "{what}: {channel}");
    }
    let idle = house.shards.as_ref().unwrap().idle();
    house.runtime.block_on(async { tokio::time::timeout(PATIENCE, idle).await.unwrap() });
}

#[test]
fn nobody_loses_or_repeats_an_event_in_a_storm() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let (seed, seconds) = (variable("STORM_SEED").unwrap_or(1), variable("STORM_SECONDS").unwrap_or(2));
    for seed in seed..seed + variable("STORM_SEEDS").unwrap_or(2) {
        storm(seed, seconds, 24);
    }
}
