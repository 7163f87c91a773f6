//! The screens worth a picture, each as a person would come to it.

use crokey::KeyCombination;
use crossterm::event::KeyEvent;
use cutover::base::{At, Observed, Trouble};
use cutover::migration::facts::command::{Command, Level, Offer, Prepared, Refusal, Subject};
use cutover::snapshot::{Arming, Ask, Reply, Snapshot};
use cutover::tui::model::Model;
use cutover::tui::theme::Glyphs;
use cutover::tui::update::{Cmd, Msg, update};

use crate::fixture::{self, NOW};

/// Presses keys one after the other, 400 ms apart; a word of several letters that names no key is typed.
pub fn press(m: &mut Model, keys: &[&str]) -> Vec<Cmd> {
    let mut cmds = Vec::new();
    for key in keys {
        let at = m.now.plus(400);
        match crokey::parse(key) {
            Ok(k) => cmds.extend(update(m, Msg::Key(event(k.normalized()), at))),
            Err(_) => {
                for c in key.chars() {
                    cmds.extend(update(
                        m,
                        Msg::Key(
                            KeyEvent::new(crossterm::event::KeyCode::Char(c), crossterm::event::KeyModifiers::NONE),
                            at,
                        ),
                    ));
                }
            }
        }
    }
    cmds
}

fn event(k: KeyCombination) -> KeyEvent {
    k.into()
}

/// The number of the question that the controller is to answer.
pub fn question(cmds: &[Cmd]) -> u64 {
    cmds.iter()
        .rev()
        .find_map(|c| match c {
            Cmd::Ask(Ask::Prepare { id, .. }) => Some(*id),
            Cmd::Ask(Ask::Execute { id, facts: Some(_), .. }) => Some(*id),
            _ => None,
        })
        .expect("a question was asked")
}

/// Opens the confirm dialog of `loan-audit` and answers it.
pub fn confirming(m: &mut Model) {
    m.group = Some("loan-audit".into());
    let cmds = press(m, &["c"]);
    let id = question(&cmds);
    let at = m.now.plus(30);
    update(m, Msg::Reply(Reply::Prepared { id, result: Ok(Box::new(fixture::prepared())) }, at));
    let at = m.now.plus(500);
    update(m, Msg::Tick(at));
}

/// Opens the dialog that declares the soak of `loan-ledger` complete.
pub fn completing(m: &mut Model) {
    let command = Command::complete(Subject::Group("loan-ledger".into()));
    let mut s = m.snapshot.as_ref().map(|s| (**s).clone()).expect("a snapshot");
    let g = s.groups.iter_mut().find(|g| g.group == "loan-ledger").expect("in the fixture");
    g.offers.retain(|o| !matches!(o.command, Command::Complete { .. }));
    g.offers.push(Offer { command: command.clone(), refused: None });
    s.seq += 1;
    let at = m.now;
    update(m, Msg::Snapshot(std::sync::Arc::new(s), at));
    m.group = Some("loan-ledger".into());
    let id = question(&press(m, &["d"]));
    let prepared = Prepared {
        command,
        title: "Declare the soak of loan-ledger complete".into(),
        steps: Vec::new(),
        no_return_after: None,
        level: Level::Key,
        max_re_read: None,
        way_back:
            "none: there is no undo, a soak is not opened again. A rollback by hand stays as long as blue is kept \
                   (now EXACT)"
                .into(),
        warnings: vec![
            "ends the soak: its criteria are not judged any more, and the clocks of its evidence stop".into(),
            "nothing rolls it back by itself: not watched any more: green-lag".into(),
        ],
        gates: Vec::new(),
        rows: Vec::new(),
        diff: Vec::new(),
        by_hand: Vec::new(),
        facts: "f00d".into(),
    };
    let at = m.now.plus(30);
    update(m, Msg::Reply(Reply::Prepared { id, result: Ok(Box::new(prepared)) }, at));
    let at = m.now.plus(500);
    update(m, Msg::Tick(at));
}

/// The estate with `loan-audit` free to go.
pub fn free() -> Snapshot {
    let mut s = fixture::estate();
    let at = s.groups.iter().position(|g| g.group == "loan-audit").expect("in the fixture");
    s.groups[at] = fixture::measured(false);
    s
}

fn with(mut f: impl FnMut(&mut Snapshot)) -> Snapshot {
    let mut s = fixture::estate();
    f(&mut s);
    s
}

pub fn on(s: Snapshot, size: (u16, u16), f: impl FnOnce(&mut Model)) -> Model {
    let mut m = fixture::model(s, size);
    f(&mut m);
    m
}

/// Names that try to break a screen.
pub fn hostile() -> Snapshot {
    let names = [
        "日本語の消費者グループの名前がとても長い",
        "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}combining",
        "👩‍👩‍👧‍👦-family-of-consumers-with-a-zero-width-joiner",
        "a-very-long-name-that-goes-on-and-on-and-differs-only-at-its-end-00000000000000000000000000000000001",
        "ر-right-to-left-עברית",
        "\u{7}bell\u{1b}[31mred",
        "",
    ];
    with(|s| {
        s.groups = names.iter().zip(1..).map(|(n, i)| fixture::group(n, n, i * 1_000_000_007, i)).collect();
        s.header.migration = names[0].repeat(3);
        s.blue.name = names[3].into();
        s.green.name = names[2].into();
        s.blue.lag = Some(u64::MAX);
        s.blue.trend = vec![Some(u64::MAX), Some(0), None, Some(u64::MAX / 2)];
    })
}

/// The estate with another row for one of its groups.
pub fn replaced(row: cutover::snapshot::GroupRow) -> Snapshot {
    with(|s| {
        let at = s.groups.iter().position(|g| g.group == row.group).expect("in the fixture");
        s.groups[at] = row.clone();
    })
}

/// A group's partitions, and one of them opened.
fn partitions(out: &mut Vec<(&'static str, Model)>) {
    let at = |row, size, keys: &[&str]| {
        let row: cutover::snapshot::GroupRow = row;
        let mut m = fixture::model(replaced(row.clone()), size);
        m.group = Some(row.group);
        press(&mut m, keys);
        m
    };
    let (small, wide) = ((80, 24), (140, 40));
    out.push(("partitions_80x24", at(fixture::alarming(), small, &["enter"])));
    out.push(("partitions_140x40", at(fixture::alarming(), wide, &["enter"])));
    out.push(("partitions_60x16", at(fixture::alarming(), (60, 16), &["enter"])));
    out.push(("partitions_filtered", at(fixture::alarming(), small, &["enter", "/", "proven events", "enter"])));
    out.push(("partitions_back_80x24", at(fixture::going_back(), small, &["enter"])));
    out.push(("partition_loss_80x24", at(fixture::alarming(), small, &["enter", "enter"])));
    let crossed = &["enter", "/", "events-3", "enter", "enter"];
    out.push(("partition_cut_80x24", at(fixture::alarming(), small, crossed)));
    out.push(("partition_cut_140x40", at(fixture::alarming(), wide, crossed)));
    let mut m = at(fixture::alarming(), small, crossed);
    let cmds = press(&mut m, &["s"]);
    let [Cmd::Ask(Ask::Records { id, .. })] = cmds[..] else { panic!("{cmds:?}") };
    let result = Ok(fixture::with_values(&m));
    let now = m.now.plus(50);
    update(&mut m, Msg::Reply(Reply::Records { id, result }, now));
    out.push(("partition_values", m));
    out.push(("partition_unmappable", at(fixture::alarming(), small, &["enter", "j", "enter"])));
    out.push(("partition_back", at(fixture::going_back(), small, &["enter", "j", "enter"])));
    let mut ascii = fixture::model_in(replaced(fixture::alarming()), small, "mono", Glyphs::Ascii);
    ascii.group = Some("loan-audit".into());
    press(&mut ascii, crossed);
    out.push(("partition_ascii_mono", ascii));
}

/// What the controller says that setting the offsets of `loan-audit` by a strategy would do.
fn reset_prepared(strategy: &str, phrase: &str, warnings: &[&str]) -> cutover::migration::facts::command::Prepared {
    let mut p = fixture::prepared();
    p.title = format!("Set the offsets of loan-audit on GREEN{strategy}");
    p.steps.drain(..2);
    p.steps.pop();
    p.no_return_after = None;
    p.level = Level::Typed(phrase.into());
    p.way_back = "the old offsets are in the journal".into();
    p.warnings = warnings.iter().map(|w| (*w).to_owned()).collect();
    p.by_hand.truncate(1);
    p
}

/// Opens the dialog that sets the offsets of `loan-audit` to the end, measured.
pub fn resetting(m: &mut Model) -> Vec<Cmd> {
    m.group = Some("loan-audit".into());
    let mut cmds = press(m, &["o", "end", "up", "enter", "replayed by hand, INC-4711", "enter"]);
    let id = question(&cmds);
    let mut s = free();
    s.seq += 1;
    let at = s.groups.iter().position(|g| g.group == "loan-audit").expect("there");
    s.groups[at] = fixture::to_the_end();
    let now = m.now.plus(30);
    cmds.extend(update(m, Msg::Snapshot(std::sync::Arc::new(s), now)));
    let warnings = [
        "this passes over the gate missing: 131 records that the group has not consumed would be lost on green (replayed by hand, INC-4711)",
    ];
    let prepared = reset_prepared(" by latest", "offsets green loan-audit lose 131 guess", &warnings);
    update(m, Msg::Reply(Reply::Prepared { id, result: Ok(Box::new(prepared)) }, now));
    update(m, Msg::Tick(now.plus(500)));
    cmds
}

/// Setting offsets: which strategy, at which moment, why, and what it costs.
fn offsets(out: &mut Vec<(&'static str, Model)>) {
    let at = |size, keys: &[&str]| {
        let mut m = fixture::model(free(), size);
        m.group = Some("loan-audit".into());
        press(&mut m, keys);
        m
    };
    let small = (80, 24);
    out.push(("choose_80x24", at(small, &["o", "end"])));
    out.push(("choose_140x40", at((140, 40), &["o", "down"])));
    out.push(("choose_60x16", at((60, 16), &["o", "end"])));
    let moment = &["o", "end", "up", "up", "enter", "-2 hours and", "enter"];
    out.push(("choose_moment", at(small, moment)));
    out.push(("choose_reason", at(small, &["o", "end", "enter", "the index is rebuilt from the start, "])));
    let mut m = fixture::model(free(), small);
    m.group = Some("loan-audit".into());
    let id = question(&press(&mut m, &["c"]));
    let held = Refusal::holds(
        "measured 2s ago: 23 records are MISSING on green",
        "replay them, or pass over it: --override missing --reason TEXT",
    );
    let at = m.now.plus(30);
    let result = Err(held.with_gate(cutover::migration::facts::overrides::GateName::Missing));
    update(&mut m, Msg::Reply(Reply::Prepared { id, result }, at));
    out.push(("gate_holds", m.clone()));
    press(&mut m, &["p", "they were replayed by hand, INC-4711"]);
    out.push(("gate_passed_over", m));
    let mut m = fixture::model(free(), small);
    resetting(&mut m);
    press(&mut m, &["offsets green loan-audit lose"]);
    out.push(("reset_latest", m));
    let mut m = fixture::model(free(), small);
    resetting(&mut m);
    let cmds = press(&mut m, &["ctrl-x"]);
    let id = cmds.iter().find_map(|c| match c {
        Cmd::Ask(Ask::Export { id, .. }) => Some(*id),
        _ => None,
    });
    let at = m.now.plus(40);
    let result = Ok("/srv/loans/offsets-loan-audit-green.csv".to_owned());
    update(&mut m, Msg::Reply(Reply::Exported { id: id.expect("asked"), result }, at));
    out.push(("reset_exported", m));
}

/// All scenes: a name, and the model.
pub fn all() -> Vec<(&'static str, Model)> {
    let small = (80, 24);
    let mut out: Vec<(&'static str, Model)> = Vec::new();
    for (name, size) in [
        ("cockpit_80x24", small),
        ("cockpit_60x16", (60, 16)),
        ("cockpit_120x40", (120, 40)),
        ("cockpit_200x60", (200, 60)),
        ("too_small", (59, 16)),
    ] {
        out.push((name, fixture::model(fixture::estate(), size)));
    }
    let first = |size| Model::new(fixture::options("dark", Glyphs::Utf8), size, NOW);
    out.push(("first_frame", first(small)));
    out.push(("cockpit_ascii_mono", fixture::model_in(fixture::estate(), small, "mono", Glyphs::Ascii)));
    out.push(("cockpit_light", fixture::model_in(fixture::estate(), small, "light", Glyphs::Utf8)));
    out.push(("cockpit_high_contrast", fixture::model_in(fixture::estate(), small, "high-contrast", Glyphs::Utf8)));
    out.push(("hostile_80x24", fixture::model(hostile(), small)));
    out.push(("hostile_200x60", fixture::model(hostile(), (200, 60))));
    out.push(("producers_80x24", on(fixture::estate(), small, |m| drop(press(m, &["2"])))));
    out.push(("producers_120x40", on(fixture::estate(), (120, 40), |m| drop(press(m, &["2", "down"])))));
    out.push(("journal_80x24", on(fixture::estate(), small, |m| drop(press(m, &["3"])))));
    out.push(("notices_80x24", on(fixture::estate(), small, |m| drop(press(m, &["4"])))));
    out.push(("filtered", on(fixture::estate(), small, |m| drop(press(m, &["/", "loan"])))));
    out.push(("help", on(fixture::estate(), small, |m| drop(press(m, &["?"])))));
    out.push(("help_end_60x16", on(fixture::estate(), (60, 16), |m| drop(press(m, &["?", "shift-g"])))));
    out.push(("help_found", on(fixture::estate(), small, |m| drop(press(m, &["?", "/", "offsets", "enter"])))));
    out.push((
        "resume",
        on(fixture::estate(), small, |m| {
            m.group = Some("card-fraud".into());
            press(m, &["u", "y", "enter"]);
        }),
    ));
    out.push(("completing", {
        let mut m = fixture::model(fixture::estate(), small);
        completing(&mut m);
        m
    }));
    out.push(("palette_ambiguous", on(free(), small, |m| drop(press(m, &[":", "co", "enter"])))));
    out.push(("palette", on(fixture::estate(), small, |m| drop(press(m, &[":", "cut"])))));
    out.push(("palette_argument", on(free(), small, |m| drop(press(m, &[":", "cut-over loan", "down"])))));
    let open = |group: &'static str| {
        move |m: &mut Model| {
            m.group = Some(group.into());
            press(m, &["enter"]);
        }
    };
    out.push((
        "group_80x24",
        on(fixture::estate(), small, |m| {
            open("loan-audit")(m);
            press(m, &["end"]);
        }),
    ));
    out.push((
        "group_cut_80x24",
        on(fixture::estate(), small, |m| {
            open("loan-audit")(m);
            press(m, &["j", "j", "j"]);
        }),
    ));
    out.push(("group_120x40", on(fixture::estate(), (120, 40), open("loan-audit"))));
    partitions(&mut out);
    crate::soaks::scenes(&mut out);
    crate::calendars::scenes(&mut out);
    crate::parity::scenes(&mut out);
    crate::diffs::scenes(&mut out);
    crate::hard::scenes(&mut out);
    offsets(&mut out);
    out.push(("group_moving_80x24", on(fixture::estate(), small, open("doc-index"))));
    out.push(("group_moving_120x40", on(fixture::estate(), (120, 40), open("doc-index"))));
    out.push((
        "group_witnessed_80x24",
        on(fixture::estate(), small, |m| {
            open("loan-ledger")(m);
            press(m, &["tab"]);
        }),
    ));
    out.push(("group_passed_over", {
        let mut g = fixture::soaking();
        let run = g.run.as_mut().expect("a run");
        run.offsets.as_mut().expect("translated").plan.totals.missing = Some(23);
        run.passed_over = vec![cutover::migration::facts::overrides::PassedOver {
            gate: cutover::migration::facts::overrides::GateName::Missing,
            what: "23 records are MISSING on green".into(),
            by: "ana@bastion".into(),
            reason: "they were replayed by hand, INC-4711".into(),
        }];
        on(replaced(g), small, open("loan-ledger"))
    }));
    out.push(("group_needs_you", on(fixture::estate(), small, open("cust-360"))));
    out.push(("producer_80x24", on(fixture::estate(), small, |m| drop(press(m, &["2", "enter"])))));
    out.push((
        "route",
        on(fixture::estate(), small, |m| {
            m.producer = Some("loan-api".into());
            press(m, &["2", "r", "down", "down"]);
        }),
    ));
    out.push((
        "hold",
        on(fixture::estate(), small, |m| {
            m.group = Some("risk-score".into());
            press(m, &["h", "hold waiting for the risk team"]);
        }),
    ));
    out.push(("leave", on(fixture::estate(), small, |m| drop(press(m, &["q"])))));
    out.push(("leave_soak", on(crate::keys::soaking(), small, |m| drop(press(m, &["q"])))));
    out.push(("leave_soak_60x16", on(crate::keys::soaking(), (60, 16), |m| drop(press(m, &["q"])))));
    out.push((
        "confirm_asking",
        on(free(), small, |m| {
            m.group = Some("loan-audit".into());
            press(m, &["c"]);
        }),
    ));
    out.push((
        "confirm_80x24",
        on(free(), small, |m| {
            confirming(m);
            press(m, &["green loan-"]);
        }),
    ));
    out.push((
        "confirm_120x40",
        on(free(), (120, 40), |m| {
            confirming(m);
            press(m, &["green loan-audit"]);
        }),
    ));
    out.push(("confirm_ascii_mono", {
        let mut m = fixture::model_in(free(), small, "mono", Glyphs::Ascii);
        confirming(&mut m);
        m
    }));
    out.push((
        "confirm_refused",
        on(free(), small, |m| {
            confirming(m);
            let cmds = press(m, &["green loan-audit", "enter"]);
            let id = question(&cmds);
            let refusal = Refusal::holds(
                "the facts changed: a member joined loan-audit on blue since the dialog was shown",
                "Look at the steps again; enter asks anew.",
            );
            let at = m.now.plus(50);
            update(m, Msg::Reply(Reply::Executed { id, result: Err(refusal) }, at));
        }),
    ));
    out.push((
        "refused_key",
        on(fixture::estate(), small, |m| {
            m.group = Some("doc-index".into());
            press(m, &["c"]);
        }),
    ));
    out.push((
        "blue_unreachable",
        fixture::model(
            with(|s| {
                s.blue.link = Observed::Known {
                    value: 40,
                    at: At(NOW.0 - 47_000),
                    trouble: Some(Trouble::new(
                        "blue-1.legacy:9092 refuses connections",
                        "Look whether the broker runs and whether this host may reach port 9092.",
                    )),
                };
                s.blue.brokers = (0, 3);
                for g in &mut s.groups {
                    g.blue.at = Some(At(NOW.0 - 47_000));
                }
            }),
            small,
        ),
    ));
    out.push((
        "same_cluster_read_only",
        fixture::model(
            with(|s| {
                s.green.identity_trouble = Some(Trouble::new(
                    "green-1.psc.example:9092 is cluster m4Xw0dXyQpGx1kTzV9cB2g, which is blue",
                    "Correct [clusters.green] bootstrap in cutover.toml; nothing is done until then.",
                ));
                s.header.arming = Arming::ReadOnly { why: "the journal is held by raj@bastion, pid 4711".into() };
            }),
            small,
        ),
    ));
    out.push((
        "still_connecting",
        fixture::model(
            with(|s| {
                for side in [&mut s.blue, &mut s.green] {
                    side.link = Observed::Absent { why: Trouble::new("connecting", "") };
                    side.brokers = (0, 0);
                    (side.lag, side.in_rate, side.oldest_ms) = (None, None, None);
                    side.trend.clear();
                }
                s.groups.clear();
            }),
            small,
        ),
    ));
    out.push(("stale_controller", {
        let mut m = fixture::model(fixture::estate(), small);
        update(&mut m, Msg::Tick(NOW.plus(34_000)));
        m
    }));
    out.push((
        "dry_run_empty",
        fixture::model(
            with(|s| {
                s.header.arming = Arming::DryRun;
                s.groups.clear();
                s.producers.clear();
                s.notices.clear();
                s.journal.clear();
                s.blue.trend.clear();
                s.blue.lag = None;
            }),
            small,
        ),
    ));
    out
}
