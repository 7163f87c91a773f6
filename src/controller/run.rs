//! Starting, holding and ending a controller.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::link::serve::SocketServer;
use super::{core, present};
use crate::plan::Plan;
use crate::session::clock::Clock;
use crate::session::options::Options;
use crate::snapshot::{Arming, Ask, Reply, Snapshot};

/// Questions and commands that may wait for the controller; a screen that sends more waits.
const ASKS: usize = 64;
/// Replies that may wait for a screen; to a screen that never reads, further ones are dropped.
const REPLIES: usize = 256;

/// The way in. [`Controller::start`] does no I/O itself.
#[derive(Debug, Clone, Copy)]
pub struct Controller;

/// A running controller. Dropping it stops the controller without the orderly end of [`Handle::shutdown`]:
/// the journal then says so, and the next start looks at what stands unfinished.
#[derive(Debug)]
pub struct Handle {
    /// The newest picture. The first one is there at once, before any network.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Questions and commands.
    pub asks: mpsc::Sender<Ask>,
    /// Answers, by the number of the question.
    pub replies: mpsc::Receiver<Reply>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
    /// The socket that other screens attach to, if it is served.
    pub(super) server: Option<SocketServer>,
}

impl Controller {
    /// Starts a controller on the current tokio runtime (a multi-threaded one).
    #[must_use]
    pub fn start(plan: Plan, options: Options) -> Handle {
        let plan = Arc::new(plan);
        let first = present::skeleton(&plan, &options, Clock.now());
        let (snapshots_tx, snapshots) = watch::channel(Arc::new(first));
        let (asks, asks_rx) = mpsc::channel(ASKS);
        let (replies_tx, replies) = mpsc::channel(REPLIES);
        let (stop, stop_rx) = watch::channel(false);
        let ends = core::ControllerEnds { snapshots: snapshots_tx, asks: asks_rx, replies: replies_tx, stop: stop_rx };
        let task = tokio::spawn(core::drive(plan, options, ends));
        Handle::of_task(snapshots, asks, replies, stop, task)
    }
}

impl Handle {
    /// The ends of a controller that a task carries, in this process or at the other end of a line.
    pub(super) fn of_task(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        asks: mpsc::Sender<Ask>,
        replies: mpsc::Receiver<Reply>,
        stop: watch::Sender<bool>,
        task: JoinHandle<()>,
    ) -> Self {
        Self { snapshots, asks, replies, stop, task: Some(task), server: None }
    }

    /// Waits until others can attach to it, or never will: it only looks, or its socket can't be made.
    pub(crate) async fn wait_until_attachable(&mut self) {
        let Some(server) = &mut self.server else { return };
        let mut snapshots = self.snapshots.clone();
        let only_looks = snapshots.wait_for(|s| s.seq > 0 && s.header.arming != Arming::Armed);
        // "Armed" alone is too early: a verb that came before the socket was there was refused as a second session.
        tokio::select! {
            () = server.wait_until_open() => {}
            _ = only_looks => {}
        }
    }

    /// The newest picture.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// The answers, for a screen that reads them by itself. The next call gets a channel that stays empty.
    pub(crate) fn take_replies(&mut self) -> mpsc::Receiver<Reply> {
        std::mem::replace(&mut self.replies, mpsc::channel(1).1)
    }

    /// Ends in order: no new effect starts, the one under way is finished (each has its own time limit),
    /// what came of it and the end are journalled. Used for SIGTERM, SIGHUP and `q`. Of a controller in another process
    /// only the line ends.
    pub async fn shutdown(mut self) {
        // While the journal is still held: the socket must be gone before another controller makes its own.
        if let Some(server) = &mut self.server {
            server.close_door().await;
        }
        let _ = self.stop.send(true); // the controller may have ended already
        if let Some(task) = self.task.take() {
            let _ = task.await; // a panic was reported where it happened
        }
        if let Some(server) = self.server.take() {
            server.wait_until_ended().await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
