//! Bytes right or wrong on a socket, and what comes back to them, answer by answer.

use super::Run;
use super::faults::write_all;
use super::socket::frame;
use super::vocabulary::{Answered, Raw};
use crate::error::{Failure, Result};
use crate::net::{Answer, Exchange, H1};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

impl Run<'_> {
    pub(super) fn raw(&mut self, step: &Raw) -> Result<()> {
        let deadline = self.within(step.closed_within_ms);
        let mut bytes = step.raw.clone().into_bytes();
        for spec in &step.behind {
            bytes.extend(frame(spec)?.bytes());
        }
        let kept = step.on.as_ref().and_then(|name| self.raws.remove(name));
        let mut connection = kept.map_or_else(|| H1::connect(self.addr(), deadline), Ok)?;
        let still_open = match step.drip_ms {
            Some(ms) => drip(connection.socket(), &bytes, ms, deadline)?,
            None => write_all(connection.socket(), &bytes)?,
        };
        if step.shutdown && still_open {
            connection.socket().shutdown(Shutdown::Write)?;
        }
        for (n, expect) in step.expect.iter().chain(&step.answers).enumerate() {
            let context = format!("answer {}", n + 1);
            self.raw_answer(&mut connection, expect, deadline).map_err(|f| f.within(&context))?;
        }
        if let Some(count) = step.cut_after {
            return connection.bytes(count, deadline);
        }
        if step.closed_within_ms.is_some() {
            return self.raw_end(&mut connection, step, deadline);
        }
        if let Some(name) = &step.on {
            self.raws.insert(name.clone(), connection);
        } else if step.hold {
            self.held.push(connection);
        }
        Ok(())
    }

    fn raw_answer(&mut self, connection: &mut H1, expect: &Answered, deadline: Instant) -> Result<()> {
        let answer = next_answer(connection, deadline)?;
        self.judge(expect, &answer, None)
    }

    /// The connection ends, after at most so many more answers; none where answers were named.
    fn raw_end(&mut self, connection: &mut H1, step: &Raw, deadline: Instant) -> Result<()> {
        let open = || format!("the connection is still open after {} ms", step.closed_within_ms.unwrap_or_default());
        let named = step.expect.is_some() || !step.answers.is_empty();
        let most = if named { 0 } else { step.answers_max.unwrap_or(usize::MAX) };
        let mut count = 0;
        while connection.more(deadline).map_err(|f| f.within(&open()))? {
            if step.answers_max.is_none() && !named {
                // Anything may come: a WebSocket's frames, half of a stream.
                connection.forget();
                continue;
            }
            let answer = next_answer(connection, deadline)?;
            self.transcript.note(format!("  ← {}", super::answer::show(&answer)));
            count += 1;
            if count > most {
                return Err(Failure::wrong(format!("one answer too many: {}", super::answer::show(&answer))));
            }
        }
        Ok(())
    }
}

/// One answer, be it an interim one.
fn next_answer(connection: &mut H1, deadline: Instant) -> Result<Answer> {
    let head = connection.any_head(deadline)?;
    let mut body = Vec::new();
    while let Some(bytes) = connection.chunk(deadline)? {
        body.extend_from_slice(&bytes);
    }
    Ok(Answer { head, body })
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
