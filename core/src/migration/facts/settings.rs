//! What the plan asks for, as the machine needs it. `plan` builds this; nothing here knows about files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{At, Sides};
use crate::migration::soak::criteria::{Criterion, Limit, Metric};
use crate::migration::soak::trigger::Trigger;

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

/// What setting a switch or flag does, in words: for each state, as its command or file differs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Words {
    by_state: BTreeMap<String, String>,
    otherwise: String,
}

impl Words {
    /// Words by state (`blue`, `off`, ...).
    pub fn new(by_state: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { by_state: by_state.into_iter().collect(), otherwise: String::new() }
    }

    /// The words for setting a state; empty when there are none.
    pub fn words_for(&self, state: impl std::fmt::Display) -> &str {
        self.by_state.get(&state.to_string()).unwrap_or(&self.otherwise)
    }

    /// ` (words)`, or nothing.
    pub fn in_brackets(&self, state: impl std::fmt::Display) -> String {
        match self.words_for(state) {
            "" => String::new(),
            words => format!(" ({words})"),
        }
    }

    /// `: words` behind "by hand", or nothing when the words say no more than that.
    pub fn after_by_hand(&self, state: impl std::fmt::Display) -> String {
        match self.words_for(state) {
            "" => String::new(),
            words if words.starts_with("by hand") => String::new(),
            words => format!(": {words}"),
        }
    }
}

/// The same words for every state.
impl From<&str> for Words {
    fn from(words: &str) -> Self {
        Self { by_state: BTreeMap::new(), otherwise: words.to_owned() }
    }
}

/// What a soak is judged by, and what ends it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Criteria {
    /// Success criteria; each must pass.
    pub rules: Vec<Criterion>,
    /// Rollback triggers.
    pub triggers: Vec<Trigger>,
    /// Baselines that the plan names, in the metric's own unit.
    pub baselines: BTreeMap<Metric, f64>,
    /// Dead-letter topic, by its name on blue.
    pub dlq: Option<String>,
}

impl Criteria {
    /// Lag must stay below `below` records for `for_ms`; nothing else.
    #[must_use]
    pub fn lag_below(below: u32, for_ms: u64) -> Self {
        let rule = Criterion::new(Metric::Lag, Limit::Below(f64::from(below)), for_ms);
        Self { rules: vec![rule], ..Self::default() }
    }

    /// The time that a criterion needs, ms; 0 without it.
    #[must_use]
    pub fn needed_ms(&self, metric: Metric) -> u64 {
        self.rules.iter().filter(|r| r.metric == metric).map(|r| r.for_ms).max().unwrap_or(0)
    }
}

/// When a group is planned to move.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slot {
    /// Its window's name in the plan.
    pub window: Option<String>,
    /// From when to when, where the plan names a day; the end is outside.
    pub day: Option<(At, At)>,
}

/// One group of the plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GroupSettings {
    /// Owning team.
    pub team: String,
    /// Topics it reads. Empty: every topic it has committed on the source.
    pub topics: Vec<String>,
    /// Handover or overlap.
    pub mode: Mode,
    /// Whether the plan gives it a switch. Without one it can be shown and planned for, not moved.
    pub has_switch: bool,
    /// Whether a person is the switch: then it can't be read.
    pub switch_by_hand: bool,
    /// What setting its switch does, for dialogs: e.g. the argv of its `set` command.
    pub switch_words: Words,
    /// Its group id on green; the same as on blue unless the plan says otherwise.
    pub green_group: String,
    /// Most records it may read twice, per cutover or rollback.
    pub max_re_read: u64,
    /// Commits must stand still at least this long before a drain is proven, ms: 15 s, or twice the commit interval.
    pub drain_still_ms: u64,
    /// How long a drain may take before the group is given back, ms.
    pub drain_timeout_ms: u64,
    /// How often it commits at the latest, ms, where the plan says so.
    pub commit_interval_ms: Option<u64>,
    /// When it is planned to move; `None`: whenever.
    pub slot: Option<Slot>,
    /// How long to wait for Stable after the start, ms.
    pub stable_timeout_ms: u64,
    /// How long a translation may wait for unpaired records, ms.
    pub settle_timeout_ms: u64,
    /// Success criteria of its soak, and rollback triggers.
    pub criteria: Criteria,
}

/// One producer of the plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProducerSettings {
    /// Owning team.
    pub team: String,
    /// Topics it writes.
    pub topics: Vec<String>,
    /// Critical ones pass through dual.
    pub critical: bool,
    /// Whether the plan gives it a flag. Without one it can be shown, not routed.
    pub has_flag: bool,
    /// Whether a person is the flag: then it can't be read, only what is written can be observed.
    pub flag_by_hand: bool,
    /// What setting its flag does, for dialogs.
    pub flag_words: Words,
    /// Its transactional ids; not empty means exactly-once: hard cutover only, never dual.
    pub transactional_ids: Sides<Vec<String>>,
    /// Groups whose offsets it commits in its transactions (read-process-write): they move together with it. `None`:
    /// the plan does not say, which is not the same as none.
    pub reads: Option<Vec<String>>,
    /// Principals that a denial keeps from writing after the cut, e.g. `User:ledger`; `None`: not by ACL.
    pub principals: Sides<Option<String>>,
    /// How long its logs must stand still after the stop, ms.
    pub still_ms: u64,
    /// How long its open transactions may take to end after the stop, ms.
    pub drain_timeout_ms: u64,
    /// How long the translations of the groups that move with it may wait for unpaired records, all together, ms.
    pub settle_timeout_ms: u64,
    /// How long the first committed transaction on the other side may take after the switch, ms.
    pub commit_timeout_ms: u64,
    /// How long blue is kept as its way back, ms.
    pub keep_blue_ms: u64,
    /// Whether another person has to agree to its hard cutover.
    pub needs_approval: bool,
}

/// The whole plan, as the machine needs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Name of the migration.
    pub name: String,
    /// Pinned cluster ids, as far as the plan has them.
    pub cluster_ids: Sides<Option<String>>,
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

impl Settings {
    /// A plan of these groups and of nothing else: for tests, of both packages.
    #[must_use]
    pub fn of_groups(groups: BTreeMap<String, GroupSettings>) -> Self {
        Self {
            name: "test".into(),
            cluster_ids: Sides::default(),
            stale_after_ms: 5_000,
            zero_age_ms: 5_000,
            sample_gap_ms: 5_000,
            groups,
            producers: BTreeMap::new(),
        }
    }
}
