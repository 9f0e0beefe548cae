//! From a configuration to a running server, and back to a stopped one.
//!
//! This is the only place that names concrete parts: which log, which clock, which sockets. Everything it wires knows
//! only traits.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bongsu_api::{Api, App};
use bongsu_core::log::Log;
use bongsu_core::policy::Rules;
use bongsu_core::{Clock, Millis, Problem};
use bongsu_hub::{Hub, Running};
use bongsu_log::{EmbeddedLog, MemoryLog, NewEpoch};
use bongsu_transports::Transports;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::config::{self, Config, Engine};
use crate::drivers::{self, Drivers, Served};
use crate::ports::{OsChance, ShiftedClock};
use crate::{listen, telemetry, test_clock};

/// Why a server did not start, or did not stop well. Its text is for people.
#[derive(Debug)]
pub struct RunError(String);

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RunError {}

/// Runs a server until `stop` is ready, then drains it: clients are told to come back, publishes in flight are finished,
/// the log is closed. A second readiness of `stop` cuts the drain short. `ready` is called once, with the address, when
/// requests are taken.
///
/// # Errors
/// The server cannot start (the data directory, the address), or the log could not be closed cleanly.
pub async fn run<F>(config: Config, ready: impl FnOnce(SocketAddr), mut stop: impl FnMut() -> F) -> Result<(), RunError>
where
    F: Future<Output = ()>,
{
    telemetry::start(config.log_level, config.log_format);
    let listener = bind(&config)?;
    let address =
        listener.local_addr().map_err(|error| RunError(format!("the listening address is unknown: {error}")))?;
    let clock = Arc::new(ShiftedClock::default());
    let parts = Parts::open(&config, clock.clone())?;
    let (drain, draining) = watch::channel(false);
    let shards = drivers::shards(config.shards);
    let started = Drivers::start(listener, parts.served(&config, clock, draining), shards);
    let drivers = match started.map_err(|error| RunError(format!("no threads for the sockets: {error}"))) {
        Ok(drivers) => drivers,
        Err(error) => return parts.close().and(Err(error)),
    };
    if let Some(path) = &config.port_file
        && let Err(error) = write_port_file(path, address)
    {
        drivers.stop();
        return parts.close().and(Err(error));
    }
    info!(%address, engine = ?config.engine, shards, "taking requests");
    ready(address);
    stop().await;
    info!("draining: clients are told to come back");
    let _ = drain.send(true);
    parts.transports.drain();
    tokio::select! {
        () = drained(&drivers, &parts.transports, config.limits().drain_timeout) => {}
        () = stop() => warn!("stopping at once: asked a second time"),
    }
    // Shards read from the log, so they end first. Closing the log waits for the disk; a disk that does not answer must not keep the process from ending when it is told
    // to a second time.
    tokio::select! {
        closed = tokio::task::spawn_blocking(|| { drivers.stop(); parts.close() }) => {
            closed.unwrap_or_else(|_| Err(RunError("closing the log was cut short".into())))
        }
        () = stop() => Err(RunError("stopped before the log was closed; what was acknowledged is safe".into())),
    }
}

/// What is wired together.
struct Parts {
    hub: Hub,
    running: Running,
    transports: Transports,
}

impl Parts {
    fn open(config: &Config, clock: Arc<ShiftedClock>) -> Result<Self, RunError> {
        let rules = Arc::new(config.rules());
        let log: Arc<dyn Log> = match config.engine {
            Engine::Memory => Arc::new(MemoryLog::new(rules.clone(), config.storage.log)),
            Engine::Embedded => Arc::new(open_embedded(config, rules.clone(), clock.now())?),
        };
        let limits = config.limits();
        let (hub, running) = Hub::start(log, rules, &limits, clock)
            .map_err(|error| RunError(format!("no thread for the sequencer: {error}")))?;
        let transports = Transports::new(hub.clone(), limits, Arc::new(OsChance));
        Ok(Self { hub, running, transports })
    }

    fn served(&self, config: &Config, clock: Arc<ShiftedClock>, draining: watch::Receiver<bool>) -> Served {
        let cors = match &config.cors {
            // Nobody has to show a key yet, so any page may do what `curl` may do.
            config::Cors::Auto | config::Cors::Any => bongsu_api::Cors::Any,
            config::Cors::None => bongsu_api::Cors::None,
            config::Cors::Only(origins) => bongsu_api::Cors::Only(origins.clone()),
        };
        let app = App::new(Api {
            hub: self.hub.clone(),
            transports: self.transports.clone(),
            limits: config.limits(),
            cors,
            started: clock.now(),
            version: env!("CARGO_PKG_VERSION"),
            test_endpoints: config.test_endpoints,
            draining,
        });
        let router = app.router();
        let router = if config.test_endpoints { router.merge(test_clock::router(clock)) } else { router };
        Served { transports: self.transports.clone(), router, front: app.front(), limits: config.limits() }
    }

    fn close(self) -> Result<(), RunError> {
        drop(self.transports);
        drop(self.hub);
        self.running.close().map_err(|problem: Problem| RunError(problem.to_string()))?;
        info!("stopped; the log is closed");
        Ok(())
    }
}

fn bind(config: &Config) -> Result<TcpListener, RunError> {
    listen::bind(config.listen).map_err(|error| {
        let address = config.listen;
        RunError(match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "the address {address} is taken by another program; stop it, or choose another with --listen (port 0 takes a free one)"
            ),
            std::io::ErrorKind::PermissionDenied => {
                format!("listening on {address} is not permitted; ports below 1024 need privileges: choose another with --listen")
            }
            std::io::ErrorKind::AddrNotAvailable => {
                format!("{address} is no address of this machine; choose another with --listen")
            }
            _ => format!("cannot listen on {address}: {error}"),
        })
    })
}

fn open_embedded(config: &Config, rules: Arc<Rules>, now: Millis) -> Result<EmbeddedLog, RunError> {
    let log = EmbeddedLog::open(&config.data_dir, rules, config.storage.log, now);
    let log = log.map_err(|error| RunError(error.to_string()))?;
    let opened = log.opened();
    match &opened.new_epoch {
        None => info!(data_dir = %config.data_dir.display(), clean = opened.clean, "opened the log"),
        Some(NewEpoch::Created) => info!(data_dir = %config.data_dir.display(), "made a new log"),
        Some(why) => warn!(?why, "the log has a new epoch: clients with older cursors are told of a gap"),
    }
    if let Some(torn) = &opened.torn {
        match &torn.kept {
            None => {
                info!(bytes = torn.bytes, "the log ended in a write that was never acknowledged; it was cut off");
            }
            Some(kept) => {
                let kept = kept.display();
                warn!(bytes = torn.bytes, %kept, "the end of the log could not be read; it was cut off and kept aside");
            }
        }
    }
    Ok(log)
}

/// In one step, so that whoever watches for the file never reads half an address.
fn write_port_file(path: &Path, address: SocketAddr) -> Result<(), RunError> {
    let fail = |error: std::io::Error| RunError(format!("cannot write the port file {}: {error}", path.display()));
    let mut draft = path.as_os_str().to_owned();
    draft.push(".tmp");
    std::fs::write(&draft, format!("{address}\n")).map_err(fail)?;
    std::fs::rename(&draft, path).map_err(fail)
}

/// Ready when every connection has ended, or when it has taken too long.
async fn drained(drivers: &Drivers, transports: &Transports, bound: Duration) {
    let started = Instant::now();
    let all = async {
        // Requests that are being answered end first; upgraded connections are no longer hyper's and are waited for here.
        drivers.drain().await;
        while !transports.connections().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(bound, all).await.is_err() {
        warn!(left = transports.connections().len(), "cutting what is left after the drain timeout");
    } else {
        info!(took_ms = started.elapsed().as_millis() as u64, "drained");
    }
}
