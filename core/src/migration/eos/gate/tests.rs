use super::*;
use crate::base::{Sides, TopicPartition, Trouble};
use crate::estate::exactly_once::Ends;
use crate::estate::transactions::{Answer, ProducerView, Since, TransactionState, TransactionView, Unavailable};
use crate::estate::{
    ClusterView, Committed, Estate, FlagState, GroupState, GroupView, MemberView, PartitionView, TopicView, WindowView,
};
use crate::migration::facts::settings::{Criteria, GroupSettings, Mode, Settings};
use crate::migration::facts::stage::{Stage, WayBack};
use crate::migration::facts::state::{Approval, State};
use crate::migration::rules::lag::LagBook;

pub(super) const NOW: At = At(1_000_000);
const WORST: u64 = 300_000;

/// A world in which every row passes; each case breaks one thing.
pub(super) struct World {
    pub settings: Settings,
    pub state: State,
    pub estate: Estate,
    pub lag: LagBook,
}

fn view(state: TransactionState, producer_id: i64, open_ms: i64) -> TransactionView {
    TransactionView {
        state,
        producer_id,
        epoch: 3,
        timeout_ms: 60_000,
        started: Some(At(NOW.0 - open_ms)),
        partitions: Vec::new(),
        coordinator: 1,
    }
}

fn pid(id: &str) -> i64 {
    if id == "ledger-2" { 12 } else { 11 }
}

fn cluster(retention: &str) -> ClusterView {
    let topic = TopicView {
        id: None,
        partitions: vec![PartitionView { leader: 1, replicas: 1, isr: 1, ..PartitionView::default() }],
        config: [("retention.ms".to_owned(), retention.to_owned())].into(),
    };
    ClusterView { cluster_id: Some("c".into()), topics: [("ledger".to_owned(), topic)].into(), ..Default::default() }
}

pub(super) fn reader() -> GroupView {
    let committed = Committed { offset: 5, leader_epoch: -1 };
    GroupView {
        state: GroupState::Stable,
        members: vec![MemberView { assigned: vec![TopicPartition::new("ledger", 0)], ..MemberView::default() }],
        offsets: [("ledger".to_owned(), [(0, committed)].into())].into(),
        ..GroupView::default()
    }
}

impl World {
    pub fn new() -> Self {
        let producer = ProducerSettings {
            topics: vec!["ledger".into()],
            has_flag: true,
            transactional_ids: Sides {
                blue: vec!["ledger-1".into(), "ledger-2".into()],
                green: vec!["psc-1".into(), "psc-2".into()],
            },
            still_ms: 10_000,
            keep_blue_ms: 259_200_000,
            reads: Some(Vec::new()),
            ..ProducerSettings::default()
        };
        let group = GroupSettings {
            team: String::new(),
            topics: vec!["ledger".into()],
            mode: Mode::Handover,
            has_switch: true,
            switch_words: "".into(),
            green_group: "enrich".into(),
            max_re_read: 0,
            drain_still_ms: 0,
            drain_timeout_ms: 0,
            stable_timeout_ms: 0,
            settle_timeout_ms: 0,
            criteria: Criteria::lag_below(1, 1),
            ..GroupSettings::default()
        };
        let settings = Settings {
            name: "t".into(),
            cluster_ids: Sides::default(),
            stale_after_ms: 5_000,
            zero_age_ms: 30_000,
            sample_gap_ms: 60_000,
            groups: [("enrich".to_owned(), group)].into(),
            producers: [("ledger".to_owned(), producer)].into(),
        };
        let mut blue = cluster("604800000");
        blue.groups.insert("enrich".into(), reader());
        let ids = |busy: TransactionState| {
            let told = |state, pid| Answer::Told(Some(view(state, pid, 100)));
            let mut ids: std::collections::BTreeMap<_, _> =
                ["psc-1", "psc-2"].map(|id| (id.to_owned(), Answer::Told(None))).into();
            ids.insert("ledger-1".into(), told(busy, 11));
            ids.insert("ledger-2".into(), told(TransactionState::CompleteCommit, 12));
            ids
        };
        let blue_look = EosLook { ids: ids(TransactionState::Ongoing), ..EosLook::default() };
        let green_look = EosLook {
            ids: ["psc-1", "psc-2", "ledger-1", "ledger-2"].map(|id| (id.to_owned(), Answer::Told(None))).into(),
            ..EosLook::default()
        };
        let window = WindowView { name: "sunday".into(), open_until: Some(NOW.plus(WORST + 1)), opens: None };
        let green = ClusterView { cluster_id: Some("d".into()), ..cluster("604800000") };
        let estate = Estate {
            clusters: Sides { blue, green }.map(|view| Observed::seen_at(view, NOW)),
            flags: [("ledger".to_owned(), Observed::seen_at(FlagState::Blue, NOW))].into(),
            eos: Sides { blue: blue_look, green: green_look }
                .map(|look| [("ledger".to_owned(), Observed::seen_at(look, NOW))].into()),
            windows: vec![window],
            planes: Sides::from_fn(|_| Observed::seen_at((), NOW)),
            ..Estate::default()
        };
        World { settings, state: State::default(), estate, lag: LagBook::default() }
    }

    fn producer(&mut self) -> &mut ProducerSettings {
        self.settings.producers.get_mut("ledger").unwrap()
    }

    fn look(&mut self, side: Side) -> &mut EosLook {
        match self.estate.eos[side].get_mut("ledger") {
            Some(Observed::Known { value, .. }) => value,
            _ => unreachable!("the world has looks"),
        }
    }

    pub fn on(&mut self, side: Side) -> &mut ClusterView {
        match &mut self.estate.clusters[side] {
            Observed::Known { value, .. } => value,
            Observed::Absent { .. } => unreachable!("the world is seen"),
        }
    }

    /// What it reads is written by another exactly-once producer.
    fn chain(&mut self, flag: FlagState) {
        let mut app = self.settings.groups["enrich"].clone();
        (app.topics, app.has_switch) = (vec!["in".into()], false);
        self.settings.groups.insert("app".into(), app);
        self.producer().reads = Some(vec!["app".into()]);
        let feeder = ProducerSettings {
            topics: vec!["in".into()],
            transactional_ids: Sides { blue: vec!["in-1".into()], green: vec!["in-2".into()] },
            ..ProducerSettings::default()
        };
        self.settings.producers.insert("feeder".into(), feeder);
        self.estate.flags.insert("feeder".into(), Observed::seen_at(flag, NOW));
    }

    fn sight(&self) -> RuleContext<'_> {
        RuleContext { settings: &self.settings, state: &self.state, estate: &self.estate, lag: &self.lag, now: NOW }
    }

    pub fn back(&self) -> (Vec<HardGateRow>, Vec<String>) {
        let sight = self.sight();
        let plan = &self.settings.producers["ledger"];
        let cut = ProducerCut { sight: &sight, name: "ledger", plan, to: Side::Blue };
        (cut.rows_before_rollback(), cut.describe_foreign())
    }

    fn facts(&self) -> String {
        let sight = self.sight();
        ProducerCut { sight: &sight, name: "ledger", plan: &self.settings.producers["ledger"], to: Side::Green }
            .approval_facts()
    }

    pub fn rows(&self) -> Vec<HardGateRow> {
        let sight = self.sight();
        let plan = &self.settings.producers["ledger"];
        ProducerCut { sight: &sight, name: "ledger", plan, to: Side::Green }.rows_before_stop(WORST)
    }

    fn after(&self, still: [&Stillness; 2], fenced: &[&str]) -> Vec<HardGateRow> {
        let sight = self.sight();
        let plan = &self.settings.producers["ledger"];
        let fenced: Vec<_> =
            fenced.iter().map(|id| FencedId { id: (*id).to_owned(), producer_id: pid(id), epoch: 3 }).collect();
        ProducerCut { sight: &sight, name: "ledger", plan, to: Side::Green }.rows_after_stop(still, &fenced, 10_000)
    }
}

fn writer(producer_id: i64, open_from: Option<i64>) -> Answer<Vec<ProducerView>> {
    Answer::Told(vec![ProducerView {
        producer_id,
        epoch: 3,
        last_sequence: 1,
        last_timestamp: None,
        coordinator_epoch: None,
        open_from,
    }])
}

#[test]
fn whose_offsets_it_commits_is_remembered_between_two_transactions() {
    let row = |commits: Option<Answer<BTreeSet<i32>>>, reads: Option<&[&str]>| {
        let mut world = World::new();
        world.producer().reads = reads.map(|reads| reads.iter().map(|g| (*g).to_owned()).collect());
        let look = world.look(Side::Blue);
        (look.commits, look.offsets_partitions) = (commits, Some(50));
        let rows = world.rows();
        rows.into_iter().find(|r| r.id == RowId::Coupled).unwrap()
    };
    let of = |group| Some(Answer::Told([crate::estate::exactly_once::offsets_partition(group, 50).unwrap()].into()));
    let hidden = || Some(Answer::Hidden(Trouble::new("no READ", "")));
    assert_eq!(
        row(Some(Answer::Told(BTreeSet::new())), Some(&[])).value,
        "none, as the plan says; no commit is remembered"
    );
    assert_eq!(row(of("enrich"), Some(&["enrich"])).value, "enrich");
    let unnamed = row(of("enrich"), Some(&[]));
    assert!(unnamed.gate.why().unwrap().contains("it may be enrich"), "{unnamed:?}");
    assert_eq!(row(Some(Answer::Told(BTreeSet::new())), None).gate.word(), "UNKNOWN", "a weekly job is forgotten");
    assert_eq!(row(hidden(), None).gate.word(), "UNKNOWN");
    assert!(row(hidden(), Some(&[])).gate.passes());
    assert!(row(hidden(), Some(&["enrich"])).value.ends_with("it can't be verified: no READ"));
}

#[test]
fn a_busy_but_healthy_producer_can_be_cut() {
    let rows = World::new().rows();
    let not: Vec<&HardGateRow> = rows.iter().filter(|r| !r.gate.passes()).collect();
    assert!(not.is_empty(), "{not:#?}");
    assert!(rows.iter().all(|r| r.advice.is_empty()));
    assert!(combine_hard_rows(&rows, &BTreeSet::new()).passes());
}

/// What is broken, the row it shows in, the gate's word, and a part of the reason.
type Case = (fn(&mut World), RowId, &'static str, &'static str);

#[test]
fn each_row_fails_for_its_own_reason() {
    let cases: Vec<Case> = vec![
        (
            |w| drop(w.estate.flags.insert("ledger".into(), Observed::seen_at(FlagState::Dual, NOW))),
            RowId::Flag,
            "FAIL",
            "dual",
        ),
        (|w| w.estate.flags.clear(), RowId::Flag, "UNKNOWN", "can't be read"),
        (|w| w.producer().has_flag = false, RowId::Flag, "FAIL", "no flag"),
        (|w| w.producer().transactional_ids.green.clear(), RowId::NewIds, "FAIL", "no transactional ids on green"),
        (
            |w| w.producer().transactional_ids.green.push("ledger-1".into()),
            RowId::NewIds,
            "FAIL",
            "ledger-1 is an id of ledger on blue too",
        ),
        (
            |w| {
                drop(
                    w.look(Side::Green)
                        .ids
                        .insert("psc-2".into(), Answer::Told(Some(view(TransactionState::Empty, 77, 1)))),
                )
            },
            RowId::NewIds,
            "FAIL",
            "psc-2 is in use on green: Empty, pid 77",
        ),
        (
            |w| drop(w.look(Side::Green).ids.insert("psc-2".into(), Answer::Hidden(Trouble::new("no DESCRIBE", "")))),
            RowId::NewIds,
            "UNKNOWN",
            "psc-2 on green: no DESCRIBE",
        ),
        (|w| w.estate.windows[0].open_until = Some(NOW.plus(WORST)), RowId::Window, "FAIL", "worst case"),
        (
            |w| (w.estate.windows[0].open_until, w.estate.windows[0].opens) = (None, Some(NOW.plus(7_000))),
            RowId::Window,
            "HOLD",
            "opens in 7s",
        ),
        (|w| w.estate.windows.clear(), RowId::Window, "FAIL", "no [[windows]]"),
        (|w| w.on(Side::Green).topics.clear(), RowId::Topics, "FAIL", "does not exist on green"),
        (
            |w| {
                let other = ProducerSettings { topics: vec!["ledger".into()], ..ProducerSettings::default() };
                w.settings.producers.insert("other".into(), other);
            },
            RowId::Topics,
            "FAIL",
            "written by other too",
        ),
        (
            |w| {
                drop(
                    w.look(Side::Blue)
                        .ids
                        .insert("ledger-1".into(), Answer::Told(Some(view(TransactionState::Ongoing, 4012, 141_000)))),
                )
            },
            RowId::Transactions,
            "HOLD",
            "ledger-1, pid 4012, open 2m21s",
        ),
        (
            |w| drop(w.look(Side::Blue).writers.insert(TopicPartition::new("ledger", 0), writer(12, Some(40)))),
            RowId::Transactions,
            "FAIL",
            "pid 12 epoch 3 hangs, open from offset 40",
        ),
        (
            |w| drop(w.look(Side::Blue).writers.insert(TopicPartition::new("ledger", 0), writer(99, Some(40)))),
            RowId::Transactions,
            "FAIL",
            "pid 99, none of its ids",
        ),
        (|w| w.estate.eos.blue.clear(), RowId::Transactions, "UNKNOWN", "not asked"),
        (|w| w.settings.groups.clear(), RowId::Readers, "FAIL", "enrich reads its topics"),
        (|w| w.settings.groups.get_mut("enrich").unwrap().mode = Mode::Overlap, RowId::Readers, "FAIL", "overlap"),
        (|w| w.settings.groups.get_mut("enrich").unwrap().has_switch = false, RowId::Readers, "FAIL", "no switch"),
        (
            |w| drop(w.on(Side::Green).groups.insert("enrich".into(), reader())),
            RowId::Readers,
            "FAIL",
            "members on green",
        ),
        (|w| w.producer().reads = Some(vec!["nobody".into()]), RowId::Coupled, "FAIL", "nobody"),
        (|w| w.producer().reads = None, RowId::Coupled, "UNKNOWN", "told only while one is open"),
        (
            |w| {
                w.producer().reads = None;
                let old = Answer::Unavailable(Unavailable::Before(Since::V3_0));
                w.look(Side::Blue).ids.insert("ledger-1".into(), old);
            },
            RowId::Coupled,
            "UNKNOWN",
            "not available before Kafka 3.0",
        ),
        (
            |w| {
                let stopped = GroupView { members: Vec::new(), state: GroupState::Empty, ..reader() };
                w.on(Side::Green).groups.insert("enrich".into(), stopped);
                w.on(Side::Blue).groups.clear();
                w.state.groups.entry("enrich".into()).or_default().rest = Stage::Soaking { since: At(1) };
            },
            RowId::Readers,
            "FAIL",
            "enrich rests on green",
        ),
        (|w| w.chain(FlagState::Blue), RowId::Readers, "FAIL", "feeder writes in to blue only"),
        (
            |w| {
                let mut v = view(TransactionState::Ongoing, 11, 100);
                v.partitions.push(TopicPartition::new("__consumer_offsets", 1));
                w.look(Side::Blue).ids.insert("ledger-1".into(), Answer::Told(Some(v)));
            },
            RowId::Coupled,
            "UNKNOWN",
            "can't be told",
        ),
        (
            |w| {
                drop(
                    w.look(Side::Blue)
                        .writers
                        .insert(TopicPartition::new("ledger", 0), Answer::Hidden(Trouble::new("no READ", ""))),
                )
            },
            RowId::Permissions,
            "UNKNOWN",
            "ledger-0 on blue: no READ",
        ),
        (
            |w| {
                drop(
                    w.on(Side::Green)
                        .topics
                        .get_mut("ledger")
                        .unwrap()
                        .config
                        .insert("retention.ms".into(), "1000".into()),
                )
            },
            RowId::WayBack,
            "FAIL",
            "keeps 1s",
        ),
        (
            |w| w.on(Side::Green).topics.get_mut("ledger").unwrap().config.clear(),
            RowId::WayBack,
            "UNKNOWN",
            "how long ledger keeps its records on green is not known",
        ),
        (
            |w| {
                let kept = &mut w.on(Side::Green).topics.get_mut("ledger").unwrap().config;
                drop(kept.insert("retention.ms".into(), "a week".into()));
            },
            RowId::WayBack,
            "UNKNOWN",
            "is not known (retention.ms)",
        ),
        (|w| w.producer().needs_approval = true, RowId::Approval, "HOLD", "nobody has agreed"),
    ];
    for (number, (break_it, id, word, why)) in cases.into_iter().enumerate() {
        let mut world = World::new();
        break_it(&mut world);
        let rows = world.rows();
        let row = rows.iter().find(|r| r.id == id).unwrap();
        assert_eq!(row.gate.word(), word, "case {number}: {row:?}");
        assert!(row.gate.why().unwrap().contains(why), "case {number}: {row:?}");
        assert!(!row.advice.is_empty(), "case {number}: {row:?}");
        assert!(!combine_hard_rows(&rows, &BTreeSet::new()).passes());
    }
}

#[test]
fn an_old_cluster_that_cannot_be_asked_says_so_and_the_stop_proves_it() {
    let mut world = World::new();
    for id in ["ledger-1", "ledger-2"] {
        world.look(Side::Blue).ids.insert(id.into(), Answer::Unavailable(Unavailable::Before(Since::V3_0)));
    }
    let rows = world.rows();
    assert!(combine_hard_rows(&rows, &BTreeSet::new()).passes(), "{rows:#?}");
    let row = rows.iter().find(|r| r.id == RowId::Transactions).unwrap();
    assert_eq!(row.value, "not available before 3.0");
}

#[test]
fn only_what_costs_no_record_can_be_overridden() {
    let mut world = World::new();
    world.estate.windows.clear();
    assert!(combine_hard_rows(&world.rows(), &[RowId::Window].into()).passes());
    world.estate.flags.clear();
    assert!(!combine_hard_rows(&world.rows(), &[RowId::Window, RowId::Flag].into()).passes());
}

#[test]
fn approval_is_another_persons() {
    let mut world = World::new();
    world.producer().needs_approval = true;
    let facts = world.facts();
    let approval = Approval { by: "bob@bastion".into(), at: NOW, facts };
    world.state.producers.entry("ledger".into()).or_default().approved = Some(approval);
    assert!(combine_hard_rows(&world.rows(), &BTreeSet::new()).passes());
    world.producer().still_ms += 1;
    let rows = world.rows();
    let row = rows.iter().find(|r| r.id == RowId::Approval).unwrap();
    assert!(row.gate.why().unwrap().contains("the facts changed since bob@bastion agreed"), "{row:?}");
}

#[test]
fn after_the_stop_everything_is_settled_fenced_and_still() {
    let mut world = World::new();
    let mut still = Stillness::default();
    let ends = Ends { stable: 9, high_watermark: 9 };
    let look = EosLook { ends: [(TopicPartition::new("ledger", 0), ends)].into(), ..EosLook::default() };
    for s in 0..=10 {
        still.note_look(&look, At(NOW.0 - 10_000 + s * 1_000), 2_000);
    }
    let words = |w: &World, still: [&Stillness; 2], fenced: &[&str]| -> Vec<&'static str> {
        w.after(still, fenced).iter().map(|r| r.gate.word()).collect()
    };
    let both = ["ledger-1", "ledger-2"];
    assert_eq!(words(&world, [&still, &still], &both), ["HOLD", "PASS", "PASS", "PASS"], "one id is open still");
    let settled = Answer::Told(Some(view(TransactionState::CompleteAbort, 11, 100)));
    world.look(Side::Blue).ids.insert("ledger-1".into(), settled);
    assert_eq!(words(&world, [&still, &still], &both), ["PASS"; 4]);
    assert_eq!(words(&world, [&still, &still], &both[..1]), ["PASS", "HOLD", "PASS", "PASS"]);
    assert_eq!(words(&world, [&Stillness::default(), &still], &both)[2], "UNKNOWN");
    let mut short = Stillness::default();
    for s in 5..=10 {
        short.note_look(&look, At(NOW.0 - 10_000 + s * 1_000), 2_000);
    }
    assert_eq!(words(&world, [&still, &short], &both)[3], "HOLD");
}

#[test]
fn a_producer_is_cut_after_the_one_whose_topic_it_reads() {
    let mut world = World::new();
    world.chain(FlagState::Green);
    let readers = |w: &World| w.rows().into_iter().find(|r| r.id == RowId::Readers).unwrap();
    assert!(readers(&world).gate.passes(), "{:?}", readers(&world));
    // A group that moves with a producer needs no switch to be read past.
    world.chain(FlagState::Blue);
    world.producer().topics = vec!["in".into()];
    world.settings.producers.get_mut("ledger").unwrap().reads = Some(Vec::new());
    world.settings.producers.get_mut("feeder").unwrap().topics = vec!["ledger".into()];
    world.settings.producers.get_mut("feeder").unwrap().reads = Some(vec!["app".into()]);
    let mut app = reader();
    app.offsets = [("in".to_owned(), [(0, Committed { offset: 5, leader_epoch: -1 })].into())].into();
    app.members[0].assigned = vec![TopicPartition::new("in", 0)];
    world.on(Side::Blue).groups.insert("app".into(), app);
    assert!(readers(&world).gate.passes(), "{:?}", readers(&world));
}

#[test]
fn what_strangers_do_on_green_is_a_warning_on_the_way_back() {
    let mut world = World::new();
    world.on(Side::Green).groups.insert("console".into(), reader());
    let settled = Answer::Told(Some(view(TransactionState::CompleteCommit, 21, 100)));
    world.look(Side::Green).ids.insert("psc-1".into(), settled);
    let tp = TopicPartition::new("ledger", 0);
    world.look(Side::Green).writers.insert(tp.clone(), writer(99, Some(40)));
    let (rows, warnings) = world.back();
    for id in [RowId::Readers, RowId::Transactions] {
        let row = rows.iter().find(|r| r.id == id).unwrap();
        assert!(row.gate.passes(), "{row:?}");
    }
    assert!(warnings.iter().any(|w| w.contains("console on green")), "{warnings:?}");
    assert!(warnings.iter().any(|w| w.contains("pid 99")), "{warnings:?}");
    // Its own hanging transaction is none of a stranger's.
    world.look(Side::Green).writers.insert(tp, writer(21, Some(40)));
    let (rows, _) = world.back();
    assert!(!rows.iter().find(|r| r.id == RowId::Transactions).unwrap().gate.passes());
}

#[test]
fn a_group_that_read_green_goes_back_after_its_producer_only() {
    let mut world = World::new();
    let tp = TopicPartition::new("ledger", 0);
    let seam = |target| crate::migration::eos::PartitionSeam { tp: tp.clone(), source: 90, target };
    world.state.seams.record(Side::Green, &[seam(5)], At(1));
    let end = world.on(Side::Green).topics.get_mut("ledger").unwrap();
    end.partitions[0].high_watermark = Some(5);
    world.on(Side::Green).groups.insert("enrich".into(), reader());
    world.estate.flags.insert("ledger".into(), Observed::seen_at(FlagState::Green, NOW));
    let ask = |w: &World| {
        let lag = LagBook::default();
        let sight = RuleContext { settings: &w.settings, state: &w.state, estate: &w.estate, lag: &lag, now: NOW };
        let way = crate::migration::rules::rollback::way_back(&sight, "enrich", None);
        (crate::migration::eos::check_may_leave(&sight, "enrich", "ledger", "ledger", Side::Blue), way)
    };
    let (may, way) = ask(&world);
    assert!(may.is_ok() && way == WayBack::Exact, "it has read nothing there: {may:?} {way:?}");
    world.state.seams.record(Side::Green, &[seam(2)], At(2));
    let (may, way) = ask(&world);
    assert!(may.as_ref().is_err_and(|r| r.why.contains("has read 3 offsets")), "{may:?}");
    assert!(matches!(way, WayBack::Closed { .. }), "{way:?}");
}
