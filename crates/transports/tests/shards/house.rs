//! Shards over real sockets with the least layer above them, and a log whose reads can be held up or slowed down.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bongsu_core::cursor::{Epoch, Seq};
use bongsu_core::limits::Limits;
use bongsu_core::log::{AppendOutcome, Budget, ChannelState, Draft, Group, Log, LogError, LogUsage, Slice, Trim};
use bongsu_core::policy::{Policy, Rules};
use bongsu_core::{Chance, ChannelName, ChannelPattern, Clock, Millis, Payload, PayloadKind, Problem};
use bongsu_hub::{Hub, Running};
use bongsu_log::{LogConfig, MemoryLog};
use bongsu_transports::Transports;
use bongsu_transports::shard::{Front, HandedOver, Route, Settings, Shards};
use bongsu_wire::http1::{Head, Method};
use bongsu_wire::websocket::{Opcode, encode_masked};
use bytes::Bytes;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Millis {
        Millis(1_000)
    }
}

#[derive(Default)]
struct Counting(AtomicU64);

impl Chance for Counting {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

struct Plain;

impl Front for Plain {
    fn route<'a>(&self, head: &Head<'a>) -> Route<'a> {
        match (head.path.strip_prefix("/v1/channels/"), head.method) {
            (Some(channel), Method::Post) => Route::Publish(channel),
            (Some(channel), _) => Route::Read(Some(channel)),
            (None, _) if head.path == "/v1/events" => Route::Read(None),
            (None, _) if head.path == "/echo" => Route::Echo,
            _ => Route::Other,
        }
    }

    fn check(&self, _: &Head<'_>) -> Result<(), Problem> {
        Ok(())
    }

    fn marks(&self, _: &Head<'_>, _: Route<'_>) -> Bytes {
        Bytes::from_static(b"x-mark: here\r\n")
    }

    fn draft(&self, head: &Head<'_>, channel: &str, body: Bytes) -> Result<Draft, Problem> {
        if &body[..] == b"wrong" {
            return Err(Problem::new(bongsu_core::ErrorCode::BadRequest, "wrong"));
        }
        let value = |name: &str| head.query.split('&').find_map(|pair| pair.strip_prefix(name));
        let mut draft = draft(channel, value("type="), body);
        draft.store = value("store=") != Some("false");
        draft.ttl = value("ttl=").map(|ttl| Duration::from_millis(ttl.parse().unwrap()));
        Ok(draft)
    }

    fn body_bytes_max(&self, _: &str) -> usize {
        1 << 20
    }

    fn answered(&self, _: Route<'_>, _: Method, _: u16) {}

    fn published(&self, _: Duration) {}
}

pub(crate) fn draft(channel: &str, kind: Option<&str>, bytes: Bytes) -> Draft {
    Draft {
        channel: channel.parse().unwrap(),
        kind: kind.map(|kind| bongsu_core::EventType::new(kind).unwrap()),
        key: None,
        user: None,
        ttl: None,
        store: true,
        payload: Payload { kind: PayloadKind::Json, content_type: None, bytes },
        idempotency: None,
        subscribers: 0,
    }
}

/// A gate through which reads of the disk pass, and who waits at it.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        self.changed.notify_all();
        while state.0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    pub(crate) fn shut(&self) {
        *self.state.lock().unwrap() = (true, 0);
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().0 = false;
        self.changed.notify_all();
    }

    pub(crate) fn standing(&self) -> usize {
        self.state.lock().unwrap().1
    }

    /// Waits until so many stand at the gate.
    pub(crate) fn wait_for(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let (state, _) = self.changed.wait_timeout_while(state, PATIENCE, |state| state.1 < count).unwrap();
        assert!(state.1 >= count, "nobody reads from the disk");
    }
}

/// A log whose reads can be held up.
pub(crate) struct GatedLog {
    inner: MemoryLog,
    gate: Arc<Gate>,
    writes: Arc<Gate>,
    instant: bool,
    slow: Duration,
    reads: AtomicU64,
}

impl Log for GatedLog {
    fn epoch(&self) -> Epoch {
        self.inner.epoch()
    }
    fn head(&self) -> Seq {
        self.inner.head()
    }
    fn append(&self, groups: Vec<Group>, now: Millis) -> Result<AppendOutcome, LogError> {
        // An empty publish asks whether the log is well.
        if groups.iter().any(|group| !group.entries.is_empty()) {
            self.writes.pass();
        }
        self.inner.append(groups, now)
    }
    fn maintain(&self, now: Millis) -> Result<Vec<Trim>, LogError> {
        self.inner.maintain(now)
    }
    fn is_instant(&self) -> bool {
        self.instant
    }
    fn read(&self, channel: &ChannelName, after: Seq, upto: Seq, budget: Budget) -> Result<Slice, LogError> {
        let slice = self.inner.read(channel, after, upto, budget);
        if self.reads.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            std::thread::sleep(self.slow);
        }
        self.gate.pass();
        slice
    }
    fn seek_last(&self, channel: &ChannelName, count: usize, upto: Seq) -> Result<Seq, LogError> {
        let found = self.inner.seek_last(channel, count, upto);
        self.gate.pass();
        found
    }
    fn count(&self, channel: &ChannelName, after: Seq, upto: Seq) -> Result<u64, LogError> {
        self.inner.count(channel, after, upto)
    }
    fn channel(&self, channel: &ChannelName) -> Option<ChannelState> {
        self.inner.channel(channel)
    }
    fn channels(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(ChannelName, ChannelState)> {
        self.inner.channels(prefix, after, limit)
    }
    fn usage(&self) -> LogUsage {
        self.inner.usage()
    }
    fn health(&self) -> Result<(), LogError> {
        self.inner.health()
    }
    fn close(&self) -> Result<(), LogError> {
        self.inner.close()
    }
}

pub(crate) struct House {
    pub(crate) hub: Hub,
    pub(crate) transports: Transports,
    pub(crate) shards: Option<Shards>,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) gate: Arc<Gate>,
    /// The same for appends.
    pub(crate) writes: Arc<Gate>,
    pub(crate) runtime: tokio::runtime::Runtime,
    _running: Running,
}

/// What a house is made of.
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) count: usize,
    pub(crate) rules: Vec<(ChannelPattern, Policy)>,
    /// Whether publishers are the sequencer.
    pub(crate) instant: bool,
    /// How long every other read of the disk takes.
    pub(crate) slow: Duration,
    pub(crate) send_buffer_bytes: Option<usize>,
    pub(crate) clock: Arc<dyn Clock>,
    /// What becomes of what shards do not serve.
    pub(crate) hand_over: Arc<dyn Fn(HandedOver) + Send + Sync>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            count: 1,
            rules: Vec::new(),
            instant: true,
            slow: Duration::ZERO,
            send_buffer_bytes: None,
            clock: Arc::new(Fixed),
            hand_over: Arc::new(drop),
        }
    }
}

impl House {
    pub(crate) fn new(limits: Limits, count: usize) -> Self {
        Self::with(Setup { limits, count, ..Setup::default() })
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let Setup { limits, count, rules, instant, slow, send_buffer_bytes, clock, hand_over } = setup;
        let rules = Arc::new(Rules::new(rules, Policy::default()));
        let gate = Arc::new(Gate::default());
        let writes = Arc::new(Gate::default());
        let inner = MemoryLog::new(rules.clone(), LogConfig::default());
        let log = Arc::new(GatedLog {
            inner,
            gate: gate.clone(),
            writes: writes.clone(),
            instant,
            slow,
            reads: AtomicU64::new(0),
        });
        let (hub, running) = Hub::start(log, rules, &limits, clock).unwrap();
        let transports = Transports::new(hub.clone(), limits.clone(), Arc::new(Counting::default()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Some(bytes) = send_buffer_bytes {
            // Accepted sockets take it over.
            socket2::SockRef::from(&listener).set_send_buffer_size(bytes).unwrap();
        }
        let address = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shards = Shards::start(Settings {
            transports: transports.clone(),
            front: Arc::new(Plain),
            listener,
            count,
            limits,
            hand_over,
            runtime: runtime.handle().clone(),
        });
        let shards = Some(shards.unwrap());
        Self { hub, transports, shards, address, gate, writes, runtime, _running: running }
    }

    /// With a ring that holds nothing: whoever is not there reads from the disk.
    pub(crate) fn cold() -> Self {
        Self::new(Limits { ring_bytes_max: 1, ..Limits::default() }, 1)
    }

    pub(crate) fn publish_as(&self, channel: &str, kind: Option<&str>, data: impl Into<Bytes>) {
        let (done, answer) = std::sync::mpsc::channel();
        let draft = draft(channel, kind, data.into());
        self.hub.publish(vec![draft], move |result| done.send(result).unwrap()).unwrap();
        answer.recv().unwrap().unwrap();
    }

    pub(crate) fn publish_for_seq(&self, channel: &str, data: impl Into<Bytes>) -> u64 {
        let (done, answer) = std::sync::mpsc::channel();
        let draft = draft(channel, None, data.into());
        self.hub.publish(vec![draft], move |result| done.send(result).unwrap()).unwrap();
        answer.recv().unwrap().unwrap()[0].id.unwrap().seq.0
    }

    pub(crate) fn publish(&self, channel: &str, data: impl Into<Bytes>) {
        self.publish_as(channel, None, data);
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, read: Vec::new() }
    }

    pub(crate) fn get(&self, target: &str, headers: &str) -> Client {
        let mut client = self.connect();
        client.get(target, headers);
        client
    }

    pub(crate) fn wait_until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < PATIENCE, "never: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.gate.open();
        self.writes.open();
        if let Some(shards) = self.shards.take() {
            shards.stop();
        }
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) read: Vec<u8>,
}

pub(crate) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

pub(crate) fn text(text: &str) -> Bytes {
    encode_masked(Opcode::Text, text.as_bytes(), [1, 2, 3, 4])
}

impl Client {
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn get(&mut self, target: &str, headers: &str) {
        self.write(format!("GET {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n"));
    }

    pub(crate) fn post(&mut self, target: &str, body: &str) {
        self.write(format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// Reads more; false at the end.
    pub(crate) fn fill(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        let count = match self.stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error) => panic!("{error}: nothing came after {:?}", String::from_utf8_lossy(&self.read)),
        };
        self.read.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// Whether `end` comes before the end.
    pub(crate) fn hears(&mut self, end: &str) -> bool {
        let mut buffer = [0; 64 << 10];
        while !self.read.windows(end.len()).any(|window| window == end.as_bytes()) {
            match self.stream.read(&mut buffer) {
                Ok(count @ 1..) => self.read.extend_from_slice(&buffer[..count]),
                _ => return false,
            }
            let surplus = self.read.len().saturating_sub(128 << 10);
            self.read.drain(..surplus);
        }
        true
    }

    pub(crate) fn read_to_end(&mut self) -> String {
        while self.fill() {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    /// Everything up to and with `end`.
    pub(crate) fn until(&mut self, end: &str) -> String {
        let mut searched = 0;
        loop {
            let found = self.read[searched..].windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let all: Vec<u8> = self.read.drain(..searched + at + end.len()).collect();
                return String::from_utf8_lossy(&all).into_owned();
            }
            searched = (self.read.len() + 1).saturating_sub(end.len());
            assert!(self.fill(), "ended before {end:?}: {}", String::from_utf8_lossy(&self.read));
        }
    }

    /// An answer with a length: its head and its body.
    pub(crate) fn answer(&mut self) -> (String, String) {
        let head = self.until("\r\n\r\n");
        let length = head.to_lowercase();
        let length =
            length.split("content-length: ").nth(1).map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        while self.read.len() < length {
            assert!(self.fill(), "cut after {} of {length} bytes", self.read.len());
        }
        (head, String::from_utf8(self.read.drain(..length).collect()).unwrap())
    }
}
