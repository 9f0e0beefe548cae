//! Sockets from their first byte to their end: bounded in number, given up when nothing is asked, and not cut before an
//! answer.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bongsu_core::limits::Limits;
use bongsu_server::Config;
use bongsu_server::config::Engine;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::{Method, Request, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Longer than anything here should take: a test that hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection may be idle in these tests.
const IDLE: Duration = Duration::from_millis(300);

struct Server {
    address: SocketAddr,
    stop: Arc<Semaphore>,
    ended: JoinHandle<()>,
}

impl Server {
    async fn start(shards: usize, limits: Limits) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = Config { listen, engine: Engine::Memory, shards: Some(shards), limits, ..Config::default() };
        let (ready, address) = oneshot::channel();
        let stop = Arc::new(Semaphore::new(0));
        let stopping = stop.clone();
        let ended = tokio::spawn(async move {
            let stop = move || {
                let stopping = stopping.clone();
                async move { stopping.acquire().await.unwrap().forget() }
            };
            bongsu_server::run(config, |address| ready.send(address).unwrap(), stop).await.unwrap();
        });
        Self { address: address.await.unwrap(), stop, ended }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    async fn http2(&self) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        (requests.ready().await.unwrap(), connection)
    }

    async fn stopped(self) {
        timeout(PATIENCE, self.ended).await.expect("the server does not end").unwrap();
    }
}

struct Client(TcpStream);

impl Client {
    async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `end` has come or the connection has ended; says what came.
    async fn read_until(&mut self, end: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&seen);
            if text.contains(end) {
                return text.into_owned();
            }
            let count = timeout(PATIENCE, self.0.read_buf(&mut seen)).await;
            // A reset is an end, too.
            if count.unwrap_or_else(|_| panic!("{end:?} has not come")).unwrap_or_default() == 0 {
                return String::from_utf8_lossy(&seen).into_owned();
            }
        }
    }

    async fn until_end(&mut self) -> String {
        self.read_until("\0").await
    }

    async fn get(&mut self, path: &str) -> String {
        self.write(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
        self.until_end().await
    }
}

#[tokio::test]
async fn sockets_beyond_the_bound_wait_until_one_is_closed() {
    for shards in [0, 1] {
        let server = Server::start(shards, Limits { sockets_max: Some(2), ..Limits::default() }).await;
        let (first, mut second) = (server.connect().await, server.connect().await);
        // The answer says that both were accepted: they come in order.
        second.write("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(second.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 200"));
        let mut third = server.connect().await;
        third.write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut byte = [0];
        let answered = timeout(IDLE, third.0.peek(&mut byte)).await;
        assert!(answered.is_err(), "with {shards} shards a third socket is served: {answered:?}");
        drop(first);
        let page = third.read_until("process_max_fds").await;
        assert!(page.contains("\nbongsu_sockets 2\n") && page.contains("\nbongsu_sockets_max 2\n"), "{page}");
        assert!(!page.contains("bongsu_accept_pauses_total{reason=\"full\"} 0\n"), "{page}");
    }
}

#[tokio::test]
async fn what_connections_hold_is_on_the_page() {
    let server = Server::start(2, Limits::default()).await;
    let mut readers = Vec::new();
    for _ in 0..10 {
        let mut reader = server.connect().await;
        reader.write("GET /v1/channels/a HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n").await;
        reader.read_until("$live").await;
        readers.push(reader);
    }
    let figure = |page: &str, name: &str| -> usize {
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name}{{transport=\"sse\"}} ")));
        line.unwrap_or_else(|| panic!("{name}: {page}")).parse().unwrap()
    };
    let page = server.connect().await.get("/metrics").await;
    assert_eq!(figure(&page, "bongsu_shard_connections"), 10);
    assert_eq!(figure(&page, "bongsu_hyper_connections"), 0);
    let bytes = figure(&page, "bongsu_connection_memory_bytes");
    assert!((2_500..5_000).contains(&bytes), "{bytes}");
    drop(readers);
    while figure(&server.connect().await.get("/metrics").await, "bongsu_connection_memory_bytes") > 0 {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn who_asks_nothing_is_given_up() {
    for shards in [0, 1] {
        let server = Server::start(shards, Limits { head_timeout: IDLE, ..Limits::default() }).await;
        let beginnings =
            ["", "P", "PR", "PRI * HTTP/2.0\r\n\r\nSM", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /", "BREW"];
        for beginning in beginnings {
            let mut client = server.connect().await;
            client.write(beginning).await;
            client.until_end().await;
        }
    }
}

#[tokio::test]
async fn an_http2_connection_without_streams_is_given_up() {
    for shards in [0, 1] {
        let server = Server::start(shards, Limits { head_timeout: IDLE, ..Limits::default() }).await;
        let (requests, connection) = server.http2().await;
        timeout(PATIENCE, connection).await.expect("an idle connection stays").unwrap().unwrap();
        drop(requests);

        // One that was used is idle, too.
        let (mut requests, connection) = server.http2().await;
        let request = Request::builder().version(Version::HTTP_2).uri("http://localhost/healthz").body(()).unwrap();
        let (answer, _) = requests.send_request(request, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
        timeout(PATIENCE, connection).await.expect("a connection that was used stays").unwrap().unwrap();
        drop(requests);
    }
}

#[tokio::test]
async fn an_http2_connection_that_reads_stays() {
    for shards in [0, 1] {
        let server = Server::start(shards, Limits { head_timeout: IDLE, ..Limits::default() }).await;
        for websocket in [false, true] {
            let (mut requests, connection) = server.http2().await;
            // The server's settings arrive on their own time.
            while !requests.is_extended_connect_protocol_enabled() {
                sleep(Duration::from_millis(5)).await;
                requests = requests.ready().await.unwrap();
            }
            let request = Request::builder().version(Version::HTTP_2).uri("http://localhost/v1/channels/x");
            let request = match websocket {
                true => request
                    .method(Method::CONNECT)
                    .extension(Protocol::from_static("websocket"))
                    .header("sec-websocket-version", "13"),
                false => request.header("accept", "text/event-stream"),
            };
            let (answer, sending) = requests.send_request(request.body(()).unwrap(), !websocket).unwrap();
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), 200);
            sleep(IDLE * 4).await;
            // Another request on the same connection: it was not told to go away.
            let request = Request::builder().version(Version::HTTP_2).uri("http://localhost/healthz").body(()).unwrap();
            let mut requests = requests.ready().await.expect("the connection was ended while it was used");
            let (healthz, _) = requests.send_request(request, true).unwrap();
            assert_eq!(healthz.await.unwrap().status(), 200, "WebSocket: {websocket}");
            drop((answer, sending));
            timeout(PATIENCE, connection).await.expect("the connection stays").unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn too_many_handshakes_are_told_when_to_come_and_taken_then() {
    const OPEN: &str = "GET /v1/channels/a?transport=stream HTTP/1.1\r\nHost: x\r\n\r\n";
    for shards in [0, 1] {
        let limits = Limits { handshakes_per_second: 1, handshakes_burst: 1, ..Limits::default() };
        let server = Server::start(shards, limits).await;
        let mut readers = Vec::new();
        // Nobody opens one a second so slowly that none is too many.
        let told = loop {
            let mut reader = server.connect().await;
            reader.write(OPEN).await;
            let head = reader.read_until("\r\n\r\n").await.to_lowercase();
            readers.push(reader);
            if !head.starts_with("http/1.1 200") {
                assert!(head.starts_with("http/1.1 503") && readers.len() > 1, "{shards} shards: {head}");
                let after = head.split("retry-after: ").nth(1).and_then(|rest| rest.split("\r\n").next());
                break after.unwrap().parse().unwrap();
            }
        };
        // What is no handshake is answered all the same.
        let answer = server.connect().await.get("/v1/channels/a/info").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        sleep(Duration::from_secs(told)).await;
        let mut reader = server.connect().await;
        reader.write(OPEN).await;
        let head = reader.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{shards} shards: {head}");
        let page = server.connect().await.get("/metrics").await;
        assert!(page.contains("\nbongsu_handshakes_refused_total 1\n"), "{page}");
        assert!(page.contains("\nbongsu_handshakes_forgotten_total 0\n"), "{page}");
    }
}

#[tokio::test]
async fn a_drain_answers_what_was_asked_and_ends_what_is_idle() {
    // A publish to one channel and one of a list: with shards, each is served by another driver.
    for (shards, path) in [(0, "/v1/channels/a"), (0, "/v1/events"), (1, "/v1/channels/a"), (1, "/v1/events")] {
        let server = Server::start(shards, Limits::default()).await;
        let mut idle = server.connect().await;
        let mut silent = server.connect().await;
        idle.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(idle.read_until("}").await.starts_with("HTTP/1.1 200"));
        let mut asking = server.connect().await;
        asking.write(&format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[")).await;
        // Served, and so were those before it: sockets are accepted in order.
        assert!(server.connect().await.get("/healthz").await.starts_with("HTTP/1.1 200"));
        server.stop.add_permits(1);
        assert_eq!(idle.until_end().await, "");
        assert_eq!(silent.until_end().await, "");
        let late = server.connect().await.get("/readyz").await;
        assert!(late.starts_with("HTTP/1.1 503"), "{late}");
        asking.write("]").await;
        let answer = asking.until_end().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{shards} shards, {path}: {answer}");
        server.stopped().await;
    }
}
