//! Faults of the protocol: what answers is broken, or is no Bongsu server at all.

use std::time::Duration;

use bongsu_client::{Client, ErrorKind, Incoming, Since, Way};

use crate::support::{Answer, Scripted, end, next, response, until};

const RECEIPT: &str = r#"{"id":"e-1","channel":"a","offset":1,"subscribers":0,"duplicate":false}"#;

fn receipt() -> Answer {
    response("200 OK", &["content-type: application/json"], RECEIPT)
}

/// An event stream of one connection: it ends with its content.
fn sse(body: &str) -> Answer {
    response("200 OK", &["content-type: text/event-stream"], body).then_close()
}

#[tokio::test]
async fn a_publish_that_was_cut_is_sent_again_under_the_same_key() {
    let server = Scripted::new([Answer::none(), Answer::none(), receipt()]).await;
    let receipt = server.client().publish("a").text("x").send().await.unwrap();
    assert_eq!(receipt.offset, Some(1));
    let requests = server.requests();
    let key = |head: &String| head.lines().find(|line| line.starts_with("idempotency-key:")).unwrap().to_owned();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|head| key(head) == key(&requests[0])), "{requests:?}");
    server.client().publish("a").text("x").send().await.unwrap();
    assert_ne!(key(&server.requests()[3]), key(&requests[0]));
}

#[tokio::test]
async fn a_publish_to_be_sent_once_is_sent_once() {
    let server = Scripted::new([Answer::none(), receipt()]).await;
    let error = server.client().publish("a").text("x").once().send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    let requests = server.requests();
    assert!(requests.len() == 1 && !requests[0].contains("idempotency-key"), "{requests:?}");
}

#[tokio::test]
async fn a_publish_comes_back_when_it_is_asked_to_and_not_when_it_is_refused() {
    let busy = response("503 Service Unavailable", &["retry-after: 0"], r#"{"code":"overloaded","status":503}"#);
    let server = Scripted::new([busy, receipt()]).await;
    server.client().publish("a").text("x").send().await.unwrap();
    assert_eq!(server.requests().len(), 2);

    let refused = response("403 Forbidden", &[], r#"{"code":"reserved","status":403,"detail":"D","hint":"H"}"#);
    let server = Scripted::new([refused]).await;
    let error = server.client().publish("$a").text("x").send().await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Refused, "the server refused: D (reserved); H"));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn patience_ends() {
    let server = Scripted::new([Answer::none()]).await;
    let client = server.builder().patience(Duration::ZERO).build().unwrap();
    assert_eq!(client.publish("a").text("x").send().await.unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_has_closed_is_no_error() {
    let server = Scripted::new([receipt().then_close()]).await;
    let client = server.client();
    for _ in 0..5 {
        client.publish("a").text("x").send().await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (5, 5));
}

/// The server closes a kept connection at the moment the next request arrives.
#[tokio::test]
async fn a_request_that_met_a_closing_connection_is_repeated_where_that_is_harmless() {
    let health = || response("200 OK", &[], "well");
    let server = Scripted::new([health(), Answer::none(), health()]).await;
    let client = server.client();
    assert_eq!(client.health().await.unwrap().detail, "well");
    assert_eq!(client.health().await.unwrap().detail, "well");
    assert_eq!((server.requests().len(), server.connections()), (3, 2));

    let server = Scripted::new([receipt(), Answer::none(), receipt()]).await;
    let client = server.client();
    client.publish("a").text("x").once().send().await.unwrap();
    let error = client.publish("a").text("x").once().send().await.unwrap_err();
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::Interrupted, 2));
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Scripted::new([receipt()]).await;
    let client = server.client();
    for _ in 0..3 {
        client.publish("a").text("x").send().await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (3, 1));
}

#[tokio::test]
async fn nobody_answers() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = Client::new(&format!("http://127.0.0.1:{port}")).unwrap();
    let expected = format!("no server answers at http://127.0.0.1:{port}; start one with `bongsu serve`");

    let error = client.publish("a").text("x").send().await.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Unreachable, expected.clone()));

    for way in Way::ALL {
        let mut subscription = client.subscribe(["a"]).way(way).give_up_after(2).open();
        for expected_attempt in [1, 2] {
            let Incoming::Reconnecting(reconnecting) = next(&mut subscription).await else { panic!("{way:?}") };
            assert_eq!((reconnecting.attempt, reconnecting.why.to_string()), (expected_attempt, expected.clone()));
        }
        assert_eq!(end(&mut subscription).await.to_string(), expected);
    }
}

#[tokio::test]
async fn what_is_no_bongsu_server_ends_the_subscription() {
    let html = || response("200 OK", &["content-type: text/html"], "<html>Hello</html>");
    // The answer, the way, and a part of what a person is told.
    let cases = [
        (html(), Way::Poll, "no object of this protocol"),
        (html(), Way::Stream, "is that a Bongsu server?"),
        (html(), Way::Sse, "is that a Bongsu server?"),
        (html(), Way::WebSocket, "opens no WebSocket"),
        (response("301 Moved", &["location: https://b.example/"], ""), Way::Sse, "redirects to https://b.example/"),
        (response("404 Not Found", &[], "nothing here"), Way::Stream, "nothing here (http_404)"),
        (sse("data: {\n\n"), Way::Sse, "no object of this protocol"),
        (
            response("101 Switching Protocols", &["upgrade: websocket", "connection: upgrade"], ""),
            Way::WebSocket,
            "Accept",
        ),
    ];
    for (answer, way, expected) in cases {
        let server = Scripted::new([answer]).await;
        let mut subscription = server.client().subscribe(["a"]).way(way).since(Since::Start).open();
        let error = end(&mut subscription).await;
        assert!(error.to_string().contains(expected) && !error.is_retryable(), "{way:?}: {error}");
        assert_eq!(server.requests().len(), 1, "{way:?}");
    }
}

#[tokio::test]
async fn an_event_stream_in_single_bytes_and_a_resume_at_the_last_whole_event() {
    let open = r#"{"type":"$open","connection":"c","cursor":"e-0","heartbeat_ms":20000,"retry_ms":0,"replay":0}"#;
    let event = |number: u32| {
        format!("id: e-{number}\r\ndata: {{\"id\":\"e-{number}\",\"channel\":\"a\",\"data\":{number}}}\r\n\r\n")
    };
    let first = format!("\u{FEFF}retry: 0\ndata: {open}\n\n: hello\n{}{}data: {{\"id\":\"e-3\"", event(1), event(2));
    let second = format!("data: {open}\n\n{}", event(3));
    let server = Scripted::new([sse(&first).in_single_bytes(), sse(&second).in_single_bytes()]).await;
    let mut subscription = server.client().subscribe(["a"]).since(Since::Start).open();
    for expected in 1..=3 {
        let Incoming::Event(event) = until(&mut subscription, |item| matches!(item, Incoming::Event(_))).await else {
            panic!("not an event");
        };
        assert_eq!(event.json::<u32>().unwrap(), expected);
        assert_eq!(subscription.cursor().unwrap().as_str(), format!("e-{expected}"));
    }
    let requests = server.requests();
    assert!(requests[0].starts_with("get /v1/channels/a?since=start "), "{requests:?}");
    assert!(requests[1].starts_with("get /v1/channels/a?since=e-2 "), "{requests:?}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_asked_for_in_smaller_parts() {
    let event = |number: u32| format!(r#"{{"id":"e-{number}","channel":"a","data":"{}"}}"#, "x".repeat(600));
    let all: Vec<String> = (1..=20).map(event).collect();
    let large = format!(r#"{{"events":[{}],"cursor":"e-20","more":false}}"#, all.join(","));
    let small = format!(r#"{{"events":[{}],"cursor":"e-1","more":true}}"#, all[0]);
    let answer = |body: &str| response("200 OK", &["content-type: application/json"], body);
    let server = Scripted::new([answer(&large), answer(&large), answer(&small)]).await;
    let client = server.builder().object_bytes_max(1000).build().unwrap();
    let mut subscription = client.subscribe(["a"]).way(Way::Poll).since(Since::Start).limit(16).open();
    until(&mut subscription, |item| matches!(item, Incoming::Event(_))).await;
    let limits: Vec<bool> = ["limit=16", "limit=8", "limit=4"]
        .iter()
        .zip(server.requests())
        .map(|(limit, head)| head.contains(limit))
        .collect();
    assert_eq!(limits, [true; 3], "{:?}", server.requests());
}

#[tokio::test]
async fn a_server_that_asks_to_come_back_later_is_obeyed() {
    let busy = response("503 Service Unavailable", &["retry-after: 1"], r#"{"code":"draining","status":503}"#);
    for way in Way::ALL {
        let server = Scripted::new([busy.clone()]).await;
        let mut subscription = server.client().subscribe(["a"]).way(way).open();
        let Incoming::Reconnecting(reconnecting) = next(&mut subscription).await else { panic!("{way:?}") };
        let after = reconnecting.after;
        assert!((Duration::from_secs(1)..Duration::from_millis(1500)).contains(&after), "{way:?}: {after:?}");
        assert!(reconnecting.why.problem().is_some_and(|problem| problem.code == "draining"), "{way:?}");
    }
}
