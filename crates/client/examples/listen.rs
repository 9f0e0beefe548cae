//! Prints the events of some channels, and goes on where it was after every cut.
//!
//! ```text
//! cargo run -p bongsu-client --example listen -- http://127.0.0.1:7070 shop:7 shop:8
//! ```

use std::io::{self, Write};

use bongsu_client::{Client, Incoming, Way};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("say where the server is, such as http://127.0.0.1:7070")?;
    app(&Client::new(&url)?, arguments.collect(), &mut io::stdout()).await
}

/// Writes a line to `out` for everything that a person wants to know, until the server sends the client away.
pub(crate) async fn app(
    client: &Client,
    channels: Vec<String>,
    out: &mut impl Write,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut events = client.subscribe(channels).way(Way::Sse).last(3).open();
    while let Some(incoming) = events.next().await {
        match incoming? {
            Incoming::Event(event) => writeln!(out, "{} {:?}", event.channel, event.data())?,
            Incoming::Gap(gap) => writeln!(out, "{} has lost events: {}", gap.channel, gap.reason)?,
            Incoming::Reconnecting(waiting) => writeln!(out, "{}; again in {:?}", waiting.why, waiting.after)?,
            _ => {}
        }
    }
    Ok(())
}
