//! `cutover watch`: the controller without a screen. It goes on when terminals hang up; screens attach to it.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch::Receiver;

use super::args::{GlobalArgs, WatchArgs};
use super::{Error, Exit, attach_if_running, build_options, host_controller, load_plan, runtime};
use crate::base::Trouble;
use crate::base::redact::hide_cow;
use crate::base::sanitise::{visible_cow, visible_name};
use crate::controller::expose::{self, Listening};
use crate::plan::Plan;
use crate::plan::listen::exposure_trouble;
use crate::session::options::Want;
use crate::snapshot::{Arming, Snapshot};
use crate::{report, tui};

/// Runs until it is told to stop: SIGTERM and ctrl-c end it in order, a hangup does not end it.
pub fn run(global: &GlobalArgs, args: &WatchArgs) -> Result<Exit, Error> {
    let plan = load_plan(global)?;
    let options = build_options(global)?;
    if options.want == Want::ReadOnly {
        let advice = "leave --read-only out, or open `cutover --read-only`";
        return Err(Error::Usage(Trouble::new("a controller that only looks can't keep watch", advice)));
    }
    let metrics = choose_metrics_address(args, &plan, options.want)?;
    runtime()?.block_on(async {
        // Before anything starts: a hangup meanwhile would end it.
        let signals = WatchSignals::listen()?;
        if let Some(handle) = attach_if_running(&plan, &options).await? {
            let header = handle.snapshot().header.clone();
            handle.shutdown().await;
            return Err(Error::Failed(Trouble::new(
                format!("a controller runs already: {}, pid {}", visible_name(&header.controller), header.pid),
                "attach to it with `cutover`, or stop it first",
            )));
        }
        // Whoever starts a watch may rely on its metrics: without them it does not start.
        let listening = match metrics {
            Some(address) => Some(expose::listen(address).await.map_err(Error::Failed)?),
            None => None,
        };
        let metrics = listening.as_ref().map(Listening::address);
        let mut handle = host_controller(plan, options, true, listening);
        // Who reads "armed" may attach.
        handle.wait_until_attachable().await;
        let mut log = WatchLog { json: global.json, metrics, before: None, closed: false };
        let end = log.follow(handle.snapshots.clone(), signals).await;
        handle.shutdown().await;
        end
    })
}

/// Where metrics are served: as the argument says, else as the plan says.
fn choose_metrics_address(args: &WatchArgs, plan: &Plan, want: Want) -> Result<Option<SocketAddr>, Error> {
    match (args.metrics, want) {
        (Some(_), Want::DryRun) => {
            let what = "a dry run has no metrics: they would look like those of the controller";
            Err(Error::Usage(Trouble::new(what, "leave --metrics or --dry-run out")))
        }
        (None, Want::DryRun) => Ok(None),
        (Some(address), _) => {
            if let Some(Trouble { what, advice, .. }) = exposure_trouble(address) {
                say!("cutover: warning: {what} ({advice})");
            }
            Ok(Some(address))
        }
        (None, _) => Ok(plan.controller.metrics),
    }
}

/// What ends it, and what must not.
struct WatchSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl WatchSignals {
    fn listen() -> Result<Self, Error> {
        let on = |kind| {
            let failed = |e| Error::Failed(Trouble::new(format!("signals can't be listened to: {e}"), ""));
            signal(kind).map_err(failed)
        };
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }
}

/// The log: what changes, a line each.
struct WatchLog {
    json: bool,
    /// Where metrics are served: said once.
    metrics: Option<SocketAddr>,
    before: Option<Arc<Snapshot>>,
    /// Standard output went away with its terminal: nobody reads, the controller goes on.
    closed: bool,
}

impl WatchLog {
    async fn follow(
        &mut self,
        mut snapshots: Receiver<Arc<Snapshot>>,
        mut signals: WatchSignals,
    ) -> Result<Exit, Error> {
        // The first snapshot may be there already.
        snapshots.mark_changed();
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return Ok(Exit::DONE),
                _ = signals.interrupt.recv() => return Ok(Exit::INTERRUPTED),
                _ = signals.hangup.recv() => tracing::info!("the terminal hung up; the controller goes on"),
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        let advice = "run with --log and look there";
                        return Err(Error::Failed(Trouble::new("the controller ended", advice)));
                    }
                    let next = Arc::clone(&snapshots.borrow_and_update());
                    if next.seq == 0 {
                        continue;
                    }
                    // Without the journal nothing would be watched: a second pair of eyes is `cutover --read-only`.
                    if let (None, Arming::ReadOnly { why }) = (&self.before, &next.header.arming) {
                        let advice = "stop what holds it, or look with `cutover --read-only`";
                        return Err(Error::Failed(Trouble::new(format!("can't keep watch: {why}"), advice)));
                    }
                    self.write(&next);
                    self.before = Some(next);
                }
            }
        }
    }

    fn write(&mut self, next: &Snapshot) {
        if self.closed {
            return;
        }
        let mut lines = match self.json {
            true => report::log::change_lines(self.before.as_deref(), next),
            false => tui::plain::list_changes(self.before.as_deref(), next),
        };
        lines.extend(self.metrics.take().map(|address| match self.json {
            true => report::log::metrics_line(address, next),
            false => format!("metrics for Prometheus at http://{address}/metrics"),
        }));
        // Each is one line whatever it holds: JSON is escaped already and has lost its secrets, words lose theirs here.
        let mut out = super::out::open_document();
        for line in lines {
            let line = if self.json { Cow::Borrowed(line.as_str()) } else { hide_cow(&line) };
            if writeln!(out, "{}", visible_cow(&line)).is_err() {
                self.closed = true;
                return;
            }
        }
        self.closed = out.flush().is_err();
    }
}
