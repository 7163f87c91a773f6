//! The migration calendar: which team moves what, when, in which window. Published weeks ahead.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::model::{Plan, WindowPlan};
use super::problem::find_nearest;
use super::reader::{Report, TableReader};
use super::schedule::DAYS;
pub(crate) use super::windows::Opening;
use super::windows::iso_weekday;
use crate::base::At;
use crate::base::sanitise::{quoted_name, visible_name};
use crate::migration::facts::settings::Slot;

/// When a group or producer is planned to move (keys `date` and `window`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Appointment {
    /// Name of the window that it moves in.
    pub window: Option<String>,
    /// The day, as the window's zone has it (UTC without a window).
    pub date: Option<Date>,
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MoveKind {
    /// A producer.
    Producer,
    /// A consumer group.
    Group,
}

/// One move of the calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// What.
    pub kind: MoveKind,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowDates {
    /// Name.
    pub name: String,
    /// IANA time zone.
    pub zone: String,
    /// Openings, in order.
    pub openings: Vec<Opening>,
}

/// Two moves that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// An exactly-once producer.
    pub producer: String,
    /// A group that depends on it.
    pub group: String,
    /// What contradicts what, names made visible.
    pub what: String,
    /// What to write instead.
    pub advice: String,
}

/// The calendar.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Calendar {
    /// Name of the migration.
    pub migration: String,
    /// Moves with a day, in order of time; then those without, by kind and name.
    pub moves: Vec<Move>,
    /// The openings of every window in the time that was asked for.
    pub windows: Vec<WindowDates>,
    /// Moves that contradict each other, by producer and group.
    #[serde(default)]
    pub conflicts: Vec<Conflict>,
}

/// When a move is due, seen from a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveTiming {
    /// Its time is now.
    Now {
        /// For how long still, ms.
        left_ms: u64,
    },
    /// Its time comes.
    In {
        /// How long still, ms.
        ms: u64,
    },
    /// Its time is over.
    Missed {
        /// For how long, ms.
        ms: u64,
    },
    /// It has no day.
    NoDay {
        /// The next opening of its window, or the one that is open now, when it has one that opens within the calendar.
        opens: Option<Opening>,
    },
}

impl Conflict {
    /// What contradicts what, and what to write instead.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{}; {}", self.what, self.advice)
    }

    /// Whether it is about this move.
    #[must_use]
    pub(crate) fn concerns(&self, planned: &Move) -> bool {
        match planned.kind {
            MoveKind::Producer => planned.name == self.producer,
            MoveKind::Group => planned.name == self.group,
        }
    }
}

impl Calendar {
    /// When one of its moves is due.
    #[must_use]
    pub(crate) fn timing_of(&self, planned: &Move, now: At) -> MoveTiming {
        match planned.opening {
            Some(o) if now < o.from => MoveTiming::In { ms: o.from.since(now) },
            Some(o) if now < o.to => MoveTiming::Now { left_ms: o.to.since(now) },
            Some(o) => MoveTiming::Missed { ms: now.since(o.to) },
            None => {
                let window = planned.window.as_ref().and_then(|name| self.windows.iter().find(|w| w.name == *name));
                MoveTiming::NoDay { opens: window.and_then(|w| w.openings.iter().copied().find(|o| o.to > now)) }
            }
        }
    }
}

impl Plan {
    /// The calendar, with the openings of windows from `from` to `until`.
    #[must_use]
    pub fn calendar(&self, from: At, until: At) -> Calendar {
        let producers = self.producers.iter().map(|p| {
            let hard = !p.transactional_ids.blue.is_empty();
            self.make_move((MoveKind::Producer, &p.name, &p.team, hard), &p.when, p.keep_blue_ms)
        });
        let groups = self
            .groups
            .iter()
            .map(|g| self.make_move((MoveKind::Group, &g.name, &g.team, false), &g.when, g.limits.keep_blue_ms));
        let mut moves: Vec<Move> = producers.chain(groups).collect();
        moves.sort_by(|a, b| {
            // `None` is less than any `Some`: without the first part moves without a day would lead the list.
            let key = |m: &Move| (m.opening.is_none(), m.opening.map(|o| o.from), m.kind);
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        let windows = self.windows.iter().map(|w| WindowDates {
            name: w.name.clone(),
            zone: w.zone.clone(),
            openings: w.openings(from, until),
        });
        let windows = windows.collect();
        let conflicts = self.find_conflicts(&moves);
        Calendar { migration: self.name.clone(), moves, windows, conflicts }
    }

    /// What can be told from the plan alone: a group that a hard cutover moves along has no time of its own, and a group
    /// that reads what such a producer writes finds nothing new on green before it.
    fn find_conflicts(&self, moves: &[Move]) -> Vec<Conflict> {
        let planned = |kind, name: &str| moves.iter().find(|m| m.kind == kind && m.name == name);
        let mut found = Vec::new();
        for producer in self.producers.iter().filter(|p| !p.transactional_ids.blue.is_empty()) {
            let Some(cut) = planned(MoveKind::Producer, &producer.name) else { continue };
            let coupled = |name: &String| producer.reads.as_ref().is_some_and(|reads| reads.contains(name));
            for group in &self.groups {
                let Some(own) = planned(MoveKind::Group, &group.name) else { continue };
                let said = own.window.is_some() || own.date.is_some();
                let topic = group.topics.iter().find(|t| producer.topics.contains(t));
                let (reads, writes) = (visible_name(&group.name), visible_name(&producer.name));
                let words = if coupled(&group.name) && said && (&own.window, own.date) != (&cut.window, cut.date) {
                    (
                        format!("{reads} moves with {writes} (`reads`), at its time and not at its own"),
                        format!("leave out date and window of {reads}, or write those of {writes}"),
                    )
                } else if let (Some(topic), Some(first), Some(then)) = (topic, own.opening, cut.opening)
                    && !coupled(&group.name)
                    && first.to <= then.from
                {
                    (
                        format!(
                            "{reads} moves before {writes}, whose records of {} reach green only with its hard cutover: \
                             in between it would read nothing new",
                            visible_name(topic)
                        ),
                        format!("plan {reads} for the same opening or later"),
                    )
                } else {
                    continue;
                };
                let (what, advice) = words;
                found.push(Conflict { producer: producer.name.clone(), group: group.name.clone(), what, advice });
            }
        }
        found.sort_by(|a, b| (&a.producer, &a.group).cmp(&(&b.producer, &b.group)));
        found
    }

    /// When a group or producer is planned to move; `None`: whenever.
    pub(super) fn slot(&self, when: &Appointment) -> Option<Slot> {
        if *when == Appointment::default() {
            return None;
        }
        // Only its opening is wanted: whose it is and how long blue is kept do not matter to it.
        let planned = self.make_move((MoveKind::Group, "", "", false), when, 0);
        Some(Slot { window: when.window.clone(), day: planned.opening.map(|o| (o.from, o.to)) })
    }

    fn make_move(&self, (kind, name, team, hard): (MoveKind, &str, &str, bool), when: &Appointment, keep: u64) -> Move {
        let window = when.window.as_ref().and_then(|name| self.windows.iter().find(|w| w.name == *name));
        let zone = window.map_or("UTC", |w| w.zone.as_str());
        let opening = when.date.and_then(|date| match window {
            Some(window) => opening_on(window, date),
            None => whole_day(date, zone),
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
fn opening_on(window: &WindowPlan, date: Date) -> Option<Opening> {
    let day = whole_day(date, &window.zone)?;
    // An opening that began the evening before and reaches into this day belongs to the other one.
    window.openings(day.from, day.to).into_iter().find(|o| o.from >= day.from)
}

fn whole_day(date: Date, zone: &str) -> Option<Opening> {
    let zone = TimeZone::get(zone).ok()?;
    let begin = |date: Date| Some(At(date.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()));
    // By the calendar and not 24 hours later: a day on which the clocks change has 23 or 25.
    Some(Opening { from: begin(date)?, to: begin(date.tomorrow().ok()?)? })
}

/// A moment as a clock of a zone shows it: `2026-12-06 02:00`.
#[must_use]
pub(crate) fn format_local_time(at: At, zone: &str) -> Option<String> {
    let zoned = Timestamp::from_millisecond(at.0).ok()?.to_zoned(TimeZone::get(zone).ok()?);
    Some(zoned.strftime("%Y-%m-%d %H:%M").to_string())
}

/// A moment in little room: `Sun 12-06 02:00`.
#[must_use]
pub(crate) fn format_short_time(at: At, zone: &str) -> Option<String> {
    let zoned = Timestamp::from_millisecond(at.0).ok()?.to_zoned(TimeZone::get(zone).ok()?);
    Some(zoned.strftime("%a %m-%d %H:%M").to_string())
}

/// `2026-12-06 02:00-04:00`, with the second day where it is another one.
#[must_use]
pub(crate) fn format_time_span(from: At, to: At, zone: &str) -> String {
    let (Some(from), Some(to)) = (format_local_time(from, zone), format_local_time(to, zone)) else {
        return "?".into();
    };
    // The first 11 characters are the day and the space behind it.
    match to.strip_prefix(&from[..from.len().min(11)]) {
        Some(time) => format!("{from}-{time}"),
        None => format!("{from} to {to}"),
    }
}

/// Reads `date` and `window` of a group or producer.
pub(super) fn read_appointment(t: &mut TableReader<'_>) -> Appointment {
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
pub(super) fn check_appointments(plan: &Plan, report: &Report) {
    let producers = plan.producers.iter().enumerate().map(|(i, p)| ("producers", i, &p.when));
    let groups = plan.groups.iter().enumerate().map(|(i, g)| ("groups", i, &g.when));
    for (section, i, when) in producers.chain(groups) {
        let Some(name) = &when.window else { continue };
        let Some(window) = plan.windows.iter().find(|w| w.name == *name) else {
            let near = find_nearest(name, plan.windows.iter().map(|w| w.name.as_str()));
            let hint = near.map_or_else(
                || "add a [[windows]] entry".to_owned(),
                |n| format!("did you mean {n}?", n = quoted_name(n)),
            );
            report.error(
                &format!("{section}[{i}].window"),
                format!("no window is named {name}", name = quoted_name(name)),
                Some(hint),
            );
            continue;
        };
        let Some(date) = when.date else { continue };
        let day = iso_weekday(date);
        // A window whose days could not be read was told already.
        if !window.days.is_empty() && !window.days.contains(&day) {
            let word = |day: u8| DAYS.iter().find(|(_, n)| *n == day).map_or("?", |(word, _)| word);
            let days: Vec<&str> = window.days.iter().map(|d| word(*d)).collect();
            report.error(
                &format!("{section}[{i}].date"),
                format!("{date} is a {}, but {name} opens on {}", word(day), days.join(", "), name = quoted_name(name)),
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
        assert_eq!(format_local_time(opening.from, &ledger.zone).as_deref(), Some("2026-12-06 23:00"));
        assert_eq!(calendar.moves[1].opening.map(|o| o.from), Some(at("2026-12-01T00:00:00Z")));
        assert_eq!(calendar.windows[0].openings.len(), 3, "the one that touches the beginning counts");
    }

    #[test]
    fn what_is_due_is_told_from_a_moment() {
        let at = |text: &str| At(text.parse::<Timestamp>().unwrap().as_millisecond());
        let calendar = plan(&PLAN.replace("name = \"later\"", "name = \"later\"\nwindow = \"sunday-night\""))
            .calendar(at("2026-11-23T00:00:00Z"), at("2026-12-08T00:00:00Z"));
        let due = |name: &str, now: &str| {
            let planned = calendar.moves.iter().find(|m| m.name == name).unwrap();
            calendar.timing_of(planned, at(now))
        };
        const H: u64 = 3_600_000;
        assert_eq!(due("ledger", "2026-12-07T03:00:00Z"), MoveTiming::In { ms: H });
        assert_eq!(due("ledger", "2026-12-07T04:00:00Z"), MoveTiming::Now { left_ms: 3 * H });
        assert_eq!(due("ledger", "2026-12-07T06:59:59.999Z"), MoveTiming::Now { left_ms: 1 });
        assert_eq!(due("ledger", "2026-12-07T07:00:00Z"), MoveTiming::Missed { ms: 0 });
        let MoveTiming::NoDay { opens: Some(next) } = due("later", "2026-12-01T00:00:00Z") else {
            panic!("it has a window")
        };
        assert_eq!(next.from, at("2026-12-07T04:00:00Z"));
        assert_eq!(
            due("later", "2026-12-09T00:00:00Z"),
            MoveTiming::NoDay { opens: None },
            "beyond what was asked for"
        );
        assert_eq!(due("by-day", "2026-12-01T12:00:00Z"), MoveTiming::Now { left_ms: 12 * H });
        assert_eq!(
            format_short_time(at("2026-12-07T04:00:00Z"), "America/New_York").as_deref(),
            Some("Sun 12-06 23:00")
        );
        assert_eq!(
            format_time_span(at("2026-12-07T04:00:00Z"), at("2026-12-07T07:00:00Z"), "UTC"),
            "2026-12-07 04:00-07:00"
        );
    }

    #[test]
    fn moves_that_contradict_each_other_are_told() {
        let now = At(1_767_225_600_000);
        let base = PLAN
            .replace("team = \"books\"", "team = \"books\"\ntopics = [\"ledger\"]\nreads = [\"later\"]")
            .replace("name = \"audit\"", "name = \"audit\"\ntopics = [\"ledger\"]");
        let told = |text: &str| {
            let conflicts = plan(text).calendar(now, now).conflicts;
            conflicts.into_iter().map(|c| (c.group.clone(), c.describe())).collect::<Vec<_>>()
        };
        let [(group, words)] = &told(&base)[..] else { panic!("{:?}", told(&base)) };
        assert!(group == "audit" && words.contains("moves before ledger"), "{words}");
        assert_eq!(told(&base.replace("2026-11-29", "2026-12-06")), [], "in the same window");
        let coupled = base.replace("name = \"later\"", "name = \"later\"\ndate = \"2026-12-06\"");
        let told = told(&coupled);
        assert!(told.iter().any(|(g, w)| g == "later" && w.contains("moves with ledger")), "{told:?}");
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
