//! The load generator: one thread, one poll, thousands of small connections.
//!
//! It knows the five ways and the ledger; it must not know which server it talks to, nor what is done with figures.

mod desk;
mod dialect;
pub(crate) mod lines;
mod link;
mod pace;
mod plan;
mod publisher;
mod subscriber;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};

pub(crate) use self::desk::Desk;
pub(crate) use self::dialect::Dialect;
use self::link::Link;
pub(crate) use self::plan::{Plan, Way};
use self::publisher::Publisher;
use self::subscriber::{Context, Stage, Subscriber, Then};
use crate::Fallible;

const READ_BYTES: usize = 256 << 10;
const EVENTS: usize = 1_024;
/// The token of the first publisher; those below are subscribers.
const PUBLISHERS: usize = 1 << 32;
/// How long a turn waits when nothing is due.
const TURN: Duration = Duration::from_millis(50);

/// The generator.
pub(crate) struct Generator {
    plan: Plan,
    poll: Poll,
    events: Option<Events>,
    subscribers: Vec<Subscriber>,
    publishers: Vec<Publisher>,
    /// The book and the figures.
    pub(crate) desk: Desk,
    /// When which subscriber polls again.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// When which subscriber that was refused comes back.
    returning: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Refusals with a time to come back.
    pub(crate) refusals: usize,
    /// Connections of this generator come from source addresses of their own: those of the last one still rest.
    source: usize,
    /// Subscribers that have begun to connect; those below this number.
    begun: usize,
    /// Subscribers that are subscribed.
    ready: usize,
    /// Streams that the server ended.
    pub(crate) cut: usize,
    /// Whether subscribers go away at the server's first word: it is being stopped.
    leaving: bool,
    next_channel: usize,
    /// The channel that publishes go to, and its subscribers, where it is not one channel after the other.
    route: Option<(usize, usize)>,
    buffer: Vec<u8>,
    content: Vec<u8>,
    out: Vec<u8>,
}

impl Generator {
    /// A generator that has not connected yet.
    pub(crate) fn new(plan: Plan) -> Fallible<Self> {
        let regulars = (0..plan.regulars()).map(|number| Subscriber::new(number % plan.channels));
        let crowd = (0..plan.crowd).map(|_| Subscriber::new(plan.crowd_channel));
        let mut desk = Desk::new(plan.channels.max(plan.crowd_channel + 1), plan.numbered);
        desk.time_only(plan.regulars());
        Ok(Self {
            plan,
            poll: Poll::new()?,
            events: Some(Events::with_capacity(EVENTS)),
            subscribers: regulars.chain(crowd).collect(),
            publishers: Vec::new(),
            desk,
            due: BinaryHeap::new(),
            returning: BinaryHeap::new(),
            refusals: 0,
            source: link::next_sources(plan.regulars() + plan.crowd + plan.publishers),
            begun: 0,
            ready: 0,
            cut: 0,
            leaving: false,
            next_channel: 0,
            route: None,
            buffer: vec![0; READ_BYTES],
            content: Vec::new(),
            out: Vec::new(),
        })
    }

    /// Connects all subscribers and waits until each is subscribed.
    pub(crate) fn join(&mut self, time: Duration) -> Fallible<()> {
        self.join_first(self.subscribers.len(), time)
    }

    /// Connects those that are not of the crowd and waits until each is subscribed.
    pub(crate) fn join_regulars(&mut self, time: Duration) -> Fallible<()> {
        self.join_first(self.plan.regulars(), time)
    }

    fn join_first(&mut self, count: usize, time: Duration) -> Fallible<()> {
        let deadline = Instant::now() + time;
        while self.ready < count {
            self.begin_some(count)?;
            self.turn(TURN)?;
            if Instant::now() > deadline {
                let ready = self.ready;
                let seconds = time.as_secs();
                return Err(format!("only {ready} of {count} subscribers were subscribed within {seconds} s").into());
            }
        }
        Ok(())
    }

    /// Whether every subscriber is subscribed.
    pub(crate) fn all_are_subscribed(&self) -> bool {
        self.ready == self.subscribers.len()
    }

    /// Connects the publishers.
    pub(crate) fn connect_publishers(&mut self, time: Duration) -> Fallible<()> {
        for number in 0..self.plan.publishers {
            let token = Token(PUBLISHERS + number);
            let from = self.source + self.subscribers.len() + number;
            let link = Link::open(self.poll.registry(), token, self.plan.target, from)?;
            self.publishers.push(Publisher::new(link));
        }
        self.desk.publishers(self.plan.publishers);
        let connected = self.run(time, |it| it.publishers.iter().all(|publisher| publisher.ready))?;
        if connected { Ok(()) } else { Err("the publishers' connections were not accepted in time".into()) }
    }

    /// Drops all connections. Subscribers keep their positions and can [`join`](Self::join) a server again.
    pub(crate) fn disconnect(&mut self, next_target: SocketAddr) {
        self.subscribers.iter_mut().for_each(Subscriber::disconnect);
        self.publishers.clear();
        self.due.clear();
        self.returning.clear();
        (self.begun, self.ready, self.cut, self.leaving) = (0, 0, 0, false);
        self.plan.target = next_target;
    }

    /// Works until `enough` is true or the time is over; says whether it became true.
    pub(crate) fn run(&mut self, time: Duration, mut enough: impl FnMut(&Self) -> bool) -> Fallible<bool> {
        let deadline = Instant::now() + time;
        loop {
            if enough(self) {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.turn(left.min(TURN))?;
        }
    }

    /// From now on subscribers go away at the server's first word, as clients do that are told to close.
    pub(crate) fn leave(&mut self) {
        self.leaving = true;
        self.publishers.clear();
        self.due.clear();
    }

    /// Keeps all publishers busy for the time given, channel after channel.
    pub(crate) fn publish_for(&mut self, time: Duration) -> Fallible<()> {
        let deadline = Instant::now() + time;
        loop {
            while let Some(publisher) = self.desk.next_idle() {
                self.publish(publisher)?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left.min(TURN))?;
        }
    }

    /// Publishes so many events, as many at a time as there are publishers, to subscribers that are away.
    #[cfg(test)]
    pub(crate) fn publish_to_nobody(&mut self, count: usize, time: Duration) -> Fallible<()> {
        let each = std::mem::replace(&mut self.plan.each, 0);
        let result = self.publish_count(count, time);
        self.plan.each = each;
        result
    }

    /// Publishes so many events and waits until each is acknowledged and has arrived.
    pub(crate) fn publish_count(&mut self, count: usize, time: Duration) -> Fallible<()> {
        let deadline = Instant::now() + time;
        let mut left = count;
        while left > 0 || !self.desk.is_quiet() {
            while left > 0
                && let Some(publisher) = self.desk.next_idle()
            {
                self.publish(publisher)?;
                left -= 1;
            }
            self.turn(TURN)?;
            if Instant::now() > deadline {
                return Err("events did not arrive at all their subscribers in time".into());
            }
        }
        Ok(())
    }

    /// Whether every subscriber has all that was published.
    pub(crate) fn all_have_all(&self) -> bool {
        (0..self.subscribers.len()).all(|who| self.has_all(who))
    }

    /// Whether a subscriber has all that was published to its channel.
    pub(crate) fn has_all(&self, who: usize) -> bool {
        let subscriber = &self.subscribers[who];
        subscriber.next_offset > self.desk.ledger.head(subscriber.channel)
    }

    /// How many subscribers there are, the crowd among them.
    pub(crate) fn subscribers(&self) -> usize {
        self.subscribers.len()
    }

    /// At the end: counts what never came.
    pub(crate) fn finish(&mut self) {
        for subscriber in &self.subscribers {
            self.desk.ledger.finish(subscriber.channel, subscriber.next_offset);
        }
    }

    fn publish(&mut self, publisher: usize) -> Fallible<()> {
        self.publish_as(publisher, None)
    }

    /// Publishes now, as if it were the time given.
    fn publish_as(&mut self, publisher: usize, at_ns: Option<u64>) -> Fallible<()> {
        let (channel, subscribers) = self.route.unwrap_or((self.next_channel, self.plan.each));
        if self.route.is_none() {
            self.next_channel = (channel + 1) % self.plan.channels;
        }
        let stamp = match at_ns {
            Some(at_ns) => self.desk.left(publisher, channel, subscribers, at_ns),
            None => self.desk.leaves(publisher, channel, subscribers),
        };
        self.out.clear();
        self.plan.dialect.write_publish(&mut self.out, channel, stamp);
        Ok(self.publishers[publisher].link.send(&self.out)?)
    }

    /// Begins as many connections as may be under way, of the first so many subscribers.
    fn begin_some(&mut self, count: usize) -> Fallible<()> {
        while self.begun < count && self.begun - self.ready - self.returning.len() < self.plan.connecting_max {
            self.connect(self.begun)?;
            self.begun += 1;
        }
        Ok(())
    }

    fn connect(&mut self, who: usize) -> Fallible<()> {
        let is_crowd = who >= self.plan.regulars();
        let receive_bytes = self.plan.crowd_receive_bytes.filter(|_| is_crowd);
        let (registry, from) = (self.poll.registry(), self.source + who);
        let link = Link::open_with(registry, Token(who), self.plan.target, from, receive_bytes)?;
        self.subscribers[who].link = Some(link);
        Ok(())
    }

    /// One turn: waits at most so long, takes what has arrived, asks where a poll is due.
    fn turn(&mut self, wait: Duration) -> Fallible<()> {
        let now = Instant::now();
        let first = [self.due.peek(), self.returning.peek()].into_iter().flatten().max();
        let wait = first.map_or(wait, |Reverse((at, _))| wait.min(at.saturating_duration_since(now)));
        let mut events = self.events.take().expect("put back at the end of each turn");
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => events.clear(),
            other => other?,
        }
        for event in &events {
            match event.token().0.checked_sub(PUBLISHERS) {
                Some(number) => self.publisher_ready(number, event)?,
                None => self.subscriber_ready(event.token().0, event)?,
            }
        }
        self.events = Some(events);
        self.connect_who_returns()?;
        self.ask_who_is_due()
    }

    fn ask_who_is_due(&mut self) -> Fallible<()> {
        let now = Instant::now();
        while let Some(Reverse((at, who))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            if let Some(interval) = self.plan.interval {
                self.due.push(Reverse((at + interval, who)));
            }
            // A poll that is not answered yet is not asked again: then the server, not the interval, sets the pace.
            if self.subscribers[who].stage == Stage::Resting {
                self.ask(who)?;
            }
        }
        Ok(())
    }

    fn ask(&mut self, who: usize) -> Fallible<()> {
        self.out.clear();
        let subscriber = &mut self.subscribers[who];
        let was_ready = subscriber.ready;
        subscriber.ask(self.plan.dialect, self.plan.way, self.plan.comes_back, &mut self.out);
        self.ready += usize::from(!was_ready && subscriber.ready);
        match &mut subscriber.link {
            Some(link) => Ok(link.send(&self.out)?),
            None => Ok(()),
        }
    }

    fn publisher_ready(&mut self, number: usize, event: &Event) -> Fallible<()> {
        let Some(publisher) = self.publishers.get_mut(number) else { return Ok(()) };
        if !publisher.ready {
            publisher.link.check()?;
            publisher.ready = event.is_writable();
        }
        publisher.link.flush()?;
        if event.is_readable() {
            while let Some(count) = publisher.link.read(&mut self.buffer)? {
                if count == 0 {
                    return Err("the server closed a publisher's connection".into());
                }
                self.desk.tick();
                if let Some((status, content)) = publisher.take(&self.buffer[..count])? {
                    self.desk.acknowledged(number, status, &content)?;
                }
                if count < self.buffer.len() && !event.is_read_closed() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn subscriber_ready(&mut self, who: usize, event: &Event) -> Fallible<()> {
        let subscriber = &mut self.subscribers[who];
        let Some(link) = &mut subscriber.link else { return Ok(()) };
        if subscriber.stage == Stage::Connecting {
            link.check()?;
            if event.is_writable() {
                self.ask(who)?;
            }
        } else if event.is_writable() {
            link.flush()?;
        }
        if event.is_readable() { self.read(who, event.is_read_closed()) } else { Ok(()) }
    }

    /// Reads until the socket has no more. A short read means that, and a new edge tells of what comes later; only the
    /// end of the connection, when it came with the last bytes, has no edge of its own.
    fn read(&mut self, who: usize, at_end: bool) -> Fallible<()> {
        loop {
            let subscriber = &mut self.subscribers[who];
            let Some(link) = &mut subscriber.link else { return Ok(()) };
            let Some(count) = link.read(&mut self.buffer)? else { return Ok(()) };
            if self.leaving {
                subscriber.link = None;
                return Ok(());
            }
            if count == 0 {
                return self.ended(who);
            }
            self.desk.tick();
            self.out.clear();
            let mut context = Context {
                dialect: self.plan.dialect,
                way: self.plan.way,
                keeps_cursor: self.plan.comes_back,
                desk: &mut self.desk,
                content: &mut self.content,
                out: &mut self.out,
            };
            let was_ready = subscriber.ready;
            let then = subscriber.take(who, &self.buffer[..count], &mut context)?;
            if !self.out.is_empty()
                && let Some(link) = &mut subscriber.link
            {
                link.send(&self.out)?;
            }
            let is_new = !was_ready && subscriber.ready;
            self.ready += usize::from(is_new);
            self.follow(who, then, is_new)?;
            if count < self.buffer.len() && !at_end {
                return Ok(());
            }
        }
    }

    fn follow(&mut self, who: usize, then: Then, is_new: bool) -> Fallible<()> {
        match then {
            Then::Read => Ok(()),
            Then::Ask => self.ask(who),
            Then::Ended => self.ended(who),
            Then::ComeBack(pause) => self.refused(who, pause),
            Then::AskLater => {
                if is_new && let Some(interval) = self.plan.interval {
                    // Spread over the interval, as clients that came at different times are.
                    let count = u32::try_from(self.subscribers.len()).expect("at most the open files");
                    let place = u32::try_from(who).expect("at most the open files");
                    self.due.push(Reverse((Instant::now() + interval * place / count, who)));
                }
                Ok(())
            }
        }
    }

    /// The server has ended a connection: a polling client connects again, a stream is cut.
    fn ended(&mut self, who: usize) -> Fallible<()> {
        let subscriber = &mut self.subscribers[who];
        if !subscriber.ready {
            return Err("the server closed a connection before the subscription was answered".into());
        }
        subscriber.link = None;
        if self.plan.way.polls() && !self.plan.comes_back {
            subscriber.stage = Stage::Connecting;
            self.connect(who)
        } else {
            self.cut += 1;
            Ok(())
        }
    }
}
