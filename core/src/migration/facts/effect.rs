//! The only vocabulary of change. Only the live executor carries effects out, and only from here.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::base::{Side, TopicPartition, Trouble};
use crate::estate::acl::Acl;
use crate::estate::{FlagState, SwitchState};
use crate::migration::eos::FencedId;
use crate::offsets::strategy::Chosen;
use crate::offsets::verdict::GroupTranslation;
use crate::replay::ranges::Ranges;

/// One change to the world, or one measurement that a runbook waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(tag = "effect", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Effect {
    /// Set a group's switch and read it back.
    SetSwitch {
        /// Group id on blue.
        group: String,
        /// State to set.
        to: SwitchState,
    },
    /// Translate every partition of the group to the other side. Reads only.
    Translate {
        /// Group id on blue.
        group: String,
        /// The side the offsets are for.
        to: Side,
        /// Another strategy than the plan's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chosen: Option<Chosen>,
        /// The topics that it reads, by their names on blue. Empty: those of the plan, else those that it has committed.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        topics: BTreeSet<String>,
    },
    /// Commit every partition on a side, leader epoch -1, after checking that the group is Empty there; read back after.
    CommitOffsets {
        /// Group id on that side.
        group: String,
        /// The cluster.
        side: Side,
        /// Offsets to commit.
        offsets: Vec<(TopicPartition, i64)>,
        /// What the group had there before (`None`: nothing), for the way back; refused when it moved since.
        before: Vec<(TopicPartition, Option<i64>)>,
        /// What some of the commits carry besides their offset.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        metadata: Vec<(TopicPartition, String)>,
        /// What those before carried, for the way back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        had: Vec<(TopicPartition, String)>,
    },
    /// Put back what was there before a commit; `None` means OffsetDelete.
    RestoreOffsets {
        /// Group id on that side.
        group: String,
        /// The cluster.
        side: Side,
        /// Offsets to restore.
        offsets: Vec<(TopicPartition, Option<i64>)>,
        /// What some of them carried.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        metadata: Vec<(TopicPartition, String)>,
    },
    /// Set a producer's flag and read it back.
    SetFlag {
        /// Producer name.
        producer: String,
        /// State to set.
        to: FlagState,
    },
    /// Fence every instance that lives of these transactional ids (InitProducerId): what they have open is aborted.
    /// Doing it again does no harm.
    Fence {
        /// Producer name.
        producer: String,
        /// The cluster.
        side: Side,
        /// Its transactional ids there.
        ids: Vec<String>,
    },
    /// Make these denials and wait until they are in force: a restarted instance stays out. Doing it again does no harm.
    Deny {
        /// Producer name.
        producer: String,
        /// The cluster.
        side: Side,
        /// Those that did not stand before: the way back removes exactly these.
        acls: Vec<Acl>,
    },
    /// Remove exactly these denials again, and wait until they are gone. Doing it again does no harm.
    Allow {
        /// Producer name.
        producer: String,
        /// The cluster.
        side: Side,
        /// As they were made from here.
        acls: Vec<Acl>,
    },
    /// Carry what only `from` holds to the other side, exactly once: the replay, which keeps its progress in its
    /// transactions on the target. Doing it again goes on where it stopped.
    Carry {
        /// Producer name.
        producer: String,
        /// Id of the replay: the same however often it is taken up.
        replay: String,
        /// The side that is read.
        from: Side,
        /// Offsets of that side, topics by blue's names.
        ranges: Ranges,
    },
}

impl Effect {
    /// Whether it changes anything outside; a translation only reads.
    #[must_use]
    pub fn changes(&self) -> bool {
        !matches!(self, Effect::Translate { .. })
    }
}

/// An effect with the key under which its intent and its outcome are journalled, e.g. `7/2/1`: run, step, attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IssuedEffect {
    /// Idempotency key, unique in a journal.
    pub key: String,
    /// The effect.
    pub effect: Effect,
}

/// How an effect ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It was done, and read back.
    Done {
        /// What it brought.
        result: EffectResult,
    },
    /// It was not done: the world is as before.
    Failed {
        /// Why.
        why: Trouble,
    },
    /// It may or may not have been done: observe, then decide; never retry blindly.
    Unknown {
        /// Why.
        why: Trouble,
    },
}

/// What an effect brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum EffectResult {
    /// Nothing but the fact.
    Nothing,
    /// The switch as read back. A manual switch reads back what is observed.
    Switch {
        /// State read back.
        state: SwitchState,
    },
    /// The flag as read back.
    Flag {
        /// State read back.
        state: FlagState,
    },
    /// The translation.
    Plan {
        /// Per partition and in total.
        plan: GroupTranslation,
    },
    /// Offsets as read back after a commit.
    Offsets {
        /// `None`: no committed offset.
        offsets: Vec<(TopicPartition, Option<i64>)>,
    },
    /// Every id is fenced.
    Fenced {
        /// What each was given.
        ids: Vec<FencedId>,
    },
    /// The denials are in force.
    Denied,
    /// This cluster takes no denial (no authorizer), or not from this principal: nothing was made, and only those
    /// instances are kept out that lived when the ids were fenced.
    NotDenied {
        /// Why.
        why: Trouble,
    },
    /// The denials are gone.
    Allowed,
    /// Everything was carried.
    Carried {
        /// Data records.
        records: u64,
        /// Read back: each record once. `None`: not read back.
        verified: Option<bool>,
    },
}
