//! A topic and a group on the shared pair, and what `offsets` says and does about them.

use std::time::Duration;

use cutover::base::Side;
use cutover::kafka::control::Cluster;
use cutover::kafka::properties::ClientProperties;
use cutover::offsets::{GroupTranslation, PartitionPlan, Verdict};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{commit, group_text, load, of, plan_text, translate};
use crate::control;
use crate::faults::{Desk, Ran};
use crate::support::kafka::{Broker, Pair, create_topic, pair, producer};
use crate::support::unique;

pub const PATIENCE: Duration = Duration::from_secs(240);

/// A topic and a group of one's own.
pub struct Ground {
    pub pair: &'static Pair,
    pub topic: String,
    pub group: String,
}

impl Ground {
    /// The topic with this many partitions on blue and green.
    pub fn new(name: &str, blue: i32, green: i32) -> Ground {
        let ground = Ground { pair: pair(), topic: unique(name), group: unique(&format!("{name}-group")) };
        create_topic(&ground.pair.blue, &ground.topic, blue, &[]);
        create_topic(&ground.pair.green, &ground.topic, green, &[]);
        ground
    }

    /// One partition that holds `0..count` on both, and the group at `committed`.
    pub fn twin(name: &str, count: usize, committed: i64) -> Ground {
        let ground = Ground::new(name, 1, 1);
        for broker in [&ground.pair.blue, &ground.pair.green] {
            fill(broker, &ground.topic, 0, (0..count).map(|n| format!("value {n}").into_bytes()));
        }
        commit(&ground.pair.blue, &ground.group, &[(&ground.topic, 0, committed)]);
        ground
    }

    pub fn desk(&self) -> Desk {
        self.desk_of(&self.pair.blue, &self.pair.green)
    }

    pub fn desk_of(&self, blue: &Broker, green: &Broker) -> Desk {
        let rules = format!("[[topics]]\nname = {:?}\narrival_skew = \"1s\"\n", self.topic);
        Desk::new(&(plan_text(blue, green, &rules) + &group_text(&self.group, &[&self.topic])))
    }

    pub fn translate(&self) -> GroupTranslation {
        translate(&load(&self.desk()), &self.group, Side::Green)
    }

    pub fn partition(&self, plan: &GroupTranslation, number: i32) -> PartitionPlan {
        of(plan, &self.topic, number).clone()
    }

    /// It is UNMAPPABLE, for a reason with these words; `offsets apply` refuses with those, and nothing is committed.
    pub fn is_unmappable(&self, words: &str, refused: &str) {
        let plan = self.translate();
        let p = self.partition(&plan, 0);
        println!("{}: {} {:?}", self.topic, p.verdict, p.why);
        assert_eq!(
            (p.verdict, p.target.offset, p.re_read, p.missing),
            (Verdict::Unmappable, None, None, None),
            "{p:?}"
        );
        assert!(p.why.as_deref().is_some_and(|w| w.contains(words)), "{words}: {p:?}");
        assert_eq!((plan.blocks_cutover(), plan.totals.missing), (true, None));
        self.is_refused(refused);
    }

    /// `offsets apply` with its confirmation.
    pub fn apply(&self, desk: &Desk, to: Side) -> Ran {
        let (to, yes) = (to.to_string(), format!("--yes={}", self.group));
        desk.run(&["offsets", "apply", "--group", &self.group, "--to", &to, &yes])
    }

    /// `offsets apply` refuses, says why, and commits nothing.
    pub fn is_refused(&self, words: &str) {
        let ran = self.apply(&self.desk(), Side::Green);
        let said = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
        println!("{}: {:?} {said}", self.topic, ran.code);
        assert!(matches!(ran.code, Some(1 | 3 | 4)), "{:?} {said}", ran.code);
        assert!(said.contains(words), "{words}: {said}");
        assert_eq!(committed(&self.pair.green, &self.group, &self.topic), [], "{said}");
    }
}

/// What is committed on a cluster, read back.
pub fn committed(broker: &Broker, group: &str, topic: &str) -> Vec<(i32, i64)> {
    let mut found = Vec::new();
    control::on(broker, async |_| {
        let cluster = Cluster::new(Side::Green, &broker.bootstrap, &ClientProperties::default());
        let view = cluster.fetch_group(group).await.expect("the group is described");
        let offsets = view.offsets.get(topic).cloned().unwrap_or_default();
        found = offsets.into_iter().map(|(p, c)| (p, c.offset)).collect();
    });
    found
}

/// Writes records whose key is their number, a second apart, some hours ago.
pub fn fill(broker: &Broker, topic: &str, partition: i32, values: impl Iterator<Item = Vec<u8>>) {
    fill_from(broker, topic, partition, hours_ago(), values);
}

/// As [`fill`], with the timestamp of the first record: what is large takes seconds to write, and pairs have one time.
pub fn fill_from(broker: &Broker, topic: &str, partition: i32, begin: i64, values: impl Iterator<Item = Vec<u8>>) {
    let producer = producer(broker, &[("message.max.bytes", "20000000")]);
    send_from(&producer, topic, partition, begin, values);
    producer.flush(PATIENCE).expect("written");
}

/// Where the records of a test begin, ms.
pub fn hours_ago() -> i64 {
    now() - 6 * 3_600_000
}

pub fn send(producer: &BaseProducer, topic: &str, partition: i32, values: impl Iterator<Item = Vec<u8>>) {
    send_from(producer, topic, partition, hours_ago(), values);
}

fn send_from(producer: &BaseProducer, topic: &str, partition: i32, begin: i64, values: impl Iterator<Item = Vec<u8>>) {
    for (n, value) in (0..).zip(values) {
        let key = n.to_string();
        let record = BaseRecord::to(topic).partition(partition).key(&key).payload(&value).timestamp(begin + n * 1_000);
        producer.send(record).map_err(|(e, _)| e).expect("sent");
    }
}

pub fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}
