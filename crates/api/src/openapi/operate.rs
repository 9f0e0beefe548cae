//! Health, figures and documents.

use bongsu_core::ErrorCode;
use serde_json::{Value, json};

use super::operation::{Operation, answer, schema};

pub(super) fn paths() -> Vec<(&'static str, &'static str, Value)> {
    let text = |description: &str| json!({ "description": description, "content": { "text/plain": {} } });
    vec![
        ("/", "get", simple("welcome", "Where things are", "", text("A short page for people")).build()),
        ("/healthz", "get", healthz().build()),
        ("/readyz", "get", readyz().build()),
        (
            "/metrics",
            "get",
            simple("metrics", "Figures for Prometheus", "", text("The text format of Prometheus, version 0.0.4"))
                .build(),
        ),
        (
            "/openapi.json",
            "get",
            simple("openapi", "This document", "", answer("OpenAPI 3.1", &json!({ "type": "object" }))).build(),
        ),
    ]
}

fn simple(id: &'static str, summary: &'static str, description: &str, answer: Value) -> Operation {
    Operation {
        id,
        tag: "Operate",
        summary,
        description: description.into(),
        parameters: vec![],
        body: None,
        answers: vec![("200", answer)],
        errors: &[],
    }
}

fn healthz() -> Operation {
    let about = "For a supervisor that restarts the process: it says nothing about the log.";
    simple("healthz", "Does the process answer", about, answer("It does", &schema("Health")))
}

fn readyz() -> Operation {
    let about = "For a load balancer. An empty publish is sent all the way through the sequencer to the log and back. When \
                 not ready, the problem has one more member, `checks`.";
    Operation {
        errors: &[ErrorCode::Internal, ErrorCode::Overloaded, ErrorCode::Draining, ErrorCode::LogFailed],
        ..simple("readyz", "Are publishes taken", about, answer("They are", &schema("Readiness")))
    }
}
