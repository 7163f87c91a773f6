//! Who we are, and who answers: each mechanism and each certificate that a plan may name, on one real broker that takes
//! them all, on both planes; and what does not fit, refused at once, in the same words by both.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use cutover::base::{Side, TopicPartition, Trouble};
use cutover::kafka::control::{Cluster, NewTopic};
use cutover::kafka::plane::DataPlane;
use cutover::kafka::properties::ClientProperties;
use cutover::kafka::records::{Isolation, Portion, ReadRange};
use cutover::kafka::writer::{Outgoing, RecordWriter};
use openssl::asn1::Asn1Time;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use serde_json::Value;

use crate::control_secure::{certificate, certificate_between, write};
use crate::faults::Desk;
use crate::support::kafka::{Broker, HeldPort, Recorder, pair, take_port, throwaway_with_users};
use crate::support::patience::{crowding, until};
use crate::support::unique;

const WITHIN: Duration = Duration::from_secs(60);
/// Of `both`, who has a credential for either hash. Of `short` and `long`, who have one.
const PASSWORD: &str = "c4nary-of-scram-9f3e";
/// Not ASCII, with what SCRAM's own syntax is made of: a password is the text that it is.
const ODD_PASSWORD: &str = "p\u{e4}=ss w\u{f6}rd=\u{2117}";

/// A broker and the numbers of its doors.
pub(crate) struct Doors {
    broker: Broker,
    /// The way to a listener whose sessions hold two seconds.
    brief: Recorder,
    numbers: Vec<u16>,
    folder: tempfile::TempDir,
    _ports: Vec<HeldPort>,
}

/// Listeners besides the kit's own, with the protocol of each.
const DOORS: &[(&str, &str)] = &[
    ("TLS", "SASL_SSL"),
    ("OPEN", "SASL_PLAINTEXT"),
    ("FEW", "SASL_PLAINTEXT"),
    ("MTLS", "SSL"),
    ("EXPIRED", "SSL"),
    ("STRAY", "SSL"),
];

fn pem(certificate: &X509) -> Vec<u8> {
    certificate.to_pem().unwrap()
}

fn bare_key(key: &PKey<Private>) -> Vec<u8> {
    key.private_key_to_pem_pkcs8().unwrap()
}

/// The broker that all of these tests share.
pub(crate) fn doors() -> &'static Doors {
    static SHARED: OnceLock<Doors> = OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, parts: &[Vec<u8>]| write(folder.path(), name, parts).display().to_string();
        let (ca, ca_key) = certificate("cutover test CA", None);
        let issuer = Some((&ca, &ca_key));
        let (server, server_key) = certificate("broker", issuer);
        let days_ago = |n: i64| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            Asn1Time::from_unix(i64::try_from(now.as_secs()).unwrap() - n * 86_400).unwrap()
        };
        let (expired, expired_key) = certificate_between("broker", issuer, [&days_ago(9), &days_ago(1)]);
        let (stray, stray_key) = certificate("blue-1.example", None);
        let (client, client_key) = certificate("app", issuer);
        file("app.pem", &[pem(&client)]);
        file("app.key", &[bare_key(&client_key)]);
        let cipher = openssl::symm::Cipher::aes_256_cbc();
        let locked = client_key.private_key_to_pem_pkcs8_passphrase(cipher, PASSWORD.as_bytes()).unwrap();
        file("app-locked.key", &[locked]);
        let store =
            openssl::pkcs12::Pkcs12::builder().name("app").cert(&client).pkey(&client_key).build2(PASSWORD).unwrap();
        file("app.p12", &[store.to_der().unwrap()]);
        let trusted = file("ca.pem", &[pem(&ca)]);
        let keystore = file("broker.pem", &[bare_key(&server_key), pem(&server), pem(&ca)]);
        let of_expired = file("expired.pem", &[bare_key(&expired_key), pem(&expired), pem(&ca)]);
        let of_stray = file("stray.pem", &[bare_key(&stray_key), pem(&stray)]);
        let ports: Vec<HeldPort> = DOORS.iter().map(|_| take_port()).collect();
        let listed: Vec<String> =
            DOORS.iter().zip(&ports).map(|((name, _), port)| format!("{name}://127.0.0.1:{}", port.number)).collect();
        let brief = Recorder::start();
        let [bound, advertised] = brief.listeners().map(|own| format!("{own},{}", listed.join(",")));
        let protocols: Vec<String> = DOORS.iter().map(|(name, protocol)| format!("{name}:{protocol}")).collect();
        let plain =
            "org.apache.kafka.common.security.plain.PlainLoginModule required user_both=\"c4nary-of-scram-9f3e\";";
        let extra = [
            ("listeners", format!("{bound},CONTROLLER://127.0.0.1:{{controller}}")),
            ("advertised.listeners", advertised),
            (
                "listener.security.protocol.map",
                format!("PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,RECORDED:SASL_PLAINTEXT,{}", protocols.join(",")),
            ),
            ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".to_owned()),
            ("listener.name.recorded.connections.max.reauth.ms", "2000".to_owned()),
            ("listener.name.few.sasl.enabled.mechanisms", "SCRAM-SHA-256".to_owned()),
            ("ssl.keystore.type", "PEM".to_owned()),
            ("ssl.keystore.location", keystore),
            ("ssl.truststore.type", "PEM".to_owned()),
            ("ssl.truststore.location", trusted),
            ("listener.name.mtls.ssl.client.auth", "required".to_owned()),
            ("listener.name.expired.ssl.keystore.location", of_expired),
            ("listener.name.stray.ssl.keystore.location", of_stray),
        ];
        // A broker wants a login module for each mechanism of each of its listeners, or it does not start.
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let modules = [("plain", plain), ("scram-sha-256", scram), ("scram-sha-512", scram)];
        let logins: Vec<(String, &str)> = ["recorded", "tls", "open", "few"]
            .iter()
            .flat_map(|door| {
                modules.map(|(of, module)| (format!("listener.name.{door}.{of}.sasl.jaas.config"), module))
            })
            .collect();
        let extra = extra.iter().map(|(name, value)| (*name, value.as_str()));
        let extra: Vec<(&str, &str)> =
            extra.chain(logins.iter().map(|(name, module)| (name.as_str(), *module))).collect();
        let of = |mechanism: &str, user: &str, password: &str, more: &str| {
            format!("{mechanism}=[name={user},password={password}{more}]")
        };
        let users = [
            of("SCRAM-SHA-256", "both", PASSWORD, ""),
            of("SCRAM-SHA-512", "both", PASSWORD, ",iterations=16384"),
            of("SCRAM-SHA-256", "short", PASSWORD, ""),
            of("SCRAM-SHA-512", "long", PASSWORD, ""),
            of("SCRAM-SHA-256", "odd=name", ODD_PASSWORD, ""),
            of("SCRAM-SHA-512", "odd=name", ODD_PASSWORD, ""),
        ];
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let broker = throwaway_with_users("doors", &extra, &users);
        Doors { broker, brief, numbers: ports.iter().map(|p| p.number).collect(), folder, _ports: ports }
    })
}

impl Doors {
    /// `HOST:PORT` of a listener.
    fn at(&self, host: &str, door: &str) -> String {
        let of = DOORS.iter().position(|(name, _)| *name == door).expect("a door");
        format!("{host}:{}", self.numbers[of])
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Client properties: `changes` over those of `both` at a door with SASL.
    fn login(&self, mechanism: &str, tls: bool, changes: &[(&str, &str)]) -> ClientProperties {
        let ca = self.file("ca.pem").display().to_string();
        let mut pairs = vec![
            ("security.protocol", if tls { "SASL_SSL" } else { "SASL_PLAINTEXT" }),
            ("sasl.mechanism", mechanism),
            ("sasl.username", "both"),
            ("sasl.password", PASSWORD),
        ];
        pairs.extend(tls.then_some(("ssl.ca.location", ca.as_str())));
        pairs.extend(changes);
        properties(&pairs)
    }

    /// Properties of TLS alone.
    fn secured(&self, changes: &[(&str, &str)]) -> ClientProperties {
        let ca = self.file("ca.pem").display().to_string();
        properties(&[&[("security.protocol", "SSL"), ("ssl.ca.location", ca.as_str())], changes].concat())
    }
}

/// The last of each name counts.
fn properties(pairs: &[(&str, &str)]) -> ClientProperties {
    ClientProperties::new(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect())
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(async { tokio::time::timeout(WITHIN * 2, future).await.expect("a bound on everything") })
}

/// What takes a second on a machine that has nothing else to do.
pub(crate) fn a_second() -> Duration {
    Duration::from_secs(1).mul_f64(crowding())
}

/// Both planes of a door work: a topic is made and seen by the one, written and read by the other.
pub(crate) fn pass_through(cluster_id: &str, at: &str, properties: &ClientProperties) {
    let topic = unique("auth");
    let cluster = Cluster::new(Side::Green, at, properties);
    run(async {
        assert_eq!(cluster.cluster_id().await.unwrap().as_deref(), Some(cluster_id));
        assert!(cluster.create_topics(&[NewTopic::new(&topic, 1, 1)], false).await.unwrap()[&topic].is_done());
    });
    let runtime = runtime();
    let _guard = runtime.enter();
    let writer = RecordWriter::open(properties, at, WITHIN).expect("a writer");
    let record = Outgoing { key: None, value: Some(b"hello"), timestamp: None, headers: &[] };
    writer.send(&TopicPartition::new(&topic, 0), &record).expect("sent");
    writer.flush().expect("written");
    let mut reader = DataPlane::of_cluster(&cluster)
        .open_reader_for(Portion::Small, Isolation::Committed, WITHIN)
        .expect("a reader");
    let (mut seen, range) = (0, ReadRange { partition: TopicPartition::new(&topic, 0), from: 0, to: 1 });
    let count = |_: cutover::kafka::records::RecordRef<'_>| {
        seen += 1;
        ControlFlow::Continue(())
    };
    reader.read_range(&range, count).expect("read");
    assert_eq!(seen, 1, "{at}");
}

#[test]
fn scram_with_either_hash_over_tls_and_without_on_both_planes() {
    let d = doors();
    for (tls, door) in [(true, "TLS"), (false, "OPEN")] {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            pass_through(&d.broker.cluster_id, &d.at("127.0.0.1", door), &d.login(mechanism, tls, &[]));
        }
        pass_through(&d.broker.cluster_id, &d.at("127.0.0.1", door), &d.login("plain", tls, &[]));
    }
}

/// No SASLprep, no other form of a letter: what is typed is what was typed when the credential was made.
#[test]
fn a_name_and_a_password_are_taken_as_they_are() {
    let d = doors();
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let own = [("sasl.username", "odd=name"), ("sasl.password", ODD_PASSWORD)];
        pass_through(&d.broker.cluster_id, &d.at("127.0.0.1", "OPEN"), &d.login(mechanism, false, &own));
    }
}

#[test]
fn a_client_certificate_in_each_of_its_forms_on_both_planes() {
    let d = doors();
    let names = ["app.pem", "app.key", "app-locked.key", "app.p12"];
    let [certificate, key, locked, store] = names.map(|name| d.file(name).display().to_string());
    let certificate = ("ssl.certificate.location", certificate.as_str());
    for own in [
        vec![certificate, ("ssl.key.location", key.as_str())],
        vec![certificate, ("ssl.key.location", locked.as_str()), ("ssl.key.password", PASSWORD)],
        vec![("ssl.keystore.location", store.as_str()), ("ssl.keystore.password", PASSWORD)],
    ] {
        pass_through(&d.broker.cluster_id, &d.at("127.0.0.1", "MTLS"), &d.secured(&own));
    }
}

/// What does not fit: where it is tried, with what, what both planes say, and what they advise.
struct Misfit {
    why: &'static str,
    at: String,
    client: ClientProperties,
    what: &'static [&'static str],
    advice: &'static str,
}

fn misfits(d: &Doors) -> Vec<Misfit> {
    let here = |door: &str| d.at("127.0.0.1", door);
    let plaintext = d.broker.bootstrap.clone();
    let scram = |changes: &[(&str, &str)]| d.login("SCRAM-SHA-512", true, changes);
    let misfit = |why, at: &str, client, what, advice| Misfit { why, at: at.to_owned(), client, what, advice };
    vec![
        misfit(
            "a wrong password",
            &here("TLS"),
            scram(&[("sasl.password", "wrong")]),
            &["SASL SCRAM-SHA-512 as `both`", "SASL_AUTHENTICATION_FAILED", "the password was refused"],
            "check `sasl.password`",
        ),
        misfit(
            "an unknown user",
            &here("TLS"),
            scram(&[("sasl.username", "nobody")]),
            &["SASL SCRAM-SHA-512 as `nobody`", "SASL_AUTHENTICATION_FAILED", "the name was refused"],
            "check `sasl.username`",
        ),
        misfit(
            "a credential for the other SCRAM alone",
            &here("TLS"),
            scram(&[("sasl.username", "short")]),
            &["SASL SCRAM-SHA-512 as `short`", "the name was refused, before any proof of the password"],
            "a credential for SCRAM-SHA-512 (one for SCRAM-SHA-256 is another one)",
        ),
        misfit(
            "a credential for the other SCRAM alone, the other way round",
            &here("OPEN"),
            d.login("SCRAM-SHA-256", false, &[("sasl.username", "long")]),
            &["SASL SCRAM-SHA-256 as `long`", "the name was refused"],
            "a credential for SCRAM-SHA-256",
        ),
        misfit(
            "a wrong password of PLAIN",
            &here("TLS"),
            d.login("PLAIN", true, &[("sasl.password", "wrong")]),
            &["SASL PLAIN as `both`", "SASL_AUTHENTICATION_FAILED"],
            "check `sasl.username` and `sasl.password`",
        ),
        misfit(
            "a mechanism that is not offered",
            &here("FEW"),
            d.login("SCRAM-SHA-512", false, &[]),
            &["does not take SASL SCRAM-SHA-512; it offers SCRAM-SHA-256"],
            "set `sasl.mechanism` to SCRAM-SHA-256",
        ),
        misfit(
            "SASL where there is none",
            &plaintext,
            d.login("SCRAM-SHA-512", false, &[]),
            &["does not use SASL on this listener"],
            "set `security.protocol` to SSL or PLAINTEXT",
        ),
        misfit(
            "an expired certificate",
            &here("EXPIRED"),
            d.secured(&[]),
            &["TLS failed: the certificate has expired", "blue-1.example"],
            "renew that certificate",
        ),
        misfit(
            "a certificate for other names",
            &d.at("localhost", "TLS"),
            scram(&[]),
            &["the certificate is not for `localhost`", "blue-1.example"],
            "connect by a name that the certificate has",
        ),
        misfit(
            "a self-signed certificate",
            &here("STRAY"),
            d.secured(&[]),
            &["not signed by a CA that is trusted here", "blue-1.example"],
            "set `ssl.ca.location`",
        ),
        misfit(
            "a CA that is not trusted",
            &here("TLS"),
            scram(&[("ssl.ca.location", &d.file("stray.pem").display().to_string())]),
            &["not signed by a CA that is trusted here"],
            "set `ssl.ca.location`",
        ),
        misfit(
            "TLS to a plaintext port",
            &plaintext,
            d.secured(&[]),
            &["TLS failed"],
            "set `security.protocol` to PLAINTEXT",
        ),
        misfit(
            "plaintext to a TLS port",
            &here("MTLS"),
            properties(&[]),
            &["answers in TLS"],
            "set `security.protocol` to SSL or SASL_SSL",
        ),
        misfit(
            "SASL without TLS to a TLS port",
            &here("TLS"),
            d.login("SCRAM-SHA-512", false, &[]),
            &["answers in TLS"],
            "set `security.protocol` to SSL or SASL_SSL",
        ),
        misfit(
            "a key that its password does not open",
            &here("MTLS"),
            d.secured(&[
                ("ssl.certificate.location", &d.file("app.pem").display().to_string()),
                ("ssl.key.location", &d.file("app-locked.key").display().to_string()),
                ("ssl.key.password", "c4nary-of-a-key"),
            ]),
            &["app-locked.key: the private key is encrypted with another password"],
            "check `ssl.key.password`",
        ),
        misfit(
            "a key store that its password does not open",
            &here("MTLS"),
            d.secured(&[
                ("ssl.keystore.location", &d.file("app.p12").display().to_string()),
                ("ssl.keystore.password", "c4nary-of-a-store"),
            ]),
            &["app.p12: another password opens it"],
            "check `ssl.keystore.password`",
        ),
        misfit(
            "no certificate where one is asked for",
            &here("MTLS"),
            d.secured(&[]),
            &["closed the connection right after the TLS handshake"],
            "set `ssl.certificate.location` and `ssl.key.location`",
        ),
    ]
}

/// Each within a second: nobody waits for what waiting does not mend.
#[test]
fn what_does_not_fit_is_refused_at_once_and_in_the_same_words_by_both_planes() {
    let d = doors();
    let runtime = runtime();
    for Misfit { why, at, client, what, advice } in misfits(d) {
        let cluster = Cluster::new(Side::Green, &at, &client);
        let started = Instant::now();
        let said: Trouble = runtime.block_on(cluster.cluster_id()).expect_err(why);
        let took = started.elapsed();
        println!("{why} ({took:?}): {} ({})", said.what, said.advice);
        assert!(what.iter().all(|words| said.what.contains(words)), "{why}: {said:?}");
        assert!(said.advice.contains(advice) && said.lasting, "{why}: {said:?}");
        assert!(took < a_second(), "{why}: {took:?}");
        let _guard = runtime.enter();
        // Another client of the same cluster: nothing is remembered of what the control plane found.
        let plane = DataPlane::of_cluster(&Cluster::new(Side::Green, &at, &client));
        let started = Instant::now();
        let read = plane.open_reader_for(Portion::Small, Isolation::Committed, WITHIN).expect_err(why);
        assert_eq!((&read.what, &read.advice), (&said.what, &said.advice), "{why}");
        assert!(read.lasting && started.elapsed() < a_second(), "{why}: {:?}", started.elapsed());
        assert!(!format!("{said:?}").contains("c4nary"), "{why}: {said:?}");
    }
}

/// The verbs that look at both clusters, and the one that tries both planes: the reason, what to do, and no secret.
#[test]
fn the_verbs_say_what_does_not_fit_and_no_password() {
    let d = doors();
    let ca = d.file("ca.pem");
    for (user, password, words) in [
        ("both", "c4nary-that-is-wrong", ["the password was refused", "check `sasl.password`"]),
        ("short", PASSWORD, ["the name was refused", "`kafka-configs.sh --describe --entity-type users` lists them"]),
    ] {
        let client = format!(
            "\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"scram-sha-512\"\n\"sasl.username\" = {user:?}\n\
             \"sasl.password\" = {{ file = \"pw\" }}\n\"ssl.ca.location\" = {ca:?}\n"
        );
        let desk = Desk::new(&format!(
            "[migration]\nname = \"auth\"\n[clusters.blue]\nbootstrap = {:?}\n[clusters.blue.client]\n{client}\
             [clusters.green]\nbootstrap = {:?}\n",
            d.at("127.0.0.1", "TLS"),
            pair().green.bootstrap
        ));
        std::fs::write(desk.path().join("pw"), password).unwrap();
        let lag = desk.run(&["lag", "--json"]);
        let doctor = desk.run(&["doctor", "--json"]);
        let log = desk.run(&["--log", "log", "lag"]);
        for ran in [&lag, &doctor, &log] {
            let said = format!("{}{}", ran.out, ran.err);
            assert!(words.iter().all(|w| said.contains(w)) && !said.contains("c4nary"), "{said}");
        }
        assert!(!std::fs::read_to_string(desk.path().join("log")).unwrap().contains("c4nary"));
        let checks: Value = serde_json::from_str(&doctor.out).unwrap();
        let row = |what: &str| {
            let all = checks["checks"].as_array().unwrap();
            all.iter().find(|c| c["what"] == what).unwrap_or_else(|| panic!("no row {what}: {checks}")).clone()
        };
        let (control, data) = (row("blue"), row("data plane of blue"));
        assert_eq!(
            (&control["found"], &control["advice"]),
            (&data["found"], &data["advice"]),
            "one reason, one set of words"
        );
        assert_eq!(data["health"], "fail");
    }
}

/// A command prints the password; where it does not, that is said without a word of what it said.
#[test]
fn a_command_may_tell_a_secret_and_nothing_of_it_is_repeated() {
    let d = doors();
    let plan = |command: &str| {
        let client = format!(
            "\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\"sasl.username\" = \"both\"\n\
             \"sasl.password\" = {{ command = {command} }}\n\"ssl.ca.location\" = {:?}\n",
            d.file("ca.pem")
        );
        format!(
            "[migration]\nname = \"auth\"\n[clusters.blue]\nbootstrap = {:?}\n[clusters.blue.client]\n{client}\
             [clusters.green]\nbootstrap = {:?}\n",
            d.at("127.0.0.1", "TLS"),
            pair().green.bootstrap
        )
    };
    let desk = Desk::new(&plan("[\"cat\", \"pw\"]"));
    std::fs::write(desk.path().join("pw"), format!("{PASSWORD}\n")).unwrap();
    let lag = desk.run(&["--log", "log", "lag", "--json"]);
    assert_eq!(lag.code, Some(0), "{}{}", lag.out, lag.err);
    assert!(!format!("{}{}", lag.out, lag.err).contains("c4nary"), "{}{}", lag.out, lag.err);
    assert!(!std::fs::read_to_string(desk.path().join("log")).unwrap().contains("c4nary"));
    let script = "printf c4nary-of-stdout\necho c4nary-of-stderr >&2\nexit 3\n";
    for (command, words) in [
        ("[\"sh\", \"fails\"]", "failed (exit code 3)"),
        ("[\"sleep\", \"60\"], timeout = \"1s\"", "took longer than 1s and was ended"),
        ("[\"head\", \"-c\", \"100000\", \"/dev/zero\"]", "printed 65536 bytes or more"),
        ("[\"true\"]", "it is empty"),
        ("[\"no-such-program\"]", "can't start no-such-program"),
    ] {
        let desk = Desk::new(&plan(command));
        std::fs::write(desk.path().join("fails"), script).unwrap();
        let ran = desk.run(&["--log", "log", "lag", "--json"]);
        let said = format!("{}{}{}", ran.out, ran.err, std::fs::read_to_string(desk.path().join("log")).unwrap());
        assert!(ran.code == Some(4) && said.contains(words), "{command}: {:?} {said}", ran.code);
        assert!(said.contains("sasl.password") && !said.contains("c4nary"), "{command}: {said}");
        assert_eq!(desk.run(&["plan", "check"]).code, Some(0), "it is not run for a check");
    }
}

/// What somebody has for Java's tools becomes a plan that connects, and no secret is in it.
#[test]
fn a_file_of_javas_client_becomes_a_plan() {
    let d = doors();
    let desk = Desk::new("");
    let file = format!(
        "bootstrap.servers={}\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n\
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  username=\"both\" \\\n  \
         password=\"{PASSWORD}\";\nssl.truststore.type=PEM\nssl.truststore.location={}\n\
         key.deserializer=org.apache.kafka.common.serialization.StringDeserializer\n",
        d.at("127.0.0.1", "TLS"),
        d.file("ca.pem").display()
    );
    std::fs::write(desk.path().join("client.properties"), file).unwrap();
    let green = &pair().green.bootstrap;
    let init = desk.run(&["init", "--force", "--blue-client-config", "client.properties", "--green", green]);
    assert_eq!(init.code, Some(0), "{}{}", init.out, init.err);
    let plan = std::fs::read_to_string(desk.path().join("cutover.toml")).unwrap();
    for line in ["\"sasl.username\" = \"both\"", "\"sasl.password\" = { env = \"BLUE_SASL_PASSWORD\" }"] {
        assert!(plan.contains(line), "{plan}");
    }
    assert!(init.out.contains("export BLUE_SASL_PASSWORD"), "{}", init.out);
    assert!(init.err.contains("`key.deserializer` is left out"), "{}", init.err);
    assert!(!format!("{}{}{plan}", init.out, init.err).contains("c4nary"));
    let lag = desk.run_with(&[("BLUE_SASL_PASSWORD", PASSWORD)], &["lag", "--json"]);
    assert_eq!(lag.code, Some(0), "{}{}", lag.out, lag.err);
}

/// Keys of Kafka's requests (kafka.apache.org/protocol).
const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;

/// Once before each of its ends, on the connection that there is; with requests under way, and with none.
#[test]
fn a_session_that_ends_is_renewed_in_time_on_the_same_connection() {
    let d = doors();
    d.brief.forget();
    let sent = |key: i16| d.brief.sent().get(&key).copied().unwrap_or(0);
    let cluster = Cluster::new(Side::Green, &d.brief.bootstrap, &d.login("SCRAM-SHA-256", false, &[]));
    let runtime = runtime();
    let ask = async || {
        assert_eq!(cluster.cluster_id().await.as_ref().map(Option::as_ref), Ok(Some(&d.broker.cluster_id)));
    };
    let busy = async {
        while sent(SASL_HANDSHAKE) < 4 {
            tokio::join!(ask(), ask(), ask());
        }
    };
    runtime.block_on(async { tokio::time::timeout(WITHIN, busy).await.expect("it is renewed") });
    until(WITHIN, "it is renewed though nobody asks anything", || sent(SASL_HANDSHAKE) >= 6);
    runtime.block_on(ask());
    assert_eq!(sent(API_VERSIONS), 1, "one connection, which no session has ended: {:?}", d.brief.sent());
}
