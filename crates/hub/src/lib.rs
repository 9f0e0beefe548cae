//! Channels, sequencer, fan-out and catch-up: every subscriber is a cursor over the log.
