//! The embedded durable log and the memory log, under one contract.
