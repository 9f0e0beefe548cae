//! WebSockets that subscribe, leave and subscribe again all the time: each window on a channel is without holes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::str::FromStr as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bongsu_core::Cursor;
use bongsu_core::limits::Limits;
use bongsu_wire::websocket::{Opcode, encode_masked};
use serde_json::Value;

use super::house::*;
use super::storm::{Dice, Parser};

const CHANNELS: [&str; 4] = ["c0", "c1", "c2", "c3"];

/// Sequence number and offset of all that was published, by channel.
type Told = Mutex<HashMap<&'static str, Vec<(u64, u64)>>>;

#[derive(Debug)]
struct Window {
    channel: String,
    /// After this position everything is to come; None where it began at some head.
    since: Option<u64>,
    events: Vec<(u64, u64)>,
}

struct Churner<'a> {
    stream: TcpStream,
    parser: Parser,
    dice: Dice,
    reference: u64,
    /// Commands that are not answered.
    waiting: VecDeque<(u64, String, Vec<String>, Option<u64>)>,
    open: BTreeMap<String, Window>,
    closed: Vec<Window>,
    cursors: Vec<String>,
    small: bool,
    /// When something came last.
    heard: Instant,
    house: &'a House,
    history: Vec<String>,
}

impl Churner<'_> {
    fn command(&mut self, out: &mut Vec<u8>) {
        self.reference += 1;
        let count = 1 + self.dice.below(3) as usize;
        let first = self.dice.below(4) as usize;
        let channels: Vec<String> = (0..count).map(|index| CHANNELS[(first + index) % 4].to_owned()).collect();
        let list = serde_json::to_string(&channels).unwrap();
        let reference = self.reference;
        let (op, since) = match self.dice.below(5) {
            0 | 1 => ("unsubscribe", None),
            2 => ("subscribe", None),
            3 if !self.cursors.is_empty() => {
                let index = self.dice.below(self.cursors.len() as u64) as usize;
                ("subscribe", Some(self.cursors[index].clone()))
            }
            _ => ("subscribe", Some("start".to_owned())),
        };
        let from = since.as_deref().map(|since| Cursor::from_str(since).map_or(0, |cursor| cursor.seq.0));
        let since = since.map_or(String::new(), |since| format!(",\"since\":\"{since}\""));
        let json = format!("{{\"op\":\"{op}\",\"ref\":{reference},\"channels\":{list}{since}}}");
        self.history.push(json.clone());
        out.extend_from_slice(&text(&json));
        self.waiting.push_back((reference, op.to_owned(), channels, from));
    }

    fn hears(&mut self, object: &Value) {
        match object.get("type").and_then(Value::as_str) {
            Some("$reply") => {
                let (reference, op, channels, from) = self.waiting.pop_front().unwrap();
                assert_eq!(object["ref"].as_u64(), Some(reference), "{object}");
                assert!(object.get("ok").is_some(), "{object}");
                for channel in channels {
                    if op == "unsubscribe" {
                        self.closed.extend(self.open.remove(&channel));
                    } else {
                        let window = || Window { channel: channel.clone(), since: from, events: Vec::new() };
                        self.open.entry(channel.clone()).or_insert_with(window);
                    }
                }
            }
            Some("$open" | "$live" | "$beat") => {}
            Some("$gap" | "$close") => panic!("{object}"),
            _ => {
                let channel = object["channel"].as_str().unwrap();
                let seq = Cursor::from_str(object["id"].as_str().unwrap()).unwrap().seq.0;
                let history = &self.history;
                let window = self.open.get_mut(channel).unwrap_or_else(|| panic!("{object} after {history:?}"));
                window.events.push((seq, object["offset"].as_u64().unwrap()));
                if self.dice.below(50) == 0 {
                    self.cursors.push(object["id"].as_str().unwrap().to_owned());
                }
            }
        }
    }

    fn read(&mut self) {
        let mut buffer = vec![0; if self.small { 700 } else { 64 << 10 }];
        match self.stream.read(&mut buffer) {
            Ok(0) => panic!("ended: {:?}", self.history),
            Ok(count) => {
                self.heard = Instant::now();
                self.parser.raw.extend_from_slice(&buffer[..count]);
                for object in self.parser.objects("websocket") {
                    self.hears(&object);
                }
                for _ in 0..std::mem::take(&mut self.parser.pings) {
                    self.stream.write_all(&encode_masked(Opcode::Pong, b"", [1, 2, 3, 4])).unwrap();
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Until there is nothing more to come.
    fn finish(mut self, head: u64, told: &Told) -> Vec<Window> {
        while !self.waiting.is_empty() || self.open.is_empty() {
            let silent = self.heard.elapsed() > Duration::from_secs(20);
            assert!(!silent, "no answers: {:?} {:?}", self.waiting, self.parser);
            if self.waiting.is_empty() {
                let mut out = Vec::new();
                self.command(&mut out);
                self.stream.write_all(&out).unwrap();
            }
            self.read();
        }
        let told = told.lock().unwrap();
        let last = |channel: &str| told[channel].last().unwrap().0;
        loop {
            let missing = self.open.values().any(|window| {
                window.since.is_some()
                    && window.since.unwrap() < last(&window.channel)
                    && window.events.last().is_none_or(|(seq, _)| *seq < last(&window.channel))
            });
            if !missing {
                break;
            }
            let silent = self.heard.elapsed() > Duration::from_secs(20);
            assert!(!silent, "never: {head} {:?} {:?}", self.history, self.parser);
            self.read();
        }
        self.closed.extend(std::mem::take(&mut self.open).into_values());
        self.closed
    }
}

fn churner(house: &House, seed: u64, over: Instant, told: &Told, end: &AtomicBool) -> Vec<Window> {
    let mut dice = Dice::new(seed);
    let small = dice.below(2) == 0;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(if small { 16_000 } else { 100_000 }).unwrap();
    socket.connect(&house.address.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut churner = Churner {
        stream,
        parser: Parser::default(),
        dice,
        reference: 0,
        waiting: VecDeque::new(),
        open: BTreeMap::new(),
        closed: Vec::new(),
        cursors: Vec::new(),
        small,
        heard: Instant::now(),
        house,
        history: Vec::new(),
    };
    churner.stream.write_all(format!("GET /v1/events HTTP/1.1\r\nHost: h\r\n{UPGRADE}\r\n").as_bytes()).unwrap();
    while !churner.parser.head {
        churner.read();
    }
    while Instant::now() < over {
        let mut out = Vec::new();
        for _ in 0..1 + churner.dice.below(6) {
            churner.command(&mut out);
        }
        churner.stream.write_all(&out).unwrap();
        let until = Instant::now() + Duration::from_millis(churner.dice.below(100));
        while Instant::now() < until || churner.waiting.len() > 40 {
            churner.read();
            if churner.small && churner.dice.below(4) == 0 {
                std::thread::sleep(Duration::from_millis(churner.dice.below(30)));
            }
        }
    }
    churner.small = false;
    while !end.load(Ordering::SeqCst) {
        churner.read();
    }
    let head = churner.house.hub.head().0;
    churner.finish(head, told)
}

fn churn(seed: u64, seconds: u64) {
    let mut dice = Dice::new(seed);
    let ring_bytes_max = [1, 3_000, 60_000][dice.below(3) as usize];
    let slow = Duration::from_millis([0, 1, 3][dice.below(3) as usize]);
    let (count, instant) = (1 + 2 * dice.below(2) as usize, dice.below(2) == 0);
    let send_buffer_bytes = [None, Some(2_000)][dice.below(2) as usize];
    let limits = Limits { ring_bytes_max, ..Limits::default() };
    let house = House::with(Setup { limits, count, instant, slow, send_buffer_bytes, ..Setup::default() });
    let (told, end) = (Told::default(), AtomicBool::new(false));
    let over = Instant::now() + Duration::from_secs(seconds);
    let windows: Vec<Window> = std::thread::scope(|scope| {
        let (house, told, end) = (&house, &told, &end);
        let publishers: Vec<_> = CHANNELS
            .iter()
            .map(|channel| {
                scope.spawn(move || {
                    let mut dice = Dice::new(seed + 77);
                    for offset in 1.. {
                        let filler = if dice.below(10) == 0 { 3_000 } else { 10 };
                        let seq = house.publish_for_seq(channel, format!("\"{}\"", "x".repeat(filler)));
                        told.lock().unwrap().entry(channel).or_default().push((seq, offset));
                        std::thread::sleep(Duration::from_millis(dice.below(6)));
                        if Instant::now() > over {
                            break;
                        }
                    }
                })
            })
            .collect();
        let churners: Vec<_> =
            (0..12).map(|index| scope.spawn(move || churner(house, seed * 31 + index, over, told, end))).collect();
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        end.store(true, Ordering::SeqCst);
        churners.into_iter().flat_map(|churner| churner.join().unwrap()).collect()
    });
    let told = told.into_inner().unwrap();
    let mut all = 0;
    for window in &windows {
        let truth = &told[window.channel.as_str()];
        let first = window.events.first().map_or(0, |(seq, _)| *seq);
        let start = match window.since {
            Some(since) => truth.partition_point(|(seq, _)| *seq <= since),
            None => truth.partition_point(|(seq, _)| *seq < first),
        };
        let expected: Vec<_> = truth[start..].iter().take(window.events.len()).copied().collect();
        let (got, since) = (&window.events, window.since);
        let differs = got.iter().zip(&expected).position(|(got, expected)| got != expected);
        assert_eq!(differs, None, "seed {seed} {} since {since:?}", window.channel);
        assert_eq!(got.len(), expected.len());
        all += got.len();
    }
    eprintln!(
        "seed {seed}: ring {ring_bytes_max} slow {slow:?} {count} shards: {} windows, {all} deliveries",
        windows.len()
    );
    house.wait_until("all sockets are closed", |house| house.transports.sockets().open() == 0);
    for channel in CHANNELS {
        assert_eq!(house.hub.channel(&channel.parse().unwrap()).1.total(), 0, "{channel}");
    }
}

#[test]
fn windows_on_channels_have_no_holes() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let (seed, seconds) = (variable("STORM_SEED").unwrap_or(1), variable("STORM_SECONDS").unwrap_or(2));
    for seed in seed..seed + variable("STORM_SEEDS").unwrap_or(2) {
        churn(seed, seconds);
    }
}
