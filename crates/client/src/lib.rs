//! The Rust client of Bongsu: publish, and subscribe by any of the five ways with resume.
//!
//! ```no_run
//! use bongsu_client::{Client, Way};
//!
//! # async fn example() -> Result<(), bongsu_client::Error> {
//! let client = Client::new("http://127.0.0.1:7070")?;
//!
//! let mut events = client.subscribe(["shop:7"]).way(Way::Sse).last(10).open();
//! client.publish("shop:7").json(&[1, 2, 3]).kind("order").send().await?;
//! let event = events.next_event().await?;
//! println!("{} {:?}", event.kind, event.data());
//! # Ok(())
//! # }
//! ```
//!
//! What it promises:
//! - **Exactly once, in order.** A [`Subscription`] delivers every event of its channels once, over reconnects, restarts
//!   of the server and [changes of way](Subscription::switch), or tells of a [`Gap`].
//! - **Publishing again is harmless.** [`Publish::send`] sends again under the same idempotency key.
//! - **No stampede.** Every wait before a reconnect is drawn at random from a window, or is the one the server planned
//!   for this client.
//! - **A dead server is noticed** by two missed heartbeats, not by the TCP timeout of a quarter of an hour.
//!
//! Inside, what decides (`session`, `resume`, `reconnect`, `retry`, `decode`) is pure: time, chance and bytes are
//! passed in. What acts (`driver`, `ways`, `net`) has no opinions.

mod chance;
mod client;
mod command;
mod cursor;
mod decode;
mod driver;
mod error;
mod event;
mod incoming;
mod manage;
mod net;
mod problem;
mod publication;
mod publish;
mod publish_all;
mod receipt;
mod reconnect;
mod resume;
mod retry;
mod session;
mod subscription;
mod ways;

pub use bongsu_core::read::Way;
pub use bongsu_core::{ErrorCode, Millis};
pub use bongsu_wire::receipt::{ChannelInfo, ChannelSummary, ConnectionInfo, Subscribers};

pub use crate::client::{Client, ClientBuilder};
pub use crate::command::Commands;
pub use crate::cursor::{Cursor, Since};
pub use crate::error::{Error, ErrorKind};
pub use crate::event::{Data, Event};
pub use crate::incoming::{Gap, GapReason, Incoming, Open, Reconnecting};
pub use crate::manage::{Health, Page, PageRequest};
pub use crate::problem::Problem;
pub use crate::publication::Publication;
pub use crate::publish::Publish;
pub use crate::publish_all::Receipts;
pub use crate::receipt::Receipt;
pub use crate::subscription::{Subscribe, Subscription};
