//! Publishing.

use std::time::Duration;

use bongsu_client::{ErrorKind, Publication, Since};
use futures_util::stream;
use tokio::time::timeout;

use crate::support::{PATIENCE, Proxy, Server, next_event, next_numbers};

#[tokio::test]
async fn receipts() {
    let server = Server::start().await;
    let client = server.client();
    let first = client.publish("a").json(&1).idempotency_key("k").send().await.unwrap();
    assert_eq!((first.channel.as_str(), first.offset, first.subscribers, first.duplicate), ("a", Some(1), 0, false));
    let again = client.publish("a").json(&1).idempotency_key("k").send().await.unwrap();
    assert_eq!((again.id, again.offset, again.duplicate), (first.id, Some(1), true));
    let error = client.publish("a").json(&2).idempotency_key("k").send().await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "idempotency_mismatch");
    let unstored = client.publish("a").json(&1).store(false).send().await.unwrap();
    assert_eq!((unstored.id, unstored.offset), (None, None));
    let once = client.publish("a").json(&1).once().send().await.unwrap();
    assert_eq!(once.offset, Some(2));
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let server = Server::start().await;
    let client = server.client();
    for (publish, code) in [
        (client.publish("a b").text("x"), "bad_channel"),
        (client.publish("$a").text("x"), "reserved"),
        (client.publish("a").text("x").kind("$open"), "reserved"),
        (client.publish("a").bytes("{", "application/json"), "bad_json"),
    ] {
        let error = publish.send().await.unwrap_err();
        assert_eq!(error.problem().map(|problem| problem.code.as_str()), Some(code), "{error}");
    }
    assert_eq!(client.publish("a").send().await.unwrap_err().kind(), ErrorKind::Usage);
}

#[tokio::test]
async fn a_ttl_runs_out() {
    let server = Server::start().await;
    let client = server.client();
    client.publish("a").json(&1).ttl(Duration::from_secs(1)).send().await.unwrap();
    client.publish("a").json(&2).ttl(Duration::from_secs(1000)).send().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut subscription = client.subscribe(["a"]).since(Since::Start).open();
    assert_eq!(next_numbers(&mut subscription, 1).await, [2]);
}

#[tokio::test]
async fn a_batch_is_answered_one_by_one() {
    let server = Server::start().await;
    let client = server.client();
    let batch = [
        Publication::new("a").json(&1).kind("x").key("k"),
        Publication::new("a b").json(&2),
        Publication::new("b").text("three"),
        Publication::new("b").bytes(&[4][..], "image/png"),
    ];
    let results = client.publish_batch(batch).await.unwrap();
    let offsets: Vec<_> =
        results.iter().map(|result| result.as_ref().ok().and_then(|receipt| receipt.offset)).collect();
    assert_eq!(offsets, [Some(1), None, Some(1), Some(2)]);
    assert_eq!(results[1].as_ref().unwrap_err().problem().unwrap().code, "bad_channel");
    let mut subscription = client.subscribe(["a", "b"]).since(Since::Start).open();
    let mut payloads = Vec::new();
    for _ in 0..3 {
        payloads.push(next_event(&mut subscription).await.bytes().into_owned());
    }
    assert_eq!(payloads, [&b"1"[..], b"three", &[4]]);

    assert!(client.publish_batch([]).await.unwrap().is_empty());
    let many = (0..1001).map(|number| Publication::new("a").json(&number));
    assert_eq!(client.publish_batch(many).await.unwrap_err().kind(), ErrorKind::Usage);
}

/// Reads all receipts and gives the offsets of those that are no errors, and the errors.
async fn all(mut receipts: bongsu_client::Receipts) -> (Vec<u64>, Vec<bongsu_client::Error>) {
    let (mut offsets, mut errors) = (Vec::new(), Vec::new());
    while let Some(result) = timeout(PATIENCE, receipts.next()).await.expect("in time") {
        match result {
            Ok(receipt) => offsets.extend(receipt.offset),
            Err(error) => errors.push(error),
        }
    }
    (offsets, errors)
}

#[tokio::test]
async fn any_number_by_one_request() {
    let server = Server::start().await;
    let client = server.client();
    let source = stream::iter((1..=3000u64).map(|number| match number {
        1000 => Publication::new("a b").json(&number),
        2000 => Publication::new("a"),
        _ => Publication::new("a").json_text(format!("{number}\n")),
    }));
    let (offsets, errors) = all(client.publish_all(source)).await;
    assert_eq!(offsets, (1..=2998).collect::<Vec<_>>());
    let kinds: Vec<_> = errors.iter().map(bongsu_client::Error::kind).collect();
    assert_eq!(kinds, [ErrorKind::Refused, ErrorKind::Usage], "{errors:?}");
    let (offsets, errors) = all(client.publish_all(stream::empty())).await;
    assert!(offsets.is_empty() && errors.is_empty());
}

#[tokio::test]
async fn any_number_through_cuts_and_a_restart() {
    let mut server = Server::start().await;
    let proxy = Proxy::to(server.port()).await;
    let source = stream::iter((1..=4000u64).map(|number| Publication::new("a").json(&number)));
    let receipts = proxy.client().publish_all(source);
    let reading = tokio::spawn(all(receipts));
    let mut rounds = 0;
    while !reading.is_finished() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        match rounds {
            0 | 2 => {
                proxy.cut();
                proxy.mend();
            }
            1 => {
                server.kill();
                server.run().await;
            }
            _ => {}
        }
        rounds += 1;
    }
    let (offsets, errors) = reading.await.unwrap();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(offsets, (1..=4000).collect::<Vec<_>>());
    let mut subscription = server.client().subscribe(["a"]).since(Since::Start).open();
    assert_eq!(next_numbers(&mut subscription, 4000).await, (1..=4000).collect::<Vec<_>>());
    assert!(proxy.accepted() > 1, "no cut met the publishing");
}

#[tokio::test]
async fn an_idle_source_holds_nothing_up() {
    let server = Server::start().await;
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let source = stream::unfold(receive, |mut receive| async move { Some((receive.recv().await?, receive)) });
    let mut receipts = server.client().publish_all(source);
    for number in 1..=3u64 {
        send.send(Publication::new("a").json(&number)).await.unwrap();
        let receipt = timeout(PATIENCE, receipts.next()).await.expect("answered at once").unwrap().unwrap();
        assert_eq!(receipt.offset, Some(number));
    }
    drop(send);
    assert!(timeout(PATIENCE, receipts.next()).await.expect("an end").is_none());
}

#[tokio::test]
async fn nobody_there_is_told_at_once() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = bongsu_client::Client::new(&format!("http://127.0.0.1:{port}")).unwrap();
    let (offsets, errors) = all(client.publish_all(stream::iter([Publication::new("a").json(&1)]))).await;
    assert!(offsets.is_empty());
    assert_eq!(errors.iter().map(bongsu_client::Error::kind).collect::<Vec<_>>(), [ErrorKind::Unreachable]);
}
