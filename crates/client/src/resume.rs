//! Where to read on. Pure.
//!
//! The rule of exactly-once: the position moves with an object that was handed over, whole, and with nothing else.
//!
//! One cursor is enough for all channels, with one exception: channels that are added in mid-flight from an older
//! position. Until they have caught up with the others they keep a position of their own here, and are added again from
//! there after a cut.

use crate::cursor::{Cursor, Since};
use crate::decode::object::{Object, Subscribed};

/// Where a read begins, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// As the caller said, or after the last object.
    Since(Since),
    /// At the newest so many events of each channel; nothing has been received yet.
    Last(u32),
}

/// Follows the position of a subscription over all its connections.
#[derive(Clone, Debug)]
pub(crate) struct Resume {
    /// The channels that stand at `position`.
    channels: Vec<String>,
    position: Position,
    /// Channels that stand before it.
    late: Vec<Subscribed>,
    /// How many of `late`, from the front, are being read on this connection. The others have yet to be added to it.
    late_read: usize,
}

impl Resume {
    /// Reads `channels` from `position`.
    pub(crate) fn new(channels: Vec<String>, position: Position) -> Self {
        Self { channels, position, late: Vec::new(), late_read: 0 }
    }

    /// The channels of the next request.
    pub(crate) fn channels(&self) -> &[String] {
        &self.channels
    }

    /// Where the next request begins.
    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    /// What has to be added once the next connection is open: only a WebSocket can.
    pub(crate) fn late(&self) -> &[Subscribed] {
        &self.late
    }

    /// The cursor from which a new subscription to all channels would lose nothing.
    pub(crate) fn cursor(&self) -> Option<&Cursor> {
        match (self.late.first(), &self.position) {
            (Some(Subscribed { since: Since::At(cursor), .. }), _) => Some(cursor),
            // An added channel that has to be read from its start: there is no such cursor yet.
            (Some(_), _) => None,
            (None, Position::Since(Since::At(cursor))) => Some(cursor),
            (None, _) => None,
        }
    }

    /// Notes an object that is handed over. Returns whether it was an event.
    pub(crate) fn observe(&mut self, object: &Object) -> bool {
        match object {
            Object::Event(event) => {
                // An event that is not stored has no id: it lies nowhere in the log.
                event.id.iter().for_each(|id| self.event(&event.channel, id));
                return true;
            }
            Object::Open(open) => {
                self.late_read = 0;
                // "now" means the moment the server took the request, which is this cursor: without it, what is
                // published during a cut before `$live` would be lost. For every other beginning the replay has still
                // to come, and no single cursor says where `last` begins.
                if self.position == Position::Since(Since::Now) {
                    open.cursor.iter().for_each(|cursor| self.move_to(cursor));
                }
            }
            // Told when all channels that are read have reached one head.
            Object::Live(cursor) => self.level(cursor),
            // While a channel catches up, this is its place, and not that of the others.
            Object::Beat(cursor) if self.late.is_empty() => self.move_to(cursor),
            Object::Subscribed(added) => self.subscribed(added),
            Object::Unsubscribed(channels) => self.unsubscribed(channels),
            // The cursor of `$gap` is one channel's; the other channels may be further behind.
            Object::Beat(_) | Object::Gap(_) | Object::Close(_) | Object::Reply(_) => {}
            Object::Retry(_) | Object::Unknown => {}
        }
        false
    }

    fn event(&mut self, channel: &str, id: &Cursor) {
        match self.late.iter_mut().find(|late| late.channels.iter().any(|name| name == channel)) {
            Some(late) => late.since = Since::At(id.clone()),
            // All channels that are read are merged in log order: an event of the others means that the late ones are
            // level with them.
            None => self.level(id),
        }
    }

    fn level(&mut self, cursor: &Cursor) {
        self.channels.extend(self.late.drain(..self.late_read).flat_map(|late| late.channels));
        self.late_read = 0;
        self.move_to(cursor);
    }

    fn subscribed(&mut self, added: &Subscribed) {
        // They are added to a new connection in their order.
        if self.late.get(self.late_read).is_some_and(|late| late.channels == added.channels) {
            self.late_read += 1;
            return;
        }
        let known =
            |name: &String| self.channels.contains(name) || self.late.iter().any(|late| late.channels.contains(name));
        let channels: Vec<String> = added.channels.iter().filter(|name| !known(name)).cloned().collect();
        match added.since {
            _ if channels.is_empty() => {}
            Since::Now => self.channels.extend(channels),
            _ => {
                self.late.insert(self.late_read, Subscribed { channels, since: added.since.clone() });
                self.late_read += 1;
            }
        }
    }

    fn unsubscribed(&mut self, gone: &[String]) {
        self.channels.retain(|name| !gone.contains(name));
        for late in &mut self.late {
            late.channels.retain(|name| !gone.contains(name));
        }
        let read = self.late.iter().take(self.late_read).filter(|late| !late.channels.is_empty()).count();
        self.late.retain(|late| !late.channels.is_empty());
        self.late_read = read;
    }

    fn move_to(&mut self, cursor: &Cursor) {
        self.position = Position::Since(Since::At(cursor.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::object::decode;

    fn at(text: &str) -> Position {
        Position::Since(Since::At(text.parse().unwrap()))
    }

    fn observe(resume: &mut Resume, objects: &[&str]) {
        for object in objects {
            resume.observe(&decode((*object).into()).unwrap());
        }
    }

    fn walk(from: Position, objects: &[&str]) -> Position {
        let mut resume = Resume::new(vec!["a".into()], from);
        observe(&mut resume, objects);
        resume.position
    }

    const OPEN: &str = r#"{"type":"$open","connection":"c","cursor":"e-10","heartbeat_ms":1,"retry_ms":1,"replay":0}"#;
    const LIVE: &str = r#"{"type":"$live","cursor":"e-20"}"#;
    const BEAT: &str = r#"{"type":"$beat","time":1,"cursor":"e-30"}"#;
    const GAP: &str = r#"{"type":"$gap","channel":"a","reason":"expired","cursor":"e-40"}"#;
    const EVENT: &str = r#"{"id":"e-15","channel":"a","data":1}"#;
    const LATER: &str = r#"{"id":"e-35","channel":"a","data":1}"#;
    const UNSTORED: &str = r#"{"channel":"a","data":1}"#;

    #[test]
    fn what_moves_the_position_and_what_does_not() {
        let close = r#"{"type":"$close","code":1001,"reason":"","reconnect":true,"retry_ms":1,"cursor":"e-50"}"#;
        let reply = r#"{"type":"$reply","ref":1,"ok":{"id":"e-60"}}"#;
        let unknown = r#"{"type":"$else","cursor":"e-70","id":"e-70"}"#;

        let (start, now) = (Position::Since(Since::Start), Position::Since(Since::Now));
        let cases: [(&Position, &[&str], Position); 13] = [
            (&now, &[], now.clone()),
            (&now, &[OPEN], at("e-10")),
            (&start, &[OPEN], start.clone()),
            (&Position::Last(5), &[OPEN], Position::Last(5)),
            (&at("e-5"), &[OPEN], at("e-5")),
            (&start, &[OPEN, GAP, close, reply, unknown], start.clone()),
            (&start, &[OPEN, GAP, EVENT], at("e-15")),
            (&start, &[OPEN, EVENT, UNSTORED], at("e-15")),
            (&Position::Last(5), &[OPEN, LIVE], at("e-20")),
            (&at("e-5"), &[OPEN, LIVE, BEAT], at("e-30")),
            (&at("e-5"), &[OPEN, EVENT, LIVE], at("e-20")),
            (&at("e-5"), &[OPEN, EVENT, LIVE, LATER], at("e-35")),
            (&at("e-5"), &[BEAT, GAP], at("e-30")),
        ];
        for (from, objects, expected) in cases {
            assert_eq!(walk(from.clone(), objects), expected, "{from:?} {objects:?}");
        }
    }

    #[test]
    fn only_events_are_progress() {
        let mut resume = Resume::new(vec!["a".into()], Position::Last(1));
        for (object, progress) in [(LIVE, false), (UNSTORED, true), (BEAT, false), (EVENT, true)] {
            assert_eq!(resume.observe(&decode(object.into()).unwrap()), progress, "{object}");
        }
    }

    fn added(channels: &[&str], since: &str) -> Object {
        let channels = channels.iter().map(ToString::to_string).collect();
        Object::Subscribed(Subscribed { channels, since: since.parse().unwrap() })
    }

    #[test]
    fn a_channel_added_from_now_is_level_at_once() {
        let mut resume = Resume::new(vec!["a".into()], at("e-9"));
        resume.observe(&added(&["b", "a"], "now"));
        assert_eq!((resume.channels(), resume.late()), (&["a".to_owned(), "b".into()][..], &[][..]));
        assert_eq!(*resume.position(), at("e-9"));
    }

    #[test]
    fn a_channel_added_from_the_past_has_its_own_position_until_it_is_level() {
        let late_event = r#"{"id":"e-3","channel":"b","data":1}"#;
        for level in [EVENT, LIVE] {
            let mut resume = Resume::new(vec!["a".into()], at("e-9"));
            resume.observe(&added(&["b"], "e-1"));
            assert_eq!(resume.cursor().unwrap().as_str(), "e-1");
            observe(&mut resume, &[late_event, BEAT, GAP, UNSTORED]);
            assert_eq!((resume.channels().len(), resume.position()), (1, &at("e-9")));
            assert_eq!(resume.late(), [Subscribed { channels: vec!["b".into()], since: "e-3".parse().unwrap() }]);
            assert_eq!(resume.cursor().unwrap().as_str(), "e-3");

            observe(&mut resume, &[level]);
            assert_eq!((resume.channels(), resume.late()), (&["a".to_owned(), "b".into()][..], &[][..]));
            assert_ne!(*resume.position(), at("e-9"));
        }
    }

    /// Guards against taking the replay of the other channels for a sign that the late ones are level, before these are
    /// read at all.
    #[test]
    fn on_a_new_connection_a_late_channel_has_to_be_added_first() {
        let mut resume = Resume::new(vec!["a".into()], at("e-9"));
        resume.observe(&added(&["b"], "e-1"));
        observe(&mut resume, &[OPEN, EVENT, LIVE]);
        assert_eq!((resume.position(), resume.late().len()), (&at("e-20"), 1));
        resume.observe(&added(&["b"], "e-1"));
        assert_eq!(resume.late().len(), 1);
        observe(&mut resume, &[LATER]);
        assert_eq!((resume.position(), resume.late().len()), (&at("e-35"), 0));
    }

    #[test]
    fn channels_that_are_given_up_do_not_come_back() {
        let mut resume = Resume::new(vec!["a".into(), "c".into()], at("e-9"));
        resume.observe(&added(&["b", "d"], "start"));
        assert_eq!(resume.cursor(), None);
        resume.observe(&Object::Unsubscribed(vec!["b".into(), "c".into()]));
        assert_eq!(
            (resume.channels(), resume.late()[0].channels.as_slice()),
            (&["a".to_owned()][..], &["d".to_owned()][..])
        );
        resume.observe(&Object::Unsubscribed(vec!["d".into()]));
        assert_eq!((resume.channels().len(), resume.late().len()), (1, 0));
    }
}
