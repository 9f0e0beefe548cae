//! Options to configuration to wiring to a running, draining server.

pub mod config;
mod listen;
pub mod options;
mod ports;
mod run;
mod telemetry;
mod test_clock;

pub use config::Config;
pub use run::{RunError, run};
