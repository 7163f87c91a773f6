//! The edge: a real terminal. Opens it, draws the first frame before anything else happens, reads keys, and puts the
//! terminal back however this ends (leaving, a signal, a panic, a lost line).

mod answers;
mod messages;
mod modes;
mod typed;

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crossterm::event::Event;
use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use futures_util::{Stream, StreamExt};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use answers::{TerminalAnswers, TerminalInput};
pub(crate) use modes::restore_terminal;
use modes::{ask_background, enter_modes, hook_panics, put_back};
use typed::Typed;

use super::model::{Model, ScreenOptions};
use super::update::{Cmd, Msg, update};
use super::view;
use crate::base::At;
use crate::snapshot::{Ask, Reply, Snapshot};

/// Keys taken in before a frame is drawn: a held key must not lag behind.
const MAX_KEYS_A_FRAME: usize = 64;

/// How long an escape may be the beginning of what the terminal says, when the rest of it is still on its way.
const ESCAPE: Duration = Duration::from_millis(50);
/// How long a stop may take to take hold; without a shell that could take the terminal it never does.
const STOPS: Duration = Duration::from_millis(500);

/// Why the screens were left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// The person left.
    Left,
    /// A signal asked for it: its name.
    Signal(&'static str),
    /// The terminal went away.
    TerminalLost,
}

/// This program's clock: the screens have none of their own.
pub(crate) type ScreenClock = fn() -> At;

type TerminalWriter = BufWriter<Stdout>;

/// The ends of a controller.
type ControllerChannels = (watch::Receiver<Arc<Snapshot>>, mpsc::Receiver<Reply>, mpsc::Sender<Ask>);

/// An open terminal with the cockpit on it.
#[derive(Debug)]
pub struct Cockpit {
    terminal: Terminal<CrosstermBackend<TerminalWriter>>,
    model: Model,
    clock: ScreenClock,
    signals: Option<ProcessSignals>,
    answers: TerminalAnswers,
    /// Ctrl-z was pressed.
    suspends: bool,
}

impl Cockpit {
    /// Takes the terminal over and draws the first frame: a whole cockpit that says what it connects to.
    /// Inside a tokio runtime signals are kept for [`Cockpit::run`] from here on, so that none leaves the terminal in
    /// our modes; outside one they are listened to only when that begins.
    ///
    /// # Errors
    /// Standard output is no terminal, or it can't be written to; signals can't be listened to.
    pub fn open(options: ScreenOptions, clock: ScreenClock) -> io::Result<Self> {
        // crossterm would obey NO_COLOR by dropping every style, bold and reverse too; the theme has obeyed it already.
        crossterm::style::force_color_output(true);
        hook_panics();
        let signals = tokio::runtime::Handle::try_current().is_ok().then(ProcessSignals::listen).transpose()?;
        enter_modes()?;
        let open = || -> io::Result<Self> {
            let terminal = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stdout())))?;
            let size = terminal.size()?;
            let model = Model::new(options, (size.width, size.height), clock());
            // The first frame does not wait for the answer: its colours hold on any background.
            let asks = model.options.theme.asks;
            if asks {
                ask_background()?;
            }
            let answers = TerminalAnswers::new(asks.then(clock));
            let mut screen = Self { terminal, model, clock, signals, answers, suspends: false };
            screen.draw()?;
            Ok(screen)
        };
        open().inspect_err(|_| restore_terminal())
    }

    /// The controller is another process: leaving ends only the line.
    #[must_use]
    pub fn attached(mut self) -> Self {
        self.model.options.attached = true;
        self
    }

    /// Runs until it is left. A snapshot with `seq` 0 counts as none yet.
    ///
    /// # Errors
    /// Signals can't be listened to. A terminal that goes away is [`ExitReason::TerminalLost`], no error.
    pub async fn run(
        mut self,
        rx: watch::Receiver<Arc<Snapshot>>,
        replies: mpsc::Receiver<Reply>,
        asks: mpsc::Sender<Ask>,
    ) -> io::Result<ExitReason> {
        let signals = match self.signals.take() {
            Some(signals) => signals,
            None => ProcessSignals::listen()?,
        };
        let mut events = Typed::listen();
        let reason = self.handle_messages((rx, replies, asks), &mut events, signals).await;
        if reason != ExitReason::TerminalLost {
            self.hear_out(&mut events).await;
            events.let_go();
        }
        restore_terminal();
        Ok(reason)
    }

    /// Takes one event and those that are there already.
    async fn take_events(
        &mut self,
        first: Option<io::Result<Event>>,
        events: &mut (impl Stream<Item = io::Result<Event>> + Unpin),
        asks: &mpsc::Sender<Ask>,
    ) -> Option<ExitReason> {
        let mut next = Some(first);
        for _ in 0..MAX_KEYS_A_FRAME {
            let Some(event) = next else { break };
            let Some(Ok(event)) = event else { return Some(ExitReason::TerminalLost) };
            let heard = self.answers.take_event(event, (self.clock)());
            if self.take_input(heard, asks) {
                return Some(ExitReason::Left);
            }
            // What was typed after it is the shell's: it must not start anything that the stop would freeze.
            if self.suspends {
                return None;
            }
            next = next_at_hand(events).await;
            if next.is_none() && self.answers.holds_escape() {
                next = tokio::time::timeout(ESCAPE, events.next()).await.ok();
            }
        }
        let heard = self.answers.give_up();
        self.take_input(heard, asks).then_some(ExitReason::Left)
    }

    /// What came from the terminal: the person's part of it, and its own. True: leave.
    fn take_input(&mut self, heard: TerminalInput, asks: &mpsc::Sender<Ask>) -> bool {
        let now = (self.clock)();
        let background = heard.light.map(Msg::Background);
        let events = heard.events.into_iter().filter_map(|event| match event {
            Event::Key(key) => Some(Msg::Key(key, now)),
            Event::Paste(text) => Some(Msg::Paste(text, now)),
            Event::Resize(columns, rows) => Some(Msg::Resize(columns, rows)),
            Event::FocusGained | Event::FocusLost | Event::Mouse(_) => None,
        });
        let msgs: Vec<Msg> = background.into_iter().chain(events).collect();
        msgs.into_iter().any(|msg| self.take_message(msg, asks))
    }

    /// Gives the terminal back and stops, with everything in the foreground, as ctrl-z does on a terminal that is not
    /// raw; goes on when it is continued. Where nobody could take the terminal (no shell, no job control) the kernel stops
    /// nothing, and that is said. Keys that were read after ctrl-z are dropped, as the kernel's own drops them.
    async fn suspend(
        &mut self,
        events: &mut Typed,
        signals: &mut ProcessSignals,
        asks: &mpsc::Sender<Ask>,
    ) -> io::Result<()> {
        self.hear_out(events).await;
        while let Some(Some(Ok(event))) = next_at_hand(events).await {
            self.take_answers_only(event);
        }
        events.let_go();
        restore_terminal();
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        let stopped = tokio::time::timeout(STOPS, signals.go_on.recv()).await.is_ok();
        enter_modes()?;
        self.forget_drawn()?;
        // Its size may have changed while we were stopped.
        let size = self.terminal.size()?;
        self.take_message(Msg::Resize(size.width, size.height), asks);
        self.take_message(Msg::Continued(stopped, (self.clock)()), asks);
        Ok(())
    }

    /// An answer of the terminal that is still on its way must not arrive at the shell: not when the screens are left, nor
    /// when they are stopped.
    async fn hear_out(&mut self, events: &mut Typed) {
        while let Some(left) = self.answers.time_left_to_wait((self.clock)()) {
            match tokio::time::timeout(left, events.next()).await {
                Ok(Some(Ok(event))) => self.take_answers_only(event),
                _ => return,
            }
        }
    }

    /// Takes in what the terminal itself says; what a person typed is dropped.
    fn take_answers_only(&mut self, event: Event) {
        if let Some(light) = self.answers.take_event(event, (self.clock)()).light {
            drop(update(&mut self.model, Msg::Background(light)));
        }
    }

    /// One message in, its commands out. True: leave.
    fn take_message(&mut self, msg: Msg, asks: &mpsc::Sender<Ask>) -> bool {
        let mut leave = false;
        for cmd in update(&mut self.model, msg) {
            match cmd {
                Cmd::Ask(ask) => match asks.try_send(ask) {
                    Ok(()) => {}
                    Err(TrySendError::Full(ask)) => drop(update(&mut self.model, Msg::Unsent(ask))),
                    Err(TrySendError::Closed(_)) => drop(update(&mut self.model, Msg::ControllerGone)),
                },
                Cmd::Copy(text) => {
                    // A terminal that can't be written to is noticed at the next frame.
                    let _ = self.copy_to_clipboard(&text);
                }
                Cmd::Redraw => {
                    let _ = self.forget_drawn();
                }
                Cmd::Suspend => self.suspends = true,
                Cmd::Quit => leave = true,
            }
        }
        leave
    }

    /// Forgets what is on the terminal, so that everything is drawn again. (Not `Terminal::clear`: it asks the
    /// terminal where its cursor is, and waits 2 s for one that does not answer.)
    fn forget_drawn(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Draws what changed, as one update of the terminal. A terminal that a panic elsewhere has given back is left
    /// alone: its person reads there what happened.
    fn draw(&mut self) -> io::Result<()> {
        let given_back = || io::Error::other("the terminal was given back");
        if !modes::are_ours() {
            return Err(given_back());
        }
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        let model = &self.model;
        self.terminal.draw(|frame| view::draw_view(model, frame))?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        self.terminal.backend_mut().flush()?;
        if !modes::are_ours() {
            // it was given back while this frame was on its way
            put_back();
            return Err(given_back());
        }
        Ok(())
    }

    /// Asks the terminal to put text on the clipboard (OSC 52): works over SSH, where the terminal allows it.
    fn copy_to_clipboard(&mut self, text: &str) -> io::Result<()> {
        let out = self.terminal.backend_mut();
        write!(out, "\x1b]52;c;{}\x07", encode_base64(text.as_bytes()))?;
        Write::flush(out)
    }
}

impl Drop for Cockpit {
    fn drop(&mut self) {
        restore_terminal();
    }
}

/// The next of `events`, if it is there already (`Some(None)`: they have ended). It looks with the loop's own waker:
/// crossterm's stream keeps the waker of the first look that found nothing and wakes no other, so a look with a waker that
/// does nothing (`now_or_never`) would let the next key lie until something else wakes the loop: the next tick.
async fn next_at_hand<T>(events: &mut (impl Stream<Item = T> + Unpin)) -> Option<Option<T>> {
    std::future::poll_fn(|cx| {
        Poll::Ready(match events.poll_next_unpin(cx) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        })
    })
    .await
}

/// What may end the screens from outside.
#[derive(Debug)]
struct ProcessSignals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    go_on: Signal,
}

impl ProcessSignals {
    fn listen() -> io::Result<Self> {
        let go_on = SignalKind::from_raw(rustix::process::Signal::CONT.as_raw());
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            go_on: signal(go_on)?,
        })
    }

    /// The name of the signal that asks to leave; `None`: the process was continued.
    async fn next(&mut self) -> Option<&'static str> {
        tokio::select! {
            _ = self.hangup.recv() => Some("SIGHUP"),
            _ = self.terminate.recv() => Some("SIGTERM"),
            _ = self.interrupt.recv() => Some("SIGINT"),
            _ = self.go_on.recv() => None,
        }
    }
}

/// Base64 (RFC 4648), for OSC 52.
fn encode_base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(char::from(LETTERS[(word >> (18 - 6 * i) & 63) as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in cases {
            assert_eq!(encode_base64(plain.as_bytes()), coded);
        }
    }

    /// As crossterm's event stream: the waker of the first look that finds nothing is kept until it was woken.
    #[derive(Default)]
    struct Keys {
        there: VecDeque<char>,
        waker: Option<Waker>,
    }

    impl Keys {
        fn press(&mut self, key: char) {
            self.there.push_back(key);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }

    impl Stream for Keys {
        type Item = char;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<char>> {
            if let Some(key) = self.there.pop_front() {
                return Poll::Ready(Some(key));
            }
            self.waker.get_or_insert_with(|| cx.waker().clone());
            Poll::Pending
        }
    }

    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_key_that_comes_after_the_last_one_was_taken_wakes_the_loop() {
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut keys = Keys::default();
        keys.press('a');
        for (there, seen) in [(Some(Some('a')), "a key"), (None, "nothing more")] {
            let look = pin!(next_at_hand(&mut keys)).poll(&mut cx);
            assert_eq!(look, Poll::Ready(there), "{seen}");
        }
        // The loop waits for its next event, of whatever kind; then a key comes.
        assert_eq!(pin!(keys.next()).poll(&mut cx), Poll::Pending);
        keys.press('b');
        assert_eq!(woken.0.load(Ordering::SeqCst), 1, "the key would lie there until the next tick");
    }
}
