//! The one sanitiser: nothing from outside drives, reorders or hides text in a terminal, and nothing looks like what it is
//! not.
//!
//! Three gates, each for one place:
//! - [`visible_name`] where a foreign *name* (group, topic, client, principal, transactional id) enters a sentence or a
//!   cell: injective. Names that go back into requests stay raw as keys, and pass through here where they are shown.
//!   [`visible_path`] does the same to the parts of a path.
//! - [`visible_text`] for *texts*: where foreign words come in (errors, answers, output of commands), and again at every way out
//!   (lines, cells, logs). Idempotent, so that any number of gates may stand in a row, and a visible name stays as it is.
//! - [`ascii_json`] for JSON that leaves the program: what can't be seen is `\u`-escaped, so that scripts read the raw
//!   name back.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use unicode_width::UnicodeWidthChar as _;

mod names;

pub use names::is_legible;
pub use names::visible_name;

/// Most combining marks on one base character of a text: more make a pile that leaves its line (two are what languages
/// need).
const MAX_MARKS: usize = 2;

/// `text` with every control character, bidirectional control, invisible character and odd space made visible.
///
/// C0 and DEL become their pictures (`ESC` is `␛`), everything else `\u{..}`. Idempotent: the result
/// holds nothing that would be changed again. Text that is already clean is copied unchanged.
#[must_use]
pub fn visible_text(text: &str) -> String {
    visible_cow(text).into_owned()
}

/// As [`visible_text`], borrowing when there is nothing to change.
#[must_use]
pub fn visible_cow(text: &str) -> Cow<'_, str> {
    // Clean ASCII is nearly all there is: decide on bytes.
    let Some(first) = text.bytes().position(|b| !(0x20..0x7f).contains(&b)) else { return Cow::Borrowed(text) };
    let (clean, rest) = text.split_at(first);
    let mut out = String::new();
    // Marks since the last base character; a mark without a base would sit on what the program wrote before it.
    let mut marks = if clean.is_empty() { MAX_MARKS } else { 0 };
    let mut kept = 0;
    for (at, c) in rest.char_indices() {
        let mark = !c.is_ascii() && c.width() == Some(0);
        marks = if mark { marks + 1 } else { 0 };
        if !is_hidden(c) && marks <= MAX_MARKS {
            continue;
        }
        if out.is_empty() {
            out.reserve(text.len() + 16);
            out.push_str(clean);
        }
        out.push_str(&rest[kept..at]);
        kept = at + c.len_utf8();
        match c {
            '\0'..='\x1f' => out.extend(char::from_u32(0x2400 + c as u32)),
            '\x7f' => out.push('\u{2421}'),
            _ => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32); // writing to a String cannot fail
            }
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&rest[kept..]);
    Cow::Owned(out)
}

/// As [`visible_text`], line by line: for text of our own making that spans lines. What is foreign in it has passed a gate
/// before it was put together, else its line breaks would count as ours.
#[must_use]
pub(crate) fn visible_lines(text: &str) -> Cow<'_, str> {
    if text.split('\n').all(is_clean) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split('\n').map(visible_cow).collect::<Vec<_>>().join("\n"))
}

/// A path for people: each of its parts as [`visible_name`] shows it, so that a line break in one forges no line, and two
/// paths never look alike. Bytes that are no UTF-8 are shown as U+FFFD. Applied once, as a name's is.
#[must_use]
pub fn visible_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.split('/').map(visible_name).collect::<Vec<_>>().join("/")
}

/// Names for people, one after the other with a comma between them: each as [`visible_name`] shows it.
#[must_use]
pub fn visible_names<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> String {
    names.into_iter().map(|name| visible_name(name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// What somebody wrote (a name, a value in a plan) in quotation marks, as [`visible_name`] shows it.
#[must_use]
pub fn quoted_name(name: &str) -> String {
    format!("\"{}\"", visible_name(name))
}

/// Whether `text` would be left as it is by [`visible_text`].
#[must_use]
pub fn is_clean(text: &str) -> bool {
    matches!(visible_cow(text), Cow::Borrowed(_))
}

/// JSON with everything outside printable ASCII `\u`-escaped: a terminal can show it, no two names look alike in it, and
/// it parses back to the same value (RFC 8259, 7). `json` is JSON already: such characters stand only inside its strings.
#[must_use]
pub fn ascii_json(json: &str) -> Cow<'_, str> {
    // Below 0x20 only the line breaks of a layout can be left: within strings JSON itself escapes them.
    let Some(first) = json.bytes().position(|b| b >= 0x7f) else { return Cow::Borrowed(json) };
    let mut out = String::with_capacity(json.len() + 32);
    out.push_str(&json[..first]);
    for c in json[first..].chars() {
        if c < '\x7f' {
            out.push(c);
            continue;
        }
        // JSON counts in units of UTF-16: what lies beyond the first plane takes two (RFC 8259, 7).
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}"); // writing to a String cannot fail
        }
    }
    Cow::Owned(out)
}

/// Whether no character of `text` acts on a terminal or on the order of text, or takes no place: a name that people
/// typed into a file may hold odd spaces, and nothing of these.
#[must_use]
pub fn is_inert(text: &str) -> bool {
    !text.chars().any(acts_on_terminal)
}

/// Characters that act on the terminal or on the order of text, or that take no place: Unicode's Cc, bidirectional
/// controls (UAX 9), default-ignorable format characters, blank letters.
fn acts_on_terminal(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'                   // C0, DEL, C1
        | '\u{ad}' | '\u{34f}' | '\u{61c}'                  // soft hyphen, grapheme joiner, Arabic letter mark
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers: blank letters
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' // Khmer inherent vowels, Mongolian selectors
        | '\u{200b}'..='\u{200f}'                           // zero width space, joiners, LRM, RLM
        | '\u{2028}'..='\u{202e}'                           // line and paragraph separators, embeddings, overrides
        | '\u{2060}'..='\u{206f}'                           // word joiner, invisible operators, isolates
        | '\u{fe00}'..='\u{fe0f}'                           // variation selectors
        | '\u{feff}' | '\u{fff0}'..='\u{fffb}'              // byte order mark, annotation
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'                         // tags, more variation selectors
    )
}

/// As [`acts_on_terminal`], and what can't be told from something else or moves what is beside it: spaces but U+0020, blank signs,
/// private use, what is not assigned, right-to-left scripts, and what terminals give different widths.
fn is_hidden(c: char) -> bool {
    acts_on_terminal(c)
        || matches!(c,
            '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' // spaces
            | '\u{2800}'                                       // blank Braille
            | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' // private use: whatever the font says
            | '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f3fb}'..='\u{1f3ff}' // flags, skin tones: one cell or two or four
            // right-to-left scripts: a terminal that follows UAX 9 moves the numbers beside them
            | '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
            | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}'
        )
        || (c.width() != Some(0) && !names::is_assigned(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_is_borrowed() {
        for text in ["", "orders-7", "Überweisung", "注文", "🚀 go", "a\\u{202e}b", "e\u{301}", "ế", "– … → ≥ ✓"]
        {
            assert!(matches!(visible_cow(text), Cow::Borrowed(t) if t == text), "{text}");
        }
    }

    #[test]
    fn controls_are_shown() {
        assert_eq!(visible_text("a\x1b[2Jb"), "a␛[2Jb");
        assert_eq!(visible_text("\0\t\r\n\x7f"), "␀␉␍␊␡");
        assert_eq!(visible_text("x\u{9b}31m"), "x\\u{9b}31m");
        assert_eq!(visible_text("gro\u{202e}pu"), "gro\\u{202e}pu");
        assert_eq!(visible_text("or\u{200b}ders\u{feff}"), "or\\u{200b}ders\\u{feff}");
        assert_eq!(visible_text("\u{5d0} 12 34"), "\\u{5d0} 12 34", "a right-to-left letter would swap the numbers");
        assert_eq!(visible_text("é\x07"), "é␇");
        assert_eq!(visible_text("a\u{a0}b\u{3000}c"), "a\\u{a0}b\\u{3000}c");
        assert_eq!(visible_lines("a\x1b\n\nb\r\n"), "a␛\n\nb␍\n");
    }

    #[test]
    fn a_path_forges_no_line_and_passes_for_no_other() {
        let shown = |path: &str| visible_path(Path::new(path));
        assert_eq!(shown("/a b/x.toml"), "/a b/x.toml");
        assert_eq!(shown("d\nFORGED/q-p\u{430}y.journal"), "d\\u{a}FORGED/q-p\\u{430}y.journal");
        assert_eq!(shown("данные/a "), "данные/a\\u{20}", "each part is read in its own alphabet");
        assert_eq!(visible_names(["a", "p\u{430}y"]), "a, p\\u{430}y");
        assert_eq!(quoted_name("a\n"), "\"a\\u{a}\"");
    }

    #[test]
    fn marks_do_not_pile_up() {
        assert_eq!(visible_text("\u{301}a"), "\\u{301}a", "nothing to sit on");
        assert_eq!(visible_text("a\u{301}\u{302}\u{303}\u{304}b"), "a\u{301}\u{302}\\u{303}\\u{304}b");
        let zalgo = format!("é{}b", "\u{301}".repeat(400));
        assert_eq!(visible_text(&zalgo).chars().filter(|c| c.width() == Some(0)).count(), MAX_MARKS);
    }

    #[test]
    fn every_character_is_stable_and_harmless() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let once = visible_text(&format!("a{c}"));
            assert!(!once.chars().any(|c| c.is_control()), "{c:?}");
            assert_eq!(visible_text(&once), once, "{c:?}");
            let name = visible_name(c.encode_utf8(&mut [0; 4]));
            assert_eq!(visible_text(&name), name, "a visible name passes every gate as it is: {c:?}");
        }
    }

    #[test]
    fn json_is_ascii_and_parses_back() {
        let names = ["plain", "\x7f\u{9b}\u{202e}\u{200b}", "p\u{430}y", "🚀", "\\u{200b}", "é\"\n"];
        let json = serde_json::to_string(&names).unwrap();
        let shown = ascii_json(&json);
        assert!(shown.bytes().all(|b| (0x20..0x7f).contains(&b)), "{shown}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), names);
        assert!(matches!(ascii_json("{\"a\": 1}"), Cow::Borrowed(_)));
    }
}
