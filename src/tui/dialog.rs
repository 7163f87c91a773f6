//! The confirm dialog: what a command would do, and the typing that makes it happen. Its life:
//! asked -> shown (typing, for 30 s after the last key) -> sent -> taken or refused in place.

use tui_input::Input;

use super::model::Tone;
use crate::controller::snapshot::{Ask, GroupRow};
use crate::migration::command::{Command, Level, Prepared, Refusal, Subject};
use crate::migration::estate::{At, Side};
use crate::offsets::Chosen;

/// Keys that arrive this soon after the dialog is shown were meant for what lay under it, ms.
pub const TYPED_AHEAD_MS: u64 = 300;
/// The dialog closes this long after the last key, ms: what it shows would no longer be true.
pub const EXPIRES_MS: u64 = 30_000;
/// An estimate older than this is measured again when a dialog opens, ms.
pub const ESTIMATE_FRESH_MS: u64 = 5_000;

/// What the dialog waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// The controller has been asked what the command would do.
    Asking,
    /// It is shown, and the phrase is being typed.
    Shown,
    /// It was confirmed and sent.
    Sent,
    /// It can't be done, and why.
    Refused(Refusal),
}

/// A confirm dialog.
#[derive(Debug, Clone)]
pub struct Dialog {
    /// The command.
    pub command: Command,
    /// What the dialog waits for.
    pub phase: Phase,
    /// Number of the question whose answer counts; others are late and ignored.
    pub question: u64,
    /// What the controller said it would do.
    pub prepared: Option<Prepared>,
    /// When this phase began.
    pub since: At,
    /// The last key.
    pub last_key: At,
    /// What was typed.
    pub input: Input,
    /// First line of the steps that is shown.
    pub scroll: usize,
    /// Text was dropped because it was typed ahead or pasted, or does not match: what to say about it.
    pub remark: Option<String>,
    /// The measurement on which `prepared` rests, by its time; a newer one makes the dialog ask anew.
    pub measured_at: Option<At>,
    /// Number of the question that was asked anew.
    pub refreshing: Option<u64>,
    /// Why there will be no measurement.
    pub no_estimate: Option<String>,
    /// Where the reset file was written, or why not.
    pub exported: Option<(Tone, String)>,
}

impl Dialog {
    /// A dialog that waits for the controller's answer to `question`.
    #[must_use]
    pub fn new(command: Command, question: u64, now: At) -> Self {
        Self {
            command,
            phase: Phase::Asking,
            question,
            prepared: None,
            since: now,
            last_key: now,
            input: Input::default(),
            scroll: 0,
            remark: None,
            measured_at: None,
            refreshing: None,
            no_estimate: None,
            exported: None,
        }
    }

    /// The phrase to type, if one is needed.
    #[must_use]
    pub fn phrase(&self) -> Option<&str> {
        match &self.prepared.as_ref()?.level {
            Level::Typed(phrase) => Some(phrase),
            Level::None | Level::Key => None,
        }
    }

    /// Whether keys still count as typed ahead.
    #[must_use]
    pub fn typed_ahead(&self, now: At) -> bool {
        match self.phase {
            Phase::Asking => true,
            Phase::Shown => now.since(self.since) < TYPED_AHEAD_MS,
            Phase::Sent | Phase::Refused(_) => false,
        }
    }

    /// How long it stays open without a key, ms; `None` when it does not close by itself.
    #[must_use]
    pub fn left_ms(&self, now: At) -> Option<u64> {
        (self.phase == Phase::Shown).then(|| EXPIRES_MS.saturating_sub(now.since(self.last_key.max(self.since))))
    }

    /// Whether its time is over.
    #[must_use]
    pub fn expired(&self, now: At) -> bool {
        self.left_ms(now) == Some(0)
    }

    /// The answer to "what would it do?".
    pub fn answered(&mut self, result: Result<Box<Prepared>, Refusal>, now: At) {
        self.since = now;
        self.last_key = now;
        match result {
            Ok(prepared) => {
                self.prepared = Some(*prepared);
                self.phase = Phase::Shown;
            }
            Err(refusal) => self.phase = Phase::Refused(refusal),
        }
    }

    /// The answer to the same question asked anew because a newer measurement came in. What was typed stays, unless
    /// there is something new to read.
    pub fn refreshed(&mut self, result: Result<Box<Prepared>, Refusal>, now: At) {
        self.refreshing = None;
        match result {
            Err(refusal) => self.phase = Phase::Refused(refusal),
            Ok(next) => {
                let news = self.prepared.as_ref().is_none_or(|before| {
                    before.level != next.level
                        || before.steps != next.steps
                        || before.way_back != next.way_back
                        || next.warnings.iter().any(|w| !before.warnings.iter().any(|b| gist(b) == gist(w)))
                });
                if news {
                    self.input.reset();
                    self.since = now;
                    self.remark = Some("the facts changed: read them again".to_owned());
                }
                self.prepared = Some(*next);
            }
        }
    }

    /// What is sent when what was typed is the phrase; else the remark says what is missing.
    pub fn confirm(&mut self, actor: &str, id: u64, now: At) -> Option<Ask> {
        let prepared = self.prepared.as_ref()?;
        let typed = self.input.value().trim().to_owned();
        if let Level::Typed(phrase) = &prepared.level
            && typed != *phrase
        {
            self.remark = Some(if typed.is_empty() {
                "nothing typed yet".to_owned()
            } else {
                format!("`{typed}` is not `{phrase}`")
            });
            return None;
        }
        self.phase = Phase::Sent;
        self.since = now;
        self.question = id;
        Some(Ask::Execute {
            id,
            command: self.command.clone(),
            actor: actor.to_owned(),
            typed,
            facts: Some(prepared.facts.clone()),
            asked: now,
        })
    }
}

/// A warning without its figures: they move with every measurement, and the phrase names those that count.
fn gist(warning: &str) -> Vec<&str> {
    warning.split_whitespace().filter(|w| !w.contains(|c: char| c.is_ascii_digit())).collect()
}

/// Which estimate a command's dialog shows: of which group, and to which side.
#[must_use]
pub fn estimate_for(command: &Command) -> Option<(&str, Side)> {
    match command {
        Command::CutOver { group, .. } => Some((group, Side::Green)),
        Command::RollBack { group, .. } => Some((group, Side::Blue)),
        Command::ResetOffsets { group, to, .. } => Some((group, *to)),
        _ => None,
    }
}

/// Whether a group's newest measurement is of what a command would do: of that side, by that strategy. Why it was chosen
/// changes no offset.
#[must_use]
pub fn measures(g: &GroupRow, command: &Command) -> bool {
    estimate_for(command).is_some_and(|(_, to)| g.estimate_to == Some(to))
        && Chosen::same(g.estimate_chosen.as_ref(), command.chosen())
}

/// What keeps the facts of a command's dialog fresh while it is open.
#[must_use]
pub fn watch(command: &Command) -> Option<Ask> {
    let group = watched(command)?;
    Some(match command {
        Command::ResetOffsets { to, chosen, .. } => Ask::WatchChoice { group, to: *to, chosen: chosen.clone() },
        _ => Ask::Watch { group: Some(group) },
    })
}

/// The group whose facts the controller keeps fresh while the dialog is open.
#[must_use]
pub fn watched(command: &Command) -> Option<String> {
    match command.subject() {
        Subject::Group(g) => Some(g),
        _ => None,
    }
}
