//! The directory of a log: whose it is, what is in it, and how far it is known to be synced.
//!
//! | entry | what |
//! |---|---|
//! | `bongsu-log` | names the directory as a log's, and the format |
//! | `owner` | locked by the process that has the log open; holds its process id |
//! | `tip` | the newest sequence number that is known to be synced |
//! | `segments` | the records, in files that are only ever appended to |
//! | `damaged` | what was cut off a damaged segment, if that ever happened |

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bongsu_core::{Epoch, Seq};

use super::codec::{Damaged, Reader, Writer};
use super::error::OpenError;

/// The newest format of the directory and its records.
const FORMAT: u64 = 2;
const MARKER: &str = "bongsu-log";
const MARKER_TEXT: &str = "bongsu log, format ";
const OWNER: &str = "owner";
/// The file systems of some disks have this in their root.
const LOST_AND_FOUND: &str = "lost+found";

/// A directory that this process has locked.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    /// Holds the lock until it is dropped.
    _owner: File,
}

impl Home {
    /// Locks the directory, and makes it a log's if it is new.
    pub(crate) fn claim(path: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(path).map_err(OpenError::io(path, "making the directory"))?;
        if let Some(entry) = foreign_entry(path)? {
            return Err(OpenError::Foreign { path: path.to_owned(), entry });
        }
        let owner = lock(path)?;
        let home = Self { path: path.to_owned(), _owner: owner };
        home.check_marker()?;
        Ok(home)
    }

    /// Locks the directory of a log that exists.
    pub(crate) fn claim_existing(path: &Path) -> Result<Self, OpenError> {
        if path.join(MARKER).exists() { Self::claim(path) } else { Err(OpenError::Missing { path: path.to_owned() }) }
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.path.join("segments")
    }

    pub(crate) fn damaged(&self) -> PathBuf {
        self.path.join("damaged")
    }

    fn check_marker(&self) -> Result<(), OpenError> {
        let marker = self.path.join(MARKER);
        let text = match fs::read_to_string(&marker) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return self.write_marker(),
            Err(error) => return Err(OpenError::io(&marker, "reading")(error)),
        };
        let format = text.strip_prefix(MARKER_TEXT).and_then(|number| number.trim_end().parse::<u64>().ok());
        match format {
            Some(FORMAT) => Ok(()),
            Some(found) if found > FORMAT => Err(OpenError::Newer { path: self.path.clone(), found, known: FORMAT }),
            Some(found @ 1..) => Err(OpenError::Former { path: self.path.clone(), found }),
            _ => Err(OpenError::damaged(&marker, format!("it should say `{MARKER_TEXT}{FORMAT}`"))),
        }
    }

    fn write_marker(&self) -> Result<(), OpenError> {
        // Under another name first: a marker is there whole or not at all.
        let (draft, marker) = (self.path.join("bongsu-log.new"), self.path.join(MARKER));
        let write = || {
            let mut file = File::create(&draft)?;
            writeln!(file, "{MARKER_TEXT}{FORMAT}")?;
            file.sync_all()?;
            fs::rename(&draft, &marker)?;
            sync_directory(&self.path)
        };
        write().map_err(OpenError::io(&marker, "writing"))
    }

    /// How many bytes may still be written to the disk, `None` if the system does not tell.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.path).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// What the directory takes on disk, in bytes. Files that vanish meanwhile count for nothing.
    pub(crate) fn disk_bytes(&self) -> u64 {
        disk_bytes(&self.path)
    }
}

fn disk_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

pub(crate) fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// An entry that shows that the directory is not a log's and not empty.
fn foreign_entry(path: &Path) -> Result<Option<String>, OpenError> {
    if path.join(MARKER).exists() {
        return Ok(None);
    }
    let ours = [OWNER, "bongsu-log.new", LOST_AND_FOUND];
    for entry in fs::read_dir(path).map_err(OpenError::io(path, "reading"))? {
        let name = entry.map_err(OpenError::io(path, "reading"))?.file_name();
        let name = name.to_string_lossy();
        if !ours.contains(&&*name) {
            return Ok(Some(name.into_owned()));
        }
    }
    Ok(None)
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let name = path.join(OWNER);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&name);
    let mut file = open.map_err(OpenError::io(&name, "opening"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(OpenError::InUse { path: path.to_owned(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(OpenError::io(&name, "locking")(error)),
    }
    let write = |mut file: &File| file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    write(&file).map_err(OpenError::io(&name, "writing"))?;
    Ok(file)
}

/// Remembers how far the log is synced, so that the loss of synced events is noticed at the next opening.
///
/// It is written after each sync and not synced itself: after a crash of the process it is exact, after a power cut it
/// may be behind, never ahead.
#[derive(Debug)]
pub(crate) struct Tip(File);

impl Tip {
    pub(crate) fn open(home: &Home) -> Result<Self, OpenError> {
        let path = home.path.join("tip");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        open.map(Self).map_err(OpenError::io(&path, "opening"))
    }

    /// The epoch and sequence number last written; `None` if there is nothing that can be trusted.
    pub(crate) fn read(&self) -> Option<(Epoch, Seq)> {
        let mut record = [0; 21];
        self.0.read_exact_at(&mut record, 0).ok()?;
        let parse = || -> Result<_, Damaged> {
            let mut reader = Reader::new(b"tip", &record)?;
            Ok((u64::from_le_bytes(reader.array()?), u64::from_le_bytes(reader.array()?)))
        };
        parse().ok().map(|(epoch, seq)| (Epoch::from_random(epoch), Seq(seq)))
    }

    /// A failure is of no account: what is remembered stays true, it only says less.
    pub(crate) fn write(&self, epoch: Epoch, seq: Seq) {
        let mut bytes = Vec::with_capacity(21);
        let mut writer = Writer::record(&mut bytes);
        writer.raw(&epoch.to_u64().to_le_bytes()).raw(&seq.0.to_le_bytes());
        writer.finish(b"tip");
        let _ = self.0.write_all_at(&bytes, 0);
    }
}

/// Names the present boot of the machine; empty if the system does not tell.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
