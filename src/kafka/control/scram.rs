//! SCRAM, the client's half (RFC 5802; SHA-256 by RFC 7677, SHA-512 as Kafka names it): texts in, texts out, no I/O.
//!
//! [`ScramClient`] writes the first message and, given the server's challenge, becomes a [`ScramProof`], which judges the
//! server's last message: only who has the password's credential can sign the exchange, so an impostor is found out. The
//! password itself is never sent.
//!
//! Where the RFC leaves a choice, Kafka's is taken (`ScramFormatter`, `ScramMessages`), and so librdkafka's: names and
//! passwords are the UTF-8 that they are, not prepared by SASLprep (a prepared one would be another password to every
//! broker); no channel binding, no extensions.

use openssl::base64::{decode_block, encode_block};
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use crate::base::Trouble;
use crate::base::sanitise::visible_text;

/// Rounds below this are refused: RFC 7677 asks for so many, and Kafka makes no credential with fewer.
const MIN_ROUNDS: u32 = 4_096;
/// Rounds above this are refused, as by librdkafka, so that both planes take the same credentials. Whoever answers has so
/// many done here before it proved anything: about a third of a second of one core with SHA-256, twice that with SHA-512,
/// a login, and logins are as many as connections. Kafka's own limit is 16,384 (KIP-554).
const MAX_ROUNDS: u32 = 1_000_000;
/// Longest message of a server, bytes. Kafka's have about 150: nonce, salt, number of rounds.
const MAX_MESSAGE: usize = 8 << 10;
/// Random bytes of a nonce: as base64 they are 32 characters, none of them a comma.
const NONCE_BYTES: usize = 24;
/// No channel binding, as base64: `n,,`.
const NO_BINDING: &str = "biws";

/// Which hash an exchange is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScramHash {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl ScramHash {
    fn message_digest(self) -> MessageDigest {
        match self {
            ScramHash::Sha256 => MessageDigest::sha256(),
            ScramHash::Sha512 => MessageDigest::sha512(),
        }
    }
}

/// Why an exchange ended before the server had proven itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ScramFault {
    /// A message that is none of SCRAM: what is wrong with it.
    Malformed(&'static str),
    /// The challenge answers another client's message, or repeats only ours.
    ForeignNonce,
    /// A mandatory extension (`m=`): there are none that could be known.
    Extension,
    /// Fewer rounds than are safe.
    TooFewRounds(u32),
    /// More rounds than are worked through.
    TooManyRounds,
    /// The server's own word for it (`e=`).
    Refused(String),
    /// The server does not have the user's credential.
    WrongSignature,
    /// OpenSSL can't do it.
    Unusable(String),
}

/// An exchange that was begun.
pub(super) struct ScramClient {
    digest: MessageDigest,
    password: String,
    nonce: String,
    /// The first message without its header: the signatures cover it.
    first_bare: String,
}

/// The answer to a challenge, and what the server has to answer to it.
pub(super) struct ScramProof {
    /// The client's last message.
    pub message: String,
    expected_signature: Vec<u8>,
}

/// A nonce that nobody can guess.
pub(super) fn draw_nonce() -> Result<String, ScramFault> {
    let mut bytes = [0; NONCE_BYTES];
    openssl::rand::rand_bytes(&mut bytes)?;
    Ok(encode_block(&bytes))
}

impl ScramClient {
    /// Begins an exchange. `nonce`: visible ASCII without a comma, of this exchange alone.
    pub fn new(hash: ScramHash, username: &str, password: &str, nonce: String) -> ScramClient {
        Self::with_digest(hash.message_digest(), username, password, nonce)
    }

    fn with_digest(digest: MessageDigest, username: &str, password: &str, nonce: String) -> ScramClient {
        // `=` first: the other way round its own escape would be escaped.
        let name = username.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={name},r={nonce}");
        ScramClient { digest, password: password.to_owned(), nonce, first_bare }
    }

    /// The client's first message.
    pub(crate) fn first_message(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// Proves the password in answer to the server's first message. Takes milliseconds, with the most rounds a second or so.
    pub(crate) fn answer_challenge(self, challenge: &[u8]) -> Result<ScramProof, ScramFault> {
        let text = read_message(challenge)?;
        let Challenge { nonce, salt, rounds } = parse_challenge(text, &self.nonce)?;
        let mut salted = vec![0; self.digest.size()];
        pbkdf2_hmac(self.password.as_bytes(), &salt, rounds as usize, self.digest, &mut salted)?;
        let last_bare = format!("c={NO_BINDING},r={nonce}");
        let signed = format!("{},{text},{last_bare}", self.first_bare);
        let client_key = self.sign_text(&salted, b"Client Key")?;
        let stored_key = hash(self.digest, &client_key)?;
        let signature = self.sign_text(&stored_key, signed.as_bytes())?;
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, signed)| key ^ signed).collect();
        let server_key = self.sign_text(&salted, b"Server Key")?;
        Ok(ScramProof {
            message: format!("{last_bare},p={}", encode_block(&proof)),
            expected_signature: self.sign_text(&server_key, signed.as_bytes())?,
        })
    }

    fn sign_text(&self, key: &[u8], text: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let key = PKey::hmac(key)?;
        Signer::new(self.digest, &key)?.sign_oneshot_to_vec(text)
    }
}

impl ScramProof {
    /// Whether the server's last message proves that it has this user's credential.
    pub(crate) fn verify_signature(&self, last: &[u8]) -> Result<(), ScramFault> {
        let text = read_message(last)?;
        check_refusal(text)?;
        check_mandatory(text)?;
        let mut parts = text.split(',');
        let signature = parts.next().and_then(|part| part.strip_prefix("v="));
        let signature = signature.and_then(decode_strictly);
        let signature = signature.ok_or(ScramFault::Malformed("its last message has no signature"))?;
        check_extensions(parts)?;
        // The comparison takes the same time wherever they differ; a length is no secret, and it panics over two.
        let same = signature.len() == self.expected_signature.len()
            && openssl::memcmp::eq(&signature, &self.expected_signature);
        if same { Ok(()) } else { Err(ScramFault::WrongSignature) }
    }
}

/// The server's first message.
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    rounds: u32,
}

/// `r=NONCE,s=SALT,i=ROUNDS`, then extensions that may be passed over. `own`: what the nonce has to begin with.
fn parse_challenge<'a>(text: &'a str, own: &str) -> Result<Challenge<'a>, ScramFault> {
    check_refusal(text)?;
    check_mandatory(text)?;
    let mut parts = text.split(',');
    let mut part = |key: &str| parts.next().and_then(|part| part.strip_prefix(key));
    let nonce = part("r=").ok_or(ScramFault::Malformed("its challenge has no nonce"))?;
    let salt = part("s=").and_then(decode_strictly).filter(|salt| !salt.is_empty());
    let salt = salt.ok_or(ScramFault::Malformed("its challenge has no salt"))?;
    let rounds = part("i=").filter(|n| n.starts_with(|c| matches!(c, '1'..='9')));
    let rounds = rounds.filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let rounds = rounds.ok_or(ScramFault::Malformed("its challenge has no number of rounds"))?;
    check_extensions(parts)?;
    if !nonce.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ScramFault::Malformed("its nonce is not visible ASCII"));
    }
    // Ours alone would let a challenge that was heard before be played again.
    if nonce.len() <= own.len() || !nonce.starts_with(own) {
        return Err(ScramFault::ForeignNonce);
    }
    match rounds.parse() {
        Ok(rounds) if rounds < MIN_ROUNDS => Err(ScramFault::TooFewRounds(rounds)),
        Ok(rounds) if rounds <= MAX_ROUNDS => Ok(Challenge { nonce, salt, rounds }),
        _ => Err(ScramFault::TooManyRounds),
    }
}

fn read_message(bytes: &[u8]) -> Result<&str, ScramFault> {
    if bytes.len() > MAX_MESSAGE {
        return Err(ScramFault::Malformed("its message is longer than 8 KiB"));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(ScramFault::Malformed("its message is no text")),
    }
}

/// Errors: the server says why it goes no further. The RFC has that in the last message; some say it in the first.
fn check_refusal(text: &str) -> Result<(), ScramFault> {
    let Some(said) = text.strip_prefix("e=") else { return Ok(()) };
    let said = said.split(',').next().unwrap_or_default();
    Err(ScramFault::Refused(said.chars().take(80).collect()))
}

/// Errors: an extension that has to be known stands anywhere in it (`m=`, RFC 5802, 5.1). There are none.
fn check_mandatory(text: &str) -> Result<(), ScramFault> {
    if text.split(',').any(|part| part.starts_with("m=")) { Err(ScramFault::Extension) } else { Ok(()) }
}

/// Extensions that nobody has to know: a letter, `=` and a value.
fn check_extensions<'a>(mut parts: impl Iterator<Item = &'a str>) -> Result<(), ScramFault> {
    let is_one = |part: &str| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.next() == Some('=') && chars.next().is_some()
    };
    if parts.all(is_one) { Ok(()) } else { Err(ScramFault::Malformed("its message ends in what is no extension")) }
}

/// Base64 as RFC 4648 has it. OpenSSL passes over blanks and takes odd ends: what does not come back the same is none.
fn decode_strictly(text: &str) -> Option<Vec<u8>> {
    decode_block(text).ok().filter(|bytes| encode_block(bytes) == text)
}

impl From<ErrorStack> for ScramFault {
    fn from(stack: ErrorStack) -> Self {
        ScramFault::Unusable(stack.to_string())
    }
}

impl ScramFault {
    /// In words. `login`: who authenticates and how (`SASL SCRAM-SHA-512 as ...`); `broker`: whose messages these are.
    pub(crate) fn explain_fault(&self, login: &str, broker: &str) -> Trouble {
        const ODD: &str = "look at what answers there: a broker of Apache Kafka says no such thing, a proxy may";
        let (what, advice) = match self {
            ScramFault::Malformed(why) => (format!("{broker} does not speak SCRAM as it should: {why}"), ODD),
            ScramFault::ForeignNonce => {
                (format!("{broker} answers somebody else's message: its nonce does not continue ours"), ODD)
            }
            ScramFault::Extension => (
                format!("{broker} asks for an extension of SCRAM, and none is known"),
                "use another mechanism (`sasl.mechanism`), or a listener without it",
            ),
            ScramFault::TooFewRounds(rounds) => (
                format!(
                    "{broker} asks for {rounds} rounds, fewer than {MIN_ROUNDS}: the password would be easy to guess"
                ),
                "make the credential anew with `iterations=4096` or more (`kafka-configs.sh --alter --entity-type users`)",
            ),
            ScramFault::TooManyRounds => (
                format!("{broker} asks for more than {MAX_ROUNDS} rounds: nobody is let do so much work here"),
                "make the credential anew with fewer `iterations` (Kafka's own limit is 16384), or look at what answers there",
            ),
            ScramFault::Refused(said) => {
                (format!("{broker} refuses it: {}", visible_text(said)), advice_for_refusal(said))
            }
            ScramFault::WrongSignature => (
                format!("{broker} could not prove that it has this user's credential: its signature is wrong"),
                "don't trust what answers there: check the address and `ssl.ca.location`; if it is the broker, make the \
                 credential anew",
            ),
            ScramFault::Unusable(why) => (format!("OpenSSL can't do it: {}", visible_text(why)), ""),
        };
        Trouble::new(format!("{login}: {what}"), advice).mark_lasting()
    }
}

/// What to do about the errors that RFC 5802 names (section 7).
fn advice_for_refusal(said: &str) -> &'static str {
    match said {
        "invalid-proof" => "check `sasl.password`",
        "unknown-user" => "check `sasl.username`, and that it has a credential for this mechanism",
        "invalid-username-encoding" => "check `sasl.username`: Apache Kafka takes ASCII characters only",
        "channel-bindings-dont-match" | "server-does-support-channel-binding" => {
            "something on the way changes the messages, or the listener wants a channel binding: use another one"
        }
        "no-resources" => "the broker has no room for it now: look at the broker",
        _ => "look at the broker's log",
    }
}

#[cfg(test)]
mod tests;
