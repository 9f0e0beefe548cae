//! Looks over the store's journals before the store opens them.
//!
//! A journal may end in a torn write: that is how every crash looks, and nothing acknowledged is in it. But fjall 3 takes
//! every place that it cannot parse for such an end, cuts the file there and goes on without a word, even if good writes
//! follow; and a torn write of which only the middle is missing makes it refuse to open at all (its issue 311). So this
//! module reads the journals first, finds the end of what is good, cuts the rest off itself and keeps it aside.
//! Whether anything was lost by it is for the opener to say, who knows how far the log was synced.
//!
//! It knows the layout of a journal of fjall's format 3: writes one after the other, each a start, items and an end with a
//! checksum over the items. A test holds this knowledge against the real store.

use std::fs::{self, File, OpenOptions};
use std::hash::Hasher;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::error::OpenError;
use super::home::sync_directory;

/// What was cut off a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The journal.
    pub journal: PathBuf,
    /// Where the good part ends, in bytes.
    pub at: u64,
    /// How many bytes followed.
    pub bytes: u64,
    /// Where they are kept; `None` if nothing that was acknowledged can have been among them.
    pub kept: Option<PathBuf>,
}

impl Torn {
    /// Throws away what was cut off: every crash leaves such an end, and nobody was ever told that it was kept.
    pub(crate) fn forget(&mut self) {
        if let Some(kept) = self.kept.take() {
            // If it stays, it takes a little space.
            let _ = fs::remove_file(kept);
        }
    }
}

/// Checks all journals in `store`. The newest may have a torn end, which is moved to `aside`.
pub(crate) fn mend(store: &Path, aside: &Path) -> Result<Option<Torn>, OpenError> {
    let mut journals = list(store)?;
    let newest = journals.pop();
    for journal in &journals {
        let end = scan(journal).map_err(OpenError::io(journal, "reading"))?;
        if end.torn > 0 {
            let what = format!("what follows byte {} cannot be read, and it was complete once", end.good);
            return Err(OpenError::damaged(journal, what));
        }
    }
    let Some(journal) = newest else {
        return Ok(None);
    };
    let end = scan(&journal).map_err(OpenError::io(&journal, "reading"))?;
    if end.torn == 0 {
        return Ok(None);
    }
    cut(&journal, end, aside).map(Some).map_err(OpenError::io(&journal, "mending"))
}

/// The journals, oldest first.
fn list(store: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(store).map_err(OpenError::io(store, "reading"))? {
        let path = entry.map_err(OpenError::io(store, "reading"))?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|extension| extension == "jnl")) {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

fn cut(journal: &Path, end: End, aside: &Path) -> io::Result<Torn> {
    fs::create_dir_all(aside)?;
    let name = journal.file_stem().unwrap_or_default().to_string_lossy();
    let kept = aside.join(format!("journal-{name}-from-{}", end.good));
    let mut from = File::open(journal)?;
    from.seek(SeekFrom::Start(end.good))?;
    let mut to = File::create(&kept)?;
    io::copy(&mut from.take(end.torn), &mut to)?;
    to.sync_all()?;
    sync_directory(aside)?;
    // Only now that the rest is safe.
    let file = OpenOptions::new().write(true).open(journal)?;
    file.set_len(end.good)?;
    file.sync_all()?;
    Ok(Torn { journal: journal.to_owned(), at: end.good, bytes: end.torn, kept: Some(kept) })
}

/// Where a journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    /// The end of the last good write.
    good: u64,
    /// How many bytes follow that are neither good nor the zeros of space set aside.
    torn: u64,
}

fn scan(journal: &Path) -> io::Result<End> {
    let mut scanner = Scanner { file: BufReader::with_capacity(64 << 10, File::open(journal)?), position: 0 };
    let mut good = 0;
    let mut newest = None;
    loop {
        match scanner.write()? {
            Some(number) if follows(newest, number) => newest = Some(number),
            _ => break,
        }
        good = scanner.position;
    }
    scanner.file.seek(SeekFrom::Start(good))?;
    let torn = length_without_zeros(&mut scanner.file)?;
    Ok(End { good, torn })
}

/// Whether a write of this number can come after the newest so far. Numbers are not under the checksum of a write, but they
/// rise, one by one but for those the store takes for itself.
fn follows(newest: Option<u64>, number: u64) -> bool {
    newest.is_none_or(|newest| number > newest && number - newest < 1 << 20)
}

/// The length of what is left, without zeros at its end.
fn length_without_zeros(file: &mut impl Read) -> io::Result<u64> {
    let (mut length, mut read_so_far) = (0, 0);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(length);
        }
        if let Some(last) = buffer[..read].iter().rposition(|&byte| byte != 0) {
            length = read_so_far + last as u64 + 1;
        }
        read_so_far += read as u64;
    }
}

struct Scanner<R> {
    file: R,
    position: u64,
}

/// The first byte of each part of a write.
mod tag {
    pub(super) const START: u8 = 1;
    pub(super) const ITEM: u8 = 2;
    pub(super) const END: u8 = 3;
    pub(super) const CLEAR: u8 = 4;
}

/// The last bytes of a write.
const TRAILER: &[u8; 4] = b"FJL\x03";

impl<R: Read> Scanner<R> {
    /// Reads one write and gives its number; `None` if what comes is no whole, good write.
    fn write(&mut self) -> io::Result<Option<u64>> {
        let Some([tag::START, start @ ..]) = self.take::<13>()? else {
            return Ok(None);
        };
        let (items, number) = start.split_at(4);
        let items = u32::from_le_bytes(items.try_into().expect("four bytes"));
        let number = u64::from_le_bytes(number.try_into().expect("eight bytes"));
        let mut hasher = Xxh3::new();
        for _ in 0..items {
            if self.item(&mut hasher)?.is_none() {
                return Ok(None);
            }
        }
        let Some([tag::END, end @ ..]) = self.take::<13>()? else {
            return Ok(None);
        };
        let (sum, trailer) = end.split_at(8);
        let is_good = sum == hasher.finish().to_le_bytes() && trailer == TRAILER;
        Ok(is_good.then_some(number))
    }

    fn item(&mut self, hasher: &mut Xxh3) -> io::Result<Option<()>> {
        let Some([tag]) = self.take::<1>()? else {
            return Ok(None);
        };
        hasher.write(&[tag]);
        match tag {
            tag::CLEAR => self.hash(8, hasher),
            tag::ITEM => {
                // Kind of value, compression, keyspace, then the lengths of the key, the value and the value as kept.
                let Some(head) = self.take::<20>()? else {
                    return Ok(None);
                };
                hasher.write(&head);
                let key = u16::from_le_bytes([head[10], head[11]]);
                let kept = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
                self.hash(u64::from(key) + u64::from(kept), hasher)
            }
            _ => Ok(None),
        }
    }

    /// The next bytes; `None` if there are fewer.
    fn take<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => {
                self.position += N as u64;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn hash(&mut self, length: u64, hasher: &mut Xxh3) -> io::Result<Option<()>> {
        let mut buffer = [0; 4096];
        let mut left = length;
        while left > 0 {
            let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = self.file.read(&mut buffer[..want])?;
            if read == 0 {
                return Ok(None);
            }
            hasher.write(&buffer[..read]);
            left -= read as u64;
        }
        self.position += length;
        Ok(Some(()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::Store;
    use super::*;

    /// The lengths and sizes that a write can have, and more than one item of each kind.
    fn fill(store: &Store) {
        for size in [0, 1, 100, 4_095, 4_096, 70_000] {
            let mut batch = store.batch();
            batch.keep_event([7; 12], vec![b'x'; size]);
            batch.keep(b"key", vec![b'y'; size / 2]);
            batch.drop_event([8; 12]);
            batch.drop(b"other");
            batch.commit(true).unwrap();
        }
    }

    #[test]
    fn every_write_of_the_real_store_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        fill(&Store::open(&path, 0).unwrap());
        let journal = path.join("0.jnl");
        let bytes = fs::read(&journal).unwrap();
        let written = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
        assert_eq!(scan(&journal).unwrap(), End { good: written as u64, torn: 0 });
        let mut scanner = Scanner { file: &bytes[..], position: 0 };
        let numbers = std::iter::from_fn(|| scanner.write().unwrap()).collect::<Vec<_>>();
        assert_eq!(numbers.len(), 6);
        // Opened again, the store goes on in the same file, without space set aside.
        fill(&Store::open(&path, 0).unwrap());
        let length = fs::metadata(&journal).unwrap().len();
        assert_eq!(scan(&journal).unwrap(), End { good: length, torn: 0 });
    }

    #[test]
    fn an_older_journal_that_is_spoiled_is_not_mended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        fill(&Store::open(&path, 0).unwrap());
        fs::write(path.join("1.jnl"), "").unwrap();
        assert_eq!(mend(&path, dir.path()).unwrap(), None);
        let mut bytes = fs::read(path.join("0.jnl")).unwrap();
        bytes[40] ^= 1;
        fs::write(path.join("0.jnl"), &bytes).unwrap();
        let error = mend(&path, dir.path()).unwrap_err().to_string();
        assert!(error.contains("0.jnl is damaged") && error.contains("byte 0"), "{error}");
        assert_eq!(fs::read(path.join("0.jnl")).unwrap(), bytes, "it is left as it is");
    }

    #[test]
    fn numbers_rise_in_small_steps() {
        let cases =
            [(None, 0, true), (Some(5), 6, true), (Some(5), 5, false), (Some(5), 4, false), (Some(5), 1 << 30, false)];
        for (newest, number, expected) in cases {
            assert_eq!(follows(newest, number), expected, "{number} after {newest:?}");
        }
    }
}
