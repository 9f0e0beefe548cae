//! How many requests were answered, by path, method and status; and how long publishes took.
//!
//! Fixed tables of counters: counting takes no lock, and no client can make them grow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};

use crate::routes::{ROUTES, Route};

/// The label of what is in no table.
const OTHER: &str = "other";
/// The methods that are told apart.
const METHODS: [Method; 5] = [Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::OPTIONS];
/// The statuses that are told apart: those that are answered.
const STATUSES: [u16; 24] = [
    101, 200, 204, 304, 400, 401, 403, 404, 405, 406, 408, 413, 414, 415, 422, 426, 429, 431, 500, 501, 502, 503, 504,
    507,
];
/// The upper bounds of the publish times, in microseconds: from a memory log to a disk in trouble.
const BOUNDS_US: [u64; 12] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];

const METHOD_SLOTS: usize = METHODS.len() + 1;
const STATUS_SLOTS: usize = STATUSES.len() + 1;

/// The counters of all requests.
#[derive(Debug)]
pub(crate) struct Requests {
    /// By route, then method, then status; the last of each is for others.
    counts: Box<[AtomicU64]>,
    /// How long publishes took from the head of the request to the answer.
    pub(crate) publishes: Histogram,
}

impl Default for Requests {
    fn default() -> Self {
        let slots = (ROUTES.len() + 1) * METHOD_SLOTS * STATUS_SLOTS;
        Self { counts: (0..slots).map(|_| AtomicU64::new(0)).collect(), publishes: Histogram::default() }
    }
}

impl Requests {
    /// Counts one request.
    pub(crate) fn add(&self, route: Option<&Route>, method: &Method, status: StatusCode) {
        let place = route.and_then(|route| ROUTES.iter().position(|known| known.path == route.path));
        let route = place.unwrap_or(ROUTES.len());
        let method = METHODS.iter().position(|known| known == method).unwrap_or(METHODS.len());
        let status = STATUSES.iter().position(|known| *known == status.as_u16()).unwrap_or(STATUSES.len());
        let slot = (route * METHOD_SLOTS + method) * STATUS_SLOTS + status;
        self.counts[slot].fetch_add(1, Ordering::Relaxed);
    }

    /// Every counter that is not zero, with its labels: path, method, status.
    pub(crate) fn each(&self, mut visit: impl FnMut([&str; 3], u64)) {
        for (slot, count) in self.counts.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                let (rest, status) = (slot / STATUS_SLOTS, slot % STATUS_SLOTS);
                let (route, method) = (rest / METHOD_SLOTS, rest % METHOD_SLOTS);
                let route = ROUTES.get(route).map_or(OTHER, |route| route.path);
                let method = METHODS.get(method).map_or(OTHER, Method::as_str);
                let status = STATUSES.get(status).map_or_else(|| OTHER.to_owned(), u16::to_string);
                visit([route, method, &status], count);
            }
        }
    }
}

/// How many of something took how long.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// Up to each bound and not up to the one before; the last is for the rest.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    /// Microseconds in all.
    sum: AtomicU64,
}

/// A histogram as Prometheus wants it: each bucket holds those before it, too.
#[derive(Debug, PartialEq)]
pub(crate) struct Cumulative {
    /// The upper bound in seconds, and how many took at most that.
    pub(crate) buckets: Vec<(f64, u64)>,
    /// How many there are.
    pub(crate) count: u64,
    /// Seconds in all.
    pub(crate) sum: f64,
}

impl Histogram {
    /// Notes one.
    pub(crate) fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// All of them up to now.
    pub(crate) fn cumulative(&self) -> Cumulative {
        let mut count = 0;
        let mut up_to = |bucket: &AtomicU64| {
            count += bucket.load(Ordering::Relaxed);
            count
        };
        let buckets =
            BOUNDS_US.iter().zip(&self.buckets).map(|(bound, bucket)| (seconds(*bound), up_to(bucket))).collect();
        up_to(&self.buckets[BOUNDS_US.len()]);
        Cumulative { buckets, count, sum: seconds(self.sum.load(Ordering::Relaxed)) }
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use bongsu_core::ErrorCode;

    use super::*;

    #[test]
    fn requests_are_counted_under_their_labels() {
        let requests = Requests::default();
        let made = [
            ("/v1/events", Method::POST, 200),
            ("/v1/events", Method::POST, 200),
            ("/nowhere", Method::PUT, 418),
            ("/", Method::GET, 200),
        ];
        for (path, method, status) in made {
            requests.add(Route::find(path), &method, StatusCode::from_u16(status).unwrap());
        }
        let mut seen = Vec::new();
        requests.each(|labels, count| seen.push((labels.join(" "), count)));
        assert_eq!(seen, [("/ GET 200".into(), 1), ("/v1/events POST 200".into(), 2), ("other other other".into(), 1)]);
    }

    #[test]
    fn every_error_has_a_counter_of_its_own() {
        for code in ErrorCode::ALL {
            assert!(STATUSES.contains(&code.status()), "{}", code.name());
        }
    }

    #[test]
    fn buckets_hold_those_before_them() {
        let histogram = Histogram::default();
        for micros in [100, 101, 2_500_000, 2_500_001] {
            histogram.add(Duration::from_micros(micros));
        }
        let Cumulative { buckets, count, sum } = histogram.cumulative();
        assert_eq!((buckets[0], buckets[1], buckets[11]), ((0.0001, 1), (0.00025, 2), (2.5, 3)));
        assert_eq!((count, sum), (4, 5.000_202));
    }
}
