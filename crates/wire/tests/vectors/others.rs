//! Controls and problems.

use std::time::Duration;

use bongsu_core::event::Encoding;
use bongsu_core::{ErrorCode, Problem};
use bongsu_wire::event::{Object, parse_object};
use bongsu_wire::{framing, problem};
use serde::{Deserialize, Serialize};

use super::{Frame, check, text};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ControlVector {
    name: String,
    /// The input, and at the same time what it must be again.
    object: String,
    #[serde(default)]
    sse: String,
    #[serde(default)]
    ndjson: String,
    #[serde(default)]
    websocket: Frame,
}

#[test]
fn controls() {
    check("controls.json", |vector: ControlVector| {
        let Ok(Object::Control(control)) = parse_object(vector.object.as_bytes()) else { panic!("{}", vector.object) };
        let bytes = |encoding| framing::control_bytes(&control, encoding);
        assert_eq!(bytes(Encoding::SseData), bytes(Encoding::Sse));
        assert_eq!((bytes(Encoding::NdjsonData), bytes(Encoding::WebSocketData)), (None, None));
        ControlVector {
            object: text(&bytes(Encoding::Object).unwrap()),
            sse: text(&bytes(Encoding::Sse).unwrap()),
            ndjson: text(&bytes(Encoding::Ndjson).unwrap()),
            websocket: Frame::new(&bytes(Encoding::WebSocket).unwrap()),
            ..vector
        }
    });
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProblemVector {
    code: String,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    close_code: u16,
    #[serde(default)]
    body: String,
}

#[test]
fn problems() {
    let seen = std::cell::RefCell::new(Vec::new());
    check("problems.json", |vector: ProblemVector| {
        let code = *ErrorCode::ALL.iter().find(|code| code.name() == vector.code).unwrap();
        let ProblemVector { detail, hint, retry_after_ms, .. } = &vector;
        let retry_after = retry_after_ms.map(Duration::from_millis);
        let sent = Problem { code, detail: detail.clone(), hint: hint.clone(), retry_after };
        let body = problem::encode(&sent);
        assert_eq!(problem::parse(&body), Ok(sent));
        seen.borrow_mut().push(code);
        ProblemVector { status: code.status(), close_code: code.close_code(), body: text(&body), ..vector }
    });
    for code in ErrorCode::ALL {
        assert!(seen.borrow().contains(code), "problems.json has no vector of `{}`", code.name());
    }
}
