//! What the plan asks for, as the machine needs it. `plan` builds this; nothing here knows about files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a group is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Mode {
    /// Stop on blue, translate, start on green.
    #[default]
    Handover,
    /// Start on green while blue goes on. For idempotent processing only.
    Overlap,
}

/// Success criteria of a soak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Criteria {
    /// Lag must stay below this, records.
    pub lag_below: u64,
    /// ... for this long without a hole, ms.
    pub lag_for_ms: u64,
}

/// One group of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSettings {
    /// Owning team.
    pub team: String,
    /// Topics it reads. Empty: every topic it has committed on the source.
    pub topics: Vec<String>,
    /// Handover or overlap.
    pub mode: Mode,
    /// Whether the plan gives it a switch. Without one it can be shown and planned for, not moved.
    pub has_switch: bool,
    /// How a person would stop it on a side, for the dialog: e.g. the argv of its `set` command.
    pub switch_words: String,
    /// Its group id on green; the same as on blue unless the plan says otherwise.
    pub green_group: String,
    /// Most records it may read twice, per cutover or rollback.
    pub max_re_read: u64,
    /// Commits must stand still at least this long before a drain is proven, ms (02-architecture: 15 s, or twice the commit interval).
    pub drain_still_ms: u64,
    /// How long a drain may take before the group is given back, ms.
    pub drain_timeout_ms: u64,
    /// How long to wait for Stable after the start, ms.
    pub stable_timeout_ms: u64,
    /// How long a translation may wait for unpaired records, ms.
    pub settle_timeout_ms: u64,
    /// Success criteria of its soak.
    pub criteria: Criteria,
}

/// One producer of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProducerSettings {
    /// Owning team.
    pub team: String,
    /// Topics it writes.
    pub topics: Vec<String>,
    /// Critical ones pass through dual.
    pub critical: bool,
    /// Whether the plan gives it a flag. Without one it can be shown, not routed.
    pub has_flag: bool,
    /// How a person would set its flag.
    pub flag_words: String,
    /// Its transactional ids on blue; not empty means exactly-once: hard cutover only, never dual.
    pub transactional_blue: Vec<String>,
    /// Its transactional ids on green.
    pub transactional_green: Vec<String>,
}

/// The whole plan, as the machine needs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Name of the migration.
    pub name: String,
    /// Pinned cluster id of blue, if the plan has one.
    pub blue_cluster_id: Option<String>,
    /// Pinned cluster id of green, if the plan has one.
    pub green_cluster_id: Option<String>,
    /// An observation older than this is stale, ms.
    pub stale_after_ms: u64,
    /// A zero lag counts if the end it was measured against was sampled at most this long ago, ms.
    pub zero_age_ms: u64,
    /// A hole between samples longer than this is UNKNOWN and resets what must be continuous, ms.
    pub sample_gap_ms: u64,
    /// Groups by id on blue.
    pub groups: BTreeMap<String, GroupSettings>,
    /// Producers by name.
    pub producers: BTreeMap<String, ProducerSettings>,
}
