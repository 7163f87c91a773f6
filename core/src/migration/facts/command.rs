//! What an operator may ask, and the confirmation it needs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::overrides::{GateName, HeldGate, Override};
use crate::base::sanitise::visible_name;
pub use crate::base::shell_word;
use crate::base::{Side, Trouble, TroubleClass};
use crate::estate::FlagState;
use crate::migration::eos::{GreenOnly, HardGateRow};
use crate::offsets::strategy::Chosen;

/// What an operator may ask. Everything a key, a palette line or a subcommand can do to an estate is one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// Measure a translation now; reads only. The result is the group's estimate.
    Estimate {
        /// Group id.
        group: String,
        /// Where it would go.
        to: Side,
        /// Another strategy than the plan's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chosen: Option<Chosen>,
    },
    /// Set the group's offsets on `to` to the equivalent of its position on the other side, without starting or stopping anything.
    ResetOffsets {
        /// Group id.
        group: String,
        /// The cluster whose offsets are set.
        to: Side,
        /// Another strategy than the plan's; its reason is required.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chosen: Option<Chosen>,
        /// Gates to pass over, each with its reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        overrides: Vec<Override>,
    },
    /// Move the group to green.
    CutOver {
        /// Group id.
        group: String,
        /// Gates to pass over, each with its reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        overrides: Vec<Override>,
    },
    /// Move the group back to blue, or undo a cutover that is under way.
    RollBack {
        /// Group id.
        group: String,
        /// Gates to pass over, each with its reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        overrides: Vec<Override>,
    },
    /// Go on with an action that a restart or a failed step interrupted, or say that an alarm was seen and mended.
    // Written as `"group": "..."` or `"producer": "..."`, as it was when each of them had a command of its own.
    #[serde(alias = "continue_producer")]
    Continue {
        /// Group, or exactly-once producer.
        #[serde(flatten)]
        subject: Subject,
    },
    /// Declare the soak of a group done, or an exactly-once producer moved: blue is not kept as its way back any longer.
    #[serde(alias = "complete_producer")]
    Complete {
        /// Group, or exactly-once producer.
        #[serde(flatten)]
        subject: Subject,
        /// Gates to pass over: what the soak can't prove any more, each with its reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        overrides: Vec<Override>,
    },
    /// Keep a group or producer where it is: nothing starts, a running action stops before its next effect.
    Hold {
        /// Group or producer.
        subject: Subject,
        /// Why, for the journal.
        why: String,
    },
    /// End a hold.
    Resume {
        /// Group or producer.
        subject: Subject,
    },
    /// Set a producer's flag.
    Route {
        /// Producer name.
        producer: String,
        /// The state to set.
        to: FlagState,
        /// Gates to pass over, each with its reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        overrides: Vec<Override>,
    },
    /// Move an exactly-once producer to green.
    HardCut {
        /// Producer name.
        producer: String,
        /// Gates to pass over, each with its reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        overrides: Vec<Override>,
    },
    /// Move an exactly-once producer back to blue, or undo a hard cutover that is under way.
    HardBack {
        /// Producer name.
        producer: String,
        /// What becomes of what was written on green since.
        green_only: GreenOnly,
        /// Gates to pass over, each with its reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        overrides: Vec<Override>,
    },
    /// Agree to a hard cutover that somebody else will start.
    Approve {
        /// Producer name.
        producer: String,
    },
    /// Set green up as blue is, as far as that adds and sets only: topics, settings, ACLs, quotas, schemas.
    Provision,
}

/// What a command, an event or a notice is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The migration as a whole.
    Migration,
    /// One cluster.
    Cluster(Side),
    /// A group, by its id on blue.
    Group(String),
    /// A producer, by its name in the plan.
    Producer(String),
}

impl Subject {
    /// Its name alone, made visible, where there is no room or no need to say what it is: `loan-ledger`, `blue`, `migration`.
    #[must_use]
    pub fn short_name(&self) -> String {
        match self {
            Subject::Migration => "migration".into(),
            Subject::Cluster(side) => side.name().into(),
            Subject::Group(name) | Subject::Producer(name) => visible_name(name),
        }
    }
}

/// `group loan-ledger`, `producer loan-api`, `blue`, `the migration`; names are made visible.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.short_name();
        match self {
            Subject::Migration => write!(f, "the {name}"),
            Subject::Cluster(_) => f.write_str(&name),
            Subject::Group(_) => write!(f, "group {name}"),
            Subject::Producer(_) => write!(f, "producer {name}"),
        }
    }
}

impl Command {
    /// A cutover that passes over nothing.
    pub fn cut_over(group: impl Into<String>) -> Self {
        Self::CutOver { group: group.into(), overrides: Vec::new() }
    }

    /// A rollback that passes over nothing.
    pub fn roll_back(group: impl Into<String>) -> Self {
        Self::RollBack { group: group.into(), overrides: Vec::new() }
    }

    /// The end of what watches over a move, over no gate.
    #[must_use]
    pub fn complete(subject: Subject) -> Self {
        Self::Complete { subject, overrides: Vec::new() }
    }

    /// A measurement by the plan's own strategies.
    pub fn estimate(group: impl Into<String>, to: Side) -> Self {
        Self::Estimate { group: group.into(), to, chosen: None }
    }

    /// Offsets by the plan's own strategies, passing over nothing.
    pub fn reset_offsets(group: impl Into<String>, to: Side) -> Self {
        Self::ResetOffsets { group: group.into(), to, chosen: None, overrides: Vec::new() }
    }

    /// A routing that passes over nothing.
    pub fn route(producer: impl Into<String>, to: FlagState) -> Self {
        Self::Route { producer: producer.into(), to, overrides: Vec::new() }
    }

    /// A hard cutover that passes over nothing.
    pub fn hard_cut(producer: impl Into<String>) -> Self {
        Self::HardCut { producer: producer.into(), overrides: Vec::new() }
    }

    /// A hard rollback that passes over nothing.
    pub fn hard_back(producer: impl Into<String>, green_only: GreenOnly) -> Self {
        Self::HardBack { producer: producer.into(), green_only, overrides: Vec::new() }
    }

    /// The strategy that was chosen instead of the plan's.
    #[must_use]
    pub fn chosen(&self) -> Option<&Chosen> {
        match self {
            Command::Estimate { chosen, .. } | Command::ResetOffsets { chosen, .. } => chosen.as_ref(),
            _ => None,
        }
    }

    /// Gates that it wants to pass over.
    #[must_use]
    pub fn overrides(&self) -> &[Override] {
        match self {
            Command::ResetOffsets { overrides, .. }
            | Command::CutOver { overrides, .. }
            | Command::RollBack { overrides, .. }
            | Command::Complete { overrides, .. }
            | Command::Route { overrides, .. }
            | Command::HardCut { overrides, .. }
            | Command::HardBack { overrides, .. } => overrides,
            _ => &[],
        }
    }

    /// The same command, passing over one more gate; of a command that passes over none, itself.
    #[must_use]
    pub fn passing_over(mut self, gate: GateName, reason: &str) -> Self {
        if let Command::ResetOffsets { overrides, .. }
        | Command::CutOver { overrides, .. }
        | Command::RollBack { overrides, .. }
        | Command::Complete { overrides, .. }
        | Command::Route { overrides, .. }
        | Command::HardCut { overrides, .. }
        | Command::HardBack { overrides, .. } = &mut self
        {
            // Of a gate that is named twice the last reason counts.
            overrides.retain(|o| o.gate != gate);
            overrides.push(Override::new(gate, reason));
        }
        self
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Command::Estimate { group, .. }
            | Command::ResetOffsets { group, .. }
            | Command::CutOver { group, .. }
            | Command::RollBack { group, .. } => Subject::Group(group.clone()),
            Command::Continue { subject }
            | Command::Complete { subject, .. }
            | Command::Hold { subject, .. }
            | Command::Resume { subject } => subject.clone(),
            Command::Route { producer, .. }
            | Command::HardCut { producer, .. }
            | Command::HardBack { producer, .. }
            | Command::Approve { producer } => Subject::Producer(producer.clone()),
            Command::Provision => Subject::Migration,
        }
    }
}

/// How hard it is to confirm a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// No confirmation: it changes nothing outside (estimate, hold).
    None,
    /// One key.
    Key,
    /// A typed phrase, e.g. `green loan-audit`.
    Typed(String),
}

/// One line of a confirm dialog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLine {
    /// What happens, e.g. `stop on blue (kubectl scale deploy/loan-audit ...)`.
    pub what: String,
    /// How long it may take, ms.
    pub timeout_ms: Option<u64>,
    /// What undoes it; `None` when nothing was changed.
    pub undo: Option<String>,
}

/// Everything a confirm dialog shows, and what must be given back to execute: the answer to "what would this do?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The command.
    pub command: Command,
    /// Title, e.g. `Cut over loan-audit to GREEN`.
    pub title: String,
    /// The exact steps.
    pub steps: Vec<StepLine>,
    /// The point of no silent return lies after this many steps.
    pub no_return_after: Option<usize>,
    /// What must be typed.
    pub level: Level,
    /// Re-read limit, records; `None` where nothing is read again.
    pub max_re_read: Option<u64>,
    /// The way back in words.
    pub way_back: String,
    /// Facts worth a line: warnings, what is unknown.
    pub warnings: Vec<String>,
    /// Gates that hold and that this confirmation passes over: the phrase names what each costs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<HeldGate>,
    /// The gate of a hard cutover, row by row with the measured values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<HardGateRow>,
    /// What would be changed, what is left to a person, what is not known: a line each, as `cutover provision` prints it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<String>,
    /// The same by hand: `kafka-consumer-groups` commands, without secrets.
    pub by_hand: Vec<String>,
    /// A digest of the facts that the dialog rests on; execution is refused when they changed since.
    pub facts: String,
}

/// Why a command cannot be done now, and what would make it possible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// Why, in one sentence.
    pub why: String,
    /// What to do about it.
    pub advice: String,
    /// Whether a rule or a gate stands in the way, or nobody knows: waiting, and passing over, rest on that.
    pub class: TroubleClass,
    /// The gate that holds, where it can be passed over with a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateName>,
    /// Waiting does not change it: see [`Trouble::lasting`](crate::base::Trouble::lasting).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lasting: bool,
    /// Who goes on watching for so long, ms, is told what is not known now; `None`: nobody knows how long that takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_in_ms: Option<u64>,
}

impl Refusal {
    /// Whether it may go by itself: nobody knows yet, so whoever has time looks again.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.class == TroubleClass::Unknown
    }

    /// The same, as lasting as what caused it.
    #[must_use]
    pub(crate) fn lasting_as(self, cause: &Trouble) -> Self {
        Self { lasting: cause.lasting, ..self }
    }

    /// The same, of a gate that can be passed over.
    #[must_use]
    pub fn with_gate(self, gate: GateName) -> Self {
        Self { gate: Some(gate), ..self }
    }

    /// The same, of what watching for so long tells, ms.
    #[must_use]
    pub fn told_in(self, ms: Option<u64>) -> Self {
        Self { told_in_ms: ms, ..self }
    }

    /// Refused by rule.
    pub fn refused(why: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::of_class(TroubleClass::Refused, why.into(), advice.into())
    }

    /// A gate holds.
    pub fn holds(why: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::of_class(TroubleClass::Held, why.into(), advice.into())
    }

    /// It could not be observed.
    pub fn unknown(why: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::of_class(TroubleClass::Unknown, why.into(), advice.into())
    }

    fn of_class(class: TroubleClass, why: String, advice: String) -> Self {
        Self { why, advice, class, gate: None, lasting: false, told_in_ms: None }
    }
}

/// What a row offers now, for footers, help and palettes: `refused` is `None` when the command would be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The command.
    pub command: Command,
    /// Why not now.
    pub refused: Option<Refusal>,
}

#[cfg(test)]
mod tests {
    use super::{Side, Subject};

    #[test]
    fn a_subject_says_what_it_is() {
        let of = |subject: Subject| [subject.to_string(), subject.short_name()];
        assert_eq!(of(Subject::Migration), ["the migration", "migration"]);
        assert_eq!(of(Subject::Cluster(Side::Green)), ["green", "green"]);
        assert_eq!(of(Subject::Group("loan-audit".into())), ["group loan-audit", "loan-audit"]);
        let [long, short] = of(Subject::Producer("a\u{202e}b".into()));
        assert_eq!(long, format!("producer {short}"));
        assert!(!short.contains('\u{202e}'), "{short:?}");
    }
}
