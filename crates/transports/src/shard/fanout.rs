//! How events get from a channel to the many that read it.
//!
//! Members that are level get the same bytes: what is new is read from the ring once, put into each encoding once (a
//! [`Sheet`]), and written to one socket after the other. A socket that takes only a part keeps the rest of the event that
//! was cut, and nothing else: its position stays behind that event, and it reads on from there when there is room.

use std::sync::Arc;

use bongsu_core::Event;
use bongsu_core::cursor::Seq;
use bongsu_core::event::Encoding;
use bongsu_core::log::Budget;
use bongsu_hub::{Fresh, NOBODY};
use bongsu_wire::framing;
use bongsu_wire::http1::push_chunk;
use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::conn::{Conn, State};
use super::stream::Streaming;
use super::thread::Thread;
use super::wheel::Tick;

/// How much is read and written at once.
const SHEET: Budget = Budget { events: 512, bytes: 64 << 10 };

/// What a chunk has around its bytes: a length in hexadecimal and two line ends.
const CHUNK_BYTES_MAX: usize = 12;

/// Events in one encoding, as they go into a socket.
pub(super) struct Sheet {
    bytes: Bytes,
    /// Where each event ends.
    ends: SmallVec<[(Seq, usize); 2]>,
}

/// The sheets of some events, made when they are needed.
struct Sheets {
    events: Vec<Arc<Event>>,
    made: [Option<Sheet>; Encoding::COUNT],
}

/// What became of a member that had something new.
enum Delivery {
    /// It has it, or will get it by itself when its socket has room.
    Done,
    /// It must read by itself.
    ByItself,
    /// Its socket is broken.
    Broken,
}

impl Sheet {
    fn new(events: &[Arc<Event>], encoding: Encoding) -> Self {
        let chunked = is_chunked(encoding);
        if let ([event], false) = (events, chunked) {
            let bytes = framing::event_bytes(event, encoding);
            let end = bytes.len();
            return Self { bytes, ends: smallvec![(event.id.seq, end)] };
        }
        let pieces: SmallVec<[Bytes; 4]> = events.iter().map(|event| framing::event_bytes(event, encoding)).collect();
        let mut bytes = Vec::with_capacity(pieces.iter().map(|piece| piece.len() + CHUNK_BYTES_MAX).sum());
        let mut ends = SmallVec::with_capacity(events.len());
        for (event, piece) in events.iter().zip(pieces) {
            // A chunk for each event, so that a client that is cut off within this sheet can go on with the next event.
            if chunked {
                push_chunk(&mut bytes, &piece);
            } else {
                bytes.extend_from_slice(&piece);
            }
            ends.push((event.id.seq, bytes.len()));
        }
        Self { bytes: bytes.into(), ends }
    }

    /// Where the first event after `position` begins.
    fn start(&self, position: Seq) -> usize {
        let passed = self.ends.partition_point(|(seq, _)| *seq <= position);
        passed.checked_sub(1).map_or(0, |last| self.ends[last].1)
    }

    /// Of a write that reached `reached`: the last event of which anything was written, and what is left of it.
    fn cut(&self, reached: usize) -> (Option<Seq>, Bytes) {
        let whole = self.ends.partition_point(|(_, end)| *end <= reached);
        let begun = whole.checked_sub(1).map_or(0, |last| self.ends[last].1);
        match self.ends.get(whole) {
            Some((seq, end)) if begun < reached => (Some(*seq), self.bytes.slice(reached..*end)),
            _ => (whole.checked_sub(1).map(|last| self.ends[last].0), Bytes::new()),
        }
    }
}

impl Sheets {
    fn new(events: Vec<Arc<Event>>) -> Self {
        Self { events, made: Default::default() }
    }

    fn get(&mut self, encoding: Encoding) -> &Sheet {
        self.made[encoding as usize].get_or_insert_with(|| Sheet::new(&self.events, encoding))
    }
}

/// Whether what is so encoded is sent as chunks of an HTTP response.
pub(super) fn is_chunked(encoding: Encoding) -> bool {
    !matches!(encoding, Encoding::WebSocket | Encoding::WebSocketData)
}

impl Thread {
    /// Gives what is new in the rooms that were rung for.
    pub(super) fn fan_out(&mut self) {
        let mut rooms = std::mem::take(&mut self.rooms);
        for room in rooms.drain(..) {
            match self.group.fresh(room, SHEET) {
                Fresh::Nothing => {}
                Fresh::Apart => self.each_by_itself(room),
                Fresh::Events { events, after, through, more } => {
                    self.deliver_to_all(room, Sheets::new(events), after, through);
                    if more {
                        // Others get their turn first.
                        self.rooms.push(room);
                    }
                }
            }
        }
        // Keeps the allocation, unless a room was put back.
        if self.rooms.is_empty() {
            self.rooms = rooms;
        }
    }

    fn each_by_itself(&mut self, room: u32) {
        let members: Vec<u32> = self.group.members(room).iter().copied().filter(|member| *member != NOBODY).collect();
        for index in members {
            self.queue(index);
        }
    }

    fn deliver_to_all(&mut self, room: u32, mut sheets: Sheets, after: Seq, through: Seq) {
        let tick = self.tick;
        let (mut by_themselves, mut broken) = (Vec::new(), Vec::new());
        for index in self.group.members(room) {
            let Some(conn) = self.conns.get_mut(*index as usize) else { continue };
            match deliver(conn, &mut sheets, after, through, tick) {
                Delivery::Done => {}
                Delivery::ByItself => by_themselves.push(*index),
                Delivery::Broken => broken.push(*index),
            }
        }
        for index in by_themselves {
            self.news(index);
        }
        for index in broken {
            self.close(index);
        }
    }

    /// There is something new for one that reads by itself.
    fn news(&mut self, index: u32) {
        match &self.conns[index as usize].state {
            State::Polling(_) => self.news_for_poll(index),
            _ => self.queue(index),
        }
    }

    /// Brings a plain reader up to what is new, straight from the ring. `None` if it is not plain, or what it needs is not
    /// there; else whether there may be more.
    pub(super) fn catch_up(&mut self, index: u32) -> Option<bool> {
        let conn = &mut self.conns[index as usize];
        let streaming = conn.streaming().filter(|streaming| streaming.session.is_open())?;
        let (place, position) = streaming.member.plain()?;
        let Ok(fresh) = self.group.catch_up(*place, position, SHEET) else { return None };
        match fresh {
            Fresh::Apart => None,
            // The position moves with the head, although nothing was for this reader.
            Fresh::Nothing => None,
            Fresh::Events { events, after, through, .. } => {
                let delivery = deliver(conn, &mut Sheets::new(events), after, through, self.tick);
                if matches!(delivery, Delivery::Broken) {
                    self.close(index);
                    return Some(false);
                }
                Some(self.conns[index as usize].is_clear())
            }
        }
    }
}

/// Writes to one member what it does not have yet.
fn deliver(conn: &mut Conn, sheets: &mut Sheets, after: Seq, through: Seq, tick: Tick) -> Delivery {
    // Who cannot be written to now reads on from its position when it can.
    if !conn.is_clear() || conn.closing {
        return Delivery::Done;
    }
    let Some(streaming) = conn.streaming() else { return Delivery::ByItself };
    if streaming.fetching {
        return Delivery::Done;
    }
    let plain = streaming.member.plain().filter(|_| streaming.session.is_open());
    let Some((_, position)) = plain.filter(|(_, position)| *position >= after) else { return Delivery::ByItself };
    let (encoding, heartbeat) = (streaming.session.encoding(), streaming.heartbeat);
    let sheet = sheets.get(encoding);
    let start = sheet.start(position);
    let Ok(written) = conn.write(&sheet.bytes[start..]) else { return Delivery::Broken };
    let (reached, rest) = match start + written {
        all if all == sheet.bytes.len() => (Some(through), Bytes::new()),
        cut => sheet.cut(cut),
    };
    conn.keep(rest);
    conn.said(tick.saturating_add(heartbeat));
    if let (Some(streaming), Some(reached)) = (conn.streaming(), reached) {
        streaming.member.advance(reached);
    }
    Delivery::Done
}

impl Conn {
    /// The reader that is sent what comes, if this is one.
    pub(super) fn streaming(&mut self) -> Option<&mut Streaming> {
        match &mut self.state {
            State::Streaming(streaming) => Some(streaming),
            State::Socket(socket) => socket.reading_mut().filter(|_| true),
            _ => None,
        }
    }

    /// Something was said: the next beat is due at `due`.
    fn said(&mut self, due: Tick) {
        match &mut self.state {
            State::Streaming(_) => self.due = due,
            // Its timer also sends Pings, which do not wait for silence.
            State::Socket(socket) => socket.beat_at = due,
            _ => {}
        }
    }
}
