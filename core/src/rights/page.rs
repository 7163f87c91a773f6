//! docs/rights.md, from the table.

use std::fmt::Write as _;

use strum::IntoEnumIterator as _;

use super::table::{NEEDS, Need, Verb, Weight};
use crate::base::Side;

/// The tables of the page: one a verb.
#[must_use]
pub fn markdown_tables() -> String {
    let mut out = String::new();
    for verb in Verb::iter() {
        let kind = if verb.changes_cluster() { "operator" } else { "read-only" };
        let _ = write!(
            out,
            "\n### `{verb}` ({kind})\n\n| right | on | cluster | requests | without it |\n|---|---|---|---|---|\n"
        );
        for need in NEEDS.iter().filter(|need| need.verbs.contains(&verb)) {
            out += &format_row(need);
        }
    }
    out
}

fn format_row(need: &Need) -> String {
    let sides = match need.sides {
        [side] => side.to_string(),
        _ => Side::BOTH.map(|side| side.to_string()).join(", "),
    };
    let part = if need.weight == Weight::Part { " (a part)" } else { "" };
    let right = need.operation.to_string().to_uppercase();
    format!("| {right}{part} | {} | {sides} | {} | {} |\n", need.on, need.requests, need.without)
}
