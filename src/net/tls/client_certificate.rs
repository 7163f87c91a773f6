//! The client's own certificate: its file or key store is opened, and what would be sent is looked at before it is.

use std::cmp::Ordering;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::pkcs12::{ParsedPkcs12_2, Pkcs12};
use openssl::pkey::{PKey, Private};
use openssl::ssl::SslConnectorBuilder;
use openssl::x509::{X509, X509Ref, X509VerifyResult};

use super::{
    ClientCertificate, describe_certificate, load_pem, read_file, reason_of, unopened_trouble, unreadable_trouble,
};
use crate::base::Trouble;

/// Most certificates of a key store that are named: some show whose they are.
const SHOWN: usize = 3;

/// What is shown to the other side, and the key that proves it.
struct OwnCertificate {
    leaf: X509,
    /// Those between the leaf and a root.
    chain: Vec<X509>,
    key: PKey<Private>,
}

pub(super) fn use_certificate(builder: &mut SslConnectorBuilder, identity: &ClientCertificate) -> Result<(), Trouble> {
    let OwnCertificate { leaf, chain, key } = open_certificate(identity)?;
    check_validity(&leaf)?;
    let refuse = |e: ErrorStack| {
        Trouble::new(
            format!("the client certificate can't be used: {}", reason_of(&e)),
            "check that `ssl.key.location` is the key of `ssl.certificate.location`",
        )
    };
    builder.set_certificate(&leaf).map_err(refuse)?;
    // A broker that knows the root alone needs those between.
    for certificate in chain {
        builder.add_extra_chain_cert(certificate).map_err(refuse)?;
    }
    builder.set_private_key(&key).map_err(refuse)?;
    builder.check_private_key().map_err(refuse)
}

fn open_certificate(identity: &ClientCertificate) -> Result<OwnCertificate, Trouble> {
    match identity {
        ClientCertificate::Pem { certificate, key, password } => {
            let (name, pem) = load_pem(certificate, "ssl.certificate.location")?;
            let mut all = X509::stack_from_pem(&pem).map_err(|e| unreadable_trouble(name, &reason_of(&e)))?.into_iter();
            let leaf = all.next().ok_or_else(|| unreadable_trouble(name, "it holds no PEM certificate"))?;
            let (name, pem) = load_pem(key, "ssl.key.location")?;
            Ok(OwnCertificate { leaf, chain: all.collect(), key: open_key(name, &pem, password.as_deref())? })
        }
        ClientCertificate::Pkcs12 { file, password } => {
            let der = read_file(file, "ssl.keystore.location")?;
            let ParsedPkcs12_2 { pkey, cert, ca } = open_keystore(file, &der, password)?;
            let (Some(leaf), Some(key)) = (cert, pkey) else {
                let what = "it lacks a certificate or a private key";
                return Err(unopened_trouble(file, what, "export the client's certificate with its key into it"));
            };
            let (chain, others) = follow_chain(&leaf, ca.into_iter().flatten().collect());
            if !others.is_empty() {
                let sent = describe_certificate(&leaf);
                let left: Vec<String> = others.iter().take(SHOWN).map(|c| describe_certificate(c)).collect();
                let (left, count) = (left.join("; "), others.len());
                tracing::warn!(%sent, count, %left, "of a key store with other certificates the first with its key is used");
            }
            Ok(OwnCertificate { leaf, chain, key })
        }
    }
}

/// The certificates that lead from a leaf towards its root, in order, and those that don't: a key store may hold what is
/// none of the other side's business.
fn follow_chain(leaf: &X509Ref, mut rest: Vec<X509>) -> (Vec<X509>, Vec<X509>) {
    let mut chain: Vec<X509> = Vec::new();
    loop {
        let last = chain.last().map_or(leaf, |c| c);
        let signed = |issuer: &X509| {
            let named = issuer.issued(last) == X509VerifyResult::OK;
            named && issuer.public_key().and_then(|key| last.verify(&key)).unwrap_or(false)
        };
        match rest.iter().position(signed) {
            Some(at) => {
                let next = rest.remove(at);
                chain.push(next);
            }
            None => return (chain, rest),
        }
    }
}

/// Whether it can be shown today: the other side would only end the handshake, and say no date.
fn check_validity(leaf: &X509Ref) -> Result<(), Trouble> {
    let refuse = |what: String, advice: &str| Err(Trouble::new(what, advice).mark_lasting());
    let whose = describe_certificate(leaf);
    if compare_with_now(leaf.not_after()) == Some(Ordering::Less) {
        let what = format!("the client's own certificate expired on {} ({whose})", leaf.not_after());
        let advice = "renew it, and name the new one in `ssl.certificate.location` and `ssl.key.location`, or in \
                      `ssl.keystore.location`";
        return refuse(what, advice);
    }
    if compare_with_now(leaf.not_before()) == Some(Ordering::Greater) {
        let what = format!("the client's own certificate is not valid before {} ({whose})", leaf.not_before());
        let advice = "check this machine's clock, and which certificate `ssl.certificate.location` or \
                      `ssl.keystore.location` names";
        return refuse(what, advice);
    }
    Ok(())
}

/// Whether a time is over or still to come. `None`: OpenSSL can't compare it, and the other side judges it.
fn compare_with_now(time: &Asn1TimeRef) -> Option<Ordering> {
    let now = Asn1Time::days_from_now(0).ok()?;
    time.compare(&now).ok()
}

/// Whether OpenSSL knows the cipher and no longer has it: its part that fetches ciphers says so, and others use the same
/// word of files that are none of theirs.
fn lacks_cipher(stack: &ErrorStack) -> bool {
    let fetching = |e: &openssl::error::Error| e.library() == Some("digital envelope routines");
    stack.errors().iter().any(|e| fetching(e) && e.reason() == Some("unsupported"))
}

/// A private key as PEM, encrypted or not.
fn open_key(name: &str, pem: &[u8], password: Option<&str>) -> Result<PKey<Private>, Trouble> {
    let key = match password {
        Some(password) => PKey::private_key_from_pem_passphrase(pem, password.as_bytes()),
        // Without a password an encrypted key must fail, not ask on the terminal.
        None => PKey::private_key_from_pem_callback(pem, |_| Ok(0)),
    };
    // OpenSSL's reason is left out: for a wrong password it is `bad decrypt`, or nonsense of the padding.
    key.map_err(|stack| {
        // `ENCRYPTED PRIVATE KEY` of PKCS#8, and `Proc-Type: 4,ENCRYPTED` of the older form.
        let encrypted = pem.windows(9).any(|w| w == b"ENCRYPTED");
        let (what, advice) = match (encrypted, password) {
            (true, None) => ("the private key is encrypted, and there is no password for it", "set `ssl.key.password`"),
            (true, Some(_)) if lacks_cipher(&stack) => (
                "the private key is encrypted in a way that OpenSSL 3 no longer opens",
                "encrypt it anew, with an OpenSSL that still opens it: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW`",
            ),
            (true, Some(_)) => ("the private key is encrypted with another password", "check `ssl.key.password`"),
            (false, _) => ("it holds no PEM private key", "it must be PEM, with a line that says BEGIN PRIVATE KEY"),
        };
        unopened_trouble(name, what, advice)
    })
}

/// A key store of PKCS#12.
fn open_keystore(file: &str, der: &[u8], password: &str) -> Result<ParsedPkcs12_2, Trouble> {
    // The magic number of Java's own format, which `keytool` made by default until Java 9.
    if der.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) {
        let advice =
            "make one of it: `keytool -importkeystore -srckeystore OLD -destkeystore NEW -deststoretype pkcs12`";
        return Err(unopened_trouble(file, "it is a key store of Java's own format (JKS), not PKCS#12", advice));
    }
    let store = Pkcs12::from_der(der).map_err(|_| {
        let advice = "PEM goes into `ssl.certificate.location` and `ssl.key.location`";
        unopened_trouble(file, "it is not PKCS#12", advice)
    })?;
    store.parse2(password).map_err(|stack| {
        // The password is tried first: what comes after it says nothing of it.
        let has = |reason: &str| stack.errors().iter().any(|e| e.reason() == Some(reason));
        if has("unsupported") {
            let what = "it is encrypted in a way that OpenSSL 3 no longer opens (RC2)";
            let advice = "make it anew with a Java of today, or: `openssl pkcs12 -legacy -nodes -in OLD | openssl pkcs12 \
                          -export -out NEW`";
            return unopened_trouble(file, what, advice);
        }
        let why = if has("mac verify failure") { "another password opens it".to_owned() } else { reason_of(&stack) };
        unopened_trouble(file, &why, "check `ssl.keystore.password`")
    })
}
