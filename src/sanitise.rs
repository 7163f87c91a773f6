//! The one sanitiser: makes characters visible that would drive, reorder or hide text in a terminal.
//!
//! Strings from brokers, flag servers, hooks and files pass through here once, where they come in.
//! Names that go back into requests (topics, groups) stay raw as keys and pass through at the display edge.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with every control character, bidirectional control and zero-width character made visible.
///
/// C0 and DEL become their pictures (`ESC` is `␛`), everything else `\u{..}`. Idempotent: the result
/// holds nothing that would be changed again. Text that is already clean is copied unchanged.
#[must_use]
pub fn visible(text: &str) -> String {
    visible_cow(text).into_owned()
}

/// As [`visible`], borrowing when there is nothing to change.
#[must_use]
pub fn visible_cow(text: &str) -> Cow<'_, str> {
    // Clean ASCII is nearly all there is: decide on bytes.
    let Some(first) = text.bytes().position(|b| !(0x20..0x7f).contains(&b)) else { return Cow::Borrowed(text) };
    let Some(offset) = text[first..].find(is_hidden) else { return Cow::Borrowed(text) };
    let (clean, rest) = text.split_at(first + offset);
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(clean);
    for c in rest.chars() {
        match c {
            '\0'..='\x1f' => out.extend(char::from_u32(0x2400 + c as u32)),
            '\x7f' => out.push('\u{2421}'),
            _ if is_hidden(c) => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32); // writing to a String cannot fail
            }
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Whether `text` would be changed by [`visible`].
#[must_use]
pub fn is_clean(text: &str) -> bool {
    matches!(visible_cow(text), Cow::Borrowed(_))
}

/// Characters that act on the terminal or on the order of text, or that cannot be seen.
/// Unicode's Cc, bidirectional controls (UAX 9), default-ignorable format characters and blank letters.
fn is_hidden(c: char) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_is_borrowed() {
        for text in ["", "orders-7", "Überweisung", "注文", "🚀 go", "a\\u{202e}b"] {
            assert!(matches!(visible_cow(text), Cow::Borrowed(t) if t == text), "{text}");
        }
    }

    #[test]
    fn controls_are_shown() {
        assert_eq!(visible("a\x1b[2Jb"), "a␛[2Jb");
        assert_eq!(visible("\0\t\r\n\x7f"), "␀␉␍␊␡");
        assert_eq!(visible("x\u{9b}31m"), "x\\u{9b}31m");
        assert_eq!(visible("gro\u{202e}pu"), "gro\\u{202e}pu");
        assert_eq!(visible("or\u{200b}ders\u{feff}"), "or\\u{200b}ders\\u{feff}");
        assert_eq!(visible("é\x07"), "é␇");
    }

    #[test]
    fn every_character_is_stable_and_harmless() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let once = visible(&c.to_string());
            assert!(!once.chars().any(|c| c.is_control()), "{c:?}");
            assert_eq!(visible(&once), once, "{c:?}");
        }
    }
}
