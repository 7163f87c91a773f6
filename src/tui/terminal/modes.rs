//! The terminal's modes: ours while the cockpit is on it, the person's own before and after, however it ends.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::style::Print;
use crossterm::terminal::{
    Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{cursor, execute};

use crate::base::lock_unpoisoned;

/// Whether the terminal is in our modes now. One process has one terminal.
static OPEN: AtomicBool = AtomicBool::new(false);

/// Our modes: raw, another screen, no cursor, pastes marked as such.
pub(super) fn enter_modes() -> io::Result<()> {
    enable_raw_mode()?;
    // From here on there is something to put back, however entering goes on.
    OPEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide).inspect_err(|_| restore_terminal())
}

/// Asks the terminal how light its background is; the answer comes among the keys. What a terminal that does not know
/// the question prints of it is wiped.
pub(super) fn ask_background() -> io::Result<()> {
    execute!(io::stdout(), Print(super::answers::QUESTION), Clear(ClearType::All))
}

/// Whether the terminal is in our modes.
pub(super) fn are_ours() -> bool {
    OPEN.load(Ordering::SeqCst)
}

/// Held from when a panic takes the terminal back until its message is written.
static TELLS_PANIC: Mutex<()> = Mutex::new(());

/// Puts the terminal back, once; a terminal that is gone can't be put back and needs no error. A panic's message that is
/// being written is waited for: to the cockpit the terminal looks lost meanwhile, and who ends the process then would end
/// the one thing that says why.
pub(crate) fn restore_terminal() {
    restore_once();
    drop(lock_unpoisoned(&TELLS_PANIC));
}

fn restore_once() {
    if OPEN.swap(false, Ordering::SeqCst) {
        put_back();
    }
}

/// The person's own screen, cursor and modes. The mode first: who sees the own screen again may type at once, and what is
/// typed into a raw terminal is neither echoed nor a line for the shell that gets it.
pub(super) fn put_back() {
    let _ = disable_raw_mode();
    // A frame may have been under way: a terminal that waits for its end would show nothing.
    let _ = execute!(
        io::stdout(),
        EndSynchronizedUpdate,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show,
        crossterm::style::ResetColor
    );
}

/// A panic's message must be read on the person's own screen, not on the one that goes away. Hooked once.
pub(super) fn hook_panics() {
    static HOOKED: AtomicBool = AtomicBool::new(false);
    if HOOKED.swap(true, Ordering::SeqCst) {
        return;
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !crate::base::quiet::is_expected() {
            let _telling = lock_unpoisoned(&TELLS_PANIC);
            restore_once();
            before(info);
        }
    }));
}
