//! Steps about the server process, and those that only order other steps.

use crate::server::Signal;
use serde::Deserialize;
use serde_json::Value;

/// Ends the server and starts it again on the same data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// How it is ended.
    pub restart: Signal,
    /// Deletes the data in between.
    #[serde(default)]
    pub wipe: bool,
}

/// Signals the server and goes on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signalled {
    /// The signal.
    pub signal: Signal,
}

/// Waits for the server to exit with code 0.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitExit {
    /// Milliseconds it may take.
    pub await_exit: u64,
}

/// Waits for the server to exit, with whatever code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exited {
    /// Milliseconds it may take.
    pub exited: u64,
}

/// Waits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// Milliseconds.
    pub sleep: u64,
}

/// Names a value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The name.
    pub set: String,
    /// The value; for `times`, the piece to repeat.
    pub value: Option<Value>,
    /// Repeats a text so often.
    pub times: Option<usize>,
    /// So many bytes of every value, as base64.
    pub bytes: Option<usize>,
}

/// Takes steps several times, `${round}` being 1, 2, 3…
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// How often.
    pub repeat: u64,
    /// What.
    pub steps: Vec<Value>,
}

/// Keeps the number of files the server has open under a name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenFiles {
    /// The name.
    pub open_files: String,
}

/// Waits until the server has at most so many files open.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesFall {
    /// The number.
    pub files_fall: usize,
    /// How many more are all right.
    pub slack: usize,
    /// Milliseconds in which it has to happen.
    pub within_ms: u64,
}
