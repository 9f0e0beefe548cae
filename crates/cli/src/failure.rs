//! How a command ends when it does not end well.
//!
//! The exit codes are part of the interface: 0 done, 1 tried and failed, 2 the command line or the configuration is wrong
//! and nothing was tried.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// Why a command ends early, and with which exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    message: Option<String>,
    code: u8,
}

impl Failure {
    /// Something was tried and did not work.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self { message: Some(format!("error: {message}")), code: 1 }
    }

    /// What was asked for cannot be right; nothing was tried.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { message: Some(format!("error: {message}")), code: 2 }
    }

    /// What is wrong was said already.
    pub(crate) fn told() -> Self {
        Self { message: None, code: 1 }
    }

    /// Complaints that bring their own `error:`.
    pub(crate) fn configuration(errors: &bongsu_server::config::complaint::ConfigErrors, code: u8) -> Self {
        Self { message: Some(errors.to_string()), code }
    }

    /// Tells what is to be told, and the code to exit with.
    pub(crate) fn end(self) -> ExitCode {
        if let Some(message) = self.message {
            crate::output::note(message);
        }
        ExitCode::from(self.code)
    }
}

impl From<io::Error> for Failure {
    /// Writing to the standard output failed. When its reader has gone (`bongsu sub a | head`) everything wanted was
    /// delivered: that is no failure and not worth a word.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { message: None, code: 0 },
            _ => Self::failed(format_args!("the output cannot be written: {error}")),
        }
    }
}

impl From<bongsu_client::Error> for Failure {
    /// The text of the client says what happened; a usage error there is one here.
    fn from(error: bongsu_client::Error) -> Self {
        match error.kind() {
            bongsu_client::ErrorKind::Usage => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}
