//! What holds on a cluster for a topic on which nothing is set, and which settings the cluster knows at all.

use std::collections::BTreeMap;

use super::brokers::{BrokerSettings, BrokerValue};
use super::meaning::{SETTING_RELEASES, SettingRelease, TIERED};
use crate::base::Side;
use crate::estate::inventory::Inventory;
use crate::estate::release::KafkaRelease;

/// A broker setting that a topic setting falls back to, and what its number is multiplied by.
type Fallback = (&'static str, i64);

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// What brokers say of whether topics may have tiered storage at all: who has it, knows the topic's setting too.
const TIERED_SWITCH: &str = "remote.log.storage.system.enable";

/// Topic settings with the broker settings that they fall back to, the first that is set (Kafka's `ServerTopicConfigSynonyms`).
pub(super) const FALLBACKS: &[(&str, &[Fallback])] = &[
    ("cleanup.policy", &[("log.cleanup.policy", 1)]),
    ("compression.gzip.level", &[("compression.gzip.level", 1)]),
    ("compression.lz4.level", &[("compression.lz4.level", 1)]),
    ("compression.type", &[("compression.type", 1)]),
    ("compression.zstd.level", &[("compression.zstd.level", 1)]),
    ("delete.retention.ms", &[("log.cleaner.delete.retention.ms", 1)]),
    ("file.delete.delay.ms", &[("log.segment.delete.delay.ms", 1)]),
    ("flush.messages", &[("log.flush.interval.messages", 1)]),
    ("flush.ms", &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)]),
    ("index.interval.bytes", &[("log.index.interval.bytes", 1)]),
    ("local.retention.bytes", &[("log.local.retention.bytes", 1)]),
    ("local.retention.ms", &[("log.local.retention.ms", 1)]),
    ("max.compaction.lag.ms", &[("log.cleaner.max.compaction.lag.ms", 1)]),
    ("max.message.bytes", &[("message.max.bytes", 1)]),
    ("message.downconversion.enable", &[("log.message.downconversion.enable", 1)]),
    ("message.format.version", &[("log.message.format.version", 1)]),
    ("message.timestamp.after.max.ms", &[("log.message.timestamp.after.max.ms", 1)]),
    ("message.timestamp.before.max.ms", &[("log.message.timestamp.before.max.ms", 1)]),
    ("message.timestamp.difference.max.ms", &[("log.message.timestamp.difference.max.ms", 1)]),
    ("message.timestamp.type", &[("log.message.timestamp.type", 1)]),
    ("min.cleanable.dirty.ratio", &[("log.cleaner.min.cleanable.ratio", 1)]),
    ("min.compaction.lag.ms", &[("log.cleaner.min.compaction.lag.ms", 1)]),
    ("min.insync.replicas", &[("min.insync.replicas", 1)]),
    ("preallocate", &[("log.preallocate", 1)]),
    ("retention.bytes", &[("log.retention.bytes", 1)]),
    (
        "retention.ms",
        &[("log.retention.ms", 1), ("log.retention.minutes", MINUTE_MS), ("log.retention.hours", HOUR_MS)],
    ),
    ("segment.bytes", &[("log.segment.bytes", 1)]),
    ("segment.index.bytes", &[("log.index.size.max.bytes", 1)]),
    ("segment.jitter.ms", &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR_MS)]),
    ("segment.ms", &[("log.roll.ms", 1), ("log.roll.hours", HOUR_MS)]),
    ("unclean.leader.election.enable", &[("unclean.leader.election.enable", 1)]),
];

/// What holds on one cluster where nothing is set on a topic.
#[derive(Debug)]
pub(super) struct TopicDefaults<'a> {
    /// Every setting that a topic of the cluster lists, with its value where it is not set on the topic itself.
    listed: BTreeMap<&'a str, Option<&'a str>>,
    /// The brokers' own settings.
    pub(super) brokers: BrokerSettings<'a>,
    release: Option<KafkaRelease>,
}

impl<'a> TopicDefaults<'a> {
    pub(super) fn of_cluster(cluster: &'a Inventory, side: Side) -> Self {
        let mut listed: BTreeMap<&str, Option<&str>> = BTreeMap::new();
        for settings in cluster.topics.values().filter_map(|topic| topic.settings.as_told()) {
            for (name, setting) in settings {
                let inherited = setting.value.as_deref().filter(|_| !setting.source.is_explicit());
                let known = listed.entry(name).or_default();
                // Brokers that differ answer for topics in turn: the least of their values, so that it is always the same.
                *known = match (*known, inherited) {
                    (Some(known), Some(inherited)) => Some(known.min(inherited)),
                    (known, inherited) => known.or(inherited),
                };
            }
        }
        Self { listed, brokers: BrokerSettings::of_cluster(cluster, side), release: cluster.release }
    }

    /// Whether a topic of this cluster can have this setting; `None` where that can't be told. A broker lists every setting it
    /// knows for each topic, and refuses to set another.
    pub(super) fn knows_setting(&self, name: &str) -> Option<bool> {
        if !self.listed.is_empty() {
            return Some(self.listed.contains_key(name));
        }
        let known = SETTING_RELEASES.iter().find(|known| known.name == name);
        if let (Some(release), Some(known)) = (self.release, known) {
            return Some(known.is_in(release));
        }
        // That a broker does not list something proves nothing here: managed clusters show a few settings of their brokers.
        let switch = (name == TIERED).then_some(TIERED_SWITCH);
        let broker = switch.or_else(|| fallbacks_of(name).first().map(|(broker, _)| *broker));
        match broker.map(|broker| self.brokers.value_of(broker)) {
            Some(BrokerValue::Same(_) | BrokerValue::Untold | BrokerValue::Split(_)) => Some(true),
            Some(BrokerValue::Absent) | None => known.filter(|known| known.is_everywhere()).map(|_| true),
        }
    }

    /// Whether the brokers can store segments elsewhere (KIP-405): else they refuse topics that want it.
    pub(super) fn is_tiered(&self) -> bool {
        matches!(self.brokers.value_of(TIERED_SWITCH), BrokerValue::Same(value) if value.eq_ignore_ascii_case("true"))
    }

    /// What a topic has for this setting when nothing is set on it; `None` where that can't be told.
    pub(super) fn value_of(&self, name: &str) -> Option<String> {
        if let Some(Some(value)) = self.listed.get(name) {
            return Some((*value).to_owned());
        }
        for (broker, factor) in fallbacks_of(name) {
            match self.brokers.value_of(broker) {
                BrokerValue::Same(value) if *factor == 1 => return Some(value.to_owned()),
                BrokerValue::Same(value) => {
                    let number: i64 = value.trim().parse().ok()?;
                    // -1 is without limit in each unit
                    return Some(if number < 0 { number } else { number.saturating_mul(*factor) }.to_string());
                }
                BrokerValue::Absent | BrokerValue::Untold => {}
                BrokerValue::Split(_) => return None,
            }
        }
        None
    }
}

fn fallbacks_of(name: &str) -> &'static [Fallback] {
    FALLBACKS.iter().find(|(topic, _)| *topic == name).map_or(&[], |(_, fallbacks)| fallbacks)
}

impl SettingRelease {
    /// Whether Kafka has it in this release.
    fn is_in(&self, release: KafkaRelease) -> bool {
        self.since.is_none_or(|since| release >= since) && self.until.is_none_or(|until| release < until)
    }

    /// Whether every release that is still met has it.
    fn is_everywhere(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }
}
