//! Copies to servers whose Confluent API keeps no ids: by the server's own import, which does, or registered anew.

use std::collections::BTreeMap;

use super::copier::{SchemaCopier, id_of_import};
use crate::base::{Side, Sides, Trouble};
use crate::jobs::replay::Halt;
use crate::plan::RegistryPlan;
use crate::registry::{find_numbers, find_schema, find_stored, import_archive};
use crate::schemas::{
    DEFAULT_CONTEXT, ImportObstacle, MeaningVerdict, NewId, SchemaCopyFact, SchemaId, SchemaImport, SchemaText,
    SubjectVersion, compare_schemas, compare_written,
};

impl SchemaCopier<'_> {
    /// Gives all versions to the server's own import, and reads each back: its answer says nothing of them.
    pub(super) async fn import_natively(&mut self, green: &RegistryPlan, imports: &[SchemaImport]) -> Result<(), Halt> {
        self.check_stop()?;
        for SchemaImport { at, id, leave_deleted, .. } in imports {
            let (at, id, leave_deleted) = (at.clone(), *id, *leave_deleted);
            self.note(SchemaCopyFact::ImportIntended { at, id, leave_deleted }).await?;
        }
        let sent = import_archive(green, Side::Green, imports).await;
        let mut first = None;
        for import in imports {
            let stored = find_stored(self.green, &import.at).await;
            let losses = compare_written(import, &stored, &find_schema(self.green, &id_of_import(import)).await);
            let trouble = losses.first().map(|loss| loss.describe_loss());
            self.note(SchemaCopyFact::ImportEnded { at: import.at.clone(), trouble: trouble.clone() }).await?;
            match trouble {
                None => self.report.imported.push(import.at.clone()),
                Some(why) => drop(first.get_or_insert_with(|| format!("{}: {why}", import.at))),
            }
        }
        // Its own words say more than what is not there.
        sent.map_err(Halt::Refused)?;
        match first {
            None => Ok(()),
            Some(what) => {
                let what = format!("green's registry answered its own import, and {what}");
                let advice = "empty green's registry by hand and copy again, or look at its log";
                Err(Halt::Refused(Trouble::new(what, advice)))
            }
        }
    }

    /// Registers versions in order, where green gives ids and numbers of its own. `known`: numbers of what it has already.
    pub(super) async fn register_versions(
        &mut self,
        imports: &[SchemaImport],
        known: &[(SubjectVersion, u32)],
    ) -> Result<(), Halt> {
        let mut numbers: BTreeMap<SubjectVersion, u32> = known.iter().cloned().collect();
        for SchemaImport { at, id, schema, .. } in imports {
            self.check_stop()?;
            let schema = match renumber_references(schema, &numbers) {
                Ok(schema) => schema,
                Err(on) => {
                    self.report.left_out.push(ImportObstacle::ReferenceNotPlanned { at: at.clone(), on });
                    continue;
                }
            };
            // Somebody may have registered it since the look.
            if let Some((number, _)) = self.find_registered(&at.subject, &schema).await? {
                numbers.insert(at.clone(), number);
                continue;
            }
            self.note(SchemaCopyFact::RegisterIntended { at: at.clone(), id: *id }).await?;
            let written = self.writer.register_schema(&at.subject, &schema).await;
            let found = self.find_registered(&at.subject, &schema).await?;
            let trouble = match (found, written) {
                (Some((_, id)), _) => self.check_readable(id, &schema).await,
                (None, Err(why)) => Some(why),
                (None, Ok(())) => {
                    let what = format!("green's registry took {at}, and it is not there");
                    Some(Trouble::new(what, "nothing more is written: look at it by hand"))
                }
            };
            let (new, words) = (found.map(|(_, id)| id), trouble.as_ref().map(|t| t.what.clone()));
            self.note(SchemaCopyFact::RegisterEnded { at: at.clone(), id: new, trouble: words }).await?;
            match (found, trouble) {
                (Some((number, green)), None) => {
                    numbers.insert(at.clone(), number);
                    self.report.new_ids.push(NewId { at: at.clone(), ids: Sides { blue: *id, green } });
                }
                (_, Some(why)) => return Err(Halt::Refused(why)),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// The number and the id of a live version of a subject that is this schema.
    async fn find_registered(&self, subject: &str, schema: &SchemaText) -> Result<Option<(u32, u32)>, Halt> {
        let live = find_numbers(self.green, subject, false).await.into_found().map_err(Halt::Unknown)?;
        let sorted = |of: &SchemaText| {
            let mut references = of.references.clone();
            references.sort();
            references
        };
        for number in live.unwrap_or_default().into_iter().rev() {
            let at = SubjectVersion::new(subject, number);
            let Some(there) = find_stored(self.green, &at).await.into_found().map_err(Halt::Unknown)? else { continue };
            let same = compare_schemas(schema, &there.schema) == MeaningVerdict::Same;
            if same && sorted(schema) == sorted(&there.schema) {
                return Ok(Some((number, there.id)));
            }
        }
        Ok(None)
    }

    /// Why the new id does not read what was registered.
    async fn check_readable(&self, id: u32, schema: &SchemaText) -> Option<Trouble> {
        let read = find_schema(self.green, &SchemaId::of_default(id)).await.into_found();
        match read {
            Ok(Some(read)) if compare_schemas(schema, &read) == MeaningVerdict::Same => None,
            Ok(Some(_)) => Some(format!("its new id {id} reads another schema")),
            Ok(None) => Some(format!("its new id {id} is not found")),
            Err(why) => Some(format!("its new id {id} could not be read: {}", why.what)),
        }
        .map(|what| Trouble::new(what, "nothing more is written: look at green's registry"))
    }
}

/// A schema with its references by green's numbers. Errors: the one that green has not.
fn renumber_references(
    schema: &SchemaText,
    numbers: &BTreeMap<SubjectVersion, u32>,
) -> Result<SchemaText, SubjectVersion> {
    let mut schema = schema.clone();
    for reference in &mut schema.references {
        // -1 is the latest, on either side.
        let Ok(version) = u32::try_from(reference.version) else { continue };
        let on = SubjectVersion::new(reference.name_subject(DEFAULT_CONTEXT), version);
        let number = numbers.get(&on).and_then(|n| i32::try_from(*n).ok());
        reference.version = number.ok_or(on)?;
    }
    Ok(schema)
}
