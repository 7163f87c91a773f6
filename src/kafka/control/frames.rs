//! The two tasks of a connection: requests out, answers in, each frame with its length before it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::failure::{Class, Failure};
use super::transport::Stream;
use super::wire::{ConnectionState, NOT_KAFKA};
use crate::base::Trouble;

/// The largest answer that is accepted, bytes. The largest there is (committed offsets of a hundred groups) is far
/// below; a length above this is not Kafka.
const MAX_FRAME: usize = 64 << 20;
/// An answer's memory is taken as its bytes arrive, in pieces of this size, not when its length is announced.
const READ_PIECE: usize = 256 << 10;
/// Above this, several small requests are no longer joined into one write, bytes.
const WRITE_JOIN: usize = 64 << 10;

/// ` (reason)`, of an OpenSSL error only what the other side said.
fn describe_cause(error: &std::io::Error) -> String {
    let text = error.to_string();
    // OpenSSL's text is a list of codes and places: of its parts the alert alone is the other side's word.
    let alert = text.split(':').find(|part| part.contains("alert") && !part.contains("alert number"));
    format!(" ({})", crate::base::sanitise::visible_text(alert.unwrap_or(&text)))
}

/// Closes when a task ends in a way of its own: with the runtime, or by a panic.
struct CloseOnDrop(Arc<ConnectionState>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close(Class::Lost, "was let go of", "try again");
    }
}

pub(super) async fn write_frames(
    mut writer: WriteHalf<Box<dyn Stream>>,
    mut queue: mpsc::Receiver<Bytes>,
    shared: Arc<ConnectionState>,
) {
    let _tied = CloseOnDrop(Arc::clone(&shared));
    let writing = async {
        let mut joined = BytesMut::new();
        while let Some(frame) = queue.recv().await {
            joined.extend_from_slice(&frame);
            while joined.len() < WRITE_JOIN {
                let Ok(more) = queue.try_recv() else { break };
                joined.extend_from_slice(&more);
            }
            writer.write_all(&joined).await?;
            writer.flush().await?;
            joined.clear();
        }
        Ok::<_, std::io::Error>(())
    };
    tokio::select! {
        // Closed elsewhere: ending here lets go of the socket.
        () = shared.closed.notified() => {}
        written = writing => {
            if let Err(error) = written {
                // The reader sees the same and may know more (a TLS alert): it has the first word when it is quick.
                tokio::task::yield_now().await;
                shared.hung_up(&describe_cause(&error));
            }
        }
    }
}

pub(super) async fn read_frames(mut reader: ReadHalf<Box<dyn Stream>>, shared: Arc<ConnectionState>, limit: Duration) {
    let _tied = CloseOnDrop(Arc::clone(&shared));
    loop {
        match next_frame(&mut reader, &shared, limit).await {
            Ok(Some(frame)) => {
                shared.answers.fetch_add(1, Ordering::Relaxed);
                let id = i32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
                let waiter = match shared.waiting.lock().as_deref_mut() {
                    Ok(Ok(waiting)) => waiting.remove(&id),
                    _ => return,
                };
                let Some(waiter) = waiter else {
                    // From here on no answer can be told to belong to what was asked.
                    shared.close(
                        Class::Lost,
                        &format!("sent an answer (number {id}) that nobody asked for"),
                        NOT_KAFKA,
                    );
                    return;
                };
                let _ = waiter.answer.send(Ok(frame)); // the caller may have gone
            }
            Ok(None) => return, // closed, with its reason
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return shared.hung_up(""),
            Err(error) => return shared.hung_up(&describe_cause(&error)),
        }
    }
}

/// The next frame. Callers have time limits of their own, but may go away before they end: so a broker that owes an
/// answer and sends nothing for `limit` is found out here too.
async fn next_frame(
    reader: &mut ReadHalf<Box<dyn Stream>>,
    shared: &ConnectionState,
    limit: Duration,
) -> std::io::Result<Option<Bytes>> {
    let reading = read_frame(reader, shared);
    tokio::pin!(reading);
    loop {
        let owed = shared.first_owed();
        match timeout(limit, &mut reading).await {
            Ok(result) => return result,
            // The same request before and after: one that came in between has not waited so long.
            Err(_) if owed.is_some_and(|id| shared.owes_answer(id)) && !shared.gate.is_closed() => {
                shared.give_up(limit);
                return Ok(None);
            }
            Err(_) => {}
        }
    }
}

/// One frame without its length; `None` when the length is impossible and the connection was closed for it.
async fn read_frame(
    reader: &mut ReadHalf<Box<dyn Stream>>,
    shared: &ConnectionState,
) -> std::io::Result<Option<Bytes>> {
    let mut head = [0; 4];
    reader.read_exact(&mut head).await?;
    let length = usize::try_from(i32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if !(4..=MAX_FRAME).contains(&length) {
        let (what, advice) = match head {
            // A TLS record: an alert or a handshake, of version 3.x.
            [0x15 | 0x16, 0x03, ..] => (
                "answers in TLS".into(),
                "set `security.protocol` to SSL or SASL_SSL, or use the plaintext listener's port",
            ),
            [b'H', b'T', b'T', b'P'] => ("answers in HTTP: this is not a Kafka port".into(), "check the port"),
            _ => (format!("announced an answer of {} bytes", i32::from_be_bytes(head)), NOT_KAFKA),
        };
        // What speaks another protocol goes on doing so.
        let trouble = Trouble::new(format!("{} {what}", shared.label), advice);
        shared.close_for(Failure::with_trouble(
            Class::Lost,
            if advice == NOT_KAFKA { trouble } else { trouble.mark_lasting() },
        ));
        return Ok(None);
    }
    let mut frame = BytesMut::with_capacity(length.min(READ_PIECE));
    while frame.len() < length {
        let missing = length - frame.len();
        if frame.capacity() == frame.len() {
            // Doubled, so that a large answer is copied few times, and never more than is announced.
            frame.reserve(missing.min(READ_PIECE.max(frame.len())));
        }
        if reader.read_buf(&mut (&mut frame).limit(missing)).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(frame.freeze()))
}
