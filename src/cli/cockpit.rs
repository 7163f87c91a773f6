//! `cutover`: the cockpit. The first frame is drawn before anything else is started.

use super::args::GlobalArgs;
use super::{Error, Exit, attach_or_host, build_options, load_plan, on_terminal, runtime};
use crate::base::redact::Redacting;
use crate::base::sanitise::visible_path;
use crate::base::{At, Trouble};
use crate::controller::link::socket_path;
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
    let plan = load_plan(global)?;
    let socket = socket_path(&plan.journal);
    // A path that is too long for a socket's address tells nothing: `attach_or_host` has another way to it.
    if std::os::unix::net::UnixStream::connect(&socket).is_err_and(|e| e.kind() != std::io::ErrorKind::InvalidInput) {
        return Err(Error::Failed(Trouble::new(
            format!("no controller serves {}", visible_path(&socket)),
            "start one with `cutover watch`, or open the cockpit with `cutover`",
        )));
    }
    open(global, plan, build_options(global)?)
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
    let lost = |e: std::io::Error| {
        Error::Failed(Trouble::new(
            format!("the terminal: {e}"),
            "run it on a terminal, or with --plain, or `cutover status`",
        ))
    };
    if global.plain || !on_terminal() {
        let reason = runtime()?.block_on(async {
            let (handle, _) = attach_or_host(plan, options, true).await?;
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
        let (mut handle, attached) = attach_or_host(plan, options, true).await?;
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
