//! Why a log cannot be opened, in words for the operator.

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// Why a log cannot be opened. Nothing was changed, unless the message says so.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory or a file in it cannot be written.
    NotWritable {
        /// What cannot be written.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The directory has files in it that are not a log's.
    Foreign {
        /// The directory.
        path: PathBuf,
        /// One of the files.
        entry: String,
    },
    /// Another process has the log open.
    InUse {
        /// The directory.
        path: PathBuf,
        /// That process, if it is known.
        pid: Option<u32>,
    },
    /// The log was written by a newer version.
    Newer {
        /// The directory.
        path: PathBuf,
        /// The format it has.
        found: u64,
        /// The newest format that this version knows.
        known: u64,
    },
    /// The log was written by a version from before the first release.
    Former {
        /// The directory.
        path: PathBuf,
        /// The format it has.
        found: u64,
    },
    /// What is on disk is not what was written.
    Damaged {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is no log in the directory. Only said by those who do not make one.
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// Something else went wrong.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::NotWritable { path, error },
            _ => Self::Io { path, doing, error },
        }
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWritable { path, error } => write!(
                f,
                "{} cannot be written ({error}): give the server's user write access, or choose another directory",
                path.display()
            ),
            Self::Foreign { path, entry } => {
                write!(f, "{} is not a log: it has `{entry}` in it; choose an empty or a new directory", path.display())
            }
            Self::InUse { path, pid } => {
                write!(f, "{} is in use by ", path.display())?;
                match pid {
                    Some(pid) => write!(f, "process {pid}")?,
                    None => f.write_str("another process")?,
                }
                f.write_str(": stop that process, or choose another directory")
            }
            Self::Newer { path, found, known } => write!(
                f,
                "{} has format {found} and this version knows formats up to {known}: run the version that wrote it, or a \
                 newer one",
                path.display()
            ),
            Self::Former { path, found } => write!(
                f,
                "{} has format {found}, which only versions before the first release wrote and read: move the directory \
                 away to begin with an empty log, or run the version that wrote it",
                path.display()
            ),
            Self::Damaged { path, what } => write!(
                f,
                "{} is damaged: {what}; look at the disk, then restore a backup, or move the directory away to begin with \
                 an empty log",
                path.display()
            ),
            Self::Missing { path } => write!(f, "there is no log in {}", path.display()),
            Self::Io { path, doing, error } => write!(f, "{doing} {} failed: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}
