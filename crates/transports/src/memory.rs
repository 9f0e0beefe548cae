//! What connections hold, by each way.
//!
//! Only a shard can look at its connections, so it is asked by letter and counts in its own time. hyper keeps what its
//! connections hold to itself; they are not in it.

use std::array;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bongsu_core::read::Way;
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::shard::{Letter, Mailbox};

/// How long a shard may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// What some connections hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many they are.
    pub connections: usize,
    /// What is held for them and for nobody else.
    pub bytes: usize,
}

/// What connections hold, by each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Those that read, in the order of [`Way::ALL`].
    pub by_way: [Held; Way::ALL.len()],
    /// Those that read nothing just now: between two requests, or publishing.
    pub none: Held,
}

/// Asks the shards; one census at a time.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// Set when the shards start.
    shards: OnceLock<Arc<[Arc<Mailbox>]>>,
    /// Held by who asks; whoever comes meanwhile gets what that one hears.
    told: Mutex<Vec<Told>>,
}

/// What a shard has told.
#[derive(Debug, Default)]
struct Told {
    last: Memory,
    /// It was asked and has not answered: it is not asked again before it does, so that letters do not pile up.
    asked: Option<oneshot::Receiver<Memory>>,
}

impl Held {
    fn add(self, other: Self) -> Self {
        Self { connections: self.connections + other.connections, bytes: self.bytes + other.bytes }
    }
}

impl Memory {
    /// Adds one connection.
    pub(crate) fn count(&mut self, way: Option<Way>, bytes: usize) {
        let held = way.map_or(&mut self.none, |way| &mut self.by_way[way as usize]);
        *held = held.add(Held { connections: 1, bytes });
    }

    /// Gives each way by its name, and `none`.
    pub fn each(&self, mut give: impl FnMut(&'static str, Held)) {
        for (way, held) in Way::ALL.into_iter().zip(self.by_way) {
            give(way.as_str(), held);
        }
        give("none", self.none);
    }

    fn add(self, other: Self) -> Self {
        let by_way = array::from_fn(|way| self.by_way[way].add(other.by_way[way]));
        Self { by_way, none: self.none.add(other.none) }
    }
}

impl Census {
    /// From now on these are asked. Only the first call counts.
    pub(crate) fn set_shards(&self, shards: Arc<[Arc<Mailbox>]>) {
        let _ = self.shards.set(shards);
    }

    /// Asks all shards, and waits for their answers for a second at most.
    pub(crate) async fn take(&self) -> Memory {
        let Ok(mut told) = self.told.try_lock() else { return sum(&self.told.lock().await) };
        let Some(shards) = self.shards.get() else { return Memory::default() };
        told.resize_with(shards.len(), Told::default);
        for (told, shard) in told.iter_mut().zip(shards.iter()) {
            told.ask(shard);
        }
        let end = Instant::now() + ANSWER_WAIT;
        for told in told.iter_mut() {
            told.hear(end).await;
        }
        sum(&told)
    }
}

impl Told {
    fn ask(&mut self, shard: &Mailbox) {
        // What was asked for earlier may have come after its time.
        if let Some(asked) = &mut self.asked
            && asked.try_recv() == Err(oneshot::error::TryRecvError::Empty)
        {
            return;
        }
        let (answer, asked) = oneshot::channel();
        shard.post(Letter::Census(answer));
        self.asked = Some(asked);
    }

    async fn hear(&mut self, end: Instant) {
        let Some(asked) = &mut self.asked else { return };
        if let Ok(answer) = timeout_at(end, asked).await {
            self.asked = None;
            // A shard that has ended holds nothing.
            self.last = answer.unwrap_or_default();
        }
    }
}

fn sum(told: &[Told]) -> Memory {
    told.iter().fold(Memory::default(), |sum, told| sum.add(told.last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(connections: usize) -> Memory {
        Memory { none: Held { connections, bytes: 64 * connections }, ..Memory::default() }
    }

    /// The letters that wait in `mailbox`, which are all questions.
    fn questions(mailbox: &Mailbox) -> Vec<oneshot::Sender<Memory>> {
        let mut letters = Vec::new();
        mailbox.take(&mut letters);
        let question = |letter| if let Letter::Census(answer) = letter { answer } else { panic!("another letter") };
        letters.into_iter().map(question).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_that_does_not_answer_is_given_as_it_last_was() {
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let shard = Arc::new(Mailbox::new(waker));
        let census = Census::default();
        assert_eq!(census.take().await, Memory::default(), "there are no shards yet");
        census.set_shards([shard.clone()].into());

        // Twice it does not answer, and it is asked once.
        assert_eq!(census.take().await, Memory::default());
        assert_eq!(census.take().await, Memory::default());
        let mut asked = questions(&shard);
        assert_eq!(asked.len(), 1);

        // The late answer is thrown away for a newer one.
        asked.pop().unwrap().send(of(1)).unwrap();
        let answers = async {
            tokio::task::yield_now().await;
            questions(&shard).pop().unwrap().send(of(2)).unwrap();
        };
        assert_eq!(tokio::join!(census.take(), answers).0, of(2));
        assert_eq!(census.take().await, of(2), "the last figure");
        drop(questions(&shard));
        assert_eq!(census.take().await, of(2), "it is asked anew");
    }

    #[tokio::test(start_paused = true)]
    async fn one_question_is_enough_for_all_who_ask_at_a_time() {
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let shard = Arc::new(Mailbox::new(waker));
        let census = Census::default();
        census.set_shards([shard.clone()].into());
        let answers = async {
            tokio::task::yield_now().await;
            let mut asked = questions(&shard);
            assert_eq!(asked.len(), 1);
            asked.pop().unwrap().send(of(3)).unwrap();
        };
        let (first, second, ()) = tokio::join!(census.take(), census.take(), answers);
        assert_eq!((first, second), (of(3), of(3)));
        assert!(questions(&shard).is_empty());
    }
}
