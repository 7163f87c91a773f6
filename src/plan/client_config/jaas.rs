//! The text of a login module (`sasl.jaas.config`), as Kafka's `JaasConfig` reads it: one module, a flag, options, and a
//! semicolon at the end.

use std::collections::BTreeMap;

/// One login module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LoginModule {
    /// Its class.
    pub module: String,
    /// Its options; values may be secrets.
    pub options: BTreeMap<String, String>,
}

/// Reads it.
///
/// # Errors
/// It is none: one sentence that repeats nothing of it.
pub(super) fn parse_jaas(text: &str) -> Result<LoginModule, String> {
    let mut words = Words { rest: text }.collect::<Result<Vec<_>, _>>()?.into_iter();
    let module = match words.next() {
        Some(Word::Text(module)) => module,
        _ => return Err("it names no login module".to_owned()),
    };
    match words.next() {
        Some(Word::Text(flag))
            if ["required", "requisite", "sufficient", "optional"].iter().any(|f| f.eq_ignore_ascii_case(&flag)) => {}
        _ => return Err("its login module has no flag (`required`)".to_owned()),
    }
    let mut options = BTreeMap::new();
    loop {
        match (words.next(), words.next(), words.next()) {
            (Some(Word::Semicolon), None, _) => return Ok(LoginModule { module, options }),
            (Some(Word::Semicolon), Some(_), _) => return Err("it has more than one login module".to_owned()),
            (Some(Word::Text(name)), Some(Word::Equals), Some(Word::Text(value))) => options.insert(name, value),
            (None, ..) => return Err("the semicolon at its end is missing".to_owned()),
            _ => return Err("its options are not NAME=\"VALUE\"".to_owned()),
        };
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Text(String),
    Equals,
    Semicolon,
}

/// The words of a text, as Java's `StreamTokenizer` parts them; comments are passed over.
struct Words<'a> {
    rest: &'a str,
}

impl Iterator for Words<'_> {
    type Item = Result<Word, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("//") {
                self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
            } else {
                break;
            }
        }
        let first = self.rest.chars().next()?;
        let after = &self.rest[first.len_utf8()..];
        match first {
            '=' | ';' => {
                self.rest = after;
                Some(Ok(if first == '=' { Word::Equals } else { Word::Semicolon }))
            }
            '"' | '\'' => Some(self.read_quoted(first, after).map(Word::Text)),
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '=' | ';' | '"' | '\'');
                let end = self.rest.find(ends).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                Some(Ok(Word::Text(word.to_owned())))
            }
        }
    }
}

impl Words<'_> {
    /// What stands between quotes. Escapes are C's; octal ones are refused: who writes one means a backslash.
    fn read_quoted(&mut self, quote: char, after: &str) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = after.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                _ if c == quote => {
                    self.rest = &self.rest[quote.len_utf8() + at + c.len_utf8()..];
                    return Ok(text);
                }
                '\n' => break,
                '\\' => {
                    let (_, escaped) = chars.next().ok_or("a quote in it has no end")?;
                    text.push(match escaped {
                        'a' => '\u{7}',
                        'b' => '\u{8}',
                        'f' => '\u{c}',
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        'v' => '\u{b}',
                        '0'..='7' => return Err("an octal escape stands in it".to_owned()),
                        other => other,
                    });
                }
                c => text.push(c),
            }
        }
        Err("a quote in it has no end".to_owned())
    }
}
