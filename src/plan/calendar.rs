//! The migration calendar: which team moves what, when, in which window. Published weeks ahead (01-product).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::model::{Plan, WindowPlan};
use super::problem::nearest;
use super::reader::{Report, TableReader};
use super::schedule::DAYS;
use super::windows::{Opening, weekday};
use crate::migration::estate::At;

/// When a group or producer is planned to move (keys `date` and `window`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Appointment {
    /// Name of the window that it moves in.
    pub window: Option<String>,
    /// The day, as the window's zone has it (UTC without a window).
    pub date: Option<Date>,
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A producer.
    Producer,
    /// A consumer group.
    Group,
}

/// One move of the calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// What.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Owning team; empty when the plan names none.
    pub team: String,
    /// A hard cutover: an exactly-once producer.
    pub hard: bool,
    /// Name of the window.
    pub window: Option<String>,
    /// Time zone of `date`.
    pub zone: String,
    /// The day; `None`: not fixed yet.
    pub date: Option<Date>,
    /// When its window is open that day; without a window the whole day.
    pub opening: Option<Opening>,
    /// Until when blue is kept as its way back, counted from the end of the opening.
    pub blue_until: Option<At>,
}

/// A window with its openings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WindowDates {
    /// Name.
    pub name: String,
    /// IANA time zone.
    pub zone: String,
    /// Openings, in order.
    pub openings: Vec<Opening>,
}

/// The calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Calendar {
    /// Name of the migration.
    pub migration: String,
    /// Moves with a day, in order of time; then those without, by kind and name.
    pub moves: Vec<Move>,
    /// The openings of every window in the time that was asked for.
    pub windows: Vec<WindowDates>,
}

impl Plan {
    /// The calendar, with the openings of windows from `from` to `until`.
    #[must_use]
    pub fn calendar(&self, from: At, until: At) -> Calendar {
        let producers = self.producers.iter().map(|p| {
            let hard = !p.transactional_ids.blue.is_empty();
            self.entry((Kind::Producer, &p.name, &p.team, hard), &p.when, p.keep_blue_ms)
        });
        let groups = self
            .groups
            .iter()
            .map(|g| self.entry((Kind::Group, &g.name, &g.team, false), &g.when, g.limits.keep_blue_ms));
        let mut moves: Vec<Move> = producers.chain(groups).collect();
        moves.sort_by(|a, b| {
            let key = |m: &Move| (m.opening.is_none(), m.opening.map(|o| o.from), m.kind);
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        let windows = self.windows.iter().map(|w| WindowDates {
            name: w.name.clone(),
            zone: w.zone.clone(),
            openings: w.openings(from, until),
        });
        Calendar { migration: self.name.clone(), moves, windows: windows.collect() }
    }

    fn entry(&self, (kind, name, team, hard): (Kind, &str, &str, bool), when: &Appointment, keep: u64) -> Move {
        let window = when.window.as_ref().and_then(|name| self.windows.iter().find(|w| w.name == *name));
        let zone = window.map_or("UTC", |w| w.zone.as_str());
        let opening = when.date.and_then(|date| match window {
            Some(window) => on(window, date),
            None => whole(date, zone),
        });
        Move {
            kind,
            name: name.to_owned(),
            team: team.to_owned(),
            hard,
            window: when.window.clone(),
            zone: zone.to_owned(),
            date: when.date,
            opening,
            blue_until: opening.map(|o| o.to.plus(keep)),
        }
    }
}

/// The opening of a window that begins on a day.
fn on(window: &WindowPlan, date: Date) -> Option<Opening> {
    let day = whole(date, &window.zone)?;
    window.openings(day.from, day.to).into_iter().find(|o| o.from >= day.from)
}

fn whole(date: Date, zone: &str) -> Option<Opening> {
    let zone = TimeZone::get(zone).ok()?;
    let begin = |date: Date| Some(At(date.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()));
    Some(Opening { from: begin(date)?, to: begin(date.tomorrow().ok()?)? })
}

/// A moment as a clock of a zone shows it: `2026-12-06 02:00`.
#[must_use]
pub fn local(at: At, zone: &str) -> Option<String> {
    let zoned = Timestamp::from_millisecond(at.0).ok()?.to_zoned(TimeZone::get(zone).ok()?);
    Some(zoned.strftime("%Y-%m-%d %H:%M").to_string())
}

/// Reads `date` and `window` of a group or producer.
pub(super) fn appointment(t: &mut TableReader<'_>) -> Appointment {
    let window = t.name("window");
    let date = t.get("date").and_then(|field| {
        // TOML's own local date, without quotes, is as clear.
        let text = match field.value {
            toml::de::DeValue::Datetime(toml::value::Datetime { date: Some(date), time: None, offset: None }) => {
                date.to_string()
            }
            _ => field.string()?,
        };
        text.parse::<Date>().map_err(|_| field.error("not a day", Some("write date = \"2026-12-06\"".to_owned()))).ok()
    });
    Appointment { window, date }
}

/// A window that nobody defined, or that does not open that day, is a slip that would be found that night.
pub(super) fn check(plan: &Plan, report: &Report) {
    let producers = plan.producers.iter().enumerate().map(|(i, p)| ("producers", i, &p.when));
    let groups = plan.groups.iter().enumerate().map(|(i, g)| ("groups", i, &g.when));
    for (section, i, when) in producers.chain(groups) {
        let Some(name) = &when.window else { continue };
        let Some(window) = plan.windows.iter().find(|w| w.name == *name) else {
            let near = nearest(name, plan.windows.iter().map(|w| w.name.as_str()));
            let hint = near.map_or_else(|| "add a [[windows]] entry".to_owned(), |n| format!("did you mean {n:?}?"));
            report.error(&format!("{section}[{i}].window"), format!("no window is named {name:?}"), Some(hint));
            continue;
        };
        let Some(date) = when.date else { continue };
        let day = weekday(date);
        if !window.days.is_empty() && !window.days.contains(&day) {
            let word = |day: u8| DAYS.iter().find(|(_, n)| *n == day).map_or("?", |(word, _)| word);
            let days: Vec<&str> = window.days.iter().map(|d| word(*d)).collect();
            report.error(
                &format!("{section}[{i}].date"),
                format!("{date} is a {}, but {name:?} opens on {}", word(day), days.join(", ")),
                None,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
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
team = "books"
transactional_ids = { blue = ["l-1"], green = ["l-2"] }
window = "sunday-night"
date = "2026-12-06"
[[groups]]
name = "audit"
team = "risk"
window = "sunday-night"
date = 2026-11-29
[[groups]]
name = "later"
[[groups]]
name = "by-day"
date = "2026-12-01"
"#;

    fn plan(text: &str) -> Plan {
        Plan::parse(text, std::path::Path::new("cutover.toml")).unwrap_or_else(|p| panic!("{p}")).plan
    }

    #[test]
    fn moves_are_in_order_with_their_openings_and_the_way_back() {
        let at = |text: &str| At(text.parse::<Timestamp>().unwrap().as_millisecond());
        let calendar = plan(PLAN).calendar(at("2026-11-23T00:00:00Z"), at("2026-12-08T00:00:00Z"));
        let names: Vec<&str> = calendar.moves.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["audit", "by-day", "ledger", "later"]);
        let ledger = &calendar.moves[2];
        assert!(ledger.hard);
        let opening = Opening { from: at("2026-12-07T04:00:00Z"), to: at("2026-12-07T07:00:00Z") };
        assert_eq!(ledger.opening, Some(opening), "over midnight, in its own zone");
        assert_eq!(ledger.blue_until, Some(at("2026-12-10T07:00:00Z")), "72 h for an exactly-once producer");
        assert_eq!(local(opening.from, &ledger.zone).as_deref(), Some("2026-12-06 23:00"));
        assert_eq!(calendar.moves[1].opening.map(|o| o.from), Some(at("2026-12-01T00:00:00Z")));
        assert_eq!(calendar.windows[0].openings.len(), 3, "the one that touches the beginning counts");
    }

    #[test]
    fn what_can_not_be_kept_is_an_error_with_its_line() {
        let wrong = |from: &str, to: &str| {
            let problems = Plan::parse(&PLAN.replace(from, to), std::path::Path::new("p")).unwrap_err();
            problems.to_string()
        };
        let said = wrong("2026-12-06", "2026-12-07");
        assert!(said.contains("is a Mon, but \"sunday-night\" opens on Sun"), "{said}");
        let said = wrong("window = \"sunday-night\"\ndate = \"2026-12-06\"", "window = \"sunday-nigth\"");
        assert!(said.contains("did you mean \"sunday-night\"?"), "{said}");
        let said = wrong("\"2026-12-06\"", "\"next week\"");
        assert!(said.contains("not a day") && said.contains(":18:"), "{said}");
    }
}
