//! Where the events of a bulk publish come from: the lines of an NDJSON file, or whole files as payloads.
//!
//! Reads on a thread of its own, because a read of the standard input cannot be called off, and hands over a bounded number
//! of items ahead. What is no event is handed over too, as the reason: one bad line does not stop the others.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use bongsu_client::Publication;
use tokio::sync::mpsc;

use super::template::Template;

/// The longest line that is read: the server takes less.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// How many items are read ahead.
const AHEAD: usize = 256;

/// What to read.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The lines of this file.
    Lines(PathBuf),
    /// The lines of the standard input.
    StandardInput,
    /// These files and directories, each file a payload.
    Files(Vec<PathBuf>),
}

/// One event to publish, or why there is none, and where it stands.
#[derive(Debug)]
pub(super) struct Item {
    /// Where it stands.
    pub(super) place: Place,
    /// The number of its line or file, from 1.
    pub(super) number: u64,
    /// The event, or what is wrong with it.
    pub(super) event: Result<Publication, String>,
    /// How far the source is read with it: bytes of a file, or files.
    pub(super) progress: u64,
}

/// Where an event stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A line, from 1.
    Line(u64),
    /// A file.
    File(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A source that is being read.
pub(super) struct Reading {
    /// The items. Ends with the source, or with a reason why it cannot be read on.
    pub(super) items: mpsc::Receiver<io::Result<Item>>,
    /// How far [`Item::progress`] will go, if that is known.
    pub(super) total: Option<u64>,
}

/// Begins to read `source`, after `skip` lines or files.
///
/// # Errors
/// The source cannot be opened.
pub(super) fn open(source: &Source, template: Template, skip: u64) -> io::Result<Reading> {
    let (sender, items) = mpsc::channel(AHEAD);
    let total = match source {
        Source::Lines(path) => {
            let file = named(path, File::open(path))?;
            let total = file.metadata().ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len());
            std::thread::spawn(move || lines(BufReader::new(file), &template, skip, &sender));
            total
        }
        Source::StandardInput => {
            std::thread::spawn(move || lines(BufReader::new(io::stdin()), &template, skip, &sender));
            None
        }
        Source::Files(paths) => {
            let files = walk(paths)?;
            let total = files.len() as u64;
            std::thread::spawn(move || payloads(&files, &template, skip, &sender));
            Some(total)
        }
    };
    Ok(Reading { items, total })
}

/// Says which file an error is about.
fn named<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

type Sender = mpsc::Sender<io::Result<Item>>;

/// Hands over an item per line that is not blank. Ends early when nobody listens any more.
fn lines(mut reader: impl BufRead, template: &Template, skip: u64, sender: &Sender) {
    let (mut progress, mut number) = (0, 0);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(read) => progress += read as u64,
            Err(error) => return drop(sender.blocking_send(Err(error))),
        }
        number += 1;
        if line.len() as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
            let error = io::Error::other(format!("line {number} is longer than {} MiB", LINE_BYTES_MAX >> 20));
            return drop(sender.blocking_send(Err(error)));
        }
        let text = line.trim_ascii();
        if number <= skip || text.is_empty() {
            continue;
        }
        let events = match template.line(text, number) {
            Ok(publications) => publications.into_iter().map(Ok).collect(),
            Err(wrong) => vec![Err(wrong)],
        };
        for event in events {
            if sender.blocking_send(Ok(Item { place: Place::Line(number), number, event, progress })).is_err() {
                return;
            }
        }
    }
}

/// Hands over an item per file.
fn payloads(files: &[PathBuf], template: &Template, skip: u64, sender: &Sender) {
    for (index, path) in files.iter().enumerate() {
        let number = index as u64 + 1;
        if number <= skip {
            continue;
        }
        let read = fs::read(path).map_err(|error| error.to_string());
        let event = read.and_then(|bytes| template.file(path, bytes, number));
        let item = Item { place: Place::File(path.clone()), number, event, progress: number };
        if sender.blocking_send(Ok(item)).is_err() {
            return;
        }
    }
}

/// The files among `paths` and below the directories among them, each directory in the order of its names.
fn walk(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if named(path, fs::metadata(path))?.is_dir() {
            let entries: io::Result<Vec<_>> = named(path, fs::read_dir(path))?.map(|entry| Ok(entry?.path())).collect();
            let mut entries = named(path, entries)?;
            // A link to a directory may lead back here.
            entries.retain(|entry| !(entry.is_symlink() && entry.is_dir()));
            entries.sort();
            files.extend(walk(&entries)?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}
