//! Which table is shown, what the others hold, and how much waits for a person.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::Row;
use super::verify;
use crate::snapshot::{DiffState, Severity};
use crate::tui::calendar;
use crate::tui::model::{Model, Pane};
use crate::tui::theme::Role;

/// Draws the line of tabs.
pub fn draw(m: &Model, area: Rect, buf: &mut Buffer) {
    let mut row = Row::new(m.theme());
    for (i, pane) in Pane::ALL.into_iter().enumerate() {
        let (on, number) = (pane == m.pane, (i + 1).to_string());
        let (name, len) = match pane {
            Pane::Groups => ("groups", m.snapshot.as_ref().map(|s| s.groups.len())),
            Pane::Producers => ("producers", m.snapshot.as_ref().map(|s| s.producers.len())),
            Pane::Journal => ("journal", None),
            Pane::Notices => ("notices", m.snapshot.as_ref().map(|s| s.notices.len())),
        };
        let role = if on { Role::TabOn } else { Role::TabOff };
        let name = if on { name.to_uppercase() } else { name.to_owned() };
        row = row.gap(1).put(Role::Dim, number).gap(1).put(role, name);
        if let Some(len) = len {
            row = row.gap(1).put(if on { Role::Strong } else { notices_role(m, pane) }, len.to_string());
        }
        row = row.gap(1);
    }
    if let Some(d) = m.diff() {
        let (role, words) = match &d.state {
            DiffState::Running { progress, .. } => {
                let share = progress.as_ref().map_or(0.0, |p| p.share);
                (Role::Strong, format!("{:.0} %", share * 100.0))
            }
            DiffState::Stopped { .. } => (Role::Hold, "stopped".to_owned()),
            DiffState::Failed { .. } => (Role::Fail, "FAILED".to_owned()),
            DiffState::Done { result, .. } => (verify::verdict_role(result), result.said.clone()),
        };
        row = row.gap(1).put(Role::Dim, "5").gap(1).put(Role::TabOff, "diff").gap(1).put(role, words).gap(1);
    }
    let filter = m.filter(m.pane);
    if !filter.is_empty() {
        row =
            row.gap(1).put(Role::Hold, format!("/{filter}")).gap(1).put(Role::Dim, format!("{} shown", count_shown(m)));
    }
    let end = match m.count_needing_you() {
        0 => Row::new(m.theme()).put(Role::Dim, "needs you: 0"),
        n => Row::new(m.theme()).put(Role::Fail, format!("needs you: {n}")),
    };
    // Where there is room: that there is a calendar, and whether its time has come or was missed.
    let room = usize::from(area.width).saturating_sub(end.width() + 3);
    let counts = calendar::count_moves(&calendar::list_lines(m));
    let (role, count) = match counts {
        c if c.now > 0 => (Role::Strong, format!("{} now", c.now)),
        c if c.missed > 0 => (Role::Fail, format!("{} missed", c.missed)),
        _ => (Role::TabOff, String::new()),
    };
    let named = Row::new(m.theme()).gap(1).put(Role::Dim, "6").gap(1).put(role, "calendar").gap(1);
    if row.width() + named.width() <= room {
        row = row.then(named);
        if row.width() + count.len() < room {
            row = row.put(role, count);
        }
    }
    row.put_at_end(end, usize::from(area.width) - 1).draw(area, 0, buf);
}

fn notices_role(m: &Model, pane: Pane) -> Role {
    let worst = m.snapshot.as_ref().and_then(|s| s.notices.iter().map(|n| n.severity).max());
    match worst {
        Some(Severity::Fail) if pane == Pane::Notices => Role::Fail,
        Some(Severity::Warn) if pane == Pane::Notices => Role::Hold,
        _ => Role::TabOff,
    }
}

fn count_shown(m: &Model) -> usize {
    match m.pane {
        Pane::Groups => m.groups().len(),
        Pane::Producers => m.producers().len(),
        Pane::Journal => m.journal().len(),
        Pane::Notices => m.notices().len(),
    }
}
