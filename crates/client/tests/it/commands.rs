//! Talking back on a WebSocket.

use bongsu_client::{ErrorKind, Incoming, Publication, Since, Way};

use crate::support::{Proxy, Server, next, next_event, next_numbers, publish_numbers, until};

#[tokio::test]
async fn subscribe_publish_unsubscribe() {
    let server = Server::start().await;
    let client = server.client();
    publish_numbers(&client, "b", 1..=3).await;
    let nothing: [&str; 0] = [];
    let mut subscription = client.subscribe(nothing).way(Way::WebSocket).open();
    until(&mut subscription, |item| matches!(item, Incoming::Open(_))).await;
    let commands = subscription.commands();

    commands.subscribe(["a"], Since::Now).await.unwrap();
    commands.subscribe(["b"], Since::Start).await.unwrap();
    assert_eq!(next_numbers(&mut subscription, 3).await, [1, 2, 3]);
    let publication = || Publication::new("a").json(&7).kind("k").idempotency_key("once");
    let receipt = commands.publish(publication()).await.unwrap();
    let again = commands.publish(publication()).await.unwrap();
    assert_eq!((receipt.duplicate, again.duplicate, &receipt.id), (false, true, &again.id));
    let event = next_event(&mut subscription).await;
    assert_eq!((event.channel.as_str(), event.kind.as_str(), &event.id), ("a", "k", &receipt.id));

    commands.unsubscribe(["a"]).await.unwrap();
    publish_numbers(&client, "a", 8..=8).await;
    publish_numbers(&client, "b", 9..=9).await;
    assert_eq!(next_numbers(&mut subscription, 1).await, [9]);

    let error = commands.subscribe(["a b"], Since::Now).await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "bad_channel");
    let error = commands.publish(Publication::new("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    drop(subscription);
    commands.unsubscribe(["b"]).await.unwrap_err();
}

#[tokio::test]
async fn other_ways_have_no_commands() {
    let server = Server::start().await;
    for way in [Way::Poll, Way::LongPoll, Way::Stream, Way::Sse] {
        let subscription = server.client().subscribe(["a"]).way(way).open();
        let error = subscription.commands().subscribe(["b"], Since::Now).await.unwrap_err();
        assert!(error.to_string().contains("WebSocket"), "{way:?}: {error}");
    }
}

/// Channels that were added are kept over a cut, and those given up stay away.
#[tokio::test]
async fn channels_that_were_added_are_kept_over_a_cut() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port()).await;
    let client = server.client();
    let mut subscription = proxy.client().subscribe(["a", "b"]).way(Way::WebSocket).open();
    until(&mut subscription, |item| matches!(item, Incoming::Live(_))).await;
    let commands = subscription.commands();
    commands.subscribe(["c"], Since::Now).await.unwrap();
    commands.unsubscribe(["b"]).await.unwrap();
    publish_numbers(&client, "c", 1..=1).await;
    assert_eq!(next_numbers(&mut subscription, 1).await, [1]);
    proxy.cut();
    until(&mut subscription, |item| matches!(item, Incoming::Reconnecting(_))).await;
    publish_numbers(&client, "c", 2..=2).await;
    publish_numbers(&client, "b", 3..=3).await;
    publish_numbers(&client, "a", 4..=4).await;
    proxy.mend();
    assert_eq!(next_numbers(&mut subscription, 2).await, [2, 4]);
}

/// A long history is added in mid-flight, and the connection breaks while it is being read: both channels go on from
/// where each of them was.
#[tokio::test]
async fn a_cut_while_an_added_channel_catches_up() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port()).await;
    let client = server.client();
    let text = "x".repeat(5_000);
    for chunk in 0..20u64 {
        let batch = (1..=100).map(|n| Publication::new("old").json(&(chunk * 100 + n, &text)));
        client.publish_batch(batch).await.unwrap();
    }
    publish_numbers(&client, "a", 1..=5).await;
    let mut subscription = proxy.client().subscribe(["a"]).way(Way::WebSocket).since(Since::Start).open();
    assert_eq!(next_numbers(&mut subscription, 5).await, [1, 2, 3, 4, 5]);
    subscription.commands().subscribe(["old"], Since::Start).await.unwrap();
    // Wanted, but only possible when both channels stand at one place.
    subscription.switch(Way::Sse);
    let (mut old, mut new, mut ways) = (Vec::new(), Vec::new(), Vec::new());
    while old.len() < 2000 || new.len() < 3 || ways.last() != Some(&Way::Sse) {
        match next(&mut subscription).await {
            Incoming::Open(open) => ways.push(open.way),
            Incoming::Event(event) if event.channel == "old" => {
                old.push(event.json::<(u64, String)>().unwrap().0);
                if matches!(old.len(), 300 | 900 | 1500) {
                    proxy.cut();
                    publish_numbers(&client, "a", [5 + old.len() as u64 / 300]).await;
                    proxy.mend();
                }
            }
            Incoming::Event(event) => new.push(event.json::<u64>().unwrap()),
            Incoming::Gap(gap) => panic!("{gap:?}"),
            _ => {}
        }
    }
    let expected: Vec<u64> = (1..=2000).collect();
    assert!(
        old == expected,
        "{} events, the first out of place: {:?}",
        old.len(),
        old.iter().zip(&expected).find(|(a, b)| a != b)
    );
    assert_eq!(new, [6, 8, 10]);
    publish_numbers(&client, "a", 11..=11).await;
    client.publish("old").json(&12).send().await.unwrap();
    assert_eq!(next_numbers(&mut subscription, 2).await, [11, 12]);
}
