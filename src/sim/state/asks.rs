//! What members ask of a group, and what it answers.

use bytes::Bytes;
use kafka_protocol::ResponseError;

/// What a JoinGroup request says.
#[derive(Debug, Clone, Default)]
pub struct JoinAsk {
    /// Group id.
    pub group: String,
    /// Member id, empty at first.
    pub member: String,
    /// `group.instance.id` of a static member.
    pub instance: Option<String>,
    /// Client id, as described to others.
    pub client_id: String,
    /// Host, as described to others.
    pub host: String,
    /// ms.
    pub session_timeout: i64,
    /// ms.
    pub rebalance_timeout: i64,
    /// `consumer`, `connect`, ...
    pub protocol_type: String,
    /// Assignors in order of preference, each with its metadata.
    pub protocols: Vec<(String, Bytes)>,
    /// Whether a first join without member id is told to come again with one (JoinGroup v4+, KIP-394).
    pub member_id_required: bool,
    /// Whether a returning static leader can be told to skip the assignment (JoinGroup v9+, KIP-814).
    pub can_skip_assignment: bool,
}

/// Answer to a JoinGroup request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    /// What went wrong.
    pub error: Option<ResponseError>,
    /// Generation.
    pub generation: i32,
    /// Protocol type of the group.
    pub protocol_type: Option<String>,
    /// Chosen assignor.
    pub protocol: Option<String>,
    /// Member id of the leader.
    pub leader: String,
    /// The member's own id.
    pub member: String,
    /// For the leader: every member's id, instance id and metadata.
    pub members: Vec<(String, Option<String>, Bytes)>,
    /// The leader has nothing to assign.
    pub skip_assignment: bool,
}

/// What a SyncGroup request says.
#[derive(Debug, Clone, Default)]
pub struct SyncAsk {
    /// Group id.
    pub group: String,
    /// Generation.
    pub generation: i32,
    /// Member id.
    pub member: String,
    /// `group.instance.id`.
    pub instance: Option<String>,
    /// Protocol type and name, if given (v5+): must agree with the group's.
    pub protocol: (Option<String>, Option<String>),
    /// The leader's assignments by member id.
    pub assignments: Vec<(String, Bytes)>,
}

/// Answer to a SyncGroup request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synced {
    /// What went wrong.
    pub error: Option<ResponseError>,
    /// Protocol type of the group.
    pub protocol_type: Option<String>,
    /// Chosen assignor.
    pub protocol: Option<String>,
    /// This member's assignment.
    pub assignment: Bytes,
}

/// A reply to a request that had to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupReply {
    /// To JoinGroup.
    Join(Joined),
    /// To SyncGroup.
    Sync(Synced),
}
