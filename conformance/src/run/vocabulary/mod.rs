//! The steps a scenario may take, and what each may say.
//!
//! A step is a table with exactly one verb among its keys; the verb's value is what the step is
//! about (a reader, a channel, a request line). Unknown keys are errors.

mod reading;
mod requests;
mod server;
mod sockets;

pub(super) use reading::*;
pub(super) use requests::*;
pub(super) use server::*;
pub(super) use sockets::*;

use crate::error::{Failure, Result};
use serde_json::Value;

/// One line per verb: its name, its variant, its arguments.
macro_rules! steps {
    ($($verb:ident => $variant:ident),* $(,)?) => {
        /// A step, ready to be run.
        #[derive(Debug)]
        pub enum Step {
            $(#[doc = concat!("`", stringify!($verb), "`")] $variant($variant)),*
        }

        /// All verbs.
        pub const VERBS: &[&str] = &[$(stringify!($verb)),*];

        impl Step {
            /// Reads the arguments of a verb.
            pub fn parse(verb: &str, arguments: Value) -> Result<Self> {
                let parsed = match verb {
                    $(stringify!($verb) => serde_json::from_value(arguments).map(Self::$variant),)*
                    _ => return Err(Failure::wrong(format!("no such verb: {verb}"))),
                };
                parsed.map_err(|e| Failure::wrong(format!("step `{verb}`: {e}")))
            }
        }
    };
}

steps! {
    answer => Answer,
    await_exit => AwaitExit,
    close => Close,
    close_frame => SendClose,
    drain => Drain,
    eventually => Eventually,
    exited => Exited,
    files_fall => FilesFall,
    flood => Flood,
    frames => Frames,
    message => Message,
    open => Open,
    open_files => OpenFiles,
    publish => Publish,
    publish_many => PublishMany,
    raw => Raw,
    receive => Receive,
    receive_close => ReceiveClose,
    receive_many => ReceiveMany,
    receive_none => ReceiveNone,
    receive_same => ReceiveSame,
    reopen => Reopen,
    repeat => Repeat,
    request => Request,
    restart => Restart,
    send => Send,
    set => Set,
    signal => Signalled,
    sleep => Sleep,
    socket => Socket,
}
