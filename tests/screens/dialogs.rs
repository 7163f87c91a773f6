//! The dialogs: what is asked, measured and typed before anything changes.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use cutover::base::Side;
use cutover::migration::facts::command::{Command, Level, Prepared, Refusal, Subject};
use cutover::migration::facts::overrides::GateName;
use cutover::migration::facts::stage::Stage;
use cutover::offsets::{Chosen, Strategy};
use cutover::snapshot::{Arming, Ask, Reply, Snapshot};
use cutover::tui::dialog::{EXPIRES_MS, Phase, TYPED_AHEAD_MS};
use cutover::tui::model::{DEAF_MS, Model, Overlay, Pane, Screen, ScreenFocus};
use cutover::tui::update::{Cmd, Msg, update};

use crate::fixture::{self, NOW};
use crate::keys::{cockpit, executed};
use crate::scenes::{confirming, free, press, question};

fn typed(m: &Model) -> String {
    match &m.overlay {
        Some(Overlay::Confirm(d)) => d.input.value().to_owned(),
        other => panic!("no dialog: {other:?}"),
    }
}

fn phase(m: &Model) -> &Phase {
    match &m.overlay {
        Some(Overlay::Confirm(d)) => &d.phase,
        other => panic!("no dialog: {other:?}"),
    }
}

#[test]
fn cutting_over_asks_first_watches_and_measures_what_is_old() {
    let mut m = cockpit(free());
    m.group = Some("loan-audit".into());
    let cmds = press(&mut m, &["c"]);
    let cut_over = Command::cut_over("loan-audit");
    assert!(matches!(&cmds[0], Cmd::Ask(Ask::Prepare { command, .. }) if *command == cut_over));
    assert_eq!(cmds[1], Cmd::Ask(Ask::Watch { group: Some("loan-audit".into()) }));
    assert_eq!(executed(&cmds), [&Command::estimate("loan-audit", Side::Green)], "it is 8 s old");
    let cmds = press(&mut m, &["esc"]);
    assert_eq!(cmds, [Cmd::Ask(Ask::Watch { group: None })]);
}

#[test]
fn only_the_phrase_executes_and_the_facts_go_with_it() {
    let mut m = cockpit(free());
    confirming(&mut m);
    assert!(executed(&press(&mut m, &["blue loan-audit", "enter"])).is_empty());
    assert_eq!(phase(&m), &Phase::Shown);
    press(&mut m, &["ctrl-u"]);
    let cmds = press(&mut m, &["green loan-audit", "enter"]);
    assert!(
        matches!(&cmds[..], [Cmd::Ask(Ask::Execute { command: Command::CutOver { group, .. }, typed, facts, actor, .. })]
            if group == "loan-audit" && typed == "green loan-audit" && facts.as_deref() == Some("f00d") && actor.as_str() == "ana@bastion"),
        "{cmds:?}"
    );
    let id = question(&cmds);
    assert!(press(&mut m, &["enter"]).is_empty(), "a second enter sends nothing");
    let at = m.now.plus(20);
    let cmds = update(&mut m, Msg::Reply(Reply::Executed { id, result: Ok(Some(8)) }, at));
    assert_eq!(cmds, [Cmd::Ask(Ask::Watch { group: None })]);
    assert_eq!((&m.screen, m.focus), (&Screen::Group("loan-audit".into()), ScreenFocus::Run));
}

/// Nothing moves and nothing soaks: nothing would stop with the cockpit.
fn idle() -> Snapshot {
    let mut s = free();
    s.groups.retain(|g| !matches!(g.stage, Stage::Moving { .. } | Stage::Soaking { .. }));
    s
}

/// A picture that is one newer than the last, of an estate in which still nothing moves.
fn pictured(m: &mut Model) {
    let mut s = m.snapshot.as_deref().expect("a snapshot").clone();
    s.seq += 1;
    let at = m.now.plus(10);
    update(m, Msg::Snapshot(Arc::new(s), at));
}

fn answered(m: &mut Model, id: u64, result: Result<Option<u64>, Refusal>) {
    let at = m.now.plus(10);
    update(m, Msg::Reply(Reply::Executed { id, result }, at));
}

/// Ctrl-z and the keys that leave, of a copy: nothing of it is done to the model itself.
fn stops(m: &Model) -> bool {
    let mut leaving = m.clone();
    let left = press(&mut leaving, &["ctrl-c"]).contains(&Cmd::Quit);
    if !left {
        let page = crate::looks::text(&crate::pictures::drawn(&leaving));
        assert!(page.contains("A command is on its way"), "{page}");
        assert!(!press(&mut leaving, &["y", "enter"]).contains(&Cmd::Quit), "y is a letter here");
        assert_eq!(press(&mut leaving, &["ctrl-c"]), [Cmd::Quit], "twice leaves");
    }
    let mut stopping = m.clone();
    let stopped = press(&mut stopping, &["ctrl-z"]) == [Cmd::Suspend];
    assert_eq!(left, stopped, "what would freeze it would also stop it");
    assert!(stopped || stopping.flash.as_ref().is_some_and(|f| f.text.contains("would stop the controller")));
    stopped
}

#[test]
fn until_a_picture_shows_what_came_of_a_command_nothing_stops_the_controller() {
    let sent = |s: Snapshot| {
        let mut m = cockpit(s);
        confirming(&mut m);
        assert!(stops(&m), "a dialog that was not confirmed is nothing");
        let id = question(&press(&mut m, &["green loan-audit", "enter"]));
        (m, id)
    };
    let (mut m, id) = sent(idle());
    assert!(!stops(&m), "it was sent");
    pictured(&mut m);
    assert!(!stops(&m), "a picture that came before the answer says nothing of it");
    let mut closed = m.clone();
    press(&mut closed, &["esc"]);
    assert!(!stops(&closed), "a dialog that was closed took nothing back");
    let mut late = m.clone();
    let at = late.now.plus(10_001);
    update(&mut late, Msg::Tick(at));
    assert!(matches!(phase(&late), Phase::Refused(_)) && !stops(&late), "it may have been taken");
    answered(&mut m, id, Ok(Some(8)));
    assert!(!stops(&m), "it was taken, and the picture is the one before");
    pictured(&mut m);
    assert!(stops(&m), "the picture is newer, and nothing moves in it");
    let (mut m, id) = sent(idle());
    answered(&mut m, id, Err(Refusal::refused("the facts changed", "look again")));
    assert!(stops(&m), "it was refused");
    let (mut m, id) = sent(idle());
    let command = Command::cut_over("loan-audit");
    let (actor, typed) = ("ana@bastion".into(), String::new());
    let asked = m.now;
    update(&mut m, Msg::Unsent(Ask::Execute { id, command, actor, typed, facts: None, asked }));
    assert!(stops(&m), "it was not sent at all");
    // A hold stops what runs, a resume starts it: without a dialog, and the same.
    let mut m = cockpit(idle());
    m.group = Some("risk-score".into());
    let cmds = press(&mut m, &["h", "hold quarter end", "enter"]);
    let [Cmd::Ask(Ask::Execute { id, .. })] = cmds[..] else { panic!("{cmds:?}") };
    assert!(!stops(&m));
    answered(&mut m, id, Ok(None));
    pictured(&mut m);
    assert!(stops(&m));
    press(&mut m, &["m"]);
    assert!(stops(&m), "a measurement only reads");
    // Another controller carries on, and a dry run changes nothing.
    let mut dry = idle();
    dry.header.arming = Arming::DryRun;
    assert!(stops(&sent(dry).0));
    let (mut attached, _) = sent(idle());
    attached.options.attached = true;
    assert!(stops(&attached));
}

#[test]
fn a_phrase_of_any_length_can_be_read_and_typed() {
    let words: Vec<String> = (1..=120).map(|n| format!("w{n:03}")).collect();
    let phrase = words.join(" ");
    for size in [(60, 16), (80, 24), (120, 40)] {
        let mut m = fixture::model(free(), size);
        m.group = Some("loan-audit".into());
        let id = question(&press(&mut m, &["c"]));
        let prepared = Prepared { level: Level::Typed(phrase.clone()), ..fixture::prepared() };
        let at = m.now.plus(30);
        update(&mut m, Msg::Reply(Reply::Prepared { id, result: Ok(Box::new(prepared)) }, at));
        let page = |m: &Model| crate::looks::text(&crate::pictures::drawn(m));
        let mut seen = page(&m);
        for _ in 0..60 {
            press(&mut m, &["down"]);
            seen.push_str(&page(&m));
        }
        for word in &words {
            assert!(seen.contains(word.as_str()), "{size:?}: {word} in\n{seen}");
        }
        assert!(executed(&press(&mut m, &[&phrase[..400], "enter"])).is_empty());
        assert!(page(&m).contains("> "), "what is typed keeps its place:\n{}", page(&m));
        assert!(page(&m).contains("is not `") || page(&m).contains("`w001"), "why not is said:\n{}", page(&m));
        let cmds = press(&mut m, &[&phrase[400..], "enter"]);
        assert_eq!(executed(&cmds), [&Command::cut_over("loan-audit")], "{size:?}");
    }
}

#[test]
fn what_was_typed_ahead_is_dropped() {
    let mut m = cockpit(free());
    m.group = Some("loan-audit".into());
    let cmds = press(&mut m, &["c"]);
    // Typed on while the controller answers...
    press(&mut m, &["green loan-audit", "enter"]);
    let id = question(&cmds);
    let shown = m.now.plus(10);
    update(&mut m, Msg::Reply(Reply::Prepared { id, result: Ok(Box::new(fixture::prepared())) }, shown));
    assert_eq!(typed(&m), "");
    // ... and in the first moment after it is shown.
    let key = |c| KeyEvent::new(c, KeyModifiers::NONE);
    update(&mut m, Msg::Key(key(KeyCode::Char('g')), shown.plus(TYPED_AHEAD_MS - 1)));
    update(&mut m, Msg::Key(key(KeyCode::Enter), shown.plus(TYPED_AHEAD_MS - 1)));
    assert_eq!((typed(&m).as_str(), phase(&m)), ("", &Phase::Shown));
    update(&mut m, Msg::Key(key(KeyCode::Char('g')), shown.plus(TYPED_AHEAD_MS)));
    assert_eq!(typed(&m), "g");
}

#[test]
fn pasted_text_never_confirms() {
    let mut m = cockpit(free());
    confirming(&mut m);
    let at = m.now.plus(1_000);
    let cmds = update(&mut m, Msg::Paste("green loan-audit\n".into(), at));
    assert!(cmds.is_empty());
    assert_eq!(typed(&m), "");
    // Elsewhere a paste types its first line, and never says yes.
    press(&mut m, &["esc", "/"]);
    let at = m.now.plus(1_000);
    assert!(update(&mut m, Msg::Paste("loan\nrm -rf".into(), at)).is_empty());
    assert_eq!(m.filter(Pane::Groups), "loan");
}

#[test]
fn a_dialog_that_nobody_types_at_stays_open_and_is_asked_anew() {
    let mut m = cockpit(free());
    confirming(&mut m);
    press(&mut m, &["green loan-"]);
    let last = m.now;
    assert!(update(&mut m, Msg::Tick(last.plus(EXPIRES_MS - 1))).is_empty());
    let asked = update(&mut m, Msg::Tick(last.plus(EXPIRES_MS)));
    let id = question(&asked);
    assert_eq!(executed(&asked), [&Command::estimate("loan-audit", Side::Green)], "and measured anew");
    assert_eq!((phase(&m), typed(&m).as_str()), (&Phase::Shown, ""), "what it rests on is to be read again");
    // The rest of the phrase is no command, and the whole of it none before the answer.
    assert!(press(&mut m, &["audit", "ctrl-u", "green loan-audit", "enter"]).is_empty());
    assert_eq!((phase(&m), typed(&m).as_str()), (&Phase::Shown, "green loan-audit"));
    let at = m.now.plus(5);
    update(&mut m, Msg::Reply(Reply::Prepared { id, result: Ok(Box::new(fixture::prepared())) }, at));
    assert_eq!(executed(&press(&mut m, &["enter"])), [&Command::cut_over("loan-audit")]);
}

#[test]
fn without_an_answer_an_old_dialog_says_so() {
    let mut m = cockpit(free());
    confirming(&mut m);
    let last = m.now;
    update(&mut m, Msg::Tick(last.plus(EXPIRES_MS)));
    update(&mut m, Msg::Tick(last.plus(EXPIRES_MS + 10_001)));
    assert!(matches!(phase(&m), Phase::Refused(r) if r.is_unknown()));
}

#[test]
fn letters_after_a_dialog_that_closed_by_itself_are_no_commands() {
    let mut m = cockpit(free());
    confirming(&mut m);
    let id = question(&press(&mut m, &["green loan-audit", "enter"]));
    let at = m.now.plus(20);
    update(&mut m, Msg::Reply(Reply::Executed { id, result: Ok(Some(8)) }, at));
    let stood = m.screen.clone();
    // Typed on by somebody who does not look up: enter, and letters that would be keys here.
    let typed_on = ["enter", "b", "h", "o", "m", "2", ":", "enter", "q"];
    assert!(press(&mut m, &typed_on).is_empty());
    assert!(m.overlay.is_none() && m.screen == stood, "{:?} {:?}", m.overlay, m.screen);
    let at = m.now.plus(DEAF_MS + 1);
    update(&mut m, Msg::Tick(at));
    press(&mut m, &["2"]);
    assert_eq!((&m.screen, m.pane), (&Screen::Cockpit, Pane::Producers), "a moment later keys are keys");
}

#[test]
fn letters_of_the_phrase_are_no_keys_of_a_dialog_that_was_refused_meanwhile() {
    let mut m = cockpit(free());
    confirming(&mut m);
    press(&mut m, &["green "]);
    let mut s = free();
    s.seq += 1;
    let g = s.groups.iter_mut().find(|g| g.group == "loan-audit").expect("there");
    let plan = g.estimate.as_ref().and_then(|e| e.value()).expect("measured").clone();
    g.estimate = Some(cutover::base::Observed::seen_at(plan, NOW.plus(900)));
    let at = m.now.plus(100);
    let id = question(&update(&mut m, Msg::Snapshot(Arc::new(s), at)));
    let held = Refusal::holds("23 records are MISSING on green", "replay them").with_gate(GateName::Missing);
    let at = m.now.plus(5);
    update(&mut m, Msg::Reply(Reply::Prepared { id, result: Err(held.clone()) }, at));
    press(&mut m, &["p", "a", "y", "p"]);
    assert_eq!(phase(&m), &Phase::Refused(held), "`p` of a name passes over no gate");
    let at = m.now.plus(DEAF_MS + 1);
    update(&mut m, Msg::Tick(at));
    press(&mut m, &["p"]);
    assert!(matches!(m.overlay, Some(Overlay::PassOver { .. })));
}

#[test]
fn where_one_key_would_do_a_word_is_typed() {
    let mut m = cockpit(fixture::estate());
    crate::scenes::completing(&mut m);
    assert!(executed(&press(&mut m, &["enter", "docker ps", "enter"])).is_empty());
    assert_eq!(phase(&m), &Phase::Shown);
    let cmds = press(&mut m, &["ctrl-u", "yes", "enter"]);
    assert_eq!(executed(&cmds), [&Command::complete(Subject::Group("loan-ledger".into()))]);
}

#[test]
fn a_late_answer_to_a_closed_dialog_opens_nothing() {
    let mut m = cockpit(free());
    m.group = Some("loan-audit".into());
    let id = question(&press(&mut m, &["c"]));
    press(&mut m, &["esc"]);
    m.group = Some("risk-score".into());
    press(&mut m, &["c"]);
    let at = m.now.plus(5);
    update(&mut m, Msg::Reply(Reply::Prepared { id, result: Ok(Box::new(fixture::prepared())) }, at));
    assert_eq!(phase(&m), &Phase::Asking, "the answer was about another group");
}

#[test]
fn a_refusal_shows_in_place_and_enter_asks_anew() {
    let mut m = cockpit(free());
    confirming(&mut m);
    let id = question(&press(&mut m, &["green loan-audit", "enter"]));
    let refusal = Refusal::refused("the facts changed", "look again");
    let at = m.now.plus(5);
    update(&mut m, Msg::Reply(Reply::Executed { id, result: Err(refusal.clone()) }, at));
    assert_eq!(phase(&m), &Phase::Refused(refusal));
    let cmds = press(&mut m, &["enter"]);
    assert!(cmds.iter().any(|c| matches!(c, Cmd::Ask(Ask::Prepare { .. }))));
    assert!(executed(&cmds).iter().all(|c| matches!(c, Command::Estimate { .. })));
}

#[test]
fn a_newer_measurement_asks_anew_and_keeps_what_was_typed_unless_there_is_news() {
    let mut m = cockpit(free());
    confirming(&mut m);
    press(&mut m, &["green"]);
    let measure = |m: &mut Model, ms: u64| {
        let mut s = free();
        s.seq += ms;
        let g = s.groups.iter_mut().find(|g| g.group == "loan-audit").expect("there");
        let plan = g.estimate.as_ref().and_then(|e| e.value()).expect("measured").clone();
        g.estimate = Some(cutover::base::Observed::seen_at(plan, NOW.plus(ms)));
        let at = m.now.plus(100);
        update(m, Msg::Snapshot(Arc::new(s), at))
    };
    let cmds = measure(&mut m, 1_000);
    assert!(measure(&mut m, 1_500).is_empty(), "one question at a time");
    let mut next = fixture::prepared();
    next.facts = "beef".into();
    let at = m.now.plus(5);
    update(&mut m, Msg::Reply(Reply::Prepared { id: question(&cmds), result: Ok(Box::new(next.clone())) }, at));
    assert_eq!(typed(&m), "green", "nothing new to read");
    // Figures that only move are no news: what counts of them is in the phrase.
    for (at, ago) in [(1_600, "30ms"), (1_700, "2s")] {
        let cmds = measure(&mut m, at);
        next.warnings.retain(|w| !w.starts_with("skips"));
        next.warnings.push(format!("skips {at} records, measured {ago} ago"));
        let at = m.now.plus(5);
        update(&mut m, Msg::Reply(Reply::Prepared { id: question(&cmds), result: Ok(Box::new(next.clone())) }, at));
        if ago == "30ms" {
            assert_eq!(typed(&m), "", "said for the first time");
            press(&mut m, &["green"]);
        }
    }
    assert_eq!(typed(&m), "green");
    let cmds = measure(&mut m, 2_000);
    next.warnings.push("measured now: 900 re-read, over the limit 500".into());
    let at = m.now.plus(5);
    update(&mut m, Msg::Reply(Reply::Prepared { id: question(&cmds), result: Ok(Box::new(next)) }, at));
    assert_eq!(typed(&m), "", "a new warning must be read");
    let cmds = press(&mut m, &["green loan-audit", "enter"]);
    assert!(matches!(&cmds[..], [Cmd::Ask(Ask::Execute { facts, .. })] if facts.as_deref() == Some("beef")));
}

#[test]
fn without_an_answer_the_dialog_says_so() {
    let mut m = cockpit(free());
    m.group = Some("loan-audit".into());
    press(&mut m, &["c"]);
    let at = m.now.plus(10_001);
    update(&mut m, Msg::Tick(at));
    assert!(matches!(phase(&m), Phase::Refused(r) if r.is_unknown()));
}

#[test]
fn a_full_channel_is_said_not_waited_for() {
    let mut m = cockpit(free());
    m.group = Some("loan-audit".into());
    let cmds = press(&mut m, &["c"]);
    let Cmd::Ask(ask) = cmds[0].clone() else { panic!("{cmds:?}") };
    update(&mut m, Msg::Unsent(ask));
    assert!(matches!(phase(&m), Phase::Refused(r) if r.why.contains("keep up")));
}

#[test]
fn offsets_by_the_plan_are_measured_and_asked_for_at_once() {
    let mut m = cockpit(free());
    m.group = Some("loan-audit".into());
    assert!(press(&mut m, &["o"]).is_empty(), "first: by which strategy?");
    let cmds = press(&mut m, &["enter"]);
    let command = Command::reset_offsets("loan-audit", Side::Green);
    assert!(matches!(&cmds[0], Cmd::Ask(Ask::Prepare { command: c, .. }) if *c == command), "{cmds:?}");
    let watch = Ask::WatchChoice { group: "loan-audit".into(), to: Side::Green, chosen: None };
    assert_eq!(cmds[1], Cmd::Ask(watch));
    assert_eq!(executed(&cmds), [&Command::estimate("loan-audit", Side::Green)]);
}

#[test]
fn another_strategy_needs_a_reason_and_is_measured_before_it_is_confirmed() {
    let mut m = cockpit(free());
    m.group = Some("loan-audit".into());
    press(&mut m, &["o", "end", "up", "enter"]);
    assert!(press(&mut m, &["enter"]).is_empty(), "no reason, no question");
    assert!(matches!(&m.overlay, Some(Overlay::Choose(c)) if c.remark.is_some()));
    let cmds = press(&mut m, &["j is a letter here", "enter"]);
    let chosen = Chosen { strategy: Strategy::Latest, at: None, reason: "j is a letter here".into() };
    assert!(
        matches!(&cmds[0], Cmd::Ask(Ask::Prepare { command: Command::ResetOffsets { chosen: c, .. }, .. }) if *c == Some(chosen.clone())),
        "{cmds:?}"
    );
    // The plan's own estimate is 8 s old and says nothing of this: it is measured by this strategy.
    let measured = Command::Estimate { group: "loan-audit".into(), to: Side::Green, chosen: Some(chosen) };
    assert_eq!(executed(&cmds), [&measured]);
    press(&mut m, &["esc"]);
    assert!(m.overlay.is_none());
}

#[test]
fn a_dialog_shows_no_estimate_of_another_strategy() {
    let mut m = cockpit(free());
    m.group = Some("loan-audit".into());
    let page = |m: &Model| crate::looks::text(&crate::pictures::drawn(m));
    let cmds = press(&mut m, &["o", "end", "enter", "rebuild", "enter"]);
    let at = m.now.plus(30);
    let answer = Reply::Prepared { id: question(&cmds), result: Ok(Box::new(fixture::prepared())) };
    update(&mut m, Msg::Reply(answer, at));
    assert!(!page(&m).contains("46 re-read"), "that is the plan's:\n{}", page(&m));
    assert!(page(&m).contains("not measured yet"), "{}", page(&m));
    press(&mut m, &["esc"]);
    crate::scenes::resetting(&mut m);
    assert!(page(&m).contains("MISSING 131"), "{}", page(&m));
}

#[test]
fn the_reset_file_is_of_what_is_shown() {
    let exported = |cmds: &[Cmd]| match cmds {
        [Cmd::Ask(Ask::Export { id, group, to, chosen })] => {
            (*id, group.clone(), *to, chosen.as_ref().map(|c| c.strategy))
        }
        other => panic!("{other:?}"),
    };
    let mut m = cockpit(free());
    m.group = Some("loan-report".into());
    assert!(press(&mut m, &["ctrl-x"]).is_empty(), "nothing was measured");
    assert!(m.flash.as_ref().is_some_and(|f| f.text.contains("m measures")));
    m.group = Some("loan-audit".into());
    let (id, group, to, chosen) = exported(&press(&mut m, &["enter", "ctrl-x"]));
    assert_eq!((group.as_str(), to, chosen), ("loan-audit", Side::Green, None));
    let at = m.now.plus(5);
    let refusal = Refusal::refused("/srv is full", "make room");
    update(&mut m, Msg::Reply(Reply::Exported { id, result: Err(refusal) }, at));
    assert_eq!(m.flash.as_ref().map(|f| f.text.as_str()), Some("/srv is full. Make room"));
    press(&mut m, &["esc"]);
    crate::scenes::resetting(&mut m);
    assert_eq!(exported(&press(&mut m, &["ctrl-x"])).3, Some(Strategy::Latest));
    press(&mut m, &["o", "x"]);
    assert_eq!(typed(&m), "ox", "letters are of the phrase");
}

#[test]
fn a_gate_is_passed_over_with_a_reason_and_a_phrase_of_its_own() {
    let mut m = cockpit(free());
    m.group = Some("loan-audit".into());
    let id = question(&press(&mut m, &["c"]));
    let held = Refusal::holds("23 records are MISSING on green", "replay them").with_gate(GateName::Missing);
    let at = m.now.plus(5);
    update(&mut m, Msg::Reply(Reply::Prepared { id, result: Err(held.clone()) }, at));
    press(&mut m, &["p", "enter"]);
    assert!(matches!(&m.overlay, Some(Overlay::PassOver { .. })), "without a reason nothing goes on");
    let cmds = press(&mut m, &["they were replayed by hand", "enter"]);
    let command = Command::cut_over("loan-audit").passing_over(GateName::Missing, "they were replayed by hand");
    assert!(matches!(&cmds[0], Cmd::Ask(Ask::Prepare { command: c, .. }) if *c == command), "{cmds:?}");
    assert_eq!(press(&mut m, &["esc"]), [Cmd::Ask(Ask::Watch { group: None })]);
    // An offer that only such a gate holds opens the dialog; any other says why not at once.
    let mut s = free();
    let g = s.groups.iter_mut().find(|g| g.group == "loan-audit").expect("there");
    let offer = g.offers.iter_mut().find(|o| matches!(o.command, Command::CutOver { .. })).expect("offered");
    offer.refused = Some(held);
    let mut m = cockpit(s);
    m.group = Some("loan-audit".into());
    press(&mut m, &["c"]);
    assert_eq!(phase(&m), &Phase::Asking);
    // What can't be passed over has no such key.
    let id = question(&press(&mut m, &["esc", "c"]));
    let at = m.now.plus(5);
    update(&mut m, Msg::Reply(Reply::Prepared { id, result: Err(Refusal::holds("UNMAPPABLE", "mend it")) }, at));
    press(&mut m, &["p"]);
    assert!(matches!(phase(&m), Phase::Refused(_)));
}

#[test]
fn by_hand_lines_are_copied_and_letters_are_of_the_phrase() {
    let mut m = cockpit(free());
    confirming(&mut m);
    assert!(press(&mut m, &["y"]).is_empty(), "a name may begin with it");
    let cmds = press(&mut m, &["ctrl-y"]);
    assert!(matches!(&cmds[..], [Cmd::Copy(text)] if text.lines().count() == 2));
    press(&mut m, &["g", "y"]);
    assert_eq!(typed(&m), "ygy");
}
