//! Who serves the sockets: shards what is plain, and hyper the rest, or hyper alone.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::available_parallelism;

use axum::Router;
use bongsu_core::limits::Limits;
use bongsu_transports::Transports;
use bongsu_transports::shard::{Front, Settings, Shards};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::hyper_driver::HyperDriver;
use crate::listen;

/// The most shards unless somebody says another number: beyond it accepting and the sequencer are the narrow places.
const SHARDS_MAX: usize = 16;

/// What is served.
pub(crate) struct Served {
    pub(crate) transports: Transports,
    pub(crate) router: Router,
    pub(crate) front: Arc<dyn Front>,
    pub(crate) limits: Limits,
}

/// Running drivers.
pub(crate) struct Drivers {
    hyper: HyperDriver,
    shards: Option<Shards>,
    tasks: Vec<JoinHandle<()>>,
}

/// How many shards there should be: as many as there are processors for this process, unless it was said.
pub(crate) fn shards(said: Option<usize>) -> usize {
    said.unwrap_or_else(|| available_parallelism().map_or(1, |count| count.get().min(SHARDS_MAX)))
}

impl Drivers {
    /// Begins to take requests. To be called within a runtime.
    ///
    /// # Errors
    /// The operating system gives no thread or no poll.
    pub(crate) fn start(listener: TcpListener, served: Served, shards: usize) -> io::Result<Self> {
        let Served { transports, router, front, limits } = served;
        let sockets = transports.sockets().clone();
        let hyper = HyperDriver::new(router, limits.clone(), sockets.clone());
        let mut tasks = vec![tokio::spawn(listen::tell_of_pauses(sockets.clone()))];
        let shards = if shards == 0 {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tasks.push(tokio::spawn(listen::accept(listener, hyper.clone(), sockets)));
            None
        } else {
            let taking = hyper.clone();
            let hand_over = Arc::new(move |handed| taking.take(handed));
            let runtime = Handle::current();
            Some(Shards::start(Settings { transports, front, listener, count: shards, limits, hand_over, runtime })?)
        };
        Ok(Self { hyper, shards, tasks })
    }

    /// Ends what is idle and answers what was asked; ready when no request from before is unanswered. New connections are
    /// served as before.
    pub(crate) async fn drain(&self) {
        let Some(shards) = &self.shards else { return self.hyper.drain().await };
        shards.drain();
        self.hyper.drain().await;
        shards.idle().await;
        // What shards have handed over meanwhile may have come before the drain, too.
        self.hyper.drain().await;
    }

    /// Ends everything at once; waits for the threads of the shards.
    pub(crate) fn stop(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        if let Some(shards) = self.shards {
            shards.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_shards_is_what_was_said() {
        assert_eq!([0, 1, 64].map(|said| shards(Some(said))), [0, 1, 64]);
        let found = shards(None);
        assert!((1..=SHARDS_MAX).contains(&found), "{found}");
    }
}
