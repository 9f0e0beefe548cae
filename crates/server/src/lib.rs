//! Options to configuration to wiring to a running, draining server.

pub mod config;
mod drivers;
mod hyper_driver;
mod listen;
pub mod options;
mod ports;
mod prefixed;
mod run;
mod streams;
mod telemetry;
mod test_clock;

pub use config::Config;
pub use run::{RunError, run};
