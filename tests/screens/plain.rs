//! Plain mode: a line a change, and nothing without one.

use cutover::base::{At, Observed, Trouble};
use cutover::migration::facts::stage::Stage;
use cutover::tui::plain::list_changes;

use crate::fixture;

#[test]
fn the_first_picture_is_told_whole_and_then_only_what_changes() {
    let first = fixture::estate();
    let told = list_changes(None, &first);
    for piece in [
        "14:02:11 loans-psc: armed",
        "blue legacy: 3 of 3 brokers answer",
        "phase 2 Producers: 29 of 32 proven",
        "phase 4 Soak: nothing planned",
        "group loan-report: on blue, way back EXACT, lag blue 31 green unknown",
        "group card-fraud: held by raj@bastion: quarter end: nothing moves before Tuesday, way back",
        "group cust-360: needs you, a commit moved on blue",
        "group loan-audit: blocked: ",
        "producer ledger: flag blue",
        "notice: cust-360: A commit moved on blue",
    ] {
        assert!(told.iter().any(|l| l.contains(piece)), "{piece} in {told:#?}");
    }
    let mut next = first.clone();
    next.now = At(first.now.0 + 1_000);
    for side in [&mut next.blue, &mut next.green] {
        side.link = Observed::seen_at(40, next.now);
    }
    assert_eq!(list_changes(Some(&first), &next), Vec::<String>::new(), "figures alone are no news");
    let mut after = next.clone();
    after.blue.link.note_failure(Trouble::new("blue-1 refuses connections", "Look whether it runs."));
    let moved = after.groups.iter_mut().find(|g| g.group == "loan-report").expect("there");
    moved.stage = Stage::Soaking { since: after.now };
    after.journal.push(cutover::snapshot::JournalLine {
        seq: 215,
        text: "run 9 done".into(),
        ..first.journal[0].clone()
    });
    let mut fewer = next.clone();
    fewer.groups.retain(|g| g.group != "loan-report");
    fewer.producers.retain(|p| p.name != "ledger");
    let gone = ["14:02:12 group loan-report: not shown any more", "14:02:12 producer ledger: not shown any more"];
    assert_eq!(list_changes(Some(&next), &fewer), gone);
    let lines = cutover::report::log::change_lines(Some(&next), &fewer);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("\"group\":\"loan-report\"") && lines[0].contains("\"shown\":false"), "{lines:?}");
    assert!(lines[1].contains("\"producer\":\"ledger\"") && lines[1].contains("\"shown\":false"), "{lines:?}");
    let told = list_changes(Some(&next), &after);
    assert_eq!(
        told,
        [
            "14:02:12 blue legacy: blue-1 refuses connections. Look whether it runs.",
            "14:02:12 group loan-report: soaking, way back EXACT, lag blue 31 green unknown",
            "14:02:12 journal 215: cust-360: run 9 done (ana@bastion)",
        ]
    );
    assert!(told.iter().all(|l| !l.chars().any(char::is_control)));
}
