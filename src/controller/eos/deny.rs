//! The ACLs that keep a fenced producer out when it starts again: made until every broker enforces them, and taken back
//! until none does.

use std::collections::BTreeSet;

use super::look::enforced;
use crate::base::{Cause, Trouble};
use crate::estate::acl::Acl;
use crate::estate::transactions::{Answer, Unavailable};
use crate::kafka::control::{Cluster, Outcome as Sent};
use crate::session::clock::Clock;

/// How long brokers may take to enforce a change: they follow the controller's log within a second or so, ms.
const IN_FORCE_MS: u64 = 30_000;
/// Pause between two looks, ms.
const PAUSE_MS: u64 = 200;

/// Why ACLs are not as they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::controller) enum NotSet {
    /// This cluster has no ACLs, or this principal may not change them: nothing was changed.
    Forbidden(Trouble),
    /// Nothing was changed, or what was is taken back.
    Failed(Trouble),
    /// Some of it may stand.
    Unknown(Trouble),
}

/// Makes these denials (of one principal) and waits until every broker enforces them.
pub(in crate::controller) async fn deny(cluster: &Cluster, acls: &BTreeSet<Acl>) -> Result<(), NotSet> {
    let before = match enforced(cluster, acls).await {
        Answer::Told(found) if found == *acls => return Ok(()),
        Answer::Told(found) => found.len(),
        untold @ (Answer::Unavailable(_) | Answer::Hidden(_)) => return Err(NotSet::Forbidden(why(&untold))),
        untold @ Answer::Unknown(_) => return Err(NotSet::Failed(why(&untold))),
    };
    let sent = cluster.create_acls(acls).await;
    match verdict(sent.values()) {
        Ok(()) => settled(cluster, acls, acls.len()).await,
        Err(NotSet::Unknown(why)) => Err(NotSet::Unknown(why)),
        Err(refused) if sent.values().all(|s| matches!(s, Sent::Refused(_))) => Err(refused),
        // Half a denial would look like none: what was made is taken back, unless some stood before.
        Err(refused @ (NotSet::Forbidden(_) | NotSet::Failed(_))) if before == 0 => match allow(cluster, acls).await {
            Ok(()) => Err(refused),
            Err(NotSet::Forbidden(left) | NotSet::Failed(left) | NotSet::Unknown(left)) => {
                let what = format!("some denials were made and some refused, and can't be taken back: {}", left.what);
                Err(NotSet::Unknown(Trouble::new(what, left.advice)))
            }
        },
        Err(NotSet::Forbidden(why) | NotSet::Failed(why)) => Err(NotSet::Unknown(why)),
    }
}

/// Removes exactly these denials and waits until no broker enforces one.
pub(in crate::controller) async fn allow(cluster: &Cluster, acls: &BTreeSet<Acl>) -> Result<(), NotSet> {
    match enforced(cluster, acls).await {
        Answer::Told(_) => {}
        // Where there are no ACLs none stands.
        Answer::Unavailable(Unavailable::NoAuthorizer) => return Ok(()),
        untold => return Err(NotSet::Failed(why(&untold))),
    }
    verdict(cluster.delete_acls(acls).await.values())?;
    settled(cluster, acls, 0).await
}

fn verdict<'a>(sent: impl Iterator<Item = &'a Sent> + Clone) -> Result<(), NotSet> {
    if let Some(why) = sent.clone().filter(|s| matches!(s, Sent::Unknown(_))).find_map(Sent::trouble) {
        return Err(NotSet::Unknown(why.clone()));
    }
    match sent.clone().find_map(Sent::trouble) {
        None => Ok(()),
        Some(why) if why.is(Cause::NotAllowed) || why.is(Cause::NoAuthorizer) => Err(NotSet::Forbidden(why.clone())),
        Some(why) => Err(NotSet::Failed(why.clone())),
    }
}

/// Waits until every broker enforces `wanted` of them.
async fn settled(cluster: &Cluster, acls: &BTreeSet<Acl>, wanted: usize) -> Result<(), NotSet> {
    let watch = Clock.stopwatch();
    loop {
        let found = enforced(cluster, acls).await.map(|found| found.len());
        if found.told() == Some(&wanted) {
            return Ok(());
        }
        if watch.ms() >= IN_FORCE_MS {
            let seen = match found.told() {
                Some(n) => format!("{n} of {} in force on every broker, {wanted} wanted", acls.len()),
                None => why(&found).what,
            };
            let what =
                format!("{}: ACLs changed, and not seen within {} s: {seen}", cluster.side(), IN_FORCE_MS / 1000);
            return Err(NotSet::Unknown(Trouble::new(what, "look at the cluster's ACLs (`kafka-acls.sh --list`)")));
        }
        Clock.sleep(PAUSE_MS).await;
    }
}

fn why<T>(answer: &Answer<T>) -> Trouble {
    answer.trouble().unwrap_or_else(|| Trouble::new("the ACLs can't be told", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forbids_a_denial_is_told_by_the_brokers_code_and_by_no_word_of_it() {
        let of = |why: Trouble| verdict([&Sent::Done, &Sent::Refused(why)].into_iter());
        let hidden = Trouble::new("making an ACL: blue broker 1 said no", "").of(Cause::NotAllowed);
        assert_eq!(of(hidden.clone()), Err(NotSet::Forbidden(hidden)));
        let none = Trouble::new("making an ACL: blue broker 1 has none", "").of(Cause::NoAuthorizer);
        assert_eq!(of(none.clone()), Err(NotSet::Forbidden(none)));
        // An id may be called like an error.
        let failed = Trouble::new("making an ACL (id AUTHORIZATION_FAILED-1): blue broker 1 has a full disk", "");
        assert_eq!(of(failed.clone()), Err(NotSet::Failed(failed)));
    }
}
