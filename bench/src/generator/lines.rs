//! The publisher of an NDJSON stream: one request that never ends, a line per event, an answer line per line.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::desk::Desk;
use super::link::Link;
use crate::Fallible;
use crate::latency::Latency;
use crate::parse::http::{self, Body};
use crate::parse::lines;
use crate::payload;

const READ_BYTES: usize = 256 << 10;

/// A stream of publishes.
pub(crate) struct LineStream {
    poll: Poll,
    link: Link,
    desk: Desk,
    body: Option<Body>,
    head: Vec<u8>,
    content: Vec<u8>,
    lines_in_flight_max: usize,
    in_flight: std::collections::VecDeque<Instant>,
    buffer: Vec<u8>,
    out: Vec<u8>,
    /// Answers that came.
    pub(crate) answered: u64,
    /// From the write of a line to its answer.
    pub(crate) latency: Latency,
}

impl LineStream {
    /// Connects and sends the head.
    pub(crate) fn open(target: SocketAddr, lines_in_flight_max: usize) -> Fallible<Self> {
        let poll = Poll::new()?;
        let link = Link::open(poll.registry(), Token(0), target, 0)?;
        let head = b"POST /v1/events HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut stream = Self {
            poll,
            link,
            desk: Desk::new(1, true),
            body: None,
            head: Vec::new(),
            content: Vec::new(),
            lines_in_flight_max,
            in_flight: std::collections::VecDeque::new(),
            buffer: vec![0; READ_BYTES],
            out: head.to_vec(),
            answered: 0,
            latency: Latency::new(),
        };
        stream.desk.publishers(1);
        stream.wait(Duration::from_secs(5))?;
        stream.link.check()?;
        Ok(stream)
    }

    /// Publishes for the time given.
    pub(crate) fn publish_for(&mut self, time: Duration) -> Fallible<()> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            self.fill()?;
            self.wait(Duration::from_millis(50))?;
            self.read()?;
        }
        Ok(())
    }

    /// Forgets the figures of warming up.
    pub(crate) fn begin_measuring(&mut self) {
        self.answered = 0;
        self.latency.clear();
    }

    /// Sends as many lines as may be in flight, as one chunk.
    fn fill(&mut self) -> Fallible<()> {
        let mut chunk = Vec::new();
        let now = Instant::now();
        while self.in_flight.len() < self.lines_in_flight_max {
            chunk.extend_from_slice(b"{\"channel\":\"bench:0\",\"data\":");
            payload::write(&mut chunk, self.desk.leaves(0, 0, 0));
            chunk.extend_from_slice(b"}\n");
            self.in_flight.push_back(now);
        }
        if !chunk.is_empty() {
            self.out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            self.out.append(&mut chunk);
            self.out.extend_from_slice(b"\r\n");
        }
        self.link.send(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn wait(&mut self, time: Duration) -> Fallible<()> {
        let mut events = Events::with_capacity(8);
        match self.poll.poll(&mut events, Some(time)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            other => Ok(other?),
        }
    }

    fn read(&mut self) -> Fallible<()> {
        while let Some(count) = self.link.read(&mut self.buffer)? {
            if count == 0 {
                return Err("the server ended the NDJSON stream".into());
            }
            self.take(count)?;
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Fallible<()> {
        let mut bytes = &self.buffer[..count];
        let joined;
        if self.body.is_none() {
            self.head.extend_from_slice(bytes);
            let Some((head, used)) = http::head(&self.head)? else { return Ok(()) };
            if head.status != 200 {
                let rest = String::from_utf8_lossy(&self.head[used..]).into_owned();
                return Err(format!("the NDJSON stream was answered {}: {rest}", head.status).into());
            }
            self.body = Some(head.body);
            joined = self.head.split_off(used);
            bytes = &joined;
        }
        if let Some(body) = &mut self.body {
            body.decode(bytes, &mut self.content)?;
        }
        self.answers()
    }

    fn answers(&mut self) -> Fallible<()> {
        let mut used = 0;
        while let Some((line, count)) = lines::next(&self.content[used..])? {
            if self.desk.scanner.acknowledged(line).is_none() {
                return Err(format!("a line was answered {}", String::from_utf8_lossy(line)).into());
            }
            let sent = self.in_flight.pop_front().ok_or("more answers than lines")?;
            self.latency.record(u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX));
            self.answered += 1;
            used += count;
        }
        self.content.drain(..used);
        Ok(())
    }
}
