//! The task behind a subscription: connects, reads, hands over, waits, and again.
//!
//! It owns the connection, so that ending the task closes it. What to do is decided by [`Session`]; here it is done.

use std::sync::Arc;
use std::time::Duration;

use bongsu_core::read::Way;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::chance;
use crate::command::Command;
use crate::error::Error;
use crate::incoming::Incoming;
use crate::net::transport::Transport;
use crate::session::{Delivery, Ending, Next, Session};
use crate::ways::{Connection, Reading, refuse_all};

/// Batches that may wait for the consumer. One batch is what one read of the socket brought, so this bounds the memory;
/// beyond it the client does not read, and the server keeps the subscriber's place.
pub(crate) const BATCHES_MAX: usize = 8;

/// What goes to the consumer.
pub(crate) type Batch = Result<Vec<Delivery>, Error>;

/// Everything that the task owns.
pub(crate) struct Driver {
    pub(crate) transport: Arc<Transport>,
    pub(crate) reading: Arc<Reading>,
    pub(crate) session: Session,
    pub(crate) out: mpsc::Sender<Batch>,
    /// The way the consumer wants.
    pub(crate) wanted: watch::Receiver<Way>,
    pub(crate) commands: mpsc::Receiver<Command>,
}

/// The consumer has dropped its end.
struct Gone;

impl Driver {
    /// Runs until the subscription is over or nobody wants it any more.
    pub(crate) async fn run(mut self) {
        // Only a consumer that is gone ends it early, and that one cannot be told anything.
        let _ = self.connections().await;
    }

    async fn connections(&mut self) -> Result<(), Gone> {
        loop {
            let began = Instant::now();
            let ending = self.connection().await?;
            match self.session.ended(ending, began.elapsed(), chance::random()) {
                Next::Connect => {}
                Next::Wait(reconnecting) => {
                    let after = reconnecting.after;
                    let delivery = Delivery { position: None, item: Some(Incoming::Reconnecting(reconnecting)) };
                    self.out.send(Ok(vec![delivery])).await.map_err(|_| Gone)?;
                    self.pause(after).await?;
                }
                Next::Stop(error) => return self.out.send(Err(error)).await.map_err(|_| Gone),
            }
        }
    }

    /// One connection, from the attempt to its end.
    async fn connection(&mut self) -> Result<Ending, Gone> {
        let Self { transport, reading, session, out, wanted, commands } = self;
        let way = session.way();
        let connecting = Connection::open(transport, reading, way, session.resume());
        let mut connection = tokio::select! {
            connected = connecting => match connected {
                Ok(connection) => connection,
                Err(error) => return Ok(Ending::Failed(error)),
            },
            changed = change(wanted) => {
                session.switch(changed?);
                return Ok(Ending::Switched);
            }
        };
        loop {
            if session.way() != way {
                connection.leave().await;
                return Ok(Ending::Switched);
            }
            // A place is taken before anything is read: what has been read is handed over without another wait, so that
            // nothing can come between the two.
            let step = async {
                let place = out.reserve().await.map_err(|_| Gone)?;
                Ok((place, connection.next(commands).await))
            };
            let (place, read) = tokio::select! {
                step = step => step?,
                changed = change(wanted) => {
                    session.switch(changed?);
                    continue;
                }
            };
            match read {
                Ok(Some(objects)) => {
                    let deliveries = session.receive(way, objects);
                    if !deliveries.is_empty() {
                        place.send(Ok(deliveries));
                    }
                }
                Ok(None) => return Ok(Ending::Finished),
                Err(error) => return Ok(Ending::Failed(error)),
            }
        }
    }

    /// Waits before the next attempt; a change of way cuts it short.
    async fn pause(&mut self, after: Duration) -> Result<(), Gone> {
        tokio::select! {
            () = sleep(after) => {}
            changed = change(&mut self.wanted) => self.session.switch(changed?),
            never = refuse_all(&mut self.commands) => never,
        }
        Ok(())
    }
}

/// Waits until the consumer wants another way.
async fn change(wanted: &mut watch::Receiver<Way>) -> Result<Way, Gone> {
    wanted.changed().await.map_err(|_| Gone)?;
    Ok(*wanted.borrow_and_update())
}
