//! Commands of clients: refused with a problem or kept within their limits, alone and in a body of several.

use std::sync::Arc;

use bongsu_core::command::{Command, Op};
use bongsu_core::{ChannelName, PayloadKind, Problem};
use bongsu_wire::command::{REF_BYTES_MAX, Refused, parse, parse_body};
use bongsu_wire::publish::Publisher;
use serde::de::IgnoredAny;

const CHANNELS_MAX: usize = 4;
const COMMANDS_MAX: usize = 8;
const PAYLOAD_BYTES_MAX: usize = 64;

/// What may be shown of a mistake, in bytes. Refusals go out to whoever made the mistake, and into logs.
const DETAIL_BYTES_MAX: usize = 2048;

/// The target.
pub fn command(bytes: &[u8]) {
    let name = Arc::from("p");
    let payload_bytes_max = |_: &ChannelName| PAYLOAD_BYTES_MAX;
    let publisher = Publisher { name: &name, user: None, payload_bytes_max: &payload_bytes_max };
    let alone = parse(bytes, &publisher, CHANNELS_MAX);
    check(&alone);
    match parse_body(bytes, &publisher, CHANNELS_MAX, COMMANDS_MAX) {
        Ok(commands) => {
            assert!(commands.len() <= COMMANDS_MAX);
            commands.iter().for_each(check);
            if alone.is_ok() {
                let shown: Vec<String> = commands.iter().map(|command| format!("{command:?}")).collect();
                assert_eq!(shown, [format!("{alone:?}")], "alone and in a body");
            }
        }
        Err(problem) => {
            check_problem(&problem);
            assert!(alone.is_err(), "refused only as a body: {problem}");
        }
    }
}

fn check(command: &Result<Command, Refused>) {
    let reference = match command {
        Ok(command) => {
            check_op(&command.op);
            &command.reference
        }
        Err((reference, problem)) => {
            check_problem(problem);
            reference
        }
    };
    if let Some(reference) = reference {
        assert!(reference.len() <= REF_BYTES_MAX, "a `ref` of {} bytes", reference.len());
        // It goes out in a line as it came in. Numbers may be larger than any type here.
        assert!(serde_json::from_str::<IgnoredAny>(reference).is_ok(), "no JSON: {reference:?}");
        assert!(!reference.contains('\n') && !reference.starts_with(['{', '[', 't', 'f', 'n']), "{reference:?}");
    }
}

fn check_op(op: &Op) {
    match op {
        Op::Subscribe { channels, .. } | Op::Unsubscribe { channels } => {
            assert!((1..=CHANNELS_MAX).contains(&channels.len()), "{channels:?}");
            for (index, channel) in channels.iter().enumerate() {
                assert!(!channels[..index].contains(channel), "{channel:?} twice");
            }
        }
        Op::Publish(draft) => {
            let payload = &draft.payload;
            assert!(payload.bytes.len() <= PAYLOAD_BYTES_MAX, "a payload of {} bytes", payload.bytes.len());
            if payload.kind == PayloadKind::Json {
                assert!(!payload.bytes.contains(&b'\n'), "a payload of two lines");
                let value = serde_json::from_slice::<IgnoredAny>(&payload.bytes);
                assert!(value.is_ok(), "a payload that is no JSON");
            }
        }
    }
}

fn check_problem(problem: &Problem) {
    let bytes = problem.detail.len() + problem.hint.as_ref().map_or(0, String::len);
    assert!(bytes <= DETAIL_BYTES_MAX, "a problem of {bytes} bytes: {problem}");
}
