//! A set of offsets that stays small whether it holds three or a hundred million of them.

use std::collections::BTreeMap;

/// Offsets of one chunk.
const CHUNK: i64 = 1 << 16;
/// From this many on a chunk is a bitmap of 8 KiB.
const DENSE: usize = 4_096;

/// A set of offsets: at most about one bit an offset of the log, two bytes each where they are rare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OffsetSet {
    chunks: BTreeMap<i64, Chunk>,
    len: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Chunk {
    /// Sorted.
    Sparse(Vec<u16>),
    Dense(Vec<u64>),
}

impl OffsetSet {
    /// Adds an offset; false when it was there.
    pub fn insert(&mut self, offset: i64) -> bool {
        // Rounded down, so that the rest fits a u16 whatever the sign.
        let (high, low) = (offset.div_euclid(CHUNK), offset.rem_euclid(CHUNK) as u16);
        let chunk = self.chunks.entry(high).or_insert_with(|| Chunk::Sparse(Vec::new()));
        let new = chunk.insert(low);
        self.len += u64::from(new);
        new
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// All offsets, from the lowest.
    pub fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        self.chunks.iter().flat_map(|(high, chunk)| chunk.iter().map(move |low| high * CHUNK + i64::from(low)))
    }

    /// Ranges `[from, to)` of offsets that follow each other without a gap, from the lowest.
    pub fn ranges(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let mut offsets = self.iter().peekable();
        std::iter::from_fn(move || {
            let from = offsets.next()?;
            let mut to = from + 1;
            while offsets.next_if_eq(&to).is_some() {
                to += 1;
            }
            Some((from, to))
        })
    }
}

impl Chunk {
    fn insert(&mut self, low: u16) -> bool {
        match self {
            Chunk::Dense(words) => {
                let (word, bit) = (usize::from(low) / 64, 1_u64 << (low % 64));
                let new = words[word] & bit == 0;
                words[word] |= bit;
                new
            }
            Chunk::Sparse(lows) => {
                let Err(place) = lows.binary_search(&low) else { return false };
                lows.insert(place, low);
                if lows.len() >= DENSE {
                    let mut words = vec![0_u64; CHUNK as usize / 64];
                    lows.iter().for_each(|l| words[usize::from(*l) / 64] |= 1 << (l % 64));
                    *self = Chunk::Dense(words);
                }
                true
            }
        }
    }

    fn iter(&self) -> Box<dyn Iterator<Item = u16> + '_> {
        match self {
            Chunk::Sparse(lows) => Box::new(lows.iter().copied()),
            Chunk::Dense(words) => Box::new(words.iter().enumerate().flat_map(|(i, word)| {
                let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
                bits.map(move |bit| (i * 64) as u16 + bit)
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_is_a_set_of_offsets_dense_or_sparse() {
        let mut set = OffsetSet::default();
        let mut truth = BTreeSet::new();
        let dense = 60_000..70_000;
        let sparse = (0..50).map(|n| n * 100_003);
        for offset in dense.chain(sparse).chain([i64::from(u32::MAX) * 9, 5, 5]) {
            assert_eq!(set.insert(offset), truth.insert(offset), "{offset}");
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), truth.iter().copied().collect::<Vec<_>>());
        assert_eq!(set.len(), truth.len() as u64);
        let ranges: Vec<_> = set.ranges().collect();
        assert_eq!(&ranges[..3], [(0, 1), (5, 6), (60_000, 70_000)]);
        assert_eq!(ranges.iter().map(|(a, b)| b - a).sum::<i64>(), truth.len() as i64);
    }
}
