//! What goes wrong in a migration though both clusters may be set up the same: each is looked for on every comparison, and is
//! raised, clear, or not known. Flags of groups, producers and clients are raised in `applications`.

use serde::{Deserialize, Serialize};

use super::brokers::BrokerValue;
use super::couples::TopicCouple;
use super::defaults::FALLBACKS;
use super::limits::TimestampLimits;
use super::meaning::{TIERED, is_compacting, is_same_value, limit_of};
use super::rows::Gravity;
use super::settings::name_some;
use super::{Compared, why_untold};
use crate::base::sanitise::visible_name;
use crate::base::{Side, Trouble, format_duration};
use crate::estate::inventory::TopicDefinition;
use crate::estate::transactions::{Answer, Unavailable};

/// What is looked for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RedFlagKind {
    /// A cluster forgets offsets of groups without members before the migration is through.
    OffsetsRetention,
    /// Green's brokers take smaller batches than blue's.
    MessageMaxBytes,
    /// Green keeps records of a topic for less time, or fewer of them.
    RetentionShrinks,
    /// Timestamps mean something else on green.
    TimestampTypes,
    /// Green refuses records by their timestamps that blue took, or holds.
    TimestampBounds,
    /// Green makes topics when somebody asks for one that is not there, with its own defaults.
    AutoCreation,
    /// Topics of blue with tiered storage.
    TieredStorage,
    /// Topics of blue that are compacted.
    Compaction,
    /// Green keeps fewer copies of what the brokers themselves keep: offsets, states of transactions.
    InternalReplicas,
    /// Green allows clients less: shorter sessions, smaller groups, shorter transactions.
    ClientLimits,
    /// Principals that no ACL binds are not the same.
    SuperUsers,
    /// What no ACL is about is open to everybody on one cluster, and closed on the other.
    OpenWithoutAcl,
    /// Brokers of one cluster don't agree on a setting.
    BrokersDisagree,
    /// Transactional ids of blue that the plan does not name.
    TransactionalIds,
    /// Groups of blue that are Kafka Streams applications.
    StreamsGroups,
    /// Groups of blue that are workers of Kafka Connect or of a schema registry.
    ConnectGroups,
    /// Groups of blue speak a protocol that green does not take (KIP-848).
    ConsumerProtocol,
    /// Share groups of blue (KIP-932).
    ShareGroups,
    /// Groups of blue with members that stay for a while after they stop (KIP-345).
    StaticMembers,
    /// Clients of blue that green may be too new for.
    OldClients,
    /// Consumers of a cluster that nobody measures.
    Unmeasured,
}

/// Whether it is so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedFlagState {
    /// Looked for, and not found.
    Clear,
    /// It is so, and how grave that is.
    Raised(Gravity),
    /// It can't be told.
    Unknown(Trouble),
}

/// One thing that was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedFlag {
    /// What.
    pub kind: RedFlagKind,
    /// Whether it is so.
    pub state: RedFlagState,
    /// What was found, a sentence each; empty unless it is raised.
    pub found: Vec<String>,
    /// What to do about it; empty unless it is raised.
    pub advice: String,
}

impl RedFlag {
    /// Whether it is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        matches!(self.state, RedFlagState::Raised(_))
    }
}

/// What a look for one flag found. What was found stands, whatever could not be seen besides.
#[derive(Default)]
pub(super) struct Sight {
    found: Vec<(Gravity, String)>,
    unknown: Option<Trouble>,
}

impl Sight {
    pub(super) fn note_found(&mut self, gravity: Gravity, what: String) {
        self.found.push((gravity, what));
    }

    pub(super) fn note_unseen(&mut self, why: Option<Trouble>) {
        self.unknown = self.unknown.take().or(why);
    }
}

/// What looks for a flag, and what to do when it is raised.
type Look = (RedFlagKind, fn(&Compared<'_>) -> Sight, &'static str);

/// Each, in the order of [`RedFlagKind`].
const LOOKS: &[Look] = &[
    (
        RedFlagKind::OffsetsRetention,
        look_offsets_retention,
        "raise offsets.retention.minutes on the brokers before the first group moves",
    ),
    (RedFlagKind::MessageMaxBytes, look_message_max_bytes, "raise message.max.bytes on green's brokers"),
    (
        RedFlagKind::RetentionShrinks,
        look_retention,
        "set the topics' retention on green as it is on blue before producers write there",
    ),
    (RedFlagKind::TimestampTypes, look_timestamp_types, "set message.timestamp.type on green as it is on blue"),
    (
        RedFlagKind::TimestampBounds,
        look_timestamp_bounds,
        "set message.timestamp.before.max.ms and message.timestamp.after.max.ms on green as on blue, before a replay at the latest",
    ),
    (
        RedFlagKind::AutoCreation,
        look_auto_creation,
        "set auto.create.topics.enable=false on green: a client with a wrong name makes a topic with green's defaults there",
    ),
    (
        RedFlagKind::TieredStorage,
        look_tiered_storage,
        "what is stored remotely does not move by itself: plan time for a replay from remote segments, and disks on green",
    ),
    (
        RedFlagKind::Compaction,
        look_compaction,
        "see that every record of them has a key, and replay them from the start: what compaction took has no twin",
    ),
    (RedFlagKind::InternalReplicas, look_internal_replicas, "give green's internal topics as many replicas as blue's"),
    (RedFlagKind::ClientLimits, look_client_limits, "set the limits of green's brokers to blue's"),
    (RedFlagKind::SuperUsers, look_super_users, "compare super.users in server.properties of both clusters"),
    (
        RedFlagKind::OpenWithoutAcl,
        look_open_without_acl,
        "compare allow.everyone.if.no.acl.found in server.properties of both clusters",
    ),
    (RedFlagKind::BrokersDisagree, look_brokers_disagree, "set it alike on all brokers of the cluster"),
];

/// Looks for all of them.
pub(super) fn raise_flags(compared: &Compared<'_>) -> Vec<RedFlag> {
    LOOKS.iter().map(|(kind, look, advice)| conclude_sight(*kind, look(compared), advice)).collect()
}

pub(super) fn conclude_sight(kind: RedFlagKind, sight: Sight, advice: &str) -> RedFlag {
    let gravest = sight.found.iter().map(|(gravity, _)| *gravity).min();
    let state = match (gravest, sight.unknown) {
        (Some(gravity), _) => RedFlagState::Raised(gravity),
        (None, Some(why)) => RedFlagState::Unknown(why),
        (None, None) => RedFlagState::Clear,
    };
    let advice = if gravest.is_some() { advice.to_owned() } else { String::new() };
    RedFlag { kind, state, found: sight.found.into_iter().map(|(_, what)| what).collect(), advice }
}

/// Why the brokers of a side leave it open whether it has a setting, which not all of them told.
fn why_brokers_untold(compared: &Compared<'_>, side: Side) -> Option<Trouble> {
    compared.defaults[side].brokers.untold.clone()
}

/// A number of a side's brokers; of several the least.
fn least_number(compared: &Compared<'_>, side: Side, name: &str) -> Option<i64> {
    compared.defaults[side].brokers.number_of(name, i64::min)
}

/// The same, the greatest.
fn most_number(compared: &Compared<'_>, side: Side, name: &str) -> Option<i64> {
    compared.defaults[side].brokers.number_of(name, i64::max)
}

/// Why a setting of the brokers that both have to tell is not known.
fn why_number_unknown(compared: &Compared<'_>, side: Side, name: &str) -> Option<Trouble> {
    let what = || Trouble::new(format!("the brokers of {side} don't tell {name}"), "look it up in server.properties");
    why_brokers_untold(compared, side).or_else(|| least_number(compared, side, name).is_none().then(what))
}

fn look_offsets_retention(compared: &Compared<'_>) -> Sight {
    const NAME: &str = "offsets.retention.minutes";
    let mut sight = Sight::default();
    let Some(planned) = compared.scope.planned_ms else {
        sight.note_unseen(Some(Trouble::new(
            "how long the migration takes is not known",
            "give its groups dates in the plan, or [parity] a duration",
        )));
        return sight;
    };
    for side in Side::BOTH {
        match least_number(compared, side, NAME).and_then(|minutes| u64::try_from(minutes).ok()) {
            Some(minutes) if minutes.saturating_mul(60_000) < planned => {
                let (kept, needed) = (format_duration(minutes.saturating_mul(60_000)), format_duration(planned));
                let what = format!(
                    "{side} keeps offsets of groups without members for {kept}, the migration is planned for {needed}"
                );
                sight.note_found(Gravity::Blocks, what);
            }
            _ => sight.note_unseen(why_number_unknown(compared, side, NAME)),
        }
    }
    sight
}

fn look_message_max_bytes(compared: &Compared<'_>) -> Sight {
    const NAME: &str = "message.max.bytes";
    let mut sight = Sight::default();
    match (most_number(compared, Side::Blue, NAME), least_number(compared, Side::Green, NAME)) {
        (Some(blue), Some(green)) if green < blue => {
            sight.note_found(
                Gravity::Warns,
                format!("brokers of green take batches of up to {green} bytes, those of blue {blue}"),
            );
        }
        _ => Side::BOTH.into_iter().for_each(|side| sight.note_unseen(why_number_unknown(compared, side, NAME))),
    }
    sight
}

/// What a flag that goes by topics reads: values in effect of those that both have.
fn values_of<'a>(couple: &TopicCouple<'a>, name: &str) -> Option<(&'a str, &'a str)> {
    let value = |topic: &'a TopicDefinition| topic.settings.as_told()?.get(name)?.value.as_deref();
    Some((value(couple.blue)?, value(couple.green?)?))
}

/// Topics in question with what `judge` says of each, and why some could not be judged.
fn look_topics(
    compared: &Compared<'_>,
    (gravity, what): (Gravity, &str),
    mut judge: impl FnMut(&TopicCouple<'_>) -> bool,
    sight: &mut Sight,
) {
    let found: Vec<&str> =
        compared.topics.couples.iter().filter(|couple| judge(couple)).map(|couple| couple.pair.blue.as_str()).collect();
    if !found.is_empty() {
        let topics = if found.len() == 1 { "topic" } else { "topics" };
        let count = found.len();
        sight.note_found(gravity, format!("{count} {topics} {what}: {}", name_some(found.into_iter())));
    }
}

/// Why not all topics could be judged by their settings on these sides.
fn why_topics_untold(compared: &Compared<'_>, sides: &[Side]) -> Option<Trouble> {
    let all = matches!(compared.scope.topics, super::TopicScope::All { .. });
    let hidden = sides.iter().find_map(|side| compared.clusters[*side].topics_hidden.clone().filter(|_| all));
    let untold = compared.topics.couples.iter().find_map(|couple| {
        sides.iter().find_map(|side| {
            let topic = match side {
                Side::Blue => Some(couple.blue),
                Side::Green => couple.green,
            };
            why_untold(&topic?.settings, *side, &format!("the settings of {}", couple.pair))
        })
    });
    hidden.or(untold)
}

/// Why a setting of a topic that both have could not be compared, though both told of its settings.
fn why_value_untold(compared: &Compared<'_>, name: &str) -> Option<Trouble> {
    let told = |topic: Option<&TopicDefinition>| topic.is_some_and(|topic| topic.settings.as_told().is_some());
    let untold = compared
        .topics
        .couples
        .iter()
        .find(|couple| told(Some(couple.blue)) && told(couple.green) && values_of(couple, name).is_none())?;
    let what = format!("brokers don't tell {name} of {} on both clusters", untold.pair);
    Some(Trouble::new(what, "compare it by hand"))
}

fn look_retention(compared: &Compared<'_>) -> Sight {
    let mut sight = Sight::default();
    for name in ["retention.ms", "retention.bytes"] {
        let shrinks = |couple: &TopicCouple<'_>| {
            values_of(couple, name).is_some_and(|(blue, green)| limit_of(name, green) < limit_of(name, blue))
        };
        look_topics(compared, (Gravity::Blocks, &format!("with less {name} on green")), shrinks, &mut sight);
        let default = |side: Side| compared.defaults[side].value_of(name).and_then(|value| limit_of(name, &value));
        match (default(Side::Blue), default(Side::Green)) {
            (Some(blue), Some(green)) if green < blue => {
                sight.note_found(
                    Gravity::Warns,
                    format!("green's default for {name} is lower: {green}, on blue {blue}"),
                );
            }
            _ => {}
        }
    }
    sight.note_unseen(why_topics_untold(compared, &Side::BOTH));
    ["retention.ms", "retention.bytes"].iter().for_each(|name| sight.note_unseen(why_value_untold(compared, name)));
    sight
}

fn look_timestamp_types(compared: &Compared<'_>) -> Sight {
    const NAME: &str = "message.timestamp.type";
    let mut sight = Sight::default();
    let differs = |couple: &TopicCouple<'_>| {
        values_of(couple, NAME).is_some_and(|(blue, green)| !is_same_value(NAME, blue, green))
    };
    look_topics(compared, (Gravity::Warns, "with other timestamps on green"), differs, &mut sight);
    sight.note_unseen(why_topics_untold(compared, &Side::BOTH));
    sight.note_unseen(why_value_untold(compared, NAME));
    sight
}

fn look_timestamp_bounds(compared: &Compared<'_>) -> Sight {
    let mut sight = Sight::default();
    let bounds = |couple: &TopicCouple<'_>| {
        let of = |topic: &TopicDefinition| TimestampLimits::of_topic(topic.settings.as_told()?).to_bounds();
        Some((of(couple.blue)?, of(couple.green?)?))
    };
    let retention = |couple: &TopicCouple<'_>| {
        let value = couple.blue.settings.as_told()?.get("retention.ms")?.value.as_deref()?;
        limit_of("retention.ms", value)
    };
    let refuses_held = |couple: &TopicCouple<'_>| {
        bounds(couple)
            .zip(retention(couple))
            .is_some_and(|((blue, green), kept)| green.before < blue.before && green.before < kept)
    };
    let what = "of which green refuses records that blue holds (their timestamps are too old)";
    look_topics(compared, (Gravity::Blocks, what), refuses_held, &mut sight);
    let narrower = |couple: &TopicCouple<'_>| {
        let narrower =
            bounds(couple).is_some_and(|(blue, green)| green.after < blue.after || green.before < blue.before);
        narrower && !refuses_held(couple)
    };
    let what = "of which green refuses records by their timestamps that blue takes";
    look_topics(compared, (Gravity::Warns, what), narrower, &mut sight);
    let of_brokers = |side: Side| TimestampLimits::read_with(|name| compared.defaults[side].value_of(name)).to_bounds();
    match (of_brokers(Side::Blue), of_brokers(Side::Green)) {
        (Some(blue), Some(green)) if green.before < blue.before || green.after < blue.after => {
            let what = "brokers of green refuse older or further timestamps than those of blue, where a topic does not say otherwise";
            sight.note_found(Gravity::Warns, what.to_owned());
        }
        _ => {}
    }
    sight.note_unseen(why_topics_untold(compared, &Side::BOTH));
    sight
}

fn look_auto_creation(compared: &Compared<'_>) -> Sight {
    const NAME: &str = "auto.create.topics.enable";
    let mut sight = Sight::default();
    let brokers = &compared.defaults.green.brokers;
    let on = |value: &str| value.eq_ignore_ascii_case("true");
    let raised = match brokers.value_of(NAME) {
        BrokerValue::Same(value) => Some(on(value)),
        BrokerValue::Split(values) => Some(values.values().flatten().any(|value| on(value))),
        BrokerValue::Absent | BrokerValue::Untold => None,
    };
    match raised {
        Some(true) => sight.note_found(Gravity::Warns, "green makes topics that somebody asks for".to_owned()),
        Some(false) => sight.note_unseen(why_brokers_untold(compared, Side::Green)),
        None => {
            let why =
                || Trouble::new(format!("the brokers of green don't tell {NAME}"), "look it up in server.properties");
            sight.note_unseen(why_brokers_untold(compared, Side::Green).or_else(|| Some(why())));
        }
    }
    sight
}

fn look_tiered_storage(compared: &Compared<'_>) -> Sight {
    let mut sight = Sight::default();
    let tiered = |couple: &TopicCouple<'_>| {
        let setting = couple.blue.settings.as_told().and_then(|settings| settings.get(TIERED)?.value.as_deref());
        setting.is_some_and(|value| is_same_value(TIERED, value, "true"))
    };
    look_topics(compared, (Gravity::Warns, "with tiered storage on blue"), tiered, &mut sight);
    sight.note_unseen(why_topics_untold(compared, &[Side::Blue]));
    sight
}

fn look_compaction(compared: &Compared<'_>) -> Sight {
    let mut sight = Sight::default();
    let compacted = |couple: &TopicCouple<'_>| {
        let setting =
            couple.blue.settings.as_told().and_then(|settings| settings.get("cleanup.policy")?.value.as_deref());
        setting.is_some_and(is_compacting)
    };
    look_topics(compared, (Gravity::Notes, "compacted on blue"), compacted, &mut sight);
    sight.note_unseen(why_topics_untold(compared, &[Side::Blue]));
    sight
}

/// What a cluster's own topic really has, and where there is none yet what its brokers would give it.
fn internal_replicas(compared: &Compared<'_>, side: Side, topic: &str, setting: &str) -> Option<i64> {
    let there = compared.clusters[side].topics.get(topic).map(|topic| i64::from(topic.replicas.0));
    there.or_else(|| least_number(compared, side, setting))
}

fn internal_in_sync(compared: &Compared<'_>, side: Side, topic: &str, setting: &str) -> Option<i64> {
    const IN_SYNC: &str = "min.insync.replicas";
    let there = compared.clusters[side].topics.get(topic).and_then(|topic| topic.settings.as_told());
    let there = there.and_then(|settings| limit_of(IN_SYNC, settings.get(IN_SYNC)?.value.as_deref()?));
    there.or_else(|| least_number(compared, side, setting))
}

fn look_internal_replicas(compared: &Compared<'_>) -> Sight {
    type Read = fn(&Compared<'_>, Side, &str, &str) -> Option<i64>;
    let figures: [(&str, &str, Read); 3] = [
        ("__consumer_offsets", "offsets.topic.replication.factor", internal_replicas),
        ("__transaction_state", "transaction.state.log.replication.factor", internal_replicas),
        ("__transaction_state", "transaction.state.log.min.isr", internal_in_sync),
    ];
    let mut sight = Sight::default();
    for (topic, setting, read) in figures {
        match (read(compared, Side::Blue, topic, setting), read(compared, Side::Green, topic, setting)) {
            (Some(blue), Some(green)) if green < blue => {
                sight.note_found(Gravity::Warns, format!("{topic}: {setting} is {green} on green, {blue} on blue"));
            }
            (Some(_), Some(_)) => {
                // What a topic has is seen; what brokers would give it is only known when all of them told.
                let by_brokers =
                    Side::BOTH.into_iter().filter(|side| !compared.clusters[*side].topics.contains_key(topic));
                by_brokers.for_each(|side| sight.note_unseen(why_brokers_untold(compared, side)));
            }
            (blue, _) => {
                let side = if blue.is_none() { Side::Blue } else { Side::Green };
                sight.note_unseen(why_number_unknown(compared, side, setting));
            }
        }
    }
    sight
}

fn look_client_limits(compared: &Compared<'_>) -> Sight {
    /// Brokers refuse what lies beyond: above the first kind, below the second.
    const UPPER: [&str; 6] = [
        "group.consumer.max.size",
        "group.max.session.timeout.ms",
        "group.max.size",
        "offset.metadata.max.bytes",
        "socket.request.max.bytes",
        "transaction.max.timeout.ms",
    ];
    const LOWER: [&str; 1] = ["group.min.session.timeout.ms"];
    let mut sight = Sight::default();
    for name in UPPER {
        if let (Some(blue), Some(green)) =
            (most_number(compared, Side::Blue, name), least_number(compared, Side::Green, name))
            && green < blue
        {
            sight.note_found(Gravity::Warns, format!("green allows less: {name} is {green}, on blue {blue}"));
        }
    }
    for name in LOWER {
        if let (Some(blue), Some(green)) =
            (least_number(compared, Side::Blue, name), most_number(compared, Side::Green, name))
            && green > blue
        {
            sight.note_found(Gravity::Warns, format!("green wants more: {name} is {green}, on blue {blue}"));
        }
    }
    // A limit that a release does not have is none; brokers that said nothing have told of none.
    Side::BOTH.into_iter().for_each(|side| sight.note_unseen(why_brokers_untold(compared, side)));
    sight
}

/// What both sides say of a setting of their authorizer, which brokers mostly don't tell.
fn look_authorizer(compared: &Compared<'_>, name: &str, is_same: impl Fn(&str, &str) -> bool, absent: &str) -> Sight {
    let mut sight = Sight::default();
    let enforced = |side: Side| !matches!(compared.clusters[side].acls, Answer::Unavailable(Unavailable::NoAuthorizer));
    if !enforced(Side::Blue) && !enforced(Side::Green) {
        return sight;
    }
    Side::BOTH.into_iter().for_each(|side| sight.note_unseen(why_brokers_untold(compared, side)));
    let value = |side: Side| match compared.defaults[side].brokers.value_of(name) {
        BrokerValue::Same(value) => Some(value),
        BrokerValue::Absent => Some(absent),
        BrokerValue::Untold | BrokerValue::Split(_) => None,
    };
    match (value(Side::Blue), value(Side::Green)) {
        (Some(blue), Some(green)) if !is_same(blue, green) => {
            let words = |value: &str| if value.is_empty() { "none".to_owned() } else { visible_name(value) };
            sight.note_found(Gravity::Warns, format!("{name}: {} on green, {} on blue", words(green), words(blue)));
        }
        (Some(_), Some(_)) => {}
        (blue, _) => {
            let side = if blue.is_none() { Side::Blue } else { Side::Green };
            let what = format!("{name} is set on the brokers of {side}, and they don't tell to what");
            sight.note_unseen(Some(Trouble::new(what, "compare server.properties of both clusters")));
        }
    }
    sight
}

fn look_super_users(compared: &Compared<'_>) -> Sight {
    let is_same = |blue: &str, green: &str| {
        // Kafka separates them by semicolons: distinguished names hold commas.
        let each =
            |list: &str| list.split(';').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
        let blue: std::collections::BTreeSet<String> = each(blue);
        let green: std::collections::BTreeSet<String> = each(green);
        let map = &compared.scope.principals;
        blue.iter().all(|one| green.contains(map.map_principal(one).as_ref()))
    };
    look_authorizer(compared, "super.users", is_same, "")
}

fn look_open_without_acl(compared: &Compared<'_>) -> Sight {
    let is_same = |blue: &str, green: &str| blue.eq_ignore_ascii_case(green);
    look_authorizer(compared, "allow.everyone.if.no.acl.found", is_same, "false")
}

fn look_brokers_disagree(compared: &Compared<'_>) -> Sight {
    const OTHERS: [&str; 4] =
        ["auto.create.topics.enable", "offsets.retention.minutes", "num.partitions", "default.replication.factor"];
    let mut sight = Sight::default();
    for (side, defaults) in compared.defaults.iter() {
        let names = FALLBACKS.iter().flat_map(|(_, brokers)| brokers.iter().map(|(name, _)| *name)).chain(OTHERS);
        let split = defaults.brokers.split_among(names);
        let gravity = if side == Side::Green { Gravity::Warns } else { Gravity::Notes };
        if !split.is_empty() {
            sight.note_found(gravity, format!("brokers of {side} don't agree on {}", name_some(split.into_iter())));
        }
        sight.note_unseen(why_brokers_untold(compared, side));
    }
    sight
}
