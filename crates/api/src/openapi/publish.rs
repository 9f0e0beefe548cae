//! Publishing: one event as a body, or events described by JSON.

use bongsu_core::ErrorCode;
use bongsu_core::limits::{PUBLISH_EVENTS_MAX, TTL_SECONDS_MAX};
use serde_json::{Value, json};

use super::operation::{Operation, answer, channel, header, integer, query, schema};

const ERRORS: &[ErrorCode] = &[
    ErrorCode::BadJson,
    ErrorCode::BadText,
    ErrorCode::Reserved,
    ErrorCode::RequestTimeout,
    ErrorCode::PayloadTooLarge,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::IdempotencyMismatch,
    ErrorCode::Internal,
    ErrorCode::Overloaded,
    ErrorCode::Draining,
    ErrorCode::LogFailed,
    ErrorCode::DiskFull,
    ErrorCode::BadChannel,
];

const ERRORS_OF_OBJECTS: &[ErrorCode] = &[
    ErrorCode::BadJson,
    ErrorCode::BadField,
    ErrorCode::UnknownField,
    ErrorCode::TooManyChannels,
    ErrorCode::TooManyEvents,
    ErrorCode::BadChannel,
    ErrorCode::Reserved,
    ErrorCode::RequestTimeout,
    ErrorCode::PayloadTooLarge,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::IdempotencyMismatch,
    ErrorCode::Internal,
    ErrorCode::Overloaded,
    ErrorCode::Draining,
    ErrorCode::LogFailed,
    ErrorCode::DiskFull,
];

pub(super) fn paths() -> Vec<(&'static str, &'static str, Value)> {
    vec![("/v1/channels/{channel}", "post", to_channel().build()), ("/v1/events", "post", to_events().build())]
}

fn to_channel() -> Operation {
    Operation {
        id: "publish",
        tag: "Publish",
        summary: "Publish the body as one event",
        description:
            "The body is the payload, its kind by `Content-Type`: JSON, text or bytes. Without one it is JSON if \
                      it parses, else text if it is UTF-8, else bytes. Answered when the event is as durable as the \
                      channel's rule says. The headers of CloudEvents' binary mode are understood."
                .into(),
        parameters: vec![
            channel(),
            query("type", "The type of the event; `message` unless said.", &json!({ "type": "string" })),
            query("key", "Names what the event is about.", &json!({ "type": "string" })),
            query("ttl", "Not delivered after so many seconds.", &integer(1, TTL_SECONDS_MAX, None)),
            query("store", "`false`: only for those who listen now.", &json!({ "type": "boolean", "default": true })),
            idempotency_key(),
        ],
        body: Some(json!({
            "content": {
                "application/json": { "schema": true },
                "text/plain": { "schema": { "type": "string" } },
                "application/octet-stream": {},
            },
        })),
        answers: vec![("200", answer("The event is taken", &schema("Receipt")))],
        errors: ERRORS,
    }
}

fn to_events() -> Operation {
    let one_or_many = json!({ "anyOf": [schema("Receipt"), schema("Results")] });
    let line = json!({ "anyOf": [schema("Receipt"), schema("Results"), schema("Problem")] });
    Operation {
        id: "publishEvents",
        tag: "Publish",
        summary: "Publish one event, an array of events, or a stream of lines",
        description: format!(
            "One object is answered by a `Receipt`, or by `Results` if it names `channels`. An array of at most \
             {PUBLISH_EVENTS_MAX} is published element by element and answered by `Results`, `200` also if some are \
             refused. NDJSON has no end: each line is answered by a line as soon as it is durable, while later ones still \
             arrive; read the answers while sending, and pass over empty lines, which are sent when nothing else is. A last \
             line that answers none of yours is the problem for which no more was read. CloudEvents go to the channel in \
             `bongsuchannel`, else in `subject`."
        ),
        parameters: vec![idempotency_key()],
        body: Some(json!({
            "required": true,
            "content": {
                "application/json": {
                    "schema": { "anyOf": [schema("Publish"), {
                        "type": "array", "items": schema("Publish"), "maxItems": PUBLISH_EVENTS_MAX,
                    }] },
                },
                "application/x-ndjson": { "schema": schema("Publish") },
                "application/cloudevents+json": { "schema": schema("CloudEvent") },
                "application/cloudevents-batch+json": {
                    "schema": { "type": "array", "items": schema("CloudEvent"), "maxItems": PUBLISH_EVENTS_MAX },
                },
            },
        })),
        answers: vec![(
            "200",
            json!({
                "description": "Every event is answered",
                "content": {
                    "application/json": { "schema": one_or_many },
                    "application/x-ndjson": { "schema": line },
                },
            }),
        )],
        errors: ERRORS_OF_OBJECTS,
    }
}

fn idempotency_key() -> Value {
    header(
        "Idempotency-Key",
        "Makes a retry harmless: the same key on the same channel gives the first answer again, with `duplicate: true`.",
    )
}
