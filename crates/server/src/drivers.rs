//! Who serves the sockets: hyper.

use std::io;
use std::net::TcpListener;

use axum::Router;
use bongsu_core::limits::Limits;
use bongsu_transports::Transports;
use tokio::task::JoinHandle;

use crate::hyper_driver::HyperDriver;
use crate::listen;

/// What is served.
pub(crate) struct Served {
    pub(crate) transports: Transports,
    pub(crate) router: Router,
    pub(crate) limits: Limits,
}

/// Running drivers.
pub(crate) struct Drivers {
    hyper: HyperDriver,
    tasks: Vec<JoinHandle<()>>,
}

impl Drivers {
    /// Begins to take requests. To be called within a runtime.
    ///
    /// # Errors
    /// The operating system refuses the listening socket.
    pub(crate) fn start(listener: TcpListener, served: Served) -> io::Result<Self> {
        let Served { transports, router, limits } = served;
        let sockets = transports.sockets().clone();
        let hyper = HyperDriver::new(router, limits, sockets.clone());
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let tasks = vec![
            tokio::spawn(listen::tell_of_pauses(sockets.clone())),
            tokio::spawn(listen::accept(listener, hyper.clone(), sockets)),
        ];
        Ok(Self { hyper, tasks })
    }

    /// Ends what is idle and answers what was asked; ready when no request from before is unanswered. New connections are
    /// served as before.
    pub(crate) async fn drain(&self) {
        self.hyper.drain().await;
    }

    /// Ends accepting at once.
    pub(crate) fn stop(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
