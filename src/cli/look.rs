//! `cutover lag` and `cutover status`: one look at both clusters, printed.

use std::sync::Arc;
use std::time::Duration;

use super::args::Global;
use super::{Error, Exit, controller, load, options, print_json, print_text, runtime};
use crate::controller::run::{Handle, Want};
use crate::controller::snapshot::Snapshot;
use crate::migration::estate::{Observed, Side, Trouble};
use crate::report;

/// How long one look may take before it is given up.
const LOOK: Duration = Duration::from_secs(30);

/// `cutover lag`.
pub fn lag(global: &Global) -> Result<Exit, Error> {
    let snapshot = look(global)?;
    if global.json {
        print_json(&report::json::lag(&snapshot))?;
    } else {
        print_text(&report::text::lag(&snapshot));
    }
    Ok(exit(&snapshot))
}

/// `cutover status`.
pub fn status(global: &Global) -> Result<Exit, Error> {
    let snapshot = look(global)?;
    if global.json {
        print_json(&report::json::status(&snapshot))?;
    } else {
        print_text(&report::text::status(&snapshot));
    }
    Ok(exit(&snapshot))
}

fn exit(snapshot: &Snapshot) -> Exit {
    if report::json::complete(snapshot) { Exit::DONE } else { Exit::UNKNOWN }
}

/// Looks, without the right to change anything, until both sides have answered or failed once.
fn look(global: &Global) -> Result<Arc<Snapshot>, Error> {
    let plan = load(global)?;
    let mut options = options(global)?;
    options.want = Want::ReadOnly;
    runtime()?.block_on(async {
        let (mut handle, _) = controller(plan, options, false).await?;
        let snapshot = seen(&mut handle).await;
        handle.shutdown().await;
        snapshot
    })
}

/// The first snapshot in which both sides have answered or failed.
pub async fn seen(handle: &mut Handle) -> Result<Arc<Snapshot>, Error> {
    let look = async {
        loop {
            let snapshot = Arc::clone(&handle.snapshots.borrow_and_update());
            if [Side::Blue, Side::Green].iter().all(|side| answered(&snapshot, *side)) {
                return Ok(snapshot);
            }
            if handle.snapshots.changed().await.is_err() {
                return Err(Error::Failed(Trouble::new("the controller ended", "run with --log-file and look there")));
            }
        }
    };
    tokio::time::timeout(LOOK, look).await.unwrap_or_else(|_| {
        let what = format!("no answer from either cluster within {} s", LOOK.as_secs());
        Err(Error::Unknown(Trouble::new(what, "check the bootstrap addresses in the plan")))
    })
}

/// Whether a side was read, or failed with something to do about it: what is merely not observed yet advises nothing.
fn answered(now: &Snapshot, side: Side) -> bool {
    let view = if side == Side::Blue { &now.blue } else { &now.green };
    match &view.link {
        Observed::Known { .. } => true,
        Observed::Absent { why } => !why.advice.is_empty(),
    }
}
