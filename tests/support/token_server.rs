//! A token server (RFC 6749, 4.4) with its keys (RFC 7517), plain and over TLS on the loopback interface: what it answers
//! follows from who asks, so that tests share one.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;
use serde_json::{Value, json};

/// The secret of every client.
pub const SECRET: &str = "c4nary-of-the-client-7b1d";
/// Whom tokens are for.
pub const AUDIENCE: &str = "kafka";
/// Who makes them.
pub const ISSUER: &str = "https://idp.example";

/// A running server. It ends with the process.
pub struct TokenServer {
    /// `http://127.0.0.1:PORT`.
    pub plain: String,
    /// `https://127.0.0.1:PORT`.
    pub secure: String,
    shared: Arc<Shared>,
}

struct Shared {
    key: PKey<Private>,
    /// How often each client asked.
    asked: Mutex<BTreeMap<String, u64>>,
    /// Tokens that were handed out.
    given: Mutex<Vec<String>>,
}

impl TokenServer {
    /// Starts it with this certificate.
    pub fn start(certificate: &X509, key: &PKey<Private>) -> TokenServer {
        let own = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let shared = Arc::new(Shared { key: own, asked: Mutex::default(), given: Mutex::default() });
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        acceptor.set_certificate(certificate).unwrap();
        acceptor.set_private_key(key).unwrap();
        let acceptor = acceptor.build();
        let plain = serve(&shared, |stream, shared| answer(stream, shared));
        let secure = serve(&shared, move |stream, shared| {
            // Who does not trust the certificate hangs up.
            let Ok(stream) = acceptor.accept(stream) else { return };
            answer(stream, shared);
        });
        TokenServer { plain: format!("http://{plain}"), secure: format!("https://{secure}"), shared }
    }

    /// How often a client has asked for a token.
    pub fn asked(&self, client: &str) -> u64 {
        lock(&self.shared.asked).get(client).copied().unwrap_or(0)
    }

    /// Every token that was handed out.
    pub fn given(&self) -> Vec<String> {
        lock(&self.shared.given).clone()
    }

    /// A token as it hands them out, made now.
    pub fn make_token(&self, subject: &str, audience: &str, holds_s: i64) -> String {
        self.shared.make_token(subject, audience, holds_s)
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(shared: &Arc<Shared>, each: impl Fn(TcpStream, &Shared) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (shared, each) = (Arc::clone(shared), Arc::new(each));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (shared, each) = (Arc::clone(&shared), Arc::clone(&each));
            std::thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(120)));
                each(stream, &shared);
            });
        }
    });
    address
}

/// Answers one request, and closes.
fn answer(mut stream: impl Read + Write, shared: &Shared) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let text = loop {
        let Ok(n @ 1..) = stream.read(&mut buffer) else { return };
        request.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let length = text.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length.unwrap_or(0)) {
            break text;
        }
    };
    let (status, body) = match text.lines().next().unwrap_or_default() {
        line if line.starts_with("GET /jwks ") => (200, shared.describe_keys()),
        line if line.starts_with("POST /token ") => match shared.judge_client(&text) {
            Some(answer) => answer,
            // Until who asks has had enough.
            None => {
                while matches!(stream.read(&mut buffer), Ok(1..)) {}
                return;
            }
        },
        _ => (404, json!({})),
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    let _ = stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes());
    let _ = stream.flush();
}

impl Shared {
    /// What a client is answered; `None`: nothing, ever.
    fn judge_client(&self, request: &str) -> Option<(u16, Value)> {
        let header = request.lines().find_map(|l| l.strip_prefix("authorization: Basic ")).unwrap_or_default();
        let pair = String::from_utf8(STANDARD.decode(header).unwrap_or_default()).unwrap_or_default();
        let (client, secret) = pair.split_once(':').unwrap_or_default();
        *lock(&self.asked).entry(client.to_owned()).or_default() += 1;
        if secret != SECRET {
            // Some repeat what they were sent.
            let said = format!("no client {client} with {secret}");
            return Some((401, json!({"error": "invalid_client", "error_description": said})));
        }
        let (audience, holds_s) = match client {
            "hangs" => return None,
            "brief" => (AUDIENCE, 4),
            "brief-data" => (AUDIENCE, 6),
            "late" => (AUDIENCE, -7_210),
            "stranger" => ("orders", 3_600),
            _ => (AUDIENCE, 3_600),
        };
        let token = self.make_token(client, audience, holds_s);
        Some((200, json!({"access_token": token, "token_type": "Bearer"})))
    }

    fn make_token(&self, subject: &str, audience: &str, holds_s: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = i64::try_from(now.as_secs()).unwrap();
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": "own"});
        let claims = json!({
            "sub": subject, "iss": ISSUER, "aud": audience, "scope": "kafka",
            "iat": now.min(now + holds_s - 1), "exp": now + holds_s,
        });
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).unwrap();
        let signature = signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap();
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        lock(&self.given).push(token.clone());
        token
    }

    fn describe_keys(&self) -> Value {
        let rsa = self.key.rsa().unwrap();
        let number = |n: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(n.to_vec());
        json!({"keys": [{
            "kty": "RSA", "kid": "own", "use": "sig", "alg": "RS256", "n": number(rsa.n()), "e": number(rsa.e()),
        }]})
    }
}
