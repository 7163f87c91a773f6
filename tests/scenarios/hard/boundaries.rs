//! Whatever happens to the process, and whenever, in both directions: the pipeline ends up writing on exactly one
//! side, and every record is there once and in order.

use cutover::migration::command::Command;
use cutover::migration::eos::GreenOnly;
use cutover::migration::machine::Session;

use super::driver::{Driver, command, settings};
use super::world::PRODUCER;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Story {
    Cut,
    Back,
    GiveBack,
}

fn begin(story: Story) -> Driver {
    let mut d = Driver::new(settings(), Session::default());
    d.world.busy = true;
    d.run(10);
    match story {
        Story::Cut => {}
        Story::Back => {
            d.ask(&command("cut")).unwrap();
            d.run(80);
            assert_eq!(d.stage(), "soaking");
        }
        // Its own reading would be doubled: not before the switch, and not in silence.
        Story::GiveBack => d.world.cost = 7,
    }
    d
}

fn asked(story: Story) -> Command {
    if story == Story::Back { Command::hard_back(PRODUCER, GreenOnly::Carry) } else { command("cut") }
}

fn length(story: Story) -> (usize, usize) {
    let mut d = begin(story);
    let before = d.journal.len();
    d.ask(&asked(story)).unwrap();
    d.run(120);
    assert!(!d.open(), "{story:?} ends by itself: {:?}", d.machine.producer_next(PRODUCER, d.world.now));
    (before, d.journal.len())
}

fn check(d: &mut Driver, what: &str) {
    d.world.busy = false;
    d.run(5);
    assert!(!d.open(), "{what}: it is still open: {}", d.machine.producer_next(PRODUCER, d.world.now));
    let on = d.machine.state().producer_rests_on(PRODUCER);
    assert_eq!(d.writes_on(), on.name(), "{what}");
    d.exact().unwrap_or_else(|why| panic!("{what}: {why}"));
}

fn die_everywhere(story: Story, answers: [&str; 2]) {
    let (before, after) = length(story);
    for n in before + 1..=after {
        for after_effect in [false, true] {
            let mut d = begin(story);
            (d.die_at, d.die_after_effect) = (Some(n), after_effect);
            let what = format!("{story:?} died at {n} of {after}, effect {after_effect}, then {answers:?}");
            let _ = d.ask(&asked(story));
            d.run(120);
            assert!(d.dead, "{what}: it did not die");
            d.restart();
            for _ in 0..6 {
                d.run(10);
                if !d.open() {
                    break;
                }
                let _ = answers.iter().any(|a| d.ask(&command(a)).is_ok());
                d.run(120);
            }
            check(&mut d, &what);
        }
    }
}

#[test]
fn a_cut_survives_the_death_of_its_process_at_every_entry() {
    die_everywhere(Story::Cut, ["continue", "back carry"]);
}

#[test]
fn a_cut_that_died_anywhere_can_be_turned_back() {
    die_everywhere(Story::Cut, ["back carry", "continue"]);
}

#[test]
fn a_rollback_survives_the_death_of_its_process_at_every_entry() {
    die_everywhere(Story::Back, ["continue", "back carry"]);
}

#[test]
fn a_give_back_survives_the_death_of_its_process_at_every_entry() {
    die_everywhere(Story::GiveBack, ["continue", "back carry"]);
}
