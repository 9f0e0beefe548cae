//! The figures a result can hold: unit, direction, and whether they are read as a ratio to the floor.

/// Which direction is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    /// More.
    Higher,
    /// Less.
    Lower,
    /// None at all: anything else is a fault.
    Zero,
    /// Neither: it explains other figures.
    Neither,
}

/// A figure.
pub(crate) struct Metric {
    /// Its name in the JSON file.
    pub(crate) name: &'static str,
    /// Its heading in tables.
    pub(crate) heading: &'static str,
    /// Which direction is good.
    pub(crate) better: Better,
    /// Whether it depends on the machine's speed, so that only its ratio to the floor says something.
    pub(crate) relative: bool,
}

const fn metric(name: &'static str, heading: &'static str, better: Better, relative: bool) -> Metric {
    Metric { name, heading, better, relative }
}

/// All figures, in the order of the tables.
pub(crate) const METRICS: &[Metric] = &[
    metric("deliveries_per_cpu_s", "deliveries/CPU-s", Better::Higher, true),
    metric("deliveries_per_s", "deliveries/s", Better::Higher, true),
    metric("latency_p50_us", "p50 us", Better::Lower, true),
    metric("latency_p99_us", "p99 us", Better::Lower, true),
    metric("latency_max_us", "max us", Better::Neither, true),
    metric("publishes_per_cpu_s", "publishes/CPU-s", Better::Higher, true),
    metric("publishes_per_s", "publishes/s", Better::Higher, true),
    metric("ack_p50_us", "ack p50 us", Better::Lower, true),
    metric("ack_p99_us", "ack p99 us", Better::Lower, true),
    metric("ack_max_us", "ack max us", Better::Neither, true),
    metric("bytes_per_delivery", "bytes/delivery", Better::Lower, false),
    metric("empty_answers_percent", "empty answers %", Better::Lower, false),
    metric("user_bytes_per_connection", "user B/conn", Better::Lower, false),
    metric("heap_bytes_per_connection", "heap B/conn", Better::Lower, false),
    metric("kernel_bytes_per_connection", "kernel B/conn", Better::Lower, false),
    metric("connects_per_s", "connects/s", Better::Higher, true),
    metric("connects_per_cpu_s", "connects/CPU-s", Better::Higher, true),
    metric("stop_ms", "stop ms", Better::Neither, false),
    metric("start_ms", "start ms", Better::Neither, false),
    metric("resume_ms", "resume ms", Better::Lower, true),
    metric("resume_cpu_ms", "resume CPU ms", Better::Lower, true),
    metric("storm_ms", "storm ms", Better::Lower, true),
    metric("refusals", "refusals", Better::Neither, false),
    metric("quiet_p99_us", "quiet p99 us", Better::Lower, true),
    metric("live_p99_us", "live p99 us", Better::Lower, true),
    metric("live_max_us", "live max us", Better::Neither, true),
    metric("asked_publishes_per_s", "asked publishes/s", Better::Neither, false),
    metric("rss_start_mib", "RSS start MiB", Better::Neither, false),
    metric("rss_half_mib", "at half", Better::Neither, false),
    metric("rss_end_mib", "end", Better::Lower, false),
    metric("rss_max_mib", "largest", Better::Lower, false),
    metric("growth_bytes_per_publish", "growth B/publish", Better::Lower, false),
    metric("server_busy_percent", "server %", Better::Neither, false),
    metric("generator_busy_percent", "generator %", Better::Neither, false),
    metric("others_busy_percent", "others %", Better::Neither, false),
    metric("lost", "lost", Better::Zero, false),
    metric("duplicated", "dup", Better::Zero, false),
    metric("disordered", "order", Better::Zero, false),
    metric("mismatched", "other", Better::Zero, false),
    metric("gaps", "gaps", Better::Zero, false),
];
