//! The screen of how green is set up beside blue: where its cursor is, and how it is opened.

use super::model::{Model, Screen, ScreenFocus};
use super::update::Cmd;
use crate::base::Observed;
use crate::snapshot::{Ask, ParityLine, ParityTable, ParityView};

/// The newest look, if there was one.
#[must_use]
pub(crate) fn newest_look(m: &Model) -> Option<&ParityView> {
    m.snapshot.as_ref()?.parity.as_ref()
}

/// What it came to.
#[must_use]
pub(crate) fn newest_table(m: &Model) -> Option<&ParityTable> {
    newest_look(m).and_then(|look| look.seen.value())
}

/// The line under the cursor, with its place.
#[must_use]
pub(crate) fn line_under_cursor(m: &Model) -> Option<(usize, &ParityLine)> {
    let lines = &newest_table(m)?.lines;
    let at = m.parity_at.min(lines.len().checked_sub(1)?);
    Some((at, &lines[at]))
}

/// Goes to the screen; who comes before anybody has looked has asked for a look.
pub(crate) fn go_to_parity(m: &mut Model) -> Vec<Cmd> {
    m.focus = ScreenFocus::Partitions;
    // Asked for while it is open, it must not lead back to itself.
    if m.screen != Screen::Parity {
        m.came_from = Some(std::mem::replace(&mut m.screen, Screen::Parity));
    }
    match newest_look(m) {
        None if m.snapshot.is_some() => vec![Cmd::Ask(Ask::LookAtSetup)],
        _ => Vec::new(),
    }
}

/// Looks again.
pub(crate) fn look_again(m: &mut Model) -> Vec<Cmd> {
    m.parity_at = 0;
    vec![Cmd::Ask(Ask::LookAtSetup)]
}

/// Whether a look is under way: a second one is not begun.
#[must_use]
pub(crate) fn is_looking(m: &Model) -> bool {
    newest_look(m).is_some_and(|look| look.looking)
}

/// Whether green is being set up.
#[must_use]
pub(crate) fn is_provisioning(m: &Model) -> bool {
    newest_look(m).is_some_and(ParityView::is_provisioning)
}

/// Why nothing is known of it, where a look came to nothing.
#[must_use]
pub(crate) fn why_not_seen(m: &Model) -> Option<&crate::base::Trouble> {
    match &newest_look(m)?.seen {
        Observed::Absent { why } => Some(why),
        Observed::Known { trouble, .. } => trouble.as_ref(),
    }
}
