//! The schema registries of a plan, looked at: reachable, of which kind, what may be read. Nothing is written, so that it may be
//! written to is not told.

use crate::base::{Cause, Side, Sides, Trouble};
use crate::plan::Plan;
use crate::registry::{RegistryClient, RegistrySight, look_at_server};
use crate::schemas::{RegistryAnswer, RegistryMode};

/// What a look at one registry came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryLook {
    /// What it is: kind, subjects, mode, compatibility.
    pub found: String,
    /// What could not be read, with the right that it takes.
    pub unread: Vec<Trouble>,
    /// What stands in the way of producers or of a copy, or would be lost by one.
    pub doubts: Vec<Trouble>,
}

/// Both registries; `None` where the plan names none.
///
/// # Errors
/// Per side: a secret or a certificate can't be read, it can't be reached, refuses, or is no registry.
pub async fn look_at_registries(plan: &Plan) -> Sides<Option<Result<RegistryLook, Trouble>>> {
    let look = |side: Side| async move {
        let registry = plan.cluster(side).registry.as_ref()?;
        Some(match RegistryClient::open(registry, side).await {
            Ok(client) => look_at_server(&client).await.map(|sight| judge_sight(side, &sight)),
            Err(why) => Err(why),
        })
    };
    let (blue, green) = tokio::join!(look(Side::Blue), look(Side::Green));
    Sides { blue, green }
}

fn judge_sight(side: Side, sight: &RegistrySight) -> RegistryLook {
    let RegistrySight { server, subjects, global } = sight;
    let mut look = RegistryLook { found: String::new(), unread: Vec::new(), doubts: Vec::new() };
    let mut say = |name: &str, told: Result<String, Trouble>| match told {
        Ok(value) => format!("{name} {value}"),
        Err(why) => {
            look.unread.push(why);
            format!("{name} unknown")
        }
    };
    let mode = match &global.mode {
        RegistryAnswer::Told(Some(mode)) => Ok(String::from(mode.clone())),
        RegistryAnswer::Told(None) => Ok("not set".to_owned()),
        RegistryAnswer::NotOffered => Ok("not offered".to_owned()),
        RegistryAnswer::Unknown(why) => Err(name_right(why, "/mode")),
    };
    let compatibility = match &global.config {
        RegistryAnswer::Told(config) => {
            Ok(config.as_ref().and_then(|c| c.compatibility.clone()).unwrap_or_else(|| "not set".to_owned()))
        }
        RegistryAnswer::NotOffered => Ok("not offered".to_owned()),
        RegistryAnswer::Unknown(why) => Err(name_right(why, "/config")),
    };
    let (mode, compatibility) = (say("mode", mode), say("compatibility", compatibility));
    look.found = format!("{}; {subjects} subjects, {mode}, {compatibility}", server.describe_server());
    if let RegistryAnswer::Told(Some(mode)) = &global.mode
        && *mode != RegistryMode::ReadWrite
    {
        let what = format!("its mode is {}: producers can register no new schema there", String::from(mode.clone()));
        look.doubts.push(Trouble::new(what, "see who set it, and whether it is meant"));
    }
    let losses = server.kind.describe_losses();
    if side == Side::Green && !losses.is_empty() {
        let what = format!("a copy to it would lose {}", losses.join("; "));
        look.doubts.push(Trouble::new(what, "see `cutover schemas` before relying on it (docs/schemas.md)"));
    }
    look
}

/// A refusal with what may not be read.
fn name_right(why: &Trouble, path: &str) -> Trouble {
    match why.cause {
        Some(Cause::NotAllowed) => Trouble::new(
            format!("{} to GET {path}", why.what),
            format!("let this user read {path}: what is set there is unknown without it"),
        ),
        _ => why.clone(),
    }
}
