//! What stands on green of that which a change is about, when it was planned and right before it is made.

use std::collections::BTreeMap;

use crate::base::Trouble;
use crate::base::sanitise::visible_name;
use crate::estate::inventory::{Inventory, TopicDefinition};
use crate::estate::transactions::Answer;
use crate::parity::Change;

/// What green has of that which a change is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// The topic; `None`: there is none of that name.
    Topic(Option<TopicDefinition>),
    /// Whether the ACL is there.
    Acl(bool),
    /// The limits of the entity.
    Quotas(BTreeMap<String, f64>),
}

impl Standing {
    /// What a whole look at green says of it.
    ///
    /// # Errors
    /// The look does not tell.
    pub fn of_inventory(change: &Change, green: &Inventory) -> Result<Standing, Trouble> {
        match change {
            Change::CreateTopic { topic, .. }
            | Change::AddPartitions { topic, .. }
            | Change::SetTopicSettings { topic, .. } => Ok(Standing::Topic(green.topics.get(topic).cloned())),
            Change::CreateAcl { acl } => Ok(Standing::Acl(take_told(&green.acls)?.contains(acl))),
            Change::SetQuotas { entity, .. } => {
                Ok(Standing::Quotas(take_told(&green.quotas)?.get(entity).cloned().unwrap_or_default()))
            }
        }
    }
}

/// What is to be done with a change now.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Send this: the change, or what is left of it.
    Send(Change),
    /// Green has it.
    AlreadyThere,
    /// Something else stands there than when it was planned.
    Overtaken(Trouble),
    /// What stands there is not told.
    Unread(Trouble),
}

/// Judges a change by what stood there when it was planned and what stands there now.
#[must_use]
pub fn judge_change(change: &Change, planned: &Standing, now: &Standing) -> Verdict {
    match (change, planned, now) {
        (Change::CreateTopic { .. }, _, Standing::Topic(now)) => judge_creation(change, now.as_ref()),
        (Change::AddPartitions { topic, from, to }, _, Standing::Topic(now)) => match now {
            None => overtaken(format!("topic {} is gone", visible_name(topic))),
            Some(now) if now.partitions == *to => Verdict::AlreadyThere,
            Some(now) if now.partitions == *from => Verdict::Send(change.clone()),
            Some(now) => {
                let topic = visible_name(topic);
                overtaken(format!("topic {topic} has {} partitions by now, and had {from}", now.partitions))
            }
        },
        (Change::SetTopicSettings { topic, settings }, Standing::Topic(planned), Standing::Topic(now)) => {
            let Some(now) = now else { return overtaken(format!("topic {} is gone", visible_name(topic))) };
            let (now, planned) = match (told_values(now), planned.as_ref().map(told_values).transpose()) {
                (Ok(now), Ok(planned)) => (now, planned.unwrap_or_default()),
                (Err(why), _) | (_, Err(why)) => return Verdict::Unread(why),
            };
            let subject = format!("topic {}", visible_name(topic));
            judge_entries(&subject, settings, &planned, &now, |settings| Change::SetTopicSettings {
                topic: topic.clone(),
                settings,
            })
        }
        (Change::CreateAcl { .. }, _, Standing::Acl(there)) => {
            if *there {
                Verdict::AlreadyThere
            } else {
                Verdict::Send(change.clone())
            }
        }
        (Change::SetQuotas { entity, quotas }, Standing::Quotas(planned), Standing::Quotas(now)) => {
            judge_entries(&format!("quota of {entity}"), quotas, planned, now, |quotas| Change::SetQuotas {
                entity: entity.clone(),
                quotas,
            })
        }
        // A look at something else says nothing of this.
        _ => Verdict::Unread(Trouble::new("what stands there was not looked at", "this is a fault of cutover")),
    }
}

/// A topic that was to be made: one that has appeared is the one that was meant, or somebody else's.
fn judge_creation(change: &Change, now: Option<&TopicDefinition>) -> Verdict {
    let (Change::CreateTopic { topic, partitions, replication_factor, settings }, Some(now)) = (change, now) else {
        return Verdict::Send(change.clone());
    };
    let factor = *replication_factor;
    let shaped = now.partitions == *partitions && (factor < 0 || now.replicas == (factor, factor));
    let values = match told_values(now) {
        Ok(values) => values,
        Err(why) => return Verdict::Unread(why),
    };
    if shaped && settings.iter().all(|(name, value)| values.get(name) == Some(value)) {
        return Verdict::AlreadyThere;
    }
    overtaken(format!(
        "topic {} has appeared meanwhile, with {} partitions or settings that are not these",
        visible_name(topic),
        now.partitions
    ))
}

/// Entries by name: those that are as they shall be are left out, and none is written over that was changed meanwhile.
fn judge_entries<V: PartialEq + Clone + ToString>(
    subject: &str,
    wanted: &BTreeMap<String, V>,
    planned: &BTreeMap<String, V>,
    now: &BTreeMap<String, V>,
    make: impl FnOnce(BTreeMap<String, V>) -> Change,
) -> Verdict {
    let mut left = BTreeMap::new();
    for (name, value) in wanted {
        if now.get(name) == Some(value) {
            continue;
        }
        if now.get(name) != planned.get(name) {
            let shown = |entries: &BTreeMap<String, V>| match entries.get(name) {
                Some(value) => visible_name(&value.to_string()),
                None => "not set".to_owned(),
            };
            let name = visible_name(name);
            return overtaken(format!("{subject}: {name} is {} by now, and was {}", shown(now), shown(planned)));
        }
        left.insert(name.clone(), value.clone());
    }
    if left.is_empty() { Verdict::AlreadyThere } else { Verdict::Send(make(left)) }
}

/// Settings in effect by name, where they are told; a hidden value is none.
fn told_values(topic: &TopicDefinition) -> Result<BTreeMap<String, String>, Trouble> {
    let settings = take_told(&topic.settings)?.iter();
    Ok(settings.filter_map(|(name, setting)| Some((name.clone(), setting.value.clone()?))).collect())
}

fn take_told<T>(answer: &Answer<T>) -> Result<&T, Trouble> {
    let untold = || answer.to_trouble().unwrap_or_else(|| Trouble::new("it was not told", ""));
    answer.as_told().ok_or_else(untold)
}

fn overtaken(what: String) -> Verdict {
    Verdict::Overtaken(Trouble::new(what, "look who changes green, then plan again: `cutover provision`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::acl::{Acl, Resource};
    use crate::estate::inventory::{QuotaEntity, Setting, SettingSource};

    fn topic(partitions: i32, settings: &[(&str, &str)]) -> TopicDefinition {
        let setting =
            |value: &str| Setting { value: Some(value.to_owned()), source: SettingSource::Topic, read_only: false };
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), setting(value))).collect();
        TopicDefinition { internal: false, partitions, replicas: (1, 1), settings: Answer::Told(settings) }
    }

    fn stands(partitions: i32, settings: &[(&str, &str)]) -> Standing {
        Standing::Topic(Some(topic(partitions, settings)))
    }

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn why(verdict: Verdict) -> String {
        let Verdict::Overtaken(why) = verdict else { panic!("{verdict:?}") };
        why.what
    }

    #[test]
    fn a_topic_is_made_where_none_is_and_never_over_another_one() {
        let make = Change::CreateTopic {
            topic: "a".to_owned(),
            partitions: 3,
            replication_factor: 1,
            settings: pairs(&[("retention.ms", "5")]),
        };
        let none = Standing::Topic(None);
        assert_eq!(judge_change(&make, &none, &none), Verdict::Send(make.clone()));
        assert_eq!(judge_change(&make, &none, &stands(3, &[("retention.ms", "5"), ("x", "1")])), Verdict::AlreadyThere);
        for other in [stands(4, &[("retention.ms", "5")]), stands(3, &[("retention.ms", "6")]), stands(3, &[])] {
            assert!(why(judge_change(&make, &none, &other)).contains("has appeared meanwhile"));
        }
        let hidden = Standing::Topic(Some(TopicDefinition {
            settings: Answer::Hidden(Trouble::new("not allowed", "")),
            ..topic(3, &[])
        }));
        assert!(matches!(judge_change(&make, &none, &hidden), Verdict::Unread(_)));
    }

    #[test]
    fn partitions_are_added_to_as_many_as_were_planned_with() {
        let add = Change::AddPartitions { topic: "a".to_owned(), from: 3, to: 6 };
        let planned = stands(3, &[]);
        assert_eq!(judge_change(&add, &planned, &planned), Verdict::Send(add.clone()));
        assert_eq!(judge_change(&add, &planned, &stands(6, &[])), Verdict::AlreadyThere);
        assert!(why(judge_change(&add, &planned, &stands(4, &[]))).contains("has 4 partitions by now, and had 3"));
        assert!(why(judge_change(&add, &planned, &Standing::Topic(None))).contains("is gone"));
    }

    #[test]
    fn what_is_left_of_a_change_is_sent_and_nothing_over_what_somebody_set() {
        let set = Change::SetTopicSettings {
            topic: "a".to_owned(),
            settings: pairs(&[("retention.ms", "5"), ("segment.ms", "7")]),
        };
        let planned = stands(1, &[("retention.ms", "1"), ("segment.ms", "1")]);
        assert_eq!(judge_change(&set, &planned, &planned), Verdict::Send(set.clone()));
        let half = stands(1, &[("retention.ms", "5"), ("segment.ms", "1")]);
        let left = Change::SetTopicSettings { topic: "a".to_owned(), settings: pairs(&[("segment.ms", "7")]) };
        assert_eq!(judge_change(&set, &planned, &half), Verdict::Send(left));
        let whole = stands(1, &[("retention.ms", "5"), ("segment.ms", "7")]);
        assert_eq!(judge_change(&set, &planned, &whole), Verdict::AlreadyThere);
        let other = stands(1, &[("retention.ms", "1"), ("segment.ms", "9")]);
        assert_eq!(why(judge_change(&set, &planned, &other)), "topic a: segment.ms is 9 by now, and was 1");
        assert!(matches!(judge_change(&set, &planned, &Standing::Acl(true)), Verdict::Unread(_)));
    }

    #[test]
    fn acls_and_quotas_are_judged_as_well() {
        let acl = Change::CreateAcl { acl: Acl::deny_write(Resource::Topic, "t", "User:a") };
        assert_eq!(judge_change(&acl, &Standing::Acl(false), &Standing::Acl(true)), Verdict::AlreadyThere);
        assert_eq!(judge_change(&acl, &Standing::Acl(false), &Standing::Acl(false)), Verdict::Send(acl.clone()));
        let limits = |rate: f64| BTreeMap::from([("producer_byte_rate".to_owned(), rate)]);
        let set = Change::SetQuotas { entity: QuotaEntity::named(&[("user", None)]), quotas: limits(5.0) };
        let none = Standing::Quotas(BTreeMap::new());
        assert_eq!(judge_change(&set, &none, &none), Verdict::Send(set.clone()));
        assert_eq!(judge_change(&set, &none, &Standing::Quotas(limits(5.0))), Verdict::AlreadyThere);
        let other = judge_change(&set, &none, &Standing::Quotas(limits(6.0)));
        assert_eq!(why(other), "quota of default user: producer_byte_rate is 6 by now, and was not set");
    }
}
