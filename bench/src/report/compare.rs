//! Two results side by side: what changed, in terms that do not depend on the day's speed of the machine.

use super::metrics::{Better, METRICS, Metric};
use super::{Report, Row, table};

/// Changes below this share are within the noise of a shared machine.
const NOISE: f64 = 0.05;

/// The differences of two results as text.
pub(crate) fn of(old: &Report, new: &Report) -> String {
    let mut out = warnings(old, new);
    let mut lines = vec![["what", "figure", "old", "new", "change", ""].map(str::to_owned).to_vec()];
    for row in &new.rows {
        if let Some(before) = old.rows.iter().find(|before| before.name() == row.name()) {
            lines.extend(METRICS.iter().flat_map(|metric| changes(before, row, metric)));
        } else {
            lines.push(vec![row.name(), "only in the new".to_owned()]);
        }
    }
    let gone = old.rows.iter().filter(|row| new.rows.iter().all(|other| other.name() != row.name()));
    lines.extend(gone.map(|row| vec![row.name(), "only in the old".to_owned()]));
    out.push_str(&table::aligned(&lines));
    out
}

fn warnings(old: &Report, new: &Report) -> String {
    let (old, new) = (&old.machine, &new.machine);
    let mut out = format!("old: {} on {}\nnew: {} on {}\n", old.commit, old.cpu, new.commit, new.cpu);
    let facts =
        [("processor", &old.cpu, &new.cpu), ("kernel", &old.kernel, &new.kernel), ("disk", &old.disk, &new.disk)];
    for (what, before, after) in facts {
        if before != after {
            out.push_str(&format!("The {what} is another ({before}, {after}): even ratios shift.\n"));
        }
    }
    out.push('\n');
    out
}

/// The lines of one figure of a row: one for each floor, or one in all when it has no ratio.
fn changes(old: &Row, new: &Row, metric: &Metric) -> Vec<Vec<String>> {
    if metric.better == Better::Neither {
        return Vec::new();
    }
    if !metric.relative {
        let pair = old.median.get(metric.name).zip(new.median.get(metric.name));
        return pair
            .and_then(|(old, after)| line(&new.name(), metric.heading, *old, *after, metric.better))
            .into_iter()
            .collect();
    }
    let floors = new.floors.iter().filter_map(|floor| {
        let of = |row: &Row| row.ratio.get(floor)?.get(metric.name).copied();
        let heading = format!("{} / floor", metric.heading);
        line(&new.name(), &heading, of(old)?, of(new)?, metric.better)
    });
    floors.collect()
}

/// A line; none for a figure that has to be zero and is.
fn line(name: &str, heading: &str, old: f64, new: f64, better: Better) -> Option<Vec<String>> {
    if better == Better::Zero && old == 0.0 && new == 0.0 {
        return None;
    }
    let change = if old == 0.0 { String::new() } else { format!("{:+.1} %", (new / old - 1.0) * 100.0) };
    let cells = [name, heading, &table::figure(old), &table::figure(new), &change, verdict(old, new, better)];
    Some(cells.map(str::to_owned).to_vec())
}

fn verdict(old: f64, new: f64, better: Better) -> &'static str {
    let (low, high) = (old * (1.0 - NOISE), old * (1.0 + NOISE));
    match better {
        Better::Zero if new > 0.0 => "FAULT",
        Better::Zero => "mended",
        _ if (low..=high).contains(&new) => "",
        Better::Higher if new > high => "better",
        Better::Lower if new < low => "better",
        _ => "worse",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn verdicts() {
        let cases = [
            (100.0, 104.0, Better::Higher, ""),
            (100.0, 106.0, Better::Higher, "better"),
            (100.0, 94.0, Better::Higher, "worse"),
            (100.0, 94.0, Better::Lower, "better"),
            (100.0, 106.0, Better::Lower, "worse"),
            (0.0, 1.0, Better::Zero, "FAULT"),
            (1.0, 0.0, Better::Zero, "mended"),
        ];
        for (old, new, better, expected) in cases {
            assert_eq!(verdict(old, new, better), expected, "{old} {new} {better:?}");
        }
    }

    #[test]
    fn a_faster_machine_is_no_improvement() {
        let text = of(&report(&[100.0], &[50.0]), &report(&[200.0], &[100.0]));
        assert!(text.contains("+0.0 %") && !text.contains("better"), "{text}");
        let text = of(&report(&[100.0], &[50.0]), &report(&[100.0], &[100.0]));
        assert!(text.contains("+100.0 %") && text.contains("better"), "{text}");
    }

    #[test]
    fn rows_of_one_side_and_other_machines_are_told() {
        let (old, mut new) = (report(&[1.0], &[1.0]), report(&[1.0], &[1.0]));
        new.rows[1].key = "other".to_owned();
        new.machine.kernel = "7".to_owned();
        let text = of(&old, &new);
        for expected in ["only in the new", "only in the old", "The kernel is another"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
