//! Delivery to many: each event to all subscribers of its channel, in closed loop.

use std::time::Duration;

use super::{Bench, JOIN, Meter, faults, figures, float, settle};
use crate::Fallible;
use crate::generator::{Generator, Plan, Way};
use crate::options::Shape;
use crate::process::check_connections;
use crate::report::{Figures, name};
use crate::target::{Running, Target};

/// From one interval poll to the next.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

impl Bench {
    /// One run of all ways, shapes and loads, with the floor of each shape and load first.
    pub(super) fn fanout(&mut self, engine: Target, ways: &[Way], shapes: &[Shape], loads: &[usize]) -> Fallible<()> {
        for shape in shapes {
            check_connections(shape.subscribers() + loads.iter().max().unwrap_or(&0), self.open_files)?;
        }
        for shape in shapes {
            for load in loads {
                let key = |way: Way| format!("fanout {} {} {load}", shape.name(), way.name());
                let floors = [name(&key(Way::Sse), Target::FloorSse.name())];
                self.delivery(Target::FloorSse, &key(Way::Sse), &[], Way::Sse, *shape, *load);
                // Ten events for one write gather only where a channel has as many in flight.
                if *load >= 10 * shape.channels {
                    self.delivery(Target::FloorTens, &key(Way::Sse), &floors, Way::Sse, *shape, *load);
                }
                if self.has_ring() {
                    self.delivery(Target::FloorRing, &key(Way::Sse), &floors, Way::Sse, *shape, *load);
                }
                for way in ways {
                    self.delivery(engine, &key(*way), &floors, *way, *shape, *load);
                    for peer in self.peers_with(*way) {
                        self.delivery(Target::Peer(peer), &key(*way), &floors, *way, *shape, *load);
                    }
                }
            }
        }
        Ok(())
    }

    fn delivery(&mut self, target: Target, key: &str, floors: &[String], way: Way, shape: Shape, load: usize) {
        self.take(key, target.name(), floors, |bench| {
            let running = target.start(&bench.setting)?;
            let plan = Plan {
                channels: shape.channels,
                each: shape.each,
                publishers: load,
                interval: Some(INTERVAL),
                ..Plan::new(running.address, target.dialect(), way)
            };
            // Interval polls need some intervals before their latency says something.
            let least = if way == Way::Poll { 5 * INTERVAL } else { Duration::ZERO };
            deliver(&running, bench.setting.cores, plan, bench.seconds.max(least))
        });
    }
}

fn deliver(running: &Running, cores: [usize; 2], plan: Plan, time: Duration) -> Fallible<Figures> {
    let mut generator = Generator::new(plan)?;
    generator.join(JOIN)?;
    running.wait_for_subscribers(plan.channels * plan.each, JOIN)?;
    generator.connect_publishers(JOIN)?;
    generator.publish_for(time / 3)?;
    generator.desk.begin_measuring();
    let before = generator.desk.ledger.tally().delivered;
    let meter = Meter::start(&running.server, cores)?;
    generator.publish_for(time)?;
    let used = meter.read(&running.server)?;
    let desk = &generator.desk;
    let delivered = desk.ledger.tally().delivered - before;
    let mut parts = used.rates(delivered, "deliveries_per_s", "deliveries_per_cpu_s");
    parts.extend(used.busy());
    parts.push(("publishes_per_s", float(desk.published) / used.seconds));
    if delivered > 0 {
        parts.push(("bytes_per_delivery", float(desk.bytes) / float(delivered)));
    }
    if desk.answers.0 > 0 {
        parts.push(("empty_answers_percent", float(desk.answers.1) / float(desk.answers.0) * 100.0));
    }
    // What arrives only now was in flight: its latency counts, its number does not.
    let tally = settle(&mut generator)?;
    let latency = &generator.desk.deliveries;
    parts.push(("latency_p50_us", latency.quantile_us(0.5)));
    parts.push(("latency_p99_us", latency.quantile_us(0.99)));
    parts.push(("latency_max_us", latency.max_us()));
    parts.extend(faults(tally));
    Ok(figures(parts))
}
