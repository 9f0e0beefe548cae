//! Steps that misbehave: broken bytes, dripping heads, floods of connections, and the count of
//! files they leave behind.

use super::Run;
use super::vocabulary::{FilesFall, Flood, OpenFiles, Raw};
use crate::error::{Failure, Result};
use crate::net::{Answer, Head, left, parse_head};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Pause between two looks at the server's open files.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

impl Run<'_> {
    pub(super) fn raw(&mut self, step: &Raw) -> Result<()> {
        let deadline = self.within(step.closed_within_ms);
        let mut stream = TcpStream::connect_timeout(&self.addr(), left(deadline, "a connection")?)?;
        stream.set_nodelay(true)?;
        let still_open = match step.drip_ms {
            Some(ms) => drip(&mut stream, step.raw.as_bytes(), ms, deadline)?,
            None => write_all(&mut stream, step.raw.as_bytes())?,
        };
        if step.shutdown && still_open {
            stream.shutdown(Shutdown::Write)?;
        }
        if step.hold {
            self.held.push(stream);
            return Ok(());
        }
        if step.expect.is_none() && step.closed_within_ms.is_none() {
            return Ok(());
        }
        let until_end = step.closed_within_ms.is_some();
        let bytes = read(&mut stream, until_end, deadline)?;
        self.transcript.note(format!("  ← {:?}", String::from_utf8_lossy(&bytes)));
        match &step.expect {
            Some(expect) => self.judge(expect, &parse(&bytes)?, None),
            None => Ok(()),
        }
    }

    pub(super) fn flood(&mut self, step: &Flood) -> Result<()> {
        let addr = self.addr();
        let mut opened = 0;
        while opened < step.flood {
            let count = step.batch.min(step.flood - opened);
            let batch = (0..count)
                .map(|n| flood_one(addr, step.texts.get((opened + n) % step.texts.len().max(1))))
                .collect::<Result<Vec<_>>>()?;
            opened += batch.len();
            if Instant::now() > self.deadline {
                return Err(Failure::Timeout(format!("after {opened} connections")));
            }
        }
        Ok(())
    }

    pub(super) fn open_files(&mut self, step: &OpenFiles) -> Result<()> {
        let count = self.lease.open_files()?;
        self.vars.set(&step.open_files, count);
        Ok(())
    }

    pub(super) fn files_fall(&mut self, step: &FilesFall) -> Result<()> {
        let deadline = self.within(Some(step.within_ms));
        let allowed = step.files_fall + step.slack;
        loop {
            let count = self.lease.open_files()?;
            if count <= allowed {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Failure::wrong(format!(
                    "the server still has {count} files open, expected at most {allowed}"
                )));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

fn flood_one(addr: SocketAddr, text: Option<&String>) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(10))?;
    if let Some(text) = text {
        write_all(&mut stream, text.as_bytes())?;
    }
    Ok(stream)
}

/// Writes; false when the server has ended the connection before it had everything.
fn write_all(stream: &mut TcpStream, bytes: &[u8]) -> Result<bool> {
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    match stream.write_all(bytes) {
        Ok(()) => Ok(true),
        Err(e) if is_end(&e) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Writes byte by byte, until the end of the bytes, of the connection or of the time.
fn drip(stream: &mut TcpStream, bytes: &[u8], ms: u64, deadline: Instant) -> Result<bool> {
    for byte in bytes {
        if Instant::now() >= deadline || !write_all(stream, std::slice::from_ref(byte))? {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(ms));
    }
    Ok(true)
}

fn is_end(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

/// Reads one whole answer, or to the end of the connection.
fn read(stream: &mut TcpStream, until_end: bool, deadline: Instant) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        if !until_end && is_whole(&bytes)? {
            return Ok(bytes);
        }
        stream.set_read_timeout(Some(left(deadline, "the end of the connection")?))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            // What came before a reset counts as what came before an end.
            Err(e) if is_end(&e) => return Ok(bytes),
            Err(e) => return Err(Failure::from(e).within("the connection is still open")),
        }
    }
}

/// Whether a head and a body of its `Content-Length` are there.
fn is_whole(bytes: &[u8]) -> Result<bool> {
    let Some((head, used)) = parse_head(bytes)? else { return Ok(false) };
    let length: usize = head.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    Ok(bytes.len() >= used + length)
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let (head, used): (Head, usize) = parse_head(bytes)?.ok_or_else(|| Failure::closed("no answer"))?;
    Ok(Answer { head, body: bytes[used..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_body() {
        let bytes = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nhi";
        assert!(is_whole(bytes).unwrap());
        assert!(!is_whole(&bytes[..bytes.len() - 1]).unwrap());
        assert_eq!(parse(bytes).unwrap().body, b"hi");
        assert!(parse(b"").is_err());
    }
}
