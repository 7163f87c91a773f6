//! The one redactor: takes secrets out of texts before they go anywhere.
//!
//! It knows every secret that this process has resolved ([`learn_secret`]): whoever resolves one tells it, so a text that
//! repeats one (librdkafka's errors repeat a property's value, a webhook answers with the request, a command prints its
//! environment) loses it wherever it comes from. [`Trouble::new`](crate::base::Trouble::new) calls
//! [`hide_secrets`], so what is journalled, shown, sent or written as JSON about a failure has passed here; what goes out
//! without being a `Trouble` (the log, a panic, a finding in the plan) calls it itself. With nothing learnt, and nothing
//! in a text that looks like a credential, a text stays as it is: the pure rooms' rules see no difference.
//!
//! What counts as the secret, decided once:
//! - From [`ANYWHERE`] characters on it is hidden wherever it stands, also inside of a longer word, as JSON, Rust, HTML
//!   or a URL write it, in base64 (at any alignment), and where the end of the text cuts it off.
//! - A shorter one from [`WORD`] characters on only as a whole word, and one that is an everyday word of this trade
//!   (`kafka`, `password`, `admin`) or has three characters only in quotes or after `=`: hiding `kafka` in every
//!   sentence would destroy the sentences, and tell the password to whoever knows them.
//! - One or two characters are not looked for. No text of ours repeats a secret property's value in the first place.
//! - Also known are the parts that carry the secret: `password="..."` of a JAAS text, the lines of a PEM key, the user
//!   part of a URL, the token of an `Authorization` header, the path of a webhook's address ([`learn_address`]).
//! - What a text that is no secret holds of one is known too, wherever in a plan it stands ([`learn_embedded`]).
//! - What comes from a variable or a file under the name of a property that is no secret (`sasl.username`) may be another
//!   secret than was meant: it is hidden where it stands by itself ([`learn_whole`]), and not inside of a longer name.

mod forms;
mod pattern;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

/// What stands in place of a secret.
pub const HIDDEN: &str = "(hidden)";
/// A secret of so many characters is hidden wherever it stands.
pub(crate) const ANYWHERE: usize = 8;
/// A secret of so many characters is hidden as a whole word.
pub const WORD: usize = 4;
/// A secret of so many characters is hidden in quotes.
const QUOTED: usize = 3;
/// Secrets that are remembered. A plan has a few dozen; past this the oldest (rotated away long ago) are forgotten.
const MOST: usize = 4_096;
/// A text that ends in so many bytes of a secret's beginning was cut off inside of it.
const CUT: usize = 6;
/// Bytes by which a piece is looked up.
const HEAD: usize = 4;

static KNOWN: RwLock<Option<Arc<KnownSecrets>>> = RwLock::new(None);

/// How a piece of a secret is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MatchMode {
    Anywhere,
    Word,
    /// By itself: `app` in `user app, ...` and in `app.`, not in `app-events` or `app.v2`.
    Whole,
    Quoted,
}

/// A text that was learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Learnt {
    text: String,
    /// It is looked for as a whole only: see [`learn_whole`].
    whole: bool,
}

/// Everything to look for.
#[derive(Default)]
struct KnownSecrets {
    /// As they were learnt, oldest first.
    secrets: Vec<Learnt>,
    pieces: Vec<(String, MatchMode)>,
    /// Pieces by their first bytes, the longest first.
    heads: HashMap<[u8; HEAD], Vec<usize>>,
    /// Pieces that are shorter than that.
    short: Vec<usize>,
}

/// Remembers a secret, with the parts of it that are secret by themselves.
pub fn learn_secret(secret: &str) {
    learn_all([secret]);
}

/// Forgets a secret that is over and whose successors come without end: a token of last week. What was learnt besides
/// stays.
pub fn forget_secret(secret: &str) {
    let mut slot = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let Some(known) = slot.as_ref() else { return };
    let kept: Vec<Learnt> = known.secrets.iter().filter(|k| k.text != secret).cloned().collect();
    if kept.len() < known.secrets.len() {
        *slot = Some(Arc::new(KnownSecrets::from_learnt(kept)));
    }
}

/// As [`learn_secret`], for several at once.
pub(crate) fn learn_all<'a>(secrets: impl IntoIterator<Item = &'a str>) {
    remember_texts(secrets, false);
}

/// Remembers a value that may be a secret and may be none: it is hidden where it stands by itself. A user name is a part
/// of many names, and hiding it in each of them would destroy the sentences about them.
pub fn learn_whole(value: &str) {
    remember_texts([value], true);
}

/// Remembers what a text that may be shown holds of secrets: the user part of a URL, parameters of a query that are named
/// like secrets, and passwords of a JAAS text. Where a shell or a template puts the value in, there is none yet.
pub fn learn_embedded(text: &str) {
    let parts = forms::find_embedded(text);
    learn_all(parts.iter().map(String::as_str));
}

fn remember_texts<'a>(texts: impl IntoIterator<Item = &'a str>, whole: bool) {
    // What is hidden anywhere is hidden by itself too.
    let has = |all: &[Learnt], text: &str| all.iter().any(|k| k.text == text && (whole || !k.whole));
    let known = known_secrets();
    let known = known.as_ref().map(|k| k.secrets.as_slice()).unwrap_or_default();
    let mut new: Vec<&str> = texts.into_iter().filter(|t| t.chars().count() >= QUOTED).collect();
    new.retain(|text| !has(known, text));
    if new.is_empty() {
        return;
    }
    let mut slot = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let mut secrets = slot.as_ref().map(|k| k.secrets.clone()).unwrap_or_default();
    for text in new {
        if !has(&secrets, text) {
            secrets.push(Learnt { text: text.to_owned(), whole });
        }
    }
    let surplus = secrets.len().saturating_sub(MOST);
    secrets.drain(..surplus);
    *slot = Some(Arc::new(KnownSecrets::from_learnt(secrets)));
}

/// Remembers an address that is a secret itself: who knows its path can post there.
pub fn learn_address(url: &str) {
    learn_all(forms::address_parts(url).iter().map(String::as_str).chain([url]));
}

/// Remembers what this process was given in variables that are named like secrets: a command inherits them, and may
/// print them when it fails.
pub fn learn_environment() {
    // `vars` panics at the first variable that is not Unicode
    let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
    let named = std::env::vars_os().map(|(name, value)| (text(name), value)).filter(|(name, _)| looks_secret(name));
    let named = named.map(|(_, value)| text(value));
    // `SECRETS_DIR=/run/secrets` and `TOKEN_MODE=disabled` hold none
    let holds = |v: &String| v.chars().count() >= ANYWHERE && forms::is_telling(v) && !std::path::Path::new(v).exists();
    let values: Vec<String> = named.filter(holds).collect();
    learn_all(values.iter().map(String::as_str));
}

/// Whether a name (of a variable, an argument, a property) is that of a secret.
#[must_use]
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    pattern::SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// `text` without secrets: [`HIDDEN`] stands in their place.
#[must_use]
pub fn hide_secrets(text: &str) -> String {
    hide_cow(text).into_owned()
}

/// As [`hide_secrets`], borrowing when there is nothing to hide.
#[must_use]
pub fn hide_cow(text: &str) -> Cow<'_, str> {
    match known_secrets().and_then(|known| known.hide_known(text)) {
        Some(hidden) => Cow::Owned(pattern::hide_credentials(&hidden).into_owned()),
        None => pattern::hide_credentials(text),
    }
}

/// Takes secrets out of each string by itself: what looks like the beginning of a secret in one must not swallow the next
/// one, nor the marks of JSON.
pub fn hide_json(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(hidden) = hide_cow(text) {
                *text = hidden;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_json),
        Value::Object(fields) => fields.values_mut().for_each(hide_json),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn known_secrets() -> Option<Arc<KnownSecrets>> {
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).clone()
}

impl KnownSecrets {
    fn from_learnt(secrets: Vec<Learnt>) -> Self {
        let mut seen = BTreeSet::new();
        let mut known = KnownSecrets::default();
        // What is hidden anywhere comes first: of two ways to look for one text the stricter counts.
        let (whole, anywhere): (Vec<&Learnt>, Vec<&Learnt>) = secrets.iter().partition(|s| s.whole);
        for secret in anywhere.into_iter().chain(whole) {
            for part in forms::secret_parts(&secret.text) {
                // What it carries (`password="..."` of a JAAS text) is a secret whatever it stands in.
                let itself = part.trim() == secret.text.trim();
                let Some(how) = match_mode_of(&part, secret.whole && itself) else { continue };
                for form in forms::written_forms(&part, how == MatchMode::Anywhere) {
                    if seen.insert(form.clone()) {
                        known.pieces.push((form, how));
                    }
                }
            }
        }
        known.pieces.sort_by_key(|(piece, _)| std::cmp::Reverse(piece.len()));
        for (n, (piece, _)) in known.pieces.iter().enumerate() {
            match piece.as_bytes().first_chunk::<HEAD>() {
                Some(head) => known.heads.entry(*head).or_default().push(n),
                None => known.short.push(n),
            }
        }
        known.secrets = secrets;
        known
    }

    /// The text without what is known; `None` when nothing of it is in there.
    fn hide_known(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let (mut copied, mut at) = (0, 0);
        while at < text.len() {
            match self.length_at(text, at) {
                Some(length) => {
                    out.push_str(&text[copied..at]);
                    if !out.ends_with(HIDDEN) || copied < at {
                        out.push_str(HIDDEN);
                    }
                    at += length;
                    copied = at;
                }
                None => at += text[at..].chars().next().map_or(1, char::len_utf8),
            }
        }
        if copied == 0 {
            return None;
        }
        out.push_str(&text[copied..]);
        Some(out)
    }

    /// How many bytes of a secret stand at this place.
    fn length_at(&self, text: &str, at: usize) -> Option<usize> {
        let rest = &text[at..];
        let by_head = rest.as_bytes().first_chunk::<HEAD>().and_then(|head| self.heads.get(head));
        for &n in by_head.into_iter().flatten().chain(&self.short) {
            let (piece, how) = &self.pieces[n];
            if rest.starts_with(piece.as_str()) && fits_surroundings(*how, &text[..at], &rest[piece.len()..]) {
                return Some(piece.len());
            }
            let end = rest.trim_end_matches(['.', '…', '"', '\'', '`', ')', '\n']);
            if *how == MatchMode::Anywhere && end.len() >= CUT && piece.starts_with(end) && !pattern::is_everyday(end) {
                return Some(end.len());
            }
        }
        None
    }
}

/// How a part of this length is looked for; `None`: not at all. `whole`: only by itself.
fn match_mode_of(part: &str, whole: bool) -> Option<MatchMode> {
    match part.chars().count() {
        0..QUOTED => None,
        _ if pattern::is_everyday(part) => Some(MatchMode::Quoted),
        QUOTED..WORD => Some(MatchMode::Quoted),
        _ if whole => Some(MatchMode::Whole),
        WORD..ANYWHERE => Some(MatchMode::Word),
        _ => Some(MatchMode::Anywhere),
    }
}

fn fits_surroundings(how: MatchMode, before: &str, after: &str) -> bool {
    let (mut before, mut after) = (before.chars().rev(), after.chars());
    let (last, first) = (before.next(), after.next());
    let quote = |c: char| matches!(c, '"' | '\'' | '`');
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match how {
        MatchMode::Anywhere => true,
        MatchMode::Word => !inside(last) && !inside(first),
        MatchMode::Whole => {
            // a dot and a dash join two parts of a name; a dot also ends a sentence
            let joined = |c: Option<char>, beyond: Option<char>| matches!(c, Some('.' | '-')) && inside(beyond);
            !inside(last) && !inside(first) && !joined(last, before.next()) && !joined(first, after.next())
        }
        MatchMode::Quoted => {
            last.is_some_and(|c| quote(c) || c == '=')
                && first.is_none_or(|c| quote(c) || matches!(c, ' ' | ',' | ';' | '&' | ')' | '\\' | '\n'))
        }
    }
}

/// A writer of lines: what it is given in one go (a line) loses its secrets.
#[derive(Debug, Clone)]
pub struct Redacting<W>(pub W);

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match hide_cow(&String::from_utf8_lossy(line)) {
            Cow::Borrowed(_) => self.0.write_all(line)?,
            Cow::Owned(hidden) => self.0.write_all(hidden.as_bytes())?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Takes secrets out of what a panic says on standard error, with a backtrace where RUST_BACKTRACE asks for one.
pub fn hook_panics() {
    std::panic::set_hook(Box::new(|info| {
        let trace = std::backtrace::Backtrace::capture();
        let trace = match trace.status() {
            std::backtrace::BacktraceStatus::Captured => format!("\n{trace}"),
            _ => String::new(),
        };
        let thread = std::thread::current();
        let words = format!("thread '{}' {info}{trace}\n", thread.name().unwrap_or("<unnamed>"));
        // standard error may be gone
        let words = crate::base::sanitise::visible_lines(&hide_secrets(&words)).into_owned();
        let _ = io::stderr().lock().write_all(words.as_bytes());
    }));
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn what_is_forgotten_is_a_text_like_any_other_and_the_rest_stays_hidden() {
        learn_all(["f0rgotten-token-of-last-week", "f0rgotten-neighbour-that-stays"]);
        forget_secret("f0rgotten-token-of-last-week");
        forget_secret("f0rgotten-and-never-learnt");
        assert_eq!(hide_secrets("f0rgotten-token-of-last-week"), "f0rgotten-token-of-last-week");
        assert_eq!(hide_secrets("f0rgotten-neighbour-that-stays"), HIDDEN);
    }

    /// What a text looks like for a process that knows these secrets, and no other test's.
    fn hidden(secrets: &[&str], text: &str) -> String {
        hidden_as(false, secrets, text)
    }

    fn hidden_as(whole: bool, secrets: &[&str], text: &str) -> String {
        let known =
            KnownSecrets::from_learnt(secrets.iter().map(|s| Learnt { text: (*s).to_owned(), whole }).collect());
        pattern::hide_credentials(&known.hide_known(text).unwrap_or_else(|| text.to_owned())).into_owned()
    }

    #[test]
    fn a_secret_is_hidden_wherever_and_however_it_is_written() {
        let secret = r#"S3cr&t/"va lue"+é"#;
        let coded = |text: &str| STANDARD.encode(text);
        let written = [
            secret.to_owned(),
            format!("{secret:?}"),
            serde_json::json!({ "value": secret }).to_string(),
            serde_json::json!(serde_json::json!({ "value": secret }).to_string()).to_string(),
            "S3cr%26t%2F%22va%20lue%22%2B%C3%A9".to_owned(),
            "s=S3cr%26t%2f%22va+lue%22%2b%c3%a9&x=1".to_owned(),
            "<p>S3cr&amp;t/&quot;va lue&quot;+é</p>".to_owned(),
            coded(secret),
            coded(&format!("u:{secret}")),
            coded(&format!("us:{secret}")),
            coded(&format!("use:{secret}:more")),
            coded(&format!("\0user\0{secret}")).replace('+', "-").replace('/', "_"),
        ];
        for text in written {
            let text = format!("it said {text} to us");
            let shown = hidden(&[secret], &text);
            assert!(shown.starts_with("it said ") && shown.contains(HIDDEN), "{text} -> {shown}");
            let cores = ["va lue", "va%20lue", "va+lue", &coded(secret)[4..16], "ZhIGx1Z", "YSBsdWU", "dmEgbHVl"];
            assert!(cores.iter().all(|core| !shown.contains(core)), "{text} -> {shown}");
        }
    }

    #[test]
    fn a_secret_that_is_cut_off_is_hidden() {
        assert_eq!(hidden(&["hunter2-SECRET"], "it said: hunter2-SE"), "it said: (hidden)");
        assert_eq!(hidden(&["hunter2-SECRET"], "it said \"hunter2-S...\""), "it said \"(hidden)...\"");
        assert_eq!(hidden(&["hunter2-SECRET"], "a hunter"), "a (hidden)");
        assert_eq!(hidden(&["hunter2-SECRET"], "a hunter came"), "a hunter came");
    }

    #[test]
    fn parts_that_carry_the_secret_are_known() {
        let jaas = r#"org.x.PlainLoginModule required username="app" password="pa55 word!";"#;
        assert_eq!(hidden(&[jaas], "with pa55 word! as app"), "with (hidden) as app");
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n";
        assert_eq!(hidden(&[key], "line MIIEvQIBADANBgkqhkiG9w0BAQEFAASC is bad"), "line (hidden) is bad");
        assert_eq!(hidden(&[key], &format!("{key:?}")), "\"(hidden)\"");
        assert_eq!(hidden(&["https://u:pa55wort@h/x"], "pa55wort"), HIDDEN);
        assert_eq!(hidden(&["Bearer abcdefgh123"], "token abcdefgh123?"), "token (hidden)?");
    }

    #[test]
    fn an_address_is_known_whole_and_by_what_tells_it() {
        let parts = forms::address_parts("https://hooks.example.com/services/T0SECRET1/B0?key=abcdefghijklmnop");
        assert_eq!(parts, ["T0SECRET1", "abcdefghijklmnop", "/services/T0SECRET1/B0?key=abcdefghijklmnop"]);
    }

    #[test]
    fn a_short_or_everyday_secret_destroys_no_sentence() {
        assert_eq!(hidden(&["app1"], "app1 of app12 (\"app1\")"), "(hidden) of app12 (\"(hidden)\")");
        assert_eq!(hidden(&["ab", "x"], "ab \"ab\" x"), "ab \"ab\" x");
        assert_eq!(hidden(&["abc"], "abc \"abc\" v=abc"), "abc \"(hidden)\" v=(hidden)");
        let words = "check `sasl.username` and `sasl.password` of kafka";
        assert_eq!(hidden(&["password", "kafka"], words), words);
        assert_eq!(hidden(&["password"], "value \"password\""), "value \"(hidden)\"");
    }

    #[test]
    fn what_may_be_a_secret_is_hidden_by_itself_and_in_no_longer_name() {
        let said = "SASL PLAIN as `loans-app`: user loans-app, loans-app.";
        assert_eq!(hidden_as(true, &["loans-app"], said), "SASL PLAIN as `(hidden)`: user (hidden), (hidden).");
        for name in ["loans-app-events", "eu.loans-app", "loans-app.v2", "loans-app2", "my_loans-app"] {
            assert_eq!(hidden_as(true, &["loans-app"], name), name);
            assert_ne!(hidden(&["loans-app"], name), name, "a secret is hidden in there too");
        }
        assert_eq!(hidden_as(true, &["app"], "the app says \"app\""), "the app says \"(hidden)\"");
        // learnt both ways: the stricter one counts, in whatever order
        let both = |first: bool| {
            let of = |whole| Learnt { text: "c4nary-pw".into(), whole };
            KnownSecrets::from_learnt(vec![of(first), of(!first)]).hide_known("xc4nary-pwx")
        };
        assert_eq!((both(true), both(false)), (Some("x(hidden)x".into()), Some("x(hidden)x".into())));
        let jaas = "x required password=\"c4nary 2 pw\";";
        assert_eq!(hidden_as(true, &[jaas], "xc4nary 2 pwx"), "x(hidden)x", "what it carries is a secret");
    }

    #[test]
    fn a_text_that_may_be_shown_holds_secrets_all_the_same() {
        let cases: [(&str, &[&str]); 8] = [
            ("https://u:p4ss@h/x", &["u:p4ss", "p4ss"]),
            ("https://ghp_0123456789@h/x", &["ghp_0123456789"]),
            ("ssh://git@h/x", &[]),
            ("https://h/x?a=1&Token=t0ken&sig=s1g", &["t0ken", "s1g"]),
            ("https://h/{key}?key={key}&token=$TOKEN", &[]),
            ("org.x.Plain required username=\"a\" password=\"pa55 word\";", &["pa55 word"]),
            ("--password-file=/run/secrets/x --password=$PW", &[]),
            ("sum(rate(x{topic_key=\"orders\"}[5m]))", &[]),
        ];
        for (text, found) in cases {
            assert_eq!(forms::find_embedded(text), found, "{text}");
        }
    }

    #[test]
    fn parameters_of_a_query_that_are_named_like_secrets_are_hidden() {
        for name in ["token", "key", "api_key", "apikey", "secret", "password", "sig", "signature", "X-Amz-Signature"] {
            let text = format!("GET https://h/x?a=1&{name}=c4nary-5f&b=2 failed");
            assert_eq!(hidden(&[], &text), format!("GET https://h/x?a=1&{name}=(hidden)&b=2 failed"));
            let once = hidden(&[], &text);
            assert_eq!(hidden(&[], &once), once);
        }
        assert_eq!(hidden(&[], "https://h/x?page=2&query=up"), "https://h/x?page=2&query=up");
        assert_eq!(hidden(&[], "login password = 'c4nary';"), "login password = (hidden);");
    }

    #[test]
    fn each_string_of_a_document_loses_its_secrets_by_itself() {
        let secret = "c4nary-of-a-document";
        learn_secret(secret);
        let mut value = serde_json::json!({"a": [secret, "password=\"x"], "b": {"c": 1}});
        hide_json(&mut value);
        assert_eq!(value, serde_json::json!({"a": ["(hidden)", "password=\"x"], "b": {"c": 1}}));
        let mut line = serde_json::json!({"what": format!("as {secret}"), "n": 1});
        hide_json(&mut line);
        assert_eq!(line.to_string(), r#"{"what":"as (hidden)","n":1}"#);
    }

    #[test]
    fn what_looks_like_a_credential_is_hidden_unknown() {
        assert_eq!(hidden(&[], "GET https://u:p@host/x"), "GET https://(hidden)@host/x");
        assert_eq!(hidden(&[], "Authorization: Basic dTpw and so on"), "Authorization: (hidden) and so on");
        assert_eq!(hidden(&[], "got Bearer abc.def-123=="), "got Bearer (hidden)");
        assert_eq!(hidden(&[], "Authorization: GenieKey eb24-77 it is"), "Authorization: (hidden) it is");
        assert_eq!(hidden(&[], r#"{"authorization": "SSWS 00QC-x"}"#), r#"{"authorization": "(hidden)"}"#);
        let aws = "Authorization: AWS4-HMAC-SHA256 Credential=AK/s3/aws4, SignedHeaders=host;date, Signature=fe5f80, x";
        assert_eq!(hidden(&[], aws), "Authorization: (hidden), x");
        let digest = r#"Authorization: Digest username="u", response="6629" there"#;
        assert_eq!(hidden(&[], digest), "Authorization: (hidden) there");
        let escaped = r#"{"why":"rotated password=\"pa55 word\" now"}"#;
        assert_eq!(hidden(&[], escaped), r#"{"why":"rotated password=(hidden) now"}"#);
        assert_eq!(
            hidden(&[], "password=\"x y\" token=abc, api_key=1"),
            "password=(hidden) token=(hidden), api_key=(hidden)"
        );
        let pem = "bad: -----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- there";
        assert_eq!(hidden(&[], pem), "bad: (hidden) there");
    }

    #[test]
    fn our_own_words_stay() {
        for words in [
            "sasl.password: the environment variable X is not set",
            "use username = \"...\" and password = { env = \"...\" }",
            "PLAIN works (`sasl.mechanism = \"PLAIN\"`, over SASL_SSL)",
            "set `security.protocol` to PLAINTEXT (or SASL_PLAINTEXT)",
            "mail ops@example.org about https://example.org/a@b",
            "TOPIC_AUTHORIZATION_FAILED: grant this client's principal DESCRIBE",
        ] {
            assert!(
                matches!(pattern::hide_credentials(words), Cow::Borrowed(_)),
                "{words} -> {}",
                pattern::hide_credentials(words)
            );
        }
    }

    #[test]
    fn a_line_loses_what_is_learnt() {
        learn_secret("c4nary-of-a-line");
        let mut out = Redacting(Vec::new());
        out.write_all(b"it is c4nary-of-a-line\n").unwrap();
        assert_eq!(out.0, b"it is (hidden)\n");
        assert_eq!(hide_secrets("c4nary-of-a-line"), HIDDEN);
        assert!(crate::base::Trouble::new("c4nary-of-a-line", "x").what == HIDDEN);
    }
}
