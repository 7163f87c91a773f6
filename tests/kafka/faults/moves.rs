//! Green's broker dies in the middle of a cutover: the run waits, and goes on when it is back.

use std::time::Duration;

use std::process::Command;

use super::{DRAINS_LONG, Desk, Move, SOON, says, show};
use crate::support::kafka::{pair, throwaway};
use crate::support::unique;
use crate::support::workload::{ApplicationOptions, Cluster, Switch};

fn slow() -> ApplicationOptions {
    ApplicationOptions { per_record: Duration::from_millis(2), ..ApplicationOptions::default() }
}

#[test]
fn greens_broker_dies_while_draining() {
    let green = throwaway("mortal-green", &[]);
    let this = Move::start(&pair().blue, &green, &format!("{DRAINS_LONG}\nstale_after = \"10s\""), &slow());
    let terminal = this.cockpit();
    this.confirm(&terminal, "c", "c cut over", "green");
    terminal.wait_for(SOON, |s| says(s, &["commits still"]));
    green.kill();
    terminal.wait_for(SOON, |s| says(s, &["refused the connection"]));
    show("green's broker died while draining", &terminal);
    terminal.wait_for(SOON, |s| says(s, &["given back to blue: ", "wait Stable on blue"]));
    show("and then", &terminal);
    this.application.wait_running(Cluster::Blue, true, SOON);
    green.restart();
    terminal.wait_for(SOON, |s| says(s, &["c cut over"]));
    this.confirm(&terminal, "c", "c cut over", "green");
    terminal.wait_for(SOON, |s| says(s, &["soaking"]));
    show("after the restart", &terminal);
    let seen = this.audit(Cluster::Green);
    println!("{seen}");
    assert_eq!(seen.lost, Vec::<u64>::new(), "{seen}");
}

/// After the commit, in the middle of the start: the switch's command waits at a pipe until the broker is dead. Nothing is
/// undone and nothing is guessed: the run waits for the group to be Stable, and goes on when the broker is back.
#[test]
fn greens_broker_dies_after_the_commit() {
    let green = throwaway("mortal-green", &[]);
    let (desk, group) = (Desk::new(""), unique("loan-audit"));
    let (word, pipe) = (desk.path().join("switch"), desk.path().join("pipe"));
    let switch = Switch::word(&word, "blue");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let set = "if [ \"$1\" = green ]; then read -r _ <\"$3\"; fi; printf %s \"$1\" >\"$2.new\" && mv \"$2.new\" \"$2\"";
    let toml = format!(
        "{{ provider = \"command\", get = [\"cat\", {word:?}], set = [\"sh\", \"-c\", {set:?}, \"set\", \"{{state}}\", {word:?}, {pipe:?}] }}"
    );
    let defaults = "drain_still = \"2s\"\nstale_after = \"10s\"";
    let this = Move::with_switch(&pair().blue, &green, defaults, &slow(), (desk, group), (&switch, &toml));
    let terminal = this.cockpit();
    this.confirm(&terminal, "c", "c cut over", "green");
    terminal.wait_for(SOON, |s| says(s, &["✓ 5 commit every partition on green"]));
    // Opens when the start's command reads: from then on nothing looks at green before the switch is set.
    let mut go = std::fs::OpenOptions::new().write(true).open(&pipe).expect("the command reads");
    green.kill();
    std::io::Write::write_all(&mut go, b"go\n").expect("the command reads");
    drop(go);
    terminal.wait_for(SOON, |s| says(s, &["✓ 6 start on green", "waiting for Stable: not seen yet", "GREEN broker"]));
    terminal.wait_for(SOON, |s| says(s, &["refused the connection. Check the port"]));
    show("green's broker died after the commit", &terminal);
    green.restart();
    terminal.wait_for(SOON, |s| says(s, &["soaking", "✓ 7 wait Stable on green"]));
    show("and is back", &terminal);
    drop(terminal);
    let seen = this.audit(Cluster::Green);
    println!("{seen}");
    assert_eq!(seen.lost, Vec::<u64>::new(), "{seen}");
}

/// Green is gone for good while the group soaks there: without a word nothing is done, and with it the group goes back to
/// where it last stood for certain. It reads again, and loses nothing.
#[test]
fn green_dies_while_soaking_and_the_group_goes_back_without_it() {
    let green = throwaway("mortal-green", &[]);
    let this = Move::start(&pair().blue, &green, "drain_still = \"2s\"\nstale_after = \"10s\"", &slow());
    let yes = format!("--yes={}", this.group);
    let run = |verb: &str, more: &[&str]| {
        let begun = std::time::Instant::now();
        let ran = this.desk.run(&[&["group", verb, &this.group, &yes], more].concat());
        println!(
            "$ cutover group {verb} {} -> {:?} in {:.1?}\n{}{}",
            more.join(" "),
            ran.code,
            begun.elapsed(),
            ran.out,
            ran.err
        );
        ran
    };
    assert_eq!(run("cutover", &[]).code, Some(0));
    let moved = this.application.events().len();
    this.application.wait_processed(moved + 300, SOON);
    let seen = ["--override", "unseen", "--reason", "green is down"];
    let refused = run("rollback", &seen);
    assert!(refused.code == Some(1) && refused.err.contains("green can be seen"), "{}", refused.err);
    green.kill();
    let refused = run("rollback", &[]);
    assert_eq!(refused.code, Some(4), "{}", refused.err);
    assert!(refused.err.contains("--override unseen --reason TEXT"), "{}", refused.err);
    let back = run("rollback", &[&seen[..], &["--json"]].concat());
    assert_eq!(back.code, Some(0), "{}", back.err);
    let told: serde_json::Value = serde_json::from_str(&back.out).expect("JSON");
    let predicted = told["offsets"]["totals"]["re_read"].as_u64().expect("a number");
    assert_eq!(told["run"]["passed_over"][0]["gate"], "unseen", "{told}");
    this.application.wait_running(Cluster::Blue, true, SOON);
    // What the producers still owe green arrives there when it is back: nobody reads it.
    green.restart();
    let seen = this.audit(Cluster::Blue);
    println!("at most {predicted} were to be re-read: {seen}");
    assert_eq!(seen.lost, Vec::<u64>::new(), "{seen}");
    assert!(seen.re_read > 0 && seen.re_read <= predicted, "{predicted}: {seen}");
}
