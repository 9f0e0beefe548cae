//! Steps that misbehave by the thousand: floods of connections, and the count of files they leave behind.

use super::Run;
use super::vocabulary::{FilesFall, Flood, OpenFiles};
use crate::error::{Failure, Result};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Pause between two looks at the server's open files.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

impl Run<'_> {
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
pub(super) fn write_all(stream: &mut TcpStream, bytes: &[u8]) -> Result<bool> {
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    match stream.write_all(bytes) {
        Ok(()) => Ok(true),
        Err(e) if is_end(&e) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn is_end(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}
