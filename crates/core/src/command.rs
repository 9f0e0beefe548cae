//! Commands: what a client says on its connection.

use crate::channel::ChannelName;
use crate::cursor::Since;
use crate::log::Draft;

/// One command with the name its answer will carry.
#[derive(Clone, Debug)]
pub struct Command {
    /// The client's `ref`, kept as the JSON text it was, so that it comes back unchanged.
    pub reference: Option<String>,
    /// What to do.
    pub op: Op,
}

/// What a client can ask for on its connection. §5 of the protocol page lists those still to come.
#[derive(Clone, Debug)]
pub enum Op {
    /// Read more channels on this connection.
    Subscribe {
        /// Which.
        channels: Vec<ChannelName>,
        /// From where; [`Since::Now`] unless said.
        since: Since,
    },
    /// Stop reading some channels.
    Unsubscribe {
        /// Which.
        channels: Vec<ChannelName>,
    },
    /// Publish an event.
    Publish(Box<Draft>),
}
