//! Reading a journal: entries, the tail, the chain, export.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row};
use serde::Serialize;

use super::chain::{GENESIS, Hash, hash, hex};
use super::lease::{self, Holder};
use super::trouble::trouble;
use super::{place, writer};
use crate::migration::estate::{At, Trouble};
use crate::migration::event::{Entry, Event};
use crate::sanitise::ascii_json;

/// `application_id` in the file's header: "CUTV".
pub(super) const APPLICATION_ID: i32 = 0x4355_5456;
/// `user_version`: raised when the meaning of the tables changes.
pub(super) const SCHEMA: i32 = 1;
/// How long a statement waits for another program's lock.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// A journal that can be read. It never changes the file.
#[derive(Debug)]
pub struct Reader {
    pub(super) conn: Connection,
    pub(super) path: PathBuf,
}

/// A chain that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Number of entries.
    pub entries: u64,
    /// Hash of the last one, hexadecimal: note it elsewhere to see later whether entries were cut off.
    pub head: String,
}

/// The first entry where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("entry {seq}: {why}")]
pub struct Broken {
    /// Its number.
    pub seq: u64,
    /// What is wrong with it.
    pub why: String,
}

/// An entry as it lies in the file.
pub(super) struct Raw {
    pub(super) seq: u64,
    pub(super) at: At,
    pub(super) actor: String,
    pub(super) event: String,
    pub(super) prev: Vec<u8>,
    pub(super) hash: Vec<u8>,
}

impl Raw {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
            at: At(row.get(1)?),
            actor: row.get(2)?,
            event: row.get(3)?,
            prev: row.get(4)?,
            hash: row.get(5)?,
        })
    }

    fn entry(self) -> Result<Entry, Broken> {
        let event: Event = serde_json::from_str(&self.event)
            .map_err(|e| Broken { seq: self.seq, why: format!("this version can't read its event: {e}") })?;
        Ok(Entry { seq: self.seq, at: self.at, actor: self.actor, event })
    }

    /// Checks the entry against the one before it.
    fn check(&self, seq: u64, prev: &Hash) -> Result<Hash, Broken> {
        let broken = |why: String| Err(Broken { seq, why });
        if self.seq != seq {
            return broken(format!("missing; the next one is {}", self.seq));
        }
        if self.prev != prev {
            return broken("does not follow the entry before it: one was removed, inserted or changed".to_owned());
        }
        let is = hash(prev, self.seq, self.at, &self.actor, &self.event);
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
                format!("there is no journal {}", path.display()),
                "it is made when a controller first opens the plan; check the plan's key `journal`",
            ));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(|e| trouble(path, "open", &e))?;
        let reader = Self { conn, path: path.to_owned() };
        reader.conn.busy_timeout(BUSY).map_err(|e| trouble(path, "open", &e))?;
        reader.identify()?;
        Ok(reader)
    }

    /// Whether the file is a journal of ours (true), or still empty (false).
    pub(super) fn identify(&self) -> Result<bool, Trouble> {
        let number = |name: &str| {
            let read = self.conn.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
            read.map_err(|e| trouble(&self.path, "open", &e))
        };
        let (application, version) = (number("application_id")?, number("user_version")?);
        let tables = self
            .conn
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
            .map_err(|e| trouble(&self.path, "open", &e))?;
        let at = self.path.display();
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
        place::doubt(&self.path).into_iter().collect()
    }

    /// Who holds the lease now, if anyone.
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        lease::holder(&self.path)
    }

    /// All entries from number `from` on, oldest first.
    ///
    /// # Errors
    /// The file can't be read, or an entry is not one this version knows, by number.
    pub fn entries(&self, from: u64) -> Result<Vec<Entry>, Trouble> {
        let mut out = Vec::new();
        self.each("seq >= ?1 ORDER BY seq", from, |raw| {
            out.push(raw.entry().map_err(|b| self.broken(&b))?);
            Ok(())
        })?;
        Ok(out)
    }

    /// The last `n` entries, oldest first.
    ///
    /// # Errors
    /// As [`Reader::entries`].
    pub fn tail(&self, n: u32) -> Result<Vec<Entry>, Trouble> {
        let mut out = Vec::new();
        self.each("true ORDER BY seq DESC LIMIT ?1", u64::from(n), |raw| {
            out.push(raw.entry().map_err(|b| self.broken(&b))?);
            Ok(())
        })?;
        out.reverse();
        Ok(out)
    }

    /// Walks the chain from the first entry.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn verify(&self) -> Result<Result<Verified, Broken>, Trouble> {
        let (mut entries, mut prev, mut broken) = (0, GENESIS, None);
        self.each("seq >= ?1 ORDER BY seq", 0, |raw| {
            if broken.is_none() {
                match raw.check(entries + 1, &prev) {
                    Ok(hash) => (entries, prev) = (entries + 1, hash),
                    Err(b) => broken = Some(b),
                }
            }
            Ok(())
        })?;
        Ok(broken.map_or_else(|| Ok(Verified { entries, head: hex(&prev) }), Err))
    }

    /// Writes every entry as one line of JSON: `seq`, `at` (ms since the epoch), `actor`, `event`, `prev`, `hash`.
    ///
    /// # Errors
    /// The journal can't be read, or `out` can't be written.
    pub fn export(&self, out: &mut dyn Write) -> Result<u64, Trouble> {
        let mut count = 0;
        self.each("seq >= ?1 ORDER BY seq", 0, |raw| {
            // an event this version does not know is exported as it is
            let event: serde_json::Value =
                serde_json::from_str(&raw.event).unwrap_or_else(|_| serde_json::Value::String(raw.event.clone()));
            let line = serde_json::json!({
                "seq": raw.seq, "at": raw.at, "actor": raw.actor, "event": event,
                "prev": hex(&raw.prev), "hash": hex(&raw.hash),
            });
            writeln!(out, "{}", ascii_json(&line.to_string())).map_err(|e| {
                Trouble::new(format!("can't write the export after entry {count}: {e}"), "check where the output goes")
            })?;
            count += 1;
            Ok(())
        })?;
        out.flush().map_err(|e| Trouble::new(format!("can't write the export: {e}"), "check where the output goes"))?;
        Ok(count)
    }

    fn each(&self, which: &str, value: u64, mut each: impl FnMut(Raw) -> Result<(), Trouble>) -> Result<(), Trouble> {
        // a file whose controller has only just taken the lease has no tables yet
        if !self.identify()? {
            return Ok(());
        }
        let failed = |e: rusqlite::Error| trouble(&self.path, "read", &e);
        let sql = format!("SELECT {} FROM entries WHERE {which}", writer::COLUMNS);
        let mut statement = self.conn.prepare_cached(&sql).map_err(failed)?;
        let mut rows = statement.query([i64::try_from(value).unwrap_or(i64::MAX)]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            each(Raw::of(row).map_err(failed)?)?;
        }
        Ok(())
    }

    fn broken(&self, b: &Broken) -> Trouble {
        Trouble::new(
            format!("the journal {}: {b}", self.path.display()),
            "use the version of cutover that wrote it; `cutover journal verify` checks the chain",
        )
    }
}
