//! Commands: JSON objects with an `op` that clients send on their connection, and what the answers hold.
//!
//! It must not know what a command does.

use bongsu_core::command::{Command, Op};
use bongsu_core::{ChannelName, Cursor, ErrorCode, Problem, Since};
use serde_json::value::RawValue;

use crate::fields::{Fields, Kind, List, Others, bad_field, kind_of, list};
use crate::nearest::{all, unknown};
use crate::publish::{self, Publisher};
use crate::{json, query};

/// The longest `ref`, in bytes of JSON: it is kept until the answer is sent.
pub const REF_BYTES_MAX: usize = 200;

/// The commands there are, with the fields of each.
const OPS: &[(&str, &[&str])] = &[
    ("subscribe", &["op", "ref", "channels", "since"]),
    ("unsubscribe", &["op", "ref", "channels"]),
    (
        "publish",
        &[
            "op",
            "ref",
            "channel",
            "type",
            "key",
            "ttl",
            "store",
            "data",
            "data_base64",
            "content_type",
            "idempotency_key",
        ],
    ),
];

/// A command that cannot be followed: its `ref`, as far as it could be read, and why.
pub type Refused = (Option<String>, Problem);

/// Reads one command: a text frame of a WebSocket.
///
/// `channels_max` is the most channels of one command.
///
/// # Errors
/// It is no JSON object, there is no such `op`, or a field is wrong. All of these are answered by a `$reply`.
pub fn parse(bytes: &[u8], publisher: &Publisher<'_>, channels_max: usize) -> Result<Command, Refused> {
    let text = json::text(bytes).map_err(|problem| (None, problem))?;
    let fields = Fields::read("a command", text, &["op", "ref"], Others::Ignore).map_err(|problem| (None, problem))?;
    let reference = reference(&fields).map_err(|problem| (None, problem))?;
    match op(text, &fields, publisher, channels_max) {
        Ok(op) => Ok(Command { reference, op }),
        Err(problem) => Err((reference, problem)),
    }
}

/// Reads the body of `POST /v1/connections/{connection}`: one command, or an array of at most `commands_max`.
///
/// # Errors
/// The body is no JSON, or has too many commands. A command that is wrong is an element and touches no other.
pub fn parse_body(
    bytes: &[u8],
    publisher: &Publisher<'_>,
    channels_max: usize,
    commands_max: usize,
) -> Result<Vec<Result<Command, Refused>>, Problem> {
    let text = json::text(bytes)?;
    if kind_of(text) != Kind::Array {
        return Ok(vec![parse(bytes, publisher, channels_max)]);
    }
    let List { elements, count } = list(text, commands_max)?;
    if count > commands_max {
        let detail = format!("one request has at most {commands_max} commands; this one has {count}");
        return Err(Problem::new(ErrorCode::BadRequest, detail).hint("Send several."));
    }
    let commands = elements.into_iter().map(|element| parse(element.get().as_bytes(), publisher, channels_max));
    Ok(commands.collect())
}

/// The `ref` as the JSON it was.
fn reference(fields: &Fields<'_>) -> Result<Option<String>, Problem> {
    let Some(text) = fields.raw("ref").map(RawValue::get).filter(|text| kind_of(text) != Kind::Null) else {
        return Ok(None);
    };
    if text.len() > REF_BYTES_MAX {
        return Err(bad_field(format!("`ref` has at most {REF_BYTES_MAX} bytes of JSON; this one has {}", text.len())));
    }
    // Half a surrogate pair would go out again as it came in, and break the reader of the answer.
    let scalar = matches!(kind_of(text), Kind::String | Kind::Number);
    if !scalar || json::compact_copy(text.as_bytes()).is_err() {
        return Err(bad_field(format!("`ref` is {}; it must be a string or a number", kind_of(text).name())));
    }
    Ok(Some(text.to_owned()))
}

fn op(text: &str, head: &Fields<'_>, publisher: &Publisher<'_>, channels_max: usize) -> Result<Op, Problem> {
    let name = head.string("op")?.ok_or_else(|| bad_field("`op` is missing").hint(known_ops()))?;
    let Some((name, known)) = OPS.iter().find(|(known, _)| *known == name) else {
        return Err(unknown_op(&name));
    };
    let fields = Fields::read("a command", text, known, Others::Refuse)?;
    let channels = || {
        let channels = publish::channels(&fields, channels_max)?;
        channels.ok_or_else(|| bad_field("`channels` is missing").hint("Name them: `\"channels\": [\"a\"]`."))
    };
    match *name {
        "subscribe" => {
            let since = fields.string("since")?.map(|text| query::since("since", &text)).transpose()?;
            Ok(Op::Subscribe { channels: channels()?, since: since.unwrap_or(Since::Now) })
        }
        "unsubscribe" => Ok(Op::Unsubscribe { channels: channels()? }),
        _ => publish::command(publisher, &fields).map(|draft| Op::Publish(Box::new(draft))),
    }
}

fn unknown_op(name: &str) -> Problem {
    let names: Vec<_> = OPS.iter().map(|(name, _)| *name).collect();
    Problem::new(ErrorCode::UnknownCommand, unknown("command", name, &names)).hint(known_ops())
}

fn known_ops() -> String {
    let names: Vec<_> = OPS.iter().map(|(name, _)| *name).collect();
    all("Commands here", &names)
}

/// The answer to `subscribe` and `unsubscribe`: `{"channels":[…]}`, and the cursor from which the new ones are read.
#[must_use]
pub fn channels_answer(channels: &[ChannelName], cursor: Option<Cursor>) -> String {
    let mut out = Vec::from("{\"channels\":[");
    for (index, channel) in channels.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::push_string(&mut out, channel.as_str());
    }
    let tail = cursor.map_or_else(|| "]}".to_owned(), |cursor| format!("],\"cursor\":\"{cursor}\"}}"));
    out.extend_from_slice(tail.as_bytes());
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bongsu_core::{Epoch, Seq};
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Command, Refused> {
        let publisher = Publisher { name: &Arc::from("p"), user: None, payload_bytes_max: &|_| 8 };
        parse(text.as_bytes(), &publisher, 3)
    }

    fn shown(text: &str) -> String {
        match read(text) {
            Ok(Command { reference, op }) => format!("{} {op:?}", reference.unwrap_or_default()),
            Err((reference, problem)) => format!("{} {problem}", reference.unwrap_or_default()),
        }
    }

    #[test]
    fn commands_are_read() {
        let cases = [
            (
                r#"{"op":"subscribe","channels":["a","b","a"],"ref":"r\"1"}"#,
                r#""r\"1" Subscribe { channels: ["a", "b"], since: Now }"#,
            ),
            (
                r#"{"ref":1.0,"op":"subscribe","channels":["a"],"since":"start"}"#,
                r#"1.0 Subscribe { channels: ["a"], since: Start }"#,
            ),
            (r#"{"op":"unsubscribe","channels":["a"],"ref":null}"#, r#" Unsubscribe { channels: ["a"] }"#),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
        let publish = read(r#"{"op":"publish","channel":"a","type":"t","data":{"n": 1},"idempotency_key":"k"}"#);
        let Ok(Command { op: Op::Publish(draft), .. }) = publish else { panic!("{publish:?}") };
        assert_eq!((draft.channel.as_str(), &draft.payload.bytes[..]), ("a", &br#"{"n":1}"#[..]));
        assert_eq!(
            draft.idempotency.map(|known| (known.publisher.to_string(), known.key.to_string())),
            Some(("p".into(), "k".into()))
        );
    }

    #[test]
    fn refusals_name_what_is_wrong_and_carry_the_ref() {
        let long = format!(r#"{{"op":"x","ref":"{}"}}"#, "r".repeat(199));
        let cases = [
            ("", " bad_json: EOF while parsing a value at line 1 column 0"),
            ("{\"op\":\n}", " bad_json: expected value at line 2 column 1"),
            ("[]", " bad_request: a command must be a JSON object; this is a list"),
            ("{}", " bad_field: `op` is missing (Commands here: `subscribe`, `unsubscribe`, `publish`)"),
            (
                r#"{"op":"subscrib","ref":7}"#,
                "7 unknown_command: there is no command `subscrib`; did you mean `subscribe`? (Commands here: `subscribe`, `unsubscribe`, `publish`)",
            ),
            (r#"{"op":5,"ref":7}"#, "7 bad_field: `op` is `5`; it must be a string"),
            (r#"{"op":"x","ref":[1]}"#, " bad_field: `ref` is a list; it must be a string or a number"),
            (r#"{"op":"x","ref":"\ud800"}"#, " bad_field: `ref` is a string; it must be a string or a number"),
            (&long, " bad_field: `ref` has at most 200 bytes of JSON; this one has 201"),
            (r#"{"op":"subscribe","ref":1}"#, "1 bad_field: `channels` is missing"),
            (r#"{"op":"subscribe","channels":[],"ref":1}"#, "1 bad_field: `channels` is an empty list"),
            (r#"{"op":"subscribe","channels":"a","ref":1}"#, "1 bad_field: `channels` is a string; it must be a list"),
            (r#"{"op":"subscribe","channels":["a b"],"ref":1}"#, "1 bad_channel: channel `a b`: "),
            (r#"{"op":"subscribe","channels":["$a"],"ref":1}"#, "1 reserved: channel `$a`: "),
            (r#"{"op":"subscribe","channels":["a","b","c","d"],"ref":1}"#, "1 too_many_channels: at most 3 channels"),
            (r#"{"op":"subscribe","channels":["a"],"since":"x"}"#, " bad_cursor: `since` is `x`: not a cursor"),
            (
                r#"{"op":"subscribe","channel":"a"}"#,
                " unknown_field: there is no field `channel`; did you mean `channels`?",
            ),
            (r#"{"op":"publish","data":1}"#, " bad_field: `channel` is missing"),
            (r#"{"op":"publish","channel":"a"}"#, " bad_field: `data` is missing"),
            (r#"{"op":"publish","channel":"a","data":"1234567"}"#, " payload_too_large: the payload has 9 bytes"),
        ];
        for (text, expected) in cases {
            let shown = shown(text);
            assert!(shown.starts_with(expected), "{text}: {shown}");
        }
    }

    #[test]
    fn a_body_has_one_command_or_many() {
        let publisher = Publisher { name: &Arc::from(""), user: None, payload_bytes_max: &|_| 8 };
        let read = |text: &str| parse_body(text.as_bytes(), &publisher, 3, 2);
        let one = r#"{"op":"unsubscribe","channels":["a"]}"#;
        let goods = |text: &str| read(text).map(|all| all.iter().map(Result::is_ok).collect::<Vec<_>>());
        assert_eq!(goods(one), Ok(vec![true]));
        assert_eq!(goods(&format!("[{one},5]")), Ok(vec![true, false]));
        assert_eq!(goods("[]"), Ok(vec![]));
        assert_eq!(goods("[1,2,3]").map_err(|problem| problem.code), Err(ErrorCode::BadRequest));
        assert_eq!(goods("[1,").map_err(|problem| problem.code), Err(ErrorCode::BadJson));
    }

    #[test]
    fn answers_name_the_channels() {
        let channels = ["a", "b\""].map(|name| ChannelName::new(name).unwrap());
        let cursor = Cursor::new(Epoch::from_random(1), Seq(7));
        assert_eq!(channels_answer(&channels, None), r#"{"channels":["a","b\""]}"#);
        assert_eq!(channels_answer(&[], Some(cursor)), r#"{"channels":[],"cursor":"00000001-7"}"#);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(input in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            r#"\{"op":"(subscribe|publish)"(,"(channels?|data|ref|since)":[\[\]"a-z0-9]{0,6}){0,3}\}"#
                .prop_map(String::into_bytes),
        ]) {
            let publisher = Publisher { name: &Arc::from(""), user: None, payload_bytes_max: &|_| 8 };
            if let Ok(Command { reference: Some(reference), .. }) = parse(&input, &publisher, 3) {
                prop_assert!(reference.len() <= REF_BYTES_MAX);
            }
            let _ = parse_body(&input, &publisher, 3, 2);
        }
    }
}
