//! The ids that really occur in records: the proof that matters to consumers, who see the id in a record and nothing else.
//!
//! Of large topics only a part is read, and what was not read says nothing: [`RecordShare`] keeps how much it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::compare::read_id_on_both;
use super::content::RegistryContent;
use super::finding::SchemaSeverity;
use super::meaning::{MeaningBook, MeaningLayer};
use super::subject::SchemaId;
use crate::base::{Side, Sides, TopicPartition, Trouble};

/// Ids that are kept of one cluster's records, each with how often it occurs: bytes that only look framed carry any number.
pub const MOST_IDS: usize = 4_096;

/// How much of one cluster's records was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordShare {
    /// Topics that were looked at.
    pub topics: usize,
    /// Offsets that their logs held, all within retention.
    pub held: u64,
    /// Offsets of those that were read; what lies between them and `held` is not known.
    pub read: u64,
    /// Records that were read.
    pub records: u64,
    /// Keys and values of those that no id stands in front of; a null is neither.
    pub unframed: u64,
    /// Records that carry an id in a header instead (`__key_schema_id`, `__value_schema_id`): not looked up.
    pub in_headers: u64,
    /// Keys and values whose ids were not kept, because there were too many different ones.
    pub uncounted: u64,
    /// What could not be read, and why, in words.
    pub left_out: Vec<String>,
}

impl RecordShare {
    /// Whether every record was read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.read == self.held && self.left_out.is_empty() && self.uncounted == 0
    }
}

/// How often an id occurs, and where first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IdUse {
    /// Keys and values that carry it.
    pub records: u64,
    /// One of them.
    pub example: Option<(TopicPartition, i64)>,
}

/// The ids in one cluster's records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordIds {
    /// How much was read.
    pub share: RecordShare,
    /// By id.
    pub ids: BTreeMap<u32, IdUse>,
}

impl RecordIds {
    /// Takes the id of a key or a value in.
    pub fn count_id(&mut self, id: u32, tp: &TopicPartition, offset: i64) {
        let room = self.ids.len() < MOST_IDS;
        match self.ids.get_mut(&id) {
            Some(of) => of.records += 1,
            None if room => drop(self.ids.insert(id, IdUse { records: 1, example: Some((tp.clone(), offset)) })),
            None => self.share.uncounted += 1,
        }
    }

    /// Takes in what another read of the same cluster found.
    pub fn add(&mut self, other: RecordIds) {
        for (id, of) in other.ids {
            let room = self.ids.len() < MOST_IDS;
            match self.ids.get_mut(&id) {
                Some(known) => known.records += of.records,
                None if room => drop(self.ids.insert(id, of)),
                None => self.share.uncounted += of.records,
            }
        }
        let (share, RecordShare { topics, held, read, records, unframed, in_headers, uncounted, left_out }) =
            (&mut self.share, other.share);
        share.topics += topics;
        share.held += held;
        share.read += read;
        share.records += records;
        share.unframed += unframed;
        share.in_headers += in_headers;
        share.uncounted += uncounted;
        share.left_out.extend(left_out);
    }
}

/// What a look at one cluster's records came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordLook {
    /// They were not to be read: why, in words.
    NotLooked(String),
    /// They could not be read.
    Unknown(Trouble),
    /// These ids were found.
    Read(RecordIds),
}

impl RecordLook {
    /// What was read.
    #[must_use]
    pub fn as_read(&self) -> Option<&RecordIds> {
        match self {
            RecordLook::Read(ids) => Some(ids),
            RecordLook::NotLooked(_) | RecordLook::Unknown(_) => None,
        }
    }
}

/// Which ids of records have to be asked of a registry besides those that it lists.
#[must_use]
pub fn list_record_ids(looks: &Sides<RecordLook>) -> Vec<SchemaId> {
    let ids = looks.iter().filter_map(|(_, look)| look.as_read()).flat_map(|read| read.ids.keys());
    ids.map(|id| SchemaId::of_default(*id)).collect()
}

/// What an id reads on both registries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reads", rename_all = "kebab-case")]
pub enum IdReading {
    /// The same schema.
    Same,
    /// Another schema on green.
    Other {
        /// In what they differ.
        layer: MeaningLayer,
    },
    /// Blue finds it, green does not.
    OnBlue,
    /// Green finds it, blue does not.
    OnGreen,
    /// Neither finds it.
    Nowhere,
    /// It is not known.
    Unknown {
        /// Why.
        why: Trouble,
    },
}

/// An id of records, and what it reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordIdFinding {
    /// The id, of the default context: a record's five bytes name no other.
    pub id: u32,
    /// Who carries it on each side.
    pub uses: Sides<IdUse>,
    /// What it reads.
    #[serde(flatten)]
    pub reading: IdReading,
}

impl RecordIdFinding {
    /// Keys and values that carry it, on both sides.
    #[must_use]
    pub fn count_records(&self) -> u64 {
        self.uses.blue.records + self.uses.green.records
    }

    /// How much it weighs.
    #[must_use]
    pub fn severity_of(&self) -> SchemaSeverity {
        use MeaningLayer as L;
        match &self.reading {
            IdReading::Other { layer: L::Encoding | L::Reading } | IdReading::OnBlue => SchemaSeverity::Grave,
            IdReading::Other { layer: L::Annotation } => SchemaSeverity::Differs,
            IdReading::Unknown { .. } => SchemaSeverity::Unknown,
            // Records of blue carry what blue does not know: that green does is no comfort, it may be another's number.
            IdReading::OnGreen if self.uses.blue.records > 0 => SchemaSeverity::Unknown,
            IdReading::Same | IdReading::OnGreen | IdReading::Nowhere => SchemaSeverity::Note,
        }
    }

    /// One sentence.
    #[must_use]
    pub fn describe_finding(&self) -> String {
        let of = |side: Side| {
            let IdUse { records, example } = &self.uses[side];
            let at =
                example.as_ref().map(|(tp, offset)| format!(" (first at {tp} offset {offset})")).unwrap_or_default();
            (*records > 0).then(|| format!("{records} of {side}{at}"))
        };
        let carried = [Side::Blue, Side::Green].into_iter().filter_map(of).collect::<Vec<_>>().join(", ");
        let reads = match &self.reading {
            IdReading::Same => "reads the same on both".to_owned(),
            IdReading::Other { layer } => format!("reads another schema on green ({layer})"),
            IdReading::OnBlue => "is not found on green".to_owned(),
            IdReading::OnGreen => "is found on green only".to_owned(),
            IdReading::Nowhere => {
                "is found on neither: deleted for good, or bytes that only look like an id".to_owned()
            }
            IdReading::Unknown { why } => format!("is not known to read the same: {why}"),
        };
        format!("id {} {reads}; keys and values that carry it: {carried}", self.id)
    }
}

/// What the ids of records read on both registries, the gravest first. `blue.ids` and `green.ids` should hold them all
/// ([`list_record_ids`]): one that does not is unknown.
#[must_use]
pub fn compare_record_ids(
    blue: &RegistryContent,
    green: &RegistryContent,
    looks: &Sides<RecordLook>,
) -> Vec<RecordIdFinding> {
    let mut all: BTreeMap<u32, Sides<IdUse>> = BTreeMap::new();
    for (side, look) in looks.iter() {
        for (id, of) in look.as_read().into_iter().flat_map(|read| &read.ids) {
            all.entry(*id).or_default()[side] = of.clone();
        }
    }
    let both = Sides { blue, green };
    let mut book = MeaningBook::new(both);
    let mut found: Vec<RecordIdFinding> = Vec::with_capacity(all.len());
    for (id, uses) in all {
        let reading = read_id_on_both(both, &mut book, &SchemaId::of_default(id));
        found.push(RecordIdFinding { id, uses, reading });
    }
    found.sort_by_key(|f| (f.severity_of(), f.reading == IdReading::Same, std::cmp::Reverse(f.count_records())));
    found
}
