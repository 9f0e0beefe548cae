//! Answers that no real server gives, for faults of the protocol.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bongsu_client::{Client, ClientBuilder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One answer to one request.
#[derive(Clone)]
pub(crate) struct Answer {
    /// The bytes, in the pieces in which they are sent.
    pieces: Vec<Vec<u8>>,
    /// Whether the connection is closed after it.
    close: bool,
}

impl Answer {
    /// The connection is closed without an answer.
    pub(crate) fn none() -> Self {
        Self { pieces: Vec::new(), close: true }
    }

    /// The bytes one by one.
    pub(crate) fn in_single_bytes(self) -> Self {
        Self { pieces: self.pieces.concat().chunks(1).map(<[u8]>::to_vec).collect(), ..self }
    }

    /// The connection is closed after it, without a word before.
    pub(crate) fn then_close(self) -> Self {
        Self { close: true, ..self }
    }
}

/// A response with a length.
pub(crate) fn response(status: &str, headers: &[&str], body: &str) -> Answer {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let text = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
    Answer { pieces: vec![text.into_bytes()], close: false }
}

/// Gives the answers one after the other, whatever is asked; the last one again and again. Dropping it ends it.
pub(crate) struct Scripted {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Scripted {
    pub(crate) async fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (answers, seen) = (answers.into_iter().collect::<Vec<_>>(), requests.clone());
        let connections = Arc::<AtomicUsize>::default();
        let accepted = connections.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(talk(stream, answers.clone(), seen.clone()));
            }
        });
        Self { address, requests, connections, task }
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().expect("an address")
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder(&format!("http://{}", self.address))
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(mut stream: TcpStream, answers: Vec<Answer>, seen: Arc<Mutex<Vec<String>>>) {
    while let Some(head) = read_request(&mut stream).await {
        let number = {
            let mut seen = seen.lock().expect("no panic");
            seen.push(head);
            seen.len() - 1
        };
        let answer = &answers[number.min(answers.len() - 1)];
        for piece in &answer.pieces {
            if stream.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        if answer.close {
            return;
        }
    }
}

/// Reads one request with its body; gives the head.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).ok()?.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap_or(0))];
    stream.read_exact(&mut body).await.ok()?;
    Some(head)
}
