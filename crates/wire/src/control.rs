//! The JSON of control objects: written by the server, read by clients.

use std::time::Duration;

use bongsu_core::control::{Close, Control};
use bongsu_core::log::LostReason;
use bongsu_core::{ChannelName, Cursor, Millis};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::error::Malformed;
use crate::{json, problem};

/// The `type` of a control object, such as `$open`.
#[must_use]
pub fn type_name(control: &Control) -> &'static str {
    match control {
        Control::Open { .. } => "$open",
        Control::Live { .. } => "$live",
        Control::Gap { .. } => "$gap",
        Control::Beat { .. } => "$beat",
        Control::Close(_) => "$close",
        Control::Reply { .. } => "$reply",
    }
}

/// The control object as JSON, without a line break.
#[must_use]
pub fn encode(control: &Control) -> Bytes {
    let mut out = Vec::with_capacity(160);
    write(&mut out, control);
    out.into()
}

/// Appends what [`encode`] gives.
pub(crate) fn write(out: &mut Vec<u8>, control: &Control) {
    out.extend_from_slice(format!("{{\"type\":\"{}\"", type_name(control)).as_bytes());
    match control {
        Control::Open { connection, cursor, heartbeat, retry, replay } => {
            text(out, "connection", connection);
            let (heartbeat, retry) = (heartbeat.as_millis(), retry.as_millis());
            let rest = format!(
                ",\"cursor\":\"{cursor}\",\"heartbeat_ms\":{heartbeat},\"retry_ms\":{retry},\"replay\":{replay}"
            );
            out.extend_from_slice(rest.as_bytes());
        }
        Control::Live { cursor } => out.extend_from_slice(format!(",\"cursor\":\"{cursor}\"").as_bytes()),
        Control::Gap { channel, reason, cursor } => {
            text(out, "channel", channel.as_str());
            out.extend_from_slice(format!(",\"reason\":\"{}\",\"cursor\":\"{cursor}\"", reason.as_str()).as_bytes());
        }
        Control::Beat { time, cursor } => {
            out.extend_from_slice(format!(",\"time\":{},\"cursor\":\"{cursor}\"", time.0).as_bytes());
        }
        Control::Close(close) => write_close(out, close),
        Control::Reply { reference, result } => {
            if let Some(reference) = reference {
                raw(out, "ref", reference);
            }
            match result {
                Ok(answer) => raw(out, "ok", answer),
                Err(refusal) => {
                    raw(out, "error", "");
                    problem::write(out, refusal);
                }
            }
        }
    }
    out.push(b'}');
}

fn write_close(out: &mut Vec<u8>, close: &Close) {
    out.extend_from_slice(format!(",\"code\":{}", close.code).as_bytes());
    text(out, "reason", &close.reason);
    let (reconnect, retry) = (close.reconnect, close.retry.as_millis());
    out.extend_from_slice(format!(",\"reconnect\":{reconnect},\"retry_ms\":{retry}").as_bytes());
}

fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    raw(out, name, "");
    json::push_string(out, value);
}

fn raw(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
}

#[derive(Deserialize)]
struct OpenMembers {
    connection: String,
    cursor: String,
    heartbeat_ms: u64,
    retry_ms: u64,
    replay: u64,
}

#[derive(Deserialize)]
struct LiveMembers {
    cursor: String,
}

#[derive(Deserialize)]
struct GapMembers {
    channel: String,
    reason: String,
    cursor: String,
}

#[derive(Deserialize)]
struct BeatMembers {
    time: u64,
    cursor: String,
}

#[derive(Deserialize)]
struct CloseMembers {
    code: u16,
    reason: String,
    reconnect: bool,
    retry_ms: u64,
}

#[derive(Deserialize)]
struct ReplyMembers<'a> {
    #[serde(borrow, rename = "ref")]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    ok: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Reads the control object of type `kind`; `None` if this version of the protocol has no such type.
///
/// # Errors
/// A member it must have is missing, or has a value it cannot have. Members that are not known are ignored.
pub(crate) fn parse(kind: &str, bytes: &[u8]) -> Result<Option<Control>, Malformed> {
    let control = match kind {
        "$open" => open(members(bytes)?)?,
        "$live" => Control::Live { cursor: cursor(&members::<LiveMembers>(bytes)?.cursor)? },
        "$gap" => gap(&members(bytes)?)?,
        "$beat" => {
            let BeatMembers { time, cursor: text } = members(bytes)?;
            Control::Beat { time: Millis(time), cursor: cursor(&text)? }
        }
        "$close" => {
            let CloseMembers { code, reason, reconnect, retry_ms } = members(bytes)?;
            Control::Close(Close { code, reason, reconnect, retry: Duration::from_millis(retry_ms) })
        }
        "$reply" => reply(&serde_json::from_slice(bytes)?)?,
        _ => return Ok(None),
    };
    Ok(Some(control))
}

fn members<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    Ok(serde_json::from_slice(bytes)?)
}

fn cursor(text: &str) -> Result<Cursor, Malformed> {
    text.parse().map_err(|why| Malformed::member("cursor", &why))
}

fn open(members: OpenMembers) -> Result<Control, Malformed> {
    Ok(Control::Open {
        connection: members.connection,
        cursor: cursor(&members.cursor)?,
        heartbeat: Duration::from_millis(members.heartbeat_ms),
        retry: Duration::from_millis(members.retry_ms),
        replay: members.replay,
    })
}

fn gap(members: &GapMembers) -> Result<Control, Malformed> {
    let reason = match members.reason.as_str() {
        "expired" => LostReason::Expired,
        // A reason of a later server: whatever it is, what the client derived from the history is not to be trusted.
        _ => LostReason::Reset,
    };
    let channel = ChannelName::new(&members.channel).map_err(|why| Malformed::member("channel", &why))?;
    Ok(Control::Gap { channel, reason, cursor: cursor(&members.cursor)? })
}

fn reply(members: &ReplyMembers<'_>) -> Result<Control, Malformed> {
    let result = match (members.ok, members.error) {
        (Some(answer), None) => Ok(answer.get().to_owned()),
        (None, Some(refusal)) => Err(problem::parse(refusal.get().as_bytes())?),
        _ => return Err(Malformed::new("a reply has either `ok` or `error`")),
    };
    Ok(Control::Reply { reference: members.reference.map(|raw| raw.get().to_owned()), result })
}

#[cfg(test)]
mod tests {
    use bongsu_core::{Epoch, ErrorCode, Problem, Seq};

    use super::*;
    use crate::event::{Object, parse_object};

    fn cursor() -> Cursor {
        Cursor::new(Epoch::from_random(1), Seq(17))
    }

    fn samples() -> Vec<(Control, &'static str)> {
        let (cursor, second) = (cursor(), Duration::from_secs(1));
        let gap = |reason| Control::Gap { channel: ChannelName::new("a\"b").unwrap(), reason, cursor };
        let reply = |reference: Option<&str>, result| Control::Reply { reference: reference.map(Into::into), result };
        vec![
            (
                Control::Open { connection: "c1".into(), cursor, heartbeat: 20 * second, retry: second, replay: 3 },
                r#"{"type":"$open","connection":"c1","cursor":"00000001-17","heartbeat_ms":20000,"retry_ms":1000,"replay":3}"#,
            ),
            (Control::Live { cursor }, r#"{"type":"$live","cursor":"00000001-17"}"#),
            (gap(LostReason::Expired), r#"{"type":"$gap","channel":"a\"b","reason":"expired","cursor":"00000001-17"}"#),
            (gap(LostReason::Reset), r#"{"type":"$gap","channel":"a\"b","reason":"reset","cursor":"00000001-17"}"#),
            (Control::Beat { time: Millis(5), cursor }, r#"{"type":"$beat","time":5,"cursor":"00000001-17"}"#),
            (
                Control::Close(Close { code: 1001, reason: "a\nb".into(), reconnect: true, retry: 2 * second }),
                r#"{"type":"$close","code":1001,"reason":"a\nb","reconnect":true,"retry_ms":2000}"#,
            ),
            (reply(Some(r#""r1""#), Ok(r#"{"offset":1}"#.into())), r#"{"type":"$reply","ref":"r1","ok":{"offset":1}}"#),
            (
                reply(None, Err(Problem::new(ErrorCode::BadJson, "no"))),
                r#"{"type":"$reply","error":{"type":"https://bongsu.dev/errors#bad_json","title":"The body is not valid JSON","status":400,"code":"bad_json","detail":"no"}}"#,
            ),
        ]
    }

    #[test]
    fn controls_have_one_form_and_come_back() {
        for (control, text) in samples() {
            assert_eq!(encode(&control), text);
            assert_eq!(parse_object(text.as_bytes()), Ok(Object::Control(control)));
        }
    }

    #[test]
    fn later_servers_are_understood() {
        let more = parse_object(br#"{"new":[1],"type":"$live","cursor":"00000001-17","also":null}"#);
        assert_eq!(more, Ok(Object::Control(Control::Live { cursor: cursor() })));
        let unknown = parse_object(br#"{"type":"$join","channel":5}"#);
        assert_eq!(unknown, Ok(Object::Unknown("$join".into())));
        let reason = parse_object(br#"{"type":"$gap","channel":"a","reason":"new","cursor":"00000001-17"}"#);
        assert!(matches!(reason, Ok(Object::Control(Control::Gap { reason: LostReason::Reset, .. }))));
    }

    #[test]
    fn what_is_broken_says_which_member() {
        let cases = [
            (r#"{"type":"$live"}"#, "missing field `cursor` at line 1 column 16"),
            (
                r#"{"type":"$live","cursor":"x"}"#,
                "`cursor`: not a cursor: use the `cursor` of an answer or the `id` of an event, unchanged",
            ),
            (r#"{"type":"$reply","ref":1}"#, "a reply has either `ok` or `error`"),
            (r#"{"type":5}"#, "invalid type: integer `5`, expected a string at line 1 column 9"),
        ];
        for (text, why) in cases {
            assert_eq!(parse_object(text.as_bytes()).unwrap_err().to_string(), why, "{text}");
        }
    }
}
