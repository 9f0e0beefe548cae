//! One subscription over all its connections: what is handed over, and what follows when a connection ends. Pure.
//!
//! The driver brings objects, endings, lengths of time and chance; the session says what to hand over and what to do
//! next. It must not know sockets, encodings or clocks.

use std::time::Duration;

use bongsu_core::control::close_code;
use bongsu_core::read::Way;

use crate::cursor::Cursor;
use crate::decode::object::{Close, Object};
use crate::error::Error;
use crate::incoming::{Incoming, Open, Reconnecting};
use crate::reconnect::{Backoff, Hint, SETTLED_AFTER};
use crate::resume::Resume;

/// Something for the consumer, with the position it brings the consumer to.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// The cursor from which nothing is lost once this was taken; `None` leaves it as it is.
    pub(crate) position: Option<Cursor>,
    /// `None` when only the position moves.
    pub(crate) item: Option<Incoming>,
}

/// How a connection, or the attempt at one, came to its end.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It broke, or never stood.
    Failed(Error),
    /// The response ended in an orderly way.
    Finished,
    /// It was given up for one of another way.
    Switched,
}

/// What to do after an ending.
#[derive(Debug)]
pub(crate) enum Next {
    /// Connect at once.
    Connect,
    /// Tell the consumer, wait, connect.
    Wait(Reconnecting),
    /// Tell the consumer; it is over.
    Stop(Error),
}

/// The state that outlives connections.
#[derive(Debug)]
pub(crate) struct Session {
    resume: Resume,
    /// What the caller asked for.
    way: Way,
    backoff: Backoff,
    /// Attempts in a row after which to give up; `None` for never.
    attempts_max: Option<u32>,
    /// When to come back after a cut without a word, as the server planned it when the connection began.
    plan: Option<Duration>,
    /// Why the server is about to end the connection.
    close: Option<Close>,
}

impl Session {
    /// A session that reads by `way`.
    pub(crate) fn new(way: Way, resume: Resume, attempts_max: Option<u32>) -> Self {
        Self { resume, way, backoff: Backoff::default(), attempts_max, plan: None, close: None }
    }

    /// Where to read on.
    pub(crate) fn resume(&self) -> &Resume {
        &self.resume
    }

    /// The way of the next connection.
    pub(crate) fn way(&self) -> Way {
        // Only a WebSocket can read some channels from another position than the others. A change of way that was asked
        // for takes place once they are level.
        if self.resume.late().is_empty() { self.way } else { Way::WebSocket }
    }

    /// Asks for another way. A connection of a way that is not [`Session::way`] has to end then.
    pub(crate) fn switch(&mut self, way: Way) {
        self.way = way;
    }

    /// Takes what came by a connection of `way`, and says what to hand over, in order.
    pub(crate) fn receive(&mut self, way: Way, objects: Vec<Object>) -> Vec<Delivery> {
        let mut deliveries = Vec::with_capacity(objects.len());
        for object in objects {
            let before = self.resume.cursor().cloned();
            if self.resume.observe(&object) {
                self.backoff.worked();
            }
            let item = self.item(way, object);
            let position = self.resume.cursor().filter(|now| before.as_ref() != Some(now)).cloned();
            if item.is_some() || position.is_some() {
                deliveries.push(Delivery { position, item });
            }
        }
        deliveries
    }

    fn item(&mut self, way: Way, object: Object) -> Option<Incoming> {
        match object {
            Object::Event(event) => Some(Incoming::Event(event)),
            Object::Gap(gap) => Some(Incoming::Gap(gap)),
            Object::Live(cursor) => Some(Incoming::Live(cursor)),
            Object::Open(open) => {
                self.plan = open.retry;
                let (connection, cursor, replay) = (open.connection, open.cursor, open.replay);
                Some(Incoming::Open(Open { way, connection, cursor, replay }))
            }
            Object::Retry(retry) => {
                self.plan = Some(retry);
                None
            }
            Object::Close(close) => {
                self.close = Some(close);
                None
            }
            Object::Beat(_) | Object::Reply(_) | Object::Unknown => None,
            Object::Subscribed(_) | Object::Unsubscribed(_) => None,
        }
    }

    /// Notes that a connection has ended after it had stood for `lived`, and says what follows.
    pub(crate) fn ended(&mut self, ending: Ending, lived: Duration, random: u64) -> Next {
        let close = self.close.take();
        if lived >= SETTLED_AFTER {
            self.backoff.worked();
        }
        let why = match (ending, close) {
            (Ending::Switched, _) => return Next::Connect,
            // The server's last word explains the end, whatever the network made of it.
            (_, Some(close)) if !comes_back(&close) => return Next::Stop(Error::ended(ended_text(&close))),
            (_, Some(close)) => {
                return self.wait(Error::interrupted(closed_text(&close)), close.retry.map(Hint::Drawn), random);
            }
            (Ending::Failed(why), None) => why,
            (Ending::Finished, None) => Error::interrupted("the connection ended without a word"),
        };
        if !why.is_retryable() {
            return Next::Stop(why);
        }
        let hint = why.retry_after().map(Hint::NotBefore).or(self.plan.take().map(Hint::Drawn));
        self.wait(why, hint, random)
    }

    fn wait(&mut self, why: Error, hint: Option<Hint>, random: u64) -> Next {
        if self.attempts_max.is_some_and(|max| self.backoff.failures() >= max) {
            return Next::Stop(why);
        }
        let after = self.backoff.failed(hint, random);
        Next::Wait(Reconnecting { way: self.way(), attempt: self.backoff.failures(), after, why })
    }
}

/// "4003 and 4009 mean: do not come back" (§2 of the protocol page), and so does `"reconnect":false`.
fn comes_back(close: &Close) -> bool {
    close.reconnect && !matches!(close.code, close_code::FORBIDDEN | close_code::PROTOCOL_ERROR)
}

fn ended_text(close: &Close) -> String {
    format!("the server ended the subscription and asked not to come back: {} ({})", close.reason, close.code)
}

fn closed_text(close: &Close) -> String {
    format!("the server closed the connection: {} ({})", close.reason, close.code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Since;
    use crate::decode::object::decode;
    use crate::problem::Problem;
    use crate::resume::Position;

    const HALF: u64 = 1 << 63;
    const OPEN: &str =
        r#"{"type":"$open","connection":"c","cursor":"e-1","heartbeat_ms":1,"retry_ms":1234,"replay":0}"#;
    const EVENT: &str = r#"{"id":"e-15","channel":"a","data":1}"#;

    fn session() -> Session {
        Session::new(Way::Sse, Resume::new(vec!["a".into()], Position::Since(Since::Start)), None)
    }

    fn receive(session: &mut Session, objects: &[&str]) -> Vec<Delivery> {
        let objects = objects.iter().map(|object| decode((*object).into()).unwrap()).collect();
        session.receive(Way::Sse, objects)
    }

    fn close(code: u16, reconnect: bool, retry_ms: u64) -> String {
        format!(r#"{{"type":"$close","code":{code},"reason":"r","reconnect":{reconnect},"retry_ms":{retry_ms}}}"#)
    }

    fn refused(status: u16, retry_after: Option<u64>) -> Ending {
        Ending::Failed(Error::refused(Problem::from_answer(status, b"", retry_after.map(Duration::from_secs))))
    }

    fn cut() -> Ending {
        Ending::Failed(Error::interrupted("cut"))
    }

    /// The wait in milliseconds, or `None` for the end.
    fn wait(next: Next) -> Option<u128> {
        match next {
            Next::Wait(reconnecting) => Some(reconnecting.after.as_millis()),
            Next::Stop(_) => None,
            Next::Connect => Some(0),
        }
    }

    #[test]
    fn what_follows_an_ending() {
        let closes: Vec<String> = [
            close(1001, true, 700),
            close(4008, true, 0),
            close(1001, false, 700),
            close(4003, true, 700),
            close(4009, true, 700),
            close(4001, true, 9),
        ]
        .into();
        // The objects before the ending, the ending, and the wait in ms when chance lies in the middle.
        let cases: [(&[&str], Ending, Option<u128>); 17] = [
            (&[], cut(), Some(250)),
            (&[OPEN], cut(), Some(1234)),
            (&[OPEN], Ending::Finished, Some(1234)),
            (&[OPEN, EVENT, &closes[0]], Ending::Finished, Some(700)),
            (&[OPEN, &closes[0]], cut(), Some(700)),
            (&[OPEN, &closes[1]], Ending::Finished, Some(0)),
            (&[OPEN, &closes[2]], Ending::Finished, None),
            (&[OPEN, &closes[3]], Ending::Finished, None),
            (&[OPEN, &closes[4]], Ending::Finished, None),
            (&[OPEN, &closes[5]], Ending::Finished, Some(9)),
            (&[], refused(400, None), None),
            (&[], refused(404, Some(1)), None),
            (&[], refused(408, None), Some(250)),
            (&[], refused(429, Some(3)), Some(3250)),
            (&[], refused(503, Some(3)), Some(3250)),
            (&[], refused(500, None), Some(250)),
            (&[], Ending::Failed(Error::protocol("html")), None),
        ];
        for (objects, ending, expected) in cases {
            let mut session = session();
            receive(&mut session, objects);
            let case = format!("{objects:?} {ending:?}");
            assert_eq!(wait(session.ended(ending, Duration::ZERO, HALF)), expected, "{case}");
        }
    }

    #[test]
    fn windows_grow_until_something_works() {
        let mut session = session();
        let mut waits = |objects: &[&str], lived_s: u64| {
            receive(&mut session, objects);
            wait(session.ended(cut(), Duration::from_secs(lived_s), HALF)).unwrap()
        };
        assert_eq!([waits(&[], 0), waits(&[], 0), waits(&[], 4)], [250, 500, 1000]);
        // A connection that opens and dies is no success: it would flap for ever.
        assert_eq!(waits(&[OPEN], 0), 2000);
        assert_eq!(waits(&[EVENT], 0), 250);
        assert_eq!(waits(&[], 0), 500);
        assert_eq!(waits(&[], 5), 250);
        // The plan is for the first attempt after the cut.
        assert_eq!(waits(&[OPEN, EVENT], 5), 1234);
        assert_eq!(waits(&[], 0), 500);
    }

    #[test]
    fn giving_up() {
        let mut session = Session { attempts_max: Some(2), ..session() };
        let ends: Vec<bool> = (0..3).map(|_| wait(session.ended(cut(), Duration::ZERO, HALF)).is_none()).collect();
        assert_eq!(ends, [false, false, true]);
    }

    #[test]
    fn a_change_of_way_connects_at_once_and_keeps_the_position() {
        let mut session = session();
        receive(&mut session, &[OPEN, EVENT]);
        session.switch(Way::WebSocket);
        assert!(matches!(session.ended(Ending::Switched, Duration::ZERO, HALF), Next::Connect));
        assert_eq!((session.way(), session.resume().cursor().unwrap().as_str()), (Way::WebSocket, "e-15"));
    }

    #[test]
    fn a_change_of_way_waits_for_channels_that_are_late() {
        let mut session = session();
        session.switch(Way::WebSocket);
        receive(&mut session, &[EVENT]);
        let since = Since::Start;
        session.receive(
            Way::WebSocket,
            vec![Object::Subscribed(crate::decode::object::Subscribed { channels: vec!["b".into()], since })],
        );
        session.switch(Way::Poll);
        assert_eq!(session.way(), Way::WebSocket);
        receive(&mut session, &[r#"{"type":"$live","cursor":"e-30"}"#]);
        assert_eq!(session.way(), Way::Poll);
    }

    #[test]
    fn what_is_handed_over() {
        let gap = r#"{"type":"$gap","channel":"a","reason":"reset","cursor":"e-2"}"#;
        let beat = r#"{"type":"$beat","time":1,"cursor":"e-30"}"#;
        let live = r#"{"type":"$live","cursor":"e-15"}"#;
        let deliveries = receive(&mut session(), &[OPEN, gap, EVENT, live, beat, beat, &close(1001, true, 1)]);
        let seen: Vec<String> = deliveries
            .iter()
            .map(|delivery| {
                let item = delivery.item.as_ref().map_or("-", |item| match item {
                    Incoming::Open(_) => "open",
                    Incoming::Gap(_) => "gap",
                    Incoming::Event(_) => "event",
                    Incoming::Live(_) => "live",
                    Incoming::Reconnecting(_) => "reconnecting",
                });
                format!("{item} {}", delivery.position.as_ref().map_or("", Cursor::as_str))
            })
            .collect();
        assert_eq!(seen, ["open ", "gap ", "event e-15", "live ", "- e-30"]);
    }
}
