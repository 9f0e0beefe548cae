//! `POST /v1/events`: the body says everything, about one event or about many.

use std::sync::Arc;

use bongsu_core::limits::PUBLISH_EVENTS_MAX;
use bongsu_core::log::Draft;
use bongsu_core::{ChannelName, ErrorCode, PayloadKind, Problem};
use bytes::Bytes;

use super::payload::{self, Names, check_not_encoded, content_type, unsupported};
use super::{About, CHANNELS_PER_EVENT_MAX, PublishItem, Publisher, about_fields, cloudevents, header_key};
use crate::fields::{Fields, Kind, List, Others, bad_field, from_raw, kind_of, list};
use crate::query::{Query, add_once, client_channel};
use crate::{HeaderLookup, json, media};

/// The fields of an event as it is published.
const FIELDS: &[&str] =
    &["channel", "channels", "type", "key", "ttl", "store", "data", "data_base64", "content_type", "idempotency_key"];
const NAMES: Names = Names { content_type: "content_type" };

/// What the body of a request to `/v1/events` is, as its headers say. Asked before the body is read, because NDJSON is
/// published line by line while it comes, and the others are read whole.
#[derive(Debug)]
pub struct EventsBody(Form);

#[derive(Debug)]
enum Form {
    /// An object or an array of objects.
    Json(Option<Arc<str>>),
    Ndjson,
    CloudEvent,
    CloudEvents,
    /// The body is the data of a CloudEvent whose attributes are headers.
    CloudEventData(cloudevents::Attributes),
}

impl EventsBody {
    /// Reads the query, which has no parameters, and the headers.
    ///
    /// # Errors
    /// There is a parameter, the `Content-Type` is none that is read here, or a header is wrong.
    pub fn of_request(query: &str, headers: &dyn HeaderLookup) -> Result<Self, Problem> {
        Query::parse(query, &[])?;
        check_not_encoded(headers)?;
        let key = header_key(headers)?;
        let named = content_type(headers)?.map(|named| media::essence(named).to_ascii_lowercase());
        let form = match named.as_deref() {
            Some("application/cloudevents+json") => Form::CloudEvent,
            Some("application/cloudevents-batch+json") => Form::CloudEvents,
            named => match (cloudevents::Attributes::from_headers(headers)?, named) {
                (Some(attributes), _) => Form::CloudEventData(attributes),
                (None, None | Some("application/json" | "application/x-www-form-urlencoded")) => {
                    Form::Json(key.clone())
                }
                (None, Some("application/x-ndjson" | "application/ndjson")) => Form::Ndjson,
                (None, Some(other)) => return Err(not_read(other)),
            },
        };
        match (&form, key) {
            (Form::Ndjson | Form::CloudEvents | Form::CloudEvent | Form::CloudEventData(_), Some(_)) => {
                Err(key_for_many())
            }
            _ => Ok(Self(form)),
        }
    }

    /// Whether it is NDJSON, to be read with [`LineDecoder`](super::LineDecoder) and [`line()`].
    #[must_use]
    pub fn is_ndjson(&self) -> bool {
        matches!(self.0, Form::Ndjson)
    }
}

fn not_read(media_type: &str) -> Problem {
    unsupported(format!("`Content-Type: {media_type}` is not read here")).hint(
        "Send `application/json`, `application/x-ndjson`, `application/cloudevents+json` or \
         `application/cloudevents-batch+json`; a bare payload goes to `/v1/channels/{channel}`.",
    )
}

fn key_for_many() -> Problem {
    let detail = "`Idempotency-Key` names one publish; the events of this body have keys of their own";
    let hint = "Give each event an `idempotency_key`; a CloudEvent has one in its `source` and `id`.";
    Problem::new(ErrorCode::BadParameter, detail).hint(hint)
}

/// The events of one body.
#[derive(Debug)]
pub enum Events {
    /// One event: the answer is one, too.
    One(PublishItem),
    /// A list: each is answered, in order.
    Many(Vec<Result<PublishItem, Problem>>),
}

/// Reads a body that came whole. NDJSON is read here too, and then bounded as an array is.
///
/// # Errors
/// Nothing of it can be published: it is broken JSON, has too many events, or is one event that is wrong. In a list a
/// wrong event is an element, and the others are not touched by it.
pub fn events_body(
    publisher: &Publisher<'_>,
    form: EventsBody,
    headers: &dyn HeaderLookup,
    body: Bytes,
) -> Result<Events, Problem> {
    match form.0 {
        Form::CloudEventData(attributes) => cloudevents::binary(publisher, attributes, headers, body).map(Events::One),
        Form::CloudEvent => cloudevents::structured(publisher, json::text(&body)?).map(Events::One),
        Form::CloudEvents => many(json::text(&body)?, |text| cloudevents::structured(publisher, text)),
        Form::Ndjson => ndjson(publisher, &body),
        Form::Json(key) => {
            let text = json::text(&body)?;
            match (kind_of(text), key) {
                (Kind::Array, Some(_)) => Err(key_for_many()),
                (Kind::Array, None) => many(text, |text| item(publisher, text, None)),
                (_, key) => item(publisher, text, key).map(Events::One),
            }
        }
    }
}

/// Reads one line of NDJSON.
///
/// # Errors
/// The line is no event that can be published.
pub fn line(publisher: &Publisher<'_>, line: &[u8]) -> Result<PublishItem, Problem> {
    item(publisher, json::text(line)?, None)
}

fn ndjson(publisher: &Publisher<'_>, body: &[u8]) -> Result<Events, Problem> {
    let lines = || body.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    check_count(lines().count())?;
    Ok(Events::Many(lines().map(|text| line(publisher, text)).collect()))
}

/// The events of an array, each by itself. Broken syntax anywhere leaves nothing that could be trusted.
fn many(text: &str, item: impl Fn(&str) -> Result<PublishItem, Problem>) -> Result<Events, Problem> {
    if kind_of(text) != Kind::Array {
        let detail = format!("a batch must be a JSON array; this is {}", kind_of(text).name());
        return Err(Problem::new(ErrorCode::BadRequest, detail));
    }
    let List { elements, count } = list(text, PUBLISH_EVENTS_MAX)?;
    check_count(count)?;
    Ok(Events::Many(elements.into_iter().map(|element| item(element.get())).collect()))
}

fn check_count(count: usize) -> Result<(), Problem> {
    if count <= PUBLISH_EVENTS_MAX {
        return Ok(());
    }
    let detail = format!("one request publishes at most {PUBLISH_EVENTS_MAX} events; this one has {count}");
    Err(Problem::new(ErrorCode::TooManyEvents, detail).hint("Send several, or a stream of `application/x-ndjson`."))
}

/// One event as an object. `key` is that of the header, which a field may repeat but not contradict.
fn item(publisher: &Publisher<'_>, text: &str, key: Option<Arc<str>>) -> Result<PublishItem, Problem> {
    let fields = Fields::read("an event", text, FIELDS, Others::Refuse)?;
    let mut about = about_fields(&fields)?;
    if key.is_some() && about.idempotency_key.is_some() && key != about.idempotency_key {
        return Err(bad_field("`idempotency_key` differs from the header `Idempotency-Key`").hint("Give one of them."));
    }
    about.idempotency_key = about.idempotency_key.or(key);
    let (channels, multi) = targets(&fields)?;
    let drafts = drafts(publisher, &fields, &about, channels)?;
    Ok(PublishItem { drafts, multi })
}

/// Reads the fields of a publish command, those of an event but for `op`, `ref` and `channels`.
///
/// # Errors
/// As [`line()`].
pub(crate) fn command(publisher: &Publisher<'_>, fields: &Fields<'_>) -> Result<Draft, Problem> {
    let about = about_fields(fields)?;
    let channel = fields.string("channel")?.ok_or_else(|| missing("channel"))?;
    let mut drafts = drafts(publisher, fields, &about, vec![client_channel(&channel)?])?;
    drafts.pop().ok_or_else(|| missing("channel"))
}

fn missing(name: &str) -> Problem {
    bad_field(format!("`{name}` is missing"))
}

fn drafts(
    publisher: &Publisher<'_>,
    fields: &Fields<'_>,
    about: &About,
    channels: Vec<ChannelName>,
) -> Result<Vec<Draft>, Problem> {
    let (data, content_type) = (fields.raw("data"), fields.string("content_type")?);
    let payload = payload::from_fields(data, fields.string("data_base64")?, content_type.as_deref(), &NAMES)?;
    let payload = payload.ok_or_else(|| missing("data").hint("Give `data`, or `data_base64` for bytes."))?;
    // JSON counts as it was sent, other payloads as what they are: either is the size before any encoding of ours.
    let sent = data.filter(|_| payload.kind == PayloadKind::Json).map_or(payload.bytes.len(), |data| data.get().len());
    for channel in &channels {
        payload::check_size(channel, sent, (publisher.payload_bytes_max)(channel))?;
    }
    Ok(channels.into_iter().map(|channel| about.draft(publisher, channel, payload.clone())).collect())
}

/// Where an event goes, and whether that was said as a list.
fn targets(fields: &Fields<'_>) -> Result<(Vec<ChannelName>, bool), Problem> {
    match (fields.string("channel")?, channels(fields, CHANNELS_PER_EVENT_MAX)?) {
        (Some(_), Some(_)) => Err(bad_field("`channel` and `channels` cannot both be given").hint("Leave one out.")),
        (None, None) => Err(missing("channel").hint("Name where it goes: `\"channel\": \"a\"`.")),
        (Some(channel), None) => Ok((vec![client_channel(&channel)?], false)),
        (None, Some(channels)) => Ok((channels, true)),
    }
}

/// The field `channels`: names, at least one; those given twice count once.
pub(crate) fn channels(fields: &Fields<'_>, channels_max: usize) -> Result<Option<Vec<ChannelName>>, Problem> {
    // Names may be repeated, so somewhat more elements than names are read; the rest is refused by number.
    let elements_max = channels_max.saturating_mul(2);
    let Some(List { elements, count }) = fields.list("channels", elements_max)? else { return Ok(None) };
    if count == 0 {
        return Err(bad_field("`channels` is an empty list; it must name at least one channel"));
    }
    let mut channels = Vec::new();
    for element in elements {
        let name = from_raw::<String>("channels", element, &"a list of strings")?.ok_or_else(|| missing("channels"))?;
        add_once(&mut channels, client_channel(&name)?, channels_max)?;
    }
    if count > elements_max {
        let detail = format!("`channels` has {count} elements; at most {channels_max} are allowed");
        return Err(Problem::new(ErrorCode::TooManyChannels, detail));
    }
    Ok(Some(channels))
}
