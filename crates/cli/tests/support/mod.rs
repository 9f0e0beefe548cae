//! Runs the real binary, and a real server when a test needs one. Everything ends with its test, and in bounded time.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// After this a command that has not ended is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary with a clean environment: no variable of the developer's shell changes a test.
pub fn bongsu(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bongsu"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BONGSU_")) {
        command.env_remove(name);
    }
    command.env_remove("NO_COLOR").current_dir(dir).stdin(Stdio::null());
    command
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Itself, if it ended well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Itself, if it ended with this code and said these things on the standard error.
    #[track_caller]
    pub fn fails(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for said in says {
            assert!(self.err.contains(said), "{said:?} is not said: {self:#?}");
        }
        self
    }

    pub fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }
}

/// Runs the binary with `args` in `dir` to its end.
#[track_caller]
pub fn run<A: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = A>) -> Ran {
    Running::start(bongsu(dir).args(args)).end()
}

/// The same with `input` as its standard input.
#[track_caller]
pub fn run_with_input<A: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = A>, input: &[u8]) -> Ran {
    let mut running = Running::start(bongsu(dir).args(args).stdin(Stdio::piped()));
    let mut stdin = running.child.stdin.take().unwrap();
    let input = input.to_vec();
    // On a thread, and without a look at the result: a command need not read everything.
    std::thread::spawn(move || stdin.write_all(&input));
    running.end()
}

/// A command that runs.
pub struct Running {
    pub child: Child,
    lines: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        let err = lines_of(child.stderr.take().unwrap());
        Self { child, lines, err }
    }

    /// The next line on the standard output.
    #[track_caller]
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line on stdout; stderr: {:?}", self.said()))
    }

    /// Waits for a line on the standard error with `text` in it.
    #[track_caller]
    pub fn hears(&self, text: &str) -> String {
        loop {
            let line = self.err.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{text:?} is not said on stderr"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// What was said on the standard error and not heard yet.
    fn said(&self) -> String {
        self.err.try_iter().collect()
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        let code = wait(&mut self.child).code();
        Ran { code, out: drain(&self.lines), err: drain(&self.err) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn drain(lines: &Receiver<String>) -> String {
    lines.iter().collect()
}

/// The lines of a pipe, each with its end, read by a thread so that a full pipe never stops the command.
fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

/// Waits for the end of a process; kills it and fails when it does not come.
#[track_caller]
fn wait(child: &mut Child) -> ExitStatus {
    let pid = child.id().to_string();
    let (done, watch) = channel::<()>();
    let watchdog: JoinHandle<bool> = std::thread::spawn(move || {
        let stuck = watch.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if stuck {
            let _ = Command::new("kill").args(["-9", &pid]).status();
        }
        stuck
    });
    let status = child.wait().unwrap();
    drop(done);
    assert!(!watchdog.join().unwrap(), "the command did not end within {PATIENCE:?}");
    status
}

/// A server on a free port.
pub struct Server {
    pub running: Running,
    pub url: String,
}

impl Server {
    /// Starts one with its data below `dir`.
    #[track_caller]
    pub fn start(dir: &Path) -> Self {
        Self::start_with(dir, &["--listen", "127.0.0.1:0"])
    }

    #[track_caller]
    pub fn start_with(dir: &Path, args: &[&str]) -> Self {
        let running = Running::start(bongsu(dir).arg("serve").args(args));
        let greeting = running.line();
        let url = greeting.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{greeting}");
        Self { running, url }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Runs a client command against it.
    #[track_caller]
    pub fn run(&self, dir: &Path, args: &[&str]) -> Ran {
        run(dir, args.iter().copied().chain(["--url", &self.url]))
    }

    /// Starts a client command against it.
    #[track_caller]
    pub fn begin(&self, dir: &Path, args: &[&str]) -> Running {
        Running::start(bongsu(dir).args(args).args(["--url", &self.url]))
    }

    /// Asks it to stop, and waits.
    #[track_caller]
    pub fn stop(self) -> Ran {
        self.running.signal("TERM");
        self.running.end()
    }
}
