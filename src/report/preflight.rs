//! How green is set up beside blue, for people and for scripts.

use std::fmt::Write as _;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::base::sanitise::{visible_name, visible_names, visible_text};
use crate::base::{Sides, format_plural};
use crate::parity::{
    Gravity, Mend, ParityArea, ParityClass, ParityReport, ParityRow, ParityState, ParityVerdict, RedFlag, RedFlagState,
};

/// A terminal's width, cells: a table that is wider is no table there.
const WIDTH: usize = 80;
/// Where texts below a row begin, cells.
const INDENT: usize = 11;
/// Cells of a row's name and of its two values.
const NAME: usize = 30;
const VALUE: usize = 18;
/// Names of topics that are left out which are said; JSON has them all.
const NAMES_SHOWN: usize = 3;

/// The version of the document that [`to_json`] makes (docs/json.md).
const SCHEMA: u32 = 1;

/// The JSON of a preflight (docs/json.md).
#[must_use]
pub fn to_json(report: &ParityReport) -> Value {
    let parity = &report.parity;
    let areas: serde_json::Map<String, Value> = report
        .areas()
        .map(|area| {
            let mut count = json!(parity.count_area(area));
            count["verdict"] = json!(parity.verdict_of(area));
            (area.to_string(), count)
        })
        .collect();
    json!({
        "schema": SCHEMA,
        "at_ms": report.at.0,
        "migration": report.migration,
        "verdict": parity.judge_readiness(),
        "parity": parity.verdict(),
        "known": report.is_known(),
        "clusters": report.clusters,
        "areas": areas,
        "rows": parity.rows.iter().map(row_to_json).collect::<Vec<_>>(),
        "flags": parity.flags.iter().map(flag_to_json).collect::<Vec<_>>(),
        "left_out": { "plan": report.excluded, "internal": parity.internal },
    })
}

fn row_to_json(row: &ParityRow) -> Value {
    let advice = match &row.state {
        ParityState::Unknown(trouble) => Some(trouble.advice.as_str()),
        _ => None,
    };
    let change = match &row.mend {
        Some(Mend::Change(change)) => Some(change),
        _ => None,
    };
    json!({
        "area": row.area,
        "name": row.subject.to_string(),
        "subject": row.subject,
        "state": state_word(&row.state),
        "gravity": row.gravity,
        "blue": row.blue,
        "green": row.green,
        "why": row.why,
        "advice": advice,
        "do": row.describe_mend(),
        "change": change,
    })
}

fn flag_to_json(flag: &RedFlag) -> Value {
    let (state, gravity, unknown) = match &flag.state {
        RedFlagState::Clear => ("clear", None, None),
        RedFlagState::Raised(gravity) => ("raised", Some(gravity), None),
        RedFlagState::Unknown(trouble) => ("unknown", None, Some(trouble)),
    };
    let advice = unknown.map_or(flag.advice.as_str(), |trouble| trouble.advice.as_str());
    let why = unknown.map(|trouble| trouble.what.as_str());
    json!({
        "flag": flag.kind, "state": state, "gravity": gravity, "found": flag.found, "why": why, "advice": advice,
    })
}

/// The words of a row's `state`.
fn state_word(state: &ParityState) -> &'static str {
    match state {
        ParityState::Differs => "differs",
        ParityState::Missing => "missing",
        ParityState::Beyond => "beyond",
        ParityState::Unknown(_) => "unknown",
    }
}

/// The page that answers what is missing, and what to do: the verdict and counts by kind, then the rows, the gravest
/// first, then the red flags. 80 cells wide.
#[must_use]
pub fn to_text(report: &ParityReport) -> String {
    let mut out = write_headline(report);
    out += &write_counts(report);
    for (title, rows) in sort_rows(&report.parity.rows) {
        if !rows.is_empty() {
            let _ = write!(out, "\n{title} ({})\n{}", rows.len(), write_heading());
            rows.iter().for_each(|row| out += &write_row(row));
        }
    }
    out += &write_flags(&report.parity.flags);
    out += &write_left_out(report);
    out
}

/// Rows as people go through them: what blocks, what is unknown, what warns, what is good to know.
fn sort_rows(rows: &[ParityRow]) -> [(&'static str, Vec<&ParityRow>); 4] {
    let of = |class: ParityClass| rows.iter().filter(|row| row.classify() == class).collect();
    [
        ("BLOCKS: nothing moves with these", of(ParityClass::Blocks)),
        ("UNKNOWN: this could not be compared", of(ParityClass::Unknown)),
        ("WARNS: green behaves otherwise than blue", of(ParityClass::Warns)),
        ("good to know", of(ParityClass::Notes)),
    ]
}

fn write_headline(report: &ParityReport) -> String {
    let parity = &report.parity;
    let [blocks, unknown, warns, notes] = sort_rows(&parity.rows).map(|(_, rows)| rows.len());
    let flags = parity.flags.iter().filter(|flag| flag.state == RedFlagState::Raised(Gravity::Blocks)).count();
    let counts = [
        (blocks > 0).then(|| if blocks == 1 { "1 blocks".to_owned() } else { format!("{blocks} block") }),
        (flags > 0).then(|| {
            format!("{} that {}", format_plural(flags, "red flag"), if flags == 1 { "blocks" } else { "block" })
        }),
        (unknown > 0).then(|| format!("{unknown} unknown")),
        (warns > 0).then(|| if warns == 1 { "1 warns".to_owned() } else { format!("{warns} warn") }),
        (notes > 0).then(|| format!("{notes} to know")),
        Some(format!("{} the same", report.count_same())),
    ];
    let verdict = match parity.judge_readiness() {
        ParityVerdict::Equal => "PARITY",
        ParityVerdict::Differs => "DIFFERS",
        ParityVerdict::Unknown => "UNKNOWN",
    };
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    let migration = visible_name(&report.migration);
    wrap_words(&format!("{migration}: {verdict}: {}", counts.join(", ")), 2)
}

/// A line an area: how many are the same, missing, different, beyond, unknown. A dash is none.
fn write_counts(report: &ParityReport) -> String {
    let mut out = format!("{:<9}{:>8}{:>9}{:>9}{:>9}{:>9}\n", "", "same", "missing", "differ", "beyond", "unknown");
    for area in report.areas() {
        let count = |word: &str| report.parity.rows_of(area).filter(|row| state_word(&row.state) == word).count();
        let same = report.parity.same.get(&area).copied().unwrap_or(0);
        let [same, missing, differs, beyond, unknown] =
            [same, count("missing"), count("differs"), count("beyond"), count("unknown")].map(show_count);
        let _ = writeln!(out, "{area:<9}{same:>8}{missing:>9}{differs:>9}{beyond:>9}{unknown:>9}");
    }
    out
}

fn show_count(count: usize) -> String {
    if count == 0 { "-".to_owned() } else { count.to_string() }
}

fn write_heading() -> String {
    format!("  {:<9}{:<NAME$} {:<VALUE$} {}\n", "kind", "name", "blue", "green")
}

/// One row: kind, name, what each side has, then why and what to do.
fn write_row(row: &ParityRow) -> String {
    let name = row.subject.to_string();
    let Sides { blue, green } = row.describe_sides();
    let mut out = if name.width() <= NAME && [&blue, &green].into_iter().all(|value| value.width() <= VALUE) {
        let pad = |text: &str, to: usize| " ".repeat(to.saturating_sub(text.width()) + 1);
        let line = format!("  {:<9}{name}{}{blue}{}{green}", row.area, pad(&name, NAME), pad(&blue, VALUE));
        format!("{}\n", line.trim_end())
    } else {
        wrap_words(&format!("  {:<9}{name}", row.area), INDENT)
            + &wrap_words(&format!("{:INDENT$}blue {blue}, green {green}", ""), INDENT)
    };
    out += &wrap_words(&format!("{:INDENT$}{}", "", row.why), INDENT);
    if let Some(what) = row.describe_mend() {
        out += &wrap_words(&format!("{:INDENT$}do: {what}", ""), INDENT + 4);
    }
    out
}

fn write_flags(flags: &[RedFlag]) -> String {
    let mut out = "\nred flags before day one\n".to_owned();
    let mut clear = Vec::new();
    for flag in flags {
        match &flag.state {
            RedFlagState::Clear => clear.push(flag.kind.to_string()),
            RedFlagState::Raised(gravity) => {
                let word = match gravity {
                    Gravity::Blocks => "BLOCKS",
                    Gravity::Warns => "warns",
                    Gravity::Notes => "note",
                };
                let found = flag.found.join("; ");
                out += &wrap_words(&format!("  {word:<9}{}: {}", flag.kind, visible_text(&found)), INDENT);
                out += &wrap_words(&format!("{:INDENT$}do: {}", "", flag.advice), INDENT + 4);
            }
            RedFlagState::Unknown(why) => {
                out += &wrap_words(&format!("  {:<9}{}: {}", "unknown", flag.kind, visible_text(&why.what)), INDENT);
                if !why.advice.is_empty() {
                    out += &wrap_words(&format!("{:INDENT$}do: {}", "", visible_text(&why.advice)), INDENT + 4);
                }
            }
        }
    }
    if !clear.is_empty() {
        out += &wrap_words(&format!("  {:<9}{}", "clear", clear.join(", ")), INDENT);
    }
    out
}

fn write_left_out(report: &ParityReport) -> String {
    let name_some = |names: &mut dyn ExactSizeIterator<Item = &String>| {
        let more = names.len().saturating_sub(NAMES_SHOWN);
        let said = visible_names(names.take(NAMES_SHOWN));
        if more == 0 { said } else { format!("{said} and {more} more") }
    };
    let mut out = String::new();
    if !report.parity.same.contains_key(&ParityArea::Reach) {
        out += "\nnot tried: which brokers the consumers reach ([connectivity] in the plan)\n";
    }
    let mut topics = String::new();
    let internal = report.parity.internal.iter().map(|(kind, names)| (kind.to_string(), name_some(&mut names.iter())));
    let plan = (!report.excluded.is_empty()).then(|| ("plan".to_owned(), name_some(&mut report.excluded.iter())));
    for (of, names) in internal.chain(plan) {
        if topics.is_empty() {
            topics += "\ntopics that were left out, by who makes them or leaves them out\n";
        }
        topics += &wrap_words(&format!("  {of:<9}{names}"), INDENT);
    }
    out + &topics
}

/// A text as lines of at most [`WIDTH`] cells, the later ones indented; a word that is longer is broken.
fn wrap_words(text: &str, indent: usize) -> String {
    use unicode_width::UnicodeWidthChar as _;
    let text = visible_text(text);
    let body = text.trim_start();
    let mut line = text[..text.len() - body.len()].to_owned();
    let mut out = String::new();
    let mut fresh = true;
    for word in body.split_inclusive(' ') {
        if !fresh && line.width() + word.trim_end().width() > WIDTH {
            out += line.trim_end();
            out.push('\n');
            line = " ".repeat(indent);
        }
        for c in word.chars() {
            if line.width() + c.width().unwrap_or(0) > WIDTH && c != ' ' {
                out += &line;
                out.push('\n');
                line = " ".repeat(indent);
            }
            line.push(c);
        }
        fresh = false;
    }
    out + line.trim_end() + "\n"
}

#[cfg(test)]
mod tests;
