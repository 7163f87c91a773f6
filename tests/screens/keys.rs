//! What keys do: every one through `update`, as it comes from a terminal. Dialogs have a file of their own.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use cutover::base::Side;
use cutover::estate::FlagState;
use cutover::migration::eos::GreenOnly;
use cutover::migration::facts::command::{Command, Level, Offer, Prepared, Subject};
use cutover::migration::facts::stage::Stage;
use cutover::migration::soak::trigger::Arm;
use cutover::snapshot::{Arming, Ask, Countdown, JournalLine, Reply, Snapshot};
use cutover::tui::actions::{self, ACTIONS, Readiness};
use cutover::tui::model::{DEAF_MS, Model, Overlay, Pane, Screen};
use cutover::tui::theme::{Depth, Glyphs, Theme};
use cutover::tui::update::{Cmd, Msg, update};

use crate::fixture::{self, NOW};
use crate::scenes::{confirming, free, press};

const SMALL: (u16, u16) = (80, 24);

pub fn cockpit(s: Snapshot) -> Model {
    fixture::model(s, SMALL)
}

pub fn executed(cmds: &[Cmd]) -> Vec<&Command> {
    cmds.iter()
        .filter_map(|c| match c {
            Cmd::Ask(Ask::Execute { command, .. }) => Some(command),
            _ => None,
        })
        .collect()
}

#[test]
fn the_cursor_moves_and_follows_its_row() {
    let mut m = cockpit(fixture::estate());
    assert_eq!(m.current_group().map(|g| g.group.as_str()), Some("cust-360"), "what needs a person sorts first");
    press(&mut m, &["j", "down", "k", "j"]);
    let before = m.current_group().expect("a row").group.clone();
    let mut s = fixture::estate();
    s.groups.reverse();
    s.seq += 1;
    update(&mut m, Msg::Snapshot(Arc::new(s), NOW.plus(9_000)));
    assert_eq!(m.current_group().map(|g| g.group.clone()), Some(before), "rows move, the cursor stays on its group");
    press(&mut m, &["end"]);
    let last = m.groups().last().expect("a row").group.clone();
    assert_eq!(m.current_group().map(|g| g.group.clone()), Some(last));
    press(&mut m, &["pageup", "pageup", "home", "up"]);
    assert_eq!(m.current_group().map(|g| g.group.as_str()), Some("cust-360"));
}

#[test]
fn numbers_and_tab_choose_tables_and_escape_goes_back() {
    let mut m = cockpit(fixture::estate());
    for (key, pane) in [("2", Pane::Producers), ("3", Pane::Journal), ("4", Pane::Notices), ("1", Pane::Groups)] {
        press(&mut m, &[key]);
        assert_eq!(m.pane, pane);
    }
    press(&mut m, &["tab"]);
    assert_eq!(m.pane, Pane::Producers);
    press(&mut m, &["backtab", "enter"]);
    assert_eq!(m.screen, Screen::Group("cust-360".into()));
    press(&mut m, &["esc"]);
    assert_eq!(m.screen, Screen::Cockpit);
    press(&mut m, &["4", "enter"]);
    assert_eq!(m.screen, Screen::Group("cust-360".into()), "a notice leads to what it is about");
}

/// The names of the partitions, in the order shown.
fn partitions(m: &Model) -> Vec<String> {
    m.partition_rows().lines.iter().map(|l| l.key().to_string()).collect()
}

#[test]
fn partitions_sort_by_what_needs_a_person_and_the_cursor_stays_on_its_own() {
    let mut s = fixture::estate();
    let at = s.groups.iter().position(|g| g.group == "loan-audit").expect("there");
    s.groups[at] = fixture::alarming();
    let mut m = cockpit(s.clone());
    m.group = Some("loan-audit".into());
    press(&mut m, &["enter"]);
    let worst_first = ["loan-events-1", "audit-raw-4", "loan-notes-0", "loan-notes-1", "loan-events-3"];
    assert_eq!(partitions(&m)[..5], worst_first);
    press(&mut m, &["j", "j", "j", "j", "enter"]);
    assert_eq!(m.screen, Screen::Partition("loan-audit".into()));
    let under = |m: &Model| m.partition.as_ref().map(ToString::to_string);
    assert_eq!(under(&m).as_deref(), Some("loan-events-3"));
    // Another measurement: what was lost is there, and the order is another.
    s.groups[at] = fixture::measured(false);
    s.seq += 1;
    update(&mut m, Msg::Snapshot(Arc::new(s), NOW.plus(9_000)));
    assert_eq!(partitions(&m)[0], "loan-notes-1");
    assert_eq!(under(&m).as_deref(), Some("loan-events-3"), "rows move, the screen stays on its partition");
    press(&mut m, &["p"]);
    assert_eq!(under(&m).as_deref(), Some("loan-events-1"));
    press(&mut m, &["n", "n"]);
    assert_eq!(under(&m).as_deref(), Some("loan-events-4"));
    press(&mut m, &["esc"]);
    assert_eq!((&m.screen, under(&m).as_deref()), (&Screen::Group("loan-audit".into()), Some("loan-events-4")));
}

#[test]
fn partitions_are_filtered_by_name_and_verdict_and_escape_goes_one_step_at_a_time() {
    let mut m = cockpit(free());
    m.group = Some("loan-audit".into());
    press(&mut m, &["enter", "/", "bounded", "enter"]);
    assert_eq!(partitions(&m), ["loan-notes-1"]);
    press(&mut m, &["enter"]);
    assert!(matches!(m.screen, Screen::Partition(_)));
    press(&mut m, &["esc", "esc"]);
    assert_eq!((partitions(&m).len(), &m.screen), (9, &Screen::Group("loan-audit".into())), "the filter goes first");
    press(&mut m, &["/", "zzz", "enter", "enter", "j"]);
    assert_eq!((partitions(&m).len(), &m.screen), (0, &Screen::Group("loan-audit".into())), "nothing to open");
    press(&mut m, &["esc", "esc"]);
    assert_eq!(m.screen, Screen::Cockpit);
}

#[test]
fn a_filter_narrows_while_it_is_typed_and_escape_takes_it_away() {
    let mut m = cockpit(fixture::estate());
    press(&mut m, &["/", "LOAN soak"]);
    assert_eq!(m.groups().iter().map(|g| g.group.as_str()).collect::<Vec<_>>(), ["loan-ledger"]);
    press(&mut m, &["enter"]);
    assert!(m.overlay.is_none());
    assert_eq!(m.groups().len(), 1, "enter keeps it");
    press(&mut m, &["esc"]);
    assert_eq!(m.groups().len(), fixture::estate().groups.len());
}

#[test]
fn a_hold_is_typed_with_its_reason_and_a_resume_is_typed_too() {
    let mut m = cockpit(fixture::estate());
    m.group = Some("risk-score".into());
    // What was meant for the pane beside opens the question, and that is all.
    assert!(press(&mut m, &["s", "s", "h", " bastion", "enter"]).is_empty());
    assert!(matches!(m.overlay, Some(Overlay::Say { remark: Some(_), .. })));
    assert!(press(&mut m, &["ctrl-u", "hold", "enter"]).is_empty(), "without a reason");
    let cmds = press(&mut m, &[" quarter end", "enter"]);
    let subject = Subject::Group("risk-score".into());
    assert_eq!(executed(&cmds), [&Command::Hold { subject, why: "quarter end".into() }]);
    assert!(m.overlay.is_none());
    // The key that holds does not resume, and the one that does takes its word.
    m.group = Some("card-fraud".into());
    assert!(press(&mut m, &["h"]).is_empty());
    assert!(m.flash.as_ref().is_some_and(|f| f.text.contains("u resumes")), "{:?}", m.flash);
    assert!(press(&mut m, &["u", "enter", "ptime", "enter", "ctrl-u"]).is_empty());
    let cmds = press(&mut m, &["resume", "enter"]);
    assert_eq!(executed(&cmds), [&Command::Resume { subject: Subject::Group("card-fraud".into()) }]);
}

/// Text that was meant for another window: whatever its letters open, it changes nothing and writes nothing.
#[test]
fn text_for_another_window_changes_nothing() {
    let lines = [
        "ssh bastion",
        "docker ps",
        "git status",
        "apt-get update",
        "vi cutover.toml",
        "echo hold",
        "rm -r x",
        "make",
        "cd",
        "history",
        "export X=1",
        "uptime",
        "exit",
        "yes",
        "hold on",
        "resume",
        "stop",
        "kill %1",
        "cat /etc/hosts",
        "go run .",
    ];
    let mut offered = fixture::estate();
    for g in &mut offered.groups {
        g.offers.iter_mut().for_each(|o| o.refused = None);
    }
    for p in &mut offered.producers {
        p.offers.iter_mut().for_each(|o| o.refused = None);
    }
    for (screen, keys) in
        [("groups", &["1"][..]), ("a group", &["1", "enter"]), ("producers", &["2"]), ("the diff", &["5"])]
    {
        for group in ["loan-audit", "loan-ledger", "card-fraud"] {
            let mut m = cockpit(offered.clone());
            m.group = Some(group.into());
            press(&mut m, keys);
            for line in lines {
                let mut cmds = Vec::new();
                for c in line.chars().chain(['\n']) {
                    let code = if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) };
                    let at = m.now.plus(120);
                    cmds.extend(update(&mut m, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE), at)));
                    answer(&mut m, &mut cmds);
                }
                let changes = |c: &&Cmd| match c {
                    Cmd::Ask(Ask::Execute { command, .. }) => !matches!(command, Command::Estimate { .. }),
                    Cmd::Ask(Ask::Export { .. } | Ask::StopDiff { .. }) => true,
                    _ => false,
                };
                let changing: Vec<&Cmd> = cmds.iter().filter(changes).collect();
                assert!(changing.is_empty(), "{screen}, {group}: `{line}`: {changing:?}");
            }
        }
    }
}

/// The controller's answer to whatever was just asked: yes, after one word or the phrase.
fn answer(m: &mut Model, cmds: &mut Vec<Cmd>) {
    let asked = cmds.iter().rev().find_map(|c| match c {
        Cmd::Ask(Ask::Prepare { id, command }) => Some((*id, command.clone())),
        _ => None,
    });
    cmds.retain(|c| !matches!(c, Cmd::Ask(Ask::Prepare { .. })));
    let Some((id, command)) = asked else { return };
    let level = match command {
        Command::CutOver { .. } | Command::RollBack { .. } => Level::Typed("green loan-audit".into()),
        _ => Level::Key,
    };
    let prepared = Prepared { command, level, ..fixture::prepared() };
    let at = m.now.plus(5);
    update(m, Msg::Reply(Reply::Prepared { id, result: Ok(Box::new(prepared)) }, at));
}

#[test]
fn ctrl_z_suspends_unless_something_would_stop_with_it() {
    let mut s = fixture::estate();
    s.groups.retain(|g| !matches!(g.stage, Stage::Moving { .. } | Stage::Soaking { .. }));
    for overlay in [&[][..], &["?"], &[":"], &["/"], &["h"]] {
        let mut m = cockpit(s.clone());
        press(&mut m, overlay);
        assert_eq!(press(&mut m, &["ctrl-z"]), [Cmd::Suspend], "{overlay:?}");
    }
    let mut attached = cockpit(fixture::estate());
    attached.options.attached = true;
    assert_eq!(press(&mut attached, &["ctrl-z"]), [Cmd::Suspend], "another controller carries on");
    // A run is under way in here: it goes on, and what was to be typed at the shell is no command.
    let mut m = cockpit(fixture::estate());
    m.group = Some("risk-score".into());
    assert!(press(&mut m, &["ctrl-z"]).is_empty());
    assert!(m.flash.as_ref().is_some_and(|f| f.text.contains("would stop the controller")), "{:?}", m.flash);
    assert!(press(&mut m, &["l", "s", "enter", "h", "c", "q"]).is_empty());
    assert!(m.overlay.is_none() && m.screen == Screen::Cockpit);
    // Where no shell could take the terminal, the same.
    let mut m = cockpit(s);
    let at = m.now.plus(500);
    update(&mut m, Msg::Continued(false, at));
    assert!(press(&mut m, &["q", "enter", "h"]).is_empty());
    assert!(m.overlay.is_none() && m.flash.as_ref().is_some_and(|f| f.text.contains("no shell")), "{:?}", m.flash);
    let at = m.now.plus(DEAF_MS + 1);
    update(&mut m, Msg::Tick(at));
    assert_eq!(press(&mut m, &["q"]), [Cmd::Quit], "a moment later keys are keys");
}

#[test]
fn on_a_terminal_that_is_too_small_keys_do_nothing() {
    let mut m = cockpit(free());
    confirming(&mut m);
    press(&mut m, &["green loan-audi"]);
    update(&mut m, Msg::Resize(59, 24));
    assert!(press(&mut m, &["t", "enter", "esc", "q"]).is_empty(), "nobody sees what they do");
    let at = m.now.plus(5);
    update(&mut m, Msg::Paste("t".into(), at));
    update(&mut m, Msg::Resize(80, 24));
    assert!(matches!(&m.overlay, Some(Overlay::Confirm(d)) if d.input.value() == "green loan-audi"));
    update(&mut m, Msg::Resize(80, 15));
    assert_eq!(press(&mut m, &["ctrl-c", "ctrl-c"]).last(), Some(&Cmd::Quit));
}

#[test]
fn what_the_terminal_says_of_its_background_changes_only_what_nobody_chose() {
    let mut m = cockpit(free());
    for (asks, light, name) in [(false, true, "dark"), (true, true, "light"), (true, false, "dark")] {
        m.options.theme =
            Theme::built_in(if asks { "either" } else { "dark" }, Depth::Ansi256, Glyphs::Utf8).expect("there");
        m.options.theme.asks = asks;
        update(&mut m, Msg::Background(light));
        assert_eq!(m.theme().name, name);
        update(&mut m, Msg::Background(!light));
        assert_eq!(m.theme().name, name, "it is asked once");
    }
}

/// What a small terminal has no room for can be scrolled to: every line that a tall one of the same width shows.
#[test]
fn nothing_on_a_screen_is_out_of_reach() {
    let scenes = crate::scenes::all();
    for (name, keys, told) in [
        ("hard_locked_60x16", &[][..], &["PASS", "HOLD", "FAIL", "????", "next", "stands"][..]),
        ("hard_alarm_80x24", &[], &["PASS", "HOLD", "FAIL", "????", "ALARM"]),
        ("partition_values", &[], &["offset", "why", "found by", "costs"]),
        ("soak_countdown_60x16", &["tab"], &["HOLD", "FAIL", "UNKNOWN", "trigger", "hole"]),
        ("diff_differs_60x16", &["tab"], &["missing", "only on", "offset", "next", "no replay", "their key"]),
        ("calendar_60x16", &["tab"], &["yours", "its own", "window", "blue", "way back"]),
    ] {
        let mut m = scenes.iter().find(|s| s.0 == name).map(|s| s.1.clone()).expect(name);
        press(&mut m, keys);
        let page = |m: &Model| crate::looks::text(&crate::pictures::drawn(m));
        let mut tall = m.clone();
        tall.size.1 = 200;
        let wanted: Vec<String> = page(&tall).lines().skip(2).map(|l| l.trim_end().to_owned()).collect();
        let mut seen = page(&m);
        let mut before = String::new();
        while before != page(&m) {
            before = page(&m);
            press(&mut m, &["pagedown"]);
            seen.push('\n');
            seen.push_str(&page(&m));
        }
        let mut found = 0;
        for line in wanted.iter().filter(|l| told.iter().any(|word| l.contains(word)) && !l.contains("more lines")) {
            // A position may lie over the end of a line.
            let head: String = line.chars().take(30).collect();
            assert!(seen.contains(&head), "{name}: {line}\n{seen}");
            found += 1;
        }
        assert!(found >= 3, "{name}: {found} lines");
        press(&mut m, &["up"]);
        assert!(page(&m) != before || !before.contains("lines "), "{name}: the way back begins at once");
    }
}

#[test]
fn every_line_of_the_help_can_be_reached_and_found() {
    for size in [(60, 16), (80, 24), (120, 40)] {
        let mut m = fixture::model(fixture::estate(), size);
        press(&mut m, &["?"]);
        // Of the help alone: above it ages go on with every key, and beside it shines what it lies over.
        let (beside, cells) = (usize::from(size.0.saturating_sub(100)) / 2, usize::from(size.0.min(100)));
        let page = |m: &Model| {
            let all = crate::looks::text(&crate::pictures::drawn(m));
            let line = |l: &str| l.chars().skip(beside).take(cells).chain(['\n']).collect::<String>();
            all.lines().skip(2).map(line).collect::<String>()
        };
        let mut seen = page(&m);
        let mut before = String::new();
        while before != page(&m) {
            before = page(&m);
            press(&mut m, &["pagedown"]);
            seen.push_str(&page(&m));
        }
        let cut = seen.lines().find(|l| l.starts_with('│') && l.contains('…'));
        assert_eq!(cut, None, "{size:?}: nothing is cut");
        for a in ACTIONS {
            assert!(seen.contains(a.id), "{size:?}: {}", a.id);
            for word in a.doc.split_whitespace() {
                assert!(seen.contains(word), "{size:?}: {}: {word}", a.id);
            }
        }
        // The end says that it is the end, and the way back begins at once.
        press(&mut m, &["home", "shift-g"]);
        let end = page(&m);
        assert_eq!(end, before, "G is the end");
        let position = end.lines().rfind(|l| l.starts_with('└')).and_then(|l| l.split("lines ").nth(1));
        let position = position.expect("where one is").to_owned();
        let numbers: Vec<&str> = position.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty()).collect();
        assert_eq!(numbers[1], numbers[2], "{position}");
        press(&mut m, &["up"]);
        assert_ne!(page(&m), end);
        assert!(page(&m).contains(" G end "), "{}", page(&m));
        press(&mut m, &["/"]);
        assert!(page(&m).contains("lines 1-") && !page(&m).contains(" G end "), "a letter here:\n{}", page(&m));
        press(&mut m, &["declares the soak"]);
        assert!(page(&m).contains("complete") && !page(&m).contains("roll-back"), "{}", page(&m));
        press(&mut m, &["esc"]);
        assert!(matches!(m.overlay, Some(Overlay::Help { finding: false, .. })), "the words go first");
        press(&mut m, &["esc"]);
        assert!(m.overlay.is_none());
    }
}

#[test]
fn values_are_read_only_when_asked_for_and_forgotten_with_the_screen() {
    let mut m = cockpit(free());
    m.group = Some("loan-audit".into());
    press(&mut m, &["enter", "enter"]);
    let page = |m: &Model| crate::looks::text(&crate::pictures::drawn(m));
    let ask = |m: &mut Model| match &press(m, &["s"])[..] {
        [Cmd::Ask(Ask::Records { id, group, to: Side::Green, chosen: None, tp })] => {
            assert_eq!((group.as_str(), Some(tp)), ("loan-audit", m.partition.as_ref()));
            *id
        }
        other => panic!("{other:?}"),
    };
    let id = ask(&mut m);
    let result = Ok(fixture::with_values(&m));
    let at = m.now.plus(5);
    update(&mut m, Msg::Reply(Reply::Records { id, result }, at));
    assert!(page(&m).contains("amount"), "{}", page(&m));
    assert!(press(&mut m, &["s"]).is_empty());
    assert!(!page(&m).contains("amount"), "hidden again");
    // An answer that comes after the person went on shows nothing.
    let id = ask(&mut m);
    let result = Ok(fixture::with_values(&m));
    press(&mut m, &["n"]);
    let at = m.now.plus(5);
    update(&mut m, Msg::Reply(Reply::Records { id, result }, at));
    assert!(!page(&m).contains("amount"), "{}", page(&m));
}

#[test]
fn a_producer_is_routed_to_a_chosen_state() {
    let mut m = cockpit(fixture::estate());
    m.producer = Some("audit".into());
    let cmds = press(&mut m, &["2", "r", "enter"]);
    let dual = Command::route("audit", FlagState::Dual);
    assert!(
        matches!(&cmds[..], [Cmd::Ask(Ask::Prepare { command, .. })] if *command == dual),
        "the next step of the way is chosen: {cmds:?}"
    );
    press(&mut m, &["esc", "r", "down"]);
    assert!(press(&mut m, &["enter"]).is_empty(), "straight to green is refused");
    assert!(m.flash.as_ref().is_some_and(|f| f.text.contains("passes through dual")));
}

#[test]
fn a_key_that_is_refused_says_why_and_what_to_do() {
    let mut m = cockpit(fixture::estate());
    m.group = Some("doc-index".into());
    assert!(press(&mut m, &["c"]).is_empty());
    assert_eq!(m.flash.as_ref().map(|f| f.text.as_str()), Some("run 7 moves it already. b takes it back."));
    m.producer = Some("ledger".into());
    assert!(press(&mut m, &["2", "r"]).is_empty());
    assert!(m.flash.as_ref().is_some_and(|f| f.text.contains("span clusters")));
}

#[test]
fn a_read_only_screen_asks_for_no_change() {
    let mut m = cockpit(free());
    m.options.read_only = true;
    m.group = Some("loan-audit".into());
    for key in ["c", "o", "h", "g", "d"] {
        assert!(executed(&press(&mut m, &[key])).is_empty(), "{key}");
        assert!(m.overlay.is_none(), "{key}");
    }
    assert_eq!(executed(&press(&mut m, &["m"])).len(), 1, "measuring reads only");
    assert!(actions::list_footer_actions(&m).iter().all(|a| a.danger != actions::Danger::Changes));
}

#[test]
fn leaving_in_the_middle_of_a_run_is_refused_with_what_to_do_instead() {
    let mut m = cockpit(fixture::estate());
    assert!(press(&mut m, &["q"]).is_empty());
    assert!(matches!(m.overlay, Some(Overlay::Leave { .. })));
    assert!(press(&mut m, &["enter"]).is_empty());
    assert_eq!(press(&mut m, &["leave", "enter"]), [Cmd::Quit]);
    let mut m = cockpit(fixture::estate());
    assert!(press(&mut m, &["ctrl-c"]).is_empty(), "once asks");
    assert_eq!(press(&mut m, &["ctrl-c"]), [Cmd::Quit], "twice leaves");
    let mut m = cockpit(fixture::estate());
    m.options.attached = true;
    assert_eq!(press(&mut m, &["q"]), [Cmd::Quit], "another controller carries on");
    let mut s = fixture::estate();
    s.groups.retain(|g| !matches!(g.stage, Stage::Moving { .. } | Stage::Soaking { .. }));
    assert_eq!(press(&mut cockpit(s), &["q"]), [Cmd::Quit], "nothing is under way");
}

/// The estate with groups that soak, and no run under way.
pub fn soaking() -> Snapshot {
    let mut s = fixture::estate();
    s.groups.retain(|g| !matches!(g.stage, Stage::Moving { .. }));
    s
}

#[test]
fn closing_while_something_soaks_says_what_stops_and_one_key_leaves_or_stays() {
    let page = |m: &Model| crate::looks::text(&crate::pictures::drawn(m));
    let mut m = cockpit(soaking());
    assert!(page(&m).contains("ctl here"), "all the time:\n{}", page(&m));
    press(&mut m, &["end"]);
    assert!(page(&m).contains("Hosted here: closing stops the soak clocks"), "{}", page(&m));
    assert!(press(&mut m, &["q"]).is_empty());
    assert!(page(&m).contains("Closing this cockpit stops the soak clocks"), "{}", page(&m));
    assert!(press(&mut m, &["enter", "l"]).is_empty(), "only y leaves");
    assert!(matches!(m.overlay, Some(Overlay::Leave { .. })));
    assert!(press(&mut m, &["n"]).is_empty());
    assert!(m.overlay.is_none(), "n stays");
    assert_eq!(press(&mut m, &["q", "y"]), [Cmd::Quit]);
    assert_eq!(press(&mut cockpit(soaking()), &["ctrl-c", "ctrl-c"]), [Cmd::Quit]);
    for (attached, read_only, arming) in
        [(true, false, Arming::Armed), (false, true, Arming::Armed), (false, false, Arming::DryRun)]
    {
        let mut s = soaking();
        s.header.arming = arming;
        let mut m = cockpit(s);
        (m.options.attached, m.options.read_only) = (attached, read_only);
        press(&mut m, &["end"]);
        assert!(!page(&m).contains("Hosted here") && !page(&m).contains("ctl here"), "nothing stops with it");
        assert_eq!(press(&mut m, &["q"]), [Cmd::Quit]);
    }
}

#[test]
fn in_a_countdown_leaving_is_typed() {
    let mut s = soaking();
    s.countdowns = vec![Countdown {
        group: "loan-ledger".into(),
        trigger: "green-lag".into(),
        why: "lag 12000".into(),
        arm: Arm::Armed,
        acts_at: Some(NOW.plus(40_000)),
        held: None,
    }];
    let mut m = cockpit(s.clone());
    assert!(press(&mut m, &["q", "y", "enter"]).is_empty(), "y is a letter here");
    press(&mut m, &["ctrl-u"]);
    assert_eq!(press(&mut m, &["leave", "enter"]), [Cmd::Quit]);
    // A shadow does nothing that could be missed, and neither does one that is held.
    s.countdowns[0].acts_at = None;
    assert_eq!(press(&mut cockpit(s), &["q", "y"]), [Cmd::Quit]);
}

#[test]
fn the_last_command_names_who_gave_it_on_every_screen() {
    let line = |m: &Model| crate::looks::text(&crate::pictures::drawn(m)).lines().nth(1).unwrap_or_default().to_owned();
    let mut s = fixture::estate();
    let by = |actor: &str, at: i64, act: &str| JournalLine {
        seq: 300,
        at: fixture::ago(at),
        actor: actor.into(),
        act: Some(act.into()),
        ..s.journal[0].clone()
    };
    let trigger = by("trigger green-lag", 12_000, "roll back loan-audit");
    let hostile =
        by("e\u{1b}vil\u{202e}@\u{4e00}\u{4e00}\u{4e00}\u{4e00}\u{4e00}\u{4e00}", 12_000, "hold \u{4e00}\u{4e00}");
    s.journal.push(trigger);
    for size in [(60, 16), (80, 24), (120, 40)] {
        let mut m = fixture::model(s.clone(), size);
        for keys in [&["1"][..], &["enter"], &["2", "enter"], &["3"], &["5"]] {
            press(&mut m, keys);
            let said = line(&m);
            let age = [" 13s", " 14s", " 15s"].iter().any(|age| said.contains(age));
            assert!(said.contains("│ tri") && age, "{size:?} {keys:?}: {said}");
        }
    }
    let m = fixture::model(s.clone(), (120, 40));
    assert!(line(&m).contains("trigger green-lag 13s: roll back loan-audit"), "{}", line(&m));
    s.journal.push(hostile);
    for columns in 60..140 {
        let m = fixture::model(s.clone(), (columns, 24));
        assert!(line(&m).contains("ctl") && line(&m).contains('e'), "{columns}: {}", line(&m));
        assert!(!line(&m).contains(['\u{1b}', '\u{202e}']), "{columns}");
    }
}

#[test]
fn the_palette_runs_commands_by_name_on_a_named_group() {
    let mut m = cockpit(free());
    let cmds = press(&mut m, &[":", "cut-over loan-aud", "enter"]);
    assert!(
        matches!(&cmds[0], Cmd::Ask(Ask::Prepare { command: Command::CutOver { group, .. }, .. }) if group == "loan-audit")
    );
    let mut m = cockpit(free());
    press(&mut m, &[":", "jour", "enter"]);
    assert_eq!(m.pane, Pane::Journal, "fuzzily");
    press(&mut m, &[":", "group risk", "enter"]);
    assert_eq!(m.screen, Screen::Group("risk-score".into()));
    press(&mut m, &["esc", ":", "cut", "tab"]);
    assert!(matches!(&m.overlay, Some(Overlay::Palette { input, .. }) if input.value() == "cut-over "));
    press(&mut m, &["esc", ":", "zzzz", "enter"]);
    assert!(m.flash.as_ref().is_some_and(|f| f.text.contains("no command")));
}

#[test]
fn the_palette_runs_what_was_typed_and_nothing_that_only_looks_like_it() {
    let mut idle = fixture::estate();
    idle.groups.retain(|g| !matches!(g.stage, Stage::Moving { .. } | Stage::Soaking { .. }));
    for quit in ["q", "q!", "quit", "qa", "wq", "x"] {
        assert_eq!(press(&mut cockpit(idle.clone()), &[":", quit, "enter"]), [Cmd::Quit], ":{quit}");
        let mut m = cockpit(fixture::estate());
        assert!(press(&mut m, &[":", quit, "enter"]).is_empty());
        assert!(matches!(m.overlay, Some(Overlay::Leave { .. })), "what would stop is said first");
    }
    let says = |m: &Model, words: &str| {
        assert!(matches!(m.overlay, Some(Overlay::Palette { .. })), "it stays open: {:?}", m.overlay);
        assert!(m.flash.as_ref().is_some_and(|f| f.text.contains(words)), "{:?}", m.flash);
    };
    let mut m = cockpit(free());
    m.group = Some("loan-audit".into());
    for (typed, words) in
        [("", "type a name"), ("co", "begin with `co`"), ("rstoff", "nothing begins"), ("lve", "nothing begins")]
    {
        press(&mut m, &[":"]);
        assert!(press(&mut m, &[typed, "enter"]).is_empty(), "{typed}");
        says(&m, words);
        press(&mut m, &["esc"]);
    }
    // A name that only looks like the one that was typed is no group to move.
    press(&mut m, &[":", "cut-over lnadt", "enter"]);
    says(&m, "nothing begins");
    // A line that a person chose is one.
    press(&mut m, &["esc", ":", "rstoff", "down", "up", "enter"]);
    assert!(matches!(m.overlay, Some(Overlay::Choose(_))), "{:?}", m.overlay);
    // One that stands in its place since a newer picture is none.
    let mut m = cockpit(free());
    press(&mut m, &[":", "group ", "down"]);
    let mut newer = free();
    newer.groups.drain(..4);
    m.snapshot = Some(std::sync::Arc::new(newer));
    press(&mut m, &["enter"]);
    says(&m, "lines have moved");
}

#[test]
fn the_footer_shows_only_what_works_now() {
    for (_, m) in crate::scenes::all() {
        for a in actions::list_footer_actions(&m) {
            assert_eq!((a.ready)(&m), Readiness::Now, "{}", a.id);
        }
    }
    let mut m = cockpit(free());
    let ids = |m: &Model| actions::list_footer_actions(m).iter().map(|a| a.id).collect::<Vec<_>>();
    m.group = Some("loan-audit".into());
    assert!(ids(&m).contains(&"cut-over") && !ids(&m).contains(&"roll-back"));
    m.group = Some("loan-ledger".into());
    assert!(!ids(&m).contains(&"cut-over") && ids(&m).contains(&"roll-back"));
    m.group = Some("share-checkout".into());
    assert!(!ids(&m).contains(&"cut-over") && !ids(&m).contains(&"hold"), "not in the plan");
}

#[test]
fn every_action_can_be_reached_by_each_of_its_keys() {
    let models: Vec<Model> = crate::scenes::all().into_iter().map(|s| s.1).chain(odd_places()).collect();
    for a in ACTIONS {
        for k in a.keys {
            let key: KeyEvent = crokey::parse(k).expect("parses").normalized().into();
            let found = models
                .iter()
                .any(|m| actions::find_action(m, key).is_some_and(|f| f.id == a.id && (f.ready)(m) == Readiness::Now));
            assert!(found, "{} by {k} works in none of the scenes", a.id);
        }
    }
}

/// Places that no picture needs.
fn odd_places() -> Vec<Model> {
    let at = |s: Snapshot, group: &str, keys: &[&str]| {
        let mut m = cockpit(s);
        m.group = Some(group.into());
        press(&mut m, keys);
        m
    };
    let mut done = fixture::estate();
    for g in &mut done.groups {
        for o in &mut g.offers {
            o.refused = None;
        }
    }
    let mut confirm = cockpit(free());
    confirming(&mut confirm);
    let mut hard = fixture::estate();
    let ledger = hard.producers.iter_mut().find(|p| p.name == "ledger").expect("there");
    let name = || "ledger".to_owned();
    let offered =
        [Command::hard_cut(name()), Command::hard_back(name(), GreenOnly::Lose), Command::Approve { producer: name() }];
    ledger.offers = offered.map(|command| Offer { command, refused: None }).into();
    let mut hard = cockpit(hard);
    hard.producer = Some(name());
    press(&mut hard, &["2"]);
    vec![hard, at(done, "loan-ledger", &[]), at(fixture::estate(), "card-fraud", &[]), confirm]
}

#[test]
fn the_page_of_keys_is_made_from_the_registry() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/keys.md");
    let page = actions::render_keys_page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).expect("written");
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == page,
        "docs/keys.md is not what the registry says: UPDATE_DOCS=1 cargo test --test screens page_of_keys"
    );
}
