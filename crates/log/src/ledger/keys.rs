//! Idempotency keys within their window: which publishes were answered lately, and what the answer was.
//!
//! Keys are kept as digests, in the order in which they were taken. A promise is never broken to make room: when the
//! window is full, the caller is told.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bongsu_core::log::{Draft, Idempotency, Receipt};
use bongsu_core::{ChannelName, EventKey, EventType, Millis, Seq};
use sha2::{Digest, Sha256};

/// Names one publish: the digest of publisher, channel and key.
pub(crate) type KeyId = [u8; 16];
/// Names what was published, so that a key that is used for something else is found out.
pub(crate) type Fingerprint = [u8; 16];

/// One answered publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) id: KeyId,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) receipt: Receipt,
    pub(crate) time: Millis,
}

/// The digest under which an idempotency key is kept.
pub(crate) fn key_id(channel: &ChannelName, idempotency: &Idempotency) -> KeyId {
    let mut digest = Sha256::new();
    for part in [&*idempotency.publisher, channel.as_str(), &*idempotency.key] {
        update_sized(&mut digest, part.as_bytes());
    }
    truncated(digest)
}

/// The digest of everything a retry has to repeat: body, kind, media type, type, key, ttl and whether it is stored.
pub(crate) fn fingerprint(draft: &Draft) -> Fingerprint {
    let mut digest = Sha256::new();
    digest.update([draft.payload.kind as u8, u8::from(draft.store)]);
    update_optional(&mut digest, draft.payload.content_type.as_deref());
    update_optional(&mut digest, draft.kind.as_ref().map(EventType::as_str));
    update_optional(&mut digest, draft.key.as_ref().map(EventKey::as_str));
    digest.update(draft.ttl.map_or(u128::MAX, |ttl| ttl.as_millis()).to_le_bytes());
    update_sized(&mut digest, &draft.payload.bytes);
    truncated(digest)
}

/// A length before each part, so that no two different lists of parts have the same bytes.
fn update_sized(digest: &mut Sha256, part: &[u8]) {
    digest.update((part.len() as u64).to_le_bytes());
    digest.update(part);
}

fn update_optional(digest: &mut Sha256, part: Option<&str>) {
    digest.update([u8::from(part.is_some())]);
    update_sized(digest, part.unwrap_or_default().as_bytes());
}

fn truncated(digest: Sha256) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&digest.finalize()[..16]);
    short
}

/// The answers of the last while, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    answers: VecDeque<Answer>,
    /// Where in `answers` a key is, counted from the first answer ever taken, so that forgetting the oldest moves nothing.
    places: HashMap<KeyId, u64>,
    /// How many answers were forgotten so far: the place of the oldest.
    forgotten: u64,
}

impl Keys {
    pub(crate) fn len(&self) -> usize {
        self.answers.len()
    }

    /// The answer kept under `id`, if its window has not passed.
    pub(crate) fn find(&self, id: &KeyId, now: Millis, window: Duration) -> Option<&Answer> {
        let index = self.places.get(id)?.checked_sub(self.forgotten)?;
        let answer = self.answers.get(usize::try_from(index).ok()?)?;
        is_live(answer, now, window).then_some(answer)
    }

    /// How many answers from the oldest on are past their window; looks at no more than `most`.
    pub(crate) fn due(&self, now: Millis, window: Duration, most: usize) -> usize {
        self.answers.iter().take(most).take_while(|answer| !is_live(answer, now, window)).count()
    }

    /// The sequence numbers of the oldest `count` answers.
    pub(crate) fn oldest(&self, count: usize) -> impl Iterator<Item = Seq> {
        self.answers.iter().take(count).map(|answer| answer.receipt.seq)
    }

    /// Keeps `answer`. One that is kept under the same key must be past its window; it is not found any more.
    pub(crate) fn keep(&mut self, answer: Answer) {
        self.places.insert(answer.id, self.forgotten + self.answers.len() as u64);
        self.answers.push_back(answer);
    }

    /// Forgets the oldest `count`.
    pub(crate) fn forget(&mut self, count: usize) {
        for answer in self.answers.drain(..count.min(self.answers.len())) {
            // The key may have been taken again since; then the place is a later one.
            if self.places.get(&answer.id) == Some(&self.forgotten) {
                self.places.remove(&answer.id);
            }
            self.forgotten += 1;
        }
        // After a burst the memory is given back.
        if self.answers.capacity() > 1024 && self.answers.len() < self.answers.capacity() / 4 {
            self.answers.shrink_to(self.answers.len() * 2);
            self.places.shrink_to(self.places.len() * 2);
        }
    }
}

fn is_live(answer: &Answer, now: Millis, window: Duration) -> bool {
    now.since(answer.time) < window
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_millis(100);

    fn answer(id: u8, seq: u64, time: u64) -> Answer {
        let receipt = Receipt { seq: Seq(seq), offset: seq, subscribers: 0 };
        Answer { id: [id; 16], fingerprint: [id; 16], receipt, time: Millis(time) }
    }

    fn seq_of(keys: &Keys, id: u8, now: u64) -> Option<u64> {
        keys.find(&[id; 16], Millis(now), WINDOW).map(|answer| answer.receipt.seq.0)
    }

    #[test]
    fn an_answer_is_found_until_its_window_has_passed() {
        let mut keys = Keys::default();
        keys.keep(answer(1, 1, 1000));
        for (now, found) in [(1000, Some(1)), (1099, Some(1)), (1100, None), (900, Some(1))] {
            assert_eq!(seq_of(&keys, 1, now), found, "at {now}");
        }
        assert_eq!(seq_of(&keys, 2, 1000), None);
    }

    #[test]
    fn forgetting_the_oldest_leaves_the_others_in_place() {
        let mut keys = Keys::default();
        for id in 1..=3 {
            keys.keep(answer(id, id.into(), 1000 + 10 * u64::from(id)));
        }
        assert_eq!(keys.due(Millis(1119), WINDOW, 10), 1);
        assert_eq!(keys.due(Millis(1120), WINDOW, 10), 2);
        assert_eq!(keys.due(Millis(9999), WINDOW, 2), 2, "no more than asked");
        assert_eq!(keys.oldest(2).collect::<Vec<_>>(), [Seq(1), Seq(2)]);
        keys.forget(2);
        assert_eq!((keys.len(), seq_of(&keys, 2, 1050), seq_of(&keys, 3, 1050)), (1, None, Some(3)));
    }

    #[test]
    fn a_key_taken_again_is_not_forgotten_with_its_first_use() {
        let mut keys = Keys::default();
        keys.keep(answer(1, 1, 1000));
        keys.keep(answer(1, 2, 1200));
        keys.forget(1);
        assert_eq!(seq_of(&keys, 1, 1200), Some(2));
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut keys = Keys::default();
        for number in 0..10_000_u64 {
            let mut one = answer(0, number, 1000);
            one.id[..8].copy_from_slice(&number.to_le_bytes());
            keys.keep(one);
        }
        keys.forget(9_990);
        assert!(keys.answers.capacity() < 2_000 && keys.places.capacity() < 2_000);
        assert_eq!(keys.len(), 10);
    }
}
