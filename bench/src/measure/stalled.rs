//! Readers that never read: the server's memory must not grow with what is published, and others must not wait.
//!
//! It is measured without and with them. What grows in both is history; the difference is what they cost. Their receive
//! buffers are as small as the kernel allows, so that what is published soon waits at the server.

use std::time::{Duration, Instant};

use super::{Bench, JOIN, Meter, faults, figures, float, settle};
use crate::Fallible;
use crate::generator::{Generator, Plan, Way};
use crate::process::check_connections;
use crate::report::{Figures, name};
use crate::target::{Running, Target};

/// Readers that do read.
const LIVE: usize = 100;
/// Publishes in flight.
const PUBLISHERS: usize = 64;
/// Shorter runs would end while the kernel's buffers still take everything.
const TIME_MIN: Duration = Duration::from_secs(5);
/// From one look at the memory to the next.
const LOOK: Duration = Duration::from_millis(100);
/// The receive buffers of those that do not read, in bytes; the kernel makes more of it.
const RECEIVE_BYTES: usize = 4 << 10;

impl Bench {
    /// One run of all ways, without and with stalled readers. A server that takes more than `memory_max` bytes is
    /// stopped, for the machine's sake.
    pub(super) fn stalled(&mut self, engine: Target, ways: &[Way], readers: usize, memory_max: u64) -> Fallible<()> {
        check_connections(readers + LIVE + PUBLISHERS, self.open_files)?;
        for way in ways.iter().copied().filter(|way| !way.polls()) {
            let mut targets = vec![engine];
            targets.extend(self.peers_with(way).into_iter().map(Target::Peer));
            for target in targets {
                let key = |readers| format!("stalled {readers} {}", way.name());
                let floors = [name(&key(0), target.name())];
                self.beside(target, &key(0), &[], (way, 0, memory_max));
                self.beside(target, &key(readers), &floors, (way, readers, memory_max));
            }
        }
        Ok(())
    }

    fn beside(&mut self, target: Target, key: &str, floors: &[String], (way, readers, memory_max): (Way, usize, u64)) {
        self.take(key, target.name(), floors, |bench| {
            let running = target.start(&bench.setting)?;
            let plan = Plan {
                each: LIVE,
                publishers: PUBLISHERS,
                crowd: readers,
                crowd_receive_bytes: Some(RECEIVE_BYTES),
                ..Plan::new(running.address, target.dialect(), way)
            };
            beside(&running, bench.setting.cores, plan, bench.seconds.max(TIME_MIN), memory_max)
        });
    }
}

fn beside(running: &Running, cores: [usize; 2], plan: Plan, time: Duration, memory_max: u64) -> Fallible<Figures> {
    let mut generator = Generator::new(plan)?;
    generator.join(JOIN)?;
    running.wait_for_subscribers(plan.each + plan.crowd, JOIN)?;
    generator.stall_crowd()?;
    generator.connect_publishers(JOIN)?;
    let start = running.server.memory()?.resident;
    let mut largest = publish(running, &mut generator, time, memory_max)?;
    generator.desk.begin_measuring();
    let before = generator.desk.ledger.tally().delivered;
    let half = running.server.memory()?.resident;
    let meter = Meter::start(&running.server, cores)?;
    largest = largest.max(publish(running, &mut generator, time, memory_max)?);
    let used = meter.read(&running.server)?;
    let end = running.server.memory()?.resident;
    let delivered = generator.desk.ledger.tally().delivered - before;
    let published = generator.desk.published;
    let mut parts = used.rates(delivered, "deliveries_per_s", "deliveries_per_cpu_s");
    let latency = &generator.desk.deliveries;
    parts.extend([
        ("latency_p50_us", latency.quantile_us(0.5)),
        ("latency_p99_us", latency.quantile_us(0.99)),
        ("latency_max_us", latency.max_us()),
        ("publishes_per_s", float(published) / used.seconds),
        ("rss_start_mib", mib(start)),
        ("rss_half_mib", mib(half)),
        ("rss_end_mib", mib(end)),
        ("rss_max_mib", mib(largest)),
    ]);
    if published > 0 {
        parts.push(("growth_bytes_per_publish", (float(end) - float(half)) / float(published)));
    }
    parts.extend(used.busy());
    generator.forget_crowd();
    parts.extend(faults(settle(&mut generator)?));
    Ok(figures(parts))
}

/// Publishes for the time given and says how large the server was at most.
fn publish(running: &Running, generator: &mut Generator, time: Duration, memory_max: u64) -> Fallible<u64> {
    let end = Instant::now() + time;
    let mut largest = 0;
    while Instant::now() < end {
        generator.publish_for(LOOK.min(end.saturating_duration_since(Instant::now())))?;
        largest = largest.max(running.server.memory()?.resident);
        if largest > memory_max {
            return Err(format!("the server took {:.0} MiB: stopped (--memory-mib)", mib(largest)).into());
        }
    }
    Ok(largest)
}

fn mib(bytes: u64) -> f64 {
    float(bytes) / float(1 << 20)
}
