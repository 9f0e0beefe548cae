//! Talking back: commands on the WebSocket way and their replies.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::cursor::Since;
use crate::error::Error;
use crate::publication::Publication;
use crate::receipt::Receipt;

/// How long a command may take until its reply. The server answers as fast as it can sync; beyond this the connection
/// is lost, or nobody reads the subscription.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a client can ask for on its connection (§5 of the protocol page).
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Op {
    Subscribe {
        channels: Vec<String>,
        #[serde(serialize_with = "since_text")]
        since: Since,
    },
    Unsubscribe {
        channels: Vec<String>,
    },
    Publish(Publication),
}

fn since_text<S: serde::Serializer>(since: &Since, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(since)
}

#[derive(Serialize)]
struct Numbered<'a> {
    #[serde(rename = "ref")]
    reference: u64,
    #[serde(flatten)]
    op: &'a Op,
}

impl Op {
    /// The command as JSON, under the name `reference`.
    pub(crate) fn encode(&self, reference: u64) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(&Numbered { reference, op: self })
            .map_err(|error| Error::usage(format!("that command is no JSON: {error}")))
    }
}

/// A command on its way, and who waits for the reply.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) op: Op,
    reply: Option<oneshot::Sender<Result<String, Error>>>,
}

impl Command {
    /// A command of the client's own, whose reply nobody waits for.
    pub(crate) fn internal(op: Op) -> Self {
        Self { op, reply: None }
    }

    /// Whether the client sent it for itself.
    pub(crate) fn is_internal(&self) -> bool {
        self.reply.is_none()
    }

    /// Hands over the reply.
    pub(crate) fn answer(self, result: Result<String, Error>) {
        if let Some(reply) = self.reply {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(result);
        }
    }
}

/// Sends commands on the connection of a [`Subscription`](crate::Subscription) that reads by WebSocket.
///
/// Replies come by the same connection as events, in order: a command waits until the subscription has been read that
/// far. So await commands beside the loop that reads, not within it.
#[derive(Clone, Debug)]
pub struct Commands {
    sender: mpsc::Sender<Command>,
}

impl Commands {
    pub(crate) fn new(sender: mpsc::Sender<Command>) -> Self {
        Self { sender }
    }

    /// Reads more channels on the same connection. Channels that are read already stay as they are. The subscription
    /// keeps them over reconnects.
    ///
    /// # Errors
    /// The server refused, the connection broke before the reply, or the subscription reads by another way.
    pub async fn subscribe(
        &self,
        channels: impl IntoIterator<Item = impl Into<String>>,
        since: impl Into<Since>,
    ) -> Result<(), Error> {
        let channels = channels.into_iter().map(Into::into).collect();
        self.send(Op::Subscribe { channels, since: since.into() }).await.map(drop)
    }

    /// Stops reading some channels.
    ///
    /// # Errors
    /// As [`Commands::subscribe`].
    pub async fn unsubscribe(&self, channels: impl IntoIterator<Item = impl Into<String>>) -> Result<(), Error> {
        let channels = channels.into_iter().map(Into::into).collect();
        self.send(Op::Unsubscribe { channels }).await.map(drop)
    }

    /// Publishes on the same connection. It is not sent again by itself: give the publication an idempotency key if you
    /// want to.
    ///
    /// # Errors
    /// As [`Commands::subscribe`].
    pub async fn publish(&self, publication: Publication) -> Result<Receipt, Error> {
        let reply = self.send(Op::Publish(publication.checked()?)).await?;
        Receipt::from_json(reply.as_bytes())
    }

    async fn send(&self, op: Op) -> Result<String, Error> {
        let over = |_| Error::usage("the subscription is over: there is no connection for commands");
        let (reply, answered) = oneshot::channel();
        self.sender.send(Command { op, reply: Some(reply) }).await.map_err(over)?;
        match timeout(REPLY_TIMEOUT, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::interrupted("the connection broke before the reply to a command")),
            Err(_) => Err(Error::interrupted(format!("no reply to a command within {REPLY_TIMEOUT:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_on_the_wire() {
        let channels = || vec!["a".to_owned(), "b".to_owned()];
        let cases = [
            (
                Op::Subscribe { channels: channels(), since: Since::Start },
                r#"{"ref":1,"op":"subscribe","channels":["a","b"],"since":"start"}"#,
            ),
            (Op::Unsubscribe { channels: channels() }, r#"{"ref":1,"op":"unsubscribe","channels":["a","b"]}"#),
            (
                Op::Publish(Publication::new("a").text("hi").kind("t").key("k").idempotency_key("i")),
                r#"{"ref":1,"op":"publish","channel":"a","type":"t","key":"k","idempotency_key":"i","content_type":"text/plain","data":"hi"}"#,
            ),
        ];
        for (op, expected) in cases {
            assert_eq!(String::from_utf8(op.encode(1).unwrap()).unwrap(), expected);
        }
    }
}
