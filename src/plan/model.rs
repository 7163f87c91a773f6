//! The plan, typed: what `cutover.toml` may say, every default filled in, every override merged.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::calendar::Appointment;
use super::connectivity::ConnectivityPlan;
use super::metrics::{Credentials, MetricsPlan};
use super::notify::NotifyPlan;
use super::parity::ParityPlan;
use super::provider::ProviderPlan;
use super::secrets::{self, ClientValue};
use crate::base::{At, Side, Sides, Trouble};
use crate::migration::facts::settings::Mode;
pub use crate::migration::soak::criteria::Metric;
pub use crate::migration::soak::trigger::{Arm, Trigger, TriggerComparison, TriggerMode};
use crate::offsets::identity::IdentityRule;
use crate::offsets::strategy::{Chosen, Strategy};

/// How long a send may arrive later on the other cluster when the plan does not say, ms: a producer's
/// `delivery.timeout.ms` (120 s by default) plus slack.
pub(crate) const ARRIVAL_SKEW_MS: u64 = 130_000;
/// How far apart the two timestamps of one record may be when the plan does not say, ms.
pub(crate) const PAIR_DELTA_MS: u64 = 5_000;

/// A whole plan. Paths are absolute or relative to the working directory (those of the file are already joined
/// with its directory). `Debug` and `Serialize` never show a secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Name of the migration.
    pub name: String,
    /// The file it was read from; `None` for [`Plan::from_bootstraps`].
    pub file: Option<PathBuf>,
    /// Where the journal is (key `migration.journal`; default `.cutover/NAME.journal` beside the plan).
    pub journal: PathBuf,
    /// Who may approve; empty means anyone.
    pub approvers: Vec<String>,
    /// How to reach both clusters.
    pub clusters: Sides<ClusterPlan>,
    /// What applies where a group does not say otherwise.
    pub defaults: GroupLimits,
    /// An observation older than this is stale, ms.
    pub stale_after_ms: u64,
    /// Rollback triggers.
    pub triggers: Vec<Trigger>,
    /// Topic rules, in the order of the file.
    pub topics: Vec<TopicPlan>,
    /// Producers.
    pub producers: Vec<ProducerPlan>,
    /// Groups.
    pub groups: Vec<GroupPlan>,
    /// Cutover windows.
    pub windows: Vec<WindowPlan>,
    /// What `cutover diff` may use.
    pub diff: DiffPlan,
    /// Who knows error rates and latencies.
    pub metrics: Vec<MetricsPlan>,
    /// Who is told what happens.
    pub notify: Vec<NotifyPlan>,
    /// What the controller serves.
    pub controller: ControllerPlan,
    /// How green is meant to be set up beside blue.
    pub parity: ParityPlan,
    /// How green is tried from where the consumers run.
    pub connectivity: ConnectivityPlan,
}

/// What a controller that acts on the plan serves (`[controller]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ControllerPlan {
    /// Where Prometheus may scrape it; `None`: nowhere.
    pub metrics: Option<std::net::SocketAddr>,
}

/// What a diff may use (`[diff]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiffPlan {
    /// Bytes of memory for records that wait for their twin and for pairs; the rest goes to disk.
    pub memory: u64,
    /// Bytes read a second from both clusters together, at most; `None` for as fast as they answer.
    pub rate: Option<u64>,
    /// A broker that takes longer to answer a small request is given time, ms.
    pub back_off_above_ms: u64,
    /// Where a diff keeps what does not fit into memory; `None` for `diff` beside the journal.
    pub dir: Option<PathBuf>,
    /// How often small windows of what producers write to both clusters are compared, ms; `None`: never.
    pub fidelity_ms: Option<u64>,
}

impl Default for DiffPlan {
    fn default() -> Self {
        Self { memory: 32 << 20, rate: None, back_off_above_ms: 500, dir: None, fidelity_ms: Some(30_000) }
    }
}

impl Plan {
    /// One of the two clusters.
    #[must_use]
    pub fn cluster(&self, side: Side) -> &ClusterPlan {
        &self.clusters[side]
    }

    /// The schema registries of both clusters, where both have one: with one of them nothing can be compared.
    #[must_use]
    pub fn both_registries(&self) -> Option<Sides<&RegistryPlan>> {
        let Sides { blue, green } = self.clusters.as_ref().map(|c| c.registry.as_ref());
        Some(Sides { blue: blue?, green: green? })
    }

    /// A group of the plan by its id on blue.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&GroupPlan> {
        self.groups.iter().find(|g| g.name == name)
    }

    /// A producer of the plan.
    #[must_use]
    pub fn producer(&self, name: &str) -> Option<&ProducerPlan> {
        self.producers.iter().find(|p| p.name == name)
    }
}

/// How to reach one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ClusterPlan {
    /// What people call it, e.g. `legacy`.
    pub name: Option<String>,
    /// `host:port`, at least one.
    pub bootstrap: Vec<String>,
    /// Pinned cluster id; a mismatch is refused.
    pub cluster_id: Option<String>,
    /// Its schema registry.
    pub registry: Option<RegistryPlan>,
    /// Client properties under librdkafka's names, secrets unresolved.
    pub client: BTreeMap<String, ClientValue>,
}

impl ClusterPlan {
    /// The client properties with `bootstrap.servers`, secrets resolved now. Hand this to a client, never to a log.
    ///
    /// # Errors
    /// A secret that can't be read, by name.
    pub(crate) fn client_properties(&self) -> Result<BTreeMap<String, String>, Trouble> {
        let mut out = secrets::client_properties(&self.client)?;
        out.insert("bootstrap.servers".to_owned(), self.bootstrap.join(","));
        Ok(out)
    }
}

/// A schema registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryPlan {
    /// Base URL, without credentials: what stands before `/subjects`.
    pub url: String,
    /// Who asks.
    pub credentials: Credentials,
    /// What is trusted, and a certificate of its own, under librdkafka's names.
    pub client: BTreeMap<String, ClientValue>,
    /// How long one request may take, ms.
    pub timeout_ms: u64,
}

/// Success criteria of a soak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CriteriaPlan {
    /// Lag stays below this, records ...
    pub lag_below: u64,
    /// ... for this long, ms.
    pub lag_for_ms: u64,
    /// The oldest record that is not consumed stays younger than this, ms; `None`: not asked for ...
    pub time_lag_below_ms: Option<u64>,
    /// ... for this long, ms.
    pub time_lag_for_ms: u64,
    /// Share of failed records stays below this, 0 to 1 ...
    pub error_rate_below: f64,
    /// ... for this long, ms.
    pub error_rate_for_ms: u64,
    /// p99 latency at most this far above the baseline, as a share (0.10 is 10 %) ...
    pub p99_within: f64,
    /// ... for this long, ms.
    pub p99_for_ms: u64,
    /// Records the dead-letter topic may gain.
    pub dlq_growth: u64,
}

impl Default for CriteriaPlan {
    fn default() -> Self {
        Self {
            lag_below: 100,
            lag_for_ms: 4 * 3_600_000,
            time_lag_below_ms: None,
            time_lag_for_ms: 4 * 3_600_000,
            error_rate_below: 0.0001,
            error_rate_for_ms: 48 * 3_600_000,
            p99_within: 0.10,
            p99_for_ms: 48 * 3_600_000,
            dlq_growth: 0,
        }
    }
}

/// What can be set in `[defaults]` and again per group; a group's keys win one by one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GroupLimits {
    /// Handover or overlap.
    pub mode: Mode,
    /// Success criteria.
    pub criteria: CriteriaPlan,
    /// Most records that may be read twice.
    pub max_re_read: u64,
    /// How long a translation may wait for unpaired records, ms.
    pub settle_timeout_ms: u64,
    /// A zero lag counts if its end was sampled at most this long ago, ms.
    pub zero_age_ms: u64,
    /// A longer hole between samples is UNKNOWN, ms.
    pub sample_gap_ms: u64,
    /// Commits stand still at least this long before a drain is proven, ms.
    pub drain_still_ms: u64,
    /// How long a drain may take, ms.
    pub drain_timeout_ms: u64,
    /// How long to wait for Stable after a start, ms.
    pub stable_timeout_ms: u64,
    /// How long blue is kept after the move, ms.
    pub keep_blue_ms: u64,
}

impl Default for GroupLimits {
    fn default() -> Self {
        Self {
            mode: Mode::Handover,
            criteria: CriteriaPlan::default(),
            max_re_read: 500,
            settle_timeout_ms: 10_000,
            zero_age_ms: 30_000,
            sample_gap_ms: 60_000,
            drain_still_ms: 15_000,
            drain_timeout_ms: 120_000,
            stable_timeout_ms: 120_000,
            keep_blue_ms: 48 * 3_600_000,
        }
    }
}

/// An anchored regular expression over topic names.
#[derive(Clone, Serialize)]
#[serde(into = "String")]
pub struct TopicPattern {
    text: String,
    regex: regex::Regex,
}

impl TopicPattern {
    /// Compiles a pattern so that it must match a whole name.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub fn new(text: &str) -> Result<Self, String> {
        // the bound keeps a hostile `(a{1000}){1000}` from taking the memory
        let compile = |pattern: &str| regex::RegexBuilder::new(pattern).size_limit(1 << 20).build();
        // on its own first: `a)(b` would be well-formed only inside the anchors
        compile(text).and_then(|_| compile(&format!("^(?:{text})$"))).map_or_else(
            |e| {
                let last = e.to_string().lines().last().unwrap_or_default().trim().to_owned();
                Err(last.strip_prefix("error: ").unwrap_or(&last).to_owned())
            },
            |regex| Ok(Self { text: text.to_owned(), regex }),
        )
    }

    /// Whether the whole name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }

    /// `template` with `$0`, `$1`, `${name}` taken from the match; `None` when the name does not match.
    #[must_use]
    pub(crate) fn expand(&self, name: &str, template: &str) -> Option<String> {
        let captures = self.regex.captures(name)?;
        let mut out = String::new();
        captures.expand(template, &mut out);
        Some(out)
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for TopicPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

impl From<TopicPattern> for String {
    fn from(p: TopicPattern) -> Self {
        p.text
    }
}

/// Which topics a rule is for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Selector {
    /// One topic.
    Name(String),
    /// All topics whose whole name matches.
    Pattern(TopicPattern),
}

/// Where the writers of one partition were cut over hard, as a person recorded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SeamPlan {
    /// Partition.
    pub partition: i32,
    /// Blue's end after its last writer was stopped and fenced.
    pub blue: i64,
    /// Green's end before any writer was allowed to write there.
    pub green: i64,
}

/// One `[[topics]]` rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicPlan {
    /// Which topics.
    #[serde(flatten)]
    pub selector: Selector,
    /// How offsets are translated.
    pub strategy: Strategy,
    /// For `timestamp`: the moment. `None`: that of the oldest record the group has not consumed, per partition.
    pub at: Option<At>,
    /// What makes two records the same.
    pub identity: IdentityRule,
    /// How far apart the two timestamps of one record may be, ms.
    pub pair_delta_ms: u64,
    /// How long a send may arrive later on the other cluster, ms.
    pub arrival_skew_ms: u64,
    /// Where its writers went over all at once, from blue to green, by partition: for `seam`.
    pub seam: Vec<SeamPlan>,
    /// Its name on green, when it differs. Under a pattern, `$0` is the whole name and `$1` the first capture.
    pub green_name: Option<String>,
}

/// One `[[producers]]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProducerPlan {
    /// Name, unique.
    pub name: String,
    /// Owning team.
    pub team: String,
    /// Topics it writes.
    pub topics: Vec<String>,
    /// Critical ones pass through dual.
    pub critical: bool,
    /// Its flag.
    pub flag: Option<ProviderPlan>,
    /// The flag of its registry URL.
    pub registry_flag: Option<ProviderPlan>,
    /// Transactional ids, those on green new and disjoint; both lists empty when it is not exactly-once.
    pub transactional_ids: Sides<Vec<String>>,
    /// When it is planned to move.
    #[serde(flatten)]
    pub when: Appointment,
    /// How long blue is kept as its way back, ms (72 h for exactly-once producers unless the plan says otherwise).
    pub keep_blue_ms: u64,
    /// Groups whose offsets it commits in its transactions (read-process-write); `None`: the plan does not say.
    pub reads: Option<Vec<String>>,
    /// Principals that an ACL keeps from writing after the cut.
    pub principals: Sides<Option<String>>,
    /// How long its logs must stand still after the stop, ms.
    pub still_ms: u64,
    /// How long its open transactions may take to end after the stop, ms.
    pub drain_timeout_ms: u64,
    /// How long the first committed transaction may take after the switch, ms.
    pub commit_timeout_ms: u64,
    /// Whether another person has to agree to its hard cutover.
    pub needs_approval: bool,
}

/// What a group's latency is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BaselinePlan {
    /// p99 processing latency before the move, ms.
    pub p99_ms: u64,
}

/// One `[[groups]]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupPlan {
    /// Group id on blue, unique.
    pub name: String,
    /// Owning team.
    pub team: String,
    /// Topics it reads; empty means those it has committed.
    pub topics: Vec<String>,
    /// Its switch. Without one it can be shown and planned for, not moved.
    pub switch: Option<ProviderPlan>,
    /// The flag of its registry URL.
    pub registry_flag: Option<ProviderPlan>,
    /// The flag of its group id.
    pub group_id_flag: Option<ProviderPlan>,
    /// Dead-letter topic.
    pub dlq: Option<String>,
    /// Group id on green.
    pub green_group: String,
    /// Latency before the move.
    pub baseline: Option<BaselinePlan>,
    /// How often it commits at the latest, ms, as the plan says.
    pub commit_interval_ms: Option<u64>,
    /// When it is planned to move.
    #[serde(flatten)]
    pub when: Appointment,
    /// A strategy for this group, over what the topics' rules say, with its reason.
    pub chosen: Option<Chosen>,
    /// Defaults with this group's overrides.
    #[serde(flatten)]
    pub limits: GroupLimits,
}

impl GroupPlan {
    /// Its id on a side.
    pub(crate) fn id_on(&self, side: Side) -> &str {
        Sides { blue: self.name.as_str(), green: &self.green_group }.pick(side)
    }
}

/// One cutover window, every week. `to` at or before `from` is on the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WindowPlan {
    /// Name, unique.
    pub name: String,
    /// Days on which it opens, 1 Monday to 7 Sunday (ISO), sorted.
    pub days: Vec<u8>,
    /// Opens, minutes after midnight.
    pub from_minute: u16,
    /// Closes, minutes after midnight.
    pub to_minute: u16,
    /// IANA time zone.
    pub zone: String,
}
