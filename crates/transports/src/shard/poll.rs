//! Polling and long polling on a shard: answers that end, on a connection that stays.

use std::time::Duration;

use bongsu_core::Problem;
use bongsu_core::cursor::Cursor;
use bongsu_core::limits::GATHER;
use bongsu_core::read::{Format, From, ReadRequest, Way};
use bongsu_core::subscription::ReadError;
use bongsu_hub::{Fetched, Found, Group, Member, Place};
use bongsu_wire::http1::Method;
use bytes::Bytes;
use smallvec::SmallVec;

use super::answer::{self, Terms};
use super::conn::State;
use super::front::Route;
use super::read::{self, Asked};
use super::stream::MemberPages;
use super::thread::Thread;
use crate::answer::{Gathered, Reply, known};
use crate::connections::Entry;
use crate::session::Pages as _;
use crate::{long_poll, poll};

/// How many pages one poll reads before others get their turn.
const PAGES_MAX: usize = 16;

/// A poll or long poll.
pub(crate) struct Polling {
    pub(crate) member: Member,
    /// What has been read so far; none while a long poll waits.
    gathered: Option<Box<Gathered>>,
    marks: Bytes,
    /// The position to which `304` is the answer if nothing comes.
    known: Option<Cursor>,
    /// In the table of connections, for those who wait.
    entry: Option<Entry>,
    /// The read, where it may have to begin anew.
    newest: Option<Box<Newest>>,
    limit: u32,
    format: Format,
    head_only: bool,
    keep_alive: bool,
    phase: Phase,
    pub(crate) fetching: bool,
    /// When to come back, if that was said by whoever ends it.
    retry: Option<Duration>,
}

/// A poll that names no position gets the newest events over all its channels. Which those are is known when all are
/// there, so each channel brings as many, and fewer if that is more than an answer holds.
struct Newest {
    read: ReadRequest,
    /// How many each channel brings.
    each: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Answers as soon as it is level or full.
    AtOnce,
    /// Waits for the first event.
    Waiting,
    /// Has something to read, and gives what comes in the next moments the time to come.
    Gathering,
}

impl Polling {
    /// Bytes of heap held, and held for it in its channels and in the table of connections.
    pub(crate) fn heap_bytes(&self) -> usize {
        let gathered = self.gathered.as_ref().map_or(0, |gathered| size_of::<Gathered>() + gathered.heap_bytes());
        let newest = self.newest.as_ref().map_or(0, |newest| size_of::<Newest>() + read::read_bytes(&newest.read));
        let places = self.member.channels().count() * Group::PLACE_BYTES;
        let entry = self.entry.as_ref().map_or(0, Entry::heap_bytes);
        self.member.heap_bytes() + places + gathered + newest + entry + self.marks.len()
    }

    pub(crate) fn way(&self) -> Way {
        if self.entry.is_some() { Way::LongPoll } else { Way::Poll }
    }
}

/// How a read that asks for the newest events begins: `each` from every channel.
pub(super) fn begin_of_newest(read: &ReadRequest, each: usize) -> ReadRequest {
    ReadRequest { from: From::Last(each), limit: each * read.channels.len().max(1), ..read.clone() }
}

/// Whether a read asks for the newest events.
pub(super) fn is_newest(read: &ReadRequest) -> bool {
    read.way == Way::Poll && read.from == From::Unsaid
}

impl Thread {
    pub(super) fn open_poll(&mut self, index: u32, asked: Asked, places: SmallVec<[Place; 1]>, found: &Found) {
        let Asked { read, marks, keep_alive, entry, newest, .. } = asked;
        let waits = entry.is_some() && !read.head_only && !read.wait.is_zero();
        let known = known(&read);
        let member = self.group.open(read.types, places, found);
        let polling = Polling {
            member,
            gathered: None,
            marks,
            known,
            entry,
            newest: newest.map(|(read, each)| Box::new(Newest { read, each })),
            limit: read.limit.try_into().unwrap_or(u32::MAX),
            format: read.format,
            head_only: read.head_only,
            keep_alive,
            phase: if waits { Phase::Waiting } else { Phase::AtOnce },
            fetching: false,
            retry: None,
        };
        self.conns[index as usize].state = State::Polling(Box::new(polling));
        if waits {
            self.due_in(index, read.wait);
        }
        // It may have been told to end while it was looked up.
        let entry = self.polling(index).and_then(|polling| polling.entry.as_ref());
        match entry.and_then(Entry::take_close) {
            Some(close) => self.end_at_once(index, Some(close.retry)),
            None => self.drive_poll(index),
        }
    }

    fn polling(&mut self, index: u32) -> Option<&mut Polling> {
        match self.conns.get_mut(index as usize).map(|conn| &mut conn.state) {
            Some(State::Polling(polling)) => Some(polling),
            _ => None,
        }
    }

    /// Reads what there is, and answers if that is due.
    pub(super) fn drive_poll(&mut self, index: u32) {
        if self.polling(index).is_none_or(|polling| polling.fetching || polling.phase == Phase::Gathering) {
            return;
        }
        if self.gather(index, None) {
            self.settle_poll(index);
        }
    }

    /// All there is was read: answers, or waits for more.
    fn settle_poll(&mut self, index: u32) {
        let Some(polling) = self.polling(index) else { return };
        match (polling.phase, polling.gathered.as_ref().is_none_or(|gathered| gathered.is_empty())) {
            (Phase::AtOnce, _) => self.end_poll(index),
            (Phase::Waiting, true) => polling.gathered = None,
            // What comes to a poll that finds something at once has been there before: it is not the start of a burst.
            (Phase::Waiting, false) => self.end_poll(index),
            (Phase::Gathering, _) => {}
        }
    }

    /// Something has come for a poll that waits: a burst may be on its way, which is to be one answer and not one request
    /// per event.
    pub(super) fn news_for_poll(&mut self, index: u32) {
        let key = self.key(index);
        let end = self.now + GATHER;
        let Some(polling) = self.polling(index) else { return };
        if polling.phase == Phase::Waiting && !polling.fetching {
            polling.phase = Phase::Gathering;
            self.gathering.push_back((end, key));
        }
    }

    /// The moments are over.
    pub(super) fn end_gather(&mut self, index: u32) {
        if let Some(polling) = self.polling(index).filter(|polling| polling.phase == Phase::Gathering) {
            polling.phase = Phase::Waiting;
            self.drive_poll(index);
        }
    }

    /// The time is over, or somebody wants it to end: answered with what there is, so that the client comes back by itself.
    pub(super) fn end_wait(&mut self, index: u32) {
        let Some(polling) = self.polling(index) else { return };
        let close = polling.entry.as_ref().and_then(Entry::take_close);
        self.end_at_once(index, close.map(|close| close.retry));
    }

    fn end_at_once(&mut self, index: u32, retry: Option<Duration>) {
        let Some(polling) = self.polling(index) else { return };
        polling.phase = Phase::AtOnce;
        polling.retry = retry.or(polling.retry);
        if let Some(gathered) = &mut polling.gathered {
            gathered.again();
        }
        if !polling.fetching && self.gather(index, None) {
            self.end_poll(index);
        }
    }

    /// Reads up to the head, or as much as an answer holds. False if that goes on later.
    fn gather(&mut self, index: u32, mut fetched: Option<Fetched>) -> bool {
        for _ in 0..PAGES_MAX {
            let Self { conns, group, .. } = self;
            let State::Polling(polling) = &mut conns[index as usize].state else { return false };
            let new = || Box::new(Gathered::new(polling.limit as usize, polling.format));
            let gathered = polling.gathered.get_or_insert_with(new);
            let Some(room) = gathered.room() else { return true };
            let was_fetched = fetched.is_some();
            let mut pages = MemberPages { group, member: &mut polling.member, fetched: fetched.take() };
            match pages.page(room) {
                Ok(page) => {
                    gathered.take(page);
                    if was_fetched {
                        // What has become visible since the read began was left to this moment.
                        gathered.again();
                    }
                }
                Err(ReadError::Cold | ReadError::Failed(_)) => {
                    self.fetch(index);
                    return false;
                }
            }
        }
        self.queue(index);
        false
    }

    /// What was read from the disk.
    pub(super) fn on_fetched_poll(&mut self, index: u32, fetched: Result<Fetched, Problem>) {
        let Some(polling) = self.polling(index) else { return };
        polling.fetching = false;
        match fetched {
            Ok(fetched) => {
                if self.gather(index, Some(fetched)) {
                    self.settle_poll(index);
                }
            }
            Err(problem) => self.end_poll_with(index, Err(problem)),
        }
    }

    fn end_poll(&mut self, index: u32) {
        let Some(polling) = self.polling(index) else { return };
        let level = polling.gathered.as_ref().is_none_or(|gathered| gathered.is_level());
        if let Some(newest) = polling.newest.take_if(|newest| !level && newest.each > 1) {
            return self.fewer(index, *newest);
        }
        let limit = polling.newest.as_ref().map(|newest| newest.read.limit);
        let (format, known, cursor) = (polling.format, polling.known, polling.member.cursor());
        let (way, retry) = (polling.way(), polling.retry);
        let mut gathered = polling.gathered.take().map_or_else(|| Gathered::new(1, format), |gathered| *gathered);
        if let Some(limit) = limit {
            gathered.keep_newest(limit);
        }
        let retry = retry.unwrap_or_else(|| match way {
            Way::LongPoll => long_poll::return_hint(&self.context),
            _ => poll::return_hint(&self.context),
        });
        let reply = gathered.reply(known, cursor, retry);
        self.end_poll_with(index, Ok(reply));
    }

    /// Tries for fewer events of each channel.
    fn fewer(&mut self, index: u32, newest: Newest) {
        let Some(polling) = self.polling(index) else { return };
        let (marks, keep_alive) = (polling.marks.clone(), polling.keep_alive);
        self.leave_channels(index);
        let each = poll::fewer(newest.each);
        let read = begin_of_newest(&newest.read, each);
        let newest = Some((newest.read, each));
        self.conns[index as usize].state = State::Request;
        self.begin(index, Asked { read, marks, keep_alive, entry: None, accept: Vec::new(), newest });
    }

    fn end_poll_with(&mut self, index: u32, reply: Result<Reply, Problem>) {
        let Some(polling) = self.polling(index) else { return };
        let (keep_alive, head_only) = (polling.keep_alive, polling.head_only);
        let marks = std::mem::take(&mut polling.marks);
        self.leave_channels(index);
        let date = self.date_line();
        let terms = Terms { date: &date, marks: &marks, keep_alive, head_only };
        let (status, bytes) = match reply {
            Ok(Reply::NotModified(known)) => (304, answer::not_modified(&terms, known)),
            Ok(Reply::Content { bytes, cursor }) => {
                match self.context.counted(answer::content(&terms, cursor, &bytes)) {
                    Ok(bytes) => (200, bytes),
                    Err(problem) => (problem.code.status(), answer::problem(&terms, &problem, true)),
                }
            }
            Err(problem) => (problem.code.status(), answer::problem(&terms, &problem, true)),
        };
        let method = if head_only { Method::Head } else { Method::Get };
        self.front.answered(Route::Read(Some("")), method, status);
        self.answer(index, bytes, !keep_alive);
    }
}
