//! The hash chain: each entry's hash covers its content and the hash before it.

use sha2::{Digest as _, Sha256};

use crate::base::At;

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// What comes before the first entry.
pub(super) const GENESIS: Hash = [0; 32];

/// The hash of an entry. Every part has a fixed size or its length before it, so that no two entries encode alike.
pub(super) fn hash_entry(prev: &Hash, seq: u64, at: At, actor: &str, event: &str) -> Hash {
    let mut sha = Sha256::new();
    // What else may be hashed can't be taken for an entry; another layout would take another number.
    sha.update(b"cutover journal 1");
    sha.update(prev);
    sha.update(seq.to_be_bytes());
    sha.update(at.0.to_be_bytes());
    for part in [actor, event] {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part.as_bytes());
    }
    sha.finalize().into()
}

/// Lower-case hexadecimal.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts() {
        let base = hash_entry(&GENESIS, 1, At(5), "ab", "c");
        assert_eq!(base, hash_entry(&GENESIS, 1, At(5), "ab", "c"));
        for other in [
            hash_entry(&[1; 32], 1, At(5), "ab", "c"),
            hash_entry(&GENESIS, 2, At(5), "ab", "c"),
            hash_entry(&GENESIS, 1, At(6), "ab", "c"),
            hash_entry(&GENESIS, 1, At(5), "a", "bc"),
            hash_entry(&GENESIS, 1, At(5), "ab", "d"),
        ] {
            assert_ne!(base, other);
        }
        assert_eq!(to_hex(&[0, 0xab]), "00ab");
    }
}
