//! What happens at one moment of a run: between two of its steps.

use cutover::base::{Side, Sides, TopicPartition};
use cutover::estate::FlagState;
use cutover::migration::facts::effect::{Effect, Outcome};
use cutover::migration::facts::event::Event;
use cutover::migration::facts::settings::Settings;
use cutover::migration::facts::stage::SideState;
use cutover::migration::run::machine::SessionMode;
use cutover::migration::run::runbook::StepKind;

use super::Driver;
use super::asked::{command, settings};
use super::world::{TOPIC, World};
use crate::driver::World as _;

fn soaking(settings: Settings) -> Driver {
    let mut d = Driver::new(settings, SessionMode::default());
    d.run(12);
    d.ask(&command("cut")).unwrap();
    d.run(60);
    assert_eq!(d.stage(), "soaking");
    d
}

fn no_principal() -> Settings {
    let mut settings = settings();
    settings.producers.values_mut().for_each(|p| p.principals = Sides::default());
    settings
}

/// Seconds pass until the journal has this from `from` on.
fn until(d: &mut Driver, what: &str, from: usize, is: impl Fn(&Event) -> bool) {
    for _ in 0..200 {
        if d.journal[from..].iter().any(|e| is(&e.event)) {
            return;
        }
        d.run(1);
    }
    panic!("{what} does not come: {}", d.next());
}

fn carried(event: &Event) -> bool {
    matches!(event, Event::Result { key, outcome: Outcome::Done { .. }, .. } if key.contains("/8/"))
}

fn needs(d: &mut Driver, words: &str) {
    for _ in 0..200 {
        let state = d.machine.side_state(&World::subject(), d.world.now);
        if let Some(SideState::NeedsOperator { why, .. }) = state {
            assert!(why.contains(words), "{why}");
            return;
        }
        d.run(1);
    }
    panic!("nobody is needed: {} {}", d.stage(), d.next());
}

fn remarks(d: &Driver) -> String {
    d.machine.state().remarks.iter().map(|(_, _, what)| what.as_str()).collect::<Vec<_>>().join(" | ")
}

/// Records that are none of the pipeline's.
fn strange(d: &Driver, side: usize) -> usize {
    d.world.logs[side][0].slots.iter().flatten().filter(|n| **n == u64::MAX).count()
}

fn back(d: &mut Driver) -> usize {
    let from = d.journal.len();
    d.ask(&command("back carry")).unwrap();
    from
}

#[test]
fn what_green_gets_after_the_carry_is_carried_too() {
    let seamed = |e: &Event| matches!(e, Event::Seamed { .. });
    for (when, is) in [("the carry", carried as fn(&Event) -> bool), ("the seam", seamed)] {
        let mut d = soaking(settings());
        let from = back(&mut d);
        until(&mut d, when, from, is);
        d.world.meddle(Side::Green);
        needs(&mut d, if when == "the carry" { "2 offsets were written on green" } else { "ends at" });
        assert_eq!(d.writes_on(), "nowhere", "{when}");
        d.ask(&command("continue")).unwrap();
        d.run(120);
        assert_eq!(d.stage(), "rolled back", "{when}");
        assert_eq!((strange(&d, 1), strange(&d, 0)), (1, 1), "after {when}: it is on blue, once");
        d.exact().unwrap();
    }
}

#[test]
fn an_instance_that_starts_while_records_are_carried_is_fenced_once_it_is_stopped() {
    let mut d = soaking(no_principal());
    let from = back(&mut d);
    until(&mut d, "the carry", from, carried);
    d.world.restarted = Some((Side::Green, None));
    needs(&mut d, "was initialised again on green");
    (d.world.restarted, d.world.meddled) = (None, true);
    d.ask(&command("continue")).unwrap();
    d.run(120);
    assert_eq!((d.stage().as_str(), d.writes_on()), ("rolled back", "blue"));
    assert_eq!(strange(&d, 1), strange(&d, 0), "what it wrote is on blue");
    let fences = d.world.effects.iter().filter(|e| *e == "fence green").count();
    assert_eq!(fences, 2);
}

#[test]
fn a_run_can_end_after_an_instance_came_back_on_the_side_that_was_left() {
    let mut d = soaking(no_principal());
    let from = back(&mut d);
    until(&mut d, "the flag", from, |e| {
        matches!(e, Event::Intent { issued, .. }
            if matches!(issued.effect, Effect::SetFlag { to: FlagState::Blue, .. }))
    });
    d.world.restarted = Some((Side::Green, None));
    d.run(3);
    (d.world.restarted, d.world.meddled) = (None, true);
    needs(&mut d, "ends at");
    assert!(d.open());
    d.ask(&command("continue")).unwrap();
    d.run(60);
    assert!(!d.open(), "{}", d.next());
    assert_eq!(d.writes_on(), "blue");
    assert!(remarks(&d).contains("nobody carries what lies past the seam"), "{}", remarks(&d));
}

#[test]
fn one_that_goes_on_writing_there_is_named_again() {
    let mut d = soaking(no_principal());
    let from = back(&mut d);
    until(&mut d, "the flag", from, |e| {
        matches!(e, Event::Intent { issued, .. }
            if matches!(issued.effect, Effect::SetFlag { to: FlagState::Blue, .. }))
    });
    d.world.restarted = Some((Side::Green, None));
    needs(&mut d, "ends at");
    d.ask(&command("continue")).unwrap();
    d.run(2);
    needs(&mut d, "ends at");
    assert!(d.open());
}

/// Whatever lies between the last look and the flag: a hold, or the death of the process.
#[test]
fn the_flag_is_set_on_a_look_of_its_own() {
    for killed in [false, true] {
        let mut d = Driver::new(settings(), SessionMode::default());
        d.run(12);
        let from = d.journal.len();
        d.ask(&command("cut")).unwrap();
        let steps = cutover::migration::eos::runbook::hard_steps(
            cutover::migration::facts::event::RunKind::HardCut,
            &d.settings.producers[super::world::PRODUCER],
            &command("cut"),
            Side::Green,
        );
        let allow = steps.iter().position(|s| matches!(s.kind, StepKind::Allow { .. })).unwrap();
        until(&mut d, "allow", from, |e| matches!(e, Event::StepDone { step, .. } if *step == allow));
        match killed {
            true => d.restart(),
            false => drop(d.ask(&command("hold")).unwrap()),
        }
        d.run(30);
        d.world.meddle(Side::Blue);
        d.run(2);
        let set = |d: &Driver| d.world.effects.iter().any(|e| e == "flag green");
        assert!(!set(&d), "killed {killed}");
        if !killed {
            d.ask(&command("resume")).unwrap();
            needs(&mut d, "ends at");
            assert!(!set(&d));
        }
        d.ask(&command("continue")).unwrap();
        d.run(90);
        assert_eq!((d.stage().as_str(), d.writes_on()), ("soaking", "green"), "killed {killed}");
        let tp = TopicPartition::new(TOPIC, 0);
        let (_, seam) = d.machine.state().seams.current_to(Side::Green, &tp).unwrap();
        assert_eq!(seam.source, d.world.end(Side::Blue, 0), "the seam is behind what was written meanwhile");
        d.exact().unwrap();
    }
}

#[test]
fn who_was_not_asked_did_not_stay_away() {
    let mut d = Driver::new(settings(), SessionMode::default());
    d.run(12);
    let from = d.journal.len();
    d.ask(&command("cut")).unwrap();
    until(&mut d, "the seam", from, |e| matches!(e, Event::Seamed { .. }));
    d.world.mute[0] = true;
    d.run(20);
    assert!(!d.journal.iter().any(|e| matches!(e.event, Event::PointOfNoReturn { .. })));
    d.run(200);
    assert!(!d.journal.iter().any(|e| matches!(e.event, Event::PointOfNoReturn { .. })));
    assert_eq!((d.stage().as_str(), d.writes_on()), ("on blue", "blue"));
    assert!(remarks(&d).contains("can't be told"), "{}", remarks(&d));
}

#[test]
fn what_can_not_be_asked_before_3_0_is_said() {
    let mut d = Driver::new(settings(), SessionMode::default());
    d.world.old[0] = true;
    d.run(12);
    d.ask(&command("cut")).unwrap();
    d.run(90);
    assert_eq!(d.stage(), "soaking");
    assert!(remarks(&d).contains("not available before"), "{}", remarks(&d));
}
