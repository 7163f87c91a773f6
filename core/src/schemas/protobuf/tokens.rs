//! The words of a `.proto` file, comments and layout gone.

use super::super::json::write_decimal;

/// A word, a number, a text or a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProtoToken {
    /// A name, with its dots: `package`, `a.b.C`, `.a.b.C`.
    Word(String),
    /// A number in one form where it has one.
    Number(String),
    /// A text in quotes, as its bytes.
    Text(Vec<u8>),
    /// `{ } [ ] ( ) < > = ; , : - /`
    Sign(char),
}

impl ProtoToken {
    /// As it is written in one form.
    pub(super) fn write_plain(&self, out: &mut String) {
        match self {
            ProtoToken::Word(word) | ProtoToken::Number(word) => out.push_str(word),
            ProtoToken::Text(bytes) => {
                out.push('"');
                bytes.iter().for_each(|b| out.push_str(&b.escape_ascii().to_string()));
                out.push('"');
            }
            ProtoToken::Sign(c) => out.push(*c),
        }
    }
}

/// The tokens of a file; two texts in a row are one (the language has it so).
///
/// # Errors
/// In words: what stands there is no `.proto`.
pub(super) fn read_tokens(text: &str) -> Result<Vec<ProtoToken>, String> {
    let mut tokens: Vec<ProtoToken> = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let next = rest[c.len_utf8()..].chars().next();
        at += match c {
            ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' => 1,
            '/' if next == Some('/') => rest.find('\n').unwrap_or(rest.len()),
            '/' if next == Some('*') => 2 + rest[2..].find("*/").ok_or("a comment has no end")? + 2,
            'a'..='z' | 'A'..='Z' | '_' => {
                let end =
                    rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(rest.len());
                tokens.push(ProtoToken::Word(rest[..end].to_owned()));
                end
            }
            '.' if next.is_some_and(|n| n.is_ascii_alphabetic() || n == '_') => {
                let end =
                    rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(rest.len());
                tokens.push(ProtoToken::Word(rest[..end].to_owned()));
                end
            }
            '0'..='9' | '.' => {
                let end = number_end(rest);
                tokens.push(ProtoToken::Number(plain_number(&rest[..end])?));
                end
            }
            '"' | '\'' => {
                let (bytes, length) = read_quoted(rest, c)?;
                match tokens.last_mut() {
                    Some(ProtoToken::Text(before)) => before.extend(bytes),
                    _ => tokens.push(ProtoToken::Text(bytes)),
                }
                length
            }
            '{' | '}' | '[' | ']' | '(' | ')' | '<' | '>' | '=' | ';' | ',' | ':' | '-' | '/' => {
                tokens.push(ProtoToken::Sign(c));
                1
            }
            _ => return Err("a character stands where none may".to_owned()),
        };
    }
    Ok(tokens)
}

/// Where a number ends: at the first character that can't be in one; a sign only behind an exponent.
fn number_end(text: &str) -> usize {
    let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let mut before = '0';
    for (i, c) in text.char_indices() {
        let signed = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !hexadecimal;
        if !(c.is_ascii_alphanumeric() || c == '.' || signed) {
            return i;
        }
        before = c;
    }
    text.len()
}

fn plain_number(text: &str) -> Result<String, String> {
    let whole = if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        u64::from_str_radix(digits, 16).ok()
    } else if text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()) {
        u64::from_str_radix(text, 8).ok()
    } else {
        text.parse::<u64>().ok()
    };
    if let Some(whole) = whole {
        return Ok(whole.to_string());
    }
    let decimal = text.trim_end_matches(['f', 'F']);
    // `.5` and `1.` are numbers here, and none in JSON.
    let decimal = if decimal.starts_with('.') { format!("0{decimal}") } else { decimal.to_owned() };
    let decimal = if decimal.ends_with('.') { format!("{decimal}0") } else { decimal };
    let decimal = write_decimal(&decimal).ok_or("a number can't be read")?;
    // `1.0` is the whole number 1.
    let whole = decimal.split_once('e').and_then(|(digits, zeros)| {
        let zeros = zeros.parse::<usize>().ok().filter(|zeros| *zeros < 20)?;
        format!("{digits}{}", "0".repeat(zeros)).parse::<u64>().ok()
    });
    Ok(whole.map_or(decimal, |whole| whole.to_string()))
}

/// The bytes of a text, and how many bytes of `text` it takes with its quotes.
fn read_quoted(text: &str, quote: char) -> Result<(Vec<u8>, usize), String> {
    let mut bytes = Vec::new();
    let mut at = 1;
    loop {
        let c = text[at..].chars().next().ok_or("a text has no end")?;
        at += c.len_utf8();
        match c {
            c if c == quote => return Ok((bytes, at)),
            '\n' | '\0' => return Err("a text has no end on its line".to_owned()),
            '\\' => at += read_escape(&text[at..], &mut bytes)?,
            c => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
}

/// What stands behind a backslash; returns how many bytes it takes.
fn read_escape(text: &str, bytes: &mut Vec<u8>) -> Result<usize, String> {
    let of = |digits: &str, radix: u32| u32::from_str_radix(digits, radix).map_err(|_| "an escape is none".to_owned());
    let run = |from: usize, most: usize, radix: u32| {
        text[from..].chars().take(most).take_while(|c| c.is_digit(radix)).count()
    };
    let c = text.chars().next().ok_or("a text has no end")?;
    let one = match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        '\\' | '\'' | '"' | '?' => c as u8,
        '0'..='7' => {
            let length = run(0, 3, 8);
            bytes.push(u8::try_from(of(&text[..length], 8)?).map_err(|_| "an escape is none")?);
            return Ok(length);
        }
        'x' | 'X' => {
            let length = run(1, 2, 16);
            bytes.push(u8::try_from(of(&text[1..=length], 16)?).map_err(|_| "an escape is none")?);
            return Ok(1 + length);
        }
        'u' | 'U' => {
            let wanted = if c == 'u' { 4 } else { 8 };
            let length = run(1, wanted, 16);
            let point =
                char::from_u32(of(&text[1..=length], 16)?).filter(|_| length == wanted).ok_or("an escape is none")?;
            bytes.extend(point.encode_utf8(&mut [0; 4]).bytes());
            return Ok(1 + length);
        }
        _ => return Err("an escape is none".to_owned()),
    };
    bytes.push(one);
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Result<String, String> {
        let mut out = String::new();
        for token in read_tokens(text)? {
            token.write_plain(&mut out);
            out.push(' ');
        }
        Ok(out)
    }

    #[test]
    fn comments_and_layout_are_gone_and_values_have_one_form() {
        assert_eq!(plain("a // c\n/* d\n */ .b.C=1;").unwrap(), "a .b.C = 1 ; ");
        assert_eq!(plain("0x10 020 16 1.50 15e-1 .5 5f -1").unwrap(), "16 16 16 15e-1 15e-1 5e-1 5 - 1 ");
        assert_eq!(plain(r#"'a"b' "c" "\x41\101\u00e9\n""#).unwrap(), "\"a\\\"bcAA\\xc3\\xa9\\n\" ");
        assert_eq!(plain("\"é\"").unwrap(), plain(r#""\303\251""#).unwrap());
        assert_eq!(plain("/* a */").unwrap(), "");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        for bad in [
            "/* a",
            "\"a",
            "\"a\n\"",
            "\"\\",
            "\"\\q\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\777\"",
            "é",
            "a # b",
            "1e",
            "09",
            "0xg",
        ] {
            assert!(plain(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".*") {
            let _ = read_tokens(&text);
        }

        #[test]
        fn no_text_in_quotes_breaks_it(text in "\"([^\n]|\\\\.){0,20}") {
            let _ = read_tokens(&text);
        }
    }
}
