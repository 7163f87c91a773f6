//! Reading a journal: entries, the tail, the chain, export.

use std::cell::Cell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row};
use serde::Serialize;

use super::chain::{Hash, hash_entry, to_hex};
use super::head::{self, Head, Noted};
use super::lease::{self, LeaseHolder};
use super::trouble::sqlite_trouble;
use super::{place, writer};
use crate::base::sanitise::{ascii_json, visible_path};
use crate::base::{At, Trouble};
use crate::migration::facts::event::{Event, JournalEntry};

/// `application_id` in the file's header: "CUTV".
pub(super) const APPLICATION_ID: i32 = 0x4355_5456;
/// `user_version`: raised when the meaning of the tables changes.
pub(super) const SCHEMA: i32 = 1;
/// How long a statement waits for another program's lock.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// What is said of a head note that is there and tells nothing, and what to do.
const NOTE_UNREADABLE: &str = "can't be read: whether entries were cut off at the end is not known";
const NOTE_ADVICE: &str = "remove it once `cutover journal verify` ends with the head you know";

/// A journal that can be read. It never changes the file. Entries leave it only along a chain that holds.
#[derive(Debug)]
pub struct Reader {
    pub(super) conn: Connection,
    pub(super) path: PathBuf,
    /// How far this reader has walked the chain: what follows is held against it, not against the first entry again.
    walked: Cell<Head>,
}

/// A chain that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedChain {
    /// Number of entries.
    pub entries: u64,
    /// Hash of the last one, hexadecimal: note it elsewhere (the note beside the journal is on the same disk) to see
    /// later whether entries were cut off.
    pub head: String,
}

/// The first entry where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("entry {seq}: {why}")]
pub struct ChainBreak {
    /// Its number.
    pub seq: u64,
    /// What is wrong with it.
    pub why: String,
}

/// An entry as it lies in the file.
pub(super) struct RawEntry {
    pub(super) seq: u64,
    pub(super) at: At,
    pub(super) actor: String,
    pub(super) event: String,
    pub(super) prev: Vec<u8>,
    pub(super) hash: Vec<u8>,
}

impl RawEntry {
    /// A row as it lies there; `Err` when a part of it is none that was ever written (a damaged file: STRICT tables are
    /// checked when they are written, not when they are read).
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Result<Self, ChainBreak>> {
        // A number below zero was never written: 0 follows no entry, so the chain breaks here.
        let seq = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0);
        let rest = || -> rusqlite::Result<Self> {
            let (at, actor, event) = (At(row.get(1)?), row.get(2)?, row.get(3)?);
            Ok(Self { seq, at, actor, event, prev: row.get(4)?, hash: row.get(5)? })
        };
        Ok(rest().map_err(|e| ChainBreak { seq, why: format!("its content was changed after it was written ({e})") }))
    }

    fn into_entry(self) -> Result<JournalEntry, ChainBreak> {
        let event: Event = serde_json::from_str(&self.event)
            .map_err(|e| ChainBreak { seq: self.seq, why: format!("this version can't read its event: {e}") })?;
        Ok(JournalEntry { seq: self.seq, at: self.at, actor: self.actor.into(), event })
    }

    /// Checks the entry against the one before it.
    fn check(&self, seq: u64, prev: &Hash) -> Result<Hash, ChainBreak> {
        let broken = |why: String| Err(ChainBreak { seq, why });
        if self.seq != seq {
            return broken(format!("missing; the next one is {}", self.seq));
        }
        if self.prev != prev {
            return broken("does not follow the entry before it: one was removed, inserted or changed".to_owned());
        }
        let is = hash_entry(prev, self.seq, self.at, &self.actor, &self.event);
        if self.hash != is {
            return broken("its content was changed after it was written".to_owned());
        }
        Ok(is)
    }
}

impl Reader {
    /// Opens a journal to read only, without the lease.
    ///
    /// # Errors
    /// There is none, it can't be opened, it is no journal, or it comes from a newer version.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        if !path.exists() {
            return Err(Trouble::new(
                format!("there is no journal {}", visible_path(path)),
                "it is made when a controller first opens the plan; check the plan's key `journal`",
            ));
        }
        // NO_MUTEX: a connection has one owner, whom the compiler knows; SQLite's own lock would only cost.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(|e| sqlite_trouble(path, "open", &e))?;
        let reader = Self::from_connection(conn, path);
        reader.conn.busy_timeout(BUSY).map_err(|e| sqlite_trouble(path, "open", &e))?;
        reader.identify()?;
        Ok(reader)
    }

    /// A reader of an open file, which has walked nothing yet.
    pub(super) fn from_connection(conn: Connection, path: &Path) -> Self {
        Self { conn, path: path.to_owned(), walked: Cell::new(Head::NONE) }
    }

    /// Whether the file is a journal of ours (true), or still empty (false).
    pub(super) fn identify(&self) -> Result<bool, Trouble> {
        let number = |name: &str| {
            let read = self.conn.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
            read.map_err(|e| sqlite_trouble(&self.path, "open", &e))
        };
        let (application, version) = (number("application_id")?, number("user_version")?);
        let tables = self
            .conn
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
            .map_err(|e| sqlite_trouble(&self.path, "open", &e))?;
        let at = visible_path(&self.path);
        match (application, version) {
            (0, 0) if tables == 0 => Ok(false),
            (APPLICATION_ID, v) if v == SCHEMA => Ok(true),
            (APPLICATION_ID, v) if v > SCHEMA => Err(Trouble::new(
                format!("the journal {at} was written by a newer cutover (schema {v}; this one knows {SCHEMA})"),
                "use that version, or a newer one",
            )),
            (APPLICATION_ID, v) => Err(Trouble::new(
                format!("the journal {at} has the unknown schema {v}"),
                "use the version that wrote it",
            )),
            _ => Err(Trouble::new(
                format!("{at} is a database of another program"),
                "name another place with the key `journal` under [migration]",
            )),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a person should know about the file, such as a mode that lets others read it.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let note = || {
            let at = visible_path(&head::note_path(&self.path));
            format!("{at} {NOTE_UNREADABLE}; {NOTE_ADVICE}")
        };
        // While somebody holds the lease the note may be half written at this moment.
        let unreadable = head::read_note(&self.path) == Noted::Unreadable && self.holder().is_none();
        place::describe_doubt(&self.path).into_iter().chain(unreadable.then(note)).collect()
    }

    /// Who holds the lease now, if anyone.
    #[must_use]
    pub fn holder(&self) -> Option<LeaseHolder> {
        lease::find_holder(&self.path)
    }

    /// All entries from number `from` on, oldest first, each along a chain that holds from the first entry on. What this
    /// reader has walked already is not walked again, unless it is asked for again.
    ///
    /// # Errors
    /// The file can't be read, the chain is broken, or an entry is not one this version knows, by number.
    pub fn entries(&self, from: u64) -> Result<Vec<JournalEntry>, Trouble> {
        let (entries, broken) = self.sound_entries(from)?;
        broken.map_or(Ok(entries), Err)
    }

    /// As [`Reader::entries`], up to where the chain breaks: what stands before that is as it was written. The second part
    /// says where and why it breaks.
    ///
    /// # Errors
    /// The file can't be read at all.
    pub fn sound_entries(&self, from: u64) -> Result<(Vec<JournalEntry>, Option<Trouble>), Trouble> {
        let mut out = Vec::new();
        let start = if from > self.walked.get().seq { self.walked.get() } else { Head::NONE };
        let walked = self.walk(start, |raw| {
            if raw.seq >= from {
                out.push(raw.into_entry()?);
            }
            Ok(())
        })?;
        Ok((out, walked.err().map(|b| self.break_trouble(&b))))
    }

    /// Walks the chain from the first entry, and looks through the whole file for damage.
    ///
    /// # Errors
    /// The file can't be read, or SQLite finds it damaged.
    pub fn verify(&self) -> Result<Result<VerifiedChain, ChainBreak>, Trouble> {
        let walked = self.walk(Head::NONE, |_| Ok(()))?;
        if walked.is_ok() {
            self.check_file()?;
        }
        Ok(walked.map(|head| VerifiedChain { entries: head.seq, head: to_hex(&head.hash) }))
    }

    /// Walks the chain behind `start`, and holds its end against the note beside the journal. `each` sees every entry that
    /// follows the one before it.
    fn walk(
        &self,
        start: Head,
        mut each: impl FnMut(RawEntry) -> Result<(), ChainBreak>,
    ) -> Result<Result<Head, ChainBreak>, Trouble> {
        // The note first: whoever writes does so after the entry, so what is read next is never behind it.
        let noted = match head::read_note(&self.path) {
            Noted::Head(noted) => Some(noted),
            Noted::Nothing | Noted::Unreadable => None,
        };
        let (mut last, mut at_noted, mut broken) = (start, None, None);
        self.for_each_row("seq > ?1 ORDER BY seq", start.seq, |raw| {
            // Nothing behind a break is anybody's entry: the rest of the rows is passed over.
            if broken.is_some() {
                return Ok(());
            }
            let next = raw.and_then(|raw| {
                let hash = raw.check(last.seq + 1, &last.hash)?;
                let head = Head { seq: raw.seq, hash };
                each(raw).map(|()| head)
            });
            match next {
                Ok(head) => {
                    last = head;
                    at_noted = at_noted.or_else(|| noted.filter(|n| n.seq == head.seq).map(|_| head.hash));
                }
                Err(b) => broken = Some(b),
            }
            Ok(())
        })?;
        if broken.is_none()
            && let Some(noted) = noted
        {
            broken = head::check_against_note(&noted, &last, at_noted.as_ref()).err();
        }
        // What was walked holds, also before a break: nobody walks over it without asking for it again.
        self.walked.set(last);
        Ok(broken.map_or(Ok(last), Err))
    }

    /// Why nothing may be written to this file, if anything: its chain is broken, the file is damaged, or nobody can tell
    /// whether its end was cut off. For whoever holds the lease: then nobody is writing the note at this moment.
    ///
    /// # Errors
    /// It can't be read at all.
    pub(super) fn find_damage(&self) -> Result<Option<Trouble>, Trouble> {
        let end = match self.walk(Head::NONE, |_| Ok(()))? {
            Ok(end) => end,
            Err(broken) => return Ok(Some(self.break_trouble(&broken))),
        };
        // The next entry would write over the only thing that can contradict the file. Who was killed before the first
        // entry leaves an empty note, and has lost nothing.
        let note = head::note_path(&self.path);
        let unwritten = || end == Head::NONE && std::fs::metadata(&note).is_ok_and(|m| m.len() == 0);
        if head::read_note(&self.path) == Noted::Unreadable && !unwritten() {
            let what = format!("the note {} {NOTE_UNREADABLE}", visible_path(&note));
            return Ok(Some(Trouble::new(what, format!("nothing is written to the journal: {NOTE_ADVICE}"))));
        }
        Ok(self.check_file().err())
    }

    /// SQLite's own check of the file's structure: lost or shared pages, rows out of order; and whether the tables still
    /// refuse to change entries. The chain sees none of these.
    ///
    /// # Errors
    /// The file is damaged, or can't be read.
    pub(crate) fn check_file(&self) -> Result<(), Trouble> {
        if !self.identify()? {
            return Ok(());
        }
        let failed = |e: rusqlite::Error| sqlite_trouble(&self.path, "check", &e);
        // The first fault is enough. What quick_check leaves out of
        // integrity_check are the contents of indexes: `entries` has none.
        let found: String = self.conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if found != "ok" {
            return Err(Trouble::new(
                format!("the journal {} is damaged: {found}", visible_path(&self.path)),
                "keep a copy of it, and restore it from one that `cutover journal verify` accepts",
            ));
        }
        // Without the triggers that refuse a change a chain can be rewritten whole, and holds.
        let rules = writer::read_table_rules(&self.conn).map_err(failed)?;
        if rules != writer::own_rules().map_err(failed)? {
            return Err(Trouble::new(
                format!(
                    "the tables of the journal {} were changed: they no longer keep entries as they are",
                    visible_path(&self.path)
                ),
                "keep a copy of it, look at who changed it, and restore it from a copy",
            ));
        }
        Ok(())
    }

    /// Writes every entry along the chain as one line of JSON: `seq`, `at` (ms since the epoch), `actor`, `event`, `prev`,
    /// `hash`.
    ///
    /// # Errors
    /// The journal can't be read, or `out` can't be written; or the chain breaks, or the file is damaged: what stands
    /// before that was written.
    pub fn export(&self, out: &mut dyn Write) -> Result<u64, Trouble> {
        let unwritten = |count: u64, e: &std::io::Error| {
            Trouble::new(format!("can't write the export after entry {count}: {e}"), "check where the output goes")
        };
        let (mut count, mut failed) = (0, None);
        let walked = self.walk(Head::NONE, |raw| {
            // an event this version does not know is exported as it is
            let event: serde_json::Value =
                serde_json::from_str(&raw.event).unwrap_or_else(|_| serde_json::Value::String(raw.event.clone()));
            let line = serde_json::json!({
                "seq": raw.seq, "at": raw.at, "actor": raw.actor, "event": event,
                "prev": to_hex(&raw.prev), "hash": to_hex(&raw.hash),
            });
            if failed.is_none() {
                match writeln!(out, "{}", ascii_json(&line.to_string())) {
                    Ok(()) => count += 1,
                    Err(e) => failed = Some(unwritten(count, &e)),
                }
            }
            Ok(())
        })?;
        let flushed = out.flush().map_err(|e| unwritten(count, &e));
        failed.map_or(flushed, Err)?;
        walked.map_err(|b| self.break_trouble(&b))?;
        self.check_file()?;
        Ok(count)
    }

    fn for_each_row(
        &self,
        which: &str,
        value: u64,
        mut each: impl FnMut(Result<RawEntry, ChainBreak>) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        // a file whose controller has only just taken the lease has no tables yet
        if !self.identify()? {
            return Ok(());
        }
        let failed = |e: rusqlite::Error| sqlite_trouble(&self.path, "read", &e);
        let sql = format!("SELECT {} FROM entries WHERE {which}", writer::COLUMNS);
        let mut statement = self.conn.prepare_cached(&sql).map_err(failed)?;
        let mut rows = statement.query([i64::try_from(value).unwrap_or(i64::MAX)]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            each(RawEntry::from_row(row).map_err(failed)?)?;
        }
        Ok(())
    }

    fn break_trouble(&self, b: &ChainBreak) -> Trouble {
        Trouble::new(
            format!("the journal {}: {b}", visible_path(&self.path)),
            "nothing is written to it. `cutover journal verify` shows where it breaks; keep a copy of it, then restore it \
             from a copy that verifies, or begin a new one with the key `journal` once you have looked at where every \
             group stands",
        )
    }
}
