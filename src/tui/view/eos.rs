//! A hard cutover: its gates row by row, where the producer stands, and what keeps the side out that it left.

use super::line::Row;
use crate::base::sanitise::visible_name;
use crate::migration::eos::gate::HardGateRow as GateRow;
use crate::migration::eos::{EosView, FencedId, PartitionSeam};
use crate::migration::facts::stage::{SideState, Stage};
use crate::migration::rules::gate::Gate;
use crate::tui::model::Model;
use crate::tui::theme::{Glyph, Role};
use crate::tui::{text, words};

/// Cells of a gate's word with the gap after it.
const WORD: usize = 6;
/// Cells of an age with the gap before it.
const AGE: usize = 6;

/// A gate's word, and how it looks.
fn describe_gate(gate: &Gate) -> (Role, &'static str) {
    match gate {
        Gate::Pass => (Role::Ok, "PASS"),
        Gate::Hold { .. } => (Role::Hold, "HOLD"),
        Gate::Fail { .. } => (Role::Fail, "FAIL"),
        Gate::Unknown { .. } => (Role::Unknown, "????"),
    }
}

/// The rows of a gate: the word, what must be true, the measured value with its age; or why it is not, which comes first.
/// With `advice` what does not pass says in a line of its own what can be done.
pub(crate) fn gate_rows<'t>(m: &'t Model, rows: &[GateRow], cells: usize, advice: bool) -> Vec<Row<'t>> {
    let (pass, not): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.gate.passes());
    not.into_iter().chain(pass).flat_map(|row| gate_row(m, row, cells, advice)).collect()
}

fn gate_row<'t>(m: &'t Model, row: &GateRow, cells: usize, advice: bool) -> Vec<Row<'t>> {
    let theme = m.theme();
    let ellipsis = theme.glyph(Glyph::Ellipsis);
    let (role, name) = describe_gate(&row.gate);
    let what = (cells.saturating_sub(WORD + AGE) * 45 / 100).max(20);
    let value = cells.saturating_sub(WORD + what + 1 + AGE);
    let age = row.at.map(|at| words::describe_age(m.clock(), at, m.stale_after()));
    let (age_role, age) = age.unwrap_or((Role::Dim, String::new()));
    let line = |first: bool, words: &str, role_of: Role| {
        let head = Row::new(theme);
        let head = match first {
            true => head.left(role, name, WORD).left(Role::Text, text::cut(&row.what, what, ellipsis), what),
            false => head.gap(WORD + what),
        };
        head.gap(1).left(role_of, words, value)
    };
    let why = row.gate.why();
    let shown = why.unwrap_or(&row.value);
    let most = if why.is_some() { 3 } else { 1 };
    let mut lines = text::wrap(shown, value, most, ellipsis);
    if lines.is_empty() {
        lines.push(String::new());
    }
    let in_role = if why.is_some() { role } else { Role::Dim };
    let mut out = Vec::new();
    for (i, words) in lines.iter().enumerate() {
        let drawn = line(i == 0, words, in_role);
        out.push(if i == 0 { drawn.right(age_role, &age, AGE) } else { drawn });
    }
    if advice && why.is_some() && !row.advice.is_empty() {
        let lines = text::wrap(&row.advice, value, 2, ellipsis);
        out.extend(lines.iter().map(|l| line(false, l, Role::Text)));
    }
    out
}

/// All rows of a gate in one: `PASS  all 10 rows of the gate, the oldest 2s old`; `None` without rows.
pub(crate) fn gate_line<'t>(m: &'t Model, rows: &[GateRow]) -> Option<Row<'t>> {
    let theme = m.theme();
    let oldest = rows.iter().filter_map(|r| r.at).min().map(|at| words::describe_age(m.clock(), at, m.stale_after()));
    let not = rows.iter().find(|r| !r.gate.passes());
    let (role, name) = not.map_or((Role::Ok, "PASS"), |r| describe_gate(&r.gate));
    let words = match not {
        None => format!("all {} rows of the gate", rows.len()),
        Some(row) => format!("{}: {}", row.what, row.gate.why().unwrap_or_default()),
    };
    let row = Row::new(theme).left(role, name, WORD).put(Role::Text, words);
    let row = match oldest {
        Some((role, age)) => row.put(Role::Dim, ", the oldest ").put(role, age).put(Role::Dim, " old; values below"),
        None => row,
    };
    (!rows.is_empty()).then_some(row)
}

/// `e is locked: 1 hold, 1 fail, 1 unknown`; `None` when every row passes.
pub(crate) fn describe_locks(rows: &[GateRow]) -> Option<String> {
    let count = |of: fn(&Gate) -> bool| rows.iter().filter(|r| of(&r.gate)).count();
    let counts = [
        (count(|g| matches!(g, Gate::Hold { .. })), "hold"),
        (count(|g| matches!(g, Gate::Fail { .. })), "fail"),
        (count(|g| matches!(g, Gate::Unknown { .. })), "unknown"),
    ];
    let words: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    (!words.is_empty()).then(|| format!("e is locked: {}", words.join(", ")))
}

/// Where it stands: a few lines with a label each.
pub(crate) fn standing_lines<'t>(
    m: &'t Model,
    eos: &EosView,
    side_state: Option<&SideState>,
    cells: usize,
) -> Vec<Row<'t>> {
    let theme = m.theme();
    let ellipsis = theme.glyph(Glyph::Ellipsis);
    let labelled = |label: &'static str| Row::new(theme).gap(1).left(Role::Dim, label, 14);
    let mut rows = Vec::new();
    let stands = labelled("stands").mark(eos.on).gap(1);
    let now = m.clock();
    rows.push(match &eos.stage {
        Stage::OnBlue => stands.put(Role::Text, "on blue; nothing is under way"),
        Stage::Moving { phase, .. } => stands.put(Role::Strong, format!("moving to {}: {phase}", eos.to)),
        Stage::Soaking { since } => {
            let kept = eos.kept_until.map(|until| match until.since(now) {
                0 => "; blue was kept long enough: d declares it done".to_owned(),
                left => format!("; blue is kept {} more", text::format_duration(left)),
            });
            let soaked = text::format_duration(now.since(*since));
            stands.put(Role::Text, format!("soaking {soaked}{}", kept.unwrap_or_default()))
        }
        Stage::Complete { .. } => stands.put(Role::Ok, "complete: blue is not kept any longer"),
        Stage::RolledBack { at } => {
            stands.put(Role::Hold, format!("rolled back {} ago", text::format_duration(now.since(*at))))
        }
    });
    if !eos.fenced.is_empty() && !matches!(eos.stage, Stage::OnBlue) {
        let left = eos.on.other();
        let words = match eos.denied {
            true => "FENCED, and denied by ACL",
            false => "FENCED (current instances only); a restarted one is alarmed",
        };
        let ids: Vec<String> = eos.fenced.iter().map(describe_fenced).collect();
        let head =
            labelled("the side left").mark(left).gap(1).put(if eos.denied { Role::Ok } else { Role::Hold }, words);
        rows.push(head);
        let ids = text::cut(&ids.join(", "), cells.saturating_sub(16), ellipsis);
        rows.push(labelled("").put(Role::Dim, ids));
    }
    if let Some((_, seams)) = &eos.seam {
        let words = text::cut(&describe_seams(seams), cells.saturating_sub(16), ellipsis);
        rows.push(labelled("seam").put(Role::Text, words));
    }
    if let Some(n) = eos.green_only.filter(|_| matches!(eos.stage, Stage::Soaking { .. })) {
        let words = format!("{} offsets; e carries them back to blue, E leaves them behind", text::format_count(n));
        rows.push(labelled("green alone").put(Role::Text, text::cut(&words, cells.saturating_sub(16), ellipsis)));
    }
    if let Some(by) = &eos.approved_by {
        rows.push(labelled("approved").put(Role::Ok, format!("by {}", visible_name(by))));
    }
    if let Some(SideState::NeedsOperator { why, advice }) = side_state {
        let lines = text::wrap(&words::to_sentence(why, advice), cells.saturating_sub(16), 4, ellipsis);
        for (i, line) in lines.into_iter().enumerate() {
            rows.push(labelled(if i == 0 { "ALARM" } else { "" }).put(Role::Fail, line));
        }
    }
    rows
}

/// `ledger-1 pid 4001 epoch 12`
fn describe_fenced(f: &FencedId) -> String {
    format!("{} pid {} epoch {}", visible_name(&f.id), f.producer_id, f.epoch)
}

/// `postings-0 4711 to 12`: where one side ends, and the other begins.
fn describe_seams(seams: &[PartitionSeam]) -> String {
    let words = |s: &PartitionSeam| format!("{} {} to {}", s.tp, s.source, s.target);
    seams.iter().map(words).collect::<Vec<_>>().join(", ")
}
