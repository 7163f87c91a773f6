//! Topics: creation, configuration, deletion, retention.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

use super::batch::BatchRules;
use super::log::PartitionLog;
use super::{SimRefusal, SimState};

/// A topic.
#[derive(Debug, Clone)]
pub struct SimTopic {
    /// Topic id, unique in this cluster and its life.
    pub id: u128,
    /// Configuration that was set; the rest is [`topic_defaults`].
    pub config: BTreeMap<String, String>,
    /// Logs by partition number.
    pub partitions: Vec<PartitionLog>,
}

/// Defaults of a Kafka 4.x broker: every setting that a topic can have, but for compression levels.
#[must_use]
pub(crate) fn topic_defaults() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        ("delete.retention.ms", "86400000"),
        ("file.delete.delay.ms", "60000"),
        ("flush.messages", "9223372036854775807"),
        ("flush.ms", "9223372036854775807"),
        ("follower.replication.throttled.replicas", ""),
        ("index.interval.bytes", "4096"),
        ("leader.replication.throttled.replicas", ""),
        ("local.retention.bytes", "-2"),
        ("local.retention.ms", "-2"),
        ("max.compaction.lag.ms", "9223372036854775807"),
        ("max.message.bytes", "1048588"),
        ("message.timestamp.after.max.ms", "3600000"),
        ("message.timestamp.before.max.ms", "9223372036854775807"),
        ("message.timestamp.type", "CreateTime"),
        ("min.cleanable.dirty.ratio", "0.5"),
        ("min.compaction.lag.ms", "0"),
        ("min.insync.replicas", "1"),
        ("preallocate", "false"),
        ("remote.storage.enable", "false"),
        ("retention.bytes", "-1"),
        ("retention.ms", "604800000"),
        ("segment.bytes", "1073741824"),
        ("segment.index.bytes", "10485760"),
        ("segment.jitter.ms", "0"),
        ("segment.ms", "604800000"),
        ("unclean.leader.election.enable", "false"),
    ])
}

impl SimTopic {
    /// The effective value of a configuration key.
    #[must_use]
    pub fn config(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str).or_else(|| topic_defaults().get(key).copied())
    }

    fn config_number(&self, key: &str) -> i64 {
        self.config(key).and_then(|v| v.parse().ok()).unwrap_or(-1)
    }

    /// What the configuration demands of a batch.
    #[must_use]
    pub fn rules(&self) -> BatchRules {
        BatchRules {
            log_append_time: self.config("message.timestamp.type") == Some("LogAppendTime"),
            max_bytes: usize::try_from(self.config_number("max.message.bytes")).unwrap_or(usize::MAX),
            after_max_ms: self.config_number("message.timestamp.after.max.ms"),
            compacted: self.config("cleanup.policy").is_some_and(|p| p.contains("compact")),
        }
    }
}

/// Kafka's rule for topic names: 1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`.
#[must_use]
pub(crate) fn legal_topic_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 249
        && name != "."
        && name != ".."
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

impl SimState {
    /// Creates a topic with leaders spread over the brokers.
    ///
    /// # Errors
    /// What a broker answers: INVALID_TOPIC_EXCEPTION, TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS,
    /// INVALID_REPLICATION_FACTOR, INVALID_CONFIG.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replication: i16,
        config: &[(&str, &str)],
        validate_only: bool,
    ) -> Result<(), ResponseError> {
        if !legal_topic_name(name) {
            return Err(ResponseError::InvalidTopicException);
        }
        if self.topics.contains_key(name) {
            return Err(ResponseError::TopicAlreadyExists);
        }
        // -1 asks for the broker's defaults (KIP-464).
        let partitions = if partitions == -1 { 1 } else { partitions };
        if !(1..=100_000).contains(&partitions) {
            return Err(ResponseError::InvalidPartitions);
        }
        let alive: Vec<i32> = self.brokers.values().filter(|b| b.alive).map(|b| b.id).collect();
        let replicas = if replication == -1 { alive.len().min(3) } else { usize::try_from(replication).unwrap_or(0) };
        if replicas == 0 || replicas > alive.len() {
            return Err(ResponseError::InvalidReplicationFactor);
        }
        if config.iter().any(|(k, v)| !legal_config(k, v)) {
            return Err(ResponseError::InvalidConfig);
        }
        if validate_only {
            return Ok(());
        }
        // Each topic begins with another broker, so that small topics are not all led by the first.
        let shift = usize::try_from(self.next_topic).unwrap_or(0);
        let log = |p: i32| {
            let first = shift + usize::try_from(p).unwrap_or(0);
            PartitionLog::new((0..replicas).map(|r| alive[(first + r) % alive.len()]).collect())
        };
        let topic = SimTopic {
            id: u128::from(self.next_topic) << 64 | 0x4000_8000_0000_0000,
            config: config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            partitions: (0..partitions).map(log).collect(),
        };
        self.next_topic += 1;
        self.topics.insert(name.to_owned(), topic);
        self.version += 1;
        Ok(())
    }

    /// Deletes a topic, its records, and what groups committed on it, as the group coordinator does.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION.
    pub fn delete_topic(&mut self, name: &str) -> Result<(), ResponseError> {
        self.topics.remove(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        for group in self.groups.values_mut() {
            group.forget_topic(name);
        }
        self.version += 1;
        Ok(())
    }

    /// Topics by name.
    #[must_use]
    pub fn topics(&self) -> &BTreeMap<String, SimTopic> {
        &self.topics
    }

    /// The topic that has this id.
    #[must_use]
    pub(crate) fn topic_by_id(&self, id: u128) -> Option<&str> {
        self.topics.iter().find(|(_, t)| t.id == id).map(|(n, _)| n.as_str())
    }

    /// A partition's log.
    #[must_use]
    pub fn log(&self, topic: &str, partition: i32) -> Option<&PartitionLog> {
        self.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?)
    }

    pub(super) fn log_mut(&mut self, topic: &str, partition: i32) -> Result<&mut PartitionLog, ResponseError> {
        let partition = usize::try_from(partition).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
        let topic = self.topics.get_mut(topic).ok_or(ResponseError::UnknownTopicOrPartition)?;
        topic.partitions.get_mut(partition).ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// Sets one configuration key of a topic.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, INVALID_CONFIG.
    #[cfg(test)]
    pub(crate) fn set_config(&mut self, topic: &str, key: &str, value: &str) -> Result<(), ResponseError> {
        let topic = self.topics.get_mut(topic).ok_or(ResponseError::UnknownTopicOrPartition)?;
        if !legal_config(key, value) {
            return Err(ResponseError::InvalidConfig);
        }
        topic.config.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// Sets settings of a topic, all or none of them; `None` takes one back.
    ///
    /// # Errors
    /// INVALID_CONFIG, UNKNOWN_TOPIC_OR_PARTITION.
    pub(crate) fn alter_config(
        &mut self,
        topic: &str,
        changes: &[(&str, Option<&str>)],
        validate_only: bool,
    ) -> Result<(), SimRefusal> {
        let defaults = topic_defaults();
        if let Some((unknown, _)) = changes.iter().find(|(key, _)| !defaults.contains_key(key)) {
            return Err((ResponseError::InvalidConfig, format!("Unknown topic config name: {unknown}")));
        }
        let wrong = |(key, value): &&(&str, Option<&str>)| value.is_some_and(|value| !legal_config(key, value));
        if let Some((key, value)) = changes.iter().find(wrong) {
            let why = format!("Invalid value {} for configuration {key}", value.unwrap_or_default());
            return Err((ResponseError::InvalidConfig, why));
        }
        let unknown = || (ResponseError::UnknownTopicOrPartition, format!("The topic '{topic}' does not exist."));
        let found = self.topics.get_mut(topic).ok_or_else(unknown)?;
        for (key, value) in changes.iter().filter(|_| !validate_only) {
            match value {
                Some(value) => drop(found.config.insert((*key).to_owned(), (*value).to_owned())),
                None => drop(found.config.remove(*key)),
            }
        }
        Ok(())
    }

    /// Gives a topic more partitions: `total` in all.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR.
    pub(crate) fn create_partitions(&mut self, topic: &str, total: i32, validate_only: bool) -> Result<(), SimRefusal> {
        let alive: Vec<i32> = self.brokers.values().filter(|b| b.alive).map(|b| b.id).collect();
        let unknown =
            || (ResponseError::UnknownTopicOrPartition, "This server does not host this topic-partition.".into());
        let found = self.topics.get_mut(topic).ok_or_else(unknown)?;
        let (has, total) = (found.partitions.len(), usize::try_from(total).unwrap_or(0));
        if total <= has {
            let why = match total == has {
                true => format!("Topic already has {has} partition(s)."),
                false => {
                    format!("The topic {topic} currently has {has} partition(s); {total} would not be an increase.")
                }
            };
            return Err((ResponseError::InvalidPartitions, why));
        }
        let first = found.partitions.first().map(|log| log.replicas.clone()).unwrap_or_default();
        if first.len() > alive.len() {
            let why = format!("Unable to replicate the partition {} time(s)", first.len());
            return Err((ResponseError::InvalidReplicationFactor, why));
        }
        if validate_only {
            return Ok(());
        }
        let shift = first.first().and_then(|node| alive.iter().position(|a| a == node)).unwrap_or(0);
        for p in has..total {
            let replicas = (0..first.len()).map(|r| alive[(shift + p + r) % alive.len()]).collect();
            found.partitions.push(PartitionLog::new(replicas));
        }
        self.version += 1;
        Ok(())
    }

    /// Moves a log's start (DeleteRecords); -1 means the high watermark. Gives the new start.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, OFFSET_OUT_OF_RANGE.
    pub fn delete_records(&mut self, topic: &str, partition: i32, before: i64) -> Result<i64, ResponseError> {
        let start = self.log_mut(topic, partition)?.trim(before)?;
        self.version += 1;
        Ok(start)
    }

    pub(super) fn enforce_retention(&mut self, now: i64) {
        for topic in self.topics.values_mut() {
            if !topic.config("cleanup.policy").is_some_and(|p| p.contains("delete")) {
                continue;
            }
            let (ms, bytes) = (topic.config_number("retention.ms"), topic.config_number("retention.bytes"));
            for log in &mut topic.partitions {
                if ms >= 0 {
                    log.expire(now.saturating_sub(ms));
                }
                // -1 is no limit, and no u64.
                if let Ok(bytes) = u64::try_from(bytes) {
                    log.shrink(bytes);
                }
            }
        }
    }
}

fn legal_config(key: &str, value: &str) -> bool {
    let number = || value.parse::<i64>().is_ok();
    match key {
        "message.timestamp.type" => matches!(value, "CreateTime" | "LogAppendTime"),
        "cleanup.policy" => value.split(',').all(|v| matches!(v.trim(), "delete" | "compact")),
        "compression.type" => matches!(value, "producer" | "uncompressed" | "gzip" | "snappy" | "lz4" | "zstd"),
        "unclean.leader.election.enable" | "preallocate" | "remote.storage.enable" => matches!(value, "true" | "false"),
        "min.cleanable.dirty.ratio" => value.parse::<f64>().is_ok_and(|v| (0.0..=1.0).contains(&v)),
        k if k.ends_with(".throttled.replicas") => true,
        // What is left are numbers.
        k => topic_defaults().contains_key(k) && number(),
    }
}
