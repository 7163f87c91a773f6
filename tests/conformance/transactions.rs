//! Transactions: markers, isolation, fencing, offsets.

use cutover::sim::state::BatchProducer;
use cutover::sim::state::batch::encode_batch;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeProducersRequest, DescribeTransactionsRequest,
    EndTxnRequest, InitProducerIdRequest, TxnOffsetCommitRequest,
};

use super::groups::Member;
use super::logs::{now, stamped};
use super::{Case, text, until, word};

/// Id and epoch of a producer.
type Producer = (i64, i16);

impl Case {
    /// InitProducerId v4, once; CONCURRENT_TRANSACTIONS is an answer too.
    pub fn init(&mut self, id: &str, known: Producer, timeout: i32) -> (String, Producer) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(text(&self.name(id)).into()))
            .with_transaction_timeout_ms(timeout)
            .with_producer_id(known.0.into())
            .with_producer_epoch(known.1);
        let answer = self.wire.call(4, &request);
        (word(answer.error_code), (answer.producer_id.0, answer.producer_epoch))
    }

    /// The same until the coordinator is there and the last transaction has ended.
    pub fn init_when_ready(&mut self, id: &str) -> Producer {
        let full = self.name(id);
        self.coordinator(1, &full);
        let mut found = (-1, -1);
        until("the transaction coordinator is ready", || {
            let (error, producer) = self.init(id, (-1, -1), 60_000);
            found = producer;
            error == "ok"
        });
        found
    }

    pub fn add(&mut self, id: &str, producer: Producer, topic: &str, partition: i32) -> String {
        let t = AddPartitionsToTxnTopic::default().with_name(self.topic_name(topic)).with_partitions(vec![partition]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(text(&self.name(id)).into())
            .with_v3_and_below_producer_id(producer.0.into())
            .with_v3_and_below_producer_epoch(producer.1)
            .with_v3_and_below_topics(vec![t]);
        let answer = self.wire.call(3, &request);
        word(answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code)
    }

    /// Adds a partition when the markers of the last transaction have been written.
    pub fn add_when_ready(&mut self, id: &str, producer: Producer, topic: &str, partition: i32) {
        until("the last transaction has ended", || self.add(id, producer, topic, partition) == "ok");
    }

    pub fn end(&mut self, id: &str, producer: Producer, committed: bool) -> String {
        let request = EndTxnRequest::default()
            .with_transactional_id(text(&self.name(id)).into())
            .with_producer_id(producer.0.into())
            .with_producer_epoch(producer.1)
            .with_committed(committed);
        word(self.wire.call(3, &request).error_code)
    }

    /// Produces in a transaction.
    pub fn write(
        &mut self,
        id: &str,
        producer: Producer,
        topic: &str,
        partition: i32,
        sequence: i32,
        n: usize,
    ) -> String {
        let writer = BatchProducer { id: producer.0, epoch: producer.1, sequence, transactional: true };
        let raw = encode_batch(&stamped(&vec![now(); n]), writer);
        let id = self.name(id);
        self.produce_raw(topic, partition, raw, Some(&id))
    }

    pub fn ends(&mut self, topic: &str, partition: i32) -> String {
        let (committed, all) = (self.list(topic, partition, -1, 1).2, self.list(topic, partition, -1, 0).2);
        format!("lso={committed} hw={all}")
    }

    /// Waits for the markers of everything that ended.
    pub fn settle(&mut self, topic: &str, partition: i32) {
        until("markers are written", || self.list(topic, partition, -1, 1).2 == self.list(topic, partition, -1, 0).2);
    }

    pub fn described(&mut self, id: &str) -> String {
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![text(&self.name(id)).into()]);
        let t = self.wire.call(0, &request).transaction_states.remove(0);
        let topics: usize = t.topics.iter().map(|t| t.partitions.len()).sum();
        let state = t.transaction_state.as_str();
        let begun = t.transaction_start_time_ms >= 0;
        format!("{} {state:?} partitions={topics} begun={begun}", word(t.error_code))
    }

    pub fn producers(&mut self, topic: &str, partition: i32) -> String {
        let t = TopicRequest::default().with_name(self.topic_name(topic)).with_partition_indexes(vec![partition]);
        let request = DescribeProducersRequest::default().with_topics(vec![t]);
        let p = self.wire.call(0, &request).topics.remove(0).partitions.remove(0);
        let each: Vec<String> = p
            .active_producers
            .iter()
            .map(|p| format!("last={} open={}", p.last_sequence, p.current_txn_start_offset))
            .collect();
        format!("{} {each:?}", word(p.error_code))
    }

    pub fn add_group(&mut self, id: &str, producer: Producer, group: &str) -> String {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(text(&self.name(id)).into())
            .with_producer_id(producer.0.into())
            .with_producer_epoch(producer.1)
            .with_group_id(text(group).into());
        word(self.wire.call(3, &request).error_code)
    }

    fn commit_in(&mut self, id: &str, producer: Producer, group: &str, topic: &str, partition: i32, to: i64) -> String {
        let p = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(to)
            .with_committed_leader_epoch(-1);
        let t = TxnOffsetCommitRequestTopic::default().with_name(self.topic_name(topic)).with_partitions(vec![p]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(text(&self.name(id)).into())
            .with_group_id(text(group).into())
            .with_producer_id(producer.0.into())
            .with_producer_epoch(producer.1)
            .with_generation_id(-1)
            .with_topics(vec![t]);
        word(self.wire.call(3, &request).topics[0].partitions[0].error_code)
    }
}

pub fn transactions(case: &mut Case) {
    case.topic("t", 2, &[]);
    macro_rules! say {
        ($what:expr, $answer:expr) => {{
            let a = $answer;
            case.say(format!("{}: {a}", $what))
        }};
    }
    let full = case.name("x");
    case.coordinator(1, &full);
    until("the transaction coordinator is ready", || !case.described("x").contains("Coord"));
    say!("describe unknown", case.described("x"));
    say!("timeout too long", case.init("x", (-1, -1), 100_000_000).0);
    say!("timeout 0", case.init("x", (-1, -1), 0).0);
    let p = case.init_when_ready("x");
    say!("epoch", p.1);
    say!("describe", case.described("x"));
    say!("write before it is added", case.write("x", p, "t", 0, 0, 1));
    say!("end what has not begun", case.end("x", p, true));
    say!("add an unknown partition", case.add("x", p, "t", 9));
    say!("add", case.add("x", p, "t", 0));
    say!("write", case.write("x", p, "t", 0, 0, 2));
    say!("write to another partition", case.write("x", p, "t", 1, 0, 1));
    say!("describe", case.described("x"));
    say!("producers", case.producers("t", 0));
    say!("ends while open", case.ends("t", 0));
    say!("a plain record after it", case.produce("t", 0, &[now()]));
    say!("ends while open", case.ends("t", 0));
    say!("read committed", case.fetch("t", 0, 0, 1));
    say!("read uncommitted", case.fetch("t", 0, 0, 0));
    say!("by time, committed", case.list("t", 0, 0, 1).2);
    say!("by time, uncommitted", case.list("t", 0, 0, 0).2);
    say!("newest, committed", case.list("t", 0, -3, 1).2);
    say!("commit", case.end("x", p, true));
    case.settle("t", 0);
    say!("ends", case.ends("t", 0));
    say!("read committed", case.fetch("t", 0, 0, 1));
    say!("commit again", case.end("x", p, true));
    say!("abort after the commit", case.end("x", p, false));
    say!("describe", case.described("x"));
    say!("producers", case.producers("t", 0));
    case.add_when_ready("x", p, "t", 0);
    say!("write", case.write("x", p, "t", 0, 2, 3));
    say!("abort", case.end("x", p, false));
    case.settle("t", 0);
    say!("ends", case.ends("t", 0));
    say!("read committed", case.fetch("t", 0, 0, 1));
    say!("read committed from within", case.fetch("t", 0, 5, 1));
    say!("read committed behind", case.fetch("t", 0, 7, 1));
    say!("read committed at the marker", case.fetch("t", 0, 7, 1));
    say!("read uncommitted", case.fetch("t", 0, 0, 0));
    say!("a time after all records finds no marker or does", case.list("t", 0, now() + 1000, 0).2);
    say!("describe", case.described("x"));
    say!("write without a transaction", case.write("x", p, "t", 0, 5, 1));
    say!("unknown id", case.end("nobody", p, true));
    say!("another producer id", case.end("x", (p.0 + 7, p.1), true));
}

pub fn fencing(case: &mut Case) {
    case.topic("t", 1, &[]);
    macro_rules! say {
        ($what:expr, $answer:expr) => {{
            let a = $answer;
            case.say(format!("{}: {a}", $what))
        }};
    }
    let old = case.init_when_ready("x");
    let new = case.init_when_ready("x");
    say!("same producer id", old.0 == new.0);
    say!("newer epoch", new.1 > old.1);
    say!("the old one adds", case.add("x", old, "t", 0));
    say!("the old one ends", case.end("x", old, true));
    say!("the old one recovers", case.init("x", old, 60_000).0);
    case.add_when_ready("x", new, "t", 0);
    say!("write", case.write("x", new, "t", 0, 0, 2));
    say!("the old one writes", case.write("x", old, "t", 0, 0, 1));
    let (error, _) = case.init("x", (-1, -1), 60_000);
    say!("a third while it is open", error);
    let third = case.init_when_ready("x");
    say!("newer epoch", third.1 > new.1);
    case.settle("t", 0);
    say!("ends", case.ends("t", 0));
    say!("what was open is aborted", case.fetch("t", 0, 0, 1));
    say!("the fenced one writes", case.write("x", new, "t", 0, 2, 1));
    say!("the fenced one ends", case.end("x", new, true));
    case.add_when_ready("x", third, "t", 0);
    say!("write", case.write("x", third, "t", 0, 0, 1));
    say!("commit", case.end("x", third, true));
    case.settle("t", 0);
    say!("read committed", case.fetch("t", 0, 0, 1));
    // recovery by the current one bumps the epoch too
    let mut recovered = String::new();
    until("the transaction has ended", || {
        recovered = case.init("x", third, 60_000).0;
        recovered != "ConcurrentTransactions"
    });
    say!("the current one recovers", recovered);
}

pub fn offsets(case: &mut Case) {
    case.topic("t", 1, &[]);
    macro_rules! say {
        ($what:expr, $answer:expr) => {{
            let a = $answer;
            case.say(format!("{}: {a}", $what))
        }};
    }
    let group = case.name("g");
    case.coordinator(0, &group);
    until("the group coordinator is loaded", || case.describe(&group, 5).starts_with("ok"));
    let p = case.init_when_ready("x");
    let nobody = Member { generation: -1, ..Member::default() };
    say!("commit", case.commit(&group, &nobody, "t", 0, 3));
    say!("commit without the group", case.commit_in("x", p, &group, "t", 0, 9));
    say!("add the group", case.add_group("x", p, &group));
    say!("an empty group id", case.add_group("x", p, ""));
    say!("topics of the transaction", case.topics_of("x"));
    say!("commit in the transaction", case.commit_in("x", p, &group, "t", 0, 9));
    say!("an unknown partition", case.commit_in("x", p, &group, "t", 9, 9));
    say!("stable", case.committed(&group, Some(&[("t", 0)]), true));
    say!("all, stable", case.committed(&group, None, true));
    say!("not stable", case.committed(&group, Some(&[("t", 0)]), false));
    say!("abort", case.end("x", p, false));
    until("the marker is written", || !case.committed(&group, Some(&[("t", 0)]), true).contains("Unstable"));
    say!("after the abort", case.committed(&group, Some(&[("t", 0)]), true));
    until("the transaction has ended", || case.add_group("x", p, &group) == "ok");
    say!("commit in the transaction", case.commit_in("x", p, &group, "t", 0, 12));
    say!("an older producer", case.commit_in("x", (p.0, p.1 - 1), &group, "t", 0, 13));
    say!("commit", case.end("x", p, true));
    until("the marker is written", || !case.committed(&group, Some(&[("t", 0)]), true).contains("Unstable"));
    say!("after the commit", case.committed(&group, Some(&[("t", 0)]), true));
    say!("describe", case.describe(&group, 5));
}
