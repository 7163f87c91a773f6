//! The cockpit's edge in a real terminal: this test binary starts itself, as a controller of fixtures with the screens
//! of the program.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use cutover::base::At;
use cutover::migration::facts::command::{Command, Refusal};
use cutover::snapshot::{Ask, Reply};
use cutover::tui::theme::{Depth, Glyphs, Theme};
use cutover::tui::{Cockpit, ExitReason};
use rustix::process::Signal;
use tokio::sync::{mpsc, watch};

#[allow(dead_code)]
#[allow(unused_imports)] // the screens use all of it
#[path = "../screens/fixture/mod.rs"]
mod fixture;

use crate::support::patience::Patience;
use crate::support::pty::{Exit, Terminal, key, spawn};

const SOON: Duration = Duration::from_secs(120);
/// How long a key that may have been dropped is waited for before it is pressed again.
const AGAIN: Duration = Duration::from_millis(400);
/// Tells the started binary what to do; without it `child` is an empty test.
const CHILD: &str = "SCREEN_CHILD";

/// The program of these tests.
#[test]
fn child() {
    let Ok(story) = std::env::var(CHILD) else { return };
    if story == "no ticks" {
        assert_eq!(cockpit_without_ticks(), ExitReason::Left);
        std::process::exit(0);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let reason = runtime.block_on(cockpit(&story));
    println!("left: {reason:?}");
    std::process::exit(if reason == ExitReason::Left { 0 } else { 5 });
}

fn clock() -> At {
    use std::time::{SystemTime, UNIX_EPOCH};
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    At(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

async fn cockpit(story: &str) -> ExitReason {
    let mut snapshot = fixture::estate();
    snapshot.groups.retain(|g| g.group != "doc-index");
    let at = snapshot.groups.iter().position(|g| g.group == "loan-audit").expect("there");
    snapshot.groups[at] = fixture::measured(false);
    if story == "silent" {
        snapshot.seq = 0;
    }
    let (tx, rx) = watch::channel(Arc::new(snapshot));
    let (ask, mut asks) = mpsc::channel(16);
    let (reply, replies) = mpsc::channel(16);
    let mut options = fixture::options("dark", Glyphs::Utf8);
    options.theme = Theme::built_in("dark", Depth::Ansi256, Glyphs::Utf8).expect("built in");
    if story == "asks" {
        options.theme = Theme::built_in("either", Depth::Ansi256, Glyphs::Utf8).expect("built in");
        options.theme.asks = true;
    }
    let screen = Cockpit::open(options, clock).expect("a terminal");
    let screen = if story == "attached" { screen.attached() } else { screen };
    let panics = story == "panic";
    let tx = Arc::new(tx);
    let pictures = Arc::clone(&tx);
    tokio::spawn(async move {
        while let Some(ask) = asks.recv().await {
            let answer = match ask {
                Ask::Prepare { id, .. } => Reply::Prepared { id, result: Ok(Box::new(fixture::prepared())) },
                Ask::Execute { id, command: Command::CutOver { .. }, typed, .. } => {
                    assert_eq!(typed, "green loan-audit");
                    Reply::Executed { id, result: Ok(Some(8)) }
                }
                Ask::Execute { .. } if panics => panic!("the controller fell over"),
                Ask::Execute { id, .. } => Reply::Executed { id, result: Ok(None) },
                Ask::Watch { .. } | Ask::WatchChoice { .. } | Ask::LookAtSetup => continue,
                Ask::Records { id, .. } => Reply::Records { id, result: Err(Refusal::refused("none here", "")) },
                Ask::StartDiff { id, .. } | Ask::StopDiff { id } => {
                    Reply::Diff { id, result: Err(Refusal::refused("none here", "")) }
                }
                Ask::Export { id, .. } => Reply::Exported { id, result: Ok("/srv/offsets.csv".into()) },
            };
            let executed = matches!(answer, Reply::Executed { .. });
            if reply.send(answer).await.is_err() {
                break;
            }
            if executed {
                // As the controller does: a picture that shows what came of it.
                pictures.send_modify(|s| Arc::make_mut(s).seq += 1);
            }
        }
    });
    let reason = screen.run(rx, replies, ask).await.expect("runs");
    drop(tx);
    reason
}

/// The real loop in a runtime whose timers nobody turns: no time passes for it, and no tick ever comes.
fn cockpit_without_ticks() -> ExitReason {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let (_pictures, rx) = watch::channel(Arc::new(fixture::estate()));
    let (asks, _asked) = mpsc::channel(16);
    let (_answers, replies) = mpsc::channel(16);
    let screen = Cockpit::open(fixture::options("dark", Glyphs::Utf8), clock).expect("a terminal");
    poll_when_woken(screen.attached().run(rx, replies, asks)).expect("runs")
}

/// Drives a future by what wakes it, and by nothing else.
fn poll_when_woken<F: Future>(future: F) -> F::Output {
    struct Sleeper(std::thread::Thread);
    impl Wake for Sleeper {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Sleeper(std::thread::current())));
    let (mut cx, mut future) = (Context::from_waker(&waker), pin!(future));
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn start(story: &str, size: (u16, u16)) -> Terminal {
    let me = std::env::current_exe().expect("this binary");
    let me = me.to_str().expect("a path in UTF-8").to_owned();
    spawn(&me, &["--exact", "screen::child", "--nocapture"], &[(CHILD, story)], &std::env::temp_dir(), size)
}

/// The terminal is as it was: main screen, cursor, no bracketed paste.
fn put_back(t: &Terminal) {
    t.wait_for(SOON, |s| (!s.alternate_screen() && !s.hide_cursor() && !s.bracketed_paste()).then_some(()));
}

#[test]
fn the_first_frame_needs_no_answer_and_a_key_leaves() {
    let t = start("silent", (80, 24));
    t.wait_for_text(SOON, "connecting to blue-1.legacy:9092");
    t.with_screen(|s| assert!(s.alternate_screen() && s.hide_cursor() && s.bracketed_paste()));
    t.send("?");
    t.wait_for_text(SOON, "Keys");
    t.send(key::ESC);
    t.wait_for(SOON, |s| (!s.contents().contains("Keys")).then_some(()));
    t.send("q");
    assert_eq!(t.wait_exit(SOON), Some(Exit::Code(0)));
    t.wait_for(SOON, |s| s.contents().contains("left: Left").then_some(()));
    put_back(&t);
}

/// What a key did is painted because the key came: the data's next tick (250 ms away at most, if ticks came) has no part in
/// it. Several keys, because a look for more of them must not keep the next one from waking the loop.
#[test]
fn a_key_is_painted_though_no_tick_ever_comes() {
    let t = start("no ticks", (80, 24));
    t.wait_for_text(SOON, "loan-audit");
    for _ in 0..3 {
        t.send("?");
        t.wait_for_text(SOON, "Keys");
        t.send("q");
        t.wait_for(SOON, |s| (!s.contents().contains("Keys")).then_some(()));
    }
    t.send("q");
    assert_eq!(t.wait_exit(SOON), Some(Exit::Code(0)));
    put_back(&t);
}

/// Presses a key until it is taken, as a person does: what is typed before a question can have been read is dropped.
fn press_until(t: &Terminal, key: &str, taken: impl Fn(&Terminal) -> bool) {
    let mut patience = Patience::new(SOON);
    let mut done = false;
    while !done {
        assert!(patience.left().is_some(), "{key} was not taken {}; {}", patience.words(), t.screen_text());
        t.send(key);
        done = taken(t);
    }
}

#[test]
fn a_person_cuts_a_group_over() {
    let t = start("estate", (80, 24));
    t.wait_for_text(SOON, "loan-audit");
    t.send("/audit\r");
    t.wait_for_text(SOON, "/audit");
    t.send("c");
    t.wait_for_text(SOON, "point of no silent return");
    // Typed ahead and pasted text is dropped, so type until it is taken.
    t.send("\x1b[200~green loan-audit\x1b[201~");
    t.wait_for_text(SOON, "pasted: dropped");
    press_until(&t, "g", |t| t.look_for(AGAIN, |s| s.contents().contains("> g").then_some(())).is_ok());
    t.send(key::BACKSPACE);
    t.send("\x15green loan-audit");
    t.wait_for_text(SOON, "> green loan-audit");
    t.send(key::ENTER);
    t.wait_for_text(SOON, "run 8 started");
    t.resize((120, 40));
    t.wait_for_text(SOON, "2 soaking");
    t.send(key::CTRL_C);
    // Groups of the fixture soak: what would stop is said first.
    t.wait_for_text(SOON, "stops the soak clocks");
    // As long as no picture shows what the command came to, the question wants a word: a letter typed then is part of it.
    press_until(&t, &format!("{}y", key::BACKSPACE), |t| t.wait_exit(AGAIN).is_some());
    assert_eq!(t.wait_exit(SOON), Some(Exit::Code(0)));
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_comes_back() {
    let shell = spawn("sh", &["-i"], &[("PS1", "ready> ")], &std::env::temp_dir(), (80, 24));
    shell.wait_for_text(SOON, "ready>");
    let me = std::env::current_exe().expect("this binary");
    shell.send(&format!("{CHILD}=attached '{}' --exact screen::child --nocapture\r", me.display()));
    shell.wait_for(SOON, |s| (s.alternate_screen() && s.contents().contains("loan-audit")).then_some(()));
    shell.send("\x1a");
    shell.wait_for(SOON, |s| (!s.alternate_screen() && !s.hide_cursor() && !s.bracketed_paste()).then_some(()));
    // What is typed next is the shell's.
    shell.send("echo typed-$((40 + 2))\r");
    shell.wait_for_text(SOON, "typed-42");
    shell.send("fg\r");
    shell.wait_for(SOON, |s| (s.alternate_screen() && s.contents().contains("loan-audit")).then_some(()));
    shell.send("?");
    shell.wait_for_text(SOON, "Keys");
    shell.send("qq");
    shell.wait_for(SOON, |s| (!s.alternate_screen() && s.contents().contains("left: Left")).then_some(()));
    shell.send("exit\r");
    assert_eq!(shell.wait_exit(SOON), Some(Exit::Code(0)));
}

#[test]
fn without_a_shell_ctrl_z_stops_nothing_and_says_so() {
    let t = start("attached", (80, 24));
    t.wait_for_text(SOON, "loan-audit");
    t.send("\x1a");
    t.wait_for(SOON, |s| (s.alternate_screen() && s.contents().contains("no shell here")).then_some(()));
    t.send(key::CTRL_C);
    assert_eq!(t.wait_exit(SOON), Some(Exit::Code(0)));
}

#[test]
fn ctrl_z_does_not_stop_a_controller_that_something_waits_for() {
    let t = start("estate", (80, 24));
    t.wait_for_text(SOON, "loan-audit");
    t.send("\x1a");
    t.wait_for_text(SOON, "would stop the controller");
    t.send("ls\r");
    t.send("?");
    // The line stays until nothing is typed any more; then keys are keys.
    t.wait_for(SOON, |s| s.contents().contains("would stop the controller").then_some(()));
    assert!(!t.screen_text().contains("Keys"));
    t.send("\x03\x03");
    assert_eq!(t.wait_exit(SOON), Some(Exit::Code(0)));
}

#[test]
fn the_terminal_is_asked_for_its_background_and_its_answer_is_no_key() {
    let t = start("asks", (80, 24));
    t.wait_for_text(SOON, "loan-audit");
    assert!(t.raw().contains("\x1b]11;?\x07"), "it is asked");
    let colours = |s: &vt100::Screen, fg: vt100::Color| {
        let (rows, columns) = s.size();
        (0..rows).any(|r| (0..columns).any(|c| s.cell(r, c).is_some_and(|cell| cell.fgcolor() == fg)))
    };
    // The letters of the light theme; the one before it leaves them to the terminal.
    let light = vt100::Color::Idx(235);
    t.with_screen(|s| assert!(!colours(s, light), "nobody knows yet"));
    // In pieces, as over a slow line, with a key before and one after it.
    t.send("2\x1b");
    t.send("]11;rgb:ffff/ff");
    t.send("ff/ffff\x1b");
    t.send("\\?");
    t.wait_for(SOON, |s| s.contents().contains("On a producer").then_some(()));
    t.send("q");
    t.wait_for(SOON, |s| (colours(s, light) && !s.contents().contains("On a producer")).then_some(()));
    t.send("\x03\x03");
    assert_eq!(t.wait_exit(SOON), Some(Exit::Code(0)));
}

#[test]
fn signals_put_the_terminal_back() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::HUP, "SIGHUP")] {
        let t = start("estate", (80, 24));
        t.wait_for_text(SOON, "needs you");
        t.signal(signal);
        assert_eq!(t.wait_exit(SOON), Some(Exit::Code(5)));
        t.wait_for(SOON, |s| s.contents().contains(&format!("left: Signal(\"{name}\")")).then_some(()));
        put_back(&t);
    }
}

#[test]
fn a_panic_is_read_on_the_persons_own_screen() {
    let t = start("panic", (80, 24));
    t.wait_for_text(SOON, "loan-audit");
    t.send("/loan-audit\r");
    t.wait_for_text(SOON, "1 shown");
    t.send("m");
    t.wait_for(SOON, |s| s.contents().contains("the controller fell over").then_some(()));
    put_back(&t);
}
