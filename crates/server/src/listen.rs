//! Sockets: listens, and accepts for hyper where no shard does.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bongsu_transports::{Pauses, Sockets};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::warn;

use crate::hyper_driver::HyperDriver;

/// Connections that wait to be accepted: a reconnect storm must not be refused by the kernel while we are busy.
const BACKLOG: i32 = 4_096;
/// How long to wait when no socket can be had; the peers wait in the backlog meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often it is told at most that no socket can be had.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Takes the address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for old connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts for ever, for hyper alone. While the server drains, too: whoever comes meanwhile is told when to come back instead
/// of being refused by the kernel.
pub(crate) async fn accept(listener: tokio::net::TcpListener, driver: HyperDriver, sockets: Sockets) {
    loop {
        if sockets.is_full() {
            sockets.paused_full();
            while sockets.is_full() {
                sleep(ACCEPT_PAUSE).await;
            }
        }
        match listener.accept().await {
            Ok((stream, _)) => driver.serve(stream),
            Err(error) => {
                sockets.paused_by(&error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Tells for ever, but not more often than anybody can read, that accepting has paused, whoever accepts.
pub(crate) async fn tell_of_pauses(sockets: Sockets) {
    let mut known = Pauses::default();
    let mut ticks = interval(TOLD_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = sockets.pauses();
        if now.full > known.full {
            let max = sockets.max();
            warn!(max, "all sockets are taken (sockets_max): connections wait to be accepted");
        }
        if now.failed > known.failed {
            let (times, error) = (now.failed - known.failed, sockets.last_failure());
            warn!(%error, times, "connections could not be accepted for the moment");
        }
        known = now;
    }
}
