//! Reading: one answer in five forms.

use bongsu_core::ErrorCode;
use bongsu_core::limits::{
    HEARTBEAT_DEFAULT, HEARTBEAT_MAX, HEARTBEAT_MIN, LAST_EVENTS_MAX, POLL_EVENTS_DEFAULT, POLL_EVENTS_MAX,
    WAIT_DEFAULT, WAIT_MAX,
};
use bongsu_core::read::Way;
use serde_json::{Value, json};

use super::operation::{Operation, channel, header, integer, query, repeated, schema};

const WAYS: &str = "\
The way is chosen by headers, or by `transport` where a client cannot set them:

| way | chosen by | the answer |
|---|---|---|
| WebSocket | `Upgrade: websocket` | `101`; one text frame per object |
| server-sent events | `Accept: text/event-stream` | `200`; `id:` is the cursor, `data:` the object |
| streaming | `Accept: application/x-ndjson` | `200`; one object per line |
| long polling | `Prefer: wait=25` or `?wait=25` | as polling, when there is an event or the time is up |
| polling | otherwise | `200` with what there is, or `304` |

An object is an `Event` or a `Control`. A streaming answer begins with `$open`, says `$live` when it has caught up, and \
ends with `$close`. Events that are no longer kept are told by `$gap`, never left out in silence.";

const ERRORS: &[ErrorCode] = &[
    ErrorCode::BadChannel,
    ErrorCode::BadCursor,
    ErrorCode::TooManyChannels,
    ErrorCode::Reserved,
    ErrorCode::NotPermitted,
    ErrorCode::NotAcceptable,
    ErrorCode::UpgradeRequired,
    ErrorCode::Internal,
    ErrorCode::Overloaded,
    ErrorCode::Draining,
];

pub(super) fn paths() -> Vec<(&'static str, &'static str, Value)> {
    let mut several = vec![repeated(
        "channel",
        "Which channels; given several times. A WebSocket may name none and subscribe later.",
        &schema("ChannelName"),
    )];
    several.extend(parameters());
    let mut one = vec![channel()];
    one.extend(parameters());
    vec![
        ("/v1/channels/{channel}", "get", read("readChannel", "Read one channel", one)),
        ("/v1/events", "get", read("readChannels", "Read several channels", several)),
    ]
}

fn read(id: &'static str, summary: &'static str, parameters: Vec<Value>) -> Value {
    let operation = Operation {
        id,
        tag: "Read",
        summary,
        description: WAYS.to_owned(),
        parameters,
        body: None,
        answers: vec![
            ("101", json!({ "description": "A WebSocket (RFC 6455), with the subprotocol `bongsu.v1` if asked for" })),
            ("200", events()),
            ("304", json!({ "description": "Nothing new after the position in `If-None-Match`" })),
        ],
        errors: ERRORS,
    };
    operation.build()
}

fn events() -> Value {
    let object = json!({ "anyOf": [schema("Event"), schema("Control")] });
    json!({
        "description": "Events",
        "headers": {
            "ETag": {
                "description": "The cursor, on the polling ways: give it back as `If-None-Match`",
                "schema": { "type": "string" },
            },
        },
        "content": {
            "application/json": { "schema": schema("Answer") },
            "application/x-ndjson": { "schema": object },
            "text/event-stream": { "schema": { "type": "string" } },
        },
    })
}

fn parameters() -> Vec<Value> {
    let ways: Vec<_> = Way::ALL.iter().map(|way| way.as_str()).collect();
    vec![
        query(
            "since",
            "Where to begin: a cursor, `start` (the oldest kept) or `now`. Unless said, streams and long polls \
               begin now and a poll answers the newest events.",
            &json!({ "type": "string" }),
        ),
        query(
            "last",
            "Begin before the newest so many events of each channel. Not with `since`.",
            &integer(1, LAST_EVENTS_MAX as u64, None),
        ),
        query(
            "limit",
            "The most events of one answer, on the polling ways only.",
            &integer(1, POLL_EVENTS_MAX as u64, Some(POLL_EVENTS_DEFAULT as u64)),
        ),
        repeated(
            "type",
            "Only events of these types; given several times. `message` is the default type.",
            &json!({ "type": "string" }),
        ),
        query(
            "wait",
            "Long polling: wait so many seconds for an event.",
            &integer(0, WAIT_MAX.as_secs(), Some(WAIT_DEFAULT.as_secs())),
        ),
        query(
            "heartbeat",
            "On the streaming ways: send something at least so often, in seconds.",
            &integer(HEARTBEAT_MIN.as_secs(), HEARTBEAT_MAX.as_secs(), Some(HEARTBEAT_DEFAULT.as_secs())),
        ),
        query(
            "format",
            "`data` sends only the payloads.",
            &json!({ "type": "string", "enum": ["object", "data"], "default": "object" }),
        ),
        query("transport", "The way, for clients that cannot set headers.", &json!({ "type": "string", "enum": ways })),
        header("Last-Event-ID", "A cursor; wins over `since`."),
        header("If-None-Match", "On the polling ways: the `ETag` of the last answer; wins over `since`."),
        header("Prefer", "`wait=25` asks for long polling (RFC 7240)."),
    ]
}
