use super::*;
use proptest::prelude::*;

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

fn new_client(hash: ScramHash) -> ScramClient {
    ScramClient::new(hash, "user", "pencil", NONCE.to_owned())
}

fn fault_of(challenge: &str) -> ScramFault {
    new_client(ScramHash::Sha256).answer_challenge(challenge.as_bytes()).err().unwrap_or_else(|| panic!("{challenge}"))
}

#[test]
fn the_exchange_of_rfc_7677() {
    let client = new_client(ScramHash::Sha256);
    assert_eq!(client.first_message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let proof = client.answer_challenge(CHALLENGE.as_bytes()).unwrap();
    let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_eq!(proof.message, last);
    assert_eq!(proof.verify_signature(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
}

/// With SHA-1, which nobody offers any more: the same steps with another hash.
#[test]
fn the_exchange_of_rfc_5802() {
    let nonce = "fyko+d2lbbFgONRv9qkxdawL".to_owned();
    let client = ScramClient::with_digest(MessageDigest::sha1(), "user", "pencil", nonce);
    assert_eq!(client.first_message(), "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
    let challenge = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
    let proof = client.answer_challenge(challenge).unwrap();
    let last = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
    assert_eq!(proof.message, last);
    assert_eq!(proof.verify_signature(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), Ok(()));
}

/// No RFC has one for SHA-512: these come from Python's `hashlib` and `hmac`.
#[test]
fn the_same_exchange_with_sha_512() {
    let proof = new_client(ScramHash::Sha512).answer_challenge(CHALLENGE.as_bytes()).unwrap();
    let proven = "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
    assert_eq!(proof.message.split_once(",p=").unwrap().1, proven);
    let signed = b"v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==";
    assert_eq!(proof.verify_signature(signed), Ok(()));
}

#[test]
fn a_name_is_escaped_and_a_password_is_the_text_that_it_is() {
    let client = ScramClient::new(ScramHash::Sha512, "us=er,1", "p\u{e4}ss, w=rd", NONCE.to_owned());
    assert_eq!(client.first_message(), format!("n,,n=us=3Der=2C1,r={NONCE}"));
    let challenge = format!("r={NONCE}X,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=8192");
    let proof = client.answer_challenge(challenge.as_bytes()).unwrap();
    let proven = "3DuY/V3AmiyQB7McyuOKdG7K8Vp6wLte+R+OxoaRH1O4Ue7CuEod6MvF5qR/+kh/4CZnscGLpYkkVtBsw33w/g==";
    assert_eq!(proof.message.split_once(",p=").unwrap().1, proven);
    // what SASLprep would make the same password of is another one to Kafka
    let prepared = ScramClient::new(ScramHash::Sha512, "us=er,1", "pa\u{308}ss, w=rd", NONCE.to_owned());
    assert_ne!(prepared.answer_challenge(challenge.as_bytes()).unwrap().message, proof.message);
}

#[test]
fn no_two_nonces_are_the_same_and_none_holds_a_comma() {
    let all: std::collections::BTreeSet<String> = (0..64).map(|_| draw_nonce().unwrap()).collect();
    assert_eq!(all.len(), 64);
    assert!(all.iter().all(|n| n.len() == 32 && n.bytes().all(|b| b.is_ascii_graphic() && b != b',')), "{all:?}");
}

#[test]
fn a_malformed_challenge_ends_the_exchange() {
    let whole = |nonce: &str, salt: &str, rounds: &str| format!("r={nonce},s={salt},i={rounds}");
    let ours = format!("{NONCE}server");
    for (challenge, wrong) in [
        (String::new(), "no nonce"),
        ("r".to_owned(), "no nonce"),
        ("s=W22Z,r=x,i=4096".to_owned(), "no nonce"),
        (format!("r={ours}"), "no salt"),
        (format!("r={ours},i=4096"), "no salt"),
        (whole(&ours, "", "4096"), "no salt"),
        (whole(&ours, "W22", "4096"), "no salt"),
        (whole(&ours, "W22Z====", "4096"), "no salt"),
        (whole(&ours, " W22Z", "4096"), "no salt"),
        (whole(&ours, "W2_Z", "4096"), "no salt"),
        (format!("r={ours},s=W22Z"), "no number of rounds"),
        (whole(&ours, "W22Z", ""), "no number of rounds"),
        (whole(&ours, "W22Z", "0"), "no number of rounds"),
        (whole(&ours, "W22Z", "04096"), "no number of rounds"),
        (whole(&ours, "W22Z", "-4096"), "no number of rounds"),
        (whole(&ours, "W22Z", "+4096"), "no number of rounds"),
        (whole(&ours, "W22Z", "4096 "), "no number of rounds"),
        (whole(&ours, "W22Z", "4096,"), "no extension"),
        (whole(&ours, "W22Z", "4096,x"), "no extension"),
        (whole(&ours, "W22Z", "4096,x="), "no extension"),
        (whole(&ours, "W22Z", "4096,1=y"), "no extension"),
        (whole(&format!("{ours} "), "W22Z", "4096"), "not visible ASCII"),
        (whole(&format!("{ours}\u{e9}"), "W22Z", "4096"), "not visible ASCII"),
        (whole(&format!("{ours}\0"), "W22Z", "4096"), "no text"),
        (whole(&ours, &"W22Z".repeat(2_100), "4096"), "longer than 8 KiB"),
    ] {
        let fault = fault_of(&challenge);
        assert!(matches!(&fault, ScramFault::Malformed(why) if why.contains(wrong)), "{challenge:?}: {fault:?}");
    }
    let bytes = [CHALLENGE.as_bytes(), &[0xff]].concat();
    let fault = new_client(ScramHash::Sha256).answer_challenge(&bytes).err();
    assert_eq!(fault, Some(ScramFault::Malformed("its message is no text")));
    assert!(
        new_client(ScramHash::Sha256).answer_challenge(format!("{CHALLENGE},x=y").as_bytes()).is_ok(),
        "passed over"
    );
}

#[test]
fn a_challenge_is_taken_only_with_our_nonce_and_a_sane_number_of_rounds() {
    for nonce in [NONCE, "", "rOprNGfwEbeRWgbNEkqo-server", "server-rOprNGfwEbeRWgbNEkqO"] {
        assert_eq!(fault_of(&format!("r={nonce},s=W22Z,i=4096")), ScramFault::ForeignNonce, "{nonce}");
    }
    let of_rounds = |rounds: &str| format!("r={NONCE}x,s=W22Z,i={rounds}");
    assert_eq!(fault_of(&of_rounds("4095")), ScramFault::TooFewRounds(4_095));
    assert_eq!(fault_of(&of_rounds("1")), ScramFault::TooFewRounds(1));
    for many in ["1000001", "4294967295", "4294967296", "99999999999999999999999999"] {
        assert_eq!(fault_of(&of_rounds(many)), ScramFault::TooManyRounds, "{many}");
    }
    assert_eq!(fault_of(&of_rounds("1000001,m=x")), ScramFault::Extension);
    assert!(new_client(ScramHash::Sha256).answer_challenge(of_rounds("1000000").as_bytes()).is_ok(), "as librdkafka");
    for mandatory in [
        format!("m=x,{CHALLENGE}"),
        format!("{CHALLENGE},m=x"),
        format!("{CHALLENGE},x=y,m="),
        CHALLENGE.replace(",s=", ",m=x,s="),
    ] {
        assert_eq!(fault_of(&mandatory), ScramFault::Extension, "{mandatory}");
    }
    assert_eq!(fault_of("e=unknown-user"), ScramFault::Refused("unknown-user".into()));
}

#[test]
fn only_the_signature_of_the_exchange_is_taken() {
    let proof = new_client(ScramHash::Sha256).answer_challenge(CHALLENGE.as_bytes()).unwrap();
    let right = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    assert_eq!(proof.verify_signature(format!("{right},x=y").as_bytes()), Ok(()));
    for wrong in ["v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "v=", "v=6rri"] {
        assert_eq!(proof.verify_signature(wrong.as_bytes()), Err(ScramFault::WrongSignature), "{wrong}");
    }
    for mandatory in [format!("m=x,{right}"), format!("{right},m=x"), format!("{right},x=y,m=")] {
        assert_eq!(proof.verify_signature(mandatory.as_bytes()), Err(ScramFault::Extension), "{mandatory}");
    }
    // the right one with another end: base64 has one form of each signature
    let odd = right.replace("G4=", "G5=");
    for malformed in ["", "v", "x=y", odd.as_str(), &right[..right.len() - 1], "v=====", &format!("{right},")] {
        let fault = proof.verify_signature(malformed.as_bytes()).unwrap_err();
        assert!(matches!(fault, ScramFault::Malformed(_)), "{malformed}: {fault:?}");
    }
    assert_eq!(proof.verify_signature(b"e=invalid-proof,x=y"), Err(ScramFault::Refused("invalid-proof".into())));
}

#[test]
fn each_fault_says_who_what_and_what_to_do() {
    for (fault, what, advice) in [
        (ScramFault::TooFewRounds(100), "asks for 100 rounds, fewer than 4096", "`iterations=4096`"),
        (ScramFault::TooManyRounds, "more than 1000000 rounds", "fewer `iterations`"),
        (ScramFault::WrongSignature, "its signature is wrong", "`ssl.ca.location`"),
        (ScramFault::Refused("invalid-proof".into()), "refuses it: invalid-proof", "`sasl.password`"),
        (ScramFault::Refused("unknown-user".into()), "unknown-user", "`sasl.username`"),
        (ScramFault::Refused("x\x1b[2J".into()), "x\u{241b}[2J", "broker's log"),
        (ScramFault::ForeignNonce, "its nonce does not continue ours", "a proxy may"),
    ] {
        let trouble = fault.explain_fault("SASL SCRAM-SHA-256 as `app`", "blue broker 1");
        assert!(trouble.what.starts_with("SASL SCRAM-SHA-256 as `app`: blue broker 1 "), "{trouble:?}");
        assert!(trouble.what.contains(what) && trouble.advice.contains(advice) && trouble.lasting, "{trouble:?}");
    }
}

/// The server's half, by the RFC's formulas, from what a broker keeps: never the password.
struct Server {
    digest: MessageDigest,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
    challenge: String,
}

impl Server {
    fn new(digest: MessageDigest, password: &str, challenge: String, salt: &[u8], rounds: usize) -> Server {
        let mut salted = vec![0; digest.size()];
        pbkdf2_hmac(password.as_bytes(), salt, rounds, digest, &mut salted).unwrap();
        let stored_key = hash(digest, &sign_text(digest, &salted, "Client Key")).unwrap().to_vec();
        Server { digest, stored_key, server_key: sign_text(digest, &salted, "Server Key"), challenge }
    }

    /// Its last message, if the proof is that of the password.
    fn answer_proof(&self, first: &str, last: &str) -> Option<String> {
        let (bare, proof) = last.split_once(",p=")?;
        let signed = format!("{},{},{bare}", first.strip_prefix("n,,")?, self.challenge);
        let signature = sign_text(self.digest, &self.stored_key, &signed);
        let key: Vec<u8> = decode_block(proof).ok()?.iter().zip(signature).map(|(p, s)| p ^ s).collect();
        let known = hash(self.digest, &key).unwrap().to_vec() == self.stored_key;
        known.then(|| format!("v={}", encode_block(&sign_text(self.digest, &self.server_key, &signed))))
    }
}

fn sign_text(digest: MessageDigest, key: &[u8], text: &str) -> Vec<u8> {
    let key = PKey::hmac(key).unwrap();
    Signer::new(digest, &key).unwrap().sign_oneshot_to_vec(text.as_bytes()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_server_takes_the_right_password_alone_and_is_taken_with_its_own_signature_alone(
        name in "[^\0]{1,12}", password in "[^\0]{1,12}", other in "[^\0]{1,12}", more in "[!-+\\--~]{1,20}",
        salt in proptest::collection::vec(any::<u8>(), 1..20), rounds in 4_096usize..4_100, short in any::<bool>(),
        bent in (any::<proptest::sample::Index>(), 1u8..=255),
    ) {
        let hash = if short { ScramHash::Sha256 } else { ScramHash::Sha512 };
        let nonce = draw_nonce().unwrap();
        let challenge = format!("r={nonce}{more},s={},i={rounds}", encode_block(&salt));
        let server = Server::new(hash.message_digest(), &password, challenge.clone(), &salt, rounds);
        let prove = |password: &str| {
            let client = ScramClient::new(hash, &name, password, nonce.clone());
            let first = client.first_message();
            let proof = client.answer_challenge(challenge.as_bytes()).unwrap();
            let answered = server.answer_proof(&first, &proof.message);
            (proof, answered)
        };
        let (proof, answered) = prove(&password);
        let mut answered = answered.expect("the right password").into_bytes();
        prop_assert_eq!(proof.verify_signature(&answered), Ok(()));
        if other != password {
            prop_assert_eq!(prove(&other).1, None);
        }
        let at = bent.0.index(answered.len());
        answered[at] ^= bent.1;
        prop_assert!(proof.verify_signature(&answered).is_err());
    }

    #[test]
    fn nothing_that_a_server_says_breaks_anything(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[rsievm]=.{0,30}(,[a-z]=.{0,10}){0,4}") {
        for said in [&bytes[..], text.as_bytes()] {
            let _ = new_client(ScramHash::Sha256).answer_challenge(said);
            let proof = ScramProof { message: String::new(), expected_signature: vec![7; 32] };
            prop_assert!(proof.verify_signature(said).is_err());
        }
    }
}
