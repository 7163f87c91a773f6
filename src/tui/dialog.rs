//! The confirm dialog: what a command would do, and the typing that makes it happen. Its life:
//! asked -> shown (typing; asked anew after 30 s without a key) -> sent -> taken or refused in place.

use tui_input::Input;

use super::model::Tone;
use crate::base::{At, Person, Side};
use crate::migration::facts::command::{Command, Level, Prepared, Refusal, Subject};
use crate::offsets::Chosen;
use crate::snapshot::{Ask, GroupRow};

/// Keys that arrive this soon after the dialog is shown were meant for what lay under it, ms.
pub const TYPED_AHEAD_MS: u64 = 300;
/// What a dialog rests on is asked for anew this long after the last key, ms: what it shows may no longer be true. It
/// stays open: were it to close by itself, the phrase would be typed at what lay under it.
pub const EXPIRES_MS: u64 = 30_000;
/// What is typed where one key would be enough to say yes: text that was meant for another window says no.
pub(crate) const YES: &str = "yes";
/// An estimate older than this is measured again when a dialog opens, ms.
pub(crate) const ESTIMATE_FRESH_MS: u64 = 5_000;

/// What something was asked for, and so what is said of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AskPurpose {
    /// What comes of it is seen where it was asked for: only a refusal is told.
    #[default]
    Seen,
    /// A measurement: its figures appear by themselves, and a dialog goes without them where it was refused.
    Measurement,
    /// A command, in a word or two: it is said that it was done.
    Command(String),
}

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
    /// When it was asked for anew because nobody had pressed a key; nothing is confirmed until the answer.
    pub renewed: Option<At>,
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
            renewed: None,
            no_estimate: None,
            exported: None,
        }
    }

    /// The phrase to type, if one is needed.
    #[must_use]
    pub fn phrase(&self) -> Option<&str> {
        match &self.prepared.as_ref()?.level {
            Level::Typed(phrase) => Some(phrase),
            Level::Key => Some(YES),
            Level::None => None,
        }
    }

    /// Whether keys still count as typed ahead.
    #[must_use]
    pub(crate) fn typed_ahead(&self, now: At) -> bool {
        match self.phase {
            Phase::Asking => true,
            Phase::Shown | Phase::Refused(_) => now.since(self.since) < TYPED_AHEAD_MS,
            Phase::Sent => false,
        }
    }

    /// Whether what it rests on is too old to be confirmed.
    #[must_use]
    pub(crate) fn is_expired(&self, now: At) -> bool {
        self.phase == Phase::Shown && now.since(self.last_key.max(self.since)) >= EXPIRES_MS
    }

    /// Nobody pressed a key for too long: question `id` asks anew, and what was typed is typed again.
    pub(crate) fn ask_anew(&mut self, id: u64, now: At) {
        self.refreshing = Some(id);
        self.renewed = Some(now);
        self.last_key = now;
        self.input.reset();
        let words = format!("{} s without a key: asked anew; read it again, then type it", EXPIRES_MS / 1_000);
        self.remark = Some(words);
    }

    /// The answer to "what would it do?".
    pub(crate) fn take_answer(&mut self, result: Result<Box<Prepared>, Refusal>, now: At) {
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
    pub(crate) fn take_new_answer(&mut self, result: Result<Box<Prepared>, Refusal>, now: At) {
        self.refreshing = None;
        self.renewed = None;
        match result {
            Err(refusal) => {
                self.phase = Phase::Refused(refusal);
                self.since = now;
            }
            Ok(next) => {
                // Figures that moved, and a warning that is gone, are nothing to read again.
                let news = self.prepared.as_ref().is_none_or(|before| {
                    before.level != next.level
                        || before.steps != next.steps
                        || before.way_back != next.way_back
                        || next
                            .warnings
                            .iter()
                            .any(|w| !before.warnings.iter().any(|b| strip_figures(b) == strip_figures(w)))
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
    pub fn confirm(&mut self, actor: &Person, id: u64, now: At) -> Option<Ask> {
        let prepared = self.prepared.as_ref()?;
        let facts = prepared.facts.clone();
        if self.renewed.is_some() {
            self.remark = Some("asked anew: a moment".to_owned());
            return None;
        }
        let typed = self.input.value().trim().to_owned();
        if let Some(phrase) = self.phrase().map(ToOwned::to_owned)
            && typed != phrase
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
        // From here on the command's answer counts, and none that is late.
        self.question = id;
        Some(Ask::Execute {
            id,
            command: self.command.clone(),
            actor: actor.clone(),
            typed,
            facts: Some(facts),
            asked: now,
        })
    }
}

/// A warning without its figures: they move with every measurement, and the phrase names those that count.
fn strip_figures(warning: &str) -> Vec<&str> {
    warning.split_whitespace().filter(|w| !w.contains(|c: char| c.is_ascii_digit())).collect()
}

/// Which estimate a command's dialog shows: of which group, and to which side.
#[must_use]
pub(crate) fn estimate_shown_for(command: &Command) -> Option<(&str, Side)> {
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
pub(crate) fn is_measured_for(g: &GroupRow, command: &Command) -> bool {
    estimate_shown_for(command).is_some_and(|(_, to)| g.estimate_to == Some(to))
        && Chosen::same_offsets(g.estimate_chosen.as_ref(), command.chosen())
}

/// What keeps the facts of a command's dialog fresh while it is open.
#[must_use]
pub(crate) fn watch_for(command: &Command) -> Option<Ask> {
    let group = watched_group(command)?;
    Some(match command {
        Command::ResetOffsets { to, chosen, .. } => Ask::WatchChoice { group, to: *to, chosen: chosen.clone() },
        _ => Ask::Watch { group: Some(group) },
    })
}

/// The group whose facts the controller keeps fresh while the dialog is open.
#[must_use]
pub(crate) fn watched_group(command: &Command) -> Option<String> {
    match command.subject() {
        Subject::Group(g) => Some(g),
        _ => None,
    }
}
