//! A receiver of notifications: takes requests, remembers their bodies, and answers as it is told to.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long what must come may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Answered with nothing at all: the connection stays open.
pub const SILENT: u16 = 0;

/// Runs until the process ends; an idle thread costs nothing.
pub struct Receiver {
    url: String,
    inside: Arc<Inside>,
}

struct Inside {
    status: AtomicU16,
    connections: AtomicUsize,
    taken: Mutex<Vec<Value>>,
    more: Condvar,
    /// Never answered.
    held: Mutex<Vec<TcpStream>>,
}

impl Receiver {
    /// Listens on a free port and answers everything with this status.
    pub fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook/very-secret-path", listener.local_addr().unwrap());
        let inside = Arc::new(Inside {
            status: AtomicU16::new(status),
            connections: AtomicUsize::new(0),
            taken: Mutex::default(),
            more: Condvar::new(),
            held: Mutex::default(),
        });
        let serves = Arc::clone(&inside);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serves.connections.fetch_add(1, Ordering::SeqCst);
                let inside = Arc::clone(&serves);
                std::thread::spawn(move || inside.serve(stream));
            }
        });
        Self { url, inside }
    }

    /// A section of a plan that tells it everything that `more` asks for.
    pub fn section(&self, name: &str, more: &str) -> String {
        format!("\n[notify.{name}]\nkind = \"webhook\"\nurl = \"{}\"\n{more}\n", self.url)
    }

    /// Answers with another status from here.
    pub fn answer(&self, status: u16) {
        self.inside.status.store(status, Ordering::SeqCst);
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.inside.connections.load(Ordering::SeqCst)
    }

    /// What was taken (answered with 2xx), in order.
    pub fn taken(&self) -> Vec<Value> {
        self.inside.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a message like this was taken, and returns all that were.
    pub fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Vec<Value> {
        let start = Instant::now();
        let mut taken = self.inside.taken.lock().unwrap();
        while !taken.iter().any(&holds) {
            let left = PATIENCE.saturating_sub(start.elapsed());
            assert!(!left.is_zero(), "waited {PATIENCE:?} for {what}: {taken:#?}");
            taken = self.inside.more.wait_timeout(taken, left).unwrap().0;
        }
        taken.clone()
    }
}

impl Inside {
    fn serve(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let mut buffer = [0; 8192];
        let body = loop {
            let n = stream.read(&mut buffer).unwrap_or(0);
            request.extend_from_slice(&buffer[..n]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let length = |l: &str| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok();
            match text.split_once("\r\n\r\n") {
                Some((head, body)) if body.len() >= head.lines().find_map(length).unwrap_or(0) => {
                    break body.to_owned();
                }
                _ if n == 0 => return,
                _ => {}
            }
        };
        let status = self.status.load(Ordering::SeqCst);
        if status == SILENT {
            self.held.lock().unwrap().push(stream);
            return;
        }
        if (200..300).contains(&status) {
            let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
            println!("receiver: {body}");
            self.taken.lock().unwrap().push(body);
            self.more.notify_all();
        }
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        let _ = stream.write_all(answer.as_bytes());
    }
}
