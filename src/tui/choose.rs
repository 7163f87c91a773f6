//! Choosing how a group's offsets are found: the strategies, the moment that one of them goes by, and the reason that
//! every choice but the plan's own needs.

use strum::IntoEnumIterator as _;
use tui_input::Input;

use crate::base::{At, Side};
use crate::offsets::{Chosen, Strategy};

/// What is asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChoiceStep {
    /// Which strategy.
    Strategy,
    /// Which moment `timestamp` goes by.
    Moment,
    /// Why not the plan's own.
    Reason,
}

/// A choice under way.
#[derive(Debug, Clone)]
pub struct Choose {
    /// Group.
    pub group: String,
    /// The side whose offsets are set.
    pub to: Side,
    /// What is asked now.
    pub step: ChoiceStep,
    /// Index into [`list_options`].
    pub selected: usize,
    /// The moment, once it was typed; `None`: each partition's own.
    pub at: Option<At>,
    /// The moment or the reason, as it is typed.
    pub input: Input,
    /// What was wrong with what was typed.
    pub remark: Option<String>,
}

/// What can be chosen: the plan's own strategies (`None`), then each by its name.
#[must_use]
pub(crate) fn list_options() -> Vec<Option<Strategy>> {
    std::iter::once(None).chain(Strategy::iter().map(Some)).collect()
}

/// What it rests on and what it costs, in a line.
#[must_use]
pub(crate) fn describe_option(option: Option<Strategy>) -> &'static str {
    match option {
        None => "what the plan says for each topic",
        Some(Strategy::Auto) => "the strongest evidence there is, verified by record contents",
        Some(Strategy::Align) => "dual-written topics: by record contents",
        Some(Strategy::Seam) => "producers that were cut hard: where the journal says they stopped",
        Some(Strategy::Identity) => "mirrored byte for byte: the same offset, spot-checked by content",
        Some(Strategy::Mm2) => "MirrorMaker 2's checkpoints, improved by record contents",
        Some(Strategy::Timestamp) => "the first record at or after a moment: a guess",
        Some(Strategy::Latest) => "the end: skips everything that is not consumed",
        Some(Strategy::Earliest) => "the start: reads everything that is there again",
    }
}

/// What stands in the way of a typed moment.
const MOMENT: &str = "write 2026-11-22T02:00:00Z, or -2h for two hours ago";

impl Choose {
    /// A choice for a group's offsets on a side; the plan's own strategies are under the cursor.
    #[must_use]
    pub fn new(group: String, to: Side) -> Self {
        Self { group, to, step: ChoiceStep::Strategy, selected: 0, at: None, input: Input::default(), remark: None }
    }

    /// The strategy under the cursor.
    #[must_use]
    pub(crate) fn selected_strategy(&self) -> Option<Strategy> {
        list_options().get(self.selected).copied().flatten()
    }

    /// Takes what was chosen or typed. `Some` when nothing is left to ask: the choice, `None` for the plan's own.
    pub(crate) fn accept_answer(&mut self, now: At) -> Option<Option<Chosen>> {
        self.remark = None;
        let typed = self.input.value().trim().to_owned();
        match (self.step, self.selected_strategy()) {
            (ChoiceStep::Strategy, None) => return Some(None),
            (ChoiceStep::Strategy, Some(Strategy::Timestamp)) => self.step = ChoiceStep::Moment,
            (ChoiceStep::Strategy, Some(_)) => self.step = ChoiceStep::Reason,
            (ChoiceStep::Moment, _) => match parse_moment(&typed, now) {
                Ok(at) => (self.at, self.step) = (at, ChoiceStep::Reason),
                Err(why) => {
                    self.remark = Some(why);
                    return None;
                }
            },
            (ChoiceStep::Reason, _) if typed.is_empty() => {
                self.remark = Some("type why: it is journalled, and the next person reads it".to_owned());
                return None;
            }
            (ChoiceStep::Reason, Some(strategy)) => return Some(Some(Chosen { strategy, at: self.at, reason: typed })),
            (ChoiceStep::Reason, None) => return Some(None),
        }
        self.input = Input::default();
        None
    }
}

/// A typed moment: RFC 3339, so long ago (`-2h`, `-90m`, `-36h`), or nothing for each partition's own.
///
/// # Errors
/// It is neither, it is before 1970, or it is still to come: what to type instead.
pub(crate) fn parse_moment(typed: &str, now: At) -> Result<Option<At>, String> {
    if typed.is_empty() {
        return Ok(None);
    }
    let at = match typed.strip_prefix('-') {
        Some(ago) => {
            let ms = ago.parse::<jiff::SignedDuration>().ok().map(|d| d.as_millis());
            // A second minus would turn "ago" into "ahead".
            let ms = ms.and_then(|ms| i64::try_from(ms).ok()).filter(|ms| *ms >= 0);
            At(now.0.saturating_sub(ms.ok_or_else(|| format!("`{typed}` is no time span: {MOMENT}"))?))
        }
        None => {
            let at = typed.parse::<jiff::Timestamp>();
            At(at.map_err(|_| format!("`{typed}` is no moment with a time zone: {MOMENT}"))?.as_millisecond())
        }
    };
    match at {
        At(..0) => Err(format!("that is before 1970: {MOMENT}")),
        at if at > now => Err("that is still to come".to_owned()),
        at => Ok(Some(at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: At = At(1_772_373_731_000);

    #[test]
    fn a_moment_is_a_timestamp_or_so_long_ago() {
        let ago = |ms: i64| Ok(Some(At(NOW.0 - ms)));
        assert_eq!(parse_moment("", NOW), Ok(None), "each partition's own");
        assert_eq!(parse_moment("-2h", NOW), ago(7_200_000));
        assert_eq!(parse_moment("-1h 30m", NOW), ago(5_400_000));
        assert_eq!(parse_moment("-90s", NOW), ago(90_000));
        assert_eq!(parse_moment("2026-03-01T13:02:11Z", NOW), ago(3_600_000));
        assert_eq!(parse_moment("2026-03-01T08:02:11-05:00", NOW), ago(3_600_000));
        for wrong in ["2h", "-", "yesterday", "2026-03-01", "2026-03-01T13:02:11", "--2h", "-9999999999h", "\u{1b}"] {
            assert!(parse_moment(wrong, NOW).is_err(), "{wrong}");
        }
        assert!(parse_moment("2027-03-01T13:02:11Z", NOW).is_err(), "still to come");
        assert!(parse_moment("1960-01-01T00:00:00Z", NOW).is_err(), "before Kafka's time");
    }

    #[test]
    fn every_choice_but_the_plans_needs_a_reason_and_a_timestamp_a_moment() {
        let mut c = Choose::new("g".into(), Side::Green);
        assert_eq!(c.accept_answer(NOW), Some(None), "the plan's own");
        c.selected = list_options().iter().position(|o| *o == Some(Strategy::Timestamp)).unwrap();
        assert_eq!((c.accept_answer(NOW), c.step), (None, ChoiceStep::Moment));
        c.input = Input::new("-2x".into());
        assert_eq!((c.accept_answer(NOW), c.step), (None, ChoiceStep::Moment));
        assert!(c.remark.is_some());
        c.input = Input::new("-2h".into());
        assert_eq!((c.accept_answer(NOW), c.step, c.input.value()), (None, ChoiceStep::Reason, ""));
        assert_eq!(c.accept_answer(NOW), None, "a reason is missing");
        c.input = Input::new(" the audit asks for it ".into());
        let chosen = Chosen {
            strategy: Strategy::Timestamp,
            at: Some(At(NOW.0 - 7_200_000)),
            reason: "the audit asks for it".into(),
        };
        assert_eq!(c.accept_answer(NOW), Some(Some(chosen)));
    }
}
