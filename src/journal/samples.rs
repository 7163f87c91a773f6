//! Samples of soaks beside the chain: they are many, they are thinned out, and losing some costs time, never truth. So
//! they are not facts of the chain. Each carries a checksum, so that a damaged file makes a hole and no evidence; whoever
//! changes one on purpose can only make a soak look longer: whoever can write the journal's file can do worse.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior};
use xxhash_rust::xxh3::xxh3_64;

use super::reader::Reader;
use super::trouble::sqlite_trouble;
use super::writer::Journal;
use crate::base::{At, Trouble};
use crate::migration::soak::samples::{MAX_STRETCHES, SampleStretch};
use crate::migration::soak::watch::{KeptSamples, UnsavedSeries};

/// Samples that are older than this when a controller takes the journal are dropped, ms (60 days: longer than any soak).
const RETENTION_MS: u64 = 60 * 86_400_000;
/// Rows that are read back at most: beyond it something else than cutover wrote them.
const MAX_ROWS: usize = 4_000_000;

/// Made when it is missing: a journal of an earlier version has none, and one that does not know it leaves it alone.
const TABLE: &str = "
CREATE TABLE IF NOT EXISTS samples (
    subject TEXT NOT NULL,
    since   INTEGER NOT NULL,
    series  TEXT NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    low     REAL NOT NULL,
    high    REAL NOT NULL,
    value   REAL NOT NULL,
    mark    TEXT NOT NULL,
    PRIMARY KEY (subject, since, series, first)
) STRICT, WITHOUT ROWID;
";

/// Makes the table.
pub(super) fn create_table(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(TABLE)
}

/// A checksum of a row. It lies behind the mark, where a version that does not know it sees a mark it does not know: a hole.
fn row_checksum(group: &str, since: At, series: &str, s: &SampleStretch) -> u64 {
    let numbers = [s.min, s.max, s.value].map(f64::to_bits);
    xxh3_64(format!("{group}\0{}\0{series}\0{}\0{}\0{numbers:?}\0{}", since.0, s.first.0, s.last.0, s.mark).as_bytes())
}

impl Journal {
    /// Keeps what changed in soaks' samples, in one transaction: all of it, or nothing. Blocks on the disk.
    ///
    /// # Errors
    /// It could not be written: disk full, lock file removed. The entries of the journal are not touched.
    pub(crate) fn keep_samples(&mut self, changes: &[UnsavedSeries]) -> Result<(), Trouble> {
        // Beside the chain, and in the same file: nobody writes to it without the lease.
        self.lease().check()?;
        let path = self.path().to_owned();
        let write = |conn: &mut Connection| -> rusqlite::Result<()> {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for u in changes {
                // of an earlier soak of the group nothing counts any more
                tx.prepare_cached("DELETE FROM samples WHERE subject = ?1 AND since <> ?2")?
                    .execute((&u.group, u.since.0))?;
                tx.prepare_cached(
                    "DELETE FROM samples WHERE subject = ?1 AND since = ?2 AND series = ?3 AND (first < ?4 OR first >= ?5)",
                )?
                .execute((&u.group, u.since.0, &u.series, u.change.keep_from.0, u.change.replace_from.0))?;
                let mut insert =
                    tx.prepare_cached("INSERT INTO samples VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
                for s in &u.change.stretches {
                    let mark = format!("{} {:016x}", s.mark, row_checksum(&u.group, u.since, &u.series, s));
                    let row = (&u.group, u.since.0, &u.series, s.first.0, s.last.0, s.min, s.max, s.value, mark);
                    insert.execute(row)?;
                }
            }
            tx.commit()
        };
        write(self.conn_mut()).map_err(|e| sqlite_trouble(&path, "keep samples in", &e))
    }

    /// Drops samples that are too old to matter. Called when the journal is taken.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn drop_old_samples(&mut self, now: At) -> Result<(), Trouble> {
        let oldest = now.0.saturating_sub(i64::try_from(RETENTION_MS).unwrap_or(i64::MAX));
        let path = self.path().to_owned();
        let dropped = self.conn_mut().execute("DELETE FROM samples WHERE last < ?1", [oldest]);
        dropped.map(drop).map_err(|e| sqlite_trouble(&path, "drop old samples from", &e))
    }
}

impl Reader {
    /// What was kept of soaks; empty when nothing was.
    ///
    /// # Errors
    /// The file can't be read, or a row is none of ours.
    pub fn samples(&self) -> Result<Vec<KeptSamples>, Trouble> {
        let failed = |e: rusqlite::Error| sqlite_trouble(self.path(), "read samples from", &e);
        let there: i64 = self
            .conn
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'samples'", [], |row| row.get(0))
            .map_err(failed)?;
        if there == 0 {
            return Ok(Vec::new());
        }
        let mut statement = self
            .conn
            .prepare_cached(
                "SELECT subject, since, series, first, last, low, high, value, mark FROM samples \
                 ORDER BY subject, since, series, first",
            )
            .map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut all: BTreeMap<(String, At), KeptSamples> = BTreeMap::new();
        let mut count = 0;
        while let Some(row) = rows.next().map_err(failed)? {
            count += 1;
            if count > MAX_ROWS {
                break;
            }
            let read = || -> rusqlite::Result<(String, At, String, Option<SampleStretch>)> {
                let (group, since, series) = (row.get(0)?, At(row.get(1)?), row.get(2)?);
                let marked: String = row.get(8)?;
                let (mark, sum) = marked.split_once(' ').map_or((&*marked, None), |(mark, sum)| (mark, Some(sum)));
                let Ok(mark) = mark.parse() else { return Ok((group, since, series, None)) };
                let stretch = SampleStretch {
                    first: At(row.get(3)?),
                    last: At(row.get(4)?),
                    min: row.get(5)?,
                    max: row.get(6)?,
                    value: row.get(7)?,
                    mark,
                };
                // an earlier version wrote none
                let whole = sum.is_none_or(|s| s == format!("{:016x}", row_checksum(&group, since, &series, &stretch)));
                Ok((group, since, series, whole.then_some(stretch)))
            };
            // a mark of a later version, and a damaged row, are holes to this one
            let Ok((group, since, series, Some(stretch))) = read() else {
                tracing::warn!("a sample in the journal can't be used: a hole in its soak");
                continue;
            };
            let kept = all.entry((group.clone(), since)).or_insert_with(|| KeptSamples {
                group,
                since,
                series: BTreeMap::new(),
            });
            let series = kept.series.entry(series).or_default();
            if series.len() < 2 * MAX_STRETCHES {
                series.push(stretch);
            }
        }
        Ok(all.into_values().collect())
    }
}
