//! The embedded durable log and the memory log, under one contract.
//!
//! Both implement [`bongsu_core::log::Log`]; `tests/contract.rs` holds both to it. What they share, the numbering, the
//! idempotency window and the trims, is one pure ledger; they differ in where events are kept.
//!
//! This crate knows files and bytes on disk. It knows no readers, no HTTP, no JSON and no clock.

mod config;
mod embedded;
pub mod inspect;
mod ledger;
mod memory;

pub use config::{EVENT_OVERHEAD_BYTES, LogConfig};
pub use embedded::{EmbeddedLog, NewEpoch, OpenError, Opened, Torn};
pub use memory::MemoryLog;
