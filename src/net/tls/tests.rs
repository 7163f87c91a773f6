use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use openssl::x509::{X509Builder, X509NameBuilder};

use super::*;

/// A certificate that signs itself, and its key.
fn make_certificate() -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "app").unwrap();
    let name = name.build();
    let mut x509 = X509Builder::new().unwrap();
    x509.set_subject_name(&name).unwrap();
    x509.set_issuer_name(&name).unwrap();
    x509.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    x509.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    x509.set_pubkey(&key).unwrap();
    x509.sign(&key, MessageDigest::sha256()).unwrap();
    (x509.build(), key)
}

/// What comes of a connector with these properties, on a machine that may have no CAs.
fn connect_with(pairs: &[(&str, &str)]) -> Result<(), Trouble> {
    let pairs = [pairs, &[("enable.ssl.certificate.verification", "false")]].concat();
    let get = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let settings = Tls::from_properties(get).map_err(|(_, trouble)| trouble)?;
    build_connector(&settings).map(drop)
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
