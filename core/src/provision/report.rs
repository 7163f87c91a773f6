//! What a provisioning tells people and scripts.

use serde::Serialize;

use super::ChangeEnd;
use crate::base::sanitise::{visible_name, visible_text};
use crate::base::{Trouble, TroubleClass};
use crate::parity::{Change, Gravity, Mend, Parity, ParityRow, ParityState, ParityVerdict};

/// A change, and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AppliedChange {
    /// What it is.
    pub change: Change,
    /// What a person has to agree to before it is made, and did not; `None`: nothing.
    pub held: Option<&'static str>,
    /// How it ended; `None`: it was not tried.
    pub end: Option<ChangeEnd>,
}

/// What came of a provisioning, or of asking what it would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProvisionReport {
    /// Name of the migration.
    pub migration: String,
    /// Its id in the journal; `None` when nothing was started.
    pub run: Option<String>,
    /// Nothing was sent.
    pub dry_run: bool,
    /// What the look before it came to; `None`: there was none.
    pub before: Option<ParityVerdict>,
    /// What a look after it came to; `None`: nothing was changed, or it could not be looked at.
    pub after: Option<ParityVerdict>,
    /// Differences that a change mends, the gravest first.
    pub mended: Vec<ParityRow>,
    /// Differences that only a person can mend, or nobody.
    pub by_hand: Vec<ParityRow>,
    /// What could not be compared, so that nothing is done about it.
    pub unknown: Vec<ParityRow>,
    /// All changes in the order of work.
    pub changes: Vec<AppliedChange>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// How it ended short of being done; `None`: done.
    #[serde(skip)]
    pub class: Option<TroubleClass>,
    /// What stood in the way.
    #[serde(skip)]
    pub trouble: Option<Trouble>,
}

impl ProvisionReport {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(migration: impl Into<String>, dry_run: bool) -> Self {
        Self {
            migration: migration.into(),
            run: None,
            dry_run,
            before: None,
            after: None,
            mended: Vec::new(),
            by_hand: Vec::new(),
            unknown: Vec::new(),
            changes: Vec::new(),
            warnings: Vec::new(),
            class: None,
            trouble: None,
        }
    }

    /// Takes in what a look came to. `more_partitions`: whether somebody agreed to what these do.
    pub fn set_plan(&mut self, parity: &Parity, changes: Vec<Change>, more_partitions: bool) {
        self.before = Some(parity.verdict());
        let hold = |change: &Change| change.needs_consent().filter(|_| !more_partitions);
        self.changes =
            changes.into_iter().map(|change| AppliedChange { held: hold(&change), change, end: None }).collect();
        for row in &parity.rows {
            match &row.mend {
                _ if row.is_unknown() => self.unknown.push(row.clone()),
                Some(Mend::Change(_) | Mend::Import) => self.mended.push(row.clone()),
                // What is only good to know and can't be otherwise is no part of a plan.
                None if row.gravity == Gravity::Notes => {}
                Some(Mend::ByHand(_)) | None => self.by_hand.push(row.clone()),
            }
        }
    }

    /// What is to be done, a line each, as terraform shows it: `+` is added, `~` is changed, `!` can't be done from here, `?` is
    /// not known; what to do about a line is indented below it.
    #[must_use]
    pub fn list_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.mended.iter().map(describe_mended).collect();
        for c in &self.changes {
            if let Some(why) = c.held {
                lines.push(format!("! {} waits for --add-partitions: {why}", c.change));
            }
        }
        let by_hand = self.by_hand.iter().map(|row| ('!', row));
        for (sign, row) in by_hand.chain(self.unknown.iter().map(|row| ('?', row))) {
            lines.push(format!("{sign} {} {}: {}", row.area, row.subject, row.why));
            lines.extend(row.describe_mend().map(|what| format!("    do: {what}")));
        }
        lines.iter().map(|line| visible_text(line)).collect()
    }

    /// `loans: 2 to add, 1 to change, 1 by hand, 0 unknown`.
    #[must_use]
    pub fn summarise(&self) -> String {
        let added = self.mended.iter().filter(|row| row.state == ParityState::Missing).count();
        let (changed, by_hand, unknown) = (self.mended.len() - added, self.by_hand.len(), self.unknown.len());
        let migration = visible_name(&self.migration);
        format!("{migration}: {added} to add, {changed} to change, {by_hand} by hand, {unknown} unknown")
    }

    /// Changes that are made when somebody confirms: those that nobody has to agree to by themselves.
    pub fn pending(&self) -> impl Iterator<Item = &AppliedChange> {
        self.changes.iter().filter(|c| c.held.is_none() && c.end.is_none())
    }

    /// Changes that were tried and did not come to what was to be.
    pub fn failed(&self) -> impl Iterator<Item = (&Change, &ChangeEnd)> {
        self.changes.iter().filter_map(|c| Some((&c.change, c.end.as_ref().filter(|end| !end.is_there())?)))
    }
}

/// `+ topics orders: 12 partitions`, `~ settings orders retention.ms: 604800000 -> -1`.
fn describe_mended(row: &ParityRow) -> String {
    let name = row.subject.to_string();
    let blue = row.blue.as_deref().filter(|words| *words != name);
    match (&row.state, &row.green, blue) {
        (ParityState::Differs, Some(green), Some(blue)) => format!("~ {} {name}: {green} -> {blue}", row.area),
        (ParityState::Differs, _, Some(blue)) => format!("~ {} {name}: {blue}", row.area),
        (ParityState::Differs, ..) => format!("~ {} {name}", row.area),
        (_, _, Some(blue)) => format!("+ {} {name}: {blue}", row.area),
        _ => format!("+ {} {name}", row.area),
    }
}
