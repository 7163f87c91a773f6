//! Replays: carries exact ranges of records from one cluster to the other, each once.
//!
//! The order of things: look (are these the right clusters, has the source all of it, does the target take it, whose
//! order changes), ask, write the intent into the journal, carry in transactions that hold their own progress, read
//! back, write the outcome. What is on the target decides how far a replay is, never the journal; so a process that
//! died anywhere is gone on with by `--resume`.

mod back;
mod carry;
mod ground;
mod history;
mod run;
pub mod source;
mod stop;
mod survey;
mod walk;

pub(crate) use back::{CarryBack, NotCarriedBack, carry_back};
pub use run::run_replay;
pub use stop::Stop;
pub(crate) use walk::ReplayProgressSink;

use crate::base::{Side, Trouble, TroubleClass};
use crate::estate::identity::Unverified;
use crate::replay::{By, Ranges};

/// What is to be carried.
#[derive(Debug, Clone)]
pub enum ReplayWhat {
    /// These source offsets, topics by blue's names.
    Ranges(Ranges),
    /// Everything of a topic between two moments, ms since the epoch; to the end when there is no second one.
    Between {
        /// Topic by blue's name.
        topic: String,
        /// From this timestamp on.
        from: i64,
        /// Up to the first record with this timestamp or a later one.
        to: Option<i64>,
    },
    /// What is left of an earlier replay: by its id, or the last one that is not done.
    Resume(Option<String>),
}

/// A replay as asked for.
#[derive(Debug, Clone)]
pub struct ReplayRequest {
    /// What.
    pub what: ReplayWhat,
    /// In words, for the journal.
    pub asked: String,
    /// The cluster to read from; the other one is written to.
    pub from: Side,
    /// A topic on the target for everything, instead of the topics' own.
    pub into: Option<String>,
    /// How partitions are chosen; `None`: by number where counts are equal, else by key.
    pub by: Option<By>,
    /// Whether records get a header that says where they came from.
    pub mark: bool,
    /// Whether records may land behind newer ones of their keys without being asked.
    pub accept_reorder: bool,
    /// Whether ranges that an earlier replay carried may be carried again.
    pub again: bool,
    /// Bytes of keys and values a second, at most.
    pub rate: Option<u64>,
    /// Whether to read back what was written.
    pub read_back: bool,
}

/// What has to be typed before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayQuestion {
    /// What is going to happen, a line each.
    pub lines: Vec<String>,
    /// What to type.
    pub phrase: String,
    /// The name that `--yes=NAME` takes in its place.
    pub name: String,
    /// Records land behind newer ones of their keys: `--yes` alone does not confirm that.
    pub reorders: bool,
}

/// An answer to a [`ReplayQuestion`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayAnswer {
    /// Confirmed, with what was typed.
    Typed(String),
    /// By `--yes=NAME`.
    Yes(String),
    /// Not confirmed.
    No,
}

/// The one who asked.
pub struct Ui<'a> {
    /// A line of words.
    pub say: &'a mut (dyn FnMut(&str) + Send),
    /// Progress, from another thread.
    pub tell: ReplayProgressSink,
    /// Asks for a confirmation.
    pub confirm: &'a mut (dyn FnMut(&ReplayQuestion) -> ReplayAnswer + Send),
}

/// Why a replay does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Refused or failed.
    Refused(Trouble),
    /// A gate holds.
    Holds(Trouble),
    /// It could not be observed.
    Unknown(Trouble),
    /// Interrupted.
    Interrupted,
}

impl Halt {
    /// Its class, and its trouble where there is one.
    #[must_use]
    pub(crate) fn into_parts(self) -> (TroubleClass, Option<Trouble>) {
        match self {
            Halt::Refused(t) => (TroubleClass::Refused, Some(t)),
            Halt::Holds(t) => (TroubleClass::Held, Some(t)),
            Halt::Unknown(t) => (TroubleClass::Unknown, Some(t)),
            Halt::Interrupted => (TroubleClass::Interrupted, None),
        }
    }
}

impl From<Unverified> for Halt {
    fn from(why: Unverified) -> Self {
        match why {
            Unverified::Wrong(trouble) => Halt::Refused(trouble),
            Unverified::Unknown(trouble) => Halt::Unknown(trouble),
        }
    }
}
