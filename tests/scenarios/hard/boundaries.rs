//! Whatever happens to the process, and whenever, in both directions: the pipeline ends up writing on exactly one
//! side, and every record is there once and in order.

use cutover::migration::eos::GreenOnly;
use cutover::migration::facts::command::Command;
use cutover::migration::run::machine::SessionMode;

use super::Driver;
use super::asked::{command, settings};
use super::world::PRODUCER;
use crate::driver::Fate;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Story {
    Cut,
    Back,
    GiveBack,
}

fn begin(story: Story) -> Driver {
    let mut d = Driver::new(settings(), SessionMode::default());
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
    assert!(!d.open(), "{story:?} ends by itself: {:?}", d.next());
    (before, d.journal.len())
}

fn check(d: &mut Driver, what: &str) {
    d.world.busy = false;
    d.run(5);
    assert!(!d.open(), "{what}: it is still open: {}", d.next());
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

/// A small generator: the same seed tells the same story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Effects that fail or are not heard of, deaths, holds, clusters that are not seen, a pipeline that is slow to stop or
/// to start, there and back: at the end it writes on one side, with every record once.
fn whatever(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut d = Driver::new(settings(), SessionMode::default());
    d.world.busy = dice.roll(2) == 0;
    d.world.authorizer = [dice.roll(4) != 0, dice.roll(4) != 0];
    d.world.old[0] = dice.roll(4) == 0;
    d.run(10);
    for _ in 0..3 {
        let _ = d.ask(&command(["cut", "cut", "back carry"][usize::try_from(dice.roll(3)).unwrap()]));
        for _ in 0..12 {
            let kinds = ["flag", "fence", "deny", "allow", "carry", "translate", "commit"];
            let kind = kinds[usize::try_from(dice.roll(7)).unwrap()];
            let side = usize::try_from(dice.roll(2)).unwrap();
            match dice.roll(12) {
                0 => drop(d.world.fates.insert(kind, Fate::Fails)),
                1 => drop(d.world.fates.insert(kind, Fate::UnknownNot)),
                2 => drop(d.world.fates.insert(kind, Fate::UnknownTook)),
                3 => d.restart(),
                4 => drop(d.ask(&command("hold"))),
                5 => drop(d.ask(&command("resume"))),
                6 => d.world.hidden[side] = !d.world.hidden[side],
                7 => d.world.stop_delay = dice.roll(20),
                8 => d.world.broken[side] = !d.world.broken[side],
                9 => drop(d.ask(&command("back carry"))),
                _ => drop(d.ask(&command("continue"))),
            }
            d.run(dice.roll(25));
        }
    }
    // Then all is mended, and a person sees it through.
    (d.world.hidden, d.world.broken, d.world.stop_delay) = ([false; 2], [false; 2], 0);
    d.world.fates.clear();
    let _ = d.ask(&command("resume"));
    for _ in 0..8 {
        d.run(150);
        if !d.open() {
            break;
        }
        let _ = ["continue", "back carry"].iter().any(|a| d.ask(&command(a)).is_ok());
    }
    check(&mut d, &format!("seed {seed}"));
}

#[test]
fn whatever_happens_every_record_is_there_once() {
    for seed in 1..=100 {
        whatever(seed);
    }
}
