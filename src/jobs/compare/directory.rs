//! A diff's directory: buckets that do not fit into memory, and the progress from which it can go on.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::DiffFailure;
use super::ground::DiffPreconditions;
use crate::base::Trouble;
use crate::base::sanitise::visible_path;
use crate::diff::{JoinState, TopicDiff};

const STATE: &str = "progress.json";
/// Bytes read from a bucket in one go: a multiple of an entry's 48.
const PIECE: usize = 48 * 2_048;
const ELSEWHERE: &str = "make room, or name another place with the key `dir` under [diff]";

/// What a diff needs to go on.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    /// Topics that are done.
    pub done: Vec<TopicDiff>,
    /// The one that was under way.
    pub topic: Option<SavedTopic>,
    /// Records and bytes read so far, and the time it took, ms.
    pub records: u64,
    pub bytes: u64,
    pub ms: u64,
}

/// A topic that was under way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedTopic {
    pub ground: DiffPreconditions,
    /// The next offset to read, by log and partition.
    pub next: [Vec<i64>; 2],
    pub join: JoinState,
    /// How long each bucket's file was; what is beyond was written after this was saved.
    lengths: Vec<u64>,
    /// The file with the records that waited.
    waiting: String,
}

/// The directory of one diff, locked: two of the same would spoil each other.
pub(super) struct DiffDirectory {
    dir: PathBuf,
    _lock: File,
    /// Whether the directory it is in was made for it.
    made: bool,
    lengths: Vec<u64>,
    saves: u64,
}

impl DiffDirectory {
    /// Makes the directory, for its owner alone. Errors: the disk, or the same diff is running already.
    pub fn open(dir: &Path, name: &str) -> Result<Self, DiffFailure> {
        // Asked before it is made: only what this diff made is taken away at its end.
        let made = !dir.exists();
        let dir = dir.join(name);
        let at = |e: std::io::Error| disk_failure("can't use the directory", &dir, &e);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(at)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join("lock"));
        let lock = lock.map_err(at)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            refused_failure(
                format!("the same diff is running already, in {}", visible_path(&dir)),
                "wait for it, or compare something else",
            )
        })?;
        Ok(Self { dir, _lock: lock, made, lengths: Vec::new(), saves: 0 })
    }

    /// What an earlier run left; errors when there is nothing to go on with.
    pub fn load(&mut self) -> Result<Saved, DiffFailure> {
        let path = self.dir.join(STATE);
        let text = std::fs::read(&path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => refused_failure(
                "there is nothing to resume: no such diff was broken off",
                "give the same topics and range as then, or leave out --resume",
            ),
            _ => disk_failure("can't read", &path, &e),
        })?;
        let saved: Saved = serde_json::from_slice(&text).map_err(|e| {
            refused_failure(
                format!("{} can't be understood: {e}", visible_path(&path)),
                "leave out --resume to start again",
            )
        })?;
        if let Some(topic) = &saved.topic {
            self.lengths.clone_from(&topic.lengths);
            for (bucket, length) in self.lengths.iter().enumerate() {
                let path = self.bucket_path(bucket);
                if path.exists() || *length > 0 {
                    let file = OpenOptions::new().write(true).open(&path);
                    // What is longer was written on after the last save, and comes again. What is shorter has lost
                    // records that the progress counts on.
                    let cut = file.and_then(|f| match f.metadata()?.len() < *length {
                        true => Err(std::io::Error::new(ErrorKind::UnexpectedEof, "it is shorter than it was")),
                        false => f.set_len(*length),
                    });
                    cut.map_err(|e| disk_failure("can't go on with", &path, &e))?;
                }
            }
        }
        Ok(saved)
    }

    /// The waiting records of a saved topic.
    pub(crate) fn read_waiting(&self, topic: &SavedTopic) -> Result<Vec<u8>, DiffFailure> {
        let path = self.dir.join(&topic.waiting);
        std::fs::read(&path).map_err(|e| disk_failure("can't read", &path, &e))
    }

    /// A new topic with so many buckets. Files of an earlier one are removed.
    pub(crate) fn begin_topic(&mut self, buckets: usize) -> Result<(), DiffFailure> {
        self.remove_files(&["bucket-", "waiting-"])?;
        self.lengths = vec![0; buckets];
        Ok(())
    }

    /// Appends to a bucket.
    pub fn append(&mut self, bucket: usize, bytes: &[u8]) -> Result<(), DiffFailure> {
        let path = self.bucket_path(bucket);
        // Opened for each piece: there may be 4,096 buckets, and a process often has no more than 1,024 open files.
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        file.and_then(|mut f| f.write_all(bytes)).map_err(|e| disk_failure("can't write", &path, &e))?;
        self.lengths[bucket] += bytes.len() as u64;
        Ok(())
    }

    /// Bytes of a bucket on disk.
    pub(crate) fn bucket_bytes(&self, bucket: usize) -> u64 {
        self.lengths.get(bucket).copied().unwrap_or(0)
    }

    /// Reads a bucket from its start, in pieces.
    pub(crate) fn read_bucket(&self, bucket: usize, take: &mut dyn FnMut(&[u8])) -> Result<(), DiffFailure> {
        let path = self.bucket_path(bucket);
        let at = |e: std::io::Error| disk_failure("can't read", &path, &e);
        let mut file = File::open(&path).map_err(at)?;
        let mut left = self.bucket_bytes(bucket);
        let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        while left > 0 {
            let now = PIECE.min(usize::try_from(left).unwrap_or(PIECE));
            file.read_exact(&mut piece[..now]).map_err(at)?;
            take(&piece[..now]);
            left -= now as u64;
        }
        Ok(())
    }

    /// Saves a topic that is under way; all its buckets have been appended before.
    pub fn save(
        &mut self,
        saved: &mut Saved,
        ground: &DiffPreconditions,
        next: &[Vec<i64>; 2],
        (join, waiting): (JoinState, Vec<u8>),
    ) -> Result<(), DiffFailure> {
        let before = saved.topic.as_ref().map(|t| t.waiting.clone());
        // Never over the file that the progress on disk names: until the new progress is in its place, a restart reads
        // that one. The count begins anew after a restart, so the name itself is looked at too.
        self.saves += 1;
        let mut name = format!("waiting-{}", self.saves % 2);
        if before.as_ref() == Some(&name) {
            self.saves += 1;
            name = format!("waiting-{}", self.saves % 2);
        }
        self.write_file(&name, &waiting)?;
        let lengths = self.lengths.clone();
        saved.topic = Some(SavedTopic { ground: ground.clone(), next: next.clone(), join, lengths, waiting: name });
        self.write_progress(saved)
    }

    /// A topic is done, and its buckets are of no more use.
    pub(crate) fn finish_topic(&mut self, saved: &Saved) -> Result<(), DiffFailure> {
        // First: a progress that still names buckets must not find them gone.
        self.write_progress(saved)?;
        for bucket in 0..std::mem::take(&mut self.lengths).len() {
            let _ = std::fs::remove_file(self.bucket_path(bucket)); // one that was never written
        }
        Ok(())
    }

    fn write_progress(&self, saved: &Saved) -> Result<(), DiffFailure> {
        let text = serde_json::to_vec(saved)
            .map_err(|e| refused_failure(format!("progress can't be written: {e}"), "report this as a bug"))?;
        let new = format!("{STATE}.new");
        self.write_file(&new, &text)?;
        let path = self.dir.join(STATE);
        std::fs::rename(self.dir.join(new), &path).map_err(|e| disk_failure("can't write", &path, &e))
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), DiffFailure> {
        let path = self.dir.join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut f| f.write_all(bytes)).map_err(|e| disk_failure("can't write", &path, &e))
    }

    /// Removes what an earlier run left.
    pub fn clear(&self) -> Result<(), DiffFailure> {
        self.remove_files(&["bucket-", "waiting-", STATE])
    }

    fn remove_files(&self, prefixes: &[&str]) -> Result<(), DiffFailure> {
        let at = |e: std::io::Error| disk_failure("can't clear", &self.dir, &e);
        for entry in std::fs::read_dir(&self.dir).map_err(at)? {
            let entry = entry.map_err(at)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                std::fs::remove_file(entry.path()).map_err(at)?;
            }
        }
        Ok(())
    }

    /// The diff is done: nothing of it stays.
    pub fn remove(self) {
        if let Err(e) = std::fs::remove_dir_all(&self.dir) {
            tracing::warn!("{} stays behind: {e}", visible_path(&self.dir));
        }
        if self.made {
            let _ = self.dir.parent().map(std::fs::remove_dir); // unless another diff is in it by now
        }
    }

    fn bucket_path(&self, bucket: usize) -> PathBuf {
        self.dir.join(format!("bucket-{bucket}"))
    }
}

fn refused_failure(what: impl Into<String>, advice: &str) -> DiffFailure {
    DiffFailure::Failed(Trouble::new(what, advice))
}

fn disk_failure(what: &str, path: &Path, e: &std::io::Error) -> DiffFailure {
    tracing::warn!(what, path = %visible_path(path), error = %e, "the diff's directory");
    DiffFailure::Failed(Trouble::new(format!("{what} {}: {e}", visible_path(path)), ELSEWHERE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_diff_of_its_own_and_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let mut place = DiffDirectory::open(&dir.path().join("diff"), "abc").unwrap();
        let again = DiffDirectory::open(&dir.path().join("diff"), "abc").err().expect("it is locked");
        assert!(again.trouble().what.starts_with("the same diff is running already"), "{again:?}");
        assert!(place.load().unwrap_err().trouble().what.contains("nothing to resume"));
        place.begin_topic(2).unwrap();
        place.append(1, &[7; 96]).unwrap();
        let mode = |name: &str| std::fs::metadata(place.dir.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("bucket-1"), place.bucket_bytes(0), place.bucket_bytes(1)), (0o700, 0o600, 0, 96));
        let mut read = Vec::new();
        place.read_bucket(1, &mut |piece| read.extend_from_slice(piece)).unwrap();
        assert_eq!(read, [7; 96]);
        place.remove();
        assert!(!dir.path().join("diff").exists());
    }
}
