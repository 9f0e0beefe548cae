//! What is wrong with a configuration, said so that a person can mend it.
//!
//! Every complaint shows the place, what was found, and what is allowed. All complaints are shown, not only the first.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A place in a configuration file, with the line's text so that it can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The file, as it was named.
    pub path: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters are meant, at least 1.
    pub width: usize,
    /// The whole line without its end.
    pub text: String,
}

impl Mark {
    /// The place of the bytes `span` of `source`; of what spans several lines, the first line.
    pub(super) fn new(path: &Arc<Path>, source: &str, span: Range<usize>) -> Self {
        let start = floor_boundary(source, span.start);
        let end = floor_boundary(source, span.end).max(start);
        let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let text = source[line_start..].lines().next().unwrap_or_default();
        let on_line = source[start..end].lines().next().unwrap_or_default();
        Self {
            path: Arc::clone(path),
            line: source[..line_start].matches('\n').count() + 1,
            column: source[line_start..start].chars().count() + 1,
            width: on_line.chars().count().max(1),
            text: text.into(),
        }
    }
}

/// The last character boundary at or before `index`: a parser may point into the middle of a character.
fn floor_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Where, if it is about a place in a file.
    pub mark: Option<Mark>,
    /// What is wrong, in one sentence that names the option.
    pub message: String,
    /// What is allowed, and what to do.
    pub help: Vec<String>,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { mark: None, message: message.into(), help: Vec::new() }
    }

    pub(super) fn at(mut self, mark: Mark) -> Self {
        self.mark = Some(mark);
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds "did you mean" when there is something that could have been meant.
    pub(super) fn maybe(self, meant: Option<impl fmt::Display>) -> Self {
        match meant {
            Some(meant) => self.help(format!("did you mean `{meant}`?")),
            None => self,
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        let gutter = match &self.mark {
            Some(mark) => show(f, mark)?,
            None => 0,
        };
        for help in &self.help {
            write!(f, "\n{:gutter$} = {help}", "")?;
        }
        Ok(())
    }
}

/// The line with its number and a caret under what is meant. Returns how wide the number is.
fn show(f: &mut fmt::Formatter<'_>, mark: &Mark) -> Result<usize, fmt::Error> {
    let Mark { path, line, column, width, text } = mark;
    let gutter = line.to_string().len();
    // Tabs before the place are kept, so that the caret stands right however wide a tab is.
    let indent: String = text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    write!(f, "\n{:gutter$}--> {}:{line}:{column}", "", path.display())?;
    write!(f, "\n{:gutter$} |", "")?;
    write!(f, "\n{line} | {text}")?;
    write!(f, "\n{:gutter$} | {indent}{}", "", "^".repeat(*width))?;
    Ok(gutter)
}

/// Everything that is wrong with a configuration. At least one complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Complaint>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, complaint) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n\n" };
            write!(f, "{separator}{complaint}")?;
        }
        match self.0.len() {
            0 | 1 => Ok(()),
            many => write!(f, "\n\n{many} errors in the configuration"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_finds_line_column_and_width() {
        let source = "a = 1\n\tüb = \"x\ny\"\r\nlast";
        let cases = [
            (0..1, (1, 1, 1, "a = 1")),
            (4..5, (1, 5, 1, "a = 1")),
            (7..10, (2, 2, 2, "\tüb = \"x")),
            (8..9, (2, 2, 1, "\tüb = \"x")),
            (13..18, (2, 7, 2, "\tüb = \"x")),
            (16..17, (3, 1, 1, "y\"")),
            (20..24, (4, 1, 4, "last")),
            (24..24, (4, 5, 1, "last")),
            (99..120, (4, 5, 1, "last")),
        ];
        for (span, expected) in cases {
            let mark = Mark::new(&Path::new("x").into(), source, span.clone());
            assert_eq!((mark.line, mark.column, mark.width, mark.text.as_str()), expected, "{span:?}");
        }
    }
}
