//! The subscription against a model: whatever is published, dropped, stalled or cut, a reader gets every event exactly
//! once and in order, or is told of the gap, and is told of no gap that is none.

use std::cell::Cell;
use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::event::{Encoded, Payload, PayloadKind};
use crate::log::Lost;

/// A log simple enough to be believed.
struct Model {
    epoch: Epoch,
    head: Seq,
    names: Vec<ChannelName>,
    kept: Vec<Vec<Arc<Event>>>,
    lost: Vec<Option<Lost>>,
    /// Every so many reads one is refused as cold.
    cold_every: u32,
    reads: Cell<u32>,
}

impl Source for Model {
    type Channel = usize;

    fn name(&self, channel: &usize) -> ChannelName {
        self.names[*channel].clone()
    }

    fn head(&self) -> Seq {
        self.head
    }

    fn read(&self, channel: &usize, after: Seq, upto: Seq, budget: Budget) -> Result<Slice, ReadError> {
        self.reads.set(self.reads.get() + 1);
        if self.cold_every > 0 && self.reads.get().is_multiple_of(self.cold_every) {
            return Err(ReadError::Cold);
        }
        let lost = self.lost[*channel].filter(|lost| lost.through > after);
        let all: Vec<_> =
            self.kept[*channel].iter().filter(|event| event.id.seq > after && event.id.seq <= upto).cloned().collect();
        let complete = all.len() <= budget.events;
        Ok(Slice { events: all.into_iter().take(budget.events).collect(), lost, complete })
    }
}

impl Model {
    fn new(channels: usize, cold_every: u32) -> Self {
        let names = (0..channels).map(|index| ChannelName::new(&format!("c{index}")).unwrap()).collect();
        Self {
            epoch: Epoch::from_random(7),
            head: Seq::ZERO,
            names,
            kept: vec![Vec::new(); channels],
            lost: vec![None; channels],
            cold_every,
            reads: Cell::new(0),
        }
    }

    fn publish(&mut self, channel: usize, kind: u8, stored: bool, expires: Option<Millis>) -> Arc<Event> {
        self.head = self.head.next();
        let event = Arc::new(Event {
            id: Cursor::new(self.epoch, self.head),
            channel: self.names[channel].clone(),
            offset: 0,
            time: Millis(0),
            kind: (kind > 0).then(|| EventType::new(&format!("t{kind}")).unwrap()),
            key: None,
            user: None,
            expires,
            payload: Payload { kind: PayloadKind::Json, content_type: None, bytes: Bytes::from_static(b"1") },
            stored,
            encoded: Encoded::default(),
        });
        self.kept[channel].push(event.clone());
        event
    }

    fn trim(&mut self, channel: usize, count: usize) {
        let count = count.min(self.kept[channel].len());
        let stored = self.kept[channel].drain(..count).rfind(|event| event.stored);
        if let Some(last) = stored {
            self.lost[channel] = Some(Lost { through: last.id.seq, reason: LostReason::Expired });
        }
    }

    fn reset(&mut self, channel: usize) {
        self.head = self.head.next();
        self.kept[channel].clear();
        self.lost[channel] = Some(Lost { through: self.head, reason: LostReason::Reset });
    }
}

#[derive(Clone, Debug)]
enum Step {
    Publish {
        channel: usize,
        kind: u8,
        stored: bool,
        expires: bool,
    },
    Trim {
        channel: usize,
        count: usize,
    },
    Reset {
        channel: usize,
    },
    Page {
        events: usize,
    },
    /// A cut, and a new connection from the last position the client knows. `id` resumes from the last event's id.
    Reconnect {
        id: bool,
    },
}

fn steps(channels: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0..channels, 0..3_u8, prop::bool::weighted(0.9), prop::bool::weighted(0.1))
            .prop_map(|(channel, kind, stored, expires)| Step::Publish { channel, kind, stored, expires }),
        1 => (0..channels, 1..6_usize).prop_map(|(channel, count)| Step::Trim { channel, count }),
        1 => (0..channels).prop_map(|channel| Step::Reset { channel }),
        4 => (1..12_usize).prop_map(|events| Step::Page { events }),
        1 => any::<bool>().prop_map(|id| Step::Reconnect { id }),
    ];
    prop::collection::vec(step, 1..120)
}

/// What one client has seen, over all its connections.
struct Client {
    subscription: Subscription<usize>,
    types: Vec<Option<EventType>>,
    last_id: Cursor,
    seen: Vec<Seq>,
    /// Per channel: told to be gone, from after the first to the second.
    gaps: BTreeMap<usize, Vec<(Seq, Seq)>>,
    expired_at: Millis,
}

impl Client {
    fn new(model: &Model, channels: usize, types: Vec<Option<EventType>>) -> Self {
        let start = Cursor::new(model.epoch, model.head);
        let subscription = connect(model, channels, &types, start);
        let expired_at = Millis(10);
        Self { subscription, types, last_id: start, seen: Vec::new(), gaps: BTreeMap::new(), expired_at }
    }

    fn page(&mut self, model: &Model, events: usize) -> bool {
        let before: Vec<Seq> = self.subscription.positions().map(|(_, after)| after).collect();
        let budget = Budget { events, bytes: usize::MAX };
        let Ok(page) = self.subscription.page(model, budget, self.expired_at) else {
            let after: Vec<Seq> = self.subscription.positions().map(|(_, after)| after).collect();
            assert_eq!(before, after, "a failed read moved the reader");
            return false;
        };
        let mut count = 0;
        for item in page.items {
            match item {
                Item::Event(event) => {
                    count += 1;
                    // An event that is not stored has no id that a client could know.
                    if event.stored {
                        self.last_id = event.id;
                    }
                    self.seen.push(event.id.seq);
                }
                Item::Gap { channel, cursor, .. } => {
                    let channel: usize = channel.as_str()[1..].parse().unwrap();
                    let told = self.gaps.entry(channel).or_default();
                    assert!(before[channel] < cursor.seq, "a gap of nothing");
                    told.push((before[channel], cursor.seq));
                }
                Item::Live { cursor } => {
                    let newest = self.seen.last().copied().unwrap_or_default();
                    assert!(newest <= cursor.seq, "live leads back behind {newest:?}");
                }
            }
        }
        assert!(count <= events, "the budget was overrun");
        page.caught_up
    }

    fn reconnect(&mut self, model: &Model, channels: usize, id: bool) {
        // Both are legal for a client. From an id that lies before a gap the gap is told once more.
        let cursor = if id { self.last_id } else { self.subscription.cursor() };
        self.subscription = connect(model, channels, &self.types, cursor);
    }
}

fn connect(model: &Model, channels: usize, types: &[Option<EventType>], since: Cursor) -> Subscription<usize> {
    let mut subscription = Subscription::new(model.epoch, types.to_vec(), model.head);
    for channel in 0..channels {
        subscription.add(channel, Begin::Since(Since::At(since)), model.head);
    }
    subscription
}

fn run(channels: usize, types: &[u8], cold_every: u32, steps: Vec<Step>) {
    let mut model = Model::new(channels, cold_every);
    let types = types.iter().map(|&kind| (kind > 0).then(|| EventType::new(&format!("t{kind}")).unwrap())).collect();
    let mut client = Client::new(&model, channels, types);
    let mut published: Vec<(usize, Arc<Event>)> = Vec::new();
    let mut drops: Vec<(usize, Seq)> = Vec::new();
    for step in steps {
        match step {
            Step::Publish { channel, kind, stored, expires } => {
                let expires = expires.then_some(Millis(5));
                published.push((channel, model.publish(channel, kind, stored, expires)));
            }
            Step::Trim { channel, count } => model.trim(channel, count),
            Step::Reset { channel } => {
                model.reset(channel);
                drops.push((channel, model.head));
            }
            Step::Page { events } => {
                client.page(&model, events);
            }
            Step::Reconnect { id } => client.reconnect(&model, channels, id),
        }
    }
    model.cold_every = 0;
    while !client.page(&model, 7) {}

    for pair in client.seen.windows(2) {
        assert!(pair[0] < pair[1], "out of order or twice: {pair:?}");
    }
    for (channel, event) in &published {
        let seq = event.id.seq;
        let seen = client.seen.binary_search(&seq).is_ok();
        let told = client.gaps.get(channel).is_some_and(|told| told.iter().any(|(from, to)| *from < seq && seq <= *to));
        let wanted = wants(Some(&client.types).filter(|types| !types.is_empty()), event) && event.expires.is_none();
        if wanted && event.stored {
            assert!(seen || told, "{seq:?} of c{channel} was lost in silence");
        }
        assert!(wanted || !seen, "{seq:?} was not asked for");
    }
    for (channel, told) in &client.gaps {
        for (from, to) in told {
            let stored = published
                .iter()
                .any(|(c, event)| c == channel && event.stored && event.id.seq > *from && event.id.seq <= *to);
            let dropped = drops.iter().any(|(c, seq)| c == channel && seq > from && seq <= to);
            assert!(stored || dropped, "a gap in c{channel} from {from:?} to {to:?}, but nothing was lost");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn one_channel(steps in steps(1), cold in 0..4_u32) {
        run(1, &[], if cold == 1 { 2 } else { cold }, steps);
    }

    #[test]
    fn several_channels(steps in steps(4), cold in 0..9_u32) {
        run(4, &[], if cold < 6 { 0 } else { cold }, steps);
    }

    #[test]
    fn some_types(steps in steps(3)) {
        run(3, &[0, 2], 0, steps);
    }
}

#[test]
fn a_position_in_another_log_is_a_gap_and_then_what_is_kept() {
    let mut model = Model::new(1, 0);
    model.publish(0, 0, true, None);
    for foreign in [Cursor::new(Epoch::from_random(8), Seq(1)), Cursor::new(model.epoch, Seq(99))] {
        let mut subscription = connect(&model, 1, &[], foreign);
        let page = subscription.page(&model, Budget { events: 10, bytes: 1 << 20 }, Millis(0)).unwrap();
        assert!(
            matches!(&page.items[..], [Item::Gap { reason: LostReason::Reset, .. }, Item::Event(_), Item::Live { .. }]),
            "{page:?}"
        );
    }
}

#[test]
fn start_is_what_is_kept_and_no_gap() {
    let mut model = Model::new(1, 0);
    for _ in 0..5 {
        model.publish(0, 0, true, None);
    }
    model.trim(0, 3);
    let mut subscription = Subscription::new(model.epoch, Vec::new(), model.head);
    subscription.add(0, Begin::Since(Since::Start), model.head);
    let page = subscription.page(&model, Budget { events: 10, bytes: 1 << 20 }, Millis(0)).unwrap();
    assert!(matches!(&page.items[..], [Item::Event(_), Item::Event(_), Item::Live { .. }]), "{page:?}");
}

#[test]
fn a_reader_at_the_head_hears_of_a_reset_once() {
    let mut model = Model::new(1, 0);
    model.publish(0, 0, true, None);
    let mut subscription = connect(&model, 1, &[], Cursor::new(model.epoch, model.head));
    let budget = Budget { events: 10, bytes: 1 << 20 };
    assert!(matches!(&subscription.page(&model, budget, Millis(0)).unwrap().items[..], [Item::Live { .. }]));
    model.reset(0);
    let page = subscription.page(&model, budget, Millis(0)).unwrap();
    assert!(matches!(&page.items[..], [Item::Gap { reason: LostReason::Reset, .. }]), "{page:?}");
    assert!(subscription.page(&model, budget, Millis(0)).unwrap().items.is_empty());
}

#[test]
fn a_channel_added_later_replays_and_then_all_is_level() {
    let mut model = Model::new(2, 0);
    let since = Cursor::new(model.epoch, model.head);
    for channel in [0, 1, 0, 1, 0] {
        model.publish(channel, 0, true, None);
    }
    let budget = Budget { events: 100, bytes: 1 << 20 };
    let mut subscription = connect(&model, 1, &[], since);
    subscription.page(&model, budget, Millis(0)).unwrap();
    subscription.add(1, Begin::Since(Since::At(since)), model.head);
    assert_eq!(subscription.cursor(), since, "a cut now must not lose the added channel's past");
    let page = subscription.page(&model, budget, Millis(0)).unwrap();
    let seqs: Vec<u64> = page
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Event(event) => Some(event.id.seq.0),
            _ => None,
        })
        .collect();
    assert_eq!(seqs, [2, 4]);
    assert!(matches!(page.items.last(), Some(Item::Live { .. })));
    assert_eq!(subscription.cursor(), Cursor::new(model.epoch, model.head));
}
