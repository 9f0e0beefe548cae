//! The same from all five ways.

use std::time::Duration;

use bongsu_client::{Client, Data, Event, GapReason, Incoming, Since, Subscribe, Way};

use crate::support::{Server, end, next, next_event, next_numbers, publish_numbers, until};

/// A subscription that polls fast enough for a test.
fn by(client: &Client, way: Way) -> Subscribe {
    client.subscribe(["a"]).way(way).interval(Duration::from_millis(50))
}

#[tokio::test]
async fn history_then_live_with_every_kind_of_payload() {
    let server = Server::start().await;
    let client = server.client();
    client.publish("a").json(&serde_json::json!({"n": [1.5, null]})).kind("order").key("k").send().await.unwrap();
    client.publish("a").text("봉수\n\"\u{1}").send().await.unwrap();
    client.publish("a").text("").send().await.unwrap();
    let mut subscriptions: Vec<_> = Way::ALL.map(|way| (way, by(&client, way).since(Since::Start).open())).into();
    for (way, subscription) in &mut subscriptions {
        let Incoming::Open(open) = next(subscription).await else { panic!("{way:?}") };
        assert_eq!((open.way, open.connection.is_some()), (*way, !way.is_polling()));
    }
    client.publish("a").bytes(&[0, 159, 255][..], "image/png").send().await.unwrap();
    client.publish("a").json_text("12345678901234567890.0").store(false).send().await.unwrap();
    client.publish("a").bytes("{\"a\": 1}", "application/ld+json").send().await.unwrap();

    for (way, subscription) in &mut subscriptions {
        let mut events = Vec::new();
        // Who polls is not there when an event passes that is not kept; a long poll may be.
        while events.last().is_none_or(|event: &Event| event.offset != Some(5)) {
            events.push(next_event(subscription).await);
        }
        let unstored: Vec<Event> = events.extract_if(.., |event| event.id.is_none()).collect();
        if !way.is_polling() {
            assert_eq!(unstored.len(), 1, "{way:?}");
            assert_eq!(unstored[0].data(), Data::Json("12345678901234567890.0"));
        }
        let payloads: Vec<Data<'_>> = events.iter().map(Event::data).collect();
        let expected = [
            Data::Json(r#"{"n":[1.5,null]}"#),
            Data::Text("봉수\n\"\u{1}".into()),
            Data::Text("".into()),
            Data::Binary(&[0, 159, 255]),
            Data::Json("{\"a\":1}"),
        ];
        assert_eq!(payloads, expected, "{way:?}");
        assert_eq!((events[0].kind.as_str(), events[0].key.as_deref()), ("order", Some("k")));
        assert_eq!((events[1].kind.as_str(), events[1].content_type.as_deref()), ("message", Some("text/plain")));
        assert_eq!(events[4].content_type.as_deref(), Some("application/ld+json"));
        let offsets: Vec<_> = events.iter().map(|event| event.offset).collect();
        assert_eq!(offsets, [1, 2, 3, 4, 5].map(Some), "{way:?}");
    }
}

#[tokio::test]
async fn every_beginning() {
    let server = Server::start().await;
    let client = server.client();
    publish_numbers(&client, "a", 1..=5).await;
    let second = {
        let mut subscription = by(&client, Way::Poll).since(Since::Start).open();
        next_numbers(&mut subscription, 2).await;
        subscription.cursor().unwrap().clone()
    };
    let mut subscriptions = Vec::new();
    for way in Way::ALL {
        let ask = || by(&client, way);
        let beginnings = [
            (ask().since(Since::Start), vec![1, 2, 3, 4, 5]),
            (ask().since(&second), vec![3, 4, 5]),
            (ask().last(2), vec![4, 5]),
            (ask().since(Since::Now), vec![]),
            (ask(), vec![]),
            (ask().since(Since::Start).limit(2), vec![1, 2, 3, 4, 5]),
        ];
        for (subscribe, old) in beginnings {
            // `limit` is a word of the polling ways.
            if format!("{subscribe:?}").contains("limit: Some") && !way.is_polling() {
                continue;
            }
            let what = format!("{subscribe:?}");
            let mut subscription = subscribe.open();
            let mut seen = Vec::new();
            loop {
                match next(&mut subscription).await {
                    Incoming::Event(event) => seen.push(event.json::<u64>().unwrap()),
                    Incoming::Live(_) => break,
                    _ => {}
                }
            }
            assert_eq!(seen, old, "{what}");
            subscriptions.push((what, subscription));
        }
    }
    publish_numbers(&client, "a", 6..=7).await;
    for (what, subscription) in &mut subscriptions {
        assert_eq!(next_numbers(subscription, 2).await, [6, 7], "{what}");
    }
}

#[tokio::test]
async fn several_channels_in_log_order_and_only_some_types() {
    let server = Server::start().await;
    let client = server.client();
    for number in 1..=12u64 {
        let channel = ["a", "b", "c d/é"][(number % 3) as usize];
        let publish = client.publish(channel).json(&number);
        let publish = if number % 2 == 0 { publish.kind("even") } else { publish };
        publish.send().await.unwrap_err_if(channel.contains(' '));
    }
    for way in Way::ALL {
        let ask = client.subscribe(["a", "b"]).way(way).since(Since::Start);
        assert_eq!(next_numbers(&mut ask.clone().open(), 8).await, [1, 3, 4, 6, 7, 9, 10, 12], "{way:?}");
        let mut even = ask.clone().types(["even"]).open();
        assert_eq!(next_numbers(&mut even, 4).await, [4, 6, 10, 12], "{way:?}");
        let mut odd = ask.types(["message"]).open();
        assert_eq!(next_numbers(&mut odd, 4).await, [1, 3, 7, 9], "{way:?}");
    }
}

/// A name that is not allowed is refused, and the others are taken.
trait UnwrapErrIf {
    fn unwrap_err_if(self, refused: bool);
}

impl UnwrapErrIf for Result<bongsu_client::Receipt, bongsu_client::Error> {
    fn unwrap_err_if(self, refused: bool) {
        assert_eq!(self.is_err(), refused, "{self:?}");
    }
}

#[tokio::test]
async fn odd_names_of_channels() {
    let server = Server::start().await;
    let client = server.client();
    for channel in ["a/b", "a?b#c", "100%", "봉수:1", "a&b=c+d", "..", "\"q\""] {
        client.publish(channel).text(channel).send().await.unwrap();
        for way in Way::ALL {
            let mut subscription = client.subscribe([channel]).way(way).since(Since::Start).open();
            let event = next_event(&mut subscription).await;
            assert_eq!((event.channel.as_str(), event.data()), (channel, Data::Text(channel.into())), "{way:?}");
        }
    }
}

#[tokio::test]
async fn a_dropped_history_is_a_gap() {
    let server = Server::start().await;
    let client = server.client();
    publish_numbers(&client, "a", 1..=3).await;
    let mut subscriptions = Way::ALL.map(|way| (way, by(&client, way).since(Since::Start).open()));
    for (_, subscription) in &mut subscriptions {
        until(subscription, |item| matches!(item, Incoming::Live(_))).await;
    }
    client.delete_history("a").await.unwrap();
    publish_numbers(&client, "a", 4..=4).await;
    for (way, subscription) in &mut subscriptions {
        let Incoming::Gap(gap) = until(subscription, |item| matches!(item, Incoming::Gap(_))).await else { panic!() };
        assert_eq!((gap.channel.as_str(), gap.reason), ("a", GapReason::Reset), "{way:?}");
        let event = next_event(subscription).await;
        assert_eq!((event.json::<u64>().unwrap(), event.offset), (4, Some(4)), "{way:?}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_log_is_a_gap() {
    let server = Server::start().await;
    let client = server.client();
    publish_numbers(&client, "a", 1..=1).await;
    for way in Way::ALL {
        let since: Since = "00000000-5".parse().unwrap();
        let mut subscription = by(&client, way).since(since).open();
        let Incoming::Gap(gap) = until(&mut subscription, |item| matches!(item, Incoming::Gap(_))).await else {
            panic!()
        };
        assert_eq!(gap.reason, GapReason::Reset, "{way:?}");
        assert_eq!(next_numbers(&mut subscription, 1).await, [1], "{way:?}");
    }
}

#[tokio::test]
async fn what_the_server_refuses_ends_the_subscription() {
    let server = Server::start().await;
    let client = server.client();
    for way in Way::ALL {
        let cases = [
            (client.subscribe(["a b"]).way(way), "bad_channel"),
            (client.subscribe(["a"]).way(way).since("zz".parse::<Since>().unwrap()), "bad_cursor"),
            (client.subscribe((0..200).map(|n| n.to_string())).way(way), "too_many_channels"),
            (client.subscribe(["a"]).way(way).last(5000), "bad_parameter"),
        ];
        for (subscribe, code) in cases {
            let error = end(&mut subscribe.open()).await;
            assert_eq!(error.problem().map(|problem| problem.code.as_str()), Some(code), "{way:?}: {error}");
            assert!(!error.is_retryable(), "{way:?}: {error}");
        }
    }
}

#[tokio::test]
async fn http2_carries_all_but_the_websocket() {
    let server = Server::start().await;
    let client = Client::builder(&server.url()).http2(true).build().unwrap();
    publish_numbers(&client, "a", 1..=3).await;
    for way in Way::ALL {
        let mut subscription = by(&client, way).since(Since::Start).open();
        assert_eq!(next_numbers(&mut subscription, 3).await, [1, 2, 3], "{way:?}");
    }
}

#[tokio::test]
async fn a_payload_of_the_greatest_size() {
    let server = Server::start().await;
    let client = server.client();
    // As long as it can be on the wire: each byte becomes an escape of six.
    let text = "\u{1}".repeat(1 << 20);
    client.publish("a").text(text.clone()).send().await.unwrap();
    for way in Way::ALL {
        let event = next_event(&mut by(&client, way).since(Since::Start).open()).await;
        assert!(event.data() == Data::Text(text.as_str().into()), "{way:?}");
    }
    let error = client.publish("a").text(text + "x").send().await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "payload_too_large");
}

#[tokio::test]
async fn dropping_a_subscription_closes_its_connection() {
    let server = Server::start().await;
    let client = server.client();
    let mut subscriptions = Vec::new();
    for way in [Way::LongPoll, Way::Stream, Way::Sse, Way::WebSocket] {
        let mut subscription = by(&client, way).open();
        until(&mut subscription, |item| matches!(item, Incoming::Live(_))).await;
        subscriptions.push(subscription);
    }
    let subscribers = async |wanted: u64| {
        while client.channel_info("a").await.unwrap().subscribers.total != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    subscribers(4).await;
    drop(subscriptions);
    subscribers(0).await;
}

#[tokio::test]
async fn a_slow_consumer_loses_nothing() {
    let server = Server::start().await;
    let client = server.client();
    let mut subscriptions = Way::ALL.map(|way| (way, by(&client, way).since(Since::Start).open()));
    for (_, subscription) in &mut subscriptions {
        until(subscription, |item| matches!(item, Incoming::Live(_))).await;
    }
    // More than the buffers between can hold, while nobody takes anything.
    let text = "x".repeat(10_000);
    for chunk in 0..20u64 {
        let batch = (1..=100).map(|n| bongsu_client::Publication::new("a").json(&(chunk * 100 + n, &text)));
        for result in client.publish_batch(batch).await.unwrap() {
            result.unwrap();
        }
    }
    for (way, subscription) in &mut subscriptions {
        for expected in 1..=2000u64 {
            let event = next_event(subscription).await;
            assert_eq!(event.json::<(u64, String)>().unwrap().0, expected, "{way:?}");
        }
    }
}
