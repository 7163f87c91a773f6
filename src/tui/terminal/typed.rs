//! What is typed, and what the terminal says of itself.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use crossterm::event::{Event, EventStream};
use futures_util::Stream;

/// The terminal's events. `None` only while it lets go, and when it hung up.
pub(super) struct Typed(Option<EventStream>);

impl Typed {
    /// Reads from now on.
    pub fn listen() -> Self {
        Self(Some(EventStream::new()))
    }

    /// Leaves what is typed from now on to whoever has the terminal next, until it is asked for an event again.
    ///
    /// A stream that was asked in vain has a thread of its own that waits at the terminal, and would still take what is
    /// typed for the shell. Dropped, the stream wakes that thread; making another one waits for the lock that the thread
    /// holds as long as it reads. (Made before the old one is dropped, it would wait for the next key.)
    ///
    /// Of a terminal that hung up crossterm's reader never lets go: it reads its end again and again under that lock. (A
    /// signal may come before the reader has seen the end.)
    pub fn let_go(&mut self) {
        self.0 = None;
        if !has_hung_up() {
            self.0 = Some(EventStream::new());
        }
    }
}

/// Whether the terminal is gone: Linux swaps the file operations of a tty that hung up, and they answer EIO.
fn has_hung_up() -> bool {
    matches!(rustix::termios::tcgetattr(io::stdin()), Err(rustix::io::Errno::IO))
}

impl Stream for Typed {
    type Item = io::Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().map_or(Poll::Pending, |events| Pin::new(events).poll_next(cx))
    }
}
