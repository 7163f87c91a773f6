//! Logins with a token (OAUTHBEARER) on a real broker that verifies it, on both planes: from a token server, a file, a
//! command; renewed before it is over; and what does not fit, refused at once, in the same words by both.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use cutover::base::{Side, TopicPartition, Trouble};
use cutover::kafka::control::{Cluster, NewTopic};
use cutover::kafka::plane::DataPlane;
use cutover::kafka::properties::ClientProperties;
use cutover::kafka::records::{Isolation, Portion, ReadRange, RecordRef};
use cutover::kafka::writer::{Outgoing, RecordWriter};
use cutover::session::clock::Clock;
use serde_json::Value;

use crate::auth::{a_second, pass_through, runtime};
use crate::control_secure::{certificate, write};
use crate::faults::Desk;
use crate::support::kafka::{Broker, HeldPort, Recorder, pair, take_port, throwaway_with_options};
use crate::support::patience::until;
use crate::support::unique;
use crate::token_server::{AUDIENCE, ISSUER, SECRET, TokenServer};

const WITHIN: Duration = Duration::from_secs(60);

/// A broker that takes tokens and nothing else, and who makes them.
struct Ground {
    broker: Broker,
    /// The way to its one listener with SASL.
    door: Recorder,
    server: TokenServer,
    folder: tempfile::TempDir,
    /// Nobody listens there.
    dead: HeldPort,
}

fn ground() -> &'static Ground {
    static SHARED: OnceLock<Ground> = OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (ca, ca_key) = certificate("cutover token CA", None);
        let (own, own_key) = certificate("idp", Some((&ca, &ca_key)));
        let (other, _) = certificate("another CA", None);
        write(folder.path(), "ca.pem", &[ca.to_pem().unwrap()]);
        write(folder.path(), "other.pem", &[other.to_pem().unwrap()]);
        let server = TokenServer::start(&own, &own_key);
        let jwks = format!("{}/jwks", server.plain);
        let door = Recorder::start();
        let [bound, advertised] = door.listeners();
        let module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;";
        let extra = [
            ("listeners", format!("{bound},CONTROLLER://127.0.0.1:{{controller}}")),
            ("advertised.listeners", advertised),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,RECORDED:SASL_PLAINTEXT".to_owned(),
            ),
            ("listener.name.recorded.sasl.enabled.mechanisms", "OAUTHBEARER".to_owned()),
            ("listener.name.recorded.oauthbearer.sasl.jaas.config", module.to_owned()),
            (
                "listener.name.recorded.oauthbearer.sasl.server.callback.handler.class",
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler".to_owned(),
            ),
            ("listener.name.recorded.connections.max.reauth.ms", "3600000".to_owned()),
            ("sasl.oauthbearer.jwks.endpoint.url", jwks.clone()),
            ("sasl.oauthbearer.expected.audience", AUDIENCE.to_owned()),
            ("sasl.oauthbearer.expected.issuer", ISSUER.to_owned()),
        ];
        let extra: Vec<(&str, &str)> = extra.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let allowed = format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={jwks}");
        let broker = throwaway_with_options("tokens", &extra, &[allowed]);
        Ground { broker, door, server, folder, dead: take_port() }
    })
}

impl Ground {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Properties of a client, with `changes` over those of one that asks the server over TLS.
    fn asking(&self, changes: &[(&str, &str)]) -> ClientProperties {
        let (url, ca) = (format!("{}/token", self.server.secure), self.file("ca.pem").display().to_string());
        let own = [
            ("sasl.oauthbearer.method", "oidc"),
            ("sasl.oauthbearer.token.endpoint.url", url.as_str()),
            ("sasl.oauthbearer.client.id", "app"),
            ("sasl.oauthbearer.client.secret", SECRET),
            ("https.ca.location", ca.as_str()),
        ];
        self.showing(&[&own, changes].concat())
    }

    /// Properties of a client that shows a token. The last of each name counts.
    fn showing(&self, own: &[(&str, &str)]) -> ClientProperties {
        let base = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "OAUTHBEARER")];
        let pairs = base.iter().chain(own).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let properties = ClientProperties::for_cluster(pairs, &self.door.bootstrap, || Clock.now());
        assert_eq!(properties.check(), vec![]);
        properties
    }

    fn pass(&self, properties: &ClientProperties) {
        pass_through(&self.broker.cluster_id, &self.door.bootstrap, properties);
    }
}

#[test]
fn both_planes_log_in_with_one_token_of_a_server() {
    let g = ground();
    for (client, url, changes) in [
        ("over-tls", &g.server.secure, vec![("sasl.oauthbearer.scope", "kafka")]),
        ("in-plain", &g.server.plain, vec![]),
    ] {
        let url = format!("{url}/token");
        let own = [("sasl.oauthbearer.client.id", client), ("sasl.oauthbearer.token.endpoint.url", &url)];
        g.pass(&g.asking(&[&own[..], &changes].concat()));
        assert_eq!(g.server.asked(client), 1, "one token for a control plane, a writer and two readers");
    }
}

#[test]
fn a_token_of_ones_own_comes_from_the_plan_a_file_or_a_command() {
    let g = ground();
    let token = g.server.make_token("own", AUDIENCE, 3_600);
    g.pass(&g.showing(&[("sasl.oauthbearer.token", &token)]));
    let file = write(g.folder.path(), "own.jwt", &[format!("{token}\n").into_bytes()]).display().to_string();
    g.pass(&g.showing(&[("sasl.oauthbearer.token.file", &file)]));
    let command = serde_json::json!(["cat", file]).to_string();
    g.pass(&g.showing(&[("sasl.oauthbearer.token.command", &command)]));
}

/// Control plane: on the connection that there is. Data plane: one reader and one writer over several tokens' times.
#[test]
fn a_token_that_is_over_during_a_session_is_renewed_on_both_planes() {
    let g = ground();
    let runtime = runtime();
    let _guard = runtime.enter();
    let topic = unique("renewed");
    let cluster = Cluster::new(Side::Green, &g.door.bootstrap, &g.asking(&[("sasl.oauthbearer.client.id", "brief")]));
    let made = runtime.block_on(cluster.create_topics(&[NewTopic::new(&topic, 1, 1)], false));
    assert!(made.unwrap()[&topic].is_done());
    until(WITHIN, "the control plane's session is renewed twice", || g.server.asked("brief") >= 3);
    runtime.block_on(cluster.cluster_id()).expect("the session goes on");

    let data = g.asking(&[("sasl.oauthbearer.client.id", "brief-data")]);
    let writer = RecordWriter::open(&data, &g.door.bootstrap, WITHIN).expect("a writer");
    let cluster = Cluster::new(Side::Green, &g.door.bootstrap, &data);
    let plane = DataPlane::of_cluster(&cluster);
    let mut reader = plane.open_reader_for(Portion::Small, Isolation::Committed, WITHIN).expect("a reader");
    let at = TopicPartition::new(&topic, 0);
    let mut written = 0;
    until(WITHIN, "tokens come and go", || {
        let record = Outgoing { key: None, value: Some(b"hello"), timestamp: None, headers: &[] };
        writer.send(&at, &record).expect("sent");
        writer.flush().expect("written");
        written += 1;
        let range = ReadRange { partition: at.clone(), from: written - 1, to: written };
        let read = reader.read_range(&range, |_: RecordRef<'_>| ControlFlow::Continue(())).expect("read");
        assert_eq!(read.records, 1);
        g.server.asked("brief-data") >= 4 // a quarter of a minute, and the broker ends each session with its token
    });
}

/// What does not fit: with what, what both planes say, what they advise, and whether waiting mends it.
struct Misfit {
    why: &'static str,
    client: ClientProperties,
    what: &'static [&'static str],
    advice: &'static str,
    lasting: bool,
}

fn misfits(g: &Ground) -> Vec<Misfit> {
    let client = |name| g.asking(&[("sasl.oauthbearer.client.id", name)]);
    let misfit = |why, client, what, advice, lasting| Misfit { why, client, what, advice, lasting };
    let dead = format!("http://127.0.0.1:{}/token", g.dead.number);
    let by_name = g.server.secure.replace("127.0.0.1", "localhost") + "/token";
    // Hours ago: the words are the same for a minute.
    let over = g.server.make_token("own", AUDIENCE, -7_210);
    vec![
        misfit(
            "a wrong secret",
            g.asking(&[("sasl.oauthbearer.client.secret", "c4nary-that-is-wrong")]),
            &["the token server 127.0.0.1:", "answered 401: invalid_client (no client app with (hidden))"],
            "check `sasl.oauthbearer.client.id` and `sasl.oauthbearer.client.secret`",
            true,
        ),
        misfit(
            "a token for somebody else",
            client("stranger"),
            &[
                "SASL OAUTHBEARER as `stranger`",
                "SASL_AUTHENTICATION_FAILED",
                "the token was refused: invalid_token",
                "issuer https://idp.example, audience orders",
            ],
            "`sasl.oauthbearer.expected.audience`",
            true,
        ),
        misfit(
            "a token that is over when it comes",
            client("late"),
            &["the token server 127.0.0.1:", "the token expired 2h"],
            "check this machine's clock",
            true,
        ),
        misfit(
            "a token of one's own that is over",
            g.showing(&[("sasl.oauthbearer.token", &over)]),
            &["`sasl.oauthbearer.token`: the token expired"],
            "name a file or a command",
            true,
        ),
        misfit(
            "a token server that is dead",
            g.asking(&[("sasl.oauthbearer.token.endpoint.url", &dead)]),
            &["asking for a token: 127.0.0.1:", "can't connect"],
            "check the address and that the server runs",
            false,
        ),
        misfit(
            "a token server that hangs",
            g.asking(&[("sasl.oauthbearer.client.id", "hangs"), ("socket.connection.setup.timeout.ms", "1000")]),
            &["asking for a token: 127.0.0.1:", "no answer within 1s"],
            "check the server, the route to it",
            false,
        ),
        misfit(
            "a token server that is not trusted",
            g.asking(&[("https.ca.location", &g.file("other.pem").display().to_string())]),
            &[
                "asking for a token: 127.0.0.1:",
                "TLS failed: the certificate is not signed by a CA that is trusted here",
            ],
            "set `https.ca.location`",
            true,
        ),
        misfit(
            "a token server by another name",
            g.asking(&[("sasl.oauthbearer.token.endpoint.url", &by_name)]),
            &["asking for a token: localhost:", "the certificate is not for `localhost`"],
            "connect by a name that the certificate has",
            true,
        ),
        misfit(
            "an address that is no token endpoint",
            g.asking(&[("sasl.oauthbearer.token.endpoint.url", &format!("{}/", g.server.plain))]),
            &["the token server 127.0.0.1:", "answered 404"],
            "check that `sasl.oauthbearer.token.endpoint.url` is the token endpoint",
            true,
        ),
    ]
}

#[test]
fn a_token_that_does_not_fit_is_refused_at_once_and_in_the_same_words_by_both_planes() {
    let g = ground();
    let runtime = runtime();
    for Misfit { why, client, what, advice, lasting } in misfits(g) {
        let cluster = Cluster::new(Side::Green, &g.door.bootstrap, &client);
        let bound = a_second() + if why.contains("hangs") { Duration::from_secs(1) } else { Duration::ZERO };
        let started = Instant::now();
        let said: Trouble = runtime.block_on(cluster.cluster_id()).expect_err(why);
        let took = started.elapsed();
        println!("{why} ({took:?}): {} ({})", said.what, said.advice);
        assert!(what.iter().all(|words| said.what.contains(words)), "{why}: {said:?}");
        assert!(said.advice.contains(advice) && said.lasting == lasting, "{why}: {said:?}");
        assert!(took < bound, "{why}: {took:?}");
        let _guard = runtime.enter();
        let plane = DataPlane::of_cluster(&Cluster::new(Side::Green, &g.door.bootstrap, &client));
        let started = Instant::now();
        let read = plane.open_reader_for(Portion::Small, Isolation::Committed, WITHIN).expect_err(why);
        assert_eq!((&read.what, &read.advice), (&said.what, &said.advice), "{why}");
        assert!(started.elapsed() < bound, "{why}: {:?}", started.elapsed());
        // librdkafka's own client, which the control plane does not go before; of a broker's refusal it has its own words.
        if !why.contains("somebody else") {
            let write = RecordWriter::open(&client, &g.door.bootstrap, WITHIN).expect_err(why);
            assert_eq!((&write.what, &write.advice), (&said.what, &said.advice), "{why}");
        }
        assert!(!format!("{said:?}").contains("c4nary"), "{why}: {said:?}");
    }
}

/// The verbs of a plan: who is let in, who is not and why; no secret and no token in anything that is said or logged.
#[test]
fn the_verbs_log_in_by_a_plan_and_say_neither_secret_nor_token() {
    let g = ground();
    for (secret, words) in [(SECRET, None), ("c4nary-that-is-wrong", Some("answered 401: invalid_client"))] {
        let desk = Desk::new(&format!(
            "[migration]\nname = \"tokens\"\n[clusters.blue]\nbootstrap = {:?}\n[clusters.blue.client]\n\
             security.protocol = \"SASL_PLAINTEXT\"\nsasl.mechanism = \"OAUTHBEARER\"\nsasl.oauthbearer.method = \"oidc\"\n\
             sasl.oauthbearer.token.endpoint.url = \"{}/token\"\nsasl.oauthbearer.client.id = \"app\"\n\
             sasl.oauthbearer.client.secret = {{ file = \"secret\" }}\nhttps.ca.location = {:?}\n\
             [clusters.green]\nbootstrap = {:?}\n",
            g.door.bootstrap,
            g.server.secure,
            g.file("ca.pem"),
            pair().green.bootstrap
        ));
        std::fs::write(desk.path().join("secret"), secret).unwrap();
        let doctor = desk.run(&["--log", "log", "doctor", "--json"]);
        let lag = desk.run(&["lag", "--json"]);
        let log = std::fs::read_to_string(desk.path().join("log")).unwrap();
        let said = format!("{}{}{}{}{log}", doctor.out, doctor.err, lag.out, lag.err);
        assert!(!said.contains("c4nary") && g.server.given().iter().all(|t| !said.contains(t.as_str())), "{said}");
        let checks: Value = serde_json::from_str(&doctor.out).unwrap();
        let row = |what: &str| {
            let all = checks["checks"].as_array().unwrap();
            all.iter().find(|c| c["what"] == what).unwrap_or_else(|| panic!("no row {what}: {checks}")).clone()
        };
        let (control, data) = (row("blue"), row("data plane of blue"));
        match words {
            None => {
                assert_ne!(control["health"], "fail", "{control}");
                assert_ne!(data["health"], "fail", "{data}");
                assert_eq!(lag.code, Some(0), "{said}");
            }
            Some(words) => {
                assert!(control["found"].as_str().unwrap().contains(words), "{control}");
                assert_eq!((&control["found"], &control["advice"]), (&data["found"], &data["advice"]));
                assert_eq!(data["health"], "fail");
            }
        }
    }
}
