//! What the tests stand on.

mod proxy;
mod scripted;
mod server;

use std::time::Duration;

use bongsu_client::{Client, Error, Event, Incoming, Subscription};
use tokio::time::timeout;

pub(crate) use self::proxy::Proxy;
pub(crate) use self::scripted::{Answer, Scripted, response};
pub(crate) use self::server::Server;

/// Far more than anything here takes; a test that hangs fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);

/// The next item.
pub(crate) async fn next(subscription: &mut Subscription) -> Incoming {
    timeout(PATIENCE, subscription.next()).await.expect("something in time").expect("not over").expect("no error")
}

/// The next item that is an event; gaps are not expected.
pub(crate) async fn next_event(subscription: &mut Subscription) -> Event {
    loop {
        match next(subscription).await {
            Incoming::Event(event) => return event,
            Incoming::Gap(gap) => panic!("{gap:?}"),
            _ => {}
        }
    }
}

/// The numbers that the next `count` events carry.
pub(crate) async fn next_numbers(subscription: &mut Subscription, count: usize) -> Vec<u64> {
    let mut numbers = Vec::with_capacity(count);
    while numbers.len() < count {
        numbers.push(next_event(subscription).await.json().expect("a number"));
    }
    numbers
}

/// Waits until an item is as wanted, and gives it.
pub(crate) async fn until(subscription: &mut Subscription, wanted: impl Fn(&Incoming) -> bool) -> Incoming {
    loop {
        let item = next(subscription).await;
        if wanted(&item) {
            return item;
        }
    }
}

/// Waits until the subscription is over, and gives the reason.
pub(crate) async fn end(subscription: &mut Subscription) -> Error {
    loop {
        match timeout(PATIENCE, subscription.next()).await.expect("something in time") {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                assert!(subscription.next().await.is_none(), "an error is the last item");
                return error;
            }
            None => panic!("over without a reason"),
        }
    }
}

/// Publishes the numbers one by one.
pub(crate) async fn publish_numbers(client: &Client, channel: &str, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        client.publish(channel).json(&number).send().await.expect("published");
    }
}
