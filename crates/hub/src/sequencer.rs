//! The single writer: the one thread through which every event passes on its way in.
//!
//! While the log syncs one batch the next one gathers in the queue; that is the group commit. For each batch: append, put
//! into rings, move the head, answer the publishers, wake the readers, in this order. So what is seen is appended, and what
//! is acknowledged is as durable as promised.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bongsu_core::cursor::Cursor;
use bongsu_core::log::{AppendOutcome, Appended, Draft, Entry, Group, Lost, LostReason, Receipt, Trim};
use bongsu_core::{ChannelName, Millis, Problem};

use crate::queue::{Action, Job};
use crate::recent::Recent;
use crate::{Shared, problems};

/// How often work that falls due by time is looked for.
const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

/// The answer to one publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where it went.
    pub channel: ChannelName,
    /// The position after it; `None` for an event that is not stored.
    pub id: Option<Cursor>,
    /// Its offset; `None` for an event that is not stored.
    pub offset: Option<u64>,
    /// How many connections read the channel when it was taken.
    pub subscribers: u32,
    /// Whether it was taken before, and this is the first answer again.
    pub duplicate: bool,
}

/// Starts the thread. It ends when the queue is closed and empty.
pub(crate) fn spawn(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("sequencer".into()).spawn(move || {
        let _tell = TellIfDead(shared.clone());
        Sequencer { shared, recent: Recent::default(), now: Millis(0) }.run();
    })
}

/// Publishers must not wait for a sequencer that is no more.
struct TellIfDead(Arc<Shared>);

impl Drop for TellIfDead {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.die();
        }
    }
}

/// Where an entry goes, and how many read there.
struct Addressed {
    channel: ChannelName,
    subscribers: u32,
}

struct Sequencer {
    shared: Arc<Shared>,
    recent: Recent,
    /// The time of the newest event: event times of one run never go back, whatever the clock does.
    now: Millis,
}

impl Sequencer {
    fn run(mut self) {
        let mut maintained = Instant::now();
        while let Some(jobs) = self.shared.queue.take(MAINTAIN_EVERY) {
            self.now = self.now.max(self.shared.clock.now());
            if !jobs.is_empty() {
                self.append(jobs);
            }
            if maintained.elapsed() >= MAINTAIN_EVERY {
                maintained = Instant::now();
                self.maintain();
            }
        }
    }

    fn append(&mut self, jobs: Vec<Job>) {
        let mut groups = Vec::with_capacity(jobs.len());
        let mut addresses = Vec::with_capacity(jobs.len());
        let mut waiting = Vec::with_capacity(jobs.len());
        for job in jobs {
            let (group, addressed) = self.group(job.action);
            groups.push(group);
            addresses.push(addressed);
            waiting.push((job.done, job.load));
        }
        self.shared.figures.batches.add(1);
        let answers = match self.shared.log.append(groups, self.now) {
            Ok(outcome) => self.publish(outcome, addresses),
            Err(error) => vec![Err(problems::of_log(&error)); waiting.len()],
        };
        for ((done, load), answer) in waiting.into_iter().zip(answers) {
            self.shared.figures.refused.add(u64::from(answer.is_err()));
            self.shared.queue.release(load);
            done(answer);
        }
        self.recent.wake();
        self.recent.evict(&self.shared);
    }

    fn group(&self, action: Action) -> (Group, Vec<Addressed>) {
        let (entries, addressed) = match action {
            Action::Reset(channel) => {
                (vec![Entry::Reset(channel.clone())], vec![Addressed { channel, subscribers: 0 }])
            }
            Action::Publish(drafts) => drafts.into_iter().map(|draft| self.address(draft)).unzip(),
        };
        (Group { entries }, addressed)
    }

    /// Counts the readers once: the log keeps the count for retries, so the first answer must be the same.
    fn address(&self, mut draft: Draft) -> (Entry, Addressed) {
        let channel = self.shared.registry.find(&draft.channel);
        draft.subscribers = channel.map_or(0, |channel| channel.subscribers().total());
        let addressed = Addressed { channel: draft.channel.clone(), subscribers: draft.subscribers };
        (Entry::Publish(draft), addressed)
    }

    /// Makes visible what was appended, and gives the answers for the publishers.
    fn publish(
        &mut self,
        outcome: AppendOutcome,
        addresses: Vec<Vec<Addressed>>,
    ) -> Vec<Result<Vec<Published>, Problem>> {
        let mut answers = Vec::with_capacity(addresses.len());
        for (group, addressed) in outcome.groups.into_iter().zip(addresses) {
            let answer = match group {
                Ok(entries) => {
                    Ok(addressed.into_iter().zip(entries).map(|(to, entry)| self.publish_entry(to, entry)).collect())
                }
                Err(refusal) => Err(problems::of_refusal(&refusal)),
            };
            answers.push(answer);
        }
        self.lose(outcome.trims);
        // Release: who sees the new head also sees every ring that was filled above.
        self.shared.head.store(self.shared.log.head().0, Ordering::Release);
        answers
    }

    fn publish_entry(&mut self, to: Addressed, entry: Appended) -> Published {
        let Addressed { channel: name, subscribers } = to;
        match entry {
            Appended::Event(event) => {
                self.shared.figures.published.add(1);
                let channel = self.shared.registry.push(&event, &*self.shared.log);
                let published = Published {
                    channel: name,
                    id: event.stored.then_some(event.id),
                    offset: event.stored.then_some(event.offset),
                    subscribers,
                    duplicate: false,
                };
                self.recent.push(channel, &event);
                published
            }
            Appended::Duplicate(receipt) => {
                self.shared.figures.duplicates.add(1);
                duplicate(name, receipt, &self.shared)
            }
            Appended::Reset(_, seq) => {
                self.lose(vec![Trim { channel: name.clone(), lost: Lost { through: seq, reason: LostReason::Reset } }]);
                let id = Some(Cursor::new(self.shared.log.epoch(), seq));
                Published { channel: name, id, offset: None, subscribers: 0, duplicate: false }
            }
        }
    }

    fn maintain(&mut self) {
        match self.shared.log.maintain(self.now) {
            Ok(trims) => self.lose(trims),
            // The next publish is told; until then `health` knows.
            Err(_poisoned) => {}
        }
        self.recent.wake();
        self.recent.evict(&self.shared);
    }

    fn lose(&mut self, trims: Vec<Trim>) {
        for Trim { channel, lost } in trims {
            if let Some(channel) = self.shared.registry.find(&channel) {
                let name = channel.name.clone();
                self.recent.lose(channel, lost);
                // It may have lost all that kept it in memory.
                self.shared.registry.forget_idle(&name);
            }
        }
    }
}

fn duplicate(channel: ChannelName, receipt: Receipt, shared: &Shared) -> Published {
    let stored = receipt.offset > 0;
    Published {
        channel,
        id: stored.then(|| Cursor::new(shared.log.epoch(), receipt.seq)),
        offset: stored.then_some(receipt.offset),
        subscribers: receipt.subscribers,
        duplicate: true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use bongsu_core::limits::Limits;
    use bongsu_core::log::Draft;
    use bongsu_core::policy::Rules;
    use bongsu_core::{Clock, Payload, PayloadKind};
    use bongsu_log::{LogConfig, MemoryLog};
    use bytes::Bytes;

    use super::*;
    use crate::Hub;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Millis {
            Millis(1)
        }
    }

    #[test]
    fn a_channel_that_has_lost_everything_leaves_the_memory() {
        let rules = Arc::new(Rules::default());
        let log = Arc::new(MemoryLog::new(rules.clone(), LogConfig::default()));
        let (hub, running) = Hub::start(log, rules, &Limits::default(), Arc::new(Fixed)).unwrap();
        let name = ChannelName::new("x").unwrap();
        let draft = Draft {
            channel: name.clone(),
            kind: None,
            key: None,
            user: None,
            ttl: None,
            store: true,
            payload: Payload { kind: PayloadKind::Text, content_type: None, bytes: Bytes::from_static(b"x") },
            idempotency: None,
            subscribers: 0,
        };
        let (done, answers) = mpsc::channel();
        let dropped = done.clone();
        hub.publish(vec![draft], move |answer| done.send(answer).unwrap()).unwrap();
        answers.recv().unwrap().unwrap();
        assert!(hub.shared.registry.find(&name).is_some());
        hub.drop_history(name.clone(), move |answer| dropped.send(answer).unwrap()).unwrap();
        answers.recv().unwrap().unwrap();
        assert!(hub.shared.registry.find(&name).is_none());
        running.close().unwrap();
    }
}
