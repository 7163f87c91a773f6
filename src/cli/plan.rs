//! `cutover plan check` and `cutover plan example`.

use serde_json::json;

use super::args::{GlobalArgs, PlanVerb};
use super::{Error, Exit, print_json, print_text};
use crate::base::sanitise::visible_path;
use crate::plan::{LoadedPlan, Plan};

/// The example plan of the docs.
pub(crate) const EXAMPLE: &str = include_str!("../../assets/example/cutover.toml");

/// `cutover plan ...`.
pub fn run(global: &GlobalArgs, verb: &PlanVerb) -> Result<Exit, Error> {
    match verb {
        PlanVerb::Example => {
            print_text(EXAMPLE);
            Ok(Exit::DONE)
        }
        PlanVerb::Check => check(global),
    }
}

fn check(global: &GlobalArgs) -> Result<Exit, Error> {
    let LoadedPlan { plan, warnings, .. } = Plan::load(&global.plan)?;
    if global.json {
        print_json(&json!({
            "ok": true, "errors": [], "warnings": warnings,
            "groups": plan.groups.len(), "producers": plan.producers.len(), "topics": plan.topics.len(),
        }))?;
        return Ok(Exit::DONE);
    }
    for warning in &warnings {
        say!("{warning}");
    }
    print_text(&format!(
        "{}: ok, {} groups, {} producers, {} topic rules, {} warnings\n",
        visible_path(&global.plan),
        plan.groups.len(),
        plan.producers.len(),
        plan.topics.len(),
        warnings.len()
    ));
    Ok(Exit::DONE)
}
