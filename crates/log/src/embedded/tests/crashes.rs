//! Random appends, trims and ends: after a cut or a flipped bit anywhere in the last segment the log has exactly what it had
//! before the frame that was hit, or says what it has lost; it never gives out anything else.

use std::fs::{self, OpenOptions};

use proptest::prelude::*;

use super::*;

/// What the log had after an append: where its last frame ended, and the events and state of each channel.
struct Snapshot {
    segment: u64,
    end: u64,
    kept: Vec<String>,
    states: Vec<Option<ChannelState>>,
}

const CHANNELS: [&str; 3] = ["a", "few", "b"];

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(usize, usize)>),
    Reset(usize),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let events = proptest::collection::vec((0..CHANNELS.len(), 0..400_usize), 1..6);
    prop_oneof![
        12 => events.prop_map(Step::Append),
        1 => (0..CHANNELS.len()).prop_map(Step::Reset),
        1 => Just(Step::Reopen),
    ]
}

fn snapshot(log: &EmbeddedLog) -> Snapshot {
    let last = segments(log).last().unwrap().clone();
    Snapshot {
        segment: last.head.number,
        end: last.end.load(Ordering::Relaxed),
        kept: CHANNELS.iter().map(|channel| kept(log, channel, 0).unwrap()).collect(),
        states: CHANNELS.iter().map(|channel| log.channel(&name(channel))).collect(),
    }
}

fn take(log: &EmbeddedLog, step: &Step, number: usize) {
    let groups = match step {
        Step::Append(events) => {
            let text = |size: &usize| format!("{number}:{}", "x".repeat(*size));
            events.iter().map(|(channel, size)| group(CHANNELS[*channel], &text(size))).collect()
        }
        Step::Reset(channel) => vec![Group { entries: vec![Entry::Reset(name(CHANNELS[*channel]))] }],
        Step::Reopen => return,
    };
    log.append(groups, NOW).unwrap();
}

fn run(steps: &[Step], at: u64, flip_it: bool) {
    const SEGMENT_BYTES: u64 = 6_000;
    let dir = directory();
    let reopen = || try_open_small(dir.path(), SEGMENT_BYTES).unwrap();
    let mut log = reopen();
    let mut snapshots = vec![snapshot(&log)];
    for (number, step) in steps.iter().enumerate() {
        if matches!(step, Step::Reopen) {
            drop(log);
            log = reopen();
        }
        take(&log, step, number);
        snapshots.push(snapshot(&log));
    }
    drop(log);
    let last = snapshots.last().unwrap();
    let (segment, end) = (last.segment, last.end);
    let path = dir.path().join("segments").join(super::segment::name(segment));
    let place = at % end;
    if flip_it {
        flip(&path, place);
    } else {
        OpenOptions::new().write(true).open(&path).unwrap().set_len(place).unwrap();
    }
    // Nothing after a frame that was hit has ground to stand on.
    let before = |snapshot: &&Snapshot| snapshot.segment < segment || snapshot.end <= place;
    let expected = snapshots.iter().rev().find(before);
    let log = match (try_open_small(dir.path(), SEGMENT_BYTES), expected) {
        (Err(error), None) => return assert!(matches!(error, OpenError::Damaged { .. }), "{error}"),
        (log, _) => log.unwrap(),
    };
    let Some(expected) = expected else {
        return assert!(matches!(log.opened().new_epoch, Some(NewEpoch::Created)), "nothing was ever acknowledged");
    };
    let is_whole = std::ptr::eq(expected, last);
    for ((channel, kept_before), state) in CHANNELS.iter().zip(&expected.kept).zip(&expected.states) {
        let read = kept(&log, channel, 0);
        let state = state.unwrap_or_default();
        let found = log.channel(&name(channel)).unwrap_or_default();
        let same = |(found, before): (ChannelState, ChannelState)| found == before && read.as_ref() == Ok(kept_before);
        // Older segments may have been rewritten because of trims that are lost now; then events are missing, and it is told.
        let is_less = found.lost.map(|lost| lost.through) > state.lost.map(|lost| lost.through)
            && read.as_ref().is_ok_and(|read| kept_before.ends_with(read.as_str()))
            && (found.head_offset, found.last_seq) == (state.head_offset, state.last_seq)
            && log.opened().new_epoch.is_some();
        assert!(
            same((found, state)) || is_less,
            "`{channel}`, hit at {place} of {end}: {read:?}, {found:?}, {state:?}"
        );
    }
    assert!(!is_whole || log.opened().new_epoch.is_none());
    append(&log, "a", ["goes on".to_owned()]);
    assert!(kept(&log, "a", 0).is_ok_and(|kept| kept.ends_with("goes on")));
    drop(log);
    fs::remove_dir_all(dir.path().join("damaged")).unwrap_or_default();
    assert_eq!(try_open_small(dir.path(), SEGMENT_BYTES).unwrap().opened().torn, None, "mended for good");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_that_was_hit_has_what_came_before_or_says_so(
        steps in proptest::collection::vec(step(), 1..60),
        at in any::<u64>(),
        flip_it in any::<bool>(),
    ) {
        run(&steps, at, flip_it);
    }
}
