//! A payload, and what is said about it: its kind, its media type and its size.
//!
//! It comes either as the body of a request, whose kind the `Content-Type` says, or within a JSON object. The two must
//! give the same payload for the same content.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bongsu_core::{ChannelName, ErrorCode, Payload, PayloadKind, Problem};
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::fields::{Kind, bad_field, from_raw, kind_of};
use crate::{HeaderLookup, json, media};

/// What curl's `-d` and HTML forms say when nobody says anything else.
const FORM: &str = "application/x-www-form-urlencoded";

/// The payload that is the body of a request.
pub(super) fn from_body(headers: &dyn HeaderLookup, body: Bytes) -> Result<Payload, Problem> {
    check_not_encoded(headers)?;
    match content_type(headers)? {
        None => Ok(guess(body)),
        Some(form) if media::essence(form).eq_ignore_ascii_case(FORM) => from_form(body),
        Some(named) if media::is_json(named) => {
            check_charset(named)?;
            from_json(body, named)
        }
        Some(named) if media::is_text(named) => {
            check_charset(named)?;
            from_text(body, named)
        }
        Some(named) => Ok(payload(PayloadKind::Binary, Some(named), body)),
    }
}

/// The `Content-Type` of a request, if it has one.
pub(super) fn content_type(headers: &dyn HeaderLookup) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.first_value("content-type").map(<[u8]>::trim_ascii) else { return Ok(None) };
    if value.is_empty() {
        return Ok(None);
    }
    // What is not UTF-8 is no media type either, and is refused as such.
    let text = std::str::from_utf8(value).unwrap_or("?");
    match media::fault(text) {
        None => Ok(Some(text)),
        Some(fault) => Err(unsupported(format!("`Content-Type`: {fault}"))),
    }
}

/// A coded body would be kept as it is and be read as something that it is not.
pub(super) fn check_not_encoded(headers: &dyn HeaderLookup) -> Result<(), Problem> {
    match headers.first_value("content-encoding") {
        None | Some(b"" | b"identity") => Ok(()),
        Some(coding) => {
            let coding = String::from_utf8_lossy(&coding[..coding.len().min(32)]).escape_debug().to_string();
            Err(unsupported(format!("`Content-Encoding: {coding}` is not read")).hint("Send the body as it is."))
        }
    }
}

fn check_charset(media_type: &str) -> Result<(), Problem> {
    let known = |charset: &str| ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known));
    match media::parameter(media_type, "charset").filter(|charset| !known(charset)) {
        None => Ok(()),
        Some(charset) => {
            let detail = format!("text in the charset `{charset}` is not read; it must be UTF-8");
            Err(unsupported(detail).hint("Send it as UTF-8, or as bytes with another `Content-Type`."))
        }
    }
}

pub(super) fn unsupported(detail: String) -> Problem {
    Problem::new(ErrorCode::UnsupportedMediaType, detail)
}

fn payload(kind: PayloadKind, content_type: Option<&str>, bytes: Bytes) -> Payload {
    Payload { kind, content_type: content_type.map(Into::into), bytes }
}

/// JSON whose media type is `named`; `application/json` itself is not kept.
fn from_json(body: Bytes, named: &str) -> Result<Payload, Problem> {
    let kept = Some(named).filter(|named| !media::is_plain_json(named));
    let bytes = json::compact(&body).map_err(|problem| {
        let empty = body.is_empty();
        if empty {
            problem.hint("The body is empty. Leave out `Content-Type` to publish the empty text.")
        } else {
            problem
        }
    })?;
    Ok(payload(PayloadKind::Json, kept, bytes))
}

fn from_text(body: Bytes, named: &str) -> Result<Payload, Problem> {
    match std::str::from_utf8(&body) {
        Ok(_) => Ok(payload(PayloadKind::Text, Some(named), body)),
        Err(bad) => {
            let detail = format!("the body is not UTF-8 from byte {} on", bad.valid_up_to());
            let hint = "Send bytes that are no text as `Content-Type: application/octet-stream`.";
            Err(Problem::new(ErrorCode::BadText, detail).hint(hint))
        }
    }
}

fn from_form(body: Bytes) -> Result<Payload, Problem> {
    match json::compact(&body) {
        Ok(bytes) => Ok(payload(PayloadKind::Json, None, bytes)),
        Err(_) => from_text(body, media::TEXT),
    }
}

fn guess(body: Bytes) -> Payload {
    from_form(body.clone()).unwrap_or_else(|_| payload(PayloadKind::Binary, Some(media::BYTES), body))
}

/// The names of the fields that hold a payload, which differ between our objects and CloudEvents.
pub(super) struct Names {
    pub(super) content_type: &'static str,
}

/// The payload that fields of an object hold; `None` if neither `data` nor `data_base64` is there.
///
/// Copies, so that an event does not keep the body that it came in.
pub(super) fn from_fields(
    data: Option<&RawValue>,
    base64: Option<String>,
    named: Option<&str>,
    names: &Names,
) -> Result<Option<Payload>, Problem> {
    let Names { content_type } = names;
    if let Some(fault) = named.and_then(media::fault) {
        return Err(bad_field(format!("`{content_type}`: {fault}")));
    }
    match (data, base64, named.filter(|named| !media::is_json(named))) {
        (Some(_), Some(_), _) => Err(bad_field("`data` and `data_base64` cannot both be given").hint("Leave one out.")),
        (None, None, _) => Ok(None),
        (None, Some(base64), _) => {
            let bytes = BASE64.decode(base64).map_err(|why| {
                bad_field(format!("`data_base64`: {why}")).hint("Use the alphabet of RFC 4648 §4, padded with `=`.")
            })?;
            Ok(Some(payload(PayloadKind::Binary, named.or(Some(media::BYTES)), bytes.into())))
        }
        (Some(data), None, Some(other)) => {
            if kind_of(data.get()) != Kind::String {
                let kind = kind_of(data.get()).name();
                let detail = format!("`data` is {kind}; with `{content_type}` `{other}` it must be a string");
                return Err(bad_field(detail).hint(format!("Leave out `{content_type}` for JSON.")));
            }
            let text = from_raw::<String>("data", data, &"a string of whole characters")?.unwrap_or_default();
            Ok(Some(payload(PayloadKind::Text, Some(other), text.into())))
        }
        (Some(data), None, None) => {
            let bytes = json::compact_copy(data.get().as_bytes()).map_err(within_data)?;
            let kept = named.filter(|named| !media::is_plain_json(named));
            Ok(Some(payload(PayloadKind::Json, kept, bytes)))
        }
    }
}

/// Positions are those within `data`, because the object around it was read before.
fn within_data(problem: Problem) -> Problem {
    Problem { detail: format!("in `data`: {}", problem.detail), ..problem }
}

/// Refuses what is larger than `channel` takes. `bytes` is the size before it was encoded, or compacted.
pub(super) fn check_size(channel: &ChannelName, bytes: usize, bytes_max: usize) -> Result<(), Problem> {
    if bytes <= bytes_max {
        return Ok(());
    }
    let detail = format!("the payload has {bytes} bytes; channel `{channel}` takes at most {bytes_max}");
    Err(Problem::new(ErrorCode::PayloadTooLarge, detail)
        .hint("Publish a reference to it instead, or let the operator raise `payload_bytes_max`."))
}
