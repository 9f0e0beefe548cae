//! The nouns of Bongsu and its pure state machines.
//!
//! Everything here is a value or a function of values: no I/O, no async, no JSON, no clock and no randomness.
//! Bytes on the wire belong to `bongsu-wire`, bytes on disk to `bongsu-log`, time and sockets to the drivers.
//!
//! Read in this order: [`cursor`] (what a position is), [`event`] (what is carried), [`log`] (the contract of a
//! store), [`subscription`] (how a position becomes a delivery).

pub mod chance;
pub mod channel;
pub mod command;
pub mod control;
pub mod cursor;
pub mod error;
pub mod event;
pub mod limits;
pub mod log;
pub mod policy;
pub mod read;
pub mod subscription;
pub mod time;

pub use chance::Chance;
pub use channel::{ChannelName, ChannelPattern};
pub use control::Control;
pub use cursor::{Cursor, Epoch, Seq, Since};
pub use error::{ErrorCode, Problem};
pub use event::{Event, EventKey, EventType, Payload, PayloadKind, UserId};
pub use time::{Clock, Millis};
