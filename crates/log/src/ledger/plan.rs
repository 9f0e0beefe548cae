//! Plans an append: decides everything before anything is written.
//!
//! A plan is made against the ledger as it is and changes nothing. Once the store has kept what the plan says, the
//! ledger takes the plan over in one step; if the store fails, the plan is dropped and nothing has happened.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use bongsu_core::log::{AppendOutcome, Appended, Draft, Entry, Group, Receipt, Refusal, Trim};
use bongsu_core::policy::Durability;
use bongsu_core::{ChannelName, Cursor, Event, Millis, Seq};

use super::Ledger;
use super::keys::{Answer, Fingerprint, KeyId, fingerprint, key_id};
use super::table::{ChannelId, Promise, Totals};
use super::touched::{Marks, Touched};

/// How many events one call trims to keep the bounds that are not of the channels it was asked to append to.
const TRIMS_MAX: u64 = 10_000;
/// How many idempotency keys one call forgets, unless it needs the room.
const FORGET_MAX: usize = 10_000;

/// The channels that a plan changes, by their numbers.
pub(crate) type TouchedChannels = HashMap<ChannelId, Touched, BuildHasherDefault<NumberHasher>>;

/// Spreads numbers of channels, which nobody outside chooses, so nobody can make them collide.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(byte.into()));
    }

    fn write_u32(&mut self, number: u32) {
        // An odd number near 2^64 divided by the golden ratio: neighbours end up far apart.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// What an append or a maintenance will do.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What the caller is told.
    pub(crate) outcome: AppendOutcome,
    /// The channels that change. [`Touched::fresh`] are the events to keep.
    pub(crate) touched: TouchedChannels,
    /// The answers to keep for retries.
    pub(crate) answers: Vec<Answer>,
    /// The oldest answers, which are forgotten, by the sequence numbers they tell.
    pub(crate) forgotten: Vec<Seq>,
    /// The newest sequence number.
    pub(crate) head: Seq,
    /// The safest level that any of the entries asks for; `None` if none of them has to be kept.
    pub(crate) durability: Option<Durability>,
}

impl Plan {
    /// Whether the store has nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.answers.is_empty() && self.forgotten.is_empty()
    }
}

pub(crate) struct Planner<'a> {
    ledger: &'a Ledger,
    marks: &'a dyn Marks,
    now: Millis,
    plan: Plan,
    /// Channels that the table does not know yet.
    new_channels: HashMap<ChannelName, ChannelId>,
    /// Where in `plan.answers` a key is.
    new_keys: HashMap<KeyId, usize>,
    /// How many of the oldest answers will be forgotten.
    forget: usize,
    totals: Totals,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(ledger: &'a Ledger, marks: &'a dyn Marks, now: Millis) -> Self {
        let plan = Plan {
            outcome: AppendOutcome::default(),
            touched: TouchedChannels::default(),
            answers: Vec::new(),
            forgotten: Vec::new(),
            head: ledger.head,
            durability: None,
        };
        Self {
            ledger,
            marks,
            now,
            plan,
            new_channels: HashMap::new(),
            new_keys: HashMap::new(),
            forget: ledger.keys.due(now, ledger.config.idempotency_window, FORGET_MAX),
            totals: ledger.table.totals(),
        }
    }

    pub(crate) fn append(mut self, groups: Vec<Group>) -> Plan {
        self.plan.outcome.groups.reserve(groups.len());
        let mut looked = Vec::new();
        for group in groups {
            looked.clear();
            looked.extend(group.entries.iter().map(|entry| self.look(entry)));
            let result = self.check(&group, &looked).map(|()| {
                group.entries.into_iter().zip(&looked).map(|(entry, looked)| self.take(entry, looked)).collect()
            });
            self.plan.outcome.groups.push(result);
        }
        self.trim_touched();
        self.finish()
    }

    pub(crate) fn maintain(mut self) -> Plan {
        let mut work = TRIMS_MAX;
        for id in self.ledger.table.overdue(self.now) {
            if work == 0 {
                break;
            }
            work -= self.trim_channel(id, work);
        }
        self.finish()
    }

    fn finish(mut self) -> Plan {
        self.trim_total();
        let lost = |touched: &Touched| touched.state.lost.filter(|_| touched.trimmed);
        let trim = |touched: &Touched| lost(touched).map(|lost| Trim { channel: touched.name.clone(), lost });
        self.plan.forgotten = self.ledger.keys.oldest(self.forget).collect();
        self.plan.outcome.trims = self.plan.touched.values().filter_map(trim).collect();
        self.plan
    }

    fn look(&self, entry: &Entry) -> Looked {
        let channel = match entry {
            Entry::Publish(draft) if !draft.store => None,
            Entry::Publish(Draft { channel, .. }) | Entry::Reset(channel) => self.find_channel(channel),
        };
        Looked { key: digest(entry), channel }
    }

    /// Finds out whether the whole group can be taken, and changes nothing but how many keys are forgotten.
    fn check(&mut self, group: &Group, looked: &[Looked]) -> Result<(), Refusal> {
        let mut group_keys = HashMap::new();
        let mut group_channels = HashSet::new();
        for (index, (entry, looked)) in group.entries.iter().zip(looked).enumerate() {
            if let Some((id, fingerprint)) = &looked.key {
                let known = group_keys.get(id).copied().or_else(|| self.find_answer(id).map(|known| known.fingerprint));
                match known {
                    Some(other) if other != *fingerprint => return Err(Refusal::IdempotencyMismatch(index)),
                    Some(_) => continue,
                    None => group_keys.insert(*id, *fingerprint),
                };
                if !self.has_room_for_keys(group_keys.len()) {
                    return Err(Refusal::IdempotencyKeysFull(index));
                }
            }
            let channel = match entry {
                Entry::Publish(draft) if !draft.store => continue,
                Entry::Publish(Draft { channel, .. }) | Entry::Reset(channel) => channel,
            };
            if looked.channel.is_none() && group_channels.insert(channel) {
                let channels = self.ledger.table.len() + self.new_channels.len() + group_channels.len();
                if channels > self.ledger.config.channels_max {
                    return Err(Refusal::ChannelsFull(index));
                }
            }
        }
        Ok(())
    }

    fn find_answer(&self, id: &KeyId) -> Option<&Answer> {
        let new = self.new_keys.get(id).map(|&index| &self.plan.answers[index]);
        new.or_else(|| self.ledger.keys.find(id, self.now, self.ledger.config.idempotency_window))
    }

    fn has_room_for_keys(&mut self, more: usize) -> bool {
        let Ledger { keys, config, .. } = self.ledger;
        let taken = keys.len() + self.plan.answers.len() + more;
        let excess = taken.saturating_sub(config.idempotency_keys_max);
        if excess > self.forget {
            self.forget = keys.due(self.now, config.idempotency_window, excess.max(self.forget));
        }
        excess <= self.forget
    }

    fn find_channel(&self, name: &ChannelName) -> Option<ChannelId> {
        self.ledger.table.find(name).or_else(|| self.new_channels.get(name).copied())
    }

    /// Takes one entry of a group that was checked.
    fn take(&mut self, entry: Entry, looked: &Looked) -> Appended {
        match entry {
            Entry::Reset(channel) => {
                self.plan.head = self.plan.head.next();
                let seq = self.plan.head;
                let id = looked.channel.unwrap_or_else(|| self.number(&channel));
                self.change(id, &channel, |touched| touched.reset(seq));
                Appended::Reset(channel, seq)
            }
            Entry::Publish(draft) => {
                if let Some(answer) = looked.key.and_then(|(id, _)| self.find_answer(&id)) {
                    return Appended::Duplicate(answer.receipt);
                }
                self.publish(draft, looked)
            }
        }
    }

    fn publish(&mut self, draft: Draft, looked: &Looked) -> Appended {
        self.plan.head = self.plan.head.next();
        let subscribers = draft.subscribers;
        let event = if draft.store { self.store(draft, looked) } else { Arc::new(self.stamp().event(draft, 0)) };
        if let Some((id, fingerprint)) = looked.key {
            let receipt = Receipt { seq: event.id.seq, offset: event.offset, subscribers };
            self.new_keys.insert(id, self.plan.answers.len());
            self.plan.answers.push(Answer { id, fingerprint, receipt, time: self.now });
            self.ask_for(Promise::of(&self.ledger.rules, &event.channel).durability);
        }
        Appended::Event(event)
    }

    fn store(&mut self, draft: Draft, looked: &Looked) -> Arc<Event> {
        let id = looked.channel.unwrap_or_else(|| self.number(&draft.channel));
        let (stamp, name) = (self.stamp(), draft.channel.clone());
        self.change(id, &name, |touched| {
            let event = Arc::new(stamp.event(draft, touched.state.head_offset + 1));
            touched.push(event.clone());
            event
        })
    }

    fn ask_for(&mut self, durability: Durability) {
        self.plan.durability = self.plan.durability.max(Some(durability));
    }

    fn stamp(&self) -> Stamp {
        Stamp { id: Cursor::new(self.ledger.epoch, self.plan.head), time: self.now }
    }

    /// Changes a channel because an entry asks for it.
    fn change<T>(&mut self, id: ChannelId, name: &ChannelName, change: impl FnOnce(&mut Touched) -> T) -> T {
        let ledger = self.ledger;
        let touched = self.plan.touched.entry(id).or_insert_with(|| match ledger.table.get(id) {
            Some(channel) => Touched::new(channel.name.clone(), ledger.table.promise(channel), Some(channel.state)),
            None => Touched::new(name.clone(), Promise::of(&ledger.rules, name), None),
        });
        let before = touched.state;
        let changed = change(touched);
        self.totals.replace(&before, &touched.state);
        let durability = touched.promise.durability;
        self.ask_for(durability);
        changed
    }

    /// The number of a channel that the table did not know when the group was looked at.
    fn number(&mut self, name: &ChannelName) -> ChannelId {
        let next = self.ledger.table.len() + self.new_channels.len();
        let next = ChannelId::try_from(next).expect("the bound on channels is below 2^32");
        *self.new_channels.entry(name.clone()).or_insert(next)
    }

    fn touch_known(&mut self, id: ChannelId) {
        let Ledger { table, .. } = self.ledger;
        self.plan.touched.entry(id).or_insert_with(|| {
            let channel = table.get(id).expect("numbers of channels come from the table");
            Touched::new(channel.name.clone(), table.promise(channel), Some(channel.state))
        });
    }

    fn trim_touched(&mut self) {
        let (marks, now) = (self.marks, self.now);
        for (&id, touched) in &mut self.plan.touched {
            let before = touched.state;
            while touched.exceeds(now) {
                touched.drop_oldest(id, marks);
            }
            self.totals.replace(&before, &touched.state);
        }
    }

    /// Brings one channel within its bounds; returns how many events that took, about `most` at most.
    fn trim_channel(&mut self, id: ChannelId, most: u64) -> u64 {
        let (marks, now) = (self.marks, self.now);
        self.touch_known_or_new(id);
        let touched = self.plan.touched.get_mut(&id).expect("it was touched just now");
        let before = touched.state;
        let mut work = 0;
        while work < most && touched.exceeds(now) {
            work += touched.drop_oldest(id, marks);
        }
        self.totals.replace(&before, &touched.state);
        work.min(most)
    }

    fn touch_known_or_new(&mut self, id: ChannelId) {
        if !self.plan.touched.contains_key(&id) {
            self.touch_known(id);
        }
    }

    /// Drops the oldest events of all channels until what is left fits the bound on everything.
    fn trim_total(&mut self) {
        let most = self.ledger.config.total_bytes_max;
        if self.totals.weight() <= most {
            return;
        }
        let oldest = |(&id, touched): (&ChannelId, &Touched)| touched.state.oldest_time.map(|time| (time, id));
        let mut queue = self.plan.touched.iter().filter_map(oldest).collect::<BTreeSet<_>>();
        let mut work = TRIMS_MAX;
        while work > 0 && self.totals.weight() > most {
            let untouched = self.ledger.table.oldest(|id| self.plan.touched.contains_key(&id));
            let Some((time, id)) = queue.first().copied().into_iter().chain(untouched).min() else {
                return;
            };
            queue.remove(&(time, id));
            work -= self.trim_one(id).min(work);
            queue.extend(self.plan.touched.get(&id).and_then(|touched| oldest((&id, touched))));
        }
    }

    fn trim_one(&mut self, id: ChannelId) -> u64 {
        self.touch_known_or_new(id);
        let marks = self.marks;
        let touched = self.plan.touched.get_mut(&id).expect("it was touched just now");
        let before = touched.state;
        let work = touched.drop_oldest(id, marks);
        self.totals.replace(&before, &touched.state);
        work
    }
}

/// What was found out about an entry before anything was decided.
struct Looked {
    /// Its idempotency key, if it has one, and what it stands for.
    key: Option<(KeyId, Fingerprint)>,
    /// Its channel, if it is known and the entry is to be kept.
    channel: Option<ChannelId>,
}

/// What the log gives to an event.
#[derive(Clone, Copy)]
struct Stamp {
    id: Cursor,
    time: Millis,
}

impl Stamp {
    fn event(self, draft: Draft, offset: u64) -> Event {
        let Draft { channel, kind, key, user, ttl, store, payload, .. } = draft;
        Event {
            id: self.id,
            channel,
            offset,
            time: self.time,
            kind,
            key,
            user,
            expires: ttl.map(|ttl| self.time.plus(ttl)),
            payload,
            stored: store,
            encoded: Default::default(),
        }
    }
}

fn digest(entry: &Entry) -> Option<(KeyId, Fingerprint)> {
    let Entry::Publish(draft) = entry else {
        return None;
    };
    draft.idempotency.as_ref().map(|idempotency| (key_id(&draft.channel, idempotency), fingerprint(draft)))
}
