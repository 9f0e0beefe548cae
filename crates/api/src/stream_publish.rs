//! Publishing a stream of lines (NDJSON): each is answered by a line, in order, while later ones still arrive.
//!
//! Nothing runs beside the answer: when hyper has room for more of it, it pulls, and [`Lines`] then reads more of the
//! request. A client that does not read its answers is not read from either. Where the hub has no room, the stream waits
//! instead of refusing. If the client goes away, the lines that have arrived whole are still published.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bongsu_core::{ErrorCode, Problem, limits};
use bongsu_wire::publish::{Line, LineDecoder, PublishItem, line};
use bongsu_wire::receipt::PublishResult;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::problem::Answer;
use crate::publish::{self, Pending};
use crate::{App, body};

/// The most events of one stream that the hub may have unanswered: some batches' worth.
const EVENTS_IN_FLIGHT_MAX: usize = 1_024;
/// The same in bytes of payload, so that no stream takes what is meant for all.
const BYTES_IN_FLIGHT_MAX: usize = 4 << 20;
/// How long to wait when the hub has no room and nothing of this stream's own is on its way.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// Answers the request with a line per line of `body`.
pub(crate) async fn answer(app: App, headers: &HeaderMap, mut body: Body) -> Answer {
    let mut lines = LineDecoder::new(app.limits.body_bytes_max);
    // Reading before the head of the answer goes out is what lets hyper send `100 Continue` to who waits for it. Others
    // get the head at once: they may wait for it before they send anything.
    if headers.contains_key(header::EXPECT) {
        let first = body::next_until(&mut body, Instant::now() + body::BODY_PAUSE_MAX).await?;
        lines.push(first.unwrap_or_default());
    }
    let draining = app.draining.clone();
    let state = Lines { app, body: Some(body), lines, draining, held: None, unanswered: VecDeque::new(), bytes: 0 };
    let answers = stream::unfold(Answers(Some(state)), |mut answers| async move {
        let bytes = answers.0.as_mut()?.next().await?;
        Some((Ok::<_, Infallible>(bytes), answers))
    });
    Ok(respond(Body::from_stream(answers)))
}

/// The stream while somebody listens. When nobody does any more, the rest of the lines is published all the same.
struct Answers(Option<Lines>);

impl Drop for Answers {
    fn drop(&mut self) {
        if let (Some(mut lines), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            // It ends with the request, and that with its connection.
            runtime.spawn(async move { while lines.next().await.is_some() {} });
        }
    }
}

fn respond(body: Body) -> Response {
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
        // nginx buffers whole answers unless it is told not to.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (head, body).into_response()
}

/// One stream, between the lines that come in and the answers that go out.
struct Lines {
    app: App,
    /// What is still to be read; none after its end.
    body: Option<Body>,
    lines: LineDecoder,
    draining: watch::Receiver<bool>,
    /// An event that the hub had no room for.
    held: Option<PublishItem>,
    /// In the order of the lines.
    unanswered: VecDeque<Unanswered>,
    /// Bytes of payload in `unanswered`.
    bytes: usize,
}

/// A line that was read.
struct Unanswered {
    answer: LineAnswer,
    /// Bytes of payload that wait for it.
    bytes: usize,
}

enum LineAnswer {
    Known(PublishResult),
    /// With whether the channels came as a list.
    Pending(Pending, bool),
}

/// What [`Lines::next`] has waited for.
enum Woken {
    Answer,
    Piece(Result<Option<Bytes>, Problem>),
    Draining,
    Idle,
}

impl Lines {
    /// The next answers; `None` when all lines are answered.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.hand_over_lines();
            let answers = self.take_answers();
            if !answers.is_empty() {
                return Some(answers);
            }
            if self.held.is_some() && self.unanswered.is_empty() {
                sleep(FULL_PAUSE).await;
                continue;
            }
            if self.body.is_none() && self.unanswered.is_empty() {
                return None;
            }
            match self.wait().await {
                Woken::Answer => {}
                Woken::Piece(piece) => self.take_piece(piece),
                Woken::Draining => self.end_with(draining()),
                // An empty line says nothing to the client, but finds out in time that there is none any more, and keeps
                // proxies from cutting the connection.
                Woken::Idle => return Some(Bytes::from_static(b"\n")),
            }
        }
    }

    /// Waits for the oldest answer, or for more lines where there is room for them.
    async fn wait(&mut self) -> Woken {
        let room = self.has_room();
        let Self { app, body, draining, unanswered, .. } = self;
        let (mut oldest, mut body) = (unanswered.front_mut(), body.as_mut().filter(|_| room));
        let (waits, reads) = (oldest.is_some(), body.is_some());
        let answer = async {
            match &mut oldest {
                Some(oldest) => oldest.settle(app).await,
                None => pending().await,
            }
        };
        let piece = async {
            match &mut body {
                Some(body) => body::next(body).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = answer => Woken::Answer,
            piece = piece => Woken::Piece(piece),
            true = async { draining.wait_for(|draining| *draining).await.is_ok() }, if reads => Woken::Draining,
            () = sleep(limits::HEARTBEAT_DEFAULT), if !waits => Woken::Idle,
        }
    }

    fn has_room(&self) -> bool {
        self.held.is_none() && self.unanswered.len() < EVENTS_IN_FLIGHT_MAX && self.bytes < BYTES_IN_FLIGHT_MAX
    }

    /// Hands over the lines that are whole, as long as there is room.
    fn hand_over_lines(&mut self) {
        if let Some(item) = self.held.take() {
            self.hand_over(item);
        }
        while self.has_room() {
            let next = if self.body.is_some() { self.lines.next_line() } else { self.lines.finish() };
            match next {
                Ok(None) => return,
                Ok(Some(Line::Text(text))) => {
                    match publish::with_publisher(&self.app, |publisher| line(publisher, &text)) {
                        Ok(item) => self.hand_over(item),
                        Err(problem) => self.refuse(problem),
                    }
                }
                Ok(Some(Line::TooLong(problem))) => self.refuse(problem),
                Err(problem) => return self.end_with(problem),
            }
        }
    }

    fn hand_over(&mut self, item: PublishItem) {
        let bytes = item.drafts.iter().map(|draft| draft.payload.bytes.len()).sum();
        // A copy shares what it holds; the original is for another try.
        match Pending::hand_over(&self.app, item.drafts.clone()) {
            Ok(pending) => {
                self.bytes += bytes;
                self.unanswered.push_back(Unanswered { answer: LineAnswer::Pending(pending, item.multi), bytes });
            }
            Err(problem) if problem.code == ErrorCode::Overloaded => self.held = Some(item),
            Err(problem) => self.refuse(problem),
        }
    }

    fn refuse(&mut self, problem: Problem) {
        let answer = LineAnswer::Known(PublishResult::Refused(problem));
        self.unanswered.push_back(Unanswered { answer, bytes: 0 });
    }

    fn take_piece(&mut self, piece: Result<Option<Bytes>, Problem>) {
        match piece {
            Ok(Some(piece)) => self.lines.push(piece),
            Ok(None) => self.body = None,
            Err(problem) => self.end_with(problem),
        }
    }

    /// Reads no more. `problem` is the answer to the first line that was not read.
    fn end_with(&mut self, problem: Problem) {
        self.body = None;
        self.lines = LineDecoder::new(0);
        self.held = None;
        self.refuse(problem);
    }

    /// The answers that are there, as far as they are in order.
    fn take_answers(&mut self) -> Bytes {
        let mut out = String::new();
        while let Some(oldest) = self.unanswered.front_mut() {
            let Some(result) = oldest.known(&self.app) else { break };
            out.push_str(&result.to_json());
            out.push('\n');
            self.bytes -= oldest.bytes;
            self.unanswered.pop_front();
        }
        out.into()
    }
}

impl Unanswered {
    /// Waits until the answer is known. May be dropped at any time without a loss.
    async fn settle(&mut self, app: &App) {
        if let LineAnswer::Pending(pending, multi) = &mut self.answer {
            self.answer = LineAnswer::Known(publish::result(pending.wait(app).await, *multi));
        }
    }

    /// The answer, if it is there.
    fn known(&mut self, app: &App) -> Option<&PublishResult> {
        if let LineAnswer::Pending(pending, multi) = &mut self.answer {
            self.answer = LineAnswer::Known(publish::result(pending.answer_now(app)?, *multi));
        }
        match &self.answer {
            LineAnswer::Known(result) => Some(result),
            LineAnswer::Pending(..) => None,
        }
    }
}

fn draining() -> Problem {
    let detail = "this line and those after it were not read because the server is shutting down";
    Problem::new(ErrorCode::Draining, detail).retry_after(Duration::from_secs(1))
}
