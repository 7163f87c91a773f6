//! What would have to be imported to green, in order, as values: whoever writes takes them one by one, reads before and
//! after each, and journals.
//!
//! Nothing here stands for a deletion. A version that blue has soft-deleted is imported all the same (records inside
//! retention carry its id) and left as blue has it: [`SchemaImport::leave_deleted`] may only ever act on the version that the
//! same import made.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::content::{
    ListedVersion, RegistryAnswer, RegistryConfig, RegistryContent, RegistryMode, SchemaFormat, SchemaText,
    ScopeSettings, StoredSchema, SubjectContent,
};
use super::finding::SettingScope;
use super::kind::{Keeping, RegistryKind};
use super::meaning::{MeaningBook, MeaningVerdict};
use super::obstacle::ImportObstacle;
use super::order::order_by_references;
use super::records::RecordLook;
use super::subject::{DEFAULT_CONTEXT, SchemaId, SubjectVersion};
use crate::base::{Side, Sides, Trouble};

/// How versions come to green.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportManner {
    /// One by one, each with its id and number, while its subject takes imports.
    #[default]
    WithIds,
    /// All at once by the server's own import, which keeps ids and numbers, into an empty registry.
    Native,
    /// Registered anew: green gives ids and numbers of its own.
    NewIds,
}

/// What a person wants, and what the plan lets reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyWishes {
    /// Where green's server has an import of its own, it can be reached.
    pub native: bool,
    /// Ids may change, where green's server gives its own.
    pub ids_change: bool,
}

/// What is known besides the two contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportTerms {
    /// Whether green keeps ids: what a throw-away id told, or what its kind is known for.
    pub ids: Keeping,
    /// How many records carry each id, where they were read.
    pub records: Option<BTreeMap<u32, u64>>,
    /// What is wanted.
    pub wishes: CopyWishes,
}

impl ImportTerms {
    /// Before anything was tried.
    #[must_use]
    pub fn before_probe(green: &RegistryContent) -> Self {
        Self { ids: green.server.kind.look_up_abilities().ids, records: None, wishes: CopyWishes::default() }
    }

    /// With what is wanted.
    #[must_use]
    pub fn with_wishes(self, wishes: CopyWishes) -> Self {
        Self { wishes, ..self }
    }

    /// With what records were found to carry, on both clusters; none where neither was read.
    #[must_use]
    pub fn with_records(self, looks: &Sides<RecordLook>) -> Self {
        let mut records: Option<BTreeMap<u32, u64>> = None;
        for read in looks.iter().filter_map(|(_, look)| look.as_read()) {
            let all = records.get_or_insert_default();
            read.ids.iter().for_each(|(id, of)| *all.entry(*id).or_default() += of.records);
        }
        Self { records, ..self }
    }
}

/// One version to import.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchemaImport {
    /// The version, by its number on blue.
    pub at: SubjectVersion,
    /// Its id on blue.
    pub id: u32,
    /// What is sent.
    pub schema: SchemaText,
    /// Blue has it soft-deleted: once it is read back, this version is to be soft-deleted again.
    pub leave_deleted: bool,
}

/// A subject that has to take imports for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeSwitch {
    /// The subject.
    pub subject: String,
    /// Its own mode before, which is to be restored; `None`: it has none, and is to have none again.
    pub before: Option<RegistryMode>,
    /// It has live versions, and takes IMPORT only with `force=true`.
    pub force: bool,
}

/// A setting that blue has and green has not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingWrite {
    /// For what.
    pub scope: SettingScope,
    /// The whole config that it should say for itself, if it is another.
    pub config: Option<RegistryConfig>,
    /// The mode that it should have when all is imported, if it is another.
    pub mode: Option<RegistryMode>,
}

/// What would be done, and what would not.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SchemaImportPlan {
    /// How versions come to green.
    pub manner: ImportManner,
    /// Where ids change: versions of blue that green has already, by meaning, with their numbers there.
    pub known: Vec<(SubjectVersion, u32)>,
    /// Keys and values that were read and carry an id that green would not keep; `None`: not counted, or none changes.
    pub records: Option<u64>,
    /// Whether a throw-away id has to be tried first: nobody knows whether green keeps ids.
    pub probe_first: bool,
    /// Subjects to be set to IMPORT before, each only once its kind of server is known.
    pub modes: Vec<ModeSwitch>,
    /// Versions, what is referenced first.
    pub imports: Vec<SchemaImport>,
    /// Settings, after the imports.
    pub settings: Vec<SettingWrite>,
    /// What is not planned, and why.
    pub obstacles: Vec<ImportObstacle>,
}

/// What would have to be imported for green to hold what blue holds.
#[must_use]
pub fn plan_imports(blue: &RegistryContent, green: &RegistryContent, terms: &ImportTerms) -> SchemaImportPlan {
    let mut planner = ImportPlanner::new(blue, green);
    if let Some(why) = &blue.unlisted {
        planner.note_unknown(Side::Blue, "whether all its subjects are listed", why);
    }
    // Without the whole of green nobody knows what would be written over.
    if let Some(why) = &green.unlisted {
        planner.note_unknown(Side::Green, "whether all its subjects are listed", why);
        return planner.plan;
    }
    if green.global.mode.as_told() == Some(&Some(RegistryMode::ReadOnlyOverride)) {
        planner.plan.obstacles.push(ImportObstacle::ReadOnlyGreen);
        return planner.plan;
    }
    let loses = terms.ids == Keeping::Loses;
    // Empty but for what cutover's own look could not hide: the server itself refuses where it is not.
    let native = green.server.kind == RegistryKind::Apicurio && terms.wishes.native && green.subjects.is_empty();
    planner.plan.manner = match (loses, native, terms.wishes.ids_change) {
        (true, true, _) => ImportManner::Native,
        (true, false, true) => ImportManner::NewIds,
        _ => ImportManner::WithIds,
    };
    match planner.plan.manner {
        ImportManner::NewIds => planner.choose_by_meaning(),
        ImportManner::Native | ImportManner::WithIds => planner.choose_candidates(),
    }
    let ids: BTreeSet<u32> = planner.candidates.values().map(|c| c.stored.id).collect();
    let records = terms.records.as_ref().map(|all| ids.iter().filter_map(|id| all.get(id)).sum());
    if loses && planner.plan.manner == ImportManner::WithIds && !ids.is_empty() {
        let versions = planner.candidates.len();
        planner.plan.obstacles.push(ImportObstacle::IdsNotKept { versions, records });
        return planner.plan;
    }
    planner.plan_versions();
    planner.plan_settings();
    planner.plan.probe_first = terms.ids == Keeping::Unproven && !planner.plan.imports.is_empty();
    planner.plan.records = records.filter(|_| planner.plan.manner == ImportManner::NewIds);
    planner.plan
}

/// Why a subject that green has can't be set to IMPORT.
fn refuse_subject(subject: &str, content: &SubjectContent) -> Option<ImportObstacle> {
    let shown = SettingScope::Subject(subject.to_owned());
    let unknown = |what: String, why: Trouble| ImportObstacle::NotKnown { side: Side::Green, what, why };
    if let Some(why) = &content.unlisted {
        return Some(unknown(format!("which versions {shown} has"), why.clone()));
    }
    let not_live = content.versions.iter().filter(|(_, v)| v.deleted != Some(false));
    let versions: Vec<u32> = not_live.map(|(number, _)| *number).collect();
    if !versions.is_empty() {
        return Some(ImportObstacle::SoftDeletedOnGreen { subject: subject.to_owned(), versions });
    }
    // What it was is restored afterwards: so it has to be known.
    match &content.own.mode {
        RegistryAnswer::Told(_) => None,
        RegistryAnswer::Unknown(why) => Some(unknown(format!("the mode of {shown}"), why.clone())),
        RegistryAnswer::NotOffered => {
            let why = Trouble::new("this server has no modes", "use a registry on green that has IMPORT");
            Some(unknown(format!("the mode of {shown}"), why))
        }
    }
}

#[derive(Clone, Copy)]
struct ImportCandidate<'a> {
    listed: &'a ListedVersion,
    stored: &'a StoredSchema,
}

struct ImportPlanner<'a> {
    blue: &'a RegistryContent,
    green: &'a RegistryContent,
    book: MeaningBook<'a>,
    candidates: BTreeMap<SubjectVersion, ImportCandidate<'a>>,
    /// Versions that green has already, the same.
    there: BTreeSet<SubjectVersion>,
    plan: SchemaImportPlan,
}

impl<'a> ImportPlanner<'a> {
    fn new(blue: &'a RegistryContent, green: &'a RegistryContent) -> Self {
        let book = MeaningBook::new(Sides { blue, green });
        let plan = SchemaImportPlan::default();
        Self { blue, green, book, candidates: BTreeMap::new(), there: BTreeSet::new(), plan }
    }

    fn note_unknown(&mut self, side: Side, what: impl Into<String>, why: &Trouble) {
        self.plan.obstacles.push(ImportObstacle::NotKnown { side, what: what.into(), why: why.clone() });
    }

    /// What green lacks. What it has, as another schema or under another id, is never written over.
    fn choose_candidates(&mut self) {
        for (subject, content) in &self.blue.subjects {
            if let Some(why) = &content.unlisted {
                self.note_unknown(
                    Side::Blue,
                    format!("which versions {} has", SettingScope::Subject(subject.clone())),
                    why,
                );
            }
            for (number, listed) in &content.versions {
                let at = SubjectVersion::new(subject, *number);
                match (&listed.content, self.green.find_version(&at)) {
                    (RegistryAnswer::Told(stored), None) => {
                        self.candidates.insert(at, ImportCandidate { listed, stored });
                    }
                    (RegistryAnswer::Told(stored), Some(theirs)) => self.judge_taken(at, listed, stored, theirs),
                    (RegistryAnswer::Unknown(why), _) => self.note_unknown(Side::Blue, at.to_string(), why),
                    (RegistryAnswer::NotOffered, _) => {}
                }
            }
        }
    }

    fn judge_taken(
        &mut self,
        at: SubjectVersion,
        listed: &ListedVersion,
        stored: &StoredSchema,
        theirs: &ListedVersion,
    ) {
        let other = match &theirs.content {
            RegistryAnswer::Told(other) => other,
            RegistryAnswer::Unknown(why) => return self.note_unknown(Side::Green, at.to_string(), why),
            RegistryAnswer::NotOffered => return,
        };
        let why = match self.book.compare_versions(&at, &at) {
            MeaningVerdict::Same if other.id != stored.id => format!("with id {} instead of {}", other.id, stored.id),
            MeaningVerdict::Same => {
                if listed.deleted == Some(false) && theirs.deleted == Some(true) {
                    let (subject, versions) = (at.subject.clone(), vec![at.version]);
                    self.plan.obstacles.push(ImportObstacle::SoftDeletedOnGreen { subject, versions });
                }
                self.there.insert(at);
                return;
            }
            MeaningVerdict::Different(layer) => layer.to_string(),
            MeaningVerdict::Unknown(why) => why,
        };
        self.plan.obstacles.push(ImportObstacle::VersionTaken { at, why });
    }

    /// The versions in order, by what the manner of the copy needs to be known.
    fn plan_versions(&mut self) {
        match self.plan.manner {
            ImportManner::WithIds => {
                self.refuse_subjects();
                self.refuse_ids(self.green.server.kind.look_up_abilities().second_ids == Keeping::Loses);
                self.order_candidates();
                self.plan_modes();
            }
            ImportManner::Native => {
                self.refuse_contexts();
                self.refuse_unfound();
                // Seen: a second id of one content is kept by that way.
                self.refuse_ids(false);
                self.order_candidates();
            }
            ImportManner::NewIds => {
                self.refuse_contexts();
                if self.green.server.kind == RegistryKind::Apicurio {
                    self.refuse_unfound();
                }
                self.order_candidates();
            }
        }
    }

    /// Live versions of blue of which green has none that means the same in that subject, whatever number or id it has.
    fn choose_by_meaning(&mut self) {
        for (subject, content) in &self.blue.subjects {
            if let Some(why) = &content.unlisted {
                let what = format!("which versions {} has", SettingScope::Subject(subject.clone()));
                self.note_unknown(Side::Blue, what, why);
            }
            for (number, listed) in content.versions.iter().filter(|(_, listed)| listed.deleted != Some(true)) {
                let at = SubjectVersion::new(subject, *number);
                match &listed.content {
                    RegistryAnswer::Told(stored) => match self.find_same(&at) {
                        Some(theirs) => {
                            self.there.insert(at.clone());
                            self.plan.known.push((at, theirs));
                        }
                        None => drop(self.candidates.insert(at, ImportCandidate { listed, stored })),
                    },
                    RegistryAnswer::Unknown(why) => self.note_unknown(Side::Blue, at.to_string(), why),
                    RegistryAnswer::NotOffered => {}
                }
            }
        }
    }

    /// The number of green's live version in the same subject that means the same.
    fn find_same(&mut self, at: &SubjectVersion) -> Option<u32> {
        let theirs = self.green.subjects.get(&at.subject)?;
        let live = theirs.versions.iter().filter(|(_, listed)| listed.deleted != Some(true)).map(|(number, _)| *number);
        let same = |number: &u32| {
            let other = SubjectVersion::new(&at.subject, *number);
            self.book.compare_versions(at, &other) == MeaningVerdict::Same
        };
        live.collect::<Vec<u32>>().into_iter().find(same)
    }

    fn refuse_contexts(&mut self) {
        let subjects: BTreeSet<String> = self.candidates.keys().map(|at| at.subject.clone()).collect();
        for subject in subjects.into_iter().filter(|subject| self.blue.context_of(subject) != DEFAULT_CONTEXT) {
            self.candidates.retain(|at, _| at.subject != subject);
            self.plan.obstacles.push(ImportObstacle::ContextNotKept { subject });
        }
    }

    /// Apicurio answers an error for an id whose JSON Schema names no dialect: it takes the text for no schema.
    fn refuse_unfound(&mut self) {
        let unfound = |c: &ImportCandidate<'_>| {
            c.stored.schema.format == SchemaFormat::Json && !c.stored.schema.text.contains("\"$schema\"")
        };
        let (refused, kept) = std::mem::take(&mut self.candidates).into_iter().partition(|(_, c)| unfound(c));
        self.candidates = kept;
        let refused: BTreeMap<SubjectVersion, ImportCandidate<'_>> = refused;
        self.plan.obstacles.extend(refused.into_keys().map(|at| ImportObstacle::NotFoundById { at }));
    }

    /// Before a subject is set to IMPORT, all of it is known, and nothing of it is soft-deleted.
    fn refuse_subjects(&mut self) {
        let subjects: BTreeSet<String> = self.candidates.keys().map(|at| at.subject.clone()).collect();
        for subject in subjects {
            let obstacle = self.green.subjects.get(&subject).and_then(|content| refuse_subject(&subject, content));
            let in_context = self.blue.context_of(&subject) != DEFAULT_CONTEXT;
            let lost = in_context && self.green.server.kind.look_up_abilities().contexts == Keeping::Loses;
            let refused =
                obstacle.or_else(|| lost.then(|| ImportObstacle::ContextNotKept { subject: subject.clone() }));
            if let Some(obstacle) = refused {
                self.candidates.retain(|at, _| at.subject != subject);
                // A live version that green holds soft-deleted was told already.
                if !self.plan.obstacles.contains(&obstacle) {
                    self.plan.obstacles.push(obstacle);
                }
            }
        }
    }

    /// An id is written only where green has none of it, or has it for the same schema.
    fn refuse_ids(&mut self, loses_second: bool) {
        let mut first_ids: BTreeMap<u128, u32> = BTreeMap::new();
        if loses_second {
            for (_, _, stored) in self.green.stored_schemas() {
                first_ids.entry(self.book.hash_schema(&stored.schema)).or_insert(stored.id);
            }
        }
        let mut refused = Vec::new();
        for (at, candidate) in &self.candidates {
            let id = candidate.stored.id;
            let key: SchemaId = self.blue.id_in_context(&at.subject, id);
            let schema = &candidate.stored.schema;
            let obstacle = match self.green.ids.get(&key) {
                Some(RegistryAnswer::Told(None)) => None,
                Some(RegistryAnswer::Told(Some(theirs))) => {
                    match self.book.compare_deeply((&key.context, schema), (&key.context, theirs)) {
                        MeaningVerdict::Same => None,
                        // Its references may be among what is imported: then they are not there to be compared yet.
                        _ => Some(ImportObstacle::IdTaken { at: at.clone(), id }),
                    }
                }
                Some(RegistryAnswer::Unknown(why)) => {
                    Some(ImportObstacle::NotKnown { side: Side::Green, what: key.to_string(), why: why.clone() })
                }
                Some(RegistryAnswer::NotOffered) | None => {
                    let why = Trouble::new("green was not asked for it", "read every id of blue on green");
                    Some(ImportObstacle::NotKnown { side: Side::Green, what: key.to_string(), why })
                }
            };
            let mut answered_first = || {
                let first = *first_ids.entry(self.book.hash_schema(schema)).or_insert(id);
                (first != id).then(|| ImportObstacle::SecondId { at: at.clone(), id, first })
            };
            let obstacle = obstacle.or_else(|| if loses_second { answered_first() } else { None });
            refused.extend(obstacle.map(|o| (at.clone(), o)));
        }
        for (at, obstacle) in refused {
            self.candidates.remove(&at);
            self.plan.obstacles.push(obstacle);
        }
    }

    /// References first; what rests on something that is not imported is not imported either.
    fn order_candidates(&mut self) {
        let mut nodes = BTreeMap::new();
        for (at, candidate) in self.candidates.clone() {
            let context = self.blue.context_of(&at.subject);
            let mut on = BTreeSet::new();
            let mut missing = None;
            for reference in &candidate.stored.schema.references {
                match self.blue.resolve_reference(context, reference) {
                    Some(referenced) => drop(on.insert(referenced)),
                    None => missing = Some(reference.clone()),
                }
            }
            match missing {
                None => drop(nodes.insert(at, (candidate.stored.id, on))),
                Some(reference) => {
                    self.candidates.remove(&at);
                    self.plan.obstacles.push(ImportObstacle::ReferenceMissing { at, reference });
                }
            }
        }
        let order = order_by_references(&nodes);
        let mut available = self.there.clone();
        // Those behind a circle come last, and fail for what they reference.
        for at in order.ordered.into_iter().chain(order.behind) {
            if let Some(on) = nodes[&at].1.iter().find(|r| !available.contains(*r)) {
                self.plan.obstacles.push(ImportObstacle::ReferenceNotPlanned { on: on.clone(), at });
                continue;
            }
            let ImportCandidate { listed, stored } = self.candidates[&at];
            available.insert(at.clone());
            // Apicurio reads nothing any more of a subject that is soft-deleted as a whole: so there it stays live.
            let any_live = || {
                let of = self.blue.subjects.get(&at.subject);
                of.is_some_and(|of| of.versions.values().any(|v| v.deleted == Some(false)))
            };
            let leave_deleted =
                listed.deleted == Some(true) && (self.plan.manner != ImportManner::Native || any_live());
            self.plan.imports.push(SchemaImport { at, id: stored.id, schema: stored.schema.clone(), leave_deleted });
        }
        self.plan.obstacles.extend(order.circles.into_iter().map(|members| ImportObstacle::Circle { members }));
    }

    /// Each subject that something is imported to takes imports for that time; its own mode is noted, to be restored.
    fn plan_modes(&mut self) {
        let subjects: BTreeSet<String> = self.plan.imports.iter().map(|i| i.at.subject.clone()).collect();
        for subject in subjects {
            let content = self.green.subjects.get(&subject);
            let before = content.and_then(|c| c.own.mode.as_told()).cloned().flatten();
            if before == Some(RegistryMode::Import) {
                continue;
            }
            let force = content.is_some_and(|c| c.versions.values().any(|v| v.deleted == Some(false)));
            self.plan.modes.push(ModeSwitch { subject, before, force });
        }
    }

    /// The compatibility alone, where green says another.
    fn keep_compatibility(
        &self,
        config: Option<RegistryConfig>,
        theirs: Option<&ScopeSettings>,
    ) -> Option<RegistryConfig> {
        let compatibility = Some(config?.compatibility?);
        let there = theirs.and_then(|t| t.config.as_told()).cloned().flatten().and_then(|c| c.compatibility);
        (compatibility != there).then(|| RegistryConfig { compatibility, more: BTreeMap::new() })
    }

    /// What blue says for itself and green does not say so.
    fn plan_settings(&mut self) {
        let (blue, green) = (self.blue, self.green);
        let global = (SettingScope::Global, &blue.global, Some(&green.global));
        let contexts = blue
            .by_context
            .iter()
            .map(|(context, ours)| (SettingScope::Context(context.clone()), ours, green.by_context.get(context)));
        let subjects = blue.subjects.iter().map(|(subject, ours)| {
            let theirs = green.subjects.get(subject).map(|s| &s.own);
            (SettingScope::Subject(subject.clone()), &ours.own, theirs)
        });
        let mut unread = Vec::new();
        for (scope, ours, theirs) in std::iter::once(global).chain(contexts).chain(subjects) {
            let config = choose_setting(&ours.config, theirs.map(|t| &t.config));
            let mode = choose_setting(&ours.mode, theirs.map(|t| &t.mode));
            for (what, why) in [("compatibility", config.as_ref().err()), ("mode", mode.as_ref().err())] {
                unread.extend(why.map(|why| (format!("{what} of {scope}"), why.clone())));
            }
            let config = config.ok().flatten().cloned();
            let mode = mode.ok().flatten().cloned();
            // A mode that a migration set there, or that is not known here, is nobody's to copy.
            let mode = mode.filter(|m| !matches!(m, RegistryMode::Import | RegistryMode::Other(_)));
            // A server that gives ids of its own has no modes, and drops what stands beside the compatibility.
            let (config, mode) = match self.plan.manner {
                ImportManner::WithIds => (config, mode),
                ImportManner::Native | ImportManner::NewIds => (self.keep_compatibility(config, theirs), None),
            };
            if config.is_some() || mode.is_some() {
                self.plan.settings.push(SettingWrite { scope, config, mode });
            }
        }
        for (what, why) in unread {
            self.note_unknown(Side::Green, what, &why);
        }
    }
}

/// What blue says for itself, where green says something else or nothing. Where green has no such setting there is
/// nothing to set.
///
/// # Errors
/// What green says is not known: then nothing is written over it.
fn choose_setting<'a, T: PartialEq>(
    ours: &'a RegistryAnswer<Option<T>>,
    theirs: Option<&RegistryAnswer<Option<T>>>,
) -> Result<Option<&'a T>, Trouble> {
    let Some(Some(own)) = ours.as_told() else { return Ok(None) };
    match theirs {
        None | Some(RegistryAnswer::Told(None)) => Ok(Some(own)),
        Some(RegistryAnswer::Told(Some(there))) => Ok(Some(own).filter(|own| *own != there)),
        Some(RegistryAnswer::NotOffered) => Ok(None),
        Some(RegistryAnswer::Unknown(why)) => Err(why.clone()),
    }
}
