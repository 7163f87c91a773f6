//! The steps of a copy. Each reads before it writes, says in the journal what it means to do, and reads back.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides, Trouble};
use crate::jobs::replay::{Halt, Stop};
use crate::migration::facts::event::Event;
use crate::registry::{RegistryClient, RegistryWriter, find_numbers, find_schema, find_stored, read_settings_of};
use crate::schemas::{
    DEFAULT_CONTEXT, ImportObstacle, MeaningVerdict, ModeSwitch, RegistryContent, RegistryMode, SchemaCopyFact,
    SchemaCopyReport, SchemaFormat, SchemaId, SchemaImport, SchemaText, SettingScope, SettingWrite, SubjectVersion,
    UnfinishedCopy, compare_schemas, compare_written, split_context,
};
use crate::session::clock::Clock;
use crate::session::lease::WriteLease;
use crate::session::options::Options;
use crate::session::scribe::Scribe;

/// What throw-away subjects begin with.
const PROBE: &str = "cutover-probe-";

/// The part of a copy that writes.
pub(super) struct SchemaCopier<'a> {
    pub(super) green: &'a RegistryClient,
    pub(super) writer: RegistryWriter<'a>,
    /// Nothing is written without it.
    _lease: &'a WriteLease,
    scribe: &'a mut Scribe,
    options: &'a Options,
    stop: &'a Stop,
    pub report: &'a mut SchemaCopyReport,
    /// Subjects that take imports now, with the modes that they are to have back.
    open: BTreeMap<String, Option<RegistryMode>>,
    /// Subjects that were found otherwise than planned, at the last moment.
    left_out: BTreeSet<String>,
}

impl<'a> SchemaCopier<'a> {
    pub(super) fn new(
        green: &'a RegistryClient,
        lease: &'a WriteLease,
        scribe: &'a mut Scribe,
        options: &'a Options,
        stop: &'a Stop,
        report: &'a mut SchemaCopyReport,
    ) -> Self {
        let (open, left_out) = (BTreeMap::new(), BTreeSet::new());
        let writer = RegistryWriter::new(green);
        Self { green, writer, _lease: lease, scribe, options, stop, report, open, left_out }
    }

    /// Into the journal. Errors: it could not be written; nothing may be done then.
    pub(super) async fn note(&mut self, fact: SchemaCopyFact) -> Result<(), Halt> {
        let event = Event::SchemaCopy { fact };
        self.scribe.append(self.options.actor.clone(), event).await.map_err(Halt::Refused)
    }

    /// Removes throw-away subjects and gives modes back that an earlier copy left.
    pub(super) async fn finish_earlier(
        &mut self,
        url: &str,
        unfinished: &UnfinishedCopy,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), Halt> {
        if unfinished.probes.is_empty() && unfinished.modes.is_empty() {
            return Ok(());
        }
        say(&format!("an earlier copy did not end: {} modes are put back", unfinished.modes.len()));
        // What follows in the journal is about this registry.
        let (server, confirmed) = ("what an earlier copy left".to_owned(), "started again".to_owned());
        self.note(SchemaCopyFact::Started { registry: url.to_owned(), server, versions: 0, confirmed }).await?;
        for subject in &unfinished.probes {
            self.remove_probe(subject).await.map_err(Halt::Refused)?;
            self.note(SchemaCopyFact::ProbeEnded { subject: subject.clone(), kept: None }).await?;
        }
        self.open.clone_from(&unfinished.modes);
        self.restore_modes().await.map_err(Halt::Refused)
    }

    /// Whether green keeps an id, by one that nobody has, in a subject of its own that is removed again.
    pub(super) async fn try_id(&mut self, both: &Sides<RegistryContent>) -> Result<(), Halt> {
        // The next one, and none far away: registries count on from the highest that they have seen.
        let ids = both.iter().flat_map(|(_, content)| content.ids.keys());
        let highest = ids.filter(|id| id.context == DEFAULT_CONTEXT).map(|id| id.id).max();
        let id = highest.unwrap_or(0).saturating_add(1);
        let subject = format!("{PROBE}{:x}", Clock.now().0);
        let full = SettingScope::Subject(subject.clone());
        let text = format!("{{\"type\":\"record\",\"name\":\"Probe{id}\",\"namespace\":\"cutover\",\"fields\":[]}}");
        let schema =
            SchemaText { format: SchemaFormat::Avro, text, references: Vec::new(), metadata: None, rules: None };
        let at = SubjectVersion::new(&subject, 1);
        let import = SchemaImport { at: at.clone(), id, schema, leave_deleted: false };
        self.note(SchemaCopyFact::ProbeIntended { subject: subject.clone(), id }).await?;
        let written = match self.writer.set_mode(&full, &RegistryMode::Import, false).await {
            Ok(()) => self.writer.import_version(&import).await,
            Err(why) => Err(why),
        };
        let read = (find_stored(self.green, &at).await, find_schema(self.green, &SchemaId::of_default(id)).await);
        let losses = compare_written(&import, &read.0, &read.1);
        self.remove_probe(&subject).await.map_err(Halt::Refused)?;
        let kept = written.is_ok().then_some(losses.is_empty());
        self.note(SchemaCopyFact::ProbeEnded { subject, kept }).await?;
        written.map_err(Halt::Refused)?;
        match losses.first() {
            None => Ok(()),
            Some(loss) => {
                let what =
                    format!("green's registry does not keep what is imported: of id {id}, {}", loss.describe_loss());
                let advice = "nothing else was written; use a registry on green that keeps ids";
                Err(Halt::Holds(Trouble::new(what, advice)))
            }
        }
    }

    /// Removes a throw-away subject with its mode.
    async fn remove_probe(&self, subject: &str) -> Result<(), Trouble> {
        if !subject.starts_with(PROBE) {
            let what = format!("{} is no throw-away subject, and is not removed", visible_name(subject));
            return Err(Trouble::new(what, "this is a fault of cutover, please report it"));
        }
        let versions = find_numbers(self.green, subject, true).await.into_found()?.unwrap_or_default();
        for version in versions {
            self.writer.remove_probe(&SubjectVersion::new(subject, version)).await?;
        }
        self.writer.drop_mode(subject).await?;
        match find_numbers(self.green, subject, true).await.into_found()? {
            None => Ok(()),
            Some(_) => {
                let what = format!("{} is still on green", visible_name(subject));
                Err(Trouble::new(what, "delete it for good by hand: it is a throw-away subject"))
            }
        }
    }

    /// Lets subjects take imports. What is soft-deleted in one by now would be destroyed by that: it is left out.
    pub(super) async fn open_subjects(&mut self, modes: &[ModeSwitch]) -> Result<(), Halt> {
        for switch in modes {
            self.check_stop()?;
            let subject = &switch.subject;
            let scope = SettingScope::Subject(subject.clone());
            let listed = find_numbers(self.green, subject, true).await.into_found().map_err(Halt::Unknown)?;
            let live = find_numbers(self.green, subject, false).await.into_found().map_err(Halt::Unknown)?;
            let (listed, live) = (listed.unwrap_or_default(), live.unwrap_or_default());
            let versions: Vec<u32> = listed.into_iter().filter(|n| !live.contains(n)).collect();
            if !versions.is_empty() {
                self.left_out.insert(subject.clone());
                let subject = subject.clone();
                self.report.left_out.push(ImportObstacle::SoftDeletedOnGreen { subject, versions });
                continue;
            }
            let before = read_settings_of(self.green, &scope).await.mode.into_found().map_err(Halt::Unknown)?;
            if before == Some(RegistryMode::Import) {
                continue;
            }
            self.note(SchemaCopyFact::ModeIntended { subject: subject.clone(), before: before.clone() }).await?;
            self.open.insert(subject.clone(), before);
            self.writer.set_mode(&scope, &RegistryMode::Import, !live.is_empty()).await.map_err(Halt::Refused)?;
            let now = read_settings_of(self.green, &scope).await.mode.into_found().map_err(Halt::Unknown)?;
            if now != Some(RegistryMode::Import) {
                let what = format!("{scope} was set to IMPORT on green, and is not");
                return Err(Halt::Refused(Trouble::new(what, "use a registry on green that has this mode")));
            }
        }
        Ok(())
    }

    /// Imports in order. What is found otherwise than planned is left out; what is not there as it was sent ends it.
    pub(super) async fn import_versions(&mut self, imports: &[SchemaImport]) -> Result<(), Halt> {
        let mut missing: BTreeSet<SubjectVersion> = BTreeSet::new();
        for import in imports {
            self.check_stop()?;
            // The subject itself was told already.
            if self.left_out.contains(&import.at.subject) {
                missing.insert(import.at.clone());
                continue;
            }
            let found = match list_references(import).into_iter().find(|on| missing.contains(on)) {
                Some(on) => Found::Taken(ImportObstacle::ReferenceNotPlanned { at: import.at.clone(), on }),
                None => self.look_before(import).await?,
            };
            match found {
                Found::Free => {}
                Found::There => continue,
                Found::Taken(obstacle) => {
                    missing.insert(import.at.clone());
                    self.report.left_out.push(obstacle);
                    continue;
                }
            }
            let (at, id, leave_deleted) = (import.at.clone(), import.id, import.leave_deleted);
            self.note(SchemaCopyFact::ImportIntended { at: at.clone(), id, leave_deleted }).await?;
            let written = self.writer.import_version(import).await;
            let key = id_of_import(import);
            let read = (find_stored(self.green, &at).await, find_schema(self.green, &key).await);
            let losses = compare_written(import, &read.0, &read.1);
            let trouble = match (&losses.first(), written) {
                (None, _) => None,
                // Refused: its own words say more than that it is not there.
                (Some(_), Err(why)) => Some(why),
                (Some(loss), Ok(())) => {
                    let what = format!("green's registry took {at}, and {}", loss.describe_loss());
                    Some(Trouble::new(what, "nothing more is written: look at it by hand"))
                }
            };
            let words = trouble.as_ref().map(|t| t.what.clone());
            self.note(SchemaCopyFact::ImportEnded { at: at.clone(), trouble: words }).await?;
            match trouble {
                None => self.report.imported.push(at),
                Some(why) => return Err(Halt::Refused(why)),
            }
        }
        Ok(())
    }

    /// What green has at the last moment: nothing that it has is written over.
    async fn look_before(&self, import: &SchemaImport) -> Result<Found, Halt> {
        let same = |other: &SchemaText| compare_schemas(&import.schema, other) == MeaningVerdict::Same;
        let at = import.at.clone();
        if let Some(there) = find_stored(self.green, &at).await.into_found().map_err(Halt::Unknown)? {
            if there.id == import.id && same(&there.schema) {
                return Ok(Found::There);
            }
            let why = format!("since it was looked at, with id {}", there.id);
            return Ok(Found::Taken(ImportObstacle::VersionTaken { at, why }));
        }
        let by_id = find_schema(self.green, &id_of_import(import)).await.into_found().map_err(Halt::Unknown)?;
        Ok(match by_id {
            Some(other) if !same(&other) => Found::Taken(ImportObstacle::IdTaken { at, id: import.id }),
            _ => Found::Free,
        })
    }

    /// Soft-deletes versions that a copy imported and blue has soft-deleted: only where green has that id live.
    pub(super) async fn delete_again(&mut self, versions: &[(SubjectVersion, u32)]) -> Result<(), Halt> {
        for (at, id) in versions {
            self.check_stop()?;
            let there = find_stored(self.green, at).await.into_found().map_err(Halt::Unknown)?;
            let live = find_numbers(self.green, &at.subject, false).await.into_found().map_err(Halt::Unknown)?;
            let is_live = live.is_some_and(|live| live.contains(&at.version));
            if !is_live || there.is_none_or(|stored| stored.id != *id) {
                continue;
            }
            self.note(SchemaCopyFact::DeleteIntended { at: at.clone() }).await?;
            let deleted = self.writer.soft_delete(at).await;
            let live = find_numbers(self.green, &at.subject, false).await.into_found().map_err(Halt::Unknown)?;
            let is_live = live.is_some_and(|live| live.contains(&at.version));
            let trouble = match (is_live, deleted) {
                (false, _) => None,
                (true, Err(why)) => Some(why.what),
                (true, Ok(())) => Some("green's registry answered, and it is still live".to_owned()),
            };
            match &trouble {
                None => self.report.deleted.push(at.clone()),
                // It reads the same: the look at the end tells it.
                Some(why) => tracing::warn!(side = %Side::Green, why = %why, "not soft-deleted"),
            }
            self.note(SchemaCopyFact::DeleteEnded { at: at.clone(), trouble }).await?;
        }
        Ok(())
    }

    /// Gives every subject that takes imports by a copy its own mode back. All are tried; the first trouble is told.
    pub(super) async fn restore_modes(&mut self) -> Result<(), Trouble> {
        let mut first = None;
        for (subject, before) in std::mem::take(&mut self.open) {
            let restored = match self.restore_mode(&subject, before.as_ref()).await {
                Ok(()) => match self.note(SchemaCopyFact::ModeRestored { subject: subject.clone() }).await {
                    Ok(()) => Ok(()),
                    Err(halt) => Err(halt.into_parts().1.unwrap_or_else(|| Trouble::new("interrupted", ""))),
                },
                Err(why) => Err(why),
            };
            match restored {
                Ok(()) => self.report.restored.push(subject),
                Err(why) => {
                    let what = format!("{} has not its own mode back: {}", visible_name(&subject), why.what);
                    let advice = "the next `cutover schemas --apply` tries again before anything else";
                    first.get_or_insert(Trouble::new(what, advice));
                }
            }
        }
        first.map_or(Ok(()), Err)
    }

    async fn restore_mode(&self, subject: &str, before: Option<&RegistryMode>) -> Result<(), Trouble> {
        let scope = SettingScope::Subject(subject.to_owned());
        // Set to something else since: that is somebody's wish.
        if read_settings_of(self.green, &scope).await.mode.into_found()? != Some(RegistryMode::Import) {
            return Ok(());
        }
        match before {
            Some(mode) => self.writer.set_mode(&scope, mode, false).await?,
            None => self.writer.drop_mode(subject).await?,
        }
        match read_settings_of(self.green, &scope).await.mode.into_found()? {
            now if now.as_ref() == before => Ok(()),
            _ => Err(Trouble::new("green's registry answered, and it is not", "")),
        }
    }

    /// Sets what blue says of compatibility and modes, after everything else.
    pub(super) async fn write_settings(&mut self, settings: &[SettingWrite]) -> Result<(), Halt> {
        for write in settings {
            self.check_stop()?;
            self.note(SchemaCopyFact::SettingIntended { scope: write.scope.clone() }).await?;
            let written = self.write_setting(write).await;
            let now = read_settings_of(self.green, &write.scope).await;
            let config = write.config.is_none() || now.config.as_told().cloned().flatten() == write.config;
            let mode = write.mode.is_none() || now.mode.as_told().cloned().flatten() == write.mode;
            let trouble = match (config && mode, written) {
                (true, _) => None,
                (false, Err(why)) => Some(why),
                (false, Ok(())) => {
                    let what = format!("settings of {} were written to green, and read otherwise", write.scope);
                    Some(Trouble::new(what, "some kinds of registry drop what they have no room for"))
                }
            };
            let words = trouble.as_ref().map(|t| t.what.clone());
            self.note(SchemaCopyFact::SettingEnded { scope: write.scope.clone(), trouble: words }).await?;
            match trouble {
                None => self.report.set.push(write.scope.clone()),
                Some(why) => return Err(Halt::Refused(why)),
            }
        }
        Ok(())
    }

    async fn write_setting(&self, write: &SettingWrite) -> Result<(), Trouble> {
        if let Some(config) = &write.config {
            self.writer.set_config(&write.scope, config).await?;
        }
        match &write.mode {
            Some(mode) => self.writer.set_mode(&write.scope, mode, false).await,
            None => Ok(()),
        }
    }

    pub(super) fn check_stop(&self) -> Result<(), Halt> {
        if self.stop.is_set() { Err(Halt::Interrupted) } else { Ok(()) }
    }
}

/// What green has of a version that is to be imported.
enum Found {
    Free,
    There,
    Taken(ImportObstacle),
}

/// The id as green finds it: in the context that the subject's name says.
pub(super) fn id_of_import(import: &SchemaImport) -> SchemaId {
    match split_context(&import.at.subject) {
        Some((context, _)) => SchemaId { context: context.to_owned(), id: import.id },
        None => SchemaId::of_default(import.id),
    }
}

/// What a version references.
pub(super) fn list_references(import: &SchemaImport) -> Vec<SubjectVersion> {
    let context = split_context(&import.at.subject).map_or(DEFAULT_CONTEXT, |(context, _)| context);
    let of = import.schema.references.iter();
    of.filter_map(|r| Some(SubjectVersion::new(r.name_subject(context), u32::try_from(r.version).ok()?))).collect()
}
