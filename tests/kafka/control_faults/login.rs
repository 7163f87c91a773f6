//! Logins at brokers that don't keep to the script: that refuse, are silent, prove nothing, or end their sessions at once.

use std::sync::mpsc::{Receiver, channel};

use openssl::base64::{decode_block, encode_block};
use openssl::hash::{MessageDigest, hash};
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use super::*;

const HANDSHAKE: i16 = 17;
const AUTHENTICATE: i16 = 36;
const METADATA: i16 = 3;
const VERSIONS: i16 = 18;
const PASSWORD: &str = "c4nary-of-a-script";

/// Client properties of a login, with these besides.
fn login<'a>(mechanism: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let own = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", mechanism),
        ("sasl.username", "app"),
        ("sasl.password", PASSWORD),
    ];
    [&own, more].concat()
}

/// A request: its API key, its number, and what follows the client's id.
struct Asked {
    key: i16,
    id: i32,
    body: Vec<u8>,
}

fn next_request(stream: &mut TcpStream) -> Option<Asked> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).ok()?];
    stream.read_exact(&mut frame).ok()?;
    let short = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
    let (key, client) = (short(0), usize::try_from(short(8)).unwrap_or(0));
    let id = i32::from_be_bytes(frame[4..8].try_into().ok()?);
    Some(Asked { key, id, body: frame[10 + client..].to_vec() })
}

/// ApiVersions v3: Metadata up to v13, SaslHandshake v1, SaslAuthenticate v1.
fn tell_versions(stream: &mut TcpStream, id: i32) {
    let rows =
        [(METADATA, 0, 13), (HANDSHAKE, 1, 1), (AUTHENTICATE, 1, 1)].map(|(key, least, most): (i16, i16, i16)| {
            [&key.to_be_bytes()[..], &least.to_be_bytes(), &most.to_be_bytes(), &[0]].concat()
        });
    answer(stream, id, &[&[0, 0, 4][..], &rows.concat(), &[0; 5]].concat());
}

/// SaslAuthenticate v1: an error, a token, and how long the session holds.
fn tell_token(stream: &mut TcpStream, id: i32, code: i16, token: &[u8], lifetime_ms: i64) {
    let length = i32::try_from(token.len()).unwrap();
    let parts = [&code.to_be_bytes()[..], &[0xff, 0xff], &length.to_be_bytes(), token, &lifetime_ms.to_be_bytes()];
    answer(stream, id, &parts.concat());
}

/// A broker that leaves logins to a script, which gets the number of each on its connection and the token, and answers
/// or does not. Everything else is answered, of a cluster whose broker is `advertised` there (else here); all keys are told,
/// and -1 where a client hangs up.
fn scripted(
    advertised: Option<String>,
    script: impl Fn(&mut TcpStream, usize, &Asked) + Send + Sync + 'static,
) -> (String, Receiver<i16>) {
    let (tell, told) = channel();
    let address = fake(move |mut stream| {
        let address = advertised.clone().unwrap_or_else(|| stream.local_addr().unwrap().to_string());
        let mut logins = 0;
        while let Some(asked) = next_request(&mut stream) {
            let _ = tell.send(asked.key); // who listened may have heard enough
            match asked.key {
                VERSIONS => tell_versions(&mut stream, asked.id),
                HANDSHAKE | AUTHENTICATE => {
                    script(&mut stream, logins, &asked);
                    logins += usize::from(asked.key == AUTHENTICATE);
                }
                _ => answer(&mut stream, asked.id, &metadata_at(&address)),
            }
        }
        let _ = tell.send(-1);
    });
    (address, told)
}

/// The handshake is taken.
fn take_handshake(stream: &mut TcpStream, asked: &Asked) -> bool {
    if asked.key == HANDSHAKE {
        answer(stream, asked.id, &[0; 6]);
    }
    asked.key == HANDSHAKE
}

fn count(told: &Receiver<i16>, key: i16) -> usize {
    told.try_iter().filter(|k| *k == key).count()
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = PKey::hmac(key).unwrap();
    Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(text).unwrap()
}

/// The true last message to a proof, by RFC 5802.
fn signature(first: &str, challenge: &str, last: &str) -> String {
    let mut salted = [0; 32];
    pbkdf2_hmac(PASSWORD.as_bytes(), b"salt", 4_096, MessageDigest::sha256(), &mut salted).unwrap();
    let (bare, proof) = last.split_once(",p=").expect("a proof");
    let signed = format!("{},{challenge},{bare}", first.strip_prefix("n,,").expect("no binding"));
    let stored = hash(MessageDigest::sha256(), &sign(&salted, b"Client Key")).unwrap();
    let mask = sign(&stored, signed.as_bytes());
    let key: Vec<u8> = decode_block(proof).unwrap().iter().zip(mask).map(|(p, m)| p ^ m).collect();
    assert_eq!(&*hash(MessageDigest::sha256(), &key).unwrap(), &*stored, "the proof of the password");
    format!("v={}", encode_block(&sign(&sign(&salted, b"Server Key"), signed.as_bytes())))
}

/// A broker that speaks SCRAM truly, but for what `bend` makes of its two tokens (the first by 0, the last by 1).
fn scram_broker(bend: impl Fn(usize, String) -> Vec<u8> + Send + Sync + 'static) -> (String, Receiver<i16>) {
    let said = Mutex::new((String::new(), String::new()));
    scripted(None, move |stream, number, asked| {
        if take_handshake(stream, asked) {
            return;
        }
        let token = String::from_utf8(asked.body[4..].to_vec()).unwrap();
        let mut said = said.lock().unwrap();
        let own = if number == 0 {
            let nonce = token.split_once(",r=").expect("a nonce").1;
            let challenge = format!("r={nonce}more,s={},i=4096", encode_block(b"salt"));
            *said = (token, challenge.clone());
            challenge
        } else {
            signature(&said.0, &said.1, &token)
        };
        tell_token(stream, asked.id, 0, &bend(number, own), 0);
    })
}

/// Who can't prove that it has the credential is nobody to be asked anything.
#[test]
fn a_broker_that_takes_any_proof_and_proves_nothing_is_refused() {
    let (broker, told) = scram_broker(|_, own| own.into_bytes());
    let c = cluster(&broker, &login("SCRAM-SHA-256", &[]));
    assert_eq!(run(c.cluster_id()).unwrap().as_deref(), Some("far-away"), "one that speaks truly is let in");
    assert!(count(&told, METADATA) > 0);
    let nothing = format!("v={}", encode_block(&[0; 32]));
    for (number, bent, words) in [
        (1, String::new(), "its last message has no signature"),
        (1, nothing, "its signature is wrong"),
        (1, "e=other-error".to_owned(), "refuses it: other-error"),
        (0, String::new(), "its challenge has no nonce"),
    ] {
        let (broker, told) = scram_broker(move |at, own| {
            let token = if at == number { bent.clone() } else { own };
            token.into_bytes()
        });
        let t = trouble(&broker, &login("SCRAM-SHA-256", &[]));
        assert!(t.what.contains("SASL SCRAM-SHA-256 as `app`") && t.what.contains(words) && t.lasting, "{t:?}");
        assert!(!format!("{t:?}").contains("c4nary"), "{t:?}");
        let keys: Vec<i16> = told.try_iter().filter(|key| *key >= 0).collect();
        assert!(!keys.contains(&METADATA), "it was asked something: {words}: {keys:?}");
        assert_eq!(keys.iter().filter(|key| **key == AUTHENTICATE).count(), number + 1, "{words}: {keys:?}");
    }
}

/// Accounts are locked after some refusals. Before, each look logged in at every address.
#[test]
fn a_refused_login_ends_the_round_and_the_next_begins_with_one() {
    let logins = Arc::new(AtomicU32::new(0));
    let broker = || {
        let logins = Arc::clone(&logins);
        let refuse = move |stream: &mut TcpStream, _: usize, asked: &Asked| {
            if !take_handshake(stream, asked) {
                logins.fetch_add(1, Ordering::Relaxed);
                tell_token(stream, asked.id, 58, b"", 0);
            }
        };
        scripted(None, refuse).0
    };
    let all: Vec<String> = (0..7).map(|_| broker()).collect();
    let c = cluster(&all.join(","), &login("PLAIN", &[]));
    let refused = |t: Trouble| assert!(t.what.contains("SASL_AUTHENTICATION_FAILED") && t.lasting, "{t:?}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Three begin at the same moment in the first round; from then on it is one a round.
    for round in 0..6 {
        refused(runtime.block_on(c.cluster_id()).unwrap_err());
        let made = logins.load(Ordering::Relaxed);
        assert!(
            (1..=3 + round).contains(&made),
            "{made} logins at seven brokers, all of which refuse, in round {round}"
        );
    }
    // Whoever waits while one is refused is told the same.
    let ask = || c.cluster_id();
    let many = runtime.block_on(async { tokio::join!(ask(), ask(), ask(), ask(), ask()) });
    for t in [many.0, many.1, many.2, many.3, many.4] {
        refused(t.unwrap_err());
    }
    let made = logins.load(Ordering::Relaxed);
    assert!((4..=9).contains(&made), "{made} logins after five who asked at once");
}

/// The broker answers, and then says nothing to the password: another thing to look at than a port where nobody is.
#[test]
fn a_login_that_takes_too_long_is_no_broker_that_is_not_there() {
    let silent = |stream: &mut TcpStream, _: usize, asked: &Asked| {
        take_handshake(stream, asked);
    };
    let (broker, told) = scripted(None, silent);
    let t = trouble(&broker, &login("PLAIN", IMPATIENT));
    assert!(t.what.ends_with("the login took longer than 700 ms") && !t.lasting, "{t:?}");
    assert!(t.advice.contains("what it checks passwords with"), "{t:?}");
    assert_eq!(count(&told, AUTHENTICATE), 1, "not tried again at once");

    // Where it is advertised it is not the listener that is to blame.
    let take = |stream: &mut TcpStream, _: usize, asked: &Asked| {
        if !take_handshake(stream, asked) {
            tell_token(stream, asked.id, 0, b"", 0);
        }
    };
    let (near, _told) = scripted(Some(broker.clone()), take);
    let t = Trouble::from(run(cluster(&near, &login("PLAIN", IMPATIENT)).verify()).expect_err("nobody serves"));
    assert!(t.what.contains(&broker) && t.what.ends_with("the login took longer than 700 ms"), "{t:?}");
    assert!(!format!("{t:?}").contains("advertised"), "{t:?}");
}

/// What a broker was asked until the client hung up; no more than a client asks that does.
fn until_hung_up(told: &Receiver<i16>) -> Vec<i16> {
    let next = || told.recv_timeout(SOON).expect("it hangs up");
    std::iter::from_fn(|| Some(next()).filter(|key| *key != -1)).take(20).collect()
}

/// A renewal has the time of a set-up, not that of each request in it.
#[test]
fn a_renewal_that_is_not_answered_ends_the_connection_in_the_time_of_a_set_up() {
    let once = |stream: &mut TcpStream, number: usize, asked: &Asked| {
        if number == 0 && !take_handshake(stream, asked) {
            tell_token(stream, asked.id, 0, b"", 1_200);
        }
    };
    let (broker, told) = scripted(None, once);
    let limits = [("socket.connection.setup.timeout.ms", "5000"), ("socket.timeout.ms", "300000")];
    let c = cluster(&broker, &login("PLAIN", &limits));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(c.cluster_id()).unwrap();
    let asked = until_hung_up(&told);
    assert_eq!(asked.iter().filter(|key| **key == HANDSHAKE).count(), 2, "{asked:?}");
    assert_eq!(runtime.block_on(c.cluster_id()).unwrap().as_deref(), Some("far-away"), "over a new connection");
}

/// A broker takes no second login so soon: it would close the connection, with whatever is under way there.
#[test]
fn a_session_that_ends_before_it_can_be_renewed_is_let_go_of_before_it_does() {
    let brief = |stream: &mut TcpStream, _: usize, asked: &Asked| {
        if !take_handshake(stream, asked) {
            tell_token(stream, asked.id, 0, b"", 1_000);
        }
    };
    let (broker, told) = scripted(None, brief);
    let c = cluster(&broker, &login("PLAIN", &[]));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for _ in 0..2 {
        assert_eq!(runtime.block_on(c.cluster_id()).unwrap().as_deref(), Some("far-away"));
        // Once known, the broker may be connected to by its own address and by that of the list.
        let asked = until_hung_up(&told);
        let count = |of: i16| asked.iter().filter(|key| **key == of).count();
        assert_eq!(count(HANDSHAKE), count(VERSIONS), "one login a connection: {asked:?}");
    }
}
