//! What could go wrong in shards, tried.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod cases;
mod churn;
mod house;
mod storm;
