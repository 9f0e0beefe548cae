//! The single writer, through which every event passes on its way in.
//!
//! It is a thread of its own; where the log never waits, any thread that brings a publish may take its part for a batch, one
//! at a time.
//!
//! While the log syncs one batch the next one gathers in the queue; that is the group commit, and [`company`] keeps it from
//! falling apart into halves. For each batch: append, put into rings, move the head, answer the publishers, wake the readers,
//! in this order. So what is seen is appended, and what is acknowledged is as durable as promised.

mod company;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bongsu_core::cursor::Cursor;
use bongsu_core::log::{AppendOutcome, Appended, Draft, Entry, Group, Lost, LostReason, Receipt, Trim};
use bongsu_core::{ChannelName, Millis, Problem};

use crate::channel::Channel;
use crate::queue::{Action, Done, Job, Load};
use crate::recent::Recent;
use crate::{Shared, problems};
use company::Company;

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
    let sequencer = Sequencer {
        shared: shared.clone(),
        recent: Recent::default(),
        now: Millis(0),
        company: Company::default(),
        maintained: Instant::now(),
        jobs: Vec::new(),
    };
    let thread = std::thread::Builder::new().name("sequencer".into());
    if !shared.log.is_instant() {
        return thread.spawn(move || sequencer.run());
    }
    shared.queue.share(sequencer);
    thread.spawn(move || {
        if !shared.queue.attend(MAINTAIN_EVERY) {
            // Ends this thread as it ended the other: whoever closes the hub has to hear of it.
            std::panic::resume_unwind(Box::new("a publisher's thread died as the sequencer"));
        }
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
    /// The channel as it was found in memory; it may have been dropped meanwhile.
    known: Option<Arc<Channel>>,
    subscribers: u32,
}

/// Who waits for an answer, and of how many entries.
struct Waiting {
    done: Done,
    entries: usize,
}

pub(crate) struct Sequencer {
    shared: Arc<Shared>,
    recent: Recent,
    /// The time of the newest event: event times of one run never go back, whatever the clock does.
    now: Millis,
    company: Company,
    /// When work that falls due by time was looked for last.
    maintained: Instant,
    /// The jobs of a batch; kept for its memory.
    jobs: Vec<Job>,
}

impl Sequencer {
    fn run(mut self) {
        loop {
            if let Some((wanted, wait)) = self.company.expected() {
                self.company.came(self.shared.queue.gather(wanted, wait));
            }
            if !self.turn(MAINTAIN_EVERY) {
                return;
            }
        }
    }

    /// Does one batch, for which it waits no longer than `wait`, and what has fallen due by time; `false` when the queue is
    /// closed and empty.
    pub(crate) fn turn(&mut self, wait: Duration) -> bool {
        let _tell = TellIfDead(self.shared.clone());
        let mut jobs = std::mem::take(&mut self.jobs);
        if !self.shared.queue.take(wait, &mut jobs) {
            return false;
        }
        self.now = self.now.max(self.shared.clock.now());
        let began = Instant::now();
        if !jobs.is_empty() {
            self.append(&mut jobs, began);
        }
        self.jobs = jobs;
        if began - self.maintained >= MAINTAIN_EVERY {
            self.maintained = began;
            self.maintain();
        }
        true
    }

    fn append(&mut self, jobs: &mut Vec<Job>, began: Instant) {
        let mut groups = Vec::with_capacity(jobs.len());
        let mut addresses = Vec::with_capacity(jobs.len());
        let mut waiting = Vec::with_capacity(jobs.len());
        let mut load = Load::default();
        for job in jobs.drain(..) {
            let group = self.group(job.action, &mut addresses);
            waiting.push(Waiting { done: job.done, entries: group.entries.len() });
            groups.push(group);
            load.add(job.load);
        }
        self.shared.figures.batches.add(1);
        let appended = self.shared.log.append(groups, self.now);
        let took = began.elapsed();
        let answers = match appended {
            Ok(outcome) => self.publish(outcome, addresses, &waiting),
            Err(error) => vec![Err(problems::of_log(&error)); waiting.len()],
        };
        self.company.answering(waiting.len(), self.shared.queue.release(load), took);
        for (Waiting { done, .. }, answer) in waiting.into_iter().zip(answers) {
            self.shared.figures.refused.add(u64::from(answer.is_err()));
            done(answer);
        }
        self.recent.wake();
        self.recent.evict(&self.shared);
    }

    /// What the log is asked for; where its entries go is added to `addresses`.
    fn group(&self, action: Action, addresses: &mut Vec<Addressed>) -> Group {
        let entries = match action {
            Action::Reset(channel) => {
                addresses.push(Addressed { channel: channel.clone(), known: None, subscribers: 0 });
                vec![Entry::Reset(channel)]
            }
            Action::Publish(drafts) => drafts
                .into_iter()
                .map(|draft| {
                    let (entry, addressed) = self.address(draft);
                    addresses.push(addressed);
                    entry
                })
                .collect(),
        };
        Group { entries }
    }

    /// Counts the readers once: the log keeps the count for retries, so the first answer must be the same.
    fn address(&self, mut draft: Draft) -> (Entry, Addressed) {
        let known = self.shared.registry.find(&draft.channel);
        draft.subscribers = known.as_ref().map_or(0, |channel| channel.subscribers().total());
        let addressed = Addressed { channel: draft.channel.clone(), known, subscribers: draft.subscribers };
        (Entry::Publish(draft), addressed)
    }

    /// Makes visible what was appended, and gives the answers for the publishers.
    fn publish(
        &mut self,
        outcome: AppendOutcome,
        addresses: Vec<Addressed>,
        waiting: &[Waiting],
    ) -> Vec<Result<Vec<Published>, Problem>> {
        let mut addresses = addresses.into_iter();
        let mut answers = Vec::with_capacity(waiting.len());
        for (group, Waiting { entries, .. }) in outcome.groups.into_iter().zip(waiting) {
            let addressed = addresses.by_ref().take(*entries);
            let answer = match group {
                Ok(entries) => {
                    Ok(entries.into_iter().zip(addressed).map(|(entry, to)| self.publish_entry(to, entry)).collect())
                }
                Err(refusal) => {
                    addressed.for_each(drop);
                    Err(problems::of_refusal(&refusal))
                }
            };
            answers.push(answer);
        }
        self.lose(outcome.trims);
        // Release: who sees the new head also sees every ring that was filled above.
        self.shared.head.store(self.shared.log.head().0, Ordering::Release);
        answers
    }

    fn publish_entry(&mut self, to: Addressed, entry: Appended) -> Published {
        let Addressed { channel: name, known, subscribers } = to;
        match entry {
            Appended::Event(event) => {
                self.shared.figures.published.add(1);
                let known = known.filter(|channel| channel.push(&event));
                let channel = known.unwrap_or_else(|| self.shared.registry.push(&event, &*self.shared.log));
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

    fn start() -> (Hub, crate::Running) {
        let rules = Arc::new(Rules::default());
        let log = Arc::new(MemoryLog::new(rules.clone(), LogConfig::default()));
        Hub::start(log, rules, &Limits::default(), Arc::new(Fixed)).unwrap()
    }

    fn draft(name: &ChannelName) -> Draft {
        Draft {
            channel: name.clone(),
            kind: None,
            key: None,
            user: None,
            ttl: None,
            store: true,
            payload: Payload { kind: PayloadKind::Text, content_type: None, bytes: Bytes::from_static(b"x") },
            idempotency: None,
            subscribers: 0,
        }
    }

    #[test]
    fn a_channel_that_has_lost_everything_leaves_the_memory() {
        let (hub, running) = start();
        let name = ChannelName::new("x").unwrap();
        let (done, answers) = mpsc::channel();
        let dropped = done.clone();
        hub.publish(vec![draft(&name)], move |answer| done.send(answer).unwrap()).unwrap();
        answers.recv().unwrap().unwrap();
        assert!(hub.shared.registry.find(&name).is_some());
        hub.drop_history(name.clone(), move |answer| dropped.send(answer).unwrap()).unwrap();
        answers.recv().unwrap().unwrap();
        assert!(hub.shared.registry.find(&name).is_none());
        running.close().unwrap();
    }

    #[test]
    fn who_is_called_back_may_publish_more() {
        let (hub, running) = start();
        let name = ChannelName::new("x").unwrap();
        let (done, answers) = mpsc::channel();
        let (again, more) = (hub.clone(), draft(&name));
        let first = move |_| again.publish(vec![more], move |answer| done.send(answer).unwrap()).unwrap();
        hub.publish(vec![draft(&name)], first).unwrap();
        assert_eq!(answers.recv().unwrap().unwrap()[0].offset, Some(2));
        running.close().unwrap();
    }

    #[test]
    fn every_publish_is_answered_whoever_is_the_sequencer() {
        let (hub, running) = start();
        let name = ChannelName::new("x").unwrap();
        let (done, answers) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (hub, done, name) = (hub.clone(), done.clone(), name.clone());
                scope.spawn(move || {
                    for _ in 0..1_000 {
                        let done = done.clone();
                        hub.publish(vec![draft(&name)], move |answer| done.send(answer).unwrap()).unwrap();
                    }
                });
            }
        });
        drop(done);
        let mut offsets = answers.iter().map(|answer| answer.unwrap()[0].offset.unwrap()).collect::<Vec<_>>();
        offsets.sort_unstable();
        assert!(offsets.into_iter().eq(1..=4_000));
        let held = Arc::downgrade(&hub.shared);
        drop(hub);
        running.close().unwrap();
        assert!(held.upgrade().is_none(), "a hub that is closed leaves the memory");
    }

    #[test]
    fn a_panic_in_a_batch_is_told_to_all_who_come_after() {
        let (hub, running) = start();
        let name = ChannelName::new("x").unwrap();
        let publisher = {
            let (hub, name) = (hub.clone(), name.clone());
            std::thread::spawn(move || hub.publish(vec![draft(&name)], |_| panic!("a mistake")))
        };
        let _ = publisher.join();
        while hub.health().is_ok() {
            std::thread::yield_now();
        }
        let refused = hub.publish(vec![draft(&name)], |_| ()).unwrap_err();
        assert_eq!(refused.code, bongsu_core::ErrorCode::Internal);
        assert!(running.close().is_err());
    }
}
