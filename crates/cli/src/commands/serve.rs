//! `bongsu serve`: run a server until it is told to stop.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use clap::{ArgMatches, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::failure::Failure;
use crate::options;
use crate::output::{DIM, STRONG, stdout, styled};
use crate::runtime;

const EXAMPLES: &str = "\
EXAMPLES:
  bongsu serve
  bongsu serve --listen 127.0.0.1:8080 --data-dir /var/lib/bongsu
  bongsu serve --engine memory                  keep nothing on disk
  bongsu serve --config /etc/bongsu.toml
  BONGSU_LOG_LEVEL=debug bongsu serve

Every option can be set by its flag, by its variable or in the file; the flag wins over the variable, the variable over the \
file. `bongsu config default` prints a file to begin with, `bongsu config show` what holds and why.

SIGTERM and Ctrl-C drain: readers are told to come back, then the server ends. A second one ends it at once.";

/// What the command takes.
pub(super) fn command() -> Command {
    let command = Command::new("serve").about("Run a server").after_help(EXAMPLES);
    options::with_options(command)
}

/// Runs the server to its end.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let loaded = options::load(&options::sources(matches)).map_err(|errors| Failure::configuration(&errors, 2))?;
    runtime::server(async {
        let stops = stop_signals()?;
        let stop = || {
            let stops = Arc::clone(&stops);
            async move { stops.acquire().await.map_or((), SemaphorePermit::forget) }
        };
        bongsu_server::run(loaded.config, greet, stop).await.map_err(Failure::failed)
    })
}

/// Counts the wishes to stop: each SIGTERM, SIGINT or Ctrl-C adds a permit, so that none is lost while nobody waits.
fn stop_signals() -> Result<Arc<Semaphore>, Failure> {
    let failed = |error| Failure::failed(format_args!("no handler for signals: {error}"));
    let stops = Arc::new(Semaphore::new(0));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let counter = Arc::clone(&stops);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            counter.add_permits(1);
        }
    });
    Ok(stops)
}

/// Says where the server is, and two commands to paste. Nobody has to read it: a closed standard output is no reason to
/// stop a server.
fn greet(listening: SocketAddr) {
    let url = url_of(listening);
    let mut out = stdout();
    let _ = writeln!(
        out,
        "{} {}\n\n{}\n  curl -N -H 'Accept: text/event-stream' {url}/v1/channels/hello\n{}\n  curl -d '{{\"text\":\"first light\"}}' {url}/v1/channels/hello\n",
        styled(STRONG, "Bongsu listens on"),
        styled(STRONG, &url),
        styled(DIM, "# in one terminal: listen"),
        styled(DIM, "# in another: publish"),
    );
    let _ = out.flush();
}

/// The URL under which this machine reaches a server that listens there: an address of all interfaces is none to call.
fn url_of(listening: SocketAddr) -> String {
    let ip = match listening.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listening.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_one_to_call() {
        let cases = [
            ("127.0.0.1:7070", "http://127.0.0.1:7070"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
            ("192.168.1.2:80", "http://192.168.1.2:80"),
        ];
        for (listening, expected) in cases {
            assert_eq!(url_of(listening.parse().unwrap()), expected);
        }
    }
}
