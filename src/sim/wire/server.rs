//! Listeners, connections, frames.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::{ConnectionContext, MAX_CONNECTIONS, MAX_FRAME, SharedCluster, dispatch};

/// Tries to take a port again when a broker is revived, 50 ms apart.
const REBIND_TRIES: u32 = 100;

/// Binds a broker's listener on loopback; port 0 takes any.
///
/// # Errors
/// The address is in use, or the machine has no ports left.
pub(crate) fn bind_listener(port: u16) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves one broker until the runtime ends: accepts while it lives, refuses while it is dead.
pub(crate) async fn run_broker(shared: Arc<SharedCluster>, broker: i32, listener: std::net::TcpListener) {
    let Ok(port) = listener.local_addr().map(|a| a.port()) else { return };
    let mut listener = TcpListener::from_std(listener).ok();
    let mut changed = shared.watch();
    let alive = watch::Sender::new(true);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let lives = shared.with_state(|s, _| s.brokers.get(&broker).is_some_and(|b| b.alive));
        if !lives {
            // Closed, so that clients are refused and not left to wait.
            listener = None;
            alive.send_replace(false);
            if changed.changed().await.is_err() {
                return;
            }
            continue;
        }
        if listener.is_none() {
            listener = rebind_port(port).await;
            alive.send_replace(true);
        }
        // Its port has become somebody else's: this broker stays dead.
        let Some(open) = &listener else { return };
        tokio::select! {
            accepted = open.accept() => if let Ok((stream, peer)) = accepted {
                let Ok(place) = places.clone().try_acquire_owned() else { continue };
                let (shared, mut alive) = (shared.clone(), alive.subscribe());
                tokio::spawn(async move {
                    tokio::select! {
                        // a malformed frame, a cut, or the client closing: this connection only
                        _ = serve_connection(&shared, broker, stream, peer) => {}
                        _ = alive.wait_for(|a| !a) => {}
                    }
                    drop(place);
                });
            },
            _ = changed.changed() => {}
        }
    }
}

async fn rebind_port(port: u16) -> Option<TcpListener> {
    for _ in 0..REBIND_TRIES {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return Some(listener);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

async fn serve_connection(
    shared: &SharedCluster,
    broker: i32,
    mut stream: TcpStream,
    peer: SocketAddr,
) -> io::Result<()> {
    // Answers are small, and each is waited for.
    stream.set_nodelay(true)?;
    let mut context = ConnectionContext { shared, broker, client_id: String::new(), host: format!("/{}", peer.ip()) };
    while let Some(frame) = read_frame(&mut stream).await? {
        let answer = dispatch::answer_request(&mut context, frame).await;
        let Ok(answer) = answer else { return Ok(()) };
        let delay = shared.with_state(|s, _| s.faults.delay_ms.get(&broker).copied().unwrap_or(0));
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        if let Some(bytes) = answer {
            stream.write_all(&bytes).await?;
        }
    }
    Ok(())
}

/// The next frame without its length; `None` when the client closed between frames.
async fn read_frame(stream: &mut TcpStream) -> io::Result<Option<Bytes>> {
    let mut length = [0u8; 4];
    match stream.read_exact(&mut length).await {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    // memory follows what arrives, not what the length claims
    let mut frame = BytesMut::with_capacity(length.min(64 * 1024));
    let mut body = stream.take(length as u64);
    while frame.len() < length {
        if body.read_buf(&mut frame).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
    }
    Ok(Some(frame.freeze()))
}
