//! A server for one test, and a client that hides nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bongsu_api::{Api, App, Cors, Service, service};
use bongsu_core::limits::Limits;
use bongsu_core::policy::{Policy, Rules};
use bongsu_core::{Chance, ChannelPattern, Clock, Millis};
use bongsu_hub::{Hub, Running};
use bongsu_log::{LogConfig, MemoryLog};
use bongsu_transports::Transports;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here should take: a test that hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(30);

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        Millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
    }
}

struct SystemChance;

impl Chance for SystemChance {
    fn next(&self) -> u64 {
        getrandom::u64().unwrap()
    }
}

/// What a test wants to be different.
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) cors: Cors,
    pub(crate) test_endpoints: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { limits: Limits::default(), cors: Cors::Any, test_endpoints: false }
    }
}

/// A running server; dropping it ends it.
pub(crate) struct Server {
    pub(crate) app: App,
    pub(crate) addr: SocketAddr,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) draining: watch::Sender<bool>,
    running: Option<Running>,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// Channels `small:*` take payloads of 10 bytes.
    pub(crate) async fn start_with(Setup { limits, cors, test_endpoints }: Setup) -> Self {
        let small = Policy { payload_bytes_max: 10, ..Policy::default() };
        let others = Policy { payload_bytes_max: limits.payload_bytes_max, ..Policy::default() };
        let rules = Arc::new(Rules::new(vec![(ChannelPattern::new("small:*").unwrap(), small)], others));
        let log = Arc::new(MemoryLog::new(rules.clone(), LogConfig::default()));
        let clock = Arc::new(SystemClock);
        let (hub, running) = Hub::start(log.clone(), rules, &limits, clock.clone()).unwrap();
        let transports = Transports::new(hub.clone(), limits.clone(), Arc::new(SystemChance));
        let (draining, told) = watch::channel(false);
        let started = clock.now();
        let api = Api { hub, transports, limits, cors, started, version: "1.2.3", test_endpoints, draining: told };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = App::new(api);
        let serving = tokio::spawn(serve(listener, service(app.router())));
        Self { app, addr, log, draining, running: Some(running), serving }
    }

    /// Stops the sequencer, as at the end of a drain.
    pub(crate) fn stop_hub(&mut self) {
        self.running.take().unwrap().close().unwrap();
    }

    /// One request on a connection of its own.
    pub(crate) async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(target).header("host", "own.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = timeout(PATIENCE, send(self.addr, request));
        let answer = answer.await.unwrap_or_else(|_| panic!("no answer to {method} {target}"));
        answer.check(&method);
        answer
    }

    /// The same over HTTP/2.
    pub(crate) async fn send_http2(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://own.example{target}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let answer = timeout(PATIENCE, send_http2(self.addr, request));
        answer.await.unwrap_or_else(|_| panic!("no answer to {method} {target}"))
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], b"").await
    }

    pub(crate) async fn post(&self, target: &str, content_type: &str, body: &str) -> Answer {
        self.send("POST", target, &[("content-type", content_type)], body.as_bytes()).await
    }

    /// Publishes a JSON payload that must be taken.
    pub(crate) async fn publish(&self, channel: &str, data: &str) -> Value {
        let answer = self.post(&format!("/v1/channels/{channel}"), "application/json", data).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The payloads of everything kept in a channel.
    pub(crate) async fn kept(&self, channel: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v1/channels/{channel}?since=start&limit=1000&format=data")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["events"].as_array().unwrap().clone()
    }

    /// A connection for bytes of the test's own.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Raw {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        Raw { stream, seen: Vec::new() }
    }
}

async fn serve(listener: TcpListener, service: Service) {
    let builder = auto::Builder::new(TokioExecutor::new());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service.clone()).into_owned();
        tokio::spawn(connection);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
        if let Some(running) = self.running.take() {
            let _ = running.close();
        }
    }
}

async fn send(addr: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let answer = received(sender.send_request(request).await.unwrap()).await;
    connection.abort();
    answer
}

async fn send_http2(addr: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let io = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let answer = received(sender.send_request(request).await.unwrap()).await;
    connection.abort();
    answer
}

async fn received(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

/// An answer that has come to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The problem's code; `-` for an answer that is no problem.
    pub(crate) fn code(&self) -> String {
        if self.header("content-type") != Some("application/problem+json") {
            return "-".to_owned();
        }
        self.json()["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn hint(&self) -> String {
        self.json()["hint"].as_str().unwrap_or_default().to_owned()
    }

    /// What holds for every answer.
    fn check(&self, method: &Method) {
        assert!(self.headers.contains_key("cache-control"), "{self:?}");
        if self.status.as_u16() < 400 || method == Method::HEAD {
            return;
        }
        let problem = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(problem["status"], self.status.as_u16(), "{self:?}");
        let code = problem["code"].as_str().unwrap();
        assert!(problem["type"].as_str().unwrap().ends_with(&format!("#{code}")), "{self:?}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{self:?}");
        assert_eq!(self.headers.contains_key("retry-after"), matches!(self.status.as_u16(), 429 | 503), "{self:?}");
    }
}

/// A connection byte by byte.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    seen: Vec<u8>,
}

impl Raw {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes).await {
            panic!("{error}: {}", self.shown());
        }
    }

    /// Reads until `end` has come; returns all up to and with it.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.windows(end.len()).position(|window| window == end.as_bytes()) {
                let rest = self.seen.split_off(at + end.len());
                return String::from_utf8_lossy(&std::mem::replace(&mut self.seen, rest)).into_owned();
            }
            let read = tokio::time::timeout_at(deadline, self.stream.read_buf(&mut self.seen));
            let read = read.await.unwrap_or_else(|_| panic!("{end:?} has not come: {}", self.shown())).unwrap();
            assert!(read > 0, "the connection has ended before {end:?}: {}", self.shown());
        }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}
