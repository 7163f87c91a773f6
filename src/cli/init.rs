//! `cutover init`: looks at both clusters and writes a commented plan.

use std::collections::BTreeMap;

use super::args::{GlobalArgs, InitArgs};
use super::{Error, Exit, print_json, print_text, runtime};
use crate::base::redact;
use crate::base::sanitise::{visible_name, visible_path};
use crate::base::{Side, Sides, Trouble};
use crate::controller::discover::discover;
use crate::estate::ClusterView;
use crate::plan::secrets::{ClientValue, Secret};
use crate::plan::{Plan, PlanError, ProblemSeverity, Problems, generate, properties as client};
use crate::session::export;

/// `cutover init`.
pub fn run(global: &GlobalArgs, args: &InitArgs) -> Result<Exit, Error> {
    // Said before anybody is connected to; `write_file` holds it when the file is written.
    if global.plan.exists() && !args.force {
        return Err(Error::Usage(Trouble::new(
            format!("{} is already there", visible_path(&global.plan)),
            "name another file with --plan, or replace it with --force",
        )));
    }
    let mut plan = Plan::from_bootstraps(&args.blue, &args.green)?.plan;
    plan.name.clone_from(&args.name);
    plan.clusters.blue.client = parse_properties(&args.property, &args.blue_property)?;
    plan.clusters.green.client = parse_properties(&args.property, &args.green_property)?;
    check_properties(args, [&plan.clusters.blue.client, &plan.clusters.green.client])?;
    let Sides { blue, green } = runtime()?.block_on(discover(&plan));
    let (blue, green) = (check_believable(Side::Blue, blue)?, check_believable(Side::Green, green)?);
    if let (Some(b), Some(g)) = (&blue.cluster_id, &green.cluster_id)
        && b == g
    {
        return Err(Error::Usage(Trouble::new(
            format!("{} and {} are one cluster ({b})", args.blue, args.green),
            "give the new cluster's own address",
        )));
    }
    let text = generate::generate_plan(
        &args.name,
        generate::FoundCluster { plan: &plan.clusters.blue, view: &blue },
        generate::FoundCluster { plan: &plan.clusters.green, view: &green },
    );
    // Readable by its owner alone, also over one that others read: it may name secrets.
    export::write_file(&global.plan, &text, args.force).map_err(Error::Failed)?;
    print_summary(global, &plan, &blue, &green)
}

/// A plan is written only from lists that can be believed: one that lacks groups because a broker was silent, or shows
/// nothing because this principal may see nothing, would be no plan of the cluster.
fn check_believable(side: Side, view: Result<ClusterView, Trouble>) -> Result<ClusterView, Error> {
    let view = view.map_err(Error::Unknown)?;
    if let Some(why) = &view.unlisted {
        return Err(Error::Unknown(why.clone()));
    }
    let (no_groups, no_topics) = (view.groups.is_empty(), view.topics.is_empty());
    // Green is empty at first, as a rule: there only who is shown nothing at all is told so.
    let in_doubt = no_groups && (side == Side::Blue || no_topics);
    let why = match view.groups_hidden(side).filter(|_| in_doubt) {
        Some(why) => Some(("groups", why)),
        None => view.topics_hidden(side).filter(|_| no_topics && side == Side::Blue).map(|why| ("topics", why)),
    };
    match why {
        None => Ok(view),
        Some((what, why)) => {
            let seen = if no_topics { "0 topics, 0 groups".to_owned() } else { format!("0 {what}") };
            Err(Error::Unknown(Trouble::new(format!("{side}: {seen} visible; {}", why.what), why.advice)))
        }
    }
}

fn parse_properties(both: &[String], own: &[String]) -> Result<BTreeMap<String, ClientValue>, Error> {
    let split = |text: &String| {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            // not repeated: what stands there may be a secret without its name
            let what = "a client property (-X, --blue-property, --green-property) has no =";
            Error::Usage(Trouble::new(what, "write NAME=VALUE, e.g. security.protocol=SASL_SSL"))
        })?;
        let (name, value) = (name.trim().to_owned(), value.to_owned());
        let value = if client::means_secret(&name) {
            ClientValue::Secret(Secret::inline(value))
        } else {
            redact::learn_embedded(&value);
            ClientValue::Plain(value)
        };
        Ok((name, value))
    };
    both.iter().chain(own).map(split).collect()
}

/// Refuses what `plan check` would refuse of these properties, and says on standard error what it would warn of, before
/// anybody is connected to.
fn check_properties(args: &InitArgs, both: [&BTreeMap<String, ClientValue>; 2]) -> Result<(), Error> {
    let mut problems: Vec<PlanError> = Vec::new();
    for (properties, own) in both.into_iter().zip(["--blue-property", "--green-property"]) {
        let values = properties.iter().map(|(name, value)| match value {
            ClientValue::Plain(text) => (name.as_str(), Some(text.as_str())),
            ClientValue::Secret(_) => (name.as_str(), None),
        });
        for finding in client::check_properties(&values.collect()) {
            let shared = args.property.iter().any(|p| p.split('=').next().is_some_and(|n| n.trim() == finding.name));
            let argument = if shared { "-X" } else { own };
            let problem = PlanError {
                severity: if finding.refused { ProblemSeverity::Error } else { ProblemSeverity::Warning },
                ..PlanError::without_place(argument, finding.trouble.what, Some(finding.trouble.advice))
            };
            // `-X` is of both clusters: what is wrong with it is said once.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    if problems.iter().any(|p| p.severity == ProblemSeverity::Error) {
        return Err(Error::Plan(Problems(problems)));
    }
    problems.iter().for_each(|p| say!("{p}"));
    Ok(())
}

fn print_summary(global: &GlobalArgs, plan: &Plan, blue: &ClusterView, green: &ClusterView) -> Result<Exit, Error> {
    let side = |side: Side, view: &ClusterView| {
        let hidden = view.groups_hidden(side);
        let visible = if hidden.is_some() { " visible" } else { "" };
        let why = hidden.map_or_else(String::new, |why| format!("\n  {}: {}", why.what, why.advice));
        format!(
            "{side}: cluster {}, {} brokers, {} topics, {} groups{visible}{why}\n",
            view.cluster_id.as_deref().map_or_else(|| "without an id".to_owned(), visible_name),
            view.brokers.len(),
            view.topics.len(),
            view.groups.len()
        )
    };
    if global.json {
        let counts = |side: Side, v: &ClusterView| {
            serde_json::json!({"cluster_id": v.cluster_id, "brokers": v.brokers.len(), "topics": v.topics.len(),
                "groups": v.groups.len(), "groups_hidden": v.groups_hidden(side), "topics_hidden": v.topics_hidden(side)})
        };
        let (blue, green) = (counts(Side::Blue, blue), counts(Side::Green, green));
        print_json(
            &serde_json::json!({"ok": true, "plan": global.plan, "name": plan.name, "blue": blue, "green": green}),
        )?;
        return Ok(Exit::DONE);
    }
    print_text(&side(Side::Blue, blue));
    print_text(&side(Side::Green, green));
    print_text(&format!(
        "wrote {}: read it, give the groups you want to move a switch, then `cutover plan check` and `cutover --read-only`\n",
        visible_path(&global.plan)
    ));
    Ok(Exit::DONE)
}
