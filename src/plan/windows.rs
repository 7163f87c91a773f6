//! When cutover windows open and close, as their time zones have it: daylight saving time included.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::model::WindowPlan;
use crate::base::At;

/// How far ahead the next opening is looked for, days: a window opens every week, and one that a change of the clocks
/// swallows opens a week later.
const AHEAD_DAYS: i64 = 22;

/// One opening of a window: from the first to the second, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// It opens.
    pub from: At,
    /// It closes.
    pub to: At,
}

impl WindowPlan {
    /// Until when it is open now; `None` while it is closed.
    #[must_use]
    pub fn open_until(&self, now: At) -> Option<At> {
        // a window lasts less than a day: whatever is open now has opened yesterday or today, in any zone
        let openings = self.openings(At(now.0.saturating_sub(3 * DAY_MS)), now.plus(1));
        openings.into_iter().find(|o| o.from <= now && now < o.to).map(|o| o.to)
    }

    /// When it opens next after now; `None` when that can't be told (no time zone database, a moment beyond all years).
    #[must_use]
    pub(crate) fn opens_next(&self, now: At) -> Option<At> {
        let end = At(now.0.saturating_add(AHEAD_DAYS * DAY_MS));
        self.openings(now, end).into_iter().map(|o| o.from).find(|from| *from > now)
    }

    /// Every opening that touches the time from `from` to `until` (not included), in order. A local time that the clocks
    /// skip moves on by the hour that is skipped; one that they repeat is the first of the two. A window that is skipped
    /// whole does not open that day.
    #[must_use]
    pub(crate) fn openings(&self, from: At, until: At) -> Vec<Opening> {
        let Ok(zone) = TimeZone::get(&self.zone) else { return Vec::new() };
        let (Some(first), Some(last)) = (local_date(from, &zone), local_date(until, &zone)) else { return Vec::new() };
        // it may have opened the day before `from`, and last over midnight
        let mut day = first.yesterday().unwrap_or(first);
        let mut found = Vec::new();
        while day <= last {
            if self.days.contains(&iso_weekday(day))
                && let Some(opening) = self.opening_on(day, &zone)
                && opening.to > from
                && opening.from < until
            {
                found.push(opening);
            }
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        found
    }

    fn opening_on(&self, day: Date, zone: &TimeZone) -> Option<Opening> {
        let closes = if self.to_minute <= self.from_minute { day.tomorrow().ok()? } else { day };
        let opening = Opening {
            from: local_moment(day, self.from_minute, zone)?,
            to: local_moment(closes, self.to_minute, zone)?,
        };
        (opening.from < opening.to).then_some(opening)
    }
}

const DAY_MS: i64 = 86_400_000;

fn local_date(at: At, zone: &TimeZone) -> Option<Date> {
    Some(Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone.clone()).date())
}

/// ISO number: 1 Monday to 7 Sunday.
pub(super) fn iso_weekday(day: Date) -> u8 {
    u8::try_from(day.weekday().to_monday_one_offset()).unwrap_or(0)
}

fn local_moment(day: Date, minute: u16, zone: &TimeZone) -> Option<At> {
    let hour = i8::try_from(minute / 60).ok()?;
    let time = Time::new(hour, i8::try_from(minute % 60).ok()?, 0, 0).ok()?;
    Some(At(day.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[u8], from: u16, to: u16, zone: &str) -> WindowPlan {
        WindowPlan {
            name: "w".into(),
            days: days.into(),
            from_minute: from * 60,
            to_minute: to * 60,
            zone: zone.into(),
        }
    }

    fn at(text: &str) -> At {
        At(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_window_is_open_in_its_own_zone_and_the_end_is_outside() {
        let sunday = window(&[7], 2, 4, "America/New_York");
        // 2026-11-22 is a Sunday; New York is at -05:00
        assert_eq!(sunday.open_until(at("2026-11-22T06:59:59Z")), None);
        assert_eq!(sunday.opens_next(at("2026-11-22T06:59:59Z")), Some(at("2026-11-22T07:00:00Z")));
        assert_eq!(sunday.open_until(at("2026-11-22T07:00:00Z")), Some(at("2026-11-22T09:00:00Z")));
        assert_eq!(sunday.open_until(at("2026-11-22T08:59:59.999Z")), Some(at("2026-11-22T09:00:00Z")));
        assert_eq!(sunday.open_until(at("2026-11-22T09:00:00Z")), None);
        assert_eq!(
            sunday.opens_next(at("2026-11-22T07:00:00Z")),
            Some(at("2026-11-29T07:00:00Z")),
            "the one after this"
        );
    }

    #[test]
    fn a_window_may_last_over_midnight() {
        let late = window(&[6], 23, 3, "UTC");
        // Saturday 2026-11-21 23:00 to Sunday 03:00
        assert_eq!(late.open_until(at("2026-11-22T01:00:00Z")), Some(at("2026-11-22T03:00:00Z")));
        assert_eq!(late.open_until(at("2026-11-21T01:00:00Z")), None, "it did not open on Friday");
        let all_week = window(&[1, 2, 3, 4, 5, 6, 7], 23, 1, "Pacific/Kiritimati");
        assert_eq!(all_week.openings(at("2026-11-01T00:00:00Z"), at("2026-11-08T00:00:00Z")).len(), 7);
    }

    #[test]
    fn when_clocks_go_forward_a_window_keeps_its_length_or_does_not_open() {
        // New York skips 02:00 to 03:00 on 2026-03-08
        let skipped = window(&[7], 2, 3, "America/New_York");
        let day = (at("2026-03-08T00:00:00Z"), at("2026-03-09T00:00:00Z"));
        assert_eq!(skipped.openings(day.0, day.1), []);
        assert_eq!(skipped.opens_next(at("2026-03-08T00:00:00Z")), Some(at("2026-03-15T06:00:00Z")));
        let over = window(&[7], 1, 4, "America/New_York");
        let opening = over.openings(day.0, day.1);
        assert_eq!(opening, [Opening { from: at("2026-03-08T06:00:00Z"), to: at("2026-03-08T08:00:00Z") }]);
    }

    #[test]
    fn when_clocks_go_back_the_first_of_two_hours_counts() {
        // Berlin repeats 02:00 to 03:00 on 2026-10-25: 00:00Z and 01:00Z
        let repeated = window(&[7], 2, 3, "Europe/Berlin");
        assert_eq!(repeated.open_until(at("2026-10-25T00:30:00Z")), Some(at("2026-10-25T02:00:00Z")));
    }

    #[test]
    fn an_unknown_zone_opens_nothing() {
        let nowhere = window(&[1, 2, 3, 4, 5, 6, 7], 0, 23, "Nowhere/City");
        assert_eq!((nowhere.open_until(At(0)), nowhere.opens_next(At(0))), (None, None));
        assert_eq!(window(&[1], 0, 1, "UTC").opens_next(At(i64::MAX - 5)), None);
    }
}
