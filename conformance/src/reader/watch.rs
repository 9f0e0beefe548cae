//! What holds for every subscription, checked on every object.
//!
//! §2 "Events of a connection arrive in log order" and "exactly once": within a channel the offsets
//! go up by one, over reconnects and changes of way, unless a `$gap` was said or a filter leaves
//! some out. Lives as long as the scenario's reader, not as long as one connection.

use crate::error::{Failure, Result};
use crate::item::Item;
use crate::pattern::is_cursor;
use serde_json::Value;
use std::collections::HashMap;

/// The controls of §1.
const CONTROLS: [&str; 8] = ["$open", "$live", "$gap", "$beat", "$close", "$join", "$leave", "$reply"];

/// The rules for one reader.
#[derive(Debug, Clone)]
pub struct Watch {
    channels: Vec<String>,
    /// No event may be left out: no type filter, no `ttl`.
    dense: bool,
    offsets: HashMap<String, u64>,
}

impl Watch {
    /// Rules for these full channel names.
    #[must_use]
    pub fn new(channels: &[String], dense: bool) -> Self {
        Self { channels: channels.to_vec(), dense, offsets: HashMap::new() }
    }

    /// Another channel may come from now on (a `subscribe` command).
    pub fn add_channel(&mut self, channel: &str) {
        self.channels.push(channel.to_owned());
    }

    /// Looks at one object.
    pub fn see(&mut self, item: &Item) -> Result<()> {
        if item.payload {
            return Ok(());
        }
        let outcome = if item.is_control() { self.control(item) } else { self.event(item) };
        outcome.map_err(|f| f.within(&crate::transcript::shorten(&item.show())))
    }

    fn control(&mut self, item: &Item) -> Result<()> {
        if !CONTROLS.contains(&item.kind()) {
            return Err(Failure::wrong("no such control object"));
        }
        if item.value.get("id").is_some() {
            return Err(Failure::wrong("a control object has an id"));
        }
        if let Some(cursor) = item.value.get("cursor")
            && !cursor.as_str().is_some_and(is_cursor)
        {
            return Err(Failure::wrong("`cursor` is no cursor"));
        }
        if item.kind() == "$gap" {
            let channel = self.channel(item)?;
            self.offsets.remove(&channel);
            if !matches!(item.text("reason"), Some("expired" | "reset")) {
                return Err(Failure::wrong("the reason of a gap is `expired` or `reset`"));
            }
        }
        Ok(())
    }

    fn event(&mut self, item: &Item) -> Result<()> {
        let channel = self.channel(item)?;
        let time = item.value.get("time").and_then(Value::as_u64);
        if time.is_none() {
            return Err(Failure::wrong("`time` is no whole number of milliseconds"));
        }
        if item.value.get("type").is_some_and(|t| t == "message") {
            return Err(Failure::wrong("`type` is absent for the default type"));
        }
        if item.value.get("data").is_some() == item.value.get("data_base64").is_some() {
            return Err(Failure::wrong("not exactly one of `data` and `data_base64`"));
        }
        match (item.value.get("id"), item.value.get("offset")) {
            // §14.5: `store=false` events have neither.
            (None, None) => Ok(()),
            (Some(Value::String(id)), Some(Value::Number(n))) if is_cursor(id) => self.offset(channel, n.as_u64()),
            _ => Err(Failure::wrong("`id` and `offset` do not fit together")),
        }
    }

    fn offset(&mut self, channel: String, offset: Option<u64>) -> Result<()> {
        let Some(offset) = offset.filter(|n| *n > 0) else {
            return Err(Failure::wrong("`offset` counts 1, 2, 3…"));
        };
        if let Some(before) = self.offsets.insert(channel, offset) {
            if offset <= before {
                return Err(Failure::wrong(format!("offset {offset} came after {before}")));
            }
            if self.dense && offset != before + 1 {
                return Err(Failure::wrong(format!("offset {offset} came after {before} without a $gap")));
            }
        }
        Ok(())
    }

    fn channel(&self, item: &Item) -> Result<String> {
        item.text("channel")
            .filter(|c| self.channels.iter().any(|known| known == c))
            .map(str::to_owned)
            .ok_or_else(|| Failure::wrong("`channel` is none of those that were asked for"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Framing;

    fn see_all(dense: bool, objects: &[&str]) -> Result<()> {
        let mut watch = Watch::new(&["a".to_owned(), "b".to_owned()], dense);
        objects.iter().try_for_each(|o| watch.see(&Item::object(o.as_bytes(), Framing::default())?))
    }

    fn event(channel: &str, offset: u64) -> String {
        format!(r#"{{"id":"c{offset}","channel":"{channel}","offset":{offset},"time":1,"data":1}}"#)
    }

    #[test]
    fn order_and_density() {
        let gap = r#"{"type":"$gap","channel":"a","reason":"expired","cursor":"c"}"#.to_owned();
        let (one, two, three) = (event("a", 1), event("a", 2), event("a", 3));
        let other = event("b", 9);
        let cases: &[(bool, Vec<&String>, bool)] = &[
            (true, vec![&one, &other, &two, &three], true),
            (true, vec![&one, &three], false),
            (false, vec![&one, &three], true),
            (true, vec![&one, &gap, &three], true),
            (true, vec![&one, &one], false),
            (false, vec![&two, &one], false),
        ];
        for (dense, objects, good) in cases {
            let objects: Vec<&str> = objects.iter().map(|s| s.as_str()).collect();
            assert_eq!(see_all(*dense, &objects).is_ok(), *good, "{objects:?}");
        }
    }

    #[test]
    fn bad_objects_are_noticed() {
        for bad in [
            r#"{"id":"c","channel":"x","offset":1,"time":1,"data":1}"#,
            r#"{"id":"c","channel":"a","offset":0,"time":1,"data":1}"#,
            r#"{"id":"c","channel":"a","offset":1,"data":1}"#,
            r#"{"id":"c","channel":"a","offset":1,"time":1}"#,
            r#"{"id":"c","channel":"a","offset":1,"time":1,"data":1,"data_base64":""}"#,
            r#"{"id":"c","channel":"a","offset":1,"time":1,"data":1,"type":"message"}"#,
            r#"{"id":"c","channel":"a","time":1,"data":1}"#,
            r#"{"offset":1,"channel":"a","time":1,"data":1}"#,
            r#"{"id":"not a cursor","channel":"a","offset":1,"time":1,"data":1}"#,
            r#"{"type":"$gap","channel":"a","reason":"whim","cursor":"c"}"#,
            r#"{"type":"$open","id":"c"}"#,
            r#"{"type":"$nothing"}"#,
            r#"{"type":"$live","cursor":5}"#,
        ] {
            assert!(see_all(true, &[bad]).is_err(), "{bad}");
        }
        assert!(see_all(true, &[r#"{"channel":"a","time":1,"data":1}"#]).is_ok());
    }
}
