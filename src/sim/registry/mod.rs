//! A schema registry that runs: what it answers is [`RegistryState`]'s, this serves it over HTTP on loopback.
//!
//! `RegistryState` is held line by line to what real servers answered (tests/registry/recorded.rs): where it differs, it is
//! wrong.

mod print;
mod state;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub use state::{Manner, RegistryAsked, RegistryState, SimReply};

use crate::base::{Trouble, lock_unpoisoned};

/// Answers a request (`GET /path`) instead of the registry: a whole HTTP answer.
type InsteadOfRegistry = Box<dyn Fn(&str) -> Option<String> + Send>;

/// Told of each request before it is answered, and with `true` after it.
type RequestWatch = Arc<dyn Fn(&str, bool) + Send + Sync>;

/// What a connection is read from and written to, TLS or not.
pub trait RegistryStream: Read + Write {}
impl<T: Read + Write> RegistryStream for T {}

/// Makes of a connection what requests come over; `None`: the client is not let in.
pub type WrapStream = Arc<dyn Fn(TcpStream) -> Option<Box<dyn RegistryStream>> + Send + Sync>;

/// A running registry, and each handle on it. It stops with the last of them.
#[derive(Clone, Debug)]
pub struct SimRegistry {
    /// Where it is.
    pub url: String,
    inside: Arc<Mutex<Inside>>,
    _stop: Arc<StopRegistry>,
}

struct Inside {
    state: RegistryState,
    /// Method and target of each request, in order.
    asked: Vec<String>,
    /// What the `Authorization` header must be.
    authorization: Option<String>,
    instead: Option<InsteadOfRegistry>,
    watch: Option<RequestWatch>,
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inside").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Ends the thread that takes connections.
#[derive(Debug)]
struct StopRegistry {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
}

impl Drop for StopRegistry {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // It waits for a connection: this is one. Where none can be made it is gone already.
        let _ = TcpStream::connect(self.address);
    }
}

impl SimRegistry {
    /// One that speaks HTTP, on any free port.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub fn start(state: RegistryState) -> Result<Self, Trouble> {
        Self::serve(state, "http", Arc::new(|stream| Some(Box::new(stream))))
    }

    /// One that speaks it over what `wrap` makes of a connection.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub fn serve(state: RegistryState, scheme: &str, wrap: WrapStream) -> Result<Self, Trouble> {
        let failed = |e: io::Error| {
            Trouble::new(
                format!("the simulated schema registry can't start: {e}"),
                "raise the limits on processes and ports",
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let inside = Inside { state, asked: Vec::new(), authorization: None, instead: None, watch: None };
        let (inside, stopping) = (Arc::new(Mutex::new(inside)), Arc::new(AtomicBool::new(false)));
        let (serves, told) = (Arc::clone(&inside), Arc::clone(&stopping));
        let take_connections = move || {
            for stream in listener.incoming().flatten() {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                let (inside, wrap) = (Arc::clone(&serves), Arc::clone(&wrap));
                // One that can't be had is a connection that is closed.
                let _ = std::thread::Builder::new().name("sim-registry".to_owned()).spawn(move || {
                    // a client that does not trust it hangs up
                    wrap(stream).into_iter().for_each(|stream| answer_one(stream, &inside));
                });
            }
        };
        std::thread::Builder::new().name("sim-registry".to_owned()).spawn(take_connections).map_err(failed)?;
        let url = format!("{scheme}://127.0.0.1:{}", address.port());
        Ok(Self { url, inside, _stop: Arc::new(StopRegistry { address, stopping }) })
    }

    /// Lets in only who says this.
    pub fn require(&self, authorization: &str) {
        lock_unpoisoned(&self.inside).authorization = Some(authorization.to_owned());
    }

    /// Answers some requests (`GET /path`) with something else.
    pub fn answer_instead(&self, instead: impl Fn(&str) -> Option<String> + Send + 'static) {
        lock_unpoisoned(&self.inside).instead = Some(Box::new(instead));
    }

    /// Is told of each request, outside of the registry's lock: before it is answered, and with `true` when it has acted and
    /// nobody has read the answer.
    pub fn watch(&self, watch: impl Fn(&str, bool) + Send + Sync + 'static) {
        lock_unpoisoned(&self.inside).watch = Some(Arc::new(watch));
    }

    /// Looks at or changes what it holds.
    pub fn with_state<T>(&self, work: impl FnOnce(&mut RegistryState) -> T) -> T {
        work(&mut lock_unpoisoned(&self.inside).state)
    }

    /// Asks it without HTTP.
    pub fn ask(&self, method: &str, target: &str, body: Value) -> SimReply {
        self.with_state(|state| state.answer(&RegistryAsked::new(method, target, body)))
    }

    /// Method and target of each request so far.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock_unpoisoned(&self.inside).asked.clone()
    }
}

/// A whole HTTP answer.
#[must_use]
pub fn http_answer(status: u16, more: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{more}\r\n{body}", body.len())
}

fn answer_one(mut stream: impl Read + Write, inside: &Mutex<Inside>) {
    let Some((head, body)) = read_request(&mut stream) else { return };
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let said =
        head.lines().find_map(|l| l.to_ascii_lowercase().starts_with("authorization: ").then(|| l[15..].to_owned()));
    let watch = lock_unpoisoned(inside).watch.clone();
    let tell = |done: bool| watch.iter().for_each(|watch| watch(&format!("{method} {target}"), done));
    tell(false);
    let mut inside = lock_unpoisoned(inside);
    inside.asked.push(format!("{method} {target}"));
    let other = inside.instead.as_ref().and_then(|instead| instead(&format!("{method} {target}")));
    let answer = match other {
        Some(other) => other,
        None if inside.authorization.is_some() && inside.authorization != said => {
            http_answer(401, "", &format!("<html>no entry with {}</html>", said.unwrap_or_default()))
        }
        None => {
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            match inside.state.answer(&RegistryAsked::new(method, target, body)) {
                (status, Value::String(text)) => http_answer(status, "", &text),
                (status, json) => http_answer(status, "content-type: application/json\r\n", &json.to_string()),
            }
        }
    };
    drop(inside);
    tell(true);
    // Who has gone needs no answer.
    let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
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
