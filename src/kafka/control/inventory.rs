//! One look at how a cluster is set up: topics and brokers with their settings, ACLs, users, quotas. All of it is asked at
//! the same time; a part that can't be had says why in its place and hides no other.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;

use super::failure::{Failure, check_code};
use super::router::{Cluster, Router};
use super::scatter::Anywhere;
use super::settings::{Settings, SettingsQuestion};
use super::transactions::to_answer;
use super::wire::Speech;
use crate::base::sanitise::visible_name;
use crate::base::{Cause, Side, Trouble};
use crate::estate::acl::{Acl, AclFilter};
use crate::estate::inventory::{Inventory, QuotaEntity, TopicDefinition};
use crate::estate::release::KafkaRelease;
use crate::estate::transactions::{Answer, Since};

impl Cluster {
    /// How the cluster is set up. Needs DESCRIBE and DESCRIBE_CONFIGS on the cluster and on all topics: what this principal
    /// may not see is `Hidden` in its place. Errors only when no broker answers, or addresses lead to two clusters.
    pub async fn take_inventory(&self) -> Result<Inventory, Trouble> {
        let found = self.inner.look_at_setup().await?;
        self.inner.check_one_cluster()?; // it may have been found out meanwhile
        Ok(found)
    }
}

impl Cluster {
    /// One topic as it is now; `None`: there is none of that name. Errors: it can't be told whether there is.
    pub async fn look_at_topic(&self, topic: &str) -> Result<Option<TopicDefinition>, Trouble> {
        let names = [topic.to_owned()];
        let metadata = self.inner.refresh_metadata(Some(&names)).await?;
        let (mut topics, unread) = self.inner.list_topics(&metadata);
        let Some(mut found) = topics.remove(topic) else {
            let untold = || {
                let what = format!("{} did not say whether it has topic {}", self.side(), visible_name(topic));
                Trouble::new(what, "look at the brokers' logs")
            };
            let why = unread.unwrap_or_else(untold);
            return if why.cause == Some(Cause::NoSuchTopic) { Ok(None) } else { Err(why) };
        };
        let settings = self.inner.ask_each(&SettingsQuestion, &[Anywhere(topic.to_owned())]).await.into_values().next();
        if let Some(settings) = settings {
            found.settings = to_answer(settings, Since::V1_1);
        }
        Ok(Some(found))
    }

    /// Every client quota, as [`Cluster::take_inventory`] has them.
    pub async fn describe_quotas(&self) -> Answer<BTreeMap<QuotaEntity, BTreeMap<String, f64>>> {
        self.inner.fetch_quotas().await
    }
}

impl Router {
    async fn look_at_setup(&self) -> Result<Inventory, Failure> {
        let metadata = self.refresh_metadata(None).await?;
        let (mut topics, unread) = self.list_topics(&metadata);
        let names: Vec<Anywhere<String>> = topics.keys().cloned().map(Anywhere).collect();
        let nodes: Vec<i32> = metadata.brokers.iter().map(|b| b.node_id.0).collect();
        let mut all_brokers = list_absent(self.side(), &metadata, &nodes);
        let every = AclFilter::default();
        let (settings, brokers, acls, scram_users, quotas, speech) = tokio::join!(
            self.ask_each(&SettingsQuestion, &names),
            self.ask_each(&SettingsQuestion, &nodes),
            self.fetch_acls(&every, &nodes),
            self.fetch_scram_users(),
            self.fetch_quotas(),
            self.ask_speech(&nodes),
        );
        // After the list: what it leaves out is judged by the rights of now.
        let hidden = self.find_hidden_by(&metadata, &acls).await;
        let told = |result: Result<Settings, Failure>| to_answer(result, Since::V1_1);
        all_brokers.extend(brokers.into_iter().map(|(node, result)| (node, told(result))));
        for (Anywhere(name), result) in settings {
            if let Some(topic) = topics.get_mut(&name) {
                topic.settings = told(result);
            }
        }
        Ok(Inventory {
            // As it is: it is held against pins.
            cluster_id: metadata.cluster_id.as_ref().map(ToString::to_string),
            release: tell_release(speech.values()),
            topics,
            topics_hidden: unread.or(hidden),
            brokers: all_brokers,
            acls,
            scram_users,
            quotas,
        })
    }

    /// Topics as Metadata has them, their settings not known yet; and of which one it could not say how many partitions it
    /// has.
    fn list_topics(&self, metadata: &MetadataResponse) -> (BTreeMap<String, TopicDefinition>, Option<Trouble>) {
        let (mut topics, mut unread) = (BTreeMap::new(), None);
        for topic in &metadata.topics {
            let Some(name) = topic.name.as_ref().map(|name| name.to_string()) else { continue };
            let subject = format!("topic {}", visible_name(&name));
            match check_code(topic.error_code, subject, &self.side().to_string()) {
                Ok(()) => {
                    topics.insert(name, definition_of(topic));
                }
                // The first of them says it.
                Err(failure) => unread = unread.or(Some(Trouble::from(failure))),
            }
        }
        (topics, unread)
    }
}

/// The oldest release among a cluster's brokers; `None` where one of them does not say what it runs.
fn tell_release<'a>(speech: impl Iterator<Item = &'a Result<Speech, Trouble>>) -> Option<KafkaRelease> {
    let level = |said: &'a Result<Speech, Trouble>| said.as_ref().ok().and_then(|speech| speech.metadata_level);
    let releases: Option<Vec<KafkaRelease>> =
        speech.map(|said| level(said).and_then(KafkaRelease::of_metadata_level)).collect();
    releases?.into_iter().min()
}

/// Brokers that hold replicas and are not up (`nodes`): Metadata lists those that are, so that a dead one would be missing
/// without a word.
fn list_absent(side: Side, metadata: &MetadataResponse, nodes: &[i32]) -> BTreeMap<i32, Answer<Settings>> {
    let replicas = metadata.topics.iter().flat_map(|t| &t.partitions).flat_map(|p| &p.replica_nodes);
    let absent: BTreeSet<i32> =
        replicas.map(|node| node.0).filter(|node| *node >= 0 && !nodes.contains(node)).collect();
    let why = |node: i32| {
        let what = format!("{side} broker {node} is down: it has replicas, and is not among the brokers that are up");
        (node, Answer::Unknown(Trouble::new(what, "start it, then look again")))
    };
    absent.into_iter().map(why).collect()
}

fn definition_of(topic: &MetadataResponseTopic) -> TopicDefinition {
    let replicas = || topic.partitions.iter().map(|p| i16::try_from(p.replica_nodes.len()).unwrap_or(i16::MAX));
    TopicDefinition {
        internal: topic.is_internal,
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        replicas: (replicas().min().unwrap_or(0), replicas().max().unwrap_or(0)),
        settings: Answer::Unknown(Trouble::new("its settings were not told", "look at the brokers' logs")),
    }
}

/// The one answer of all brokers that gave one; those that could not be reached enforce nothing now. Errors: brokers say
/// different things.
pub(super) fn agree_on_acls(
    side: Side,
    found: BTreeMap<i32, Answer<BTreeSet<Acl>>>,
) -> Result<Answer<BTreeSet<Acl>>, Trouble> {
    let (silent, said): (BTreeMap<_, _>, BTreeMap<_, _>) =
        found.into_iter().partition(|(_, answer)| matches!(answer, Answer::Unknown(_)));
    let Some((first, one)) = said.first_key_value() else {
        let nobody = || Answer::Unknown(Trouble::new(format!("no broker of {side} said which ACLs it has"), ""));
        return Ok(silent.into_values().next().unwrap_or_else(nobody));
    };
    // What is hidden is so in the words of each broker.
    let same = |other: &Answer<BTreeSet<Acl>>| match (one, other) {
        (Answer::Hidden(_), Answer::Hidden(_)) => true,
        _ => one == other,
    };
    match said.iter().find(|(_, other)| !same(other)) {
        None => Ok(one.clone()),
        Some((second, other)) => {
            let what = format!(
                "brokers of {side} do not agree on ACLs: broker {first} {}, broker {second} {}",
                describe_shown(one, other),
                describe_shown(other, one)
            );
            Err(Trouble::new(what, "look again in a moment; if this stays, compare the brokers' authorizers and logs"))
        }
    }
}

/// What one broker shows that another one does not.
fn describe_shown(one: &Answer<BTreeSet<Acl>>, other: &Answer<BTreeSet<Acl>>) -> String {
    match (one, other) {
        (Answer::Told(acls), Answer::Told(others)) => match acls.difference(others).next() {
            Some(acl) => format!("shows {} ({acl}, for one)", acls.len()),
            None => format!("shows {}", acls.len()),
        },
        (Answer::Told(acls), _) => format!("shows {}", acls.len()),
        (untold, _) => format!("does not: {}", untold.to_trouble().map(|t| t.what).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::acl::Resource;
    use crate::estate::transactions::Unavailable;

    const BLUE: Side = Side::Blue;

    fn told(names: &[&str]) -> Answer<BTreeSet<Acl>> {
        Answer::Told(names.iter().map(|name| Acl::deny_write(Resource::Topic, *name, "User:app")).collect())
    }

    fn agreed(answers: &[Answer<BTreeSet<Acl>>]) -> Result<Answer<BTreeSet<Acl>>, String> {
        agree_on_acls(BLUE, (1..).zip(answers.iter().cloned()).collect()).map_err(|t| t.what)
    }

    #[test]
    fn an_acl_counts_when_every_broker_that_answered_shows_it() {
        let down = || Answer::Unknown(Trouble::new("it refused the connection", ""));
        let hidden = |node: i32| Answer::Hidden(Trouble::new(format!("broker {node} answered no"), ""));
        let none = || Answer::Unavailable(Unavailable::NoAuthorizer);
        assert_eq!(agreed(&[told(&["a"]), down(), told(&["a"])]), Ok(told(&["a"])));
        assert_eq!(agreed(&[told(&[]), told(&[])]), Ok(told(&[])));
        assert_eq!(agreed(&[none(), none()]), Ok(none()));
        assert_eq!(agreed(&[hidden(1), hidden(2)]), Ok(hidden(1)), "in the words of the first");
        assert_eq!(agreed(&[down(), hidden(2)]), Ok(hidden(2)));
        assert_eq!(agreed(&[down(), down()]), Ok(down()));
        assert!(matches!(agreed(&[]), Ok(Answer::Unknown(_))), "nobody is no empty list");
        let why = agreed(&[told(&["a"]), told(&["a", "b"])]).unwrap_err();
        assert!(why.contains("broker 1 shows 1, broker 2 shows 2 (deny write on topic b"), "{why}");
        let why = agreed(&[told(&[]), none()]).unwrap_err();
        assert!(why.contains("broker 2 does not: no authorizer is configured"), "{why}");
        assert!(agreed(&[hidden(1), told(&[])]).is_err(), "what one hides the other shows as empty");
    }
}
