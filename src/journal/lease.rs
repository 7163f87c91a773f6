//! The lease: an exclusive `flock` on `JOURNAL.lock`, held by the live controller. The kernel lets go of it when the
//! process ends, however it ends, so nothing stale can stand in the way.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::trouble::READ_ONLY;
use crate::base::sanitise::{visible_name, visible_path};
use crate::base::{At, Person, Trouble};

/// Holder information larger than this is not ours, bytes.
const MAX_HOLDER: u64 = 4096;
/// How often a lock file that is replaced under us is opened again.
const REOPEN: usize = 5;
/// How often a lock that is held is looked at before somebody is said to hold it.
const LOOKS: usize = 100;

/// Who holds a journal: as it is, and made visible where it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseHolder {
    /// Login name, or `uid N`.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Process id on that host.
    pub pid: u32,
    /// Version of cutover.
    pub version: String,
    /// Since when.
    pub since: At,
}

impl LeaseHolder {
    /// This process.
    #[must_use]
    pub fn this_process(since: At) -> Self {
        let named = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let user = named("USER").or_else(|| named("LOGNAME"));
        let uid = || format!("uid {}", rustix::process::getuid().as_raw());
        Self {
            user: user.unwrap_or_else(uid),
            host: host_name(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since,
        }
    }

    /// `user@host`, the actor of what this process does, as it is: a name like any other.
    #[must_use]
    pub fn actor(&self) -> Person {
        Person::new(format!("{}@{}", self.user, self.host))
    }
}

impl fmt::Display for LeaseHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (pid {}, cutover {}",
            visible_name(self.actor().as_str()),
            self.pid,
            visible_name(&self.version)
        )?;
        match jiff::Timestamp::from_millisecond(self.since.0) {
            Ok(since) => write!(f, ", since {} UTC)", since.strftime("%Y-%m-%d %H:%M")),
            Err(_) => f.write_str(")"),
        }
    }
}

/// The host's name: Linux's own, elsewhere what the shell exports.
fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|n| n.trim().to_owned());
    let named = || std::env::var("HOSTNAME").or_else(|_| std::env::var("HOST")).ok();
    kernel.or_else(named).filter(|n| !n.is_empty()).unwrap_or_else(|| "unknown host".to_owned())
}

/// The lock, held as long as this lives.
#[derive(Debug)]
pub(super) struct Lease {
    file: File,
    path: PathBuf,
}

/// What an attempt to take a lease came to.
pub(super) enum Attempt {
    Taken(Lease),
    /// Someone else has it; `None` when they have not said who yet.
    Held(Option<LeaseHolder>),
}

/// The lock file of a journal.
pub(super) fn lock_path(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

impl Lease {
    /// Takes the lease of a journal, or says who has it.
    pub(super) fn take(journal: &Path, me: &LeaseHolder) -> Result<Attempt, Trouble> {
        let path = lock_path(journal);
        for _ in 0..REOPEN {
            let mut file = open_lock_file(&path)?;
            match lock_exclusively(&file) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Attempt::Held(read_holder(&mut file))),
                Err(e) => {
                    return Err(Trouble::new(
                        format!("can't lock {}: {e}", visible_path(&path)),
                        "the filesystem may not support locks: name a local file with the key `journal` under [migration]",
                    ));
                }
            }
            let mut lease = Lease { file, path: path.clone() };
            // someone may have removed the file between open and lock: then ours locks nothing
            if lease.check().is_err() {
                tracing::debug!(lock = %visible_path(&path), "the lock file was replaced: opened again");
                continue;
            }
            lease.sign(me).map_err(|e| {
                Trouble::new(
                    format!("can't write {}: {e}", visible_path(&path)),
                    "check the free space and permissions there",
                )
            })?;
            return Ok(Attempt::Taken(lease));
        }
        Err(Trouble::new(
            format!("{} is removed again and again by something else", visible_path(&path)),
            "find out what removes it: the lock file of a journal stays where it is",
        ))
    }

    fn sign(&mut self, me: &LeaseHolder) -> std::io::Result<()> {
        let text = serde_json::to_string(me).map_err(std::io::Error::other)?;
        // Emptied first: who looks meanwhile finds nobody named, and never a new name with the end of an old one.
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.flush()
    }

    /// Whether the lock file is still the one that is locked.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        let ours = self.file.metadata();
        let theirs = std::fs::metadata(&self.path);
        if let (Ok(ours), Ok(theirs)) = (ours, theirs)
            && (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())
        {
            return Ok(());
        }
        Err(Trouble::new(
            format!(
                "the lock file {} was removed or replaced: another controller may be at work",
                visible_path(&self.path)
            ),
            "stop every cutover on this journal, then start one again",
        ))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        tracing::debug!(lock = %visible_path(&self.path), "lease given back");
        // an orderly end leaves no name behind; the lock itself goes with the file
        // Before the lock is let go: afterwards this would wipe out the next holder's name.
        let _ = self.file.set_len(0);
        // Said, and not left to the file's end: a command that another thread is just starting has a copy of the file until it
        // runs (fork, then exec), and the lock would last as long.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

fn open_lock_file(path: &Path) -> Result<File, Trouble> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(|e| {
        let advice = match e.kind() {
            std::io::ErrorKind::ReadOnlyFilesystem => READ_ONLY,
            _ => "start with --read-only to look only, or ask the journal's owner for access",
        };
        Trouble::new(format!("can't open the lock file {}: {e}", visible_path(path)), advice)
    })
}

/// The exclusive lock. A few looks, because one that is held for microseconds only is nobody's lease: [`find_holder`] takes it to
/// see whether it can.
fn lock_exclusively(file: &File) -> rustix::io::Result<()> {
    for _ in 1..LOOKS {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::yield_now(),
            other => return other,
        }
    }
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// Who holds the lease of a journal now, as written in its lock file; `None` when nobody has said so.
pub(super) fn find_holder(journal: &Path) -> Option<LeaseHolder> {
    let mut file = File::open(lock_path(journal)).ok()?;
    // Shared, so that two who look at the same time don't take each other for the holder.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        // nobody has it: what is written there is from someone who was killed
        Ok(()) => {
            let _ = flock(&file, FlockOperation::Unlock);
            None
        }
        Err(_) => read_holder(&mut file),
    }
}

fn read_holder(file: &mut File) -> Option<LeaseHolder> {
    let mut text = String::new();
    file.take(MAX_HOLDER).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
