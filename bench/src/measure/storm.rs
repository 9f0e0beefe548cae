//! A storm: thousands connect at once while others are served. What do those others notice, and how long does it take?
//!
//! The server may refuse a part of the storm if it says when to come back (503 with `Retry-After`, or `$close` with
//! `retry_ms`); who was refused comes back then, and must be let in at last.

use std::time::{Duration, Instant};

use super::{ARRIVE, Bench, JOIN, Meter, faults, figures, float, millis, settle};
use crate::Fallible;
use crate::generator::{Generator, Plan, Way};
use crate::process::check_connections;
use crate::report::{Figures, name};
use crate::target::{Running, Target};

/// Those that are served meanwhile.
pub(super) const LIVE: usize = 100;
/// Events that they get per second.
pub(super) const LIVE_RATE: f64 = 200.0;
/// Connections that publish to them.
pub(super) const PUBLISHERS: usize = 32;

impl Bench {
    /// One run of all ways.
    pub(super) fn storm(&mut self, engine: Target, ways: &[Way], connections: usize) -> Fallible<()> {
        check_connections(connections + LIVE + PUBLISHERS, self.open_files)?;
        let key = |way: Way| format!("storm {connections} {}", way.name());
        let floors = [name(&key(Way::Sse), Target::FloorSse.name())];
        self.stormed(Target::FloorSse, &key(Way::Sse), &[], Way::Sse, connections);
        for way in ways {
            self.stormed(engine, &key(*way), &floors, *way, connections);
            for peer in self.peers_with(*way) {
                self.stormed(Target::Peer(peer), &key(*way), &floors, *way, connections);
            }
        }
        Ok(())
    }

    fn stormed(&mut self, target: Target, key: &str, floors: &[String], way: Way, connections: usize) {
        self.take(key, target.name(), floors, |bench| {
            let running = target.start(&bench.setting)?;
            let plan = Plan {
                each: LIVE,
                publishers: PUBLISHERS,
                crowd: connections,
                crowd_channel: 1,
                connecting_max: connections,
                returns: true,
                interval: Some(super::fanout::INTERVAL),
                ..Plan::new(running.address, target.dialect(), way)
            };
            come_all(&running, bench.setting.cores, plan, bench.seconds)
        });
    }
}

fn come_all(running: &Running, cores: [usize; 2], plan: Plan, time: Duration) -> Fallible<Figures> {
    let mut generator = Generator::new(plan)?;
    generator.join_regulars(JOIN)?;
    running.wait_for_subscribers(LIVE, JOIN)?;
    generator.connect_publishers(JOIN)?;
    generator.publish_at(LIVE_RATE, false, time / 3, |_| false)?;
    generator.desk.begin_measuring();
    generator.publish_at(LIVE_RATE, false, time, |_| false)?;
    let quiet = generator.desk.deliveries.quantile_us(0.99);
    generator.desk.begin_measuring();
    let begin = Instant::now();
    let meter = Meter::start(&running.server, cores)?;
    let all = generator.publish_at(LIVE_RATE, true, JOIN, Generator::all_are_subscribed)?;
    if !all {
        let seconds = JOIN.as_secs();
        return Err(format!("not all were subscribed within {seconds} s, after {} refusals", generator.refusals).into());
    }
    // Long polls of a peer do not tell that they wait: until it says that they do, they count as not subscribed. Those
    // that are served meanwhile may stand between two polls.
    running.wait_for_subscribers(plan.crowd, JOIN)?;
    let took = begin.elapsed();
    let used = meter.read(&running.server)?;
    let latency = &generator.desk.deliveries;
    let mut parts = vec![
        ("live_p99_us", latency.quantile_us(0.99)),
        ("live_max_us", latency.max_us()),
        ("quiet_p99_us", quiet),
        ("storm_ms", millis(took)),
        ("refusals", float(generator.refusals as u64)),
    ];
    parts.extend(used.rates(plan.crowd as u64, "connects_per_s", "connects_per_cpu_s"));
    parts.extend(used.busy());
    generator.close_loop(ARRIVE)?;
    parts.extend(faults(settle(&mut generator)?));
    Ok(figures(parts))
}
