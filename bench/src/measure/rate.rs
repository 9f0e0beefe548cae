//! Latency at a given rate, in open loop: publishes leave when they are due, however long the last one took.
//!
//! In closed loop a server that is slow is asked less, and its latency looks good; here what waits counts, from the
//! moment it should have left. The rate is half of what the best peer reached in closed loop, the same for all.

use std::time::Duration;

use super::fanout::INTERVAL;
use super::{ARRIVE, Bench, JOIN, Meter, faults, figures, float, settle};
use crate::Fallible;
use crate::generator::{Generator, Plan, Way};
use crate::options::Shape;
use crate::process::check_connections;
use crate::report::{Figures, name};
use crate::target::{Running, Target};

/// Connections that publish: more than are ever in flight while the server keeps up.
const PUBLISHERS: usize = 256;
/// Publishes in flight while the highest rate is looked for.
const LOAD: usize = 64;

/// What a run is about.
#[derive(Clone, Copy)]
struct Case {
    way: Way,
    shape: Shape,
    publishes_per_s: f64,
}

impl Bench {
    /// One run of all shapes and ways. Without `rate` it is half of what the best peer reaches, or without peers half
    /// of what the floor reaches.
    pub(super) fn rate(&mut self, engine: Target, ways: &[Way], shapes: &[Shape], rate: Option<usize>) -> Fallible<()> {
        for shape in shapes {
            check_connections(shape.subscribers() + PUBLISHERS, self.open_files)?;
            let publishes_per_s = match rate {
                Some(rate) => float(rate as u64),
                None => match self.rates.iter().find(|(known, _)| known == shape) {
                    Some((_, rate)) => *rate,
                    None => self.half_of_the_best(ways, *shape)?,
                },
            };
            let key = |way: Way| format!("rate {} {}", shape.name(), way.name());
            let floors = [name(&key(Way::Sse), Target::FloorSse.name())];
            let case = |way| Case { way, shape: *shape, publishes_per_s };
            self.paced(Target::FloorSse, &key(Way::Sse), &[], case(Way::Sse));
            for way in ways {
                self.paced(engine, &key(*way), &floors, case(*way));
                for peer in self.peers_with(*way) {
                    self.paced(Target::Peer(peer), &key(*way), &floors, case(*way));
                }
            }
        }
        Ok(())
    }

    fn paced(&mut self, target: Target, key: &str, floors: &[String], case: Case) {
        self.take(key, target.name(), floors, |bench| {
            let running = target.start(&bench.setting)?;
            let plan = Plan { publishers: PUBLISHERS, ..plan(&running, target, case.way, case.shape) };
            pace(&running, bench.setting.cores, plan, case.publishes_per_s, bench.seconds)
        });
    }

    /// Looked for once, in the first run: all runs are then at one rate.
    fn half_of_the_best(&mut self, ways: &[Way], shape: Shape) -> Fallible<f64> {
        let peers =
            ways.iter().flat_map(|way| self.peers_with(*way).into_iter().map(|peer| (Target::Peer(peer), *way)));
        let mut targets: Vec<(Target, Way)> = peers.collect();
        if targets.is_empty() {
            targets.push((Target::FloorSse, Way::Sse));
        }
        let mut best = 0.0_f64;
        for (target, way) in targets {
            self.tell(&format!("rate {}: how much {} does by {}", shape.name(), target.name(), way.name()));
            let running = target.start(&self.setting)?;
            let mut generator = Generator::new(Plan { publishers: LOAD, ..plan(&running, target, way, shape) })?;
            generator.join(JOIN)?;
            running.wait_for_subscribers(shape.subscribers(), JOIN)?;
            generator.connect_publishers(JOIN)?;
            generator.publish_for(self.seconds / 3)?;
            generator.desk.begin_measuring();
            generator.publish_for(self.seconds)?;
            best = best.max(float(generator.desk.published) / self.seconds.as_secs_f64());
        }
        if best <= 0.0 {
            return Err(
                "no peer has published anything, so that there is no rate to go by: name one with --rate".into()
            );
        }
        self.rates.push((shape, best / 2.0));
        Ok(best / 2.0)
    }
}

fn plan(running: &Running, target: Target, way: Way, shape: Shape) -> Plan {
    let plan = Plan::new(running.address, target.dialect(), way);
    Plan { channels: shape.channels, each: shape.each, interval: Some(INTERVAL), ..plan }
}

fn pace(running: &Running, cores: [usize; 2], plan: Plan, rate: f64, time: Duration) -> Fallible<Figures> {
    let mut generator = Generator::new(plan)?;
    generator.join(JOIN)?;
    running.wait_for_subscribers(plan.channels * plan.each, JOIN)?;
    generator.connect_publishers(JOIN)?;
    generator.publish_at(rate, false, time / 3, |_| false)?;
    generator.desk.begin_measuring();
    let meter = Meter::start(&running.server, cores)?;
    generator.publish_at(rate, false, time, |_| false)?;
    let used = meter.read(&running.server)?;
    let published = generator.desk.published;
    generator.close_loop(ARRIVE)?;
    let tally = settle(&mut generator)?;
    let latency = &generator.desk.deliveries;
    let mut parts = vec![
        ("latency_p99_us", latency.quantile_us(0.99)),
        ("latency_max_us", latency.max_us()),
        ("asked_publishes_per_s", rate),
        ("publishes_per_s", float(published) / used.seconds),
    ];
    parts.extend(used.busy());
    parts.extend(faults(tally));
    Ok(figures(parts))
}
