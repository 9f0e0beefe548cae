//! Steps that end the server: only on a server of the trial's own.

use super::Run;
use super::vocabulary::{AwaitExit, Exited, Restart, Signalled};
use crate::error::{Failure, Result};
use crate::server::Signal;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

impl Run<'_> {
    pub(super) fn restart(&mut self, step: &Restart) -> Result<()> {
        let server = self.lease.own()?;
        server.stop(step.restart)?;
        if step.wipe {
            server.wipe()?;
        }
        server.start_again()?;
        self.transcript.note("  the server is back");
        Ok(())
    }

    pub(super) fn signal(&mut self, step: &Signalled) -> Result<()> {
        self.lease.own()?.signal(step.signal)
    }

    pub(super) fn await_exit(&mut self, step: &AwaitExit) -> Result<()> {
        let status = self.exit_within(step.await_exit)?;
        // §14.14: "SIGTERM: exit code 0".
        if !status.success() {
            return Err(Failure::wrong(format!("the server ended with {status}")));
        }
        Ok(())
    }

    pub(super) fn exited(&mut self, step: &Exited) -> Result<()> {
        self.exit_within(step.exited).map(drop)
    }

    fn exit_within(&mut self, ms: u64) -> Result<ExitStatus> {
        let began = Instant::now();
        let status = self.lease.own()?.wait()?;
        if began.elapsed() > Duration::from_millis(ms) {
            return Err(Failure::wrong(format!("the exit took {:?}", began.elapsed())));
        }
        Ok(status)
    }
}

/// The signal's name in transcripts.
impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Term => "SIGTERM",
            Self::Kill => "SIGKILL",
        })
    }
}
