//! Managing channels and connections.

use bongsu_core::ErrorCode;
use serde_json::{Value, json};

use super::operation::{Operation, answer, channel, integer, query, schema};
use crate::parameters::{LIST_ENTRIES_DEFAULT, LIST_ENTRIES_MAX};

pub(super) fn paths() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("/v1/channels", "get", list_channels().build()),
        ("/v1/channels/{channel}/info", "get", channel_info().build()),
        ("/v1/channels/{channel}", "delete", drop_history().build()),
        ("/v1/connections", "get", list_connections().build()),
        ("/v1/connections/{connection}", "get", show_connection().build()),
        ("/v1/connections/{connection}", "delete", close_connection().build()),
    ]
}

fn operation(id: &'static str, summary: &'static str, description: &str, answers: (&'static str, Value)) -> Operation {
    Operation {
        id,
        tag: "Manage",
        summary,
        description: description.into(),
        parameters: vec![],
        body: None,
        answers: vec![answers],
        errors: &[],
    }
}

fn page_parameters() -> [Value; 2] {
    let entries = |count| u64::try_from(count).unwrap_or(u64::MAX);
    [
        query("after", "The `next` of the page before.", &json!({ "type": "string" })),
        query(
            "limit",
            "The most entries.",
            &integer(1, entries(LIST_ENTRIES_MAX), Some(entries(LIST_ENTRIES_DEFAULT))),
        ),
    ]
}

fn list_channels() -> Operation {
    let about = "Those with a history and those with readers, in order of their names.";
    let mut parameters = vec![query("prefix", "Only names that begin so.", &json!({ "type": "string" }))];
    parameters.extend(page_parameters());
    let answers = ("200", answer("A page of the list", &schema("ChannelList")));
    Operation { parameters, ..operation("listChannels", "List the channels", about, answers) }
}

fn channel_info() -> Operation {
    let about = "A channel that was never used is an empty one.";
    let answers = ("200", answer("What is known of the channel", &schema("ChannelInfo")));
    Operation {
        parameters: vec![channel()],
        errors: &[ErrorCode::BadChannel, ErrorCode::Reserved],
        ..operation("channelInfo", "Look at a channel", about, answers)
    }
}

fn drop_history() -> Operation {
    let about = "Offsets go on counting. Readers, also those who come back later, are told by one `$gap` `reset`.";
    let answers = ("200", answer("The history is gone, for good", &schema("Dropped")));
    Operation {
        parameters: vec![channel()],
        errors: &[
            ErrorCode::BadChannel,
            ErrorCode::Reserved,
            ErrorCode::Internal,
            ErrorCode::Overloaded,
            ErrorCode::Draining,
            ErrorCode::LogFailed,
            ErrorCode::DiskFull,
        ],
        ..operation("dropHistory", "Drop the history of a channel", about, answers)
    }
}

fn list_connections() -> Operation {
    let about = "Streaming connections and waiting long polls, in the order of their ids.";
    let answers = ("200", answer("A page of the list", &schema("ConnectionList")));
    Operation {
        parameters: page_parameters().into(),
        ..operation("listConnections", "List the connections", about, answers)
    }
}

fn show_connection() -> Operation {
    let answers = ("200", answer("What is known of the connection", &schema("Connection")));
    Operation {
        parameters: vec![connection()],
        errors: &[ErrorCode::NotFound],
        ..operation("showConnection", "Look at a connection", "", answers)
    }
}

fn close_connection() -> Operation {
    let about = "The client gets `$close`: code 1001 if it may come back, else 4003.";
    let answers = ("204", json!({ "description": "It is told to end" }));
    Operation {
        parameters: vec![
            connection(),
            query("reconnect", "Whether the client may come back.", &json!({ "type": "boolean", "default": true })),
        ],
        errors: &[ErrorCode::NotFound],
        ..operation("closeConnection", "End a connection", about, answers)
    }
}

fn connection() -> Value {
    json!({
        "name": "connection", "in": "path", "required": true, "schema": { "type": "string" },
        "description": "The connection's id, as `$open` tells it to its client.",
    })
}
