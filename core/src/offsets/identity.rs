//! What makes a record on one cluster and a record on the other the same record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

/// A record's identity: a 128-bit hash (XXH3) over a length-prefixed encoding of what the rule names, so that
/// `("ab", "c")`, `("a", "bc")`, a null and an empty value all differ. It is not a cryptographic hash: it tells
/// records apart, it does not defend against someone who crafts collisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub u128);

impl Identity {
    /// The first 8 hexadecimal digits: enough for a person to compare two records on a screen.
    #[must_use]
    pub(crate) fn hex_prefix(self) -> String {
        format!("{:08x}", self.0 >> 96)
    }
}

/// Which part of a record is its identity. Headers other than the named one never are: tracing headers differ
/// between the two sends of one record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum IdentityRule {
    /// Key and value.
    #[default]
    Content,
    /// Key and value byte for byte, whatever schema registries say: for bytes that only look as if a registry's id stood
    /// in front of them.
    Bytes,
    /// The key alone: never gets a plan beyond BOUNDED, as many records share a key.
    Key,
    /// A header that carries a dual-write id. A record without it falls back to its content.
    Header(String),
}

/// A word that is not an identity rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("identity {0:?} is not one of: content, bytes, key, header:NAME")]
pub struct UnknownIdentityRule(pub String);

impl fmt::Display for IdentityRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityRule::Content => f.write_str("content"),
            IdentityRule::Bytes => f.write_str("bytes"),
            IdentityRule::Key => f.write_str("key"),
            IdentityRule::Header(name) => write!(f, "header:{name}"),
        }
    }
}

impl FromStr for IdentityRule {
    type Err = UnknownIdentityRule;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match (word, word.strip_prefix("header:")) {
            ("content", _) => Ok(IdentityRule::Content),
            ("bytes", _) => Ok(IdentityRule::Bytes),
            ("key", _) => Ok(IdentityRule::Key),
            (_, Some(name)) if !name.is_empty() => Ok(IdentityRule::Header(name.to_owned())),
            _ => Err(UnknownIdentityRule(word.to_owned())),
        }
    }
}

impl From<IdentityRule> for String {
    fn from(rule: IdentityRule) -> Self {
        rule.to_string()
    }
}

impl TryFrom<String> for IdentityRule {
    type Error = UnknownIdentityRule;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        word.parse()
    }
}

/// Maps a registry's schema id to an identity of the schema that is the same on both registries (a hash of the
/// canonical schema text, say). One map a cluster. Used for Confluent-framed keys and values: a zero byte, the
/// id in 4 big-endian bytes, the payload.
pub trait SchemaIds {
    /// The registry-independent identity of schema `id`; `None` when it is unknown, and the bytes are hashed as they are.
    fn canonical_id(&self, id: u32) -> Option<u128>;
}

/// No registry: framed payloads are hashed as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSchemas;

impl SchemaIds for NoSchemas {
    fn canonical_id(&self, _: u32) -> Option<u128> {
        None
    }
}

impl<F: Fn(u32) -> Option<u128>> SchemaIds for F {
    fn canonical_id(&self, id: u32) -> Option<u128> {
        self(id)
    }
}

/// The schema id in front of a key or a value, and what follows it, where it is framed as Confluent's serialisers do (a zero
/// byte, 4 bytes big-endian): or only looks so, as any other bytes may. No registry gives the id 0, and it is what a small
/// number of 8 bytes begins with.
#[must_use]
pub fn split_frame(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [0, a, b, c, d, payload @ ..] => match u32::from_be_bytes([*a, *b, *c, *d]) {
            0 => None,
            id => Some((id, payload)),
        },
        _ => None,
    }
}

/// Up to this many bytes are gathered on the stack and hashed in one go, which is several times faster than
/// the streaming state; longer records are streamed without a copy. All give the same hash.
const INLINE: usize = 1024;
/// The same for small records: zeroing the larger place costs as much as hashing them.
const SMALL: usize = 256;

const ABSENT: u8 = 0;
const RAW: u8 = 1;
const FRAMED: u8 = 2;

/// The identity of a record. `headers` are (name, value) in the record's order; only the last one of the rule's
/// name counts (as `Headers.lastHeader` has it).
pub fn identify_record<'a>(
    rule: &IdentityRule,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    schemas: &impl SchemaIds,
) -> Identity {
    match rule {
        IdentityRule::Content => content_identity(key, value, schemas),
        IdentityRule::Bytes => content_identity(key, value, &NoSchemas),
        // The rule's letter goes into the hash: the key "a" by one rule must not equal the header "a" by another.
        IdentityRule::Key => hash_fields(b'k', &[identity_field(key, schemas)]),
        IdentityRule::Header(name) => match headers.into_iter().filter(|(n, _)| n == name).last() {
            // A dual-write id is the producer's own: no registry frames it.
            Some((_, id)) => hash_fields(b'h', &[identity_field(id, &NoSchemas)]),
            None => content_identity(key, value, schemas),
        },
    }
}

/// A 64-bit hash of a key, null told apart from empty: what compaction goes by.
#[must_use]
pub fn key_hash(key: Option<&[u8]>) -> u64 {
    // Odd, and so never 0, which stands for no key.
    key.map_or(0, |k| xxh3_64(k) | 1)
}

fn content_identity(key: Option<&[u8]>, value: Option<&[u8]>, schemas: &impl SchemaIds) -> Identity {
    hash_fields(b'c', &[identity_field(key, schemas), identity_field(value, schemas)])
}

/// One field: a tag, the schema's identity when there is one, and the bytes.
struct IdentityField<'a> {
    tag: u8,
    schema: u128,
    bytes: &'a [u8],
}

fn identity_field<'a>(field: Option<&'a [u8]>, schemas: &impl SchemaIds) -> IdentityField<'a> {
    let Some(bytes) = field else { return IdentityField { tag: ABSENT, schema: 0, bytes: &[] } };
    if let Some((id, payload)) = split_frame(bytes)
        && let Some(schema) = schemas.canonical_id(id)
    {
        return IdentityField { tag: FRAMED, schema, bytes: payload };
    }
    IdentityField { tag: RAW, schema: 0, bytes }
}

impl IdentityField<'_> {
    /// Tag, schema identity and length: fixed width, so that no two encodings run into each other.
    fn encode_head(&self) -> [u8; 25] {
        let mut head = [0; 25];
        head[0] = self.tag;
        head[1..17].copy_from_slice(&self.schema.to_le_bytes());
        head[17..].copy_from_slice(&(self.bytes.len() as u64).to_le_bytes());
        head
    }
}

/// The hash of what fits into `N` bytes.
fn hash_gathered<const N: usize>(rule: u8, parts: &[IdentityField<'_>]) -> Identity {
    let mut buffer = [0u8; N];
    buffer[0] = rule;
    let mut filled = 1;
    for p in parts {
        for piece in [&p.encode_head()[..], p.bytes] {
            buffer[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        }
    }
    Identity(xxh3_128(&buffer[..filled]))
}

fn hash_fields(rule: u8, parts: &[IdentityField<'_>]) -> Identity {
    let total: usize = 1 + parts.iter().map(|p| 25 + p.bytes.len()).sum::<usize>();
    if total <= SMALL {
        return hash_gathered::<SMALL>(rule, parts);
    }
    if total <= INLINE {
        return hash_gathered::<INLINE>(rule, parts);
    }
    let mut state = Xxh3::new();
    state.update(&[rule]);
    for p in parts {
        state.update(&p.encode_head());
        state.update(p.bytes);
    }
    Identity(state.digest128())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Field = Option<&'static [u8]>;

    fn of(key: Field, value: Field) -> Identity {
        identify_record(&IdentityRule::Content, key, value, [], &NoSchemas)
    }

    #[test]
    fn null_empty_and_shifted_boundaries_all_differ() {
        let cases: [(Field, Field); 8] = [
            (None, None),
            (None, Some(b"")),
            (Some(b""), None),
            (Some(b""), Some(b"")),
            (Some(b"ab"), Some(b"c")),
            (Some(b"a"), Some(b"bc")),
            (Some(b"abc"), None),
            (None, Some(b"abc")),
        ];
        for (i, a) in cases.iter().enumerate() {
            for (j, b) in cases.iter().enumerate() {
                assert_eq!(of(a.0, a.1) == of(b.0, b.1), i == j, "{a:?} against {b:?}");
            }
        }
    }

    #[test]
    fn long_records_hash_the_same_way_as_short_ones() {
        for len in
            [SMALL - 53, SMALL - 52, SMALL - 51, INLINE - 60, INLINE - 53, INLINE - 52, INLINE - 51, INLINE, 10 << 20]
        {
            let value = vec![7u8; len];
            let streamed = {
                let (k, v) = (identity_field(Some(b"k"), &NoSchemas), identity_field(Some(&value), &NoSchemas));
                let mut flat = vec![b'c'];
                for p in [k, v] {
                    flat.extend_from_slice(&p.encode_head());
                    flat.extend_from_slice(p.bytes);
                }
                Identity(xxh3_128(&flat))
            };
            assert_eq!(
                identify_record(&IdentityRule::Content, Some(b"k"), Some(&value), [], &NoSchemas),
                streamed,
                "{len}"
            );
        }
    }

    #[test]
    fn headers_count_only_when_the_rule_names_one() {
        let trace = [("traceparent", Some(&b"1"[..]))];
        let other = [("traceparent", Some(&b"2"[..]))];
        let id = |rule: &IdentityRule, headers: [(&'static str, Field); 1], value: Field| {
            identify_record(rule, Some(b"k"), value, headers, &NoSchemas)
        };
        assert_eq!(id(&IdentityRule::Content, trace, Some(b"v")), id(&IdentityRule::Content, other, Some(b"v")));
        let dual = IdentityRule::Header("traceparent".into());
        assert_ne!(id(&dual, trace, Some(b"v")), id(&dual, other, Some(b"v")));
        assert_eq!(id(&dual, trace, Some(b"v")), id(&dual, trace, Some(b"w")));
        let absent = IdentityRule::Header("x-id".into());
        assert_eq!(id(&absent, trace, Some(b"v")), of(Some(b"k"), Some(b"v")));
        let twice = [("x-id", Some(&b"1"[..])), ("x-id", Some(&b"2"[..]))];
        let last = [("x-id", Some(&b"2"[..]))];
        assert_eq!(
            identify_record(&absent, None, None, twice, &NoSchemas),
            identify_record(&absent, None, None, last, &NoSchemas)
        );
    }

    #[test]
    fn framed_payloads_compare_across_registries() {
        let blue = |id: u32| (id == 7).then_some(42u128);
        let green = |id: u32| (id == 9).then_some(42u128);
        let id = |bytes: &[u8], map: &dyn Fn(u32) -> Option<u128>| {
            identify_record(&IdentityRule::Content, None, Some(bytes), [], &|i| map(i))
        };
        assert_eq!(id(&[0, 0, 0, 0, 7, 1, 2], &blue), id(&[0, 0, 0, 0, 9, 1, 2], &green));
        assert_ne!(id(&[0, 0, 0, 0, 7, 1, 2], &blue), id(&[0, 0, 0, 0, 9, 1, 3], &green));
        // an id the registry does not know, and bytes too short to be framed: hashed as they are
        assert_eq!(id(&[0, 0, 0, 0, 8, 1], &blue), id(&[0, 0, 0, 0, 8, 1], &green));
        assert_eq!(id(&[0, 0, 0], &blue), id(&[0, 0, 0], &green));
        assert_ne!(id(&[0, 0, 0, 0, 7], &blue), of(None, Some(b"")));
        // where a topic's bytes only look framed, no registry has a say
        let raw = |bytes: &[u8]| identify_record(&IdentityRule::Bytes, None, Some(bytes), [], &blue);
        assert_eq!(raw(&[0, 0, 0, 0, 7, 1, 2]), of(None, Some(&[0, 0, 0, 0, 7, 1, 2])));
    }

    /// One frame in a hundred is broken: cut short, without its magic byte, or with an id that no registry knows. Those
    /// are compared byte for byte, and never equal a good one.
    #[test]
    fn broken_frames_are_compared_as_they_are() {
        let blue = |id: u32| (id == 7).then_some(42u128);
        let green = |id: u32| (id == 9).then_some(42u128);
        let frame = |id: u8, n: u32, broken: bool| {
            let mut bytes = vec![0, 0, 0, 0, id];
            bytes.extend_from_slice(&n.to_be_bytes());
            match (broken, n / 100 % 3) {
                (false, _) => {}
                (true, 0) => bytes.truncate(4),
                (true, 1) => bytes[0] = 1,
                (true, _) => bytes[4] = 200,
            }
            bytes
        };
        let id = |bytes: &[u8], schemas: &dyn Fn(u32) -> Option<u128>| {
            identify_record(&IdentityRule::Content, Some(b"k"), Some(bytes), [], &|i| schemas(i))
        };
        for n in 0..3_000 {
            let broken = n % 100 == 0;
            let (ours, theirs) = (frame(7, n, broken), frame(9, n, broken));
            // as a producer of either side writes it; and the very same bytes on both sides
            assert_eq!(id(&ours, &blue) == id(&theirs, &green), !broken || ours == theirs, "{n}");
            if broken {
                assert_eq!(id(&ours, &blue), id(&ours, &green), "{n}");
                assert_ne!(id(&ours, &blue), id(&frame(7, n, false), &blue), "{n}");
            }
        }
    }

    #[test]
    fn rules_are_words() {
        for word in ["content", "bytes", "key", "header:x-dual-id"] {
            let rule: IdentityRule = word.parse().unwrap();
            assert_eq!(rule.to_string(), word);
            assert_eq!(serde_json::to_string(&rule).unwrap(), format!("\"{word}\""));
        }
        assert!("header:".parse::<IdentityRule>().is_err());
        assert!(serde_json::from_str::<IdentityRule>("\"hash\"").is_err());
    }
}
