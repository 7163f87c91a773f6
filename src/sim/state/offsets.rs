//! Committed offsets: by members, by admins on an empty group, inside transactions; reading and deleting them.
//! Rules follow Kafka's `OffsetMetadataManager` and `ClassicGroup.validateOffsetCommit`.

use bytes::Buf;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ConsumerProtocolSubscription;
use kafka_protocol::protocol::Decodable;

use super::SimState;
use super::group::{ClassicGroup, ClassicGroupState};

/// A committed offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// The next offset to be read.
    pub offset: i64,
    /// Leader epoch, -1 when unknown.
    pub leader_epoch: i32,
    /// Free text of the committer.
    pub metadata: String,
    /// When it was committed, ms since the epoch.
    pub at: i64,
}

/// Who commits.
#[derive(Debug, Clone, Default)]
pub struct CommitAsk {
    /// Group id.
    pub group: String,
    /// Generation; -1 for an admin or a consumer that assigns itself.
    pub generation: i32,
    /// Member id; empty with generation -1.
    pub member: String,
    /// `group.instance.id`.
    pub instance: Option<String>,
}

/// A committed offset as OffsetFetch gives it; offset -1 when there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedOffset {
    /// The offset, -1 when none is committed.
    pub offset: i64,
    /// Leader epoch, -1 when unknown.
    pub leader_epoch: i32,
    /// Free text of the committer.
    pub metadata: String,
    /// UNSTABLE_OFFSET_COMMIT while a transaction is about to change it and stable offsets were required.
    pub error: Option<ResponseError>,
}

impl FetchedOffset {
    fn none(error: Option<ResponseError>) -> Self {
        Self { offset: -1, leader_epoch: -1, metadata: String::new(), error }
    }
}

impl SimState {
    /// Checks who commits, once a request. A commit by an admin makes the group when it isn't there.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID (an admin on an active group), ILLEGAL_GENERATION,
    /// REBALANCE_IN_PROGRESS, FENCED_INSTANCE_ID.
    pub fn check_commit(&mut self, now: i64, ask: &CommitAsk, transactional: bool) -> Result<(), ResponseError> {
        let Some(group) = self.groups.get_mut(&ask.group) else {
            if ask.generation >= 0 {
                return Err(ResponseError::IllegalGeneration);
            }
            self.groups.insert(ask.group.clone(), ClassicGroup::default());
            return Ok(());
        };
        if ask.generation < 0 && group.state == ClassicGroupState::Empty {
            return Ok(());
        }
        // A transaction may name no member (before KIP-447): its producer's epoch is then all that it is held to.
        if ask.generation >= 0 || !ask.member.is_empty() || ask.instance.is_some() {
            group.check_member(&ask.member, ask.instance.as_deref())?;
            if ask.generation != group.generation {
                return Err(ResponseError::IllegalGeneration);
            }
        } else if !transactional {
            return Err(ResponseError::UnknownMemberId);
        }
        if transactional {
            return Ok(());
        }
        if group.state == ClassicGroupState::CompletingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        // a commit is a sign of life too
        let _ = group.heartbeat(now, &ask.member);
        Ok(())
    }

    /// Commits one partition; [`SimState::check_commit`] came first.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, OFFSET_METADATA_TOO_LARGE.
    pub fn commit_offset(
        &mut self,
        group: &str,
        topic: &str,
        partition: i32,
        commit: Commit,
    ) -> Result<(), ResponseError> {
        self.check_commit_target(topic, partition, &commit)?;
        let group = self.groups.entry(group.to_owned()).or_default();
        group.offsets.entry(topic.to_owned()).or_default().insert(partition, commit);
        Ok(())
    }

    pub(super) fn check_commit_target(
        &self,
        topic: &str,
        partition: i32,
        commit: &Commit,
    ) -> Result<(), ResponseError> {
        if self.log(topic, partition).is_none() {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        if commit.metadata.len() > self.limits.max_metadata_bytes {
            return Err(ResponseError::OffsetMetadataTooLarge);
        }
        Ok(())
    }

    /// OffsetFetch of one partition. An unknown group has no offsets: -1, no error.
    #[must_use]
    pub fn fetch_offset(&self, group: &str, topic: &str, partition: i32, require_stable: bool) -> FetchedOffset {
        let Some(group) = self.groups.get(group) else { return FetchedOffset::none(None) };
        let key = (topic.to_owned(), partition);
        if require_stable && group.pending.values().any(|p| p.contains_key(&key)) {
            return FetchedOffset::none(Some(ResponseError::UnstableOffsetCommit));
        }
        match group.find_commit(topic, partition) {
            None => FetchedOffset::none(None),
            Some(c) => FetchedOffset {
                offset: c.offset,
                leader_epoch: c.leader_epoch,
                metadata: c.metadata.clone(),
                error: None,
            },
        }
    }

    /// Every partition that a group committed, for OffsetFetch without a list of topics.
    #[must_use]
    pub(crate) fn committed_partitions(&self, group: &str) -> Vec<(String, Vec<i32>)> {
        let Some(group) = self.groups.get(group) else { return Vec::new() };
        group.offsets.iter().map(|(t, ps)| (t.clone(), ps.keys().copied().collect())).collect()
    }

    /// OffsetDelete, the check of the whole request.
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP (an active group that is not of consumers).
    pub(crate) fn check_offset_delete(&self, group: &str) -> Result<(), ResponseError> {
        let group = self.groups.get(group).ok_or(ResponseError::GroupIdNotFound)?;
        // Of an active consumer group, offsets of topics that nobody reads may go (KIP-496).
        if group.state != ClassicGroupState::Empty && group.protocol_type != "consumer" {
            return Err(ResponseError::NonEmptyGroup);
        }
        Ok(())
    }

    /// OffsetDelete of one partition.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, GROUP_SUBSCRIBED_TO_TOPIC.
    pub fn delete_offset(&mut self, group: &str, topic: &str, partition: i32) -> Result<(), ResponseError> {
        if self.log(topic, partition).is_none() {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        let Some(group) = self.groups.get_mut(group) else { return Err(ResponseError::GroupIdNotFound) };
        if group.subscribes_to(topic) {
            return Err(ResponseError::GroupSubscribedToTopic);
        }
        if let Some(partitions) = group.offsets.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                group.offsets.remove(topic);
            }
        }
        Ok(())
    }
}

impl ClassicGroup {
    /// Whether a member subscribed to a topic. Unreadable subscriptions count as subscribed to everything.
    fn subscribes_to(&self, topic: &str) -> bool {
        let reads = |metadata: bytes::Bytes| -> bool {
            let mut metadata = metadata;
            if metadata.remaining() < 2 {
                return true;
            }
            // Newer versions only add fields at the end, so they read as the newest that is known.
            let version = metadata.get_i16().clamp(0, 3);
            match ConsumerProtocolSubscription::decode(&mut metadata, version) {
                Ok(subscription) => subscription.topics.iter().any(|t| t.as_str() == topic),
                Err(_) => true,
            }
        };
        self.members.values().any(|m| reads(self.metadata_of(m)))
    }
}
