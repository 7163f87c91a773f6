//! A replay for people and for scripts.

use std::fmt::Write as _;

use serde::Serialize;

use crate::base::Trouble;
use crate::base::sanitise::{visible_name, visible_text};
use crate::replay::report::ReplayProgress;
use crate::replay::{Piece, ReplayReport};

/// `cutover replay --json`.
#[derive(Debug, Serialize)]
pub struct ReplayJson<'a> {
    /// Version of this document.
    pub schema: u32,
    /// What came of it.
    #[serde(flatten)]
    pub report: &'a ReplayReport,
    /// What a shell is told.
    pub exit_code: u8,
    /// What stood in the way.
    pub trouble: Option<&'a Trouble>,
}

/// The JSON of a replay that ends with an exit code.
#[must_use]
pub fn to_json(report: &ReplayReport, exit_code: u8) -> ReplayJson<'_> {
    ReplayJson { schema: 1, report, exit_code, trouble: report.trouble.as_ref() }
}

/// What came of a replay, in lines.
#[must_use]
pub fn to_text(report: &ReplayReport) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        let _ = writeln!(out, "{}", visible_text(&text)); // writing to a String can't fail
    };
    let (records, bytes) = (report.records, format_size(report.bytes));
    let verb = if report.dry_run { "would carry" } else { "carries" };
    line(format!("replay {verb} {records} records ({bytes}) from {} to {}", report.from, report.to));
    if report.dry_run {
        for (topic, route) in &report.routes {
            let (topic, into) = (visible_name(topic), visible_name(&route.to));
            line(format!("  {topic} into {into} ({} partitions, by {})", route.partitions, route.by));
        }
        for Piece { tp, from, to } in &report.ranges {
            line(format!("  {}:{}:{from}-{to}", visible_name(&tp.topic), tp.partition));
        }
    } else if report.run.is_some() {
        // What took no time has no rate.
        let rate = report.carried_bytes.checked_mul(1_000).and_then(|b| b.checked_div(report.took_ms));
        let rate = rate.map_or_else(String::new, |rate| format!(", {}/s", format_size(rate)));
        line(format!(
            "carried in this go: {} records ({}) in {} transactions, {}{rate}",
            report.carried,
            format_size(report.carried_bytes),
            report.transactions,
            format_duration(report.took_ms)
        ));
        let found = report.found.map_or_else(String::new, |n| format!(" ({n} marks)"));
        line(match report.verified {
            Some(true) => format!("read back: each record once{found}"),
            Some(false) => format!("READ BACK: NOT EACH RECORD ONCE{found}"),
            None => "not read back".to_owned(),
        });
    }
    if let Some(after) = &report.after {
        let missing = after.missing.map_or_else(String::new, |n| format!(", {n} missing"));
        let why = after.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        line(format!("compared again: {}{missing}{why}", after.verdict));
    }
    for warning in &report.warnings {
        line(format!("warning: {warning}"));
    }
    out
}

/// Progress in one line; `before` is what was done when this go began.
#[must_use]
pub(crate) fn progress_line(p: &ReplayProgress, before: u64) -> String {
    // Of nothing all is done.
    let percent = p.done.saturating_mul(100).checked_div(p.total).unwrap_or(100);
    let rate = p.bytes.checked_mul(1_000).and_then(|b| b.checked_div(p.ms)).unwrap_or(0);
    let left = p.left_ms(before).map_or_else(|| "?".to_owned(), format_duration);
    format!("{}: {} of {} ({percent} %), {}/s, {left} left", p.what, p.done, p.total, format_size(rate))
}

/// Bytes for people: `17 B`, `4.2 kB`, `1.5 GB`.
fn format_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    let mut tenths = bytes / 100;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1_000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A duration for people: `0.4 s`, `12 s`, `3 min 5 s`.
fn format_duration(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        10_000..120_000 => format!("{} s", ms / 1_000),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_topics_never_look_the_same() {
        use crate::base::{Side, TopicPartition};
        use crate::replay::{By, Route, Routes};
        let route = |to: &str| Route { to: to.into(), partitions: 3, by: By::Number };
        let report = ReplayReport {
            run: None,
            from: Side::Blue,
            to: Side::Green,
            dry_run: true,
            ranges: vec![
                Piece::new(TopicPartition::new("pay", 0), 1, 2),
                Piece::new(TopicPartition::new("p\u{430}y", 0), 1, 2),
            ],
            routes: Routes::from([("pay".into(), route("pay ")), ("p\u{430}y".into(), route("pay"))]),
            records: 2,
            bytes: 2,
            carried: 0,
            carried_bytes: 0,
            transactions: 0,
            took_ms: 0,
            reordered: None,
            verified: None,
            found: None,
            after: None,
            warnings: Vec::new(),
            class: None,
            trouble: None,
        };
        let text = to_text(&report);
        for line in [
            "  pay into pay\\u{20} (3 partitions, by number)\n",
            "  p\\u{430}y into pay (3 partitions, by number)\n",
            "  pay:0:1-2\n",
            "  p\\u{430}y:0:1-2\n",
        ] {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
    }

    #[test]
    fn sizes_and_times_are_readable() {
        let sizes = [999, 1_000, 4_250, 999_949, 1_500_000_000].map(format_size);
        assert_eq!(sizes, ["999 B", "1.0 kB", "4.2 kB", "999.9 kB", "1.5 GB"]);
        assert_eq!([420, 12_000, 185_000].map(format_duration), ["0.4 s", "12 s", "3 min 5 s"]);
        let p = ReplayProgress { what: "carrying", done: 500, total: 1_000, bytes: 2_000_000, ms: 1_000 };
        assert_eq!(progress_line(&p, 0), "carrying: 500 of 1000 (50 %), 2.0 MB/s, 1.0 s left");
        assert_eq!(
            progress_line(&ReplayProgress { total: 0, done: 0, ..p }, 0),
            "carrying: 0 of 0 (100 %), 2.0 MB/s, ? left"
        );
    }
}
