//! Scenarios as data: every promise of the protocol, on each of the five ways.
