//! The diff's screen: how far it is, what it found, and its keys.

use cutover::base::{Side, Trouble};
use cutover::migration::facts::command::Refusal;
use cutover::snapshot::{
    Ask, DiffAdvice, DiffCounts, DiffProgress, DiffResult, DiffRow, DiffSpan, DiffState, DiffVerdict, DiffView,
    DiffWhat, Reply, Snapshot,
};
use cutover::tui::model::{Model, Overlay, Screen};
use cutover::tui::theme::Glyphs;
use cutover::tui::update::{Cmd, Msg, update};

use crate::fixture::{self, NOW, ago};
use crate::pictures::drawn;
use crate::scenes::press;

fn with(state: DiffState) -> Snapshot {
    let mut s = fixture::estate();
    s.diff = Some(DiffView {
        what: DiffWhat::Group("loan-audit".into()),
        span: DiffSpan::Comparable,
        source: Side::Blue,
        began: ago(42_000),
        actor: "ana@bastion".into(),
        state,
    });
    s
}

fn running(held_back: Option<&str>) -> DiffState {
    let progress = DiffProgress {
        topic: "loan-events".into(),
        topics: (1, 3),
        share: 0.43,
        records: 1_234_567,
        bytes: 517_000_000,
        ms: 41_000,
        left_ms: Some(54_000),
        waiting: 812,
        held_back: held_back.map(Into::into),
    };
    DiffState::Running { progress: Some(progress), stopping: false }
}

fn row(topic: &str, partition: Option<i32>, said: &str, found: DiffCounts, lines: &[&str]) -> DiffRow {
    let lines = lines.iter().map(|l| (*l).to_owned()).collect();
    let (verdict, known) = match (partition, said) {
        (Some(_), _) => (None, true),
        (None, "CLEAN") => (Some(DiffVerdict::Clean), true),
        (None, "UNKNOWN") => (Some(DiffVerdict::Unknown), false),
        (None, said) => (Some(DiffVerdict::Differs), said == "DIFFERS"),
    };
    DiffRow { topic: topic.into(), partition, verdict, known, found, lines }
}

/// Everything that can be said at once; without what is unknown a replay can mend it.
fn differs(unknown: bool) -> DiffState {
    let lost = DiffCounts { read: 80_000, equal: 39_993, missing: 7, only_target: 2, ..DiffCounts::default() };
    let moved = DiffCounts { read: 80_004, equal: 40_000, duplicated_target: 4, reordered: 3, furthest: 12, ..lost };
    let moved = DiffCounts { missing: 0, only_target: 0, unsettled: 5, ..moved };
    let clean = DiffCounts { read: 160_000, equal: 80_000, ..DiffCounts::default() };
    let rows = vec![
        row(
            "loan-archive",
            None,
            "UNKNOWN",
            DiffCounts::default(),
            &["unknown: there is no topic loan-archive on green"],
        ),
        row(
            "loan-events",
            None,
            "DIFFERS",
            lost.merge_with(moved),
            &["compared from 2026-02-27T09:00:00Z on, where both logs begin", "10 of 12 partitions without a finding"],
        ),
        row(
            "loan-events",
            Some(3),
            "DIFFERS",
            lost,
            &[
                "7 missing on green (offsets on blue): 1044-1047, 90210, 90344-90345",
                "2 only on green (offsets on green): 1199, 90001",
            ],
        ),
        row(
            "loan-events",
            Some(7),
            "DIFFERS",
            moved,
            &["4 duplicated on green: 71-74", "5 unsettled on blue: 40100-40104"],
        ),
        row("loan-fees", None, "CLEAN", clean, &["24 of 24 partitions without a finding"]),
    ];
    let next = match unknown {
        true => DiffAdvice::Words(
            "a replay takes no document with something unknown: see to that, or verify the topics that are known by themselves"
                .into(),
        ),
        false => DiffAdvice::Command("cutover replay --from-diff .cutover/diff-group_loan-audit.json".into()),
    };
    let rows = rows.into_iter().skip(usize::from(!unknown)).collect();
    let result = DiffResult {
        verdict: DiffVerdict::Differs,
        known: !unknown,
        said: if unknown { "DIFFERS+UNKNOWN" } else { "DIFFERS" }.into(),
        found: lost.merge_with(moved).merge_with(clean),
        read: 320_004,
        bytes: 96_000_000,
        ms: 3_400,
        rows,
        left_out: 0,
        file: Some(".cutover/diff-group_loan-audit.json".into()),
        next: vec![
            next,
            DiffAdvice::Words(
                "what is only on green, doubled or out of order no replay mends: readers meet it as it is".into(),
            ),
        ],
    };
    DiffState::Done { at: ago(12_000), result: Box::new(result) }
}

fn clean() -> DiffState {
    let found = DiffCounts { read: 160_000, equal: 80_000, ..DiffCounts::default() };
    let result = DiffResult {
        verdict: DiffVerdict::Clean,
        known: true,
        said: "CLEAN".into(),
        found,
        read: 160_000,
        bytes: 48_000_000,
        ms: 1_700,
        rows: vec![row("loan-events", None, "CLEAN", found, &["12 of 12 partitions without a finding"])],
        left_out: 0,
        file: Some(".cutover/diff-group_loan-audit.json".into()),
        next: vec![DiffAdvice::Words("nothing to do".into())],
    };
    DiffState::Done { at: ago(200_000), result: Box::new(result) }
}

fn shown(state: DiffState, size: (u16, u16), keys: &[&str]) -> Model {
    let mut m = fixture::model(with(state), size);
    press(&mut m, &["5"]);
    press(&mut m, keys);
    m
}

/// The pictures.
pub fn scenes(out: &mut Vec<(&'static str, Model)>) {
    let (small, wide) = ((80, 24), (140, 40));
    let slow = "green takes 740 ms to answer (limit 500 ms): reading 2.1 MB/s";
    out.push(("diff_running_80x24", shown(running(Some(slow)), small, &[])));
    out.push(("diff_running_140x40", shown(running(None), wide, &[])));
    out.push(("diff_tab_80x24", fixture::model(with(running(None)), small)));
    out.push(("diff_differs_80x24", shown(differs(false), small, &["j"])));
    out.push(("diff_differs_60x16", shown(differs(false), (60, 16), &["j"])));
    out.push(("diff_differs_140x40", shown(differs(true), wide, &["j", "j"])));
    out.push(("diff_unknown_topic_80x24", shown(differs(true), small, &[])));
    out.push(("diff_clean_80x24", shown(clean(), small, &[])));
    out.push(("diff_stopped_80x24", shown(DiffState::Stopped { at: ago(9_000) }, small, &[])));
    let trouble =
        Trouble::new("green: no broker of green-1.psc.example:9092 answers", "check the network, then v again");
    out.push(("diff_failed_80x24", shown(DiffState::Failed { at: ago(9_000), trouble }, small, &[])));
    out.push(("diff_ascii_mono", {
        let mut m = fixture::model_in(with(differs(false)), small, "mono", Glyphs::Ascii);
        press(&mut m, &["5"]);
        m
    }));
    out.push(("diff_range", {
        let mut m = fixture::model(fixture::estate(), small);
        m.group = Some("loan-audit".into());
        press(&mut m, &["v", "j"]);
        m
    }));
    out.push(("diff_palette", {
        let mut m = fixture::model(fixture::estate(), small);
        press(&mut m, &[":", "verify loan"]);
        m
    }));
}

fn started(cmds: &[Cmd]) -> Vec<(DiffWhat, DiffSpan, bool)> {
    let start = |c: &Cmd| match c {
        Cmd::Ask(Ask::StartDiff { what, span, resume, actor, .. }) => {
            assert_eq!(actor.as_str(), "ana@bastion");
            Some((what.clone(), *span, *resume))
        }
        _ => None,
    };
    cmds.iter().filter_map(start).collect()
}

#[test]
fn v_asks_for_the_range_and_compares_what_the_cursor_is_on() {
    let mut m = fixture::model(fixture::estate(), (80, 24));
    m.group = Some("loan-audit".into());
    assert!(press(&mut m, &["v"]).is_empty(), "nothing starts without a range");
    assert!(matches!(&m.overlay, Some(Overlay::Range { what: DiffWhat::Group(g), .. }) if g == "loan-audit"));
    let sent = started(&press(&mut m, &["enter"]));
    assert_eq!(sent, [(DiffWhat::Group("loan-audit".into()), DiffSpan::Comparable, false)]);
    assert_eq!(m.screen, Screen::Verify);
    press(&mut m, &["esc"]);
    assert_eq!(m.screen, Screen::Cockpit, "leaving goes back and stops nothing");
    press(&mut m, &["2"]);
    m.producer = Some("loan-api".into());
    let sent = started(&press(&mut m, &["enter", "v", "j", "j", "enter"]));
    let hour = DiffSpan::Times { from: m.clock().0 - 3_600_000, to: None };
    assert_eq!(sent, [(DiffWhat::Producer("loan-api".into()), hour, false)]);
    press(&mut m, &["esc"]);
    assert_eq!(m.screen, Screen::Producer("loan-api".into()));
    // On a partition it is the topic's.
    press(&mut m, &["1"]);
    m.group = Some("loan-audit".into());
    let sent = started(&press(&mut m, &["enter", "enter", "v", "enter"]));
    let topic = m.partition.as_ref().expect("a partition").topic.clone();
    assert_eq!(sent, [(DiffWhat::Topics(vec![topic]), DiffSpan::Comparable, false)]);
}

#[test]
fn the_palette_takes_a_name_and_a_range() {
    let mut m = fixture::model(fixture::estate(), (80, 24));
    let sent = started(&press(&mut m, &[":", "verify loan-events --from 1h", "enter"]));
    let hour = DiffSpan::Times { from: m.clock().0 - 3_600_000, to: None };
    assert_eq!(sent, [(DiffWhat::Topics(vec!["loan-events".into()]), hour, false)]);
    press(&mut m, &["esc"]);
    assert!(press(&mut m, &[":", "verify loan-events --from yesterday", "enter"]).is_empty());
    assert!(m.flash.as_ref().is_some_and(|f| f.text.contains("no moment")), "{:?}", m.flash);
    assert!(press(&mut m, &[":", "verify loan-audit", "enter"]).is_empty());
    assert!(matches!(&m.overlay, Some(Overlay::Range { what: DiffWhat::Group(g), .. }) if g == "loan-audit"));
}

#[test]
fn a_diff_is_stopped_gone_on_with_and_its_command_copied() {
    let mut m = shown(running(None), (80, 24), &[]);
    assert!(press(&mut m, &["s", "enter"]).is_empty(), "no single key stops hours of reading");
    assert!(matches!(press(&mut m, &["stop", "enter"])[..], [Cmd::Ask(Ask::StopDiff { .. })]));
    assert!(press(&mut m, &["v"]).is_empty(), "one at a time");
    assert!(m.flash.as_ref().is_some_and(|f| f.text.contains("under way")), "{:?}", m.flash);
    assert!(press(&mut m, &["g"]).is_empty(), "it has not stopped yet");
    let mut m = shown(DiffState::Stopped { at: NOW }, (80, 24), &[]);
    let sent = started(&press(&mut m, &["g"]));
    assert_eq!(sent, [(DiffWhat::Group("loan-audit".into()), DiffSpan::Comparable, true)]);
    let mut m = shown(differs(false), (80, 24), &[]);
    let copied = press(&mut m, &["y"]);
    let command = "cutover replay --from-diff .cutover/diff-group_loan-audit.json";
    assert!(matches!(&copied[..], [Cmd::Copy(c)] if c == command), "{copied:?}");
    let mut m = shown(clean(), (80, 24), &[]);
    assert!(press(&mut m, &["y", "s", "g"]).is_empty(), "there is nothing to copy, stop or go on with");
}

#[test]
fn what_is_not_judged_yet_is_clean_nowhere() {
    let DiffState::Done { at, mut result } = clean() else { panic!("it is done") };
    (result.verdict, result.said, result.found.unsettled) = (DiffVerdict::Unknown, "UNKNOWN".into(), 5);
    result.rows[0].verdict = Some(DiffVerdict::Unknown);
    let mut m = fixture::model(with(DiffState::Done { at, result }), (80, 24));
    for key in [":", "esc", "5"] {
        press(&mut m, &[key]);
        let text: String = drawn(&m).content().iter().map(ratatui::buffer::Cell::symbol).collect();
        assert!(!text.contains("CLEAN"), "after {key}: {text}");
        assert!(key == ":" || text.contains("UNKNOWN"), "after {key}: {text}");
    }
}

#[test]
fn a_refused_diff_says_why() {
    let mut m = fixture::model(fixture::estate(), (80, 24));
    m.group = Some("loan-audit".into());
    let cmds = press(&mut m, &["v", "enter"]);
    let [Cmd::Ask(Ask::StartDiff { id, .. })] = cmds[..] else { panic!("{cmds:?}") };
    let at = m.now.plus(5);
    let result = Err(Refusal::holds("a diff of topic t is under way", "wait for it, or stop it first"));
    update(&mut m, Msg::Reply(Reply::Diff { id, result }, at));
    assert!(m.flash.as_ref().is_some_and(|f| f.text.contains("a diff of topic t is under way")), "{:?}", m.flash);
}
