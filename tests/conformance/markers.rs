//! What an administrator asks of transactions and does to them: lists, coordinator epochs, markers by hand (KIP-664).

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, ListTransactionsRequest, WriteTxnMarkersRequest,
};

use super::logs::now;
use super::{Case, text, until, word};

impl Case {
    /// WriteTxnMarkers v1.
    fn mark(&mut self, producer: (i64, i16), coordinator: i32, commit: bool, topic: &str, partition: i32) -> String {
        let t =
            WritableTxnMarkerTopic::default().with_name(self.topic_name(topic)).with_partition_indexes(vec![partition]);
        let marker = WritableTxnMarker::default()
            .with_producer_id(producer.0.into())
            .with_producer_epoch(producer.1)
            .with_coordinator_epoch(coordinator)
            .with_transaction_result(commit)
            .with_topics(vec![t]);
        let answer = self.wire.call(1, &WriteTxnMarkersRequest::default().with_markers(vec![marker]));
        word(answer.markers[0].topics[0].partitions[0].error_code)
    }

    /// ListTransactions v1: the ids of this producer, in these states, begun more than `longer` ms ago (-1: any).
    pub fn transactions_of(&mut self, producer: i64, states: &[&str], longer: i64) -> String {
        let request = ListTransactionsRequest::default()
            .with_state_filters(states.iter().map(|s| text(s)).collect())
            .with_producer_id_filters(vec![producer.into()])
            .with_duration_filter(longer);
        let answer = self.wire.call(1, &request);
        let each = |t: &kafka_protocol::messages::list_transactions_response::TransactionState| {
            format!("{} {}", t.transactional_id.as_str(), t.transaction_state.as_str())
        };
        let all: Vec<String> = answer.transaction_states.iter().map(each).collect();
        let unknown: Vec<&str> = answer.unknown_state_filters.iter().map(|s| s.as_str()).collect();
        format!("{} {all:?} unknown={unknown:?}", word(answer.error_code))
    }

    /// Epochs as a partition's leader remembers them.
    fn epochs(&mut self, topic: &str, partition: i32) -> String {
        let t = TopicRequest::default().with_name(self.topic_name(topic)).with_partition_indexes(vec![partition]);
        let request = DescribeProducersRequest::default().with_topics(vec![t]);
        let p = self.wire.call(0, &request).topics.remove(0).partitions.remove(0);
        let mut each: Vec<String> = p
            .active_producers
            .iter()
            .map(|p| format!("epoch={} coordinator={}", p.producer_epoch, p.coordinator_epoch))
            .collect();
        each.sort();
        format!("{} {each:?}", word(p.error_code))
    }

    /// Topics of the open transaction, as its coordinator describes it.
    pub fn topics_of(&mut self, id: &str) -> String {
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![text(&self.name(id)).into()]);
        let t = self.wire.call(0, &request).transaction_states.remove(0);
        let mut topics: Vec<&str> = t.topics.iter().map(|t| t.topic.as_str()).collect();
        topics.sort_unstable();
        format!("{topics:?}")
    }
}

pub fn listed(case: &mut Case) {
    case.topic("t", 1, &[]);
    macro_rules! say {
        ($what:expr, $answer:expr) => {{
            let a = $answer;
            case.say(format!("{}: {a}", $what))
        }};
    }
    let p = case.init_when_ready("x");
    say!("empty", case.transactions_of(p.0, &[], -1));
    say!("empty, by age", case.transactions_of(p.0, &[], 0));
    say!("empty, older than an hour", case.transactions_of(p.0, &[], 3_600_000));
    case.add_when_ready("x", p, "t", 0);
    say!("ongoing", case.transactions_of(p.0, &["Ongoing"], -1));
    say!("ongoing among others", case.transactions_of(p.0, &["Empty", "Ongoing", "CompleteAbort"], -1));
    say!("not ongoing", case.transactions_of(p.0, &["Empty", "PrepareCommit"], -1));
    say!("a word of no state", case.transactions_of(p.0, &["Dancing"], -1));
    say!("a word of no state and one", case.transactions_of(p.0, &["Dancing", "Ongoing", "Dead"], -1));
    say!("older than an hour", case.transactions_of(p.0, &[], 3_600_000));
    say!("another producer", case.transactions_of(p.0 + 4_000_000, &[], -1));
    say!("topics", case.topics_of("x"));
    say!("write", case.write("x", p, "t", 0, 0, 1));
    say!("commit", case.end("x", p, true));
    case.settle("t", 0);
    until("the transaction is complete", || case.transactions_of(p.0, &["CompleteCommit"], -1).contains(" Complete"));
    say!("complete", case.transactions_of(p.0, &[], -1));
    say!("topics", case.topics_of("x"));
}

pub fn by_hand(case: &mut Case) {
    case.topic("t", 1, &[]);
    macro_rules! say {
        ($what:expr, $answer:expr) => {{
            let a = $answer;
            case.say(format!("{}: {a}", $what))
        }};
    }
    let old = case.init_when_ready("x");
    let p = case.init_when_ready("x");
    case.add_when_ready("x", p, "t", 0);
    say!("write", case.write("x", p, "t", 0, 0, 2));
    say!("epochs", case.epochs("t", 0));
    say!("marker of an unknown partition", case.mark(p, 0, false, "t", 9));
    say!("marker of an older epoch", case.mark(old, 0, false, "t", 0));
    say!("ends", case.ends("t", 0));
    say!("abort marker", case.mark(p, 5, false, "t", 0));
    say!("ends", case.ends("t", 0));
    say!("producers", case.producers("t", 0));
    say!("epochs", case.epochs("t", 0));
    say!("read committed", case.fetch("t", 0, 0, 1));
    say!("the coordinator knows nothing of it", case.described("x"));
    say!("marker of an older coordinator", case.mark(p, 4, false, "t", 0));
    say!("marker again", case.mark(p, 5, false, "t", 0));
    say!("ends", case.ends("t", 0));
    say!("marker of a newer epoch", case.mark((p.0, p.1 + 1), 5, false, "t", 0));
    say!("epochs", case.epochs("t", 0));
    say!("the producer writes", case.write("x", p, "t", 0, 2, 1));
    say!("marker of a producer that never wrote", case.mark((p.0 + 4_000_000, 0), 0, false, "t", 0));
    say!("epochs", case.epochs("t", 0));
    say!("ends", case.ends("t", 0));
    let newer = case.produce("t", 0, &[now()]);
    say!("a plain record goes on", newer);
}
