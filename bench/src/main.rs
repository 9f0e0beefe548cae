//! Load generators and reports: figures with the server's CPU seconds.
fn main() {}
