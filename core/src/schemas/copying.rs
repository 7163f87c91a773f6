//! A copy of schemas as facts for the journal, and what an earlier one left undone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::content::RegistryMode;
use super::finding::SettingScope;
use super::obstacle::ImportObstacle;
use super::subject::SubjectVersion;
use super::survey::SchemaSurvey;
use crate::base::sanitise::{visible_name, visible_text};
use crate::base::{Sides, Trouble, TroubleClass};

/// One fact of a copy. What is meant is on disk before it is tried, what came of it after it was read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum SchemaCopyFact {
    /// A copy starts.
    Started {
        /// Green's registry: its URL, which holds no credentials. What follows is about this one.
        registry: String,
        /// What kind of server it is, for people.
        server: String,
        /// Versions to import.
        versions: usize,
        /// What was typed to confirm it.
        confirmed: String,
    },
    /// A throw-away id in a throw-away subject is to be tried, read back and removed.
    ProbeIntended {
        /// The subject.
        subject: String,
        /// The id.
        id: u32,
    },
    /// It is gone again.
    ProbeEnded {
        /// The subject.
        subject: String,
        /// Whether green kept the id; `None`: it was not found out.
        kept: Option<bool>,
    },
    /// A subject is to take imports for a while.
    ModeIntended {
        /// The subject.
        subject: String,
        /// Its own mode, which is to come back; `None`: it has none.
        before: Option<RegistryMode>,
    },
    /// Its own mode is back.
    ModeRestored {
        /// The subject.
        subject: String,
    },
    /// A version is to be imported.
    ImportIntended {
        /// Which.
        at: SubjectVersion,
        /// With which id.
        id: u32,
        /// Whether it is to be soft-deleted again, as it is on blue.
        leave_deleted: bool,
    },
    /// What came of it, as it was read back.
    ImportEnded {
        /// Which.
        at: SubjectVersion,
        /// What is not as it was meant; `None`: all of it is there.
        trouble: Option<String>,
    },
    /// A version is to be registered anew: green gives it an id of its own.
    RegisterIntended {
        /// Which, by its number on blue.
        at: SubjectVersion,
        /// Its id on blue.
        id: u32,
    },
    /// What came of it, as it was read back.
    RegisterEnded {
        /// Which, by its number on blue.
        at: SubjectVersion,
        /// Its id on green; `None`: it has none.
        id: Option<u32>,
        /// What is not as it was meant; `None`: it is there, and its id reads it.
        trouble: Option<String>,
    },
    /// A version that this copy has imported is to be soft-deleted, as it is on blue.
    DeleteIntended {
        /// Which.
        at: SubjectVersion,
    },
    /// What came of it.
    DeleteEnded {
        /// Which.
        at: SubjectVersion,
        /// Why it is still live; `None`: it is soft-deleted.
        trouble: Option<String>,
    },
    /// Compatibility or mode are to be set as on blue.
    SettingIntended {
        /// For what.
        scope: SettingScope,
    },
    /// What came of it.
    SettingEnded {
        /// For what.
        scope: SettingScope,
        /// What is not as it was meant; `None`: it is set.
        trouble: Option<String>,
    },
    /// The copy ended.
    Ended {
        /// Versions that it imported.
        imported: usize,
        /// What stopped it; `None`: it did all that it could.
        why: Option<String>,
    },
}

impl SchemaCopyFact {
    /// For people, names made visible.
    #[must_use]
    pub fn describe_fact(&self) -> String {
        use SchemaCopyFact as F;
        let ended = |what: String, done: &str, trouble: &Option<String>| match trouble {
            None => format!("{what}: {done}"),
            Some(why) => format!("{what}: NOT {done}: {}", visible_text(why)),
        };
        match self {
            F::Started { registry, server, versions, confirmed } => format!(
                "copies {versions} versions to {} ({}), confirmed with \"{}\"",
                visible_text(registry),
                visible_text(server),
                visible_text(confirmed)
            ),
            F::ProbeIntended { subject, id } => format!("tries id {id} in {}", visible_name(subject)),
            F::ProbeEnded { subject, kept } => {
                let kept = match kept {
                    Some(true) => "green keeps ids",
                    Some(false) => "GREEN DOES NOT KEEP IDS",
                    None => "whether green keeps ids was not found out",
                };
                format!("{} is removed: {kept}", visible_name(subject))
            }
            F::ModeIntended { subject, before } => {
                let before = before.as_ref().map_or("no mode of its own".to_owned(), ToString::to_string);
                format!("sets {} to IMPORT (before: {before})", visible_name(subject))
            }
            F::ModeRestored { subject } => format!("{} has its own mode back", visible_name(subject)),
            F::ImportIntended { at, id, .. } => format!("imports {at} with id {id}"),
            F::ImportEnded { at, trouble } => ended(at.to_string(), "imported", trouble),
            F::RegisterIntended { at, id } => format!("registers {at} anew, with another id than {id}"),
            F::RegisterEnded { at, id, trouble } => {
                let id = id.map(|id| format!(" with id {id}")).unwrap_or_default();
                ended(format!("{at}{id}"), "registered", trouble)
            }
            F::DeleteIntended { at } => format!("soft-deletes {at} again, as on blue"),
            F::DeleteEnded { at, trouble } => ended(at.to_string(), "soft-deleted", trouble),
            F::SettingIntended { scope } => format!("sets compatibility and mode of {scope}"),
            F::SettingEnded { scope, trouble } => ended(scope.to_string(), "set", trouble),
            F::Ended { imported, why: None } => format!("done, {imported} versions imported"),
            F::Ended { imported, why: Some(why) } => {
                format!("stopped after {imported} versions: {}", visible_text(why))
            }
        }
    }
}

/// What copies to one registry left undone: they died, or could not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnfinishedCopy {
    /// Throw-away subjects that may still be there.
    pub probes: Vec<String>,
    /// Subjects that may still take imports, and the mode that each is to have back.
    pub modes: BTreeMap<String, Option<RegistryMode>>,
    /// Versions that a copy imported, or may have, with their ids, and that blue had soft-deleted.
    pub deletes: BTreeMap<SubjectVersion, u32>,
}

impl UnfinishedCopy {
    /// What is left to be done, by the registry that it is about.
    #[must_use]
    pub fn by_registry<'a>(facts: impl Iterator<Item = &'a SchemaCopyFact>) -> BTreeMap<String, UnfinishedCopy> {
        use SchemaCopyFact as F;
        let mut all: BTreeMap<String, UnfinishedCopy> = BTreeMap::new();
        let mut current = String::new();
        for fact in facts {
            if let F::Started { registry, .. } = fact {
                current.clone_from(registry);
            }
            let of = all.entry(current.clone()).or_default();
            match fact {
                F::ProbeIntended { subject, .. } => of.probes.push(subject.clone()),
                F::ProbeEnded { subject, .. } => of.probes.retain(|s| s != subject),
                F::ModeIntended { subject, before } => {
                    // The first counts: what a second one found is what the first one set.
                    of.modes.entry(subject.clone()).or_insert_with(|| before.clone());
                }
                F::ModeRestored { subject } => drop(of.modes.remove(subject)),
                // It is not what was meant, so it is nobody's to delete.
                F::ImportEnded { at, trouble: Some(_) } => drop(of.deletes.remove(at)),
                F::ImportIntended { at, id, leave_deleted: true } => drop(of.deletes.insert(at.clone(), *id)),
                F::DeleteEnded { at, trouble: None } => drop(of.deletes.remove(at)),
                _ => {}
            }
        }
        all.retain(|_, of| *of != UnfinishedCopy::default());
        all
    }
}

/// A version whose id changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewId {
    /// Which, by its number on blue.
    pub at: SubjectVersion,
    /// Its id on each side.
    pub ids: Sides<u32>,
}

/// What a copy came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SchemaCopyReport {
    /// What was found before; `None`: it did not come to that.
    pub before: Option<SchemaSurvey>,
    /// Versions that it imported, each read back.
    pub imported: Vec<SubjectVersion>,
    /// Versions that green has with ids of its own by now.
    pub new_ids: Vec<NewId>,
    /// Versions that it or an earlier copy imported, soft-deleted as on blue.
    pub deleted: Vec<SubjectVersion>,
    /// Subjects that have their own mode back.
    pub restored: Vec<String>,
    /// What was set as on blue.
    pub set: Vec<SettingScope>,
    /// What was found otherwise than planned at the last moment, and left as it is.
    pub left_out: Vec<ImportObstacle>,
    /// What was found afterwards; `None`: it was not looked at.
    pub after: Option<SchemaSurvey>,
    /// What stopped it.
    pub trouble: Option<Trouble>,
    /// How that ends; `None`: it did all that it could.
    pub class: Option<TroubleClass>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_copy_left_undone_is_known_from_its_facts() {
        use SchemaCopyFact as F;
        let started = |registry: &str| F::Started {
            registry: registry.into(),
            server: String::new(),
            versions: 1,
            confirmed: "t".into(),
        };
        let mode = |s: &str, before| F::ModeIntended { subject: s.into(), before };
        let import = |s: &str, leave_deleted| F::ImportIntended { at: SubjectVersion::new(s, 1), id: 7, leave_deleted };
        let facts = [
            started("http://a"),
            F::ProbeIntended { subject: "p".into(), id: 9 },
            F::ProbeEnded { subject: "p".into(), kept: Some(true) },
            mode("x", Some(RegistryMode::ReadOnly)),
            mode("y", None),
            import("x", true),
            import("y", true),
            import("z", false),
            import("w", true),
            F::ImportEnded { at: SubjectVersion::new("w", 1), trouble: Some("it has another id".into()) },
            F::DeleteEnded { at: SubjectVersion::new("x", 1), trouble: None },
            F::DeleteEnded { at: SubjectVersion::new("y", 1), trouble: Some("no".into()) },
            F::ModeRestored { subject: "y".into() },
            // it died, and the next one found what the first had set
            started("http://a"),
            mode("x", Some(RegistryMode::Import)),
            started("http://b"),
            F::ProbeIntended { subject: "q".into(), id: 9 },
        ];
        let left = UnfinishedCopy::by_registry(facts.iter());
        let of_a = UnfinishedCopy {
            probes: Vec::new(),
            modes: [("x".to_owned(), Some(RegistryMode::ReadOnly))].into(),
            deletes: [(SubjectVersion::new("y", 1), 7)].into(),
        };
        let of_b = UnfinishedCopy { probes: vec!["q".into()], ..UnfinishedCopy::default() };
        assert_eq!(left, [("http://a".to_owned(), of_a), ("http://b".to_owned(), of_b)].into());
    }

    #[test]
    fn facts_are_read_as_they_were_written_and_show_names() {
        let fact = SchemaCopyFact::ImportEnded {
            at: SubjectVersion::new("a\u{202e}", 1),
            trouble: Some("it has another id: 9\n".into()),
        };
        let json = serde_json::to_string(&fact).unwrap();
        assert_eq!(serde_json::from_str::<SchemaCopyFact>(&json).unwrap(), fact, "{json}");
        let words = fact.describe_fact();
        assert!(words.contains("NOT imported: it has another id: 9") && !words.contains(['\u{202e}', '\n']), "{words}");
    }
}
