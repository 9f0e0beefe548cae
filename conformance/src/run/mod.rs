//! Runs trials: takes the steps one after the other and stops at the first that fails.
//!
//! Everything that waits has a deadline, and no deadline lies beyond the trial's own.

mod answer;
mod faults;
mod http;
mod pool;
mod process;
mod publish;
mod raw;
mod read;
mod socket;
mod vocabulary;

use crate::error::{Failure, Result};
use crate::net::{Exchange, H1, Pending};
use crate::reader::{Reader, Spec, Watch, WebSocket};
use crate::scenario::Trial;
use crate::transcript::Transcript;
use crate::vars::Vars;
use crate::way::{Http, Way};
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use pool::{Lease, Pool};
pub use vocabulary::{Step, VERBS};

/// How long a step waits for what it expects, unless it says otherwise. An upper bound for a busy
/// machine, not a promise of speed.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);

/// Runs a trial on a server of the pool; the error is a report for a human.
pub fn trial(pool: &Pool, trial: &Trial) -> std::result::Result<(), String> {
    let mut lease = pool.lease(&trial.setup, trial.scenario.own_server).map_err(|f| format!("no server: {f}"))?;
    let mut outcome = trial_on(&mut lease, &pool.namespace(), trial);
    for _ in 1..trial.scenario.attempts {
        if outcome.is_ok() {
            break;
        }
        outcome = trial_on(&mut lease, &pool.namespace(), trial);
    }
    outcome
}

/// Runs a trial on a given server; its channels get `namespace` as their last segment.
pub fn trial_on(lease: &mut Lease, namespace: &str, trial: &Trial) -> std::result::Result<(), String> {
    let transcript = Transcript::default();
    let mut run = Run::new(namespace, trial, lease, transcript.clone());
    let outcome = run.steps(&trial.scenario.steps);
    drop(run);
    outcome.map_err(|failure| {
        format!(
            "{failure}\n\npromise: {}\n\ntranscript:\n{}\nserver log, last lines:\n{}\n",
            trial.scenario.promise,
            transcript.text(),
            lease.log_tail()
        )
    })
}

/// The verb of a step: the one key that is one.
pub fn verb(step: &Value) -> Result<&str> {
    let members = step.as_object().ok_or_else(|| Failure::wrong(format!("a step is a table, not {step}")))?;
    let mut verbs = members.keys().filter(|k| VERBS.contains(&k.as_str()));
    match (verbs.next(), verbs.next()) {
        (Some(verb), None) => Ok(verb),
        (Some(a), Some(b)) => Err(Failure::wrong(format!("two verbs in a step: {a}, {b}"))),
        (None, _) => {
            let keys: Vec<&str> = members.keys().map(String::as_str).collect();
            Err(Failure::wrong(format!("no verb among {}", keys.join(", "))))
        }
    }
}

/// A reader and what is remembered about it between connections.
struct Active {
    spec: Spec,
    watch: Watch,
    reader: Option<Box<dyn Reader>>,
    cursor: Option<String>,
}

/// A request that was sent and not yet answered.
struct Task {
    exchange: Box<dyn Exchange>,
    pending: Pending,
    sent: Instant,
}

/// The state of a running trial.
struct Run<'a> {
    lease: &'a mut Lease,
    vars: Vars,
    way: Option<Way>,
    http: Http,
    deadline: Instant,
    transcript: Transcript,
    readers: HashMap<String, Active>,
    sockets: HashMap<String, WebSocket>,
    tasks: HashMap<String, Task>,
    connections: HashMap<String, Box<dyn Exchange>>,
    raws: HashMap<String, H1>,
    held: Vec<H1>,
}

impl<'a> Run<'a> {
    fn new(namespace: &str, trial: &Trial, lease: &'a mut Lease, transcript: Transcript) -> Self {
        let mut vars = Vars::new(namespace);
        vars.set("ns", namespace);
        for (name, way) in [("way", trial.way), ("other", trial.other)] {
            if let Some(way) = way {
                vars.set(name, way.name());
            }
        }
        for (name, value) in &trial.case {
            // A case may name channels of its trial.
            let value = vars.fill(value).unwrap_or_else(|_| value.clone());
            vars.set(name, value);
        }
        Self {
            lease,
            vars,
            way: trial.way,
            http: trial.http,
            deadline: Instant::now() + Duration::from_secs(trial.scenario.timeout_s),
            transcript,
            readers: HashMap::new(),
            sockets: HashMap::new(),
            tasks: HashMap::new(),
            connections: HashMap::new(),
            raws: HashMap::new(),
            held: Vec::new(),
        }
    }

    fn steps(&mut self, steps: &[Value]) -> Result<()> {
        for (n, step) in steps.iter().enumerate() {
            let verb = verb(step)?;
            self.step(verb, step).map_err(|f| f.within(&format!("step {} ({verb})", n + 1)))?;
        }
        Ok(())
    }

    fn step(&mut self, verb: &str, step: &Value) -> Result<()> {
        let mut step = step.clone();
        if !self.applies(&mut step)? {
            return Ok(());
        }
        let step = self.vars.fill_step(&step)?;
        self.transcript.note(format!("• {step}"));
        match Step::parse(verb, step)? {
            Step::Answer(s) => self.answer(&s),
            Step::AwaitExit(s) => self.await_exit(&s),
            Step::Close(s) => self.close(&s),
            Step::SendClose(s) => self.send_close(&s),
            Step::Drain(s) => self.drain(&s),
            Step::Eventually(s) => self.eventually(&s),
            Step::Exited(s) => self.exited(&s),
            Step::Receive(s) => self.receive(&s),
            Step::ReceiveClose(s) => self.receive_close(&s),
            Step::ReceiveMany(s) => self.receive_many(&s),
            Step::ReceiveNone(s) => self.receive_none(&s),
            Step::ReceiveSame(s) => self.receive_same(&s),
            Step::FilesFall(s) => self.files_fall(&s),
            Step::Flood(s) => self.flood(&s),
            Step::Frames(s) => self.frames(&s),
            Step::Set(s) => self.set(&s),
            Step::Message(s) => self.message(&s),
            Step::Open(s) => self.open(&s),
            Step::OpenFiles(s) => self.open_files(&s),
            Step::Publish(s) => self.publish(&s),
            Step::PublishMany(s) => self.publish_many(&s),
            Step::Raw(s) => self.raw(&s),
            Step::Reopen(s) => self.reopen(&s),
            Step::Repeat(s) => self.repeat(&s),
            Step::Request(s) => self.request(&s),
            Step::Restart(s) => self.restart(&s),
            Step::Send(s) => self.send(&s),
            Step::Signalled(s) => self.signal(&s),
            Step::Sleep(s) => self.sleep(&s),
            Step::Socket(s) => self.socket(&s),
        }
    }

    /// `when = ["sse"]` keeps a step to some ways.
    fn applies(&self, step: &mut Value) -> Result<bool> {
        let Some(when) = step.as_object_mut().and_then(|m| m.remove("when")) else {
            return Ok(true);
        };
        let ways: Vec<Way> = serde_json::from_value(when)?;
        Ok(self.way.is_some_and(|way| ways.contains(&way)))
    }

    fn addr(&self) -> SocketAddr {
        self.lease.addr()
    }

    /// The deadline of a step.
    fn within(&self, ms: Option<u64>) -> Instant {
        let limit = ms.map_or(STEP_TIMEOUT, Duration::from_millis);
        self.deadline.min(Instant::now() + limit)
    }

    fn active(&mut self, name: &str) -> Result<&mut Active> {
        self.readers.get_mut(name).ok_or_else(|| Failure::wrong(format!("no reader `{name}`")))
    }

    fn sleep(&mut self, step: &vocabulary::Sleep) -> Result<()> {
        let limit = Duration::from_millis(step.sleep);
        if Instant::now() + limit > self.deadline {
            return Err(Failure::Timeout("the trial's time is up".into()));
        }
        std::thread::sleep(limit);
        Ok(())
    }

    fn repeat(&mut self, step: &vocabulary::Repeat) -> Result<()> {
        for round in 1..=step.repeat {
            self.vars.set("round", round);
            self.steps(&step.steps).map_err(|f| f.within(&format!("round {round}")))?;
        }
        Ok(())
    }

    fn set(&mut self, step: &vocabulary::Set) -> Result<()> {
        use base64::Engine as _;
        let value = match (&step.value, step.times, step.bytes) {
            (Some(Value::String(piece)), Some(times), None) => Value::String(piece.repeat(times)),
            (Some(value), None, None) => value.clone(),
            (None, None, Some(count)) => {
                // 251 is prime, so that no power of two hides a mix-up of blocks.
                let bytes: Vec<u8> = (0..count).map(|n| (n % 251) as u8 ^ 0xa5).collect();
                Value::String(base64::engine::general_purpose::STANDARD.encode(bytes))
            }
            _ => return Err(Failure::wrong("`set` takes `value`, `value` and `times`, or `bytes`")),
        };
        self.vars.set(&step.set, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_step_has_one_verb() {
        assert_eq!(verb(&json!({"open": "r", "channels": ["a"]})).unwrap(), "open");
        assert_eq!(verb(&json!({"set": "x", "value": 1})).unwrap(), "set");
        assert!(verb(&json!({"open": "r", "close": "r"})).is_err());
        assert!(verb(&json!({"channels": []})).is_err());
        assert!(verb(&json!("open")).is_err());
    }

    #[test]
    fn unknown_arguments_are_refused() {
        for (verb, good, bad) in [
            ("sleep", json!({"sleep": 1}), json!({"sleep": 1, "x": 1})),
            ("receive", json!({"receive": "r", "items": []}), json!({"receive": "r", "item": []})),
        ] {
            assert!(Step::parse(verb, good).is_ok());
            assert!(Step::parse(verb, bad).is_err());
        }
    }
}
