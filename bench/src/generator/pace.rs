//! Open loop, and the crowd beside it: what goes on at a steady rate while others come, come back, or never read.
//!
//! It must not know what is measured by it.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::{Generator, TURN};
use crate::Fallible;

/// Connections that are begun in one turn beside other work.
const BEGIN_MAX: usize = 32;
/// Shorter waits are spent awake.
const SLEEP_MIN: Duration = Duration::from_millis(3);

impl Generator {
    /// Publishes so many times per second, whatever becomes of it, while subscribers join that have not, until
    /// `enough` is true or the time is over; says whether it became true. What leaves late because no publisher was
    /// idle counts from when it should have left.
    pub(crate) fn publish_at(
        &mut self,
        rate: f64,
        joining: bool,
        time: Duration,
        mut enough: impl FnMut(&Self) -> bool,
    ) -> Fallible<bool> {
        self.desk.open(true);
        let step = Duration::from_secs_f64(1.0 / rate);
        let begin = self.desk.now_ns();
        let end = begin + nanos(time);
        let mut next = begin;
        let result = loop {
            let now = self.desk.now_ns();
            if enough(self) {
                break true;
            }
            if now >= end {
                break false;
            }
            while next <= now
                && let Some(publisher) = self.desk.next_idle()
            {
                self.publish_as(publisher, Some(next))?;
                next += nanos(step);
            }
            if joining {
                self.begin_a_few()?;
            }
            // A sleep of less than a few milliseconds ends late: then it is better not to sleep.
            let wait = Duration::from_nanos(next.saturating_sub(now)).min(TURN);
            self.turn(if wait < SLEEP_MIN || joining && self.begun < self.subscribers.len() {
                Duration::ZERO
            } else {
                wait
            })?;
        };
        Ok(result)
    }

    /// After [`publish_at`](Self::publish_at): publishers wait for deliveries again, once all are answered.
    pub(crate) fn close_loop(&mut self, time: Duration) -> Fallible<()> {
        let quiet = self.run(time, |it| it.desk.is_quiet())?;
        self.desk.open(false);
        if quiet { Ok(()) } else { Err("publishes were not answered in time".into()) }
    }

    /// Publishes so many events to the crowd, and waits for it if it is not away.
    pub(crate) fn publish_to_crowd(&mut self, count: usize, away: bool, time: Duration) -> Fallible<()> {
        self.route = Some((self.plan.crowd_channel, if away { 0 } else { self.plan.crowd }));
        let result = self.publish_count(count, time);
        self.route = None;
        result
    }

    /// The crowd, which must be subscribed, never reads again, and its connections stay open.
    pub(crate) fn stall_crowd(&mut self) -> Fallible<()> {
        for subscriber in &mut self.subscribers[self.plan.regulars()..] {
            if let Some(link) = &mut subscriber.link {
                link.ignore(self.poll.registry())?;
            }
        }
        Ok(())
    }

    /// Forgets a crowd that does not read: it is not waited for, and nothing of it is counted.
    pub(crate) fn forget_crowd(&mut self) {
        self.subscribers.truncate(self.plan.regulars());
    }

    /// The same, but few at a time, so that what arrives meanwhile is not read late.
    fn begin_a_few(&mut self) -> Fallible<()> {
        self.begin_some(self.subscribers.len().min(self.begun + BEGIN_MAX))
    }

    /// The server has told a subscriber to come back later.
    pub(super) fn refused(&mut self, who: usize, pause: Duration) -> Fallible<()> {
        let subscriber = &mut self.subscribers[who];
        if subscriber.ready {
            return self.ended(who);
        }
        if !self.plan.returns {
            let millis = pause.as_millis();
            return Err(format!("the server refused a subscription, to come back in {millis} ms").into());
        }
        subscriber.disconnect();
        self.refusals += 1;
        self.returning.push(Reverse((Instant::now() + pause, who)));
        Ok(())
    }

    /// Connects those whose time to come back has come.
    pub(super) fn connect_who_returns(&mut self) -> Fallible<()> {
        while let Some(Reverse((at, who))) = self.returning.peek().copied()
            && at <= Instant::now()
        {
            self.returning.pop();
            self.connect(who)?;
        }
        Ok(())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
