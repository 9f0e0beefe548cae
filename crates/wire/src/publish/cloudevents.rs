//! CloudEvents 1.0: structured and batched as JSON, binary as `ce-` headers.
//!
//! Our `data` is the event's `data`, our `type` its `type`; `source` and `id`, which together name an event for ever,
//! are the idempotency key. Other attributes have no place in our events and are not kept.

use std::sync::Arc;

use bongsu_core::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use bongsu_core::{ChannelName, ErrorCode, EventType, Payload, PayloadKind, Problem};
use bytes::Bytes;
use percent_encoding::percent_decode;
use sha1::{Digest, Sha1};

use super::payload::{self, Names};
use super::{About, PublishItem, Publisher, idempotency_key, kind};
use crate::HeaderLookup;
use crate::fields::{Fields, Others, bad_field};
use crate::query::client_channel;

/// The attributes that mean something here; extensions are allowed and ignored.
const ATTRIBUTES: &[&str] =
    &["specversion", "id", "source", "type", "subject", "bongsuchannel", "datacontenttype", "data", "data_base64"];
const NAMES: Names = Names { content_type: "datacontenttype" };

/// The attributes of one event that say something about ours.
#[derive(Debug)]
pub(super) struct Attributes {
    pub(super) kind: Option<EventType>,
    pub(super) idempotency_key: Arc<str>,
    channel: Option<String>,
}

impl Attributes {
    /// From an attribute by its name, wherever it stands. `shown` is how it is called there.
    fn read(
        get: &dyn Fn(&str) -> Result<Option<String>, Problem>,
        shown: &dyn Fn(&str) -> String,
        code: ErrorCode,
    ) -> Result<Self, Problem> {
        let required = |name| {
            let missing = || Problem::new(code, format!("`{}` is missing; a CloudEvent must have it", shown(name)));
            get(name)?.filter(|value| !value.is_empty()).ok_or_else(missing)
        };
        let version = required("specversion")?;
        if version != "1.0" {
            let version: String = version.chars().take(16).collect();
            return Err(Problem::new(code, format!("`{}` is `{version}`; it must be `1.0`", shown("specversion"))));
        }
        let (source, id) = (required("source")?, required("id")?);
        Ok(Self {
            kind: kind(&shown("type"), &required("type")?, code)?,
            idempotency_key: key_of(&source, &id, code)?,
            channel: get("bongsuchannel")?.or(get("subject")?).filter(|name| !name.is_empty()),
        })
    }

    /// From the headers of a request in binary mode; `None` if it is not in binary mode.
    pub(super) fn from_headers(headers: &dyn HeaderLookup) -> Result<Option<Self>, Problem> {
        if headers.first_value("ce-specversion").is_none() {
            return Ok(None);
        }
        let get = |name: &str| Ok(headers.first_value(&format!("ce-{name}")).map(header_text));
        Self::read(&get, &|name| format!("ce-{name}"), ErrorCode::BadParameter).map(Some)
    }

    fn about(self) -> (About, Option<String>) {
        let Self { kind, idempotency_key, channel } = self;
        (About { kind, idempotency_key: Some(idempotency_key), ..About::default() }, channel)
    }
}

/// Header values are percent-encoded UTF-8 (CloudEvents HTTP binding §3.1.3.2).
fn header_text(value: &[u8]) -> String {
    percent_decode(value).decode_utf8_lossy().into_owned()
}

/// A URI reference has no spaces, so the first one parts the two.
fn key_of(source: &str, id: &str, code: ErrorCode) -> Result<Arc<str>, Problem> {
    let key = format!("{source} {id}");
    if key.len() <= IDEMPOTENCY_KEY_BYTES_MAX {
        return idempotency_key("id", &key, code);
    }
    // Long names are no mistake of the publisher's. Who forges a collision only hits keys of his own.
    let digest = Sha1::digest(key.as_bytes());
    Ok(digest.iter().fold("sha1 ".to_owned(), |text, byte| text + &format!("{byte:02x}")).into())
}

fn channel(named: Option<String>, shown: &str) -> Result<ChannelName, Problem> {
    let Some(name) = named else {
        let detail = format!("the CloudEvent names no channel: `{shown}subject` or `{shown}bongsuchannel` is missing");
        return Err(bad_field(detail).hint("The extension attribute `bongsuchannel` wins over `subject`."));
    };
    client_channel(&name)
}

/// One event in structured mode, or one of a batch.
pub(super) fn structured(publisher: &Publisher<'_>, text: &str) -> Result<PublishItem, Problem> {
    let fields = Fields::read("a CloudEvent", text, ATTRIBUTES, Others::Ignore)?;
    let attributes = Attributes::read(&|name| fields.string(name), &str::to_owned, ErrorCode::BadField)?;
    let (about, named) = attributes.about();
    let channel = channel(named, "")?;
    let content_type = fields.string("datacontenttype")?;
    let data = fields.raw("data");
    let payload = payload::from_fields(data, fields.string("data_base64")?, content_type.as_deref(), &NAMES)?;
    // An event without data is complete: its attributes are the message.
    let payload = payload.unwrap_or_else(null);
    let sent = data.filter(|_| payload.kind == PayloadKind::Json).map_or(payload.bytes.len(), |data| data.get().len());
    payload::check_size(&channel, sent, (publisher.payload_bytes_max)(&channel))?;
    Ok(PublishItem { drafts: vec![about.draft(publisher, channel, payload)], multi: false })
}

/// One event in binary mode: the body is its data.
pub(super) fn binary(
    publisher: &Publisher<'_>,
    attributes: Attributes,
    headers: &dyn HeaderLookup,
    body: Bytes,
) -> Result<PublishItem, Problem> {
    let (about, named) = attributes.about();
    let channel = channel(named, "ce-")?;
    payload::check_size(&channel, body.len(), (publisher.payload_bytes_max)(&channel))?;
    let payload = payload::from_body(headers, body)?;
    Ok(PublishItem { drafts: vec![about.draft(publisher, channel, payload)], multi: false })
}

fn null() -> Payload {
    Payload { kind: PayloadKind::Json, content_type: None, bytes: Bytes::from_static(b"null") }
}
