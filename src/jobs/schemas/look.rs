//! Both registries of the plan in one look.

use crate::base::{Side, Sides, Trouble};
use crate::plan::{Plan, RegistryPlan};
use crate::registry::{RegistryClient, read_both};
use crate::schemas::{CopyWishes, RecordLook, SchemaSurvey, list_record_ids};
use crate::session::clock::Clock;

/// The registries of both clusters. Errors: the plan does not name one of them, so that there is nothing to compare.
pub(crate) fn find_registries(plan: &Plan) -> Result<Sides<&RegistryPlan>, Trouble> {
    let find = |side: Side| {
        plan.clusters[side].registry.as_ref().ok_or_else(|| {
            let what = format!("the plan names no schema registry of {side}");
            Trouble::new(what, format!("add [clusters.{side}.registry] with its url (docs/plan.md)"))
        })
    };
    Ok(Sides { blue: find(Side::Blue)?, green: find(Side::Green)? })
}

/// Secrets and certificates are read here; nothing is connected to. Errors: one of them can't be read.
pub(crate) async fn open_clients(plans: Sides<&RegistryPlan>) -> Result<Sides<RegistryClient>, Trouble> {
    let open = async |side: Side| RegistryClient::open(plans[side], side).await;
    Ok(Sides { blue: open(Side::Blue).await?, green: open(Side::Green).await? })
}

/// Both registries whole, compared, with what records carry. Errors: one of them can't be read.
pub(crate) async fn read_survey(
    clients: Sides<&RegistryClient>,
    looks: Sides<RecordLook>,
    wishes: CopyWishes,
) -> Result<SchemaSurvey, Trouble> {
    let at = Clock.now();
    let read = read_both(clients, &list_record_ids(&looks)).await;
    match (read.blue, read.green) {
        (Ok(blue), Ok(green)) => Ok(SchemaSurvey::of_contents(at, &blue, &green, looks, wishes)),
        (Err(why), Ok(_)) | (Ok(_), Err(why)) => Err(why),
        (Err(blue), Err(green)) => Err(join_troubles(&blue, &green)),
    }
}

/// Both registries of the plan compared; `None`: it names none. Errors: one of them is not named, or can't be read.
pub(crate) async fn survey_registries(plan: &Plan) -> Option<Result<SchemaSurvey, Trouble>> {
    Side::BOTH.into_iter().find(|side| plan.clusters[*side].registry.is_some())?;
    let survey = async {
        let clients = open_clients(find_registries(plan)?).await?;
        let looks =
            Sides::from_fn(|_| RecordLook::NotLooked("a preflight reads no record: `cutover schemas` does".to_owned()));
        read_survey(clients.as_ref(), looks, super::find_wishes(plan, false)).await
    };
    Some(survey.await)
}

/// Both, so that nobody mends one to be told of the other.
fn join_troubles(one: &Trouble, other: &Trouble) -> Trouble {
    let advice =
        if one.advice == other.advice { one.advice.clone() } else { format!("{}; {}", one.advice, other.advice) };
    Trouble::new(format!("{}; {}", one.what, other.what), advice)
}
