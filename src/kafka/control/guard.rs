//! Decoding answers that may be malformed.
//!
//! The generated decoders reserve memory for an array before they read it, from a length they do not check:
//! four damaged bytes would abort the process. [`Guarded`] is a buffer that refuses lengths which the rest of
//! the frame can't hold, before anything is reserved.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::{ByteBuf, NotEnoughBytesError};

/// Room for a variable-length integer that is no length: tag numbers, which are tiny.
const SLACK: usize = 64;

/// A frame's bytes, read with suspicion.
struct Guarded {
    bytes: Bytes,
    /// The variable-length integer being read: its value so far and its width in bits.
    varint: (u64, u32),
    /// Whether 32-bit integers are cut down to the bytes that remain (see [`decode`]).
    clamp: bool,
}

impl Guarded {
    fn new(bytes: Bytes, clamp: bool) -> Self {
        Self { bytes, varint: (0, 0), clamp }
    }

    fn refuse(&self) -> TryGetError {
        TryGetError { requested: usize::MAX, available: self.bytes.len() }
    }
}

impl Buf for Guarded {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    /// Single bytes are booleans or parts of variable-length integers; those with a length too large end here.
    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.bytes.try_get_u8()?;
        let (value, width) = self.varint;
        let value = value | u64::from(byte & 0x7f) << width;
        // The decoder stops after five bytes whatever the fifth says.
        if byte & 0x80 != 0 && width < 28 {
            self.varint = (value, width + 7);
            return Ok(byte);
        }
        self.varint = (0, 0);
        if value > (self.bytes.len() + SLACK) as u64 { Err(self.refuse()) } else { Ok(byte) }
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        let value = self.bytes.try_get_i32()?;
        let most = i32::try_from(self.bytes.len().max(1)).unwrap_or(i32::MAX);
        Ok(if self.clamp { value.min(most) } else { value })
    }
}

impl ByteBuf for Guarded {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.bytes.split_to(size)
    }

    fn try_get_bytes(&mut self, size: usize) -> Result<Bytes, NotEnoughBytesError> {
        if self.bytes.len() < size { Err(NotEnoughBytesError) } else { Ok(self.bytes.split_to(size)) }
    }
}

/// Decodes one message and leaves the rest in `bytes`; `None` when it is malformed.
///
/// Flexible versions (`flexible`) have variable-length array lengths only, which the buffer checks as it goes.
/// In older versions an array length looks like any other 32-bit integer. So those are decoded twice: first
/// with every such integer cut to the bytes that remain (at least 1). A cut array length then runs out of bytes, because
/// each element takes at least two; so if that succeeds, no length was too large.
pub(super) fn decode<M: Decodable>(bytes: &mut Bytes, version: i16, flexible: bool) -> Option<M> {
    if !flexible {
        M::decode(&mut Guarded::new(bytes.clone(), true), version).ok()?;
    }
    let mut guarded = Guarded::new(bytes.clone(), false);
    let message = M::decode(&mut guarded, version).ok()?;
    *bytes = guarded.bytes;
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::messages::{ListGroupsResponse, MetadataResponse};
    use kafka_protocol::protocol::Encodable;

    #[test]
    fn huge_array_lengths_are_refused() {
        // ListGroups v0: error code, then an array of 2^31-1 groups in no bytes at all.
        let mut frame = BytesMut::new();
        frame.put_i16(0);
        frame.put_i32(i32::MAX);
        assert!(decode::<ListGroupsResponse>(&mut frame.freeze(), 0, false).is_none());
        // v3 (flexible): throttle time, error code, compact length of 2^32-1.
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        frame.put_i16(0);
        frame.put_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(decode::<ListGroupsResponse>(&mut frame.freeze(), 3, true).is_none());
    }

    #[test]
    fn integers_that_are_no_lengths_pass() {
        for version in 0..=13 {
            let mut message = MetadataResponse::default();
            let broker = kafka_protocol::messages::metadata_response::MetadataResponseBroker::default();
            message.brokers.push(broker.with_node_id(i32::MAX.into()).with_port(65_535));
            if version >= 1 {
                message.controller_id = i32::MAX.into();
            }
            let mut frame = BytesMut::new();
            message.encode(&mut frame, version).unwrap();
            let mut frame = frame.freeze();
            let decoded = decode::<MetadataResponse>(&mut frame, version, version >= 9);
            assert_eq!(decoded, Some(message), "version {version}");
            assert!(frame.is_empty());
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_abort(frame: Vec<u8>, version in 0i16..=13) {
            decode::<MetadataResponse>(&mut Bytes::from(frame.clone()), version, version >= 9);
            decode::<ListGroupsResponse>(&mut Bytes::from(frame), version.min(5), version >= 3);
        }
    }
}
