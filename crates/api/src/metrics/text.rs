//! Prometheus' text format: lines of `name{label="value"} number`.

use std::fmt::{Display, Write as _};

use super::Metric;
use crate::count::Cumulative;

/// Writes the samples of one metric.
pub(super) struct Samples<'a> {
    page: &'a mut String,
    metric: &'a Metric,
}

impl<'a> Samples<'a> {
    /// Begins `metric` on `page`.
    pub(super) fn begin(page: &'a mut String, metric: &'a Metric) -> Self {
        let Metric { name, help, .. } = metric;
        let kind = metric.kind.as_str();
        let _ = writeln!(page, "# HELP {name} {help}.\n# TYPE {name} {kind}");
        Self { page, metric }
    }

    /// The value of a metric without labels.
    pub(super) fn value(&mut self, value: impl Display) {
        self.with(&[], value);
    }

    /// The same, if it is known.
    pub(super) fn maybe(&mut self, value: Option<impl Display>) {
        if let Some(value) = value {
            self.value(value);
        }
    }

    /// One value of a metric with labels, in the order in which the metric declares them.
    pub(super) fn with(&mut self, labels: &[&str], value: impl Display) {
        debug_assert_eq!(labels.len(), self.metric.labels.len(), "{}", self.metric.name);
        let names = self.metric.labels.iter().copied();
        self.line("", names.zip(labels.iter().copied()), value);
    }

    /// A histogram, which is several lines.
    pub(super) fn histogram(&mut self, histogram: &Cumulative) {
        for (bound, count) in &histogram.buckets {
            self.line("_bucket", [("le", bound.to_string().as_str())], count);
        }
        self.line("_bucket", [("le", "+Inf")], histogram.count);
        self.line("_sum", [], histogram.sum);
        self.line("_count", [], histogram.count);
    }

    fn line<'l>(&mut self, suffix: &str, labels: impl IntoIterator<Item = (&'l str, &'l str)>, value: impl Display) {
        self.page.push_str(self.metric.name);
        self.page.push_str(suffix);
        let mut separator = '{';
        for (name, value) in labels {
            let _ = write!(self.page, "{separator}{name}=\"{}\"", escape(value));
            separator = ',';
        }
        if separator == ',' {
            self.page.push('}');
        }
        let _ = writeln!(self.page, " {value}");
    }
}

/// "label_value can be any sequence of UTF-8 characters, but the backslash (`\`), double-quote (`"`), and line feed (`\n`)
/// characters have to be escaped".
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Kind;

    fn written(kind: Kind, labels: &'static [&'static str], write: fn(&mut Samples<'_>)) -> String {
        let metric = Metric { name: "m", kind, help: "Help", labels, read: |_, _| {} };
        let mut page = String::new();
        write(&mut Samples::begin(&mut page, &metric));
        page
    }

    #[test]
    fn samples_are_written_as_the_format_says() {
        let value = written(Kind::Counter, &[], |samples| samples.value(3));
        assert_eq!(value, "# HELP m Help.\n# TYPE m counter\nm 3\n");
        let labels = written(Kind::Gauge, &["a", "b"], |samples| samples.with(&["x\"\\\n", "봉"], 0.5));
        assert_eq!(labels, "# HELP m Help.\n# TYPE m gauge\nm{a=\"x\\\"\\\\\\n\",b=\"봉\"} 0.5\n");
        let unknown = written(Kind::Gauge, &[], |samples| samples.maybe(None::<u64>));
        assert_eq!(unknown, "# HELP m Help.\n# TYPE m gauge\n");
        let histogram = written(Kind::Histogram, &[], |samples| {
            samples.histogram(&Cumulative { buckets: vec![(0.1, 1), (1.0, 2)], count: 3, sum: 4.5 });
        });
        assert_eq!(
            histogram,
            "# HELP m Help.\n# TYPE m histogram\nm_bucket{le=\"0.1\"} 1\nm_bucket{le=\"1\"} 2\nm_bucket{le=\"+Inf\"} 3\n\
             m_sum 4.5\nm_count 3\n"
        );
    }
}
