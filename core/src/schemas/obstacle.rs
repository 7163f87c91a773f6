//! What keeps a version of blue from being imported, with its words and what to do about it.

use serde::{Deserialize, Serialize};

use super::content::SchemaReference;
use super::subject::SubjectVersion;
use crate::base::sanitise::{visible_name, visible_names};
use crate::base::{Side, Trouble};

/// Why something is not planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "obstacle", rename_all = "kebab-case")]
pub enum ImportObstacle {
    /// Green's server gives ids of its own: nothing is copied to it this way.
    IdsNotKept {
        /// Versions that would get another id.
        versions: usize,
        /// Records that carry the ids of now, where they were counted.
        records: Option<u64>,
    },
    /// Green's server would not find it by its id: it takes the text for no schema.
    NotFoundById {
        /// Which.
        at: SubjectVersion,
    },
    /// Something that must be known is not.
    NotKnown {
        /// Whose.
        side: Side,
        /// What, in words, names made visible.
        what: String,
        /// Why.
        why: Trouble,
    },
    /// Green has this version, as another schema or with another id: an import would bind it anew, and its old id too.
    VersionTaken {
        /// The version.
        at: SubjectVersion,
        /// What it is there, in words.
        why: String,
    },
    /// Green has this id for another schema, or one that can't be compared.
    IdTaken {
        /// Blue's version.
        at: SubjectVersion,
        /// The id.
        id: u32,
    },
    /// Green's server answers the first id of a schema for each further one.
    SecondId {
        /// Blue's version.
        at: SubjectVersion,
        /// Its id.
        id: u32,
        /// The id that green would answer.
        first: u32,
    },
    /// Versions of the subject are soft-deleted on green: to set it to IMPORT destroys them where no other is live, and
    /// their ids with them.
    SoftDeletedOnGreen {
        /// The subject.
        subject: String,
        /// What could be destroyed.
        versions: Vec<u32>,
    },
    /// Green's server has no contexts: the subject would become a plain one, its id one of all.
    ContextNotKept {
        /// The subject.
        subject: String,
    },
    /// Green takes no writes: its registry is set to READONLY_OVERRIDE.
    ReadOnlyGreen,
    /// Blue itself has not what it references.
    ReferenceMissing {
        /// The version.
        at: SubjectVersion,
        /// What it references.
        reference: SchemaReference,
    },
    /// What it references is not imported.
    ReferenceNotPlanned {
        /// The version.
        at: SubjectVersion,
        /// What it references.
        on: SubjectVersion,
    },
    /// Versions reference each other in a circle.
    Circle {
        /// Which.
        members: Vec<SubjectVersion>,
    },
}

impl ImportObstacle {
    /// One sentence with its names made visible.
    #[must_use]
    pub fn describe_obstacle(&self) -> String {
        use ImportObstacle as O;
        match self {
            O::IdsNotKept { versions, records } => {
                let carried = match records {
                    Some(records) => format!("{records} records that were read carry the ids of now"),
                    None => "how many records carry the ids of now was not counted".to_owned(),
                };
                format!("green's registry gives ids of its own: {versions} versions would change theirs; {carried}")
            }
            O::NotFoundById { at } => {
                format!("{at} names no \"$schema\": green's registry would take it and not find it by its id")
            }
            O::NotKnown { side, what, why } => format!("{side}: {what} is not known: {why}"),
            O::VersionTaken { at, why } => format!("green has {at} already: {why}"),
            O::IdTaken { at, id } => format!("id {id} of {at} is another schema's on green"),
            O::SecondId { at, id, first } => {
                format!("id {id} of {at}: green would answer {first}, the first id of this schema, and not find {id}")
            }
            O::SoftDeletedOnGreen { subject, versions } => {
                let versions = visible_names(versions.iter().map(u32::to_string));
                let subject = visible_name(subject);
                format!(
                    "{subject} has soft-deleted versions on green ({versions}): an import would destroy them and their ids"
                )
            }
            O::ContextNotKept { subject } => {
                format!("{} is in a context, and green's registry has none", visible_name(subject))
            }
            O::ReadOnlyGreen => "green's registry is set to READONLY_OVERRIDE".to_owned(),
            O::ReferenceMissing { at, reference } => format!("{at} references {reference}, which blue has not"),
            O::ReferenceNotPlanned { at, on } => format!("{at} references {on}, which is not imported"),
            O::Circle { members } => {
                let members: Vec<String> = members.iter().map(ToString::to_string).collect();
                format!("these reference each other in a circle: {}", members.join(", "))
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn describe_advice(&self) -> String {
        use ImportObstacle as O;
        match self {
            O::IdsNotKept { .. } => {
                "use the server's own import into an empty registry (Apicurio has one), or another kind \
                                     of registry on green; or let ids change (--ids-change)"
                    .to_owned()
            }
            O::NotFoundById { .. } => "let it name its dialect on blue (\"$schema\")".to_owned(),
            O::NotKnown { why, .. } => why.advice.clone(),
            O::VersionTaken { .. } | O::IdTaken { .. } => {
                "find out who registered it on green; import into an empty registry".to_owned()
            }
            O::SecondId { .. } => {
                "use a registry on green that keeps several ids of one schema (Confluent's)".to_owned()
            }
            O::SoftDeletedOnGreen { .. } => {
                "register them again on green, or delete them for good there by hand if nobody needs their ids"
                    .to_owned()
            }
            O::ContextNotKept { .. } => "use a registry on green that has contexts".to_owned(),
            O::ReadOnlyGreen => "set its mode to READWRITE".to_owned(),
            O::ReferenceMissing { .. } | O::ReferenceNotPlanned { .. } | O::Circle { .. } => {
                "register what it references first, by hand".to_owned()
            }
        }
    }
}
