//! What a result was taken on: figures of two machines, or of two kernels, are not to be compared.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::Fallible;
use crate::process::{kib_line, seconds_of_ticks};

/// Facts about the machine and the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) cpu: String,
    /// Cores that can be used.
    pub(crate) cores: usize,
    /// Memory in bytes.
    pub(crate) memory_bytes: u64,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// The file system of the data directory.
    pub(crate) disk: String,
    /// The commit the checkout stands at; `+` behind it when files differ from it.
    pub(crate) commit: String,
    /// When, in Unix seconds.
    pub(crate) time: u64,
}

/// CPU time that a core has spent on anything at all, in seconds: processes, the kernel, other guests.
pub(crate) fn busy_seconds(core: usize) -> Fallible<f64> {
    let text = std::fs::read_to_string("/proc/stat")?;
    busy_ticks(&text, core)
        .map(seconds_of_ticks)
        .ok_or_else(|| format!("the kernel does not tell of core {core}").into())
}

/// What is not idle and not waiting for the disk, of the line of a core (proc_stat(5)).
fn busy_ticks(stat: &str, core: usize) -> Option<u64> {
    let name = format!("cpu{core}");
    let line = stat.lines().find(|line| line.split(' ').next() == Some(&name))?;
    let ticks: Vec<u64> = line.split(' ').skip(1).map_while(|word| word.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests count as user already.
    (ticks.len() >= 8).then(|| ticks[..3].iter().chain(&ticks[5..8]).sum())
}

/// Kernel memory of sockets, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    /// Slab caches: socket structs, files, epoll entries.
    pub(crate) slab: u64,
    /// Pages in TCP's buffers.
    pub(crate) tcp: u64,
}

impl Machine {
    /// Reads the facts; `data` is the directory that servers keep their data under.
    pub(crate) fn read(data: &Path) -> Fallible<Self> {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.trim_start().strip_prefix(": "));
        let meminfo = std::fs::read_to_string("/proc/meminfo")?;
        let mounts = std::fs::read_to_string("/proc/mounts")?;
        Ok(Self {
            cpu: cpu.unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            memory_bytes: kib_line(&meminfo, "MemTotal:").unwrap_or(0),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            disk: file_system(&mounts, &data.canonicalize()?).unwrap_or("unknown").to_owned(),
            commit: commit(),
            time: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        })
    }
}

/// The kernel's memory for sockets on the whole machine.
pub(crate) fn kernel_memory() -> Fallible<Kernel> {
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    let sockstat = std::fs::read_to_string("/proc/net/sockstat")?;
    let slab = kib_line(&meminfo, "Slab:").ok_or("the kernel does not tell its slab memory")?;
    let pages = tcp_pages(&sockstat).ok_or("the kernel does not tell its TCP memory")?;
    Ok(Kernel { slab, tcp: pages * rustix::param::page_size() as u64 })
}

fn tcp_pages(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == "mem")?;
    words.next()?.parse().ok()
}

/// The type of the file system that `path` is on: of the mounts that hold it, the deepest.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    mounts.filter(|(at, _)| path.starts_with(at)).max_by_key(|(at, _)| at.len()).map(|(_, kind)| kind)
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    if changed { commit + "+" } else { commit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_counts() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\nproc /proc proc rw 0 0\n";
        for (path, kind) in [("/home/a", "ext4"), ("/tmp/x", "tmpfs"), ("/tmpx", "ext4")] {
            assert_eq!(file_system(mounts, Path::new(path)), Some(kind), "{path}");
        }
    }

    #[test]
    fn busy_ticks_of_a_core() {
        let text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 4 800 900 8 16 32 0 0\ncpu1 1 1 1 1\n";
        assert_eq!(busy_ticks(text, 0), Some(63));
        assert_eq!(busy_ticks(text, 1), None);
        assert_eq!(busy_ticks(text, 2), None);
    }

    #[test]
    fn tcp_pages_of_sockstat() {
        let text = "sockets: used 20\nTCP: inuse 1 orphan 0 tw 6 alloc 1 mem 277\nUDP: inuse 0 mem 0\n";
        assert_eq!(tcp_pages(text), Some(277));
    }

    #[test]
    fn this_machine_can_be_read() {
        let machine = Machine::read(Path::new(".")).expect("Linux");
        assert!(machine.cores > 0 && machine.memory_bytes > 0 && !machine.kernel.is_empty());
        assert!(kernel_memory().expect("Linux").slab > 0);
    }
}
