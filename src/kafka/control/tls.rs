//! TLS with the OpenSSL that librdkafka brings, so that both planes trust the same.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use openssl::pkcs12::Pkcs12;
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslConnectorBuilder, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::{X509, X509Ref, X509VerifyResult};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::failure::{Class, Failure};
use super::transport::Endpoint;
use crate::kafka::properties::{Identity, Pem, Tls};
use crate::migration::estate::Trouble;
use crate::sanitise::visible;

/// Where distributions keep their CAs: librdkafka's list (rdkafka_ssl.c), since the OpenSSL built in looks where it was
/// built.
const SYSTEM_CAS: &[&str] = &[
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-bundle.crt",
    "/etc/pki/tls/certs/ca-bundle.trust.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/cacert.pem",
    "/etc/certs/ca-certificates.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/certs",
    "/usr/local/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cacert.pem",
    "/usr/local/etc/ssl/certs/cert.pem",
    "/usr/local/etc/ssl/certs/cacert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/etc/openssl/certs/ca-certificates.crt",
];

/// Reads CAs and the client's certificate. Errors name the file and the property.
pub(super) fn connector(settings: &Tls) -> Result<SslConnector, Trouble> {
    let broken = |e: openssl::error::ErrorStack| Trouble::new(format!("OpenSSL can't start: {}", reason(&e)), "");
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(broken)?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(broken)?;
    match (&settings.ca, settings.verify) {
        (_, false) => builder.set_verify(SslVerifyMode::NONE),
        (Some(ca), true) => trust(&mut builder, ca)?,
        (None, true) => trust_the_system(&mut builder)?,
    }
    if let Some(identity) = &settings.identity {
        identify(&mut builder, identity)?;
    }
    Ok(builder.build())
}

fn trust(builder: &mut SslConnectorBuilder, ca: &Pem) -> Result<(), Trouble> {
    let (name, pem) = match ca {
        Pem::File(path) if Path::new(path).is_dir() => {
            return builder
                .load_verify_locations(None, Some(Path::new(path)))
                .map_err(|e| unreadable(path, &reason(&e)));
        }
        Pem::File(path) => (path.as_str(), read(path, "ssl.ca.location")?),
        Pem::Text(text) => ("ssl.ca.pem", text.clone().into_bytes()),
    };
    let certificates = X509::stack_from_pem(&pem).map_err(|e| unreadable(name, &reason(&e)))?;
    if certificates.is_empty() {
        return Err(unreadable(name, "it holds no PEM certificate"));
    }
    for certificate in certificates {
        builder.cert_store_mut().add_cert(certificate).map_err(|e| unreadable(name, &reason(&e)))?;
    }
    Ok(())
}

fn trust_the_system(builder: &mut SslConnectorBuilder) -> Result<(), Trouble> {
    let from_environment = std::env::var("SSL_CERT_FILE").ok();
    let candidates = from_environment.as_deref().into_iter().chain(SYSTEM_CAS.iter().copied());
    for path in candidates.map(Path::new).filter(|p| p.exists()) {
        let (file, directory) = if path.is_dir() { (None, Some(path)) } else { (Some(path), None) };
        if builder.load_verify_locations(file, directory).is_ok() {
            return Ok(());
        }
    }
    Err(Trouble::new(
        "TLS is on, but this machine has no CA certificates in any usual place",
        "install the distribution's `ca-certificates`, or set `ssl.ca.location` to the CA's PEM file",
    ))
}

fn identify(builder: &mut SslConnectorBuilder, identity: &Identity) -> Result<(), Trouble> {
    let (leaf, chain, key) = match identity {
        Identity::Pem { certificate, key, password } => {
            let (name, pem) = load(certificate, "ssl.certificate.location")?;
            let mut all = X509::stack_from_pem(&pem).map_err(|e| unreadable(name, &reason(&e)))?.into_iter();
            let leaf = all.next().ok_or_else(|| unreadable(name, "it holds no PEM certificate"))?;
            let (name, pem) = load(key, "ssl.key.location")?;
            let key = match password {
                Some(password) => PKey::private_key_from_pem_passphrase(&pem, password.as_bytes()),
                // Without a password an encrypted key must fail, not ask on the terminal.
                None => PKey::private_key_from_pem_callback(&pem, |_| Ok(0)),
            };
            let key = key.map_err(|_| unreadable(name, "it holds no PEM private key that `ssl.key.password` opens"))?;
            (leaf, all.collect::<Vec<_>>(), key)
        }
        Identity::Pkcs12 { file, password } => {
            let der = read(file, "ssl.keystore.location")?;
            let parsed = Pkcs12::from_der(&der).and_then(|p| p.parse2(password));
            let parsed =
                parsed.map_err(|e| unreadable(file, &format!("not PKCS#12, or not this password: {}", reason(&e))))?;
            let (Some(leaf), Some(key)) = (parsed.cert, parsed.pkey) else {
                return Err(unreadable(file, "it lacks a certificate or a private key"));
            };
            (leaf, parsed.ca.into_iter().flatten().collect(), key)
        }
    };
    let refuse = |e: openssl::error::ErrorStack| {
        Trouble::new(
            format!("the client certificate can't be used: {}", reason(&e)),
            "check that `ssl.key.location` is the key of `ssl.certificate.location`",
        )
    };
    builder.set_certificate(&leaf).map_err(refuse)?;
    for certificate in chain {
        builder.add_extra_chain_cert(certificate).map_err(refuse)?;
    }
    builder.set_private_key(&key).map_err(refuse)?;
    builder.check_private_key().map_err(refuse)
}

fn load<'a>(pem: &'a Pem, property: &'a str) -> Result<(&'a str, Vec<u8>), Trouble> {
    match pem {
        Pem::File(path) => Ok((path, read(path, property)?)),
        Pem::Text(text) => Ok((property, text.clone().into_bytes())),
    }
}

fn read(path: &str, property: &str) -> Result<Vec<u8>, Trouble> {
    std::fs::read(path).map_err(|e| {
        Trouble::new(
            format!("`{property}`: {} can't be read: {e}", visible(path)),
            "check the path and its permissions (relative paths are relative to where cutover runs)",
        )
    })
}

fn unreadable(name: &str, why: &str) -> Trouble {
    Trouble::new(format!("{}: {}", visible(name), visible(why)), "it must be PEM: `-----BEGIN CERTIFICATE-----`")
}

/// The client side of a TLS handshake with host name verification.
pub(super) async fn handshake(
    tcp: TcpStream,
    connector: &SslConnector,
    settings: &Tls,
    endpoint: &Endpoint,
) -> Result<SslStream<TcpStream>, Failure> {
    let seen = Arc::new(Mutex::new(None::<String>));
    let mut configuration = connector.configure().map_err(|e| failed(endpoint, &reason(&e), OTHER))?;
    configuration.set_verify_hostname(settings.verify && settings.verify_hostname);
    if settings.verify {
        let seen = Arc::clone(&seen);
        configuration.set_verify_callback(SslVerifyMode::PEER, move |ok, store| {
            if let (false, Some(certificate), Ok(mut seen)) = (ok, store.current_cert(), seen.lock()) {
                *seen = Some(describe(certificate));
            }
            ok
        });
    }
    let ssl = configuration.into_ssl(&endpoint.host).map_err(|e| failed(endpoint, &reason(&e), OTHER))?;
    let mut stream = SslStream::new(ssl, tcp).map_err(|e| failed(endpoint, &reason(&e), OTHER))?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(stream),
        Err(error) => {
            let seen = seen.lock().ok().and_then(|mut s| s.take());
            Err(explain(endpoint, &error, stream.ssl().verify_result(), seen))
        }
    }
}

const OTHER: &str = "check that the listener speaks TLS 1.2 or 1.3";

fn explain(
    endpoint: &Endpoint,
    error: &openssl::ssl::Error,
    verdict: X509VerifyResult,
    seen: Option<String>,
) -> Failure {
    let seen = seen.map(|s| format!(" ({s})")).unwrap_or_default();
    // Numbers as in OpenSSL's x509_vfy.h.
    match verdict.as_raw() {
        0 => {}
        62 | 64 => {
            let what = format!("the certificate is not for `{}`{seen}", visible(&endpoint.host));
            return failed(
                endpoint,
                &what,
                "connect by a name that the certificate has, or have the name added to it; \
                 `ssl.endpoint.identification.algorithm = \"none\"` turns this check off",
            );
        }
        2 | 18..=21 => {
            let what = format!("the certificate is not signed by a CA that is trusted here{seen}");
            return failed(
                endpoint,
                &what,
                "set `ssl.ca.location` to the PEM file of the CA that signed the brokers' certificates",
            );
        }
        9 => return failed(endpoint, &format!("the certificate is not valid yet{seen}"), "check this machine's clock"),
        10 => return failed(endpoint, &format!("the certificate has expired{seen}"), "renew the broker's certificate"),
        _ => {
            let what = format!("the certificate is refused: {}{seen}", verdict.error_string());
            return failed(endpoint, &what, "check the broker's certificate: `openssl s_client -connect HOST:PORT`");
        }
    }
    let text = error.to_string();
    if let Some(alert) = error.ssl_error().map(reason).filter(|r| r.contains("alert")) {
        return failed(
            endpoint,
            &format!("the broker ended the handshake: {alert}"),
            "if it wants a client certificate, set `ssl.certificate.location` and `ssl.key.location`",
        );
    }
    if error.ssl_error().is_some_and(|stack| reason(stack).contains("wrong version number")) {
        return failed(endpoint, "the port does not speak TLS", NOT_TLS);
    }
    if error.ssl_error().is_none() || text.contains("unexpected eof") {
        return failed(endpoint, "the connection was closed during the handshake", NOT_TLS);
    }
    failed(endpoint, &visible(&text), OTHER)
}

const NOT_TLS: &str = "if this listener is not a TLS one, set `security.protocol` to PLAINTEXT (or SASL_PLAINTEXT), \
                       or use the port of the TLS listener";

fn failed(endpoint: &Endpoint, what: &str, advice: &str) -> Failure {
    Failure::new(Class::Unreachable, format!("{}: TLS failed: {what}", endpoint.label), advice)
}

fn reason(stack: &openssl::error::ErrorStack) -> String {
    match stack.errors().last().and_then(|e| e.reason()) {
        Some(reason) => visible(reason),
        None => visible(&stack.to_string()),
    }
}

/// Whom a certificate is for, in one line.
fn describe(certificate: &X509Ref) -> String {
    let names: Vec<String> = certificate
        .subject_alt_names()
        .into_iter()
        .flatten()
        .take(6)
        .filter_map(|name| {
            let ip = || match name.ipaddress()? {
                [a, b, c, d] => Some(format!("{a}.{b}.{c}.{d}")),
                long => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(long).ok()?).to_string()),
            };
            name.dnsname().map(str::to_owned).or_else(ip)
        })
        .collect();
    let subject = certificate.subject_name().entries().filter_map(|e| e.data().to_string().ok());
    let subject = subject.collect::<Vec<_>>().join(", ");
    visible(&match names.is_empty() {
        true => format!("it is for {subject}"),
        false => format!("it is for {}; subject {subject}", names.join(", ")),
    })
}
