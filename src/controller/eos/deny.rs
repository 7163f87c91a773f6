//! The ACLs that keep a fenced producer out when it starts again: made until every broker enforces them, and taken back
//! until none does.

use std::collections::BTreeSet;

use super::look::find_enforced;
use crate::base::{Cause, Trouble};
use crate::estate::acl::Acl;
use crate::estate::transactions::{Answer, Unavailable};
use crate::kafka::control::{ChangeOutcome as Sent, Cluster};
use crate::session::clock::Clock;

/// How long brokers may take to enforce a change: they follow the controller's log within a second or so, ms.
const IN_FORCE_MS: u64 = 30_000;
/// Pause between two looks, ms.
const PAUSE_MS: u64 = 200;

/// Why ACLs are not as they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::controller) enum AclsNotSet {
    /// This cluster has no ACLs, or this principal may not change them: nothing was changed.
    Forbidden(Trouble),
    /// Nothing was changed, or what was is taken back.
    Failed(Trouble),
    /// Some of it may stand.
    Unknown(Trouble),
}

/// Makes these denials (of one principal) and waits until every broker enforces them.
pub(in crate::controller) async fn deny(cluster: &Cluster, acls: &BTreeSet<Acl>) -> Result<(), AclsNotSet> {
    let before = match find_enforced(cluster, acls).await {
        Answer::Told(found) if found == *acls => return Ok(()),
        Answer::Told(found) => found.len(),
        untold @ (Answer::Unavailable(_) | Answer::Hidden(_)) => {
            return Err(AclsNotSet::Forbidden(trouble_of(&untold)));
        }
        untold @ Answer::Unknown(_) => return Err(AclsNotSet::Failed(trouble_of(&untold))),
    };
    let sent = cluster.create_acls(acls).await;
    match judge_answers(sent.values()) {
        Ok(()) => wait_until_enforced(cluster, acls, acls.len()).await,
        Err(AclsNotSet::Unknown(why)) => Err(AclsNotSet::Unknown(why)),
        // Each one was refused, so nothing stands that did not stand before.
        Err(refused) if sent.values().all(|s| matches!(s, Sent::Refused(_))) => Err(refused),
        // Half a denial would look like none: what was made is taken back, unless some stood before.
        Err(refused @ (AclsNotSet::Forbidden(_) | AclsNotSet::Failed(_))) if before == 0 => {
            tracing::warn!(side = %cluster.side(), acls = acls.len(), "half a denial: it is taken back");
            match allow(cluster, acls).await {
                Ok(()) => Err(refused),
                Err(AclsNotSet::Forbidden(left) | AclsNotSet::Failed(left) | AclsNotSet::Unknown(left)) => {
                    let what =
                        format!("some denials were made and some refused, and can't be taken back: {}", left.what);
                    Err(AclsNotSet::Unknown(Trouble::new(what, left.advice)))
                }
            }
        }
        Err(AclsNotSet::Forbidden(why) | AclsNotSet::Failed(why)) => Err(AclsNotSet::Unknown(why)),
    }
}

/// Removes exactly these denials and waits until no broker enforces one.
pub(in crate::controller) async fn allow(cluster: &Cluster, acls: &BTreeSet<Acl>) -> Result<(), AclsNotSet> {
    // Asked first: where nobody can see what stands, nothing is removed either.
    match find_enforced(cluster, acls).await {
        Answer::Told(_) => {}
        // Where there are no ACLs none stands.
        Answer::Unavailable(Unavailable::NoAuthorizer) => return Ok(()),
        untold => return Err(AclsNotSet::Failed(trouble_of(&untold))),
    }
    judge_answers(cluster.delete_acls(acls).await.values())?;
    wait_until_enforced(cluster, acls, 0).await
}

fn judge_answers<'a>(sent: impl Iterator<Item = &'a Sent> + Clone) -> Result<(), AclsNotSet> {
    // First: one that may have been changed outweighs all that were not.
    if let Some(why) = sent.clone().filter(|s| matches!(s, Sent::Unknown(_))).find_map(Sent::trouble) {
        return Err(AclsNotSet::Unknown(why.clone()));
    }
    match sent.clone().find_map(Sent::trouble) {
        None => Ok(()),
        Some(why) if why.has_cause(Cause::NotAllowed) || why.has_cause(Cause::NoAuthorizer) => {
            Err(AclsNotSet::Forbidden(why.clone()))
        }
        Some(why) => Err(AclsNotSet::Failed(why.clone())),
    }
}

/// Waits until every broker enforces `wanted` of them.
async fn wait_until_enforced(cluster: &Cluster, acls: &BTreeSet<Acl>, wanted: usize) -> Result<(), AclsNotSet> {
    let watch = Clock.stopwatch();
    loop {
        let found = find_enforced(cluster, acls).await.map(|found| found.len());
        if found.as_told() == Some(&wanted) {
            return Ok(());
        }
        if watch.elapsed_ms() >= IN_FORCE_MS {
            tracing::warn!(side = %cluster.side(), wanted, found = found.as_told(), ms = IN_FORCE_MS, "ACLs are not seen");
            let seen = match found.as_told() {
                Some(n) => format!("{n} of {} in force on every broker, {wanted} wanted", acls.len()),
                None => trouble_of(&found).what,
            };
            let what =
                format!("{}: ACLs changed, and not seen within {} s: {seen}", cluster.side(), IN_FORCE_MS / 1000);
            return Err(AclsNotSet::Unknown(Trouble::new(what, "look at the cluster's ACLs (`kafka-acls.sh --list`)")));
        }
        Clock.sleep(PAUSE_MS).await;
    }
}

fn trouble_of<T>(answer: &Answer<T>) -> Trouble {
    answer.to_trouble().unwrap_or_else(|| Trouble::new("the ACLs can't be told", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forbids_a_denial_is_told_by_the_brokers_code_and_by_no_word_of_it() {
        let of = |why: Trouble| judge_answers([&Sent::Done, &Sent::Refused(why)].into_iter());
        let hidden = Trouble::new("making an ACL: blue broker 1 said no", "").with_cause(Cause::NotAllowed);
        assert_eq!(of(hidden.clone()), Err(AclsNotSet::Forbidden(hidden)));
        let none = Trouble::new("making an ACL: blue broker 1 has none", "").with_cause(Cause::NoAuthorizer);
        assert_eq!(of(none.clone()), Err(AclsNotSet::Forbidden(none)));
        // An id may be called like an error.
        let failed = Trouble::new("making an ACL (id AUTHORIZATION_FAILED-1): blue broker 1 has a full disk", "");
        assert_eq!(of(failed.clone()), Err(AclsNotSet::Failed(failed)));
    }
}
