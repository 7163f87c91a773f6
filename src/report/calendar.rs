//! The migration calendar for people and their calendars: Markdown and iCalendar (RFC 5545).

use std::fmt::Write as _;

use icalendar::Component as _;
use jiff::Timestamp;

use crate::base::At;
use crate::base::sanitise::{visible_name, visible_text};
use crate::snapshot::calendar::{Calendar, Move, MoveKind, WindowDates, format_local_time, format_time_span};

fn describe_kind(m: &Move) -> &'static str {
    match (m.kind, m.hard) {
        (MoveKind::Producer, true) => "producer, hard cutover",
        (MoveKind::Producer, false) => "producer",
        (MoveKind::Group, _) => "group",
    }
}

/// As Markdown: what moves, in order; what has no day yet; what contradicts what; when windows open.
#[must_use]
pub fn markdown(calendar: &Calendar) -> String {
    let mut out = format!("# Migration calendar: {}\n", format_cell(&calendar.migration));
    let (dated, open): (Vec<&Move>, Vec<&Move>) = calendar.moves.iter().partition(|m| m.opening.is_some());
    if !dated.is_empty() {
        out +=
            "\n| when | UTC | what | name | team | window | blue kept until (UTC) |\n|---|---|---|---|---|---|---|\n";
        dated.iter().for_each(|m| out += &format_row(m));
    }
    if !open.is_empty() {
        out += "\n## Without a day\n\n| what | name | team | window |\n|---|---|---|---|\n";
        for m in open {
            let window = m.window.as_deref().unwrap_or("");
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} |",
                describe_kind(m),
                format_cell(&m.name),
                format_cell(&m.team),
                format_cell(window)
            );
        }
    }
    if !calendar.conflicts.is_empty() {
        out += "\n## Conflicts\n\n";
        for conflict in &calendar.conflicts {
            let _ = writeln!(out, "- {}", escape_markdown(&visible_text(&conflict.describe())));
        }
    }
    if calendar.windows.iter().any(|w| !w.openings.is_empty()) {
        out += "\n## Windows\n";
        calendar.windows.iter().for_each(|w| out += &format_window(w));
    }
    out
}

fn format_row(m: &Move) -> String {
    let Some(opening) = m.opening else { return String::new() };
    let when = match (&m.window, m.date) {
        (None, Some(date)) => date.to_string(),
        _ => format_time_span(opening.from, opening.to, &m.zone),
    };
    let utc = format_time_span(opening.from, opening.to, "UTC");
    let until = m.blue_until.and_then(|at| format_local_time(at, "UTC")).unwrap_or_default();
    let window = m.window.as_deref().unwrap_or("");
    format!(
        "| {when} {} | {utc} | {} | {} | {} | {} | {until} |\n",
        format_cell(&m.zone),
        describe_kind(m),
        format_cell(&m.name),
        format_cell(&m.team),
        format_cell(window)
    )
}

fn format_window(w: &WindowDates) -> String {
    let mut out = format!("\n**{}** ({})\n\n", format_cell(&w.name), format_cell(&w.zone));
    for o in &w.openings {
        let _ = writeln!(
            out,
            "- {} ({} UTC)",
            format_time_span(o.from, o.to, &w.zone),
            format_time_span(o.from, o.to, "UTC")
        );
    }
    out
}

/// A name inside a Markdown table: visible, on one line, no cell of its own.
fn format_cell(name: &str) -> String {
    escape_markdown(&visible_name(name))
}

/// A visible text in Markdown, where it means itself.
fn escape_markdown(text: &str) -> String {
    // The backslash first, or it would escape what escapes the others. A `<` would begin HTML.
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('`', "\\`")
}

/// As iCalendar: one event a move with a day. `now` is the stamp of this issue of the calendar. Events keep their UID as
/// long as their name stays, so that a calendar that imports it again moves them instead of adding them.
#[must_use]
pub fn ics(calendar: &Calendar, now: At) -> String {
    let mut out = icalendar::Calendar::new();
    out.name(&visible_name(&calendar.migration));
    for m in &calendar.moves {
        let Some(opening) = m.opening else { continue };
        let what = if m.hard { "hard cutover of" } else { "cut over" };
        let noun = if m.kind == MoveKind::Group { "group" } else { "producer" };
        let team = if m.team.is_empty() { String::new() } else { format!(" ({})", visible_name(&m.team)) };
        let mut event = icalendar::Event::new();
        event.uid(&format!("{noun}-{}@{}.cutover", percent_encode(&m.name), percent_encode(&calendar.migration)));
        event.summary(&format!("{what} {noun} {}{team}", visible_name(&m.name)));
        let mut words = format!("Migration {}.", visible_name(&calendar.migration));
        if let Some(window) = &m.window {
            let _ = write!(words, " Window {} ({}).", visible_name(window), visible_name(&m.zone));
        }
        if let Some(until) = m.blue_until.and_then(|at| format_local_time(at, "UTC")) {
            let _ = write!(words, " Blue is kept until {until} UTC.");
        }
        event.description(&words);
        event.add_property("DTSTAMP", format_stamp(now));
        match (&m.window, m.date) {
            (None, Some(date)) => {
                let day = |date: jiff::civil::Date| date.strftime("%Y%m%d").to_string();
                // The end is not part of an event (RFC 5545): a day ends with the next one.
                let next = date.tomorrow().unwrap_or(date);
                event
                    .append_property(date_property("DTSTART", &day(date)))
                    .append_property(date_property("DTEND", &day(next)));
            }
            _ => {
                event
                    .add_property("DTSTART", format_stamp(opening.from))
                    .add_property("DTEND", format_stamp(opening.to));
            }
        }
        out.push(event.done());
    }
    out.to_string()
}

fn date_property(name: &str, day: &str) -> icalendar::Property {
    icalendar::Property::new(name, day).add_parameter("VALUE", "DATE").done()
}

fn format_stamp(at: At) -> String {
    Timestamp::from_millisecond(at.0).map(|t| t.strftime("%Y%m%dT%H%M%SZ").to_string()).unwrap_or_default()
}

/// A name as a part of a UID: letters, digits, dots and dashes stay, everything else is its bytes.
fn percent_encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => out.push(byte.into()),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::calendar::Calendar;

    fn calendar() -> Calendar {
        let plan = r#"
[migration]
name = "loans"
[clusters]
blue.bootstrap = "a:1"
green.bootstrap = "b:1"
[[windows]]
name = "sunday-night"
days = ["Sun"]
from = "23:00"
to = "02:00"
zone = "America/New_York"
[[producers]]
name = "ledger"
team = "books, and | more"
transactional_ids = { blue = ["l-1"], green = ["l-2"] }
window = "sunday-night"
date = "2026-12-06"
[[groups]]
name = "a;b,c"
date = "2026-12-01"
[[groups]]
name = "later"
"#;
        let plan = crate::plan::Plan::parse(plan, std::path::Path::new("p")).unwrap_or_else(|p| panic!("{p}")).plan;
        let at = |text: &str| At(text.parse::<Timestamp>().unwrap().as_millisecond());
        plan.calendar(at("2026-12-01T00:00:00Z"), at("2026-12-08T00:00:00Z"))
    }

    #[test]
    fn markdown_says_when_in_the_windows_zone_and_in_utc() {
        let text = markdown(&calendar());
        assert!(text.contains(
            "| 2026-12-06 23:00 to 2026-12-07 02:00 America/New_York | 2026-12-07 04:00-07:00 | producer, hard cutover \
             | ledger | books, and \\| more | sunday-night | 2026-12-10 07:00 |"
        ), "{text}");
        assert!(text.contains("| group | later |"), "{text}");
    }

    #[test]
    fn what_contradicts_what_names_each_as_its_row_does() {
        use crate::snapshot::calendar::Conflict;
        let name = "p\u{430}y |";
        let (what, advice) = (format!("{} moves first", visible_name(name)), "plan it later".to_owned());
        let mut calendar = calendar();
        calendar.conflicts = vec![Conflict { producer: "p".into(), group: name.into(), what, advice }];
        let text = markdown(&calendar);
        assert!(text.contains(&format!("- {} moves first; plan it later\n", format_cell(name))), "{text}");
    }

    #[test]
    fn icalendar_is_what_calendars_read() {
        let text = ics(&calendar(), At(1_767_225_600_000));
        let unfolded = text.replace("\r\n ", "");
        for line in [
            "UID:producer-ledger@loans.cutover",
            "DTSTAMP:20260101T000000Z",
            "DTSTART:20261207T040000Z",
            "DTEND:20261207T070000Z",
            "SUMMARY:hard cutover of producer ledger (books\\, and | more)",
            "DTSTART;VALUE=DATE:20261201",
            "DTEND;VALUE=DATE:20261202",
            "UID:group-a%3Bb%2Cc@loans.cutover",
        ] {
            assert!(unfolded.lines().any(|l| l.trim_end() == line), "{line} in\n{text}");
        }
        assert!(text.lines().all(|l| l.trim_end().len() <= 75), "folded at 75 bytes:\n{text}");
        assert!(text.starts_with("BEGIN:VCALENDAR\r\n") && text.ends_with("END:VCALENDAR\r\n"), "{text}");
        assert_eq!(text.matches("BEGIN:VEVENT").count(), 2, "what has no day is in no calendar");
        assert_eq!(text, ics(&calendar(), At(1_767_225_600_000)), "the same again");
    }
}
