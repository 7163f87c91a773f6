use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::base::redact::hide_secrets;
use crate::net::http::fake::{fake_answer, serve_answers};
use crate::plan::properties::bearer::{CLIENT_ID, CLIENT_SECRET, ENDPOINT, METHOD, SCOPE, TOKEN, TOKEN_FILE};

const LIMIT: Duration = Duration::from_secs(20);
const NOON: i64 = 1_800_000_000_000;

/// A source of its own, under a clock that stands at noon.
fn source_of(pairs: &[(&str, &str)], clock: TokenClock) -> Arc<TokenSource> {
    let mechanism = ("sasl.mechanism", "OAUTHBEARER");
    let entries = pairs.iter().chain([&mechanism]).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    TokenSource::from_properties(&entries, "b:1", LIMIT, clock)
        .map_err(|(_, t)| t)
        .unwrap()
        .expect("a mechanism with one")
}

fn asking(url: &str, clock: TokenClock) -> Arc<TokenSource> {
    let own =
        [(METHOD, "oidc"), (ENDPOINT, url), (CLIENT_ID, "app"), (CLIENT_SECRET, "c4nary-of-an-app"), (SCOPE, "a b")];
    source_of(&own, clock)
}

fn answer(token: &str, expires_in: &str) -> String {
    fake_answer(200, "", &format!(r#"{{"access_token":"{token}","token_type":"Bearer"{expires_in}}}"#))
}

/// A signed token as far as anybody here looks at it.
fn signed(claims: &str) -> String {
    use base64::Engine as _;
    format!("e30.{}.c2ln", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims))
}

#[tokio::test]
async fn all_who_need_a_token_get_the_one_that_was_asked_for() {
    let (url, seen) = serve_answers(vec![answer("first-of-them-all", r#","expires_in":100"#)]).await;
    let source = asking(&format!("{url}/token?tenant=x"), || At(NOON));
    let (a, b) = tokio::join!(source.fetch_token(), source.fetch_token());
    let c = source.fetch_token().await;
    for token in [a, b, c] {
        let token = token.unwrap();
        assert_eq!((token.value(), token.usable_until()), ("first-of-them-all", At(NOON + 100_000)));
    }
    let asked = seen.lock().unwrap().clone();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("POST /token?tenant=x HTTP/1.1"), "{asked:?}");
    assert!(asked[0].ends_with("grant_type=client_credentials&scope=a%20b"), "{asked:?}");
    assert!(asked[0].contains("authorization: Basic YXBwOmM0bmFyeS1vZi1hbi1hcHA="), "{asked:?}");
    assert_eq!(hide_secrets("got first-of-them-all"), "got (hidden)");
    assert!(!format!("{source:?}").contains("c4nary"));
}

#[tokio::test]
async fn a_token_is_asked_for_again_when_four_fifths_of_its_time_are_over() {
    static NOW: AtomicI64 = AtomicI64::new(NOON);
    let answers = ["one-of-two-tokens", "two-of-two-tokens"].map(|token| answer(token, r#","expires_in":100"#));
    let (url, _) = serve_answers(answers.to_vec()).await;
    let source = asking(&url, || At(NOW.load(Ordering::Relaxed)));
    let value = async || source.fetch_token().await.map(|token| token.value().to_owned());
    assert_eq!(value().await.as_deref(), Ok("one-of-two-tokens"));
    NOW.store(NOON + 79_999, Ordering::Relaxed);
    assert_eq!(value().await.as_deref(), Ok("one-of-two-tokens"));
    NOW.store(NOON + 80_000, Ordering::Relaxed);
    assert_eq!(value().await.as_deref(), Ok("two-of-two-tokens"));
    // the server is gone by now: what there is stays good to its end, and no longer
    NOW.store(NOON + 179_000, Ordering::Relaxed);
    assert_eq!(value().await.as_deref(), Ok("two-of-two-tokens"));
    NOW.store(NOON + 180_000, Ordering::Relaxed);
    let gone = value().await.unwrap_err();
    assert!(gone.what.contains("can't connect") && !gone.lasting, "{gone:?}");
    // of a clock that stepped back nobody knows how old a token is
    NOW.store(NOON - 1, Ordering::Relaxed);
    assert_eq!(value().await.as_deref(), Ok("two-of-two-tokens"), "no other is to be had");
}

#[tokio::test]
async fn a_refusal_stands_for_a_second() {
    static NOW: AtomicI64 = AtomicI64::new(NOON);
    let refused = fake_answer(401, "", r#"{"error":"invalid_client"}"#);
    let (url, seen) = serve_answers(vec![refused, answer("after-the-refusal", r#","expires_in":100"#)]).await;
    let source = asking(&url, || At(NOW.load(Ordering::Relaxed)));
    for _ in 0..3 {
        let why = source.fetch_token().await.unwrap_err();
        assert!(why.what.ends_with("answered 401: invalid_client") && why.lasting, "{why:?}");
    }
    assert_eq!(seen.lock().unwrap().len(), 1);
    NOW.store(NOON + 1_000, Ordering::Relaxed);
    assert_eq!(source.fetch_token().await.unwrap().value(), "after-the-refusal");
}

#[tokio::test]
async fn a_token_that_a_broker_refused_is_not_shown_again() {
    let answers = ["a-refused-token", "a-better-token"].map(|token| answer(token, r#","expires_in":100"#));
    let (url, _) = serve_answers(answers.to_vec()).await;
    let source = asking(&url, || At(NOON));
    let first = source.fetch_token().await.unwrap();
    source.discard_token(&first);
    let second = source.fetch_token().await.unwrap();
    assert_eq!(second.value(), "a-better-token");
    source.discard_token(&first);
    assert_eq!(source.fetch_token().await.unwrap(), second, "another one was refused");
}

#[tokio::test]
async fn a_file_is_read_again_before_its_token_is_over() {
    static NOW: AtomicI64 = AtomicI64::new(NOON);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let of = |subject: &str, exp: i64| signed(&format!(r#"{{"sub":"{subject}","exp":{exp}}}"#));
    std::fs::write(&path, of("one", NOON / 1_000 + 100) + "\n").unwrap();
    let source = source_of(&[(TOKEN_FILE, &path.to_string_lossy())], || At(NOW.load(Ordering::Relaxed)));
    let subject = async || source.fetch_token().await.map(|token| token.subject().unwrap().to_owned());
    assert_eq!(subject().await.as_deref(), Ok("one"));
    std::fs::write(&path, of("two", NOON / 1_000 + 200)).unwrap();
    assert_eq!(subject().await.as_deref(), Ok("one"));
    NOW.store(NOON + 80_000, Ordering::Relaxed);
    assert_eq!(subject().await.as_deref(), Ok("two"));
    NOW.store(NOON + 260_000, Ordering::Relaxed);
    let over = subject().await.unwrap_err();
    assert!(over.what.ends_with("the token expired 1m00s ago") && over.lasting, "{over:?}");
    assert!(over.advice.contains("look at what writes that file"), "{over:?}");
    std::fs::remove_file(&path).unwrap();
    NOW.store(NOON + 270_000, Ordering::Relaxed);
    assert!(subject().await.unwrap_err().what.contains("can't read the secret file"));
}

#[tokio::test]
async fn what_is_no_token_is_refused_without_being_repeated() {
    for odd in ["c4nary of two words", "c4nary\u{1}auth=x", "\"c4nary\"", "c4nary\u{e4}"] {
        let why = source_of(&[(TOKEN, odd)], || At(NOON)).fetch_token().await.unwrap_err();
        assert!(
            why.what.ends_with("what came is no token (RFC 6750)") && !format!("{why:?}").contains("c4nary"),
            "{why:?}"
        );
    }
    // opaque, and as good as any: nobody told until when
    let opaque = source_of(&[(TOKEN, "0paque-token~of+somebody/=")], || At(NOON)).fetch_token().await.unwrap();
    assert_eq!((opaque.describe(), opaque.usable_until()), (None, At(NOON + 300_000)));
}

#[tokio::test]
async fn the_earlier_of_two_ends_counts() {
    let token = signed(&format!(r#"{{"sub":"app","exp":{}}}"#, NOON / 1_000 + 50));
    let (url, _) = serve_answers(vec![answer(&token, r#","expires_in":100"#)]).await;
    let source = asking(&url, || At(NOON));
    assert_eq!(source.fetch_token().await.unwrap().usable_until(), At(NOON + 50_000));
}

#[test]
fn who_gets_a_new_token_each_minute_has_forgotten_the_old_ones() {
    let mut book = TokenBook::default();
    for n in 0..=REMEMBERED {
        let token = format!("one-of-many-tokens-{n:03}-end");
        redact::learn_secret(&token);
        book.tell_redactor(&token);
    }
    assert_eq!(hide_secrets("one-of-many-tokens-000-end"), "one-of-many-tokens-000-end");
    assert_eq!(hide_secrets("one-of-many-tokens-001-end"), "(hidden)");
}
