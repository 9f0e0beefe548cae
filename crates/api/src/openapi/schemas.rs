//! The shapes of what goes in and comes out.

use bongsu_core::cursor::Cursor;
use bongsu_core::error::Retry;
use bongsu_core::event::{EventKey, EventType};
use bongsu_core::limits::{IDEMPOTENCY_KEY_BYTES_MAX, TTL_SECONDS_MAX};
use bongsu_core::read::Way;
use bongsu_core::{ChannelName, ErrorCode};
use bongsu_wire::publish::CHANNELS_PER_EVENT_MAX;
use serde_json::{Value, json};

use super::operation::{integer, schema};

/// All schemas, by name.
pub(super) fn all() -> Value {
    let mut all = json!({
        "ChannelName": channel_name(),
        "Cursor": cursor(),
        "Event": event(),
        "Control": control(),
        "Answer": answer(),
        "Publish": publish(),
        "CloudEvent": cloud_event(),
        "Receipt": receipt(),
        "Results": results(),
        "ChannelInfo": channel_info(),
        "Connection": connection(),
        "Problem": problem(),
    });
    for (name, schema) in lists().into_iter().chain(health()) {
        all[name] = schema;
    }
    all
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn count(description: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": description })
}

fn channel_name() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": ChannelName::BYTES_MAX, "pattern": r"^[^\s*$][^\s*]*$",
        "description": format!("1 to {} bytes of UTF-8 without white space, control characters or `*`. `:` separates \
                                segments. Names that begin with `$` belong to the server.", ChannelName::BYTES_MAX),
    })
}

fn cursor() -> Value {
    json!({
        "type": "string", "pattern": "^[A-Za-z0-9._~-]+$", "maxLength": 64,
        "description": format!("A position in the log, the same on every way. Opaque; today at most {} characters.",
                               Cursor::LEN_MAX),
    })
}

fn event() -> Value {
    json!({
        "type": "object",
        "required": ["channel", "time"],
        "properties": {
            "id": schema("Cursor"),
            "channel": schema("ChannelName"),
            "offset": count("1, 2, 3… without holes within the channel. Absent, like `id`, if the event is not stored"),
            "type": text("Absent for the default type, `message`"),
            "time": count("When the log took it"),
            "key": text("What the event is about"),
            "user": text("Who published it, when a client did"),
            "data": { "description": "The publisher's JSON, or the text as a string" },
            "data_base64": text("The bytes, if the payload is neither JSON nor text"),
            "content_type": text("The media type, if it is not `application/json`"),
        },
    })
}

fn control() -> Value {
    json!({
        "type": "object",
        "required": ["type"],
        "description": "What the server says beside events. It has no `id`.",
        "properties": {
            "type": { "type": "string", "enum": ["$open", "$live", "$gap", "$beat", "$close", "$reply"] },
            "cursor": schema("Cursor"),
            "connection": text("In `$open`: this connection's id"),
            "heartbeat_ms": count("In `$open`: something is sent at least so often"),
            "retry_ms": count("In `$open` and `$close`: when to come back"),
            "replay": count("In `$open`: how many events lie between the cursor and the head"),
            "channel": schema("ChannelName"),
            "reason": text("In `$gap`: `expired` or `reset`. In `$close`: why, in words"),
            "time": count("In `$beat`: the server's time"),
            "code": count("In `$close`: the code, as a WebSocket carries it"),
            "reconnect": { "type": "boolean", "description": "In `$close`: whether coming back makes sense" },
            "ref": { "description": "In `$reply`: the command's `ref`" },
            "ok": { "type": "object", "description": "In `$reply`: the result" },
            "error": schema("Problem"),
        },
    })
}

fn answer() -> Value {
    json!({
        "type": "object",
        "required": ["events", "cursor", "more", "retry_ms"],
        "properties": {
            "events": {
                "type": "array",
                "items": { "anyOf": [schema("Event"), schema("Control")] },
                "description": "In order. With `format=data` bare payloads",
            },
            "cursor": schema("Cursor"),
            "more": { "type": "boolean", "description": "Whether the answer was cut at `limit`: ask again at once" },
            "retry_ms": count("When to ask again"),
        },
    })
}

fn publish() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "description": "Either `channel` or `channels`, and either `data` or `data_base64`.",
        "properties": {
            "channel": schema("ChannelName"),
            "channels": {
                "type": "array", "items": schema("ChannelName"), "minItems": 1, "maxItems": CHANNELS_PER_EVENT_MAX,
                "description": "Published to all or none",
            },
            "type": { "type": "string", "maxLength": EventType::BYTES_MAX },
            "key": { "type": "string", "maxLength": EventKey::BYTES_MAX },
            "ttl": integer(1, TTL_SECONDS_MAX, None),
            "store": { "type": "boolean", "default": true },
            "data": { "description": "Any JSON" },
            "data_base64": text("Bytes"),
            "content_type": text("The media type of the payload"),
            "idempotency_key": { "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX },
        },
    })
}

fn cloud_event() -> Value {
    json!({
        "type": "object",
        "required": ["specversion", "id", "source", "type"],
        "description": "CloudEvents 1.0. `source` and `id` together are the idempotency key.",
        "properties": {
            "specversion": { "const": "1.0" },
            "id": text("Names the event within its source"),
            "source": text("Where it comes from"),
            "type": text("Our `type`"),
            "bongsuchannel": text("The channel"),
            "subject": text("The channel, if `bongsuchannel` is absent"),
            "datacontenttype": text("The media type of the data"),
            "data": {},
            "data_base64": text("Bytes"),
        },
    })
}

fn receipt() -> Value {
    json!({
        "type": "object",
        "required": ["channel", "subscribers", "duplicate"],
        "properties": {
            "id": schema("Cursor"),
            "channel": schema("ChannelName"),
            "offset": count("Its place in the channel. Absent, like `id`, if the event is not stored"),
            "subscribers": count("How many connections read the channel when it was taken"),
            "duplicate": { "type": "boolean", "description": "Whether this is the first answer of a retry, again" },
        },
    })
}

fn results() -> Value {
    json!({
        "type": "object",
        "required": ["results"],
        "properties": {
            "results": {
                "type": "array",
                "items": { "anyOf": [schema("Receipt"), schema("Results"), schema("Problem")] },
                "description": "One for each event or channel, in order",
            },
        },
    })
}

fn channel_info() -> Value {
    let mut subscribers = json!({ "type": "object", "required": ["total"], "properties": { "total": count("All") } });
    for way in Way::ALL {
        subscribers["properties"][way.as_str()] = count("By this way");
    }
    json!({
        "type": "object",
        "required": ["channel", "head", "oldest", "events", "bytes", "subscribers"],
        "properties": {
            "channel": schema("ChannelName"),
            "head": count("The offset of the newest event ever stored; 0 if there was none"),
            "oldest": count("The offset of the oldest event kept; 0 if none is"),
            "events": count("Events kept"),
            "bytes": count("Their bytes of payload"),
            "subscribers": subscribers,
            "presence": count("Members present, where presence is kept"),
        },
    })
}

fn connection() -> Value {
    json!({
        "type": "object",
        "required": ["connection", "transport", "channels", "since"],
        "properties": {
            "connection": text("Its id. Who knows it may speak for the connection"),
            "user": { "type": ["string", "null"], "description": "Whose it is, if that is known" },
            "transport": { "type": "string", "enum": Way::ALL.map(Way::as_str) },
            "channels": { "type": "array", "items": schema("ChannelName") },
            "since": count("When it was opened"),
        },
    })
}

fn lists() -> [(&'static str, Value); 3] {
    let next = json!({ "type": ["string", "null"], "description": "What to give as `after`; `null` on the last page" });
    let summary = json!({
        "type": "object",
        "required": ["channel", "offset", "subscribers"],
        "properties": {
            "channel": schema("ChannelName"),
            "offset": count("Of the newest event; 0 if there was none"),
            "subscribers": count("Connections that read it"),
        },
    });
    let list = |name: &str, items: Value| {
        json!({
            "type": "object",
            "required": [name, "next"],
            "properties": { name: { "type": "array", "items": items }, "next": next },
        })
    };
    let dropped = json!({
        "type": "object",
        "required": ["channel", "cursor"],
        "properties": { "channel": schema("ChannelName"), "cursor": schema("Cursor") },
    });
    [
        ("ChannelList", list("channels", summary)),
        ("ConnectionList", list("connections", schema("Connection"))),
        ("Dropped", dropped),
    ]
}

fn health() -> [(&'static str, Value); 2] {
    let check = json!({
        "type": "object", "required": ["ok"],
        "properties": { "ok": { "type": "boolean" }, "code": text("The problem's"), "detail": text("The problem's") },
    });
    let health = json!({
        "type": "object",
        "required": ["status", "version", "uptime_seconds"],
        "properties": { "status": { "const": "ok" }, "version": text("Of the server"), "uptime_seconds": count("Since the start") },
    });
    let readiness = json!({
        "type": "object",
        "required": ["status", "checks"],
        "properties": {
            "status": { "const": "ready" },
            "checks": {
                "type": "object",
                "required": ["accepting", "sequencer", "log"],
                "properties": { "accepting": check, "sequencer": check, "log": check },
            },
        },
    });
    [("Health", health), ("Readiness", readiness)]
}

fn problem() -> Value {
    let codes: Vec<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
    let later: Vec<_> = ErrorCode::ALL.iter().filter(|code| code.retry() == Retry::Later).collect();
    let later: Vec<_> = later.iter().map(|code| format!("`{}`", code.name())).collect();
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "detail"],
        "description": format!("A refusal (RFC 9457). The same request may succeed later only for {}.", later.join(", ")),
        "properties": {
            "type": { "type": "string", "format": "uri", "description": "Where the code is explained" },
            "title": text("The same for every occurrence of the code"),
            "status": count("The HTTP status"),
            "code": { "type": "string", "enum": codes },
            "detail": text("About this occurrence: the field, what was said, what is allowed"),
            "hint": text("What to do about it"),
            "retry_ms": count("When to come back"),
            "checks": { "type": "object", "description": "From `/readyz` only: the outcome of each check" },
        },
    })
}
