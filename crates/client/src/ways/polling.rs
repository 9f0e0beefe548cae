//! Interval polling and long polling: a request, an answer, and again from the answer's cursor.

use std::sync::Arc;
use std::time::Duration;

use bongsu_core::limits::{POLL_EVENTS_DEFAULT, WAIT_DEFAULT};
use bongsu_core::read::Way;
use tokio::time::{Instant, sleep_until};

use super::request::read_call;
use super::{Reading, no_object};
use crate::cursor::{Cursor, Since};
use crate::decode::answer::{PollAnswer, decode_answer};
use crate::decode::object::{Object, Opened};
use crate::error::Error;
use crate::net::transport::Transport;
use crate::resume::{Position, Resume};

/// How long to wait between polls when neither the caller nor the server says.
const INTERVAL: Duration = Duration::from_secs(2);
/// A long poll that is answered empty faster than this was not held: something in between does not let it wait.
const HELD_AT_LEAST: Duration = Duration::from_secs(1);

/// Reads by one request after another, on kept connections.
pub(crate) struct Polling {
    transport: Arc<Transport>,
    reading: Reading,
    way: Way,
    channels: Vec<String>,
    position: Position,
    /// When the next request is due.
    due: Instant,
    /// The first answer has come.
    opened: bool,
    /// An answer has come that left nothing to read.
    live: bool,
}

/// How a request ended.
enum Answered {
    Something(PollAnswer),
    NothingNew,
    TooLarge,
}

impl Polling {
    /// Reads by `way` from where `resume` stands. The first request is due at once.
    pub(super) fn new(transport: Arc<Transport>, reading: Arc<Reading>, way: Way, resume: &Resume) -> Self {
        let (channels, position) = (resume.channels().to_vec(), resume.position().clone());
        let reading = Reading::clone(&reading);
        Self { transport, reading, way, channels, position, due: Instant::now(), opened: false, live: false }
    }

    /// Asks when it is due, until there is something to hand over.
    pub(super) async fn next(&mut self) -> Result<Vec<Object>, Error> {
        loop {
            sleep_until(self.due).await;
            let (way, asked) = (self.way_now(), Instant::now());
            let answered = self.ask(way).await?;
            let objects = self.take(way, asked, answered)?;
            if !objects.is_empty() {
                return Ok(objects);
            }
        }
    }

    /// A long poll must know where it stands before it waits: if the server were gone when the first event comes, "now"
    /// would mean the time after. So it polls without waiting until there is nothing more to read, which also tells at
    /// once that the connection works.
    fn way_now(&self) -> Way {
        if self.live { self.way } else { Way::Poll }
    }

    async fn ask(&self, way: Way) -> Result<Answered, Error> {
        let call = read_call(&self.reading, way, &self.channels, &self.position)?;
        let held = match way {
            Way::LongPoll => self.reading.wait.unwrap_or(WAIT_DEFAULT),
            _ => Duration::ZERO,
        };
        let answer = match self.transport.exchange(&call, held).await {
            Ok(answer) => answer,
            Err(error) if error.is_too_large() => return Ok(Answered::TooLarge),
            Err(error) => return Err(error),
        };
        match answer.status {
            200 => decode_answer(&answer.body).map(Answered::Something).map_err(|why| no_object(&why)),
            304 => Ok(Answered::NothingNew),
            _ => Err(answer.into_error()),
        }
    }

    /// Notes an answer, sets the time of the next request, and puts the answer as objects.
    fn take(&mut self, way: Way, asked: Instant, answered: Answered) -> Result<Vec<Object>, Error> {
        let now = Instant::now();
        let mut objects = Vec::new();
        let (more, retry, empty) = match answered {
            Answered::TooLarge => {
                self.ask_for_less()?;
                self.due = now;
                return Ok(objects);
            }
            Answered::NothingNew => (false, None, true),
            Answered::Something(answer) => {
                if !std::mem::replace(&mut self.opened, true) {
                    objects.push(opened());
                }
                let summary = (answer.more, answer.retry, answer.objects.is_empty());
                objects.extend(answer.objects);
                self.move_to(answer.cursor, &mut objects);
                summary
            }
        };
        self.tell_live(more, &mut objects);
        let quick = empty && now - asked < HELD_AT_LEAST;
        // The polls that only found out where a long poll stands are followed by it at once.
        let pause =
            if way == self.way { pause(way, more, quick, retry, self.reading.interval) } else { Duration::ZERO };
        self.due = now + pause;
        Ok(objects)
    }

    /// The cursor of an answer is a position like that of a `$beat`: everything up to it has been handed over.
    fn move_to(&mut self, cursor: Cursor, objects: &mut Vec<Object>) {
        let position = Position::Since(Since::At(cursor.clone()));
        if self.position != position {
            self.position = position;
            objects.push(Object::Beat(cursor));
        }
    }

    fn tell_live(&mut self, more: bool, objects: &mut Vec<Object>) {
        if let Position::Since(Since::At(cursor)) = &self.position
            && !more
            && !std::mem::replace(&mut self.live, true)
        {
            if !std::mem::replace(&mut self.opened, true) {
                objects.push(opened());
            }
            objects.push(Object::Live(cursor.clone()));
        }
    }

    /// An answer of a hundred large events may be more than this client takes, though each of them is not.
    fn ask_for_less(&mut self) -> Result<(), Error> {
        let limit = self.reading.limit.unwrap_or(POLL_EVENTS_DEFAULT as u32);
        if limit <= 1 {
            return Err(Error::too_large(self.transport.bounds.answer_bytes_max));
        }
        self.reading.limit = Some(limit / 2);
        Ok(())
    }
}

/// The first answer, as the streaming ways would begin.
fn opened() -> Object {
    Object::Open(Opened { connection: None, cursor: None, heartbeat: None, retry: None, replay: None })
}

/// How long to wait before the next request.
fn pause(way: Way, more: bool, quick: bool, server: Option<Duration>, caller: Option<Duration>) -> Duration {
    match way {
        _ if more => Duration::ZERO,
        Way::LongPoll if quick => server.or(caller).unwrap_or(INTERVAL),
        Way::LongPoll => server.unwrap_or(Duration::ZERO),
        _ => caller.or(server).unwrap_or(INTERVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses() {
        let ms = |ms| Some(Duration::from_millis(ms));
        // The way, `more`, an empty answer at once, the server's wish, the caller's; the pause in ms.
        let cases = [
            (Way::Poll, false, true, None, None, 2000),
            (Way::Poll, false, true, ms(700), None, 700),
            (Way::Poll, false, false, ms(700), ms(300), 300),
            (Way::Poll, true, false, ms(700), ms(300), 0),
            (Way::LongPoll, false, false, None, None, 0),
            (Way::LongPoll, false, false, None, ms(300), 0),
            (Way::LongPoll, false, false, ms(700), None, 700),
            (Way::LongPoll, true, false, ms(700), None, 0),
            // Guards against asking as fast as the network allows when a proxy drops `Prefer`.
            (Way::LongPoll, false, true, None, None, 2000),
            (Way::LongPoll, false, true, None, ms(300), 300),
            (Way::LongPoll, false, true, ms(700), ms(300), 700),
        ];
        for (way, more, quick, server, caller, expected) in cases {
            let case = format!("{way:?} {more} {quick} {server:?} {caller:?}");
            assert_eq!(pause(way, more, quick, server, caller).as_millis(), expected, "{case}");
        }
    }
}
