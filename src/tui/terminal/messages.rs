//! The loop: what comes from the person, from the terminal and from the controller, one message at a time, and when the next
//! frame is drawn for it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::Event;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::modes::enter_modes;
use super::typed::Typed;
use super::{Cockpit, ControllerChannels, ExitReason, ProcessSignals};
use crate::snapshot::{Ask, Reply, Snapshot};
use crate::tui::model::Overlay;
use crate::tui::update::Msg;

/// Snapshots and ages are drawn at most this often; keys at once.
const FRAME: Duration = Duration::from_millis(250);

/// When the next frame is due, after a message.
enum NextFrame {
    /// At once.
    Now,
    /// With the next tick: something changed that can wait for it.
    AtTick,
    /// Nothing of it is on the screen.
    Unchanged,
    /// The screens are left.
    Never(ExitReason),
}

impl Cockpit {
    /// Takes messages until the screens are left.
    pub(super) async fn handle_messages(
        &mut self,
        (mut rx, mut replies, asks): ControllerChannels,
        events: &mut Typed,
        mut signals: ProcessSignals,
    ) -> ExitReason {
        let mut tick = tokio::time::interval(FRAME);
        // After a long stop (a suspended process, a slow line) one tick is enough.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        rx.mark_changed();
        let (mut controller, mut answers) = (true, true);
        let mut stale = false;
        loop {
            let next = tokio::select! {
                // Signals and keys before snapshots: those come again.
                biased;
                name = signals.next() => match name {
                    Some(name) => NextFrame::Never(ExitReason::Signal(name)),
                    None => self.retake_terminal(),
                },
                event = events.next() => self.take_typed(event, events, &mut signals, &asks).await,
                reply = replies.recv(), if answers => match reply {
                    Some(reply) => self.take_reply(reply, &asks),
                    None => {
                        answers = false;
                        NextFrame::Unchanged
                    }
                },
                changed = rx.changed(), if controller => {
                    controller = changed.is_ok();
                    let snapshot = controller.then(|| Arc::clone(&rx.borrow_and_update()));
                    self.take_snapshot(snapshot, &asks)
                }
                _ = tick.tick() => self.take_tick(stale, &asks),
            };
            match next {
                NextFrame::Never(reason) => return reason,
                NextFrame::Now => {
                    stale = false;
                    if self.draw().is_err() {
                        return ExitReason::TerminalLost;
                    }
                }
                NextFrame::AtTick => stale = true,
                NextFrame::Unchanged => {}
            }
        }
    }

    /// Continued after a stop: the shell has had the terminal meanwhile.
    fn retake_terminal(&mut self) -> NextFrame {
        if enter_modes().is_err() || self.forget_drawn().is_err() {
            return NextFrame::Never(ExitReason::TerminalLost);
        }
        NextFrame::Now
    }

    /// Takes what was typed, and stops where that asked for it.
    async fn take_typed(
        &mut self,
        first: Option<io::Result<Event>>,
        events: &mut Typed,
        signals: &mut ProcessSignals,
        asks: &mpsc::Sender<Ask>,
    ) -> NextFrame {
        if let Some(reason) = self.take_events(first, events, asks).await {
            return NextFrame::Never(reason);
        }
        if std::mem::take(&mut self.suspends) && self.suspend(events, signals, asks).await.is_err() {
            return NextFrame::Never(ExitReason::TerminalLost);
        }
        NextFrame::Now
    }

    fn take_reply(&mut self, reply: Reply, asks: &mpsc::Sender<Ask>) -> NextFrame {
        let msg = Msg::Reply(reply, (self.clock)());
        if self.take_message(msg, asks) { NextFrame::Never(ExitReason::Left) } else { NextFrame::Now }
    }

    /// Takes the newest snapshot; `None`: there will be no more.
    fn take_snapshot(&mut self, snapshot: Option<Arc<Snapshot>>, asks: &mpsc::Sender<Ask>) -> NextFrame {
        let first = self.model.snapshot.is_none();
        let msg = match snapshot {
            Some(snapshot) if snapshot.seq == 0 => return NextFrame::Unchanged,
            Some(snapshot) => Msg::Snapshot(snapshot, (self.clock)()),
            None => Msg::ControllerGone,
        };
        self.take_message(msg, asks);
        if first { NextFrame::Now } else { NextFrame::AtTick }
    }

    /// Time has passed. `stale`: something changed since the last frame.
    fn take_tick(&mut self, stale: bool, asks: &mpsc::Sender<Ask>) -> NextFrame {
        let before = self.model.now.0 / 1000;
        let msg = Msg::Tick((self.clock)());
        if self.take_message(msg, asks) {
            return NextFrame::Never(ExitReason::Left);
        }
        // Ages are in seconds; a dialog counts down.
        let aged = before != self.model.now.0 / 1000;
        let counts_down = matches!(self.model.overlay, Some(Overlay::Confirm(_)));
        if stale || aged || counts_down { NextFrame::Now } else { NextFrame::Unchanged }
    }
}
