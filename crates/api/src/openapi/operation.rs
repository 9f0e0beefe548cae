//! The parts that every operation is made of.

use std::collections::BTreeMap;

use bongsu_core::ErrorCode;
use bongsu_core::error::Retry;
use serde_json::{Value, json};

/// What any request can be answered.
const ANYWHERE: &[ErrorCode] = &[
    ErrorCode::BadRequest,
    ErrorCode::BadParameter,
    ErrorCode::UnknownParameter,
    ErrorCode::UriTooLong,
    ErrorCode::HeadTooLarge,
];

/// One operation before it is JSON.
pub(super) struct Operation {
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: String,
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Value>,
    /// By status.
    pub(super) answers: Vec<(&'static str, Value)>,
    /// Those that are possible here and not everywhere.
    pub(super) errors: &'static [ErrorCode],
}

impl Operation {
    /// The operation as the document has it.
    pub(super) fn build(self) -> Value {
        let mut responses = errors(self.errors);
        responses.extend(self.answers.into_iter().map(|(status, answer)| (status.to_owned(), answer)));
        let mut operation = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "parameters": self.parameters,
            "responses": responses,
        });
        if !self.description.is_empty() {
            operation["description"] = self.description.into();
        }
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        operation
    }
}

/// The refusals, by status.
fn errors(codes: &[ErrorCode]) -> BTreeMap<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in ANYWHERE.iter().chain(codes) {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status.into_iter().map(|(status, codes)| (status.to_string(), refusal(&codes))).collect()
}

fn refusal(codes: &[ErrorCode]) -> Value {
    let lines: Vec<_> = codes.iter().map(|code| format!("`{}`: {}", code.name(), code.title())).collect();
    let mut answer = json!({
        "description": lines.join(". "),
        "content": { "application/problem+json": { "schema": schema("Problem") } },
    });
    if codes.iter().any(|code| code.retry() == Retry::Later) {
        answer["headers"] = json!({
            "Retry-After": { "description": "When to come back, in seconds", "schema": { "type": "integer" } },
        });
    }
    answer
}

/// A schema by its name.
pub(super) fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An answer in JSON.
pub(super) fn answer(description: &str, schema: &Value) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

/// A query parameter.
pub(super) fn query(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

/// A query parameter that may be given several times.
pub(super) fn repeated(name: &str, description: &str, items: &Value) -> Value {
    json!({
        "name": name, "in": "query", "description": description, "explode": true,
        "schema": { "type": "array", "items": items },
    })
}

/// A request header.
pub(super) fn header(name: &str, description: &str) -> Value {
    json!({ "name": name, "in": "header", "description": description, "schema": { "type": "string" } })
}

/// The channel in the path.
pub(super) fn channel() -> Value {
    json!({
        "name": "channel", "in": "path", "required": true, "schema": schema("ChannelName"),
        "description": "The channel, percent-encoded; `/` is `%2F`.", "example": "shop:7:orders",
    })
}

/// A whole number from `min` to `max`.
pub(super) fn integer(min: u64, max: u64, default: Option<u64>) -> Value {
    let mut schema = json!({ "type": "integer", "minimum": min, "maximum": max });
    if let Some(default) = default {
        schema["default"] = default.into();
    }
    schema
}
