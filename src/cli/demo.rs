//! `cutover demo`: the cockpit over two embedded clusters with live traffic; `--headless` plays the story and proves it.

mod setup;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::args::{DemoArgs, GlobalArgs};
use super::look::wait_until_seen;
use super::{Error, Exit, actor, build_options, cockpit, print_json, runtime};
use crate::base::sanitise::visible_path;
use crate::base::{Person, Side, Trouble, lock_unpoisoned};
use crate::controller::headless::{RunReport, execute};
use crate::controller::run::{Controller, Handle};
use crate::estate::FlagState;
use crate::migration::facts::command::{Command, Subject};
use crate::migration::facts::event::{Event, RunKind};
use crate::offsets::verdict::GroupTranslation;
use crate::plan::Plan;
use crate::session::clock::Clock;
use crate::session::options::Options;
use crate::sim::traffic::EstateSpec;
use crate::sim::{DemoConfig, DemoEstate};
use crate::snapshot::{GroupRow, Snapshot, Witnessed};

/// The group that the headless story moves.
const GROUP: &str = "loan-audit";
/// The producer that the headless story routes.
const PRODUCER: &str = "doc-scanner";
/// Chapters of the whole story.
const CHAPTERS: usize = 6;
/// How long the moved group may take to read past what the prediction covers.
const CATCH_UP: Duration = Duration::from_secs(60);

/// `cutover demo`.
pub fn run(global: &GlobalArgs, args: &DemoArgs) -> Result<Exit, Error> {
    // So written that NaN is refused as well.
    if !(args.scale > 0.0 && args.scale <= 1_000.0) {
        return Err(Error::Usage(Trouble::new(
            "--scale must be above 0 and at most 1000",
            "leave it out for the usual pace",
        )));
    }
    // Made first and so dropped last: services look at their flags in it until they stop.
    let dir = Scratch::new()?;
    let mut config = DemoConfig::new(dir.path());
    config.seed = args.seed;
    config.estate = EstateSpec::bank(args.scale);
    config.program = std::env::current_exe().ok();
    let estate = Arc::new(DemoEstate::start(config).map_err(Error::Failed)?);
    let file = dir.path().join("cutover.toml");
    let written = std::fs::write(&file, estate.plan_toml());
    written.map_err(|e| {
        Error::Failed(Trouble::new(format!("{}: {e}", visible_path(&file)), "set TMPDIR to a writable directory"))
    })?;
    let plan = Plan::load(&file)?.plan;
    let predicted = NewestPrediction::default();
    let options = with_witness(build_options(global)?, &estate, Arc::clone(&predicted));
    if args.headless { run_headless(plan, options, &estate, &predicted) } else { cockpit::open(global, plan, options) }
}

/// The demo's consumers keep count: the controller shows what they saw, and a new count begins with every move.
fn with_witness(mut options: Options, estate: &Arc<DemoEstate>, predicted: NewestPrediction) -> Options {
    let counting = Arc::clone(estate);
    options.witness = Some(Arc::new(move |group| {
        let report = counting.witness().report_group(group)?;
        Some(Witnessed { processed: report.processed, lost: report.lost, re_read: report.re_read, at: Clock.now() })
    }));
    let marking = Arc::clone(estate);
    options.on_entry = Some(Arc::new(move |entry| match &entry.event {
        // With the entry, and not when the command returns: what is read in between belongs to this move.
        Event::RunStarted { kind: RunKind::CutOver | RunKind::RollBack, subject: Subject::Group(group), .. } => {
            marking.mark(group);
        }
        Event::Predicted { plan, .. } => *lock_unpoisoned(&predicted) = plan.clone(),
        _ => {}
    }));
    options
}

/// The newest prediction in the journal: what the story is held against.
type NewestPrediction = Arc<Mutex<GroupTranslation>>;

/// One step of the headless story.
#[derive(Debug, Serialize)]
struct Chapter {
    step: String,
    ok: bool,
    /// Records that the prediction after the drain said would be read twice.
    promised_re_read: Option<u64>,
    /// Records that the consumers read twice, by their own count.
    witnessed_re_read: Option<u64>,
    /// Records that were owed to the group and passed by, by the consumers' own count.
    witnessed_lost: Option<u64>,
    /// Records of the logs that the group should have processed by now and did not.
    lost_by_the_logs: Option<u64>,
    why: Option<String>,
    report: Value,
}

fn run_headless(
    plan: Plan,
    options: Options,
    estate: &DemoEstate,
    predicted: &NewestPrediction,
) -> Result<Exit, Error> {
    let actor = actor();
    let chapters = runtime()?.block_on(async {
        let mut handle = Controller::start(plan, options);
        let chapters = play_story(&mut handle, estate, &actor, predicted).await;
        handle.shutdown().await;
        chapters
    })?;
    // A story that broke off is shorter, and all of what there is of it may be well.
    let ok = chapters.iter().all(|c| c.ok) && chapters.len() == CHAPTERS;
    print_json(&serde_json::json!({ "ok": ok, "group": GROUP, "producer": PRODUCER, "story": chapters }))?;
    Ok(if ok { Exit::DONE } else { Exit::FAILED })
}

async fn play_story(
    handle: &mut Handle,
    estate: &DemoEstate,
    actor: &Person,
    predicted: &NewestPrediction,
) -> Result<Vec<Chapter>, Error> {
    wait_until_seen(handle).await?;
    let mut say = |line: &str| say!("{}", crate::base::sanitise::visible_text(line));
    let mut chapters = setup::play_setup(handle, estate, actor, &mut say).await;
    if !chapters.iter().all(|c| c.ok) {
        return Ok(chapters);
    }
    let route = Command::route(PRODUCER, FlagState::Dual);
    let report = execute(handle, route, actor, Some(PRODUCER), &mut say).await;
    chapters.push(plain_chapter("route a producer to dual", &report));
    for (step, command, to) in [
        ("cut a group over", Command::cut_over(GROUP), Side::Green),
        ("roll it back", Command::roll_back(GROUP), Side::Blue),
    ] {
        if chapters.last().is_some_and(|c| !c.ok) {
            break;
        }
        let report = execute(handle, command, actor, Some(GROUP), &mut say).await;
        let plan = lock_unpoisoned(predicted).clone();
        chapters.push(judge_move(step, &report, (to, &plan), handle, estate).await);
    }
    Ok(chapters)
}

impl Chapter {
    /// One without promises. `why`: what is not well.
    fn plain(step: &str, why: Option<String>, report: Value) -> Self {
        Self {
            step: step.into(),
            ok: why.is_none(),
            promised_re_read: None,
            witnessed_re_read: None,
            witnessed_lost: None,
            lost_by_the_logs: None,
            why,
            report,
        }
    }
}

fn plain_chapter(step: &str, report: &RunReport) -> Chapter {
    Chapter::plain(step, report.class.map(|_| report.summary.clone()), super::act::outcome_json(report))
}

/// Holds a move against what was promised, once the group has read past everything the prediction covers.
async fn judge_move(
    step: &str,
    report: &RunReport,
    goal: (Side, &GroupTranslation),
    handle: &mut Handle,
    estate: &DemoEstate,
) -> Chapter {
    let mut chapter = plain_chapter(step, report);
    if !chapter.ok {
        return chapter;
    }
    if !wait_until_caught_up(handle, goal).await {
        (chapter.ok, chapter.why) = (false, Some(format!("{GROUP} did not read on within {} s", CATCH_UP.as_secs())));
        return chapter;
    }
    let audit = estate.audit_group(GROUP);
    let witnessed = estate.witness().report_group(GROUP);
    chapter.promised_re_read = report.run.as_ref().and_then(|r| r.predicted_re_read);
    chapter.witnessed_re_read = witnessed.as_ref().map(|w| w.re_read);
    chapter.witnessed_lost = witnessed.as_ref().map(|w| w.lost);
    chapter.lost_by_the_logs = audit.map(|a| a.lost);
    let kept = chapter.promised_re_read.is_some() && chapter.promised_re_read == chapter.witnessed_re_read;
    let nothing_lost = chapter.witnessed_lost == Some(0) && chapter.lost_by_the_logs == Some(0);
    if !(kept && nothing_lost) {
        (chapter.ok, chapter.why) = (false, Some("what was seen is not what was promised".into()));
    }
    chapter
}

/// Waits until the group's commits on the goal's side have passed every end that its prediction was made against.
async fn wait_until_caught_up(handle: &mut Handle, goal: (Side, &GroupTranslation)) -> bool {
    let wait = async {
        loop {
            // Taken as seen before it is judged: no newer one can be slept through.
            let snapshot = Arc::clone(&handle.snapshots.borrow_and_update());
            if find_group_row(&snapshot).is_some_and(|row| is_past_prediction(row, goal)) {
                return true;
            }
            if handle.snapshots.changed().await.is_err() {
                return false;
            }
        }
    };
    tokio::time::timeout(CATCH_UP, wait).await.unwrap_or(false)
}

fn find_group_row(snapshot: &Snapshot) -> Option<&GroupRow> {
    snapshot.groups.iter().find(|row| row.group == GROUP)
}

fn is_past_prediction(row: &GroupRow, (to, plan): (Side, &GroupTranslation)) -> bool {
    plan.partitions.iter().filter(|planned| !planned.is_source_only()).all(|planned| {
        let seen = row.partitions.iter().find(|p| p.topic == planned.tp.topic && p.partition == planned.tp.partition);
        seen.and_then(|p| p.on_side(to).committed).is_some_and(|committed| committed >= planned.target.end)
    })
}

/// A directory of the demo's own, removed at the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Result<Self, Error> {
        Self::new_in(&std::env::temp_dir(), || fastrand::u64(..))
    }

    /// A new one that only its owner enters: a plan is read from it, and all that is in it is removed at the end, so it is
    /// never one that somebody else made, or that a link leads to. `number`: what makes its name one that nobody guesses.
    fn new_in(parent: &Path, mut number: impl FnMut() -> u64) -> Result<Self, Error> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut tries = 0;
        loop {
            let dir = parent.join(format!("cutover-demo-{}-{:016x}", std::process::id(), number()));
            match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => return Ok(Self(dir)),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && tries < 8 => tries += 1,
                Err(e) => {
                    let what = format!("{}: {e}", visible_path(&dir));
                    return Err(Error::Failed(Trouble::new(what, "set TMPDIR to a writable directory")));
                }
            }
        }
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // what can't be removed lies in a directory for temporary files
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_demo_never_uses_a_directory_that_was_there() {
        let parent = tempfile::tempdir().unwrap();
        let name = |n: u64| parent.path().join(format!("cutover-demo-{}-{n:016x}", std::process::id()));
        let theirs = tempfile::tempdir().unwrap();
        std::fs::create_dir(name(1)).unwrap();
        std::os::unix::fs::symlink(theirs.path(), name(2)).unwrap();
        let mut numbers = 1..;
        let made = Scratch::new_in(parent.path(), || numbers.next().unwrap()).unwrap();
        assert_eq!(made.path(), name(3));
        assert_eq!(std::fs::metadata(made.path()).unwrap().permissions().mode() & 0o777, 0o700);
        drop(made);
        assert!(name(1).exists() && theirs.path().exists() && !name(3).exists());
        assert!(Scratch::new_in(parent.path(), || 1).is_err(), "and it does not try for ever");
    }
}
