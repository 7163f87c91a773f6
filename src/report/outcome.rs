//! What came of a command, for people and for scripts: one document for the shell, the demo and tests.

use serde_json::{Value, json};

use super::offsets;
use super::text::{format_count, format_table};
use crate::base::TopicPartition;
use crate::base::sanitise::{visible_name, visible_text};
use crate::migration::eos::HardGateRow;
use crate::migration::facts::command::Subject;
use crate::migration::facts::stage::RunOffsets;
use crate::snapshot::RunReport;

/// `group ... --json`, `offsets apply --json`, `producer ... --json`: docs/json.md. The exit code is the one that a shell is told.
#[must_use]
pub fn to_json(report: &RunReport, exit_code: u8) -> Value {
    let offsets = report.run.as_ref().and_then(|r| r.offsets.as_ref()).map(|o| committed_json(group_of(report), o));
    let mut run = json!(report.run);
    if let Some(run) = run.as_object_mut() {
        run.remove("offsets"); // they stand beside it, in the words of `offsets plan --json`
    }
    json!({
        "exit_code": exit_code, "summary": report.summary, "advice": report.advice,
        "prepared": report.prepared, "run": run, "offsets": offsets, "gate": report.rows,
    })
}

fn group_of(report: &RunReport) -> String {
    match report.prepared.as_ref().map(|p| p.command.subject()) {
        Some(Subject::Group(group)) => group,
        _ => String::new(),
    }
}

/// The translation as `offsets plan --json` prints it, each partition with what was committed before and after.
fn committed_json(group: String, offsets: &RunOffsets) -> Value {
    let mut value = offsets::to_json(&group, offsets.side, &offsets.plan);
    let rows = value["partitions"].as_array_mut().into_iter().flatten().zip(&offsets.plan.partitions);
    for (row, p) in rows {
        row["before"] = json!(find_offset(&offsets.before, &p.tp));
        row["after"] = json!(find_offset(&offsets.after, &p.tp));
    }
    value
}

fn find_offset(offsets: &[(TopicPartition, Option<i64>)], tp: &TopicPartition) -> Option<i64> {
    offsets.iter().find(|(of, _)| of == tp).and_then(|(_, at)| *at)
}

/// The same in words: what was committed before and after, partition by partition, what was passed over, and how it
/// ended. Empty for what failed: that is no result.
#[must_use]
pub fn to_text(report: &RunReport) -> String {
    let run = report.run.as_ref();
    let mut out = String::new();
    if let Some(offsets) = run.and_then(|r| r.offsets.as_ref()).filter(|o| !o.after.is_empty()) {
        out.push_str(&offsets_table(offsets));
    }
    if report.rows.iter().any(|row| !row.gate.passes()) {
        out.push_str(&gate_table(&report.rows));
    }
    for p in run.iter().flat_map(|r| &r.passed_over) {
        let why = if p.reason.is_empty() { String::new() } else { format!(": {}", visible_text(&p.reason)) };
        out.push_str(&format!(
            "passed over the gate {}: {}; by {}{why}\n",
            p.gate,
            visible_text(&p.what),
            visible_name(&p.by)
        ));
    }
    if report.class.is_none() {
        out.push_str(&format!("{}\n", visible_text(&report.summary)));
    }
    out
}

/// The gate of a hard cutover: `PASS  dual-write flag off  blue`.
fn gate_table(rows: &[HardGateRow]) -> String {
    let line = |row: &HardGateRow| {
        let value = row.gate.why().unwrap_or(&row.value);
        let advice = if row.gate.passes() { "" } else { &row.advice };
        vec![
            row.gate.word().to_owned(),
            row.id.to_string(),
            visible_text(&row.what),
            visible_text(value),
            visible_text(advice),
        ]
    };
    format_table(&rows.iter().map(line).collect::<Vec<_>>())
}

fn offsets_table(offsets: &RunOffsets) -> String {
    let heads = ["topic-partition", "before", "after", "verdict", "re-read", "missing", "read", "evidence"];
    let mut rows = vec![heads.map(String::from).to_vec()];
    let number = |at: Option<i64>| at.map_or_else(|| "none".to_owned(), |at| at.to_string());
    for p in &offsets.plan.partitions {
        rows.push(vec![
            p.tp.to_string(),
            number(find_offset(&offsets.before, &p.tp)),
            number(find_offset(&offsets.after, &p.tp)),
            offsets::describe_verdict(p),
            format_count(p.re_read),
            format_count(p.missing),
            format!("{}+{}", p.read.0, p.read.1),
            visible_text(&p.evidence),
        ]);
    }
    format_table(&rows)
}
