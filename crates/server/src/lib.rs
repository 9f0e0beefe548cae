//! Options to configuration to wiring to a running, draining server.

pub mod config;
pub mod options;

pub use config::Config;
