//! Memory of connections on which nothing happens.

use std::time::Duration;

use super::{Bench, JOIN, Meter, figures, float};
use crate::Fallible;
use crate::generator::{Generator, Plan, Way};
use crate::machine::kernel_memory;
use crate::process::check_connections;
use crate::report::{Figures, name};
use crate::target::{Running, Target};

/// Connections that are made and used before the first reading, so that what is needed once is not counted.
const WARM: usize = 50;
/// How long everything rests before a reading.
const REST: Duration = Duration::from_secs(1);

impl Bench {
    /// One run of all ways.
    pub(super) fn idle(&mut self, engine: Target, ways: &[Way], connections: usize) -> Fallible<()> {
        check_connections(connections + WARM + 1, self.open_files)?;
        let key = |way: Way| format!("idle {connections} {}", way.name());
        let floors = [name(&key(Way::Sse), Target::FloorSse.name())];
        self.resting(Target::FloorSse, &key(Way::Sse), &[], Way::Sse, connections);
        for way in ways {
            self.resting(engine, &key(*way), &floors, *way, connections);
            for peer in self.peers_with(*way) {
                self.resting(Target::Peer(peer), &key(*way), &floors, *way, connections);
            }
        }
        Ok(())
    }

    fn resting(&mut self, target: Target, key: &str, floors: &[String], way: Way, connections: usize) {
        self.take(key, target.name(), floors, |bench| {
            let running = target.start(&bench.setting)?;
            let plan = Plan::new(running.address, target.dialect(), way);
            rest(&running, bench.setting.cores, plan, connections)
        });
    }
}

fn rest(running: &Running, cores: [usize; 2], plan: Plan, connections: usize) -> Fallible<Figures> {
    let plan = Plan { each: WARM, publishers: 1, ..plan };
    let mut warm = Generator::new(plan)?;
    warm.join(JOIN)?;
    running.wait_for_subscribers(WARM, JOIN)?;
    // An interval poller that polls no more gets nothing, so it has nothing to be warmed with.
    if plan.way != Way::Poll {
        warm.connect_publishers(JOIN)?;
        warm.publish_count(100, JOIN)?;
    }
    let mut generator = Generator::new(Plan { each: connections, publishers: 0, ..plan })?;
    // Subscribers that join now begin after the events of warming up.
    generator.run(REST, |_| false)?;
    let (before, kernel_before) = (running.server.memory()?, kernel_memory()?);
    let meter = Meter::start(&running.server, cores)?;
    generator.join(JOIN)?;
    running.wait_for_subscribers(WARM + connections, JOIN)?;
    let used = meter.read(&running.server)?;
    generator.run(REST, |_| false)?;
    let (after, kernel_after) = (running.server.memory()?, kernel_memory()?);
    let count = connections as u64;
    let each = |after: u64, before: u64| float(after.saturating_sub(before)) / float(count);
    let kernel = |memory: crate::machine::Kernel| memory.slab + memory.tcp;
    let mut parts = used.rates(count, "connects_per_s", "connects_per_cpu_s");
    parts.push(("user_bytes_per_connection", each(after.resident, before.resident)));
    parts.push(("heap_bytes_per_connection", each(after.anonymous, before.anonymous)));
    parts.push(("kernel_bytes_per_connection", each(kernel(kernel_after), kernel(kernel_before))));
    if generator.cut > 0 {
        return Err(format!("the server ended {} idle connections", generator.cut).into());
    }
    Ok(figures(parts))
}
