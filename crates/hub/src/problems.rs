//! What publishers are told when the log does not take their events.

use std::time::Duration;

use bongsu_core::log::{LogError, Refusal};
use bongsu_core::subscription::ReadError;
use bongsu_core::{ErrorCode, Problem};

/// What a read that may wait for the disk can end in.
pub(crate) fn of_read(error: ReadError) -> Problem {
    match error {
        ReadError::Failed(error) => of_log(&error),
        ReadError::Cold => unreachable!("who may wait for the disk is never asked to"),
    }
}

/// The sequencer is no more.
pub(crate) fn died() -> Problem {
    Problem::new(ErrorCode::Internal, "the sequencer has stopped after a mistake in the server")
        .hint("restart the server; everything that was acknowledged is in the log")
}

/// The log as a whole cannot do what was asked.
pub(crate) fn of_log(error: &LogError) -> Problem {
    let code = match error {
        LogError::Poisoned(_) => ErrorCode::LogFailed,
        LogError::DiskFull { .. } => ErrorCode::DiskFull,
        LogError::Unreadable(_) => ErrorCode::Internal,
    };
    Problem::new(code, error.to_string()).retry_after(Duration::from_secs(5))
}

/// One group was not taken.
pub(crate) fn of_refusal(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::IdempotencyMismatch(index) => Problem::new(
            ErrorCode::IdempotencyMismatch,
            format!("entry {index} has an Idempotency-Key that was used on this channel for another event"),
        )
        .hint("use a new key for a new event; a retry must repeat the event unchanged"),
        Refusal::IdempotencyKeysFull(limit) => Problem::new(
            ErrorCode::Overloaded,
            format!("{limit} idempotency keys are in their window, which is the limit (idempotency_keys_max)"),
        )
        .retry_after(Duration::from_secs(10)),
        Refusal::ChannelsFull(limit) => {
            Problem::new(ErrorCode::Overloaded, format!("{limit} channels exist, which is the limit (channels_max)"))
                .hint("raise channels_max")
                .retry_after(Duration::from_secs(60))
        }
    }
}
