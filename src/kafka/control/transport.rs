//! Reaching a broker: name, TCP, TLS. Every failure says what it was and what to do.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use openssl::ssl::SslConnector;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::connection::{SetupStage, StageMark};
use super::failure::{Class, Failure};
use crate::base::Trouble;
use crate::kafka::properties::Tls;
use crate::net::tls;

/// A name may resolve to many addresses; more than this many are not tried.
const MAX_ADDRESSES: usize = 8;

/// A byte stream to a broker.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Where a broker is, and how to name it in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub host: String,
    pub port: u16,
    /// "blue broker 1 (host:9092)", clean for display.
    pub label: String,
    /// Of the addresses that the host has only this one.
    pub only: Option<SocketAddr>,
}

/// Opens a stream: every address of the host in turn, then TLS if asked for. `limit` bounds the whole. `stage` is told
/// when TLS begins.
pub(super) async fn dial(
    endpoint: &Endpoint,
    secure: Option<(&SslConnector, &Tls)>,
    limit: Duration,
    stage: &StageMark,
) -> Result<Box<dyn Stream>, Failure> {
    let addresses = match endpoint.only {
        Some(address) => vec![address],
        None => resolve_addresses(endpoint, limit).await?,
    };
    // An address that swallows packets (an IPv6 route that leads nowhere) must leave time for those after it.
    let each = limit / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut last = None;
    for address in addresses {
        let tcp = match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(error)) => {
                tracing::debug!(broker = %endpoint.label, %address, %error, "no TCP connection");
                last = Some(unreachable_failure(endpoint, address, &error));
                continue;
            }
            Err(_) => {
                tracing::debug!(broker = %endpoint.label, %address, ms = each.as_millis(), "no TCP connection in time");
                last = Some(silent_failure(endpoint, address, each));
                continue;
            }
        };
        let _ = tcp.set_nodelay(true); // an optimisation only
        // No further address is tried when TLS fails: somebody answered, and what is wrong there is the news.
        return match secure {
            None => Ok(Box::new(tcp)),
            Some((connector, settings)) => {
                let failed = |t: Trouble| {
                    tracing::warn!(broker = %endpoint.label, %address, why = %t.what, "TLS failed");
                    let what = format!("{}: TLS failed: {}", endpoint.label, t.what);
                    // No certificate becomes another one while somebody waits.
                    let trouble = Trouble { lasting: t.lasting, ..Trouble::new(what, t.advice) };
                    Failure::with_trouble(Class::Unreachable, trouble)
                };
                stage.enter(SetupStage::Tls);
                let stream = tls::shake_hands(tcp, connector, settings, &endpoint.host).await;
                // No time limit of its own: the setup of the whole connection has one around it.
                Ok(Box::new(stream.map_err(failed)?))
            }
        };
    }
    Err(last.unwrap_or_else(|| unresolved_failure(endpoint, "it has no addresses")))
}

/// The addresses of an endpoint's host, at most [`MAX_ADDRESSES`].
pub(super) async fn resolve_addresses(endpoint: &Endpoint, limit: Duration) -> Result<Vec<SocketAddr>, Failure> {
    match timeout(limit, lookup_host((endpoint.host.as_str(), endpoint.port))).await {
        Ok(Ok(found)) => Ok(found.take(MAX_ADDRESSES).collect()),
        Ok(Err(error)) => Err(unresolved_failure(endpoint, &error.to_string())),
        Err(_) => {
            Err(unresolved_failure(endpoint, &format!("the name server did not answer within {}", format_limit(limit))))
        }
    }
}

fn unresolved_failure(endpoint: &Endpoint, why: &str) -> Failure {
    Failure::nobody_there(
        format!("{}: the host name does not resolve: {}", endpoint.label, crate::base::sanitise::visible_text(why)),
        "check the spelling and this machine's DNS (`getent hosts NAME`), or add the host to /etc/hosts",
    )
}

fn silent_failure(endpoint: &Endpoint, address: SocketAddr, limit: Duration) -> Failure {
    Failure::nobody_there(
        format!("{}: no answer within {}", label_with_address(endpoint, address), format_limit(limit)),
        format!("check routes and firewalls from this machine: `nc -zv {} {}`", address.ip(), address.port()),
    )
}

fn unreachable_failure(endpoint: &Endpoint, address: SocketAddr, error: &Error) -> Failure {
    let (what, advice) = match error.kind() {
        ErrorKind::ConnectionRefused => (
            "refused the connection".to_owned(),
            "check the port, and that the broker runs and listens on this address",
        ),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => {
            (format!("is unreachable ({error})"), "check routes, VPN and firewalls from this machine")
        }
        ErrorKind::PermissionDenied => {
            ("may not be connected to from here".to_owned(), "a local firewall forbids it: have it opened")
        }
        _ => (format!("can't be connected to: {error}"), "check the address and the network"),
    };
    Failure::nobody_there(format!("{} {what}", label_with_address(endpoint, address)), advice)
}

/// The endpoint, with the address that its name resolved to unless it says so itself.
fn label_with_address(endpoint: &Endpoint, address: SocketAddr) -> String {
    match endpoint.host.parse::<std::net::IpAddr>() {
        Ok(_) => endpoint.label.clone(),
        Err(_) => format!("{} (at {address})", endpoint.label),
    }
}

/// `5 s`, `250 ms`.
pub(super) fn format_limit(limit: Duration) -> String {
    match limit.as_millis() {
        ms if ms >= 1000 && ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}
