//! The hard cases and the named regressions, each by hand. Timestamps in seconds; a letter is a payload.

use super::pool::{PoolAlignment, PoolPartition, align_pool};
use super::{Alignment, Axioms, Unsettled, align_windows};
use crate::offsets::arrival::Ahead;
use crate::offsets::identity::Identity;
use crate::offsets::window::{LogWindow, Rec};

/// `"a@50 b@60 c@100"`: one record an offset, from 0; `-` is an offset without a record (a marker, an aborted one).
fn records(spec: &str) -> Vec<Rec> {
    let mut out = Vec::new();
    for (offset, word) in spec.split_whitespace().enumerate() {
        if let Some((id, ts)) = word.split_once('@') {
            let id = id.bytes().fold(0, |sum, b| sum * 256 + u128::from(b));
            let ts = (ts.parse::<f64>().unwrap() * 1000.0) as i64;
            out.push(Rec { offset: offset as i64, ts, id: Identity(id) });
        }
    }
    out
}

fn window(spec: &str) -> LogWindow {
    LogWindow::from_records(0, spec.split_whitespace().count() as i64, &records(spec)).unwrap()
}

/// Whole logs, everything settled, 5 s.
fn axioms(committed: i64) -> Axioms {
    Axioms {
        ahead: Default::default(),
        committed,
        pair_delta: 5_000,
        pair_reach: 5_000,
        settled_source: i64::MAX,
        settled_target: i64::MAX,
        complete_from: i64::MIN,
        source_log_start: 0,
        target_log_start: 0,
        target_compacted: false,
        target_only_since: None,
        deliver_target_only: false,
    }
}

/// `consumed | unconsumed` on the source, and the target.
fn run(source: &str, target: &str, change: impl FnOnce(&mut Axioms)) -> Alignment {
    let (consumed, unconsumed) = source.split_once('|').unwrap();
    let mut ax = axioms(consumed.split_whitespace().count() as i64);
    change(&mut ax);
    align_windows(&window(&format!("{consumed} {unconsumed}")), &window(target), &ax)
}

fn plain(source: &str, target: &str) -> Alignment {
    run(source, target, |_| {})
}

/// Offset, re-read, missing, target-only.
fn figures(a: &Alignment) -> (i64, u64, u64, u64) {
    (a.offset, a.re_read, a.missing, a.target_only)
}

#[test]
fn paired_logs_cut_exactly_whatever_the_offsets() {
    let a = plain("a@1 - b@2 c@3 | d@4 e@5", "- - a@1 b@2 - c@3 d@4 e@5 -");
    assert_eq!(figures(&a), (6, 0, 0, 0));
    assert_eq!((a.compared, a.pair_distance), (5, 0));
    assert_eq!(plain("| a@1 b@2", "- a@1 b@2").offset, 1, "nothing consumed: the first record");
    assert_eq!(plain("a@1 b@2 |", "a@1 b@2 -").offset, 3, "all consumed: the end");
    assert_eq!(figures(&plain("|", "")), (0, 0, 0, 0));
}

#[test]
fn writers_that_interleave_differently_cost_re_reads_and_say_how_many() {
    let a = plain("a@1 b@2 c@3 | d@4 e@5", "a@1 d@4 b@2 c@3 e@5");
    assert_eq!(figures(&a), (1, 2, 0, 0));
}

#[test]
fn a_backlog_from_before_dual_write_is_missing() {
    let a = plain("a@1 | b@2 - c@3 d@400 e@401", "d@400 e@401");
    assert_eq!(figures(&a), (0, 0, 2, 0));
    assert_eq!(a.missing_ranges, [(1, 4)], "one range across the marker");
}

#[test]
fn a_failed_send_to_the_target_is_missing_and_a_failed_one_to_the_source_is_passed() {
    let a = plain("a@1 b@2 | c@3 d@4 e@5", "a@1 b@2 c@3 e@5");
    assert_eq!(figures(&a), (2, 0, 1, 0));
    assert_eq!(a.missing_ranges, [(3, 4)]);
    let a = plain("a@1 c@3 | d@4", "a@1 b@2 c@3 d@4");
    assert_eq!(figures(&a), (3, 0, 0, 1), "b never was on the source");
    let a = run("a@1 c@3 | d@4", "a@1 b@2 c@3 d@4", |ax| ax.deliver_target_only = true);
    assert_eq!(figures(&a), (1, 1, 0, 0), "on request it is delivered, at the price of c");
}

#[test]
fn retries_on_one_side() {
    let a = plain("a@1 b@2 | c@3", "a@1 b@2 b@2 c@3");
    assert_eq!(figures(&a), (3, 0, 0, 0), "a doubled record that is not owed is passed");
    let a = plain("a@1 b@2 | c@3", "a@1 b@2 c@3 b@2");
    assert_eq!(figures(&a), (2, 1, 0, 0), "behind the cut it is read again");
    let a = plain("a@1 b@2 | b@2 c@3", "a@1 b@2 c@3");
    assert_eq!(figures(&a), (1, 0, 0, 0), "doubled across the cut on the source: it is owed once more");
    let a = plain("a@1 | b@2 b@2 c@3", "a@1 b@2 c@3");
    assert_eq!(
        figures(&a),
        (1, 0, 1, 0),
        "of two unconsumed copies one is not on the target: nobody knows it is a retry"
    );
}

/// Named regression: (a) alone would pass the target's only copy.
#[test]
fn the_only_copy_on_the_target_serves_the_unconsumed_one() {
    assert_eq!(figures(&plain("h@50 | h@100", "h@100")), (0, 0, 0, 0));
    assert_eq!(figures(&plain("h@99 | h@100", "h@100")), (0, 0, 0, 0), "also when they are close");
    assert_eq!(figures(&plain("h@50 x@51 | h@100", "x@51 h@100")), (1, 0, 0, 0));
}

/// Named regression: the same by compaction of the target with (k,v), (k,w), (k,v).
#[test]
fn compaction_leaves_the_last_copy_and_it_is_owed() {
    let compacted = |ax: &mut Axioms| ax.target_compacted = true;
    assert_eq!(figures(&run("v@50 w@60 | v@100", "- - v@100", compacted)), (2, 0, 0, 0));
    assert_eq!(figures(&run("v@97 w@98 | v@100", "- - v@100", compacted)), (2, 0, 0, 0));
    let a = run("v@97 w@98 | v@100", "- w@98 v@100", compacted);
    assert_eq!(figures(&a), (2, 0, 0, 0));
    // the consumed v was compacted away: its count must not pay for the unconsumed one that is doubled here
    let a = run("v@97 w@98 | v@100", "- w@98 v@100 v@100", compacted);
    assert_eq!((a.offset, a.limited), (2, true));
}

/// Named regression: target copies that consumed ones have used up already, before anything unconsumed.
#[test]
fn copies_that_were_used_up_before_are_counted() {
    // consumed 91 and 96 pair with the target's; the copy at 97 is a failed source send: it may not be paid for twice
    let a = plain("h@91 h@96 | h@100 z@101", "h@91 h@96 h@97 h@100 z@101");
    assert_eq!(a.offset, 2);
    let a = plain("h@91 h@96 | h@100 z@101", "h@91 h@96 h@100 z@101");
    assert_eq!(figures(&a), (2, 0, 0, 0));
    // one of the consumed ones has no copy on the target: (b) keeps the unconsumed one's
    let a = plain("h@91 h@96 | h@100 z@101", "h@96 h@100 z@101");
    assert_eq!(figures(&a), (1, 0, 0, 0));
}

#[test]
fn a_heartbeat_is_cut_exactly_when_every_copy_is_there() {
    let beats = |from: i64, to: i64| (from..to).map(|i| format!("h@{i} ")).collect::<String>();
    let a = plain(&format!("{}|{}", beats(0, 50), beats(50, 80)), &beats(0, 80));
    assert_eq!(figures(&a), (50, 0, 0, 0));
    // one consumed beat failed on the target: no copy may be passed for it
    let a = plain(&format!("{}|{}", beats(0, 50), beats(50, 80)), &format!("{}{}", beats(0, 30), beats(31, 80)));
    assert_eq!(figures(&a), (49, 0, 0, 0));
}

#[test]
fn a_gap_of_more_than_the_delta_separates_identical_payloads() {
    // the consumed h of long ago, not on the target, pays for nothing now
    let a = plain("h@1 a@60 | h@100 b@101", "a@60 h@97 h@100 b@101");
    assert_eq!((a.offset, a.missing), (1, 0));
}

#[test]
fn an_old_copy_does_not_serve_a_record_whose_own_send_failed() {
    let a = plain("h@50 a@51 | h@100 b@101", "h@50 a@51 b@101");
    assert_eq!(figures(&a), (2, 0, 1, 0));
    assert_eq!(a.missing_ranges, [(2, 3)]);
}

#[test]
fn a_young_record_on_the_target_only_is_owed() {
    let young = |offset: i64| move |ax: &mut Axioms| ax.settled_target = offset;
    let a = run("a@1 c@3 |", "a@1 b@2 c@3", young(1));
    assert_eq!((a.offset, a.re_read), (1, 1));
    assert_eq!(a.unsettled, Unsettled { target_only: 1, ..Unsettled::default() });
    let a = run("a@1 c@3 |", "a@1 b@2 c@3", young(2));
    assert_eq!((a.offset, a.target_only), (3, 1), "settled: the source send failed");
    // an identical payload was consumed, but this copy is another send, still under way to the source
    let a = run("h@50 x@99 |", "h@50 x@99 h@100", young(1));
    assert_eq!((a.offset, a.unsettled.target_only), (2, 1));
    // retried against the source for long, so older than everything unconsumed
    let a = run("a@90 | c@200", "s@80 a@90 c@200", young(0));
    assert_eq!(a.offset, 0);
}

#[test]
fn young_records_on_the_source_only_may_still_come() {
    let a = run("a@1 b@2 | c@3 d@4", "a@1 c@3", |ax| ax.settled_source = 1);
    assert_eq!((a.offset, a.re_read, a.missing), (1, 0, 0));
    assert_eq!(a.unsettled, Unsettled { consumed: 1, unconsumed: 1, target_only: 0 });
    assert_eq!(a.re_read_pending, 1, "b, if it comes");
    let a = run("a@1 b@2 | c@3 d@4", "a@1 c@3", |ax| ax.settled_source = 4);
    assert_eq!((a.missing, a.unsettled.is_none()), (1, true));
}

#[test]
fn what_was_written_to_the_target_alone_on_purpose_is_owed() {
    let a = run("a@1 b@20 c@40 |", "a@1 x@30 b@20 y@31 c@40", |ax| ax.target_only_since = Some(30_000));
    assert_eq!((a.offset, a.re_read), (1, 2));
    // the journal knows nothing of it, but the source went silent
    let a = plain("a@1 b@20 |", "a@1 b@20 x@30 y@31");
    assert_eq!(figures(&a), (2, 0, 0, 0));
    // the source has never held anything
    assert_eq!(plain("|", "x@30 y@31").offset, 0);
}

#[test]
fn timestamps_that_go_backwards() {
    let a = plain("a@50 b@20 c@80 | d@10 e@60", "a@50 b@20 c@80 d@10 e@60");
    assert_eq!(figures(&a), (3, 0, 0, 0));
}

#[test]
fn consumed_copies_below_the_windows_bottom_do_not_pay() {
    // a chain of identical payloads down to the bottom of the windows, which hold everything from 90 s on
    let bottom = |ax: &mut Axioms| ax.complete_from = 90_000;
    let a = run("h@91 h@94 h@97 | h@100", "h@91 h@94 h@97 h@100", bottom);
    assert!(a.limited && a.offset <= 3 && a.missing == 0, "{a:?}");
    // a gap of more than the delta above the bottom: exact
    let a = run("h@91 h@97 | h@100 x@101", "h@91 h@97 h@100 x@101", bottom);
    assert_eq!((a.offset, a.limited), (2, false));
}

#[test]
fn expired_target_copies_leave_no_credit() {
    let expired = |ax: &mut Axioms| {
        ax.target_log_start = 1;
        ax.complete_from = 60_000;
    };
    // h@96's twin expired from the target: the copy at 98 is the unconsumed one's or a failed send's
    let a = run("h@96 | h@100 x@101", "h@98 h@100 x@101", expired);
    assert_eq!((a.offset, a.limited), (0, true));
    // a record from before the region bears witness that nothing of it expired
    let a = run("a@50 h@96 | h@100 x@101", "a@50 h@96 h@100 x@101", expired);
    assert_eq!((a.offset, a.limited), (2, false));
}

#[test]
fn compaction_excuses_what_a_later_record_of_the_key_supersedes() {
    let source = records("a@1 b@2 c@3 d@4");
    let with_keys = |keys: &[u64]| {
        let mut w = LogWindow::new(0);
        w.append(4, &source, keys).unwrap();
        w
    };
    let target = window("- - c@3 -");
    let ax = Axioms { target_compacted: true, ..axioms(1) };
    // b and c share a key: b was superseded by c; d is gone for good
    let a = align_windows(&with_keys(&[7, 8, 8, 9]), &target, &ax);
    assert_eq!((a.offset, a.missing, a.excused), (2, 1, 1));
    assert_eq!(a.missing_ranges, [(3, 4)]);
    // d and c share a key, but the later one is the missing one: the key's last state is lost
    let a = align_windows(&with_keys(&[7, 8, 9, 9]), &target, &ax);
    assert_eq!((a.missing, a.excused), (2, 0));
    // null keys supersede nothing
    let a = align_windows(&with_keys(&[0, 0, 0, 0]), &target, &ax);
    assert_eq!((a.missing, a.excused), (2, 0));
    let a = align_windows(&with_keys(&[7, 8, 8, 9]), &target, &axioms(1));
    assert_eq!((a.missing, a.excused), (2, 0), "not compacted: nothing is excused");
}

/// Whole partitions, compared at once.
fn run_pool(source: &[LogWindow], target: &[LogWindow], committed: &[i64], ax: &Axioms, settled: i64) -> PoolAlignment {
    let parts = |windows: &'_ [LogWindow]| -> Vec<(LogWindow, i64)> {
        windows.iter().map(|window| (window.clone(), settled)).collect()
    };
    let (source, target) = (parts(source), parts(target));
    fn borrow(parts: &[(LogWindow, i64)]) -> Vec<PoolPartition<'_>> {
        parts.iter().map(|(window, settled)| PoolPartition { window, settled: *settled, log_start: 0 }).collect()
    }
    align_pool(&borrow(&source), &borrow(&target), committed, ax)
}

/// Named regression: a key that lies in two partitions, in the one of them its last state is missing.
#[test]
fn in_a_pool_only_what_comes_later_in_the_same_partition_supersedes() {
    let keyed = |spec: &str, keys: &[u64]| {
        let mut w = LogWindow::new(0);
        w.append(keys.len() as i64, &records(spec), keys).unwrap();
        w
    };
    let ax = Axioms { target_compacted: true, ..axioms(0) };
    let target = [window("x@1 v@10"), window("y@2")];
    // p0: x, then the new value; p1: y; p2: the old value of the same key, which is there
    let source = [keyed("x@1 w@90", &[1, 7]), keyed("y@2", &[2]), keyed("v@10", &[7])];
    let a = run_pool(&source, &target, &[1, 1, 0], &ax, i64::MAX);
    assert_eq!((a.sources[0].missing, a.excused), (1, 0), "{a:?}");
    assert_eq!(a.sources[0].ranges, [(1, 2)]);
    // in one partition the later one stands in for it
    let source = [keyed("x@1", &[1]), keyed("y@2", &[2]), keyed("w@9 v@10", &[7, 7])];
    let a = run_pool(&source, &target, &[1, 1, 0], &ax, i64::MAX);
    assert_eq!((a.sources[2].missing, a.excused), (0, 1), "{a:?}");
}

/// Named regression: of records whose time lies ahead only an old one that has its twin tells that they came before it.
#[test]
fn in_a_pool_an_old_time_without_a_twin_vouches_for_nothing() {
    let ahead = Ahead { from: 1_000_000, refused_from: i64::MAX, old_before: 500_000 };
    let ax = Axioms { ahead, ..axioms(0) };
    let source = [window("a@1 n@7200 o@2"), window("b@1")];
    let run = |target: &str| run_pool(&source, &[window(target)], &[1, 1], &ax, 1);
    let a = run("a@1 b@1");
    assert_eq!((a.sources[0].missing, a.unsettled.unconsumed), (0, 2), "{a:?}");
    let a = run("a@1 b@1 o@2");
    assert_eq!((a.sources[0].missing, a.unsettled.unconsumed), (1, 0), "what came after it is old: {a:?}");
}

#[test]
fn many_identical_records_take_no_square_time() {
    let log: Vec<Rec> = (0..200_000).map(|i| Rec { offset: i, ts: i * 3, id: Identity(7) }).collect();
    let (source, target) = (
        LogWindow::from_records(0, 200_000, &log).unwrap(),
        LogWindow::from_records(0, 200_000, &log[..199_000]).unwrap(),
    );
    let a = align_windows(&source, &target, &axioms(100_000));
    // 1,000 are not on the target, and nobody can say which: as many copies as are owed are kept
    assert_eq!((a.offset, a.missing), (99_000, 0));
}
