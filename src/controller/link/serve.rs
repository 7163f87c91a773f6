//! Serving a controller's socket.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::hub::{self, HubMessage, ScreenId};
use super::{FromController, FromScreen, LONGEST_ASK, PROTOCOL, check_same_user, frame, socket_address, socket_path};
use crate::base::Trouble;
use crate::base::sanitise::visible_path;
use crate::controller::run::Handle;
use crate::migration::facts::command::{Command, Refusal};
use crate::session::clock::Clock;
use crate::snapshot::{Arming, Ask, Reply, Snapshot};

/// Screens that may be attached at once.
const SCREENS: usize = 32;
/// Answers that may wait for a screen.
const REPLIES: usize = 256;
/// Questions of the local screen that may wait.
const ASKS: usize = 64;
/// How long a screen may take to say hello.
const HELLO: Duration = Duration::from_secs(5);
/// How long a screen may take to read a frame: one that is stopped (ctrl-z) is let go, and attaches again.
const SLOWEST: Duration = Duration::from_secs(30);
/// At least this long between two pictures of one screen, ms; and at least this many times as long as one takes to send.
const PAUSE_MS: u64 = 250;
const PAUSE_SHARE: u64 = 8;
/// How long attached screens may take to hear that the controller has ended.
const LAST_WORD: Duration = Duration::from_secs(2);

/// What is said besides pictures.
type ControllerMessage = FromController;

/// A socket that is served.
#[derive(Debug)]
pub(in crate::controller) struct SocketServer {
    stop: watch::Sender<bool>,
    /// The socket is taken away: whoever holds the journal next makes one of its own.
    shut: watch::Receiver<bool>,
    /// The socket is there.
    open: watch::Receiver<bool>,
    task: Option<JoinHandle<()>>,
}

impl SocketServer {
    /// Takes no further screens, and takes the socket away, while the journal is still held. Those attached hear of the
    /// end from the controller.
    pub(in crate::controller) async fn close_door(&mut self) {
        let _ = self.stop.send(true); // it may have ended already
        let _ = tokio::time::timeout(LAST_WORD, self.shut.wait_for(|shut| *shut)).await; // the same
    }

    /// Waits until screens can attach, or never will.
    pub(in crate::controller) async fn wait_until_open(&mut self) {
        let _ = self.open.wait_for(|open| *open).await; // it could not be made: the log says so
    }

    /// Waits, within a bound, until the attached screens have heard of the end.
    pub(in crate::controller) async fn wait_until_ended(mut self) {
        if let Some(task) = self.task.take() {
            let _ = tokio::time::timeout(LAST_WORD, task).await; // who does not read is not waited for
        }
    }
}

impl Drop for SocketServer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Lets others attach to a controller as soon as it holds the journal. The handle goes on as before; asks of all
/// screens go the same way. A socket that can't be served is a notice of the log, never an end: the controller works
/// without it.
pub fn share_controller(handle: &mut Handle, journal: &Path, plan_digest: String) {
    let (asks, from_local) = mpsc::channel(ASKS);
    let (to_local, replies) = mpsc::channel(REPLIES);
    // From here on the local screen goes through the hub too: two that
    // number their questions alike must not get each other's answers.
    let core_asks = std::mem::replace(&mut handle.asks, asks);
    let core_replies = std::mem::replace(&mut handle.replies, replies);
    let hub = hub::start(core_asks, core_replies);
    // The screen of this process is one among others, with the number 0.
    tokio::spawn(forward_asks(hub.clone(), 0, to_local, from_local));
    let (stop, stopped) = watch::channel(false);
    let (shut_tx, shut) = watch::channel(false);
    let (open_tx, open) = watch::channel(false);
    let door = Door { path: socket_path(journal), plan: plan_digest.into(), hub, shut: shut_tx, open: open_tx };
    let task = tokio::spawn(door.serve(handle.snapshots.clone(), stopped));
    handle.server = Some(SocketServer { stop, shut, open, task: Some(task) });
}

/// What a screen of the own process asks.
async fn forward_asks(
    hub: mpsc::Sender<HubMessage>,
    me: ScreenId,
    replies: mpsc::Sender<Reply>,
    mut asks: mpsc::Receiver<Ask>,
) {
    if hub.send(HubMessage::Joined(me, replies)).await.is_err() {
        return;
    }
    while let Some(ask) = asks.recv().await {
        if hub.send(HubMessage::Asked(me, ask)).await.is_err() {
            return;
        }
    }
    let _ = hub.send(HubMessage::Left(me)).await; // the hub may have ended
}

/// Where screens come in.
struct Door {
    path: PathBuf,
    plan: Arc<str>,
    hub: mpsc::Sender<HubMessage>,
    shut: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

impl Door {
    async fn serve(self, mut snapshots: watch::Receiver<Arc<Snapshot>>, mut stop: watch::Receiver<bool>) {
        // The lease decides who serves: only its holder takes a socket away that somebody left.
        // No dry run serves: a verb that attached to one would take for done what was only thought.
        let holds = |s: &Arc<Snapshot>| s.seq > 0 && s.header.arming == Arming::Armed;
        tokio::select! {
            held = snapshots.wait_for(holds) => if held.is_err() { return },
            _ = stop.changed() => return,
        }
        let path = visible_path(&self.path);
        let bound = match bind(&self.path) {
            Ok(bound) => bound,
            Err(e) => return tracing::warn!("{path}: {e}: nobody can attach to this controller"),
        };
        tracing::info!(socket = %path, "screens can attach");
        self.open.send_replace(true);
        // Counted apart: those that are turned away take no screen's place.
        let (mut screens, mut turned_away) = (JoinSet::new(), JoinSet::new());
        let mut next: ScreenId = 1;
        loop {
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                Some(_) = screens.join_next() => {}
                Some(_) = turned_away.join_next() => {}
                // While as many are being turned away, the next wait in the listener's own queue.
                accepted = bound.accept(), if turned_away.len() < SCREENS => match accepted {
                    Ok((stream, _)) if screens.len() >= SCREENS => {
                        tracing::warn!(screens = screens.len(), "a screen is turned away");
                        turned_away.spawn(turn_away(stream));
                    }
                    Ok((stream, _)) => {
                        screens.spawn(serve_screen(stream, next, self.plan.clone(), self.hub.clone(), snapshots.clone()));
                        next += 1;
                    }
                    Err(e) => {
                        // Out of descriptors, most likely: what is attached goes on, and ends some time.
                        tracing::warn!("{path}: {e}");
                        Clock.sleep(PAUSE_MS).await;
                    }
                }
            }
        }
        drop(bound);
        let _ = std::fs::remove_file(&self.path); // the lease is still held here: it is ours
        let _ = self.shut.send(true); // nobody may wait for it
        while screens.join_next().await.is_some() {}
    }
}

/// One screen too many hears so at once.
async fn turn_away(stream: UnixStream) {
    let (_from, mut to) = stream.into_split();
    let what = format!("{SCREENS} screens are attached to the controller already");
    let trouble = Trouble::new(what, "leave one of them (q), or look with --read-only");
    let _ = tokio::time::timeout(HELLO, frame::write(&mut to, &ControllerMessage::Refused(trouble))).await; // it may have gone
}

/// Binds the socket, 0600. What lies there already is taken away only if it is a socket.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let (address, _folder) = socket_address(path)?;
    let listener = UnixListener::bind(address)?;
    // Until here the umask decides who gets in: whoever did is asked for his user id.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn serve_screen(
    stream: UnixStream,
    me: ScreenId,
    plan: Arc<str>,
    hub: mpsc::Sender<HubMessage>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
) {
    let stranger = check_same_user(&stream).err();
    let (mut from, mut to) = stream.into_split();
    let hello = tokio::time::timeout(HELLO, frame::read::<FromScreen>(&mut from, LONGEST_ASK)).await;
    let refusal = match (&stranger, &hello) {
        (Some(stranger), _) => Some(stranger.clone()),
        (None, Ok(Ok(Some(FromScreen::Hello { protocol, version, read_only, plan: theirs })))) => {
            refuse_other_version(*protocol, version).or_else(|| refuse_other_plan(*read_only, theirs, &plan))
        }
        _ => return tracing::debug!(screen = me, said = matches!(hello, Ok(Ok(Some(_)))), "a screen without a hello"),
    };
    if let Some(refusal) = refusal {
        tracing::info!(screen = me, why = %refusal.what, "a screen is refused");
        let _ = tokio::time::timeout(HELLO, frame::write(&mut to, &ControllerMessage::Refused(refusal))).await;
        return;
    }
    let read_only = matches!(hello, Ok(Ok(Some(FromScreen::Hello { read_only: true, .. }))));
    let (replies, answers) = mpsc::channel(REPLIES);
    if hub.send(HubMessage::Joined(me, replies.clone())).await.is_err() {
        return;
    }
    tracing::debug!(screen = me, read_only, "a screen attached");
    // On a task of its own: half a frame must never be lost to a `select`.
    let mut asking = tokio::spawn(receive_asks(from, me, hub.clone(), replies, read_only));
    tokio::select! {
        result = tell_screen(&mut to, snapshots, answers, plan.to_string()) => if let Err(e) = result {
            tracing::debug!("screen {me}: {e}");
        },
        _ = &mut asking => {}
    }
    asking.abort();
    tracing::debug!(screen = me, "a screen left");
    let _ = hub.send(HubMessage::Left(me)).await; // the hub may have ended
}

fn refuse_other_version(protocol: u32, version: &str) -> Option<Trouble> {
    let mine = env!("CARGO_PKG_VERSION");
    (protocol != PROTOCOL || version != mine).then(|| {
        Trouble::new(
            format!("the controller that runs is cutover {mine}, this is cutover {version}"),
            "use the same version on both ends, or stop that controller first",
        )
    })
}

/// Who confirms a command has to see the plan that it is carried out by.
fn refuse_other_plan(read_only: bool, theirs: &str, mine: &str) -> Option<Trouble> {
    (!read_only && theirs != mine).then(|| {
        let pid = std::process::id();
        Trouble::new(
            format!("the plan has changed since the controller that runs (pid {pid}) read it"),
            "restart that controller so that it reads the plan, or look with --read-only",
        )
    })
}

/// What a screen asks, until it goes away or says what nobody understands.
async fn receive_asks(
    mut from: OwnedReadHalf,
    me: ScreenId,
    hub: mpsc::Sender<HubMessage>,
    replies: mpsc::Sender<Reply>,
    read_only: bool,
) {
    loop {
        let ask = match frame::read::<FromScreen>(&mut from, LONGEST_ASK).await {
            Ok(Some(FromScreen::Ask(ask))) => ask,
            Ok(Some(FromScreen::Hello { .. }) | None) => return,
            Err(e) => return tracing::debug!("screen {me}: {e}"),
        };
        if read_only && changes_anything(&ask) {
            tracing::info!(screen = me, "a screen that only looks asked for a change");
            let refusal = Refusal::refused("this screen only looks", "attach without --read-only");
            if let Some(reply) = ask.to_refusal(refusal) {
                let _ = replies.send(reply).await; // it may have gone away
            }
            continue;
        }
        if hub.send(HubMessage::Asked(me, ask)).await.is_err() {
            return;
        }
    }
}

/// Whether an ask changes anything for others: a measurement does not, a comparison that is started or stopped does, and
/// so does a file beside the plan.
fn changes_anything(ask: &Ask) -> bool {
    match ask {
        Ask::Execute { command, .. } => !matches!(command, Command::Estimate { .. }),
        Ask::StartDiff { .. } | Ask::StopDiff { .. } | Ask::Export { .. } => true,
        Ask::Prepare { .. } | Ask::Watch { .. } | Ask::WatchChoice { .. } | Ask::Records { .. } | Ask::LookAtSetup => {
            false
        }
    }
}

/// Answers at once, pictures as they come and as fast as they are read: the newest one, never a queue of old ones.
async fn tell_screen<P: serde::Serialize>(
    to: &mut OwnedWriteHalf,
    mut snapshots: watch::Receiver<Arc<P>>,
    mut answers: mpsc::Receiver<Reply>,
    plan: String,
) -> io::Result<()> {
    send_frame(to, &ControllerMessage::Welcome { pid: std::process::id(), plan }).await?;
    // The picture that stands is the first to go out, and not only the one after it.
    snapshots.mark_changed();
    let mut pause_ms = 0_u64;
    let mut sent = Clock.stopwatch();
    loop {
        // From the last picture on: a screen that asks more often than pictures come has both.
        let left_ms = pause_ms.saturating_sub(sent.elapsed_ms());
        let next = async {
            Clock.sleep(left_ms).await;
            snapshots.changed().await
        };
        tokio::select! {
            biased;
            Some(reply) = answers.recv() => {
                // Whoever hears that a command was taken sees what it changed: the picture was there before the answer.
                let due = matches!(reply, Reply::Executed { .. }) || left_ms == 0;
                if due && matches!(snapshots.has_changed(), Ok(true)) {
                    pause_ms = send_newest_picture(to, &mut snapshots).await?;
                    sent = Clock.stopwatch();
                }
                send_frame(to, &ControllerMessage::Reply(reply)).await?;
            }
            changed = next => {
                if changed.is_err() {
                    return send_frame(to, &ControllerMessage::Ended).await;
                }
                pause_ms = send_newest_picture(to, &mut snapshots).await?;
                sent = Clock.stopwatch();
            }
        }
    }
}

/// Sends the newest picture; tells how long the next one waits, ms.
async fn send_newest_picture<P: serde::Serialize>(
    to: &mut OwnedWriteHalf,
    snapshots: &mut watch::Receiver<Arc<P>>,
) -> io::Result<u64> {
    let picture = Arc::clone(&snapshots.borrow_and_update());
    let watch = Clock.stopwatch();
    send_frame(to, &FromController::Picture(&*picture)).await?;
    Ok(PAUSE_MS.max(PAUSE_SHARE * watch.elapsed_ms()))
}

async fn send_frame<P: serde::Serialize>(to: &mut OwnedWriteHalf, what: &FromController<P>) -> io::Result<()> {
    tokio::time::timeout(SLOWEST, frame::write(to, what)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_screen_that_asks_all_the_time_is_sent_pictures_all_the_same() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (_open, mut to) = ours.into_split();
        let (mut from, _open_too) = theirs.into_split();
        let (pictures, seen) = watch::channel(Arc::new(0_u32));
        let (answers, answered) = mpsc::channel(REPLIES);
        let telling = tokio::spawn(async move { tell_screen(&mut to, seen, answered, String::new()).await });
        let watch = Clock.stopwatch();
        let asking = tokio::spawn(async move {
            let mut id = 0;
            // Far more often than pictures come, for the time of eight of them.
            while watch.elapsed_ms() < 8 * PAUSE_MS {
                id += 1;
                pictures.send_replace(Arc::new(u32::try_from(id).unwrap()));
                let result = Err(Refusal::refused("no", ""));
                answers.send(Reply::Records { id, result }).await.unwrap();
                Clock.sleep(PAUSE_MS / 10).await;
            }
        });
        let (mut shown, mut replies) = (0, 0);
        while let Some(what) = frame::read::<FromController<u32>>(&mut from, LONGEST_ASK).await.unwrap() {
            match what {
                FromController::Picture(_) => shown += 1,
                FromController::Reply(_) => replies += 1,
                FromController::Ended => break,
                _ => {}
            }
        }
        asking.await.unwrap();
        assert!((4..=12).contains(&shown) && replies > 20, "{shown} pictures beside {replies} answers");
        telling.abort();
    }
}
