//! WebSocket (RFC 6455) without I/O: bytes and milliseconds in, messages and frames out.
//!
//! It exists so that two drivers share one implementation: connections upgraded by hyper, and socket
//! shards that keep thousands of idle connections and lend all of them the same read buffer. An idle
//! [`Session`] is therefore a small struct without a buffer of its own; memory is held only while a
//! message is half received, and never more than [`Limits`] allows.
//!
//! It must not know sockets, clocks, random numbers, async, channels or commands: time and masking
//! keys are arguments. Extensions (such as permessage-deflate) are not negotiated, so reserved bits
//! are errors.
//!
//! From the outside in: [`handshake`] turns an HTTP request into a WebSocket, [`Session`] runs the
//! connection (ping, pong, closing handshake), [`Reader`] puts messages together from frames, and
//! [`frame`] is the layout on the wire.

mod assembly;
mod close;
pub mod frame;
pub mod handshake;
mod mask;
mod reader;
mod session;
mod violation;

pub use assembly::Limits;
pub use close::{Close, CloseCode};
pub use frame::{Opcode, encode, encode_masked};
pub use mask::{MaskKey, apply_mask};
pub use reader::{Message, Reader, Role};
pub use session::{Event, Outgoing, Session, Tick, Timing};
pub use violation::Violation;
