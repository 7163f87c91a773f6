//! What a secret consists of, and how it may be written.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ANYWHERE;
use super::pattern::{PAIRS, QUERY, USER};
use crate::base::sanitise::visible_text;

/// A line of a longer secret, or a part of an address, that is secret by itself has so many characters.
const PART: usize = 6;
/// A piece of base64 says nothing unless it has so many characters.
const CODED: usize = 8;

/// The secret and the parts of it that are secret by themselves.
pub(super) fn secret_parts(secret: &str) -> BTreeSet<String> {
    let mut parts = BTreeSet::from([secret.to_owned()]);
    let mut add = |part: &str| {
        if !part.is_empty() {
            parts.insert(part.to_owned());
        }
    };
    // A secret from a file often ends in a line break, which nobody repeats with it.
    let trimmed = secret.trim();
    add(trimmed);
    for pair in PAIRS.captures_iter(secret) {
        add(pair.name("quoted").or(pair.name("single")).or(pair.name("bare")).map_or("", |m| m.as_str()));
    }
    if trimmed.lines().count() > 1 {
        // The frame of a PEM text is the same around every key.
        let lines = trimmed.lines().map(str::trim).filter(|l| !l.starts_with("-----"));
        lines.filter(|l| l.chars().count() >= PART).for_each(&mut add);
    }
    // `Bearer TOKEN` of an Authorization header
    if let Some((scheme, token)) = trimmed.split_once(' ')
        && scheme.bytes().all(|b| b.is_ascii_alphabetic())
        && !token.contains(char::is_whitespace)
    {
        add(token);
    }
    if let Some(user) = user_part(trimmed) {
        add(user);
        add(user.split_once(':').map_or("", |(_, password)| password));
    }
    parts
}

/// `user:password` of a URL.
fn user_part(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    // The last one: people write passwords with an `@` unescaped.
    Some(authority.rsplit_once('@')?.0)
}

/// What a text that may be shown holds of secrets: see [`super::learn_embedded`].
pub(super) fn find_embedded(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for user in USER.captures_iter(text).filter_map(|c| c.name("user")).map(|m| m.as_str()) {
        match user.split_once(':') {
            Some((_, password)) => found.extend([user.to_owned(), password.to_owned()]),
            // `git@` is nobody's secret, a token alone is one
            None if user.chars().count() >= ANYWHERE && is_telling(user) => found.push(user.to_owned()),
            None => {}
        }
    }
    found.extend(QUERY.captures_iter(text).filter_map(|c| c.name("value")).map(|m| m.as_str().to_owned()));
    // `password-file=` names none
    let secret = |name: &str| ["password", "passwd", "passphrase", "secret"].iter().any(|word| name.ends_with(word));
    for pair in PAIRS.captures_iter(text) {
        if pair.name("name").is_some_and(|name| secret(&name.as_str().to_ascii_lowercase())) {
            let value = pair.name("quoted").or(pair.name("single")).or(pair.name("bare"));
            found.extend(value.map(|m| m.as_str().to_owned()));
        }
    }
    // `{key}` of a template and `$PASSWORD` of a shell say where it is
    found.retain(|value| !value.contains(['{', '$']));
    found
}

/// Path and query of an address, whole and in parts.
pub(super) fn address_parts(url: &str) -> Vec<String> {
    let Some((_, rest)) = url.split_once("://") else { return Vec::new() };
    let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    let parts = path.split(['/', '?', '&', '=', '#']).filter(|p| p.chars().count() >= PART).filter(|p| is_telling(p));
    let whole = (path.chars().count() >= PART).then_some(path);
    parts.chain(whole).map(str::to_owned).collect()
}

/// Whether a text is no mere word: `services`, `webhook` and `alerts` are in every address, and in our own sentences.
pub(super) fn is_telling(text: &str) -> bool {
    text.len() >= 16 || text.contains(|c: char| !c.is_ascii_lowercase())
}

/// Everything that stands for the text in other texts; `coded`: also in base64.
pub(super) fn written_forms(text: &str, coded: bool) -> BTreeSet<String> {
    let json = |text: &str| {
        let quoted = serde_json::Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let rust = format!("{text:?}");
    let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut forms = BTreeSet::from([
        text.to_owned(),
        visible_text(text),
        json(text),
        json(&json(text)),
        rust[1..rust.len() - 1].to_owned(),
        html.replace('"', "&quot;").replace('\'', "&#39;"),
        html.replace('"', "&#34;").replace('\'', "&#x27;"),
        html,
        // As a shell is given it within single quotes.
        text.replace('\'', r"'\''"),
        visible_text(&json(text)),
    ]);
    // As RFC 3986 has it, as forms are sent (WHATWG URL), as
    // JavaScript's encodeURIComponent and Python's quote write it.
    for (unreserved, space) in [("-._~", "%20"), ("-._*", "+"), ("-._~!*'()", "%20"), ("-._~/", "%20")] {
        let upper = percent_encode(text, unreserved, space);
        forms.insert(lower_escapes(&upper));
        forms.insert(upper);
    }
    if coded {
        for form in base64_cores(text.as_bytes()).into_iter().filter(|f| f.len() >= CODED) {
            // The alphabet of base64url (RFC 4648, 5).
            forms.insert(form.replace('+', "-").replace('/', "_"));
            forms.insert(percent_encode(&form, "-._~", "%20"));
            forms.insert(form);
        }
    }
    forms
}

fn percent_encode(text: &str, unreserved: &str, space: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b' ' => out.push_str(space),
            b if b.is_ascii_alphanumeric() || unreserved.as_bytes().contains(&b) => out.push(char::from(b)),
            b => {
                let _ = write!(out, "%{b:02X}"); // writing to a String cannot fail
            }
        }
    }
    out
}

/// `%2F` as `%2f`.
fn lower_escapes(text: &str) -> String {
    let mut left = 0;
    let lowered = text.chars().map(|c| match c {
        '%' => {
            left = 2;
            c
        }
        c if left > 0 => {
            left -= 1;
            c.to_ascii_lowercase()
        }
        c => c,
    });
    lowered.collect()
}

/// The characters that base64 has for these bytes wherever they begin among others: those that depend on no neighbour.
fn base64_cores(bytes: &[u8]) -> [String; 3] {
    [0, 1, 2].map(|before: usize| {
        let mut padded = vec![0; before];
        padded.extend_from_slice(bytes);
        let coded = STANDARD.encode(&padded);
        // A character stands for six bits. The first and the last
        // may share theirs with a neighbour's byte, and differ then.
        let from = (before * 8).div_ceil(6);
        let to = padded.len() * 8 / 6;
        coded.get(from..to).unwrap_or_default().to_owned()
    })
}
