//! A real `bongsu` server process: started, killed, restarted, and gone at the end.
//!
//! Knows the command line only: `serve --listen --data-dir --port-file --shards [--config]
//! [--test-endpoints]`, logs on stderr, exit code 0 after SIGTERM.

use crate::error::{Failure, Result};
use crate::way::Driver;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server that is not ready after this time is reported as not starting.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// §14.14: "SIGTERM: exit code 0 within 20 s by default"; a little more for a busy machine.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);
/// How often the port file and the process are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// What distinguishes one server from another: scenarios with the same setup share one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Setup {
    /// The text of the TOML file given by `--config`; empty for none.
    pub config: String,
    /// More arguments for `serve`.
    pub args: Vec<String>,
    /// Who serves its sockets.
    pub driver: Driver,
}

/// How a server is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub enum Signal {
    /// SIGTERM: drain, then exit with code 0.
    #[serde(rename = "TERM")]
    Term,
    /// SIGKILL: a crash.
    #[serde(rename = "KILL")]
    Kill,
}

/// A server process with its own data directory.
#[derive(Debug)]
pub struct Server {
    binary: PathBuf,
    setup: Setup,
    dir: TempDir,
    child: Option<Child>,
    addr: SocketAddr,
}

impl Server {
    /// Starts a server on a fresh data directory and a free port, and waits until it is ready.
    pub fn start(binary: &Path, setup: &Setup) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("bongsu.toml"), &setup.config)?;
        let mut server = Self {
            binary: binary.to_owned(),
            setup: setup.clone(),
            dir,
            child: None,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        server.run()?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Whether a process is there (it may be draining).
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// Sends a signal and returns at once.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().ok_or_else(not_running)?;
        let pid = i32::try_from(child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .ok_or_else(|| Failure::wrong("the server's process id is no process id"))?;
        let signal = match signal {
            Signal::Term => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        rustix::process::kill_process(pid, signal).map_err(|e| Failure::wrong(format!("cannot signal the server: {e}")))
    }

    /// Waits for the process to end.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_mut().ok_or_else(not_running)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(status);
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Err(Failure::Timeout(format!("the server did not end within {STOP_TIMEOUT:?}")))
    }

    /// Ends the server; after SIGTERM the exit code has to be 0.
    pub fn stop(&mut self, signal: Signal) -> Result<()> {
        self.signal(signal)?;
        let status = self.wait()?;
        if signal == Signal::Term && !status.success() {
            return Err(Failure::wrong(format!("after SIGTERM: {status}")));
        }
        Ok(())
    }

    /// Starts it again on the same data directory and, where it is still free, the same port.
    pub fn start_again(&mut self) -> Result<()> {
        // The port may sit in the range of outgoing connections, and one of those may hold it for
        // a moment.
        let mut last = None;
        for _ in 0..40 {
            match self.run() {
                Ok(()) => return Ok(()),
                Err(failure) => last = Some(failure),
            }
            if !self.log_tail().contains("in use") {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(last.unwrap_or_else(not_running))
    }

    /// Loses the data directory, as an operator who deleted it would.
    pub fn wipe(&mut self) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.data_dir())?)
    }

    fn run(&mut self) -> Result<()> {
        let port_file = self.dir.path().join("port");
        let _ = std::fs::remove_file(&port_file);
        let mut command = Command::new(&self.binary);
        command
            .arg("serve")
            .args(["--listen", &self.addr.to_string()])
            .arg("--data-dir")
            .arg(self.data_dir())
            .arg("--port-file")
            .arg(&port_file)
            .args(["--shards", self.setup.driver.shards()])
            .args(&self.setup.args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log_file()?);
        if !self.setup.config.is_empty() {
            command.arg("--config").arg(self.dir.path().join("bongsu.toml"));
        }
        let child =
            command.spawn().map_err(|e| Failure::wrong(format!("cannot start {}: {e}", self.binary.display())))?;
        self.child = Some(child);
        self.addr = self.await_port(&port_file)?;
        Ok(())
    }

    fn await_port(&mut self, port_file: &Path) -> Result<SocketAddr> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(text) = std::fs::read_to_string(port_file) {
                return text
                    .trim()
                    .parse()
                    .map_err(|_| Failure::wrong(format!("the port file holds {text:?}, not an address")));
            }
            if !self.is_running() {
                let log = self.log_tail();
                return Err(Failure::wrong(format!("the server ended at start:\n{log}")));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        let log = self.log_tail();
        Err(Failure::Timeout(format!("no port file was written:\n{log}")))
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    fn log_file(&self) -> Result<File> {
        Ok(File::options().create(true).append(true).open(self.log_path())?)
    }

    /// The last lines of the server's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// The number of files the process has open, from `/proc`.
    pub fn open_files(&self) -> Result<usize> {
        let child = self.child.as_ref().ok_or_else(not_running)?;
        Ok(std::fs::read_dir(format!("/proc/{}/fd", child.id()))?.count())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn not_running() -> Failure {
    Failure::wrong("the server is not running")
}
