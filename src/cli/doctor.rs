//! `cutover doctor`: everything that a migration will need, tried once; or the lines that grant the rights for it.

use super::args::{DoctorArgs, GlobalArgs};
use super::{Error, Exit, load_plan, print_json, print_text, runtime};
use crate::base::Side;
use crate::base::sanitise::visible_text;
use crate::controller::doctor::{Check, Health, examine};
use crate::plan::Plan;
use crate::report::text::format_table;
use crate::rights::{Grants, Principal, Role, RoleLines};

/// Exit code 0 when all is well (warnings included), 1 when something fails, 4 when something could not be checked.
pub fn run(global: &GlobalArgs, args: &DoctorArgs) -> Result<Exit, Error> {
    let plan = load_plan(global)?;
    if let (Some(role), Some(principal)) = (args.acls, &args.principal) {
        return print_lines(global, &plan, role, principal);
    }
    let examined = runtime()?.block_on(examine(plan, args.notify));
    let checks = examined.checks;
    if global.json {
        let ok = checks.iter().all(|c| matches!(c.health, Health::Ok | Health::Warn));
        print_json(&serde_json::json!({ "ok": ok, "checks": checks, "rights": examined.rights }))?;
    } else {
        print_text(&format_checks(&checks));
    }
    Ok(match checks.iter().map(|c| c.health).max() {
        Some(Health::Fail) => Exit::FAILED,
        Some(Health::Unknown) => Exit::UNKNOWN,
        _ => Exit::DONE,
    })
}

/// Exit code 0, and 1 where something that the role needs can't be granted by such a line.
fn print_lines(global: &GlobalArgs, plan: &Plan, role: Role, principal: &Principal) -> Result<Exit, Error> {
    let of_side = |side: Side| {
        let grants = Grants::of_role(role, side, &plan.rights_scope(side));
        RoleLines::write(side, &plan.cluster(side).bootstrap.join(","), &grants, principal)
    };
    let sides = Side::BOTH.map(of_side);
    let whole = sides.iter().all(|side| side.left_out.is_empty());
    if global.json {
        print_json(&serde_json::json!({"ok": whole, "role": role, "principal": principal, "acls": sides}))?;
    } else {
        let mut text = format!(
            "# What {principal} needs as {role} for the plan {}: run as an administrator, whose client properties are in\n\
             # admin.properties. docs/rights.md says what each right is for.\n",
            visible_text(&plan.name)
        );
        for RoleLines { side, lines, left_out } in &sides {
            text += &format!("\n# {side}\n");
            lines.iter().for_each(|line| text += &format!("{line}\n"));
            left_out.iter().for_each(|why| text += &format!("# NOT GRANTED: {}\n", visible_text(why)));
        }
        print_text(&text);
    }
    Ok(if whole { Exit::DONE } else { Exit::FAILED })
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
