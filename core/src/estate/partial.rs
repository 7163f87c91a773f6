//! What a look at a cluster may have left out, and why: rights, brokers that did not answer, quotas.
//!
//! Kafka filters its lists in silence: Metadata shows the topics that a principal may DESCRIBE, ListGroups the groups it may
//! DESCRIBE unless it may DESCRIBE the cluster, and each broker lists only the groups that it coordinates. So a list says
//! that something is *not* there only when nothing can have been left out of it. Of topics [`super::listing`] proves that.

use serde::{Deserialize, Serialize};

use super::ClusterView;
use super::acl::Operation;
use crate::base::{Side, Trouble};

/// What a principal may do with one resource, as a broker says itself (KIP-430): one bit for each operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Operations(pub i32);

impl Operations {
    /// Every operation there is: what a broker without an authorizer says of anything.
    pub const ALL: Operations = Operations(i32::MAX);

    /// As it comes over the wire; `None` where the broker does not say (it sends the least number there is).
    #[must_use]
    pub fn from_bits(bits: i32) -> Option<Operations> {
        (bits != i32::MIN).then_some(Operations(bits))
    }

    /// Whether the operation is among them.
    #[must_use]
    pub fn allows_operation(self, operation: Operation) -> bool {
        // KIP-430 numbers its bits as the protocol numbers the operations.
        self.0 & (1 << operation as i8) != 0
    }
}

/// What of a cluster this principal is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// What the principal may do with the cluster itself, as a broker says.
    Operations(Operations),
    /// It could not be told.
    Unknown(Trouble),
}

impl Default for Shown {
    /// Everything: what is observed of a cluster without an authorizer.
    fn default() -> Self {
        Shown::Operations(Operations::ALL)
    }
}

/// How brokers slowed this client down during one look, by quotas (KIP-13, KIP-124, KIP-219).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttled {
    /// Answers that named a time to wait.
    pub answers: u64,
    /// All answers of that look.
    pub of: u64,
    /// The mean of the times to wait, ms.
    pub ms: u64,
    /// Whose quota it is: `client-id cutover, user app`.
    pub who: String,
}

impl Throttled {
    /// What happens and what to do about it, without figures: the same for as long as it goes on.
    #[must_use]
    pub fn to_trouble(&self, side: Side) -> Trouble {
        Trouble::new(
            format!("{side} throttles this client by a quota ({}): what is shown of it comes late", self.who),
            "raise the quota (kafka-configs.sh --describe --entity-type clients, users), or raise poll intervals; \
             cutover waits as the brokers ask, nothing is down",
        )
    }

    /// The same with figures: `blue throttles this client: 850 ms a request (5 of 6), quota of client-id cutover`.
    #[must_use]
    pub fn describe_throttling(&self, side: Side) -> String {
        format!(
            "{side} throttles this client: {} ms a request ({} of {}), quota of {}",
            self.ms, self.answers, self.of, self.who
        )
    }
}

impl ClusterView {
    /// Why a group that is not in the list may exist all the same; `None`: all there are are in it.
    #[must_use]
    pub fn groups_hidden(&self, side: Side) -> Option<Trouble> {
        self.unlisted.clone().or_else(|| self.groups_forbidden(side))
    }

    /// The same, as far as it comes from rights: what is shown is whole as far as this principal may see.
    #[must_use]
    pub fn groups_forbidden(&self, side: Side) -> Option<Trouble> {
        match &self.shown {
            Shown::Operations(may) if may.allows_operation(Operation::Describe) => None,
            Shown::Operations(_) => Some(Trouble::new(
                format!("this principal may not list all groups of {side} (DESCRIBE on Cluster missing)"),
                "grant it DESCRIBE on the cluster; without it a group that is not shown may exist all the same",
            )),
            Shown::Unknown(why) => Some(Trouble::new(
                format!("whether all groups of {side} are shown can't be told: {why}"),
                why.advice.clone(),
            )),
        }
    }

    /// Why a topic that is not in the list may exist all the same; `None`: all there are are in it
    /// ([`super::listing`] has the proof).
    #[must_use]
    pub fn topics_hidden(&self) -> Option<&Trouble> {
        self.left_out.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_kafkas_codes() {
        // what Kafka 4.3 answers who may DESCRIBE the cluster: AclOperation.DESCRIBE has code 8
        let may = Operations::from_bits(1 << 8).unwrap();
        assert!(may.allows_operation(Operation::Describe) && !may.allows_operation(Operation::Alter));
        assert_eq!(Operations::from_bits(i32::MIN), None, "not asked for, or the broker is too old");
        assert!(Operations::ALL.allows_operation(Operation::TwoPhaseCommit));
    }

    #[test]
    fn a_list_proves_absence_only_where_nothing_can_be_left_out() {
        let mut view = ClusterView::default();
        assert_eq!((view.groups_hidden(Side::Blue), view.topics_hidden()), (None, None));
        view.shown = Shown::Operations(Operations(1 << 8));
        assert_eq!(view.groups_hidden(Side::Blue), None, "who may DESCRIBE the cluster is shown every group");
        view.shown = Shown::Operations(Operations(0));
        let why = view.groups_hidden(Side::Green).unwrap();
        assert!(why.what.contains("green") && why.what.contains("DESCRIBE on Cluster missing"), "{why:?}");
        view.unlisted = Some(Trouble::new("broker 2 is silent", ""));
        assert_eq!(
            view.groups_hidden(Side::Green).unwrap().what,
            "broker 2 is silent",
            "what can be mended comes first"
        );
        view.shown = Shown::Unknown(Trouble::new("it hung up", "look at it"));
        assert!(view.groups_forbidden(Side::Blue).unwrap().what.contains("it hung up"));
    }
}
