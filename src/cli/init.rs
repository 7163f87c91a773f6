//! `cutover init`: looks at both clusters and writes a commented plan.

use super::args::{GlobalArgs, InitArgs};
use super::given::GivenProperties;
use super::{Error, Exit, print_json, print_text, runtime};
use crate::base::sanitise::{visible_name, visible_path};
use crate::base::{Side, Sides, Trouble};
use crate::controller::discover::discover;
use crate::estate::ClusterView;
use crate::plan::{Plan, generate};
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
    let given = GivenProperties::read(args)?;
    let mut plan =
        Plan::from_bootstraps(&given.bootstrap(args, Side::Blue)?, &given.bootstrap(args, Side::Green)?)?.plan;
    plan.name.clone_from(&args.name);
    for side in Side::BOTH {
        plan.clusters[side].client = given.client(side);
    }
    given.check(args, &plan)?;
    let Sides { blue, green } = runtime()?.block_on(discover(&plan));
    let (blue, green) = (check_believable(Side::Blue, blue)?, check_believable(Side::Green, green)?);
    if let (Some(b), Some(g)) = (&blue.cluster_id, &green.cluster_id)
        && b == g
    {
        return Err(Error::Usage(Trouble::new(
            format!(
                "{} and {} are one cluster ({b})",
                list_addresses(&plan, Side::Blue),
                list_addresses(&plan, Side::Green)
            ),
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

fn list_addresses(plan: &Plan, side: Side) -> String {
    visible_name(&plan.clusters[side].bootstrap.join(","))
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
        None => view.topics_hidden().filter(|_| no_topics && side == Side::Blue).map(|why| ("topics", why.clone())),
    };
    match why {
        None => Ok(view),
        Some((what, why)) => {
            let seen = if no_topics { "0 topics, 0 groups".to_owned() } else { format!("0 {what}") };
            Err(Error::Unknown(Trouble::new(format!("{side}: {seen} visible; {}", why.what), why.advice)))
        }
    }
}

/// The variables from which the written plan reads the secrets that were given, and that are not written down.
fn list_variables(plan: &Plan) -> Vec<String> {
    let of = |side: Side| {
        let kept = plan.clusters[side].client.iter().filter(|(_, value)| generate::is_kept_out(value));
        kept.map(move |(name, _)| generate::variable_of(side, name)).collect::<Vec<_>>()
    };
    Side::BOTH.into_iter().flat_map(of).collect()
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
    let variables = list_variables(plan);
    if global.json {
        let counts = |side: Side, v: &ClusterView| {
            serde_json::json!({"cluster_id": v.cluster_id, "brokers": v.brokers.len(), "topics": v.topics.len(),
                "groups": v.groups.len(), "groups_hidden": v.groups_hidden(side), "topics_hidden": v.topics_hidden()})
        };
        let (blue, green) = (counts(Side::Blue, blue), counts(Side::Green, green));
        print_json(
            &serde_json::json!({"ok": true, "plan": global.plan, "name": plan.name, "blue": blue, "green": green,
            "variables": variables}),
        )?;
        return Ok(Exit::DONE);
    }
    print_text(&side(Side::Blue, blue));
    print_text(&side(Side::Green, green));
    print_text(&format!(
        "wrote {}: read it, give the groups you want to move a switch, then `cutover plan check` and `cutover --read-only`\n",
        visible_path(&global.plan)
    ));
    if !variables.is_empty() {
        print_text(&format!("no secret is in it: before you use it, export {}\n", variables.join(", ")));
    }
    Ok(Exit::DONE)
}
