//! A diff for people and for scripts.

use serde_json::{Value, json};

use super::text::table;
use crate::diff::{DiffReport, PartitionDiff, Spans, TopicDiff};
use crate::sanitise::visible;

/// Ranges that are written out in words; JSON has them all.
const RANGES_SHOWN: usize = 8;

/// The JSON of a diff (docs/json.md).
#[must_use]
pub fn json(report: &DiffReport) -> Value {
    json!({
        "schema": report.schema, "at_ms": report.at_ms, "verdict": report.verdict(),
        "source": report.source, "target": report.target,
        "clusters": {"blue": report.clusters[0], "green": report.clusters[1]},
        "read": report.read, "bytes": report.bytes, "ms": report.ms,
        "topics": report.topics.iter().map(topic).collect::<Vec<_>>(),
    })
}

fn topic(t: &TopicDiff) -> Value {
    json!({
        "topic": t.topic, "target_topic": t.target_topic, "verdict": t.verdict, "unknown": t.unknown,
        "remarks": t.remarks, "found": t.found,
        "partitions": t.partitions.iter().map(partition).collect::<Vec<_>>(),
    })
}

fn partition(p: &PartitionDiff) -> Value {
    let both = |spans: &[Spans; 2]| json!({"source": spans[0], "target": spans[1]});
    let [source, target] = p.counts.first_pair;
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

/// The table of a diff, and below it where the differences are.
#[must_use]
pub fn text(report: &DiffReport) -> String {
    let (source, target) = (report.source, report.target);
    let heads = [
        "topic".to_owned(),
        "verdict".to_owned(),
        "equal".to_owned(),
        "missing".to_owned(),
        format!("only {target}"),
        format!("dup {source}"),
        format!("dup {target}"),
        "reordered".to_owned(),
        "unsettled".to_owned(),
        "excused".to_owned(),
    ];
    let mut rows = vec![heads.to_vec()];
    for t in &report.topics {
        let f = &t.found;
        let known = !t.partitions.is_empty() || t.unknown.is_empty();
        let number = |n: u64| if known { n.to_string() } else { "-".to_owned() };
        rows.push(vec![
            visible(&t.topic),
            t.verdict.to_string(),
            number(f.equal),
            number(f.missing),
            number(f.only_target),
            number(f.duplicated_source),
            number(f.duplicated_target),
            number(f.reordered),
            number(f.unsettled),
            number(f.superseded + f.before),
        ]);
    }
    let mut out = table(&rows);
    for t in &report.topics {
        for why in &t.unknown {
            out += &format!("{}: unknown: {}\n", visible(&t.topic), visible(why));
        }
        for remark in &t.remarks {
            out += &format!("{}: {}\n", visible(&t.topic), visible(remark));
        }
        for p in &t.partitions {
            out += &of_partition(report, t, p);
        }
    }
    let seconds = (report.ms as f64 / 1_000.0).max(0.001);
    out += &format!(
        "{} records read from both clusters in {seconds:.1} s ({:.0} records/s, {:.1} MB/s)\n",
        report.read,
        report.read as f64 / seconds,
        report.bytes as f64 / 1e6 / seconds
    );
    out
}

fn of_partition(report: &DiffReport, t: &TopicDiff, p: &PartitionDiff) -> String {
    let (source, target) = (report.source, report.target);
    let lines = [
        (format!("missing on {target} (offsets on {source})"), &p.missing),
        (format!("only on {target} (offsets on {target})"), &p.only_target),
        (format!("duplicated on {source}"), &p.duplicated[0]),
        (format!("duplicated on {target}"), &p.duplicated[1]),
        (format!("reordered, by up to {} of their key (offsets on {source})", p.furthest), &p.reordered[0]),
        (format!("unsettled on {source}"), &p.unsettled[0]),
        (format!("unsettled on {target}"), &p.unsettled[1]),
        (format!("before the first pair on {source}"), &p.before[0]),
        (format!("before the first pair on {target}"), &p.before[1]),
    ];
    let mut out = String::new();
    for (what, spans) in lines.iter().filter(|(_, s)| s.count > 0) {
        let name = visible(&t.topic);
        out += &format!("  {name}-{}: {} {what}: {}\n", p.partition, spans.count, ranges(spans));
    }
    out
}

/// Ranges as `10-12, 15`: first and last offset.
fn ranges(spans: &Spans) -> String {
    let word = |(from, to): &(i64, i64)| if to - from == 1 { from.to_string() } else { format!("{from}-{}", to - 1) };
    let mut words: Vec<String> = spans.ranges.iter().take(RANGES_SHOWN).map(word).collect();
    if spans.ranges.len() > RANGES_SHOWN || spans.truncated {
        let more = spans.ranges.len() - words.len();
        words.push(format!("and {more}{} more ranges (--json)", if spans.truncated { "+" } else { "" }));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::PartitionCounts;
    use crate::migration::estate::Side;

    #[test]
    fn it_says_where_the_differences_are_and_what_is_unknown() {
        let spans = |ranges: &[(i64, i64)]| Spans {
            count: ranges.iter().map(|(a, b)| (b - a).unsigned_abs()).sum(),
            ranges: ranges.to_vec(),
            truncated: false,
        };
        let counts = PartitionCounts { equal: 90, first_pair: [3, 4], ..PartitionCounts::default() };
        let partition = PartitionDiff {
            partition: 2,
            counts,
            missing: spans(&[(10, 13), (15, 16)]),
            duplicated: [Spans::default(), spans(&[(7, 8)])],
            ..PartitionDiff::default()
        };
        let names = ("evil\u{1b}[2J".to_owned(), "evil".to_owned());
        let differs = TopicDiff::new(names, vec![partition], Vec::new(), Vec::new());
        let unknown = TopicDiff::unknown("gone".into(), "gone".into(), "there is no topic gone on green".into());
        let report = DiffReport {
            schema: 1,
            at_ms: 5,
            source: Side::Blue,
            target: Side::Green,
            clusters: [None, None],
            read: 200,
            bytes: 2_000_000,
            ms: 1_000,
            topics: vec![differs, unknown],
        };
        let text = text(&report);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("-2: 4 missing on green (offsets on blue): 10-12, 15\n"), "{text}");
        assert!(text.contains("-2: 1 duplicated on green: 7\n"), "{text}");
        assert!(text.contains("gone: unknown: there is no topic gone on green\n"), "{text}");
        let json = json(&report);
        assert_eq!(json["verdict"], "differs");
        let p = &json["topics"][0]["partitions"][0];
        assert_eq!((&p["missing_ranges"], &p["missing"]), (&json!([[10, 13], [15, 16]]), &json!(4)));
        assert_eq!((&p["first_pair"]["target"], &json["topics"][1]["verdict"]), (&json!(4), &json!("unknown")));
    }
}
