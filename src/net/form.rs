//! Texts as URLs and forms carry them.

use std::fmt::Write as _;

/// A text with every byte escaped that is not unreserved (RFC 3986, 2.3): right in a query, in a form, and as AWS signs it.
#[must_use]
pub(crate) fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => {
                let _ = write!(out, "%{other:02X}"); // a text takes everything
            }
        }
    }
    out
}

/// Pairs as `application/x-www-form-urlencoded`, in their order. Names are ours and are not escaped.
#[must_use]
pub(crate) fn encode_form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_a_form_is_escaped() {
        assert_eq!(encode_form(&[("a", "x y&b=+\u{e4}"), ("c", "-._~")]), "a=x%20y%26b%3D%2B%C3%A4&c=-._~");
    }
}
