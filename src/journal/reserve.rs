//! Room for the end of what has begun: a file of [`RESERVE`] bytes beside the journal. When the disk is full in the
//! middle of a run, it is given up, and the run's last entries go into its place; so a full disk stops the next run, not
//! the one under way.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use super::head::note_path;
use super::lease::lock_path;
use super::trouble::READ_ONLY;
use crate::base::Trouble;
use crate::base::sanitise::visible_path;

/// Bytes that are kept free for entries of runs under way: some runs of thousands of partitions (the entries twice, in the
/// WAL and in the file).
pub(super) const RESERVE: u64 = 8 << 20;

/// The reserve of a journal that is open to write.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    held: Option<HeldReserve>,
}

/// A reserve as it was taken.
#[derive(Debug)]
struct HeldReserve {
    file: File,
    /// What it took on the disk (`st_blocks`).
    blocks: u64,
}

/// How much room a journal has, as it was looked at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskRoom {
    /// Bytes that are free to this user on the journal's filesystem.
    pub free: u64,
    /// The reserve is there: what is under way can be finished.
    pub reserved: bool,
}

impl Reserve {
    /// Takes the reserve, if there is room for it.
    pub fn take(journal: &Path) -> Self {
        let mut name = journal.as_os_str().to_owned();
        name.push(".reserve");
        let mut reserve = Self { path: name.into(), held: None };
        reserve.take_again();
        reserve
    }

    /// Looks whether it is still there, and tries once more to take what was given up, was never there, or was removed or
    /// cut short by somebody else meanwhile.
    pub(crate) fn take_again(&mut self) {
        if self.held.as_ref().is_some_and(|held| held.lies_at(&self.path)) {
            return;
        }
        // First: a file that was removed keeps its room for as long as it is open.
        self.held = None;
        let taken = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.path);
        let filled = taken.and_then(HeldReserve::fill);
        self.held = filled.inspect_err(|e| tracing::warn!(error = %e, "no room for the journal's reserve")).ok();
        if self.held.is_none() {
            let _ = std::fs::remove_file(&self.path); // half a reserve takes the room that others need
        }
    }

    /// Gives it up, so that entries can take its place. Tells whether there is room now that was not there before.
    pub(crate) fn give_up(&mut self) -> bool {
        let Some(held) = self.held.take() else { return false };
        // Its room is free when it is closed; if somebody removed it, by that alone.
        drop(held);
        match std::fs::remove_file(&self.path) {
            Ok(()) => true,
            Err(e) => e.kind() == std::io::ErrorKind::NotFound,
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }
}

impl HeldReserve {
    fn fill(file: File) -> std::io::Result<Self> {
        allocate_blocks(&file)?;
        let blocks = file.metadata()?.blocks();
        Ok(Self { file, blocks })
    }

    /// Whether this file, whole, is what lies there. Less on the disk than there was is a hole, which keeps no room.
    fn lies_at(&self, path: &Path) -> bool {
        let (Ok(own), Ok(found)) = (self.file.metadata(), std::fs::metadata(path)) else { return false };
        let same = (own.dev(), own.ino()) == (found.dev(), found.ino());
        same && found.len() >= RESERVE && found.blocks() >= self.blocks
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Real blocks, not a hole.
fn allocate_blocks(file: &File) -> std::io::Result<()> {
    let allocated = rustix::fs::fallocate(file, FallocateFlags::empty(), 0, RESERVE);
    match allocated {
        Ok(()) => Ok(()),
        // A filesystem without fallocate(2): written out.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            use std::io::Write as _;
            let (zeros, mut file) = ([0_u8; 64 << 10], file);
            for _ in 0..RESERVE / zeros.len() as u64 {
                file.write_all(&zeros)?;
            }
            // Where blocks are taken late, a full disk says so only now.
            file.sync_all()
        }
        Err(e) => Err(e.into()),
    }
}

/// Bytes free to this user where `path` lies. Errors: the filesystem can't be asked, or is mounted read-only.
pub(super) fn free_room(path: &Path) -> Result<u64, Trouble> {
    let dir = directory_of(path);
    let at = visible_path(dir);
    let asked = rustix::fs::statvfs(dir)
        .map_err(|e| Trouble::new(format!("can't ask how much room {at} has: {e}"), "check the disk there"))?;
    if asked.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY)
        || find_write_refusal(path).is_some_and(|e| is_erofs(&e))
    {
        return Err(Trouble::new(format!("{at}: Read-only file system"), READ_ONLY));
    }
    // Not `f_bfree`: that counts what is kept for root as well.
    Ok(asked.f_bavail.saturating_mul(asked.f_frsize))
}

/// Whether the filesystem of a journal takes no writes at all, as one that the kernel gave up after an error of the disk.
pub(super) fn is_read_only(journal: &Path) -> bool {
    let dir = directory_of(journal);
    rustix::fs::statvfs(dir).is_ok_and(|asked| asked.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
        || find_write_refusal(journal).is_some_and(|e| is_erofs(&e))
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_erofs(e: &std::io::Error) -> bool {
    e.kind() == std::io::ErrorKind::ReadOnlyFilesystem
}

/// Why the files of a journal can't be opened to write, if so; nothing is written. Those beside it stand for it: to close a
/// file lets go of every fcntl(2) lock that this process has on it, and SQLite's own on the journal are such.
fn find_write_refusal(journal: &Path) -> Option<std::io::Error> {
    [lock_path(journal), note_path(journal)].iter().find_map(|path| {
        let opened = OpenOptions::new().write(true).open(path);
        opened.err().filter(|e| e.kind() != std::io::ErrorKind::NotFound)
    })
}

/// Whether a journal could be written now, or made where there is none; nothing is changed.
///
/// # Errors
/// Its filesystem takes no writes or has no room for a run's entries, or this user may not write there.
pub(super) fn check_writable(journal: &Path, held: bool) -> Result<(), Trouble> {
    // Of one that is not there the nearest directory that is: the others are made with it.
    let lies = journal.ancestors().skip(1).find(|dir| dir.as_os_str().is_empty() || dir.exists());
    let dir = lies.filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Asked about the directory of what it is given; whether that file is there does not matter.
    let free = free_room(&dir.join("-"))?;
    let at = visible_path(journal);
    if is_read_only(journal) {
        return Err(Trouble::new(format!("{at}: Read-only file system"), READ_ONLY));
    }
    let access = "give this user access to it and to its directory";
    if let Some(e) = find_write_refusal(journal) {
        return Err(Trouble::new(format!("{at} can't be written: {e}"), access));
    }
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK)
        .map_err(|e| Trouble::new(format!("nothing can be made in {}: {e}", visible_path(dir)), access))?;
    // Who holds it has the room for a run already, as far as there was any.
    if free < RESERVE && !held {
        let what = format!("the disk of {at} is full ({} MiB free): no room for a run's entries", free >> 20);
        return Err(Trouble::new(what, "free at least 16 MiB there"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_that_somebody_took_away_is_taken_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::take(&dir.path().join("x.journal"));
        let path = dir.path().join("x.journal.reserve");
        let whole = || std::fs::metadata(&path).is_ok_and(|m| m.len() == RESERVE && m.blocks() * 512 >= RESERVE);
        assert!(reserve.is_held() && whole());
        let inode = std::fs::metadata(&path).unwrap().ino();
        reserve.take_again();
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode, "it is there: nothing is done");
        let cut = || OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
        let hollow = || {
            cut();
            OpenOptions::new().write(true).open(&path).unwrap().set_len(RESERVE).unwrap();
        };
        let removed = || std::fs::remove_file(&path).unwrap();
        let replaced = || {
            removed();
            std::fs::write(&path, "mine").unwrap();
        };
        let ways: [(&str, &dyn Fn()); 4] =
            [("removed", &removed), ("cut", &cut), ("a hole", &hollow), ("replaced", &replaced)];
        for (how, away) in ways {
            away();
            assert!(!whole(), "{how}");
            reserve.take_again();
            assert!(reserve.is_held() && whole(), "{how}: {:?}", std::fs::metadata(&path));
        }
        assert!(reserve.give_up() && !reserve.is_held() && !path.exists());
        assert!(!reserve.give_up(), "there is none any more");
        reserve.take_again();
        removed();
        assert!(reserve.give_up() && !reserve.is_held(), "an open file keeps its room, and is closed now");
    }
}
