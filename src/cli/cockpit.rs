//! `cutover`: the cockpit. The first frame is drawn before anything else is started.

use super::args::GlobalArgs;
use super::{Error, Exit, attach_or_host, attach_to_controller, build_options, load_plan, on_terminal, runtime};
use crate::base::redact::Redacting;
use crate::base::sanitise::visible_path;
use crate::base::{At, Trouble};
use crate::controller::link::socket_path;
use crate::controller::run::Handle;
use crate::plan::Plan;
use crate::session::clock::Clock;
use crate::session::options::{Options, Want};
use crate::tui::{self, Cockpit, ExitReason, theme};

/// Opens the cockpit on the plan.
pub fn run(global: &GlobalArgs) -> Result<Exit, Error> {
    let plan = load_plan(global)?;
    open(global, plan, build_options(global)?)
}

/// The cockpit of the controller that runs, and only of one.
pub fn attach(global: &GlobalArgs) -> Result<Exit, Error> {
    let (plan, options) = (load_plan(global)?, build_options(global)?);
    if options.want == Want::DryRun {
        let what = "a controller that runs carries out what it is told: to attach to it is no dry run";
        return Err(Error::Usage(Trouble::new(what, "`cutover --dry-run` walks in a controller of its own")));
    }
    let socket = socket_path(&plan.journal);
    // Before the screen. A path that is too long for a socket's address tells nothing here: `attach_only` asks again.
    if std::os::unix::net::UnixStream::connect(&socket).is_err_and(|e| e.kind() != std::io::ErrorKind::InvalidInput) {
        return Err(no_controller(&plan));
    }
    open_on(global, plan, options, Whose::Running)
}

/// Whose controller a cockpit is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The one that runs, and of no other.
    Running,
    /// The one that runs, or else one of this process.
    RunningOrOwn,
}

fn no_controller(plan: &Plan) -> Error {
    Error::Failed(Trouble::new(
        format!("no controller serves {}", visible_path(&socket_path(&plan.journal))),
        "start one with `cutover watch`, or open the cockpit with `cutover`",
    ))
}

/// The controller of a cockpit, and whether it is another process's.
async fn find_controller(plan: Plan, options: Options, whose: Whose) -> Result<(Handle, bool), Error> {
    match whose {
        Whose::Running => attach_only(&plan, options.want).await.map(|handle| (handle, true)),
        Whose::RunningOrOwn => attach_or_host(plan, options, true).await,
    }
}

/// Attaches to the controller that runs; without one nothing is started in its place.
async fn attach_only(plan: &Plan, want: Want) -> Result<Handle, Error> {
    attach_to_controller(plan, want).await.map_err(Error::Failed)?.ok_or_else(|| no_controller(plan))
}

/// The zone of this machine, or of `TZ`; UTC when it has no name.
fn zone() -> String {
    jiff::tz::TimeZone::system().iana_name().unwrap_or("UTC").to_owned()
}

fn now() -> At {
    Clock.now()
}

/// Opens the cockpit on a plan that is loaded; off a terminal, or with `--plain`, a line a change.
pub fn open(global: &GlobalArgs, plan: Plan, options: Options) -> Result<Exit, Error> {
    open_on(global, plan, options, Whose::RunningOrOwn)
}

fn open_on(global: &GlobalArgs, plan: Plan, options: Options, whose: Whose) -> Result<Exit, Error> {
    let lost = |e: std::io::Error| {
        Error::Failed(Trouble::new(
            format!("the terminal: {e}"),
            "run it on a terminal, or with --plain, or `cutover status`",
        ))
    };
    if global.plain || !on_terminal() {
        let reason = runtime()?.block_on(async {
            let (handle, _) = find_controller(plan, options, whose).await?;
            let mut out = Redacting(std::io::stdout());
            let reason = tui::plain::run_plain(handle.snapshots.clone(), &mut out).await;
            handle.shutdown().await;
            Ok::<_, Error>(reason)
        })?;
        // a reader that went away (`| head`) has seen enough
        return Ok(reason.map_or(Exit::DONE, exit_of_reason));
    }
    let look = theme::resolve(global.theme.as_deref(), &|name| std::env::var(name).ok())
        .map_err(|why| Error::Usage(Trouble::new(why, format!("themes: {}", theme::NAMES.join(", ")))))?;
    // Before the runtime and its threads: the first frame waits for nobody.
    let screen = Cockpit::open(
        tui::ScreenOptions {
            theme: look,
            actor: options.actor.clone(),
            read_only: options.want == Want::ReadOnly,
            migration: plan.name.clone(),
            connecting: plan.clusters.as_ref().map(|c| c.bootstrap.join(",")),
            attached: false,
            zone: zone(),
        },
        now,
    )
    .map_err(lost)?;
    let reason = runtime()?.block_on(async {
        let (mut handle, attached) = find_controller(plan, options, whose).await?;
        let screen = if attached { screen.attached() } else { screen };
        let replies = handle.take_replies();
        let reason = screen.run(handle.snapshots.clone(), replies, handle.asks.clone()).await;
        handle.shutdown().await;
        Ok::<_, Error>(reason)
    })?;
    reason.map(exit_of_reason).map_err(lost)
}

fn exit_of_reason(reason: ExitReason) -> Exit {
    match reason {
        ExitReason::Left => Exit::DONE,
        ExitReason::Signal(_) | ExitReason::TerminalLost => Exit::INTERRUPTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn attaching_starts_no_controller_however_long_the_path_is() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["short", &"long".repeat(40)] {
            let folder = dir.path().join(folder);
            std::fs::create_dir(&folder).unwrap();
            let text = "[clusters.blue]\nbootstrap = \"127.0.0.1:1\"\n[clusters.green]\nbootstrap = \"127.0.0.1:2\"\n";
            let plan = Plan::parse(text, &folder.join("cutover.toml")).unwrap().plan;
            std::fs::create_dir_all(plan.journal.parent().unwrap()).unwrap();
            for want in [Want::Armed, Want::ReadOnly] {
                let options = Options::new(want, super::super::actor());
                let Err(Error::Failed(why)) = find_controller(plan.clone(), options, Whose::Running).await else {
                    panic!("attached to nothing")
                };
                assert!(why.what.starts_with("no controller serves "), "{why:?}");
            }
            assert!(!plan.journal.exists(), "nothing was started");
        }
    }
}
