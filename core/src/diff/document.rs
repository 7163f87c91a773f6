//! A diff as a document: for scripts, for a replay, and as the file that the cockpit leaves behind.

use serde_json::{Value, json};

use crate::diff::{DiffReport, PartitionDiff, Spans, TopicDiff};

/// A diff as the document that `cutover diff --json` prints and `cutover replay --from-diff` takes (docs/json.md).
#[must_use]
pub fn build_document(report: &DiffReport) -> Value {
    json!({
        "schema": report.schema, "at_ms": report.at_ms, "verdict": report.worst_verdict(), "known": report.is_known(),
        "source": report.source, "target": report.target,
        "clusters": {"blue": report.clusters[0], "green": report.clusters[1]},
        "read": report.read, "bytes": report.bytes, "ms": report.ms,
        "topics": report.topics.iter().map(build_topic).collect::<Vec<_>>(),
    })
}

fn build_topic(t: &TopicDiff) -> Value {
    json!({
        "topic": t.topic, "target_topic": t.target_topic, "verdict": t.verdict, "unknown": t.unknown,
        "remarks": t.remarks, "found": t.found,
        "partitions": t.partitions.iter().map(build_partition).collect::<Vec<_>>(),
    })
}

fn build_partition(p: &PartitionDiff) -> Value {
    let both = |spans: &[Spans; 2]| json!({"source": spans[0], "target": spans[1]});
    let [source, target] = p.counts.first_pair;
    // `i64::MAX` is "no pair so far", and must not get into a document as an offset.
    let first = (source < i64::MAX && target < i64::MAX).then(|| json!({"source": source, "target": target}));
    json!({
        "partition": p.partition,
        "read": {"source": p.counts.read[0], "target": p.counts.read[1]},
        "judged": {"source": p.counts.judged[0], "target": p.counts.judged[1]},
        "first_pair": first, "equal": p.counts.equal,
        "missing": p.missing.count, "missing_ranges": p.missing.ranges, "missing_truncated": p.missing.truncated,
        "only_target": p.only_target.count, "only_target_ranges": p.only_target.ranges,
        "only_target_truncated": p.only_target.truncated,
        "duplicated": both(&p.duplicated),
        "reordered": {"count": p.reordered[0].count, "furthest": p.furthest, "source": p.reordered[0],
                      "target": p.reordered[1], "moved": p.moved},
        "unsettled": both(&p.unsettled), "superseded": both(&p.superseded), "before": both(&p.before),
        "pairs_far_apart": p.counts.far, "max_distance_ms": p.counts.distance_ms,
        "order_not_compared": p.unordered, "not_decided": p.undecided,
    })
}
