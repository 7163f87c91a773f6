//! Room for the end of what has begun: a file of [`RESERVE`] bytes beside the journal. When the disk is full in the
//! middle of a run, it is given up, and the run's last entries go into its place; so a full disk stops the next run, not
//! the one under way.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use crate::migration::estate::Trouble;

/// Bytes that are kept free for entries of runs under way: some runs of thousands of partitions (the entries twice, in the
/// WAL and in the file).
pub(super) const RESERVE: u64 = 8 << 20;

/// The reserve of a journal that is open to write.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    held: bool,
}

/// How much room a journal has, as it was looked at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
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
        let mut reserve = Self { path: name.into(), held: false };
        reserve.take_again();
        reserve
    }

    /// Tries once more to take what was given up, or was never there.
    pub fn take_again(&mut self) {
        if self.held {
            return;
        }
        let taken = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.path);
        self.held = taken.is_ok_and(|file| fill(&file).is_ok());
        if !self.held {
            let _ = std::fs::remove_file(&self.path); // half a reserve takes the room that others need
        }
    }

    /// Gives it up, so that entries can take its place. Tells whether there was one.
    pub fn give_up(&mut self) -> bool {
        std::mem::take(&mut self.held) && std::fs::remove_file(&self.path).is_ok()
    }

    pub fn held(&self) -> bool {
        self.held
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Real blocks, not a hole.
fn fill(file: &File) -> std::io::Result<()> {
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
            file.sync_all()
        }
        Err(e) => Err(e.into()),
    }
}

/// Bytes free to this user where `path` lies. Errors: the filesystem can't be asked, or is mounted read-only.
pub(super) fn free_room(path: &Path) -> Result<u64, Trouble> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let at = dir.display();
    let asked = rustix::fs::statvfs(dir)
        .map_err(|e| Trouble::new(format!("can't ask how much room {at} has: {e}"), "check the disk there"))?;
    if asked.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Err(Trouble::new(
            format!("the filesystem of {at} is mounted read-only"),
            "a disk error may have caused it (see the system log); or name another place with the key `journal`",
        ));
    }
    Ok(asked.f_bavail.saturating_mul(asked.f_frsize))
}
