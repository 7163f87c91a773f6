//! A registry that can't be read says why and what to do, in one sentence each, and at once.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use cutover::base::{Side, Trouble};
use cutover::registry::read_content;
use cutover::schemas::{RegistryAnswer, RegistryContent};
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod, SslVerifyMode};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

use super::reading::open;
use super::recorded::earlier;
use crate::fake_registry::{FakeRegistry, Manner, http_answer};

async fn outcome(url: &str, more: &str) -> Result<RegistryContent, Trouble> {
    read_content(&open(Side::Green, url, more).await).await
}

async fn refused(url: &str, more: &str) -> Trouble {
    let why = outcome(url, more).await.expect_err("it can't be read");
    assert!(why.what.starts_with("green's registry: "), "{why:?}");
    assert!(!why.advice.is_empty(), "{why:?}");
    why
}

#[tokio::test]
async fn who_asks_is_told_and_never_repeated() {
    let registry = FakeRegistry::start(earlier(Manner::Confluent));
    registry.require("Basic Y3V0b3ZlcjpjNG5hcnktcmVnaXN0cnk="); // cutover:c4nary-registry
    let why = refused(&registry.url, "username = \"cutover\"\npassword = \"c4nary-wrong-one\"").await;
    assert!(why.what.contains("401") && why.advice.contains("password") && why.lasting, "{why:?}");
    assert!(!format!("{why:?}").contains("c4nary"), "{why:?}");
    assert_eq!(registry.asked().len(), 1, "nothing more is asked of one that refuses");
    assert!(refused(&registry.url, "").await.what.contains("401"));
    let right = "username = \"cutover\"\npassword = \"c4nary-registry\"";
    assert_eq!(outcome(&registry.url, right).await.unwrap().subjects.len(), 6);
    registry.require("Bearer c4nary-token");
    assert_eq!(outcome(&registry.url, "bearer = \"c4nary-token\"").await.unwrap().subjects.len(), 6);
}

#[tokio::test]
async fn what_is_no_registry_is_told_by_what_it_answers() {
    let cases = [
        (http_answer(200, "", "<html><title>Sign in</title></html>"), "answers no JSON", "page of a proxy"),
        (http_answer(302, "location: https://elsewhere/\r\n", ""), "sends elsewhere", "`url`"),
        (http_answer(403, "", "{\"message\": \"no\"}"), "403", "let this user read"),
        (http_answer(404, "", "<html>nothing here</html>"), "404", "/apis/ccompat/v7"),
        (http_answer(200, "", "{\"subjects\": []}"), "no list of names", "Confluent's API"),
        (http_answer(429, "", ""), "429", "fewer requests"),
        (
            http_answer(500, "", "{\"error_code\": 50001, \"message\": \"in \\u001b[2J store\"}"),
            "in ␛[2J store",
            "its log",
        ),
    ];
    for (answer, what, advice) in cases {
        let registry = FakeRegistry::start(earlier(Manner::Confluent));
        registry.answer_instead(move |_| Some(answer.clone()));
        let why = refused(&registry.url, "").await;
        assert!(why.what.contains(what) && why.advice.contains(advice), "{why:?}");
        assert_eq!(registry.asked().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn one_question_that_fails_is_unknown_in_its_place() {
    type Shows = fn(&RegistryContent) -> bool;
    let cases: [(&str, Shows); 6] = [
        ("GET /config ", |c| c.global.config.why_unknown().is_some()),
        ("GET /mode/imp-value ", |c| c.subjects["imp-value"].own.mode.why_unknown().is_some()),
        ("GET /contexts ", |c| c.contexts.why_unknown().is_some()),
        ("GET /subjects/imp-value/versions ", |c| c.subjects["imp-value"].versions[&7].deleted.is_none()),
        ("GET /subjects/imp-value/versions?deleted=true ", |c| c.subjects["imp-value"].unlisted.is_some()),
        (
            "GET /subjects/imp-value/versions/7?deleted=true ",
            |c| matches!(&c.subjects["imp-value"].versions[&7].content, RegistryAnswer::Unknown(why) if why.what.contains("no way")),
        ),
    ];
    for (fails, shows) in cases {
        let registry = FakeRegistry::start(earlier(Manner::Confluent));
        registry.answer_instead(move |asked| {
            (format!("{asked} ") == fails).then(|| http_answer(500, "", "{\"message\": \"no way\"}"))
        });
        let content = outcome(&registry.url, "").await.unwrap_or_else(|e| panic!("{fails}: {e}"));
        assert!(shows(&content), "{fails}: {content:#?}");
    }
}

/// Another version, another subject, ids that no record can carry, references of a strange shape.
#[tokio::test]
async fn answers_that_are_none_are_not_believed() {
    let texts = [
        r#"{"subject":"imp-value","version":8,"id":4242,"schema":"\"int\""}"#,
        r#"{"subject":"other","version":7,"id":4242,"schema":"\"int\""}"#,
        r#"{"subject":"imp-value","version":7,"id":4294967296,"schema":"\"int\""}"#,
        r#"{"subject":"imp-value","version":7,"id":-1,"schema":"\"int\""}"#,
        r#"{"subject":"imp-value","version":7,"id":4242}"#,
        r#"{"subject":"imp-value","version":7,"id":4242,"schema":"\"int\"","references":[{"name":"x"}]}"#,
    ];
    for text in texts {
        let registry = FakeRegistry::start(earlier(Manner::Confluent));
        let answer = http_answer(200, "", text);
        registry.answer_instead(move |asked| asked.contains("imp-value/versions/7").then(|| answer.clone()));
        let content = outcome(&registry.url, "").await.unwrap();
        let version = &content.subjects["imp-value"].versions[&7];
        assert!(version.content.why_unknown().is_some(), "{text}: {version:?}");
    }
}

/// It hangs after the list: what was not read says so, and nobody waits for each of a thousand answers.
#[tokio::test]
async fn one_that_stops_answering_is_not_asked_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for (n, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            if n == 0 {
                let names: Vec<String> = (0..1_000).map(|n| format!("\"s{n}\"")).collect();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(http_answer(200, "", &format!("[{}]", names.join(","))).as_bytes());
            }
            held.push(stream);
        }
    });
    let content = outcome(&url, "timeout = \"100ms\"").await.unwrap();
    assert_eq!(content.subjects.len(), 1_000);
    let why = content.subjects["s999"].unlisted.as_ref().unwrap();
    assert!(why.what.contains("did not answer 8 requests in a row"), "{why:?}");
}

#[tokio::test]
async fn no_server_and_the_wrong_protocol_are_told_apart() {
    let registry = FakeRegistry::start(earlier(Manner::Confluent));
    let closed = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    assert!(refused(&format!("http://{closed}"), "").await.what.contains("can't connect"));
    let why = refused(&registry.url.replace("http://", "https://"), "").await;
    assert!(why.what.contains("TLS failed") && why.lasting, "{why:?}");
    let dir = tempfile::tempdir().unwrap();
    let tls =
        FakeRegistry::start_with_tls(earlier(Manner::Confluent), acceptor(&Authority::new("ours"), dir.path(), None));
    let why = refused(&tls.url.replace("https://", "http://"), "").await;
    assert!(why.advice.contains("https://"), "{why:?}");
}

/// A CA of the plan's own, and a client certificate that the server asks for.
#[tokio::test]
async fn certificates_come_from_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    let file = |name: &str, pem: Vec<u8>| {
        let path = dir.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let (ca, wrong) =
        (file("ca.pem", ours.certificate.to_pem().unwrap()), file("other.pem", other.certificate.to_pem().unwrap()));
    let (me, key) = ours.sign("cutover");
    let (me, key) = (file("me.pem", me.to_pem().unwrap()), file("me.key", key.private_key_to_pem_pkcs8().unwrap()));
    let trusts = |ca: &str| format!("client = {{ \"ssl.ca.location\" = \"{ca}\" }}");
    let one_way = FakeRegistry::start_with_tls(earlier(Manner::Confluent), acceptor(&ours, dir.path(), None));
    assert_eq!(outcome(&one_way.url, &trusts(&ca)).await.unwrap().subjects.len(), 6);
    let why = refused(&one_way.url, &trusts(&wrong)).await;
    assert!(why.what.contains("not signed by a CA that is trusted") && why.lasting, "{why:?}");
    let mutual = FakeRegistry::start_with_tls(earlier(Manner::Confluent), acceptor(&ours, dir.path(), Some(&ours)));
    assert!(outcome(&mutual.url, &trusts(&ca)).await.is_err(), "it wants to know who asks");
    let shows = format!(
        "client = {{ \"ssl.ca.location\" = \"{ca}\", \"ssl.certificate.location\" = \"{me}\", \"ssl.key.location\" = \"{key}\" }}"
    );
    assert_eq!(outcome(&mutual.url, &shows).await.unwrap().subjects.len(), 6);
}

struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let certificate = certify(name, &key, None);
        Self { certificate, key }
    }

    fn sign(&self, name: &str) -> (X509, PKey<Private>) {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        (certify(name, &key, Some(self)), key)
    }
}

fn certify(name: &str, key: &PKey<Private>, by: Option<&Authority>) -> X509 {
    let mut names = X509NameBuilder::new().unwrap();
    names.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let names = names.build();
    let mut builder = X509::builder().unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, MsbOption::MAYBE_ZERO, false).unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&names).unwrap();
    builder.set_issuer_name(by.map_or(&names, |a| a.certificate.subject_name())).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    match by {
        None => builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap(),
        Some(_) => {
            let names =
                SubjectAlternativeName::new().ip("127.0.0.1").build(&builder.x509v3_context(None, None)).unwrap();
            builder.append_extension(names).unwrap();
        }
    }
    builder.sign(by.map_or(key, |a| &a.key), MessageDigest::sha256()).unwrap();
    builder.build()
}

/// A server certificate of `ours`; with `clients`, only who shows one of theirs gets in.
fn acceptor(ours: &Authority, dir: &Path, clients: Option<&Authority>) -> SslAcceptor {
    let (certificate, key) = ours.sign("registry");
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    builder.set_certificate(&certificate).unwrap();
    builder.set_private_key(&key).unwrap();
    if let Some(clients) = clients {
        let path = dir.join("clients.pem");
        std::fs::write(&path, clients.certificate.to_pem().unwrap()).unwrap();
        builder.set_ca_file(&path).unwrap();
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    builder.build()
}
