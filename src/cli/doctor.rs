//! `cutover doctor`: everything that a migration will need, tried once.

use super::args::{DoctorArgs, GlobalArgs};
use super::{Error, Exit, load_plan, print_json, print_text, runtime};
use crate::base::sanitise::visible_text;
use crate::controller::doctor::{Check, Health, examine};
use crate::report::text::format_table;

/// Exit code 0 when all is well (warnings included), 1 when something fails, 4 when something could not be checked.
pub fn run(global: &GlobalArgs, args: &DoctorArgs) -> Result<Exit, Error> {
    let plan = load_plan(global)?;
    let checks = runtime()?.block_on(examine(plan, args.notify));
    if global.json {
        let ok = checks.iter().all(|c| matches!(c.health, Health::Ok | Health::Warn));
        print_json(&serde_json::json!({ "ok": ok, "checks": checks }))?;
    } else {
        print_text(&format_checks(&checks));
    }
    Ok(match checks.iter().map(|c| c.health).max() {
        Some(Health::Fail) => Exit::FAILED,
        Some(Health::Unknown) => Exit::UNKNOWN,
        _ => Exit::DONE,
    })
}

fn format_checks(checks: &[Check]) -> String {
    let mut rows = Vec::new();
    for check in checks {
        rows.push(vec![check.health.to_string(), visible_text(&check.what), visible_text(&check.found)]);
        if !check.advice.is_empty() {
            rows.push(vec![String::new(), String::new(), format!("  {}", visible_text(&check.advice))]);
        }
    }
    let count = |health: Health| checks.iter().filter(|c| c.health == health).count();
    let [ok, warn, unknown, fail] = [Health::Ok, Health::Warn, Health::Unknown, Health::Fail].map(count);
    let text = format_table(&rows);
    format!("{text}\n{ok} ok, {warn} to know, {unknown} unknown, {fail} failed\n")
}
