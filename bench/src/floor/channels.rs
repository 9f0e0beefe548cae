//! Channels of the floor: who listens, and the newest events for who comes back.

use std::collections::{HashMap, VecDeque};
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use slab::Slab;

use super::{Peer, Sending, reply};

/// Events that leave in one write when sending in tens.
const TEN: usize = 10;

/// A channel.
#[derive(Default)]
struct Channel {
    offset: u64,
    subscribers: Vec<usize>,
    /// The newest events with their numbers.
    kept: VecDeque<(u64, Vec<u8>)>,
    /// Sending in tens: what waits, and how many events that is.
    gathered: (Vec<u8>, usize),
}

impl Channel {
    /// What was gathered leaves, in one write per subscriber.
    fn release(&mut self, peers: &mut Slab<Peer>) {
        if self.gathered.1 > 0 {
            self.subscribers.iter().for_each(|key| drop(peers[*key].send(&self.gathered.0)));
            self.gathered.0.clear();
            self.gathered.1 = 0;
        }
    }
}

/// All channels of the floor.
#[derive(Default)]
pub(super) struct Channels {
    by_path: HashMap<Vec<u8>, usize>,
    channels: Vec<Channel>,
    /// Counts events of all channels.
    sequence: u64,
    /// The time of this round, in Unix milliseconds.
    now: u128,
    /// How events leave.
    sending: Sending,
    /// Channels that have gathered something.
    gathering: Vec<usize>,
    /// For the ring: who gets what at the end of the round.
    queued: Vec<(usize, Rc<[u8]>)>,
}

impl Channels {
    /// No channels yet.
    pub(super) fn new(sending: Sending) -> Self {
        Self { sending, ..Self::default() }
    }

    /// Reads the clock, once for the round.
    pub(super) fn tick(&mut self) {
        self.now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    }

    /// Numbers an event, writes it to each subscriber and gives the publisher's answer.
    pub(super) fn publish(&mut self, peers: &mut Slab<Peer>, path: &[u8], data: &[u8], keep: usize) -> String {
        let at = self.at(path);
        self.sequence += 1;
        let channel = &mut self.channels[at];
        channel.offset += 1;
        let (sequence, offset, now) = (self.sequence, channel.offset, self.now);
        let name = String::from_utf8_lossy(path.rsplit(|byte| *byte == b'/').next().unwrap_or_default());
        let head = format!(
            "id: {sequence}\ndata: {{\"id\":\"{sequence}\",\"channel\":\"{name}\",\"offset\":{offset},\"time\":{now},\"data\":"
        );
        let frame = [head.as_bytes(), data, b"}\n\n"].concat();
        let count = channel.subscribers.len();
        // A subscriber that went away is noticed when its socket is read.
        match &self.sending {
            Sending::Each => channel.subscribers.iter().for_each(|key| drop(peers[*key].send(&frame))),
            Sending::Tens => {
                channel.gathered.0.extend_from_slice(&frame);
                channel.gathered.1 += 1;
                match channel.gathered.1 {
                    1 => self.gathering.push(at),
                    TEN => {
                        channel.release(peers);
                        self.gathering.retain(|other| *other != at);
                    }
                    _ => {}
                }
            }
            Sending::Ring(_) => {
                let shared: Rc<[u8]> = frame.as_slice().into();
                self.queued.extend(channel.subscribers.iter().map(|key| (*key, Rc::clone(&shared))));
            }
        }
        if keep > 0 {
            channel.kept.push_back((sequence, frame));
            if channel.kept.len() > keep {
                channel.kept.pop_front();
            }
        }
        format!(
            "{{\"id\":\"{sequence}\",\"channel\":\"{name}\",\"offset\":{offset},\"subscribers\":{count},\"duplicate\":false}}"
        )
    }

    /// Whether something waits for a tenth event.
    pub(super) fn is_gathering(&self) -> bool {
        !self.gathering.is_empty()
    }

    /// Nothing more came for a while: what was gathered leaves.
    pub(super) fn release(&mut self, peers: &mut Slab<Peer>) {
        for at in self.gathering.drain(..) {
            self.channels[at].release(peers);
        }
    }

    /// The end of a round: with a ring everything leaves now.
    pub(super) fn send_queued(&mut self, peers: &mut Slab<Peer>) {
        let Sending::Ring(ring) = &mut self.sending else { return };
        // A socket that had no room before keeps its order: it gets nothing past what waits for it. Within one round
        // a socket never fills: what is in flight is far less than its buffer.
        self.queued.retain(|(key, frame)| match peers.get_mut(*key) {
            Some(peer) if peer.unsent.is_empty() => true,
            Some(peer) => {
                peer.unsent.extend_from_slice(frame);
                false
            }
            None => false,
        });
        let mut rest = Vec::new();
        let sends: Vec<_> = self.queued.iter().map(|(key, frame)| (peers[*key].stream.as_fd(), &frame[..])).collect();
        ring.send(&sends, |place, result| {
            // A subscriber that went away is noticed when its socket is read.
            let sent = result.unwrap_or(0);
            if sent < self.queued[place].1.len() {
                rest.push((place, sent));
            }
        });
        rest.sort_unstable();
        for (place, sent) in rest {
            let (key, frame) = &self.queued[place];
            peers[*key].unsent.extend_from_slice(&frame[sent..]);
        }
        self.queued.clear();
    }

    /// Adds a subscriber; gives the channel and all it is to be sent at first.
    pub(super) fn join(
        &mut self,
        peers: &mut Slab<Peer>,
        path: &[u8],
        since: Option<u64>,
        key: usize,
    ) -> (usize, Vec<u8>) {
        let at = self.at(path);
        let channel = &mut self.channels[at];
        // Of what was gathered before it came, a subscriber gets what is kept, and nothing twice.
        channel.release(peers);
        channel.subscribers.push(key);
        let mut first = reply::STREAM.to_vec();
        if let Some(since) = since {
            let missed = channel.kept.iter().filter(|(sequence, _)| *sequence > since);
            missed.for_each(|(_, frame)| first.extend_from_slice(frame));
        }
        let live = format!("data: {{\"type\":\"$live\",\"cursor\":\"{}\"}}\n\n", self.sequence);
        first.extend_from_slice(live.as_bytes());
        (at, first)
    }

    /// Removes a subscriber.
    pub(super) fn leave(&mut self, channel: usize, key: usize) {
        self.channels[channel].subscribers.retain(|subscriber| *subscriber != key);
    }

    fn at(&mut self, path: &[u8]) -> usize {
        if let Some(at) = self.by_path.get(path) {
            return *at;
        }
        self.channels.push(Channel::default());
        self.by_path.insert(path.to_vec(), self.channels.len() - 1);
        self.channels.len() - 1
    }
}
