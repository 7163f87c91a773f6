//! One partition: where the group goes on, what that rests on, and the records on both sides of the cut side by side, so
//! that a person can see that it is right.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::{self, Row, rule_line};
use super::table::ColumnWidth::{self, Fixed, Steps};
use super::table::{TableCell, TableColumn, TableView, in_role};
use crate::base::sanitise::visible_name;
use crate::base::{Side, format_plural};
use crate::offsets::verdict::{CutRecord, PartitionPlan};
use crate::tui::model::{Model, RecordValues};
use crate::tui::partitions::{self, Pair, Twin};
use crate::tui::theme::{Glyph, Role, side_role};
use crate::tui::{text, words};

/// Most lines of a reason.
const MAX_WHY: usize = 12;

/// Draws the screen of the partition under the cursor of a group.
pub fn draw(m: &Model, group: &str, area: Rect, buf: &mut Buffer) {
    let theme = m.theme();
    let gone = |buf: &mut Buffer| {
        let group = visible_name(group);
        let words = match super::group::describe_doubt(m) {
            None => format!("That partition of {group} is not there any more. esc goes back."),
            Some(why) => format!(
                "That partition of {group} is not shown any more; whether it is gone is not known: {why}. esc goes back."
            ),
        };
        super::group::draw_placeholder(m, &words, area, buf);
    };
    let (Some(g), Some(tp)) = (m.group_row(group), &m.partition) else { return gone(buf) };
    let Some(line) = partitions::find_partition(g, tp) else { return gone(buf) };
    let width = usize::from(area.width);
    let ellipsis = theme.glyph(Glyph::Ellipsis);
    let (role, verdict) = words::describe_verdict(line.plan);
    let title = Row::new(theme).gap(1).put(Role::Strong, text::cut_middle(&tp.to_string(), width / 2, ellipsis)).gap(2);
    let title = title.put(Role::Dim, text::cut_middle(&visible_name(group), width / 5, ellipsis)).gap(1);
    let mut end = Row::new(theme).put(role, verdict);
    if let Some(p) = line.plan {
        if words::loses(p) {
            end = end.put(Role::Dim, format!(", else {}", p.verdict));
        }
        let (role, age) = words::describe_measured_age(m.clock(), p.at);
        end = end.put(Role::Dim, "  measured ").put(role, age).put(Role::Dim, " ago");
    }
    line::draw_titled_rule(theme, title, end.gap(1), area, 0, buf);
    let Some(p) = line.plan else {
        let words = "Not measured yet: m measures where the group would go on, and what that costs.";
        Row::new(theme).gap(1).put(Role::Hold, words).draw(area, 2, buf);
        return;
    };
    let to = g.estimate_to.unwrap_or_else(|| words::next_side(g));
    let rows = detail_lines(m, p, to, width);
    let all = usize::from(area.height.saturating_sub(1));
    // What is more has a line of its own.
    let room = if rows.len() > all { all.saturating_sub(1) } else { all };
    let skip = m.scroll.min(rows.len().saturating_sub(room));
    let total = rows.len();
    for (y, row) in (1u16..).zip(rows.into_iter().skip(skip).take(room)) {
        row.draw(area, y, buf);
    }
    if total > all {
        line::draw_position(theme, (skip, room, total), area, area.height - 1, buf);
    }
}

/// How many lines of it have no room.
pub(crate) fn count_hidden(m: &Model, group: &str, area: Rect) -> usize {
    let plan = || {
        let g = m.group_row(group)?;
        let p = partitions::find_partition(g, m.partition.as_ref()?)?.plan?;
        Some((p, g.estimate_to.unwrap_or_else(|| words::next_side(g))))
    };
    let Some((p, to)) = plan() else { return 0 };
    line::count_hidden(
        detail_lines(m, p, to, usize::from(area.width)).len(),
        usize::from(area.height.saturating_sub(1)),
    )
}

/// Everything that is known of the translation, in the order of the questions: where to, at what price, why, and how
/// one can see it.
fn detail_lines<'t>(m: &'t Model, p: &'t PartitionPlan, to: Side, width: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    let from = to.other();
    let source = (p.source.committed, p.source.log_start, p.source.end);
    let target = (p.target.offset, p.target.log_start, p.target.end);
    let source = position_line(m, from, ["stands at", "never", "to read"], source);
    let target = position_line(m, to, ["starts at", "nowhere", "from there"], target);
    let mut rows = vec![source, target, price_line(m, p, to)];
    let said = |label: &str, role: Role, words: &str, max: usize| {
        line::wrap_labelled(theme, (label, 10), (role, words), width, max)
    };
    if let Some(why) = &p.why {
        rows.extend(said("why", Role::Hold, why, MAX_WHY));
    }
    let found = match (p.evidence.is_empty(), p.read) {
        (true, _) => p.strategy.to_string(),
        (false, (0, 0)) => format!("{}: {}", p.strategy, p.evidence),
        (false, (a, b)) => {
            let (a, b) = (text::format_count(a), text::format_count(b));
            format!("{}: {}; read {a} on {from} and {b} on {to}", p.strategy, p.evidence)
        }
    };
    rows.extend(said("found by", Role::Text, &found, 3));
    let unsettled = describe_unsettled(p, to);
    if !unsettled.is_empty() {
        rows.extend(said("unsettled", Role::Hold, &unsettled, 4));
    }
    rows.extend(missing_lines(m, p, to, width));
    rows.extend(record_lines(m, p, to, width));
    rows
}

/// Where the group is on one side (offset, log start, end), in these words: that, without one, and what is left.
fn position_line<'t>(m: &'t Model, side: Side, words: [&str; 3], (at, start, end): (Option<i64>, i64, i64)) -> Row<'t> {
    let theme = m.theme();
    let [word, without, left] = words;
    let row = Row::new(theme).gap(1).mark(side).gap(1).put(Role::Dim, word).gap(1);
    let row = match at {
        Some(at) => row.right(side_role(side), text::format_offset(at), 15),
        None => row.right(Role::Unknown, without, 15),
    };
    let row = row.put(Role::Dim, "   log ");
    if start < 0 || end < 0 {
        return row.put(Role::Unknown, "unknown");
    }
    let row = row.put(Role::Text, text::format_offset(start)).gap(1).glyph(Role::Dim, Glyph::Range).gap(1);
    let row = row.put(Role::Text, text::format_offset(end));
    match at.map(|at| u64::try_from(end.saturating_sub(at))) {
        Some(Ok(n)) => row.put(Role::Dim, format!("   {} {left}", text::format_count(n))),
        Some(Err(_)) => row.put(Role::Fail, "   beyond its end"),
        None => row,
    }
}

/// `31 re-read, 0 missing, 2 only on green are passed over`
fn price_line<'t>(m: &'t Model, p: &PartitionPlan, to: Side) -> Row<'t> {
    let row = Row::new(m.theme()).gap(1).left(Role::Dim, "costs", 10);
    let exact = p.verdict == crate::offsets::verdict::Verdict::Proven;
    let row = match p.re_read {
        None => row.put(Role::Unknown, "re-read UNKNOWN"),
        Some(n) if exact || n == 0 => row.put(Role::Strong, format!("{n} re-read")),
        Some(n) => row.put(Role::Strong, format!("at most {n} re-read")),
    };
    let row = row.put(Role::Dim, ",  ");
    let row = match p.missing {
        None => row.put(Role::Unknown, "missing UNKNOWN"),
        Some(0) => row.put(Role::Strong, "0 missing"),
        Some(n) => row.put(Role::Fail, format!("{n} MISSING on {to}: lost unless replayed")),
    };
    match p.target_only {
        0 => row,
        n => row.put(Role::Dim, format!(",  passes over {n} that only {to} has")),
    }
}

/// Records whose twin may still arrive.
fn describe_unsettled(p: &PartitionPlan, to: Side) -> String {
    let from = to.other();
    let u = &p.unsettled;
    let parts = [
        (u.consumed, format!("consumed and not on {to} yet: may be read again")),
        (u.unconsumed, format!("to be read and not on {to} yet: may still arrive, else missing")),
        (u.target_only, format!("on {to} only: may still come to {from}, so the start stays before them")),
    ];
    parts.iter().filter(|p| p.0 > 0).map(|(n, what)| format!("{n} {what}")).collect::<Vec<_>>().join("; ")
}

/// What a replay would have to carry, in full.
fn missing_lines<'t>(m: &'t Model, p: &PartitionPlan, to: Side, width: usize) -> Vec<Row<'t>> {
    if p.missing_ranges.is_empty() {
        return Vec::new();
    }
    let theme = m.theme();
    let ranges = format_plural(p.missing_ranges.len(), "range");
    let mut rows =
        vec![rule_line(theme, &format!("missing on {to}: a replay has to carry {ranges} of {}", to.other()), width)];
    let mut row = Row::new(theme).gap(1);
    for (from, end) in &p.missing_ranges {
        let words = match end - from {
            ..=1 => from.to_string(),
            n => format!("{from}{}{} ({n})", theme.glyph(Glyph::Range), end - 1),
        };
        if row.width() > 1 && row.width() + 2 + text::width(&words) > width {
            rows.push(std::mem::replace(&mut row, Row::new(theme).gap(1)));
        }
        let gap = if row.width() > 1 { 2 } else { 0 };
        row = row.gap(gap).put(Role::Fail, words);
    }
    rows.push(row);
    rows
}

/// A record on either side or on both, and whether it lies above the cut.
type RecordColumn<'t> = TableColumn<'t, (Pair<'t>, bool)>;

/// Cells of an offset.
const OFFSET: ColumnWidth = Steps(&[(0, 9), (72, 10), (100, 13), (140, 15)]);

/// The records around the cut, equal ones on one line.
fn record_lines<'t>(m: &'t Model, p: &'t PartitionPlan, to: Side, width: usize) -> Vec<Row<'t>> {
    let theme = m.theme();
    let all = || p.cut.source.iter().chain(&p.cut.target);
    let (Some(first), Some(last)) = (all().map(|r| r.ts).min(), all().map(|r| r.ts).max()) else {
        return vec![Row::new(theme).gap(1).put(Role::Dim, "No records around the cut.")];
    };
    let days = match (text::format_day(first), text::format_day(last)) {
        (Some(a), Some(b)) if a == b => format!(", {a} UTC"),
        (Some(a), Some(b)) => format!(", {a} to {b} UTC"),
        _ => String::new(),
    };
    let table = TableView::new(theme, list_columns(m, to), width);
    let pairs = partitions::side_by_side(p);
    let mut rows = vec![rule_line(theme, &format!("records at the cut{days}"), width), table.head_line()];
    rows.extend(match &m.values {
        RecordValues::Hidden | RecordValues::Shown(_) => None,
        RecordValues::Asked(_) => {
            Some(Row::new(theme).gap(1).put(Role::Hold, "reading the values").glyph(Role::Hold, Glyph::Ellipsis))
        }
        RecordValues::Failed(why) => {
            let cells = width.saturating_sub(2);
            Some(Row::new(theme).gap(1).left(Role::Hold, format!("no values: {why}"), cells))
        }
    });
    for (i, section) in [&pairs.above, &pairs.below].into_iter().enumerate() {
        if i == 1 {
            rows.push(cut_line(m, width));
        }
        let entries = section.iter().map(|pair| (*pair, i == 0));
        for (pair, row) in section.iter().zip(table.list_lines(entries, None)) {
            rows.push(row);
            rows.extend(value_line(m, pair, width));
        }
    }
    rows
}

/// The beginning of a record's value, where it was asked for.
fn value_line<'t>(m: &'t Model, pair: &Pair<'_>, width: usize) -> Option<Row<'t>> {
    let RecordValues::Shown(cut) = &m.values else { return None };
    let (records, record) = match (pair.source, pair.target) {
        (Some(r), _) => (&cut.source, r),
        (None, Some(r)) => (&cut.target, r),
        (None, None) => return None,
    };
    // By offset: of what was read again some may be gone by now.
    let seen = records.iter().find(|r| r.offset == record.offset);
    let (role, words) = match seen.map(|r| (&r.value, r.size)) {
        Some((Some(value), _)) => (Role::Text, value.as_str()),
        Some((None, Some(_))) => (Role::Dim, "no value: a tombstone"),
        _ => (Role::Dim, "gone by now"),
    };
    let row = Row::new(m.theme()).gap(12).put(Role::Frame, m.theme().glyph(Glyph::Bar)).gap(1);
    let left = width.saturating_sub(row.width() + 1);
    Some(row.left(role, words, left))
}

fn list_columns<'t>(m: &'t Model, to: Side) -> Vec<RecordColumn<'t>> {
    let record = |pair: Pair<'t>| pair.source.or(pair.target);
    let [left, left_time] = side_columns(to.other(), m, |pair| pair.source);
    let [right, right_time] = side_columns(to, m, |pair| pair.target);
    vec![
        left.set_gap(0),
        left_time,
        RecordColumn::new("", Fixed(1), |(pair, _), _| {
            in_role(Role::Ok, if pair.twin == Twin::Here { m.theme().glyph(Glyph::Equal) } else { "" })
        }),
        right,
        right_time,
        RecordColumn::new("apart", Steps(&[(100, 8), (140, 9)]), |(pair, _), _| {
            // -1 is no time: nothing lies apart from it.
            let apart = pair.source.zip(pair.target).filter(|(a, b)| a.ts >= 0 && b.ts >= 0);
            in_role(Role::Dim, apart.map_or(String::new(), |(a, b)| format!("{:+} ms", b.ts.saturating_sub(a.ts))))
        })
        .align_right(),
        RecordColumn::new("key", Steps(&[(72, 12), (100, 17), (140, 32)]), move |(pair, _), _| {
            match record(pair).map(|r| (&r.key, r.size)) {
                Some((Some(key), _)) => in_role(Role::Text, key),
                Some((None, Some(_))) => in_role(Role::Dim, "no key"),
                Some((None, None)) => in_role(Role::Dim, "not read"),
                None => in_role(Role::Dim, ""),
            }
        }),
        RecordColumn::new("bytes", Steps(&[(72, 5), (100, 6)]), move |(pair, _), _| {
            let size = record(pair).and_then(|r| r.size);
            in_role(Role::Dim, size.map_or_else(String::new, |n| text::format_count(n.into())))
        })
        .set_gap(0)
        .align_right(),
        RecordColumn::new("hash", Fixed(8), move |(pair, _), _| {
            let role = if pair.twin == Twin::Here { Role::Ok } else { Role::Text };
            in_role(role, record(pair).map_or("", |r| &r.id))
        }),
    ]
}

/// Offset and time of the record on one side; where that has none, where its copy is.
fn side_columns<'t>(side: Side, m: &'t Model, record: fn(Pair<'t>) -> Option<&'t CutRecord>) -> [RecordColumn<'t>; 2] {
    [
        RecordColumn::new(m.theme().mark(side), OFFSET, move |(pair, above), _| match record(pair) {
            Some(r) => in_role(side_role(side), r.offset.to_string()),
            None => {
                let (role, words) = describe_elsewhere(&pair, above);
                TableCell::OverNext(role, words.into())
            }
        })
        .align_right()
        .set_title_role(side_role(side)),
        // `14:02:11.204`
        RecordColumn::new("time", Fixed(12), move |(pair, _), _| {
            let time = record(pair).and_then(|r| text::format_clock_ms(r.ts));
            in_role(Role::Text, time.unwrap_or_else(|| "no time".to_owned()))
        }),
    ]
}

/// The cut itself: what lies above it is done with on both sides.
fn cut_line<'t>(m: &'t Model, width: usize) -> Row<'t> {
    let rule = m.theme().glyph(Glyph::HeavyRule);
    let words = " above: done with.  below: the group reads on ";
    let side = width.saturating_sub(words.len() + 2) / 2;
    let row = Row::new(m.theme()).gap(1).put(Role::NoReturn, rule.repeat(side)).put(Role::NoReturn, words);
    row.put(Role::NoReturn, rule.repeat(width.saturating_sub(side + words.len() + 2)))
}

/// Where the other copy of a lone record is.
fn describe_elsewhere(pair: &Pair<'_>, above: bool) -> (Role, &'static str) {
    match (pair.twin, above) {
        (Twin::AcrossTheCut, true) if pair.source.is_some() => (Role::Hold, "below: read again"),
        (Twin::AcrossTheCut, false) if pair.target.is_some() => (Role::Hold, "done above: again"),
        (Twin::AcrossTheCut, true) => (Role::Fail, "a copy is below"),
        (Twin::AcrossTheCut, false) => (Role::Fail, "a copy is above"),
        (Twin::NotShown | Twin::Here, _) => (Role::Dim, "not in this view"),
    }
}
