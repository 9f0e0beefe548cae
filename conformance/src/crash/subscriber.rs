//! A reader on one way that resumes by its cursor, and by nothing else, after every kill.

use super::check::Entry;
use super::{CHANNELS, Shared};
use crate::error::{Failure, Result};
use crate::reader::{self, Choose, Reader, Resume, Spec, Watch};
use crate::way::{Http, Way};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a read waits before it looks whether to stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How long an opening may take before it is tried again.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two attempts while the server is away.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Subscriber {
    spec: Spec,
    watch: Watch,
    shared: Arc<Shared>,
    reader: Option<Box<dyn Reader>>,
}

impl Subscriber {
    /// Reads until it is told to stop.
    pub(super) fn spawn(way: Way, shared: &Arc<Shared>) -> JoinHandle<Vec<Entry>> {
        let channels: Vec<String> = CHANNELS.iter().map(|c| (*c).to_owned()).collect();
        let mut subscriber = Self {
            watch: Watch::new(&channels, true),
            spec: spec(way, channels, shared),
            shared: Arc::clone(shared),
            reader: None,
        };
        std::thread::spawn(move || subscriber.run(way))
    }

    fn run(&mut self, way: Way) -> Vec<Entry> {
        let mut seen = Vec::new();
        while !self.shared.stop_reading.load(Ordering::Relaxed) {
            match self.step() {
                Ok(Some(entry)) => {
                    seen.push(entry);
                    self.shared.seen.fetch_add(1, Ordering::Relaxed);
                }
                Ok(None) => {}
                Err(failure) => {
                    self.shared.fail(failure.within(&format!("the {way} reader")));
                    break;
                }
            }
        }
        seen
    }

    /// One event, or one attempt to get at one.
    fn step(&mut self) -> Result<Option<Entry>> {
        let outcome = match &mut self.reader {
            Some(reader) => reader.next(Instant::now() + LOOK_INTERVAL),
            None => {
                match reader::open(&self.spec, Instant::now() + OPEN_TIMEOUT) {
                    Ok(reader) => self.reader = Some(reader),
                    Err(Failure::Closed { .. } | Failure::Timeout(_)) => {
                        std::thread::sleep(RETRY_PAUSE);
                    }
                    Err(wrong) => return Err(wrong),
                }
                return Ok(None);
            }
        };
        match outcome {
            Ok(item) => {
                self.watch.see(&item)?;
                match item.kind() {
                    "$gap" => Err(Failure::wrong(format!("a gap: {}", item.show()))),
                    kind if kind.starts_with('$') => Ok(None),
                    _ => Entry::from_event(&item.value).map(Some),
                }
            }
            Err(Failure::Timeout(_)) => Ok(None),
            Err(Failure::Closed { .. }) => {
                self.resume();
                Ok(None)
            }
            Err(wrong) => Err(wrong),
        }
    }

    fn resume(&mut self) {
        if let Some(cursor) = self.reader.take().and_then(|r| r.cursor().map(str::to_owned)) {
            self.spec.since = Some(cursor);
        }
        self.shared.resumes.fetch_add(1, Ordering::Relaxed);
    }
}

fn spec(way: Way, channels: Vec<String>, shared: &Shared) -> Spec {
    Spec {
        addr: shared.addr,
        way,
        http: Http::H1,
        channels,
        since: Some("start".to_owned()),
        last: None,
        limit: None,
        types: Vec::new(),
        heartbeat: None,
        format: None,
        wait: 5,
        choose: Choose::Header,
        resume: Resume::Since,
        headers: Vec::new(),
        subprotocol: None,
    }
}
