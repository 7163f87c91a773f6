//! How far each target of notifications was told, beside the chain: losing it costs a message told twice, never a fact.

use rusqlite::{Connection, TransactionBehavior};

use super::reader::Reader;
use super::trouble::sqlite_trouble;
use super::writer::Journal;
use crate::base::{At, Trouble};
use crate::migration::tell::notifications::DeliveryProgress;

/// Rows that are read back at most: no plan has so many targets.
const MAX_ROWS: usize = 10_000;

/// Made when it is missing: a journal of an earlier version has none, and one that does not know it leaves it alone.
const TABLE: &str = "
CREATE TABLE IF NOT EXISTS told (
    target  TEXT PRIMARY KEY,
    seq     INTEGER NOT NULL,
    since   INTEGER,
    what    TEXT,
    advice  TEXT
) STRICT, WITHOUT ROWID;
";

/// Makes the table.
pub(super) fn create_table(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(TABLE)
}

impl Journal {
    /// Keeps how far every target was told, in one transaction; targets that are not named are forgotten. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// It could not be written: disk full, lock file removed. The entries of the journal are not touched.
    pub(crate) fn keep_told(&mut self, told: &[DeliveryProgress]) -> Result<(), Trouble> {
        self.lease().check()?;
        let path = self.path().to_owned();
        let write = |conn: &mut Connection| -> rusqlite::Result<()> {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute("DELETE FROM told", [])?;
            for t in told {
                let (since, trouble) = t.failing.as_ref().map(|(at, trouble)| (at.0, trouble)).unzip();
                let seq = i64::try_from(t.seq).unwrap_or(i64::MAX);
                let row = (&t.target, seq, since, trouble.map(|t| &t.what), trouble.map(|t| &t.advice));
                tx.prepare_cached("INSERT OR REPLACE INTO told VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(row)?;
            }
            tx.commit()
        };
        write(self.conn_mut()).map_err(|e| sqlite_trouble(&path, "keep what was told in", &e))
    }
}

impl Reader {
    /// How far each target was told; empty when nothing was.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn told(&self) -> Result<Vec<DeliveryProgress>, Trouble> {
        let failed = |e: rusqlite::Error| sqlite_trouble(self.path(), "read what was told from", &e);
        let there: i64 = self
            .conn
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'told'", [], |row| row.get(0))
            .map_err(failed)?;
        if there == 0 {
            return Ok(Vec::new());
        }
        let mut statement = self
            .conn
            .prepare_cached("SELECT target, seq, since, what, advice FROM told ORDER BY target")
            .map_err(failed)?;
        let rows = statement.query_map([], |row| {
            let since: Option<i64> = row.get(2)?;
            let [what, advice] = [row.get::<_, Option<String>>(3)?, row.get(4)?].map(Option::unwrap_or_default);
            Ok(DeliveryProgress {
                target: row.get(0)?,
                seq: u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
                failing: since.map(|at| (At(at), Trouble::new(what, advice))),
            })
        });
        let told: Vec<DeliveryProgress> =
            rows.map_err(failed)?.take(MAX_ROWS).collect::<Result<_, _>>().map_err(failed)?;
        // Nobody was told of an entry that was never written: such a row is damaged, and would swallow what comes.
        let last: i64 =
            self.conn.query_row("SELECT coalesce(max(seq), 0) FROM entries", [], |row| row.get(0)).map_err(failed)?;
        Ok(told.into_iter().filter(|t| i64::try_from(t.seq).is_ok_and(|seq| seq <= last)).collect())
    }
}
