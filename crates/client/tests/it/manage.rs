//! Looking after channels and connections.

use bongsu_client::{Incoming, PageRequest, Way};

use crate::support::{Server, publish_numbers, until};

#[tokio::test]
async fn channels_by_pages() {
    let server = Server::start().await;
    let client = server.client();
    for channel in ["b:1", "a:2", "a:1", "a:3"] {
        publish_numbers(&client, channel, 1..=2).await;
    }
    let mut request = PageRequest { prefix: Some("a:".into()), limit: Some(2), ..PageRequest::default() };
    let page = client.channels(&request).await.unwrap();
    let names = |page: &bongsu_client::Page<bongsu_client::ChannelSummary>| -> Vec<String> {
        page.items.iter().map(|channel| format!("{} {}", channel.channel, channel.offset)).collect()
    };
    assert_eq!(names(&page), ["a:1 2", "a:2 2"]);
    request.after = page.next;
    let page = client.channels(&request).await.unwrap();
    assert_eq!((names(&page), page.next), (vec!["a:3 2".to_owned()], None));
}

#[tokio::test]
async fn one_channel() {
    let server = Server::start().await;
    let client = server.client();
    publish_numbers(&client, "a/b", 1..=5).await;
    let mut subscription = client.subscribe(["a/b"]).way(Way::Sse).open();
    until(&mut subscription, |item| matches!(item, Incoming::Live(_))).await;
    let info = client.channel_info("a/b").await.unwrap();
    assert_eq!((info.channel.as_str(), info.head, info.oldest, info.events), ("a/b", 5, 1, 5));
    assert_eq!((info.subscribers.sse, info.subscribers.total), (1, 1));
    client.delete_history("a/b").await.unwrap();
    let info = client.channel_info("a/b").await.unwrap();
    assert_eq!((info.head, info.events), (5, 0));
    let error = client.channel_info("a b").await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "bad_channel");
}

#[tokio::test]
async fn connections() {
    let server = Server::start().await;
    let client = server.client();
    let mut subscription = client.subscribe(["a", "b"]).way(Way::WebSocket).open();
    let Incoming::Open(open) = until(&mut subscription, |item| matches!(item, Incoming::Open(_))).await else {
        unreachable!()
    };
    let connection = open.connection.unwrap();
    let page = client.connections(&PageRequest::default()).await.unwrap();
    assert_eq!(page.items.len(), 1);
    let one = client.connection(&connection).await.unwrap();
    assert_eq!(page.items[0], one);
    assert_eq!((one.transport, one.channels.len()), (Way::WebSocket, 2));
    let error = client.connection("nobody").await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "not_found");
    let error = client.disconnect("nobody", true).await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "not_found");
}

#[tokio::test]
async fn health() {
    let server = Server::start().await;
    let health = server.client().health().await.unwrap();
    assert!(health.ready, "{health:?}");
}
