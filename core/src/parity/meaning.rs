//! What topic settings mean: which values are the same, which of two is the weaker, which are a cluster's own, and which
//! release knows them.

use std::collections::BTreeSet;

use super::rows::Gravity;
use crate::base::sanitise::visible_name;
use crate::estate::release::KafkaRelease;

/// In which releases of Kafka topics have a setting.
#[derive(Debug)]
pub(super) struct SettingRelease {
    pub(super) name: &'static str,
    /// The first release that has it; `None`: every one that is still met (2.0 and later).
    pub(super) since: Option<KafkaRelease>,
    /// The first that has it no more.
    pub(super) until: Option<KafkaRelease>,
    /// The proposal that brought it, or took it away.
    kip: &'static str,
}

const fn in_every_release(name: &'static str) -> SettingRelease {
    SettingRelease { name, since: None, until: None, kip: "" }
}

const fn since_release(name: &'static str, major: u16, minor: u16, kip: &'static str) -> SettingRelease {
    SettingRelease { name, since: Some(KafkaRelease::new(major, minor)), until: None, kip }
}

const fn until_release(name: &'static str, major: u16, minor: u16, kip: &'static str) -> SettingRelease {
    SettingRelease { name, since: None, until: Some(KafkaRelease::new(major, minor)), kip }
}

/// Apache Kafka's topic settings (`TopicConfig`, 2.0 to 4.3).
pub(super) const SETTING_RELEASES: &[SettingRelease] = &[
    in_every_release("cleanup.policy"),
    since_release("compression.gzip.level", 3, 8, "KIP-390"),
    since_release("compression.lz4.level", 3, 8, "KIP-390"),
    in_every_release("compression.type"),
    since_release("compression.zstd.level", 3, 8, "KIP-390"),
    in_every_release("delete.retention.ms"),
    in_every_release("file.delete.delay.ms"),
    in_every_release("flush.messages"),
    in_every_release("flush.ms"),
    in_every_release("follower.replication.throttled.replicas"),
    in_every_release("index.interval.bytes"),
    in_every_release("leader.replication.throttled.replicas"),
    since_release("local.retention.bytes", 3, 6, "KIP-405"),
    since_release("local.retention.ms", 3, 6, "KIP-405"),
    since_release("max.compaction.lag.ms", 2, 3, "KIP-354"),
    in_every_release("max.message.bytes"),
    until_release("message.downconversion.enable", 4, 0, "KIP-724"),
    until_release("message.format.version", 4, 0, "KIP-724"),
    since_release("message.timestamp.after.max.ms", 3, 6, "KIP-937"),
    since_release("message.timestamp.before.max.ms", 3, 6, "KIP-937"),
    until_release("message.timestamp.difference.max.ms", 4, 0, "KIP-937"),
    in_every_release("message.timestamp.type"),
    in_every_release("min.cleanable.dirty.ratio"),
    in_every_release("min.compaction.lag.ms"),
    in_every_release("min.insync.replicas"),
    in_every_release("preallocate"),
    since_release("remote.log.copy.disable", 3, 9, "KIP-950"),
    since_release("remote.log.delete.on.disable", 3, 9, "KIP-950"),
    since_release("remote.storage.enable", 3, 6, "KIP-405"),
    in_every_release("retention.bytes"),
    in_every_release("retention.ms"),
    in_every_release("segment.bytes"),
    in_every_release("segment.index.bytes"),
    in_every_release("segment.jitter.ms"),
    in_every_release("segment.ms"),
    in_every_release("unclean.leader.election.enable"),
];

/// Why a cluster does not know a setting, as far as its name tells.
pub(super) fn explain_unknown_setting(name: &str) -> String {
    const VENDORS: [(&str, &str); 3] =
        [("confluent.", "Confluent Server"), ("redpanda.", "Redpanda"), ("automq.", "AutoMQ")];
    if let Some((_, vendor)) = VENDORS.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return format!("it is a setting of {vendor}");
    }
    let known = SETTING_RELEASES.iter().find(|known| known.name == name);
    match known {
        Some(SettingRelease { since: Some(since), kip, .. }) => format!("Kafka has it since {since} ({kip})"),
        Some(SettingRelease { until: Some(until), kip, .. }) => format!("Kafka has it no more since {until} ({kip})"),
        Some(_) => "the cluster does not list it".to_owned(),
        None => "it is none of Apache Kafka's".to_owned(),
    }
}

/// Why a setting says something of the cluster it stands on, and nothing of the topic: it is never copied.
pub(super) fn why_never_copied(name: &str) -> Option<&'static str> {
    match name {
        "leader.replication.throttled.replicas" | "follower.replication.throttled.replicas" => {
            Some("it names brokers of the one cluster, while a reassignment runs there")
        }
        "message.format.version" => {
            Some("it is what brokers of the one cluster write on disk, and ignored since Kafka 3.0")
        }
        "confluent.placement.constraints" => Some("it names racks of the one cluster"),
        _ => None,
    }
}

/// Whether a setting only means something on a topic with tiered storage (KIP-405), or makes it one.
pub(super) fn is_tiered(name: &str) -> bool {
    name == TIERED || name.starts_with("local.retention.") || name.starts_with("remote.log.")
}

/// What makes a topic one with tiered storage.
pub(super) const TIERED: &str = "remote.storage.enable";

/// Whether two values mean the same.
pub(super) fn is_same_value(name: &str, a: &str, b: &str) -> bool {
    let (a, b) = (a.trim(), b.trim());
    if a == b {
        return true;
    }
    if is_list(name) {
        return list_of(a) == list_of(b);
    }
    if let (Some(a), Some(b)) = (limit_of(name, a), limit_of(name, b)) {
        return a == b;
    }
    let float = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    if let (Some(a), Some(b)) = (float(a), float(b)) {
        return a == b;
    }
    let boolean = |text: &str| text.to_ascii_lowercase().parse::<bool>().ok();
    boolean(a).is_some() && boolean(a) == boolean(b)
}

fn is_list(name: &str) -> bool {
    name == "cleanup.policy" || name.ends_with(".throttled.replicas")
}

fn list_of(text: &str) -> BTreeSet<&str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Whether records of a topic with this `cleanup.policy` give way to later ones of their key.
pub(super) fn is_compacting(policy: &str) -> bool {
    list_of(policy).contains("compact")
}

/// A whole number; of retention the greatest where there is no limit.
pub(super) fn limit_of(name: &str, value: &str) -> Option<i64> {
    let number: i64 = value.trim().parse().ok()?;
    Some(if number < 0 && name.starts_with("retention.") { i64::MAX } else { number })
}

/// The least `segment.bytes` since Kafka 4.0 (KIP-1030).
const LEAST_SEGMENT_BYTES: i64 = 1 << 20;

/// Why a release refuses a value that older ones take.
pub(super) fn why_refused(name: &str, value: &str, release: Option<KafkaRelease>) -> Option<String> {
    let small = name == "segment.bytes" && limit_of(name, value).is_some_and(|bytes| bytes < LEAST_SEGMENT_BYTES);
    (small && release.is_some_and(|release| release >= KafkaRelease::new(4, 0)))
        .then(|| format!("Kafka 4.0 and later refuse less than {LEAST_SEGMENT_BYTES} (KIP-1030)"))
}

/// What comes of a number that is lower on green, and of one that is higher.
struct LimitWeight {
    name: &'static str,
    lower: (Gravity, &'static str),
    higher: (Gravity, &'static str),
}

const DELETES_EARLIER: &str = "green deletes records earlier: what is not read by then is lost";
const KEEPS_LONGER: &str = "green keeps records longer: its disks have to hold them";

const LIMIT_WEIGHTS: &[LimitWeight] = &[
    LimitWeight {
        name: "retention.ms",
        lower: (Gravity::Blocks, DELETES_EARLIER),
        higher: (Gravity::Warns, KEEPS_LONGER),
    },
    LimitWeight {
        name: "retention.bytes",
        lower: (Gravity::Blocks, DELETES_EARLIER),
        higher: (Gravity::Warns, KEEPS_LONGER),
    },
    LimitWeight {
        name: "max.message.bytes",
        lower: (Gravity::Blocks, "green refuses batches of records that blue takes"),
        higher: (Gravity::Warns, "green takes batches of records that blue refuses: those can't go back to blue"),
    },
    LimitWeight {
        name: "min.insync.replicas",
        lower: (
            Gravity::Blocks,
            "green acknowledges records (acks=all) that fewer replicas hold: one broker that fails can take them along",
        ),
        higher: (Gravity::Warns, "green refuses writes (acks=all) while blue would still take them"),
    },
    LimitWeight {
        name: "delete.retention.ms",
        lower: (
            Gravity::Warns,
            "green forgets deletions earlier: a consumer that reads from the start later keeps what was deleted",
        ),
        higher: (Gravity::Warns, "green keeps deletions longer"),
    },
    LimitWeight {
        name: "min.compaction.lag.ms",
        lower: (Gravity::Warns, "green compacts records earlier: a consumer that lags misses some of a key"),
        higher: (Gravity::Warns, "green compacts records later"),
    },
    LimitWeight {
        name: "max.compaction.lag.ms",
        lower: (Gravity::Warns, "green compacts records earlier"),
        higher: (Gravity::Warns, "green compacts records later: what must be forgotten is kept longer"),
    },
];

/// How grave it is that green has another value, and what comes of it.
pub(super) fn weigh_difference(name: &str, blue: &str, green: &str) -> (Gravity, String) {
    let weight = LIMIT_WEIGHTS.iter().find(|weight| weight.name == name);
    if let (Some(weight), Some(blue), Some(green)) = (weight, limit_of(name, blue), limit_of(name, green)) {
        let (gravity, why) = if green < blue { weight.lower } else { weight.higher };
        return (gravity, why.to_owned());
    }
    match name {
        "cleanup.policy" => {
            let (blue, green) = (list_of(blue), list_of(green));
            let more: Vec<_> = green.difference(&blue).copied().map(visible_name).collect();
            if more.is_empty() {
                (Gravity::Warns, "green keeps records that blue takes away: its disks have to hold them".to_owned())
            } else {
                (Gravity::Blocks, format!("green takes records away ({}) that blue keeps", more.join(", ")))
            }
        }
        "unclean.leader.election.enable" if is_same_value(name, green, "true") => {
            let why = "a replica of green that lags may become the leader: what it has not is lost";
            (Gravity::Blocks, why.to_owned())
        }
        "unclean.leader.election.enable" => {
            (Gravity::Warns, "a partition of green stays away for as long as no replica in sync is there".to_owned())
        }
        "message.timestamp.type" => (
            Gravity::Warns,
            "records carry another time on green: retention and whatever goes by timestamps counts from there"
                .to_owned(),
        ),
        "compression.type" => {
            (Gravity::Warns, "brokers of the one cluster pack records anew: other sizes, another load".to_owned())
        }
        _ => (Gravity::Warns, "green treats the topic otherwise than blue".to_owned()),
    }
}

/// Whether a value that green has instead of blue's loses or refuses something: such a setting is said on the topic itself
/// where it can't be told what green would have.
pub(super) fn is_weighty(name: &str) -> bool {
    LIMIT_WEIGHTS.iter().any(|weight| weight.name == name)
        || ["cleanup.policy", "unclean.leader.election.enable", "message.timestamp.type"].contains(&name)
}

/// A value for people; `None` is one that the broker does not tell.
pub(super) fn show_value(value: Option<&str>) -> String {
    match value {
        Some("") => "(empty)".to_owned(),
        Some(value) => visible_name(value),
        None => "(hidden)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_same_by_meaning() {
        for (name, a, b, same) in [
            ("cleanup.policy", "compact,delete", "delete, compact", true),
            ("cleanup.policy", "compact", "compact,delete", false),
            ("cleanup.policy", "", "delete", false),
            ("retention.ms", "-1", "-2", true),
            ("retention.ms", "-1", "9223372036854775807", true),
            ("retention.ms", "604800000", "0604800000", true),
            ("retention.ms", "604800000", "604800001", false),
            ("local.retention.ms", "-1", "-2", false),
            ("flush.ms", "9223372036854775807", "9223372036854775806", false),
            ("min.cleanable.dirty.ratio", "0.5", "0.50", true),
            ("min.cleanable.dirty.ratio", "0.5", "0.51", false),
            ("preallocate", "TRUE", "true", true),
            ("preallocate", "true", "false", false),
            ("compression.type", "producer", "Producer", false),
            ("leader.replication.throttled.replicas", "0:1,0:2", "0:2,0:1", true),
        ] {
            assert_eq!(is_same_value(name, a, b), same, "{name}: {a} and {b}");
            assert_eq!(is_same_value(name, b, a), same, "{name}: {b} and {a}");
        }
    }

    #[test]
    fn what_loses_or_refuses_is_graver_than_what_keeps() {
        use Gravity::{Blocks, Warns};
        for (name, blue, green, gravity) in [
            ("retention.ms", "-1", "604800000", Blocks),
            ("retention.ms", "604800000", "-1", Warns),
            ("retention.bytes", "1000", "999", Blocks),
            ("max.message.bytes", "2097152", "1048588", Blocks),
            ("max.message.bytes", "1048588", "2097152", Warns),
            ("min.insync.replicas", "2", "1", Blocks),
            ("min.insync.replicas", "1", "2", Warns),
            ("cleanup.policy", "delete", "compact", Blocks),
            ("cleanup.policy", "compact", "compact,delete", Blocks),
            ("cleanup.policy", "compact,delete", "compact", Warns),
            ("cleanup.policy", "delete", "", Warns),
            ("unclean.leader.election.enable", "false", "true", Blocks),
            ("unclean.leader.election.enable", "true", "false", Warns),
            ("delete.retention.ms", "2", "1", Warns),
            ("message.timestamp.type", "CreateTime", "LogAppendTime", Warns),
            ("segment.ms", "2", "1", Warns),
        ] {
            let (found, why) = weigh_difference(name, blue, green);
            assert_eq!(found, gravity, "{name}: {blue} to {green}: {why}");
        }
    }

    #[test]
    fn what_a_release_does_not_know_is_explained() {
        for (name, said) in [
            ("remote.log.copy.disable", "since 3.9 (KIP-950)"),
            ("message.format.version", "no more since 4.0 (KIP-724)"),
            ("confluent.tier.enable", "a setting of Confluent Server"),
            ("x.y", "none of Apache Kafka's"),
            ("retention.ms", "does not list it"),
        ] {
            let why = explain_unknown_setting(name);
            assert!(why.contains(said), "{name}: {why}");
        }
        assert!(why_refused("segment.bytes", "1048575", Some(KafkaRelease::new(4, 0))).is_some());
        assert_eq!(why_refused("segment.bytes", "1048576", Some(KafkaRelease::new(4, 0))), None);
        assert_eq!(why_refused("segment.bytes", "14", Some(KafkaRelease::new(3, 9))), None);
        assert_eq!(why_refused("segment.bytes", "14", None), None, "it is not known: the broker will say so");
    }
}
