//! Reading: what is asked for, and the stream of what comes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bongsu_core::read::Way;
use futures_util::Stream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::command::Commands;
use crate::cursor::{Cursor, Since};
use crate::driver::{BATCHES_MAX, Driver};
use crate::error::Error;
use crate::incoming::Incoming;
use crate::resume::{Position, Resume};
use crate::session::{Delivery, Session};
use crate::ways::Reading;

/// Commands that may wait to be sent.
const COMMANDS_QUEUED_MAX: usize = 16;

/// What to read, made by [`Client::subscribe`]. [`Subscribe::open`] begins.
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `open`"]
pub struct Subscribe {
    client: Client,
    channels: Vec<String>,
    way: Way,
    position: Position,
    attempts_max: Option<u32>,
    reading: Reading,
}

impl Subscribe {
    pub(crate) fn new(client: Client, channels: Vec<String>) -> Self {
        let reading = Reading { object_bytes_max: client.object_bytes_max(), ..Reading::default() };
        let position = Position::Since(Since::default());
        Self { client, channels, way: Way::Sse, position, attempts_max: None, reading }
    }

    /// By which of the five ways; [`Way::Sse`] unless said. The events are the same on all.
    pub fn way(mut self, way: Way) -> Self {
        self.way = way;
        self
    }

    /// Begins at a cursor, at the oldest event kept ([`Since::Start`]) or with what comes from now on ([`Since::Now`],
    /// the default).
    pub fn since(mut self, since: impl Into<Since>) -> Self {
        self.position = Position::Since(since.into());
        self
    }

    /// Begins with the newest `count` events of each channel (1 to 1,000), instead of [`Subscribe::since`].
    pub fn last(mut self, count: u32) -> Self {
        self.position = Position::Last(count);
        self
    }

    /// Only events of these types. `message` stands for events without a type.
    pub fn types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.reading.types = types.into_iter().map(Into::into).collect();
        self
    }

    /// How often the server sends at least something on the streaming ways: whole seconds, 5 to 300. After two of them
    /// without a byte the client takes the server for dead and reconnects.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.reading.heartbeat = Some(heartbeat);
        self
    }

    /// How long to wait between two polls, instead of what the server asks for.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.reading.interval = Some(interval);
        self
    }

    /// How long a long poll waits for an event: whole seconds, 1 to 60; 25 unless said.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.reading.wait = Some(wait);
        self
    }

    /// The most events of one answer of the polling ways, 1 to 1,000.
    pub fn limit(mut self, limit: u32) -> Self {
        self.reading.limit = Some(limit);
        self
    }

    /// Ends the subscription with the error after so many failed attempts in a row, instead of trying for ever.
    pub fn give_up_after(mut self, attempts: u32) -> Self {
        self.attempts_max = Some(attempts);
        self
    }

    /// Begins to read.
    ///
    /// What cannot be right, or is refused by the server, comes as the stream's last item.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open(self) -> Subscription {
        let (out, batches) = mpsc::channel(BATCHES_MAX);
        let (want, wanted) = watch::channel(self.way);
        let (command, commands) = mpsc::channel(COMMANDS_QUEUED_MAX);
        let resume = Resume::new(self.channels, self.position);
        let position = resume.cursor().cloned();
        let driver = Driver {
            transport: self.client.transport().clone(),
            reading: Arc::new(self.reading),
            session: Session::new(self.way, resume, self.attempts_max),
            out,
            wanted,
            commands,
        };
        Subscription {
            batches,
            ready: VecDeque::new(),
            position,
            want,
            commands: Commands::new(command),
            task: tokio::spawn(driver.run()),
            over: false,
        }
    }
}

/// A running subscription: a [`Stream`] of [`Incoming`].
///
/// It reconnects by itself and resumes where it was: each event comes exactly once, in the order of the log, or an
/// [`Incoming::Gap`] tells that some are lost. An error is the last item: it is something that reconnecting cannot mend.
///
/// Dropping it closes the connection.
#[derive(Debug)]
#[must_use = "dropping it closes the connection"]
pub struct Subscription {
    batches: mpsc::Receiver<Result<Vec<Delivery>, Error>>,
    ready: VecDeque<Delivery>,
    position: Option<Cursor>,
    want: watch::Sender<Way>,
    commands: Commands,
    task: JoinHandle<()>,
    over: bool,
}

impl Subscription {
    /// The next item; `None` when the subscription is over.
    ///
    /// Nothing is lost if this is cancelled.
    pub async fn next(&mut self) -> Option<Result<Incoming, Error>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next event, passing over everything else, gaps too.
    ///
    /// # Errors
    /// The subscription is over.
    pub async fn next_event(&mut self) -> Result<crate::Event, Error> {
        loop {
            match self.next().await {
                Some(Ok(Incoming::Event(event))) => return Ok(event),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(Error::ended("the subscription is over")),
            }
        }
    }

    /// The position after everything that was taken from the stream so far: a later subscription with
    /// [`Subscribe::since`] this goes on without loss. `None` before anything came.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.position.as_ref()
    }

    /// Goes on by another way, at once and from the same position. What was received already is still handed over.
    pub fn switch(&self, way: Way) {
        self.want.send_if_modified(|wanted| std::mem::replace(wanted, way) != way);
    }

    /// The way that was asked for last.
    #[must_use]
    pub fn way(&self) -> Way {
        *self.want.borrow()
    }

    /// A handle to talk back, for the WebSocket way.
    #[must_use]
    pub fn commands(&self) -> Commands {
        self.commands.clone()
    }

    fn hand_over(&mut self, delivery: Delivery) -> Option<Incoming> {
        if delivery.position.is_some() {
            self.position = delivery.position;
        }
        delivery.item
    }
}

impl Stream for Subscription {
    type Item = Result<Incoming, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            while let Some(delivery) = self.ready.pop_front() {
                if let Some(item) = self.hand_over(delivery) {
                    return Poll::Ready(Some(Ok(item)));
                }
            }
            if self.over {
                return Poll::Ready(None);
            }
            match std::task::ready!(self.batches.poll_recv(context)) {
                Some(Ok(batch)) => self.ready = batch.into(),
                Some(Err(error)) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.over = true,
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // The task owns the connection.
        self.task.abort();
    }
}
