//! The real machine behind the dialogs: what it asks for can be typed as the cockpit shows it, and is what it takes; what it
//! warns of can be read to its end.

use std::collections::BTreeMap;

use cutover::base::sanitise::visible_name;
use cutover::base::{Observed, Side, Sides, TopicPartition};
use cutover::estate::{ClusterView, Committed, Estate, GroupState, GroupView, MemberView, PartitionView, TopicView};
use cutover::migration::facts::command::{Command, Offer, Prepared, Subject};
use cutover::migration::facts::event::{Event, JournalEntry, RunKind};
use cutover::migration::facts::settings::{GroupSettings, Settings};
use cutover::migration::run::machine::{Machine, SessionMode};
use cutover::snapshot::{Ask, Reply, Snapshot};
use cutover::tui::model::Model;
use cutover::tui::update::{Cmd, Msg, update};

use crate::fixture::{self, NOW, ago};
use crate::hostile::TWINS;
use crate::keys::executed;
use crate::pictures::drawn;
use crate::scenes::{press, question};

/// A machine whose plan has one group, by this id.
fn machine(id: &str) -> Machine {
    let group = GroupSettings { has_switch: true, ..GroupSettings::default() };
    let settings = Settings {
        name: "loans-psc".into(),
        cluster_ids: Sides::default(),
        stale_after_ms: 10_000,
        zero_age_ms: 10_000,
        sample_gap_ms: 10_000,
        groups: [(id.to_owned(), group)].into(),
        producers: BTreeMap::new(),
    };
    Machine::new(settings, SessionMode::default())
}

/// The estate of the fixture with one group, being cut over, that may be given back.
fn cutting_over(id: &str) -> Snapshot {
    let mut row = fixture::draining();
    (row.group, row.green_group) = (id.to_owned(), id.to_owned());
    row.offers = vec![Offer { command: Command::roll_back(id), refused: None }];
    let mut s = fixture::estate();
    s.groups = vec![row];
    s
}

/// Answers what was just asked, a moment later.
fn answer(m: &mut Model, cmds: &[Cmd], prepared: &Prepared) {
    let (id, at) = (question(cmds), m.now.plus(30));
    update(m, Msg::Reply(Reply::Prepared { id, result: Ok(Box::new(prepared.clone())) }, at));
}

/// What the dialog asks to be typed, read off the screen.
fn asked_for(m: &Model) -> String {
    let page = crate::looks::text(&drawn(m));
    let phrase = |line: &str| Some(line.split_once("type ")?.1.split_once(" and enter to go on")?.0.to_owned());
    page.lines().find_map(phrase).unwrap_or_else(|| panic!("nothing is asked for:\n{page}"))
}

#[test]
fn the_phrase_of_a_group_of_any_name_is_typed_as_it_is_shown_and_confirms() {
    for id in TWINS {
        let mut machine = machine(id);
        let started = Event::RunStarted {
            run: 7,
            kind: RunKind::CutOver,
            subject: Subject::Group((*id).to_owned()),
            command: Command::cut_over(*id),
            confirmed: String::new(),
            estimate: None,
            max_re_read: None,
            dry_run: false,
            accepted: Vec::new(),
        };
        machine.fold_entry(&JournalEntry { seq: 1, at: ago(9_000), actor: "ana@bastion".into(), event: started });
        let prepared = machine.prepare(&Command::roll_back(*id), NOW).expect("a cutover can be undone");
        let mut m = fixture::model(cutting_over(id), (100, 30));
        m.group = Some((*id).to_owned());
        let cmds = press(&mut m, &["b"]);
        answer(&mut m, &cmds, &prepared);
        let phrase = asked_for(&m);
        assert_eq!(phrase, format!("blue {}", visible_name(id)), "{id:?}");
        if visible_name(id) != "loan-audit" {
            let typed = press(&mut m, &["blue loan-audit", "enter", "ctrl-u"]);
            assert!(executed(&typed).is_empty(), "{id:?}: that is another group's");
        }
        let cmds = press(&mut m, &[&phrase, "enter"]);
        let [Cmd::Ask(Ask::Execute { command, typed, facts, actor, .. })] = &cmds[..] else {
            panic!("{id:?}: {cmds:?}")
        };
        let run = machine.handle_command(command, &actor.clone().into(), typed, facts.as_deref(), NOW);
        assert_eq!(run, Ok(Some(8)), "{id:?}: the controller takes what the screen sends");
    }
}

/// Both clusters with a topic of three partitions, and a group on blue two of whose commits carry something.
fn carrying(id: &str) -> Estate {
    let log = PartitionView { log_start: Some(0), lso: Some(40), high_watermark: Some(40), ..PartitionView::default() };
    let topic = TopicView { partitions: vec![log; 3], ..TopicView::default() };
    let committed = Committed { offset: 30, leader_epoch: -1 };
    let group = GroupView {
        state: GroupState::Stable,
        protocol_type: "consumer".into(),
        members: vec![MemberView { assigned: vec![TopicPartition::new("t", 0)], ..MemberView::default() }],
        offsets: [("t".to_owned(), (0..3).map(|p| (p, committed)).collect())].into(),
        metadata: [("t".to_owned(), [(0, "bAgAAAA".to_owned()), (2, "bAgAAAB".to_owned())].into())].into(),
        ..GroupView::default()
    };
    let cluster = |side: Side| ClusterView {
        cluster_id: Some(format!("{side}-id")),
        topics: [("t".to_owned(), topic.clone())].into(),
        groups: if side == Side::Blue { [(id.to_owned(), group.clone())].into() } else { BTreeMap::new() },
        ..ClusterView::default()
    };
    Estate {
        clusters: Sides::from_fn(|side| Observed::seen_at(cluster(side), NOW)),
        planes: Sides::from_fn(|_| Observed::seen_at((), NOW)),
        ..Estate::default()
    }
}

/// The words of the dialog as it stands on the screen, without its frame. As wide as the screen: nothing is beside it.
fn words_of(m: &Model) -> String {
    let page = crate::looks::text(&drawn(m));
    let lines = page.lines().map(|line| line.trim().trim_matches('\u{2502}'));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

#[test]
fn that_commits_carry_metadata_is_said_in_the_dialog_to_the_last_word() {
    let id = "loan-report";
    let mut machine = machine(id);
    machine.handle_observation(carrying(id), NOW);
    let prepared = machine.prepare(&Command::reset_offsets(id, Side::Green), NOW).expect("nothing is in the way");
    let about = |w: &&String| w.starts_with("the commits of 2 partitions carry metadata");
    let warning = prepared.warnings.iter().find(about).unwrap_or_else(|| panic!("{:#?}", prepared.warnings));
    assert!(warning.ends_with("only where both logs hold the same records at the same offsets"), "{warning}");
    for size in [(60, 16), (80, 24), (100, 30)] {
        let mut m = fixture::model(fixture::estate(), size);
        m.group = Some(id.to_owned());
        let cmds = press(&mut m, &["o", "enter"]);
        answer(&mut m, &cmds, &prepared);
        let mut pages = vec![words_of(&m)];
        for _ in 0..30 {
            press(&mut m, &["down"]);
            pages.push(words_of(&m));
        }
        // Any few words in a row stand together on one page, however the dialog is scrolled.
        let words: Vec<&str> = warning.split_whitespace().collect();
        for some in words.windows(4).map(|some| some.join(" ")) {
            assert!(pages.iter().any(|page| page.contains(&some)), "{size:?}: {some:?} in\n{}", pages.join("\n"));
        }
    }
}
