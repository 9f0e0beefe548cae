//! Channels of the floor: who listens, and the newest events for who comes back.

use std::collections::{HashMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use slab::Slab;

use super::{Peer, reply};

/// A channel.
#[derive(Default)]
struct Channel {
    offset: u64,
    subscribers: Vec<usize>,
    /// The newest events with their numbers.
    kept: VecDeque<(u64, Vec<u8>)>,
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
}

impl Channels {
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
        // A subscriber that went away is noticed when its socket is read.
        channel.subscribers.iter().for_each(|key| drop(peers[*key].send(&frame)));
        let count = channel.subscribers.len();
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

    /// Adds a subscriber; gives the channel and all it is to be sent at first.
    pub(super) fn join(&mut self, path: &[u8], since: Option<u64>, key: usize) -> (usize, Vec<u8>) {
        let at = self.at(path);
        let channel = &mut self.channels[at];
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
