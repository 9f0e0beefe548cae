//! What is promised for the events of a channel: how long they are kept and when they count as safe.

use std::time::Duration;

use crate::channel::{ChannelName, ChannelPattern};

/// When a publish is acknowledged, from the safest down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// The event is in memory; a crash of the process may lose it.
    Memory,
    /// The operating system has it; a crash of the process loses nothing, a power cut may.
    Os,
    /// The disk has it (`fdatasync`); a power cut loses nothing.
    #[default]
    Fsync,
}

/// How much of a channel is kept; whichever bound is reached first trims the oldest events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The most events.
    pub events_max: u64,
    /// The most bytes of payload.
    pub bytes_max: u64,
    /// The greatest age.
    pub age_max: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { events_max: 100_000, bytes_max: 256 << 20, age_max: Duration::from_secs(7 * 24 * 3600) }
    }
}

/// What holds for one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How much is kept.
    pub retention: Retention,
    /// When a publish is acknowledged.
    pub durability: Durability,
    /// The largest payload, in bytes.
    pub payload_bytes_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self { retention: Retention::default(), durability: Durability::default(), payload_bytes_max: 1 << 20 }
    }
}

/// Policies by channel pattern; the first that matches wins.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<(ChannelPattern, Policy)>,
    fallback: Policy,
}

impl Rules {
    /// `rules` in their order, and `fallback` for every other channel.
    #[must_use]
    pub fn new(rules: Vec<(ChannelPattern, Policy)>, fallback: Policy) -> Self {
        Self { rules, fallback }
    }

    /// What holds for `channel`.
    #[must_use]
    pub fn policy(&self, channel: &ChannelName) -> &Policy {
        let rule = self.rules.iter().find(|(pattern, _)| pattern.matches(channel));
        rule.map_or(&self.fallback, |(_, policy)| policy)
    }

    /// The policy of channels that no rule matches.
    #[must_use]
    pub fn fallback(&self) -> &Policy {
        &self.fallback
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_wins() {
        let bytes = |payload_bytes_max| Policy { payload_bytes_max, ..Policy::default() };
        let rule = |pattern, max| (ChannelPattern::new(pattern).unwrap(), bytes(max));
        let rules = Rules::new(vec![rule("a:b", 1), rule("a:**", 2), rule("a:c", 3)], bytes(4));
        for (channel, expected) in [("a:b", 1), ("a:c", 2), ("a:x:y", 2), ("b", 4)] {
            let channel = ChannelName::new(channel).unwrap();
            assert_eq!(rules.policy(&channel).payload_bytes_max, expected, "{channel}");
        }
    }
}
