//! What a comparison says: rows, each with what it is about, how grave it is and what would mend it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::change::Change;
use crate::base::sanitise::visible_name;
use crate::base::{Side, Trouble};
use crate::estate::acl::Acl;
use crate::estate::inventory::QuotaEntity;

/// What a row belongs to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum ParityArea {
    /// The clusters and their brokers.
    Cluster,
    /// Topics, their partitions and replicas.
    Topics,
    /// What is set on topics, or holds for them because nothing is.
    Settings,
    /// Who may do what.
    Acls,
    /// Users with a password (SCRAM).
    Users,
    /// Who is slowed down, and from where on.
    Quotas,
    /// What the schema registries hold.
    Schemas,
    /// Which brokers are reached from where the consumers run.
    Reach,
}

/// How grave a difference is. In the order in which rows are shown.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum Gravity {
    /// Records would be lost, or clients refused: nothing moves with it.
    Blocks,
    /// Green behaves otherwise than blue.
    Warns,
    /// Good to know: nothing that a client notices, or nothing that could be otherwise.
    Notes,
}

/// A topic under both its names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPair {
    /// What blue calls it, or would.
    pub blue: String,
    /// What green calls it, or would.
    pub green: String,
}

impl fmt::Display for TopicPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible_name(&self.blue))?;
        if self.green != self.blue {
            write!(f, " (on green {})", visible_name(&self.green))?;
        }
        Ok(())
    }
}

/// What a row is about. Names are raw: they pass a gate where they are shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParitySubject {
    /// All of the row's area on one cluster.
    Cluster(Side),
    /// A topic.
    Topic(TopicPair),
    /// How many partitions a topic has.
    Partitions(TopicPair),
    /// How many replicas its partitions have.
    Replicas(TopicPair),
    /// One setting of a topic.
    TopicSetting {
        /// Of this one.
        topic: TopicPair,
        /// Its name.
        setting: String,
    },
    /// One setting of many topics.
    EachTopic {
        /// Its name.
        setting: String,
    },
    /// An ACL with green's names.
    Acl(Acl),
    /// A user, by the name on green.
    User(String),
    /// One limit of a quota, with green's names.
    Quota {
        /// Whose.
        entity: QuotaEntity,
        /// Which limit.
        limit: String,
    },
    /// A subject of the schema registry; `None`: the registry as a whole.
    Schemas(Option<String>),
    /// A broker of green, from where a consumer runs.
    Reach {
        /// The pod or host.
        pod: String,
        /// `host:port`.
        address: String,
    },
}

impl fmt::Display for ParitySubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParitySubject::Cluster(side) => write!(f, "{side}"),
            ParitySubject::Topic(topic) => write!(f, "{topic}"),
            ParitySubject::Partitions(topic) => write!(f, "{topic} partitions"),
            ParitySubject::Replicas(topic) => write!(f, "{topic} replicas"),
            ParitySubject::TopicSetting { topic, setting } => write!(f, "{topic} {}", visible_name(setting)),
            ParitySubject::EachTopic { setting } => write!(f, "{} of each topic", visible_name(setting)),
            ParitySubject::Acl(acl) => write!(f, "{acl}"),
            ParitySubject::User(name) => f.write_str(&visible_name(name)),
            ParitySubject::Quota { entity, limit } => write!(f, "{entity} {}", visible_name(limit)),
            ParitySubject::Schemas(None) => f.write_str("the registry"),
            ParitySubject::Schemas(Some(subject)) => f.write_str(&visible_name(subject)),
            ParitySubject::Reach { pod, address } => write!(f, "{} to {}", visible_name(pod), visible_name(address)),
        }
    }
}

/// How green stands to blue in this. What is the same has no row: it is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParityState {
    /// Both have it, and it is not the same.
    Differs,
    /// Green lacks it.
    Missing,
    /// Green has it beyond blue.
    Beyond,
    /// It could not be compared.
    Unknown(Trouble),
}

/// What would mend it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mend {
    /// This can be done for a person who confirms it.
    Change(Change),
    /// The copy of schemas does it, with the ids of blue.
    Import,
    /// A person has to do it: how.
    ByHand(String),
}

/// One difference, or one thing that could not be compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParityRow {
    /// What it belongs to.
    pub area: ParityArea,
    /// What it is about.
    pub subject: ParitySubject,
    /// What blue has, in words; `None`: nothing, or it is not known.
    pub blue: Option<String>,
    /// What green has.
    pub green: Option<String>,
    /// How green stands to blue.
    pub state: ParityState,
    /// How grave it is.
    pub gravity: Gravity,
    /// What comes of it, or why it is not known.
    pub why: String,
    /// What would mend it; `None` where there is nothing to mend, or no way to.
    pub mend: Option<Mend>,
}

impl ParityRow {
    /// A difference.
    pub(super) fn new(
        (area, subject): (ParityArea, ParitySubject),
        state: ParityState,
        gravity: Gravity,
        why: impl Into<String>,
    ) -> Self {
        Self { area, subject, blue: None, green: None, state, gravity, why: why.into(), mend: None }
    }

    /// Something that could not be compared.
    pub(super) fn new_unknown(about: (ParityArea, ParitySubject), gravity: Gravity, trouble: Trouble) -> Self {
        let why = trouble.what.clone();
        Self::new(about, ParityState::Unknown(trouble), gravity, why)
    }

    /// The same with what each side has.
    pub(super) fn with_sides(self, blue: Option<String>, green: Option<String>) -> Self {
        Self { blue, green, ..self }
    }

    /// The same with what would mend it.
    pub(super) fn with_mend(self, mend: impl Into<Option<Mend>>) -> Self {
        Self { mend: mend.into(), ..self }
    }

    /// Whether it could not be compared.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.state, ParityState::Unknown(_))
    }
}

/// Rows as they are found, and how much was the same.
#[derive(Debug, Default)]
pub(super) struct RowBook {
    rows: Vec<ParityRow>,
    same: BTreeMap<ParityArea, usize>,
}

impl RowBook {
    pub(super) fn push_row(&mut self, row: ParityRow) {
        self.rows.push(row);
    }

    pub(super) fn count_same(&mut self, area: ParityArea, count: usize) {
        *self.same.entry(area).or_default() += count;
    }

    pub(super) fn into_sorted(mut self) -> (Vec<ParityRow>, BTreeMap<ParityArea, usize>) {
        sort_rows(&mut self.rows);
        (self.rows, self.same)
    }
}

/// The gravest first, then by area and name: two looks at the same clusters give the same table.
pub(super) fn sort_rows(rows: &mut [ParityRow]) {
    rows.sort_by(|a, b| (a.gravity, a.area, &a.subject).cmp(&(b.gravity, b.area, &b.subject)));
}
