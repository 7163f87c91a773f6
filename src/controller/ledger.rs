//! The journal from inside the loop: every access on a blocking thread, every append durable before it returns.

use std::path::PathBuf;

use super::executor::WriteLease;
use super::run::{Options, Want};
use super::snapshot::Arming;
use crate::journal::{Holder, Journal, Opened, Reader, Room};
use crate::migration::estate::{At, Trouble};
use crate::migration::event::{Entry, Event};
use crate::migration::news::Told;
use crate::migration::watch::{Kept, Unsaved};
use crate::plan::Plan;

/// The journal as this session may use it.
pub(super) struct Ledger {
    store: Store,
    path: PathBuf,
    /// Number of the newest entry that was read or written here.
    last: u64,
    /// Entries that were only thought of, beside the session that holds the journal; `None` where they are written.
    rehearsed: Option<u64>,
}

enum Store {
    /// The lease is ours.
    Writer(Box<Journal>),
    /// Somebody else's, or only looked at.
    Reader(Box<Reader>),
    /// There is none (yet), or it can't be opened.
    None,
}

/// What opening came to.
pub(super) struct Access {
    pub ledger: Ledger,
    /// Everything in it, oldest first.
    pub entries: Vec<Entry>,
    /// What was kept of soaks.
    pub samples: Vec<Kept>,
    /// How far each target of notifications was told.
    pub told: Vec<Told>,
    /// What the session may do.
    pub arming: Arming,
    /// What a person should read about it.
    pub troubles: Vec<Trouble>,
    /// Why `entries` are not the whole truth, where they are not: the chain is broken, or nothing can be read.
    pub unsound: Option<Trouble>,
}

impl Ledger {
    /// Opens the plan's journal: to write if that is wanted and nobody holds it. A journal that can't be opened leaves
    /// a session that only looks, with the reason.
    pub async fn open(plan: &Plan, options: &Options, now: At) -> Access {
        let (path, want) = (plan.journal.clone(), options.want);
        let opened = tokio::task::spawn_blocking(move || open(path, want, now)).await;
        opened.unwrap_or_else(|e| {
            let broken = Trouble::new(format!("opening the journal broke off: {e}"), "this is a fault of cutover");
            Access::unusable(plan.journal.clone(), broken)
        })
    }

    /// Writes a fact. Errors: it could not be written; nothing may be done then.
    pub async fn append(&mut self, at: At, actor: String, event: Event) -> Result<Entry, Trouble> {
        if let Some(rehearsed) = &mut self.rehearsed {
            *rehearsed += 1;
            return Ok(Entry { seq: self.last + *rehearsed, at, actor, event });
        }
        let Store::Writer(mut journal) = std::mem::replace(&mut self.store, Store::None) else {
            return Err(Trouble::new("this session does not hold the journal", "use the session that holds it"));
        };
        let written = tokio::task::spawn_blocking(move || {
            let entry = journal.append(at, &actor, &event);
            (journal, entry)
        });
        let (journal, entry) = written
            .await
            .map_err(|e| Trouble::new(format!("writing the journal broke off: {e}"), "start cutover again"))?;
        self.store = Store::Writer(journal);
        let entry = entry?;
        self.last = entry.seq;
        Ok(entry)
    }

    /// Room for entries; a session that does not hold the journal needs none. Errors: the filesystem can't be asked or is
    /// read-only.
    pub async fn room(&mut self) -> Result<Option<Room>, Trouble> {
        let Store::Writer(mut journal) = std::mem::replace(&mut self.store, Store::None) else { return Ok(None) };
        let looked = tokio::task::spawn_blocking(move || {
            let room = journal.look_for_room();
            (journal, room)
        });
        let (journal, room) = looked
            .await
            .map_err(|e| Trouble::new(format!("looking for room broke off: {e}"), "start cutover again"))?;
        self.store = Store::Writer(journal);
        room.map(Some)
    }

    /// Keeps what changed in soaks' samples; a session that does not hold the journal keeps nothing. Errors: it could
    /// not be written; then a restart counts less, and nothing else is lost.
    pub async fn keep(&mut self, changes: Vec<Unsaved>) -> Result<(), Trouble> {
        self.beside(move |journal| journal.keep_samples(&changes)).await
    }

    /// Keeps how far targets of notifications were told, as [`Ledger::keep`] does. Errors: it could not be written; then
    /// a crash tells something twice.
    pub async fn keep_told(&mut self, told: Vec<Told>) -> Result<(), Trouble> {
        self.beside(move |journal| journal.keep_told(&told)).await
    }

    /// Writes something beside the chain; a session that does not hold the journal writes nothing.
    async fn beside(
        &mut self,
        write: impl FnOnce(&mut Journal) -> Result<(), Trouble> + Send + 'static,
    ) -> Result<(), Trouble> {
        let Store::Writer(mut journal) = std::mem::replace(&mut self.store, Store::None) else { return Ok(()) };
        let written = tokio::task::spawn_blocking(move || {
            let kept = write(&mut journal);
            (journal, kept)
        });
        let (journal, kept) = written
            .await
            .map_err(|e| Trouble::new(format!("writing beside the journal broke off: {e}"), "start cutover again"))?;
        self.store = Store::Writer(journal);
        kept
    }

    /// What somebody else has written since. Errors: it can't be read.
    pub async fn newer(&mut self) -> Result<Vec<Entry>, Trouble> {
        let (from, path) = (self.last + 1, self.path.clone());
        let store = std::mem::replace(&mut self.store, Store::None);
        let read = tokio::task::spawn_blocking(move || match store {
            Store::Writer(journal) => (Store::Writer(journal), Ok(Vec::new())),
            Store::Reader(reader) => {
                let entries = reader.entries(from);
                (Store::Reader(reader), entries)
            }
            // A journal that was not there may have been made since.
            Store::None if path.exists() => match Reader::open(&path) {
                Ok(reader) => {
                    let entries = reader.entries(from);
                    (Store::Reader(Box::new(reader)), entries)
                }
                Err(trouble) => (Store::None, Err(trouble)),
            },
            Store::None => (Store::None, Ok(Vec::new())),
        });
        let (store, entries) = read
            .await
            .map_err(|e| Trouble::new(format!("reading the journal broke off: {e}"), "start cutover again"))?;
        self.store = store;
        let entries = entries?;
        self.last = entries.last().map_or(self.last, |e| e.seq);
        Ok(entries)
    }

    /// Whether this is a dry run beside the session that holds the journal: it writes nothing, and what that session does
    /// meanwhile is not taken in.
    pub fn rehearses(&self) -> bool {
        self.rehearsed.is_some()
    }

    /// What the live executor can't be made without: `None` unless this session holds the journal.
    pub fn lease(&self) -> Option<WriteLease> {
        matches!(self.store, Store::Writer(_)).then(WriteLease::of_the_holder)
    }

    /// Closes it, on a blocking thread.
    pub async fn close(&mut self) {
        let store = std::mem::replace(&mut self.store, Store::None);
        let _ = tokio::task::spawn_blocking(move || drop(store)).await; // dropping a file can't fail it
    }
}

impl Access {
    /// A journal that can't be read: nothing is known of what was done.
    fn unusable(path: PathBuf, trouble: Trouble) -> Self {
        let arming = Arming::ReadOnly { why: trouble.what.clone() };
        let (troubles, unsound) = (vec![trouble.clone()], Some(trouble));
        Self { arming, troubles, unsound, ..Self::empty(path) }
    }

    /// A journal that is not there.
    fn empty(path: PathBuf) -> Self {
        let ledger = Ledger { store: Store::None, path, last: 0, rehearsed: None };
        let (entries, samples, told, troubles) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { ledger, entries, samples, told, arming: super::core::asked_for(), troubles, unsound: None }
    }
}

fn open(path: PathBuf, want: Want, now: At) -> Access {
    let opened = match want {
        Want::ReadOnly if !path.exists() => return Access::empty(path),
        Want::ReadOnly => Reader::open(&path).map(|r| (Store::Reader(Box::new(r)), super::core::asked_for())),
        Want::Armed | Want::DryRun => Journal::open(&path, &Holder::me(now)).map(|opened| match opened {
            Opened::Writer(journal) => {
                let arming = if want == Want::DryRun { Arming::DryRun } else { Arming::Armed };
                (Store::Writer(Box::new(journal)), arming)
            }
            Opened::ReadOnly { journal, holder } => {
                let who = holder.map_or_else(|| "another cutover".to_owned(), |h| h.to_string());
                let arming = match want {
                    // Nothing that a dry run does needs the lease: it must work beside the cockpit that one practises for.
                    Want::DryRun => Arming::DryRun,
                    Want::Armed | Want::ReadOnly => Arming::ReadOnly { why: format!("the journal is held by {who}") },
                };
                (Store::Reader(Box::new(journal)), arming)
            }
            Opened::Damaged { journal, why } => (Store::Reader(Box::new(journal)), Arming::ReadOnly { why: why.what }),
        }),
    };
    let (mut store, mut arming) = match opened {
        Err(trouble) => return Access::unusable(path, trouble),
        Ok(opened) => opened,
    };
    let dropped = match &mut store {
        Store::Writer(journal) => journal.drop_old_samples(now).err(),
        Store::Reader(_) | Store::None => None,
    };
    let reader: &Reader = match &store {
        Store::Writer(journal) => journal,
        Store::Reader(reader) => reader,
        Store::None => return Access::unusable(path, Trouble::new("there is no journal", "")),
    };
    let warning = |w| Trouble::new(w, "");
    let mut troubles: Vec<Trouble> = reader.warnings().into_iter().map(warning).chain(dropped).collect();
    // Without them a soak counts from now on: that is said, and no reason to stop.
    let samples = reader.samples().unwrap_or_else(|trouble| {
        troubles.push(trouble);
        Vec::new()
    });
    // Without this, targets are told only what happens from now on.
    let told = reader.told().unwrap_or_else(|trouble| {
        troubles.push(trouble);
        Vec::new()
    });
    let (entries, unsound) = match reader.sound_entries(1) {
        // The writer's file was looked through when it was opened.
        Ok((entries, None)) if matches!(store, Store::Reader(_)) => (entries, reader.check_file().err()),
        Ok(read) => read,
        Err(trouble) => (Vec::new(), Some(trouble)),
    };
    let last = entries.last().map_or(0, |e| e.seq);
    if let Some(why) = &unsound {
        // What can't be read whole must not be written on.
        if let Store::Writer(_) = store {
            store = Reader::open(&path).map_or(Store::None, |reader| Store::Reader(Box::new(reader)));
        }
        arming = Arming::ReadOnly { why: why.what.clone() };
        troubles.push(why.clone());
    }
    let rehearses = arming == Arming::DryRun && matches!(store, Store::Reader(_));
    let ledger = Ledger { store, path, last, rehearsed: rehearses.then_some(0) };
    Access { ledger, entries, samples, told, arming, troubles, unsound }
}
