//! TLS with the OpenSSL that librdkafka brings, so that both planes and HTTP trust the same. What is trusted is said with
//! librdkafka's names everywhere (`ssl.ca.location`).

mod client_certificate;

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use openssl::ssl::{SslConnector, SslConnectorBuilder, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::{X509, X509Ref, X509VerifyResult};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::base::Trouble;
use crate::base::sanitise::{visible_name, visible_names, visible_path, visible_text};
use crate::plan::properties::{ALGORITHM, TLS_NAMES, VERIFICATION};

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

/// Largest file of certificates or keys that is read, bytes: bundles of all public CAs have a quarter of a MiB.
const MAX_FILE: u64 = 16 << 20;

/// A PEM text, or a file that holds one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Pem {
    /// The text itself.
    Text(String),
    /// A file (for CAs also a directory of hashed certificates).
    File(String),
}

/// The client's own certificate, for mutual TLS.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum ClientCertificate {
    /// Certificate chain and private key as PEM.
    Pem {
        /// `ssl.certificate.location` or `ssl.certificate.pem`: leaf first.
        certificate: Pem,
        /// `ssl.key.location` or `ssl.key.pem`.
        key: Pem,
        /// `ssl.key.password`.
        password: Option<String>,
    },
    /// `ssl.keystore.location`: PKCS#12.
    Pkcs12 {
        /// The file.
        file: String,
        /// `ssl.keystore.password`.
        password: String,
    },
}

/// What is trusted, and who the client is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Trusted CAs; `None` is the system's.
    pub ca: Option<Pem>,
    /// The client's certificate.
    pub identity: Option<ClientCertificate>,
    /// `enable.ssl.certificate.verification`.
    pub verify: bool,
    /// `ssl.endpoint.identification.algorithm` is not `none`.
    pub verify_hostname: bool,
}

impl Tls {
    /// What properties under librdkafka's names say.
    ///
    /// # Errors
    /// A value that can't be used, with the name of its property.
    pub(crate) fn from_properties<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, (&'static str, Trouble)> {
        // OpenSSL's binding breaks off over one, with the value in its words, as numbers.
        if let Some(name) = TLS_NAMES.iter().find(|name| get(name).is_some_and(|value| value.contains('\0'))) {
            return Err((*name, nul_trouble(name)));
        }
        let ca = match pem_of(&get, "ssl.ca.pem", "ssl.ca.location") {
            // librdkafka's word for the system's CAs, and no file.
            Some(Pem::File(path)) if path == "probe" => None,
            other => other,
        };
        // In whatever case, as librdkafka reads it.
        let verify_hostname = match get(ALGORITHM).map(str::to_ascii_lowercase).as_deref() {
            None | Some("https") => true,
            // Java's clients turn the check off with an empty text; librdkafka's word for it is `none`.
            Some("none" | "") => false,
            Some(other) => return Err(refuse_value(ALGORITHM, other, "`https` or `none`")),
        };
        // librdkafka's words for a boolean.
        let verify = match get(VERIFICATION).map(str::to_ascii_lowercase).as_deref() {
            None | Some("true" | "t" | "1") => true,
            Some("false" | "f" | "0") => false,
            Some(other) => return Err(refuse_value(VERIFICATION, other, "`true` or `false`")),
        };
        Ok(Tls { ca, identity: client_certificate_of(&get)?, verify, verify_hostname })
    }
}

fn refuse_value(name: &'static str, value: &str, wanted: &str) -> (&'static str, Trouble) {
    let what = format!("`{name}` is `{}`, and must be {wanted}", visible_name(value));
    (name, Trouble::new(what, format!("write {wanted}")))
}

/// A value with a NUL in it, which is not repeated, whatever it is.
fn nul_trouble(name: &str) -> Trouble {
    Trouble::new(format!("`{name}` holds a NUL character"), "check where its value comes from")
}

fn client_certificate_of<'a>(
    get: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Option<ClientCertificate>, (&'static str, Trouble)> {
    let given = |name: &&&str| get(name).is_some_and(|value| !value.is_empty());
    if let Some(file) = get("ssl.keystore.location") {
        const PEM: &[&str] = &["ssl.certificate.location", "ssl.certificate.pem", "ssl.key.location", "ssl.key.pem"];
        // Which of the two is sent would be each client's own choice.
        if let Some(other) = PEM.iter().find(given) {
            let what = format!("`ssl.keystore.location` and `{other}` are both set");
            return Err((*other, Trouble::new(what, "leave one of them out")));
        }
        let password = get("ssl.keystore.password").unwrap_or_default().to_owned();
        return Ok(Some(ClientCertificate::Pkcs12 { file: file.to_owned(), password }));
    }
    let certificate = pem_of(get, "ssl.certificate.pem", "ssl.certificate.location");
    let key = pem_of(get, "ssl.key.pem", "ssl.key.location");
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            let password = get("ssl.key.password").map(str::to_owned);
            Ok(Some(ClientCertificate::Pem { certificate, key, password }))
        }
        (Some(_), None) => Err((
            "ssl.certificate.location",
            Trouble::new("a client certificate is set without its private key", "set `ssl.key.location` too"),
        )),
        (None, Some(_)) => Err((
            "ssl.key.location",
            Trouble::new("a private key is set without its certificate", "set `ssl.certificate.location` too"),
        )),
    }
}

fn pem_of<'a>(get: &impl Fn(&str) -> Option<&'a str>, text: &str, file: &str) -> Option<Pem> {
    // A text that is empty is none: a variable that is set to nothing leaves the file.
    let text = get(text).filter(|t| !t.is_empty()).map(|t| Pem::Text(t.to_owned()));
    text.or_else(|| get(file).filter(|f| !f.is_empty()).map(|f| Pem::File(f.to_owned())))
}

/// Reads CAs and the client's certificate.
///
/// # Errors
/// Name the file and the property.
pub(crate) fn build_connector(settings: &Tls) -> Result<SslConnector, Trouble> {
    let broken = |e: openssl::error::ErrorStack| Trouble::new(format!("OpenSSL can't start: {}", reason_of(&e)), "");
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(broken)?;
    // RFC 8996 has done with TLS 1.0 and 1.1.
    builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(broken)?;
    if settings.verify && !settings.verify_hostname {
        let whose = if settings.ca.is_none() { "any public CA" } else { "the CA that is trusted" };
        tracing::warn!("host names are not verified: whoever has a certificate of {whose} is taken for the other side");
    }
    match (&settings.ca, settings.verify) {
        // The CA is not even read: nothing is held against it.
        (_, false) => {
            tracing::warn!("certificates are not verified: the properties say so");
            builder.set_verify(SslVerifyMode::NONE);
        }
        (Some(ca), true) => trust_authorities(&mut builder, ca)?,
        (None, true) => trust_the_system(&mut builder)?,
    }
    if let Some(identity) = &settings.identity {
        client_certificate::use_certificate(&mut builder, identity)?;
    }
    Ok(builder.build())
}

fn trust_authorities(builder: &mut SslConnectorBuilder, ca: &Pem) -> Result<(), Trouble> {
    let (name, pem) = match ca {
        // A directory holds hashed names (`c_rehash`), which OpenSSL looks up at each handshake: nothing is read now.
        Pem::File(path) if Path::new(path).is_dir() => {
            return builder
                .load_verify_locations(None, Some(Path::new(path)))
                .map_err(|e| unreadable_trouble(path, &reason_of(&e)));
        }
        Pem::File(path) => (path.as_str(), read_file(path, "ssl.ca.location")?),
        Pem::Text(text) => ("ssl.ca.pem", text.clone().into_bytes()),
    };
    let certificates = X509::stack_from_pem(&pem).map_err(|e| unreadable_trouble(name, &reason_of(&e)))?;
    // To OpenSSL a file without any PEM is an empty list and no error: nobody would be trusted, and each broker blamed.
    if certificates.is_empty() {
        return Err(unreadable_trouble(name, "it holds no PEM certificate"));
    }
    for certificate in certificates {
        builder.cert_store_mut().add_cert(certificate).map_err(|e| unreadable_trouble(name, &reason_of(&e)))?;
    }
    Ok(())
}

fn trust_the_system(builder: &mut SslConnectorBuilder) -> Result<(), Trouble> {
    let from_environment = std::env::var("SSL_CERT_FILE").ok();
    let candidates = from_environment.as_deref().into_iter().chain(SYSTEM_CAS.iter().copied());
    // The first that can be loaded is enough, as for librdkafka's probe.
    for path in candidates.map(Path::new).filter(|p| p.exists()) {
        let (file, directory) = if path.is_dir() { (None, Some(path)) } else { (Some(path), None) };
        match builder.load_verify_locations(file, directory) {
            Ok(()) => return Ok(()),
            Err(e) => tracing::debug!(path = %visible_path(path), why = %reason_of(&e), "no CA certificates there"),
        }
    }
    Err(Trouble::new(
        "TLS is on, but this machine has no CA certificates in any usual place",
        "install the distribution's `ca-certificates`, or set `ssl.ca.location` to the CA's PEM file",
    ))
}

fn load_pem<'a>(pem: &'a Pem, property: &'a str) -> Result<(&'a str, Vec<u8>), Trouble> {
    match pem {
        Pem::File(path) => Ok((path, read_file(path, property)?)),
        Pem::Text(text) => Ok((property, text.clone().into_bytes())),
    }
}

fn read_file(path: &str, property: &str) -> Result<Vec<u8>, Trouble> {
    let trouble = |why: String| {
        Trouble::new(
            format!("`{property}`: {} can't be read: {why}", visible_path(Path::new(path))),
            "check the path and its permissions (relative paths are relative to where cutover runs)",
        )
    };
    // Not opened: what a pipe holds goes to who reads it first, and each plane reads for itself.
    let about = std::fs::metadata(path).map_err(|e| trouble(e.to_string()))?;
    match () {
        () if !about.is_file() => Err(trouble("it is no ordinary file".into())),
        () if about.len() > MAX_FILE => Err(trouble(format!("it is larger than {} MiB", MAX_FILE >> 20))),
        () => std::fs::read(path).map_err(|e| trouble(e.to_string())),
    }
}

fn unreadable_trouble(name: &str, why: &str) -> Trouble {
    Trouble::new(
        format!("{}: {}", visible_path(Path::new(name)), visible_text(why)),
        "it must be PEM: `-----BEGIN CERTIFICATE-----`",
    )
}

/// A file, or the property that holds its text, that can't be opened.
fn unopened_trouble(name: &str, why: &str, advice: &str) -> Trouble {
    Trouble::new(format!("{}: {}", visible_path(Path::new(name)), visible_text(why)), advice)
}

/// The client side of a TLS handshake with host name verification.
///
/// # Errors
/// What is wrong with the certificate or the other side, in words without its name, and what to do.
pub(crate) async fn shake_hands(
    tcp: TcpStream,
    connector: &SslConnector,
    settings: &Tls,
    host: &str,
) -> Result<SslStream<TcpStream>, Trouble> {
    let seen = Arc::new(Mutex::new(None::<String>));
    let mut configuration = connector.configure().map_err(|e| Trouble::new(reason_of(&e), OTHER))?;
    // Without a chain that is verified a name proves nothing: it is not compared either.
    configuration.set_verify_hostname(settings.verify && settings.verify_hostname);
    // Setting the callback turns verification on: not where it is to be off.
    if settings.verify {
        let seen = Arc::clone(&seen);
        configuration.set_verify_callback(SslVerifyMode::PEER, move |ok, store| {
            // OpenSSL's verdict has a number and no name: whom the refused certificate is for is known here alone.
            if let (false, Some(certificate), Ok(mut seen)) = (ok, store.current_cert(), seen.lock()) {
                *seen = Some(describe_certificate(certificate));
            }
            ok
        });
    }
    let ssl = configuration.into_ssl(host).map_err(|e| Trouble::new(reason_of(&e), OTHER))?;
    let mut stream = SslStream::new(ssl, tcp).map_err(|e| Trouble::new(reason_of(&e), OTHER))?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(stream),
        Err(error) => {
            let seen = seen.lock().ok().and_then(|mut s| s.take());
            Err(explain_failure(host, &error, stream.ssl().verify_result(), seen))
        }
    }
}

const OTHER: &str = "check that the listener speaks TLS 1.2 or 1.3";

fn explain_failure(
    host: &str,
    error: &openssl::ssl::Error,
    verdict: X509VerifyResult,
    seen: Option<String>,
) -> Trouble {
    let seen = seen.map(|s| format!(" ({s})")).unwrap_or_default();
    // Numbers as in OpenSSL's x509_vfy.h.
    match verdict.as_raw() {
        0 => {}
        // 62 is the name, 64 the address.
        62 | 64 => {
            let what = format!("the certificate is not for `{}`{seen}", visible_name(host));
            let advice = "connect by a name that the certificate has, or have the name added to it; \
                          `ssl.endpoint.identification.algorithm = \"none\"` turns this check off";
            return Trouble::new(what, advice).mark_lasting();
        }
        // Self-signed, or an issuer that is not known, at whatever place of the chain: one thing to do about all.
        2 | 18..=21 => {
            let what = format!("the certificate is not signed by a CA that is trusted here{seen}");
            let advice = "set `ssl.ca.location` to the PEM file of the CA that signed the certificates";
            return Trouble::new(what, advice).mark_lasting();
        }
        9 => {
            let what = format!("the certificate is not valid yet{seen}");
            return Trouble::new(what, "check this machine's clock").mark_lasting();
        }
        10 => {
            return Trouble::new(format!("the certificate has expired{seen}"), "renew that certificate").mark_lasting();
        }
        _ => {
            let what = format!("the certificate is refused: {}{seen}", verdict.error_string());
            return Trouble::new(what, "check the certificate: `openssl s_client -connect HOST:PORT`").mark_lasting();
        }
    }
    let text = error.to_string();
    // Before the rest: an alert is the other side's own word, and what follows is guessed from ours.
    if let Some(alert) = error.ssl_error().map(reason_of).filter(|r| r.contains("alert")) {
        return Trouble::new(
            format!("the other side ended the handshake: {alert}"),
            "if it wants a client certificate, set `ssl.certificate.location` and `ssl.key.location`, or \
             `ssl.keystore.location`; if one is set, check that the other side trusts it",
        )
        .mark_lasting();
    }
    if error.ssl_error().is_some_and(|stack| reason_of(stack).contains("wrong version number")) {
        return Trouble::new("the port does not speak TLS", NOT_TLS).mark_lasting();
    }
    // Nothing of TLS came, so what is there probably speaks something else.
    if error.ssl_error().is_none() || text.contains("unexpected eof") {
        return Trouble::new("the connection was closed during the handshake", NOT_TLS).mark_lasting();
    }
    Trouble::new(visible_text(&text), OTHER)
}

const NOT_TLS: &str = "if this listener is not a TLS one, set `security.protocol` to PLAINTEXT (or SASL_PLAINTEXT), \
                       or use the port of the TLS listener";

fn reason_of(stack: &openssl::error::ErrorStack) -> String {
    match stack.errors().last().and_then(|e| e.reason()) {
        Some(reason) => visible_text(reason),
        None => visible_text(&stack.to_string()),
    }
}

/// Whom a certificate is for, in one line.
fn describe_certificate(certificate: &X509Ref) -> String {
    let names: Vec<String> = certificate
        .subject_alt_names()
        .into_iter()
        .flatten()
        // Certificates of a large cluster have hundreds of names: some show whose it is.
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
    let subject = visible_names(subject.collect::<Vec<_>>());
    match names.is_empty() {
        true => format!("it is for {subject}"),
        false => format!("it is for {}; subject {subject}", visible_names(names)),
    }
}

#[cfg(test)]
mod tests;
