//! The journal's disk is full at each of its write points: no group stands on neither side without being told, and once
//! there is room again the next process goes on or back, and nothing is lost. What this process did not stop, or what a person
//! has a hand in, it leaves alone.

use cutover::base::{Side, Trouble};
use cutover::estate::SwitchState;
use cutover::migration::facts::command::{Command, Subject};
use cutover::migration::facts::effect::{Effect, EffectResult, Outcome};
use cutover::migration::facts::stage::SideState;

use super::world::GROUP;
use super::{Run, cut_over, roll_back};

/// Entries of a move that are written, from its start on, before the disk is full: beyond the longest move.
const POINTS: usize = 30;

impl Run {
    /// What the controller does when an append has failed, once the effects under way are over.
    fn strand(&mut self, switch_works: bool) {
        let why = Trouble::new("can't write to the journal x.journal: the disk is full", "free some space there");
        for stranded in self.machine.list_stranded() {
            let outcome = stranded.start.as_ref().map(|(_, issued)| match (&issued.effect, switch_works) {
                (Effect::SetSwitch { to, .. }, true) => {
                    assert!(matches!(to, SwitchState::Blue | SwitchState::Green), "{to}");
                    self.world.execute(&issued.effect)
                }
                _ => Outcome::Failed { why: Trouble::new("kubectl is not there", "") },
            });
            if switch_works {
                let started = |o: &Outcome| matches!(o, Outcome::Done { result: EffectResult::Switch { .. } });
                assert!(outcome.as_ref().is_none_or(started), "{outcome:?}");
            }
            self.machine.note_stranded(&stranded, outcome, &why, self.world.now);
        }
        self.world.run(5);
    }

    fn needs(&self) -> Option<(String, String)> {
        match self.machine.side_state(&Subject::Group(GROUP.into()), self.world.now) {
            Some(SideState::NeedsOperator { why, advice }) => Some((why, advice)),
            _ => None,
        }
    }
}

/// A move whose journal is full after `point` entries of it; `None` when the move is over before.
fn full(seed: u64, point: usize, back: bool, switch_works: bool) -> Option<Run> {
    let mut run = Run::new(seed);
    if back {
        assert!(run.ask(&cut_over()), "seed {seed}");
        run.finish(&cut_over());
        run.seconds(30);
    }
    run.world.mark();
    run.full_at = Some(run.journal.len() + point);
    let command = if back { roll_back() } else { cut_over() };
    run.ask(&command);
    for _ in 0..200 {
        run.seconds(1);
        if run.machine.session().read_only.is_some() && run.outcomes.is_empty() {
            run.strand(switch_works);
            return Some(run);
        }
    }
    (!run.open()).then_some(())?;
    None
}

#[test]
fn a_disk_that_is_full_anywhere_leaves_no_group_on_neither_side() {
    let mut hit = 0;
    // Every point once, there and back in turn.
    for (seed, back, first) in [(40_000, false, 0), (40_000, false, 1), (40_001, true, 0)] {
        for point in (first..POINTS).step_by(2) {
            let Some(mut run) = full(seed, point, back, true) else { continue };
            hit += 1;
            let on = run.world.runs_on();
            assert_eq!(on.len(), 1, "seed {seed}, {point} entries: runs on {on:?}, told {:?}", run.needs());
            // What failed last may be the entry that it is over: then nothing is stranded.
            if point > 0 && run.open() {
                let (why, advice) = run.needs().unwrap_or_else(|| panic!("seed {seed}, {point}: nobody is told"));
                assert!(why.contains("disk is full") && why.contains(GROUP), "{why}");
                assert!(advice.contains("free some space") && advice.contains("start cutover again"), "{advice}");
            }
            // There is room again.
            run.full_at = None;
            run.restart();
            let prefer =
                if point % 2 == 0 { Command::Continue { subject: Subject::Group(GROUP.into()) } } else { roll_back() };
            run.finish(&prefer);
            run.check(seed, &Side::BOTH);
        }
    }
    assert!(hit > 25, "only {hit} write points were hit");
}

#[test]
fn where_the_switch_fails_too_every_output_says_what_to_do_by_hand() {
    let mut nowhere = 0;
    for point in 1..POINTS {
        let Some(run) = full(41_000, point, false, false) else { continue };
        if !run.world.runs_on().is_empty() {
            continue;
        }
        nowhere += 1;
        let (why, advice) = run.needs().expect("somebody is told");
        assert!(why.contains("stands on neither side") && why.contains("kubectl is not there"), "{why}");
        let by_hand = Side::BOTH.map(|side| format!("start it on {side} by hand now"));
        assert!(by_hand.iter().any(|words| advice.starts_with(words)), "{advice}");
    }
    assert!(nowhere > 5, "{nowhere}");
}

/// A cutover whose process died after `point` entries of it; `None` when the group is not stopped by then.
fn died_with_the_group_off(seed: u64, point: usize) -> Option<Run> {
    let mut run = Run::new(seed);
    run.world.mark();
    run.die_at = Some(run.journal.len() + point);
    run.ask(&cut_over());
    for _ in 0..200 {
        if run.dead || !run.open() {
            break;
        }
        run.seconds(1);
    }
    (run.dead && run.world.switch == SwitchState::Off).then_some(run)
}

#[test]
fn what_an_earlier_process_stopped_is_not_started_by_a_disk_that_is_still_full() {
    let mut hit = 0;
    for point in 1..POINTS {
        let seed = 42_000;
        let Some(mut run) = died_with_the_group_off(seed, point) else { continue };
        hit += 1;
        // The first append of the next one fails.
        run.full_at = Some(run.journal.len());
        run.restart();
        assert!(run.machine.session().read_only.is_some(), "{point} entries: {}", run.story());
        run.strand(true);
        let (on, switch) = (run.world.runs_on(), run.world.switch);
        assert!(on.is_empty() && switch == SwitchState::Off, "{point} entries: {switch}, runs on {on:?}");
        let (why, advice) = run.needs().unwrap_or_else(|| panic!("{point} entries: nobody is told"));
        // Of a start that was asked for and never answered nobody knows yet whether it took.
        assert!(why.contains("stands on neither side"), "{point} entries: {why}");
        assert!(why.contains(": it waits for a person (interrupted at step"), "{point} entries: {why}");
        assert!(advice.contains("what it asked for before still stands: continue, or roll back"), "{advice}");
        // There is room again.
        run.full_at = None;
        run.restart();
        run.finish(&Command::Continue { subject: Subject::Group(GROUP.into()) });
        run.check(seed, &Side::BOTH);
    }
    assert!(hit > 5, "the group was off at {hit} points only");
}

/// A cutover of this process that has stopped the group.
fn stopped(seed: u64) -> Run {
    let mut run = Run::new(seed);
    run.world.mark();
    assert!(run.ask(&cut_over()), "seed {seed}");
    for _ in 0..200 {
        run.seconds(1);
        if run.world.switch == SwitchState::Off && run.outcomes.is_empty() {
            return run;
        }
    }
    panic!("it was not stopped: {}", run.story());
}

/// The disk fills up: the next entry is not written, and what can be done without it is done.
fn strand_at_once(run: &mut Run) -> (String, String) {
    run.full_at = Some(run.journal.len());
    for _ in 0..200 {
        if run.machine.session().read_only.is_some() && run.outcomes.is_empty() {
            run.strand(true);
            return run.needs().expect("somebody is told");
        }
        run.seconds(1);
    }
    panic!("nothing was written any more: {}", run.story());
}

#[test]
fn what_somebody_has_started_meanwhile_is_not_started_a_second_time() {
    let mut run = stopped(43_000);
    // Once it has left blue, by hand.
    run.world.run(4);
    run.world.switch = SwitchState::Green;
    let (why, _) = strand_at_once(&mut run);
    assert!(why.contains("its switch reads green now"), "{why}");
    assert_eq!((run.world.switch, run.world.both_ran), (SwitchState::Green, false));
}

#[test]
fn what_a_person_holds_is_left_as_it_is() {
    let mut run = stopped(43_000);
    let hold = |subject| Command::Hold { subject, why: "lunch".into() };
    assert!(run.ask(&hold(Subject::Group(GROUP.into()))));
    // Nothing goes on under a hold: it is another one that can't be written.
    run.full_at = Some(run.journal.len());
    run.ask(&hold(Subject::Migration));
    let (why, advice) = strand_at_once(&mut run);
    assert!(why.contains("stands on neither side: it is held by ann@bastion (lunch)"), "{why}");
    assert!(advice.starts_with("start it by hand where it can run"), "{advice}");
    assert_eq!(run.world.switch, SwitchState::Off);
}
