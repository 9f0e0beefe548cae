//! The servers of a run: shared by all trials with the same setup, or one's own.

use crate::error::{Failure, Result};
use crate::server::{Server, Setup};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

type Slot = Arc<Mutex<Option<Arc<Server>>>>;

/// Starts servers as they are wanted and keeps them until it is dropped.
#[derive(Debug)]
pub struct Pool {
    binary: PathBuf,
    servers: Mutex<HashMap<Setup, Slot>>,
    trials: AtomicU64,
}

/// A server as a trial holds it.
#[derive(Debug)]
pub enum Lease {
    /// Others use it too: it may not be restarted.
    Shared(Arc<Server>),
    /// The trial's own.
    Own(Box<Server>),
    /// Somebody else's, known by its address only.
    At(SocketAddr),
}

impl Pool {
    /// A pool of servers of this binary.
    #[must_use]
    pub fn new(binary: PathBuf) -> Self {
        Self { binary, servers: Mutex::default(), trials: AtomicU64::new(1) }
    }

    /// A name that no other trial of this pool has.
    pub fn namespace(&self) -> String {
        format!("t{}", self.trials.fetch_add(1, Ordering::Relaxed))
    }

    /// A server of this setup.
    pub fn lease(&self, setup: &Setup, own: bool) -> Result<Lease> {
        if own {
            let server = Server::start(&self.binary, setup)?;
            return Ok(Lease::Own(Box::new(server)));
        }
        let slot = {
            let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            Slot::clone(servers.entry(setup.clone()).or_default())
        };
        // Only trials of this very setup wait here for its start.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = slot.as_ref() {
            return Ok(Lease::Shared(Arc::clone(server)));
        }
        let server = Arc::new(Server::start(&self.binary, setup)?);
        *slot = Some(Arc::clone(&server));
        Ok(Lease::Shared(server))
    }
}

impl Lease {
    /// The server, where it is ours.
    fn server(&self) -> Option<&Server> {
        match self {
            Self::Shared(server) => Some(server),
            Self::Own(server) => Some(server),
            Self::At(_) => None,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        match self {
            Self::Shared(server) => server.addr(),
            Self::Own(server) => server.addr(),
            Self::At(addr) => *addr,
        }
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.server().map_or_else(String::new, Server::log_tail)
    }

    /// The number of files it has open.
    pub fn open_files(&self) -> Result<usize> {
        self.server().ok_or_else(foreign)?.open_files()
    }

    /// The server, to end or restart; only one's own.
    pub fn own(&mut self) -> Result<&mut Server> {
        match self {
            Self::Own(server) => Ok(server),
            Self::Shared(_) => Err(Failure::wrong("this step ends the server: the scenario needs `own_server = true`")),
            Self::At(_) => Err(foreign()),
        }
    }
}

fn foreign() -> Failure {
    Failure::wrong("this step needs a server that the runner has started")
}
