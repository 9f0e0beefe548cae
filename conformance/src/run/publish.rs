//! Steps that publish: one event, or many over one or several connections.

use super::Run;
use super::http::{add_headers, body_bytes};
use super::vocabulary::{Answered, Publish, PublishMany};
use crate::encode::{add_query, percent};
use crate::error::{Failure, Result};
use crate::net::{self, Exchange, Request};
use crate::vars::{Vars, text};
use crate::way::Http;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Instant;

impl Run<'_> {
    pub(super) fn publish(&mut self, step: &Publish) -> Result<()> {
        let channel = self.vars.channel(&step.publish);
        let mut request = Request::new("POST", format!("/v1/channels/{}", percent(&channel)));
        for (name, value) in &step.query {
            add_query(&mut request.target, name, &text(value));
        }
        let kind = step.content_type.as_deref().unwrap_or("application/json");
        if !kind.is_empty() {
            request = request.header("Content-Type", kind);
        }
        add_headers(&mut request, &step.headers);
        request.body = body_bytes(step.body.as_ref(), step.base64.as_ref())?;
        let answer = net::once(self.addr(), self.http, &request, self.within(None))?;
        let expect = step.expect.clone().unwrap_or_else(|| fresh(&channel));
        self.judge(&expect, &answer, None)?;
        if let Some(name) = &step.r#as {
            self.vars.set(name, serde_json::from_slice::<Value>(&answer.body)?);
        }
        Ok(())
    }

    pub(super) fn publish_many(&mut self, step: &PublishMany) -> Result<()> {
        let work = Batch {
            addr: self.addr(),
            http: self.http,
            channel: self.vars.channel(&step.publish_many),
            deadline: self.deadline,
        };
        let from = step.from.unwrap_or(1);
        let mut items = Vec::new();
        for i in from..from + step.count {
            self.vars.set("i", i);
            items.push(item(&work.channel, step, &self.vars)?);
        }
        let requests: Vec<Vec<String>> =
            items.chunks(usize::try_from(step.batch.max(1)).unwrap_or(usize::MAX)).map(<[String]>::to_vec).collect();
        publish_on_connections(&work, &requests, step.connections)
    }
}

/// §3: the answer to an event that is new and stored.
fn fresh(channel: &str) -> Answered {
    let json = json!({
        "<keys>": ["id", "channel", "offset", "subscribers", "duplicate"],
        "id": "<cursor>",
        "channel": channel,
        "offset": "<int 1..>",
        "subscribers": "<int 0..>",
        "duplicate": false,
    });
    Answered { json: Some(json), ..Answered::default() }
}

/// What all requests of a `publish_many` have in common.
struct Batch {
    addr: SocketAddr,
    http: Http,
    channel: String,
    deadline: Instant,
}

/// One element of `POST /v1/events`, as text, so that the payload keeps its bytes.
fn item(channel: &str, step: &PublishMany, vars: &Vars) -> Result<String> {
    let data = text(&vars.fill_text(&step.each)?);
    let kind = match &step.r#type {
        Some(kind) => format!(",\"type\":{}", Value::from(kind.as_str())),
        None => String::new(),
    };
    let key = match &step.idempotency_key {
        Some(key) => format!(",\"idempotency_key\":{}", Value::from(key.as_str())),
        None => String::new(),
    };
    let channel = Value::from(channel);
    Ok(format!("{{\"channel\":{channel}{kind}{key},\"data\":{data}}}"))
}

/// Deals the requests out to `connections` threads; each keeps its own order.
fn publish_on_connections(work: &Batch, requests: &[Vec<String>], connections: u64) -> Result<()> {
    let threads = usize::try_from(connections.max(1)).unwrap_or(1);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|n| {
                let mine = requests.iter().skip(n).step_by(threads);
                scope.spawn(move || publish_all(work, mine))
            })
            .collect();
        handles.into_iter().try_for_each(|handle| {
            handle.join().unwrap_or_else(|_| Err(Failure::wrong("a publishing thread panicked")))
        })
    })
}

fn publish_all<'a>(work: &Batch, requests: impl Iterator<Item = &'a Vec<String>>) -> Result<()> {
    let mut exchange = net::connect(work.addr, work.http, work.deadline)?;
    let mut last = 0;
    for items in requests {
        last = publish_items(work, exchange.as_mut(), items, last)?;
    }
    Ok(())
}

/// Publishes one array and returns the last offset, which has to lie beyond `last`, or be it again
/// where the answer says `duplicate`.
fn publish_items(work: &Batch, exchange: &mut dyn Exchange, items: &[String], mut last: u64) -> Result<u64> {
    let mut request = Request::new("POST", "/v1/events").header("Content-Type", "application/json");
    request.body = match items {
        [one] => one.clone().into_bytes(),
        many => format!("[{}]", many.join(",")).into_bytes(),
    };
    let answer = net::call(exchange, &request, work.deadline)?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let wrong = || Failure::wrong(format!("publishing was answered {}", super::answer::show(&answer)));
    let results = match (answer.head.status, items.len()) {
        (200, 1) => std::slice::from_ref(&body),
        (200, _) => body["results"].as_array().ok_or_else(wrong)?.as_slice(),
        _ => return Err(wrong()),
    };
    if results.len() != items.len() {
        return Err(wrong());
    }
    for result in results {
        let offset = result["offset"].as_u64().ok_or_else(wrong)?;
        let again = offset == last && result["duplicate"] == true;
        if (offset <= last && !again) || result["channel"] != work.channel.as_str() {
            return Err(wrong());
        }
        last = offset;
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_the_bytes_of_their_payload() {
        let step: PublishMany = serde_json::from_value(json!({
            "publish_many": "a", "count": 1, "each": "{\"n\":${i}, \"n\":1e999}", "type": "x"
        }))
        .unwrap();
        let mut vars = Vars::new("t");
        vars.set("i", 7);
        assert_eq!(item("a:t", &step, &vars).unwrap(), r#"{"channel":"a:t","type":"x","data":{"n":7, "n":1e999}}"#);
    }
}
