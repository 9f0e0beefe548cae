//! Steps about readers: `open`, `expect…`, `drain`, `close`, `reopen`.

use super::answer::check_headers;
use super::vocabulary::{Close, Drain, Open, Receive, ReceiveClose, ReceiveMany, ReceiveNone, ReceiveSame, Reopen};
use super::{Active, Run};
use crate::error::{Failure, Result};
use crate::item::Item;
use crate::pattern::check;
use crate::reader::{self, Spec, Watch};
use crate::way::Way;
use serde_json::{Value, json};
use std::time::Instant;

/// Seconds a long poll waits by default (§2).
const WAIT_S: u64 = 25;
/// Controls that come when they come; a step that means one names it.
const PASSED_OVER: [&str; 3] = ["$open", "$live", "$beat"];

impl Run<'_> {
    pub(super) fn open(&mut self, step: &Open) -> Result<()> {
        let spec = self.spec(step)?;
        let dense = step.dense.unwrap_or(step.types.is_empty());
        let active = Active { watch: Watch::new(&spec.channels, dense), spec, reader: None, cursor: None };
        self.readers.insert(step.open.clone(), active);
        self.connect_reader(&step.open)?;
        let head = self.reader(&step.open)?.head().clone();
        check_headers(&step.head, &head, &mut self.vars)
    }

    fn spec(&self, step: &Open) -> Result<Spec> {
        let way = step.way.or(self.way);
        Ok(Spec {
            addr: self.addr(),
            way: way.ok_or_else(|| Failure::wrong("the scenario has no way; `open` needs one"))?,
            http: step.http.unwrap_or(self.http),
            channels: step.channels.iter().map(|c| self.vars.channel(c)).collect(),
            since: step.since.clone(),
            last: step.last,
            limit: step.limit.filter(|_| way.is_some_and(Way::is_polling)),
            types: step.types.clone(),
            heartbeat: step.heartbeat,
            format: step.format.clone(),
            wait: step.wait.unwrap_or(WAIT_S),
            choose: step.choose,
            resume: step.resume,
            headers: step.headers.iter().map(|(n, v)| (n.clone(), crate::vars::text(v))).collect(),
            subprotocol: step.subprotocol.clone(),
        })
    }

    /// (Re)connects a reader as its spec says.
    fn connect_reader(&mut self, name: &str) -> Result<()> {
        let (addr, deadline) = (self.addr(), self.within(None));
        let active = self.active(name)?;
        active.spec.addr = addr;
        active.reader = Some(reader::open(&active.spec, deadline)?);
        self.note_cursor(name)
    }

    fn reader(&mut self, name: &str) -> Result<&mut Box<dyn reader::Reader>> {
        self.active(name)?.reader.as_mut().ok_or_else(|| Failure::wrong(format!("reader `{name}` is closed")))
    }

    /// Keeps `${name.cursor}` and `${name.headers}` up to date.
    fn note_cursor(&mut self, name: &str) -> Result<()> {
        let active = self.active(name)?;
        let Some(reader) = &active.reader else { return Ok(()) };
        active.cursor = reader.cursor().map(str::to_owned);
        let headers: serde_json::Map<String, Value> =
            reader.head().headers.iter().map(|(n, v)| (n.clone(), Value::String(v.clone()))).collect();
        let value = json!({ "cursor": active.cursor, "headers": headers });
        self.vars.set(name, value);
        Ok(())
    }

    /// The next object, watched.
    fn next(&mut self, name: &str, deadline: Instant) -> Result<Item> {
        let active = self.active(name)?;
        let reader = active.reader.as_mut().ok_or_else(|| Failure::wrong(format!("reader `{name}` is closed")))?;
        let item = reader.next(deadline)?;
        active.watch.see(&item).map(|()| item)
    }

    /// The next object that is not passed over, noted.
    fn next_of_interest(&mut self, name: &str, wanted: &[Value], deadline: Instant) -> Result<Item> {
        loop {
            let item = self.next(name, deadline)?;
            self.transcript.note(format!("  {name} ← {}", item.show()));
            let named = wanted.iter().any(|p| p["type"] == item.kind());
            if item.payload || named || !PASSED_OVER.contains(&item.kind()) {
                return Ok(item);
            }
        }
    }

    pub(super) fn receive(&mut self, step: &Receive) -> Result<()> {
        let deadline = self.within(step.within_ms);
        for (n, pattern) in step.items.iter().enumerate() {
            let context = format!("object {} of {}", n + 1, step.items.len());
            self.receive_one(&step.receive, pattern, &step.items, deadline).map_err(|f| f.within(&context))?;
        }
        self.note_cursor(&step.receive)
    }

    fn receive_one(&mut self, name: &str, pattern: &Value, wanted: &[Value], deadline: Instant) -> Result<()> {
        let pattern = self.localize(pattern)?;
        let item = self.next_of_interest(name, wanted, deadline)?;
        check(&pattern, Some(&item.seen()), "", &mut self.vars)
            .map_err(|f| f.within(&crate::transcript::shorten(&item.show())))
    }

    /// Fills in what earlier objects of the same step have captured, and gives a channel that is
    /// named locally its full name.
    fn localize(&self, pattern: &Value) -> Result<Value> {
        let mut pattern = self.vars.fill(pattern)?;
        if let Some(Value::String(channel)) = pattern.get_mut("channel")
            && !channel.starts_with('<')
        {
            *channel = self.vars.channel(channel);
        }
        Ok(pattern)
    }

    pub(super) fn receive_many(&mut self, step: &ReceiveMany) -> Result<()> {
        let from = step.from.unwrap_or(1);
        for i in from..from + step.count {
            self.vars.set("i", i);
            let deadline = self.within(None);
            self.receive_one(&step.receive_many, &step.each, &[], deadline)
                .map_err(|f| f.within(&format!("i = {i}")))?;
        }
        self.note_cursor(&step.receive_many)
    }

    pub(super) fn receive_none(&mut self, step: &ReceiveNone) -> Result<()> {
        let deadline = self.within(Some(step.for_ms));
        match self.next_of_interest(&step.receive_none, &[], deadline) {
            Err(Failure::Timeout(_)) => self.note_cursor(&step.receive_none),
            Err(other) => Err(other),
            Ok(item) => Err(Failure::wrong(format!("expected nothing, got {}", item.show()))),
        }
    }

    pub(super) fn receive_same(&mut self, step: &ReceiveSame) -> Result<()> {
        for n in 1..=step.count {
            let mut first: Option<Item> = None;
            for name in &step.receive_same {
                let item = self.next_of_interest(name, &[], self.within(None))?;
                let first = first.get_or_insert_with(|| item.clone());
                if first.raw != item.raw {
                    return Err(Failure::wrong(format!(
                        "object {n} differs: {}\n{name}: {}",
                        first.show(),
                        item.show()
                    )));
                }
            }
        }
        step.receive_same.iter().try_for_each(|name| self.note_cursor(name))
    }

    pub(super) fn receive_close(&mut self, step: &ReceiveClose) -> Result<()> {
        let deadline = self.within(step.within_ms);
        if self.sockets.contains_key(&step.receive_close) {
            return self.receive_socket_close(step, deadline);
        }
        for pattern in &step.items {
            self.receive_one(&step.receive_close, pattern, &step.items, deadline)?;
        }
        self.note_cursor(&step.receive_close)?;
        match self.next_of_interest(&step.receive_close, &[], deadline) {
            Ok(item) => Err(Failure::wrong(format!("expected the end, got {}", item.show()))),
            Err(failure) => self.closed_as_expected(step, failure),
        }
    }

    pub(super) fn closed_as_expected(&mut self, step: &ReceiveClose, failure: Failure) -> Result<()> {
        match (failure, &step.code) {
            (Failure::Closed { code, .. }, Some(pattern)) => {
                let code = code.map(Value::from);
                check(pattern, code.as_ref(), "the close code", &mut self.vars)
            }
            (Failure::Closed { .. }, None) => Ok(()),
            (other, _) => Err(other),
        }
    }

    pub(super) fn drain(&mut self, step: &Drain) -> Result<()> {
        let deadline = self.within(step.within_ms);
        let channel = self.vars.channel(&step.channel);
        let (mut events, mut gaps) = (0, Vec::new());
        loop {
            // Not noted one by one: there may be tens of thousands.
            let item = self.next(&step.drain, deadline)?;
            if item.text("channel") != Some(channel.as_str()) {
                continue;
            }
            match item.kind() {
                "$gap" => gaps.push(item.text("reason").unwrap_or_default().to_owned()),
                _ => events += 1,
            }
            if item.value["offset"].as_u64() >= Some(step.until) {
                break;
            }
        }
        self.transcript.note(format!("  {}: {events} events, gaps: {gaps:?}", step.drain));
        check_gaps(&step.gap, &gaps)?;
        let bounds = step.at_least.unwrap_or(0)..=step.at_most.unwrap_or(u64::MAX);
        if !bounds.contains(&events) {
            return Err(Failure::wrong(format!("{events} events came, expected {bounds:?}")));
        }
        self.note_cursor(&step.drain)
    }

    pub(super) fn close(&mut self, step: &Close) -> Result<()> {
        if self.sockets.remove(&step.close).is_some() {
            return Ok(());
        }
        self.note_cursor(&step.close)?;
        self.active(&step.close)?.reader = None;
        Ok(())
    }

    pub(super) fn reopen(&mut self, step: &Reopen) -> Result<()> {
        self.note_cursor(&step.reopen)?;
        let active = self.active(&step.reopen)?;
        active.reader = None;
        let since = step.since.clone().or_else(|| active.cursor.clone());
        active.spec.since = since;
        active.spec.last = None;
        active.spec.way = step.way.unwrap_or(active.spec.way);
        active.spec.http = step.http.unwrap_or(active.spec.http);
        if !active.spec.way.is_polling() {
            active.spec.limit = None;
        }
        self.connect_reader(&step.reopen)
    }
}

/// `never`, `allowed`, or the one reason that has to be given.
fn check_gaps(rule: &str, gaps: &[String]) -> Result<()> {
    let good = match rule {
        "never" => gaps.is_empty(),
        "allowed" => true,
        "expired" | "reset" => !gaps.is_empty() && gaps.iter().all(|g| g == rule),
        other => return Err(Failure::wrong(format!("no such rule for gaps: {other}"))),
    };
    if good {
        return Ok(());
    }
    Err(Failure::wrong(format!("gaps: {gaps:?}, expected: {rule}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_held_against_the_rule() {
        let expired = ["expired".to_owned()];
        for (rule, gaps, good) in [
            ("never", &[][..], true),
            ("never", &expired[..], false),
            ("allowed", &expired[..], true),
            ("allowed", &[][..], true),
            ("expired", &expired[..], true),
            ("expired", &[][..], false),
            ("reset", &expired[..], false),
            ("perhaps", &[][..], false),
        ] {
            assert_eq!(check_gaps(rule, gaps).is_ok(), good, "{rule} {gaps:?}");
        }
    }
}
