//! TLS and SASL PLAIN against a real broker with its own CA.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use cutover::base::{Side, TopicPartition, Trouble};
use cutover::kafka::control::{Cluster, NewTopic, SnapshotOptions};
use cutover::kafka::properties::ClientProperties;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::support::kafka::{Broker, take_port, throwaway};
use crate::support::unique;

/// A certificate for `name`, signed by `issuer` or by itself, valid for two days.
pub(crate) fn certificate(name: &str, issuer: Option<(&X509, &PKey<Private>)>) -> (X509, PKey<Private>) {
    let day = |n| Asn1Time::days_from_now(n).unwrap();
    certificate_between(name, issuer, [&day(0), &day(2)])
}

/// The same, valid from and to these times.
pub(crate) fn certificate_between(
    name: &str,
    issuer: Option<(&X509, &PKey<Private>)>,
    [from, to]: [&Asn1Time; 2],
) -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut x509 = X509Builder::new().unwrap();
    x509.set_version(2).unwrap();
    x509.set_serial_number(&BigNum::from_u32(u32::from(name.len() as u16) + 1).unwrap().to_asn1_integer().unwrap())
        .unwrap();
    x509.set_subject_name(&subject).unwrap();
    x509.set_issuer_name(issuer.map_or(&subject, |(ca, _)| ca.subject_name())).unwrap();
    x509.set_not_before(from).unwrap();
    x509.set_not_after(to).unwrap();
    x509.set_pubkey(&key).unwrap();
    match issuer {
        None => x509.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap(),
        Some((ca, _)) => {
            let context = x509.x509v3_context(Some(ca), None);
            // Not for `localhost`: connecting by that name must fail.
            let names = SubjectAlternativeName::new().ip("127.0.0.1").dns("blue-1.example").build(&context).unwrap();
            x509.append_extension(names).unwrap();
        }
    }
    x509.sign(issuer.map_or(&key, |(_, k)| k), MessageDigest::sha256()).unwrap();
    (x509.build(), key)
}

pub(crate) struct Secure {
    broker: Broker,
    pub(crate) sasl_ssl: u16,
    mtls: u16,
    pub(crate) ca: PathBuf,
    pub(crate) other_ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    _dir: tempfile::TempDir,
    _ports: [crate::support::kafka::HeldPort; 2],
}

pub(crate) fn write(dir: &Path, name: &str, parts: &[Vec<u8>]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, parts.concat()).unwrap();
    path
}

/// A broker with SASL_SSL (PLAIN), mutual TLS and PLAINTEXT listeners.
pub(crate) fn secure() -> &'static Secure {
    static SECURE: OnceLock<Secure> = OnceLock::new();
    SECURE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (ca, ca_key) = certificate("cutover test CA", None);
        let (other, _) = certificate("some other CA", None);
        let (server, server_key) = certificate("broker", Some((&ca, &ca_key)));
        let (client, client_key) = certificate("app", Some((&ca, &ca_key)));
        let pem = |c: &X509| c.to_pem().unwrap();
        let key = |k: &PKey<Private>| k.private_key_to_pem_pkcs8().unwrap();
        let keystore = write(dir.path(), "broker.pem", &[key(&server_key), pem(&server), pem(&ca)]);
        let ca_file = write(dir.path(), "ca.pem", &[pem(&ca)]);
        let (a, b) = (take_port(), take_port());
        let listeners = |controller: &str| {
            format!(
                "PLAINTEXT://127.0.0.1:{{client}},SECURE://127.0.0.1:{},MTLS://127.0.0.1:{}{controller}",
                a.number, b.number
            )
        };
        let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required user_app=\"app-secret\";";
        let broker = throwaway(
            "secure",
            &[
                ("listeners", &listeners(",CONTROLLER://127.0.0.1:{controller}")),
                ("advertised.listeners", &listeners("")),
                ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,MTLS:SSL"),
                ("sasl.enabled.mechanisms", "PLAIN"),
                ("listener.name.secure.plain.sasl.jaas.config", jaas),
                ("ssl.keystore.type", "PEM"),
                ("ssl.keystore.location", &keystore.display().to_string()),
                ("ssl.truststore.type", "PEM"),
                ("ssl.truststore.location", &ca_file.display().to_string()),
                ("listener.name.mtls.ssl.client.auth", "required"),
            ],
        );
        Secure {
            broker,
            sasl_ssl: a.number,
            mtls: b.number,
            ca: ca_file,
            other_ca: write(dir.path(), "other.pem", &[pem(&other)]),
            certificate: write(dir.path(), "app.pem", &[pem(&client)]),
            key: write(dir.path(), "app.key", &[key(&client_key)]),
            _dir: dir,
            _ports: [a, b],
        }
    })
}

impl Secure {
    pub(crate) fn sasl(&self, changes: &[(&str, &str)]) -> ClientProperties {
        let ca = self.ca.display().to_string();
        let base = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "app"),
            ("sasl.password", "app-secret"),
            ("ssl.ca.location", &ca),
        ];
        properties(&[&base, changes].concat())
    }
}

fn properties(pairs: &[(&str, &str)]) -> ClientProperties {
    ClientProperties::new(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<BTreeMap<_, _>>())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(240), future).await.expect("a bound on everything")
    })
}

fn trouble(host: &str, port: u16, properties: &ClientProperties) -> Trouble {
    let cluster = Cluster::new(Side::Green, &format!("{host}:{port}"), properties);
    let trouble = run(cluster.cluster_id()).unwrap_err();
    assert!(!trouble.advice.is_empty() && !trouble.what.contains("app-secret"), "{trouble:?}");
    trouble
}

#[test]
fn sasl_plain_over_tls_on_both_planes() {
    let s = secure();
    let p = s.sasl(&[]);
    let bootstrap = format!("127.0.0.1:{}", s.sasl_ssl);
    let cluster = Cluster::new(Side::Green, &bootstrap, &p);
    let (topic, group) = (unique("secure"), unique("secure-group"));
    let tp = TopicPartition::new(&topic, 0);
    run(async {
        assert!(cluster.create_topics(&[NewTopic::new(&topic, 1, 1)], false).await.unwrap()[&topic].is_done());
        assert!(cluster.commit_offsets(&group, &[(tp.clone(), 0)]).await.unwrap()[&tp].is_done());
        let view = cluster.snapshot(&SnapshotOptions::default()).await.unwrap();
        assert_eq!(view.cluster_id.as_ref(), Some(&s.broker.cluster_id));
        assert_eq!(view.brokers[&1].port, s.sasl_ssl);
        assert_eq!(view.groups[&group].committed_offset(&topic, 0), Some(0));
    });
    let mut config: rdkafka::ClientConfig = p.to_rdkafka().into_iter().collect();
    let consumer: BaseConsumer = config.set("bootstrap.servers", &bootstrap).set("log_level", "0").create().unwrap();
    let metadata = consumer.fetch_metadata(Some(&topic), Duration::from_secs(240)).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 1);
}

#[test]
fn mutual_tls() {
    let s = secure();
    let (ca, certificate, key) =
        (s.ca.display().to_string(), s.certificate.display().to_string(), s.key.display().to_string());
    let base = [("security.protocol", "SSL"), ("ssl.ca.location", ca.as_str())];
    let own = [("ssl.certificate.location", certificate.as_str()), ("ssl.key.location", key.as_str())];
    let cluster = Cluster::new(Side::Green, &format!("127.0.0.1:{}", s.mtls), &properties(&[base, own].concat()));
    assert_eq!(run(cluster.cluster_id()).unwrap().as_ref(), Some(&s.broker.cluster_id));
    let t = trouble("127.0.0.1", s.mtls, &properties(&base));
    assert!(t.advice.contains("ssl.certificate.location"), "{t:?}");
}

#[test]
fn who_is_not_trusted_is_said() {
    let s = secure();
    let other = s.other_ca.display().to_string();
    let t = trouble("127.0.0.1", s.sasl_ssl, &s.sasl(&[("ssl.ca.location", &other)]));
    assert!(
        t.what.contains("not signed by a CA that is trusted here") && t.advice.contains("ssl.ca.location"),
        "{t:?}"
    );
    assert!(t.what.contains("cutover test CA") || t.what.contains("blue-1.example"), "{t:?}");

    let t = trouble("localhost", s.sasl_ssl, &s.sasl(&[]));
    assert!(t.what.contains("the certificate is not for `localhost`") && t.what.contains("blue-1.example"), "{t:?}");
    for off in [("ssl.endpoint.identification.algorithm", "none"), ("enable.ssl.certificate.verification", "false")] {
        let cluster = Cluster::new(Side::Green, &format!("localhost:{}", s.sasl_ssl), &s.sasl(&[off]));
        assert!(run(cluster.cluster_id()).is_ok(), "{off:?}");
    }
}

#[test]
fn wrong_secrets_and_wrong_listeners() {
    let s = secure();
    let t = trouble("127.0.0.1", s.sasl_ssl, &s.sasl(&[("sasl.password", "wrong")]));
    assert!(t.what.contains("SASL_AUTHENTICATION_FAILED") && t.what.contains("SASL PLAIN as `app`"), "{t:?}");
    assert!(t.advice.contains("sasl.password"), "{t:?}");

    // TLS hello on the plaintext listener, and plaintext on the TLS listener.
    let plain = s.broker.bootstrap.rsplit_once(':').unwrap().1.parse().unwrap();
    let t = trouble("127.0.0.1", plain, &s.sasl(&[]));
    assert!(t.what.contains("TLS failed") && t.advice.contains("PLAINTEXT"), "{t:?}");
    let t = trouble("127.0.0.1", s.sasl_ssl, &properties(&[]));
    assert!(t.advice.contains("security.protocol") && t.advice.contains("SASL_SSL"), "{t:?}");
    // TLS without SASL on a listener that wants it.
    let ca = s.ca.display().to_string();
    let t = trouble("127.0.0.1", s.sasl_ssl, &properties(&[("security.protocol", "SSL"), ("ssl.ca.location", &ca)]));
    assert!(t.advice.contains("SASL"), "{t:?}");
    // SASL on a listener without it.
    let pairs = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "a"),
        ("sasl.password", "b"),
    ];
    let t = trouble("127.0.0.1", plain, &properties(&pairs));
    assert!(t.what.contains("does not use SASL on this listener"), "{t:?}");
}
