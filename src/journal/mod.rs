//! The journal: every fact of a migration in an SQLite file, chained by hashes, written by one controller at a time.
//!
//! - **Durable.** An append is one transaction with `synchronous=FULL`; it returns when the entry is on disk.
//!   The file is in WAL mode: there, FULL syncs at every commit, while in rollback-journal mode a power loss after the
//!   commit may still bring the old state back (SQLite: "EXTRA"); and readers never hold the controller up. WAL needs
//!   shared memory, so the journal must be on a local disk; network filesystems are refused.
//! - **Chained.** Each entry's SHA-256 covers its content and the hash before it. Entries are read along the chain only,
//!   and a journal whose chain is broken, at the end too (`JOURNAL.head` notes the last entry), is never written to:
//!   [`Reader::verify`] names the first entry that was changed, removed, inserted or cut off.
//! - **Room.** `JOURNAL.reserve` keeps room for the entries of what is under way when the disk fills up.
//! - **Samples.** What soaks measured lies beside the chain, bounded and thinned out, so that a restart goes on counting.
//! - **Told.** How far each target of notifications was told lies there too, so that a crash between a fact and its
//!   message loses none.
//! - **One writer.** A lease (`flock` on `JOURNAL.lock`) makes a second process read-only, and says who holds it.

mod chain;
mod head;
mod lease;
mod place;
mod reader;
mod reserve;
mod samples;
mod told;
mod trouble;
mod writer;

use std::path::Path;

pub use lease::LeaseHolder;
pub use reader::Reader;
pub(crate) use reserve::DiskRoom;
pub use writer::Journal;

use crate::base::Trouble;
use crate::base::sanitise::visible_path;
use lease::{Attempt, Lease};
use writer::OpenedToWrite;

/// A journal as it could be opened.
#[derive(Debug)]
pub enum Opened {
    /// The lease is ours.
    Writer(Journal),
    /// Someone else holds the lease: reading only.
    ReadOnly {
        /// The journal.
        journal: Reader,
        /// Who holds it; `None` when they have not signed yet.
        holder: Option<LeaseHolder>,
    },
    /// Its chain is broken: reading only, up to there.
    Damaged {
        /// The journal.
        journal: Reader,
        /// Where it breaks, and what to do.
        why: Trouble,
    },
}

impl Opened {
    /// What can be read either way.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        match self {
            Opened::Writer(journal) => journal,
            Opened::ReadOnly { journal, .. } | Opened::Damaged { journal, .. } => journal,
        }
    }
}

/// Whether a journal could be written now, or made where there is none; nothing is changed. `held`: another controller holds
/// it, and the room for a run's entries with it.
///
/// # Errors
/// Its filesystem takes no writes or has no room for a run's entries, or this user may not write there.
pub(crate) fn check_writable(path: &Path, held: bool) -> Result<(), Trouble> {
    reserve::check_writable(path, held)
}

/// Whether the filesystem of a journal takes no writes at all.
#[must_use]
pub(crate) fn is_read_only(path: &Path) -> bool {
    reserve::is_read_only(path)
}

impl Journal {
    /// Opens a journal to write, creating it and its directory (0600, 0700) if need be; read-only when another
    /// controller holds it. Blocks on the disk; never waits for the lease.
    ///
    /// # Errors
    /// The directory or file can't be made or opened, is on a network filesystem, is no journal, is damaged, or comes
    /// from a newer version.
    pub fn open(path: &Path, me: &LeaseHolder) -> Result<Opened, Trouble> {
        let path = place::prepare_path(path)?;
        let at = visible_path(&path);
        match Lease::take(&path, me)? {
            Attempt::Taken(lease) => Ok(match Journal::create_or_open(&path, lease)? {
                OpenedToWrite::Whole(journal) => {
                    tracing::info!(journal = %at, "lease taken");
                    Opened::Writer(journal)
                }
                OpenedToWrite::Damaged(journal, why) => {
                    tracing::error!(journal = %at, why = %why.what, "damaged: it is only read");
                    Opened::Damaged { journal, why }
                }
            }),
            Attempt::Held(holder) => {
                let holder_words = holder.as_ref().map(ToString::to_string).unwrap_or_default();
                tracing::info!(journal = %at, holder = %holder_words, "lease held by another");
                Ok(Opened::ReadOnly { journal: Reader::open(&path)?, holder })
            }
        }
    }
}

#[cfg(test)]
mod tests;
