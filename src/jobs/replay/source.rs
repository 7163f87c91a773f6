//! What is to be carried, out of the documents that other commands print: a diff, a translation.

use serde_json::Value;

use crate::base::sanitise::visible_name;
use crate::base::{Side, TopicPartition, Trouble};
use crate::offsets::verdict::GroupTranslation;
use crate::replay::Ranges;
use crate::replay::ranges::{Piece, describe_ranges};

/// The missing ranges of a document of `cutover diff --json` or `cutover offsets plan --json`: of every object that
/// has a `topic` and a `partition`, its `missing_ranges` or `missing` when that is a list. A range is `[from, to]`,
/// or an object with `from` and `to`. A document that says which side it read from has to say `from`.
///
/// # Errors
/// No JSON, or no such object in it: then nothing is known, which is not the same as nothing missing. It is about the
/// other direction. It lists only a part of what is missing, or says that something of a topic is unknown.
pub(crate) fn from_document(text: &str, name: &str, from: Side) -> Result<Ranges, Trouble> {
    let advice = "write it with `cutover diff --json > FILE`";
    let document: Value =
        serde_json::from_str(text).map_err(|e| Trouble::new(format!("{name} is no JSON document: {e}"), advice))?;
    // A diff names the side it read from, a translation the one it leads to.
    let side = |key: &str| document.get(key).and_then(Value::as_str);
    let other = from.other().name();
    if side("source").is_some_and(|source| source == other) || side("to").is_some_and(|to| to == from.name()) {
        let what = format!("{name} says what {from} is missing of {other}, and this carries from {from}");
        return Err(Trouble::new(what, format!("carry the other way with --from {other}")));
    }
    let (mut pieces, mut seen) = (Vec::new(), 0);
    gather_ranges(&document, None, &mut pieces, &mut seen)
        .map_err(|what| Trouble::new(format!("{name}: {what}"), advice))?;
    if seen == 0 {
        return Err(Trouble::new(format!("{name} names no partition with its missing ranges"), advice));
    }
    Ok(Ranges::from_pieces(pieces))
}

fn gather_ranges(value: &Value, topic: Option<&str>, out: &mut Vec<Piece>, seen: &mut usize) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| gather_ranges(item, topic, out, seen)),
        Value::Object(object) => {
            // The topic may stand in an object further out, once for all of its partitions.
            let topic = object.get("topic").and_then(Value::as_str).or(topic);
            let unknown = object.get("unknown").and_then(Value::as_array).and_then(|why| why.first());
            if let Some(why) = unknown {
                let why = why.as_str().unwrap_or("it does not say why");
                return Err(format!("what is missing of {} is not all known: {why}", topic.unwrap_or("a topic")));
            }
            let partition = object.get("partition").and_then(Value::as_i64).and_then(|p| i32::try_from(p).ok());
            let list = ["missing_ranges", "missing"].iter().find_map(|key| object.get(*key)?.as_array());
            if let (Some(topic), Some(partition), Some(list)) = (topic, partition, list) {
                *seen += 1;
                if object.get("missing_truncated").and_then(Value::as_bool) == Some(true) {
                    return Err(format!(
                        "it lists only a part of what is missing of {topic}-{partition}",
                        topic = visible_name(topic)
                    ));
                }
                for item in list {
                    let (from, to) = parse_span(item).ok_or_else(|| {
                        format!("{item} is no range of {topic}-{partition}", topic = visible_name(topic))
                    })?;
                    out.push(Piece::new(TopicPartition::new(topic, partition), from, to));
                }
                return Ok(());
            }
            object.values().try_for_each(|inner| gather_ranges(inner, topic, out, seen))
        }
        _ => Ok(()),
    }
}

fn parse_span(item: &Value) -> Option<(i64, i64)> {
    let (from, to) = match item {
        Value::Array(pair) if pair.len() == 2 => (pair[0].as_i64()?, pair[1].as_i64()?),
        Value::Object(object) => (object.get("from")?.as_i64()?, object.get("to")?.as_i64()?),
        _ => return None,
    };
    (0 <= from && from <= to).then_some((from, to))
}

/// What a group is missing on the other cluster.
///
/// # Errors
/// A partition of which nothing is known: a replay of the rest would look like all of it.
pub(crate) fn ranges_of_group(group: &str, plan: &GroupTranslation) -> Result<Ranges, Trouble> {
    if let Some(p) = plan.partitions.iter().find(|p| p.missing.is_none()) {
        let why = p.why.as_deref().unwrap_or("nothing could be read");
        return Err(Trouble::new(
            format!("what group {group} is missing of {} is not known: {why}", p.tp, group = visible_name(group)),
            "see `cutover offsets plan`; carry known ranges with --range TOPIC:PARTITION:FROM-TO",
        ));
    }
    let pieces = plan.partitions.iter().flat_map(|p| {
        p.missing_ranges.iter().map(|(from, to)| Piece::new(p.tp.clone(), *from, *to)).collect::<Vec<_>>()
    });
    let ranges = Ranges::from_pieces(pieces);
    let pending = plan.count_unsettled();
    // Where something is missing that is carried, and what is pending is left alone: it may still come by itself.
    if ranges.is_empty() && pending > 0 {
        return Err(Trouble::new(
            format!(
                "{pending} records that {group} has not consumed are not there, and may still come: they are not missing yet",
                group = visible_name(group)
            ),
            "ask again later than arrival_skew from now, or carry known ranges with --range TOPIC:PARTITION:FROM-TO",
        ));
    }
    Ok(ranges)
}

/// Ranges in words for one line.
pub(super) fn describe_briefly(ranges: &Ranges) -> String {
    describe_ranges(ranges, 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::At;
    use crate::offsets::verdict::PartitionPlan;

    #[test]
    fn documents_of_both_kinds_are_read() {
        let flat =
            r#"{"partitions": [{"topic": "t", "partition": 1, "missing": 3, "missing_ranges": [[4, 6], [9, 10]]}]}"#;
        let nested = r#"{"topics": [{"topic": "t", "verdict": "differs", "partitions":
            [{"partition": 1, "missing": [{"from": 4, "to": 6}, {"from": 9, "to": 10}], "equal": 7}]}]}"#;
        for text in [flat, nested] {
            let ranges = from_document(text, "x.json", Side::Blue).unwrap();
            assert_eq!(describe_ranges(&ranges, 9), "t:1:4-6, t:1:9-10", "{text}");
        }
        assert!(
            from_document(r#"{"partitions": [{"topic": "t", "partition": 1, "missing_ranges": []}]}"#, "x", Side::Blue)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for text in ["", "{}", "[1]", r#"{"topic": "t", "partition": 0, "missing": 4}"#] {
            assert!(from_document(text, "x.json", Side::Blue).is_err(), "{text}");
        }
        let part =
            r#"{"topic": "t", "partition": 0, "missing": 9, "missing_ranges": [[1, 2]], "missing_truncated": true}"#;
        assert!(from_document(part, "x.json", Side::Blue).unwrap_err().what.contains("only a part"));
        for other in [r#"{"source": "green", "topic": "t"}"#, r#"{"to": "blue"}"#] {
            assert!(from_document(other, "x.json", Side::Blue).unwrap_err().advice.contains("--from green"));
        }
        let unknown = r#"{"topics": [{"topic": "t", "unknown": ["t-1 on green: no leader"], "partitions":
            [{"partition": 0, "missing_ranges": [[1, 2]]}]}]}"#;
        let why = from_document(unknown, "x.json", Side::Blue).unwrap_err().what;
        assert!(why.contains("what is missing of t is not all known: t-1 on green: no leader"), "{why}");
        let bad = r#"{"topic": "t", "partition": 0, "missing": [[4, 2]]}"#;
        assert!(from_document(bad, "x.json", Side::Blue).unwrap_err().what.contains("[4,2] is no range of t-0"));
        let unknown = PartitionPlan::unmappable(TopicPartition::new("t", 0), "align", "gone", At(0));
        let why = ranges_of_group("g", &GroupTranslation::new(vec![unknown])).unwrap_err();
        assert!(why.what.contains("missing of t-0 is not known: gone"), "{why:?}");
    }
}
