//! Results: every run of every figure, kept as JSON, read as medians and as ratios to the floor of the same run.

pub(crate) mod compare;
pub(crate) mod metrics;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use self::metrics::{Better, METRICS};
use crate::Fallible;
use crate::machine::Machine;

/// The version of the file's form.
const FORMAT: u32 = 1;

/// The name of the ratios to the peer that was best.
pub(crate) const BEST_PEER: &str = "best peer";

/// The figures of one run by name.
pub(crate) type Figures = BTreeMap<String, f64>;

/// A result.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The version of the file's form.
    pub(crate) format: u32,
    /// The command that made it.
    pub(crate) command: String,
    /// What it was made on.
    pub(crate) machine: Machine,
    /// The rows, in the order they were first measured.
    pub(crate) rows: Vec<Row>,
    /// What could not be measured, and why.
    pub(crate) failures: Vec<String>,
    /// What is not there on this machine, and is no failure.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
}

/// One thing measured on one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) key: String,
    /// On what.
    pub(crate) target: String,
    /// The names of the rows that it is divided by.
    pub(crate) floors: Vec<String>,
    /// The figures of each run.
    pub(crate) runs: Vec<Run>,
    /// Their medians. Written for readers of the file; computed anew when read.
    pub(crate) median: Figures,
    /// The medians of the ratios to each floor. Written for readers of the file; computed anew when read.
    pub(crate) ratio: BTreeMap<String, Figures>,
}

/// One run of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Its number, from 1: ratios are taken within a run.
    pub(crate) run: usize,
    /// Its figures.
    pub(crate) figures: Figures,
}

impl Report {
    /// An empty result.
    pub(crate) fn new(command: String, machine: Machine) -> Self {
        Self { format: FORMAT, command, machine, rows: Vec::new(), failures: Vec::new(), notes: Vec::new() }
    }

    /// Adds the figures of a run.
    pub(crate) fn add(&mut self, run: usize, key: &str, target: &str, floors: &[String], figures: Figures) {
        let name = name(key, target);
        let at = self.rows.iter().position(|row| row.name() == name).unwrap_or_else(|| {
            self.rows.push(Row::new(key, target, floors));
            self.rows.len() - 1
        });
        self.rows[at].runs.push(Run { run, figures });
    }

    /// Computes medians and ratios from the runs.
    pub(crate) fn settle(&mut self) {
        let rows: BTreeMap<String, Row> = self.rows.iter().map(|row| (row.name(), row.clone())).collect();
        for row in &mut self.rows {
            row.median = medians(row.runs.iter().map(|run| run.figures.clone()));
            let floors = row.floors.iter().filter_map(|floor| rows.get(floor).map(|found| (floor.clone(), found)));
            row.ratio = floors.map(|(name, floor)| (name, medians(row.ratios_to(floor)))).collect();
            let rivals: Vec<&Row> = rows.values().filter(|other| row.is_rivalled_by(other)).collect();
            if !rivals.is_empty() {
                row.ratio.insert(BEST_PEER.to_owned(), medians(row.ratios_to_best(&rivals)));
            }
        }
    }

    /// The names of figures that must be zero and are not, with their rows.
    pub(crate) fn faults(&self) -> Vec<String> {
        let zero = METRICS.iter().filter(|metric| metric.better == Better::Zero);
        zero.flat_map(|metric| {
            self.rows.iter().filter_map(|row| {
                let worst =
                    row.runs.iter().filter_map(|run| run.figures.get(metric.name)).fold(0.0, |a, b| f64::max(a, *b));
                (worst > 0.0).then(|| format!("{}: {} {worst}", row.name(), metric.name))
            })
        })
        .collect()
    }

    /// Writes the result.
    pub(crate) fn save(&self, path: &Path) -> Fallible<()> {
        std::fs::write(path, self.to_json()?)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()).into())
    }

    /// The file's text: a line per row, so that two results can be compared by eye.
    fn to_json(&self) -> Fallible<String> {
        let rows = self.rows.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?.join(",\n");
        let (command, machine) = (serde_json::to_string(&self.command)?, serde_json::to_string(&self.machine)?);
        let (format, failures) = (self.format, serde_json::to_string(&self.failures)?);
        let notes = serde_json::to_string(&self.notes)?;
        Ok(format!(
            "{{\"format\":{format},\n\"command\":{command},\n\"machine\":{machine},\n\"failures\":{failures},\n\"notes\":{notes},\n\"rows\":[\n{rows}\n]}}\n"
        ))
    }

    /// Reads a result.
    pub(crate) fn load(path: &Path) -> Fallible<Self> {
        let bad = |error: &dyn std::fmt::Display| format!("{} cannot be read as a result: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| bad(&error))?;
        let mut report: Self = serde_json::from_str(&text).map_err(|error| bad(&error))?;
        if report.format != FORMAT {
            return Err(bad(&format!("it is of form {}, this program knows {FORMAT}", report.format)).into());
        }
        report.settle();
        Ok(report)
    }
}

/// The name of a row.
pub(crate) fn name(key: &str, target: &str) -> String {
    format!("{key} / {target}")
}

impl Row {
    fn new(key: &str, target: &str, floors: &[String]) -> Self {
        Self {
            key: key.to_owned(),
            target: target.to_owned(),
            floors: floors.to_vec(),
            runs: Vec::new(),
            median: Figures::new(),
            ratio: BTreeMap::new(),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        name(&self.key, &self.target)
    }

    /// Whether `other` is another server that was asked the same, be it by another way: whoever wants streams may choose
    /// among all ways of streaming.
    fn is_rivalled_by(&self, other: &Self) -> bool {
        self.target.starts_with("bongsu")
            && ["floor", "bongsu"].iter().all(|ours| !other.target.starts_with(ours))
            && self.question().eq(other.question())
    }

    /// The key, with one name for all ways that stream.
    fn question(&self) -> impl Iterator<Item = &str> {
        let streams = ["sse", "stream", "websocket"];
        self.key.split(' ').map(move |word| if streams.contains(&word) { "stream" } else { word })
    }

    /// Run by run, each relative figure divided by that of the peer whose first figure was best in that run.
    fn ratios_to_best<'a>(&'a self, rivals: &'a [&'a Self]) -> impl Iterator<Item = Figures> + 'a {
        let numbers = self.runs.iter().map(|run| run.run);
        numbers.filter_map(move |number| {
            let of_run = |row: &&'a Self| row.runs.iter().find(|run| run.run == number);
            let best = rivals.iter().filter_map(of_run).max_by(|a, b| first(a).total_cmp(&first(b)))?;
            Some(ratios(&self.runs.iter().find(|run| run.run == number)?.figures, &best.figures))
        })
    }

    /// Run by run, each relative figure divided by the floor's.
    fn ratios_to<'a>(&'a self, floor: &'a Self) -> impl Iterator<Item = Figures> + 'a {
        let pairs =
            self.runs.iter().filter_map(|run| Some((run, floor.runs.iter().find(|other| other.run == run.run)?)));
        pairs.map(|(run, floor)| ratios(&run.figures, &floor.figures))
    }
}

/// The figure that a run is judged by: the first relative one. Less is better of some.
fn first(run: &Run) -> f64 {
    let metric = METRICS.iter().find(|metric| metric.relative && run.figures.contains_key(metric.name));
    metric.map_or(0.0, |metric| match metric.better {
        Better::Lower => -run.figures[metric.name],
        _ => run.figures[metric.name],
    })
}

/// Each relative figure divided by another's.
fn ratios(figures: &Figures, others: &Figures) -> Figures {
    let relative = METRICS.iter().filter(|metric| metric.relative);
    let ratios = relative.filter_map(|metric| {
        let (value, below) = (figures.get(metric.name)?, others.get(metric.name)?);
        (*below > 0.0).then(|| (metric.name.to_owned(), value / below))
    });
    ratios.collect()
}

/// The median of each figure.
fn medians(runs: impl Iterator<Item = Figures>) -> Figures {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in runs.flatten() {
        values.entry(name).or_default().push(value);
    }
    values.into_iter().map(|(name, values)| (name, median(values))).collect()
}

/// The middle value; of an even number the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn machine() -> Machine {
        Machine {
            cpu: "a processor".to_owned(),
            cores: 2,
            memory_bytes: 1,
            kernel: "6".to_owned(),
            disk: "ext4".to_owned(),
            commit: "abc".to_owned(),
            time: 1,
        }
    }

    /// A result of one key, with deliveries per CPU-second of floor and server by run.
    pub(crate) fn report(floor: &[f64], server: &[f64]) -> Report {
        let mut report = Report::new("fanout".to_owned(), machine());
        let figures =
            |value: f64| Figures::from([("deliveries_per_cpu_s".to_owned(), value), ("lost".to_owned(), 0.0)]);
        let floors = [name("k", "floor sse")];
        for (run, (floor, server)) in floor.iter().zip(server).enumerate() {
            report.add(run + 1, "k", "floor sse", &[], figures(*floor));
            report.add(run + 1, "k", "bongsu memory", &floors, figures(*server));
        }
        report.settle();
        report
    }

    #[test]
    fn medians_of_odd_and_even_numbers() {
        for (values, expected) in [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0, 4.0], 4.0), (vec![4.0, 2.0], 3.0)] {
            assert!((median(values.clone()) - expected).abs() < 1e-9, "{values:?}");
        }
    }

    #[test]
    fn ratios_are_taken_within_a_run() {
        // The machine was twice as fast in the second run: the medians' ratio would be 0.375, each run's is 0.5.
        let report = report(&[100.0, 200.0, 200.0], &[50.0, 100.0, 100.0]);
        let ratio = report.rows[1].ratio["k / floor sse"]["deliveries_per_cpu_s"];
        assert!((ratio - 0.5).abs() < 1e-9, "{ratio}");
        assert!(!report.rows[1].ratio["k / floor sse"].contains_key("lost"), "counts have no ratio");
    }

    #[test]
    fn the_best_peer_of_each_run_counts() {
        let mut report = report(&[100.0, 100.0], &[50.0, 50.0]);
        let rows = [("k sse", "bongsu memory", [60.0, 60.0]), ("k websocket", "nchan", [20.0, 10.0])];
        let rows = rows.into_iter().chain([("k stream", "nchan", [10.0, 30.0]), ("k longpoll", "nchan", [90.0, 90.0])]);
        for (key, target, values) in rows {
            for (run, value) in values.into_iter().enumerate() {
                let latency = ("latency_p99_us".to_owned(), value * 2.0);
                let figures = Figures::from([("deliveries_per_cpu_s".to_owned(), value), latency]);
                report.add(run + 1, key, target, &[], figures);
            }
        }
        report.settle();
        let ratio = &report.rows[2].ratio[BEST_PEER];
        // 60/20 in the first run, 60/30 in the second; of the latency the peer with the best first figure.
        assert!((ratio["deliveries_per_cpu_s"] - 2.5).abs() < 1e-9, "{ratio:?}");
        assert!((ratio["latency_p99_us"] - 2.5).abs() < 1e-9, "{ratio:?}");
        assert!(report.rows.iter().filter(|row| row.ratio.contains_key(BEST_PEER)).count() == 1);
    }

    #[test]
    fn faults_are_named() {
        let mut report = report(&[1.0, 1.0], &[1.0, 1.0]);
        assert!(report.faults().is_empty());
        report.rows[1].runs[0].figures.insert("duplicated".to_owned(), 2.0);
        assert_eq!(report.faults(), ["k / bongsu memory: duplicated 2"]);
    }

    #[test]
    fn a_result_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("result.json");
        let report = report(&[3.0, 1.0], &[1.0, 7.0]);
        report.save(&path).expect("a disk that works");
        assert_eq!(Report::load(&path).expect("a result"), report);
        for (form, part) in [("another form", "is of form 99"), ("no result", "cannot be read")] {
            let text = serde_json::to_string(&Report { format: 99, ..super::tests::report(&[1.0], &[1.0]) });
            let text = if form == "no result" { "{}".to_owned() } else { text.expect("a result") };
            std::fs::write(&path, text).expect("a disk that works");
            let error = Report::load(&path).expect_err(form).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
