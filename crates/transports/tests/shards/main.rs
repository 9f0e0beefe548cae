//! What could go wrong in shards, tried.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]
#![allow(clippy::print_stderr, reason = "a storm tells what it was")]

mod basics;
mod cases;
mod churn;
mod house;
mod storm;
