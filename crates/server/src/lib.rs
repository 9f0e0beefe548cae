//! Options to configuration to wiring to a running, draining server.
