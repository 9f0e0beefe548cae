//! Publishing any number of events over one request: NDJSON up, a receipt per line down.
//!
//! Events that are not answered yet are kept, at most [`UNANSWERED_MAX`] of them. When the connection breaks they are
//! sent again, under the same idempotency keys, before anything new: each is taken once, in order.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::Method;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chance;
use crate::client::Client;
use crate::decode::lines::{LineDecoder, TooLong};
use crate::error::Error;
use crate::net::call::{Body, Call};
use crate::publication::Publication;
use crate::receipt::Receipt;
use crate::retry::Patience;

/// Events that may be under way at a time: enough to keep the server's group commits full.
const UNANSWERED_MAX: usize = 1_000;
/// The same in bytes: with large payloads the number alone would not bound the memory.
const UNANSWERED_BYTES_MAX: usize = 16 << 20;
/// Receipts that may wait for the consumer.
const RECEIPTS_MAX: usize = 64;
/// Lines that may wait for the socket, and answers that may wait for us.
const LINES_MAX: usize = 64;

/// The answers of a streamed publish, in the order of the events: a [`Stream`] made by [`Client::publish_all`].
///
/// An event that the server refused gives an error in its place, and the stream goes on. The stream ends after the last
/// answer, or with an error if the server cannot be reached any more. Dropping it stops the publishing.
#[derive(Debug)]
#[must_use = "dropping it stops the publishing"]
pub struct Receipts {
    receipts: mpsc::Receiver<Result<Receipt, Error>>,
    task: JoinHandle<()>,
}

impl Client {
    /// Publishes everything that `publications` gives, over one request, as fast as the server takes it.
    ///
    /// ```no_run
    /// # async fn example(client: bongsu_client::Client) -> Result<(), bongsu_client::Error> {
    /// use bongsu_client::Publication;
    /// use futures_util::stream::{self, StreamExt as _};
    ///
    /// let numbers = stream::iter(1..=100_000).map(|number| Publication::new("numbers").json(&number));
    /// let mut receipts = client.publish_all(numbers);
    /// while let Some(receipt) = receipts.next().await {
    ///     println!("offset {:?}", receipt?.offset);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn publish_all(&self, publications: impl Stream<Item = Publication> + Send + 'static) -> Receipts {
        let (out, receipts) = mpsc::channel(RECEIPTS_MAX);
        let publisher = Publisher {
            client: self.clone(),
            unanswered: VecDeque::new(),
            unanswered_bytes: 0,
            source_done: false,
            patience: self.patience(),
            due_since: Instant::now(),
            out,
        };
        Receipts { receipts, task: tokio::spawn(publisher.run(publications)) }
    }
}

impl Receipts {
    /// The next answer; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<Receipt, Error>> {
        self.receipts.recv().await
    }
}

impl Stream for Receipts {
    type Item = Result<Receipt, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receipts.poll_recv(context)
    }
}

impl Drop for Receipts {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The state that outlives connections.
struct Publisher {
    client: Client,
    /// Lines without an answer, the oldest first.
    unanswered: VecDeque<Bytes>,
    unanswered_bytes: usize,
    source_done: bool,
    patience: Patience,
    /// Since when an answer is due: the last one came, or the first of these lines was added.
    due_since: Instant,
    out: mpsc::Sender<Result<Receipt, Error>>,
}

/// Why publishing stops before everything is answered.
enum Stop {
    /// The connection is of no use any more; another may be.
    Failed(Error),
    /// Nobody wants the receipts.
    Gone,
}

impl Publisher {
    async fn run(mut self, source: impl Stream<Item = Publication>) {
        let mut source = pin!(source.fuse());
        // Only a consumer that is gone ends it early, and that one cannot be told anything.
        while let Ok(true) = self.wait_for_work(&mut source).await {
            let error = match self.connection(&mut source).await {
                Ok(()) => continue,
                Err(Stop::Gone) => return,
                // A connection without any work on it may end as it likes.
                Err(Stop::Failed(_)) if self.unanswered.is_empty() => continue,
                Err(Stop::Failed(error)) => error,
            };
            let known = self.client.transport().has_answered();
            match self.patience.again(&error, self.due_since.elapsed(), known, chance::random()) {
                Some(wait) => sleep(wait).await,
                None => {
                    let _ = self.out.send(Err(error)).await;
                    return;
                }
            }
        }
    }

    /// Waits until there is something to send; false when there will not be.
    async fn wait_for_work(&mut self, source: &mut (impl Stream<Item = Publication> + Unpin)) -> Result<bool, Stop> {
        while self.unanswered.is_empty() && !self.source_done {
            self.take(source.next().await).await?;
        }
        Ok(!self.unanswered.is_empty())
    }

    /// One request: what is not answered yet, then whatever the source gives, until all is answered.
    async fn connection(&mut self, source: &mut (impl Stream<Item = Publication> + Unpin)) -> Result<(), Stop> {
        let client = self.client.clone();
        let stalled_after = client.transport().bounds.answer_timeout;
        let (body, lines) = mpsc::channel(LINES_MAX);
        let (answers_in, mut answers) = mpsc::channel(LINES_MAX);
        let mut exchange = pin!(exchange(&client, lines, answers_in));
        let mut outcome = None;
        // Dropped when nothing is left to send: that ends the body of the request.
        let mut body = Some(body);
        let mut unsent = self.unanswered.clone();
        let began = Instant::now();
        while !(self.source_done && self.unanswered.is_empty()) {
            if self.source_done && unsent.is_empty() {
                body = None;
            }
            tokio::select! {
                biased;
                answer = answers.recv() => match answer {
                    Some(answer) => self.answered(&answer).await?,
                    None => return Err(Stop::Failed(outcome.flatten().unwrap_or_else(ended_early))),
                },
                ended = &mut exchange, if outcome.is_none() => outcome = Some(ended.err()),
                Some(place) = place(body.as_ref()), if !unsent.is_empty() => {
                    if let Some(line) = unsent.pop_front() {
                        place.send(line);
                    }
                }
                next = source.next(), if self.has_room() && unsent.is_empty() => {
                    unsent.extend(self.take(next).await?);
                }
                () = sleep_until(self.due_since.max(began) + stalled_after), if !self.unanswered.is_empty() => {
                    return Err(Stop::Failed(Error::no_answer(&client.transport().origin, stalled_after)));
                }
            }
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        !self.source_done && self.unanswered.len() < UNANSWERED_MAX && self.unanswered_bytes < UNANSWERED_BYTES_MAX
    }

    /// Takes what the source gave and makes a line of it. One that cannot be sent is told in its place.
    async fn take(&mut self, next: Option<Publication>) -> Result<Option<Bytes>, Stop> {
        let Some(publication) = next else {
            self.source_done = true;
            return Ok(None);
        };
        let line = publication.named().checked().and_then(|publication| encode_line(&publication));
        match line {
            Ok(line) => {
                if self.unanswered.is_empty() {
                    self.due_since = Instant::now();
                }
                self.unanswered_bytes += line.len();
                self.unanswered.push_back(line.clone());
                Ok(Some(line))
            }
            Err(error) => self.out.send(Err(error)).await.map(|()| None).map_err(|_| Stop::Gone),
        }
    }

    async fn answered(&mut self, answer: &[u8]) -> Result<(), Stop> {
        let Some(line) = self.unanswered.front() else {
            return Err(Stop::Failed(Error::protocol("the server answered more events than it was sent")));
        };
        let result = Receipt::from_json(answer);
        if let Err(error) = &result
            && error.is_retryable()
        {
            // The server cannot take this one now: it and all after it are sent again later, so that the order stays.
            return Err(Stop::Failed(error.clone()));
        }
        self.unanswered_bytes -= line.len();
        self.unanswered.pop_front();
        self.patience.worked();
        self.due_since = Instant::now();
        self.out.send(result).await.map_err(|_| Stop::Gone)
    }
}

/// Sends `lines` as the body of one request and passes on the lines of the answer.
async fn exchange(client: &Client, lines: mpsc::Receiver<Bytes>, answers: mpsc::Sender<Bytes>) -> Result<(), Error> {
    let transport = client.transport();
    let call = Call::new(Method::POST, &["v1", "events"]).static_header("content-type", "application/x-ndjson");
    let call = call.static_header("accept", "application/x-ndjson");
    let mut open = transport.open_with(&call, body_of(lines)).await?;
    if open.response.status() != 200 {
        return Err(transport.collect(open.response).await?.into_error());
    }
    let mut decoder = LineDecoder::new(client.object_bytes_max());
    // A wait without an answer is bounded by the sender, who knows whether one is due.
    while let Some(piece) = transport.next_piece_whenever(open.response.body_mut()).await? {
        let mut whole = Vec::new();
        let pushed = decoder.push(&piece, |line| whole.push(Bytes::copy_from_slice(line)));
        pushed.map_err(|TooLong { bytes_max }| Error::too_large(bytes_max))?;
        for line in whole {
            if answers.send(line).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn body_of(lines: mpsc::Receiver<Bytes>) -> Body {
    let frames = stream::unfold(lines, |mut lines| async move {
        let line = lines.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(line)), lines))
    });
    StreamBody::new(frames).boxed_unsync()
}

fn ended_early() -> Error {
    Error::interrupted("the server ended its answer before the last event")
}

/// A place in the body; none when it is ended, or the request is over.
async fn place(body: Option<&mpsc::Sender<Bytes>>) -> Option<mpsc::Permit<'_, Bytes>> {
    body?.reserve().await.ok()
}

fn encode_line(publication: &Publication) -> Result<Bytes, Error> {
    let mut line = serde_json::to_vec(publication)
        .map_err(|error| Error::usage(format!("that publication cannot be written as JSON: {error}")))?;
    // Within strings a line break is always escaped: one that is not is white space of a payload that was written over
    // several lines.
    line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    line.push(b'\n');
    Ok(line.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        let publication = Publication::new("a").json_text("{\n  \"a\": \"x\\ny\"\r\n}");
        assert_eq!(encode_line(&publication).unwrap(), &b"{\"channel\":\"a\",\"data\":{   \"a\": \"x\\ny\"  }}\n"[..]);
    }
}
