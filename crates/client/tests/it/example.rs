//! The example does what it says.

use crate::support::{Server, publish_numbers};

#[allow(dead_code, reason = "its `main` is for people")]
#[path = "../../examples/listen.rs"]
mod listen;

#[tokio::test]
async fn listen_prints_events_until_it_is_sent_away() {
    let server = Server::start().await;
    let client = server.client();
    publish_numbers(&client, "a", 1..=5).await;
    let mut out = Vec::new();
    let operator = async {
        // Whoever reads is the example: what was there when it came is printed before it hears the goodbye.
        loop {
            let page = client.connections(&bongsu_client::PageRequest::default()).await.unwrap();
            for connection in page.items {
                // One that has just ended is not there any more.
                let _ = client.disconnect(&connection.connection, false).await;
            }
            tokio::task::yield_now().await;
        }
    };
    let error = tokio::select! {
        result = listen::app(&client, vec!["a".into()], &mut out) => result.unwrap_err(),
        () = operator => unreachable!("it goes on until the example ends"),
    };
    assert!(error.to_string().contains("asked not to come back"), "{error}");
    let printed = String::from_utf8(out).unwrap();
    assert!(printed.starts_with("a Json(\"3\")\na Json(\"4\")\na Json(\"5\")\n"), "{printed}");
}
