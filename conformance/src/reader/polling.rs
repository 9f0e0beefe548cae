//! Polling and long polling: the same requests, with or without waiting.

use super::{Reader, Resume, Spec, carried_cursor, check_read_head};
use crate::error::{Failure, Result};
use crate::item::{Framing, Item};
use crate::net::{Answer, Exchange, Head, Pending, call, connect, refused};
use crate::pattern::is_cursor;
use crate::way::Way;
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Pause between two polls that brought nothing: a test's poll interval, not a client's.
const PAUSE: Duration = Duration::from_millis(15);

/// A connection that was idle for so long is not used again: the server may be closing it.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// `{"events":[…],"cursor":"…","more":false,"retry_ms":…}`
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    cursor: String,
    #[serde(rename = "more")]
    _more: bool,
    #[serde(rename = "retry_ms")]
    _retry_ms: u64,
}

pub(super) struct Polling {
    spec: Spec,
    exchange: Box<dyn Exchange>,
    pending: Option<Pending>,
    head: Head,
    queue: VecDeque<Item>,
    /// The cursor of the answer in `queue`, which counts once the queue is used up.
    answered: Option<String>,
    /// The cursor after the last object that was taken out of `queue`.
    position: Option<String>,
    /// When the last answer came.
    answered_at: Instant,
    /// `last=` is for the first request only.
    last: Option<u64>,
}

impl Polling {
    pub(super) fn open(spec: &Spec, deadline: Instant) -> Result<Self> {
        let mut reader = Self {
            spec: spec.clone(),
            exchange: connect(spec.addr, spec.http, deadline)?,
            pending: None,
            head: Head { status: 0, headers: Vec::new() },
            queue: VecDeque::new(),
            answered: None,
            position: spec.since.clone(),
            answered_at: Instant::now(),
            last: spec.last,
        };
        let from_now = spec.since.as_deref().is_none_or(|s| s == "now");
        if from_now && spec.last.is_none() {
            reader.find_now(deadline)?;
        }
        Ok(reader)
    }

    /// A poller that begins "now" asks where now is, so that nothing published later is missed.
    fn find_now(&mut self, deadline: Instant) -> Result<()> {
        let mut spec = self.spec.clone();
        spec.way = Way::Poll;
        let request = spec.request(Some("now"));
        let answer = call(self.exchange.as_mut(), &request, deadline)?;
        self.take(&answer)?;
        match self.queue.front() {
            None => Ok(()),
            Some(item) => Err(Failure::wrong(format!("a poll with since=now brought an object: {}", item.show()))),
        }
    }

    fn ask(&mut self, deadline: Instant) -> Result<()> {
        if self.pending.is_some() {
            return Ok(());
        }
        if self.answered_at.elapsed() > IDLE_MAX {
            self.exchange = connect(self.spec.addr, self.spec.http, deadline)?;
        }
        if let Some(cursor) = self.answered.take() {
            self.position = Some(cursor);
        }
        let mut request = self.spec.request(self.position.as_deref());
        if let Some(last) = self.last.take() {
            crate::encode::add_query(&mut request.target, "last", &last.to_string());
        }
        self.exchange.send(&request)?;
        self.pending = Some(Pending::default());
        Ok(())
    }

    /// Reads the answer to the outstanding request.
    fn receive(&mut self, deadline: Instant) -> Result<()> {
        let pending = self.pending.get_or_insert_default();
        let answer = pending.read(self.exchange.as_mut(), deadline)?;
        self.pending = None;
        self.answered_at = Instant::now();
        self.take(&answer)
    }

    fn take(&mut self, answer: &Answer) -> Result<()> {
        self.head = answer.head.clone();
        let brief = || {
            let body = String::from_utf8_lossy(&answer.body);
            format!("{} {}", answer.head.status, crate::transcript::shorten(&body))
        };
        match answer.head.status {
            200 => self.take_body(answer).map_err(|f| f.within(&brief())),
            304 if self.spec.resume == Resume::Header => self.take_unchanged(answer),
            status => Err(refused(status, &brief())),
        }
    }

    fn take_body(&mut self, answer: &Answer) -> Result<()> {
        check_read_head(&answer.head, "application/json", false)?;
        let body: Body<'_> = serde_json::from_slice(&answer.body)?;
        check_etag(&answer.head, &body.cursor)?;
        for raw in &body.events {
            let raw = raw.get().as_bytes();
            self.queue.push_back(if self.spec.payload_only() {
                Item::payload(raw, Framing::default())
            } else {
                Item::object(raw, Framing::default())?
            });
        }
        self.answered = Some(body.cursor);
        Ok(())
    }

    /// "Nothing new: `304` to a conditional request".
    fn take_unchanged(&mut self, answer: &Answer) -> Result<()> {
        check_read_head(&answer.head, "", false)?;
        if !answer.body.is_empty() {
            return Err(Failure::wrong("a 304 has a body"));
        }
        let etag = answer.head.get("etag").unwrap_or_default();
        let cursor = etag.trim_matches('"').to_owned();
        check_etag(&answer.head, &cursor)?;
        self.answered = Some(cursor);
        Ok(())
    }
}

/// "Polling ways carry `ETag: "<cursor>"`."
fn check_etag(head: &Head, cursor: &str) -> Result<()> {
    if !is_cursor(cursor) {
        return Err(Failure::wrong(format!("not a cursor: {cursor:?}")));
    }
    let etag = head.get("etag");
    if etag.as_deref() != Some(format!("\"{cursor}\"").as_str()) {
        return Err(Failure::wrong(format!("ETag is {etag:?}, the cursor is {cursor:?}")));
    }
    Ok(())
}

impl Reader for Polling {
    fn next(&mut self, deadline: Instant) -> Result<Item> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                if let Some(cursor) = carried_cursor(&item) {
                    self.position = Some(cursor.to_owned());
                }
                return Ok(item);
            }
            let asked = Instant::now();
            self.ask(deadline)?;
            self.receive(deadline)?;
            if self.queue.is_empty() && asked.elapsed() < PAUSE {
                if Instant::now() + PAUSE >= deadline {
                    return Err(Failure::Timeout("polling for an object".into()));
                }
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn cursor(&self) -> Option<&str> {
        let answered = self.answered.as_deref().filter(|_| self.queue.is_empty());
        answered.or(self.position.as_deref())
    }

    fn head(&self) -> &Head {
        &self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(etag: &str) -> Head {
        Head { status: 200, headers: vec![("etag".into(), etag.into())] }
    }

    #[test]
    fn the_etag_is_the_quoted_cursor() {
        assert!(check_etag(&head("\"c1\""), "c1").is_ok());
        for bad in ["c1", "W/\"c1\"", "\"c2\""] {
            assert!(check_etag(&head(bad), "c1").is_err(), "{bad}");
        }
        assert!(check_etag(&head("\"a b\""), "a b").is_err());
    }

    #[test]
    fn the_body_has_its_four_members_and_no_others() {
        let good = r#"{"events":[],"cursor":"c","more":false,"retry_ms":5}"#;
        assert!(serde_json::from_str::<Body<'_>>(good).is_ok());
        for bad in [
            r#"{"events":[],"cursor":"c","more":false}"#,
            r#"{"events":[],"cursor":"c","more":0,"retry_ms":5}"#,
            r#"{"events":[],"cursor":"c","more":false,"retry_ms":5,"x":1}"#,
        ] {
            assert!(serde_json::from_str::<Body<'_>>(bad).is_err(), "{bad}");
        }
    }
}
