//! The same state for people without a cockpit: aligned plain text, one line a group. What was not seen recently is
//! STALE, with its age: an old figure says nothing of now.

use std::fmt::Write as _;

use super::json::list_troubles;
use super::words;
use crate::base::format_duration;
use crate::base::sanitise::{visible_cow, visible_name, visible_text};
use crate::base::{At, Observed, Side};
use crate::migration::facts::stage::{SideState, Stage, WayBack};
use crate::snapshot::{Baseline, Fidelity, GroupPlace, GroupRow, GroupSide, ProducerRow, SideView, Snapshot};

/// A count, or `-`: unknown, and what there is none of to measure, is not 0.
#[must_use]
pub(crate) fn format_count(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

/// What stands in place of a figure that was seen at `at`, too long before now.
fn format_stale(at: At, now: At) -> String {
    format!("STALE {}", format_duration(now.since(at)))
}

fn write_side(out: &mut String, side: &SideView, snapshot: &Snapshot) {
    let letter = if side.side == Side::Blue { "B" } else { "G" };
    let (name, age) = (visible_name(&side.name), side.link.age_ms(snapshot.now));
    let _ = match (age, side.why_untrusted(snapshot.now, snapshot.header.stale_after_ms)) {
        // What another cluster shows is nothing of this one.
        _ if side.identity_trouble.is_some() => writeln!(out, "[{letter}] {name}  another cluster"),
        (None, _) => writeln!(out, "[{letter}] {name}  not seen"),
        (Some(_), Some(why)) => writeln!(
            out,
            "[{letter}] {name}  brokers ?/{}  topics -  under-replicated -  lag -  STALE: {}",
            side.brokers.1,
            visible_text(&why)
        ),
        (Some(age), None) => writeln!(
            out,
            "[{letter}] {name}  brokers {}/{}  topics {}  under-replicated {}  lag {}  seen {:.1}s ago",
            side.brokers.0,
            side.brokers.1,
            side.topics,
            side.under_replicated,
            format_count(side.lag),
            age as f64 / 1000.0
        ),
    };
    for trouble in list_troubles(side) {
        let slow = side.throttled.as_ref().filter(|t| t.trouble == *trouble);
        let _ = writeln!(out, "    {}", visible_text(slow.map_or(&trouble.what, |t| &t.words)));
        if !trouble.advice.is_empty() {
            let _ = writeln!(out, "      {}", visible_text(&trouble.advice));
        }
    }
}

fn describe_side(side: &GroupSide, snapshot: &Snapshot) -> String {
    if let Some(at) = side.at.filter(|_| !side.is_fresh(snapshot.now, snapshot.header.stale_after_ms)) {
        return format_stale(at, snapshot.now);
    }
    let stuck = if side.stuck { " STUCK" } else { "" };
    match (side.state, side.members_known()) {
        (None, _) if side.is_absent() => format!("-{stuck}"),
        (None, _) => format!("unseen{stuck}"),
        (Some(state), true) => format!("{state} {} members{stuck}", side.members.len()),
        (Some(state), false) => format!("{state}{stuck}"),
    }
}

/// Lag of a group on a side, as far as it is known now.
fn describe_lag(side: &GroupSide, snapshot: &Snapshot) -> String {
    let now = side.lag_now(snapshot.now, snapshot.header.stale_after_ms);
    match (side.lag, now, side.at) {
        (Some(_), None, Some(at)) => format_stale(at, snapshot.now),
        _ => format_count(now),
    }
}

/// A flag as configured, as far as that is known now.
fn describe_flag(row: &ProducerRow, snapshot: &Snapshot) -> String {
    let (now, stale_after_ms) = (snapshot.now, snapshot.header.stale_after_ms);
    match &row.flag {
        Some(seen @ Observed::Known { at, .. }) => {
            seen.fresh_value(now, stale_after_ms).map_or_else(|| format_stale(*at, now), ToString::to_string)
        }
        Some(Observed::Absent { .. }) | None => "-".to_owned(),
    }
}

/// A stage in one word.
fn stage_word(row: &GroupRow) -> String {
    match &row.side_state {
        Some(SideState::NeedsOperator { .. }) => return "NeedsOperator".into(),
        Some(SideState::Held { .. }) => return "Held".into(),
        Some(SideState::Blocked { .. }) => return "Blocked".into(),
        None => {}
    }
    match &row.stage {
        Stage::OnBlue => match row.found_on() {
            Some(GroupPlace::OnGreen) => "OnGreen".into(),
            Some(GroupPlace::OnBoth) => "OnBoth".into(),
            None if !row.listed => "-".into(),
            Some(GroupPlace::OnBlue) | None => "OnBlue".into(),
        },
        Stage::Moving { phase, .. } => phase.to_string(),
        Stage::Soaking { .. } => "Soaking".into(),
        Stage::Complete { .. } => "Complete".into(),
        Stage::RolledBack { .. } => "RolledBack".into(),
    }
}

/// The rollback verdict in a few words.
fn describe_way_back(way: &WayBack) -> String {
    match way {
        WayBack::Exact => "EXACT".into(),
        WayBack::Bounded { re_read } => format!("BOUNDED {re_read}"),
        WayBack::Closed { why } => format!("CLOSED ({})", visible_text(why)),
        WayBack::Unknown { why } => format!("???? ({})", visible_text(why)),
    }
}

/// Pads every column to its widest cell; the last one is left as it is. A cell is one line whatever it holds.
#[must_use]
pub(crate) fn format_table(rows: &[Vec<String>]) -> String {
    use unicode_width::UnicodeWidthStr as _;
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| visible_cow(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().filter_map(|r| r.get(c)).map(|s| s.width()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for row in &rows {
        for (i, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if i + 1 < row.len() {
                out.extend(std::iter::repeat_n(' ', widths[i] - cell.width() + 2));
            }
        }
        out.push('\n');
    }
    out
}

/// `cutover lag`.
#[must_use]
pub fn lag(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    write_side(&mut out, &snapshot.blue, snapshot);
    write_side(&mut out, &snapshot.green, snapshot);
    let mut rows = vec![["group", "kind", "[B] state", "[B] lag", "[G] state", "[G] lag"].map(String::from).to_vec()];
    for g in &snapshot.groups {
        rows.push(vec![
            visible_name(&g.group),
            g.kind.to_string(),
            describe_side(&g.blue, snapshot),
            describe_lag(&g.blue, snapshot),
            describe_side(&g.green, snapshot),
            describe_lag(&g.green, snapshot),
        ]);
    }
    out.push('\n');
    out.push_str(&format_table(&rows));
    write_waits(&mut out, snapshot);
    out
}

/// What of a lag can't be read now, and why.
fn write_waits(out: &mut String, snapshot: &Snapshot) {
    let is_now = |side: &&GroupSide| side.is_fresh(snapshot.now, snapshot.header.stale_after_ms);
    for g in &snapshot.groups {
        for waits in [&g.blue, &g.green].into_iter().filter(is_now).filter_map(|side| side.waits.as_ref()) {
            let _ = writeln!(out, "{} waits: {}", visible_name(&g.group), visible_text(waits));
        }
    }
}

/// `cutover status`.
#[must_use]
pub fn status(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    let (migration, controller) = (visible_name(&snapshot.header.migration), visible_name(&snapshot.header.controller));
    let _ = writeln!(out, "{migration}  controller {controller}");
    let untrusted = snapshot.why_untrusted(snapshot.now);
    write_phases(&mut out, snapshot, untrusted.as_ref());
    write_alarms(&mut out, snapshot, untrusted.as_ref());
    write_side(&mut out, &snapshot.blue, snapshot);
    write_side(&mut out, &snapshot.green, snapshot);
    write_groups(&mut out, snapshot);
    write_waits(&mut out, snapshot);
    write_soaks(&mut out, snapshot);
    if !snapshot.producers.is_empty() {
        write_producers(&mut out, snapshot);
    }
    if let Some(diff) = &snapshot.diff {
        let _ = writeln!(out, "\n{}", visible_text(&diff.describe_state()));
    }
    out
}

/// How far each phase is. `untrusted`: why nothing counts as proven now.
fn write_phases(out: &mut String, snapshot: &Snapshot, untrusted: Option<&String>) {
    for phase in &snapshot.phases {
        let note = phase.note.as_ref().or(untrusted);
        let progress = match (phase.total, phase.done, note) {
            (0, ..) => "–".to_owned(),
            (total, Some(done), None) => {
                let age = |at| format!(", looked {} ago", format_duration(snapshot.now.since(at)));
                format!("{done}/{total}{}", phase.at.map_or_else(String::new, age))
            }
            (total, Some(done), Some(note)) => format!("{done}/{total}, {}", visible_text(note)),
            (total, None, _) => format!("?/{total}: {}", visible_text(&phase.describe_progress())),
        };
        let _ = writeln!(out, "  {} {} {progress}", phase.number, visible_text(&phase.name));
    }
}

/// What a person has to know before the figures: that they are not the whole truth, and what is about to happen by itself.
fn write_alarms(out: &mut String, snapshot: &Snapshot, untrusted: Option<&String>) {
    if let Some(trouble) = &snapshot.header.journal_trouble {
        let _ = writeln!(out, "  ! the journal is not the whole truth: {}", visible_text(&trouble.what));
        if !trouble.advice.is_empty() {
            let _ = writeln!(out, "    {}", visible_text(&trouble.advice));
        }
    }
    if let Some(why) = untrusted {
        let _ = writeln!(out, "  ! nothing is ready or proven now: {}", visible_text(why));
    }
    for countdown in &snapshot.countdowns {
        let _ = writeln!(out, "  ! {}", visible_text(&countdown.describe_countdown(snapshot.now)));
    }
}

fn write_groups(out: &mut String, snapshot: &Snapshot) {
    let mut rows =
        vec![["group", "team", "stage", "[B] lag", "[G] lag", "way back", "next"].map(String::from).to_vec()];
    for g in &snapshot.groups {
        rows.push(vec![
            visible_name(&g.group),
            visible_name(&g.team),
            stage_word(g),
            describe_lag(&g.blue, snapshot),
            describe_lag(&g.green, snapshot),
            describe_way_back(&snapshot.way_back_of(g)),
            visible_text(snapshot.next_of(&g.next)),
        ]);
    }
    out.push('\n');
    out.push_str(&format_table(&rows));
}

fn write_producers(out: &mut String, snapshot: &Snapshot) {
    let mut rows =
        vec![["producer", "team", "flag", "[B] rec/s", "[G] rec/s", "on both", "next"].map(String::from).to_vec()];
    let rate = |r: Option<f64>| r.map_or_else(|| "-".to_owned(), |r| format!("{r:.1}"));
    for p in &snapshot.producers {
        rows.push(vec![
            visible_name(&p.name),
            visible_name(&p.team),
            describe_flag(p, snapshot),
            rate(p.observed.blue_rate),
            rate(p.observed.green_rate),
            visible_text(&describe_fidelity(p, snapshot)),
            visible_text(p.disagreement.as_deref().unwrap_or(snapshot.next_of(&p.next))),
        ]);
    }
    out.push('\n');
    out.push_str(&format_table(&rows));
}

/// What soaks are compared with, and every criterion and trigger of the groups that soak.
fn write_soaks(out: &mut String, snapshot: &Snapshot) {
    let mut gates = vec![["soaks", "criterion", "gate", "now", "held", "holes", "why"].map(String::from).to_vec()];
    let mut triggers = vec![["soaks", "trigger", "arm", "when", "state", "why"].map(String::from).to_vec()];
    for g in &snapshot.groups {
        gates.extend(g.gates.iter().map(|r| {
            let now = r.value.map_or_else(|| "-".to_owned(), |v| r.metric.format_value(v));
            vec![
                visible_name(&g.group),
                visible_text(&r.words),
                if r.judged { r.gate.word().to_owned() } else { "not judged".to_owned() },
                r.age_ms.map_or_else(|| now.clone(), |age| format!("{now}, {} ago", format_duration(age))),
                format!("{} of {}", format_duration(r.held_ms), format_duration(r.needed_ms)),
                r.holes.len().to_string(),
                visible_text(r.gate.why().unwrap_or_default()),
            ]
        }));
        triggers.extend(g.triggers.iter().map(|t| {
            let why = words::trigger_why(&t.state).unwrap_or_default();
            let t = (&t.trigger, words::trigger_word(&t.state).to_owned());
            vec![
                visible_name(&g.group),
                visible_name(&t.0.name),
                t.0.arm.to_string(),
                visible_text(&t.0.describe_condition()),
                t.1,
                visible_text(why),
            ]
        }));
    }
    let mut baselines = vec![["baseline", "of", "is"].map(String::from).to_vec()];
    for g in &snapshot.groups {
        let of = |b: &Baseline| vec![visible_name(&g.group), b.metric.label().to_owned(), b.describe_baseline()];
        baselines.extend(g.baselines.iter().map(of));
    }
    for rows in [baselines, gates, triggers].into_iter().filter(|rows| rows.len() > 1) {
        out.push('\n');
        out.push_str(&format_table(&rows));
    }
}

/// What samples say of a producer that writes to both: with the reason where there is none.
fn describe_fidelity(p: &ProducerRow, snapshot: &Snapshot) -> String {
    match &p.fidelity {
        Fidelity::NotDual => "-".to_owned(),
        not @ Fidelity::NotSampled { .. } => not.describe_fully(),
        some @ Fidelity::Sampled(_) => some.describe_briefly(snapshot.now, |ms| format!("{} s ago", ms / 1_000)),
    }
}

/// A moment as UTC clock time with its date, to the millisecond.
#[must_use]
pub(crate) fn format_moment(at: At) -> String {
    // What a producer made up may lie beyond any calendar.
    jiff::Timestamp::from_millisecond(at.0)
        .map_or_else(|_| format!("{} ms", at.0), |t| t.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string())
}
