//! HTTP streaming and server-sent events on a shard: one response without an end, in chunks.

use std::sync::atomic::Ordering;

use bongsu_core::Problem;
use bongsu_core::cursor::Cursor;
use bongsu_core::log::Budget;
use bongsu_core::read::Way;
use bongsu_core::subscription::{Page, ReadError};
use bongsu_hub::{Fetched, Found, Group, Member, Place};
use bongsu_wire::http1::{LAST_CHUNK, push_chunk};
use bytes::Bytes;
use smallvec::SmallVec;

use super::answer::{self, Terms};
use super::conn::State;
use super::read::Asked;
use super::thread::Thread;
use super::wheel::{Tick, Wheel};
use super::{Key, Letter};
use crate::connections::Entry;
use crate::session::{self, Pages, Session, TURN, Turn};
use crate::{sse, stream};

/// How many turns one reader may take before others get theirs.
pub(super) const TURNS_MAX: usize = 8;

/// A reader that is sent what comes.
pub(crate) struct Streaming {
    pub(crate) member: Member,
    pub(crate) session: Session,
    pub(crate) entry: Entry,
    /// In ticks.
    pub(crate) heartbeat: Tick,
    pub(crate) way: Way,
    /// A read from the disk is under way.
    pub(crate) fetching: bool,
}

// Thousands of idle connections hold one each.
const _: () = assert!(size_of::<Streaming>() <= 136);

impl Streaming {
    /// Bytes of heap held, and held for it in its channels and in the table of connections.
    pub(crate) fn heap_bytes(&self) -> usize {
        let places = self.member.channels().count() * Group::PLACE_BYTES;
        self.member.heap_bytes() + places + self.session.heap_bytes() + self.entry.heap_bytes()
    }

    /// Ends the session if somebody has asked for it.
    pub(crate) fn heed_close(&mut self) {
        if let Some(close) = self.entry.take_close() {
            self.session.close(close);
        }
    }
}

/// The pages of a member of a group.
pub(crate) struct MemberPages<'a> {
    pub(crate) group: &'a Group,
    pub(crate) member: &'a mut Member,
    /// What was read from the disk for it, to be given first.
    pub(crate) fetched: Option<Fetched>,
}

impl Pages for MemberPages<'_> {
    fn page(&mut self, budget: Budget) -> Result<Page, ReadError> {
        match self.fetched.take() {
            Some(fetched) => self.group.page_fetched(self.member, fetched, budget),
            None => self.group.page(self.member, budget),
        }
    }

    fn cursor(&self) -> Cursor {
        self.member.cursor()
    }
}

impl Thread {
    pub(super) fn open_stream(&mut self, index: u32, asked: Asked, places: SmallVec<[Place; 1]>, found: &Found) {
        let date = self.date_line();
        let Asked { read, marks, keep_alive, entry, .. } = asked;
        let content_type = if read.way == Way::Sse { sse::CONTENT_TYPE } else { stream::CONTENT_TYPE };
        let terms = Terms { date: &date, marks: &marks, keep_alive, head_only: read.head_only };
        let head = answer::stream(content_type, &terms);
        let Some(entry) = entry.filter(|_| !read.head_only) else {
            self.group.leave(read.way, places);
            return self.answer(index, head.into(), !keep_alive);
        };
        self.figures.unanswered.fetch_sub(1, Ordering::SeqCst);
        let session = Session::new(&read, entry.id().to_string(), self.context.draw_retry(), found.replay);
        let heartbeat = Wheel::ticks(read.heartbeat);
        let member = self.group.open(read.types, places, found);
        let mut streaming = Streaming { member, session, entry, heartbeat, way: read.way, fetching: false };
        // It may have been told to end while it was looked up.
        streaming.heed_close();
        let conn = &mut self.conns[index as usize];
        conn.stash = None;
        conn.state = State::Streaming(Box::new(streaming));
        self.due_at(index, self.tick.saturating_add(heartbeat));
        if self.turn_stream(index, head, None) {
            self.drive_stream(index);
        }
    }

    /// Sends what there is, as long as the socket takes it.
    pub(super) fn drive_stream(&mut self, index: u32) {
        for _ in 0..TURNS_MAX {
            let Some(conn) = self.conns.get(index as usize) else { return };
            let State::Streaming(streaming) = &conn.state else { return };
            if !conn.is_clear() || streaming.fetching {
                return;
            }
            let more = match self.catch_up(index) {
                Some(more) => more,
                None => self.turn_stream(index, Vec::new(), None),
            };
            if !more {
                return;
            }
        }
        if self.conns.contains(index as usize) {
            self.queue(index);
        }
    }

    /// One turn of the session, written after `out`. True if there may be more at once.
    fn turn_stream(&mut self, index: u32, mut out: Vec<u8>, fetched: Option<Fetched>) -> bool {
        let Self { conns, group, .. } = self;
        let conn = &mut conns[index as usize];
        let State::Streaming(streaming) = &mut conn.state else { return false };
        let mut pages = MemberPages { group, member: &mut streaming.member, fetched };
        let turn = streaming.session.turn(&mut pages);
        let more = match turn {
            Turn::Send(pieces) => {
                pieces.iter().for_each(|piece| push_chunk(&mut out, piece));
                true
            }
            Turn::Idle => false,
            Turn::Again => {
                self.queue(index);
                false
            }
            Turn::Cold => {
                self.fetch(index);
                false
            }
            Turn::Ended => {
                out.extend_from_slice(LAST_CHUNK);
                self.conns[index as usize].closing = true;
                false
            }
        };
        let said = !out.is_empty();
        let conn = &mut self.conns[index as usize];
        if said && conn.send(out.into()).is_err() {
            self.close(index);
            return false;
        }
        if conn.closing {
            self.finish(index);
            return false;
        }
        if said {
            self.said(index);
        }
        more
    }

    /// Something was said: the next beat is a heartbeat away.
    fn said(&mut self, index: u32) {
        let tick = self.tick;
        if let Some(conn) = self.conns.get_mut(index as usize)
            && let State::Streaming(streaming) = &conn.state
        {
            conn.due = tick.saturating_add(streaming.heartbeat);
        }
    }

    /// Reads what a reader needs next on a thread that may wait for the disk.
    pub(super) fn fetch(&mut self, index: u32) {
        let key = self.key(index);
        let member = match &mut self.conns[index as usize].state {
            State::Streaming(streaming) => {
                streaming.fetching = true;
                &streaming.member
            }
            State::Socket(socket) => match socket.reading_mut() {
                Some(streaming) => {
                    streaming.fetching = true;
                    &streaming.member
                }
                None => return,
            },
            State::Polling(polling) => {
                polling.fetching = true;
                &polling.member
            }
            _ => return,
        };
        let read = self.group.cold_read(member, TURN);
        self.on_disk(move || read.run(), move |fetched| Letter::Fetched(key, fetched));
    }

    /// What was read from the disk.
    pub(super) fn on_fetched(&mut self, key: Key, fetched: Result<Fetched, Problem>) {
        let Some(conn) = self.conn(key) else { return };
        match &mut conn.state {
            State::Streaming(streaming) => {
                streaming.fetching = false;
                let fetched = match fetched {
                    Ok(fetched) => Some(fetched),
                    Err(problem) => {
                        streaming.session.close(session::close_for(&problem));
                        None
                    }
                };
                self.turn_stream(key.index, Vec::new(), fetched);
                // Also if it brought nothing: what has become visible meanwhile was left to this moment.
                self.drive_stream(key.index);
            }
            State::Socket(_) => self.on_fetched_socket(key.index, fetched),
            State::Polling(_) => self.on_fetched_poll(key.index, fetched),
            _ => {}
        }
    }

    /// Nothing was said for one heartbeat.
    pub(super) fn beat_stream(&mut self, index: u32) {
        let State::Streaming(streaming) = &self.conns[index as usize].state else { return };
        let heartbeat = streaming.heartbeat;
        self.due_at(index, self.tick.saturating_add(heartbeat));
        if !self.conns[index as usize].is_clear() {
            return;
        }
        // Read on first: other channels may have moved the head, and the beat tells how far the reader is.
        self.drive_stream(index);
        let now = self.wall_clock();
        let Some(conn) = self.conns.get_mut(index as usize).filter(|conn| conn.is_clear()) else { return };
        let State::Streaming(streaming) = &conn.state else { return };
        if streaming.fetching {
            return;
        }
        let Some(beat) = streaming.session.beat(now, streaming.member.cursor()) else { return };
        let mut chunk = Vec::with_capacity(beat.len() + 16);
        push_chunk(&mut chunk, &beat);
        if conn.send(Bytes::from(chunk)).is_err() {
            self.close(index);
        }
    }
}
