//! Asking for a diff: what is compared, and over which range. Plain values; the controller does it.

use super::choose::parse_moment;
use super::dialog::AskPurpose;
use super::model::{Model, Overlay, Screen, ScreenFocus, Tone};
use super::update::Cmd;
use crate::base::At;
use crate::migration::facts::command::Subject;
use crate::snapshot::{Ask, DiffAdvice, DiffSpan, DiffState, DiffView, DiffWhat};

/// Which records, in the dialog: in words, and how long ago they begin, ms (`None`: where both logs do).
pub(crate) const RANGES: [(&str, Option<u64>); 5] = [
    ("everything that both logs hold", None),
    ("the last 15 minutes", Some(15 * MINUTE)),
    ("the last hour", Some(60 * MINUTE)),
    ("the last 6 hours", Some(6 * 60 * MINUTE)),
    ("the last 24 hours", Some(24 * 60 * MINUTE)),
];
const MINUTE: u64 = 60_000;

/// What the words after a name may be.
const USAGE: &str = "write `verify NAME`, or `verify NAME --from 1h`, `--from 2026-11-22T02:00:00Z --to 30m`";

/// What a diff would be about from where the person is.
#[must_use]
pub(crate) fn subject_to_compare(m: &Model) -> Option<DiffWhat> {
    match &m.screen {
        Screen::Verify => m.diff().map(|d| d.what.clone()),
        Screen::Partition(_) => m.partition.as_ref().map(|tp| DiffWhat::Topics(vec![tp.topic.clone()])),
        _ => match m.current_subject()? {
            Subject::Group(group) => Some(DiffWhat::Group(group)),
            Subject::Producer(producer) => Some(DiffWhat::Producer(producer)),
            Subject::Migration | Subject::Cluster(_) => None,
        },
    }
}

/// The range of the dialog's line.
#[must_use]
pub(crate) fn span_of_range(selected: usize, now: At) -> DiffSpan {
    match RANGES.get(selected).and_then(|(_, ago)| *ago) {
        Some(ago) => DiffSpan::Times { from: now.0.saturating_sub(ago.cast_signed()).max(0), to: None },
        None => DiffSpan::Comparable,
    }
}

/// The range that was typed after a name: nothing, or `--from MOMENT [--to MOMENT]`, a moment being a time or so long
/// ago (`1h`).
///
/// # Errors
/// It is none: what to type instead.
pub(crate) fn parse_typed_range(typed: &str, now: At) -> Result<DiffSpan, String> {
    let at = |word: Option<&str>| {
        let word = word.ok_or_else(|| USAGE.to_owned())?;
        // A moment begins with a digit as well, and is no time span.
        let ago = word.starts_with(|c: char| c.is_ascii_digit()) && word.parse::<jiff::SignedDuration>().is_ok();
        let word = if ago { format!("-{word}") } else { word.to_owned() };
        parse_moment(&word, now)?.ok_or_else(|| USAGE.to_owned())
    };
    let (mut from, mut to) = (None, None);
    let mut words = typed.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "--from" if from.is_none() => from = Some(at(words.next())?),
            "--to" if to.is_none() => to = Some(at(words.next())?),
            _ => return Err(USAGE.to_owned()),
        }
    }
    match (from, to) {
        (None, None) => Ok(DiffSpan::Comparable),
        (None, Some(_)) => Err(USAGE.to_owned()),
        (Some(from), Some(to)) if to <= from => Err("--to is not after --from".to_owned()),
        (Some(from), to) => Ok(DiffSpan::Times { from: from.0, to: to.map(|at| at.0) }),
    }
}

/// Opens the dialog that asks for the range.
pub(crate) fn ask_range(m: &mut Model, what: DiffWhat) -> Vec<Cmd> {
    m.overlay = Some(Overlay::Range { what, selected: 0 });
    Vec::new()
}

/// Sends for a diff, and shows its screen.
pub(crate) fn start_diff(m: &mut Model, what: DiffWhat, span: DiffSpan, resume: bool) -> Vec<Cmd> {
    let id = m.ask_id(AskPurpose::Seen);
    let actor = m.options.actor.clone();
    go_to_diff(m);
    m.diff_at = 0;
    vec![Cmd::Ask(Ask::StartDiff { id, what, span, resume, actor })]
}

/// Goes to the screen of the diff.
pub(crate) fn go_to_diff(m: &mut Model) {
    m.focus = ScreenFocus::Partitions;
    // Asked for while it is open, it must not lead back to itself.
    if m.screen != Screen::Verify {
        m.came_from = Some(std::mem::replace(&mut m.screen, Screen::Verify));
    }
}

/// Stops the diff that runs.
pub(crate) fn stop_diff(m: &mut Model) -> Vec<Cmd> {
    let id = m.ask_id(AskPurpose::Seen);
    m.show_message(Tone::Plain, "stopping; what was read is kept");
    vec![Cmd::Ask(Ask::StopDiff { id })]
}

/// The command of a finished diff that carries what is missing.
#[must_use]
pub(crate) fn replay_command(view: &DiffView) -> Option<&str> {
    match &view.state {
        DiffState::Done { result, .. } => result.next.iter().find_map(|next| match next {
            DiffAdvice::Command(line) => Some(line.as_str()),
            DiffAdvice::Words(_) => None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: At = At(1_772_373_731_000);

    #[test]
    fn a_range_is_typed_as_moments_or_so_long_ago() {
        let times = |from: i64, to: Option<i64>| Ok(DiffSpan::Times { from: NOW.0 - from, to: to.map(|t| NOW.0 - t) });
        assert_eq!(parse_typed_range("", NOW), Ok(DiffSpan::Comparable));
        assert_eq!(parse_typed_range("--from 1h", NOW), times(3_600_000, None));
        assert_eq!(parse_typed_range(" --from -2h --to 30m ", NOW), times(7_200_000, Some(1_800_000)));
        assert_eq!(parse_typed_range("--to 1m --from 2026-03-01T13:02:11Z", NOW), times(3_600_000, Some(60_000)));
        for wrong in ["1h", "--from", "--to 1h", "--from 1h --to 2h", "--from 1h --from 2h", "--from tomorrow", "--x"] {
            assert!(parse_typed_range(wrong, NOW).is_err(), "{wrong}");
        }
    }
}
