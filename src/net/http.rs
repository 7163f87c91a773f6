//! HTTP/1.1 requests, each on a connection of its own, over the one TLS stack: bounded in time and in size. A redirect
//! is an answer like any other and is not followed: credentials go where the plan says and nowhere else.

#[cfg(test)]
pub mod fake;

use std::collections::BTreeMap;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::{Method, Uri};
use hyper_util::rt::TokioIo;
use openssl::ssl::SslConnector;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use crate::base::Trouble;
use crate::base::redact;
use crate::base::sanitise::visible_text;
use crate::net::tls;
use crate::net::tls::Tls;
use crate::plan::metrics::Credentials;

/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 8 << 20;
/// Most of an answer that an error shows, characters.
const SHOWN: usize = 200;

/// Most of an answer that is looked through for secrets before an error shows its beginning, bytes.
pub(crate) const SEARCHED: usize = 64 << 10;

/// One server: where it is and how it is trusted.
pub(crate) struct RemoteServer {
    host: String,
    port: u16,
    /// `host:port` as a `Host` header has it.
    authority: String,
    /// Path before every request's own, without a slash at its end.
    base: String,
    tls: Option<(SslConnector, Tls)>,
}

/// A request.
#[derive(Default)]
pub(crate) struct HttpRequest<'a> {
    /// `GET` without a body; with one (its type, and the bytes) `POST`, or `PUT` where that is wanted.
    pub body: Option<(&'a str, Vec<u8>)>,
    /// `PUT` instead of `POST`.
    pub put: bool,
    /// `DELETE` instead of `GET`.
    pub delete: bool,
    /// Path and query, from the slash.
    pub path: &'a str,
    /// Headers besides `Host`, `Content-Type` and `User-Agent`. Never shown.
    pub headers: Vec<(&'a str, String)>,
    /// The whole of it: name, connection, TLS, answer, ms.
    pub timeout_ms: u64,
    /// Only so much of the answer is wanted, bytes: the rest is not read. `None`: all of it.
    pub most: Option<usize>,
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub(crate) struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
    /// `Retry-After`, where it is a number of seconds.
    pub retry_after_s: Option<u64>,
}

impl HttpResponse {
    /// The beginning of the body, made visible, for errors; without the secrets that it may repeat.
    #[must_use]
    pub(crate) fn visible_excerpt(&self) -> String {
        // Secrets are taken out before the text is made visible and cut to size: after that they would not be found. So
        // far more is looked through than is shown: one that begins near the start may be long.
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(SEARCHED)]);
        visible_text(redact::hide_secrets(text.trim()).trim()).chars().take(SHOWN).collect()
    }
}

impl RemoteServer {
    /// As [`RemoteServer::new`], on a blocking thread: certificates may lie on a slow disk.
    ///
    /// # Errors
    /// As [`RemoteServer::new`].
    pub async fn open(url: &str, properties: BTreeMap<String, String>) -> Result<Self, Trouble> {
        let url = url.to_owned();
        let made =
            tokio::task::spawn_blocking(move || Self::new(&url, |name| properties.get(name).map(String::as_str)));
        // Not in its own words: a panic has those of whoever it came to, and a password may be among them.
        made.await.map_err(|_| Trouble::new("reading certificates broke off", "this is a fault of cutover"))?
    }

    /// Reads a base URL and what is trusted (librdkafka's names). No I/O but the CA files.
    ///
    /// # Errors
    /// The URL is none of HTTP, or a certificate can't be read.
    pub fn new<'a>(url: &str, property: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Trouble> {
        let bad = |why: &str| {
            Trouble::new(
                format!("{:?} {why}", visible_text(url)),
                "write \"https://HOST:PORT\" or \"http://HOST:PORT\"",
            )
        };
        let uri: Uri = url.parse().map_err(|_| bad("is not a URL"))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad("is neither http nor https")),
        };
        let authority = uri.authority().ok_or_else(|| bad("names no host"))?;
        // They would stand in every message that names the address.
        if authority.as_str().contains('@') {
            return Err(bad("holds credentials: they have keys of their own"));
        }
        // An IPv6 address has brackets in a URL; resolving names and checking certificates take it without.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure {
            let settings = Tls::from_properties(property).map_err(|(_, trouble)| trouble)?;
            Some((tls::build_connector(&settings)?, settings))
        } else {
            None
        };
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { host, port, authority: authority.as_str().to_owned(), base, tls })
    }

    /// Where it is, for messages.
    #[must_use]
    pub(crate) fn visible_address(&self) -> String {
        visible_text(&format!("{}{}", self.authority, self.base))
    }

    /// Sends one request and reads the answer.
    ///
    /// # Errors
    /// It could not be reached, took too long, or answered more than 8 MiB: with its address and what to do.
    pub async fn send(&self, request: HttpRequest<'_>) -> Result<HttpResponse, Trouble> {
        self.run_within(request.timeout_ms, self.exchange(request)).await
    }

    /// Connects, with the handshake where there is TLS, and asks for nothing.
    ///
    /// # Errors
    /// It could not be reached, or is not trusted: with its address and what to do.
    pub(crate) async fn try_connect(&self, timeout_ms: u64) -> Result<(), Trouble> {
        let connect = async {
            let tcp = self.connect().await?;
            match &self.tls {
                None => Ok(()),
                Some(tls) => self.shake_hands(tcp, tls).await.map(drop),
            }
        };
        self.run_within(timeout_ms, connect).await
    }

    async fn run_within<T>(&self, limit_ms: u64, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let limit = Duration::from_millis(limit_ms);
        let ended = match timeout(limit, work).await {
            Ok(result) => result,
            // One limit around all of it: a server that sends a byte now and then would outlive any limit a step.
            Err(_) => Err(Trouble::new(
                format!(
                    "{}: no answer within {}",
                    self.visible_address(),
                    crate::base::format_duration(to_millis(limit))
                ),
                "check the server, the route to it (`nc -zv HOST PORT`), and how long the query takes there",
            )),
        };
        ended.inspect_err(|trouble| tracing::warn!(limit_ms, why = %trouble.what, "HTTP failed"))
    }

    async fn exchange(&self, request: HttpRequest<'_>) -> Result<HttpResponse, Trouble> {
        let tcp = self.connect().await?;
        match &self.tls {
            None => self.send_and_read(tcp, request).await,
            Some(tls) => self.send_and_read(self.shake_hands(tcp, tls).await?, request).await,
        }
    }

    async fn connect(&self) -> Result<TcpStream, Trouble> {
        TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|e| {
            Trouble::new(
                format!("{}: can't connect: {}", self.visible_address(), visible_text(&e.to_string())),
                "check the address and that the server runs",
            )
        })
    }

    async fn shake_hands(
        &self,
        tcp: TcpStream,
        (connector, settings): &(SslConnector, Tls),
    ) -> Result<SslStream<TcpStream>, Trouble> {
        let failed = |t: Trouble| {
            let named = Trouble::new(format!("{}: TLS failed: {}", self.visible_address(), t.what), t.advice);
            Trouble { lasting: t.lasting, cause: t.cause, ..named }
        };
        tls::shake_hands(tcp, connector, settings, &self.host).await.map_err(failed)
    }

    async fn send_and_read<S>(&self, stream: S, request: HttpRequest<'_>) -> Result<HttpResponse, Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |e: hyper::Error| {
            let what = format!("{}: the exchange broke off: {}", self.visible_address(), visible_text(&e.to_string()));
            Trouble::new(
                what,
                "check that the port speaks HTTP without TLS (else write https://), and the server's log",
            )
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // hyper's connection makes no progress by itself: somebody has to drive it until the body is read.
        let driver = ConnectionTask(tokio::spawn(async move {
            // what breaks it is told to the sender
            let _ = connection.await;
        }));
        let most = request.most;
        let sent = sender.send_request(self.build_request(request)?).await.map_err(broken)?;
        let status = sent.status().as_u16();
        if !(200..300).contains(&status) {
            // Not its path: of a webhook that is a secret.
            tracing::info!(address = %self.visible_address(), status, "HTTP refused");
        }
        let retry_after = sent.headers().get("retry-after").and_then(|v| v.to_str().ok());
        // A date (RFC 9110 allows one) would need the other machine's clock: the usual pause holds then.
        let retry_after_s = retry_after.and_then(|v| v.trim().parse().ok());
        let unreadable = |why: &str| {
            Trouble::new(
                format!("{}: the answer can't be read: {}", self.visible_address(), visible_text(why)),
                "ask for less",
            )
        };
        let body = match most {
            // it was taken: whether more comes of the answer changes nothing
            Some(_) if (200..300).contains(&status) => Vec::new(),
            // Of a refusal only what a message shows: it may be a page of HTML.
            Some(most) => read_beginning(sent.into_body(), most).await,
            // Counted as it comes: the length that is announced need not be true.
            None => match Limited::new(sent.into_body(), MAX_ANSWER).collect().await {
                Ok(body) => body.to_bytes().to_vec(),
                Err(e) if e.is::<LengthLimitError>() => return Err(unreadable("it is larger than 8 MiB")),
                Err(e) => return Err(unreadable(&e.to_string())),
            },
        };
        // Not before: without its driver the body would end in the middle.
        drop(driver);
        Ok(HttpResponse { status, body, retry_after_s })
    }

    fn build_request(&self, request: HttpRequest<'_>) -> Result<hyper::Request<Full<Bytes>>, Trouble> {
        let mut builder = hyper::Request::builder()
            // Path and query alone, and `Host` by hand: this client adds nothing, and HTTP/1.1 asks for it (RFC 9112).
            .uri(format!("{}{}", self.base, request.path))
            .header("host", &self.authority)
            .header("user-agent", concat!("cutover/", env!("CARGO_PKG_VERSION")))
            .header("accept", "application/json");
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let request = match request.body {
            None => {
                let method = if request.delete { Method::DELETE } else { Method::GET };
                builder.method(method).body(Full::default())
            }
            Some((kind, body)) => {
                let method = if request.put { Method::PUT } else { Method::POST };
                builder.method(method).header("content-type", kind).body(Full::new(Bytes::from(body)))
            }
        };
        // Its own words are left out: they are about a value that may be a credential.
        request.map_err(|_| {
            Trouble::new(
                format!("{}: the request can't be made", self.visible_address()),
                "a credential holds characters that no HTTP header may have: look at its file or variable",
            )
        })
    }
}

/// The header that says who asks, if anybody in particular does; secrets are read now.
///
/// # Errors
/// A secret that can't be read, by name.
pub(crate) fn authorize_request(credentials: &Credentials) -> Result<Vec<(&'static str, String)>, Trouble> {
    Ok(match credentials {
        Credentials::None => Vec::new(),
        Credentials::Basic { username, password } => {
            let pair = format!("{username}:{}", password.resolve("password")?);
            vec![("authorization", format!("Basic {}", openssl::base64::encode_block(pair.as_bytes())))]
        }
        Credentials::Bearer(token) => vec![("authorization", format!("Bearer {}", token.resolve("bearer")?.trim()))],
    })
}

/// The first bytes of an answer whose status says what matters; one that breaks off is as long as it got.
async fn read_beginning(mut body: hyper::body::Incoming, most: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < most {
        let Some(Ok(frame)) = body.frame().await else { break };
        if let Some(data) = frame.data_ref() {
            read.extend_from_slice(&data[..data.len().min(most - read.len())]);
        }
    }
    read
}

/// Ends the connection's task with the request, also when it is given up.
struct ConnectionTask(tokio::task::JoinHandle<()>);

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn to_millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_secret_that_is_repeated_is_hidden_before_the_text_is_cut() {
        let token: String = (0..1_200).map(|i| char::from(b'a' + (i * 7 % 26) as u8)).collect();
        redact::learn_secret(&token);
        let body = format!("no such token: {token} (see the log)").into_bytes();
        let shown = HttpResponse { status: 403, body, retry_after_s: None }.visible_excerpt();
        assert!(!shown.contains(&token[..16]), "{shown}");
        assert!(shown.starts_with("no such token: ") && shown.ends_with("(see the log)"), "{shown}");
    }
}
