//! How commands and events are spelled in a journal: what any version wrote is read, whatever is written today.

use super::command::{Command, Subject};
use super::event::{Event, JournalEntry, RunEnd, RunKind};
use super::overrides::{GateName, Override};
use super::stage::Stage;
use super::state::State;
use crate::base::{At, Side};
use crate::estate::FlagState;
use crate::migration::eos::GreenOnly;

fn group() -> Subject {
    Subject::Group("g".into())
}

fn producer() -> Subject {
    Subject::Producer("p".into())
}

/// Each command as the versions up to 0.1 wrote it, and what it says.
fn earlier_commands() -> Vec<(&'static str, Command)> {
    let expired = Override::new(GateName::Expired, "they are replayed by hand");
    vec![
        (r#"{"do":"estimate","group":"g","to":"green"}"#, Command::estimate("g", Side::Green)),
        (r#"{"do":"reset_offsets","group":"g","to":"green"}"#, Command::reset_offsets("g", Side::Green)),
        (r#"{"do":"cut_over","group":"g"}"#, Command::cut_over("g")),
        (r#"{"do":"roll_back","group":"g"}"#, Command::roll_back("g")),
        (r#"{"do":"continue","group":"g"}"#, Command::Continue { subject: group() }),
        (r#"{"do":"complete","group":"g"}"#, Command::complete(group())),
        (
            r#"{"do":"complete","group":"g","overrides":[{"gate":"expired","reason":"they are replayed by hand"}]}"#,
            Command::Complete { subject: group(), overrides: vec![expired] },
        ),
        (
            r#"{"do":"hold","subject":{"group":"g"},"why":"lunch"}"#,
            Command::Hold { subject: group(), why: "lunch".into() },
        ),
        (r#"{"do":"resume","subject":"migration"}"#, Command::Resume { subject: Subject::Migration }),
        (r#"{"do":"route","producer":"p","to":"dual"}"#, Command::route("p", FlagState::Dual)),
        (r#"{"do":"hard_cut","producer":"p"}"#, Command::hard_cut("p")),
        (r#"{"do":"hard_back","producer":"p","green_only":"carry"}"#, Command::hard_back("p", GreenOnly::Carry)),
        (r#"{"do":"continue_producer","producer":"p"}"#, Command::Continue { subject: producer() }),
        (r#"{"do":"complete_producer","producer":"p"}"#, Command::complete(producer())),
        (r#"{"do":"approve","producer":"p"}"#, Command::Approve { producer: "p".into() }),
    ]
}

/// The events that say what became of a subject, as the versions up to 0.1 wrote them.
fn earlier_events() -> Vec<(&'static str, Event)> {
    vec![
        (
            r#"{"event":"run_started","run":1,"kind":"cut_over","subject":{"group":"g"},"command":{"do":"cut_over","group":"g"},"confirmed":"","estimate":null,"max_re_read":null,"dry_run":false}"#,
            Event::started(1, RunKind::CutOver, Command::cut_over("g")),
        ),
        (r#"{"event":"continued","run":1}"#, Event::Continued { run: 1 }),
        (
            r#"{"event":"held","subject":{"producer":"p"},"why":"lunch"}"#,
            Event::Held { subject: producer(), why: "lunch".into() },
        ),
        (r#"{"event":"resumed","subject":{"producer":"p"}}"#, Event::Resumed { subject: producer() }),
        (r#"{"event":"completed","group":"g"}"#, Event::Completed { subject: group() }),
        (r#"{"event":"producer_completed","producer":"p"}"#, Event::Completed { subject: producer() }),
    ]
}

/// As it is written today: one word for a thing, whatever its subject.
fn respell(text: &str) -> String {
    let old =
        [("continue_producer", "continue"), ("complete_producer", "complete"), ("producer_completed", "completed")];
    old.iter().fold(text.to_owned(), |text, (was, is)| text.replace(was, is))
}

#[test]
fn every_spelling_of_a_command_is_read() {
    for (text, command) in earlier_commands() {
        assert_eq!(serde_json::from_str::<Command>(text).unwrap_or_else(|e| panic!("{text}: {e}")), command);
        assert_eq!(serde_json::to_string(&command).unwrap(), respell(text));
        assert_eq!(serde_json::from_str::<Command>(&respell(text)).unwrap(), command);
    }
}

#[test]
fn every_spelling_of_an_event_is_read() {
    for (text, event) in earlier_events() {
        assert_eq!(serde_json::from_str::<Event>(text).unwrap_or_else(|e| panic!("{text}: {e}")), event);
        assert_eq!(serde_json::to_string(&event).unwrap(), respell(text));
        assert_eq!(serde_json::from_str::<Event>(&respell(text)).unwrap(), event);
    }
}

#[test]
fn a_journal_of_an_earlier_version_amounts_to_the_same() {
    let mut state = State::default();
    for ((text, _), seq) in earlier_events().into_iter().zip(1..) {
        let event = serde_json::from_str(text).unwrap();
        state.apply(&JournalEntry { seq, at: At(7), actor: "ann@bastion".into(), event });
    }
    assert_eq!(state.groups["g"].rest, Stage::Complete { at: At(7) });
    assert_eq!(state.producers["p"].rest, Stage::Complete { at: At(7) });
    assert_eq!((state.groups.len(), state.producers.len()), (1, 1));
}

#[test]
fn a_rehearsal_makes_no_move_forgotten() {
    let mut state = State::default();
    let mut take = |seq, event| state.apply(&JournalEntry { seq, at: At(7), actor: "ann@bastion".into(), event });
    let rehearsal = |run| match Event::started(run, RunKind::RollBack, Command::roll_back("g")) {
        Event::RunStarted { run, kind, subject, command, confirmed, estimate, max_re_read, accepted, .. } => {
            Event::RunStarted { run, kind, subject, command, confirmed, estimate, max_re_read, dry_run: true, accepted }
        }
        other => other,
    };
    take(1, Event::started(1, RunKind::CutOver, Command::cut_over("g")));
    for run in 1..=3 {
        take(run * 2, Event::RunEnded { run, end: RunEnd::Done });
        take(run * 2 + 1, rehearsal(run + 1));
    }
    let runs = |state: &State| state.runs.keys().copied().collect::<Vec<_>>();
    assert_eq!((state.groups["g"].run, state.groups["g"].moved), (Some(4), Some(1)));
    assert_eq!(runs(&state), [1, 4], "the move, and the rehearsal that is shown");
    let real = Event::started(5, RunKind::RollBack, Command::roll_back("g"));
    state.apply(&JournalEntry {
        seq: 9,
        at: At(7),
        actor: "ann@bastion".into(),
        event: Event::RunEnded { run: 4, end: RunEnd::Done },
    });
    state.apply(&JournalEntry { seq: 10, at: At(7), actor: "ann@bastion".into(), event: real });
    assert_eq!((state.groups["g"].run, state.groups["g"].moved, runs(&state)), (Some(5), Some(5), vec![5]));
}
