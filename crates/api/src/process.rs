//! What the operating system knows of this process, from Linux's `/proc`. Elsewhere nothing is known.

use std::fs;

/// A reading of `/proc/self`. Each value is missing where it cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Process {
    /// Processor time in user and system mode, in seconds.
    pub(crate) cpu_seconds: Option<f64>,
    /// Memory that is in RAM, in bytes.
    pub(crate) resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub(crate) open_fds: Option<u64>,
    /// How many may be open.
    pub(crate) max_fds: Option<u64>,
}

impl Process {
    /// Reads it now.
    pub(crate) fn read() -> Self {
        let text = |path| fs::read_to_string(path).ok();
        Self {
            cpu_seconds: text("/proc/self/stat").as_deref().and_then(cpu_seconds),
            resident_bytes: text("/proc/self/status").as_deref().and_then(resident_bytes),
            open_fds: open_fds(),
            max_fds: text("/proc/self/limits").as_deref().and_then(max_fds),
        }
    }
}

/// `utime` and `stime`, the fields 14 and 15 of `/proc/self/stat` (proc_pid_stat(5)).
fn cpu_seconds(stat: &str) -> Option<f64> {
    // Linux counts here in hundredths of a second on every architecture that is still in use (USER_HZ).
    const TICKS_PER_SECOND: f64 = 100.0;
    // The second field is the program's name in brackets, which may itself contain anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// `VmRSS` of `/proc/self/status`, which is in KiB.
fn resident_bytes(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The number of entries of `/proc/self/fd`. Since Linux 6.2 it is the directory's size, which saves counting them.
fn open_fds() -> Option<u64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    if size > 0 { Some(size) } else { Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64) }
}

/// The soft limit of `Max open files` in `/proc/self/limits`.
fn max_fds(limits: &str) -> Option<u64> {
    let values = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    values.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_read_as_they_are_documented() {
        let stat = "7 (a) b 1 2) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 4 0 100 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(resident_bytes("Name:\tbongsu\nVmRSS:\t    2048 kB\nVmData:\t1 kB\n"), Some(2 << 20));
        let limits = "Max processes  1  2  processes\nMax open files            1024                 4096                 files\n";
        assert_eq!(max_fds(limits), Some(1024));
        for broken in ["", "7 (a)", "7 (a) S", "VmRSS: x kB", "Max open files   unlimited"] {
            assert_eq!((cpu_seconds(broken), resident_bytes(broken), max_fds(broken)), (None, None, None), "{broken}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_known() {
        let before = Process::read();
        let files: Vec<_> = (0..3).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let after = Process::read();
        assert!(after.resident_bytes.unwrap() > 1 << 16);
        assert!(after.cpu_seconds.unwrap() >= before.cpu_seconds.unwrap());
        assert!(after.max_fds.unwrap() >= after.open_fds.unwrap());
        assert!(after.open_fds.unwrap() >= files.len() as u64);
    }
}
