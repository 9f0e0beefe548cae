//! Holds an HTTP answer against what a step expects of it.

use super::vocabulary::Answered;
use crate::error::{Failure, Result};
use crate::item::{Framing, Item};
use crate::net::{Answer, Head};
use crate::pattern::check;
use crate::sse::SseDecoder;
use crate::vars::Vars;
use serde_json::{Map, Value};

/// Checks all that is expected; the failure tells the whole answer.
pub(super) fn check_answer(expect: &Answered, answer: &Answer, vars: &mut Vars) -> Result<()> {
    checks(expect, answer, vars).map_err(|f| f.within(&format!("answered {}", show(answer))))
}

fn checks(expect: &Answered, answer: &Answer, vars: &mut Vars) -> Result<()> {
    let mut good = expect.statuses.clone();
    if good.is_empty() {
        good.push(expect.status.unwrap_or(200));
    }
    if !good.contains(&answer.head.status) {
        return Err(Failure::wrong(format!("expected the status {good:?}")));
    }
    check_headers(&expect.headers, &answer.head, vars)?;
    if let Some(pattern) = &expect.json {
        check(pattern, Some(&json(answer)?), "", vars)?;
    }
    if let Some(pattern) = &expect.body {
        check(pattern, Some(&Value::String(text(answer)?)), "the body", vars)?;
    }
    if let Some(pattern) = &expect.problem {
        check_problem(pattern, &expect.mentions, answer, vars)?;
    } else if !expect.mentions.is_empty() {
        return Err(Failure::wrong("`mentions` goes with `problem`"));
    }
    match &expect.sse {
        Some(patterns) => check_sse(patterns, answer, vars),
        None => Ok(()),
    }
}

/// Checks header fields; an absent one matches only `<absent>`.
pub(super) fn check_headers(expected: &Map<String, Value>, head: &Head, vars: &mut Vars) -> Result<()> {
    for (name, pattern) in expected {
        let actual = head.get(name).map(Value::String);
        check(pattern, actual.as_ref(), &format!("header {name}"), vars)?;
    }
    Ok(())
}

/// RFC 9457, as §12 of the protocol page fills it in.
fn check_problem(code: &Value, mentions: &[String], answer: &Answer, vars: &mut Vars) -> Result<()> {
    let kind = answer.head.get("content-type").unwrap_or_default();
    if kind != "application/problem+json" {
        return Err(Failure::wrong(format!("a problem with Content-Type {kind:?}")));
    }
    let problem = json(answer)?;
    check_problem_object(&problem, answer.head.status)?;
    check(code, problem.get("code"), "/code", vars)?;
    let said = format!("{} {}", problem["detail"], problem["hint"]).to_lowercase();
    match mentions.iter().find(|m| !said.contains(&m.to_lowercase())) {
        Some(word) => Err(Failure::wrong(format!("the problem does not mention {word:?}"))),
        None => Ok(()),
    }
}

/// `{"type":"https://…/errors#code","title":…,"status":403,"code":…,"detail":…,"hint":…}`
pub(super) fn check_problem_object(problem: &Value, status: u16) -> Result<()> {
    let code = problem["code"].as_str().unwrap_or_default();
    let good = !code.is_empty()
        && problem["status"] == status
        && problem["type"].as_str().is_some_and(|t| t.ends_with(&format!("/errors#{code}")))
        && ["title", "detail"].iter().all(|m| problem[*m].as_str().is_some_and(|t| !t.is_empty()));
    if good {
        return Ok(());
    }
    Err(Failure::wrong("not a problem with type, title, status, code and detail"))
}

fn check_sse(patterns: &[Value], answer: &Answer, vars: &mut Vars) -> Result<()> {
    let mut decoder = SseDecoder::default();
    let items = decoder
        .feed(&answer.body)?
        .iter()
        .map(|event| Ok(Item::object(event.data.as_bytes(), Framing::default())?.seen()))
        .collect::<Result<Vec<_>>>()?;
    check(&Value::Array(patterns.to_vec()), Some(&Value::Array(items)), "events", vars)?;
    if let Some(ms) = decoder.retry_ms {
        vars.set("sse_retry_ms", ms);
    }
    Ok(())
}

/// What later steps may look at: `{status, headers, json}`.
pub(super) fn as_value(answer: &Answer) -> Value {
    let headers: Map<String, Value> =
        answer.head.headers.iter().map(|(n, v)| (n.clone(), Value::String(v.clone()))).collect();
    serde_json::json!({
        "status": answer.head.status,
        "headers": headers,
        "json": serde_json::from_slice::<Value>(&answer.body).unwrap_or(Value::Null),
    })
}

fn json(answer: &Answer) -> Result<Value> {
    Ok(serde_json::from_slice(&answer.body)?)
}

fn text(answer: &Answer) -> Result<String> {
    String::from_utf8(answer.body.clone()).map_err(|_| Failure::wrong("the body is not UTF-8"))
}

/// Status, fields and body, shortened.
pub(super) fn show(answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let fields: Vec<String> = answer.head.headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    crate::transcript::shorten(&format!("{} [{}] {body}", answer.head.status, fields.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: u16, kind: &str, body: &str) -> Answer {
        Answer {
            head: Head { status, headers: vec![("content-type".into(), kind.into())] },
            body: body.as_bytes().to_vec(),
        }
    }

    fn holds(expect: Value, answer: &Answer) -> bool {
        let expect: Answered = serde_json::from_value(expect).unwrap();
        check_answer(&expect, answer, &mut Vars::new("t")).is_ok()
    }

    #[test]
    fn each_part_of_an_expectation_can_fail() {
        let good = answer(200, "application/json", r#"{"a":1}"#);
        for (expect, holds_for_good) in [
            (json!({}), true),
            (json!({"status": 201}), false),
            (json!({"statuses": [201, 200]}), true),
            (json!({"statuses": [201, 204]}), false),
            (json!({"json": {"a": 1}}), true),
            (json!({"json": {"a": 2}}), false),
            (json!({"body": "{\"a\":1}"}), true),
            (json!({"body": "x"}), false),
            (json!({"headers": {"content-type": "application/json"}}), true),
            (json!({"headers": {"content-type": "<absent>"}}), false),
            (json!({"headers": {"etag": "<any>"}}), false),
            (json!({"headers": {"etag": "<absent>"}}), true),
            (json!({"problem": "x"}), false),
            (json!({"mentions": ["x"]}), false),
        ] {
            assert_eq!(holds(expect.clone(), &good), holds_for_good, "{expect}");
        }
    }

    #[test]
    fn problems_are_whole_and_name_the_field() {
        let body = r#"{"type":"https://x/errors#bad","title":"T","status":400,"code":"bad",
            "detail":"limit is 1-1000","hint":"h"}"#;
        let kind = "application/problem+json";
        let expect = json!({"status": 400, "problem": "bad", "mentions": ["LIMIT"]});
        assert!(holds(expect.clone(), &answer(400, kind, body)));
        assert!(!holds(expect.clone(), &answer(400, "application/json", body)));
        assert!(!holds(expect.clone(), &answer(400, kind, &body.replace("#bad", "#x"))));
        assert!(!holds(expect.clone(), &answer(400, kind, &body.replace("400", "401"))));
        assert!(!holds(expect.clone(), &answer(400, kind, &body.replace("limit", "it"))));
        assert!(!holds(expect, &answer(400, kind, &body.replace("\"T\"", "\"\""))));
    }

    #[test]
    fn an_event_stream_is_compared_whole() {
        let stream = "retry: 5\n\ndata: {\"type\":\"$close\",\"code\":1001}\n\n";
        let answer = answer(200, "text/event-stream", stream);
        assert!(holds(json!({"sse": [{"code": 1001}]}), &answer));
        assert!(!holds(json!({"sse": []}), &answer));
        assert!(!holds(json!({"sse": [{"code": 1}]}), &answer));
    }
}
