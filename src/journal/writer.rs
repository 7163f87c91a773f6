//! Writing a journal: append, one transaction each, durable before it returns.

use std::ops::Deref;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior};

use super::chain::{GENESIS, Hash, hash};
use super::lease::Lease;
use super::place;
use super::reader::{APPLICATION_ID, BUSY, Reader, SCHEMA};
use super::trouble::trouble;
use crate::migration::estate::{At, Trouble};
use crate::migration::event::{Entry, Event};

pub(super) const COLUMNS: &str = "seq, at, actor, event, prev, hash";

/// Entries are facts: SQLite itself refuses to change them.
const TABLES: &str = "
CREATE TABLE entries (
    seq   INTEGER PRIMARY KEY CHECK (seq > 0),
    at    INTEGER NOT NULL,
    actor TEXT NOT NULL,
    event TEXT NOT NULL,
    prev  BLOB NOT NULL,
    hash  BLOB NOT NULL
) STRICT;
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER entries_last BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
";

/// A journal that this process may write: it holds the lease. Reads as a [`Reader`].
#[derive(Debug)]
pub struct Journal {
    reader: Reader,
    lease: Lease,
    /// Number and hash of the last entry; `None` after a failed write, when only the file knows.
    last: Option<(u64, Hash)>,
}

impl Deref for Journal {
    type Target = Reader;
    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl Journal {
    pub(super) fn create_or_open(path: &Path, lease: Lease) -> Result<Self, Trouble> {
        place::create(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |e: rusqlite::Error| trouble(path, "open", &e);
        let conn = Connection::open_with_flags(path, flags).map_err(failed)?;
        conn.busy_timeout(BUSY).map_err(failed)?;
        let reader = Reader { conn, path: path.to_owned() };
        let known = reader.identify()?;
        let conn = &reader.conn;
        let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
        if mode != "wal" {
            return Err(Trouble::new(
                format!("the journal {} can't be put into WAL mode (it stays in {mode})", path.display()),
                "the filesystem may lack shared memory: name a local file with the key `journal` under [migration]",
            ));
        }
        conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;").map_err(failed)?;
        if !known {
            conn.execute_batch(&format!(
                "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA}; COMMIT;"
            ))
            .map_err(failed)?;
        }
        super::samples::prepare(conn).map_err(failed)?;
        super::told::prepare(conn).map_err(failed)?;
        let mut journal = Self { reader, lease, last: None };
        // the file's own entry in the directory must survive a power loss too
        sync_directory(path)?;
        let path = journal.reader.path.clone();
        let tx = journal.reader.conn.transaction().map_err(|e| trouble(&path, "read", &e))?;
        let last = last(&tx).map_err(|e| trouble(&path, "read", &e))?;
        drop(tx);
        journal.last = Some(last);
        Ok(journal)
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(super) fn conn_mut(&mut self) -> &mut Connection {
        &mut self.reader.conn
    }

    /// Writes one fact. It is on disk when this returns `Ok`. Blocks on the disk.
    ///
    /// # Errors
    /// It could not be written: disk full, lock file removed, written to by someone without the lease. After an error
    /// the entry may be in the file or not; the journal stays usable.
    pub fn append(&mut self, at: At, actor: &str, event: &Event) -> Result<Entry, Trouble> {
        let mut written = self.append_all(at, actor, std::slice::from_ref(event))?;
        written.pop().ok_or_else(|| Trouble::new("nothing was written to the journal", ""))
    }

    /// Writes several facts in one transaction: all of them, or none.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_all(&mut self, at: At, actor: &str, events: &[Event]) -> Result<Vec<Entry>, Trouble> {
        self.lease.check()?;
        let texts: Result<Vec<String>, _> = events.iter().map(serde_json::to_string).collect();
        let texts =
            texts.map_err(|e| Trouble::new(format!("an event can't be written as JSON: {e}"), "report this"))?;
        // until the commit is known to have succeeded, only the file knows where it ends
        let expected = self.last.take();
        let path = self.reader.path.clone();
        let failed = |e: rusqlite::Error| trouble(&path, "write to", &e);
        let tx = self.reader.conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let (mut seq, mut prev) = last(&tx).map_err(failed)?;
        if expected.is_some_and(|e| e != (seq, prev)) {
            return Err(Trouble::new(
                format!("the journal {} was written to by something that does not hold its lease", path.display()),
                "stop every cutover on this journal, then `cutover journal verify`",
            ));
        }
        let mut out = Vec::with_capacity(events.len());
        for (event, text) in events.iter().zip(&texts) {
            seq += 1;
            let next = hash(&prev, seq, at, actor, text);
            tx.prepare_cached(&format!("INSERT INTO entries ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"))
                .and_then(|mut insert| insert.execute((sql(seq), at.0, actor, text, prev, next)))
                .map_err(failed)?;
            prev = next;
            out.push(Entry { seq, at, actor: actor.to_owned(), event: event.clone() });
        }
        tx.commit().map_err(failed)?;
        self.last = Some((seq, prev));
        Ok(out)
    }
}

fn sql(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// Number and hash of the last entry in the file.
fn last(tx: &Transaction<'_>) -> rusqlite::Result<(u64, Hash)> {
    let row = tx
        .query_row("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Hash>(1)?))
        })
        .optional()?;
    Ok(row.map_or((0, GENESIS), |(seq, hash)| (u64::try_from(seq).unwrap_or(0), hash)))
}

fn sync_directory(path: &Path) -> Result<(), Trouble> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(|e| {
        Trouble::new(format!("can't sync the journal's directory {}: {e}", dir.display()), "check the disk there")
    })
}
