//! A night on call: consumers stall on green, triggers fire, terminals close, the controller dies twice, and everything
//! that can go back is back on blue, with nothing lost and exactly what was predicted read again.

use std::path::Path;

use cutover::migration::facts::stage::{SideState, Stage};
use cutover::snapshot::{GroupRow, Snapshot};
use rustix::process::Signal;
use serde_json::Value;

use super::rig::{Estate, Look, Member, PATIENT, SOON, events, journal, row, write_plan};
use crate::support::pty::{self, Terminal, key};
use crate::support::workload::{Audit, Cluster};
use crate::watch::{Watch, cutover};

/// How long people have to hold a rollback, s: long enough for a person on a machine that stands still for some seconds.
const COUNTDOWN_S: i64 = 30;
/// The same in the last part of the night, where nobody holds anything.
const SHORT_S: i64 = 5;
/// Records a second while all is well, and when consumers stall.
const CALM: u32 = 200;
const RUSH: u32 = 1_200;

fn say(dir: &Path, args: &[&str]) {
    let (code, _, err) = cutover(dir, args);
    assert_eq!(code, Some(0), "cutover {}: {err}", args.join(" "));
}

fn counts_down(s: &Snapshot, group: &str) -> bool {
    s.countdowns.iter().any(|c| c.group == group && c.acts_at.is_some())
}

/// A line of the log about what stands in the journal of a group.
fn journals(v: &Value, group: &str, text: &str) -> bool {
    v["kind"] == "journal" && v["subject"]["group"] == group && v["text"].as_str().is_some_and(|t| t.contains(text))
}

fn needs_a_person(g: &GroupRow) -> bool {
    matches!(g.side_state, Some(SideState::NeedsOperator { .. }))
}

/// Presses `w` on the line on top, and types why; again, where the screen says that the controller it looked at is away.
fn hold_it(screen: &Terminal, why: &str) {
    const AWAY: &str = "the controller is away";
    loop {
        screen.wait_for_text(SOON, "w hold it");
        screen.send("w");
        screen.wait_for_text(SOON, "Why? It goes into the journal");
        screen.send(&format!("hold {why}"));
        screen.wait_for_text(SOON, &format!("> hold {why}"));
        screen.send(key::ENTER);
        let seen = |s: &vt100::Screen, text: &str| s.contents().contains(text);
        if screen.wait_for(SOON, |s| if seen(s, "HELD by") { Some(true) } else { seen(s, AWAY).then_some(false) }) {
            return;
        }
        screen.wait_for(SOON, |s| (!seen(s, AWAY)).then_some(()));
    }
}

/// Entries of one group's rollback, by what happened: when (ms), who.
fn of_run<'a>(entries: &'a [Value], run: &Value, kind: &str) -> Vec<&'a Value> {
    events(entries, kind).into_iter().filter(|e| e["event"]["run"] == *run).collect()
}

fn at(entry: &Value) -> i64 {
    entry["at"].as_i64().unwrap_or_else(|| panic!("{entry}"))
}

/// The only rollback of a group in the journal, and who started it.
fn rollback<'a>(entries: &'a [Value], group: &str) -> &'a Value {
    let of = |e: &&&Value| e["event"]["kind"] == "roll_back" && e["event"]["subject"]["group"] == group;
    let started = events(entries, "run_started");
    let all: Vec<&&Value> = started.iter().filter(of).collect();
    assert_eq!(all.len(), 1, "{group}: {all:?}");
    all[0]
}

/// Nothing lost, and on each side read again what the last prediction before it said.
fn as_predicted(entries: &[Value], group: &str, seen: &Audit) {
    println!("{group}: {seen}");
    assert_eq!(seen.lost, Vec::<u64>::new(), "{group}: {seen}");
    let clusters: Vec<Cluster> = seen.sessions.values().copied().collect();
    assert_eq!(clusters, [Cluster::Blue, Cluster::Green, Cluster::Blue], "{group}: {seen}");
    let started = events(entries, "run_started");
    let runs = started.iter().filter(|e| e["event"]["subject"]["group"] == group).map(|e| &e["event"]["run"]);
    for (run, session) in runs.zip(seen.sessions.keys().skip(1)) {
        let predicted = of_run(entries, run, "predicted");
        let totals = &predicted.last().expect("a prediction")["event"]["plan"]["totals"];
        println!("{group}: run {run} predicted {} re-read, {} missing", totals["re_read"], totals["missing"]);
        assert_eq!(totals["missing"], 0);
        assert_eq!(totals["re_read"].as_u64(), Some(seen.re_read_by_session[session]), "{group}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_bring_stalled_groups_back_through_closed_terminals_and_dying_controllers() {
    let here = tempfile::tempdir().unwrap();
    let dir = here.path();
    let block = |f: &mut dyn FnMut()| tokio::task::block_in_place(f);
    let (estate, apart) = tokio::task::block_in_place(|| {
        std::thread::scope(|s| {
            let apart = s.spawn(|| Estate::start(dir, &["no-way-back"], CALM));
            (Estate::start(dir, &["loan-audit", "loan-score"], CALM), apart.join().unwrap())
        })
    });
    let plan = |countdown: i64| {
        write_plan(
            dir,
            &format!(
                "{PATIENT}sample_gap = \"10s\"\n{}{}[[triggers]]\nname = \"green-stalls\"\nwhen = \"lag > 2000\"\n\
                 for = \"3s\"\nmode = \"sustained\"\narm = \"armed\"\ncountdown = \"{countdown}s\"\n",
                estate.toml(""),
                apart.toml(""),
            ),
        );
    };
    plan(COUNTDOWN_S);
    let [one, other] = &estate.members[..] else { panic!("two groups") };
    let closed = &apart.members[0];
    let watch = Watch::start(dir);
    block(&mut || drop(watch.line("armed", |v| v["arming"] == "armed")));
    block(&mut || {
        std::thread::scope(|s| {
            for m in [one, other, closed] {
                s.spawn(|| say(dir, &["group", "cutover", &m.group, &format!("--yes={}", m.group)]));
            }
        });
    });
    let mut look = Look::at(dir).await;
    let screen = pty::cutover(&[], &[], dir, (140, 40));
    block(&mut || screen.wait_for_text(SOON, "ARMED"));

    // Consumers on green stall while records come. The controller is killed as soon as it is in the journal that the
    // trigger fired for both.
    let stall = |m: &Member| m.application.stall(Cluster::Green, true);
    [one, other].into_iter().for_each(stall);
    estate.traffic.set_rate(RUSH);
    for m in [one, other] {
        look.until("the trigger fires", |s| counts_down(s, &m.group)).await;
    }
    drop(look);
    drop(watch); // kill -9
    estate.traffic.set_rate(CALM);
    let entries = journal(dir);
    assert_eq!(events(&entries, "run_started").len(), 3, "no rollback has begun");
    // Meanwhile the third one stalls, and its producer leaves blue: it has no way back.
    stall(closed);
    apart.traffic.set_rate(RUSH);
    apart.flag.set("green");

    // Another controller on the same journal: the countdown runs anew, on the screen that looked for it too. There a
    // person holds it.
    let watch = Watch::start(dir);
    let mut look = Look::at(dir).await;
    look.until("the countdown", |s| counts_down(s, &one.group)).await;
    block(&mut || hold_it(&screen, "looking into it"));
    let holds = |s: &Snapshot| s.countdowns.iter().find(|c| c.held.is_some()).map(|c| c.group.clone());
    let held = holds(&*look.until("the hold", |s| holds(s).is_some()).await).expect("just seen");
    let (killed, alone) = if held == one.group { (one, other) } else { (other, one) };

    // The terminal hangs up: from here nobody looks. Held no longer, the group gets the whole countdown once more; the
    // other one goes back before it. The controller dies in the middle of the rollback.
    screen.signal(Signal::HUP);
    assert!(screen.wait_exit(SOON).is_some());
    block(&mut || say(dir, &["group", "resume", &killed.group]));
    for m in [alone, killed] {
        block(&mut || drop(watch.line("a rollback under way", |v| journals(v, &m.group, "will set the switch"))));
    }
    drop(watch); // kill -9
    drop(look);
    plan(SHORT_S);
    let watch = Watch::start(dir);
    let mut look = Look::at(dir).await;
    let back = |s: &Snapshot, m: &Member| matches!(row(s, &m.group).stage, Stage::RolledBack { .. });
    look.until("both are back", |s| back(s, killed) && back(s, alone)).await;
    let later = pty::cutover(&[], &[], dir, (140, 40));
    block(&mut || later.wait_for_text(SOON, "rolled back"));
    drop(later);

    // The third one was not moved: a person was asked, and says that it stays.
    let seen = look.until("a person is asked", |s| needs_a_person(row(s, &closed.group))).await;
    println!("{:?}", row(&seen, &closed.group).side_state);
    assert!(matches!(row(&seen, &closed.group).stage, Stage::Soaking { .. }));
    block(&mut || say(dir, &["group", "continue", &closed.group]));
    look.until("it stays", |s| !needs_a_person(row(s, &closed.group))).await;
    assert!(matches!(row(&look.0.snapshot(), &closed.group).stage, Stage::Soaking { .. }));
    watch.signal(Signal::TERM);

    let entries = journal(dir);
    for m in [killed, alone] {
        let started = rollback(&entries, &m.group);
        assert_eq!(started["actor"], "trigger green-stalls");
        // What was interrupted went on by itself, too.
        let by = |e: &Value| e["actor"] == "trigger green-stalls";
        assert!(of_run(&entries, &started["event"]["run"], "continued").into_iter().all(by));
        // The last of what gives the whole countdown: the fire, a restart, the end of a hold.
        let anew = |e: &&Value| {
            let event = &e["event"];
            at(e) <= at(started)
                && (event["event"] == "opened"
                    || event["event"] == "trigger_fired" && event["group"] == *m.group
                    || event["event"] == "resumed" && event["subject"]["group"] == *m.group)
        };
        let from = at(entries.iter().rfind(anew).expect("it fired"));
        println!("{}: rolled back {} ms after the countdown began", m.group, at(started) - from);
        // An entry has its time when it is written, which is a little after it was decided on.
        assert!(at(started) + 1_000 >= from + COUNTDOWN_S * 1_000);
    }
    let held = events(&entries, "held");
    assert!(held.len() == 1 && held[0]["event"]["why"] == "looking into it", "{held:?}");
    for (group, seen) in tokio::task::block_in_place(|| estate.audits(Cluster::Blue)) {
        as_predicted(&entries, &group, &seen);
    }
}
