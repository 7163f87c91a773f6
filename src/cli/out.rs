//! The one door to standard output and standard error (`tests/architecture.rs` holds everything else to it). What goes
//! through it can't drive a terminal: of control characters only the line breaks that the program itself put there pass.
//! And it holds no secret that is known: most words have lost theirs where they were made, the literals of a plan have not.

use std::io::Write as _;

use serde_json::Value;

use crate::base::redact::{hide_cow, hide_json};
use crate::base::sanitise::{ascii_json, visible_cow};

/// A line on standard error, written like `format!`.
macro_rules! say {
    ($($word:tt)*) => { crate::cli::out::tell_line(&format!($($word)*)) };
}

/// Words on standard error, as they are. It may be gone: that ends nothing.
pub(super) fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(clean_lines(text).as_bytes());
}

/// A question on standard error, which the cursor stays behind. What has to be typed stands in it as it is.
pub(super) fn ask(question: &str) {
    let _ = std::io::stderr().lock().write_all(visible_cow(question).as_bytes());
}

/// One line without a known secret, and without anything that a terminal obeys. Secrets first: made visible, one with an odd
/// character in it would be another text.
pub(super) fn clean_line(line: &str) -> String {
    visible_cow(&hide_cow(line)).into_owned()
}

/// Line by line: what looks like the beginning of a secret in one must not swallow the next.
fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean_line).collect::<Vec<_>>().join("\n")
}

/// A line on standard error.
pub(super) fn tell_line(line: &str) {
    tell(&format!("{line}\n"));
}

/// A line on standard error that is drawn over the one before it; empty: takes it away.
pub(super) fn redraw(line: &str) {
    let line = clean_line(line);
    let _ = std::io::stderr().lock().write_all(format!("\r\u{1b}[K{line}").as_bytes());
}

/// Words on standard output, as they are.
pub(super) fn print_text(text: &str) {
    print_raw(&clean_lines(text));
}

/// A document whose lines end in CRLF, as RFC 5545 wants it.
pub(super) fn print_crlf(text: &str) {
    let lines: Vec<_> = text.split("\r\n").map(clean_line).collect();
    print_raw(&lines.join("\r\n"));
}

/// A file for another program, byte for byte, on standard output: a shell's completions have tabs, a reset file may hold
/// what a terminal would obey (whoever prints that asks first whether there is one).
pub(super) fn print_file(text: &str) {
    print_raw(text);
}

/// One JSON value on a line of standard output.
pub(super) fn print_json_line(mut value: Value) {
    hide_json(&mut value);
    print_raw(&format!("{}\n", ascii_json(&value.to_string())));
}

/// A JSON document on standard output, for people too.
pub(super) fn print_json(mut value: Value) {
    hide_json(&mut value);
    print_raw(&format!("{}\n", ascii_json(&format!("{value:#}"))));
}

/// Standard output for a document that is clean by its making, and that may be long.
pub(super) fn open_document() -> impl std::io::Write {
    std::io::stdout().lock()
}

/// A reader that went away (`| head`) is no error.
fn print_raw(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        tracing::debug!("standard output was closed");
    }
}

#[cfg(test)]
mod tests {
    use super::clean_lines;

    #[test]
    fn nothing_leaves_with_a_secret_in_it() {
        let secret = "c4nary-of-the-door";
        crate::base::redact::learn_secret(secret);
        assert_eq!(clean_lines(&format!("a {secret}\nb password=\"x\ny\" z\n")), "a (hidden)\nb password=\"x\ny\" z\n");
    }
}
