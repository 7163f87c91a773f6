//! Writing a journal: append, one transaction each, durable before it returns.

use std::ops::Deref;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior};

use super::chain::{Hash, hash_entry};
use super::head::{Head, HeadNote};
use super::lease::Lease;
use super::place;
use super::reader::{APPLICATION_ID, BUSY, Reader, SCHEMA};
use super::reserve::{DiskRoom, Reserve, free_room};
use super::trouble::sqlite_trouble;
use crate::base::sanitise::visible_path;
use crate::base::{Actor, At, Trouble};
use crate::migration::facts::event::{Event, JournalEntry};

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
    note: HeadNote,
    reserve: Reserve,
    /// Number and hash of the last entry; `None` after a failed write, when only the file knows.
    last: Option<Head>,
}

/// What a journal that is to be written came to.
pub(super) enum OpenedToWrite {
    /// It is whole.
    Whole(Journal),
    /// Its chain is broken: it is not written to.
    Damaged(Reader, Trouble),
}

/// How SQLite is told to keep entries as they are, as it lies in a file.
pub(super) fn read_table_rules(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT type || ' ' || name || ': ' || sql FROM sqlite_schema WHERE tbl_name = 'entries' ORDER BY name";
    conn.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// The same as this version writes it.
pub(super) fn own_rules() -> rusqlite::Result<Vec<String>> {
    let conn = Connection::open_in_memory()?;
    conn.execute_batch(TABLES)?;
    read_table_rules(&conn)
}

impl Deref for Journal {
    type Target = Reader;
    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl Journal {
    /// Opens a journal to write. Nothing is written to a file that was there before its whole chain was walked, on every
    /// start: walking costs a fraction of reading the entries, which a start does anyway, and what was remembered of an
    /// earlier walk would not see a bit that has flipped since.
    pub(super) fn create_or_open(path: &Path, lease: Lease) -> Result<OpenedToWrite, Trouble> {
        place::create_file(path)?;
        // A look that writes nothing comes first: even to close a file that was open to write moves its WAL into it.
        let looked = Reader::open(path)?;
        if let Some(why) = looked.find_damage()? {
            return Ok(OpenedToWrite::Damaged(looked, why));
        }
        drop(looked);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |e: rusqlite::Error| sqlite_trouble(path, "open", &e);
        let conn = Connection::open_with_flags(path, flags).map_err(failed)?;
        conn.busy_timeout(BUSY).map_err(failed)?;
        let reader = Reader::from_connection(conn, path);
        let known = reader.identify()?;
        let conn = &reader.conn;
        // The pragma answers with the mode that is in force, and not with the one that was asked for.
        let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
        if mode != "wal" {
            return Err(Trouble::new(
                format!("the journal {} can't be put into WAL mode (it stays in {mode})", visible_path(path)),
                "the filesystem may lack shared memory: name a local file with the key `journal` under [migration]",
            ));
        }
        // A trigger or view that somebody put into the file must not
        // reach functions with side effects: its schema is not trusted.
        conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;").map_err(failed)?;
        if !known {
            // In one transaction with the marks: who is killed in between leaves
            // an empty file, and not one that looks like another program's.
            conn.execute_batch(&format!(
                "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA}; COMMIT;"
            ))
            .map_err(failed)?;
        }
        super::samples::create_table(conn).map_err(failed)?;
        super::told::create_table(conn).map_err(failed)?;
        // the file's own entry in the directory must survive a power loss too
        sync_directory(path)?;
        let mut journal = Self { reader, lease, note: HeadNote::open(path), reserve: Reserve::take(path), last: None };
        let tx = journal.reader.conn.transaction().map_err(|e| sqlite_trouble(path, "read", &e))?;
        let last = read_last_head(&tx).map_err(|e| sqlite_trouble(path, "read", &e))?;
        drop(tx);
        // What an earlier version wrote on without a note, or a full disk kept from being noted, is noted from here on.
        journal.note.write(&last);
        journal.last = Some(last);
        Ok(OpenedToWrite::Whole(journal))
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
    pub fn append(&mut self, at: At, actor: impl Into<Actor>, event: &Event) -> Result<JournalEntry, Trouble> {
        let mut written = self.append_all(at, actor, std::slice::from_ref(event))?;
        written.pop().ok_or_else(|| Trouble::new("nothing was written to the journal", ""))
    }

    /// Writes several facts in one transaction: all of them, or none.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub(crate) fn append_all(
        &mut self,
        at: At,
        actor: impl Into<Actor>,
        events: &[Event],
    ) -> Result<Vec<JournalEntry>, Trouble> {
        let actor = actor.into();
        // With each append: a lock file that was removed lets a second controller in.
        self.lease.check().inspect_err(|why| tracing::error!(why = %why.what, "lease lost"))?;
        let texts: Result<Vec<String>, _> = events.iter().map(serde_json::to_string).collect();
        let texts =
            texts.map_err(|e| Trouble::new(format!("an event can't be written as JSON: {e}"), "report this"))?;
        // until the commit is known to have succeeded, only the file knows where it ends
        let expected = self.last.take();
        let path = self.reader.path.clone();
        let failed = |e: rusqlite::Error| sqlite_trouble(&path, "write to", &e);
        let mut written = self.insert(at, &actor.text(), &texts, expected.as_ref());
        if let Err(Unwritten::Sqlite(e)) = &written
            && is_full(e)
            && self.reserve.give_up()
        {
            tracing::warn!("the disk is full: the journal's reserve is given up for what is under way");
            // Should the first attempt have reached the disk all the same, the
            // last entry is not the expected one, and nothing is written twice.
            written = self.insert(at, &actor.text(), &texts, expected.as_ref());
        }
        let last = match written {
            Ok(last) => last,
            Err(Unwritten::Sqlite(e)) => return Err(failed(e)),
            Err(Unwritten::Stranger) => {
                tracing::error!(journal = %visible_path(&path), "written to by something without the lease");
                return Err(Trouble::new(
                    format!(
                        "the journal {} was written to by something that does not hold its lease",
                        visible_path(&path)
                    ),
                    "stop every cutover on this journal, then `cutover journal verify`",
                ));
            }
        };
        self.note.write(&last);
        self.last = Some(last);
        let first = last.seq + 1 - events.len() as u64;
        let entry = |(seq, event): (u64, &Event)| JournalEntry { seq, at, actor: actor.clone(), event: event.clone() };
        Ok((first..).zip(events).map(entry).collect())
    }

    /// Inserts in one transaction what follows the entry that is `expected` to be the last, where that is known.
    fn insert(&mut self, at: At, actor: &str, texts: &[String], expected: Option<&Head>) -> Result<Head, Unwritten> {
        // Immediate: the write lock comes before the last entry is read, and nobody can write between the two.
        let tx = self.reader.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Head { mut seq, hash: mut prev } = read_last_head(&tx)?;
        if expected.is_some_and(|e| *e != Head { seq, hash: prev }) {
            return Err(Unwritten::Stranger);
        }
        for text in texts {
            seq += 1;
            let next = hash_entry(&prev, seq, at, actor, text);
            tx.prepare_cached(&format!("INSERT INTO entries ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"))?
                .execute((to_sql_integer(seq), at.0, actor, text, prev, next))?;
            prev = next;
        }
        tx.commit()?;
        Ok(Head { seq, hash: prev })
    }

    /// Room for entries. A reserve that was given up is taken again once there is room. Blocks on the disk.
    ///
    /// # Errors
    /// The filesystem can't be asked, or is mounted read-only.
    pub fn look_for_room(&mut self) -> Result<DiskRoom, Trouble> {
        let free = free_room(&self.reader.path)?;
        self.reserve.take_again();
        Ok(DiskRoom { free, reserved: self.reserve.is_held() })
    }
}

/// Why a transaction was not written.
enum Unwritten {
    Sqlite(rusqlite::Error),
    /// The last entry is not the one that was written last from here.
    Stranger,
}

impl From<rusqlite::Error> for Unwritten {
    fn from(e: rusqlite::Error) -> Self {
        Unwritten::Sqlite(e)
    }
}

/// Whether room would help: a full disk, or a quota, which SQLite only knows as a failed write.
fn is_full(e: &rusqlite::Error) -> bool {
    matches!(e.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::SystemIoFailure))
}

fn to_sql_integer(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// The last entry in the file.
fn read_last_head(tx: &Transaction<'_>) -> rusqlite::Result<Head> {
    let row = tx
        .query_row("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Hash>(1)?))
        })
        .optional()?;
    Ok(row.map_or(Head::NONE, |(seq, hash)| Head { seq: u64::try_from(seq).unwrap_or(0), hash }))
}

fn sync_directory(path: &Path) -> Result<(), Trouble> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(|e| {
        Trouble::new(format!("can't sync the journal's directory {}: {e}", visible_path(dir)), "check the disk there")
    })
}
