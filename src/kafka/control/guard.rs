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
    /// Whether bytes that are no UTF-8 are put down as characters (see [`decode_stray`]).
    stray: bool,
}

impl Guarded {
    fn new(bytes: Bytes, clamp: bool) -> Self {
        Self { bytes, varint: (0, 0), clamp, stray: false }
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
        // Seven bits a byte, least significant first, into more than 32: a length that overflows is seen as too large.
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
        // Not 0: a huge length that is cut to 0 would pass for an empty array.
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
        if self.bytes.len() < size {
            return Err(NotEnoughBytesError);
        }
        let bytes = self.bytes.split_to(size);
        Ok(if self.stray { escape_stray(bytes) } else { bytes })
    }
}

/// Decodes one message and leaves the rest in `bytes`; `None` when it is malformed.
///
/// Flexible versions (`flexible`) have variable-length array lengths only, which the buffer checks as it goes.
/// In older versions an array length looks like any other 32-bit integer. So those are decoded twice: first
/// with every such integer cut to the bytes that remain (at least 1). A cut array length then runs out of bytes, because
/// each element takes at least two; so if that succeeds, no length was too large.
pub(super) fn decode<M: Decodable>(bytes: &mut Bytes, version: i16, flexible: bool) -> Option<M> {
    // On a copy, which costs a reference count: the bytes themselves are shared.
    if !flexible {
        M::decode(&mut Guarded::new(bytes.clone(), true), version).ok()?;
    }
    let mut guarded = Guarded::new(bytes.clone(), false);
    let message = M::decode(&mut guarded, version).ok()?;
    *bytes = guarded.bytes;
    Some(message)
}

/// As [`decode`], for a message of texts alone, some of which are no UTF-8: each byte that is none becomes a character of
/// private use, so that two ids stay two. (Apache Kafka sends none: Java replaces what it can't decode. One client of
/// another server must not hide every other group.)
pub(super) fn decode_stray<M: Decodable>(bytes: &mut Bytes, version: i16, flexible: bool) -> Option<M> {
    if !flexible {
        M::decode(&mut Guarded { stray: true, ..Guarded::new(bytes.clone(), true) }, version).ok()?;
    }
    let mut guarded = Guarded { stray: true, ..Guarded::new(bytes.clone(), false) };
    let message = M::decode(&mut guarded, version).ok()?;
    *bytes = guarded.bytes;
    Some(message)
}

/// The first of 256 characters that stand for bytes.
const STRAY: u32 = 0xf700;

/// Whether a text that was decoded holds bytes that were no UTF-8: it can't be sent back as it was.
pub(super) fn has_stray(text: &str) -> bool {
    text.chars().any(|c| (STRAY..STRAY + 0x100).contains(&u32::from(c)))
}

fn escape_stray(bytes: Bytes) -> Bytes {
    if std::str::from_utf8(&bytes).is_ok() {
        return bytes;
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(STRAY + u32::from(*byte))));
    }
    Bytes::from(out)
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
    fn one_id_that_is_no_utf8_hides_no_other_group() {
        for (version, flexible) in [(0, false), (5, true)] {
            let mut message = ListGroupsResponse::default();
            for id in ["loan-audit", "g~1", "g~2"] {
                let group = kafka_protocol::messages::list_groups_response::ListedGroup::default();
                message
                    .groups
                    .push(group.with_group_id(kafka_protocol::protocol::StrBytes::from_static_str(id).into()));
            }
            let mut frame = BytesMut::new();
            message.encode(&mut frame, version).unwrap();
            let mut raw = frame.to_vec();
            let mut stray = [0xff, 0x9b].into_iter();
            raw.iter_mut().filter(|b| **b == b'~').for_each(|b| *b = stray.next().unwrap());
            assert!(decode::<ListGroupsResponse>(&mut Bytes::from(raw.clone()), version, flexible).is_none());
            let mut frame = Bytes::from(raw);
            let groups = decode_stray::<ListGroupsResponse>(&mut frame, version, flexible).unwrap().groups;
            let ids: Vec<String> = groups.iter().map(|g| g.group_id.to_string()).collect();
            assert_eq!(ids, ["loan-audit", "g\u{f7ff}1", "g\u{f79b}2"]);
            assert!(!has_stray(&ids[0]) && has_stray(&ids[1]) && has_stray(&ids[2]) && frame.is_empty());
            assert_eq!(crate::base::sanitise::visible_name(&ids[1]), "g\\u{f7ff}1");
        }
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
