//! Ordered steps of each action, each with its bound and what undoes it. The one description that the confirm dialog
//! shows, a run's view counts along, and the machine carries out.

use crate::base::Side;
use crate::estate::{FlagState, SwitchState};
use crate::migration::facts::command::StepLine;
use crate::migration::facts::event::RunKind;
use crate::migration::facts::overrides::{Accepted, GateName};
use crate::migration::facts::settings::{GroupSettings, ProducerSettings};
use crate::migration::facts::stage::MovePhase;

/// How long a switch or flag may take to be seen as set after its provider could not say whether it did it, ms.
pub(crate) const VERIFY_MS: u64 = 30_000;
/// How long a step waits for a fresh look before it changes anything, ms.
pub(crate) const FRESH_MS: u64 = 30_000;
/// How long a give-back looks whether there is anything to put back, before it puts it back all the same, ms.
pub(crate) const RESTORE_LOOK_MS: u64 = 10_000;
/// How long reading both logs may take besides waiting for unpaired records, ms.
pub(crate) const TRANSLATE_MS: u64 = 120_000;
/// How long the ends of a producer's topics are watched for what its flag says, ms.
pub(crate) const WRITING_MS: u64 = 60_000;
/// Translations tried before a drained group is given back; they only read.
pub(crate) const TRANSLATE_ATTEMPTS: usize = 3;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// The facts once more, from fresh looks.
    Preflight,
    /// Wait until nothing of the run that was taken over is under way any more.
    Settle,
    /// Stop the group through its switch, and read it back.
    Stop,
    /// Wait for the drain proof.
    Drain {
        /// Where.
        side: Side,
    },
    /// Translate, hold it against the limit, journal the prediction.
    Translate {
        /// The side the offsets are for.
        to: Side,
    },
    /// Take the last offsets that are certain, where the side that is left can't be seen.
    Recall {
        /// The side the offsets are for.
        to: Side,
    },
    /// Commit every partition and read back.
    Commit {
        /// Where.
        side: Side,
    },
    /// Put back what was committed there before.
    Restore {
        /// Where.
        side: Side,
    },
    /// Start the group through its switch.
    Start {
        /// Where.
        side: Side,
    },
    /// Wait for Stable with a member.
    Stable {
        /// Where.
        side: Side,
    },
    /// Set the flag and read it back.
    Flag {
        /// To.
        to: FlagState,
    },
    /// Watch the ends of the producer's topics for what the flag says.
    Writing {
        /// What the flag says.
        to: FlagState,
    },
    /// Wait until no transaction of an exactly-once producer is open any more.
    Quiet {
        /// Where.
        side: Side,
    },
    /// Fence every transactional id.
    Fence {
        /// Where.
        side: Side,
    },
    /// Deny its principal to write with its ids, where the plan names one.
    Deny {
        /// Where.
        side: Side,
    },
    /// Wait for every row of the gate after the stop.
    Still {
        /// The side that is left.
        side: Side,
    },
    /// Translate the groups whose offsets the producer commits.
    Couple {
        /// The side the offsets are for.
        to: Side,
    },
    /// Commit those groups' offsets and read back.
    CoupleCommit {
        /// Where.
        side: Side,
    },
    /// Carry what only one side holds to the other.
    Carry {
        /// The side that is read.
        from: Side,
    },
    /// Journal where one side ends and the other begins.
    Seam {
        /// The side that is gone to.
        to: Side,
    },
    /// Remove the denials that were made from here.
    Allow {
        /// Where.
        side: Side,
    },
    /// See the first committed transaction.
    First {
        /// Where.
        side: Side,
    },
    /// See the side that was left stand still.
    Left {
        /// Where.
        side: Side,
    },
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub kind: StepKind,
    /// In words.
    pub what: String,
    /// How long it may take, ms.
    pub timeout_ms: Option<u64>,
    /// What undoes it; `None` when nothing was changed.
    pub undo: Option<String>,
}

impl Step {
    pub(in crate::migration) fn new(kind: StepKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), timeout_ms: None, undo: None }
    }

    pub(in crate::migration) fn within(mut self, ms: u64) -> Self {
        self.timeout_ms = Some(ms);
        self
    }

    pub(in crate::migration) fn undo(mut self, words: impl Into<String>) -> Self {
        self.undo = Some(words.into());
        self
    }

    /// As a line of a confirm dialog.
    #[must_use]
    pub fn line(&self) -> StepLine {
        StepLine { what: self.what.clone(), timeout_ms: self.timeout_ms, undo: self.undo.clone() }
    }

    /// The stage of the move that the step belongs to.
    #[must_use]
    pub fn phase(&self) -> MovePhase {
        match self.kind {
            StepKind::Preflight | StepKind::Settle | StepKind::Flag { .. } | StepKind::Writing { .. } => {
                MovePhase::Preflight
            }
            StepKind::Stop | StepKind::Drain { .. } | StepKind::Quiet { .. } => MovePhase::Draining,
            StepKind::Fence { .. } | StepKind::Deny { .. } | StepKind::Still { .. } => MovePhase::Fenced,
            StepKind::Translate { .. } | StepKind::Recall { .. } | StepKind::Couple { .. } => MovePhase::Planned,
            StepKind::Commit { .. } | StepKind::CoupleCommit { .. } | StepKind::Restore { .. } => MovePhase::Committed,
            StepKind::Carry { .. } | StepKind::Seam { .. } => MovePhase::Seamed,
            StepKind::Start { .. }
            | StepKind::Stable { .. }
            | StepKind::Allow { .. }
            | StepKind::First { .. }
            | StepKind::Left { .. } => MovePhase::Switched,
        }
    }
}

/// The steps of a group's run that goes to `to`, with what its confirmation passes over.
#[must_use]
pub fn group_steps(kind: RunKind, group: &GroupSettings, to: Side, accepted: &[Accepted]) -> Vec<Step> {
    match kind {
        RunKind::GiveBack => give_back_steps(group, to),
        RunKind::ResetOffsets => reset_steps(group, to, accepted),
        RunKind::RollBack if accepted.iter().any(|a| a.gate == GateName::Unseen) => blind_steps(group, to, accepted),
        _ => handover_steps(group, to, accepted),
    }
}

fn translate_step(group: &GroupSettings, to: Side, accepted: &[Accepted]) -> Step {
    let most = |gate| accepted.iter().find(|a| a.gate == gate).map(|a| a.at_most);
    let guess = most(GateName::Guess).is_some();
    // Where the limit is passed over, what was typed for it is the limit.
    let re_read = most(GateName::ReRead).flatten().unwrap_or(group.max_re_read);
    let lost = match most(GateName::Missing) {
        Some(Some(n)) => format!("at most {n} lost"),
        None if guess => "nobody knows how many lost".to_owned(),
        _ => "0 lost".to_owned(),
    };
    let what = format!("translate every partition to {to}, at most {re_read} re-read, {lost}");
    Step::new(StepKind::Translate { to }, what).within(group.settle_timeout_ms.saturating_add(TRANSLATE_MS))
}

fn handover_steps(group: &GroupSettings, to: Side, accepted: &[Accepted]) -> Vec<Step> {
    let from = to.other();
    let again = format!("start on {from}");
    let forth = if to == Side::Green { "roll back" } else { "go on" };
    vec![
        Step::new(StepKind::Preflight, "check the facts again"),
        Step::new(StepKind::Stop, format!("stop on {from}{}", group.switch_words.in_brackets(SwitchState::Off)))
            .undo(&again),
        Step::new(
            StepKind::Drain { side: from },
            format!("wait Empty on {from}, commits still {}", crate::base::format_duration(group.drain_still_ms)),
        )
        .within(group.drain_timeout_ms)
        .undo(&again),
        translate_step(group, to, accepted).undo(&again),
        // Before the start: to whoever is no member a coordinator refuses commits of a group that has any
        // (UNKNOWN_MEMBER_ID).
        Step::new(StepKind::Commit { side: to }, format!("commit every partition on {to}, read back"))
            .undo("old offsets"),
        Step::new(
            StepKind::Start { side: to },
            format!("start on {to}{}", group.switch_words.in_brackets(SwitchState::only_on(to))),
        )
        .undo(forth),
        Step::new(StepKind::Stable { side: to }, format!("wait Stable on {to}"))
            .within(group.stable_timeout_ms)
            .undo(forth),
    ]
}

/// Back without the side that is left: nothing is waited for there, and nothing of it is claimed.
fn blind_steps(group: &GroupSettings, to: Side, accepted: &[Accepted]) -> Vec<Step> {
    let recall = Step::new(StepKind::Recall { to }, format!("take the last offsets that are certain on {to}"));
    let moved = handover_steps(group, to, accepted);
    let keep = |s: &Step| !matches!(s.kind, StepKind::Drain { .. } | StepKind::Translate { .. });
    let mut steps: Vec<Step> = moved.into_iter().filter(keep).collect();
    // Where the drain stood: behind the stop, and before anything is committed.
    steps.insert(2, recall);
    // What can't be seen can't be gone back to.
    steps[1].undo = None;
    steps
}

fn give_back_steps(group: &GroupSettings, to: Side) -> Vec<Step> {
    vec![
        // First: a commit that is still on its way would land on what is put back after it.
        Step::new(StepKind::Settle, "let the running effect end"),
        Step::new(StepKind::Restore { side: to.other() }, format!("old offsets on {}", to.other())),
        Step::new(
            StepKind::Start { side: to },
            format!("start on {to}{}", group.switch_words.in_brackets(SwitchState::only_on(to))),
        ),
        Step::new(StepKind::Stable { side: to }, format!("wait Stable on {to}")).within(group.stable_timeout_ms),
    ]
}

fn reset_steps(group: &GroupSettings, to: Side, accepted: &[Accepted]) -> Vec<Step> {
    vec![
        Step::new(StepKind::Preflight, "check the facts again"),
        translate_step(group, to, accepted),
        Step::new(StepKind::Commit { side: to }, format!("commit every partition on {to}, read back"))
            .undo("old offsets, by hand"),
    ]
}

/// The steps of a producer's route to `to`.
#[must_use]
pub(crate) fn route_steps(producer: &ProducerSettings, to: FlagState) -> Vec<Step> {
    let how = producer.flag_words.in_brackets(to);
    vec![
        Step::new(StepKind::Preflight, "check the facts again"),
        Step::new(StepKind::Flag { to }, format!("set the flag to {to}, read back{how}")).undo("set it back"),
        Step::new(StepKind::Writing { to }, "watch the ends of its topics".to_string()).within(WRITING_MS),
    ]
}

/// The switch state that a step sets.
#[must_use]
pub(crate) fn switch_of(kind: StepKind) -> Option<SwitchState> {
    match kind {
        StepKind::Stop => Some(SwitchState::Off),
        StepKind::Start { side } => Some(SwitchState::only_on(side)),
        _ => None,
    }
}

/// The point of no silent return lies after this many steps: right before the other side is started, or before
/// anything is written there.
#[must_use]
pub fn no_return_after(kind: RunKind, steps: &[Step]) -> Option<usize> {
    // Where records are carried that comes first: what was written to the other side can't be taken back.
    let first = |s: &Step| matches!(s.kind, StepKind::Start { .. } | StepKind::Carry { .. } | StepKind::Allow { .. });
    kind.moves().then(|| steps.iter().position(first)).flatten()
}
