//! The project's own chores: test, ci, generated docs.
fn main() {}
