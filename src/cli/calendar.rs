//! `cutover calendar`: from the plan alone, without a network.

use super::args::{CalendarArgs, CalendarFormat, GlobalArgs};
use super::{Error, Exit, load_plan, print_json, print_text};
use crate::report;
use crate::session::clock::Clock;

const WEEK_MS: u64 = 7 * 86_400_000;

/// Runs the verb.
pub fn run(global: &GlobalArgs, args: &CalendarArgs) -> Result<Exit, Error> {
    let plan = load_plan(global)?;
    let now = Clock.now();
    let calendar = plan.calendar(now, now.plus(u64::from(args.weeks) * WEEK_MS));
    match (global.json, args.format) {
        (true, _) => print_json(&calendar)?,
        (false, CalendarFormat::Markdown) => print_text(&report::calendar::markdown(&calendar)),
        (false, CalendarFormat::Ics) => super::out::print_crlf(&report::calendar::ics(&calendar, now)),
    }
    Ok(Exit::DONE)
}
