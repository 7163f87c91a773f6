//! What looks like a credential, whoever's it is.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::HIDDEN;

/// Parts of names (of variables, arguments, properties) whose values are secrets, in lower case.
pub(super) const SECRET_NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "api-key",
    "apikey",
    "api_key",
    "access_key",
    "private_key",
    "private.key",
    "jaas",
];

/// Whether a word stands in every second sentence of this trade.
pub(super) fn is_everyday(word: &str) -> bool {
    EVERYDAY.iter().any(|everyday| everyday.eq_ignore_ascii_case(word))
}

/// Words that stand in every second sentence of this trade. Whoever has one as a password has none.
const EVERYDAY: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "kafka",
    "admin",
    "administrator",
    "root",
    "user",
    "username",
    "client",
    "broker",
    "brokers",
    "cluster",
    "topic",
    "topics",
    "group",
    "groups",
    "producer",
    "consumer",
    "offset",
    "offsets",
    "partition",
    "blue",
    "green",
    "cutover",
    "migration",
    "plain",
    "plaintext",
    "security",
    "protocol",
    "sasl",
    "ssl",
    "scram",
    "true",
    "false",
    "null",
    "none",
    "test",
    "changeit",
    "default",
    "localhost",
    "value",
    "name",
    "error",
    "failed",
    "and",
    "the",
    "not",
    "key",
    "with",
];

/// `name=value` where the name is that of a secret, in a text that is a secret as a whole (JAAS).
pub(super) static PAIRS: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(
        r#"(?i)(?<name>[a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|key)[a-z0-9_.-]*)\s*=\s*(?:"(?<quoted>(?:[^"\\]|\\.)*)"|'(?<single>[^']*)'|(?<bare>[^\s;,"']+))"#,
    )
});

/// A private key in PEM, also one that is cut off.
static PEM: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)")
});
/// The user part of a URL.
pub(super) static USER: LazyLock<Regex> =
    LazyLock::new(|| compile_pattern(r#"://(?<user>[^\s/?#"'<>@]*(?:@[^\s/?#"'<>@]*)*)@"#));
/// A parameter of a URL's query that is named like a secret: `?token=...`, `&X-Amz-Signature=...`. What begins with a
/// brace or a parenthesis is a placeholder, or hidden already.
pub(super) static QUERY: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(
        r#"(?i)(?<name>[?&;][\w.%-]*(?:token|key|secret|password|passwd|passphrase|credential|sig|signature)=)(?<value>[^\s&;#"'`<>(){}]+)"#,
    )
});
/// A header's credentials: whatever the scheme, its token or its parameters (RFC 9110, 11.4).
static HEADER: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(
        r#"(?i)(?<name>\bauthorization\\*["']?:\s*\\*["']?)(?:[a-z][\w-]*\s+)?(?:[\w-]+=)?(?:"[^"]*"|[^\s"',;()\\]+)(?:[,;]\s*[\w-]+=(?:"[^"]*"|[^\s"',]+))*|(?<bearer>\bbearer\s+)[a-z0-9+/=._~-]{8,}"#,
    )
});
/// `password=...`. What follows `=` in our own examples is a table, a placeholder or a space.
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(
        r#"(?i)(?<name>(?:password|passwd|passphrase|secret|token|api[-_]?key)\\*["']?=)(?:\\+"(?:[^"\\]|\\+[^"\\])*\\+"|"[^"]+"|'[^']+'|[^\s,;&"'`{(.<\\]+[^\s,;&"'`)\\]*)"#,
    )
});
/// The same as JAAS may write it, with spaces. What begins with a dot is a placeholder of ours.
static LOOSE: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(
        r#"(?i)(?<name>(?:password|passwd|passphrase|secret)(?:\s+=\s*|=\s+))(?:"[^".][^"]*"|'[^'.][^']*')"#,
    )
});

/// The text without what looks like a credential.
pub(super) fn hide_credentials(text: &str) -> Cow<'_, str> {
    // nearly no text has any of these
    let suspicious = text.contains("://") || text.contains('=') || text.contains("-----") || {
        let bytes = text.as_bytes();
        [&b"bearer"[..], b"authorization"].iter().any(|w| bytes.windows(w.len()).any(|b| b.eq_ignore_ascii_case(w)))
    };
    if !suspicious {
        return Cow::Borrowed(text);
    }
    let named = |c: &Captures<'_>| {
        let name = c.name("name").or(c.name("bearer")).map_or("", |m| m.as_str());
        format!("{name}{HIDDEN}")
    };
    let text = replace_matches(Cow::Borrowed(text), &PEM, |_| HIDDEN.to_owned());
    let text = replace_matches(text, &USER, |_| format!("://{HIDDEN}@"));
    let text = replace_matches(text, &HEADER, named);
    let text = replace_matches(text, &QUERY, named);
    let text = replace_matches(text, &PAIR, named);
    replace_matches(text, &LOOSE, named)
}

fn replace_matches<'a>(text: Cow<'a, str>, of: &Regex, with: impl Fn(&Captures<'_>) -> String) -> Cow<'a, str> {
    match of.replace_all(&text, with) {
        Cow::Borrowed(_) => text,
        Cow::Owned(new) => Cow::Owned(new),
    }
}

/// A pattern of this page: constant, and compiled by its tests.
fn compile_pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}
