//! Attaching to a controller that runs in another process.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::{
    FromController, FromScreen, LONGEST_PICTURE, PROTOCOL, check_same_user, frame, socket_address, socket_path,
};
use crate::base::Trouble;
use crate::base::sanitise::visible_path;
use crate::controller::run::Handle;
use crate::migration::facts::command::Refusal;
use crate::plan::Plan;
use crate::session::clock::Clock;
use crate::session::options::Want;
use crate::snapshot::{Arming, Ask, Reply, Snapshot};

/// Questions that may wait for the line.
const ASKS: usize = 64;
/// Answers that may wait for the screen.
const REPLIES: usize = 256;
/// Frames that may wait between the line and the screen.
const FRAMES: usize = 16;
/// How long a controller may take to answer a hello, and to send its first picture.
const HELLO: Duration = Duration::from_secs(10);
/// How long a question may take to be written.
const SLOWEST: Duration = Duration::from_secs(10);
/// How long a controller that went away without a word (`kill -9`) is looked for again, and how often, ms.
const RETURN_MS: u64 = 30_000;
const AGAIN_MS: u64 = 250;
/// Questions that are remembered until they are answered.
const OPEN_QUESTIONS: usize = 1_024;

/// Attaches to the controller that holds a plan's journal. `None`: none serves its socket.
///
/// # Errors
/// Somebody is there, and can't be talked to: another user, another version, another plan, no answer.
pub async fn attach_to_controller(plan: &Plan, want: Want) -> Result<Option<Handle>, Trouble> {
    let (path, digest) = (socket_path(&plan.journal), plan.digest());
    let Some((mut line, first)) = connect_to_controller(&path, want, &digest).await? else { return Ok(None) };
    let (to_screen, snapshots) = watch::channel(Arc::new(as_seen(first, want, line.other_plan)));
    let (asks, mut asked) = mpsc::channel(ASKS);
    let (replies_tx, replies) = mpsc::channel(REPLIES);
    let (stop, mut stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        let other_plan = line.other_plan;
        let mut screen = AttachedScreen { to_screen, replies: replies_tx, open: BTreeMap::new(), want, other_plan };
        loop {
            let lost = tokio::select! {
                _ = stopped.changed() => return,
                lost = screen.carry(&mut line, &mut asked) => lost,
            };
            // However the line ended: who waits for an answer would wait until his own limit.
            screen.refuse_unanswered();
            if !lost {
                return;
            }
            let again = tokio::select! {
                _ = stopped.changed() => return,
                again = screen.look_again(&path, &digest, &mut asked) => again,
            };
            match again {
                Some((new, first)) => {
                    (screen.other_plan, line) = (new.other_plan, new);
                    screen.show(first);
                }
                None => return,
            }
        }
    });
    Ok(Some(Handle::of_task(snapshots, asks, replies, stop, task)))
}

/// One connection, its reader on a task of its own: half a frame must never be lost to a `select`.
struct ControllerLine {
    to: OwnedWriteHalf,
    frames: mpsc::Receiver<FromController>,
    reader: JoinHandle<()>,
    /// The controller has read another plan than this session.
    other_plan: bool,
}

impl Drop for ControllerLine {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn connect_to_controller(
    path: &Path,
    want: Want,
    plan: &str,
) -> Result<Option<(ControllerLine, Snapshot)>, Trouble> {
    let stream = match open_stream(path).await {
        Ok(stream) => stream,
        // A socket that nobody listens at is what a killed controller leaves behind.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Trouble::new(
                format!("{}: the controller that runs belongs to another user", visible_path(path)),
                "attach as the user that runs it",
            ));
        }
        Err(e) => return Err(explain_there(path, &e.to_string())),
    };
    check_same_user(&stream)?;
    let hello = FromScreen::Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").into(),
        read_only: want == Want::ReadOnly,
        plan: plan.to_owned(),
    };
    match tokio::time::timeout(HELLO, greet_controller(path, stream, &hello, plan)).await {
        Ok(Ok(Some((line, first)))) => {
            tracing::info!(socket = %visible_path(path), other_plan = line.other_plan, "attached");
            Ok(Some((line, first)))
        }
        Ok(Ok(None)) => {
            tracing::debug!(socket = %visible_path(path), "it ended before the first picture");
            Ok(None)
        }
        Ok(Err(trouble)) => {
            tracing::warn!(socket = %visible_path(path), why = %trouble.what, "not attached");
            Err(trouble)
        }
        Err(_) => {
            let what = format!("the controller did not answer within {} s", HELLO.as_secs());
            Err(explain_there(path, &what))
        }
    }
}

/// Somebody is there, and can't be talked to.
fn explain_there(path: &Path, what: &str) -> Trouble {
    let name = visible_path(path);
    Trouble::new(format!("{name}: {what}"), "end the controller that runs, or look with --read-only")
}

/// Says hello and waits for the first picture. `None`: it ended meanwhile.
async fn greet_controller(
    path: &Path,
    stream: UnixStream,
    hello: &FromScreen,
    plan: &str,
) -> Result<Option<(ControllerLine, Snapshot)>, Trouble> {
    let (from, mut to) = stream.into_split();
    let (frames_tx, mut frames) = mpsc::channel(FRAMES);
    frame::write(&mut to, hello).await.map_err(|e| explain_there(path, &e.to_string()))?;
    let reader = tokio::spawn(read_frames(from, frames_tx));
    let other_plan = match frames.recv().await {
        Some(FromController::Welcome { plan: its, .. }) => its != plan,
        Some(FromController::Refused(trouble)) => return Err(trouble),
        // It ended between the two: there is nobody any more.
        _ => return Ok(None),
    };
    match frames.recv().await {
        Some(FromController::Picture(first)) => Ok(Some((ControllerLine { to, frames, reader, other_plan }, *first))),
        _ => Ok(None),
    }
}

async fn open_stream(path: &Path) -> io::Result<UnixStream> {
    let (address, _folder) = socket_address(path)?;
    UnixStream::connect(address).await
}

async fn read_frames(mut from: OwnedReadHalf, frames: mpsc::Sender<FromController>) {
    loop {
        match frame::read(&mut from, LONGEST_PICTURE).await {
            Ok(Some(said)) => {
                if frames.send(said).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(e) => return tracing::debug!("the controller's line: {e}"),
        }
    }
}

/// A picture as this session may use it.
fn as_seen(mut picture: Snapshot, want: Want, other_plan: bool) -> Snapshot {
    if want == Want::ReadOnly {
        picture.header.arming = match other_plan {
            false => crate::session::options::read_only_as_asked(),
            true => Arming::ReadOnly {
                why: "asked for with --read-only; the controller that runs has read another version of the plan".into(),
            },
        };
    }
    picture
}

/// The screen's ends.
struct AttachedScreen {
    to_screen: watch::Sender<Arc<Snapshot>>,
    replies: mpsc::Sender<Reply>,
    open: BTreeMap<u64, Ask>,
    want: Want,
    other_plan: bool,
}

impl AttachedScreen {
    /// Carries both ways until the line ends. Returns whether it was lost without a word.
    async fn carry(&mut self, line: &mut ControllerLine, asked: &mut mpsc::Receiver<Ask>) -> bool {
        loop {
            tokio::select! {
                // What the controller says comes first: after its word that it
                // has ended, a write that fails would pass for a lost line.
                biased;
                said = line.frames.recv() => match said {
                    Some(FromController::Picture(picture)) => self.show(*picture),
                    Some(FromController::Reply(reply)) => {
                        self.open.remove(&reply.id());
                        let _ = self.replies.try_send(reply); // a screen that does not read misses it
                    }
                    Some(FromController::Ended | FromController::Refused(_)) => return false,
                    Some(FromController::Welcome { .. }) => {}
                    None => return true,
                },
                ask = asked.recv() => {
                    // The screen has closed: nobody needs the line.
                    let Some(ask) = ask else { return false };
                    if let Some(id) = ask.id() {
                        if self.open.len() >= OPEN_QUESTIONS {
                            // The lowest number is the oldest question.
                            self.open.pop_first();
                        }
                        self.open.insert(id, ask.clone());
                    }
                    let written = tokio::time::timeout(SLOWEST, frame::write(&mut line.to, &FromScreen::Ask(ask))).await;
                    if !matches!(written, Ok(Ok(()))) {
                        tracing::warn!(slow = written.is_err(), "an ask could not be written");
                        return true;
                    }
                }
            }
        }
    }

    fn show(&mut self, picture: Snapshot) {
        self.to_screen.send_replace(Arc::new(as_seen(picture, self.want, self.other_plan)));
    }

    /// A controller that was killed may be started again; the screen stays until then, and its ages grow. What is asked
    /// meanwhile is refused: a command must never be carried out long after it was typed.
    async fn look_again(
        &mut self,
        path: &Path,
        plan: &str,
        asked: &mut mpsc::Receiver<Ask>,
    ) -> Option<(ControllerLine, Snapshot)> {
        tracing::warn!(ms = RETURN_MS, "the controller went away without a word; looking for it again");
        let why = "the controller went away without a word; looking for it again".to_owned();
        // The picture that stands grows old on the screen, and nothing can be confirmed on it.
        self.to_screen.send_modify(|picture| Arc::make_mut(picture).header.arming = Arming::ReadOnly { why });
        let watch = Clock.stopwatch();
        while watch.elapsed_ms() < RETURN_MS {
            // The pause is a part of the trial, so that asks are answered meanwhile.
            let trial = async {
                let found = connect_to_controller(path, self.want, plan).await;
                if !matches!(found, Ok(Some(_))) {
                    Clock.sleep(AGAIN_MS).await;
                }
                found
            };
            tokio::pin!(trial);
            let found = loop {
                tokio::select! {
                    biased;
                    ask = asked.recv() => self.refuse_while_away(&ask?),
                    found = &mut trial => break found,
                }
            };
            if let Ok(Some(found)) = found {
                // What was typed by now was typed at the old picture.
                while let Ok(ask) = asked.try_recv() {
                    self.refuse_while_away(&ask);
                }
                tracing::info!(ms = watch.elapsed_ms(), "the controller is back");
                return Some(found);
            }
        }
        tracing::warn!(ms = watch.elapsed_ms(), "the controller did not come back");
        None
    }

    fn refuse_while_away(&self, ask: &Ask) {
        if let Some(reply) = ask.to_refusal(Refusal::refused("the controller is away", "wait until it is back")) {
            let _ = self.replies.try_send(reply); // a screen that does not read misses it
        }
    }

    /// Nobody will answer what is open: whether a command was taken is in the journal.
    fn refuse_unanswered(&mut self) {
        let refusal =
            Refusal::unknown("the controller went away before it answered", "look at the journal before trying again");
        if !self.open.is_empty() {
            tracing::warn!(open = self.open.len(), "the line ended before all was answered");
        }
        for ask in std::mem::take(&mut self.open).into_values() {
            if let Some(reply) = ask.to_refusal(refusal.clone()) {
                let _ = self.replies.try_send(reply); // a screen that does not read misses it
            }
        }
    }
}
