//! The journal from inside the loop: every access on a blocking thread, every append durable before it returns.

use std::path::{Path, PathBuf};

use super::clock::{Clock, Stopwatch};
use super::lease::WriteLease;
use super::options::{Options, Want};
use crate::base::{Actor, At, Trouble};
use crate::journal::{DiskRoom, Journal, LeaseHolder, Opened, Reader, is_read_only};
use crate::migration::facts::event::{Event, JournalEntry};
use crate::migration::soak::watch::{KeptSamples, UnsavedSeries};
use crate::migration::tell::notifications::DeliveryProgress;
use crate::plan::Plan;
use crate::snapshot::Arming;

/// How long a file that was found unsound is not looked through again, ms: all of it is read, and the loop waits for it.
const AGAIN_MS: u64 = 10_000;

/// The journal as this session may use it.
pub(crate) struct Ledger {
    store: Store,
    path: PathBuf,
    /// Number of the newest entry that was read or written here.
    last: u64,
    /// Entries that were only thought of, beside the session that holds the journal; `None` where they are written.
    rehearsed: Option<u64>,
    /// Opening found something wrong with the file, or could not read it, and it was not found sound since.
    doubted: bool,
    /// When a doubted file was last looked through, and what was found.
    looked: Option<(Stopwatch, Trouble)>,
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
pub(crate) struct Access {
    pub ledger: Ledger,
    /// Everything in it, oldest first.
    pub entries: Vec<JournalEntry>,
    /// What was kept of soaks.
    pub samples: Vec<KeptSamples>,
    /// How far each target of notifications was told.
    pub told: Vec<DeliveryProgress>,
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
        let opened = tokio::task::spawn_blocking(move || open_access(path, want, now)).await;
        opened.unwrap_or_else(|e| {
            let broken = Trouble::new(format!("opening the journal broke off: {e}"), "this is a fault of cutover");
            Access::unusable(plan.journal.clone(), broken)
        })
    }

    /// Writes a fact. Errors: it could not be written; nothing may be done then.
    pub async fn append(&mut self, at: At, actor: impl Into<Actor>, event: Event) -> Result<JournalEntry, Trouble> {
        let actor = actor.into();
        // Numbered in memory: to the machine they are entries like any other, and the holder's file never sees them.
        if let Some(rehearsed) = &mut self.rehearsed {
            *rehearsed += 1;
            return Ok(JournalEntry { seq: self.last + *rehearsed, at, actor, event });
        }
        let written = self.on_writer("writing the journal", move |journal| journal.append(at, actor, &event)).await?;
        let entry = written
            .ok_or_else(|| Trouble::new("this session does not hold the journal", "use the session that holds it"))?;
        self.last = entry.seq;
        Ok(entry)
    }

    /// Room for entries; a session that does not hold the journal needs none. Errors: the filesystem can't be asked or is
    /// read-only.
    pub async fn look_for_room(&mut self) -> Result<Option<DiskRoom>, Trouble> {
        self.on_writer("looking for room", Journal::look_for_room).await
    }

    /// Keeps what changed in soaks' samples; a session that does not hold the journal keeps nothing. Errors: it could
    /// not be written; then a restart counts less, and nothing else is lost.
    pub(crate) async fn keep_samples(&mut self, changes: Vec<UnsavedSeries>) -> Result<(), Trouble> {
        self.on_writer("writing beside the journal", move |journal| journal.keep_samples(&changes)).await.map(drop)
    }

    /// Keeps how far targets of notifications were told, as [`Ledger::keep_samples`] does. Errors: it could not be written; then
    /// a crash tells something twice.
    pub(crate) async fn keep_told(&mut self, told: Vec<DeliveryProgress>) -> Result<(), Trouble> {
        self.on_writer("writing beside the journal", move |journal| journal.keep_told(&told)).await.map(drop)
    }

    /// Works on the journal on a blocking thread; `None` where this session does not hold it. `what` names the work for the
    /// case that it breaks off: the journal is lost with it then.
    async fn on_writer<T: Send + 'static>(
        &mut self,
        what: &str,
        work: impl FnOnce(&mut Journal) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<Option<T>, Trouble> {
        // Taken out for as long as it is worked on. Work that panics leaves none behind, and without a journal nothing
        // is done any more in this session.
        let mut journal = match std::mem::replace(&mut self.store, Store::None) {
            Store::Writer(journal) => journal,
            other => {
                self.store = other;
                return Ok(None);
            }
        };
        let worked = tokio::task::spawn_blocking(move || {
            let done = work(&mut journal);
            (journal, done)
        });
        let (journal, done) =
            worked.await.map_err(|e| Trouble::new(format!("{what} broke off: {e}"), "start cutover again"))?;
        self.store = Store::Writer(journal);
        done.map(Some)
    }

    /// What somebody else has written since. Errors: it can't be read.
    pub(crate) async fn read_newer(&mut self) -> Result<Vec<JournalEntry>, Trouble> {
        if let Some((_, why)) = self.looked.as_ref().filter(|(looked, _)| looked.elapsed_ms() < AGAIN_MS) {
            return Err(why.clone());
        }
        let (from, path, doubted) = (self.last + 1, self.path.clone(), self.doubted);
        let store = std::mem::replace(&mut self.store, Store::None);
        let read = tokio::task::spawn_blocking(move || follow_journal(store, &path, from, doubted));
        let (store, entries) = read
            .await
            .map_err(|e| Trouble::new(format!("reading the journal broke off: {e}"), "start cutover again"))?;
        self.store = store;
        let whole = self.doubted && matches!(self.store, Store::Reader(_));
        if let Err(why) = &entries {
            tracing::warn!(from, why = %why.what, "the journal can't be followed");
        }
        // Only the look through a doubted file is that dear: any
        // other read that failed is tried again with the next round.
        self.looked = entries.as_ref().err().filter(|_| whole).map(|why| (Clock.stopwatch(), why.clone()));
        let entries = entries?;
        // Where there is no file nothing was found sound.
        self.doubted &= matches!(self.store, Store::None);
        self.last = entries.last().map_or(self.last, |e| e.seq);
        Ok(entries)
    }

    /// Whether what opening found wrong with the file still stands.
    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// Whether this is a dry run beside the session that holds the journal: it writes nothing, and what that session does
    /// meanwhile is not taken in.
    pub(crate) fn rehearses(&self) -> bool {
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
        let mut access = Self { arming, troubles, unsound, ..Self::empty(path) };
        access.ledger.doubted = true;
        access
    }

    /// A journal that is not there.
    fn empty(path: PathBuf) -> Self {
        let ledger = Ledger { store: Store::None, path, last: 0, rehearsed: None, doubted: false, looked: None };
        let (entries, samples, told, troubles) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { ledger, entries, samples, told, arming: super::options::read_only_as_asked(), troubles, unsound: None }
    }
}

/// What a session writes first: that it took the journal.
pub(crate) fn build_opened_event(plan: &Plan, options: &Options) -> Event {
    Event::Opened {
        actor: options.actor.to_string(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        clusters: [plan.clusters.blue.cluster_id.clone(), plan.clusters.green.cluster_id.clone()],
    }
}

fn open_access(path: PathBuf, want: Want, now: At) -> Access {
    if want == Want::ReadOnly && !path.exists() {
        return Access::empty(path);
    }
    let opened = open_as_wanted(&path, want, now);
    if let Err(trouble) = &opened {
        tracing::error!(why = %trouble.what, "the journal can't be opened as it is wanted");
    }
    let (mut store, mut arming, refused) = match opened {
        Ok((store, arming)) => (store, arming, None),
        // What can't be written can be read all the same: what is known of it stands, and nothing is done.
        Err(trouble) if want != Want::ReadOnly && path.exists() && is_read_only(&path) => match open_to_read(&path) {
            Ok(reader) => {
                let arming = Arming::ReadOnly { why: trouble.what.clone() };
                (Store::Reader(Box::new(reader)), arming, Some(trouble))
            }
            // Why it can't be written says more than that it can't be read either.
            Err(_) => return Access::unusable(path, trouble),
        },
        Err(trouble) => return Access::unusable(path, trouble),
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
    let mut troubles: Vec<Trouble> = reader.warnings().into_iter().map(warning).chain(dropped).chain(refused).collect();
    let (samples, told) = read_beside(reader, &mut troubles);
    let (entries, unsound) = read_entries(reader, matches!(store, Store::Writer(_)));
    let last = entries.last().map_or(0, |e| e.seq);
    if let Some(why) = &unsound {
        tracing::error!(last, why = %why.what, "the journal is not sound");
        // What can't be read whole must not be written on.
        if let Store::Writer(_) = store {
            store = Reader::open(&path).map_or(Store::None, |reader| Store::Reader(Box::new(reader)));
        }
        arming = Arming::ReadOnly { why: why.what.clone() };
        troubles.push(why.clone());
    }
    let rehearses = arming == Arming::DryRun && matches!(store, Store::Reader(_));
    let doubted = unsound.is_some();
    let ledger = Ledger { store, path, last, rehearsed: rehearses.then_some(0), doubted, looked: None };
    Access { ledger, entries, samples, told, arming, troubles, unsound }
}

fn open_as_wanted(path: &Path, want: Want, now: At) -> Result<(Store, Arming), Trouble> {
    match want {
        Want::ReadOnly => {
            open_to_read(path).map(|r| (Store::Reader(Box::new(r)), super::options::read_only_as_asked()))
        }
        Want::Armed | Want::DryRun => {
            Journal::open(path, &LeaseHolder::this_process(now)).map(|opened| arm_session(opened, want))
        }
    }
}

/// What a session that wants to write may do with what opening gave it.
fn arm_session(opened: Opened, want: Want) -> (Store, Arming) {
    match opened {
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
    }
}

/// What is kept beside the entries. What can't be read of it is left out and told: it is no reason to stop.
fn read_beside(reader: &Reader, troubles: &mut Vec<Trouble>) -> (Vec<KeptSamples>, Vec<DeliveryProgress>) {
    // Without them a soak counts from now on.
    let samples = reader.samples().unwrap_or_else(|trouble| {
        troubles.push(trouble);
        Vec::new()
    });
    // Without this, targets are told only what happens from now on.
    let told = reader.told().unwrap_or_else(|trouble| {
        troubles.push(trouble);
        Vec::new()
    });
    (samples, told)
}

/// The entries as far as they are sound, and why they are not the whole truth, where they are not.
fn read_entries(reader: &Reader, by_writer: bool) -> (Vec<JournalEntry>, Option<Trouble>) {
    match reader.sound_entries(1) {
        // The writer's file was looked through when it was opened.
        Ok((entries, None)) if !by_writer => (entries, reader.check_file().err()),
        Ok(read) => read,
        Err(trouble) => (Vec::new(), Some(trouble)),
    }
}

/// Opens a journal to read. One that is just being made is looked at twice: the marks that say what a file is are read one
/// after the other, so a first look may fall between them and take it for another program's.
fn open_to_read(path: &Path) -> Result<Reader, Trouble> {
    Reader::open(path).or_else(|_| Reader::open(path))
}

/// What was written from entry `from` on. A journal that was not there may have been made since. A doubted one is looked
/// through whole each time: what follows alone would not show again what opening found.
fn follow_journal(store: Store, path: &Path, from: u64, doubted: bool) -> (Store, Result<Vec<JournalEntry>, Trouble>) {
    let reader = match store {
        Store::Reader(reader) => reader,
        Store::None if path.exists() => match open_to_read(path) {
            Ok(reader) => Box::new(reader),
            Err(trouble) => return (Store::None, Err(trouble)),
        },
        other => return (other, Ok(Vec::new())),
    };
    let look = || {
        if !doubted {
            return reader.entries(from);
        }
        let all = reader.entries(1)?;
        reader.check_file()?;
        Ok(all.into_iter().filter(|e| e.seq >= from).collect())
    };
    // As in `open_to_read`: each look reads the marks again.
    let entries = look().or_else(|trouble| if from == 1 { look() } else { Err(trouble) });
    (Store::Reader(reader), entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::facts::command::Subject;

    /// A journal with one entry, closed again.
    fn journal(dir: &Path) -> PathBuf {
        let path = dir.join("x.journal");
        let Opened::Writer(mut journal) = Journal::open(&path, &LeaseHolder::this_process(At(0))).unwrap() else {
            panic!("held")
        };
        let event = Event::Noticed { subject: Subject::Migration, what: "one".into() };
        journal.append(At(1), "ann@bastion", &event).unwrap();
        path
    }

    #[tokio::test]
    async fn what_opening_found_wrong_stands_until_the_whole_file_is_sound() {
        let dir = tempfile::tempdir().unwrap();
        let path = journal(dir.path());
        let sql = |sql: &str| rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let rule = "SELECT sql FROM sqlite_schema WHERE name = 'entries_last'";
        let rule: String = rusqlite::Connection::open(&path).unwrap().query_row(rule, [], |row| row.get(0)).unwrap();
        // The chain does not see it, and what follows in the chain does not either.
        sql("DROP TRIGGER entries_last");
        let Access { mut ledger, entries, unsound, .. } = open_access(path.clone(), Want::ReadOnly, At(2));
        assert!(unsound.is_some_and(|why| why.what.contains("were changed")) && entries.len() == 1);
        for _ in 0..2 {
            assert!(
                ledger.read_newer().await.is_err_and(|why| why.what.contains("were changed")) && ledger.is_doubted()
            );
        }
        sql(&rule);
        assert!(ledger.read_newer().await.is_err(), "all of it is not read every second");
        ledger.looked = None; // that time has passed
        assert_eq!(ledger.read_newer().await, Ok(Vec::new()));
        assert!(!ledger.is_doubted(), "it was looked through whole");
    }

    #[tokio::test]
    async fn a_journal_that_could_not_be_opened_is_read_once_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (journal(dir.path()), dir.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        std::fs::write(&path, "this is no journal. ".repeat(500)).unwrap();
        let Access { mut ledger, entries, unsound, .. } = open_access(path.clone(), Want::ReadOnly, At(2));
        assert!(unsound.is_some() && entries.is_empty());
        assert!(ledger.read_newer().await.is_err() && ledger.is_doubted());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(ledger.read_newer().await, Ok(Vec::new()));
        assert!(ledger.is_doubted(), "that there is none proves nothing");
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(ledger.read_newer().await.map(|entries| entries.len()), Ok(1));
        assert!(!ledger.is_doubted());
        assert_eq!(ledger.look_for_room().await, Ok(None), "it is another session's");
        assert_eq!(ledger.read_newer().await, Ok(Vec::new()), "asking for room did not close it");
    }
}
