//! The hard cutover of an exactly-once producer: its gate, its run, its soak, its alarm.

use cutover::base::{Observed, Side, TopicPartition};
use cutover::estate::FlagState;
use cutover::migration::eos::{EosView, FencedId, GreenOnly, HardGateRow, PartitionSeam, RowId};
use cutover::migration::facts::command::{Command, Level, Offer, Prepared, Refusal, StepLine, Subject};
use cutover::migration::facts::event::RunKind;
use cutover::migration::facts::stage::{MovePhase, NextStep, RunView, SideState, Stage, StepState};
use cutover::migration::rules::gate::Gate;
use cutover::snapshot::{ProducerRow, Reply, Snapshot};
use cutover::tui::model::Model;
use cutover::tui::update::{Msg, update};

use crate::fixture::{self, NOW, ago};
use crate::scenes::{press, question};

fn row(id: RowId, what: &str, value: &str) -> HardGateRow {
    HardGateRow {
        id,
        what: what.into(),
        gate: Gate::Pass,
        value: value.into(),
        at: Some(ago(900)),
        advice: String::new(),
    }
}

fn not(id: RowId, what: &str, gate: Gate, advice: &str) -> HardGateRow {
    HardGateRow { gate, advice: advice.into(), ..row(id, what, "") }
}

/// The gate as it passes.
fn passing() -> Vec<HardGateRow> {
    vec![
        row(RowId::Flag, "dual-write flag off", "blue"),
        row(RowId::NewIds, "green ids new and unused", "ledger-psc-1 .. ledger-psc-4 (4)"),
        row(RowId::Window, "cutover window open", "sunday-night open, 1h47m left"),
        row(RowId::Topics, "topics on both, written by it alone", "2 topics"),
        row(RowId::Transactions, "no overlong or hanging transaction", "1 open, all young"),
        row(RowId::Readers, "readers ready to move on the seam", "2 groups"),
        row(RowId::Coupled, "groups whose offsets it commits move with it", "ledger-in"),
        row(RowId::Permissions, "nothing asked for is hidden", "told"),
        row(RowId::WayBack, "way back proven", "kept 72h"),
        row(RowId::Approval, "a second person agrees", "raj@bastion agreed"),
    ]
}

/// The gate with a row of each kind.
fn locked() -> Vec<HardGateRow> {
    let mut rows = passing();
    let why = "ledger-3, pid 4012, open 2m21s, its timeout is 1m00s".to_owned();
    let ends = "wait for it, or end it: fencing aborts it";
    rows[4] = not(RowId::Transactions, "no overlong or hanging transaction", Gate::Hold { left_ms: 0, why }, ends);
    let why = "ledger-enrich on a seam: its mode is overlap".to_owned();
    let mode = "set its mode to handover: on both sides of a seam it would read twice";
    rows[5] = not(RowId::Readers, "readers ready to move on the seam", Gate::Fail { why }, mode);
    let why = "ledger-2 on blue: DescribeTransactions answered TRANSACTIONAL_ID_AUTHORIZATION_FAILED".to_owned();
    let allow = "allow this principal to DESCRIBE its transactional ids and to READ its topics";
    rows[7] = not(RowId::Permissions, "nothing asked for is hidden", Gate::Unknown { why }, allow);
    rows
}

fn standing(stage: Stage, on: Side, live: Vec<HardGateRow>) -> EosView {
    EosView {
        stage,
        on,
        to: on.other(),
        gate: live.iter().fold(Gate::Pass, |g, r| g.and(r.gate.clone())),
        live,
        after: Vec::new(),
        seam: None,
        fenced: Vec::new(),
        denied: false,
        green_only: None,
        kept_until: None,
        approved_by: None,
        lose: None,
    }
}

/// On green since twelve minutes.
fn soaking() -> EosView {
    let seam =
        |partition, source, target| PartitionSeam { tp: TopicPartition::new("ledger", partition), source, target };
    let fenced = |n: i64| FencedId { id: format!("ledger-{n}"), producer_id: 4_000 + n, epoch: 12 };
    EosView {
        seam: Some((ago(720_000), vec![seam(0, 120_411, 12), seam(1, 118_007, 9)])),
        fenced: (1..=4).map(fenced).collect(),
        green_only: Some(4_670),
        kept_until: Some(NOW.plus(258_480_000)),
        lose: Some(5_000),
        ..standing(Stage::Soaking { since: ago(720_000) }, Side::Green, passing())
    }
}

fn steps(doing: usize) -> Vec<(String, StepState)> {
    let words = [
        "check every row of the gate again",
        "set the flag to off, read back (set ledger-cluster to off in /srv/loans/flags.json)",
        "wait for the end of its transactions on blue",
        "fence its 4 ids on blue",
        "deny User:ledger to write with its 4 ids on blue",
        "settled, fenced, closed on blue, nobody on green, held 10s",
        "translate ledger-in to green: PROVEN, 0 lost, 0 re-read",
        "commit ledger-in on green, read back",
        "journal the seam: the end of blue, the high watermark of green",
        "allow on green what an earlier cut denied there, if any",
        "set the flag to green, read back (set ledger-cluster to green in /srv/loans/flags.json)",
        "see its first committed transaction on green",
        "see blue stand still for 10s, nobody past the fence",
    ];
    let state = |i: usize| match i.cmp(&doing) {
        std::cmp::Ordering::Less => StepState::Done { at: ago(4_000) },
        std::cmp::Ordering::Equal => StepState::Doing { since: ago(3_000), waiting: "held 3s of 10s".into() },
        std::cmp::Ordering::Greater => StepState::Todo,
    };
    words.iter().enumerate().map(|(i, what)| ((*what).to_owned(), state(i))).collect()
}

fn run(doing: usize) -> RunView {
    RunView {
        run: 9,
        kind: RunKind::HardCut,
        to: Side::Green,
        actor: "ana@bastion".into(),
        started: ago(21_000),
        dry_run: false,
        steps: steps(doing),
        no_return_after: Some(9),
        predicted_re_read: None,
        max_re_read: None,
        deadline: Some(NOW.plus(27_000)),
        because: None,
        offsets: None,
        passed_over: Vec::new(),
    }
}

fn ledger(eos: EosView, run: Option<RunView>, side_state: Option<SideState>) -> ProducerRow {
    let flag = if eos.on == Side::Green { FlagState::Green } else { FlagState::Blue };
    let mut p = fixture::producer("ledger", "loans", &["ledger", "ledger-audit"], flag);
    let name = || "ledger".to_owned();
    p.transactional = true;
    p.critical = false;
    p.offers = match eos.on {
        Side::Blue => vec![Command::hard_cut(name()), Command::Approve { producer: name() }],
        Side::Green => vec![
            Command::hard_back(name(), GreenOnly::Carry),
            Command::hard_back(name(), GreenOnly::Lose),
            Command::complete(Subject::Producer(name())),
        ],
    }
    .into_iter()
    .map(|command| Offer { command, refused: None })
    .collect();
    p.next = match (&eos.stage, eos.gate.why()) {
        (Stage::Moving { .. }, _) => "held 3s of 10s".into(),
        (Stage::Soaking { .. }, _) => "way back kept 71h48m".into(),
        (_, Some(why)) => why.into(),
        _ => NextStep::ready("ready for the hard cutover"),
    };
    (p.eos, p.run, p.side_state) = (Some(Box::new(eos)), run, side_state);
    p
}

fn estate(row: ProducerRow) -> Snapshot {
    let mut s = fixture::estate();
    let at = s.producers.iter().position(|p| p.name == row.name).expect("in the fixture");
    s.producers[at] = row;
    s
}

fn on(row: ProducerRow, size: (u16, u16), keys: &[&str]) -> Model {
    let mut m = fixture::model(estate(row), size);
    m.producer = Some("ledger".into());
    press(&mut m, keys);
    m
}

fn prepared() -> Prepared {
    let lines = steps(usize::MAX);
    let undo = |i: usize| if i < 9 { "start on blue again" } else { "roll back" };
    let steps = lines.into_iter().enumerate().map(|(i, (what, _))| StepLine {
        what,
        timeout_ms: [None, None, Some(120_000), Some(60_000)].get(i).copied().flatten(),
        undo: (i > 0).then(|| undo(i).to_owned()),
    });
    Prepared {
        command: Command::hard_cut("ledger"),
        title: "Cut ledger over to GREEN (exactly-once, hard)".into(),
        steps: steps.collect(),
        no_return_after: Some(9),
        level: Level::Typed("green ledger".into()),
        max_re_read: None,
        way_back:
            "roll back within 72h: what green alone holds by then is carried to blue exactly once, or its loss is typed"
                .into(),
        warnings: vec!["nobody writes ledger for about 20s: drain, 10s of standing still, the switch".into()],
        gates: Vec::new(),
        rows: passing(),
        diff: Vec::new(),
        by_hand: vec!["kafka-transactions.sh --bootstrap-server blue-1.legacy:9092 describe".into()],
        facts: "facts".into(),
    }
}

/// The dialog that `e` opens, answered.
fn dialog(size: (u16, u16), live: Vec<HardGateRow>, result: Result<Box<Prepared>, Refusal>) -> Model {
    let mut m = on(ledger(standing(Stage::OnBlue, Side::Blue, live), None, None), size, &["2"]);
    let id = question(&press(&mut m, &["e"]));
    let at = m.now.plus(30);
    update(&mut m, Msg::Reply(Reply::Prepared { id, result }, at));
    let at = m.now.plus(500);
    update(&mut m, Msg::Tick(at));
    m
}

#[test]
fn ids_and_topics_that_look_alike_are_told_apart() {
    let mut eos = soaking();
    eos.fenced[0].id = "ledger-\u{430}".into();
    if let Some((_, seams)) = &mut eos.seam {
        seams[0].tp = TopicPartition::new("l\u{435}dger", 0);
    }
    let mut row = ledger(eos, Some(run(13)), None);
    row.topics = vec!["ledger".into(), "l\u{435}dger".into()];
    let page = crate::looks::text(&crate::pictures::drawn(&on(row, (160, 40), &["2", "enter"])));
    for piece in ["ledger-\\u{430} pid 4001 epoch 12, ", "l\\u{435}dger-0 120411 to 12", "ledger l\\u{435}dger"] {
        assert!(page.contains(piece), "{piece} in\n{page}");
    }
}

/// Every picture of a hard cutover.
pub fn scenes(out: &mut Vec<(&'static str, Model)>) {
    let (small, wide) = ((80, 24), (120, 40));
    let blue = |live| ledger(standing(Stage::OnBlue, Side::Blue, live), None, None);
    let open: &[&str] = &["2", "enter"];
    out.push(("hard_table_80x24", on(blue(locked()), small, &["2"])));
    out.push(("hard_ready_80x24", on(blue(passing()), small, open)));
    out.push(("hard_locked_80x24", on(blue(locked()), small, open)));
    out.push(("hard_locked_120x40", on(blue(locked()), wide, open)));
    out.push(("hard_locked_60x16", on(blue(locked()), (60, 16), open)));
    let moving = || {
        let stage = Stage::Moving { run: 9, kind: RunKind::HardCut, phase: MovePhase::Fenced };
        let after = vec![
            row(RowId::Settled, "blue ids Empty or Complete", "ledger-1 .. ledger-4 CompleteCommit"),
            row(RowId::Fenced, "blue ids fenced", "FENCED, and denied by ACL"),
            not(
                RowId::Closed,
                "LSO = high watermark on blue for 10s",
                Gate::Hold { left_ms: 7_000, why: "held 3s of 10s".into() },
                "wait",
            ),
            row(RowId::TargetStill, "nobody writes its topics on green yet", "held 12s"),
        ];
        let eos = EosView { after, to: Side::Green, ..standing(stage, Side::Blue, passing()) };
        let mut row = ledger(eos, Some(run(5)), None);
        row.flag = Some(Observed::seen_at(FlagState::Off, ago(900)));
        row
    };
    out.push(("hard_moving_80x24", on(moving(), small, open)));
    out.push(("hard_moving_120x40", on(moving(), wide, open)));
    out.push(("hard_soaking_80x24", on(ledger(soaking(), Some(run(13)), None), small, open)));
    let denied = EosView { denied: true, ..soaking() };
    out.push(("hard_soaking_120x40", on(ledger(denied, Some(run(13)), None), wide, open)));
    let alarm = SideState::NeedsOperator {
        why: "blue is written: ledger-1 grew from 118007 to 118012, by ledger-2 (pid 4002, epoch 13)".into(),
        advice: "stop that instance; what it wrote is on blue alone".into(),
    };
    out.push(("hard_alarm_80x24", on(ledger(soaking(), Some(run(13)), Some(alarm)), small, open)));
    out.push(("hard_confirm_80x24", dialog(small, passing(), Ok(Box::new(prepared())))));
    out.push(("hard_confirm_120x40", dialog(wide, passing(), Ok(Box::new(prepared())))));
    let refusal = Refusal::holds("ledger-3, pid 4012, open 2m21s, its timeout is 1m00s", "wait for it, or end it");
    out.push(("hard_refused_80x24", dialog(small, locked(), Err(refusal))));
}
