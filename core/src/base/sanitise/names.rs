//! Names as they are shown: two different names are never the same text, and every cell of one can be seen.
//!
//! What has no look of its own is written by its code point. That is wider than what would harm a terminal: spaces at an
//! end, a second space, other spaces than U+0020, combining marks, and letters that pass for those of another alphabet
//! (Unicode TR 36 and TS 39 name the attacks; the whitelist below is narrower than their tables, and needs none). Not
//! marked is what looks alike within ASCII (`l` and `1`), and within what is written together in Chinese, Japanese and
//! Korean (`ニ` in Kana and `二` in Han): a name of these alone would be all code points (docs/limits.md).

use std::fmt::Write as _;

/// A foreign name (a group, topic, client, principal, transactional id, host) for people: injective, so that
/// `visible_name(a) == visible_name(b)` only where `a == b`, and without anything that drives, reorders or hides text.
///
/// Whatever has no unmistakable look becomes `\u{..}`, also a space at an end or after another one: so what is shown can be
/// typed. Backslashes that would make plain text look like such an escape are doubled. It is applied once, where a name
/// enters a sentence or a cell: a second time it would escape its own backslashes. The outer gate for whole texts,
/// [`super::visible_text`], leaves its result as it is.
#[must_use]
pub fn visible_name(name: &str) -> String {
    // Nearly every name is like that: no alphabet is looked for.
    if name.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return name.to_owned();
    }
    let alphabet = Alphabet::of_name(name);
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 16);
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        match c {
            '\\' => {
                let run = chars[at..].iter().take_while(|c| **c == '\\').count();
                // Where an escape follows or comes to stand, its own backslash
                // would join the run, and two names could look alike.
                let ambiguous = match chars.get(at + run) {
                    Some('u') => chars.get(at + run + 1) == Some(&'{'),
                    Some(' ') => at + run + 1 == chars.len(),
                    Some(next) => !alphabet.shows(*next),
                    None => false,
                };
                out.extend(std::iter::repeat_n('\\', if ambiguous { 2 * run } else { run }));
                at += run;
                continue;
            }
            ' ' if at > 0 && chars[at - 1] != ' ' && at + 1 < chars.len() => out.push(' '),
            _ if alphabet.shows(c) => out.push(c),
            _ => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32); // writing to a String cannot fail
            }
        }
        at += 1;
    }
    out
}

/// Whether every character of a word is shown as itself, spaces aside: whether it can be copied from the screen.
#[must_use]
pub fn is_legible(word: &str) -> bool {
    let alphabet = Alphabet::of_name(word);
    word.chars().all(|c| c == ' ' || alphabet.shows(c))
}

/// The alphabet whose letters a name is read in: those of the others pass for its own, and are written by code point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    /// Any Latin letter decides it.
    Latin,
    /// All its letters are Cyrillic, and one of them looks like no Latin letter.
    Cyrillic,
    /// The same in Greek.
    Greek,
    /// None of these, or one that could be read as Latin throughout (`сосо` in Cyrillic).
    None,
}

impl Alphabet {
    fn of_name(name: &str) -> Self {
        let any = |of: fn(char) -> bool| name.chars().any(of);
        match (any(is_latin), any(is_cyrillic), any(is_greek)) {
            (true, ..) => Self::Latin,
            (false, true, false) if any(|c| CYRILLIC_ALONE.contains(c)) => Self::Cyrillic,
            (false, false, true) if any(|c| GREEK_ALONE.contains(c)) => Self::Greek,
            _ => Self::None,
        }
    }

    /// Whether a character is shown as itself; of a space its place decides.
    fn shows(self, c: char) -> bool {
        c.is_ascii_graphic()
            || is_latin(c)
            || is_east_asian(c)
            || is_picture(c)
            || (self == Self::Cyrillic && is_cyrillic(c))
            || (self == Self::Greek && is_greek(c))
    }
}

/// ASCII letters, and Latin letters with a mark that can be seen: not those that pass for another (dotless i, long s, the
/// capitals of eth and of d with a stroke) or for two (`ĳ`).
fn is_latin(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' => true,
        '\u{d0}' | '\u{d7}' | '\u{f7}' | '\u{110}' | '\u{131}'..='\u{133}' | '\u{138}' | '\u{149}' | '\u{17f}' => false,
        '\u{1e9a}'..='\u{1e9d}' => false,
        '\u{c0}'..='\u{17f}' | '\u{1a0}' | '\u{1a1}' | '\u{1af}' | '\u{1b0}' | '\u{1e00}'..='\u{1ef9}' => true,
        _ => false,
    }
}

/// The letters of today's Cyrillic alphabets, without the capital Ze: it passes for the digit 3.
fn is_cyrillic(c: char) -> bool {
    c != '\u{417}'
        && matches!(c, '\u{401}'..='\u{40f}' | '\u{410}'..='\u{44f}' | '\u{451}'..='\u{45f}' | '\u{490}' | '\u{491}')
}

/// The letters of today's Greek alphabet.
fn is_greek(c: char) -> bool {
    matches!(c, '\u{386}' | '\u{388}'..='\u{38a}' | '\u{38c}' | '\u{38e}'..='\u{3a1}' | '\u{3a3}'..='\u{3ce}')
}

/// Cyrillic letters that no Latin letter looks like.
const CYRILLIC_ALONE: &str = "бгджзийлпфцчшщъыьэюяБГДЖИЙЛПФЦЧШЩЪЫЬЭЮЯ";
/// Greek letters that no Latin letter looks like.
const GREEK_ALONE: &str = "βδεζηθλμξπσφψωΓΔΘΛΞΠΣΦΨΩ";

/// Kana, Han and Hangul as they are typed; not their compatibility forms, which look the same.
fn is_east_asian(c: char) -> bool {
    let block = matches!(c,
        '\u{3005}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{20000}'..='\u{2ebe0}');
    block && is_assigned(c)
}

/// Emoji that stand alone: no skin tones, no flags, nothing that joins; and none of the signs that a screen of ours uses.
fn is_picture(c: char) -> bool {
    let block = matches!(c,
        '\u{1f300}'..='\u{1f3fa}' | '\u{1f400}'..='\u{1f64f}' | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}');
    block && is_assigned(c) && unicode_width::UnicodeWidthChar::width(c) == Some(2)
}

/// Whether this version of Unicode has such a character, and it can be printed.
pub(super) fn is_assigned(c: char) -> bool {
    // `escape_debug` knows std's table of what can be printed.
    // It also escapes quotes and backslashes, hence ASCII first.
    c.is_ascii() || c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::sanitise::visible_text;

    /// What a visible name stands for: the proof that nothing is lost is that it can be read back.
    fn read_back(shown: &str) -> String {
        let chars: Vec<char> = shown.chars().collect();
        let mut out = String::new();
        let mut at = 0;
        while at < chars.len() {
            match chars[at] {
                '\\' => {
                    let run = chars[at..].iter().take_while(|c| **c == '\\').count();
                    at += run;
                    if chars.get(at) != Some(&'u') || chars.get(at + 1) != Some(&'{') {
                        out.extend(std::iter::repeat_n('\\', run));
                        continue;
                    }
                    out.extend(std::iter::repeat_n('\\', run / 2));
                    if run % 2 == 1 {
                        let end = at + chars[at..].iter().position(|c| *c == '}').expect("an escape ends");
                        let code: String = chars[at + 2..end].iter().collect();
                        out.extend(char::from_u32(u32::from_str_radix(&code, 16).expect("a code point")));
                        at = end + 1;
                    }
                    continue;
                }
                c => out.push(c),
            }
            at += 1;
        }
        out
    }

    /// Characters that attack, and those that look like what they become.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            3 => Just("\\".to_owned()),
            2 => Just("u{".to_owned()),
            1 => Just("\\u{200b}".to_owned()),
            2 => Just(" ".to_owned()),
            2 => prop::sample::select(vec![
                '\0', '\x1b', '\n', '\r', '\x7f', '\u{85}', '\u{9b}', '\u{a0}', '\u{ad}', '\u{200b}', '\u{200d}',
                '\u{202e}', '\u{2066}', '\u{301}', '\u{3000}', '\u{feff}', '\u{fffd}', '\u{2400}', '\u{2420}',
                '\u{2421}', '\u{430}', '\u{431}', '\u{3bf}', '\u{3b4}', '\u{ff41}', 'ı', 'é', '注', '🚀', '}', 'a', 'u',
            ])
            .prop_map(String::from),
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_visible_name_can_be_read_back(name in hostile()) {
            let shown = visible_name(&name);
            prop_assert_eq!(read_back(&shown), name);
        }

        #[test]
        fn it_is_harmless_and_as_wide_as_its_characters(name in hostile()) {
            use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};
            let shown = visible_name(&name);
            prop_assert!(matches!(visible_text(&shown), out if out == shown), "the outer gate changes {shown:?}");
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert_eq!(shown.trim(), shown.as_str());
            prop_assert!(shown.chars().all(|c| c.width() > Some(0)), "{shown:?}");
            prop_assert_eq!(shown.width(), shown.chars().filter_map(|c| c.width()).sum::<usize>());
        }
    }

    #[test]
    fn what_looks_alike_is_marked() {
        for (a, b) in [
            ("a", "a "),
            ("a", " a"),
            ("a b", "a  b"),
            ("a b", "a\u{a0}b"),
            ("ab", "a\u{200b}b"),
            ("a\u{200b}", "a\\u{200b}"),
            ("a\\\u{200b}", "a\\\\u{200b}"),
            ("é", "e\u{301}"),
            ("pay", "p\u{430}y"),
            ("coco", "сосо"),
            ("a-b", "a\u{2010}b"),
            ("fi", "ﬁ"),
            ("abc", "ａｂｃ"),
            ("i", "ı"),
            ("␛", "\x1b"),
            ("a", "a\u{fe0f}"),
            ("K", "\u{212a}"),
            ("\u{d0}ata", "\u{110}ata"),
            ("\u{110}ata", "Data"),
            ("IJ", "\u{132}"),
            ("ij", "\u{133}"),
            ("группа-3", "группа-\u{417}"),
        ] {
            let (a, b) = (visible_name(a), visible_name(b));
            assert_ne!(a, b);
            assert!(a.contains("\\u{") || b.contains("\\u{"), "{a} and {b}");
        }
        assert_eq!(visible_name("p\u{430}yments "), "p\\u{430}yments\\u{20}");
        assert_eq!(visible_name("a\x1b]0;x\x07"), "a\\u{1b}]0;x\\u{7}");
        // the capital Ze alone does not make a name Cyrillic: the rest of this one could be Latin
        assert_eq!(visible_name("\u{417}\u{410}\u{41e}"), "\\u{417}\\u{410}\\u{41e}");
    }

    #[test]
    fn what_can_be_read_stays_as_it_is() {
        for name in
            ["", "loan-audit", "CORP\\svc", "a b", "Überweisung", "đặng", "注文", "команда", "ομάδα", "🚀 go", "a\\n"]
        {
            assert_eq!(visible_name(name), name);
            assert!(is_legible(name), "{name}");
        }
        assert!(!is_legible("a\u{200b}") && !is_legible("a\n") && !is_legible("p\u{430}y"));
    }
}
