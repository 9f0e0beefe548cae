//! Many events over one request: read ahead, paced, answered in order, told by line.
//!
//! The client sends again what a broken connection leaves unanswered; here is only what a person sees of it: ids,
//! progress, what was refused, and where to go on after a cut.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bongsu_client::{Client, Error, ErrorKind, Publication, Receipt};
use clap::ArgMatches;
use futures_util::{Stream, stream};
use indicatif::{ProgressBar, ProgressStyle};

use super::input::{self, Item, Place, Reading, Source};
use super::pace::Pace;
use super::printed;
use super::template::Template;
use crate::failure::Failure;
use crate::output::{grouped, harmless, note, span, stdout};

/// How it is done.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    rate: Option<u32>,
    skip: u64,
    quiet: bool,
    json: bool,
    /// Whether each event has a key, so that a repetition is harmless.
    keyed: bool,
}

impl Manner {
    /// What was said on the command line.
    pub(super) fn said(matches: &ArgMatches) -> Self {
        Self {
            rate: matches.get_one("rate").copied(),
            skip: matches.get_one("skip").copied().unwrap_or(0),
            quiet: matches.get_flag("quiet"),
            json: matches.get_flag("json"),
            keyed: matches.contains_id("idempotency-key"),
        }
    }

    /// Whether ids are printed: on a terminal the progress bar says enough.
    fn prints_ids(&self) -> bool {
        self.json || !self.quiet && !io::stdout().is_terminal()
    }
}

/// What the reading side and the answering side know together. Both run on one thread; the lock is never waited for.
#[derive(Debug, Default)]
struct Shared {
    /// Sent and not answered, in order. The reader adds, the answers take.
    pending: VecDeque<Sent>,
    /// Events that could not be published, told already.
    refused: u64,
    /// The number of the last line or file that was read.
    read: u64,
    /// Whether the source was read to its end.
    exhausted: bool,
    /// Why it was not.
    broken: Option<io::Error>,
}

#[derive(Debug)]
struct Sent {
    place: Place,
    number: u64,
    progress: u64,
}

type SharedRef = Arc<Mutex<Shared>>;

fn lock(shared: &SharedRef) -> MutexGuard<'_, Shared> {
    // Nothing that panics runs while it is held, so what it holds is whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Publishes everything of `source`.
pub(super) async fn publish(client: Client, source: Source, template: Template, manner: Manner) -> Result<(), Failure> {
    let Reading { items, total } = input::open(&source, template, manner.skip).map_err(Failure::failed)?;
    let bar = progress_bar(&source, total, manner.quiet);
    let shared = SharedRef::default();
    let publications = publications(items, manner.rate, shared.clone(), bar.clone());
    let mut bulk = Bulk { manner, shared, bar, out: stdout(), published: 0, duplicates: 0, began: Instant::now() };
    let mut receipts = client.publish_all(publications);
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    let mut last_error = None;
    loop {
        let answer = tokio::select! {
            biased;
            _ = &mut stop => return bulk.stopped("stopped".into()),
            answer = receipts.next() => answer,
        };
        match answer {
            Some(Ok(receipt)) => bulk.taken(&receipt)?,
            Some(Err(error)) if is_about_one(&error) => {
                bulk.refused(&error);
                last_error = Some(error);
            }
            Some(Err(error)) => return bulk.stopped(error.to_string()),
            None => return bulk.end(last_error),
        }
    }
}

/// Whether only one event was refused, and the others go on.
fn is_about_one(error: &Error) -> bool {
    error.kind() == ErrorKind::Refused && !error.is_retryable()
}

/// The events of `items`, at most `rate` per second; what is none is told and left out.
fn publications(
    items: tokio::sync::mpsc::Receiver<io::Result<Item>>,
    rate: Option<u32>,
    shared: SharedRef,
    bar: ProgressBar,
) -> impl Stream<Item = Publication> + Send + 'static {
    let pace = rate.map(|rate| Pace::new(rate, Instant::now()));
    stream::unfold((items, pace, shared, bar), |(mut items, mut pace, shared, bar)| async move {
        loop {
            let item = match items.recv().await {
                Some(Ok(item)) => item,
                Some(Err(error)) => {
                    lock(&shared).broken = Some(error);
                    return None;
                }
                None => {
                    lock(&shared).exhausted = true;
                    return None;
                }
            };
            let Item { place, number, event, progress } = item;
            match event {
                Ok(publication) => {
                    if let Some(pace) = &mut pace {
                        tokio::time::sleep_until(pace.due(Instant::now()).into()).await;
                    }
                    let mut state = lock(&shared);
                    state.read = number;
                    state.pending.push_back(Sent { place, number, progress });
                    drop(state);
                    return Some((publication, (items, pace, shared, bar)));
                }
                Err(wrong) => {
                    bar.suspend(|| note(format_args!("error: {place}: {}", harmless(&wrong))));
                    let mut state = lock(&shared);
                    state.read = number;
                    state.refused += 1;
                }
            }
        }
    })
}

/// What a person sees of a bulk publish.
struct Bulk<W> {
    manner: Manner,
    shared: SharedRef,
    bar: ProgressBar,
    out: W,
    published: u64,
    duplicates: u64,
    began: Instant,
}

impl<W: io::Write> Bulk<W> {
    fn taken(&mut self, receipt: &Receipt) -> Result<(), Failure> {
        let sent = lock(&self.shared).pending.pop_front();
        self.published += 1;
        self.duplicates += u64::from(receipt.duplicate);
        if let Some(sent) = &sent {
            self.bar.set_position(sent.progress);
        }
        if self.manner.prints_ids() {
            writeln!(self.out, "{}", printed(receipt, self.manner.json))?;
            // Whoever reads the ids waits for them only when nothing more is on its way.
            if lock(&self.shared).pending.is_empty() {
                self.out.flush()?;
            }
        }
        Ok(())
    }

    fn refused(&mut self, error: &Error) {
        let mut state = lock(&self.shared);
        state.refused += 1;
        let Some(sent) = state.pending.pop_front() else { return };
        drop(state);
        self.bar.suspend(|| note(format_args!("error: {}: {}", sent.place, harmless(&error.to_string()))));
    }

    /// All answers are there. If something has none, the last refusal was about the whole request.
    fn end(mut self, last_error: Option<Error>) -> Result<(), Failure> {
        let mut state = lock(&self.shared);
        let whole = state.exhausted && state.pending.is_empty();
        if let Some(error) = state.broken.take() {
            drop(state);
            return self.stopped(format!("reading failed: {error}"));
        }
        let refused = state.refused;
        drop(state);
        if !whole {
            let why = last_error.map_or("the server ended its answer early".into(), |error| error.to_string());
            return self.stopped(why);
        }
        self.out.flush()?;
        self.bar.finish_and_clear();
        self.sum_up(refused);
        if refused > 0 { Err(Failure::told()) } else { Ok(()) }
    }

    /// It cannot go on, or shall not: says how far it came.
    fn stopped(mut self, why: String) -> Result<(), Failure> {
        self.out.flush()?;
        self.bar.finish_and_clear();
        let state = lock(&self.shared);
        let done = state.pending.front().map_or(state.read, |sent| sent.number - 1).max(self.manner.skip);
        let (unknown, refused) = (state.pending.len(), state.refused);
        drop(state);
        note(format_args!("error: {}", harmless(&why)));
        self.sum_up(refused);
        note(format_args!("to go on: the same command with --skip {done}"));
        if unknown > 0 {
            let repeated = if self.manner.keyed {
                "their keys see to it that none is published twice"
            } else {
                "they would be published twice; --idempotency-key prevents that"
            };
            note(format_args!("{unknown} more may have been taken before the cut: {repeated}"));
        }
        Err(Failure::told())
    }

    fn sum_up(&self, refused: u64) {
        if self.manner.quiet {
            return;
        }
        let took = self.began.elapsed();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "about"
        )]
        let rate = (self.published as f64 / took.as_secs_f64().max(0.001)) as u64;
        let mut summary = format!("published {} in {} ({}/s)", grouped(self.published), span(took), grouped(rate));
        if self.duplicates > 0 {
            summary.push_str(&format!(", {} of them before", grouped(self.duplicates)));
        }
        if refused > 0 {
            summary.push_str(&format!("; {} refused", grouped(refused)));
        }
        note(summary);
    }
}

/// A bar on the standard error if that is a terminal; without a known end, a counter.
fn progress_bar(source: &Source, total: Option<u64>, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let template = match (source, total) {
        (Source::Files(_), _) => "{bar:30} {pos}/{len} files, {elapsed}, {eta} left",
        (_, Some(_)) => "{bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
        (_, None) => "{spinner} {bytes}, {bytes_per_sec}, {elapsed}",
    };
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
