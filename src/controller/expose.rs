//! The page that Prometheus scrapes: HTTP/1.1, on an address of its own. It only reads snapshots, and has no way to ask
//! for anything.
//!
//! Every connection is for one request, and is bounded in number, in the size of its head and in time; one too many ends
//! the oldest, so that whoever holds connections open without a word keeps nobody out. The page is made beside the
//! controller's own threads, one at a time.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use crate::base::format_duration;
use crate::base::{At, Trouble};
use crate::session::clock::Clock;
use crate::snapshot::{Arming, Snapshot};

/// Connections at once.
const CONNECTIONS: usize = 32;
/// Largest head of a request, bytes.
const HEAD: usize = 16 << 10;
/// How long a head may take to come.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a whole exchange may take: as long as Prometheus waits for a scrape.
const WITHIN: Duration = Duration::from_secs(10);
/// The controller makes a snapshot at least every second: with one older than this it is not well, ms.
const YOUNG_MS: u64 = 15_000;
/// Pause after a connection that could not be taken (no descriptors left), ms.
const PAUSE_MS: u64 = 250;

const TEXT: &str = "text/plain; charset=utf-8";

/// What is served at `/metrics`.
#[derive(Clone, Copy)]
pub struct Exposition {
    /// Its content type.
    pub content_type: &'static str,
    /// Makes the text of a snapshot, asked for at a moment.
    pub text: fn(&Snapshot, At) -> String,
}

/// An address that is taken, and not served yet.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

/// Takes an address.
///
/// # Errors
/// Somebody else has it, it is none of this host's, or may not be taken: with what to do.
pub async fn listen(address: SocketAddr) -> Result<Listening, Trouble> {
    let failed = |e: std::io::Error| {
        let (why, advice) = match e.kind() {
            ErrorKind::AddrInUse => (
                "another program has that port".to_owned(),
                format!(
                    "`ss -ltnp sport = :{}` shows which one; or choose another port (0: any free one)",
                    address.port()
                ),
            ),
            ErrorKind::AddrNotAvailable => (
                "this host has no such address".to_owned(),
                "`ip addr` lists those it has; or use 127.0.0.1".to_owned(),
            ),
            ErrorKind::PermissionDenied => {
                ("this user may not take that port".to_owned(), "choose one above 1023".to_owned())
            }
            _ => (e.to_string(), "choose another address".to_owned()),
        };
        Trouble::new(format!("metrics can't be served at {address}: {why}"), advice)
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Listening { listener, address })
}

impl Listening {
    /// Where it listens: with the real port, where any free one was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves what a controller shows, from when it holds the journal until it ends, and then lets the address go. One
    /// that only looks serves nothing: who holds the journal does.
    pub fn serve(self, snapshots: watch::Receiver<Arc<Snapshot>>, exposition: Exposition) -> JoinHandle<()> {
        tokio::spawn(self.run(snapshots, exposition))
    }

    async fn run(self, mut snapshots: watch::Receiver<Arc<Snapshot>>, exposition: Exposition) {
        // Number 0 is drawn before the journal is opened, and says nothing of who holds it.
        match snapshots.wait_for(|s| s.seq > 0).await.map(|s| s.header.arming.clone()) {
            Ok(Arming::Armed) => {}
            Ok(_) | Err(_) => return,
        }
        let pages = Arc::new(Pages { snapshots: snapshots.clone(), exposition, one: Arc::default() });
        tokio::select! {
            () = self.accept(pages) => {}
            // which is never: until the controller has ended
            _ = snapshots.wait_for(|_| false) => {}
        }
    }

    async fn accept(&self, pages: Arc<Pages>) {
        let mut tasks = JoinSet::new();
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        open.retain(|task| !task.is_finished());
                        if open.len() >= CONNECTIONS && let Some(oldest) = open.pop_front() {
                            oldest.abort();
                        }
                        open.push_back(tasks.spawn(serve_connection(stream, Arc::clone(&pages))));
                    }
                    Err(e) => {
                        tracing::warn!("metrics at {}: {e}", self.address);
                        Clock.sleep(PAUSE_MS).await;
                    }
                },
                // Connections that have ended leave the set here: it would grow with every scrape.
                Some(_) = tasks.join_next() => {}
            }
        }
    }
}

/// One request.
async fn serve_connection(stream: TcpStream, pages: Arc<Pages>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let pages = Arc::clone(&pages);
        async move { Ok::<_, Infallible>(pages.answer(&request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(HEAD).keep_alive(false);
    let served = tokio::time::timeout(WITHIN, http.serve_connection(TokioIo::new(stream), answer)).await;
    match served {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::debug!("metrics: {e}"),
        Err(_) => tracing::debug!("metrics: a reader took too long"),
    }
}

struct Pages {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    exposition: Exposition,
    /// One page is made at a time: many who ask at once take no more threads than one.
    one: Arc<Mutex<()>>,
}

impl Pages {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused =
                build_response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET and HEAD are all there is\n".into());
            // A 405 has to say what is allowed (RFC 9110, 15.5.6).
            refused.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/metrics" => self.metrics().await,
            "/healthz" => self.health(),
            "/" => build_response(StatusCode::OK, TEXT, self.about()),
            _ => build_response(StatusCode::NOT_FOUND, TEXT, "there are /metrics and /healthz\n".into()),
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    fn about(&self) -> String {
        let s = self.snapshot();
        let (version, migration) =
            (env!("CARGO_PKG_VERSION"), crate::base::sanitise::visible_name(&s.header.migration));
        format!("cutover {version}: the controller of {migration}\n/metrics  for Prometheus\n/healthz  is it well\n")
    }

    fn health(&self) -> Response<Full<Bytes>> {
        let (s, now) = (self.snapshot(), Clock.now());
        // Both ways: a clock that stepped back makes a snapshot no younger.
        let age = now.since(s.now).max(s.now.since(now));
        let status = if age <= YOUNG_MS { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        build_response(status, TEXT, format!("the newest snapshot is {} old\n", format_duration(age)))
    }

    async fn metrics(&self) -> Response<Full<Bytes>> {
        // goes along with the page: a connection that is ended leaves its page behind, and its turn with it
        let one = Arc::clone(&self.one).lock_owned().await;
        let (s, text) = (self.snapshot(), self.exposition.text);
        let made = tokio::task::spawn_blocking(move || {
            let _one = one;
            text(&s, Clock.now())
        });
        match made.await {
            Ok(text) => build_response(StatusCode::OK, self.exposition.content_type, text),
            Err(e) => {
                tracing::error!("metrics: the page could not be made: {e}");
                build_response(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    TEXT,
                    "this is a fault of cutover: see its log\n".into(),
                )
            }
        }
    }
}

fn build_response(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    use hyper::header::HeaderValue;
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // A page from a cache would be an old state that looks like the present one.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
