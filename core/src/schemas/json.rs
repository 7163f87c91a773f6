//! JSON read exactly, and written in one form: keys sorted, numbers as the decimals that they are.
//!
//! Not `serde_json`'s values: it reads `18446744073709551617` and `18446744073709551618` as one number, and takes the last of
//! two equal keys where another reader takes the first. Schemas that differ in such places must not come out the same.

/// How deep a document may be nested: a hostile one must not take the stack.
const DEEPEST: usize = 96;
/// Longest exponent of a number, digits: with more of them no number is meant.
const EXPONENT: usize = 8;

/// A value of a document, nothing lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ExactJson {
    Null,
    Bool(bool),
    /// In the form of [`write_decimal`].
    Number(String),
    Text(String),
    List(Vec<ExactJson>),
    /// In the order of the document, each key once.
    Object(Vec<(String, ExactJson)>),
}

impl ExactJson {
    /// Reads one document.
    ///
    /// # Errors
    /// In words: it is none, is nested too deep, or names a key twice.
    pub(super) fn parse_document(text: &str) -> Result<Self, String> {
        let mut reader = JsonCursor { text, at: 0 };
        let value = reader.read_value(0)?;
        reader.skip_space();
        if reader.at < text.len() {
            return Err(reader.complain("something stands behind its end"));
        }
        Ok(value)
    }

    /// A member of an object.
    pub(super) fn find_member(&self, name: &str) -> Option<&ExactJson> {
        match self {
            ExactJson::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// A text.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            ExactJson::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The one form, at the end of `out`.
    pub(super) fn write_sorted(&self, out: &mut String) {
        match self {
            ExactJson::Null => out.push_str("null"),
            ExactJson::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
            ExactJson::Number(decimal) => out.push_str(decimal),
            ExactJson::Text(text) => write_text(text, out),
            ExactJson::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write_sorted(out);
                }
                out.push(']');
            }
            ExactJson::Object(members) => {
                let mut sorted: Vec<&(String, ExactJson)> = members.iter().collect();
                sorted.sort_by(|a, b| a.0.cmp(&b.0));
                out.push('{');
                for (i, (key, value)) in sorted.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_text(key, out);
                    out.push(':');
                    value.write_sorted(out);
                }
                out.push('}');
            }
        }
    }
}

/// A text as JSON has it.
pub(super) fn write_text(text: &str, out: &mut String) {
    // a text is always JSON
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// A decimal in one form, `-12e3` for -12000: no zero at either end of its digits, so that two texts are equal just when
/// their numbers are. `None`: it is no number of JSON.
pub(super) fn write_decimal(number: &str) -> Option<String> {
    let (negative, rest) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, "0"),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let leading = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || leading || !digits(whole) || !digits(fraction) || unsigned.is_empty() || !digits(unsigned) {
        return None;
    }
    if unsigned.len() > EXPONENT {
        return None;
    }
    let exponent: i64 = exponent.parse().ok()?;
    let exponent = exponent - i64::try_from(fraction.len()).ok()?;
    let all = format!("{whole}{fraction}");
    let sign = if negative { "-" } else { "" };
    let kept = all.trim_start_matches('0').trim_end_matches('0');
    // The sign of a zero is a bit of a floating-point number.
    if kept.is_empty() {
        return Some(format!("{sign}0"));
    }
    let zeros = all.len() - all.trim_end_matches('0').len();
    Some(format!("{sign}{kept}e{}", exponent + i64::try_from(zeros).ok()?))
}

struct JsonCursor<'a> {
    text: &'a str,
    at: usize,
}

impl JsonCursor<'_> {
    fn complain(&self, what: &str) -> String {
        format!("at byte {} {what}", self.at)
    }

    fn peek_byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek_byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take_byte(&mut self, byte: u8) -> bool {
        self.skip_space();
        let there = self.peek_byte() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn read_value(&mut self, depth: usize) -> Result<ExactJson, String> {
        if depth > DEEPEST {
            return Err(self.complain("it is nested too deep"));
        }
        self.skip_space();
        match self.peek_byte() {
            Some(b'{') => self.read_object(depth),
            Some(b'[') => self.read_list(depth),
            Some(b'"') => self.read_text().map(ExactJson::Text),
            Some(b'-' | b'0'..=b'9') => self.read_number(),
            _ => {
                let words =
                    [("null", ExactJson::Null), ("true", ExactJson::Bool(true)), ("false", ExactJson::Bool(false))];
                for (word, value) in words {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.complain("no value of JSON begins"))
            }
        }
    }

    fn read_object(&mut self, depth: usize) -> Result<ExactJson, String> {
        self.at += 1;
        let mut members: Vec<(String, ExactJson)> = Vec::new();
        let mut keys = std::collections::BTreeSet::new();
        if self.take_byte(b'}') {
            return Ok(ExactJson::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek_byte() != Some(b'"') {
                return Err(self.complain("a key is missing"));
            }
            let key = self.read_text()?;
            if !keys.insert(key.clone()) {
                return Err(self.complain("a key stands twice: readers differ in which of the two counts"));
            }
            if !self.take_byte(b':') {
                return Err(self.complain("a colon is missing"));
            }
            members.push((key, self.read_value(depth + 1)?));
            if self.take_byte(b'}') {
                return Ok(ExactJson::Object(members));
            }
            if !self.take_byte(b',') {
                return Err(self.complain("a comma is missing"));
            }
        }
    }

    fn read_list(&mut self, depth: usize) -> Result<ExactJson, String> {
        self.at += 1;
        let mut items = Vec::new();
        if self.take_byte(b']') {
            return Ok(ExactJson::List(items));
        }
        loop {
            items.push(self.read_value(depth + 1)?);
            if self.take_byte(b']') {
                return Ok(ExactJson::List(items));
            }
            if !self.take_byte(b',') {
                return Err(self.complain("a comma is missing"));
            }
        }
    }

    fn read_number(&mut self) -> Result<ExactJson, String> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let decimal = write_decimal(&rest[..end]).ok_or_else(|| self.complain("a number can't be read"))?;
        self.at += end;
        Ok(ExactJson::Number(decimal))
    }

    fn read_text(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(c) = rest.chars().next() else { return Err(self.complain("a text has no end")) };
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(out),
                '\\' => out.push(self.read_escape()?),
                '\0'..='\x1f' => return Err(self.complain("a text holds a control character")),
                c => out.push(c),
            }
        }
    }

    fn read_escape(&mut self) -> Result<char, String> {
        let escaped = self.peek_byte();
        self.at += usize::from(escaped.is_some_and(|b| b.is_ascii()));
        Ok(match escaped {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = self.read_unit()?;
                let units = match unit {
                    // What lies beyond the first plane is written as two units of UTF-16 (RFC 8259, 7).
                    0xd800..=0xdbff if self.text[self.at..].starts_with("\\u") => {
                        self.at += 2;
                        vec![unit, self.read_unit()?]
                    }
                    _ => vec![unit],
                };
                match char::decode_utf16(units).next() {
                    Some(Ok(c)) => c,
                    _ => return Err(self.complain("half a character is escaped")),
                }
            }
            _ => return Err(self.complain("an escape is none")),
        })
    }

    fn read_unit(&mut self) -> Result<u16, String> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|d| u16::from_str_radix(d, 16).ok());
        self.at += 4;
        unit.ok_or_else(|| "an escape is cut short".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted(text: &str) -> Result<String, String> {
        let mut out = String::new();
        ExactJson::parse_document(text)?.write_sorted(&mut out);
        Ok(out)
    }

    #[test]
    fn one_form_of_what_is_the_same() {
        let same = [
            (r#"{"b": 1, "a": [true, null]}"#, r#" { "a":[true,null],"b":1.0 } "#),
            (r#""\u00e9\/\ud83d\ude80""#, r#""é/🚀""#),
            ("[100, 0.5, -0.0, 1e2]", "[1E+2, 5e-1, -0, 100.00]"),
        ];
        for (a, b) in same {
            assert_eq!(sorted(a).unwrap(), sorted(b).unwrap(), "{a}");
        }
        let different =
            [("0", "-0"), ("18446744073709551617", "18446744073709551618"), ("0.1", "0.10000000000000000001")];
        for (a, b) in different.into_iter().chain([("\"1\"", "1"), ("[1,2]", "[2,1]"), ("{\"a\":1}", "{\"b\":1}")]) {
            assert_ne!(sorted(a).unwrap(), sorted(b).unwrap(), "{a}");
        }
    }

    #[test]
    fn what_readers_differ_about_is_no_document() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for bad in [
            r#"{"a":1,"a":2}"#,
            "{\"a\":1} x",
            "01",
            "1.",
            ".5",
            "+1",
            "1e999999999",
            "NaN",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\é\"",
            "{a:1}",
            "[1,]",
            "// c\n1",
            "",
            &deep,
        ] {
            assert!(sorted(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".*") {
            let _ = ExactJson::parse_document(&text);
        }

        #[test]
        fn it_agrees_with_another_reader(a in any::<i64>(), b in -1.0e9..1.0e9f64, text in ".*") {
            let document = serde_json::json!({"n": a, "f": b, "t": text, "l": [null, {"x": text}]}).to_string();
            let once = sorted(&document).unwrap();
            prop_assert_eq!(&sorted(&once).unwrap(), &once, "its own form is read as the same");
            let read: serde_json::Value = serde_json::from_str(&once).unwrap();
            prop_assert_eq!(&read["t"], &serde_json::Value::from(text));
            // `serde_json` reads a float to its last bit only with a feature; the standard library always does
            let float = once.strip_prefix("{\"f\":").and_then(|rest| rest.split(',').next()).unwrap();
            prop_assert_eq!(float.parse::<f64>().unwrap().to_bits(), b.to_bits());
            // `1e18` is a float to another reader, and a whole one is a decimal here
            prop_assert!((read["n"].as_f64().unwrap() - a as f64).abs() <= (a as f64).abs() * 1e-15);
        }
    }
}
