//! Coming back: the server restarts, events are published, then all subscribers return at once with their cursors.
//! Meanwhile some others, who are there already, get events at a steady rate: their latency is taken, too.
//!
//! A peer without a log on disk is not restarted, since it would know nothing more: only its connections end.
//! All at once is the worst case: clients that keep to the server's `retry_ms` come spread over its window.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::storm::{LIVE, LIVE_RATE, PUBLISHERS};
use super::{ARRIVE, Bench, JOIN, Meter, faults, figures, millis, settle};
use crate::Fallible;
use crate::generator::{Generator, Plan, Way};
use crate::measure::fanout::INTERVAL;
use crate::process::check_connections;
use crate::report::{Figures, name};
use crate::target::{Running, Setting, Target};

/// Events before the restart, so that every cursor says something.
const BEFORE: usize = 5;
/// How long the others are served before the storm comes.
const QUIET: Duration = Duration::from_millis(500);
/// How long a server may take to stop: its default drain and a margin.
const STOP: Duration = Duration::from_secs(30);

impl Bench {
    /// One run of all ways.
    pub(super) fn resume(&mut self, ways: &[Way], subscribers: usize, events: usize, kill: bool) -> Fallible<()> {
        check_connections(subscribers + LIVE + PUBLISHERS, self.open_files)?;
        let how = if kill { " killed" } else { "" };
        let key = |way: Way| format!("resume {subscribers}x{events}{how} {}", way.name());
        let floors = [name(&key(Way::Sse), Target::FloorSse.name())];
        self.coming_back(Target::FloorSse, &key(Way::Sse), &[], (Way::Sse, subscribers, events, kill));
        for way in ways {
            self.coming_back(Target::Fsync, &key(*way), &floors, (*way, subscribers, events, kill));
            for peer in self.peers.clone().into_iter().filter(|peer| peer.resumes(*way)) {
                self.coming_back(Target::Peer(peer), &key(*way), &floors, (*way, subscribers, events, kill));
            }
        }
        Ok(())
    }

    fn coming_back(
        &mut self,
        target: Target,
        key: &str,
        floors: &[String],
        (way, subscribers, events, kill): (Way, usize, usize, bool),
    ) {
        self.take(key, target.name(), floors, |bench| {
            let running = target.start(&bench.setting)?;
            let generator = Generator::new(Plan {
                each: LIVE,
                publishers: PUBLISHERS,
                crowd: subscribers,
                crowd_channel: 1,
                interval: Some(INTERVAL),
                comes_back: true,
                ..Plan::new(running.address, target.dialect(), way)
            })?;
            come_back(target, &bench.setting, running, generator, events, kill)
        });
    }
}

fn come_back(
    target: Target,
    setting: &Setting,
    running: Running,
    mut generator: Generator,
    events: usize,
    kill: bool,
) -> Fallible<Figures> {
    generator.join(JOIN)?;
    let everyone = generator.subscribers();
    running.wait_for_subscribers(everyone, JOIN)?;
    generator.connect_publishers(JOIN)?;
    generator.publish_to_crowd(BEFORE, false, JOIN)?;
    generator.publish_count(BEFORE, JOIN)?;
    let (running, stop, start) = restart(target, setting, running, &mut generator, kill)?;
    generator.disconnect(running.address);
    // A server that was restarted has none of the old connections; a peer that was not gets the time to be rid of them.
    running.wait_for_nobody(JOIN)?;
    generator.connect_publishers(JOIN)?;
    generator.publish_to_crowd(events, true, JOIN)?;
    generator.join_regulars(JOIN)?;
    generator.publish_at(LIVE_RATE, false, QUIET, |_| false)?;
    generator.desk.begin_measuring();
    let meter = Meter::start(&running.server, setting.cores)?;
    let begin = Instant::now();
    // What a subscriber of the crowd has, it keeps: those before this number need not be looked at again.
    let mut complete = LIVE;
    let all = generator.publish_at(LIVE_RATE, true, JOIN, |it| {
        while complete < everyone && it.has_all(complete) {
            complete += 1;
        }
        complete == everyone
    })?;
    let resumed = begin.elapsed();
    let used = meter.read(&running.server)?;
    if !all {
        return Err(format!("{} of {everyone} did not have everything in time", everyone - complete).into());
    }
    let live = (generator.desk.deliveries.quantile_us(0.99), generator.desk.deliveries.max_us());
    generator.close_loop(ARRIVE)?;
    let tally = settle(&mut generator)?;
    let mut parts = vec![("stop_ms", millis(stop)), ("start_ms", millis(start)), ("resume_ms", millis(resumed))];
    parts.extend([("live_p99_us", live.0), ("live_max_us", live.1)]);
    parts.push(("resume_cpu_ms", used.cpu.server * 1_000.0));
    parts.extend(used.busy());
    parts.extend(faults(tally));
    Ok(figures(parts))
}

/// Stops the server under its clients and starts it again on its data. A floor or a peer has none: only
/// its connections end.
fn restart(
    target: Target,
    setting: &Setting,
    mut running: Running,
    generator: &mut Generator,
    kill: bool,
) -> Fallible<(Running, Duration, Duration)> {
    if target.is_floor() || matches!(target, Target::Peer(_)) {
        return Ok((running, Duration::ZERO, Duration::ZERO));
    }
    generator.leave();
    let begin = Instant::now();
    running.server.signal(if kill { Signal::KILL } else { Signal::TERM })?;
    while running.server.ended()?.is_none() {
        if begin.elapsed() > STOP {
            return Err(format!("the server did not stop within {} s", STOP.as_secs()).into());
        }
        generator.run(Duration::from_millis(5), |_| false)?;
        sleep(Duration::from_millis(1));
    }
    let stop = begin.elapsed();
    let begin = Instant::now();
    let running = target.start_again(setting, running)?;
    Ok((running, stop, begin.elapsed()))
}
