//! `cutover lag` and `cutover status`: one look at both clusters, printed.

use std::sync::Arc;
use std::time::Duration;

use super::args::GlobalArgs;
use super::{Error, Exit, attach_or_host, build_options, load_plan, print_json, print_text, runtime};
use crate::base::{Cause, Observed, Side, Trouble};
use crate::controller::run::Handle;
use crate::report;
use crate::session::options::{ASKED_FOR, Want};
use crate::snapshot::{Arming, Snapshot};

/// How long one look may take before it is given up.
const LOOK: Duration = Duration::from_secs(30);
/// How long a second look is waited for where the first left something out: what has just been opened answers in part.
const SECOND: Duration = Duration::from_secs(8);

/// `cutover lag`.
pub fn lag(global: &GlobalArgs) -> Result<Exit, Error> {
    let snapshot = look_once(global)?;
    if global.json {
        print_json(&report::json::lag(&snapshot))?;
    } else {
        print_text(&report::text::lag(&snapshot));
    }
    Ok(exit_of_snapshot(&snapshot))
}

/// `cutover status`.
pub fn status(global: &GlobalArgs) -> Result<Exit, Error> {
    let snapshot = look_once(global)?;
    if global.json {
        print_json(&report::json::status(&snapshot))?;
    } else {
        print_text(&report::text::status(&snapshot));
    }
    Ok(exit_of_snapshot(&snapshot))
}

fn exit_of_snapshot(snapshot: &Snapshot) -> Exit {
    if report::json::is_complete(snapshot) { Exit::DONE } else { Exit::UNKNOWN }
}

/// Looks, without the right to change anything, until both sides have answered or failed, and what they tell is whole as
/// far as another look can make it.
fn look_once(global: &GlobalArgs) -> Result<Arc<Snapshot>, Error> {
    let plan = load_plan(global)?;
    let mut options = build_options(global)?;
    options.want = Want::ReadOnly;
    runtime()?.block_on(async {
        let (mut handle, _) = attach_or_host(plan, options, false).await?;
        let snapshot = wait_until_seen(&mut handle).await;
        let snapshot = match snapshot {
            Ok(first) => Ok(wait_until_whole(&mut handle, first).await),
            failed => failed,
        };
        handle.shutdown().await;
        snapshot.map(|s| if global.read_only { s } else { reword_read_only(s) })
    })
}

/// Nobody asked for this session with --read-only: looking is all that the verb does.
fn reword_read_only(snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
    match &snapshot.header.arming {
        Arming::ReadOnly { why } if why == ASKED_FOR => {
            let mut own = Snapshot::clone(&snapshot);
            own.header.arming = Arming::ReadOnly { why: "this command only looks".into() };
            Arc::new(own)
        }
        _ => snapshot,
    }
}

/// The first snapshot in which both sides have answered or failed.
pub(crate) async fn wait_until_seen(handle: &mut Handle) -> Result<Arc<Snapshot>, Error> {
    let look = async {
        loop {
            // Taken as seen before it is judged: no newer one can be slept through.
            let snapshot = Arc::clone(&handle.snapshots.borrow_and_update());
            if [Side::Blue, Side::Green].iter().all(|side| has_answered(&snapshot, *side)) {
                return Ok(snapshot);
            }
            if handle.snapshots.changed().await.is_err() {
                return Err(Error::Failed(Trouble::new("the controller ended", "run with --log and look there")));
            }
        }
    };
    match tokio::time::timeout(LOOK, look).await {
        Ok(result) => result,
        Err(_) => {
            let now = Arc::clone(&handle.snapshots.borrow());
            let silent: Vec<&str> = Side::BOTH.iter().filter(|s| !has_answered(&now, **s)).map(|s| s.name()).collect();
            let what = format!("no answer from {} within {} s", silent.join(" and "), LOOK.as_secs());
            Err(Error::Unknown(Trouble::new(what, "check the bootstrap addresses in the plan")))
        }
    }
}

/// The same, or the first one after it that leaves nothing out; at the latest that of the next look at each side that
/// answers.
async fn wait_until_whole(handle: &mut Handle, first: Arc<Snapshot>) -> Arc<Snapshot> {
    let mut newest = Arc::clone(&first);
    let again = async {
        let is_whole = |s: &Snapshot| report::json::is_complete(s) && settings_read(s);
        while !is_whole(&newest) && !looked_again(&first, &newest) {
            if handle.snapshots.changed().await.is_err() {
                return;
            }
            newest = Arc::clone(&handle.snapshots.borrow_and_update());
        }
    };
    let _ = tokio::time::timeout(SECOND, again).await; // what came until then is what there is
    newest
}

/// Whether each switch and flag was read, or can't be: one that nobody has read yet advises nothing.
fn settings_read(now: &Snapshot) -> bool {
    fn is_read<T>(of: &Observed<T>) -> bool {
        !matches!(of, Observed::Absent { why } if why.has_cause(Cause::NotYet))
    }
    now.groups.iter().filter_map(|g| g.switch.as_ref()).all(is_read)
        && now.producers.iter().filter_map(|p| p.flag.as_ref()).all(is_read)
}

/// Whether each side that had answered has answered once more.
fn looked_again(first: &Snapshot, now: &Snapshot) -> bool {
    let at = |s: &Snapshot, side: Side| s.side(side).link.at();
    Side::BOTH.into_iter().all(|side| at(first, side).is_none() || at(first, side) != at(now, side))
}

/// Whether a side was read, or failed with something to do about it: what is merely not observed yet advises nothing.
fn has_answered(now: &Snapshot, side: Side) -> bool {
    match &now.side(side).link {
        Observed::Known { .. } => true,
        Observed::Absent { why } => !why.has_cause(Cause::NotYet),
    }
}
