//! Steps that are plain requests: `request`, `answer`, `eventually`.

use super::answer::{as_value, check_answer, show};
use super::vocabulary::{Answer, Eventually, Request};
use super::{Run, Task};
use crate::error::{Failure, Result};
use crate::net::{self, Exchange, Pending};
use serde_json::{Map, Value};
use std::time::{Duration, Instant};

/// Pause between two looks of `eventually`.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// `METHOD target` as a request.
pub(super) fn request_line(line: &str) -> Result<net::Request> {
    let (method, target) =
        line.split_once(' ').ok_or_else(|| Failure::wrong(format!("not `METHOD target`: {line:?}")))?;
    Ok(net::Request::new(method, target))
}

/// Adds header fields of a step; a list sends the field several times.
pub(super) fn add_headers(request: &mut net::Request, headers: &Map<String, Value>) {
    for (name, value) in headers {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let value = crate::vars::text(value);
            request.headers.push((name.clone(), value));
        }
    }
}

/// The bytes of a body, from either notation.
pub(super) fn body_bytes(body: Option<&String>, base64: Option<&String>) -> Result<Vec<u8>> {
    use base64::Engine as _;
    match (body, base64) {
        (Some(_), Some(_)) => Err(Failure::wrong("both `body` and `base64`")),
        (None, Some(text)) => {
            base64::engine::general_purpose::STANDARD.decode(text).map_err(|e| Failure::wrong(format!("`base64`: {e}")))
        }
        (body, None) => Ok(body.map(|b| b.clone().into_bytes()).unwrap_or_default()),
    }
}

impl Run<'_> {
    pub(super) fn request(&mut self, step: &Request) -> Result<()> {
        let mut request = request_line(&step.request)?;
        add_headers(&mut request, &step.headers);
        request.body = body_bytes(step.body.as_ref(), step.base64.as_ref())?;
        let deadline = self.within(None);
        let mut exchange = self.connection(step, deadline)?;
        if let Some(task) = &step.task {
            exchange.send(&request)?;
            let task_state = Task { exchange, pending: Pending::default(), sent: Instant::now() };
            self.tasks.insert(task.clone(), task_state);
            return Ok(());
        }
        let answer = net::call(exchange.as_mut(), &request, deadline)?;
        if let Some(name) = &step.on {
            self.connections.insert(name.clone(), exchange);
        }
        self.judge(&step.expect.clone().unwrap_or_default(), &answer, step.r#as.as_ref())
    }

    /// The connection the step names, or a fresh one.
    fn connection(&mut self, step: &Request, deadline: Instant) -> Result<Box<dyn Exchange>> {
        let kept = step.on.as_ref().and_then(|name| self.connections.remove(name));
        match kept {
            Some(exchange) => Ok(exchange),
            None => net::connect(self.addr(), step.http.unwrap_or(self.http), deadline),
        }
    }

    pub(super) fn answer(&mut self, step: &Answer) -> Result<()> {
        let deadline = self.within(step.within_ms);
        let mut task =
            self.tasks.remove(&step.answer).ok_or_else(|| Failure::wrong(format!("no task `{}`", step.answer)))?;
        let answer = task.pending.read(task.exchange.as_mut(), deadline)?;
        let took = task.sent.elapsed();
        let least = Duration::from_millis(step.not_before_ms.unwrap_or(0));
        if took < least {
            return Err(Failure::wrong(format!("answered after {took:?}, before {least:?}: {}", show(&answer))));
        }
        self.judge(&step.expect, &answer, step.r#as.as_ref())
    }

    /// Notes, checks and keeps an answer.
    pub(super) fn judge(
        &mut self,
        expect: &super::vocabulary::Answered,
        answer: &net::Answer,
        keep_as: Option<&String>,
    ) -> Result<()> {
        self.transcript.note(format!("  ← {}", show(answer)));
        check_answer(expect, answer, &mut self.vars)?;
        if let Some(name) = keep_as {
            self.vars.set(name, as_value(answer));
        }
        Ok(())
    }

    pub(super) fn eventually(&mut self, step: &Eventually) -> Result<()> {
        let request = request_line(&step.eventually)?;
        let deadline = self.within(step.within_ms);
        loop {
            let now = net::once(self.addr(), self.http, &request, deadline)
                .and_then(|answer| check_answer(&step.expect, &answer, &mut self.vars));
            match now {
                Ok(()) => return Ok(()),
                Err(failure) if Instant::now() + LOOK_INTERVAL >= deadline => {
                    return Err(failure.within("still, at the end of the time"));
                }
                Err(_) => std::thread::sleep(LOOK_INTERVAL),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_in_either_notation() {
        let (text, b64) = ("hi".to_owned(), "AP8=".to_owned());
        assert_eq!(body_bytes(Some(&text), None).unwrap(), b"hi");
        assert_eq!(body_bytes(None, Some(&b64)).unwrap(), [0, 255]);
        assert_eq!(body_bytes(None, None).unwrap(), b"");
        assert!(body_bytes(Some(&text), Some(&b64)).is_err());
        assert!(body_bytes(None, Some(&text[..1].to_owned())).is_err());
    }

    #[test]
    fn a_list_sends_a_field_several_times() {
        let mut request = request_line("GET /x?y=z").unwrap();
        let headers = json!({"A": ["1", "2"], "B": 3});
        add_headers(&mut request, headers.as_object().unwrap());
        assert_eq!(request.target, "/x?y=z");
        let fields: Vec<_> = request.headers.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(fields, [("A", "1"), ("A", "2"), ("B", "3")]);
        assert!(request_line("GET").is_err());
    }
}
