//! Two registries compared: every version of blue, and what every id of blue reads on green.
//!
//! Ids come first. A consumer sees the id in a record and nothing else: that it reads the same schema on green is what
//! counts, and `(subject, version)` only says how it came to be so. `GET /schemas/ids/ID/versions` is not asked: on
//! recorded servers it loses subjects of ids that read well.

use std::collections::{BTreeMap, BTreeSet};

use super::content::{
    ListedVersion, RegistryAnswer, RegistryConfig, RegistryContent, RegistryMode, SchemaText, ScopeSettings,
    StoredSchema, SubjectContent,
};
use super::finding::{ParityCounts, SchemaFinding, SchemaParity, SettingScope};
use super::meaning::{MeaningBook, MeaningVerdict, compare_schemas};
use super::records::IdReading;
use super::subject::{DEFAULT_CONTEXT, SchemaId, SubjectVersion};
use super::written::list_lost_extras;
use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides, Trouble};

/// The ids that have to be read on green besides its own: every id that blue's versions have. On both sides, so that a
/// comparison never takes what was not asked for as absent.
#[must_use]
pub fn list_ids_to_read(blue: &RegistryContent, green: &RegistryContent) -> BTreeSet<SchemaId> {
    blue.ids.keys().cloned().chain(blue.versions_by_id().into_keys()).filter(|id| !green.ids.contains_key(id)).collect()
}

/// Compares all that blue has with green. `green.ids` should hold every id of blue ([`list_ids_to_read`]): one that does
/// not is unknown.
#[must_use]
pub fn compare_contents(blue: &RegistryContent, green: &RegistryContent) -> SchemaParity {
    let mut comparison = Comparison::new(blue, green);
    comparison.note_unread();
    comparison.compare_ids();
    comparison.compare_subjects();
    comparison.compare_settings();
    let Comparison { mut findings, used_by, .. } = comparison;
    findings.sort_by_key(SchemaFinding::severity_of);
    let counts = ParityCounts {
        subjects: blue.subjects.len(),
        versions: blue.subjects.values().map(|s| s.versions.len()).sum(),
        ids: used_by.len(),
    };
    SchemaParity { servers: Sides { blue: blue.server.clone(), green: green.server.clone() }, counts, findings }
}

/// What an id reads on both sides.
pub(super) fn read_id_on_both<'a>(
    both: Sides<&'a RegistryContent>,
    book: &mut MeaningBook<'a>,
    id: &SchemaId,
) -> IdReading {
    let unknown = |what: &str, advice: &str| Trouble::new(what.to_owned(), advice.to_owned());
    let read = |side: Side| match both[side].ids.get(id) {
        Some(RegistryAnswer::Told(schema)) => Ok(schema.as_ref()),
        Some(RegistryAnswer::Unknown(why)) => Err(why.clone()),
        Some(RegistryAnswer::NotOffered) => Err(unknown(&format!("{side} reads no ids"), "")),
        None => Err(unknown(&format!("{side} was not asked for it"), "read it on both sides")),
    };
    match (read(Side::Blue), read(Side::Green)) {
        (Ok(Some(blue)), Ok(Some(green))) => match book.compare_deeply((&id.context, blue), (&id.context, green)) {
            MeaningVerdict::Same => IdReading::Same,
            MeaningVerdict::Different(layer) => IdReading::Other { layer },
            MeaningVerdict::Unknown(why) => {
                let why = Trouble::new(why, "compare the two texts by hand: `GET /schemas/ids/ID` on both");
                IdReading::Unknown { why }
            }
        },
        (Ok(Some(_)), Ok(None)) => IdReading::OnBlue,
        (Ok(None), Ok(Some(_))) => IdReading::OnGreen,
        (Ok(None), Ok(None)) => IdReading::Nowhere,
        (Err(why), _) | (_, Err(why)) => IdReading::Unknown { why },
    }
}

struct Comparison<'a> {
    both: Sides<&'a RegistryContent>,
    book: MeaningBook<'a>,
    /// Blue's versions by their ids.
    used_by: BTreeMap<SchemaId, Vec<SubjectVersion>>,
    findings: Vec<SchemaFinding>,
}

impl<'a> Comparison<'a> {
    fn new(blue: &'a RegistryContent, green: &'a RegistryContent) -> Self {
        let both = Sides { blue, green };
        Self { both, book: MeaningBook::new(both), used_by: blue.versions_by_id(), findings: Vec::new() }
    }

    fn note_one_unread(&mut self, side: Side, what: impl Into<String>, why: &Trouble) {
        self.findings.push(SchemaFinding::NotRead { side, what: what.into(), why: why.clone() });
    }

    /// What was not read of either, but for versions and ids, which are told where they are compared.
    fn note_unread(&mut self) {
        let both = self.both;
        for (side, content) in both.iter() {
            if let Some(why) = &content.unlisted {
                self.note_one_unread(side, "the list of subjects", why);
            }
            if let Some(why) = content.contexts.why_unknown() {
                self.note_one_unread(side, "the list of contexts", why);
            }
            // What only green has decides nothing.
            for (subject, of) in content.subjects.iter().filter(|(s, _)| both.blue.subjects.contains_key(*s)) {
                if let Some(why) = &of.unlisted {
                    self.note_one_unread(side, format!("the list of versions of {}", visible_name(subject)), why);
                }
            }
        }
        if both.green.contexts.why_unknown().is_some() {
            return;
        }
        let theirs = both.green.contexts.as_told();
        let lacks = |c: &&String| *c != DEFAULT_CONTEXT && !theirs.is_some_and(|all| all.contains(*c));
        let missing = both.blue.contexts.as_told().into_iter().flatten().filter(lacks);
        self.findings.extend(missing.map(|c| SchemaFinding::ContextMissing { context: c.clone() }));
    }

    fn compare_ids(&mut self) {
        let ids: BTreeSet<SchemaId> = self.both.blue.ids.keys().chain(self.used_by.keys()).cloned().collect();
        for id in &ids {
            self.compare_id(id);
        }
        let both = self.both;
        for (side, content) in both.iter() {
            let disagree = content.stored_schemas().filter_map(|(at, _, stored)| {
                let id = content.id_in_context(&at.subject, stored.id);
                let read = content.ids.get(&id)?.as_told()?;
                let other = read
                    .as_ref()
                    .is_none_or(|read| matches!(compare_schemas(&stored.schema, read), MeaningVerdict::Different(_)));
                other.then_some(SchemaFinding::IdDisagrees { side, at, id: stored.id })
            });
            self.findings.extend(disagree);
        }
    }

    /// What an id reads on both sides.
    fn compare_id(&mut self, id: &SchemaId) {
        // Blue can't read it itself: nothing can be lost.
        if self.both.blue.ids.get(id) == Some(&RegistryAnswer::Told(None)) {
            return;
        }
        let used_by = || self.used_by.get(id).cloned().unwrap_or_default();
        let finding = match read_id_on_both(self.both, &mut self.book, id) {
            IdReading::Same | IdReading::OnGreen | IdReading::Nowhere => return,
            IdReading::Other { layer } => SchemaFinding::IdReadsOther { id: id.clone(), layer, used_by: used_by() },
            IdReading::OnBlue => SchemaFinding::IdUnreadable { id: id.clone(), used_by: used_by() },
            IdReading::Unknown { why } => SchemaFinding::IdUnknown { id: id.clone(), why },
        };
        self.findings.push(finding);
    }

    fn compare_subjects(&mut self) {
        let Sides { blue, green } = self.both;
        for (subject, ours) in &blue.subjects {
            match green.subjects.get(subject) {
                Some(theirs) => self.compare_subject(subject, ours, theirs),
                // It may be one of those that were not listed, which is told once.
                None if green.unlisted.is_some() => {}
                None => {
                    let versions = ours.versions.len();
                    self.findings.push(SchemaFinding::SubjectMissing { subject: subject.clone(), versions });
                    for (number, version) in &ours.versions {
                        self.note_content(Side::Blue, &SubjectVersion::new(subject, *number), &version.content);
                    }
                }
            }
        }
        for (subject, theirs) in &green.subjects {
            let ours = blue.subjects.get(subject);
            let known = |n: &u32| ours.is_some_and(|o| o.versions.contains_key(n));
            let versions: Vec<u32> = theirs.versions.keys().copied().filter(|n| !known(n)).collect();
            let hidden = blue.unlisted.is_some() || ours.is_some_and(|o| o.unlisted.is_some());
            if !versions.is_empty() && !hidden {
                self.findings.push(SchemaFinding::OnlyOnGreen { subject: subject.clone(), versions });
            }
        }
        self.check_references(Side::Blue);
        self.check_references(Side::Green);
    }

    fn compare_subject(&mut self, subject: &str, ours: &'a SubjectContent, theirs: &'a SubjectContent) {
        for (number, version) in &ours.versions {
            let at = SubjectVersion::new(subject, *number);
            match theirs.versions.get(number) {
                Some(other) => self.compare_version(at, version, other),
                None if theirs.unlisted.is_some() => {}
                None => {
                    let id = version.content.as_told().map(|s| s.id);
                    let deleted = version.deleted == Some(true);
                    self.note_content(Side::Blue, &at, &version.content);
                    self.findings.push(SchemaFinding::VersionMissing { at, id, deleted });
                }
            }
        }
    }

    fn compare_version(&mut self, at: SubjectVersion, ours: &ListedVersion, theirs: &ListedVersion) {
        match (ours.deleted, theirs.deleted) {
            (Some(true), Some(false)) => {
                self.findings.push(SchemaFinding::SoftDeleted { at: at.clone(), side: Side::Blue });
            }
            (Some(false), Some(true)) => {
                self.findings.push(SchemaFinding::SoftDeleted { at: at.clone(), side: Side::Green });
            }
            (Some(_), Some(_)) => {}
            _ => {
                let side = if ours.deleted.is_none() { Side::Blue } else { Side::Green };
                let why = Trouble::new("the list without deleted versions was not read", "look again");
                self.note_one_unread(side, format!("whether {at} is soft-deleted"), &why);
            }
        }
        let (blue, green) = match (&ours.content, &theirs.content) {
            (RegistryAnswer::Told(blue), RegistryAnswer::Told(green)) => (blue, green),
            (content, other) => {
                self.note_content(Side::Blue, &at, content);
                self.note_content(Side::Green, &at, other);
                return;
            }
        };
        if blue.id != green.id {
            let ids = Sides { blue: blue.id, green: green.id };
            self.findings.push(SchemaFinding::OtherId { at: at.clone(), ids });
        }
        match self.book.compare_versions(&at, &at) {
            MeaningVerdict::Same => {}
            MeaningVerdict::Different(layer) => {
                self.findings.push(SchemaFinding::OtherMeaning { at: at.clone(), layer });
            }
            MeaningVerdict::Unknown(why) => {
                self.findings.push(SchemaFinding::MeaningUnknown { at: at.clone(), why });
            }
        }
        let references = |of: &SchemaText| -> BTreeSet<_> { of.references.iter().cloned().collect() };
        if references(&blue.schema) != references(&green.schema) {
            self.findings.push(SchemaFinding::ReferencesDiffer { at: at.clone() });
        }
        for what in list_lost_extras(&blue.schema, &green.schema) {
            self.findings.push(SchemaFinding::ExtrasDiffer { at: at.clone(), what: what.to_owned() });
        }
    }

    /// What a version holds, where that is not known: then its id is not known either, and was compared with nothing.
    fn note_content(&mut self, side: Side, at: &SubjectVersion, content: &RegistryAnswer<StoredSchema>) {
        let none = Trouble::new("it is not offered", "");
        if content.as_told().is_none() {
            self.note_one_unread(side, at.to_string(), content.why_unknown().unwrap_or(&none));
        }
    }

    fn check_references(&mut self, side: Side) {
        let content = self.both[side];
        for (at, _, stored) in content.stored_schemas() {
            let context = content.context_of(&at.subject);
            for reference in &stored.schema.references {
                if content.resolve_reference(context, reference).is_none() && content.unlisted.is_none() {
                    let reference = reference.clone();
                    self.findings.push(SchemaFinding::ReferenceMissing { side, at: at.clone(), reference });
                }
            }
        }
    }

    fn compare_settings(&mut self) {
        let Sides { blue, green } = self.both;
        self.compare_scope(&SettingScope::Global, &blue.global, &green.global);
        for (context, ours) in &blue.by_context {
            // one that green lacks is told as such
            if let Some(theirs) = green.by_context.get(context) {
                self.compare_scope(&SettingScope::Context(context.clone()), ours, theirs);
            }
        }
        for (subject, ours) in &blue.subjects {
            if let Some(theirs) = green.subjects.get(subject) {
                let scope = SettingScope::Subject(subject.clone());
                self.compare_scope(&scope, &ours.own, &theirs.own);
            }
        }
    }

    /// A scope's own settings. What it does not say for itself is compared by what applies; where neither side says
    /// anything, the wider scope is compared by itself.
    fn compare_scope(&mut self, scope: &SettingScope, ours: &ScopeSettings, theirs: &ScopeSettings) {
        for (side, settings) in [(Side::Blue, ours), (Side::Green, theirs)] {
            if let Some(why) = settings.config.why_unknown() {
                self.note_one_unread(side, format!("compatibility of {scope}"), why);
            }
            if let Some(why) = settings.mode.why_unknown() {
                self.note_one_unread(side, format!("mode of {scope}"), why);
            }
        }
        if let (Some(ours), Some(theirs)) = (own_of(&ours.config), own_of(&theirs.config)) {
            self.compare_configs(scope, ours, theirs);
        }
        // A server without modes takes writes.
        if let (Some(ours), Some(theirs)) = (own_of(&ours.mode), own_of(&theirs.mode))
            && (ours.is_some() || theirs.is_some() || *scope == SettingScope::Global)
        {
            let word = |mode: Option<&RegistryMode>, side: Side| {
                mode.cloned().or_else(|| self.mode_around(scope, side)).unwrap_or(RegistryMode::ReadWrite)
            };
            let (blue, green) = (word(ours, Side::Blue), word(theirs, Side::Green));
            if blue != green {
                let words = Sides { blue: blue.into(), green: green.into() };
                self.findings.push(SchemaFinding::ModeDiffers { scope: scope.clone(), words });
            }
        }
    }

    fn compare_configs(
        &mut self,
        scope: &SettingScope,
        ours: Option<&RegistryConfig>,
        theirs: Option<&RegistryConfig>,
    ) {
        let own = |config: Option<&RegistryConfig>| config.and_then(|c| c.compatibility.clone());
        let (blue, green) = (own(ours), own(theirs));
        if blue.is_some() || green.is_some() {
            let applies = |own: Option<String>, side: Side| own.or_else(|| self.compatibility_around(scope, side));
            let words = Sides { blue: applies(blue, Side::Blue), green: applies(green, Side::Green) };
            if words.blue != words.green {
                let words = words.map(|w| w.unwrap_or_else(|| "not told".to_owned()));
                self.findings.push(SchemaFinding::CompatibilityDiffers { scope: scope.clone(), words });
            }
        }
        let empty = BTreeMap::new();
        let more = Sides { blue: ours, green: theirs }.map(|c| c.map_or(&empty, |c| &c.more));
        let keys: BTreeSet<&String> = more.blue.keys().chain(more.green.keys()).collect();
        for key in keys {
            let values = more.map(|m| m.get(key).cloned());
            if values.blue != values.green {
                self.findings.push(SchemaFinding::ConfigDiffers { scope: scope.clone(), key: key.clone(), values });
            }
        }
    }

    /// What a scope inherits: from its context, then from the registry.
    fn find_inherited<T>(
        &self,
        scope: &SettingScope,
        side: Side,
        of: impl Fn(&'a ScopeSettings) -> Option<T>,
    ) -> Option<T> {
        let content = self.both[side];
        let context = match scope {
            SettingScope::Subject(subject) => Some(content.context_of(subject)),
            _ => None,
        };
        let from_context = context.and_then(|c| content.by_context.get(c)).and_then(&of);
        match scope {
            SettingScope::Global => None,
            _ => from_context.or_else(|| of(&content.global)),
        }
    }

    fn compatibility_around(&self, scope: &SettingScope, side: Side) -> Option<String> {
        self.find_inherited(scope, side, |s| s.config.as_told()?.as_ref()?.compatibility.clone())
    }

    fn mode_around(&self, scope: &SettingScope, side: Side) -> Option<RegistryMode> {
        self.find_inherited(scope, side, |s| s.mode.as_told()?.clone())
    }
}

/// What a scope says for itself; a server that has no such thing says nothing. `None`: not known.
fn own_of<T>(answer: &RegistryAnswer<Option<T>>) -> Option<Option<&T>> {
    match answer {
        RegistryAnswer::Told(own) => Some(own.as_ref()),
        RegistryAnswer::NotOffered => Some(None),
        RegistryAnswer::Unknown(_) => None,
    }
}
