//! `cutover schemas`: both schema registries compared by meaning, and the copy that would be made. Only reads.

use super::act::{say_stopped, wait_for_interrupt};
use super::args::GlobalArgs;
use super::{Error, Exit, load_plan, print_json, print_text, runtime};
use crate::base::{Side, Sides, Trouble};
use crate::plan::{Plan, RegistryPlan};
use crate::registry::{RegistryClient, read_both};
use crate::report;
use crate::schemas::{RegistryContent, SchemaSurvey, SchemaVerdict};
use crate::session::clock::Clock;

/// `cutover schemas`.
pub fn run(global: &GlobalArgs) -> Result<Exit, Error> {
    let plan = load_plan(global)?;
    let plans = find_registries(&plan)?;
    let at = Clock.now();
    let read = runtime()?.block_on(async {
        tokio::select! {
            read = read_contents(plans) => Some(read),
            _ = wait_for_interrupt() => None,
        }
    });
    let Some(read) = read else { return Ok(say_stopped(global, "nothing was changed: this command only reads")) };
    let Sides { blue, green } = read?;
    let survey = SchemaSurvey::of_contents(at, &blue, &green);
    if global.json {
        print_json(&report::schemas::to_json(&survey))?;
    } else {
        print_text(&report::schemas::to_text(&survey));
    }
    Ok(match survey.parity.judge_parity() {
        SchemaVerdict::Same => Exit::DONE,
        SchemaVerdict::Differs => Exit::HOLDS,
        SchemaVerdict::Unknown => Exit::UNKNOWN,
    })
}

/// The registries of both clusters; without one of them there is nothing to compare.
fn find_registries(plan: &Plan) -> Result<Sides<&RegistryPlan>, Error> {
    let find = |side: Side| {
        plan.clusters[side].registry.as_ref().ok_or_else(|| {
            let what = format!("the plan names no schema registry of {side}");
            let advice = format!("add [clusters.{side}.registry] with its url (docs/plan.md)");
            Error::Usage(Trouble::new(what, advice))
        })
    };
    Ok(Sides { blue: find(Side::Blue)?, green: find(Side::Green)? })
}

/// Both registries whole. A secret or a certificate that can't be read is a failure; a registry that can't is unknown.
async fn read_contents(plans: Sides<&RegistryPlan>) -> Result<Sides<RegistryContent>, Error> {
    let open = async |side: Side| RegistryClient::open(plans[side], side).await.map_err(Error::Failed);
    let clients = Sides { blue: open(Side::Blue).await?, green: open(Side::Green).await? };
    let read = read_both(clients.as_ref()).await;
    match (read.blue, read.green) {
        (Ok(blue), Ok(green)) => Ok(Sides { blue, green }),
        (Err(why), Ok(_)) | (Ok(_), Err(why)) => Err(Error::Unknown(why)),
        (Err(blue), Err(green)) => Err(Error::Unknown(join_troubles(&blue, &green))),
    }
}

/// Both, so that nobody mends one to be told of the other.
fn join_troubles(one: &Trouble, other: &Trouble) -> Trouble {
    let advice =
        if one.advice == other.advice { one.advice.clone() } else { format!("{}; {}", one.advice, other.advice) };
    Trouble::new(format!("{}; {}", one.what, other.what), advice)
}
