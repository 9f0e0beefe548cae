//! Changing the way in mid-flight.

use std::time::Duration;

use bongsu_client::{Incoming, Since, Way};

use crate::support::{Server, next_numbers, publish_numbers, until};

/// Events are published all the while; every one must come, once, in order.
#[tokio::test]
async fn between_every_pair_of_ways() {
    let server = Server::start().await;
    let client = server.client();
    publish_numbers(&client, "a", 1..=20).await;
    let publisher = tokio::spawn({
        let client = client.clone();
        async move {
            for number in 21.. {
                client.publish("a").json(&number).send().await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let pairs = Way::ALL.into_iter().flat_map(|from| Way::ALL.map(|to| (from, to)));
    let readers: Vec<_> = pairs
        .map(|(from, to)| {
            let subscribe = client.subscribe(["a"]).way(from).since(Since::Start).interval(Duration::from_millis(20));
            tokio::spawn(async move {
                let mut subscription = subscribe.open();
                let mut numbers = next_numbers(&mut subscription, 10).await;
                for way in [to, from, to] {
                    subscription.switch(way);
                    assert_eq!(subscription.way(), way);
                    numbers.extend(next_numbers(&mut subscription, 30).await);
                }
                let expected: Vec<u64> = (1..=100).collect();
                assert_eq!(numbers, expected, "{from:?} to {to:?}");
            })
        })
        .collect();
    for reader in readers {
        reader.await.unwrap();
    }
    publisher.abort();
}

#[tokio::test]
async fn the_new_way_is_told_and_a_wait_is_cut_short() {
    let mut server = Server::start().await;
    let client = server.client();
    publish_numbers(&client, "a", 1..=3).await;
    let mut subscription = client.subscribe(["a"]).way(Way::Sse).since(Since::Start).open();
    assert_eq!(next_numbers(&mut subscription, 3).await, [1, 2, 3]);
    for way in [Way::WebSocket, Way::LongPoll, Way::Stream, Way::Poll] {
        subscription.switch(way);
        let Incoming::Open(open) = until(&mut subscription, |item| matches!(item, Incoming::Open(_))).await else {
            panic!("{way:?}")
        };
        assert_eq!(open.way, way);
    }
    server.kill();
    let by = |way| move |item: &Incoming| matches!(item, Incoming::Reconnecting(waiting) if waiting.way == way);
    until(&mut subscription, by(Way::Poll)).await;
    // An attempt by the new way follows at once, and fails like those before.
    subscription.switch(Way::WebSocket);
    until(&mut subscription, by(Way::WebSocket)).await;
    server.run().await;
    publish_numbers(&client, "a", 4..=4).await;
    assert_eq!(next_numbers(&mut subscription, 1).await, [4]);
}
