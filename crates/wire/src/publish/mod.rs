//! What publishers say: bodies and headers to [`Draft`]s.
//!
//! Two addresses take events. On `/v1/channels/{channel}` the body is the payload ([`channel_body`]); on `/v1/events`
//! the body says all about one event or many ([`EventsBody`], [`events_body`], [`line()`] for NDJSON). CloudEvents come in
//! all their modes. This module must not know who may publish where.

mod channel;
mod cloudevents;
mod events;
mod lines;
mod payload;

use std::sync::Arc;
use std::time::Duration;

use bongsu_core::event::BadLabel;
use bongsu_core::limits::{IDEMPOTENCY_KEY_BYTES_MAX, TTL_SECONDS_MAX};
use bongsu_core::log::{Draft, Idempotency};
use bongsu_core::{ChannelName, ErrorCode, EventKey, EventType, Payload, Problem, UserId};

pub use self::channel::channel_body;
pub use self::events::{Events, EventsBody, events_body, line};
pub(crate) use self::events::{channels, command};
pub use self::lines::{Line, LineDecoder};
use crate::HeaderLookup;
use crate::fields::Fields;
use crate::query::event_type;

/// The most channels that one event can be published to at once: they are taken all or none, in one piece.
pub const CHANNELS_PER_EVENT_MAX: usize = 100;

/// Who publishes, and how much he may say.
#[derive(Clone, Copy)]
pub struct Publisher<'a> {
    /// Whose idempotency keys they are; empty in open mode.
    pub name: &'a Arc<str>,
    /// The user, if it is a client and not a backend.
    pub user: Option<&'a UserId>,
    /// The largest payload of a channel, in bytes.
    pub payload_bytes_max: &'a dyn Fn(&ChannelName) -> usize,
}

/// One event, for one channel or for several that take it all or none.
#[derive(Clone, Debug)]
pub struct PublishItem {
    /// One draft per channel; at least one.
    pub drafts: Vec<Draft>,
    /// Whether the channels came as a list, so that the answer is a list, too.
    pub multi: bool,
}

/// Everything about an event but where it goes and what it holds.
#[derive(Clone, Debug, Default)]
struct About {
    kind: Option<EventType>,
    key: Option<EventKey>,
    ttl: Option<Duration>,
    /// `store=false` was said.
    live_only: bool,
    idempotency_key: Option<Arc<str>>,
}

impl About {
    fn draft(&self, publisher: &Publisher<'_>, channel: ChannelName, payload: Payload) -> Draft {
        let named = |key: &Arc<str>| Idempotency { publisher: Arc::clone(publisher.name), key: Arc::clone(key) };
        Draft {
            channel,
            kind: self.kind.clone(),
            key: self.key.clone(),
            user: publisher.user.cloned(),
            ttl: self.ttl,
            store: !self.live_only,
            payload,
            idempotency: self.idempotency_key.as_ref().map(named),
            // Counted by the hub when the event is taken.
            subscribers: 0,
        }
    }
}

/// The type of an event; `code` says whether it is a parameter or a field.
fn kind(name: &str, text: &str, code: ErrorCode) -> Result<Option<EventType>, Problem> {
    event_type(text).map_err(|why| bad_label(name, why, code))
}

fn key(name: &str, text: &str, code: ErrorCode) -> Result<EventKey, Problem> {
    EventKey::new(text).map_err(|why| bad_label(name, why, code))
}

fn bad_label(name: &str, why: BadLabel, code: ErrorCode) -> Problem {
    let code = if why == BadLabel::Reserved { ErrorCode::Reserved } else { code };
    Problem::new(code, format!("`{name}` {why}"))
}

/// A key that makes a retry harmless.
fn idempotency_key(name: &str, text: &str, code: ErrorCode) -> Result<Arc<str>, Problem> {
    let problem = |detail: String| Problem::new(code, detail).hint("Use a random identifier, new for each publish.");
    if text.is_empty() || text.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let bytes = text.len();
        return Err(problem(format!(
            "`{name}` has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes of UTF-8; this one has {bytes}"
        )));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(bad) => Err(problem(format!("`{name}` cannot contain the control character {bad:?}"))),
        None => Ok(text.into()),
    }
}

/// The `Idempotency-Key` header, with or without the quotes of a structured field.
fn header_key(headers: &dyn HeaderLookup) -> Result<Option<Arc<str>>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let (mut first, mut more) = (None, false);
    headers.each_value("idempotency-key", &mut |value| {
        more = first.is_some();
        first = first.or(Some(value));
        !more
    });
    if more {
        return Err(Problem::new(ErrorCode::BadParameter, format!("`{NAME}` is given more than once")));
    }
    let Some(value) = first else { return Ok(None) };
    let text = std::str::from_utf8(value)
        .map_err(|_| Problem::new(ErrorCode::BadParameter, format!("`{NAME}` is not UTF-8")))?
        .trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    idempotency_key(NAME, text, ErrorCode::BadParameter).map(Some)
}

/// What the fields `type`, `key`, `ttl`, `store` and `idempotency_key` of an object say.
fn about_fields(fields: &Fields<'_>) -> Result<About, Problem> {
    const CODE: ErrorCode = ErrorCode::BadField;
    let said = |name| fields.string(name);
    Ok(About {
        kind: said("type")?.map(|text| kind("type", &text, CODE)).transpose()?.flatten(),
        key: said("key")?.map(|text| key("key", &text, CODE)).transpose()?,
        ttl: fields.number("ttl", 1..=TTL_SECONDS_MAX)?.map(Duration::from_secs),
        live_only: fields.boolean("store")? == Some(false),
        idempotency_key: said("idempotency_key")?
            .map(|text| idempotency_key("idempotency_key", &text, CODE))
            .transpose()?,
    })
}

#[cfg(test)]
mod tests;
