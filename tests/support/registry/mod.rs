//! A schema registry for tests: what it answers is [`state::State`]'s, this serves it over HTTP or HTTPS on a free port.
//!
//! `State` is held line by line to what real servers answered (tests/registry/recorded.rs): where it differs, it is wrong.
#![allow(dead_code)]

pub mod state;
pub mod text;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use openssl::ssl::SslAcceptor;
use serde_json::Value;

pub use state::{Asked, Manner, State};

/// Answers a request instead of the registry: a whole HTTP answer.
pub type Instead = Box<dyn Fn(&str) -> Option<String> + Send>;

/// Told of each request before it is answered, and with `true` after it.
pub type Watch = Arc<dyn Fn(&str, bool) + Send + Sync>;

/// Runs until the process ends; an idle thread costs nothing.
#[derive(Clone)]
pub struct FakeRegistry {
    pub url: String,
    inside: Arc<Mutex<Inside>>,
}

struct Inside {
    state: State,
    /// Method and target of each request, in order.
    asked: Vec<String>,
    /// What the `Authorization` header must be.
    authorization: Option<String>,
    instead: Option<Instead>,
    watch: Option<Watch>,
}

impl FakeRegistry {
    /// One that speaks HTTP.
    pub fn start(state: State) -> Self {
        Self::serve(state, None)
    }

    /// One that speaks HTTPS.
    pub fn start_with_tls(state: State, acceptor: SslAcceptor) -> Self {
        Self::serve(state, Some(acceptor))
    }

    fn serve(state: State, acceptor: Option<SslAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}", listener.local_addr().expect("bound").port());
        let inside =
            Arc::new(Mutex::new(Inside { state, asked: Vec::new(), authorization: None, instead: None, watch: None }));
        let (serves, acceptor) = (Arc::clone(&inside), acceptor.map(Arc::new));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (inside, acceptor) = (Arc::clone(&serves), acceptor.clone());
                std::thread::spawn(move || match acceptor {
                    None => answer_one(stream, &inside),
                    // a client that does not trust it hangs up
                    Some(acceptor) => drop(acceptor.accept(stream).map(|stream| answer_one(stream, &inside))),
                });
            }
        });
        Self { url, inside }
    }

    /// Lets in only who says this.
    pub fn require(&self, authorization: &str) {
        self.inside.lock().expect("nobody panics with it").authorization = Some(authorization.to_owned());
    }

    /// Answers some requests (`GET /path`) with something else.
    pub fn answer_instead(&self, instead: impl Fn(&str) -> Option<String> + Send + 'static) {
        self.inside.lock().expect("nobody panics with it").instead = Some(Box::new(instead));
    }

    /// Is told of each request, outside of the registry's lock: before it is answered, and with `true` when it has acted and
    /// nobody has read the answer.
    pub fn watch(&self, watch: impl Fn(&str, bool) + Send + Sync + 'static) {
        self.inside.lock().expect("nobody panics with it").watch = Some(Arc::new(watch));
    }

    /// Looks at or changes what it holds.
    pub fn with_state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.inside.lock().expect("nobody panics with it").state)
    }

    /// Asks it without HTTP.
    pub fn ask(&self, method: &str, target: &str, body: Value) -> (u16, Value) {
        self.with_state(|state| state.answer(&Asked::new(method, target, body)))
    }

    /// Method and target of each request so far.
    pub fn asked(&self) -> Vec<String> {
        self.inside.lock().expect("nobody panics with it").asked.clone()
    }
}

/// A whole HTTP answer.
pub fn http_answer(status: u16, more: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{more}\r\n{body}", body.len())
}

fn answer_one(mut stream: impl Read + Write, inside: &Mutex<Inside>) {
    let Some((head, body)) = read_request(&mut stream) else { return };
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let said =
        head.lines().find_map(|l| l.to_ascii_lowercase().starts_with("authorization: ").then(|| l[15..].to_owned()));
    let watch = inside.lock().expect("nobody panics with it").watch.clone();
    let tell = |done: bool| watch.iter().for_each(|watch| watch(&format!("{method} {target}"), done));
    tell(false);
    let mut inside = inside.lock().expect("nobody panics with it");
    inside.asked.push(format!("{method} {target}"));
    let other = inside.instead.as_ref().and_then(|instead| instead(&format!("{method} {target}")));
    let answer = match other {
        Some(other) => other,
        None if inside.authorization.is_some() && inside.authorization != said => {
            http_answer(401, "", &format!("<html>no entry with {}</html>", said.unwrap_or_default()))
        }
        None => {
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            match inside.state.answer(&Asked::new(method, target, body)) {
                (status, Value::String(text)) => http_answer(status, "", &text),
                (status, json) => http_answer(status, "content-type: application/json\r\n", &json.to_string()),
            }
        }
    };
    drop(inside);
    tell(true);
    let _ = stream.write_all(answer.as_bytes());
    let _ = stream.flush();
}

fn read_request(stream: &mut (impl Read + Write)) -> Option<(String, Vec<u8>)> {
    let mut request = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let n = stream.read(&mut buffer).unwrap_or(0);
        request.extend_from_slice(&buffer[..n]);
        // a handshake of TLS, at a port that has none
        if request.first() == Some(&0x16) {
            return None;
        }
        let end = request.windows(4).position(|w| w == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&request[..end]).into_owned();
            let length = |l: &str| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok();
            let wanted = head.lines().find_map(length).unwrap_or(0);
            if request.len() >= end + 4 + wanted {
                return Some((head, request[end + 4..].to_vec()));
            }
        }
        if n == 0 {
            return None;
        }
    }
}
