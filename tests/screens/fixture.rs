//! An estate in the middle of its migration, with everything in it that a screen has to show.

use std::sync::Arc;

use cutover::controller::snapshot::*;
use cutover::migration::command::*;
use cutover::migration::estate::*;
use cutover::migration::event::RunKind;
use cutover::migration::settings::Mode;
use cutover::migration::stage::*;
use cutover::offsets::align::Unsettled;
use cutover::offsets::verdict::*;
use cutover::offsets::{Chosen, Strategy};
use cutover::tui::model::{Model, Options};
use cutover::tui::theme::{Depth, Glyphs, Theme};
use cutover::tui::update::{Msg, update};

/// The controller's clock in every fixture: 2026-03-01 14:02:11 UTC.
pub const NOW: At = At(1_772_373_731_000);

/// A moment before now.
pub fn ago(ms: i64) -> At {
    At(NOW.0 - ms)
}

pub fn options(theme: &str, glyphs: Glyphs) -> Options {
    let depth = if theme == "mono" { Depth::None } else { Depth::Ansi256 };
    Options {
        theme: Theme::built_in(theme, depth, glyphs).expect("a built-in theme"),
        actor: "ana@bastion".into(),
        read_only: false,
        migration: "loans-psc".into(),
        connecting: ["blue-1.legacy:9092".into(), "green-1.psc.example:9092".into()],
        attached: false,
    }
}

/// A screen that has just received a snapshot.
pub fn model(snapshot: Snapshot, size: (u16, u16)) -> Model {
    model_in(snapshot, size, "dark", Glyphs::Utf8)
}

pub fn model_in(snapshot: Snapshot, size: (u16, u16), theme: &str, glyphs: Glyphs) -> Model {
    let mut m = Model::new(options(theme, glyphs), size, ago(60_000));
    update(&mut m, Msg::Snapshot(Arc::new(snapshot), NOW));
    update(&mut m, Msg::Tick(NOW.plus(1_000)));
    m
}

/// A trend from a function of the sample's number.
fn trend(f: impl Fn(u64) -> Option<u64>) -> Vec<Option<u64>> {
    (0..TREND_LEN as u64).map(f).collect()
}

/// A small deterministic wobble.
fn wobble(i: u64, seed: u64) -> u64 {
    let x = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed.wrapping_mul(0xBF58_476D_1CE4_E5B9));
    (x ^ (x >> 29)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 40
}

fn noise(i: u64, seed: u64, base: u64, span: u64) -> Option<u64> {
    Some(base + wobble(i, seed) % span.max(1))
}

fn member(n: usize) -> MemberView {
    MemberView {
        member_id: format!("consumer-{n}-7e2f"),
        client_id: format!("app-{n}"),
        host: format!("/10.4.2.{n}"),
        ..MemberView::default()
    }
}

/// One side of a group that runs there.
fn running(members: usize, lag: u64, trend: Vec<Option<u64>>) -> GroupSide {
    GroupSide {
        state: Some(GroupState::Stable),
        members: (1..=members).map(member).collect(),
        lag: Some(lag),
        at: Some(ago(900)),
        time_lag_ms: Some(lag * 2 + 400),
        trend,
        rate: Some(212.0),
        stuck: false,
        trouble: None,
    }
}

/// One side of a group that does not run there and has nothing there.
fn nothing() -> GroupSide {
    GroupSide {
        state: Some(GroupState::Dead),
        members: Vec::new(),
        lag: None,
        at: Some(ago(900)),
        time_lag_ms: None,
        trend: vec![None; TREND_LEN],
        rate: None,
        stuck: false,
        trouble: None,
    }
}

fn offer(command: Command) -> Offer {
    Offer { command, refused: None }
}

fn refused(command: Command, why: &str, advice: &str) -> Offer {
    Offer { command, refused: Some(Refusal::refused(why, advice)) }
}

fn resting_offers(group: &str) -> Vec<Offer> {
    let g = || group.to_owned();
    vec![
        offer(Command::estimate(g(), Side::Green)),
        offer(Command::reset_offsets(g(), Side::Green)),
        offer(Command::cut_over(g())),
        refused(Command::roll_back(g()), "it runs on blue already", ""),
        offer(Command::Hold { subject: Subject::Group(g()), why: String::new() }),
    ]
}

/// A group of the plan that rests on blue.
pub fn group(name: &str, team: &str, lag: u64, seed: u64) -> GroupRow {
    GroupRow {
        group: name.into(),
        green_group: name.into(),
        team: team.into(),
        listed: true,
        mode: Mode::Handover,
        kind: GroupKind::Classic,
        stage: Stage::OnBlue,
        side_state: None,
        switch: Some(Observed::seen(SwitchState::Blue, ago(1_200))),
        blue: running(3, lag, trend(|i| noise(i, seed, lag / 2, lag + 2))),
        green: nothing(),
        partitions: Vec::new(),
        run: None,
        estimate: None,
        estimate_to: None,
        estimate_chosen: None,
        measuring: false,
        witnessed: None,
        way_back: WayBack::Exact,
        next: "ready  c".into(),
        offers: resting_offers(name),
        gates: Vec::new(),
        triggers: Vec::new(),
    }
}

/// The record before the cut and the one after it; the same identities on both logs.
fn cut(offset: i64, ts: i64, seed: i64) -> Vec<CutRecord> {
    let id = |i: i64| format!("{:08x}", (seed + i).wrapping_mul(2_654_435_761) & 0xffff_ffff);
    (-1..1)
        .map(|i| CutRecord {
            offset: offset + i,
            ts: ts + i * 212,
            id: id(i),
            key: Some(format!("loan-{}", seed + i)),
            size: Some(231),
            value: None,
        })
        .collect()
}

struct P(&'static str, i32, i64, i64, i64, i64, Verdict, u64);

/// A partition with its plan: blue committed and end, green planned and end.
fn partition(p: &P) -> (PartitionRow, PartitionPlan) {
    let P(topic, number, committed, end, planned, green_end, verdict, re_read) = *p;
    let lag = u64::try_from(end - committed).unwrap_or(0);
    let row = PartitionRow {
        topic: topic.into(),
        partition: number,
        blue: PartitionSide { committed: Some(committed), log_start: Some(0), end: Some(end), lag: Some(lag) },
        green: PartitionSide { committed: None, log_start: Some(0), end: Some(green_end), lag: None },
    };
    let unmappable = verdict == Verdict::Unmappable;
    let plan = PartitionPlan {
        tp: TopicPartition::new(topic, number),
        source: SourcePosition { committed: Some(committed), log_start: 0, end },
        target: TargetPosition { offset: (!unmappable).then_some(planned), log_start: 0, end: green_end },
        strategy: "align".into(),
        verdict,
        re_read: (!unmappable).then_some(re_read),
        missing: (!unmappable).then_some(0),
        missing_ranges: Vec::new(),
        times: Times::default(),
        target_only: 0,
        evidence: if unmappable { "0 of 2000 records pair".into() } else { "content, 412 records compared".into() },
        why: unmappable.then(|| "the producer of audit-raw writes to blue only: its flag must be dual first".into()),
        cut: if unmappable || end == 0 {
            Cut::default()
        } else {
            Cut { source: cut(committed, NOW.0 - 9_000, committed), target: cut(planned, NOW.0 - 8_995, committed) }
        },
        ..PartitionPlan::unmappable(TopicPartition::new(topic, number), "align", "", ago(8_000))
    };
    (row, plan)
}

/// `loan-audit`: measured, ready to go.
pub fn measured(with_unmappable: bool) -> GroupRow {
    use Verdict::{Proven, Unmappable};
    let mut rows = vec![
        P("loan-events", 0, 1_204_113, 1_204_113, 988_410, 988_410, Proven, 0),
        P("loan-events", 1, 1_198_220, 1_198_224, 981_007, 981_011, Proven, 2),
        P("loan-events", 2, 1_201_777, 1_201_790, 985_300, 985_313, Proven, 0),
        P("loan-events", 3, 987_001, 987_064, 801_222, 801_290, Proven, 31),
        P("loan-events", 4, 990_002, 990_031, 805_118, 805_147, Proven, 4),
        P("loan-events", 5, 1_000_412, 1_000_412, 811_900, 811_900, Proven, 0),
        P("loan-notes", 0, 44_120, 44_133, 44_098, 44_111, Proven, 0),
        P("loan-notes", 1, 43_871, 43_880, 43_860, 43_869, Verdict::Bounded, 9),
        P("loan-notes", 2, 0, 0, 0, 0, Proven, 0),
    ];
    if with_unmappable {
        rows.push(P("audit-raw", 4, 55_120_331, 55_120_990, 0, 31_002, Unmappable, 0));
    }
    let (partitions, plans): (Vec<_>, Vec<_>) = rows.iter().map(partition).unzip();
    let mut g = group("loan-audit", "loans", 184, 3);
    g.partitions = partitions;
    g.estimate = Some(Observed::seen(GroupPlan::new(plans), ago(8_000)));
    g.estimate_to = Some(Side::Green);
    if with_unmappable {
        g.side_state = Some(SideState::Blocked { why: "1 partition of 10 is UNMAPPABLE: audit-raw-4".into() });
        g.next = "route audit".into();
        let refusal = refused(
            Command::cut_over("loan-audit"),
            "measured 8s ago: audit-raw-4 is UNMAPPABLE",
            "look at its partitions, mend that, and measure again",
        );
        g.offers.retain(|o| !matches!(o.command, Command::CutOver { .. }));
        g.offers.push(refusal);
    }
    g
}

/// Records with these offsets and identities, a few ms apart.
fn records(first: i64, ts: i64, ids: &[&str]) -> Vec<CutRecord> {
    let record = |(i, id): (i64, &&str)| CutRecord {
        offset: first + i,
        ts: ts + i * 211 + first % 7,
        id: (*id).to_owned(),
        key: (*id != "5eed5eed").then(|| format!("loan-44{}", &id[..2])),
        size: Some(231 + u32::from_str_radix(&id[..2], 16).unwrap_or(0)),
        value: None,
    };
    (0..).zip(ids).map(record).collect()
}

/// `loan-audit` with everything that stands in the way of a cutover: loss, no evidence, no statement; and two writers
/// that interleaved differently.
pub fn alarming() -> GroupRow {
    let mut g = measured(true);
    let Some(Observed::Known { value, .. }) = &mut g.estimate else { panic!("measured") };
    let mut plans = value.partitions.clone();
    for p in &mut plans {
        match (p.tp.topic.as_str(), p.tp.partition) {
            ("loan-events", 1) => {
                p.missing = Some(23);
                p.missing_ranges = vec![(1_198_221, 1_198_222), (1_198_230, 1_198_250), (1_198_301, 1_198_303)];
                p.why = Some("23 sends to green failed between 13:58:02 and 13:58:40".into());
                p.unsettled = Unsettled { consumed: 1, unconsumed: 2, target_only: 0 };
                p.read = (1_412, 1_388);
            }
            ("loan-events", 3) => {
                let ts = NOW.0 - 9_400;
                p.cut.source =
                    records(986_998, ts, &["8b8169f8", "29b8e3a9", "77aa01c2", "d00dfeed", "0badcafe", "5eed5eed"]);
                p.cut.target =
                    records(801_219, ts, &["8b8169f8", "29b8e3a9", "77aa01c2", "0badcafe", "d00dfeed", "4f1c22e0"]);
                (p.source.committed, p.target.offset) = (Some(987_001), Some(801_221));
                p.read = (412, 409);
            }
            ("loan-notes", 0) => {
                (p.verdict, p.missing, p.re_read, p.strategy) = (Verdict::Guess, None, None, "timestamp".into());
                p.evidence = "first record at or after 2026-03-01T13:00:00Z".into();
                p.why = Some("a timestamp is no position: what it skips or repeats is not known".into());
            }
            _ => {}
        }
    }
    g.estimate = Some(Observed::seen(GroupPlan::new(plans), ago(71_000)));
    g.side_state = None;
    g
}

/// The records at the cut of the partition that a screen shows, with values, one of them a tombstone, one expired.
pub fn with_values(m: &Model) -> Cut {
    let rows = m.partition_rows();
    let mut cut = rows.at.and_then(|i| rows.lines[i].plan).expect("measured").cut.clone();
    cut.source.pop();
    for (i, r) in cut.source.iter_mut().chain(&mut cut.target).enumerate() {
        r.value = (i != 1).then(|| format!("{{\"loan\":\"{}\",\"amount\":{}}}", r.id, r.offset));
    }
    cut
}

/// `loan-audit`, measured for a jump to the end.
pub fn to_the_end() -> GroupRow {
    let mut g = measured(false);
    let Some(Observed::Known { value, .. }) = &g.estimate else { panic!("measured") };
    let plans = value.partitions.iter().map(|p| {
        let skipped = u64::try_from(p.source.end - p.source.committed.unwrap_or(0)).unwrap_or(0);
        PartitionPlan {
            strategy: "latest".into(),
            target: TargetPosition { offset: Some(p.target.end), ..p.target },
            verdict: Verdict::Guess,
            re_read: Some(0),
            missing: Some(skipped),
            evidence: "asked for".into(),
            why: Some(format!("skips everything not consumed: {skipped} records, {} s of them", skipped * 4)),
            ..p.clone()
        }
    });
    g.estimate = Some(Observed::seen(GroupPlan::new(plans.collect()), ago(1_000)));
    g.estimate_chosen = Some(Chosen { strategy: Strategy::Latest, at: None, reason: "replayed by hand".into() });
    g
}

/// `loan-ledger`, measured for its way back.
pub fn going_back() -> GroupRow {
    let mut g = soaking();
    let forward = measured(false);
    let Some(plan) = forward.estimate.as_ref().and_then(|e| e.value()) else { panic!("measured") };
    let turned = plan.partitions.iter().map(|p| PartitionPlan {
        source: SourcePosition { committed: p.target.offset, log_start: p.target.log_start, end: p.target.end },
        target: TargetPosition { offset: p.source.committed, log_start: p.source.log_start, end: p.source.end },
        cut: Cut { source: p.cut.target.clone(), target: p.cut.source.clone() },
        ..p.clone()
    });
    g.estimate = Some(Observed::seen(GroupPlan::new(turned.collect()), ago(3_000)));
    g.estimate_to = Some(Side::Blue);
    g
}

pub const STEPS: [&str; 6] = [
    "check the facts once more",
    "stop on blue (kubectl scale deploy/doc-index --replicas=0)",
    "wait Empty, commits still",
    "translate 9 partitions",
    "commit on green, read back",
    "start on green, wait Stable",
];

/// A run that has come to step `at` (from 0).
pub fn run(kind: RunKind, at: usize, waiting: &str) -> RunView {
    let steps = STEPS
        .iter()
        .enumerate()
        .map(|(i, what)| {
            let state = match i.cmp(&at) {
                std::cmp::Ordering::Less => StepState::Done { at: ago(40_000 - 4_000 * i as i64) },
                std::cmp::Ordering::Equal => StepState::Doing { since: ago(9_000), waiting: waiting.into() },
                std::cmp::Ordering::Greater => StepState::Todo,
            };
            ((*what).to_owned(), state)
        })
        .collect();
    RunView {
        run: 7,
        kind,
        to: Side::Green,
        actor: "ana@bastion".into(),
        started: ago(41_000),
        dry_run: false,
        steps,
        no_return_after: Some(5),
        predicted_re_read: (at > 3).then_some(37),
        max_re_read: Some(500),
        because: None,
        offsets: (at > 3).then(|| RunOffsets {
            side: Side::Green,
            plan: GroupPlan { totals: Totals { re_read: Some(37), missing: Some(0) }, ..GroupPlan::default() },
            before: Vec::new(),
            after: Vec::new(),
        }),
        passed_over: Vec::new(),
        deadline: (at < STEPS.len()).then(|| NOW.plus(51_000)),
    }
}

/// `doc-index`, being drained.
pub fn draining() -> GroupRow {
    let mut g = group("doc-index", "docs", 9, 11);
    g.stage = Stage::Moving { run: 7, kind: RunKind::CutOver, phase: MovePhase::Draining };
    g.blue.state = Some(GroupState::Empty);
    g.blue.members.clear();
    g.blue.trend = trend(|i| Some(if i < 100 { 40 + wobble(i, 4) % 20 } else { 60 - (i - 100) * 5 / 2 }));
    g.partitions = measured(false).partitions;
    g.estimate = measured(false).estimate;
    g.estimate_to = Some(Side::Green);
    g.run = Some(run(RunKind::CutOver, 2, "Empty, commits still 9s of 15s"));
    g.next = "wait still 6s".into();
    g.offers = vec![
        offer(Command::roll_back(g.group.clone())),
        refused(Command::cut_over(g.group.clone()), "run 7 moves it already", "b takes it back."),
        offer(Command::Hold { subject: Subject::Group(g.group.clone()), why: String::new() }),
    ];
    g
}

/// `loan-ledger`, on green and watched.
pub fn soaking() -> GroupRow {
    let mut g = group("loan-ledger", "loans", 0, 5);
    g.stage = Stage::Soaking { since: ago(60_000_000) };
    g.blue = GroupSide {
        state: Some(GroupState::Empty),
        lag: Some(0),
        at: Some(ago(900)),
        trend: trend(|_| Some(0)),
        ..nothing()
    };
    g.green =
        running(3, 12, trend(|i| Some(if i < 60 { 0 } else { 60u64.saturating_sub((i - 60) * 3) + wobble(i, 9) % 6 })));
    g.partitions = measured(false).partitions;
    g.switch = Some(Observed::seen(SwitchState::Green, ago(1_200)));
    g.run = Some(run(RunKind::CutOver, 6, ""));
    g.witnessed = Some(Witnessed { processed: 48_210, lost: 0, re_read: 37, at: ago(700) });
    g.way_back = WayBack::Bounded { re_read: 41 };
    g.next = "lag HOLD 2h11m".into();
    g.offers = vec![
        offer(Command::estimate(g.group.clone(), Side::Blue)),
        offer(Command::roll_back(g.group.clone())),
        refused(
            Command::Complete { group: g.group.clone() },
            "lag < 100 has held for 1h49m of 4h",
            "Wait, or see its gates.",
        ),
        offer(Command::Hold { subject: Subject::Group(g.group.clone()), why: String::new() }),
    ];
    g
}

fn needs_operator() -> GroupRow {
    let mut g = group("cust-360", "cust", 38, 8);
    g.stage = Stage::Soaking { since: ago(7_200_000) };
    g.side_state = Some(SideState::NeedsOperator {
        why: "a commit moved on blue at 14:01:33 although the group runs on green".into(),
        advice: "Somebody started a consumer on blue: stop app-1 at 10.4.2.1, then press g.".into(),
    });
    g.green = running(2, 4, trend(|i| noise(i, 2, 1, 9)));
    g.blue.lag = Some(9);
    g.way_back =
        WayBack::Closed { why: "dual writing of cust-events ended at 13:20: blue lacks what came after".into() };
    g.next = "stop app-1".into();
    g.offers = vec![offer(Command::Continue { group: g.group.clone() }), offer(Command::roll_back(g.group.clone()))];
    g
}

fn held() -> GroupRow {
    let mut g = group("card-fraud", "cards", 210, 14);
    g.side_state =
        Some(SideState::Held { by: "raj@bastion".into(), why: "quarter end: nothing moves before Tuesday".into() });
    g.next = "held".into();
    g.offers = vec![offer(Command::Resume { subject: Subject::Group(g.group.clone()) })];
    g
}

fn unlisted(name: &str, kind: GroupKind, seed: u64) -> GroupRow {
    let mut g = group(name, "", 3, seed);
    g.listed = false;
    g.kind = kind;
    g.switch = None;
    g.way_back = WayBack::Unknown { why: "not in the plan".into() };
    g.next = String::new();
    g.offers = Vec::new();
    g
}

/// What samples say of a producer.
pub fn sampled(missing: u64, age: i64, unknown: Option<&str>) -> Fidelity {
    Fidelity::Sampled(FidelityFigure {
        at: ago(age),
        stale_after_ms: 120_000,
        partitions: (12, 12),
        found: 3_412,
        missing,
        only_green: 0,
        doubled: 0,
        unknown: unknown.map(Into::into),
    })
}

pub fn producer(name: &str, team: &str, topics: &[&str], flag: FlagState) -> ProducerRow {
    let subject = Subject::Producer(name.into());
    let (blue, green) = match flag {
        FlagState::Blue => (Some(212.0), Some(0.0)),
        FlagState::Dual => (Some(212.0), Some(211.6)),
        FlagState::Green => (Some(0.0), Some(214.0)),
        FlagState::Off => (Some(0.0), Some(0.0)),
    };
    let route = |to| Command::Route { producer: name.into(), to };
    let offers = match flag {
        FlagState::Blue => vec![
            offer(route(FlagState::Dual)),
            refused(route(FlagState::Green), "it is critical: it passes through dual", "Route it to dual first."),
        ],
        FlagState::Dual => vec![
            offer(route(FlagState::Blue)),
            refused(
                route(FlagState::Green),
                "loan-audit still reads loan-events on blue: it would starve",
                "Cut loan-audit over first.",
            ),
        ],
        _ => vec![offer(route(FlagState::Dual))],
    };
    let hold = Offer { command: Command::Hold { subject, why: String::new() }, refused: None };
    ProducerRow {
        name: name.into(),
        team: team.into(),
        topics: topics.iter().map(|t| (*t).to_owned()).collect(),
        critical: true,
        transactional: false,
        flag: Some(Observed::seen(flag, ago(1_400))),
        observed: ObservedWriting { blue_rate: blue, green_rate: green, shared: Vec::new(), at: Some(ago(900)) },
        fidelity: match (flag, name) {
            (FlagState::Dual, "loan-api") => sampled(0, 8_000, None),
            (FlagState::Dual, "doc-store") => sampled(3, 12_000, None),
            (FlagState::Dual, "card-auth") => sampled(0, 240_000, None),
            (FlagState::Dual, "mail-out") => Fidelity::NotSampled { why: "mail: mail-0 has no record yet".into() },
            _ => Fidelity::NotDual,
        },
        disagreement: None,
        side_state: None,
        run: None,
        next: match flag {
            FlagState::Blue => "ready for dual  r".into(),
            FlagState::Dual => "waits for 1 group".into(),
            _ => "done".into(),
        },
        offers: offers.into_iter().chain([hold]).collect(),
        eos: None,
    }
}

fn producers() -> Vec<ProducerRow> {
    let mut all = vec![
        producer("loan-api", "loans", &["loan-events", "loan-notes"], FlagState::Dual),
        producer("doc-store", "docs", &["doc-events"], FlagState::Dual),
        producer("cust-sync", "cust", &["cust-events"], FlagState::Green),
        producer("audit", "risk", &["audit-raw"], FlagState::Blue),
        producer("card-auth", "cards", &["card-auth"], FlagState::Dual),
    ];
    let mut ledger = producer("ledger", "loans", &["ledger"], FlagState::Blue);
    ledger.transactional = true;
    ledger.next = "hard cutover only".into();
    ledger.offers = vec![refused(
        Command::Route { producer: "ledger".into(), to: FlagState::Dual },
        "ledger is transactional: a transaction can't span clusters",
        "It is cut over in a window, not routed.",
    )];
    let mut odd = producer("mail-out", "docs", &["mail"], FlagState::Dual);
    odd.disagreement =
        Some("says dual, but nothing has been written to mail on green for 4m: is the new version rolled out?".into());
    odd.observed.green_rate = Some(0.0);
    odd.next = "look at it".into();
    let mut lost = producer("batch-imports", "risk", &["imports"], FlagState::Blue);
    lost.flag = Some(Observed::Absent {
        why: Trouble::new(
            "flags.json has no flag `batch-imports-cluster`",
            "Add it, or correct `key` in cutover.toml line 88.",
        ),
    });
    lost.critical = false;
    lost.next = "flag unknown".into();
    all.extend([ledger, odd, lost]);
    all
}

fn side(side: Side) -> SideView {
    let green = side == Side::Green;
    SideView {
        side,
        name: if green { "psc".into() } else { "legacy".into() },
        bootstrap: if green { "green-1.psc.example:9092".into() } else { "blue-1.legacy:9092".into() },
        link: Observed::seen(42, ago(1_000)),
        cluster_id: Some(if green { "lkc-9Zq0aX7sQ2mB".into() } else { "m4Xw0dXyQpGx1kTzV9cB2g".into() }),
        identity_trouble: None,
        brokers: (3, 3),
        broker_troubles: Vec::new(),
        under_replicated: 0,
        leaderless: 0,
        topics: 12,
        in_rate: Some(if green { 5_204.0 } else { 5_211.0 }),
        out_rate: Some(if green { 212.0 } else { 4_998.0 }),
        lag: Some(if green { 16 } else { 622 }),
        trend: if green {
            trend(|i| (i >= 60).then(|| (60u64.saturating_sub(i - 60)) * 14 + wobble(i, 7) % 30))
        } else {
            trend(|i| {
                if (88..94).contains(&i) {
                    None
                } else {
                    Some(420 + wobble(i, 6) % 240 + if i > 100 { 180 } else { 0 })
                }
            })
        },
        oldest_ms: Some(if green { 400 } else { 2_100 }),
    }
}

fn line(seq: u64, before: i64, actor: &str, subject: Subject, text: &str) -> JournalLine {
    JournalLine { seq, at: ago(before), actor: actor.into(), subject: Some(subject), text: text.into() }
}

fn journal() -> Vec<JournalLine> {
    let g = |n: &str| Subject::Group(n.into());
    vec![
        line(204, 7_400_000, "ana@bastion", g("cust-360"), "cut over to green: run 6 started (typed `green cust-360`)"),
        line(205, 7_390_000, "controller", g("cust-360"), "drained: Empty 16s, commits still 16s, 9 samples"),
        line(206, 7_380_000, "controller", g("cust-360"), "predicted: 0 lost, 12 re-read over 6 partitions; limit 500"),
        line(207, 7_370_000, "controller", g("cust-360"), "committed 6 partitions on green, read back"),
        line(208, 7_360_000, "controller", g("cust-360"), "point of no silent return"),
        line(209, 7_340_000, "controller", g("cust-360"), "run 6 done: on green, Stable with 2 members"),
        line(210, 900_000, "raj@bastion", g("card-fraud"), "held: quarter end: nothing moves before Tuesday"),
        line(211, 120_000, "ana@bastion", Subject::Producer("card-auth".into()), "flag set to dual, read back"),
        line(212, 41_000, "ana@bastion", g("doc-index"), "cut over to green: run 7 started (typed `green doc-index`)"),
        line(213, 38_000, "controller", g("cust-360"), "a commit moved on blue at 14:01:33"),
        line(214, 32_000, "controller", g("doc-index"), "switch set to off, read back"),
    ]
}

fn notices() -> Vec<Notice> {
    let n = |before, severity, subject, what: &str, advice: &str| Notice {
        at: ago(before),
        severity,
        subject,
        trouble: Trouble::new(what, advice),
    };
    vec![
        n(
            240_000,
            Severity::Warn,
            Subject::Producer("mail-out".into()),
            "mail-out says dual, but nothing is written to mail on green",
            "Look whether the new version is rolled out; until then its groups can't be moved.",
        ),
        n(120_000, Severity::Info, Subject::Cluster(Side::Blue), "blue-2.legacy:9092 answered again after 14s", ""),
        n(
            38_000,
            Severity::Fail,
            Subject::Group("cust-360".into()),
            "A commit moved on blue although cust-360 runs on green",
            "Stop app-1 at 10.4.2.1, then press g on the group.",
        ),
    ]
}

fn phases() -> Vec<PhaseView> {
    let p = |number, name: &str, done, total| PhaseView { number, name: name.into(), done, total };
    vec![p(1, "Provision", 14, 14), p(2, "Producers", 29, 32), p(3, "Consumers", 6, 41), p(4, "Soak", 0, 0)]
}

/// The whole estate.
pub fn estate() -> Snapshot {
    let mut groups = vec![needs_operator(), draining(), measured(true), held(), soaking()];
    groups.extend([
        group("loan-report", "loans", 31, 21),
        group("mail-sender", "docs", 4, 22),
        group("risk-score", "risk", 88, 23),
        group("stmt-render", "docs", 12, 24),
    ]);
    let mut stuck = group("legacy-batch", "risk", 48_213, 25);
    stuck.blue.stuck = true;
    stuck.blue.trend = trend(|i| Some(9_000 + i * 330));
    stuck.next = "stuck on blue".into();
    groups.push(stuck);
    let mut done = group("card-audit", "cards", 0, 26);
    done.stage = Stage::Complete { at: ago(600_000_000) };
    done.blue = nothing();
    done.green = running(2, 1, trend(|i| noise(i, 77, 0, 4)));
    done.way_back = WayBack::Closed { why: "declared complete".into() };
    done.next = "done".into();
    done.offers = Vec::new();
    groups.push(done);
    groups.push(unlisted("connect-s3-sink", GroupKind::Other, 31));
    groups.push(unlisted("console-consumer-4410", GroupKind::Classic, 32));
    groups.push(unlisted("share-checkout", GroupKind::Share, 33));
    Snapshot {
        schema: 1,
        seq: 812,
        now: NOW,
        header: Header {
            migration: "loans-psc".into(),
            arming: Arming::Armed,
            controller: "ana@bastion".into(),
            pid: 4711,
            journal: "/srv/loans/journal.sqlite".into(),
            plan: "/srv/loans/cutover.toml".into(),
            stale_after_ms: 10_000,
        },
        phases: phases(),
        blue: side(Side::Blue),
        green: side(Side::Green),
        groups,
        producers: producers(),
        notices: notices(),
        countdowns: Vec::new(),
        diff: None,
        journal: journal(),
    }
}

/// What the controller says a cutover of `loan-audit` would do.
pub fn prepared() -> Prepared {
    let step = |what: &str, timeout_ms, undo: Option<&str>| StepLine {
        what: what.into(),
        timeout_ms,
        undo: undo.map(str::to_owned),
    };
    Prepared {
        command: Command::cut_over("loan-audit"),
        title: "Cut over loan-audit to GREEN".into(),
        steps: vec![
            step("stop on blue (kubectl scale deploy/loan-audit --replicas=0)", Some(60_000), Some("start on blue")),
            step("wait Empty, commits still 15s", Some(120_000), Some("start on blue")),
            step("translate 9 partitions", Some(30_000), Some("start on blue")),
            step("commit on green, read back", Some(30_000), Some("old offsets back")),
            step("start on green, wait Stable", Some(120_000), Some("roll back")),
        ],
        no_return_after: Some(4),
        level: Level::Typed("green loan-audit".into()),
        max_re_read: Some(500),
        way_back: "EXACT: loan-api writes to both; blue keeps 7 days.".into(),
        warnings: vec!["2 of its consumers are static members: they leave after session.timeout.ms (45s), not at once.".into()],
        rows: Vec::new(),
        gates: Vec::new(),
        by_hand: vec![
            "kafka-consumer-groups --bootstrap-server green-1.psc.example:9092 --group loan-audit --reset-offsets --topic loan-events:0 --to-offset 988410 --execute".into(),
            "kafka-consumer-groups --bootstrap-server green-1.psc.example:9092 --group loan-audit --reset-offsets --topic loan-events:1 --to-offset 981007 --execute".into(),
        ],
        facts: "f00d".into(),
    }
}
