//! Children: how they are started on their own core, ended with us, and what the kernel says they used.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_process, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Fallible;

/// The most open files a process of the bench asks for: what any machine allows a user.
pub(crate) const OPEN_FILES_MAX: u64 = 20_000;
/// Open files that are not connections of the bench: logs, listeners, the poll, publishers.
const OPEN_FILES_OTHER: u64 = 400;
/// How often a child is looked at while something is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// A child that is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// All resident pages (`VmRSS`).
    pub(crate) resident: u64,
    /// Resident pages that no file backs (`RssAnon`): heap and stacks.
    pub(crate) anonymous: u64,
}

/// Puts this thread, and what it starts, on one core.
pub(crate) fn pin(core: usize) -> Fallible<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| format!("core {core} cannot be used: {error}").into())
}

/// Raises the limit on open files as far as the bench goes. Children have the same limit.
pub(crate) fn raise_open_files() -> Fallible<u64> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES_MAX, |maximum| maximum.min(OPEN_FILES_MAX));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })?;
    Ok(wanted)
}

/// Refuses more connections than files may be open.
pub(crate) fn check_connections(connections: usize, open_files: u64) -> Fallible<()> {
    let most = open_files.saturating_sub(OPEN_FILES_OTHER);
    if connections as u64 <= most {
        return Ok(());
    }
    Err(format!(
        "{connections} connections need as many open files in the server and in the generator, and a process here may have \
         {open_files}: ask for at most {most}, or raise the limit (`ulimit -Hn`; the bench itself never asks for more than \
         {OPEN_FILES_MAX})"
    )
    .into())
}

/// Becomes `program` on the core given, and dies when the bench dies: what [`Server::start`] runs first.
pub(crate) fn launch(core: usize, program: &OsStr, arguments: &[&OsStr]) -> Fallible<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    pin(core)?;
    let error = Command::new(program).args(arguments).exec();
    Err(format!("{} cannot be run: {error}", program.display()).into())
}

/// The command that runs `program` on `core` by way of [`launch`].
pub(crate) fn on_core(core: usize, program: &Path) -> Fallible<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("launch").arg(core.to_string()).arg("--").arg(program).stdin(Stdio::null());
    Ok(command)
}

impl Server {
    /// Starts a command that [`on_core`] made.
    pub(crate) fn start(mut command: Command) -> Fallible<Self> {
        Ok(Self { child: command.stdout(Stdio::null()).spawn()? })
    }

    /// The text of a file that the child writes when it is ready.
    pub(crate) fn wait_for_file(&mut self, path: &Path, time: Duration) -> Fallible<String> {
        let deadline = Instant::now() + time;
        loop {
            if let Ok(text) = std::fs::read_to_string(path) {
                return Ok(text.trim().to_owned());
            }
            self.check_waiting(deadline, time)?;
        }
    }

    /// Waits until the child takes connections at `address`.
    pub(crate) fn wait_for_listener(&mut self, address: SocketAddr, time: Duration) -> Fallible<SocketAddr> {
        let deadline = Instant::now() + time;
        while TcpStream::connect(address).is_err() {
            self.check_waiting(deadline, time)?;
        }
        Ok(address)
    }

    fn check_waiting(&mut self, deadline: Instant, time: Duration) -> Fallible<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("the server ended before it was ready: {status}").into());
        }
        if Instant::now() > deadline {
            return Err(format!("the server was not ready within {} s", time.as_secs()).into());
        }
        sleep(LOOK);
        Ok(())
    }

    /// The CPU time that the process has used, user and system, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Fallible<f64> {
        cpu_seconds_of(&self.child.id().to_string())
    }

    /// The memory of the process.
    pub(crate) fn memory(&self) -> Fallible<Memory> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name| kib_line(&text, name).ok_or_else(|| format!("the kernel's status has no {name}"));
        Ok(Memory { resident: of("VmRSS:")?, anonymous: of("RssAnon:")? })
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Fallible<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("a child has a process number")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Fallible<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The CPU time of a process (`self` is this one), user and system, in seconds.
pub(crate) fn cpu_seconds_of(process: &str) -> Fallible<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    cpu_ticks(&text).map(seconds_of_ticks).ok_or_else(|| "the kernel's stat line has no CPU times".into())
}

/// User and system time in clock ticks, from `/proc/PID/stat` (proc_pid_stat(5), fields 14 and 15).
fn cpu_ticks(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Clock ticks as seconds.
#[expect(clippy::cast_precision_loss, reason = "ticks of a bench run are far below 2^53")]
pub(crate) fn seconds_of_ticks(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// The value of a `Name:   123 kB` line, in bytes.
pub(crate) fn kib_line(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_ticks_of_a_stat_line() {
        let line = "4711 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 31 5 6 20 0 3 0 100 200 300";
        assert_eq!(cpu_ticks(line), Some(281));
        assert_eq!(cpu_ticks("4711 (short) S 1"), None);
    }

    #[test]
    fn lines_in_kib() {
        let text = "Name:\tx\nVmRSS:\t   12 kB\nRssAnon:\t 3 kB\n";
        assert_eq!(kib_line(text, "VmRSS:"), Some(12 << 10));
        assert_eq!(kib_line(text, "RssFile:"), None);
    }

    #[test]
    fn too_many_connections_are_refused_with_the_number_that_fits() {
        assert!(check_connections(19_600, 20_000).is_ok());
        let error = check_connections(19_601, 20_000).expect_err("too many").to_string();
        assert!(error.contains("at most 19600"), "{error}");
    }
}
