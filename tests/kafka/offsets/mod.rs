//! Offset translation on two real clusters: held to the same oracles as the random cases of `tests/offsets`, over logs
//! that real producers wrote and that are read back whole; and everything that must never end in a commit.

mod bad_input;
mod commits;
mod compare;
pub(crate) mod ground;
mod logs;
mod mirror;
mod schema_ids;
mod strategies;
mod writers;

#[path = "../../offsets/oracle.rs"]
mod oracle;
#[path = "../../offsets/truth.rs"]
mod truth;

use std::collections::BTreeSet;
use std::sync::Arc;

use cutover::base::{Side, Sides, Trouble};
use cutover::jobs::translate::{Purpose, TranslationProgressSink, Translator, WantedGroup};
use cutover::kafka::control::Cluster;
use cutover::kafka::properties::ClientProperties;
use cutover::offsets::{GroupTranslation, PartitionPlan};
use cutover::plan::Plan;
use cutover::session::names::TopicNames;
use rdkafka::{Offset, TopicPartitionList};

use crate::faults::Desk;
use crate::support::kafka::{Broker, Pair, consumer};

/// The broker of a side.
fn on(pair: &Pair, side: Side) -> &Broker {
    match side {
        Side::Blue => &pair.blue,
        Side::Green => &pair.green,
    }
}

/// A plan of two clusters, and more.
fn plan_text(blue: &Broker, green: &Broker, more: &str) -> String {
    let table = |side: &str, broker: &Broker| format!("[clusters.{side}]\nbootstrap = \"{}\"\n", broker.bootstrap);
    format!("[migration]\nname = \"real\"\n{}{}{more}", table("blue", blue), table("green", green))
}

/// A `[[groups]]` table.
fn group_text(group: &str, topics: &[&str]) -> String {
    format!("[[groups]]\nname = {group:?}\ntopics = {topics:?}\n")
}

fn load(desk: &Desk) -> Plan {
    Plan::load(&desk.path().join("cutover.toml")).unwrap_or_else(|p| panic!("{p:?}")).plan
}

/// Translates through the library, as a run does. `progress` is called before each round of questions.
fn translate_with(
    plan: &Plan,
    group: &str,
    to: Side,
    progress: TranslationProgressSink,
) -> Result<GroupTranslation, Trouble> {
    let plan = Arc::new(plan.clone());
    let names = Arc::new(TopicNames::new(&plan));
    let cluster =
        |side: Side| Cluster::new(side, &plan.cluster(side).bootstrap.join(","), &ClientProperties::default());
    let translator = Translator::new(Arc::clone(&plan), names, Sides::from_fn(cluster), Arc::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let topics = BTreeSet::new();
    let wanted = WantedGroup { group, chosen: None, topics: &topics };
    runtime.block_on(async {
        let translated = translator.translate(wanted, to, Purpose::Run, &progress).await;
        translator.close().await;
        translated
    })
}

fn translate(plan: &Plan, group: &str, to: Side) -> GroupTranslation {
    translate_with(plan, group, to, Arc::new(|_| {})).unwrap_or_else(|t| panic!("{group} to {to}: {t:?}"))
}

fn of<'p>(plan: &'p GroupTranslation, topic: &str, partition: i32) -> &'p PartitionPlan {
    plan.partitions
        .iter()
        .find(|p| p.tp.topic == topic && p.tp.partition == partition)
        .unwrap_or_else(|| panic!("no plan for {topic}-{partition}"))
}

/// Commits offsets of a group that nobody is in.
fn commit(broker: &Broker, group: &str, offsets: &[(&str, i32, i64)]) {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).expect("a valid offset");
    }
    crate::support::kafka::commit(&consumer(broker, group, &[]), &list);
}
