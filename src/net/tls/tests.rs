use openssl::asn1::Asn1Time;
use openssl::asn1::Asn1TimeRef;
use openssl::hash::MessageDigest;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::stack::Stack;
use openssl::symm::Cipher;
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509Builder, X509NameBuilder};

use super::*;

/// A certificate that signs itself, and its key.
fn make_certificate() -> (X509, PKey<Private>) {
    let days = |n| Asn1Time::days_from_now(n).unwrap();
    sign_certificate("app", None, &days(0), &days(1))
}

/// A certificate for `name`, signed by `issuer` or by itself, valid from and to.
fn sign_certificate(
    name: &str,
    issuer: Option<&(X509, PKey<Private>)>,
    from: &Asn1TimeRef,
    to: &Asn1TimeRef,
) -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut x509 = X509Builder::new().unwrap();
    x509.set_version(2).unwrap();
    x509.set_subject_name(&subject).unwrap();
    x509.set_issuer_name(issuer.map_or(&subject, |(ca, _)| ca.subject_name())).unwrap();
    x509.set_not_before(from).unwrap();
    x509.set_not_after(to).unwrap();
    x509.set_pubkey(&key).unwrap();
    if name.ends_with("CA") {
        x509.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    }
    x509.sign(issuer.map_or(&key, |(_, key)| key), MessageDigest::sha256()).unwrap();
    (x509.build(), key)
}

/// A connector with these properties, on a machine that may have no CAs.
fn make_connector(pairs: &[(&str, &str)]) -> Result<SslConnector, Trouble> {
    let pairs = [pairs, &[("enable.ssl.certificate.verification", "false")]].concat();
    let get = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let settings = Tls::from_properties(get).map_err(|(_, trouble)| trouble)?;
    build_connector(&settings)
}

/// What comes of it.
fn connect_with(pairs: &[(&str, &str)]) -> Result<(), Trouble> {
    make_connector(pairs).map(drop)
}

#[test]
fn an_encrypted_key_is_opened_by_its_password_alone() {
    let (certificate, key) = make_certificate();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let certificate = text(certificate.to_pem().unwrap());
    let cipher = Cipher::aes_256_cbc();
    let pkcs8 = text(key.private_key_to_pem_pkcs8_passphrase(cipher, b"c4nary-key-pw").unwrap());
    let older = text(key.rsa().unwrap().private_key_to_pem_passphrase(cipher, b"c4nary-key-pw").unwrap());
    let open = text(key.private_key_to_pem_pkcs8().unwrap());
    let other = text(make_certificate().1.private_key_to_pem_pkcs8().unwrap());
    let with = |key: &str, password: Option<&str>| {
        let own = [("ssl.certificate.pem", certificate.as_str()), ("ssl.key.pem", key)];
        connect_with(&[&own[..], &password.map(|p| ("ssl.key.password", p)).into_iter().collect::<Vec<_>>()].concat())
    };
    assert_eq!(with(&open, None), Ok(()));
    assert_eq!(with(&open, Some("needless")), Ok(()));
    for key in [&pkcs8, &older] {
        assert_eq!(with(key, Some("c4nary-key-pw")), Ok(()));
        let wrong = with(key, Some("c4nary-other")).unwrap_err();
        assert!(wrong.what.contains("another password") && wrong.advice == "check `ssl.key.password`", "{wrong:?}");
        let none = with(key, None).unwrap_err();
        assert!(
            none.what.contains("is encrypted, and there is no") && none.advice == "set `ssl.key.password`",
            "{none:?}"
        );
        assert!(!format!("{wrong:?}{none:?}").contains("c4nary"));
    }
    let no_key = with(&certificate, None).unwrap_err();
    assert!(no_key.what.contains("no PEM private key") && no_key.advice.contains("BEGIN PRIVATE KEY"), "{no_key:?}");
    let foreign = with(&other, None).unwrap_err();
    assert!(foreign.advice.contains("the key of `ssl.certificate.location`"), "{foreign:?}");
}

/// RC2, as `keytool` of Java 8 and OpenSSL 1 made them; the password is `secret`.
const OLD_KEYSTORE: &str = "\
    MIIDcgIBAzCCAzgGCSqGSIb3DQEHAaCCAykEggMlMIIDITCCAhcGCSqGSIb3DQEHBqCCAggwggIEAgEAMIIB/QYJKoZIhvcNAQcBMBwGCiqGSIb3\
    DQEMAQYwDgQILpDhKQauJ2QCAggAgIIB0Aq6u8turVBx3IQxUiVXEOgBE/X/QxxeeiiuyCT/fDPBj8w3ZQnzuTzydKvSkiLHq+hbxdO8bsVe58cb\
    uxjxJkZSNXqUaxkGtJb4X0VJ9R9SByJknfEOmgug9wEnwVxdJmhPPygsZtAgurl3cr0kYqCHbAdxW3qQ3UOf1okDdrbwcWU7K6pMQwe+I3lnL2tQ\
    15+7IDbRmZ+9aTGHsq6RlOW+1aknsGOKXPqMP8K250kgVrP7Z/xJG936i9Cw57aiZ0nrcS1VzT3UI9UpNs/pCkrqcqgQTd9ViorLEwF9lbKZYe54\
    tCST1zwzhZwAwUPawxwT2DlSYpXDg61AhEeDYwOHdeybpbzcjTGeE0zRAg4lX5dOzVAFdIsIXvlg1ndIw867DJ7Nez6J6JQtllPF/mSc4UeeApzN\
    Mklk0ZSctjvetPDrTDbFqg3ACodhw8M16Y774yJHgOG++XNWu0HG5QgoPfw0iVxPy5ZJrxLxH8l7EtP23BY0eDUYlkHEuDX1AMVqkeiKT087OxZ9\
    0RXXrv5pw325CwZA/QMN+LzbMUklQD+eJvlgHPoCQXuJeeTopUKG23XXDdPAjWbcF6ZhcCa/s8qqcH75ISPbc9v0eT5MMIIBAgYJKoZIhvcNAQcB\
    oIH0BIHxMIHuMIHrBgsqhkiG9w0BDAoBAqCBtDCBsTAcBgoqhkiG9w0BDAEDMA4ECAlE6b1SglD7AgIIAASBkOvoXximkTlWcLNLLZdMZtJe535B\
    k7cZ7RpkR8EiY4q9YucQQcObTQkJ3E/pJQnoQwunyqs+O80q0kTgHTG5/2X2zP/xDNEkjUnMpAWRnYjaPCm2aUXZdnaQR+uz2NqSdGaMqN9KN7Ez\
    oO5uo/aQd+TAJyYdHVYshqJWSoRbOEpCG734ZlMO+bTPXFqdJt6brzElMCMGCSqGSIb3DQEJFTEWBBQfFlTjs6R7op2isXld//iejSH5bDAxMCEw\
    CQYFKw4DAhoFAAQU8Mtp+de6n+TYyV7/h6KJFFVkfpUECKVvvOFfbFmdAgIIAA==";

#[test]
fn a_key_store_is_opened_by_its_password_and_what_is_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = make_certificate();
    let store = Pkcs12::builder().name("app").cert(&certificate).pkey(&key).build2("c4nary-store-pw").unwrap();
    let good = file("app.p12", &store.to_der().unwrap());
    let with = |file: &str, password: &str| {
        connect_with(&[("ssl.keystore.location", file), ("ssl.keystore.password", password)])
    };
    assert_eq!(with(&good, "c4nary-store-pw"), Ok(()));
    let old = openssl::base64::decode_block(OLD_KEYSTORE).unwrap();
    for (file, password, what, advice) in [
        (good.clone(), "c4nary-wrong", "another password opens it", "`ssl.keystore.password`"),
        (file("old.p12", &old), "secret", "no longer opens (RC2)", "openssl pkcs12 -legacy"),
        (file("old.p12", &old), "c4nary-wrong", "another password opens it", "`ssl.keystore.password`"),
        (
            file("app.jks", &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]),
            "x",
            "Java's own format (JKS)",
            "-deststoretype pkcs12",
        ),
        (file("app.pem", &certificate.to_pem().unwrap()), "x", "it is not PKCS#12", "`ssl.certificate.location`"),
        (file("empty.p12", &[]), "x", "it is not PKCS#12", "`ssl.key.location`"),
    ] {
        let trouble = with(&file, password).unwrap_err();
        assert!(trouble.what.starts_with(&file) && trouble.what.contains(what), "{trouble:?}");
        assert!(trouble.advice.contains(advice) && !format!("{trouble:?}").contains("c4nary"), "{trouble:?}");
    }
}

/// PBE-MD5-DES of PKCS#5, and DES in the older form, of a key on P-256; the password is `secret`.
const OLD_KEYS: &[&str] = &[
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
     MIGwMBsGCSqGSIb3DQEFAzAOBAjOI5ddLFoytQICCAAEgZC1nyWOYQQi2i+rYjH0\n\
     SwQm0DUapeSyWiz8UdGN7z59j4JqlmbtS3g476XRXYBjkBA2Eo2cuer2RhXJSx+8\n\
     pG9d/AW4sPdsc2tfBC1342vGrT8oB6iVWPIjz07Tt0LKo9SJR/NLm/W68uPi8O+r\n\
     vkTE6dsgdiFRtKY9C8fmUf0NVRM7NQvmrq7n/Fy9kegZwOA=\n\
     -----END ENCRYPTED PRIVATE KEY-----\n",
    "-----BEGIN EC PRIVATE KEY-----\n\
     Proc-Type: 4,ENCRYPTED\n\
     DEK-Info: DES-CBC,665352C23C6262BF\n\
     \n\
     fIF2bCOb7RTFIIwarCdqxL7VfL7/o9c8vMPaGOPKlIZsju7uCvJwmwmZC1YsoB5m\n\
     +vVtx++Vv9Gzi9cLtvinuBe54HshSTnAYDew1d9WJrg2inl+gT7+yyfk9l0R8Dpc\n\
     YLfvE/6kSpQ07xyGyFxgPAqXWyLx/JN7KYUm9O7ZH3Q=\n\
     -----END EC PRIVATE KEY-----\n",
];

#[test]
fn a_key_in_a_cipher_that_openssl_no_longer_has_is_not_blamed_on_the_password() {
    let certificate = String::from_utf8(make_certificate().0.to_pem().unwrap()).unwrap();
    for key in OLD_KEYS {
        let own = [("ssl.certificate.pem", certificate.as_str()), ("ssl.key.pem", key), ("ssl.key.password", "secret")];
        let trouble = connect_with(&own).unwrap_err();
        assert!(trouble.what.contains("in a way that OpenSSL 3 no longer opens"), "{trouble:?}");
        assert!(trouble.advice.contains("openssl pkcs8 -topk8 -v2 aes-256-cbc"), "{trouble:?}");
    }
}

#[test]
fn a_nul_is_refused_before_openssl_sees_it() {
    for name in TLS_NAMES {
        let trouble = connect_with(&[(name, "c4na\0ry")]).unwrap_err();
        assert_eq!(trouble.what, format!("`{name}` holds a NUL character"));
    }
    let trouble = crate::net::http::RemoteServer::new("https://h.example", |name| {
        (name == "ssl.keystore.password").then_some("c4na\0ry")
    });
    assert!(trouble.err().unwrap().what.contains("holds a NUL character"));
}

#[test]
fn of_a_key_store_only_what_leads_from_its_leaf_to_a_root_is_sent() {
    let days = |n| Asn1Time::days_from_now(n).unwrap();
    let (from, to) = (days(0), days(2));
    let root = sign_certificate("root CA", None, &from, &to);
    let between = sign_certificate("between CA", Some(&root), &from, &to);
    let own = sign_certificate("app", Some(&between), &from, &to);
    let other = sign_certificate("somebody-else", Some(&between), &from, &to);
    // of the same name as the one between, with another key
    let namesake = sign_certificate("between CA", None, &from, &to);
    let mut rest = Stack::new().unwrap();
    for (certificate, _) in [&other, &namesake, &root, &between] {
        rest.push(certificate.clone()).unwrap();
    }
    let store = Pkcs12::builder().name("app").cert(&own.0).pkey(&own.1).ca(rest).build2("pw").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("many.p12");
    std::fs::write(&file, store.to_der().unwrap()).unwrap();
    let file = file.display().to_string();
    let pairs = [("ssl.keystore.location", file.as_str()), ("ssl.keystore.password", "pw")];
    let connector = make_connector(&pairs).unwrap();
    let sent: Vec<Vec<u8>> = connector.context().extra_chain_certs().iter().map(|c| c.to_der().unwrap()).collect();
    assert_eq!(sent, [between.0.to_der().unwrap(), root.0.to_der().unwrap()]);
    let beside = connect_with(&[&pairs[..], &[("ssl.key.location", "k.pem")]].concat()).unwrap_err();
    assert_eq!(beside.what, "`ssl.keystore.location` and `ssl.key.location` are both set");
}

#[test]
fn an_own_certificate_that_is_not_valid_today_is_told_with_its_name_and_date() {
    let at = |text: &str| Asn1Time::from_str(text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (from, to, words) in [
        ("20000101000000Z", "20010203000000Z", "certificate expired on Feb  3 00:00:00 2001 GMT"),
        ("20980101000000Z", "20990101000000Z", "certificate is not valid before Jan  1 00:00:00 2098 GMT"),
    ] {
        let (certificate, key) = sign_certificate("app-7", None, &at(from), &at(to));
        let store = Pkcs12::builder().name("app").cert(&certificate).pkey(&key).build2("pw").unwrap();
        let file = dir.path().join("app.p12");
        std::fs::write(&file, store.to_der().unwrap()).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (pem, key) = (text(certificate.to_pem().unwrap()), text(key.private_key_to_pem_pkcs8().unwrap()));
        let file = file.display().to_string();
        for own in [
            [("ssl.certificate.pem", pem.as_str()), ("ssl.key.pem", key.as_str())],
            [("ssl.keystore.location", file.as_str()), ("ssl.keystore.password", "pw")],
        ] {
            let trouble = connect_with(&own).unwrap_err();
            assert!(trouble.what.contains(words), "{trouble:?}");
            assert!(trouble.what.contains("app-7") && trouble.lasting, "{trouble:?}");
            assert!(trouble.advice.contains("`ssl.keystore.location`"), "{trouble:?}");
        }
    }
}

/// A pipe that nobody writes to would be waited for, and one that somebody has written to would be empty for the other
/// plane.
#[test]
fn a_file_that_is_no_ordinary_one_is_refused_without_being_opened() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    mkfifoat(CWD, pipe.as_path(), Mode::RUSR | Mode::WUSR).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let certificate = String::from_utf8(make_certificate().0.to_pem().unwrap()).unwrap();
        let pipe = pipe.display().to_string();
        let refused = [
            vec![("ssl.certificate.location", pipe.as_str()), ("ssl.key.pem", "x")],
            vec![("ssl.certificate.pem", certificate.as_str()), ("ssl.key.location", pipe.as_str())],
            vec![("ssl.keystore.location", pipe.as_str()), ("ssl.keystore.password", "x")],
        ]
        .map(|pairs| connect_with(&pairs).unwrap_err().what);
        let _ = tell.send(refused); // who waited may have given up
    });
    for what in told.recv_timeout(std::time::Duration::from_secs(60)).expect("nobody waits for the pipe") {
        assert!(what.ends_with("can't be read: it is no ordinary file"), "{what}");
    }
}
