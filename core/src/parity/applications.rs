//! Red flags of who works with the clusters: groups whose kind does not move as consumers do, clients that green may not take,
//! exactly-once producers that the plan does not know, clusters that nobody measures.

use std::collections::{BTreeMap, BTreeSet};

use super::red_flags::{RedFlag, RedFlagKind, Sight, conclude_sight};
use super::rows::Gravity;
use super::settings::name_some;
use super::{Parity, why_untold};
use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides, Trouble};
use crate::estate::application::{reads_nothing, streams_evidence, streams_topics};
use crate::estate::inventory::Inventory;
use crate::estate::release::KafkaRelease;
use crate::estate::transactions::{Answer, Unavailable};
use crate::estate::{ClusterView, GroupKind, GroupView};

/// What was seen of who works with both clusters.
#[derive(Debug, Clone)]
pub struct ApplicationLook {
    /// Blue with all of its groups and their members. Errors: it could not be looked at.
    pub blue: Result<ClusterView, Trouble>,
    /// The transactional ids that blue's coordinators list (KIP-664).
    pub transactional_ids: Answer<BTreeSet<String>>,
    /// Whether all brokers of green take groups of KIP-848; an error: it could not be told.
    pub green_takes_consumer_groups: Result<bool, Trouble>,
    /// What is known of each cluster's measures.
    pub measured: Sides<Measured>,
    /// What the plan moves.
    pub planned: PlannedApplications,
}

/// What the plan says that it moves, by blue's names.
#[derive(Debug, Clone, Default)]
pub struct PlannedApplications {
    /// Consumer groups.
    pub groups: BTreeSet<String>,
    /// Transactional ids of its producers.
    pub transactional_ids: BTreeSet<String>,
}

/// Whether somebody measures a cluster's consumers (error rates, latencies): a soak rests on that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measured {
    /// A provider of the plan answered with a number.
    Answered,
    /// The plan names nobody to ask.
    Nobody,
    /// Whoever was asked had no number.
    Silent(Trouble),
}

/// What a look for a flag of this kind reads.
struct SeenApplications<'a> {
    look: &'a ApplicationLook,
    clusters: Sides<&'a Inventory>,
}

type ApplicationFlag = (RedFlagKind, fn(&SeenApplications<'_>) -> Sight, &'static str);

/// Who alone knows which clients connect.
const ASK_JMX: &str = "look at clientSoftwareName and clientSoftwareVersion in the JMX of blue's brokers \
                       (socket-server-metrics), and at DeprecatedRequestsPerSec";

/// Each, in the order of [`RedFlagKind`].
const LOOKS: &[ApplicationFlag] = &[
    (
        RedFlagKind::TransactionalIds,
        look_transactional_ids,
        "name them as transactional_ids of a [[producers]] entry, so that they are fenced and gated; or see who uses them, and that nobody does",
    ),
    (
        RedFlagKind::StreamsGroups,
        look_streams,
        "their state does not move with offsets: begin them anew on green from their input, or mirror their changelog and repartition topics first",
    ),
    (
        RedFlagKind::ConnectGroups,
        look_connect,
        "move connectors by their own offsets and configuration (Connect's REST API), not by this group",
    ),
    (
        RedFlagKind::ConsumerProtocol,
        look_consumer_protocol,
        "upgrade green (Kafka 4.0 has it), or set group.protocol=classic at these consumers before they move",
    ),
    (
        RedFlagKind::ShareGroups,
        look_share,
        "what share groups have taken and not acknowledged is kept by blue's brokers: let them run empty on blue, and begin them anew on green",
    ),
    (
        RedFlagKind::StaticMembers,
        look_static_members,
        "a static member that stops stays in its group until session.timeout.ms is over: drain_timeout has to be longer, or remove it with kafka-consumer-groups or the admin client",
    ),
    (RedFlagKind::OldClients, look_old_clients, ASK_JMX),
    (
        RedFlagKind::Unmeasured,
        look_measures,
        "name in [metrics] of the plan who knows the consumers' error rate and latency on both clusters, before the first soak",
    ),
];

impl Parity {
    /// The same with what was seen of who works with the clusters, whose set-up was looked at.
    #[must_use]
    pub fn with_applications(mut self, look: &ApplicationLook, blue: &Inventory, green: &Inventory) -> Self {
        let seen = SeenApplications { look, clusters: Sides { blue, green } };
        let flags = LOOKS.iter().map(|(kind, see, advice)| conclude_sight(*kind, see(&seen), advice));
        self.flags.extend(flags.collect::<Vec<RedFlag>>());
        self
    }
}

impl SeenApplications<'_> {
    /// Blue's groups that a test is true of, with what it gives of each; and why there may be more.
    fn find_groups<T>(&self, test: impl Fn(&str, &GroupView) -> Option<T>) -> (BTreeMap<&str, T>, Option<Trouble>) {
        let view = match &self.look.blue {
            Ok(view) => view,
            Err(why) => return (BTreeMap::new(), Some(why.clone())),
        };
        let found = view.groups.iter().filter_map(|(id, group)| Some((id.as_str(), test(id, group)?))).collect();
        let unread = view.groups.iter().find_map(|(id, group)| {
            let why = group.trouble.as_ref()?;
            Some(Trouble::new(format!("group {}: {}", visible_name(id), why.what), why.advice.clone()))
        });
        (found, view.groups_hidden(Side::Blue).or(unread))
    }

    fn is_planned(&self, group: &str) -> bool {
        self.look.planned.groups.contains(group)
    }

    /// What a group of a kind that does not move means: one of the plan stops it.
    fn note_groups<T>(&self, what: &str, found: &BTreeMap<&str, T>, sight: &mut Sight) {
        let (planned, others): (Vec<&str>, Vec<&str>) = found.keys().partition(|id| self.is_planned(id));
        if !planned.is_empty() {
            let names = name_some(planned.into_iter());
            sight.note_found(Gravity::Blocks, format!("{what}, and the plan moves it: {names}"));
        }
        if !others.is_empty() {
            let names = name_some(others.into_iter());
            sight.note_found(Gravity::Warns, format!("{what}, which the plan does not name: {names}"));
        }
    }
}

fn look_transactional_ids(seen: &SeenApplications<'_>) -> Sight {
    let mut sight = Sight::default();
    if let Some(ids) = seen.look.transactional_ids.as_told() {
        let planned = &seen.look.planned.transactional_ids;
        let unplanned: Vec<&str> = ids.difference(planned).map(String::as_str).collect();
        if !unplanned.is_empty() {
            let (count, names) = (unplanned.len(), name_some(unplanned.into_iter()));
            sight.note_found(
                Gravity::Warns,
                format!("blue knows {count} transactional ids that no producer of the plan has: {names}"),
            );
        }
    }
    sight.note_unseen(why_untold(&seen.look.transactional_ids, Side::Blue, "the transactional ids"));
    // Coordinators leave out the ids that a principal may not DESCRIBE, and don't say so.
    let filtered = !matches!(seen.clusters.blue.acls, Answer::Unavailable(Unavailable::NoAuthorizer));
    let hidden = filtered.then(|| {
        let what = "transactional ids of blue that this principal may not DESCRIBE are hidden from it without a word";
        Trouble::new(what, "list them as a super user: kafka-transactions.sh --bootstrap-server BLUE list")
    });
    sight.note_unseen(hidden);
    sight
}

fn look_streams(seen: &SeenApplications<'_>) -> Sight {
    let mut sight = Sight::default();
    let (found, unseen) = seen.find_groups(|id, group| match group.kind {
        GroupKind::Streams => Some("it is a group of KIP-1071".to_owned()),
        _ => streams_evidence(id, group),
    });
    seen.note_groups("a Kafka Streams application", &found, &mut sight);
    let topics = &seen.clusters.blue.topics;
    let (maybe, _) = seen.find_groups(|id, group| {
        let idle = group.kind == GroupKind::Classic && group.members.is_empty() && !found.contains_key(id);
        (idle && !streams_topics(id, topics.keys()).is_empty()).then_some(())
    });
    if !maybe.is_empty() {
        let names = name_some(maybe.keys().copied());
        sight
            .note_found(Gravity::Warns, format!("stopped, with topics beside it as Kafka Streams makes them: {names}"));
    }
    sight.note_unseen(unseen);
    sight
}

fn look_connect(seen: &SeenApplications<'_>) -> Sight {
    let mut sight = Sight::default();
    let (found, unseen) = seen.find_groups(|_, group| reads_nothing(group).then_some(()));
    seen.note_groups("workers that share out work, and read no topic through their group", &found, &mut sight);
    sight.note_unseen(unseen);
    sight
}

fn look_consumer_protocol(seen: &SeenApplications<'_>) -> Sight {
    let mut sight = Sight::default();
    let (found, unseen) = seen.find_groups(|_, group| (group.kind == GroupKind::Consumer).then_some(()));
    match &seen.look.green_takes_consumer_groups {
        Ok(true) => return sight,
        Ok(false) if !found.is_empty() => {
            let names = name_some(found.keys().copied());
            sight.note_found(Gravity::Blocks, format!("green does not take groups of the consumer protocol: {names}"));
        }
        Ok(false) => {}
        Err(why) => sight.note_unseen(Some(why.clone())),
    }
    sight.note_unseen(unseen);
    sight
}

fn look_share(seen: &SeenApplications<'_>) -> Sight {
    let mut sight = Sight::default();
    let (found, unseen) = seen.find_groups(|_, group| (group.kind == GroupKind::Share).then_some(()));
    seen.note_groups("a share group, which has no offsets that could be moved", &found, &mut sight);
    sight.note_unseen(unseen);
    sight
}

fn look_static_members(seen: &SeenApplications<'_>) -> Sight {
    let mut sight = Sight::default();
    let (found, unseen) = seen.find_groups(|_, group| {
        let statics = group.members.iter().filter(|member| member.instance_id.is_some()).count();
        (statics > 0).then_some(statics)
    });
    if !found.is_empty() {
        let names = name_some(found.keys().copied());
        let count: usize = found.values().sum();
        sight.note_found(Gravity::Notes, format!("{count} members with a group.instance.id, in {names}"));
    }
    sight.note_unseen(unseen);
    sight
}

/// Kafka 4.0 refuses what spoke to 3.x: requests of clients older than 2.1 (KIP-896), and SCRAM of librdkafka before 2.6.1,
/// whose last message holds its nonce twice (librdkafka 4895). No broker tells which clients connect (KIP-511 shows them in
/// JMX alone).
fn look_old_clients(seen: &SeenApplications<'_>) -> Sight {
    const STRICT: KafkaRelease = KafkaRelease::new(4, 0);
    let mut sight = Sight::default();
    let is_strict = |side: Side| seen.clusters[side].release.map(|release| release >= STRICT);
    let unknown = |what: String| Some(Trouble::new(what, ASK_JMX));
    match (is_strict(Side::Blue), is_strict(Side::Green)) {
        // Whatever connects to blue has passed there already.
        (_, Some(false)) | (Some(true), _) => {}
        (_, Some(true)) => {
            let scram = match &seen.clusters.blue.scram_users {
                Answer::Told(users) if users.is_empty() => "",
                _ => ", nor SCRAM of librdkafka before 2.6.1",
            };
            sight.note_unseen(unknown(format!(
                "green is Kafka 4.0 or later: it takes no client older than 2.1{scram}, and no broker tells what connects"
            )));
        }
        (_, None) => sight.note_unseen(unknown(
            "green does not say which Kafka it runs, and no broker tells what connects".to_owned(),
        )),
    }
    sight
}

fn look_measures(seen: &SeenApplications<'_>) -> Sight {
    let mut sight = Sight::default();
    for (side, measured) in seen.look.measured.iter() {
        match measured {
            Measured::Answered => {}
            Measured::Nobody => {
                sight.note_found(Gravity::Warns, format!("nobody is named who measures the consumers on {side}"));
            }
            Measured::Silent(why) => sight.note_unseen(Some(why.clone())),
        }
    }
    sight
}
