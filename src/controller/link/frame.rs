//! Frames: four bytes of length, big endian, then JSON.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A value as a frame's bytes, its length before it. Errors: it can't be written as JSON, or is beyond 4 GiB.
pub(super) fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, value)?;
    let length = u32::try_from(bytes.len() - 4).map_err(|_| io::Error::other("a frame beyond 4 GiB"))?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes)
}

/// Writes a value as one frame.
pub(super) async fn write(to: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    to.write_all(&encode(value)?).await?;
    to.flush().await
}

/// Reads one frame of at most `longest` bytes; `None` when the other end has closed between two frames. Not cancel
/// safe: a task of its own reads.
pub(super) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    longest: usize,
) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length).await {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > longest {
        return Err(io::Error::other(format!("a frame of {length} bytes, more than {longest}")));
    }
    // Memory is taken as the bytes come, not as the length claims.
    let mut bytes = Vec::with_capacity(length.min(1 << 20));
    let got = from.take(length as u64).read_to_end(&mut bytes).await?;
    if got < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_frame_comes_back_as_it_was_and_a_broken_one_is_an_error() {
        block(async {
            let mut bytes = encode(&vec!["a", "ü\n"]).unwrap();
            bytes.extend(encode(&7).unwrap());
            let mut from = bytes.as_slice();
            assert_eq!(read::<Vec<String>>(&mut from, 64).await.unwrap().unwrap(), ["a", "ü\n"]);
            assert_eq!(read::<u8>(&mut from, 64).await.unwrap(), Some(7));
            assert_eq!(read::<u8>(&mut from, 64).await.unwrap(), None, "closed between two frames");
            assert!(read::<Vec<String>>(&mut &bytes[..6], 64).await.is_err(), "closed inside a frame");
            assert!(read::<Vec<String>>(&mut bytes.as_slice(), 5).await.is_err(), "longer than is allowed");
            assert!(read::<u8>(&mut bytes.as_slice(), 64).await.is_err(), "something else");
        });
    }
}
