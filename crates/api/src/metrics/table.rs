//! Every metric, declared once.
//!
//! Names follow Prometheus' conventions: the unit last, `_total` for counters, `process_` for what every process has.

use bongsu_core::read::Way;

use super::{Kind, Metric};

macro_rules! metrics {
    ($($kind:ident $name:literal $([$($label:literal),*])? $help:literal = $read:expr;)*) => {
        /// All metrics, in the order of the page.
        pub(crate) static METRICS: &[Metric] = &[$(
            Metric { name: $name, kind: Kind::$kind, help: $help, labels: &[$($($label),*)?], read: $read },
        )*];
    };
}

metrics! {
    Gauge "bongsu_build_info" ["version"] "Always 1; the label is the version of the server"
        = |now, samples| samples.with(&[now.app.version], 1);
    Gauge "bongsu_ready" "Whether publishes are taken: 1, or 0 while the log refuses writes or the server drains"
        = |now, samples| samples.value(u8::from(now.app.hub.health().is_ok() && !now.app.is_draining()));
    Counter "bongsu_events_published_total" "Events taken, those that are not stored included"
        = |now, samples| samples.value(now.figures.published.get());
    Counter "bongsu_publish_duplicates_total" "Publishes that were retries of one taken before"
        = |now, samples| samples.value(now.figures.duplicates.get());
    Counter "bongsu_publish_refused_total" "Publishes refused after they were handed to the sequencer"
        = |now, samples| samples.value(now.figures.refused.get());
    Histogram "bongsu_publish_duration_seconds" "Time from handing a publish over to its answer, the sync of the log included"
        = |now, samples| samples.histogram(&now.app.0.requests.publishes.cumulative());
    Counter "bongsu_log_appends_total" "Batches appended to the log; events per append tell how well publishes share syncs"
        = |now, samples| samples.value(now.figures.batches.get());
    Counter "bongsu_log_syncs_total" "Syncs of the log to its disk"
        = |now, samples| samples.value(now.log.syncs);
    Counter "bongsu_log_sync_seconds_total" "Time spent in syncs of the log"
        = |now, samples| samples.value(now.log.sync_time.as_secs_f64());
    Gauge "bongsu_log_channels" "Channels that were ever stored to"
        = |now, samples| samples.value(now.log.channels);
    Gauge "bongsu_log_events" "Events kept"
        = |now, samples| samples.value(now.log.events);
    Gauge "bongsu_log_bytes" "Bytes of payload kept"
        = |now, samples| samples.value(now.log.bytes);
    Gauge "bongsu_log_disk_bytes" "Bytes of the log on its disk; 0 for the memory log"
        = |now, samples| samples.value(now.log.disk_bytes);
    Gauge "bongsu_log_disk_free_bytes" "Bytes free on the disk of the log; absent for the memory log"
        = |now, samples| samples.maybe(now.log.disk_free_bytes);
    Gauge "bongsu_log_idempotency_keys" "Idempotency keys in their window"
        = |now, samples| samples.value(now.log.idempotency_keys);
    Gauge "bongsu_ring_bytes" "Bytes of recent events held in memory for readers"
        = |now, samples| samples.value(now.figures.ring_bytes.get());
    Gauge "bongsu_ring_bytes_max" "The bound of the same (ring_bytes_max)"
        = |now, samples| samples.value(now.app.limits.ring_bytes_max);
    Counter "bongsu_cold_pages_total" "Pages read from the log for readers whose events were no longer in memory"
        = |now, samples| samples.value(now.figures.cold_pages.get());
    Counter "bongsu_gaps_total" "Gaps told to readers"
        = |now, samples| samples.value(now.figures.gaps.get());
    Gauge "bongsu_connections" ["transport"] "Streaming connections and waiting long polls"
        = |now, samples| {
            for (way, count) in Way::ALL.into_iter().zip(now.app.transports.connections().by_way()) {
                samples.with(&[way.as_str()], count);
            }
        };
    Gauge "bongsu_connections_max" "The bound of the same (connections_max)"
        = |now, samples| samples.value(now.app.limits.connections_max);
    Gauge "bongsu_hyper_connections" ["transport"]
        "Of bongsu_connections, those that hyper serves: HTTP/2, what is not plain HTTP/1.1, and all where there are no shards"
        = |now, samples| {
            for (way, count) in Way::ALL.into_iter().zip(now.app.transports.connections().by_way_of_hyper()) {
                samples.with(&[way.as_str()], count);
            }
        };
    Gauge "bongsu_shard_connections" ["transport"]
        "Connections on shards: also polls that are being answered, and as `none` those that read nothing just now, such as between two requests"
        = |now, samples| now.memory.each(|way, held| samples.with(&[way], held.connections));
    Gauge "bongsu_connection_memory_bytes" ["transport"]
        "Memory held for the connections of bongsu_shard_connections and for nobody else: the socket's entry and timer, what is \
         going on, its place among the readers of its channels and in the table of connections, requests that came in part and \
         answers that are not sent. Not counted: what many share (events, rings, channels), what the allocator adds, the \
         kernel's buffers, and the connections of hyper. A shard that does not answer within a second counts as it last was"
        = |now, samples| now.memory.each(|way, held| samples.with(&[way], held.bytes));
    Gauge "bongsu_sockets" "Open sockets, those that have asked nothing included"
        = |now, samples| samples.value(now.app.transports.sockets().open());
    Gauge "bongsu_sockets_max" "The bound of the same (sockets_max)"
        = |now, samples| samples.value(now.app.transports.sockets().max());
    Counter "bongsu_accept_pauses_total" ["reason"]
        "Times no socket was accepted for a moment: `full` at sockets_max, `failed` when the operating system gave none"
        = |now, samples| {
            let pauses = now.app.transports.sockets().pauses();
            samples.with(&["full"], pauses.full);
            samples.with(&["failed"], pauses.failed);
        };
    Counter "bongsu_handshakes_refused_total" "Handshakes that were told to come back later (handshakes_per_second)"
        = |now, samples| samples.value(now.app.transports.handshakes_refused());
    Counter "bongsu_handshakes_forgotten_total"
        "Of them, those whose promised time was given up for newer ones before they came"
        = |now, samples| samples.value(now.app.transports.handshakes_forgotten());
    Counter "bongsu_http_requests_total" ["route", "method", "status"] "Requests answered; a stream counts when it begins"
        = |now, samples| now.app.0.requests.each(|labels, count| samples.with(&labels, count));
    Gauge "process_start_time_seconds" "When the server started, in Unix time"
        = |now, samples| samples.value(now.app.started.0 as f64 / 1000.0);
    Counter "process_cpu_seconds_total" "Processor time used; absent where the system does not tell, as are the next"
        = |now, samples| samples.maybe(now.process.cpu_seconds);
    Gauge "process_resident_memory_bytes" "Memory in RAM"
        = |now, samples| samples.maybe(now.process.resident_bytes);
    Gauge "process_open_fds" "Open file descriptors"
        = |now, samples| samples.maybe(now.process.open_fds);
    Gauge "process_max_fds" "How many may be open"
        = |now, samples| samples.maybe(now.process.max_fds);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let mut names = HashSet::new();
        for Metric { name, kind, help, .. } in METRICS {
            assert!(names.insert(name), "{name} twice");
            assert!(name.starts_with("bongsu_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert_eq!(name.ends_with("_duration_seconds"), *kind == Kind::Histogram, "{name}");
            assert!(!help.ends_with('.') && !help.contains('\\'), "{name}");
        }
    }
}
