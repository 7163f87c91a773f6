//! The head note: number and hash of the last entry, in `JOURNAL.head` beside the journal. A chain proves what stands
//! before an entry, never that nothing stood after it: a file that was cut off, a WAL that was lost, an older copy put
//! in its place are whole chains. The note is written after each append and lies in a file of its own, so that such a
//! loss contradicts it.
//!
//! It may lag behind (an older cutover wrote, the disk was full, the machine lost power): then it proves less. It can't
//! run ahead: an entry is on disk before it is noted.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::chain::{GENESIS, Hash, to_hex};
use super::reader::ChainBreak;
use crate::base::sanitise::visible_path;

/// Number and hash of an entry; 0 and [`GENESIS`] before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub seq: u64,
    pub hash: Hash,
}

impl Head {
    pub const NONE: Head = Head { seq: 0, hash: GENESIS };
}

/// What the note beside a journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// There is none: an earlier version, or a copy of the journal alone.
    Nothing,
    /// There is one, and it is none of ours or damaged.
    Unreadable,
    /// This entry was written.
    Head(Head),
}

/// The note's file, kept open by the one who writes.
#[derive(Debug)]
pub(super) struct HeadNote {
    file: Option<File>,
}

/// `JOURNAL.head`.
pub(super) fn note_path(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(".head");
    name.into()
}

/// One line of fixed width, so that it is replaced by one write in its place: number, hash, and a checksum of both (a
/// flipped bit in the note must not be taken for one in the journal).
fn note_line(head: &Head) -> String {
    let body = format!("{:020} {}", head.seq, to_hex(&head.hash));
    format!("{body} {:016x}\n", xxh3_64(body.as_bytes()))
}

/// Reads the note.
pub(super) fn read_note(journal: &Path) -> Noted {
    let text = match std::fs::read(note_path(journal)) {
        // What is no text reads as an empty one: unreadable, which is not the same as none.
        Ok(bytes) => String::from_utf8(bytes).unwrap_or_default(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Noted::Nothing,
        Err(_) => return Noted::Unreadable,
    };
    parse_note(&text).map_or(Noted::Unreadable, Noted::Head)
}

fn parse_note(text: &str) -> Option<Head> {
    let mut words = text.split_ascii_whitespace();
    let (seq, hash) = (words.next()?.parse().ok()?, words.next()?);
    if hash.len() != 64 || !hash.is_ascii() {
        return None;
    }
    let mut bytes = GENESIS;
    for (byte, digits) in bytes.iter_mut().zip(hash.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    let head = Head { seq, hash: bytes };
    // Whatever is not, byte for byte, what would be written here is damaged, also where its checksum is right.
    (note_line(&head) == text).then_some(head)
}

impl HeadNote {
    /// Opens the note to write, for its owner alone. Without one the journal still works: it proves less.
    pub fn open(journal: &Path) -> Self {
        // Not cut off when it is opened: until the first write the old note counts.
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(note_path(journal));
        if let Err(e) = &file {
            tracing::warn!(
                "{}: {e}; a journal that is cut off later will not be noticed",
                visible_path(&note_path(journal))
            );
        }
        Self { file: file.ok() }
    }

    /// Notes the last entry. What can't be noted costs proof later, nothing now.
    pub fn write(&self, head: &Head) {
        let Some(file) = &self.file else { return };
        let text = note_line(head);
        // Not synced: after a power loss an older note proves less, and nothing false.
        let written = file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64));
        if let Err(e) = written {
            tracing::warn!("the head note can't be written: {e}");
        }
    }
}

/// Holds a chain that was walked against the note: `end` is its last entry, `at_noted` the hash found at the noted number.
pub(super) fn check_against_note(noted: &Head, end: &Head, at_noted: Option<&Hash>) -> Result<(), ChainBreak> {
    if end.seq < noted.seq {
        let why = format!(
            "cut off: the note beside the journal (its name with .head) says that entry {} was written, and the last one \
             here is {}; if the journal was removed or put back on purpose, remove the note too",
            noted.seq, end.seq
        );
        return Err(ChainBreak { seq: end.seq + 1, why });
    }
    if at_noted.is_some_and(|hash| *hash != noted.hash) {
        let why = "not the entry that was written: the note beside the journal has another hash for it".to_owned();
        return Err(ChainBreak { seq: noted.seq, why });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_and_a_flipped_bit_in_it_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("x.journal");
        assert_eq!(read_note(&journal), Noted::Nothing);
        let note = HeadNote::open(&journal);
        assert_eq!(read_note(&journal), Noted::Unreadable, "made, and nothing noted yet");
        for seq in [u64::MAX, 1, 12] {
            let head = Head { seq, hash: [0xab; 32] };
            note.write(&head);
            assert_eq!(read_note(&journal), Noted::Head(head));
        }
        let whole = std::fs::read(note_path(&journal)).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(note_path(&journal), &bytes).unwrap();
            assert_eq!(read_note(&journal), Noted::Unreadable, "bit {bit}");
        }
    }
}
