//! A translation for people and for scripts (docs/json.md: the contract of `offsets plan --json`).

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::text::{format_count, format_moment, format_table};
use crate::base::format_duration;
use crate::base::sanitise::{visible_name, visible_text};
use crate::base::{At, Side};
use crate::migration::facts::command::shell_word;
use crate::offsets::verdict::{CutRecord, GroupTranslation, PartitionPlan, Verdict};

/// Reasons and ranges printed below the table for each partition at most; the JSON has all.
const RANGES: usize = 20;

/// The JSON of a translation to `to`. Keys may be added; `null` is unknown, never 0.
#[must_use]
pub fn to_json(group: &str, to: Side, plan: &GroupTranslation) -> Value {
    json!({
        "group": group, "to": to,
        "partitions": plan.partitions.iter().map(|p| partition_json(p, to, plan)).collect::<Vec<_>>(),
        "totals": plan.totals, "verdict": plan.worst_verdict(), "at_ms": plan.oldest_fact_at().map(|at| at.0),
    })
}

fn partition_json(p: &PartitionPlan, to: Side, plan: &GroupTranslation) -> Value {
    let source = json!({"committed": p.source.committed, "log_start": p.source.log_start, "end": p.source.end});
    let target = json!({"offset": p.target.offset, "log_start": p.target.log_start, "end": p.target.end});
    let (blue, green) = if to == Side::Green { (source, target) } else { (target, source) };
    json!({
        "topic": p.tp.topic, "partition": p.tp.partition, "target_topic": plan.target_name(&p.tp.topic),
        "blue": blue, "green": green,
        "strategy": p.strategy, "verdict": p.verdict, "re_read": p.re_read, "missing": p.missing,
        "missing_ranges": p.missing_ranges, "times": p.times, "target_only": p.target_only,
        "unsettled": p.unsettled, "evidence": p.evidence, "why": p.why,
        "metadata": p.metadata.as_ref().map(|m| json!({"bytes": m.text.len(), "carried": m.carried})),
        "read": {"source": p.read.0, "target": p.read.1}, "cut": p.cut, "at_ms": p.at.0,
    })
}

fn format_offset(offset: Option<i64>) -> String {
    offset.map_or_else(|| "-".to_owned(), |o| o.to_string())
}

/// The verdict as screens show it: a loss stands in its place.
#[must_use]
pub(crate) fn describe_verdict(p: &PartitionPlan) -> String {
    match p.missing {
        Some(n) if n > 0 => format!("MISSING {n}"),
        _ => p.verdict.to_string(),
    }
}

fn letter(side: Side) -> &'static str {
    if side == Side::Blue { "[B]" } else { "[G]" }
}

/// The table of a translation to `to`; below it, in full, why something is not PROVEN and what a replay would have to
/// carry; the sums, and how old they are at `now`.
#[must_use]
pub fn to_text(group: &str, to: Side, plan: &GroupTranslation, now: At) -> String {
    let from = to.other();
    let heads = [
        "topic-partition".to_owned(),
        format!("{from}@"),
        "end".to_owned(),
        format!("-> {to}@"),
        "end".to_owned(),
        "verdict".to_owned(),
        "re-read".to_owned(),
        "missing".to_owned(),
        "evidence".to_owned(),
    ];
    let mut rows = vec![heads.to_vec()];
    for p in &plan.partitions {
        // -1 stands for a bound that could not be read.
        let there = |end: i64| if end < 0 { "-".to_owned() } else { end.to_string() };
        rows.push(vec![
            p.tp.to_string(),
            format_offset(p.source.committed),
            there(p.source.end),
            format!("-> {}", format_offset(p.target.offset)),
            there(p.target.end),
            describe_verdict(p),
            format_count(p.re_read),
            format_count(p.missing),
            visible_text(&format!("{}: {}", p.strategy, p.evidence)),
        ]);
    }
    let mut out = format_table(&rows);
    write_reasons(&mut out, from, plan);
    write_replay_hint(&mut out, group, from, plan);
    let lost = match plan.totals.missing {
        Some(0) if plan.count_unsettled() > 0 => {
            format!("0 lost so far, and {} that may still come or be lost", plan.count_unsettled())
        }
        Some(0) => "0 lost".to_owned(),
        Some(n) => format!("{n} lost unless replayed"),
        None => "unknown how many lost".to_owned(),
    };
    let unknown = |n: Option<u64>| n.map_or_else(|| "unknown how many".to_owned(), |n| n.to_string());
    let read = plan.partitions.iter().fold((0, 0), |sum, p| (sum.0 + p.read.0, sum.1 + p.read.1));
    let age = plan
        .oldest_fact_at()
        .map(|at| format!(", measured {} ago", format_duration(now.since(at))))
        .unwrap_or_default();
    let _ = writeln!(
        out,
        "{}: {lost}, {} read again on {to}; {}; read {} records of {from}, {} of {to}{age}",
        visible_name(group),
        unknown(plan.totals.re_read),
        plan.worst_verdict().map_or_else(|| "no partitions".to_owned(), |v| v.to_string()),
        read.0,
        read.1,
    );
    out
}

fn write_reasons(out: &mut String, from: Side, plan: &GroupTranslation) {
    for p in plan.partitions.iter().filter(|p| p.verdict != Verdict::Proven) {
        let why = p.why.as_deref().unwrap_or("no reason was given");
        let _ = writeln!(out, "{} is {}: {}", p.tp, p.verdict, visible_text(why));
        let u = p.unsettled;
        if !u.is_none() {
            let _ = writeln!(
                out,
                "  not settled yet: {} consumed and {} unconsumed on {from} only, {} on {} only",
                u.consumed,
                u.unconsumed,
                u.target_only,
                from.other()
            );
        }
    }
}

/// What a replay would have to carry, and the command for it.
fn write_replay_hint(out: &mut String, group: &str, from: Side, plan: &GroupTranslation) {
    let mut any = false;
    for p in plan.partitions.iter().filter(|p| p.missing.is_some_and(|n| n > 0)) {
        let tp = p.tp.to_string();
        let ranges: Vec<String> = p.missing_ranges.iter().take(RANGES).map(|(a, b)| format!("[{a},{b})")).collect();
        let more = p.missing_ranges.len().saturating_sub(RANGES);
        let more = if more > 0 { format!(" and {more} more ranges (--json has all)") } else { String::new() };
        // What expired on the source is missing and in no range: nobody can carry it.
        if ranges.is_empty() {
            let _ = writeln!(out, "{tp}: {} MISSING, and nothing on {from} is left to replay", format_count(p.missing));
        } else {
            any = true;
            let _ = writeln!(out, "{tp}: replay {from} {tp} {}{more}", ranges.join(" "));
        }
        if let Some(t) = p.times.missing {
            let _ = writeln!(out, "  written from {} to {}", format_moment(t.first), format_moment(t.last));
        }
    }
    if any {
        let side = if from == Side::Green { " --from green" } else { "" };
        let _ = writeln!(out, "  with: cutover replay --group {}{side}", visible_text(&shell_word(group)));
    }
}

/// The records on both sides of each cut, so that a person can see that it is right.
#[must_use]
pub fn format_records(to: Side, plan: &GroupTranslation) -> String {
    let mut out = String::new();
    for p in &plan.partitions {
        let _ = writeln!(out, "\n{}", p.tp);
        write_cut(&mut out, to.other(), "committed", p.source.committed, &p.cut.source);
        write_cut(&mut out, to, "starts at", p.target.offset, &p.cut.target);
    }
    out
}

fn write_cut(out: &mut String, side: Side, word: &str, at: Option<i64>, records: &[CutRecord]) {
    let Some(at) = at else { return };
    let line = |r: &CutRecord| {
        let size = r.size.map_or_else(|| "-".to_owned(), |s| format!("{s} B"));
        let key = match (&r.key, r.size) {
            (Some(key), _) => format!("key {}", visible_text(key)),
            (None, Some(_)) => "no key".to_owned(),
            (None, None) => String::new(),
        };
        let value = r.value.as_ref().map(|v| format!("value {}", visible_text(v))).unwrap_or_default();
        vec![letter(side).to_owned(), r.offset.to_string(), format_moment(At(r.ts)), r.id.clone(), size, key, value]
    };
    let (below, beyond): (Vec<_>, Vec<_>) = records.iter().partition(|r| r.offset < at);
    let indent = |text: String| text.lines().map(|l| format!("  {}\n", l.trim_end())).collect::<String>();
    out.push_str(&indent(format_table(&below.into_iter().map(line).collect::<Vec<_>>())));
    let _ = writeln!(out, "  {} --- {word} {at} ---", letter(side));
    out.push_str(&indent(format_table(&beyond.into_iter().map(line).collect::<Vec<_>>())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TopicPartition;
    use crate::offsets::verdict::{SourcePosition, TargetPosition};

    fn plan() -> GroupTranslation {
        let mut p = PartitionPlan::unmappable(TopicPartition::new("loans", 3), "align", "two writers", At(1_000));
        p.source = SourcePosition { committed: Some(120), log_start: 0, end: 200 };
        p.target = TargetPosition { offset: Some(100), log_start: 0, end: 150 };
        (p.verdict, p.re_read, p.missing) = (Verdict::Bounded, Some(4), Some(11));
        (p.missing_ranges, p.evidence, p.read) = (vec![(120, 131)], "content".into(), (80, 50));
        let none =
            PartitionPlan::unmappable(TopicPartition::new("loans", 4), "align", "no such\u{1b}[2J topic", At(900));
        GroupTranslation::new(vec![p, none])
    }

    #[test]
    fn a_loss_stands_out_with_what_a_replay_would_carry() {
        let text = to_text("a b", Side::Green, &plan(), At(3_100));
        for words in [
            "MISSING 11",
            "loans-3: replay blue loans-3 [120,131)\n",
            "with: cutover replay --group 'a b'\n",
            "loans-3 is BOUNDED: two writers\n",
            "loans-4 is UNMAPPABLE: no such",
            "unknown how many lost, unknown how many read again on green",
            "read 80 records of blue, 50 of green, measured 2s ago",
        ] {
            assert!(text.contains(words), "{words:?} is not in:\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn the_contract_of_the_json() {
        let value = to_json("g", Side::Green, &plan());
        let p = &value["partitions"][0];
        assert_eq!(p["blue"], json!({"committed": 120, "log_start": 0, "end": 200}));
        assert_eq!(p["green"], json!({"offset": 100, "log_start": 0, "end": 150}));
        assert_eq!((p["verdict"].as_str(), p["missing"].as_u64()), (Some("bounded"), Some(11)));
        assert_eq!(value["partitions"][1]["green"]["offset"], Value::Null);
        assert_eq!(value["totals"]["missing"], Value::Null, "unknown is not 0");
        let back = to_json("g", Side::Blue, &plan());
        assert_eq!(back["partitions"][0]["green"]["committed"], 120, "a rollback reads green");
    }
}
