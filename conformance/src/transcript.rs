//! The record of what a trial sent and saw, printed when it fails.
//!
//! Shared by everything a trial opens; long values are cut, so that a failure can be read.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Characters of one line that are kept.
const LINE_CHARS_MAX: usize = 400;
/// Lines kept: enough for a whole scenario, and a bound for those with thousands of events.
const LINES_MAX: usize = 400;

/// A shared, bounded list of lines with the milliseconds since the trial began.
#[derive(Debug, Clone)]
pub struct Transcript {
    began: Instant,
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: std::collections::VecDeque<String>,
    dropped: usize,
}

impl Default for Transcript {
    fn default() -> Self {
        Self { began: Instant::now(), lines: Arc::default() }
    }
}

impl Transcript {
    /// Adds a line; the oldest goes when there are too many.
    pub fn note(&self, text: impl AsRef<str>) {
        let line = format!("{:>7} ms  {}", self.began.elapsed().as_millis(), shorten(text.as_ref()));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.kept.len() == LINES_MAX {
            lines.kept.pop_front();
            lines.dropped += 1;
        }
        lines.kept.push_back(line);
    }

    /// All lines as one text.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        if lines.dropped > 0 {
            let _ = writeln!(out, "({} earlier lines dropped)", lines.dropped);
        }
        for line in &lines.kept {
            let _ = writeln!(out, "{line}");
        }
        out
    }
}

/// Cuts a text in the middle when it is longer than a line should be.
#[must_use]
pub fn shorten(text: &str) -> String {
    let count = text.chars().count();
    if count <= LINE_CHARS_MAX {
        return text.to_owned();
    }
    let head: String = text.chars().take(LINE_CHARS_MAX - 60).collect();
    let tail: String = text.chars().skip(count - 40).collect();
    format!("{head} …[{count} characters]… {tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_lines_and_says_how_many_went() {
        let transcript = Transcript::default();
        for n in 0..LINES_MAX + 3 {
            transcript.note(format!("line {n}."));
        }
        let text = transcript.text();
        assert!(text.starts_with("(3 earlier lines dropped)"));
        assert!(!text.contains("line 2.") && text.contains("line 3."));
    }

    #[test]
    fn long_lines_keep_both_ends() {
        let short = shorten(&format!("{}{}end", "begin", "x".repeat(2000)));
        assert!(short.starts_with("begin") && short.ends_with("end"));
        assert!(short.chars().count() < LINE_CHARS_MAX + 20);
    }
}
