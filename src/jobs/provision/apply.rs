//! One change of green: what stands there right before it, and the one request that makes it.

use std::collections::BTreeMap;

use crate::base::Trouble;
use crate::estate::acl::{Acl, AclFilter};
use crate::estate::transactions::Answer;
use crate::kafka::control::{ChangeOutcome, Cluster, NewTopic};
use crate::parity::Change;
use crate::provision::{ChangeEnd, Standing};
use crate::session::lease::WriteLease;

/// What came of each part of a change, by what the part is called.
type PartOutcomes = BTreeMap<String, ChangeOutcome>;

/// Reads again what a change is about. Errors: it can't be told.
pub(super) async fn look_again(green: &Cluster, change: &Change) -> Result<Standing, Trouble> {
    match change {
        Change::CreateTopic { topic, .. }
        | Change::AddPartitions { topic, .. }
        | Change::SetTopicSettings { topic, .. } => green.look_at_topic(topic).await.map(Standing::Topic),
        Change::CreateAcl { acl } => look_for_acl(green, acl).await.map(Standing::Acl),
        Change::SetQuotas { entity, .. } => match green.describe_quotas().await {
            Answer::Told(mut all) => Ok(Standing::Quotas(all.remove(entity).unwrap_or_default())),
            untold => Err(untold.to_trouble().unwrap_or_else(|| Trouble::new("quotas were not told", ""))),
        },
    }
}

/// Whether some broker shows the ACL. One that was just made reaches brokers one by one; made twice it is made once.
async fn look_for_acl(green: &Cluster, acl: &Acl) -> Result<bool, Trouble> {
    let filter = AclFilter {
        resource: Some(acl.resource),
        name: Some(acl.name.clone()),
        principal: Some(acl.principal.clone()),
        operation: Some(acl.operation),
        permission: Some(acl.permission),
        ..AclFilter::default()
    };
    let found = green.describe_acls(&filter).await?;
    if found.values().any(|answer| answer.as_told().is_some_and(|acls| acls.contains(acl))) {
        return Ok(true);
    }
    // That it is not there is the word of brokers that said something.
    if found.values().any(|answer| answer.as_told().is_some()) {
        return Ok(false);
    }
    let untold = || Trouble::new("no broker of green said which ACLs it has", "look at the brokers' logs");
    Err(found.values().find_map(Answer::to_trouble).unwrap_or_else(untold))
}

/// Sends a change. The lease is the door: a session that only looks has none.
pub(super) async fn send_change(_: &WriteLease, green: &Cluster, change: &Change) -> ChangeEnd {
    match change {
        Change::CreateTopic { topic, partitions, replication_factor, settings } => {
            let new =
                NewTopic { config: settings.clone(), ..NewTopic::new(topic.clone(), *partitions, *replication_factor) };
            match green.create_topics(&[new], false).await {
                Ok(outcomes) => sum_up(outcomes),
                Err(why) => ChangeEnd::Unread(why), // nothing was sent
            }
        }
        Change::AddPartitions { topic, to, .. } => {
            sum_up(green.create_partitions(&BTreeMap::from([(topic.clone(), *to)]), false).await)
        }
        Change::SetTopicSettings { topic, settings } => {
            let wanted = BTreeMap::from([(topic.clone(), settings.clone())]);
            sum_up(green.alter_topic_settings(&wanted, false).await.remove(topic).unwrap_or_default())
        }
        Change::CreateAcl { acl } => {
            let outcomes = green.create_acls(&[acl.clone()].into()).await;
            sum_up(outcomes.into_iter().map(|(acl, outcome)| (acl.to_string(), outcome)).collect())
        }
        Change::SetQuotas { entity, quotas } => {
            let wanted = BTreeMap::from([(entity.clone(), quotas.clone())]);
            sum_up(green.alter_quotas(&wanted, false).await.remove(entity).unwrap_or_default())
        }
    }
}

/// How a change ended, by its parts. A doubt about one is a doubt about the whole.
fn sum_up(parts: PartOutcomes) -> ChangeEnd {
    let mut refused = Vec::new();
    // No word on any part is no confirmation.
    if parts.is_empty() {
        return ChangeEnd::Unknown(Trouble::new("the cluster said nothing of it", "look at the brokers' logs"));
    }
    for (part, outcome) in parts {
        match outcome {
            ChangeOutcome::Done => {}
            ChangeOutcome::Refused(why) => refused.push((part, why)),
            ChangeOutcome::Unknown(why) => return ChangeEnd::Unknown(why),
        }
    }
    if refused.is_empty() { ChangeEnd::Done } else { ChangeEnd::Refused(refused) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_doubt_is_a_doubt_about_the_whole() {
        let part = |name: &str, outcome: ChangeOutcome| (name.to_owned(), outcome);
        let why = |what: &str| Trouble::new(what, "");
        let refused = || part("a", ChangeOutcome::Refused(why("no")));
        assert!(matches!(sum_up(BTreeMap::new()), ChangeEnd::Unknown(_)));
        assert_eq!(sum_up([part("a", ChangeOutcome::Done)].into()), ChangeEnd::Done);
        let parts = [refused(), part("b", ChangeOutcome::Done)].into();
        assert_eq!(sum_up(parts), ChangeEnd::Refused(vec![("a".to_owned(), why("no"))]));
        let parts = [refused(), part("b", ChangeOutcome::Unknown(why("lost")))].into();
        assert_eq!(sum_up(parts), ChangeEnd::Unknown(why("lost")));
    }
}
