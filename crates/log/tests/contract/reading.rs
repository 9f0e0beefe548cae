//! Reading: positions, bounds, the newest, counts.

use bongsu_core::Seq;
use bongsu_core::log::Budget;

use super::fixture::*;

/// Ten events `0`…`9` in `a`, each followed by one in `b`; returns the sequence numbers of those in `a`.
fn interleaved(log: &Fixture) -> Vec<Seq> {
    let texts = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let both = |text| {
        let event = log.text("a", text);
        log.text("b", "between");
        event.id.seq
    };
    texts.map(both).to_vec()
}

pub(crate) fn a_read_is_after_and_up_to(kind: Kind) {
    let log = Fixture::new(kind);
    let seqs = interleaved(&log);
    let cases = [
        (Seq(0), END, "0 1 2 3 4 5 6 7 8 9"),
        (seqs[0], END, "1 2 3 4 5 6 7 8 9"),
        (seqs[3], seqs[5], "4 5"),
        // Positions between two events of the channel.
        (seqs[3].next(), Seq(seqs[5].0 - 1), "4"),
        (seqs[9], END, ""),
        (seqs[9].next(), END, ""),
        (seqs[5], seqs[5], ""),
        (seqs[5], seqs[3], ""),
        (Seq(1_000_000), END, ""),
    ];
    for (after, upto, expected) in cases {
        let slice = log.read("a", after, upto);
        assert_eq!(bodies(&slice).join(" "), expected, "after {after:?} up to {upto:?}");
        assert!(slice.complete && slice.lost.is_none());
    }
    let slice = log.read("nobody", Seq(0), END);
    assert!(slice.events.is_empty() && slice.complete && slice.lost.is_none());
}

pub(crate) fn a_read_stops_at_its_budget(kind: Kind) {
    let log = Fixture::new(kind);
    log.texts("a", &["11", "22", "33", "44"]);
    let cases = [
        (3, 100, "11 22 33", false),
        (4, 100, "11 22 33 44", true),
        (100, 4, "11 22", false),
        (100, 5, "11 22", false),
        (100, 8, "11 22 33 44", true),
        (100, 1, "11", false),
        (0, 0, "11", false),
    ];
    for (events, bytes, expected, complete) in cases {
        let slice = log.log.read(&name("a"), Seq(0), END, Budget { events, bytes }).unwrap();
        assert_eq!((bodies(&slice).join(" ").as_str(), slice.complete), (expected, complete), "{events}, {bytes}");
    }
}

pub(crate) fn the_newest_are_found(kind: Kind) {
    let log = Fixture::new(kind);
    let seqs = interleaved(&log);
    let cases = [
        (1, END, "9"),
        (3, END, "7 8 9"),
        (10, END, "0 1 2 3 4 5 6 7 8 9"),
        (11, END, "0 1 2 3 4 5 6 7 8 9"),
        (0, END, ""),
        (2, seqs[5], "4 5"),
        (2, seqs[5].next(), "4 5"),
        (2, Seq(seqs[5].0 - 1), "3 4"),
        (2, Seq(0), ""),
    ];
    for (count, upto, expected) in cases {
        let after = log.log.seek_last(&name("a"), count, upto).unwrap();
        assert_eq!(bodies(&log.read("a", after, upto)).join(" "), expected, "{count} up to {upto:?}");
    }
    assert_eq!(log.log.seek_last(&name("nobody"), 3, Seq(7)), Ok(Seq(7)));
}

pub(crate) fn the_newest_begin_after_what_was_lost(kind: Kind) {
    let log = Fixture::new(kind);
    log.texts("few:a", &["1", "2", "3", "4", "5"]);
    for count in [3, 4, 100] {
        let after = log.log.seek_last(&name("few:a"), count, END).unwrap();
        let slice = log.read("few:a", after, END);
        assert_eq!((bodies(&slice).join(" ").as_str(), slice.lost), ("3 4 5", None), "{count}");
    }
}

pub(crate) fn events_are_counted(kind: Kind) {
    let log = Fixture::new(kind);
    let seqs = interleaved(&log);
    let few = ["1", "2", "3", "4", "5"].map(|text| log.text("few:a", text).id.seq);
    let cases = [
        ("a", Seq(0), END, 10),
        ("a", Seq(0), seqs[9], 10),
        ("a", seqs[0], END, 9),
        ("a", seqs[2], seqs[5], 3),
        ("a", seqs[2].next(), Seq(seqs[5].0 - 1), 2),
        ("a", seqs[9], END, 0),
        ("a", seqs[5], seqs[2], 0),
        ("a", Seq(0), Seq(0), 0),
        ("few:a", Seq(0), END, 3),
        ("few:a", few[0], few[3], 2),
        ("few:a", few[3], END, 1),
        ("few:a", Seq(0), few[0], 0),
        ("nobody", Seq(0), END, 0),
    ];
    for (channel, after, upto, expected) in cases {
        let counted = log.log.count(&name(channel), after, upto).unwrap();
        assert_eq!(counted, expected, "{channel} after {after:?} up to {upto:?}");
    }
}
