//! One log of either kind, with the few words the cases are written in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bongsu_core::event::{EventKey, EventType, UserId};
use bongsu_core::log::{Appended, Budget, Draft, Entry, Group, Idempotency, Log, LostReason, Receipt, Refusal, Slice};
use bongsu_core::policy::{Durability, Policy, Retention, Rules};
use bongsu_core::{ChannelName, ChannelPattern, Event, Millis, Payload, PayloadKind, Seq};
use bongsu_log::{EmbeddedLog, LogConfig, MemoryLog, Opened};
use bytes::Bytes;
use tempfile::TempDir;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Embedded,
}

/// A log and the time.
pub(crate) struct Fixture {
    pub(crate) log: Box<dyn Log>,
    pub(crate) now: Millis,
    /// Where it is, if it is on disk. Goes when the log is gone.
    dir: Option<TempDir>,
    config: LogConfig,
}

pub(crate) const START: Millis = Millis(1_763_683_200_000);
pub(crate) const ALL: Budget = Budget { events: usize::MAX, bytes: usize::MAX };
pub(crate) const END: Seq = Seq(u64::MAX);

pub(crate) fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

/// Rules under which channels beginning with `few:` keep three events, `small:` ten bytes, `short:` a second,
/// `os:` are not synced, and all others have the defaults.
pub(crate) fn rules() -> Arc<Rules> {
    let rule = |pattern: &str, retention, durability| {
        (ChannelPattern::new(pattern).unwrap(), Policy { retention, durability, ..Policy::default() })
    };
    let default = Retention::default();
    let rules = vec![
        rule("few:**", Retention { events_max: 3, ..default }, Durability::Fsync),
        rule("small:**", Retention { bytes_max: 10, ..default }, Durability::Fsync),
        rule("short:**", Retention { age_max: Duration::from_secs(1), ..default }, Durability::Fsync),
        rule("os:**", default, Durability::Os),
    ];
    Arc::new(Rules::new(rules, Policy::default()))
}

pub(crate) fn draft(channel: &str, body: &str) -> Draft {
    Draft {
        channel: name(channel),
        kind: None,
        key: None,
        user: None,
        ttl: None,
        store: true,
        payload: Payload {
            kind: PayloadKind::Text,
            content_type: None,
            bytes: Bytes::copy_from_slice(body.as_bytes()),
        },
        idempotency: None,
        subscribers: 0,
    }
}

pub(crate) fn keyed(channel: &str, body: &str, key: &str) -> Draft {
    Draft { idempotency: Some(Idempotency { publisher: "".into(), key: key.into() }), ..draft(channel, body) }
}

pub(crate) fn full(channel: &str, body: &[u8]) -> Draft {
    Draft {
        kind: Some(EventType::new("offer").unwrap()),
        key: Some(EventKey::new("봉수").unwrap()),
        user: Some(UserId::new("rider 7").unwrap()),
        ttl: Some(Duration::from_secs(60)),
        payload: Payload {
            kind: PayloadKind::Binary,
            content_type: Some("image/png".into()),
            bytes: Bytes::copy_from_slice(body),
        },
        ..draft(channel, "")
    }
}

pub(crate) fn group(entries: Vec<Entry>) -> Group {
    Group { entries }
}

pub(crate) fn publish(draft: Draft) -> Group {
    group(vec![Entry::Publish(draft)])
}

pub(crate) fn reset(channel: &str) -> Group {
    group(vec![Entry::Reset(name(channel))])
}

/// A directory in memory if there is one: these tests are about the log, not about the disk's patience.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(crate) fn open(dir: &Path, config: LogConfig, now: Millis) -> EmbeddedLog {
    EmbeddedLog::open(dir, rules(), config, now).unwrap()
}

/// The first file of events of the log in `dir`.
pub(crate) fn first_segment(dir: &Path) -> PathBuf {
    dir.join("segments/0000000000000000.seg")
}

/// The text of an event.
pub(crate) fn body(event: &Event) -> &str {
    std::str::from_utf8(&event.payload.bytes).unwrap()
}

pub(crate) fn bodies(slice: &Slice) -> Vec<&str> {
    slice.events.iter().map(|event| body(event)).collect()
}

impl Fixture {
    pub(crate) fn new(kind: Kind) -> Self {
        Self::with_config(kind, LogConfig::default())
    }

    pub(crate) fn with_config(kind: Kind, config: LogConfig) -> Self {
        let (log, dir): (Box<dyn Log>, _) = match kind {
            Kind::Memory => (Box::new(MemoryLog::new(rules(), config)), None),
            Kind::Embedded => {
                let dir = directory();
                (Box::new(open(dir.path(), config, START)), Some(dir))
            }
        };
        Self { log, now: START, dir, config }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.as_ref().unwrap().path().to_owned()
    }

    /// Ends the log without closing it, as when the process is killed.
    pub(crate) fn kill(&mut self) -> PathBuf {
        // The directory must be free before anybody can do something with it.
        self.log = Box::new(MemoryLog::new(rules(), self.config));
        self.path()
    }

    pub(crate) fn start(&mut self) -> Opened {
        let log = open(&self.path(), self.config, self.now);
        let opened = log.opened().clone();
        self.log = Box::new(log);
        opened
    }

    /// Closes the log and opens it again.
    pub(crate) fn restart(&mut self) -> Opened {
        self.log.close().unwrap();
        self.kill();
        self.start()
    }

    pub(crate) fn append(&self, groups: Vec<Group>) -> Vec<Result<Vec<Appended>, Refusal>> {
        self.log.append(groups, self.now).unwrap().groups
    }

    /// Appends one draft that must be taken.
    pub(crate) fn publish(&self, draft: Draft) -> Arc<Event> {
        match self.one(draft) {
            Appended::Event(event) => event,
            other => panic!("not a new event: {other:?}"),
        }
    }

    /// Appends one draft and tells what became of it.
    pub(crate) fn one(&self, draft: Draft) -> Appended {
        let mut groups = self.append(vec![publish(draft)]);
        groups.pop().unwrap().unwrap().pop().unwrap()
    }

    pub(crate) fn duplicate(&self, draft: Draft) -> Receipt {
        match self.one(draft) {
            Appended::Duplicate(receipt) => receipt,
            other => panic!("not a duplicate: {other:?}"),
        }
    }

    pub(crate) fn text(&self, channel: &str, body: &str) -> Arc<Event> {
        self.publish(draft(channel, body))
    }

    pub(crate) fn texts(&self, channel: &str, bodies: &[&str]) {
        for body in bodies {
            self.text(channel, body);
        }
    }

    pub(crate) fn read(&self, channel: &str, after: Seq, upto: Seq) -> Slice {
        self.log.read(&name(channel), after, upto, ALL).unwrap()
    }

    pub(crate) fn all(&self, channel: &str) -> Slice {
        self.read(channel, Seq::ZERO, END)
    }

    /// Everything kept of a channel as text, joined by spaces.
    pub(crate) fn kept(&self, channel: &str) -> String {
        bodies(&self.all(channel)).join(" ")
    }

    /// What was lost of a channel.
    pub(crate) fn lost(&self, channel: &str) -> Option<(u64, LostReason)> {
        self.log.channel(&name(channel)).unwrap().lost.map(|lost| (lost.through.0, lost.reason))
    }

    pub(crate) fn later(&mut self, by: Duration) {
        self.now = self.now.plus(by);
    }
}
