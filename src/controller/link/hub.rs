//! Several screens, one controller: each screen numbers its questions for itself, so they are renumbered on the way in
//! and the answers find their way back.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::snapshot::{Ask, Reply};

/// Questions that may be unanswered at once; beyond it the oldest are forgotten (their screens stopped waiting).
const OPEN_QUESTIONS: usize = 4_096;
/// Questions of all screens that may wait.
const WAITING: usize = 64;

/// A screen's number.
pub(super) type ScreenId = u64;

/// What comes to the hub.
pub(super) enum HubMessage {
    /// A screen is there, and reads its answers here.
    Joined(ScreenId, mpsc::Sender<Reply>),
    /// It asks.
    Asked(ScreenId, Ask),
    /// It went away.
    Left(ScreenId),
}

/// Starts a hub between the controller's own ends and any number of screens. It ends with the controller.
pub(super) fn start(asks: mpsc::Sender<Ask>, mut replies: mpsc::Receiver<Reply>) -> mpsc::Sender<HubMessage> {
    let (said, mut hear) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut hub = Hub::default();
        loop {
            tokio::select! {
                biased;
                reply = replies.recv() => match reply {
                    Some(reply) => hub.answer(reply),
                    None => return,
                },
                said = hear.recv() => {
                    let Some(said) = said else { return };
                    if let Some(ask) = hub.take_message(said)
                        && asks.send(ask).await.is_err()
                    {
                        return;
                    }
                }
            }
        }
    });
    said
}

#[derive(Default)]
struct Hub {
    screens: BTreeMap<ScreenId, mpsc::Sender<Reply>>,
    open: BTreeMap<u64, (ScreenId, u64)>,
    last: u64,
    /// The screen whose person reads a dialog: the controller keeps one estimate young.
    watcher: Option<ScreenId>,
}

impl Hub {
    /// What is passed on to the controller.
    fn take_message(&mut self, said: HubMessage) -> Option<Ask> {
        match said {
            HubMessage::Joined(screen, replies) => {
                self.screens.insert(screen, replies);
                None
            }
            HubMessage::Left(screen) => {
                self.screens.remove(&screen);
                self.open.retain(|_, (of, _)| *of != screen);
                // Its dialog went with it: an estimate that nobody reads is not kept young.
                self.watcher.take_if(|watcher| *watcher == screen).map(|_| Ask::Watch { group: None })
            }
            HubMessage::Asked(screen, ask) => {
                match &ask {
                    // Another screen's dialog stays young when this one closes its own.
                    Ask::Watch { group: None } if self.watcher.is_some_and(|w| w != screen) => return None,
                    Ask::Watch { group: None } => self.watcher = None,
                    Ask::Watch { .. } | Ask::WatchChoice { .. } => self.watcher = Some(screen),
                    _ => {}
                }
                let Some(id) = ask.id() else { return Some(ask) };
                self.last += 1;
                if self.open.len() >= OPEN_QUESTIONS {
                    tracing::warn!(open = self.open.len(), "the oldest question is forgotten");
                    self.open.pop_first();
                }
                self.open.insert(self.last, (screen, id));
                Some(ask.with_id(self.last))
            }
        }
    }

    fn answer(&mut self, reply: Reply) {
        let Some((screen, id)) = self.open.remove(&reply.id()) else { return };
        if let Some(to) = self.screens.get(&screen) {
            let _ = to.try_send(reply.with_id(id)); // a screen that does not read misses it
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::facts::command::Command;

    fn prepare(id: u64) -> Ask {
        Ask::Prepare { id, command: Command::cut_over("g") }
    }

    fn executed(id: u64) -> Reply {
        Reply::Executed { id, result: Ok(None) }
    }

    #[test]
    fn two_screens_with_the_same_numbers_get_their_own_answers() {
        let mut hub = Hub::default();
        let ((a, mut at_a), (b, mut at_b)) = (mpsc::channel(4), mpsc::channel(4));
        hub.take_message(HubMessage::Joined(1, a));
        hub.take_message(HubMessage::Joined(2, b));
        let first = hub.take_message(HubMessage::Asked(1, prepare(7))).unwrap().id().unwrap();
        let second = hub.take_message(HubMessage::Asked(2, prepare(7))).unwrap().id().unwrap();
        assert_ne!(first, second);
        hub.answer(executed(second));
        assert_eq!(at_b.try_recv().unwrap(), executed(7));
        hub.take_message(HubMessage::Left(1));
        hub.answer(executed(first));
        hub.answer(executed(second));
        assert!(at_a.try_recv().is_err() && at_b.try_recv().is_err(), "answered once, and nobody who left");
    }

    #[test]
    fn the_dialog_that_stays_open_stays_young() {
        let mut hub = Hub::default();
        let watch = |group: Option<&str>| Ask::Watch { group: group.map(str::to_owned) };
        assert!(hub.take_message(HubMessage::Asked(1, watch(Some("g")))).is_some());
        assert!(hub.take_message(HubMessage::Asked(2, watch(None))).is_none(), "another screen closes its own");
        assert_eq!(hub.take_message(HubMessage::Left(2)), None);
        assert_eq!(hub.take_message(HubMessage::Left(1)), Some(watch(None)), "its screen went away");
    }
}
