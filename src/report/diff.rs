//! A diff for people and for scripts.

use serde_json::Value;

use super::text::format_table;
use crate::base::sanitise::{visible_name, visible_text};
use crate::diff::build_document;
use crate::diff::{DiffReport, PartitionDiff, TopicDiff};

/// Ranges that are written out in words; JSON has them all.
const RANGES_SHOWN: usize = 8;

/// The JSON of a diff (docs/json.md).
#[must_use]
pub fn to_json(report: &DiffReport) -> Value {
    build_document(report)
}

/// The table of a diff, and below it where the differences are.
#[must_use]
pub fn to_text(report: &DiffReport) -> String {
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
        // Of a topic that could not be read there are no zeros.
        let known = !t.partitions.is_empty() || t.unknown.is_empty();
        let number = |n: u64| if known { n.to_string() } else { "-".to_owned() };
        rows.push(vec![
            visible_name(&t.topic),
            t.describe_verdict(),
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
    let mut out = format_table(&rows);
    for t in &report.topics {
        for why in &t.unknown {
            out += &format!("{}: unknown: {}\n", visible_name(&t.topic), visible_text(why));
        }
        for remark in &t.remarks {
            out += &format!("{}: {}\n", visible_name(&t.topic), visible_text(remark));
        }
        for p in &t.partitions {
            out += &partition_lines(report, t, p);
        }
    }
    let part = report.topics.iter().filter(|t| !t.unknown.is_empty()).count();
    if report.total_counts().differs() && part > 0 {
        out += &format!("not all of it is known: {part} of {} topics have something unknown\n", report.topics.len());
    }
    // What took no time at all has no rate: nothing is divided by 0.
    let seconds = (report.ms as f64 / 1_000.0).max(0.001);
    out += &format!(
        "{} records read from both clusters in {seconds:.1} s ({:.0} records/s, {:.1} MB/s)\n",
        report.read,
        report.read as f64 / seconds,
        report.bytes as f64 / 1e6 / seconds
    );
    out
}

fn partition_lines(report: &DiffReport, t: &TopicDiff, p: &PartitionDiff) -> String {
    let mut out = String::new();
    for (what, spans) in p.describe_findings(report.source, report.target) {
        let name = visible_name(&t.topic);
        out += &format!("  {name}-{}: {} {what}: {}\n", p.partition, spans.count, spans.describe_ranges(RANGES_SHOWN));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Side;
    use crate::diff::{PartitionCounts, Spans};
    use serde_json::json;

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
        let text = to_text(&report);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("-2: 4 missing on green (offsets on blue): 10-12, 15\n"), "{text}");
        assert!(text.contains("-2: 1 duplicated on green: 7\n"), "{text}");
        assert!(text.contains("gone: unknown: there is no topic gone on green\n"), "{text}");
        assert!(text.contains("not all of it is known: 1 of 2 topics have something unknown\n"), "{text}");
        let json = super::to_json(&report);
        assert_eq!((&json["verdict"], &json["known"]), (&json!("differs"), &json!(false)));
        let p = &json["topics"][0]["partitions"][0];
        assert_eq!((&p["missing_ranges"], &p["missing"]), (&json!([[10, 13], [15, 16]]), &json!(4)));
        assert_eq!((&p["first_pair"]["target"], &json["topics"][1]["verdict"]), (&json!(4), &json!("unknown")));
    }
}
