//! What the control plane says when the other end is not a healthy Kafka broker: fake ports, and real brokers that die.

mod login;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cutover::base::{Side, TopicPartition, Trouble};
use cutover::kafka::control::{ChangeOutcome, Cluster, Named, NewTopic, OffsetSpec, SnapshotOptions, Which};
use cutover::kafka::properties::ClientProperties;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{BrokerId, MetadataResponse};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::support::kafka::{pair, take_port, throwaway};
use crate::support::patience::{Patience, until};
use crate::support::unique;

const SOON: Duration = Duration::from_secs(60);
const IMPATIENT: &[(&str, &str)] = &[("socket.connection.setup.timeout.ms", "700"), ("socket.timeout.ms", "700")];

fn cluster(bootstrap: &str, properties: &[(&str, &str)]) -> Cluster {
    let entries: BTreeMap<String, String> = properties.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    Cluster::new(Side::Blue, bootstrap, &ClientProperties::new(entries))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(240), future).await.expect("a bound on everything")
    })
}

fn trouble(bootstrap: &str, properties: &[(&str, &str)]) -> Trouble {
    let trouble = run(cluster(bootstrap, properties).cluster_id()).unwrap_err();
    assert!(!trouble.advice.is_empty(), "{trouble:?}");
    trouble
}

/// A port where `serve` has every connection to itself.
fn fake(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let serve = &serve;
        std::thread::scope(|scope| {
            for stream in listener.incoming().flatten() {
                scope.spawn(move || serve(stream));
            }
        });
    });
    address
}

/// Reads one request; its correlation id.
fn request(stream: &mut TcpStream) -> Option<i32> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).ok()?;
    let mut body = vec![0; usize::try_from(i32::from_be_bytes(head)).ok()?];
    stream.read_exact(&mut body).ok()?;
    Some(i32::from_be_bytes(body[4..8].try_into().ok()?))
}

fn answer(stream: &mut TcpStream, id: i32, body: &[u8]) {
    let length = i32::try_from(body.len() + 4).unwrap();
    let _ = stream.write_all(&[&length.to_be_bytes()[..], &id.to_be_bytes(), body].concat());
}

/// ApiVersions v3: Metadata v0..=v13 and ListGroups v0..=v0.
fn api_versions(stream: &mut TcpStream, id: i32) {
    throttled_api_versions(stream, id, 0);
}

/// The same of a broker that makes the client wait.
fn throttled_api_versions(stream: &mut TcpStream, id: i32, ms: i32) {
    let apis: [u8; 17] = [0, 0, 3, 0, 3, 0, 0, 0, 13, 0, 0, 16, 0, 0, 0, 0, 0];
    answer(stream, id, &[&apis[..], &ms.to_be_bytes(), &[0]].concat());
}

/// Metadata v13 of the only broker of a cluster, with the answer's header.
fn metadata_at(address: &str) -> Vec<u8> {
    let (host, port) = address.rsplit_once(':').unwrap();
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(1))
        .with_host(StrBytes::from_string(host.to_owned()))
        .with_port(port.parse().unwrap());
    let cluster = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(StrBytes::from_static_str("far-away")))
        .with_controller_id(BrokerId(1));
    let mut metadata = vec![0]; // no tagged fields in the answer's header
    cluster.encode(&mut metadata, 13).unwrap();
    metadata
}

/// Answers one connection as the only broker of a cluster, which is advertised at `address`, each request after a delay.
fn serve(mut stream: TcpStream, address: &str, delay: Duration, throttle_ms: i32) {
    let metadata = metadata_at(address);
    let Some(id) = request(&mut stream) else { return };
    std::thread::sleep(delay);
    throttled_api_versions(&mut stream, id, throttle_ms);
    while let Some(id) = request(&mut stream) {
        std::thread::sleep(delay);
        answer(&mut stream, id, &metadata);
    }
}

/// A broker that advertises the port it listens on.
fn slow(delay: Duration) -> String {
    fake(move |stream| {
        let address = stream.local_addr().unwrap().to_string();
        serve(stream, &address, delay, 0);
    })
}

fn hold(mut stream: TcpStream) {
    let mut nothing = [0; 256];
    while stream.read(&mut nothing).is_ok_and(|n| n > 0) {}
}

#[test]
fn nobody_listens() {
    let port = take_port();
    let t = trouble(&format!("127.0.0.1:{}", port.number), &[]);
    assert!(t.what.contains("refused the connection") && t.what.contains("blue broker 127.0.0.1:"), "{t:?}");
}

#[test]
fn a_name_that_does_not_resolve() {
    let t = trouble("no-such-host.invalid:9092", &[]);
    assert!(t.what.contains("no-such-host.invalid") && t.what.contains("does not resolve"), "{t:?}");
}

#[test]
fn every_address_is_named_when_none_answers() {
    let (a, b) = (take_port(), take_port());
    let t = trouble(&format!("127.0.0.1:{},127.0.0.1:{}", a.number, b.number), &[]);
    assert!(t.what.starts_with("none of the 2 bootstrap addresses of blue answers"), "{t:?}");
    assert!(t.what.contains(&a.number.to_string()) && t.what.contains(&b.number.to_string()), "{t:?}");
}

#[test]
fn one_good_address_is_enough() {
    let (dead, silent) = (take_port(), fake(hold));
    let good = &pair().blue;
    let c = cluster(&format!("127.0.0.1:{},{silent},{}", dead.number, good.bootstrap), IMPATIENT);
    assert_eq!(run(c.cluster_id()).unwrap().as_ref(), Some(&good.cluster_id));
}

#[test]
fn a_port_that_says_nothing() {
    let t = trouble(&fake(hold), IMPATIENT);
    assert!(t.what.contains("connecting took longer than 700 ms"), "{t:?}");
}

#[test]
fn a_port_that_hangs_up() {
    let t = trouble(&fake(|mut s| assert!(request(&mut s).is_some())), &[]);
    assert!(t.what.contains("closed the connection at once") && t.advice.contains("SSL"), "{t:?}");
    // As a listener that wants SASL does: it answers ApiVersions and nothing more.
    let t = trouble(
        &fake(|mut s| {
            let id = request(&mut s).unwrap_or_default();
            api_versions(&mut s, id);
            request(&mut s);
        }),
        &[],
    );
    assert!(t.what.contains("after the first answer") && t.advice.contains("SASL"), "{t:?}");
}

#[test]
fn another_protocol() {
    let http = fake(|mut s| {
        request(&mut s);
        let _ = s.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        hold(s);
    });
    let t = trouble(&http, &[]);
    assert!(t.what.contains("answers in HTTP"), "{t:?}");
    let alert = fake(|mut s| {
        request(&mut s);
        let _ = s.write_all(&[0x15, 3, 3, 0, 2, 2, 70]);
        hold(s);
    });
    let t = trouble(&alert, &[]);
    assert!(t.what.contains("answers in TLS") && t.advice.contains("SASL_SSL"), "{t:?}");
}

/// Frames that no broker sends: each ends the connection with a message, none the process.
#[test]
fn malformed_frames() {
    let after_versions = |bytes: &'static [u8]| {
        fake(move |mut s| {
            let id = request(&mut s).unwrap_or_default();
            api_versions(&mut s, id);
            let id = request(&mut s).unwrap_or_default();
            let filled: Vec<u8> = if bytes.first() == Some(&0xee) {
                [&8i32.to_be_bytes()[..], &(id + 7).to_be_bytes(), &[0; 4]].concat()
            } else if bytes.first() == Some(&0xdd) {
                [&(i32::try_from(bytes.len()).unwrap() + 3).to_be_bytes()[..], &id.to_be_bytes(), &bytes[1..]].concat()
            } else {
                bytes.to_vec()
            };
            let _ = s.write_all(&filled);
            hold(s);
        })
    };
    let cases: &[(&'static [u8], &str)] = &[
        (&[0x7f, 0xff, 0xff, 0xff, 0], "announced an answer of 2147483647 bytes"),
        (&[0xff, 0xff, 0xff, 0xff, 0], "announced an answer of -1 bytes"),
        (&[0, 0, 0, 2, 0, 0], "announced an answer of 2 bytes"),
        (&[0xee], "that nobody asked for"),
        // Metadata v13 with 2^32-2 brokers: tagged header, throttle time, length.
        (&[0xdd, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3], "can't be decoded"),
        (&[0xdd], "can't be decoded"),
    ];
    for (bytes, expected) in cases {
        let t = trouble(&after_versions(bytes), IMPATIENT);
        assert!(t.what.contains(expected), "{bytes:?}: {t:?}");
    }
    // An announced answer that never comes in full.
    let t = trouble(&after_versions(&[0, 0x10, 0, 0, 1, 2, 3]), IMPATIENT);
    assert!(t.what.contains("did not answer within 700 ms"), "{t:?}");
}

/// A line on which each answer takes 2.7 s, and a bootstrap address near by that answers at once: the plan gives
/// connections the time they need, so the broker is waited for. Before, it was dropped a second after the near one.
#[test]
fn a_broker_on_a_slow_line_is_waited_for_as_long_as_the_plan_says() {
    let far = slow(Duration::from_millis(2_700));
    let advertised = far.clone();
    let near = fake(move |stream| serve(stream, &advertised, Duration::ZERO, 0));
    let c = cluster(&near, &[("socket.connection.setup.timeout.ms", "60000")]);
    let verified = run(c.verify()).expect("it answers in time");
    assert_eq!((verified.cluster_id.as_deref(), verified.entrances), (Some("far-away"), vec![far]));
}

#[test]
fn a_broker_that_never_answers_where_it_is_advertised_is_named_with_how_long_it_was_waited_for() {
    let silent = fake(hold);
    let advertised = silent.clone();
    let near = fake(move |stream| serve(stream, &advertised, Duration::ZERO, 0));
    let t = Trouble::from(run(cluster(&near, IMPATIENT).verify()).expect_err("nobody serves"));
    assert!(t.what.contains(&format!("{silent} (advertised.listeners), which did not answer from here within 700 ms")));
    assert!(t.advice.contains("socket.connection.setup.timeout.ms"), "{t:?}");
}

/// A quota is heard in the first answer of a connection too: nothing is sent before that time is over, and it counts.
#[test]
fn the_first_answer_of_a_connection_may_say_to_wait() {
    let broker = fake(|stream| {
        let address = stream.local_addr().unwrap().to_string();
        serve(stream, &address, Duration::ZERO, 300);
    });
    let c = cluster(&broker, &[]);
    assert_eq!(run(c.cluster_id()).unwrap().as_deref(), Some("far-away"));
    let slowed = c.throttled().expect("it is told");
    assert_eq!((slowed.answers, slowed.ms), (1, 300), "{slowed:?}");
}

/// A caller that goes away before the time limit must not leave a stuck connection behind for the next one.
#[test]
fn a_stuck_connection_is_closed_without_a_caller() {
    let (closed, hung_up) = std::sync::mpsc::channel();
    let stuck = fake(move |mut s| {
        let id = request(&mut s).unwrap_or_default();
        api_versions(&mut s, id);
        hold(s);
        closed.send(()).unwrap();
    });
    let c = cluster(&stuck, IMPATIENT);
    run(async {
        let gone = tokio::time::timeout(Duration::from_millis(200), c.cluster_id()).await;
        assert!(gone.is_err(), "{gone:?}");
        let waited = tokio::task::spawn_blocking(move || hung_up.recv_timeout(Duration::from_secs(10)));
        waited.await.unwrap().expect("hung up although nobody waits");
    });
    drop(c);
}

/// Reads one request; its API key and its correlation id.
fn keyed_request(stream: &mut TcpStream) -> Option<(i16, i32)> {
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    let length = u64::from(u32::from_be_bytes(head[..4].try_into().ok()?));
    std::io::copy(&mut stream.take(length - 8), &mut std::io::sink()).ok()?;
    Some((i16::from_be_bytes([head[4], head[5]]), i32::from_be_bytes(head[8..].try_into().ok()?)))
}

/// A broker whose sessions hold 1.2 s, and that takes one login in all. Writes down what it is asked on each connection.
fn brief_sessions(seen: Arc<Mutex<Vec<Vec<i16>>>>) -> String {
    let logins = AtomicU32::new(0);
    fake(move |mut stream| {
        let address = stream.local_addr().unwrap().to_string();
        let own = {
            let mut seen = seen.lock().unwrap();
            seen.push(Vec::new());
            seen.len() - 1
        };
        while let Some((key, id)) = keyed_request(&mut stream) {
            seen.lock().unwrap()[own].push(key);
            match key {
                18 => {
                    let rows = [(3, 0, 13), (17, 1, 1), (36, 1, 1)].map(|(key, least, most): (i16, i16, i16)| {
                        [&key.to_be_bytes()[..], &least.to_be_bytes(), &most.to_be_bytes(), &[0]].concat()
                    });
                    answer(&mut stream, id, &[&[0, 0, 4][..], &rows.concat(), &[0; 5]].concat());
                }
                17 => answer(&mut stream, id, &[0; 6]),
                36 if logins.fetch_add(1, Ordering::Relaxed) == 0 => {
                    // no error, no message, no token, 1,200 ms
                    answer(&mut stream, id, &[&[0, 0, 0xff, 0xff, 0, 0, 0, 0][..], &1_200i64.to_be_bytes()].concat());
                }
                36 => answer(&mut stream, id, &[&[0, 58, 0xff, 0xff, 0, 0, 0, 0][..], &[0; 8]].concat()),
                _ => answer(&mut stream, id, &metadata_at(&address)),
            }
        }
    })
}

/// KIP-368: who is refused when the session is to be renewed is told so, and nobody's request stands between the messages of
/// a login, where a broker takes none.
#[test]
fn a_session_that_is_not_renewed_ends_with_the_reason() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let broker = brief_sessions(Arc::clone(&seen));
    let login = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "app"),
        ("sasl.password", "c4nary-of-a-session"),
    ];
    let c = cluster(&broker, &login);
    let refused = run(async {
        loop {
            let (one, other) = tokio::join!(c.cluster_id(), c.cluster_id());
            if let Err(trouble) = one.and(other) {
                return trouble;
            }
        }
    });
    assert!(refused.what.contains("SASL PLAIN as `app`") && refused.lasting, "{refused:?}");
    assert!(
        refused.what.contains("SASL_AUTHENTICATION_FAILED") && refused.advice.contains("sasl.password"),
        "{refused:?}"
    );
    assert!(refused.advice.ends_with("so a restart reads them again"), "it worked before: {refused:?}");
    assert!(!format!("{refused:?}").contains("c4nary"));
    let seen = seen.lock().unwrap();
    let count = |of: i16| seen[0].iter().filter(|key| **key == of).count();
    assert!(count(3) > 2 && count(17) == 2, "asked while the session held, which was to be renewed: {seen:?}");
    for pair in seen.iter().flat_map(|own| own.windows(2)) {
        assert!(pair[0] != 17 || pair[1] == 36, "a request between the messages of a login: {seen:?}");
    }
}

#[test]
fn mistakes_in_addresses_and_properties_are_the_first_answer() {
    assert!(trouble("", &[]).what.contains("no bootstrap address"));
    assert!(trouble("blue-1", &[]).what.contains("the port is missing"));
    let t = trouble("127.0.0.1:1", &[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "GSSAPI")]);
    assert!(t.what.contains("GSSAPI") && t.advice.contains("SCRAM-SHA-512"), "{t:?}");
    let t = trouble("127.0.0.1:1", &[("security.protocol", "SSL"), ("ssl.ca.location", "/no/such/ca.pem")]);
    assert!(t.what.contains("blue: `ssl.ca.location`: /no/such/ca.pem can't be read"), "{t:?}");
}

/// A broker that stops answering, dies, and comes back: said each time, and nothing needs a restart of ours.
#[test]
fn a_broker_that_freezes_dies_and_returns() {
    let broker = throwaway("mortal", &[]);
    // One that gives up soon, and one for what must succeed on a busy machine too.
    let (c, patient) = (cluster(&broker.bootstrap, IMPATIENT), cluster(&broker.bootstrap, &[]));
    let (topic, group) = (unique("mortal"), unique("mortal-group"));
    let named = Named { groups: [group.clone()].into(), ..Named::default() };
    let options = SnapshotOptions { groups: Which::only([&group]), named, ..SnapshotOptions::default() };
    let tp = TopicPartition::new(&topic, 0);
    run(async {
        assert!(patient.create_topics(&[NewTopic::new(&topic, 1, 1)], false).await.unwrap()[&topic].is_done());
        assert!(patient.commit_offsets(&group, &[(tp.clone(), 0)]).await.unwrap()[&tp].is_done());
    });
    let answers =
        || run(c.snapshot(&options)).is_ok_and(|view| view.groups.get(&group).is_some_and(|g| g.trouble.is_none()));
    until(SOON, "it answers", answers);

    broker.freeze();
    run(async {
        let t = c.snapshot(&options).await.unwrap_err();
        assert!(t.what.contains("did not answer within 700 ms") || t.what.contains("longer than 700 ms"), "{t:?}");
        let offsets = c.list_offsets(&[(tp.clone(), OffsetSpec::Latest)]).await;
        assert!(offsets[&tp].is_err(), "{offsets:?}");
        assert!(c.fetch_group(&group).await.is_err());
    });
    broker.thaw();
    until(SOON, "it answers again", answers);

    broker.kill();
    let t = run(c.snapshot(&options)).unwrap_err();
    assert!(t.what.contains("refused the connection"), "{t:?}");
    let refused = run(c.commit_offsets(&group, &[(tp.clone(), 1)])).unwrap_err();
    assert!(refused.what.contains("refused the connection"), "{refused:?}");

    broker.restart();
    run(async {
        // A coordinator that still loads its partition says so, in place. After a kill it may also have loaded up to an
        // older high watermark, and knows of no commit yet. What it says once it has one must be the old offset.
        let mut patience = Patience::new(SOON);
        let view = loop {
            let view = c.snapshot(&options).await;
            match view.as_ref().map(|view| view.groups.get(&group)) {
                Ok(Some(g)) if g.trouble.is_none() && g.committed_offset(&topic, 0).is_some() => break view.unwrap(),
                seen => assert!(patience.left().is_some(), "still not loaded: {seen:?}"),
            }
        };
        assert_eq!(view.groups[&group].committed_offset(&topic, 0), Some(0));
        assert_eq!(patient.commit_offsets(&group, &[(tp.clone(), 1)]).await.unwrap()[&tp], ChangeOutcome::Done);
    });
}
