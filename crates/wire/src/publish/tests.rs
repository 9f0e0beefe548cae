use bongsu_core::PayloadKind;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const KEY: (&str, &str) = ("idempotency-key", "k");

fn publisher<'a>(name: &'a Arc<str>, user: Option<&'a UserId>) -> Publisher<'a> {
    // `small` takes 8 bytes, other channels 1000.
    Publisher { name, user, payload_bytes_max: &|channel| if channel.as_str() == "small" { 8 } else { 1000 } }
}

/// One draft in a line, to be compared.
fn shown(draft: &Draft) -> String {
    let Draft { channel, kind, key, ttl, store, payload, idempotency, .. } = draft;
    let mut out = format!("{channel}");
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            out += &format!(" {name}={value}");
        }
    };
    add("type", kind.as_ref().map(ToString::to_string));
    add("key", key.as_ref().map(ToString::to_string));
    add("ttl", ttl.map(|ttl| ttl.as_secs().to_string()));
    add("store", (!store).then(|| "false".to_owned()));
    add("idempotency", idempotency.as_ref().map(|known| known.key.to_string()));
    let kind = match payload.kind {
        PayloadKind::Json => "json",
        PayloadKind::Text => "text",
        PayloadKind::Binary => "binary",
    };
    add(kind, Some(payload.content_type.as_deref().unwrap_or("-").to_owned()));
    out + &format!(" {:?}", String::from_utf8_lossy(&payload.bytes))
}

fn shown_item(item: &Result<PublishItem, Problem>) -> String {
    match item {
        Ok(item) => {
            item.drafts.iter().map(shown).collect::<Vec<_>>().join(" + ") + if item.multi { " multi" } else { "" }
        }
        Err(problem) => problem.to_string(),
    }
}

fn post(channel: &str, query: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
    let name = Arc::from("p");
    let body = Bytes::copy_from_slice(body);
    match channel_body(&publisher(&name, None), channel, query, &headers, body) {
        Ok(draft) => shown(&draft),
        Err(problem) => problem.to_string(),
    }
}

fn post_events(headers: &[(&str, &str)], body: &[u8]) -> String {
    let name = Arc::from("p");
    let read = |form| events_body(&publisher(&name, None), form, &headers, Bytes::copy_from_slice(body));
    match EventsBody::of_request("", &headers).and_then(read) {
        Ok(Events::One(item)) => shown_item(&Ok(item)),
        Ok(Events::Many(items)) => format!("{:?}", items.iter().map(shown_item).collect::<Vec<_>>()),
        Err(problem) => problem.to_string(),
    }
}

fn check(cases: &[(String, &str)]) {
    for (shown, expected) in cases {
        let same = expected.strip_suffix('…').map_or(shown == expected, |start| shown.starts_with(start));
        assert!(same, "\n   {shown}\nis {expected}\nexpected");
    }
}

#[test]
fn the_content_type_says_the_kind() {
    let with = |content_type: &str, body: &[u8]| post("a", "", &[("content-type", content_type)], body);
    check(&[
        (post("a", "", &[], b"{\"n\": 1.0}"), r#"a json=- "{\"n\":1.0}""#),
        (post("a", "", &[], b"hello"), r#"a text=text/plain "hello""#),
        (post("a", "", &[], b"\xff\0"), "a binary=application/octet-stream \"\u{fffd}\\0\""),
        (post("a", "", &[], b""), r#"a text=text/plain """#),
        (with("", b"5"), r#"a json=- "5""#),
        (with("application/json", b" 5 "), r#"a json=- "5""#),
        (with("Application/JSON; charset=UTF-8", b"5"), r#"a json=- "5""#),
        (with("application/vnd.x+json", b"5"), r#"a json=application/vnd.x+json "5""#),
        (with("application/json", b"{\n x"), "bad_json: key must be a string at line 2 column 2"),
        (with("application/json", b"\"\xff\""), "bad_json: invalid UTF-8 at line 1 column 2"),
        (
            with("application/json", b""),
            "bad_json: EOF while parsing a value at line 1 column 0 (The body is empty. Leave out `Content-Type` to publish the empty text.)",
        ),
        (
            with("application/json; charset=utf-16", b"5"),
            "unsupported_media_type: text in the charset `utf-16` is not read…",
        ),
        (with("text/html; charset=utf-8", b"<b>"), r#"a text=text/html; charset=utf-8 "<b>""#),
        (with("text/plain", b""), r#"a text=text/plain """#),
        (with("text/plain", b"5"), r#"a text=text/plain "5""#),
        (with("text/plain", b"ab\xff"), "bad_text: the body is not UTF-8 from byte 2 on…"),
        (
            with("text/plain;charset=\"latin1\"", b"a"),
            "unsupported_media_type: text in the charset `latin1` is not read…",
        ),
        (with("application/x-www-form-urlencoded", b"[ 1 ]"), r#"a json=- "[1]""#),
        (with("application/x-www-form-urlencoded", b"a=b"), r#"a text=text/plain "a=b""#),
        (with("application/x-www-form-urlencoded", b"\xff"), "bad_text: the body is not UTF-8 from byte 0 on…"),
        (with("image/png", b"\x01"), r#"a binary=image/png "\u{1}""#),
        (with("image/png", b""), r#"a binary=image/png """#),
        (
            with("png", b""),
            "unsupported_media_type: `Content-Type`: `png` is no media type; write one like `text/plain`",
        ),
        (
            post("a", "", &[("content-encoding", "gzip")], b""),
            "unsupported_media_type: `Content-Encoding: gzip` is not read…",
        ),
    ]);
}

#[test]
fn the_query_and_headers_say_the_rest() {
    let quoted = ("idempotency-key", "\"k\"");
    let long = "x".repeat(256);
    check(&[
        (
            post("a%3Ab", "type=offer&key=k%201&ttl=60&store=false", &[KEY], b"5"),
            r#"a:b type=offer key=k 1 ttl=60 store=false idempotency=k json=- "5""#,
        ),
        (post("a", "type=message&store=true", &[quoted], b"5"), r#"a idempotency=k json=- "5""#),
        (post("a", "ttl=0", &[], b"5"), "bad_parameter: `ttl` is `0`; it must be a whole number from 1 to 31622400"),
        (post("a", "store=no", &[], b"5"), "bad_parameter: `store` is `no`; it must be one of: `true`, `false`"),
        (post("a", "type=$x", &[], b"5"), "reserved: `type` cannot begin with `$`…"),
        (post("a", "type=a%0Ab", &[], b"5"), "bad_parameter: `type` cannot contain the control character '\\n'"),
        (post("a", "key=", &[], b"5"), "bad_parameter: `key` needs at least one character…"),
        (post("a", "tipe=x", &[], b"5"), "unknown_parameter: there is no parameter `tipe`; did you mean `type`?…"),
        (post("%24user:1", "", &[], b"5"), "reserved: channel `$user:1`: …"),
        (post("a%20b", "", &[], b"5"), "bad_channel: channel `a b`: …"),
        (
            post("a", "", &[("idempotency-key", "")], b"5"),
            "bad_parameter: `Idempotency-Key` has 1 to 255 bytes of UTF-8; this one has 0…",
        ),
        (
            post("a", "", &[("idempotency-key", &long)], b"5"),
            "bad_parameter: `Idempotency-Key` has 1 to 255 bytes of UTF-8; this one has 256…",
        ),
        (
            post("a", "", &[KEY, ("idempotency-key", "other")], b"5"),
            "bad_parameter: `Idempotency-Key` is given more than once…",
        ),
        (post("small", "", &[], b"12345678"), r#"small json=- "12345678""#),
        (
            post("small", "", &[], b"12345678 "),
            "payload_too_large: the payload has 9 bytes; channel `small` takes at most 8…",
        ),
    ]);
}

#[test]
fn drafts_say_who_published() {
    let (name, user) = (Arc::from("p"), UserId::new("u").unwrap());
    let none: &[(&str, &str)] = &[KEY];
    let draft = channel_body(&publisher(&name, Some(&user)), "a", "", &none, Bytes::new()).unwrap();
    assert_eq!(draft.user, Some(user));
    assert_eq!(draft.idempotency, Some(Idempotency { publisher: "p".into(), key: "k".into() }));
}

#[test]
fn one_event_as_an_object() {
    let one = |body: &str| post_events(&[], body.as_bytes());
    check(&[
        (one(r#"{"channel":"a","data":{"n": 1.0, "n":2}}"#), r#"a json=- "{\"n\":1.0,\"n\":2}""#),
        (one(r#"{"channel":"a","data":null,"key":null}"#), r#"a json=- "null""#),
        (
            one(r#"{"channel":"a","type":"t","key":"k","ttl":5,"store":false,"idempotency_key":"i","data":1}"#),
            r#"a type=t key=k ttl=5 store=false idempotency=i json=- "1""#,
        ),
        (one(r#"{"channels":["a","b","a"],"data":1}"#), r#"a json=- "1" + b json=- "1" multi"#),
        (one(r#"{"channels":["a"],"data":1}"#), r#"a json=- "1" multi"#),
        (one(r#"{"channel":"a","data":"x\ny","content_type":"text/plain"}"#), r#"a text=text/plain "x\ny""#),
        (one(r#"{"channel":"a","data":"x","content_type":"application/json"}"#), r#"a json=- "\"x\"""#),
        (one(r#"{"channel":"a","data":[1 ],"content_type":"a/b+json"}"#), r#"a json=a/b+json "[1]""#),
        (one(r#"{"channel":"a","data_base64":"QUI="}"#), r#"a binary=application/octet-stream "AB""#),
        (one(r#"{"channel":"a","data_base64":"","content_type":"image/png"}"#), r#"a binary=image/png """#),
        (post_events(&[KEY], br#"{"channel":"a","data":1}"#), r#"a idempotency=k json=- "1""#),
        (
            post_events(
                &[KEY, ("content-type", "application/json")],
                br#"{"channel":"a","idempotency_key":"k","data":1}"#,
            ),
            r#"a idempotency=k json=- "1""#,
        ),
    ]);
}

#[test]
fn refusals_of_objects_name_the_field() {
    let one = |body: &str| post_events(&[], body.as_bytes());
    let many: Vec<_> = (0..101).map(|index| format!("\"c{index}\"")).collect();
    check(&[
        (one(""), "bad_json: EOF while parsing a value at line 1 column 0"),
        (one("{\"channel\":\"a\",\n\"data\":}"), "bad_json: expected value at line 2 column 8"),
        (one("5"), "bad_request: an event must be a JSON object; this is a number"),
        (one(r#"{"data":1}"#), "bad_field: `channel` is missing (Name where it goes: `\"channel\": \"a\"`.)"),
        (one(r#"{"channel":"a"}"#), "bad_field: `data` is missing (Give `data`, or `data_base64` for bytes.)"),
        (one(r#"{"chanel":"a","data":1}"#), "unknown_field: there is no field `chanel`; did you mean `channel`?…"),
        (one(r#"{"channel":"a","channel":"b","data":1}"#), "bad_field: `channel` is given more than once"),
        (one(r#"{"channel":5,"data":1}"#), "bad_field: `channel` is `5`; it must be a string"),
        (one(r#"{"channel":"$a","data":1}"#), "reserved: channel `$a`: …"),
        (
            one(r#"{"channel":"a","channels":["b"],"data":1}"#),
            "bad_field: `channel` and `channels` cannot both be given…",
        ),
        (one(r#"{"channels":[],"data":1}"#), "bad_field: `channels` is an empty list…"),
        (one(r#"{"channels":["a",1],"data":1}"#), "bad_field: `channels` is `1`; it must be a list of strings"),
        (one(&format!(r#"{{"channels":[{}],"data":1}}"#, many.join(","))), "too_many_channels: at most 100 channels…"),
        (
            one(r#"{"channel":"a","data":1,"data_base64":""}"#),
            "bad_field: `data` and `data_base64` cannot both be given…",
        ),
        (one(r#"{"channel":"a","data_base64":"QUI"}"#), "bad_field: `data_base64`: …"),
        (
            one(r#"{"channel":"a","data":"\ud800"}"#),
            "bad_json: in `data`: half a surrogate pair in an escape at line 1 column 2",
        ),
        (
            one(r#"{"channel":"a","data":1,"content_type":"text/plain"}"#),
            "bad_field: `data` is a number; with `content_type` `text/plain` it must be a string…",
        ),
        (
            one(r#"{"channel":"a","data":"","content_type":"text"}"#),
            "bad_field: `content_type`: `text` is no media type…",
        ),
        (
            one(r#"{"channel":"a","data":1,"ttl":0}"#),
            "bad_field: `ttl` is 0; it must be a whole number from 1 to 31622400",
        ),
        (
            one(r#"{"channel":"a","data":1,"type":"a\r\nb"}"#),
            "bad_field: `type` cannot contain the control character '\\r'",
        ),
        (one(r#"{"channel":"a","data":1,"type":"$open"}"#), "reserved: `type` cannot begin with `$`…"),
        (one(r#"{"channel":"a","data":1,"idempotency_key":""}"#), "bad_field: `idempotency_key` has 1 to 255 bytes…"),
        (
            one(r#"{"channels":["a","small"],"data":"1234567"}"#),
            "payload_too_large: the payload has 9 bytes; channel `small` takes at most 8…",
        ),
        (
            post_events(&[KEY], br#"{"channel":"a","idempotency_key":"other","data":1}"#),
            "bad_field: `idempotency_key` differs from the header `Idempotency-Key`…",
        ),
    ]);
    let error = post_events(&[], b"{\"channel\":\"a\",\n\"\xff\":1}");
    assert_eq!(error, "bad_json: invalid UTF-8 at line 2 column 2");
}

#[test]
fn lists_are_read_one_by_one() {
    let ndjson = ("content-type", "application/x-ndjson");
    let element = r#"{"channel":"a","data":1}"#;
    let many = |count: usize| vec![element; count].join(",");
    let elements = format!("[{element}, 5 ,{element}]");
    let mixed =
        r#"["a json=- \"1\"", "bad_request: an event must be a JSON object; this is a number", "a json=- \"1\""]"#;
    check(&[
        (post_events(&[], elements.as_bytes()), mixed),
        (post_events(&[], b" [ ] "), "[]"),
        (post_events(&[], b"[{},]"), "bad_json: trailing comma at line 1 column 5"),
        (
            post_events(&[], format!("[{}]", many(1001)).as_bytes()),
            "too_many_events: one request publishes at most 1000 events; this one has 1001…",
        ),
        (post_events(&[KEY], elements.as_bytes()), "bad_parameter: `Idempotency-Key` names one publish…"),
        (post_events(&[ndjson], format!("{element}\r\n\n5\n{element}").as_bytes()), mixed),
        (post_events(&[ndjson], b"\n\n"), "[]"),
        (post_events(&[ndjson, KEY], b""), "bad_parameter: `Idempotency-Key` names one publish…"),
        (
            post_events(&[("content-type", "text/plain")], b""),
            "unsupported_media_type: `Content-Type: text/plain` is not read here…",
        ),
    ]);
    let good = post_events(&[], format!("[{}]", many(1000)).as_bytes());
    assert_eq!(good.matches("json").count(), 1000);
    let problem = EventsBody::of_request("type=a", &&[KEY][..]).unwrap_err();
    assert_eq!(problem.code, ErrorCode::UnknownParameter);
}

#[test]
fn cloud_events_in_all_modes() {
    let single = ("content-type", "application/cloudevents+json; charset=utf-8");
    let batch = ("content-type", "application/cloudevents-batch+json");
    let one = |rest: &str| {
        let body = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","ext":{{}}{rest}}}"#);
        post_events(&[single], body.as_bytes())
    };
    let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"a","data":1}"#;
    let binary: &[(&str, &str)] = &[
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("ce-subject", "%EB%B4%89"),
    ];
    let image = [binary, &[("content-type", "image/png")]].concat();
    check(&[
        (one(r#","subject":"a","data":{"n": 1}"#), r#"a type=t idempotency=/s 1 json=- "{\"n\":1}""#),
        (one(r#","subject":"a b","bongsuchannel":"c","data":1"#), r#"c type=t idempotency=/s 1 json=- "1""#),
        (one(r#","subject":"a""#), r#"a type=t idempotency=/s 1 json=- "null""#),
        (
            one(r#","subject":"a","datacontenttype":"text/xml","data":"<a/>""#),
            r#"a type=t idempotency=/s 1 text=text/xml "<a/>""#,
        ),
        (
            one(r#","subject":"a","datacontenttype":"image/png","data_base64":"QUI=""#),
            r#"a type=t idempotency=/s 1 binary=image/png "AB""#,
        ),
        (one(r#","subject":"small","data":"1234567""#), "payload_too_large: the payload has 9 bytes…"),
        (one(r#","data":1"#), "bad_field: the CloudEvent names no channel: `subject` or `bongsuchannel` is missing…"),
        (
            one(r#","subject":"a","datacontenttype":"text/xml","data":1"#),
            "bad_field: `data` is a number; with `datacontenttype` `text/xml` it must be a string…",
        ),
        (post_events(&[single], br#"{"specversion":"0.3"}"#), "bad_field: `specversion` is `0.3`; it must be `1.0`"),
        (
            post_events(&[single], br#"{"specversion":"1.0"}"#),
            "bad_field: `source` is missing; a CloudEvent must have it",
        ),
        (post_events(&[single], b"[]"), "bad_request: a CloudEvent must be a JSON object; this is a list"),
        (
            post_events(&[batch], format!("[{event}, 5]").as_bytes()),
            r#"["a type=t idempotency=/s 1 json=- \"1\"", "bad_request: a CloudEvent must be…"#,
        ),
        (post_events(&[batch], event.as_bytes()), "bad_request: a batch must be a JSON array; this is an object"),
        (post_events(binary, b"5"), r#"봉 type=t idempotency=/s 1 json=- "5""#),
        (post_events(&image, b"5"), r#"봉 type=t idempotency=/s 1 binary=image/png "5""#),
        (post_events(&binary[..2], b"5"), "bad_parameter: `ce-source` is missing; a CloudEvent must have it"),
        (post("a", "", binary, b"5"), r#"a type=t idempotency=/s 1 json=- "5""#),
        (post("a", "type=mine", &[binary, &[KEY]].concat(), b"5"), r#"a type=mine idempotency=k json=- "5""#),
        (post("a", "", &[single], event.as_bytes()), r#"a json=application/cloudevents+json; charset=utf-8…"#),
    ]);
}

#[test]
fn long_names_of_cloud_events_make_keys_too() {
    let key = |source: &str| {
        let body = format!(r#"{{"specversion":"1.0","id":"1","source":"{source}","type":"t","subject":"a"}}"#);
        post_events(&[("content-type", "application/cloudevents+json")], body.as_bytes())
    };
    let (first, second) = (key(&format!("/{}", "s".repeat(300))), key(&format!("/{}", "s".repeat(301))));
    assert!(first.starts_with("a type=t idempotency=sha1 ") && second.starts_with("a type=t idempotency=sha1 "));
    assert_ne!(first, second);
}

#[test]
fn events_of_a_list_do_not_keep_its_body() {
    let name = Arc::from("");
    let body = Bytes::from(r#"[{"channel":"a","data":{"n":1}}]"#.to_owned());
    let form = EventsBody::of_request("", &&[("content-type", "application/json")][..]).unwrap();
    let none: &[(&str, &str)] = &[];
    let events = events_body(&publisher(&name, None), form, &none, body.clone()).unwrap();
    assert!(body.is_unique(), "{events:?}");
}

proptest! {
    #[test]
    fn any_body_is_taken_or_refused(
        content_type in prop_oneof![
            "application/(json|x-ndjson|cloudevents\\+json|cloudevents-batch\\+json)",
            "(text|image)/[a-z]{0,3}(;charset=[a-z]{0,3})?",
            any::<String>(),
        ],
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            r#"\[?\{("(channels?|data|data_base64|type|ttl|x)":[\[\]{}"a-z0-9]{0,6},?){0,3}\}\]?"#.prop_map(String::into_bytes),
        ],
        query in "((type|key|ttl|store)=[a-z0-9%$]{0,3}&?){0,2}",
    ) {
        let headers: &[(&str, &str)] = &[("content-type", &content_type)];
        post_events(headers, &body);
        post("a", &query, headers, &body);
        let name = Arc::from("");
        if let Ok(item) = line(&publisher(&name, None), &body) {
            prop_assert!(!item.drafts.is_empty());
        }
    }
}
