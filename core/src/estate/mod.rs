//! What was observed of both clusters, each fact with its age: fresh, stale, or absent with a reason.

pub mod acl;
pub mod application;
pub mod blank;
pub mod exactly_once;
pub mod holder;
pub mod identity;
pub mod inventory;
pub mod listing;
pub mod partial;
pub mod release;
mod setting;
pub mod transactions;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{At, Observed, Side, Sides, TopicPartition, Trouble, host_port};
use blank::Blanks;
use exactly_once::EosLook;
use holder::TransactionHolders;
use partial::{Shown, Throttled};
pub use setting::{FlagState, SwitchState};

/// One observation of a whole cluster by the control plane: what one round of requests saw.
/// A part that could not be read says so in place (`GroupView::trouble`, `PartitionView::trouble`),
/// and never silently goes missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ClusterView {
    /// The cluster's own id (Metadata). Compared with the plan's pin before anything else is believed.
    pub cluster_id: Option<String>,
    /// Node id of the controller, -1 when none is known.
    pub controller: i32,
    /// Brokers that Metadata lists, by node id.
    pub brokers: BTreeMap<i32, BrokerView>,
    /// Topics by name, internal ones left out.
    pub topics: BTreeMap<String, TopicView>,
    /// Groups by id, of every kind, share and streams groups too (so that they can be refused by name).
    pub groups: BTreeMap<String, GroupView>,
    /// How long the round took, ms.
    pub took_ms: u64,
    /// Topics that were asked for by name and that this principal may not see (or that could not be asked for), each with
    /// why: of these alone it is not known whether they exist.
    #[serde(default)]
    pub hidden_topics: BTreeMap<String, Trouble>,
    /// Why topics may be missing from the list; `None`: none can be, or not all were asked for.
    #[serde(default)]
    pub left_out: Option<Trouble>,
    /// Why groups may be missing from the list, where a broker did not list those it coordinates.
    #[serde(default)]
    pub unlisted: Option<Trouble>,
    /// What of the cluster this principal is shown.
    #[serde(default)]
    pub shown: Shown,
    /// How brokers slowed this client down during the round, if they did.
    #[serde(default)]
    pub throttled: Option<Throttled>,
}

/// A broker as Metadata lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerView {
    /// Advertised host.
    pub host: String,
    /// Advertised port.
    pub port: u16,
    /// Rack, if any.
    pub rack: Option<String>,
    /// Whether it answered in this round; `None` when nothing was asked of it.
    pub answered: Option<Result<(), Trouble>>,
}

impl BrokerView {
    /// Where it is reached.
    #[must_use]
    pub fn address(&self) -> String {
        host_port(&self.host, self.port)
    }
}

/// A topic's partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct TopicView {
    /// Topic id (a UUID in Kafka's words): a topic that is deleted and created again has another one. `None` before 2.8.
    #[serde(default)]
    pub id: Option<String>,
    /// By partition number, 0..n.
    pub partitions: Vec<PartitionView>,
    /// Configuration entries that were asked for (DescribeConfigs), effective values by name.
    /// Empty when not asked: configuration is read rarely.
    pub config: BTreeMap<String, String>,
}

/// One partition's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct PartitionView {
    /// Node id of the leader, -1 when there is none.
    pub leader: i32,
    /// Number of replicas.
    pub replicas: u16,
    /// Number of in-sync replicas. Under-replicated when below `replicas`.
    pub isr: u16,
    /// Log start offset.
    pub log_start: Option<i64>,
    /// Last stable offset: where a read_committed reader stops.
    pub lso: Option<i64>,
    /// High watermark, where a read_uncommitted reader stops: all that is written. Asked for before the last stable
    /// offset, so that one below it shows an open transaction, and not a record that came in between.
    pub high_watermark: Option<i64>,
    /// Why a figure is missing.
    pub trouble: Option<Trouble>,
}

/// What kind of group it is. Only `Classic` and `Consumer` have offsets that can be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum GroupKind {
    /// The classic protocol (JoinGroup/SyncGroup); also groups that only commit.
    #[default]
    Classic,
    /// KIP-848 consumer groups.
    Consumer,
    /// KIP-932 share groups: refused.
    Share,
    /// KIP-1071 streams groups: refused.
    Streams,
    /// Kafka Connect and other users of the classic protocol with another protocol type: refused.
    Other,
}

/// A group's state in Kafka's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default, strum::Display)]
pub enum GroupState {
    /// Members joined and assigned.
    Stable,
    /// A rebalance is under way (PreparingRebalance, CompletingRebalance, Assigning, Reconciling).
    Rebalancing,
    /// No members; offsets kept.
    Empty,
    /// No members and no offsets, or no such group: brokers answer `Dead` for a group they do not know.
    Dead,
    /// The broker said something else, or nothing.
    #[default]
    Unknown,
}

/// One consumer group on one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct GroupView {
    /// Protocol family.
    pub kind: GroupKind,
    /// State.
    pub state: GroupState,
    /// Classic `protocol_type` ("consumer", "connect", ...), empty for KIP-848 groups, and for groups that only commit.
    pub protocol_type: String,
    /// The classic protocol that its members agreed on: their assignor's name ("range", "stream", ...). Empty while it
    /// is not Stable.
    #[serde(default)]
    pub protocol: String,
    /// Node id of the coordinator.
    pub coordinator: i32,
    /// Members, when described.
    pub members: Vec<MemberView>,
    /// Committed offsets (every partition the group ever committed).
    pub offsets: BTreeMap<String, BTreeMap<i32, Committed>>,
    /// What its commits carry besides the offset (OffsetCommit's `metadata`), where that is not empty.
    #[serde(default)]
    pub metadata: BTreeMap<String, BTreeMap<i32, String>>,
    /// Why a part is missing; the parts that are present hold all the same.
    pub trouble: Option<Trouble>,
}

impl GroupView {
    /// The committed offset of a partition.
    #[must_use]
    pub fn committed_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        self.offsets.get(topic)?.get(&partition).map(|c| c.offset)
    }
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct MemberView {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id` of a static member: such members do not leave when they stop.
    pub instance_id: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Host as the broker saw it.
    pub host: String,
    /// Assigned partitions.
    pub assigned: Vec<TopicPartition>,
    /// Topics that it subscribes to by name, or is about to be assigned, whether they exist or not.
    #[serde(default)]
    pub subscribed: Vec<String>,
}

/// A committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The next offset to be read.
    pub offset: i64,
    /// Leader epoch of the commit, -1 when unknown.
    pub leader_epoch: i32,
}

/// Everything that was observed, of both clusters and of the switches and flags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estate {
    /// The last whole round.
    pub clusters: Sides<Observed<ClusterView>>,
    /// Groups that a running action watches more often than the whole round, by id.
    pub focus: Sides<BTreeMap<String, Observed<GroupView>>>,
    /// Consumer switches by group.
    pub switches: BTreeMap<String, Observed<SwitchState>>,
    /// Producer flags by producer name.
    pub flags: BTreeMap<String, Observed<FlagState>>,
    /// The newest looks at exactly-once producers, by name; none of one that was never asked for.
    #[serde(default)]
    pub eos: Sides<BTreeMap<String, Observed<EosLook>>>,
    /// Whose transactions are open on partitions, where that was asked for.
    #[serde(skip)]
    pub holders: Sides<BTreeMap<TopicPartition, Observed<TransactionHolders>>>,
    /// Stretches of the logs that hold no record, where that was looked for.
    #[serde(skip)]
    pub blanks: Sides<Blanks>,
    /// The plan's cutover windows, as their zones have it now.
    #[serde(default)]
    pub windows: Vec<WindowView>,
    /// Whether each side's data plane (the clients that read and write records) has answered in this session.
    #[serde(default = "see_neither")]
    pub planes: Sides<Observed<()>>,
}

fn see_neither<T>() -> Sides<Observed<T>> {
    Sides::from_fn(|_| Observed::not_yet())
}

/// A cutover window, as its time zone has it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowView {
    /// Its name in the plan.
    pub name: String,
    /// When it closes; `None` while it is closed.
    pub open_until: Option<At>,
    /// When it opens next; `None` when that can't be told.
    pub opens: Option<At>,
}

impl Default for Estate {
    fn default() -> Self {
        Self {
            clusters: see_neither(),
            focus: Sides::default(),
            switches: BTreeMap::new(),
            flags: BTreeMap::new(),
            eos: Sides::default(),
            holders: Sides::default(),
            blanks: Sides::default(),
            windows: Vec::new(),
            planes: see_neither(),
        }
    }
}

/// A group as last seen, with the time of that look: from the focused watch or the whole round, whichever is newer.
#[derive(Debug, Clone, Copy)]
pub struct GroupObservation<'a> {
    /// What was seen; `None` when the cluster was read and knows no such group (Kafka calls that Dead).
    pub view: Option<&'a GroupView>,
    /// When.
    pub at: At,
}

impl Estate {
    /// The last round on a side.
    #[must_use]
    pub fn side(&self, side: Side) -> &Observed<ClusterView> {
        &self.clusters[side]
    }

    /// The newest look at a group; `None` when the side was never read.
    #[must_use]
    pub fn group(&self, side: Side, id: &str) -> Option<GroupObservation<'_>> {
        let whole = match self.side(side) {
            Observed::Known { value, at, .. } => Some(GroupObservation { view: value.groups.get(id), at: *at }),
            Observed::Absent { .. } => None,
        };
        let focused = match self.focus[side].get(id) {
            Some(Observed::Known { value, at, .. }) => Some(GroupObservation { view: Some(value), at: *at }),
            // A focused watch that never saw it takes nothing away from the whole round.
            _ => None,
        };
        match (focused, whole) {
            (Some(f), Some(w)) => Some(if f.at >= w.at { f } else { w }),
            (f, w) => f.or(w),
        }
    }
}
