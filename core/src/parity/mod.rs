//! How green is set up beside blue: topics, their settings, ACLs, users and quotas of two inventories side by side, what of
//! it matters, and what would mend green. Pure: it reads two values and gives one back.
//!
//! Rules of the room:
//! - What could not be read is UNKNOWN, by name, and never equal. What is the same is counted, what is not has a row.
//! - Values are compared as they are in effect: a default that differs between the clusters is a difference.
//! - Nothing is taken away from green, so no [`Change`] deletes. What green has beyond blue is told.
//! - A change says what is to be. When all are done, a second comparison plans none (`tests_property.rs`).

mod acls;
mod applications;
mod brokers;
mod change;
mod couples;
mod defaults;
mod limits;
mod meaning;
mod principals;
mod quotas;
mod reach;
mod red_flags;
mod report;
mod rows;
mod schemas;
mod scope;
mod settings;
mod topics;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::{Side, Sides, Trouble};
use crate::estate::inventory::Inventory;
use crate::estate::transactions::{Answer, Unavailable};
pub use applications::{ApplicationLook, Measured, PlannedApplications};
pub use change::{Change, plan_changes};
use couples::Coupled;
pub use couples::InternalTopic;
use defaults::TopicDefaults;
pub use principals::PrincipalMap;
pub use reach::{ReachOutcome, ReachTry};
pub use red_flags::{RedFlag, RedFlagKind, RedFlagState};
pub use report::{PARITY_OLD_MS, ParityClass, ParityLine, ParityReport, ParityTable};
use rows::RowBook;
pub use rows::{Gravity, Mend, ParityArea, ParityRow, ParityState, ParitySubject, TopicPair};
pub use schemas::SCHEMAS_VERB;
pub use scope::{ParityScope, TopicScope};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_acls;
#[cfg(test)]
mod tests_applications;
#[cfg(test)]
mod tests_drift;
#[cfg(test)]
mod tests_kit;
#[cfg(test)]
mod tests_property;
#[cfg(test)]
mod tests_red_flags;

/// Whether green is set up as blue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "UPPERCASE")]
pub enum ParityVerdict {
    /// Both clusters answered every part, and nothing differs that a client would notice.
    Equal,
    /// Nothing is known to differ, and something could not be compared. Never a pass.
    Unknown,
    /// It is not.
    Differs,
}

/// How many rows an area has, and of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ParityCount {
    /// Compared and the same.
    pub same: usize,
    /// Differences that block.
    pub blocks: usize,
    /// Differences that warn.
    pub warns: usize,
    /// Differences that are only noted.
    pub notes: usize,
    /// What could not be compared.
    pub unknown: usize,
    /// Differences that a change would mend.
    pub mendable: usize,
}

/// What was compared, in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ParityTally {
    /// Compared, and nothing that a client would notice.
    pub same: usize,
    /// Differs, or must not be as it is.
    pub differ: usize,
    /// Could not be compared.
    pub unknown: usize,
}

/// Two clusters' set-up side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parity {
    /// What differs or could not be compared: the gravest first, then by area and name.
    pub rows: Vec<ParityRow>,
    /// How much was the same, by area.
    pub same: BTreeMap<ParityArea, usize>,
    /// Blue's topics that were left out because a cluster or a tool makes them for itself, by who makes them.
    pub internal: BTreeMap<InternalTopic, BTreeSet<String>>,
    /// What goes wrong in a migration though everything is equal: no part of the verdict.
    pub flags: Vec<RedFlag>,
}

impl Parity {
    /// The verdict on all of it.
    #[must_use]
    pub fn verdict(&self) -> ParityVerdict {
        judge_rows(self.rows.iter())
    }

    /// Whether a migration may begin: the verdict, and a red flag that blocks counts as a difference. Flags that are not known
    /// count as little as those that only warn: some can't be told by any cluster (`super.users`).
    #[must_use]
    pub fn judge_readiness(&self) -> ParityVerdict {
        let blocked = self.flags.iter().any(|flag| flag.state == RedFlagState::Raised(Gravity::Blocks));
        if blocked { ParityVerdict::Differs } else { self.verdict() }
    }

    /// All that counts for [`Parity::judge_readiness`], in figures: it is parity where nothing differs and nothing is unknown.
    #[must_use]
    pub fn tally(&self) -> ParityTally {
        let blocking = |flag: &&RedFlag| flag.state == RedFlagState::Raised(Gravity::Blocks);
        let mut tally = ParityTally {
            same: self.same.values().sum(),
            differ: self.flags.iter().filter(blocking).count(),
            unknown: 0,
        };
        for row in &self.rows {
            match row.gravity {
                _ if row.is_unknown() => tally.unknown += 1,
                Gravity::Blocks | Gravity::Warns => tally.differ += 1,
                // What nobody would notice is neither.
                Gravity::Notes => {}
            }
        }
        tally
    }

    /// The verdict on one area.
    #[must_use]
    pub fn verdict_of(&self, area: ParityArea) -> ParityVerdict {
        judge_rows(self.rows_of(area))
    }

    /// One area's rows, the gravest first.
    pub fn rows_of(&self, area: ParityArea) -> impl Iterator<Item = &ParityRow> {
        self.rows.iter().filter(move |row| row.area == area)
    }

    /// One area in figures.
    #[must_use]
    pub fn count_area(&self, area: ParityArea) -> ParityCount {
        let mut count = ParityCount { same: self.same.get(&area).copied().unwrap_or(0), ..ParityCount::default() };
        for row in self.rows_of(area) {
            count.mendable += usize::from(matches!(row.mend, Some(Mend::Change(_))));
            match row.gravity {
                _ if row.is_unknown() => count.unknown += 1,
                Gravity::Blocks => count.blocks += 1,
                Gravity::Warns => count.warns += 1,
                Gravity::Notes => count.notes += 1,
            }
        }
        count
    }

    /// Why something is unknown, in the order of the rows.
    pub fn list_unknowns(&self) -> impl Iterator<Item = (&ParitySubject, &Trouble)> {
        self.rows.iter().filter_map(|row| match &row.state {
            ParityState::Unknown(trouble) => Some((&row.subject, trouble)),
            _ => None,
        })
    }
}

fn judge_rows<'a>(rows: impl Iterator<Item = &'a ParityRow>) -> ParityVerdict {
    let judged = rows.map(|row| match row.gravity {
        _ if row.is_unknown() => ParityVerdict::Unknown,
        Gravity::Blocks | Gravity::Warns => ParityVerdict::Differs,
        Gravity::Notes => ParityVerdict::Equal,
    });
    judged.max().unwrap_or(ParityVerdict::Equal)
}

/// What every part of the comparison reads.
pub(crate) struct Compared<'a> {
    clusters: Sides<&'a Inventory>,
    scope: &'a ParityScope,
    topics: Coupled<'a>,
    /// What holds for a topic on which nothing is set, on each side.
    defaults: Sides<TopicDefaults<'a>>,
}

/// Compares how two clusters are set up.
#[must_use]
pub fn compare_inventories(blue: &Inventory, green: &Inventory, scope: &ParityScope) -> Parity {
    let clusters = Sides { blue, green };
    let compared = Compared {
        clusters,
        scope,
        topics: couples::couple_topics(blue, green, scope),
        defaults: Sides::from_fn(|side| TopicDefaults::of_cluster(clusters[side], side)),
    };
    let mut book = RowBook::default();
    brokers::compare_clusters(&compared, &mut book);
    topics::compare_topics(&compared, &mut book);
    settings::compare_settings(&compared, &mut book);
    acls::compare_acls(&compared, &mut book);
    users::compare_users(&compared, &mut book);
    quotas::compare_quotas(&compared, &mut book);
    let (rows, same) = book.into_sorted();
    let flags = red_flags::raise_flags(&compared);
    Parity { rows, same, internal: compared.topics.internal, flags }
}

/// Why a part has no answer, with the cluster and the part; `None` when it has one.
fn why_untold<T>(answer: &Answer<T>, side: Side, part: &str) -> Option<Trouble> {
    match answer {
        Answer::Told(_) => None,
        Answer::Unavailable(Unavailable::NoAuthorizer) => Some(Trouble::new(
            format!("{side} has no authorizer: it has no {part}"),
            "configure one (authorizer.class.name)",
        )),
        Answer::Unavailable(Unavailable::Before(since)) => Some(Trouble::new(
            format!("{part} of {side} can't be asked for before Kafka {since}"),
            "compare them by hand, with the tools of that release",
        )),
        Answer::Hidden(trouble) => Some(Trouble::new(
            format!("this principal may not see {part} of {side}: {trouble}"),
            trouble.advice.clone(),
        )),
        Answer::Unknown(trouble) => {
            Some(Trouble::new(format!("{part} of {side} are not known: {trouble}"), trouble.advice.clone()))
        }
    }
}
