//! Publish throughput without subscribers, beside what the network and the disk allow.

use std::process::Stdio;
use std::time::Duration;

use super::{Bench, JOIN, Meter, faults, figures, float, settle};
use crate::Fallible;
use crate::floor::commit::Committed;
use crate::generator::lines::LineStream;
use crate::generator::{Generator, Plan, Way};
use crate::latency::Latency;
use crate::process::on_core;
use crate::report::{Figures, name};
use crate::target::{Setting, Target};

/// The size of a record of the bare group commit: an event of 100 bytes with its names and numbers.
const RECORD_BYTES: usize = 250;
const COMMIT: &str = "floor commit";
const SERVERS: [Target; 3] = [Target::Memory, Target::Os, Target::Fsync];

impl Bench {
    /// One run of all numbers of publishers and of the NDJSON stream.
    pub(super) fn publish(&mut self, publishers: &[usize], lines: usize) {
        for count in publishers {
            let key = format!("publish {count}");
            for target in [Target::FloorEcho, Target::FloorEchoSync] {
                self.requests(target, &key, &[], *count);
            }
            self.commit(&key, *count);
            for target in SERVERS {
                self.requests(target, &key, &floors(&key, target), *count);
            }
            for peer in self.peers.clone() {
                let target = Target::Peer(peer);
                self.requests(target, &key, &floors(&key, target), *count);
            }
        }
        let key = format!("publish ndjson {lines}");
        self.commit(&key, lines);
        for target in SERVERS {
            let floors: Vec<String> = if target == Target::Fsync { vec![name(&key, COMMIT)] } else { Vec::new() };
            self.take(&key, target.name(), &floors, |bench| stream(target, &bench.setting, lines, bench.seconds));
        }
    }

    fn requests(&mut self, target: Target, key: &str, floors: &[String], publishers: usize) {
        self.take(key, target.name(), floors, |bench| requests(target, &bench.setting, publishers, bench.seconds));
    }

    fn commit(&mut self, key: &str, batch: usize) {
        self.take(key, COMMIT, &[], |bench| commit(&bench.setting, batch, bench.seconds));
    }
}

/// What a target is divided by: the echo that promises as much as it does, and for the disk the bare disk too.
fn floors(key: &str, target: Target) -> Vec<String> {
    if target == Target::Fsync {
        vec![name(key, Target::FloorEchoSync.name()), name(key, COMMIT)]
    } else {
        vec![name(key, Target::FloorEcho.name())]
    }
}

fn requests(target: Target, setting: &Setting, publishers: usize, time: Duration) -> Fallible<Figures> {
    let running = target.start(setting)?;
    let plan = Plan::new(running.address, target.dialect(), Way::Sse);
    let mut generator = Generator::new(Plan { publishers, numbered: target.numbers(), ..plan })?;
    generator.connect_publishers(JOIN)?;
    generator.publish_for(time / 3)?;
    generator.desk.begin_measuring();
    let meter = Meter::start(&running.server, setting.cores)?;
    generator.publish_for(time)?;
    let used = meter.read(&running.server)?;
    let mut parts = used.rates(generator.desk.published, "publishes_per_s", "publishes_per_cpu_s");
    parts.extend(used.busy());
    parts.extend(acknowledged(&generator.desk.acknowledgements));
    parts.extend(faults(settle(&mut generator)?));
    Ok(figures(parts))
}

fn stream(target: Target, setting: &Setting, lines: usize, time: Duration) -> Fallible<Figures> {
    let running = target.start(setting)?;
    let mut stream = LineStream::open(running.address, lines)?;
    stream.publish_for(time / 3)?;
    stream.begin_measuring();
    let meter = Meter::start(&running.server, setting.cores)?;
    stream.publish_for(time)?;
    let used = meter.read(&running.server)?;
    let mut parts = used.rates(stream.answered, "publishes_per_s", "publishes_per_cpu_s");
    parts.extend(used.busy());
    parts.extend(acknowledged(&stream.latency));
    Ok(figures(parts))
}

fn acknowledged(latency: &Latency) -> [(&'static str, f64); 3] {
    [
        ("ack_p50_us", latency.quantile_us(0.5)),
        ("ack_p99_us", latency.quantile_us(0.99)),
        ("ack_max_us", latency.max_us()),
    ]
}

/// Runs the bare group commit on the servers' core and disk.
fn commit(setting: &Setting, batch: usize, time: Duration) -> Fallible<Figures> {
    let dir = tempfile::TempDir::with_prefix_in("bongsu-bench-", &setting.dir)?;
    let mut command = on_core(setting.cores[0], &std::env::current_exe()?)?;
    command.args(["floor", "commit", "--file"]).arg(dir.path().join("log"));
    command.args(["--batch", &batch.to_string(), "--record-bytes", &RECORD_BYTES.to_string()]);
    command.args(["--millis", &time.as_millis().to_string()]);
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the bare group commit ended with {}", output.status).into());
    }
    let committed: Committed = serde_json::from_slice(&output.stdout)?;
    Ok(figures([
        ("publishes_per_s", float(committed.records) / committed.seconds),
        ("ack_p50_us", committed.p50_us),
        ("ack_p99_us", committed.p99_us),
        ("ack_max_us", committed.max_us),
    ]))
}
