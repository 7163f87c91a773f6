//! One comparison as it is handed on: to people, to scripts, to a screen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Gravity, Mend, Parity, ParityArea, ParityRow, ParityState, ParityTally, ParityVerdict, RedFlag, RedFlagState,
    SCHEMAS_VERB,
};
use crate::base::sanitise::visible_text;
use crate::base::{At, Sides};
use crate::schemas::SchemaImportPlan;

/// A look at both clusters' set-up older than this is old, ms: who changes a topic looks again. What is old proves nothing.
pub const PARITY_OLD_MS: u64 = 600_000;

/// What a look at both clusters' set-up came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParityReport {
    /// Name of the migration.
    pub migration: String,
    /// When the later of the two looks was taken.
    pub at: At,
    /// The clusters' own ids.
    pub clusters: Sides<Option<String>>,
    /// Topics that the plan leaves out, of either cluster.
    pub excluded: Vec<String>,
    /// The comparison.
    pub parity: Parity,
    /// The copy of schemas that would be made; `None`: nothing of registries is known, or the plan names none.
    #[serde(skip)]
    pub schemas: Option<SchemaImportPlan>,
}

/// What a row asks of whoever reads it. In the order in which people go through them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum ParityClass {
    /// Nothing moves with it.
    Blocks,
    /// It could not be compared.
    Unknown,
    /// Green behaves otherwise than blue.
    Warns,
    /// Good to know.
    Notes,
}

/// A row in words, made visible: what a table shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParityLine {
    /// What it asks.
    pub class: ParityClass,
    /// What it belongs to: an area, or `flag`.
    pub kind: String,
    /// What it is about.
    pub name: String,
    /// What blue has; of a flag nothing.
    pub blue: String,
    /// What green has; of a flag nothing.
    pub green: String,
    /// What comes of it, or why it is not known.
    pub why: String,
    /// What to do about it; empty: nothing.
    pub todo: String,
    /// Whether cutover does that, once a person has confirmed it.
    #[serde(default)]
    pub makes: bool,
}

/// A comparison in words and in a bounded form, for screens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParityTable {
    /// Whether a migration may begin, as [`Parity::judge_readiness`] has it.
    pub verdict: ParityVerdict,
    /// How many lines there are of each class, of all.
    pub counts: BTreeMap<ParityClass, usize>,
    /// How much was compared and the same.
    pub same: usize,
    /// What counts for the verdict, in figures.
    pub tally: ParityTally,
    /// The gravest first; red flags behind what differs, and those that are not known last.
    pub lines: Vec<ParityLine>,
    /// Lines that were left out.
    pub left_out: usize,
}

impl ParityReport {
    /// Whether all of it could be compared.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.parity.rows.iter().all(|row| !row.is_unknown())
    }

    /// How much was compared and the same, over all areas.
    #[must_use]
    pub fn count_same(&self) -> usize {
        self.parity.same.values().sum()
    }

    /// The areas in their order, those without anything in them too; what is reached and schemas only where that was looked at.
    pub fn areas(&self) -> impl Iterator<Item = ParityArea> {
        let optional = |area: &ParityArea| matches!(area, ParityArea::Reach | ParityArea::Schemas);
        let tried = move |area: &ParityArea| !optional(area) || self.parity.same.contains_key(area);
        <ParityArea as strum::IntoEnumIterator>::iter().filter(tried)
    }

    /// The table of it, with so many lines at most.
    #[must_use]
    pub fn to_table(&self, most: usize) -> ParityTable {
        let mut lines: Vec<ParityLine> = self.parity.rows.iter().map(ParityRow::to_line).collect();
        lines.extend(self.parity.flags.iter().filter(|flag| flag.is_raised()).filter_map(RedFlag::to_line));
        // Stable: what comes from one list keeps its order.
        lines.sort_by_key(|line| line.class);
        let unknown = self.parity.flags.iter().filter(|flag| !flag.is_raised());
        lines.extend(unknown.filter_map(RedFlag::to_line));
        let mut counts = BTreeMap::new();
        lines.iter().for_each(|line| *counts.entry(line.class).or_default() += 1);
        let left_out = lines.len().saturating_sub(most);
        lines.truncate(most);
        let (verdict, tally) = (self.parity.judge_readiness(), self.parity.tally());
        ParityTable { verdict, counts, same: self.count_same(), tally, lines, left_out }
    }
}

impl ParityRow {
    /// What it asks of whoever reads it.
    #[must_use]
    pub fn classify(&self) -> ParityClass {
        match self.gravity {
            _ if self.is_unknown() => ParityClass::Unknown,
            Gravity::Blocks => ParityClass::Blocks,
            Gravity::Warns => ParityClass::Warns,
            Gravity::Notes => ParityClass::Notes,
        }
    }

    /// What to do about it, in words; `None`: nothing.
    #[must_use]
    pub fn describe_mend(&self) -> Option<String> {
        match (&self.mend, &self.state) {
            (Some(Mend::Change(change)), _) => Some(change.to_string()),
            (Some(Mend::Import), _) => Some(format!("import it with its id: {SCHEMAS_VERB}")),
            (Some(Mend::ByHand(words)), _) => Some(visible_text(words)),
            (None, ParityState::Unknown(trouble)) if !trouble.advice.is_empty() => Some(visible_text(&trouble.advice)),
            (None, _) => None,
        }
    }

    /// What blue and green have, in a word where the name says it already.
    #[must_use]
    pub fn describe_sides(&self) -> Sides<String> {
        let none = |is_blue: bool| match (&self.state, is_blue) {
            (ParityState::Missing, false) => "missing",
            (ParityState::Missing, true) | (ParityState::Beyond, false) => "has it",
            (ParityState::Beyond, true) => "none",
            (ParityState::Unknown(_), _) => "?",
            (ParityState::Differs, _) => "-",
        };
        let name = self.subject.to_string();
        let words = |value: &Option<String>, is_blue: bool| match value.as_deref() {
            Some(value) if value == name => "has it".to_owned(),
            Some(value) => visible_text(value),
            None => none(is_blue).to_owned(),
        };
        Sides { blue: words(&self.blue, true), green: words(&self.green, false) }
    }

    fn to_line(&self) -> ParityLine {
        let Sides { blue, green } = self.describe_sides();
        ParityLine {
            class: self.classify(),
            kind: self.area.to_string(),
            name: self.subject.to_string(),
            blue,
            green,
            why: visible_text(&self.why),
            todo: self.describe_mend().unwrap_or_default(),
            // More partitions take a word that no screen asks for.
            makes: match &self.mend {
                Some(Mend::Change(change)) => change.needs_consent().is_none(),
                Some(Mend::Import) => true,
                Some(Mend::ByHand(_)) | None => false,
            },
        }
    }
}

impl RedFlag {
    /// As a line; `None` where it is clear.
    fn to_line(&self) -> Option<ParityLine> {
        let (class, why, todo) = match &self.state {
            RedFlagState::Clear => return None,
            RedFlagState::Raised(Gravity::Blocks) => (ParityClass::Blocks, self.found.join("; "), &self.advice),
            RedFlagState::Raised(Gravity::Warns) => (ParityClass::Warns, self.found.join("; "), &self.advice),
            RedFlagState::Raised(Gravity::Notes) => (ParityClass::Notes, self.found.join("; "), &self.advice),
            RedFlagState::Unknown(trouble) => (ParityClass::Unknown, trouble.what.clone(), &trouble.advice),
        };
        Some(ParityLine {
            class,
            kind: "flag".to_owned(),
            name: self.kind.to_string(),
            blue: String::new(),
            green: String::new(),
            why: visible_text(&why),
            todo: visible_text(todo),
            makes: false,
        })
    }
}
