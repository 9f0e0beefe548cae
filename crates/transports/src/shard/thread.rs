//! The rounds of a shard: sockets, letters, fresh events, timers.
//!
//! Each part does a bounded piece of work and leaves the rest for the next round, so that a storm of connects does not hold
//! up deliveries, nor a long replay anybody else.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bongsu_core::Millis;
use bongsu_hub::Group;
use bongsu_wire::http1::DateLine;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use tokio::runtime::Handle;

use super::census::Counting;
use super::conn::{Conn, State, Unanswered};
use super::wheel::{TICK, Tick, Wheel};
use super::{Figures, Front, HandedOver, Key, Letter, Mailbox, Settings};
use crate::Context;

const WAKER: Token = Token(usize::MAX);
const LISTENER: Token = Token(usize::MAX - 1);
/// Socket events per round.
const EVENTS_MAX: usize = 1_024;
/// The read buffer, which is also the most of a request that is looked at in a shard, in bytes.
pub(super) const READ_BYTES: usize = 64 << 10;

/// A shard.
pub(super) struct Thread {
    pub(super) poll: Poll,
    pub(super) number: usize,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) mailboxes: Arc<[Arc<Mailbox>]>,
    pub(super) listener: Option<TcpListener>,
    /// The listener may have more.
    pub(super) accepts: bool,
    pub(super) accept_again: Option<Instant>,
    /// To whom the next connection goes.
    pub(super) next: usize,

    pub(super) context: Arc<Context>,
    pub(super) front: Arc<dyn Front>,
    pub(super) hand_over: Arc<dyn Fn(HandedOver) + Send + Sync>,
    pub(super) runtime: Handle,
    pub(super) figures: Arc<Figures>,

    pub(super) conns: Slab<Conn>,
    pub(super) generation: u32,
    pub(super) group: Group,
    /// Rooms with something new.
    pub(super) rooms: Vec<u32>,
    /// Those who get another turn in the next round.
    pub(super) turns: VecDeque<Key>,
    /// Long polls that gather a burst, in the order in which they will answer.
    pub(super) gathering: VecDeque<(Instant, Key)>,
    pub(super) wheel: Wheel,
    pub(super) started: Instant,
    /// The present time of this round.
    pub(super) now: Instant,
    /// The same by the clock on the wall.
    pub(super) wall: Millis,
    pub(super) tick: Tick,
    pub(super) date: DateLine,
    pub(super) buffer: Vec<u8>,
    /// Requests are being answered, and those behind them are not in the stash.
    pub(super) answering: bool,
    /// How many publishes were handed in: each has a number.
    pub(super) publishes: u32,
    /// Publishes were handed in to the hub, which is to carry on with them once the round has brought them all.
    pub(super) handed_in: bool,
    /// A census in progress.
    pub(super) counting: Option<Counting>,
    pub(super) draining: bool,
    pub(super) stopping: bool,
}

/// Where letters for the thread of this poll wait.
pub(super) fn mailbox(poll: &Poll) -> io::Result<Arc<Mailbox>> {
    Ok(Arc::new(Mailbox::new(Waker::new(poll.registry(), WAKER)?)))
}

impl Thread {
    pub(super) fn new(
        settings: &Settings,
        poll: Poll,
        number: usize,
        mailboxes: Arc<[Arc<Mailbox>]>,
        mut listener: Option<TcpListener>,
        figures: Arc<Figures>,
    ) -> io::Result<Self> {
        if let Some(listener) = &mut listener {
            poll.registry().register(listener, LISTENER, Interest::READABLE)?;
        }
        let context = settings.transports.context.clone();
        let mailbox = mailboxes[number].clone();
        let group = context.hub.group(mailbox.clone());
        let now = Instant::now();
        let wall = context.hub.clock().now();
        Ok(Self {
            poll,
            number,
            mailbox,
            mailboxes,
            listener,
            accepts: true,
            accept_again: None,
            next: 0,
            context,
            front: settings.front.clone(),
            hand_over: settings.hand_over.clone(),
            runtime: settings.runtime.clone(),
            figures,
            conns: Slab::new(),
            generation: 0,
            group,
            rooms: Vec::new(),
            turns: VecDeque::new(),
            gathering: VecDeque::new(),
            wheel: Wheel::new(),
            started: now,
            now,
            wall,
            tick: 0,
            date: DateLine::default(),
            buffer: vec![0; READ_BYTES],
            answering: false,
            publishes: 0,
            handed_in: false,
            counting: None,
            draining: false,
            stopping: false,
        })
    }

    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut letters = Vec::new();
        let mut fired = Vec::new();
        while !self.stopping {
            if let Err(error) = self.wait(&mut events)
                && error.kind() != io::ErrorKind::Interrupted
            {
                // Only a mistake in this program makes a poll fail; going on would spin.
                panic!("a shard cannot wait for its sockets: {error}");
            }
            self.now = Instant::now();
            self.wall = self.context.hub.clock().now();
            self.tick = Wheel::tick(self.now - self.started);
            for event in &events {
                self.on_event(event);
            }
            self.accept();
            self.carry_on();
            self.read_letters(&mut letters);
            self.fan_out();
            self.take_turns();
            self.carry_on();
            self.end_gathering();
            self.count_on();
            self.wheel.advance(self.tick, &mut fired);
            for (index, at) in fired.drain(..) {
                self.on_timer(index, at);
            }
        }
    }

    fn carry_on(&mut self) {
        if std::mem::take(&mut self.handed_in) {
            self.context.hub.carry_on();
        }
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let busy = !self.turns.is_empty()
            || !self.rooms.is_empty()
            || self.counting.is_some()
            || (self.accepts && self.accept_again.is_none());
        let timeout = if busy || !self.mailbox.may_sleep() { Some(Duration::ZERO) } else { self.patience() };
        let polled = self.poll.poll(events, timeout);
        self.mailbox.awake();
        polled
    }

    /// How long there is nothing to do if nothing happens.
    fn patience(&self) -> Option<Duration> {
        let now = Instant::now();
        let timer = self.wheel.next().map(|tick| self.started + TICK * tick);
        let gathering = self.gathering.front().map(|(end, _)| *end);
        [timer, gathering, self.accept_again].into_iter().flatten().min().map(|end| {
            // The poll counts whole milliseconds, downwards: without one more it would come back early and spin.
            end.saturating_duration_since(now) + Duration::from_millis(1)
        })
    }

    fn on_event(&mut self, event: &Event) {
        let token = event.token();
        if token == LISTENER {
            self.accepts = true;
            return;
        }
        if token == WAKER {
            return;
        }
        let key = Key { index: token.0 as u32, generation: (token.0 >> 32) as u32 };
        let Some(conn) = self.conn(key) else { return };
        if event.is_error() {
            return self.close(key.index);
        }
        conn.read_closed |= event.is_read_closed();
        conn.readable |= event.is_readable() || event.is_read_closed();
        if event.is_writable() && (conn.blocked || conn.unsent.is_some()) {
            if conn.flush().is_err() {
                return self.close(key.index);
            }
            self.go_on(key.index);
        }
        if self.conn(key).is_some_and(|conn| conn.readable) {
            self.on_readable(key.index);
        }
    }

    /// The connection, if it is still the same.
    pub(super) fn conn(&mut self, key: Key) -> Option<&mut Conn> {
        self.conns.get_mut(key.index as usize).filter(|conn| conn.generation == key.generation)
    }

    pub(super) fn key(&self, index: u32) -> Key {
        Key { index, generation: self.conns[index as usize].generation }
    }

    pub(super) fn deregister(&self, stream: &mut TcpStream) -> io::Result<()> {
        self.poll.registry().deregister(stream)
    }

    fn read_letters(&mut self, letters: &mut Vec<Letter>) {
        self.mailbox.take(letters);
        for letter in letters.drain(..) {
            match letter {
                Letter::Accepted(stream, place) => self.take_in(stream, place),
                Letter::Called(key) => self.on_call(key),
                Letter::Found(key, found) => self.on_found(key, found),
                Letter::Fetched(key, fetched) => self.on_fetched(key, fetched),
                Letter::Published(key, number, answer) => self.on_published(key, number, answer),
                Letter::Census(answer) => self.counting = Some(Counting::new(answer)),
                Letter::Drain => self.drain(),
                Letter::Stop => self.stopping = true,
            }
        }
        if self.mailbox.take_rung() {
            self.group.take_rung(&mut self.rooms);
        }
    }

    /// Somebody wants the connection to end.
    fn on_call(&mut self, key: Key) {
        let Some(conn) = self.conn(key) else { return };
        match &mut conn.state {
            State::Streaming(streaming) => {
                streaming.heed_close();
                self.drive_stream(key.index);
            }
            State::Socket(socket) => {
                socket.heed_close();
                self.drive_socket(key.index);
            }
            State::Polling(_) => self.end_wait(key.index),
            // Those that are still looked up see it when they are found.
            _ => {}
        }
    }

    /// Lets the connection have another turn in the next round.
    pub(super) fn queue(&mut self, index: u32) {
        let conn = &mut self.conns[index as usize];
        if !std::mem::replace(&mut conn.queued, true) {
            let key = Key { index, generation: conn.generation };
            self.turns.push_back(key);
        }
    }

    fn take_turns(&mut self) {
        for _ in 0..self.turns.len() {
            let Some(key) = self.turns.pop_front() else { break };
            if let Some(conn) = self.conn(key) {
                conn.queued = false;
                self.go_on(key.index);
                if self.conn(key).is_some_and(|conn| conn.readable) {
                    self.on_readable(key.index);
                }
            }
        }
    }

    /// The socket has room again, or it is the connection's turn.
    pub(super) fn go_on(&mut self, index: u32) {
        let Some(conn) = self.conns.get_mut(index as usize) else { return };
        if !conn.is_clear() {
            return;
        }
        if conn.closing {
            return self.finish(index);
        }
        if conn.unanswered.put(Unanswered::ANSWER, false) {
            self.figures.unanswered.fetch_sub(1, Ordering::SeqCst);
        }
        match &conn.state {
            State::Request if (self.draining || conn.ended) && conn.stash.is_none() => self.finish(index),
            State::Request => self.read_stash(index),
            State::Streaming(_) => self.drive_stream(index),
            State::Socket(_) => {
                self.drive_socket(index);
                self.hear_stash(index);
            }
            State::Polling(_) => self.drive_poll(index),
            State::Opening(_) | State::Publishing(_) | State::Lingering => {}
        }
    }

    fn end_gathering(&mut self) {
        while let Some((end, key)) = self.gathering.front().copied()
            && end <= self.now
        {
            self.gathering.pop_front();
            if self.conn(key).is_some() {
                self.end_gather(key.index);
            }
        }
    }

    /// Sets when something is to be done if nothing happens before.
    pub(super) fn due_in(&mut self, index: u32, after: Duration) {
        let due = self.tick.saturating_add(Wheel::ticks(after));
        self.due_at(index, due);
    }

    pub(super) fn due_at(&mut self, index: u32, due: Tick) {
        let conn = &mut self.conns[index as usize];
        conn.due = due;
        // An entry that fires earlier finds the new time.
        if due < conn.scheduled {
            conn.scheduled = self.wheel.insert(index, due);
        }
    }

    fn on_timer(&mut self, index: u32, at: Tick) {
        let Some(conn) = self.conns.get_mut(index as usize).filter(|conn| conn.scheduled == at) else { return };
        if conn.due > self.tick {
            conn.scheduled = self.wheel.insert(index, conn.due);
            return;
        }
        (conn.due, conn.scheduled) = (Tick::MAX, Tick::MAX);
        let clear = conn.is_clear();
        match &conn.state {
            // Who still takes an answer is not late; who takes nothing any more is given up by the kernel.
            State::Request | State::Lingering if !clear => self.due_in(index, self.context.limits.head_timeout),
            // The head took too long, or nothing was asked for too long; or the client did not end its side.
            State::Request | State::Lingering => self.close(index),
            State::Streaming(_) => self.beat_stream(index),
            State::Socket(_) => self.beat_socket(index),
            State::Polling(_) => self.end_wait(index),
            State::Opening(_) | State::Publishing(_) => {}
        }
    }

    pub(super) fn wall_clock(&self) -> Millis {
        self.wall
    }

    /// Milliseconds on a clock that only goes forward.
    pub(super) fn millis(&self) -> u64 {
        (self.now - self.started).as_millis() as u64
    }

    /// The tick by which so many milliseconds of [`Thread::millis`] are over.
    pub(super) fn tick_of(millis: u64) -> Tick {
        Wheel::ticks(Duration::from_millis(millis))
    }
}
