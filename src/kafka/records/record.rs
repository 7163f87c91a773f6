//! One record as a sink sees it.

use std::cell::Cell;

use rdkafka::Timestamp;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message, OwnedHeaders};

use crate::base::quiet;

/// One record, borrowed from librdkafka's buffer.
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    /// Offset.
    pub offset: i64,
    /// Timestamp in ms since the epoch; `None` for records of the oldest format, which have none.
    pub timestamp: Option<i64>,
    /// Key bytes; `None` is a null key.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Bytes of key and value.
    pub size: usize,
    /// Where the headers are: librdkafka takes them apart when they are first asked for, which costs as much as reading
    /// the record did.
    message: &'a BorrowedMessage<'a>,
    /// Set when a header's name could not be read: what the sink made of this record is worth nothing then.
    unnamed: &'a Cell<bool>,
}

impl<'a> RecordRef<'a> {
    pub(super) fn of(message: &'a BorrowedMessage<'_>, unnamed: &'a Cell<bool>) -> RecordRef<'a> {
        let (key, value) = (message.key(), message.payload());
        RecordRef {
            offset: message.offset(),
            timestamp: match message.timestamp() {
                Timestamp::NotAvailable => None,
                Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => Some(ms),
            },
            key,
            value,
            size: key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len),
            message,
            unnamed,
        }
    }

    /// Headers in order, names and values. Nothing is decoded before it is asked for. It ends early at a name that is
    /// not UTF-8; the read that gave this record then ends with an error.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let (message, unnamed) = (self.message, self.unnamed);
        // Outer `None`: not asked for yet. Inner: it has none, and is not asked again.
        let mut all: Option<Option<&'a BorrowedHeaders>> = None;
        let mut next = 0;
        std::iter::from_fn(move || {
            let headers = (*all.get_or_insert_with(|| message.headers()))?;
            if next == headers.count() {
                return None;
            }
            let header = read_header(unnamed, || headers.try_get(next))?;
            next += 1;
            Some((header.key, header.value))
        })
        // A name that can't be read does not move `next`: without the fuse the same one would be read again.
        .fuse()
    }

    /// All headers, copied byte for byte (names need not be text).
    pub(in crate::kafka) fn detached_headers(&self) -> Option<OwnedHeaders> {
        self.message.headers().map(BorrowedHeaders::detach)
    }

    /// The value of the last header of that name (as Kafka's own `lastHeader`); `None` when there is
    /// no such header or its value is null.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().filter(|(key, _)| *key == name).last()?.1
    }
}

/// Reads a header. rdkafka panics (0.39, `Headers::try_get`) at a name that is not UTF-8, which Kafka's protocol forbids
/// and brokers do not check.
fn read_header<T>(unnamed: &Cell<bool>, read: impl FnOnce() -> Option<T>) -> Option<T> {
    quiet::catch_panic(read).unwrap_or_else(|| {
        unnamed.set(true);
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_read_does_not_panic_and_is_remembered() {
        let unnamed = Cell::new(false);
        assert_eq!(read_header(&unnamed, || Some(1)), Some(1));
        assert!(!unnamed.get());
        let bad = vec![0xff];
        assert_eq!(read_header(&unnamed, || Some(std::str::from_utf8(&bad).unwrap().len())), None);
        assert!(unnamed.get());
    }
}
