//! A translation for people and for scripts (02-architecture, "Commands": the contract of `offsets plan --json`).

use serde::Serialize;
use serde_json::{Value, json};

use super::text::table;
use crate::migration::estate::Side;
use crate::offsets::verdict::{GroupPlan, PartitionPlan, Totals};
use crate::sanitise::visible;

/// `cutover offsets plan --json`.
#[derive(Debug, Serialize)]
pub struct OffsetsPlan<'a> {
    /// Group id on blue.
    pub group: &'a str,
    /// The side the offsets are for.
    pub to: Side,
    /// By topic and partition.
    pub partitions: Vec<Value>,
    /// Sums; `null` is unknown, never 0.
    pub totals: Totals,
}

/// The JSON of a translation to `to`.
#[must_use]
pub fn json<'a>(group: &'a str, to: Side, plan: &GroupPlan) -> OffsetsPlan<'a> {
    OffsetsPlan {
        group,
        to,
        partitions: plan.partitions.iter().map(|p| partition(p, to)).collect(),
        totals: plan.totals,
    }
}

fn partition(p: &PartitionPlan, to: Side) -> Value {
    let source = json!({"committed": p.source.committed, "log_start": p.source.log_start, "end": p.source.end});
    let target = json!({"offset": p.target.offset, "log_start": p.target.log_start, "end": p.target.end});
    let (blue, green) = if to == Side::Green { (source, target) } else { (target, source) };
    json!({
        "topic": p.tp.topic, "partition": p.tp.partition, "blue": blue, "green": green,
        "strategy": p.strategy, "verdict": p.verdict, "re_read": p.re_read, "missing": p.missing,
        "missing_ranges": p.missing_ranges, "target_only": p.target_only, "evidence": p.evidence, "why": p.why,
        "read": {"source": p.read.0, "target": p.read.1}, "cut": p.cut, "at_ms": p.at.0,
    })
}

fn number<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

/// The table of a translation to `to`, with its sums below.
#[must_use]
pub fn text(group: &str, to: Side, plan: &GroupPlan) -> String {
    let from = to.other();
    let letter = |side: Side| if side == Side::Blue { "[B]" } else { "[G]" };
    let heads = [
        "topic-partition".to_owned(),
        format!("{} committed", letter(from)),
        format!("{} end", letter(from)),
        format!("{} offset", letter(to)),
        format!("{} end", letter(to)),
        "verdict".to_owned(),
        "re-read".to_owned(),
        "missing".to_owned(),
        "evidence".to_owned(),
    ];
    let mut rows = vec![heads.to_vec()];
    for p in &plan.partitions {
        rows.push(vec![
            visible(&p.tp.to_string()),
            number(p.source.committed),
            p.source.end.to_string(),
            number(p.target.offset),
            p.target.end.to_string(),
            p.verdict.to_string(),
            number(p.re_read),
            number(p.missing),
            visible(p.why.as_deref().unwrap_or(&p.evidence)),
        ]);
    }
    let sums = format!(
        "{}: {} lost, {} read again on {to}\n",
        visible(group),
        number(plan.totals.missing).replace('-', "unknown how many"),
        number(plan.totals.re_read).replace('-', "unknown how many"),
    );
    table(&rows) + &sums
}
