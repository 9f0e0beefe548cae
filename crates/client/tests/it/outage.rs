//! Servers that die, drain or fall silent, and networks that break.

use std::time::Duration;

use bongsu_client::{Client, ErrorKind, Incoming, Since, Subscription, Way};
use tokio::time::Instant;

use crate::support::{Proxy, Server, next_numbers, publish_numbers, until};

fn subscriptions(client: &Client, since: &Since) -> [(Way, Subscription); 5] {
    Way::ALL.map(|way| {
        // Longer than the patience of a test: nothing here may hang on the end of a long poll.
        let ask = client.subscribe(["a"]).way(way).since(since.clone()).wait(Duration::from_secs(60));
        (way, ask.interval(Duration::from_millis(50)).open())
    })
}

async fn live(subscriptions: &mut [(Way, Subscription)]) {
    for (_, subscription) in subscriptions {
        until(subscription, |item| matches!(item, Incoming::Live(_))).await;
    }
}

/// Publishes 1 to `last` one after the other, through everything that happens.
fn publish_through(client: &Client, last: u64) -> tokio::task::JoinHandle<()> {
    let client = client.clone();
    tokio::spawn(async move { publish_numbers(&client, "a", 1..=last).await })
}

async fn all_come(mut subscriptions: [(Way, Subscription); 5], last: u64) {
    let expected: Vec<u64> = (1..=last).collect();
    for (way, subscription) in &mut subscriptions {
        assert_eq!(next_numbers(subscription, expected.len()).await, expected, "{way:?}");
    }
}

#[tokio::test]
async fn kill_and_restart_in_the_middle() {
    let mut server = Server::start().await;
    let client = server.client();
    let mut readers = subscriptions(&client, &Since::Now);
    live(&mut readers).await;
    let publisher = publish_through(&client, 300);
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.run().await;
    }
    publisher.await.unwrap();
    all_come(readers, 300).await;
}

#[tokio::test]
async fn a_drain_is_announced_and_survived() {
    let mut server = Server::start().await;
    let client = server.client();
    let mut readers = subscriptions(&client, &Since::Start);
    live(&mut readers).await;
    publish_numbers(&client, "a", 1..=3).await;
    server.drain().await;
    server.run().await;
    publish_numbers(&client, "a", 4..=6).await;
    for (way, subscription) in &mut readers {
        let mut numbers = Vec::new();
        let mut whys = Vec::new();
        while numbers.len() < 6 {
            match crate::support::next(subscription).await {
                Incoming::Event(event) => numbers.push(event.json::<u64>().unwrap()),
                Incoming::Reconnecting(reconnecting) => whys.push(reconnecting.why.to_string()),
                _ => {}
            }
        }
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6], "{way:?}");
        if !way.is_polling() {
            assert!(
                whys.iter().any(|why| why.contains("the server closed the connection") && why.contains("1001")),
                "{way:?}: {whys:?}"
            );
        }
    }
}

/// The network stays up as far as TCP knows, and no byte passes: only the missing heartbeats tell.
#[tokio::test]
async fn a_silent_server_is_noticed_by_its_missing_heartbeats() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port()).await;
    let client = proxy.builder().answer_timeout(Duration::from_secs(3)).build().unwrap();
    let heartbeat = Duration::from_secs(5);
    let mut readers = Way::ALL.map(|way| {
        let ask = client.subscribe(["a"]).way(way).since(Since::Start).interval(Duration::from_millis(50));
        let ask = if way.is_polling() { ask.wait(Duration::from_secs(2)) } else { ask.heartbeat(heartbeat) };
        (way, ask.open())
    });
    live(&mut readers).await;
    publish_numbers(&server.client(), "a", 1..=2).await;
    for (_, subscription) in &mut readers {
        assert_eq!(next_numbers(subscription, 2).await, [1, 2]);
    }
    proxy.fall_silent();
    let since = Instant::now();
    publish_numbers(&server.client(), "a", 3..=4).await;
    for (way, subscription) in &mut readers {
        let why = until(subscription, |item| matches!(item, Incoming::Reconnecting(_))).await;
        let Incoming::Reconnecting(why) = why else { unreachable!() };
        assert_eq!(why.why.kind(), ErrorKind::Interrupted, "{way:?}: {}", why.why);
    }
    // Not before two heartbeats, or a slow server would be left for dead. (Later only as far as this machine is slow.)
    assert!(since.elapsed() >= heartbeat * 2 - Duration::from_millis(500), "{:?}", since.elapsed());
    proxy.mend();
    for (way, subscription) in &mut readers {
        assert_eq!(next_numbers(subscription, 2).await, [3, 4], "{way:?}");
    }
}

/// "Now" means the moment of subscribing, also if the connection breaks before anything came.
#[tokio::test]
async fn what_is_published_during_a_first_cut_is_not_lost() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port()).await;
    publish_numbers(&server.client(), "a", 1..=3).await;
    let mut readers = subscriptions(&proxy.client(), &Since::Now);
    live(&mut readers).await;
    proxy.cut();
    for (_, subscription) in &mut readers {
        until(subscription, |item| matches!(item, Incoming::Reconnecting(_))).await;
    }
    publish_numbers(&server.client(), "a", 4..=6).await;
    proxy.mend();
    for (way, subscription) in &mut readers {
        assert_eq!(next_numbers(subscription, 3).await, [4, 5, 6], "{way:?}");
    }
}

/// Cuts fall anywhere in a replay; every event comes once all the same.
#[tokio::test]
async fn cuts_in_the_middle_of_a_replay() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port()).await;
    let text = "x".repeat(2_000);
    for chunk in 0..20u64 {
        let batch = (1..=100).map(|n| bongsu_client::Publication::new("a").json(&(chunk * 100 + n, &text)));
        server.client().publish_batch(batch).await.unwrap();
    }
    let readers = subscriptions(&proxy.client(), &Since::Start);
    let tasks = readers.map(|(way, mut subscription)| {
        tokio::spawn(async move {
            for expected in 1..=2000u64 {
                let event = crate::support::next_event(&mut subscription).await;
                assert_eq!(event.json::<(u64, String)>().unwrap().0, expected, "{way:?}");
                if expected % 100 == 0 {
                    // Slower than the cuts.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        })
    });
    let mut cuts = 0;
    while tasks.iter().any(|task| !task.is_finished()) {
        tokio::time::sleep(Duration::from_millis(60)).await;
        if cuts < 6 {
            proxy.cut();
            tokio::task::yield_now().await;
            proxy.mend();
            cuts += 1;
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(proxy.accepted() > 5, "the cuts met connections");
}

#[tokio::test]
async fn an_operator_sends_a_client_away() {
    let server = Server::start().await;
    let client = server.client();
    for way in [Way::Stream, Way::Sse, Way::WebSocket] {
        let mut subscription = client.subscribe(["a"]).way(way).open();
        let connection = async |subscription: &mut Subscription| {
            let Incoming::Open(open) = until(subscription, |item| matches!(item, Incoming::Open(_))).await else {
                unreachable!()
            };
            open.connection.expect("a streaming way has a name")
        };
        let first = connection(&mut subscription).await;
        client.disconnect(&first, true).await.unwrap();
        let second = connection(&mut subscription).await;
        assert_ne!(first, second, "{way:?}");
        client.disconnect(&second, false).await.unwrap();
        let error = crate::support::end(&mut subscription).await;
        assert_eq!(error.kind(), ErrorKind::Ended, "{way:?}: {error}");
        assert!(error.to_string().contains("4003"), "{error}");
    }
}
