//! Facts worth a journal entry. State is `fold(events)`: nothing else survives a restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::{Command, Subject};
use super::effect::{IssuedEffect, Outcome};
use super::overrides::{Accepted, PassedOver};
use super::stage::WayBack;
use crate::base::{Actor, At, Side, TopicPartition};
use crate::migration::eos::{PartitionSeam, Rogue};
use crate::migration::rules::gate::Gate;
use crate::migration::rules::reads::{RememberedReads, RunTopics};
use crate::migration::soak::criteria::Metric;
use crate::migration::soak::trigger::Arm;
use crate::offsets::verdict::GroupTranslation;
use crate::provision::ProvisionStep;
use crate::replay::spec::{ReplayEnd, ReplaySpec};
use crate::schemas::SchemaCopyFact;

/// Reads words that an earlier version wrote without looking for secrets in them.
fn read_hidden<'de, D: serde::Deserializer<'de>>(words: D) -> Result<String, D::Error> {
    String::deserialize(words).map(|words| crate::base::redact::hide_secrets(&words))
}

/// Number of a run: one execution of a runbook, from 1, unique in a journal.
pub type RunId = u64;

/// What a run does. In words it is a noun: `hard cutover: done`, `the rollback of loan-audit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// Group from blue to green.
    #[strum(serialize = "cutover")]
    CutOver,
    /// Group from green back to blue, with reverse translation.
    #[strum(serialize = "rollback")]
    RollBack,
    /// Undo of a cutover before its switch: offsets restored, blue started again.
    #[strum(serialize = "undo")]
    GiveBack,
    /// Offsets only.
    #[strum(serialize = "offset reset")]
    ResetOffsets,
    /// A producer's flag.
    #[strum(serialize = "routing")]
    Route,
    /// Exactly-once producer from blue to green.
    #[strum(serialize = "hard cutover")]
    HardCut,
    /// Exactly-once producer from green back to blue.
    #[strum(serialize = "hard rollback")]
    HardBack,
    /// Undo of either before its point of no silent return: what was denied is allowed again, the flag is set back.
    #[strum(serialize = "hard undo")]
    HardGiveBack,
}

impl RunKind {
    /// Whether it moves a group or an exactly-once producer, and has a point of no silent return.
    #[must_use]
    pub fn moves(self) -> bool {
        matches!(self, RunKind::CutOver | RunKind::RollBack) || self.moves_hard()
    }

    /// Whether it moves an exactly-once producer.
    #[must_use]
    pub fn moves_hard(self) -> bool {
        matches!(self, RunKind::HardCut | RunKind::HardBack)
    }

    /// Whether it undoes one that moves, back to where that came from.
    #[must_use]
    pub fn gives_back(self) -> bool {
        matches!(self, RunKind::GiveBack | RunKind::HardGiveBack)
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// Every step done.
    Done,
    /// Taken over by another run (a cancel, a rollback).
    ReplacedBy(RunId),
    /// Refused or failed before anything changed.
    Failed(#[serde(deserialize_with = "read_hidden")] String),
}

/// What shows that nothing on the old side will move any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainProof {
    /// The cluster that was drained.
    pub side: Side,
    /// The switch read back as off.
    pub switch_off_at: At,
    /// Empty without interruption since.
    pub empty_since: At,
    /// No commit moved since.
    pub still_since: At,
    /// How long commits had to be still, ms.
    pub still_needed_ms: u64,
    /// Observations that the proof rests on.
    pub samples: u32,
    /// The committed offsets that stood still.
    pub committed: Vec<(TopicPartition, i64)>,
    /// Nobody was ever in the group (`assign()`): that its commits stood still is all that proves it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
}

/// What a diff came to. As text, and so in a journal: `CLEAN`, `DIFFERS`, `UNKNOWN`, `DIFFERS+UNKNOWN`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[serde(from = "String", into = "String")]
#[strum(serialize_all = "UPPERCASE")]
pub enum ComparedVerdict {
    /// Everything that was compared is on both.
    Clean,
    /// It is not.
    Differs,
    /// Not known, which is never a pass.
    Unknown,
    /// It is not, and beside that not everything is known.
    #[strum(serialize = "DIFFERS+UNKNOWN")]
    DiffersAndUnknown,
    /// A word of another version: it is shown, and passes for nothing.
    #[strum(default)]
    Other(String),
}

impl From<String> for ComparedVerdict {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<ComparedVerdict> for String {
    fn from(verdict: ComparedVerdict) -> Self {
        verdict.to_string()
    }
}

/// What a diff counted, records; both sides together where no side is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ComparedCounts {
    /// Pairs.
    pub equal: u64,
    /// On the source only.
    pub missing: u64,
    /// On the target only.
    pub only_target: u64,
    /// Copies too many.
    pub duplicated: u64,
    /// Out of order among those of their key.
    pub reordered: u64,
    /// Without a twin, which may still arrive.
    pub unsettled: u64,
    /// Topics of which something is unknown.
    pub unknown_topics: u64,
}

/// One fact of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A controller took the journal.
    Opened {
        /// Who: user@host.
        actor: String,
        /// Process id.
        pid: u32,
        /// Version of cutover.
        version: String,
        /// Both cluster ids, as observed or pinned, blue first.
        clusters: [Option<String>; 2],
    },
    /// It let go in an orderly way.
    Closed {
        /// Who.
        actor: String,
    },
    /// A cluster id was seen for the first time and is pinned from now on.
    Pinned {
        /// Which cluster.
        side: Side,
        /// Its id.
        cluster_id: String,
    },
    /// A run starts; every number that the operator saw is here.
    RunStarted {
        /// Run.
        run: RunId,
        /// What it does.
        kind: RunKind,
        /// What it is about.
        subject: Subject,
        /// The command as given.
        command: Command,
        /// What was typed to confirm it.
        confirmed: String,
        /// The estimate shown, if one was.
        estimate: Option<GroupTranslation>,
        /// The limit, records.
        max_re_read: Option<u64>,
        /// Walked without changing anything.
        dry_run: bool,
        /// Gates that were passed over with the confirmation, and what each may cost.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        accepted: Vec<Accepted>,
    },
    /// A gate held, and was passed over as accepted.
    PassedOver {
        /// Run.
        run: RunId,
        /// The gate, what held, who accepted it, and why.
        passed: PassedOver,
    },
    /// A step of a run begins (its index in the runbook).
    StepStarted {
        /// Run.
        run: RunId,
        /// Index, from 0.
        step: usize,
    },
    /// A step is done.
    StepDone {
        /// Run.
        run: RunId,
        /// Index, from 0.
        step: usize,
    },
    /// On disk before the effect starts.
    Intent {
        /// Run.
        run: RunId,
        /// Effect and key.
        issued: IssuedEffect,
    },
    /// On disk after it. An intent without this is unknown.
    Result {
        /// Run.
        run: RunId,
        /// Key of the intent.
        key: String,
        /// How it ended.
        outcome: Outcome,
    },
    /// What the members of a group were seen to read beyond what it has committed and the plan lists: they can't be asked
    /// any more when they have stopped.
    Reads {
        /// Group id on blue.
        group: String,
        /// Where they run.
        side: Side,
        /// What they read.
        reads: RememberedReads,
    },
    /// The topics of a run, as decided before anything is stopped.
    Reading {
        /// Run.
        run: RunId,
        /// What goes along, and what is left behind.
        reading: RunTopics,
    },
    /// The drain is proven.
    Drained {
        /// Run.
        run: RunId,
        /// Evidence.
        proof: DrainProof,
    },
    /// The exact prediction after the drain: what will be re-read, and that nothing is lost.
    Predicted {
        /// Run.
        run: RunId,
        /// Per partition.
        plan: GroupTranslation,
        /// Ids of the topics on the side that is committed to, by blue's names: a topic that is recreated before the
        /// start has another one. Empty for clusters that give none (before Kafka 2.8).
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        topic_ids: BTreeMap<String, String>,
    },
    /// A group whose offsets an exactly-once producer commits was translated after the stop, exactly.
    Coupled {
        /// Run.
        run: RunId,
        /// Group id on blue.
        group: String,
        /// Per partition.
        plan: GroupTranslation,
    },
    /// Where the topics of an exactly-once producer end on the side that is left and begin on the one that it goes to.
    /// It counts from the point of no silent return.
    Seamed {
        /// Run.
        run: RunId,
        /// Producer name.
        producer: String,
        /// Where it goes.
        to: Side,
        /// Per partition.
        seams: Vec<PartitionSeam>,
    },
    /// The point of no silent return was passed.
    PointOfNoReturn {
        /// Run.
        run: RunId,
    },
    /// The run stopped for a person.
    NeedsOperator {
        /// Run.
        run: RunId,
        /// Why.
        #[serde(deserialize_with = "read_hidden")]
        why: String,
        /// What can be done.
        #[serde(deserialize_with = "read_hidden")]
        advice: String,
        /// What stands on the side that an exactly-once producer left and should not, where that is what it is about.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rogues: Vec<Rogue>,
    },
    /// A person said go on.
    Continued {
        /// Run.
        run: RunId,
    },
    /// The run ended.
    RunEnded {
        /// Run.
        run: RunId,
        /// How.
        end: RunEnd,
    },
    /// What a group's soak is compared with, as measured before it: p99 on blue (ms), how many records the dead-letter
    /// topic holds on green.
    Baselined {
        /// Group.
        group: String,
        /// Of what.
        metric: Metric,
        /// The number.
        value: f64,
        /// Samples that it is the middle of; `None`: it is a count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        samples: Option<u32>,
    },
    /// A rollback trigger was met.
    TriggerFired {
        /// Group.
        group: String,
        /// Name of the trigger.
        trigger: String,
        /// What was measured.
        why: String,
        /// Shadow or armed.
        arm: Arm,
        /// The rollback verdict then.
        way_back: WayBack,
        /// How long until it acts, ms; `None`: it only says so.
        countdown_ms: Option<u64>,
    },
    /// A trigger that fired is not met any more, and has not acted.
    TriggerCleared {
        /// Group.
        group: String,
        /// Name of the trigger.
        trigger: String,
    },
    /// A criterion of a soak fails, can't be told for long, or is good again, as people are told of it: one that flaps
    /// turned once.
    GateTurned {
        /// Group.
        group: String,
        /// Which criterion; `None`: all of them together pass.
        metric: Option<Metric>,
        /// How it stands from here.
        gate: Gate,
    },
    /// A phase of the migration became complete, or is not any more.
    PhaseTurned {
        /// 1 to 4.
        number: u8,
        /// `Provision`, `Producers`, `Consumers`, `Soak`.
        name: String,
        /// Proven steps.
        done: u32,
        /// All steps.
        total: u32,
    },
    /// A soak was declared complete, or an exactly-once producer moved: its way back is not kept any longer.
    // Written as `"group": "..."` or `"producer": "..."`, as it was when each of them had an event of its own.
    #[serde(alias = "producer_completed")]
    Completed {
        /// Group, or exactly-once producer.
        #[serde(flatten)]
        subject: Subject,
    },
    /// Somebody agrees to a hard cutover, as the facts are now.
    Approved {
        /// Producer name.
        producer: String,
        /// What was agreed to: it lapses when one of them changes.
        facts: String,
    },
    /// A subject is held.
    Held {
        /// What.
        subject: Subject,
        /// Why, typed.
        why: String,
    },
    /// A hold ended.
    Resumed {
        /// What.
        subject: Subject,
    },
    /// A replay is to start: on disk before its first transaction.
    ReplayStarted {
        /// Its id.
        replay: String,
        /// Everything needed to go on with it.
        spec: ReplaySpec,
        /// What was typed to confirm it.
        confirmed: String,
        /// Keys with a newer record on the target, as counted before the start; `None` when nobody counted.
        reordered: Option<u64>,
    },
    /// A replay goes on after it was stopped or died.
    ReplayResumed {
        /// Its id.
        replay: String,
    },
    /// A replay, or one go at it, ended. Without this after a start, only the target knows how far it came.
    ReplayEnded {
        /// Its id.
        replay: String,
        /// How.
        end: ReplayEnd,
    },
    /// Green is set up as blue is: a step of that.
    Provision {
        /// Its id.
        provision: String,
        /// What happens.
        #[serde(flatten)]
        step: ProvisionStep,
    },
    /// A step of a copy of schemas to green's registry.
    SchemaCopy {
        /// What was meant, or what came of it.
        #[serde(flatten)]
        fact: SchemaCopyFact,
    },
    /// Both clusters were compared record by record.
    Compared {
        /// What the diff is about; the migration for topics by name.
        subject: Subject,
        /// What was compared, and which of its records, in words.
        what: String,
        /// What it came to.
        verdict: ComparedVerdict,
        /// How many records of each kind.
        counts: ComparedCounts,
    },
    /// Something an operator should know later: a commit that moves on blue during a soak, a group that vanished.
    Noticed {
        /// What it is about.
        subject: Subject,
        /// What was seen.
        what: String,
    },
}

/// An event as the journal holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Number, from 1 without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: At,
    /// Who caused it.
    pub actor: Actor,
    /// The fact.
    pub event: Event,
}

impl Event {
    /// That a command was taken, with nothing said beside it: for tests, of both packages.
    #[must_use]
    pub fn started(run: RunId, kind: RunKind, command: Command) -> Self {
        Event::RunStarted {
            run,
            kind,
            subject: command.subject(),
            command,
            confirmed: String::new(),
            estimate: None,
            max_re_read: None,
            dry_run: false,
            accepted: Vec::new(),
        }
    }
}

impl Event {
    /// That a run needs a person.
    pub(in crate::migration) fn needs_operator(run: RunId, why: impl Into<String>, advice: impl Into<String>) -> Self {
        Event::NeedsOperator { run, why: why.into(), advice: advice.into(), rogues: Vec::new() }
    }

    /// The run it belongs to.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        match self {
            Event::RunStarted { run, .. }
            | Event::PassedOver { run, .. }
            | Event::StepStarted { run, .. }
            | Event::StepDone { run, .. }
            | Event::Intent { run, .. }
            | Event::Result { run, .. }
            | Event::Reading { run, .. }
            | Event::Drained { run, .. }
            | Event::Predicted { run, .. }
            | Event::Coupled { run, .. }
            | Event::Seamed { run, .. }
            | Event::PointOfNoReturn { run }
            | Event::NeedsOperator { run, .. }
            | Event::Continued { run }
            | Event::RunEnded { run, .. } => Some(*run),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_of_any_version_is_read_and_written_as_it_was() {
        for (word, verdict) in [
            ("CLEAN", ComparedVerdict::Clean),
            ("DIFFERS", ComparedVerdict::Differs),
            ("UNKNOWN", ComparedVerdict::Unknown),
            ("DIFFERS+UNKNOWN", ComparedVerdict::DiffersAndUnknown),
            ("clean", ComparedVerdict::Other("clean".to_owned())),
        ] {
            let json = serde_json::to_string(word).unwrap();
            assert_eq!(serde_json::from_str::<ComparedVerdict>(&json).unwrap(), verdict);
            assert_eq!((serde_json::to_string(&verdict).unwrap(), verdict.to_string()), (json, word.to_owned()));
        }
    }
}
