//! What one client says on its WebSocket, and what it is told: the objects of its session, and answers to its commands.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use bongsu_core::command::{Command, Op};
use bongsu_core::control::{Close, Control};
use bongsu_core::event::Encoding;
use bongsu_core::log::Draft;
use bongsu_core::read::From;
use bongsu_core::{ChannelName, ErrorCode, Problem};
use bongsu_hub::{Hub, Published, Wake as _};
use bongsu_wire::publish::Publisher;
use bongsu_wire::websocket::{CloseCode, Event};
use bongsu_wire::{command, framing};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::connections::Entry;
use crate::driver::Reading;
use crate::session::Turn;
use crate::signal::Signal;
use crate::socket::{Outbox, Peer};
use crate::{Context, receipt};

/// One client on a WebSocket.
pub(crate) struct Talk {
    hub: Hub,
    session: Seat,
    signal: Arc<Signal>,
    entry: Entry,
    /// Answers that are still to come, in the order of their commands.
    replies: VecDeque<Reply>,
    replies_max: usize,
    channels_max: usize,
    /// The connection ends with this once `$close` is written.
    ending: Option<(CloseCode, String)>,
}

/// Where the session is.
enum Seat {
    Here(Box<Reading>),
    /// Reading a page from the disk.
    Away(JoinHandle<(Box<Reading>, Turn)>),
    /// Back with what it read.
    Back(Box<Reading>, Turn),
    Gone,
}

/// The answer to one command.
struct Reply {
    reference: Option<String>,
    outcome: Outcome,
}

enum Outcome {
    Known(Result<String, Problem>),
    /// A publish on its way through the sequencer.
    Awaited(oneshot::Receiver<Result<Vec<Published>, Problem>>),
}

impl Peer for Talk {
    fn hear(&mut self, message: Event, _: &mut Outbox) -> Result<(), (CloseCode, String)> {
        let Event::Text(text) = message else {
            return Err((CloseCode::UNSUPPORTED_DATA, "commands are JSON in text frames".into()));
        };
        let reply = match parse(&self.hub, &text, self.channels_max) {
            Ok(Command { reference, op }) => Reply { reference, outcome: self.execute(op) },
            Err((reference, problem)) => Reply { reference, outcome: Outcome::Known(Err(problem)) },
        };
        self.replies.push_back(reply);
        Ok(())
    }

    fn speak(&mut self, out: &mut Outbox) -> Result<(), (CloseCode, String)> {
        if let Some(ending) = self.ending.take() {
            return Err(ending);
        }
        self.reply(out);
        let (mut session, turn) = match std::mem::replace(&mut self.session, Seat::Gone) {
            Seat::Here(mut session) => {
                if let Some(close) = self.entry.take_close() {
                    self.ending = Some(ending(&close));
                    session.session.close(close);
                }
                let turn = session.turn();
                (session, turn)
            }
            Seat::Back(session, turn) => (session, turn),
            away @ Seat::Away(_) => {
                self.session = away;
                return Ok(());
            }
            Seat::Gone => return Err((CloseCode::INTERNAL_ERROR, "a read of the log was cut short".into())),
        };
        match turn {
            Turn::Send(pieces) => pieces.into_iter().for_each(|piece| out.push(piece)),
            Turn::Idle => {}
            Turn::Again => self.signal.wake(),
            Turn::Cold => {
                self.session = Seat::Away(tokio::task::spawn_blocking(move || {
                    let turn = session.turn_cold();
                    (session, turn)
                }));
                return Ok(());
            }
            // Where only payloads are sent there is no `$close` to write first.
            Turn::Ended => {
                let failed = || (CloseCode::INTERNAL_ERROR, "the log cannot be read".into());
                return Err(self.ending.take().unwrap_or_else(failed));
            }
        }
        self.session = Seat::Here(session);
        Ok(())
    }

    fn beat(&mut self, out: &mut Outbox) -> Result<(), (CloseCode, String)> {
        // Read on first: other channels may have moved the head, and the beat tells how far the reader is.
        self.speak(out)?;
        if !out.is_empty() {
            return Ok(());
        }
        let now = self.hub.clock().now();
        if let Some(beat) = self.session.here(|session| session.beat(now)).flatten() {
            out.push(beat);
        }
        Ok(())
    }

    async fn ready(&mut self) {
        let Self { session, replies, signal, .. } = self;
        // Nothing can be read, and no word to end be followed, while the session is away: the wake stays raised until then.
        let here = !matches!(session, Seat::Away(_));
        let reply = async {
            match replies.front_mut() {
                Some(Reply { outcome: outcome @ Outcome::Awaited(_), .. }) => outcome.settle().await,
                Some(_) => {}
                None => pending().await,
            }
        };
        let back = async {
            match session {
                Seat::Away(read) => {
                    *session = match read.await {
                        Ok((back, turn)) => Seat::Back(back, turn),
                        // The read was cut short; the client resumes from what it has.
                        Err(_) => Seat::Gone,
                    }
                }
                _ => pending().await,
            }
        };
        tokio::select! {
            () = reply => {}
            () = back => {}
            () = signal.raised(), if here => {}
        }
    }

    fn has_room(&self, _: usize) -> bool {
        // Messages add to the replies, which are bounded, and never at once to what is written.
        self.replies.len() < self.replies_max && matches!(self.session, Seat::Here(_))
    }
}

impl Talk {
    pub(crate) fn new(context: &Context, session: Reading, signal: Arc<Signal>, entry: Entry) -> Self {
        Self {
            hub: context.hub.clone(),
            session: Seat::Here(Box::new(session)),
            signal,
            entry,
            replies: VecDeque::new(),
            replies_max: context.limits.commands_in_flight_max,
            channels_max: context.limits.channels_per_connection_max,
            ending: None,
        }
    }

    fn execute(&mut self, op: Op) -> Outcome {
        match op {
            Op::Subscribe { channels, since } => Outcome::Known(self.subscribe(&channels, From::Since(since))),
            Op::Unsubscribe { channels } => {
                self.session.here(|session| session.reader.remove(&channels));
                self.note_channels();
                Outcome::Known(Ok(command::channels_answer(&channels, None)))
            }
            Op::Publish(draft) => self.publish(*draft),
        }
    }

    fn subscribe(&mut self, channels: &[ChannelName], from: From) -> Result<String, Problem> {
        let Seat::Here(session) = &mut self.session else {
            return Err(Problem::new(ErrorCode::Internal, "the connection is ending"));
        };
        let mine = session.reader.channels().cloned().collect();
        let all = together(mine, channels, self.channels_max)?;
        let cursor = session.reader.add(channels, from)?;
        self.entry.set_channels(all);
        Ok(command::channels_answer(channels, Some(cursor)))
    }

    fn note_channels(&mut self) {
        if let Seat::Here(session) = &self.session {
            self.entry.set_channels(session.reader.channels().cloned().collect());
        }
    }

    fn publish(&mut self, draft: Draft) -> Outcome {
        let (done, answer) = oneshot::channel();
        let handed = self.hub.publish(vec![draft], move |result| {
            // A client that is gone needs no answer; its event stands.
            let _ = done.send(result);
        });
        match handed {
            Ok(()) => Outcome::Awaited(answer),
            Err(problem) => Outcome::Known(Err(problem)),
        }
    }

    /// Sends the answers that are known, up to the first that is not.
    fn reply(&mut self, out: &mut Outbox) {
        while let Some(Reply { outcome: Outcome::Known(_), .. }) = self.replies.front() {
            let Some(Reply { reference, outcome: Outcome::Known(result) }) = self.replies.pop_front() else { break };
            let control = Control::Reply { reference, result };
            // Answers are told also where the events come as bare payloads: the client asked for them.
            out.push(framing::control_bytes(&control, Encoding::WebSocket).unwrap_or_default());
        }
    }
}

impl Outcome {
    /// Waits until the answer is known.
    async fn settle(&mut self) {
        if let Self::Awaited(answer) = self {
            let known = match answer.await {
                Ok(answer) => published(answer),
                Err(_) => Err(Problem::new(
                    ErrorCode::Internal,
                    "the publish was lost on its way: try again with the same key",
                )),
            };
            *self = Self::Known(known);
        }
    }
}

impl Seat {
    fn here<T>(&mut self, act: impl FnOnce(&mut Reading) -> T) -> Option<T> {
        match self {
            Self::Here(session) => Some(act(session)),
            _ => None,
        }
    }
}

/// The command in a text frame.
pub(crate) fn parse(hub: &Hub, text: &str, channels_max: usize) -> Result<Command, command::Refused> {
    let rules = hub.rules();
    let payload_bytes_max = |channel: &ChannelName| rules.policy(channel).payload_bytes_max;
    // Without authentication all publishers are one.
    let publisher = Publisher { name: &"".into(), user: None, payload_bytes_max: &payload_bytes_max };
    command::parse(text.as_bytes(), &publisher, channels_max)
}

/// All channels of a connection that reads `mine` and adds `more`.
///
/// # Errors
/// They are too many.
pub(crate) fn together(
    mine: Vec<ChannelName>,
    more: &[ChannelName],
    channels_max: usize,
) -> Result<Vec<ChannelName>, Problem> {
    let mut all = mine;
    for channel in more {
        if !all.contains(channel) {
            all.push(channel.clone());
        }
    }
    if all.len() > channels_max {
        let detail = format!("a connection reads at most {channels_max} channels (channels_per_connection_max)");
        return Err(Problem::new(ErrorCode::TooManyChannels, detail));
    }
    Ok(all)
}

/// What the answer to a publish says.
pub(crate) fn published(answer: Result<Vec<Published>, Problem>) -> Result<String, Problem> {
    let published = answer?;
    Ok(published.first().map_or_else(String::new, |published| receipt(published).to_json()))
}

/// The close frame that goes with a `$close`.
pub(crate) fn ending(close: &Close) -> (CloseCode, String) {
    (CloseCode::new(close.code).unwrap_or(CloseCode::INTERNAL_ERROR), close.reason.clone())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Duration;

    use bongsu_core::limits::Limits;
    use bongsu_core::policy::Rules;
    use bongsu_core::read::Way;
    use bongsu_core::{Chance, Clock, Millis};
    use bongsu_hub::Running;
    use bongsu_log::{LogConfig, MemoryLog};

    use super::*;
    use crate::Transports;
    use crate::connections::Call;
    use crate::session::Session;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Millis {
            Millis(1)
        }
    }

    impl Chance for Fixed {
        fn next(&self) -> u64 {
            1
        }
    }

    /// A client that reads a channel without events, and what it depends on.
    async fn talk(query: &str) -> (Talk, Transports, Running) {
        let (rules, limits) = (Arc::new(Rules::default()), Limits::default());
        let log = Arc::new(MemoryLog::new(rules.clone(), LogConfig::default()));
        let (hub, running) = Hub::start(log, rules, &limits, Arc::new(Fixed)).unwrap();
        let transports = Transports::new(hub, limits, Arc::new(Fixed));
        let headers = http::HeaderMap::new();
        let mut read = bongsu_wire::query::read_request("GET", Some("x"), query, &headers, 1).unwrap();
        read.way = Way::WebSocket;
        let signal = Arc::new(Signal::default());
        let entry = transports.context.enter(&read, Call::Task(signal.clone())).unwrap();
        let (reader, replay) = transports.context.reader(&read, &signal).await.unwrap();
        let session = Session::new(&read, entry.id().to_string(), Duration::ZERO, replay);
        let session = Reading { session, reader };
        (Talk::new(&transports.context, session, signal, entry), transports, running)
    }

    #[tokio::test]
    async fn the_end_has_its_code_also_where_only_payloads_are_sent() {
        for query in ["transport=stream", "transport=stream&format=data"] {
            let (mut talk, transports, _running) = talk(query).await;
            let mut out = Outbox::default();
            talk.speak(&mut out).unwrap();
            transports.drain();
            let (code, _) = talk.speak(&mut out).and_then(|()| talk.speak(&mut out)).unwrap_err();
            assert_eq!(Some(code), CloseCode::new(1001), "{query}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_during_a_cold_read_is_heard_after_it() {
        let (mut talk, transports, _running) = talk("transport=stream").await;
        let mut out = Outbox::default();
        talk.speak(&mut out).unwrap();
        let Seat::Here(session) = std::mem::replace(&mut talk.session, Seat::Gone) else { panic!("not here") };
        let (finish, finished) = oneshot::channel::<()>();
        talk.session = Seat::Away(tokio::spawn(async move {
            finished.await.unwrap();
            (session, Turn::Idle)
        }));
        transports.drain();
        std::future::poll_fn(|context| Poll::Ready(pin!(talk.ready()).poll(context).is_ready())).await;
        finish.send(()).unwrap();
        talk.ready().await;
        talk.speak(&mut out).unwrap();
        tokio::time::timeout(Duration::from_secs(60), talk.ready()).await.expect("the wake was lost");
        talk.speak(&mut out).unwrap();
        assert!(talk.speak(&mut out).is_err(), "the connection goes on");
    }
}
