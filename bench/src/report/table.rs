//! Results as a table of text.

use std::fmt::Write as _;

use super::metrics::{Better, METRICS, Metric};
use super::{BEST_PEER, Report, Row};

/// The table of a result: medians, then what they are of the floor.
pub(crate) fn of(report: &Report) -> String {
    let metrics: Vec<&Metric> = METRICS.iter().filter(|metric| is_shown(report, metric)).collect();
    let mut lines = vec![heading(&metrics)];
    lines.extend(report.rows.iter().map(|row| line(row, &metrics)));
    let mut out = aligned(&lines);
    for failure in &report.failures {
        writeln!(out, "not measured: {failure}").expect("writing to a string");
    }
    for note in &report.notes {
        writeln!(out, "note: {note}").expect("writing to a string");
    }
    out
}

/// A column where there is something to tell: figures that have to be zero only when they are not.
fn is_shown(report: &Report, metric: &Metric) -> bool {
    let mut values = report.rows.iter().flat_map(|row| &row.runs).filter_map(|run| run.figures.get(metric.name));
    if metric.better == Better::Zero { values.any(|value| *value > 0.0) } else { values.next().is_some() }
}

fn heading(metrics: &[&Metric]) -> Vec<String> {
    let mut cells = vec!["what".to_owned(), "target".to_owned()];
    cells.extend(metrics.iter().map(|metric| metric.heading.to_owned()));
    cells.push("of the floor, of the best peer".to_owned());
    cells
}

fn line(row: &Row, metrics: &[&Metric]) -> Vec<String> {
    let mut cells = vec![row.key.clone(), row.target.clone()];
    cells
        .extend(metrics.iter().map(|metric| row.median.get(metric.name).map_or(String::new(), |value| figure(*value))));
    cells.push(ratios(row));
    cells
}

/// The first relative figure of the row against each floor: `0.83 floor sse`.
fn ratios(row: &Row) -> String {
    let first = METRICS.iter().find(|metric| metric.relative && row.median.contains_key(metric.name));
    let Some(first) = first else { return String::new() };
    let parts = row.floors.iter().filter_map(|floor| {
        // Against a floor that has no such figure, as a bare disk has no server's CPU, the rate is taken.
        let ratio = row.ratio.get(floor)?;
        let (value, what) = match ratio.get(first.name) {
            Some(value) => (value, ""),
            None => (ratio.get("publishes_per_s")?, " per s"),
        };
        let target = floor.rsplit(" / ").next().unwrap_or(floor);
        Some(format!("{value:.3}{what} {target}"))
    });
    let mut parts: Vec<String> = parts.collect();
    if let Some(ratio) = row.ratio.get(BEST_PEER)
        && let Some(value) = ratio.get(first.name)
    {
        let p99 = ratio.get("latency_p99_us").or(ratio.get("live_p99_us"));
        let p99 = p99.map_or(String::new(), |p99| format!(" (p99 {p99:.2})"));
        parts.push(format!("{value:.2} {BEST_PEER}{p99}"));
    }
    parts.join(", ")
}

/// A figure in as few digits as say something.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => grouped(value),
        small if small > 0.0 && small < 10.0 => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.1}"),
    }
}

/// A whole number in groups of three.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0.0 { format!("-{out}") } else { out }
}

/// Lines of cells with columns of one width; the first two, and the last, begin at the left.
pub(crate) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < 2 || column + 1 == columns { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        for (value, text) in [
            (0.0, "0"),
            (0.456, "0.46"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1_234.0, "1,234"),
            (1_234_567.8, "1,234,568"),
            (-1_500.0, "-1,500"),
        ] {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn a_table_has_medians_and_ratios() {
        let table = of(&crate::report::tests::report(&[200.0, 200.0], &[100.0, 100.0]));
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "what  target         deliveries/CPU-s  of the floor, of the best peer");
        assert_eq!(lines[2], "k     bongsu memory               100  0.500 floor sse");
    }
}
