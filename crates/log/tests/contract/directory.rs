//! Whose directory it is, and what is said when it cannot be used.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use bongsu_core::log::{Log, LogError};
use bongsu_log::inspect::Inspection;
use bongsu_log::{EmbeddedLog, LogConfig, OpenError};

use super::fixture::*;

fn refused(dir: &Path) -> OpenError {
    match EmbeddedLog::open(dir, rules(), LogConfig::default(), START) {
        Ok(_) => panic!("opened {}", dir.display()),
        Err(error) => error,
    }
}

/// Checks that the refusal says all of `parts`, and that the directory has what it had.
fn refused_with(dir: &Path, parts: &[&str]) {
    let list = || fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    let before = list();
    let error = refused(dir).to_string();
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    assert_eq!(list(), before, "{error}");
}

#[test]
fn a_log_in_use_names_its_process() {
    let log = Fixture::new(Kind::Embedded);
    let pid = std::process::id();
    refused_with(&log.path(), &["is in use by process", &pid.to_string(), "stop that process"]);
    assert!(matches!(refused(&log.path()), OpenError::InUse { pid: Some(of), .. } if of == pid));
    let inspected = Inspection::open(&log.path()).err().map(|error| error.to_string());
    assert!(inspected.is_some_and(|error| error.contains("is in use")));
    assert_eq!(log.text("a", "goes on").offset, 1);
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("holiday.jpg"), "x").unwrap();
    refused_with(dir.path(), &["is not a log", "holiday.jpg", "choose an empty"]);
}

#[test]
fn a_file_is_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    refused_with(&file, &["making the directory", "file"]);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    // Not even the superuser can make a directory there.
    refused_with(Path::new("/proc/self/bongsu"), &["making the directory /proc/self/bongsu failed"]);
    refused_with(
        Path::new("/sys/bongsu"),
        &["/sys/bongsu cannot be written", "write access, or choose another directory"],
    );
}

#[test]
fn a_newer_format_is_not_touched() {
    let mut log = Fixture::new(Kind::Embedded);
    let dir = log.kill();
    fs::write(dir.join("bongsu-log"), "bongsu log, format 7\n").unwrap();
    refused_with(&dir, &["has format 7", "knows formats up to 2", "newer"]);
    fs::write(dir.join("bongsu-log"), "bongsu log, format one\n").unwrap();
    refused_with(&dir, &["bongsu-log is damaged", "it should say `bongsu log, format 2`"]);
}

#[test]
fn a_former_format_is_not_touched() {
    let mut log = Fixture::new(Kind::Embedded);
    let dir = log.kill();
    fs::write(dir.join("bongsu-log"), "bongsu log, format 1\n").unwrap();
    refused_with(&dir, &["has format 1", "before the first release", "move the directory away", "run the version"]);
}

#[test]
fn a_log_that_was_half_made_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("bongsu-log"), "bongsu log, format 2\n").unwrap();
    fs::create_dir(dir.path().join("segments")).unwrap();
    fs::write(first_segment(dir.path()), [0; 100]).unwrap();
    let log = open(dir.path(), LogConfig::default(), START);
    assert_eq!(log.append(vec![publish(draft("a", "1"))], START).unwrap().groups.len(), 1);
}

#[test]
fn a_missing_segment_is_named() {
    let config = LogConfig { segment_bytes: 4_096, ..LogConfig::default() };
    let mut log = Fixture::with_config(Kind::Embedded, config);
    (0..100).for_each(|_| drop(log.text("a", &"x".repeat(500))));
    let dir = log.kill();
    for (number, name) in [(0, "0000000000000000.seg"), (3, "0000000000000003.seg")] {
        let path = dir.join("segments").join(name);
        let away = dir.join("away");
        fs::rename(&path, &away).unwrap();
        refused_with(&dir, &["is damaged", name, "is missing", "restore a backup"]);
        fs::rename(&away, &path).unwrap();
        assert!(dir.join("segments").exists(), "{number}");
    }
    log.start();
    assert_eq!(log.all("a").events.len(), 100);
}

#[test]
fn a_log_that_lost_its_first_records_is_not_made_anew() {
    let spoils: [fn(&Path); 3] = [
        |segment| fs::remove_file(segment).unwrap(),
        |segment| fs::File::create(segment).map(drop).unwrap(),
        |segment| fs::File::options().write(true).open(segment).unwrap().write_all_at(b"?", 0).unwrap(),
    ];
    for (number, spoil) in spoils.iter().enumerate() {
        let mut log = Fixture::new(Kind::Embedded);
        log.text("a", "an event that was acknowledged");
        let dir = log.kill();
        spoil(&first_segment(&dir));
        // The second time nothing is left to be mended, and all the same it is not empty.
        for _ in 0..2 {
            let error = refused(&dir).to_string();
            assert!(error.contains("the record of the log itself is missing; look at the disk"), "{number}: {error}");
        }
        if number == 2 {
            let kept = fs::read_dir(dir.join("damaged")).unwrap().next().unwrap().unwrap();
            let kept = fs::read_dir(kept.path()).unwrap().next().unwrap().unwrap();
            let kept = fs::read(kept.path()).unwrap();
            assert!(kept.windows(12).any(|bytes| bytes == b"acknowledged"), "what was cut off is kept");
        }
    }
}

#[test]
fn nothing_to_inspect_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let error = Inspection::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("there is no log in"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_space_again() {
    let dir = tempfile::tempdir().unwrap();
    let free = || {
        let disk = rustix::fs::statvfs(dir.path()).unwrap();
        disk.f_bavail * disk.f_frsize
    };
    const SPARE: u64 = 1 << 30;
    let config = LogConfig { disk_free_min: free().checked_sub(SPARE).unwrap(), ..LogConfig::default() };
    let log = open(&dir.path().join("log"), config, START);
    let append = |text: &str, after: u64| {
        log.append(vec![publish(draft("a", text))], START.plus(Duration::from_secs(after)))
            .map(|outcome| outcome.groups)
    };
    assert!(append("1", 0).is_ok_and(|groups| groups[0].is_ok()));
    let filler = dir.path().join("filler");
    let file = fs::File::create(&filler).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 2 * SPARE).unwrap();
    assert!(append("2", 0).is_ok(), "not looked at again for so little in so short a time");
    let is_full = |error: LogError| matches!(error, LogError::DiskFull { free, needed } if free < needed);
    assert!(append("lost", 1).is_err_and(is_full));
    assert!(append("lost", 1).is_err_and(is_full));
    assert!(log.health().is_err_and(is_full));
    assert_eq!(log.maintain(START), Ok(vec![]), "making space stays possible");
    drop(file);
    fs::remove_file(&filler).unwrap();
    assert!(append("3", 1).is_ok(), "looked at again at once when it was full");
    assert_eq!(log.health(), Ok(()));
    let kept = log.read(&name("a"), bongsu_core::Seq(0), END, ALL).unwrap();
    assert_eq!(bodies(&kept), ["1", "2", "3"]);
}
