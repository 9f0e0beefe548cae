//! Publishing and reading by the real command, against a real server.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use serde_json::{Value, json};
use support::{Running, Server, bongsu, run, run_with_input};

const WAYS: [&str; 5] = ["poll", "longpoll", "stream", "sse", "websocket"];

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The objects of `bongsu sub --json`.
fn objects(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_kind_of_payload_arrives_by_each_way() {
    let dir = dir();
    let server = Server::start(dir.path());
    std::fs::create_dir_all(dir.path().join("album/deep")).unwrap();
    std::fs::write(dir.path().join("album/b.bin"), b"\xff\x00").unwrap();
    std::fs::write(dir.path().join("album/deep/c.json"), b"{\n  \"n\": 1.0\n}\n").unwrap();
    std::fs::write(dir.path().join("a.txt"), "봉수\n").unwrap();
    std::fs::write(dir.path().join("lines"), "1\n\n  [2, 3]\n\"x\"").unwrap();
    let cases: [(&[&str], &[u8], usize); 8] = [
        (&["pub", "a", r#"{"id":17}"#], b"", 1),
        (&["pub", "a", "hello", "--type", "greeting", "--key", "k"], b"", 1),
        (&["pub", "a", "-"], b"piped\n", 1),
        (&["pub", "a"], b"{\"piped\":true}", 1),
        (&["pub", "a", "<p>", "--content-type", "text/html"], b"", 1),
        (&["pub", "a", "--file", "a.txt", "album"], b"", 3),
        (&["pub", "a", "--ndjson", "lines", "--rate", "100"], b"", 3),
        (
            &["pub", "--ndjson", "-"],
            b"{\"channel\":\"a\",\"data\":null,\"type\":\"own\"}\n{\"channels\":[\"a\",\"b\"],\"data\":0}\n",
            3,
        ),
    ];
    for (args, input, ids) in cases {
        let args = [args, &["--url", &server.url]].concat();
        let ran = run_with_input(dir.path(), &args, input).ok();
        assert_eq!(ran.lines().len(), ids, "{args:?} {ran:?}");
    }
    let expected = [
        json!({"data": {"id": 17}}),
        json!({"type": "greeting", "data": "hello", "key": "k", "content_type": "text/plain"}),
        json!({"data": "piped", "content_type": "text/plain"}),
        json!({"data": {"piped": true}}),
        json!({"data": "<p>", "content_type": "text/html"}),
        json!({"data": "봉수\n", "content_type": "text/plain"}),
        json!({"data_base64": "/wA=", "content_type": "application/octet-stream"}),
        json!({"data": {"n": 1.0}}),
        json!({"data": 1}),
        json!({"data": [2, 3]}),
        json!({"data": "x"}),
        json!({"type": "own", "data": null}),
        json!({"data": 0}),
    ];
    for way in WAYS {
        let count = expected.len().to_string();
        let ran =
            server.run(dir.path(), &["sub", "a", "--since", "start", "--way", way, "--count", &count, "--json"]).ok();
        let mut got = objects(&ran.out);
        for (index, event) in got.iter_mut().enumerate() {
            let event = event.as_object_mut().unwrap();
            assert_eq!(event.remove("channel"), Some(json!("a")), "{way}");
            assert_eq!(event.remove("offset"), Some(json!(index + 1)), "{way}");
            assert!(event.remove("id").is_some() && event.remove("time").is_some(), "{way}");
        }
        assert_eq!(got, expected, "{way}");
    }
}

#[test]
fn a_person_reads_one_line_per_event() {
    let dir = dir();
    let server = Server::start(dir.path());
    server.run(dir.path(), &["pub", "a", "red \x1b[31m alert\nnext", "--type", "t", "--key", "k"]).ok();
    server.run(dir.path(), &["pub", "a", r#"{"id": 17}"#]).ok();
    let ran = server.run(dir.path(), &["sub", "a", "--last", "5", "--count", "2"]).ok();
    let lines = ran.lines();
    assert!(lines[0].ends_with(r"Z a #1 t [k]  red \u{1b}[31m alert\nnext"), "{ran:?}");
    assert!(lines[1].ends_with(r#"Z a #2  {"id":17}"#), "{ran:?}");
    assert!(ran.err.contains("to go on from here: bongsu sub a --since "), "{ran:?}");
}

#[test]
fn the_printed_cursor_goes_on_where_it_stopped() {
    let dir = dir();
    let server = Server::start(dir.path());
    let ids: Vec<String> =
        (1..=5).map(|n| server.run(dir.path(), &["pub", "a", &n.to_string()]).ok().out.trim().to_owned()).collect();
    let first = server.run(dir.path(), &["sub", "a", "--since", "start", "--count", "2"]).ok();
    let cursor = first.err.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(cursor, ids[1]);
    let rest = server.run(dir.path(), &["sub", "a", "--since", &cursor, "--count", "3", "--json"]).ok();
    let data: Vec<_> = objects(&rest.out).iter().map(|event| event["data"].clone()).collect();
    assert_eq!(data, [json!(3), json!(4), json!(5)]);
    server.run(dir.path(), &["sub", "a", "--since", "no cursor"]).fails(2, &["cursor"]);
    server.run(dir.path(), &["sub", "a b"]).fails(1, &["bad_channel"]);
}

#[test]
fn only_the_types_that_were_asked_for() {
    let dir = dir();
    let server = Server::start(dir.path());
    for kind in ["x", "y", "z"] {
        server.run(dir.path(), &["pub", "a", kind, "--type", kind]).ok();
    }
    let args = ["sub", "a", "--since", "start", "--type", "x", "--type", "z", "--count", "2", "--json"];
    let kinds: Vec<_> =
        objects(&server.run(dir.path(), &args).ok().out).iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["x", "z"]);
}

#[test]
fn a_restarted_server_is_found_again_and_nothing_is_lost() {
    let dir = dir();
    let server = Server::start(dir.path());
    let address = server.address().to_owned();
    let sub = server.begin(dir.path(), &["sub", "a", "--since", "start", "--json"]);
    server.run(dir.path(), &["pub", "a", "1"]).ok();
    assert!(sub.line().contains("\"data\":1"));
    server.running.signal("KILL");
    drop(server);
    sub.hears("no connection");
    let server = Server::start_with(dir.path(), &["--listen", &address]);
    server.run(dir.path(), &["pub", "a", "2"]).ok();
    let line = sub.line();
    assert!(line.contains("\"data\":2") && line.contains("\"offset\":2"), "{line}");
    sub.hears("connected again (sse)");
    sub.signal("INT");
    let ran = sub.end().ok();
    assert_eq!(ran.out, "", "nothing is printed twice");
}

#[test]
fn ctrl_c_prints_the_cursor_and_ends_well() {
    let dir = dir();
    let server = Server::start(dir.path());
    let sub = server.begin(dir.path(), &["sub", "a", "b"]);
    // An event that comes shows that the subscription stands; until then publishes find nobody.
    let id = loop {
        let receipt = server.run(dir.path(), &["pub", "b", "1", "--json"]).ok().out;
        let receipt: Value = serde_json::from_str(&receipt).unwrap();
        if receipt["subscribers"] == 1 {
            break receipt["id"].as_str().unwrap().to_owned();
        }
    };
    sub.line();
    sub.signal("INT");
    let ran = sub.end().ok();
    assert!(ran.err.contains(&format!("to go on from here: bongsu sub a b --since {id}")), "{ran:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = dir();
    let server = Server::start(dir.path());
    server.run(dir.path(), &["pub", "a", "1"]).ok();
    let mut command = bongsu(dir.path());
    command.args(["sub", "a", "--since", "start", "--url", &server.url]).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    // The pipe is closed at once: the first write meets nobody.
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut err = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut err).unwrap();
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
}

#[test]
fn bad_lines_are_told_and_the_rest_is_sent() {
    let dir = dir();
    let server = Server::start(dir.path());
    let lines = [
        r#"{"channel":"a","data":1}"#,
        r#"{"channel":"a","data":"#,
        "",
        r#"{"channel":"no name","data":2}"#,
        r#"{"chanel":"a","data":3}"#,
        r#"{"channel":"$server","data":4}"#,
        r#"{"channel":"a","data":5}"#,
    ];
    let file = dir.path().join("all.ndjson");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let ran = server.run(dir.path(), &["pub", "--ndjson", "all.ndjson", "--json"]);
    let says = [
        "line 2: EOF while parsing",
        "line 4: ",
        "no name",
        "line 5: unknown field `chanel`",
        "line 6: ",
        "reserved",
        "published 2 in ",
        "4 refused",
    ];
    let ran = ran.fails(1, &says);
    let offsets: Vec<_> = objects(&ran.out).iter().map(|receipt| receipt["offset"].clone()).collect();
    assert_eq!(offsets, [1, 2]);
    assert!(!ran.err.contains("line 3"), "blank lines are no events: {ran:?}");
}

#[test]
fn the_same_keys_again_publish_nothing_twice() {
    let dir = dir();
    let server = Server::start(dir.path());
    std::fs::write(dir.path().join("lines"), "1\n2\n3\n").unwrap();
    let args = ["pub", "a", "--ndjson", "lines", "--idempotency-key", "import"];
    let first = server.run(dir.path(), &args).ok();
    let again = server.run(dir.path(), &args).ok();
    assert_eq!(first.out, again.out);
    assert!(again.err.contains("3 of them before"), "{again:?}");
    let skipped = server.run(dir.path(), &[&args[..], &["--skip", "2"]].concat()).ok();
    assert_eq!(skipped.lines(), first.lines()[2..]);
    let single = ["pub", "a", "x", "--idempotency-key", "once"];
    assert_eq!(server.run(dir.path(), &single).ok().out, server.run(dir.path(), &single).ok().out);
    let info = server.run(dir.path(), &["channels", "info", "a", "--json"]).ok();
    assert_eq!(objects(&info.out)[0]["head"], 4);
}

#[test]
fn what_cannot_be_published_is_told_and_nothing_is_sent() {
    let dir = dir();
    let server = Server::start(dir.path());
    let cases: [(&[&str], i32, &[&str]); 11] = [
        (&["pub"], 2, &["CHANNEL"]),
        (&["pub", "--ndjson", "-", "--type", "x"], 2, &["need a CHANNEL"]),
        (&["pub", "a", "1", "--ndjson", "x"], 2, &["cannot be used with"]),
        (&["pub", "a", "1", "--rate", "5"], 2, &["--ndjson"]),
        (&["pub", "a", "1", "--ttl", "soon"], 2, &["30s"]),
        (&["pub", "a", "--ndjson", "missing.ndjson"], 1, &["missing.ndjson", "No such file"]),
        (&["pub", "a", "--file", "missing"], 1, &["missing"]),
        (&["pub", "a b", "1"], 1, &["bad_channel"]),
        (&["pub", "a", "1", "--type", "$open"], 1, &["reserved"]),
        (&["pub", "a", "{\"id\":", "--content-type", "application/json"], 2, &["no JSON"]),
        (&["pub", "a", "x", "--content-type", "nonsense"], 1, &["bad_field", "nonsense"]),
    ];
    for (args, code, says) in cases {
        assert_eq!(server.run(dir.path(), args).fails(code, says).out, "", "{args:?}");
    }
    assert_eq!(server.run(dir.path(), &["channels"]).ok().out, "");
    let note = server.run(dir.path(), &["pub", "a", "{\"id\":"]).ok();
    assert!(note.err.contains("begins like JSON but is not"), "{note:?}");
}

#[test]
fn thousands_of_lines_arrive_in_order() {
    let dir = dir();
    let server = Server::start(dir.path());
    let input: String = (1..=3000).map(|n| format!("{n}\n")).collect();
    let args = ["pub", "a", "--ndjson", "-", "--url", &server.url];
    assert_eq!(run_with_input(dir.path(), args, input.as_bytes()).ok().lines().len(), 3000);
    for way in WAYS {
        let args = ["sub", "a", "--since", "start", "--count", "3000", "--json", "--way", way];
        let events = objects(&server.run(dir.path(), &args).ok().out);
        assert!(events.iter().zip(1..).all(|(event, n)| event["data"] == n), "{way}");
    }
}

#[test]
fn without_a_server_the_address_is_named() {
    let dir = dir();
    let url = "http://127.0.0.1:1";
    for args in
        [&["pub", "a", "1"][..], &["channels"], &["channels", "info", "a"], &["pub", "a", "--ndjson", "/dev/null"]]
    {
        let ran = run(dir.path(), args.iter().copied().chain(["--url", url]));
        if args.contains(&"/dev/null") {
            ran.ok();
        } else {
            ran.fails(1, &["127.0.0.1:1"]);
        }
    }
    run(dir.path(), ["channels", "--url", "ftp://host"]).fails(2, &["ftp"]);
    let mut by_variable = bongsu(dir.path());
    by_variable.arg("channels").env("BONGSU_URL", "http://127.0.0.1:2");
    Running::start(&mut by_variable).end().fails(1, &["127.0.0.1:2"]);
}

#[test]
fn channels_are_listed_looked_at_and_dropped() {
    let dir = dir();
    let server = Server::start(dir.path());
    for channel in ["shop:1", "shop:2", "other"] {
        server.run(dir.path(), &["pub", channel, "12345"]).ok();
    }
    let names = |args: &[&str]| {
        let out = server.run(dir.path(), &[&["channels", "--json"], args].concat()).ok().out;
        objects(&out).iter().map(|channel| channel["channel"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["other", "shop:1", "shop:2"]);
    assert_eq!(names(&["--prefix", "shop:"]), ["shop:1", "shop:2"]);
    assert_eq!(names(&["--limit", "1"]), ["other"]);
    assert_eq!(names(&["--after", "shop:1"]), ["shop:2"]);
    let info = server.run(dir.path(), &["channels", "info", "other"]).ok().out;
    assert!(info.contains("newest       #1") && info.contains("1 events, 5 B"), "{info}");

    server.run(dir.path(), &["channels", "delete", "other"]).fails(2, &["drop 1 events of other?", "--yes"]);
    server.run(dir.path(), &["channels", "delete", "other", "--yes"]).ok();
    let info = server.run(dir.path(), &["channels", "info", "other", "--json"]).ok().out;
    let info = &objects(&info)[0];
    assert_eq!((&info["events"], &info["head"]), (&json!(0), &json!(1)));
}

#[test]
fn a_page_is_not_the_end_of_the_list() {
    let dir = dir();
    let server = Server::start_with(dir.path(), &["--listen", "127.0.0.1:0", "--engine", "memory"]);
    let input: String = (0..2500).map(|n| format!("{{\"channel\":\"c{n:04}\",\"data\":0}}\n")).collect();
    run_with_input(dir.path(), ["pub", "-q", "--ndjson", "-", "--url", &server.url], input.as_bytes()).ok();
    let listed = server.run(dir.path(), &["channels"]).ok();
    assert_eq!(listed.lines().len(), 2500);
    assert_eq!(server.run(dir.path(), &["channels", "--limit", "1001"]).ok().lines().len(), 1001);
}

#[test]
fn a_gap_is_told_in_band_for_scripts_and_beside_for_people() {
    let dir = dir();
    let server = Server::start_with(dir.path(), &["--listen", "127.0.0.1:0", "--history-events", "2"]);
    let first = server.run(dir.path(), &["pub", "a", "1"]).ok().out.trim().to_owned();
    for n in 2..=5 {
        server.run(dir.path(), &["pub", "a", &n.to_string()]).ok();
    }
    let args = ["sub", "a", "--since", &first, "--count", "2"];
    let json = objects(&server.run(dir.path(), &[&args[..], &["--json"]].concat()).ok().out);
    let (gap, rest) = json.split_first().unwrap();
    assert_eq!((&gap["type"], &gap["reason"], &gap["channel"]), (&json!("$gap"), &json!("expired"), &json!("a")));
    assert_eq!(rest.iter().map(|event| &event["data"]).collect::<Vec<_>>(), [&json!(4), &json!(5)]);
    let human = server.run(dir.path(), &args).ok();
    assert_eq!(human.lines().len(), 2);
    assert!(human.err.contains("gap in a: events are missing here (expired)"), "{human:?}");
}
