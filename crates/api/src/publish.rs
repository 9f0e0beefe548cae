//! Publishing: from a request to the hub and back.
//!
//! What a body means is `bongsu-wire`'s business, what becomes of the events the hub's. What has arrived whole is
//! published, whether or not the client waits for the answer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bongsu_core::log::Draft;
use bongsu_core::{ChannelName, ErrorCode, Problem};
use bongsu_hub::Published;
use bongsu_wire::publish::{Events, EventsBody, PublishItem, Publisher, channel_body, events_body};
use bongsu_wire::receipt::{PublishResult, Receipt, Results, to_json};
use http::{HeaderValue, header};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::body::{self, Bound};
use crate::problem::Answer;
use crate::{App, path, stream_publish};

/// What the hub answers to one publish.
type Given = Result<Vec<Published>, Problem>;

/// `POST /v1/channels/{channel}`: the body is the payload.
pub(crate) async fn to_channel(State(app): State<App>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    let bound = payload_bound(&app, &path::channel(&head.uri)?);
    let body = body::whole(&head.headers, body, bound).await?;
    let draft = with_publisher(&app, |publisher| {
        channel_body(publisher, path::channel_segment(&head.uri), query, &head.headers, body)
    })?;
    let item = PublishItem { drafts: vec![draft], multi: false };
    Ok(json(one(&app, item).await?))
}

/// How large the body of a publish to the channel may be.
pub(crate) fn payload_bound(app: &App, channel: &ChannelName) -> Bound {
    let payload = app.hub.rules().policy(channel).payload_bytes_max;
    let body = app.limits.body_bytes_max;
    if payload <= body {
        Bound { bytes_max: payload, option: "payload_bytes_max" }
    } else {
        Bound { bytes_max: body, option: "body_bytes_max" }
    }
}

/// `POST /v1/events`: the body says everything, about one event or many.
pub(crate) async fn to_events(State(app): State<App>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let form = EventsBody::of_request(head.uri.query().unwrap_or_default(), &head.headers)?;
    if form.is_ndjson() {
        return stream_publish::answer(app, &head.headers, body).await;
    }
    let bound = Bound { bytes_max: app.limits.body_bytes_max, option: "body_bytes_max" };
    let body = body::whole(&head.headers, body, bound).await?;
    let events = with_publisher(&app, |publisher| events_body(publisher, form, &head.headers, body))?;
    let text = match events {
        Events::One(item) => one(&app, item).await?,
        Events::Many(items) => to_json(&many(&app, items).await),
    };
    Ok(json(text))
}

/// One event: that it is refused is the whole answer.
async fn one(app: &App, item: PublishItem) -> Result<String, Problem> {
    let published = Pending::hand_over(app, item.drafts)?.wait(app).await?;
    Ok(taken(published, item.multi).to_json())
}

/// A list: each is answered by itself. All are handed over before the first answer is waited for, so that they share
/// batches, and so syncs, of the log.
async fn many(app: &App, items: Vec<Result<PublishItem, Problem>>) -> Results {
    let handed: Vec<Result<_, Problem>> = items
        .into_iter()
        .map(|item| {
            let item = item?;
            Ok((Pending::hand_over(app, item.drafts)?, item.multi))
        })
        .collect();
    let mut results = Vec::with_capacity(handed.len());
    for item in handed {
        results.push(match item {
            Ok((mut pending, multi)) => result(pending.wait(app).await, multi),
            Err(problem) => PublishResult::Refused(problem),
        });
    }
    Results { results }
}

/// The answer to one element of a list.
pub(crate) fn result(given: Given, multi: bool) -> PublishResult {
    match given {
        Ok(published) => taken(published, multi),
        Err(problem) => PublishResult::Refused(problem),
    }
}

fn taken(published: Vec<Published>, multi: bool) -> PublishResult {
    let mut receipts = published.into_iter().map(receipt);
    match receipts.next() {
        Some(only) if !multi => PublishResult::Taken(only),
        first => {
            let results = first.into_iter().chain(receipts).map(PublishResult::Taken).collect();
            PublishResult::TakenByAll(Results { results })
        }
    }
}

fn receipt(published: Published) -> Receipt {
    let Published { channel, id, offset, subscribers, duplicate } = published;
    Receipt { id, channel, offset, subscribers, duplicate }
}

/// Calls `read` with who publishes: in open mode nobody in particular.
pub(crate) fn with_publisher<T>(app: &App, read: impl FnOnce(&Publisher<'_>) -> T) -> T {
    let nobody: Arc<str> = app.0.nobody.clone();
    let payload_bytes_max = |channel: &_| app.hub.rules().policy(channel).payload_bytes_max;
    read(&Publisher { name: &nobody, user: None, payload_bytes_max: &payload_bytes_max })
}

/// A publish that the hub has and has not answered yet. Dropping it takes nothing back.
pub(crate) struct Pending {
    since: Instant,
    answer: oneshot::Receiver<Given>,
}

impl Pending {
    /// Hands over `drafts`, which are taken all or none.
    ///
    /// # Errors
    /// The hub takes no more now.
    pub(crate) fn hand_over(app: &App, drafts: Vec<Draft>) -> Result<Self, Problem> {
        let (done, answer) = callback();
        app.hub.publish(drafts, done)?;
        Ok(Self { since: Instant::now(), answer })
    }

    /// Waits for the answer. May be dropped at any time without a loss; not to be called again after it has answered.
    pub(crate) async fn wait(&mut self, app: &App) -> Given {
        let given = answered(&mut self.answer).await;
        self.note(app);
        given
    }

    /// The answer, if it is there.
    pub(crate) fn answer_now(&mut self, app: &App) -> Option<Given> {
        let given = match self.answer.try_recv() {
            Ok(given) => given,
            Err(oneshot::error::TryRecvError::Empty) => return None,
            Err(oneshot::error::TryRecvError::Closed) => Err(sequencer_ended()),
        };
        self.note(app);
        Some(given)
    }

    fn note(&self, app: &App) {
        app.0.requests.publishes.add(self.since.elapsed());
    }
}

/// A callback for the hub, and where its answer arrives.
pub(crate) fn callback() -> (impl FnOnce(Given) + Send + 'static, oneshot::Receiver<Given>) {
    let (sender, receiver) = oneshot::channel();
    let done = move |given| {
        // Nobody may be waiting any more: the event was taken all the same.
        let _ = sender.send(given);
    };
    (done, receiver)
}

/// Waits for the hub's answer.
pub(crate) async fn answered(answer: &mut oneshot::Receiver<Given>) -> Given {
    answer.await.unwrap_or_else(|_| Err(sequencer_ended()))
}

fn sequencer_ended() -> Problem {
    Problem::new(ErrorCode::Internal, "the sequencer has stopped after a mistake in the server")
        .hint("whether the event was taken is not known; with an `Idempotency-Key` a retry is harmless")
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}
