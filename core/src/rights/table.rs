//! The table. What a request needs is what Kafka's brokers ask their authorizer for it (`KafkaApis`, `ControllerApis`,
//! `AuthHelper`); that READ, WRITE, DELETE and ALTER each imply DESCRIBE, and ALTER_CONFIGS implies DESCRIBE_CONFIGS, is
//! `AclEntry`'s rule.

use serde::Serialize;

use crate::base::Side;
use crate::estate::acl::{Operation, Resource};

/// What is done with a cluster, as it is typed. What needs no right on a cluster (`plan`, `journal`, `calendar`, `schemas`) has
/// no entry in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, strum::Display, strum::EnumIter)]
pub enum Verb {
    /// Lag, status, the cockpit, watching: everything that only looks.
    #[serde(rename = "lag, status, cockpit")]
    #[strum(serialize = "lag, status, cockpit")]
    Look,
    /// `cutover doctor`.
    #[serde(rename = "doctor")]
    #[strum(serialize = "doctor")]
    Doctor,
    /// `cutover preflight`.
    #[serde(rename = "preflight")]
    #[strum(serialize = "preflight")]
    Preflight,
    /// `cutover offsets plan`.
    #[serde(rename = "offsets plan")]
    #[strum(serialize = "offsets plan")]
    OffsetsPlan,
    /// `cutover diff`.
    #[serde(rename = "diff")]
    #[strum(serialize = "diff")]
    Diff,
    /// `cutover offsets apply`, `group cutover`, `group rollback`.
    #[serde(rename = "offsets apply, group cutover, group rollback")]
    #[strum(serialize = "offsets apply, group cutover, group rollback")]
    Move,
    /// `cutover replay`, from blue to green.
    #[serde(rename = "replay")]
    #[strum(serialize = "replay")]
    Replay,
    /// `cutover provision --apply`.
    #[serde(rename = "provision --apply")]
    #[strum(serialize = "provision --apply")]
    Provision,
    /// `cutover producer cutover` and `rollback` of exactly-once producers.
    #[serde(rename = "producer cutover, producer rollback")]
    #[strum(serialize = "producer cutover, producer rollback")]
    HardCutover,
    /// `cutover replay --from green`, and what a rollback of an exactly-once producer carries back.
    #[serde(rename = "replay --from green, producer rollback --carry-back")]
    #[strum(serialize = "replay --from green, producer rollback --carry-back")]
    ReplayBack,
}

impl Verb {
    /// Whether it changes a cluster.
    #[must_use]
    pub fn changes_cluster(self) -> bool {
        !matches!(self, Verb::Look | Verb::Doctor | Verb::Preflight | Verb::OffsetsPlan | Verb::Diff)
    }
}

/// What a right is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, strum::Display, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The cluster itself.
    #[strum(serialize = "the cluster")]
    Cluster,
    /// Topics that the plan moves.
    #[strum(serialize = "topics of the plan")]
    Topics,
    /// Topics whose set-up is compared: all there are, or those of the plan (`[parity] topics`).
    #[strum(serialize = "topics that are compared")]
    Compared,
    /// Kafka's own topic in which groups are kept.
    #[strum(serialize = "topic __consumer_offsets")]
    GroupsTopic,
    /// Groups of the plan.
    #[strum(serialize = "groups of the plan")]
    Groups,
    /// Transactional ids of the plan's exactly-once producers.
    #[strum(serialize = "transactional ids of the plan")]
    TransactionalIds,
    /// Groups that keep how far replays are: `cutover-replay-...`.
    #[strum(serialize = "groups that begin with cutover-replay-")]
    ReplayGroups,
    /// Transactional ids of replays: `cutover-replay-...`.
    #[strum(serialize = "transactional ids that begin with cutover-replay-")]
    ReplayIds,
}

impl Subject {
    /// What an ACL for it is about.
    #[must_use]
    pub fn resource(self) -> Resource {
        match self {
            Subject::Cluster => Resource::Cluster,
            Subject::Topics | Subject::Compared | Subject::GroupsTopic => Resource::Topic,
            Subject::Groups | Subject::ReplayGroups => Resource::Group,
            Subject::TransactionalIds | Subject::ReplayIds => Resource::TransactionalId,
        }
    }
}

/// How much hangs on a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Without it the verb does not do its work: it refuses, or says UNKNOWN.
    Whole,
    /// Without it a part of its work is not done, or stays UNKNOWN.
    Part,
}

/// One right that verbs need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Who needs it.
    pub verbs: &'static [Verb],
    /// On which clusters.
    pub sides: &'static [Side],
    /// On what.
    pub on: Subject,
    /// The operation.
    pub operation: Operation,
    /// How much hangs on it.
    pub weight: Weight,
    /// The requests that need it.
    pub requests: &'static str,
    /// What happens without it, to follow "without it".
    pub without: &'static str,
}

const BOTH: &[Side] = &Side::BOTH;
const BLUE: &[Side] = &[Side::Blue];
const GREEN: &[Side] = &[Side::Green];
const LOOKS: &[Verb] = &[Verb::Look, Verb::Doctor, Verb::Move, Verb::HardCutover];

const fn need(
    verbs: &'static [Verb],
    sides: &'static [Side],
    (on, operation): (Subject, Operation),
    weight: Weight,
    requests: &'static str,
    without: &'static str,
) -> Need {
    Need { verbs, sides, on, operation, weight, requests, without }
}

/// Every right that `cutover` needs.
pub const NEEDS: &[Need] = {
    use Operation as O;
    use Subject as S;
    use Verb as V;
    use Weight::{Part, Whole};
    &[
        need(
            LOOKS,
            BOTH,
            (S::Topics, O::Describe),
            Whole,
            "Metadata, ListOffsets",
            "a topic is not shown: its ends, and every lag on it, are UNKNOWN",
        ),
        need(
            LOOKS,
            BOTH,
            (S::Groups, O::Describe),
            Whole,
            "DescribeGroups, ConsumerGroupDescribe, OffsetFetch, FindCoordinator",
            "the group's members and commits are UNKNOWN",
        ),
        need(
            LOOKS,
            BOTH,
            (S::Cluster, O::Describe),
            Part,
            "ListGroups, DescribeAcls",
            "groups that are in no list may exist, and topics too: nothing is called absent",
        ),
        need(
            LOOKS,
            BOTH,
            (S::Cluster, O::DescribeConfigs),
            Part,
            "DescribeConfigs of brokers",
            "which authorizer decides is not seen, and so not whether topics are hidden",
        ),
        need(
            LOOKS,
            BOTH,
            (S::GroupsTopic, O::Describe),
            Part,
            "Metadata",
            "whether groups are in no list because what keeps them has no leader is UNKNOWN",
        ),
        need(
            &[V::Doctor, V::OffsetsPlan, V::Move, V::Diff, V::Replay, V::ReplayBack, V::HardCutover],
            BOTH,
            (S::Topics, O::Read),
            Whole,
            "Fetch, DescribeProducers, OffsetCommit",
            "no record is read: nothing can be translated, compared or carried, and no offset \
             be committed",
        ),
        need(
            &[V::Doctor, V::OffsetsPlan, V::Move, V::Diff, V::Replay, V::ReplayBack],
            BOTH,
            (S::Topics, O::DescribeConfigs),
            Part,
            "DescribeConfigs",
            "whether a topic is compacted, how large its batches are and whose clock stamps its records are UNKNOWN",
        ),
        need(
            &[V::OffsetsPlan],
            BOTH,
            (S::Groups, O::Describe),
            Whole,
            "OffsetFetch, FindCoordinator",
            "what the group has committed is UNKNOWN, and nothing is translated",
        ),
        need(
            &[V::Preflight, V::Provision],
            BOTH,
            (S::Cluster, O::Describe),
            Whole,
            "DescribeAcls, DescribeUserScramCredentials",
            "ACLs and SCRAM users are UNKNOWN, and so is whether topics are hidden",
        ),
        need(
            &[V::Preflight, V::Provision],
            BOTH,
            (S::Cluster, O::DescribeConfigs),
            Whole,
            "DescribeConfigs of brokers, DescribeClientQuotas",
            "settings of brokers and quotas are UNKNOWN",
        ),
        need(
            &[V::Preflight, V::Provision],
            BOTH,
            (S::Compared, O::Describe),
            Whole,
            "Metadata",
            "topics are not shown: UNKNOWN, never missing",
        ),
        need(
            &[V::Preflight, V::Provision],
            BOTH,
            (S::Compared, O::DescribeConfigs),
            Whole,
            "DescribeConfigs of topics",
            "settings of topics are UNKNOWN",
        ),
        need(
            &[V::Move],
            BOTH,
            (S::Groups, O::Read),
            Whole,
            "OffsetCommit",
            "offsets can't be set: a group is not moved there, nor back",
        ),
        need(
            &[V::Move],
            BOTH,
            (S::Groups, O::Delete),
            Part,
            "OffsetDelete",
            "commits that were not there before a move stay when it is undone",
        ),
        need(&[V::Replay], GREEN, (S::Topics, O::Write), Whole, "Produce, AddPartitionsToTxn", "nothing is written"),
        need(
            &[V::Replay],
            GREEN,
            (S::ReplayIds, O::Write),
            Whole,
            "InitProducerId, AddPartitionsToTxn, EndTxn",
            "no transaction is begun, and nothing written",
        ),
        need(
            &[V::Replay],
            GREEN,
            (S::ReplayGroups, O::Read),
            Whole,
            "AddOffsetsToTxn, TxnOffsetCommit, OffsetFetch",
            "progress can't be kept in the transactions, and nothing is written",
        ),
        need(
            &[V::Replay],
            GREEN,
            (S::ReplayGroups, O::Delete),
            Part,
            "DeleteGroups",
            "the group of a replay that is done stays",
        ),
        need(
            &[V::Provision],
            GREEN,
            (S::Compared, O::Create),
            Part,
            "CreateTopics",
            "topics that green lacks are not made",
        ),
        need(&[V::Provision], GREEN, (S::Compared, O::Alter), Part, "CreatePartitions", "partitions are not added"),
        need(
            &[V::Provision],
            GREEN,
            (S::Compared, O::AlterConfigs),
            Part,
            "IncrementalAlterConfigs of topics",
            "settings of topics are not set",
        ),
        need(&[V::Provision], GREEN, (S::Cluster, O::Alter), Part, "CreateAcls", "ACLs are not made"),
        need(&[V::Provision], GREEN, (S::Cluster, O::AlterConfigs), Part, "AlterClientQuotas", "quotas are not set"),
        need(
            &[V::HardCutover],
            BOTH,
            (S::TransactionalIds, O::Write),
            Whole,
            "InitProducerId (fencing), FindCoordinator",
            "its producers can't be fenced: the switch is refused",
        ),
        need(
            &[V::HardCutover],
            BOTH,
            (S::TransactionalIds, O::Describe),
            Whole,
            "DescribeTransactions, ListTransactions",
            "whether its transactions have ended is UNKNOWN: the switch is refused",
        ),
        need(
            &[V::HardCutover],
            BOTH,
            (S::Cluster, O::Alter),
            Part,
            "CreateAcls, DeleteAcls, WriteTxnMarkers",
            "no ACL keeps a fenced producer out when it starts again, and a hanging transaction is not ended",
        ),
        need(&[V::HardCutover], GREEN, (S::Topics, O::Write), Part, "Produce", "what blue alone has is not carried"),
        need(
            &[V::HardCutover],
            GREEN,
            (S::ReplayIds, O::Write),
            Part,
            "InitProducerId, EndTxn",
            "what blue alone has is not carried",
        ),
        need(
            &[V::HardCutover],
            GREEN,
            (S::ReplayGroups, O::Read),
            Part,
            "TxnOffsetCommit",
            "what blue alone has is not carried",
        ),
        need(&[V::ReplayBack], BLUE, (S::Topics, O::Write), Whole, "Produce, AddPartitionsToTxn", "nothing is written"),
        need(
            &[V::ReplayBack],
            BLUE,
            (S::ReplayIds, O::Write),
            Whole,
            "InitProducerId, AddPartitionsToTxn, EndTxn",
            "no transaction is begun, and nothing written",
        ),
        need(
            &[V::ReplayBack],
            BLUE,
            (S::ReplayGroups, O::Read),
            Whole,
            "AddOffsetsToTxn, TxnOffsetCommit, OffsetFetch",
            "progress can't be kept in the transactions, and nothing is written",
        ),
        need(
            &[V::ReplayBack],
            BLUE,
            (S::ReplayGroups, O::Delete),
            Part,
            "DeleteGroups",
            "the group of a replay that is done stays",
        ),
    ]
};

/// What a verb needs on a side.
pub fn needs_of(verb: Verb, side: Side) -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(move |need| need.verbs.contains(&verb) && need.sides.contains(&side))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn each_right_is_declared_once_for_a_verb_and_a_side() {
        let mut seen = BTreeSet::new();
        for need in NEEDS {
            assert!(!need.verbs.is_empty() && !need.requests.is_empty() && !need.without.is_empty(), "{need:?}");
            for (verb, side) in need.verbs.iter().flat_map(|v| need.sides.iter().map(move |s| (*v, *s))) {
                assert!(seen.insert((verb, side, need.on, need.operation)), "{verb} on {side}: {need:?} twice");
            }
        }
        for verb in Verb::iter() {
            assert!(Side::BOTH.into_iter().all(|side| needs_of(verb, side).next().is_some()), "{verb} needs nothing");
        }
    }

    #[test]
    fn what_only_looks_asks_for_no_right_to_change() {
        use Operation as O;
        for need in NEEDS.iter().filter(|n| n.verbs.iter().any(|v| !v.changes_cluster())) {
            let looks = matches!(need.operation, O::Describe | O::DescribeConfigs | O::Read);
            assert!(looks, "{need:?}");
            assert!((need.on, need.operation) != (Subject::Groups, O::Read), "READ on a group lets it commit");
        }
    }
}
