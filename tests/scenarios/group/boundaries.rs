//! Whatever happens to the process, and whenever: the group ends up running on exactly one side, nothing is lost, and
//! the two sides never run together.

use cutover::migration::run::machine::SessionMode;

use super::Driver;
use super::asked::{command, settings};
use crate::driver::Fate;

/// What is under way when the process dies.
#[derive(Clone, Copy, Debug)]
enum Story {
    CutOver,
    RollBack,
    GiveBack,
    /// Back to blue while green can't be seen.
    Blind,
}

fn begin(story: Story) -> Driver {
    let mut d = Driver::new(settings(), SessionMode::default());
    d.run(10);
    match story {
        Story::CutOver => {}
        Story::RollBack => {
            d.ask(&command("cutover")).unwrap();
            d.run(40);
            assert_eq!(d.stage(), "soaking");
        }
        Story::GiveBack => d.world.cost = 1000,
        Story::Blind => {
            d.ask(&command("cutover")).unwrap();
            d.run(40);
            d.world.hidden[1] = true;
            d.run(8);
        }
    }
    d.world.cost += 3;
    d
}

fn asked(story: Story) -> &'static str {
    match story {
        Story::RollBack => "rollback",
        Story::Blind => "rollback over unseen: green is down",
        Story::CutOver | Story::GiveBack => "cutover",
    }
}

/// Entries that the story writes when nothing goes wrong.
fn length(story: Story) -> (usize, usize) {
    let mut d = begin(story);
    let before = d.journal.len();
    d.ask(&command(asked(story))).unwrap();
    d.run(60);
    assert!(!d.open(), "{story:?} ends by itself");
    (before, d.journal.len())
}

fn answer(d: &mut Driver, roll_back: bool) {
    // An operator answers whatever asks for one, a few times.
    for _ in 0..6 {
        d.run(70);
        if !d.open() {
            return;
        }
        let words = if roll_back { ["rollback", "continue"] } else { ["continue", "rollback"] };
        if words.into_iter().all(|w| d.ask(&command(w)).is_err()) {
            d.run(30);
        }
    }
}

fn check(d: &Driver, what: &str) {
    let tail: Vec<String> = d.journal.iter().map(|e| crate::script::word(&e.event)).collect();
    let story = tail.join(", ");
    assert!(!d.open(), "{what}: still open\n{story}");
    assert_eq!(
        d.world.runs_on().len(),
        1,
        "{what}: runs on {:?}, switch {}\n{story}",
        d.world.runs_on(),
        d.world.switch
    );
    assert_eq!(d.world.lost, 0, "{what}: lost\n{story}");
    assert!(!d.world.both_ran, "{what}: both sides ran\n{story}");
    // Without green all that was read there is read again.
    let most = if d.world.hidden[1] { u64::MAX } else { 400 };
    assert!(d.world.re_read <= most, "{what}: {} re-read\n{story}", d.world.re_read);
    let rests =
        cutover::migration::rules::group::rests_on(d.machine.state().groups.get(super::world::GROUP).map(|g| &g.rest));
    assert_eq!(d.world.runs_on(), [rests], "{what}: the journal says {rests}\n{story}");
}

#[test]
fn killed_at_every_entry_and_after_every_effect() {
    for story in [Story::CutOver, Story::RollBack, Story::GiveBack, Story::Blind] {
        let (from, to) = length(story);
        for n in from + 1..=to {
            for after_effect in [false, true] {
                for roll_back in [false, true] {
                    let mut d = begin(story);
                    (d.die_at, d.die_after_effect) = (Some(n), after_effect);
                    let _ = d.ask(&command(asked(story)));
                    d.run(60);
                    assert!(d.dead, "{story:?} has {to} entries, {n} was not reached");
                    d.restart();
                    answer(&mut d, roll_back);
                    check(&d, &format!("{story:?} killed at entry {n} (effect {after_effect}), roll back {roll_back}"));
                }
            }
        }
    }
}

/// Killed after the preflight and before anything was stopped: however long that was ago, the facts are checked again.
#[test]
fn continued_before_the_first_effect_it_checks_the_facts_again() {
    use cutover::estate::FlagState;
    let mut d = begin(Story::CutOver);
    d.die_at = Some(d.journal.len() + 5);
    let _ = d.ask(&command("cutover"));
    d.run(2);
    assert_eq!(crate::script::word(&d.journal.last().unwrap().event), "step 1", "the stop was about to be ordered");
    d.restart();
    d.world.flag = FlagState::Blue;
    d.run(600);
    d.ask(&command("continue")).unwrap();
    d.run(60);
    assert!(d.world.effects.is_empty(), "{:?}", d.world.effects);
    assert!(!d.open());
}

#[test]
fn killed_twice() {
    for story in [Story::CutOver, Story::RollBack] {
        let (from, to) = length(story);
        for first in (from + 1..=to).step_by(3) {
            for more in (1..40).step_by(2) {
                let mut d = begin(story);
                (d.die_at, d.die_after_effect) = (Some(first), first % 2 == 0);
                let _ = d.ask(&command(asked(story)));
                d.run(60);
                d.restart();
                d.die_at = Some(d.journal.len() + more);
                answer(&mut d, more % 4 == 1);
                if d.dead {
                    d.restart();
                    answer(&mut d, more % 8 < 4);
                }
                d.die_at = None;
                check(&d, &format!("{story:?} killed at {first} and {more} later"));
            }
        }
    }
}

#[test]
fn every_effect_with_every_fate() {
    for story in [Story::CutOver, Story::RollBack, Story::GiveBack] {
        for kind in ["switch", "translate", "commit", "restore"] {
            for fate in [Fate::Fails, Fate::UnknownTook, Fate::UnknownNot] {
                for nth in 0..3 {
                    let mut d = begin(story);
                    d.world.fates.insert(kind, fate);
                    d.world.spared = nth;
                    let _ = d.ask(&command(asked(story)));
                    answer(&mut d, nth == 1);
                    check(&d, &format!("{story:?}, {kind} number {nth} {fate:?}"));
                }
            }
        }
    }
}

/// Anything, in any order: orders, holds, failures, blind spells, kills. Then the world is mended, and an operator
/// brings whatever is open to its end.
#[test]
fn whatever_happens() {
    for seed in 0..300 {
        let mut r = fastrand::Rng::with_seed(seed);
        let mut d = Driver::new(settings(), SessionMode::default());
        d.run(10);
        let mut told = Vec::new();
        for _ in 0..r.usize(4..20) {
            let asks =
                ["cutover", "rollback", "continue", "hold", "resume", "complete", "reset green", "estimate blue"];
            let kinds = ["switch", "translate", "commit", "restore"];
            let fates = [Fate::Fails, Fate::UnknownTook, Fate::UnknownNot];
            let n = r.usize(0..2);
            match r.usize(0..10) {
                0..5 => {
                    let words = asks[r.usize(0..asks.len())];
                    let _ = d.ask(&command(words));
                    told.push(words.to_string());
                }
                5 | 6 => {
                    d.world.fates.insert(kinds[r.usize(0..kinds.len())], fates[r.usize(0..fates.len())]);
                }
                7 if r.bool() => d.world.hidden[n] = !d.world.hidden[n],
                7 => d.world.broken[1] = !d.world.broken[1],
                8 => d.world.cost = r.i64(0..30),
                _ => {
                    if r.bool() {
                        (d.die_at, d.die_after_effect) = (Some(d.journal.len() + r.usize(1..12)), r.bool());
                    } else {
                        d.restart();
                        told.push("kill".into());
                    }
                }
            }
            d.run(r.u64(1..14));
            if d.dead {
                d.restart();
                told.push("died".into());
            }
        }
        (d.world.hidden, d.world.broken, d.world.cost, d.die_at) = ([false; 2], [false; 2], 0, None);
        d.world.fates.clear();
        let _ = d.ask(&command("resume"));
        answer(&mut d, r.bool());
        check(&d, &format!("seed {seed}: {}", told.join(", ")));
    }
}
