//! One copy from the look to the outcome.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::copier::SchemaCopier;
use super::{CopyScreen, SchemaCopyQuestion, SchemaCopyRequest, find_wishes, read_record_ids};
use crate::base::{Sides, Trouble};
use crate::jobs::replay::{Halt, Stop};
use crate::migration::facts::event::{Event, JournalEntry};
use crate::plan::Plan;
use crate::registry::{RegistryClient, read_both};
use crate::schemas::{
    CopyWishes, ImportManner, RecordLook, RegistryContent, SchemaCopyFact, SchemaCopyReport, SchemaImportPlan,
    SchemaSurvey, SubjectVersion, UnfinishedCopy, list_record_ids,
};
use crate::session::clock::Clock;
use crate::session::options::Options;
use crate::session::scribe::{JournalSource, WorkJournal};

/// Copies what green's registry lacks. Never fails: what stood in the way is in the report. `stop` ends it in order after
/// the request that is under way: modes come back all the same.
pub async fn run_schema_copy(
    plan: &Plan,
    options: &Options,
    clients: Sides<&RegistryClient>,
    request: SchemaCopyRequest,
    screen: &mut CopyScreen<'_>,
    stop: Arc<Stop>,
) -> SchemaCopyReport {
    run_schema_copy_with(JournalSource::Open, plan, options, clients, request, screen, stop).await
}

/// The same, with the journal of a session that runs already.
pub(crate) async fn run_schema_copy_with(
    journal: JournalSource,
    plan: &Plan,
    options: &Options,
    clients: Sides<&RegistryClient>,
    request: SchemaCopyRequest,
    screen: &mut CopyScreen<'_>,
    stop: Arc<Stop>,
) -> SchemaCopyReport {
    let mut report = SchemaCopyReport::default();
    let WorkJournal { mut scribe, lease, entries, .. } = match WorkJournal::open(journal, plan, options, "copied").await
    {
        Ok(journal) => journal,
        Err(why) => return end_report(report, Halt::Refused(why)),
    };
    let copier = SchemaCopier::new(clients.green, &lease, &mut scribe, options, &stop, &mut report);
    let looks = read_record_ids(plan, request.records).await;
    let wishes = find_wishes(plan, request.ids_change);
    let ended = SchemaCopy { plan, clients, looks, wishes, copier }.copy_schemas(&entries, screen).await;
    if let Some(why) = scribe.close(options).await {
        (screen.say)(&why.what);
    }
    match ended {
        Ok(()) => report,
        Err(halt) => end_report(report, halt),
    }
}

fn end_report(mut report: SchemaCopyReport, halt: Halt) -> SchemaCopyReport {
    let (class, trouble) = halt.into_parts();
    (report.class, report.trouble) = (Some(class), trouble);
    report
}

struct SchemaCopy<'a> {
    plan: &'a Plan,
    clients: Sides<&'a RegistryClient>,
    looks: Sides<RecordLook>,
    wishes: CopyWishes,
    copier: SchemaCopier<'a>,
}

impl SchemaCopy<'_> {
    async fn copy_schemas(mut self, entries: &[JournalEntry], screen: &mut CopyScreen<'_>) -> Result<(), Halt> {
        let url = self.plan.clusters.green.registry.as_ref().map(|r| r.url.clone()).unwrap_or_default();
        let unfinished = find_unfinished(entries, &url)?;
        self.copier.finish_earlier(&url, &unfinished, screen.say).await?;
        let both = self.read_contents().await?;
        let survey = self.survey_contents(&both);
        let due = find_due_deletes(&unfinished.deletes, &both);
        self.copier.report.before = Some(survey.clone());
        let SchemaSurvey { plan, parity, .. } = &survey;
        if plan.imports.is_empty() && plan.settings.is_empty() && due.is_empty() {
            self.copier.report.after = Some(survey);
            return Ok(());
        }
        self.check_counted(plan)?;
        let question = SchemaCopyQuestion { survey: &survey, deletes: due.len(), name: &self.plan.name };
        let confirmed = (screen.confirm)(&question).map_err(Halt::Refused)?;
        let (server, versions) = (parity.servers.green.describe_server(), plan.imports.len());
        self.copier.note(SchemaCopyFact::Started { registry: url, server, versions, confirmed }).await?;
        let worked = self.work_through(&survey, &both, due, screen).await;
        // Whatever became of it: nobody is left with a subject that takes no schemas.
        let restored = self.copier.restore_modes().await;
        let ended = match (worked, restored) {
            (Ok(()), Ok(())) => self.copier.write_settings(&plan.settings).await,
            (Ok(()), Err(why)) => Err(Halt::Refused(why)),
            (Err(halt), restored) => {
                restored.err().into_iter().for_each(|why| (screen.say)(&why.what));
                Err(halt)
            }
        };
        let why = ended.as_ref().err().map(describe_halt);
        let imported = self.copier.report.imported.len();
        let noted = self.copier.note(SchemaCopyFact::Ended { imported, why }).await;
        let both = self.read_contents().await;
        self.copier.report.after = both.as_ref().ok().map(|both| self.survey_contents(both));
        ended.and(noted).and(both.map(drop))
    }

    async fn work_through(
        &mut self,
        survey: &SchemaSurvey,
        both: &Sides<RegistryContent>,
        due: Vec<(SubjectVersion, u32)>,
        screen: &mut CopyScreen<'_>,
    ) -> Result<(), Halt> {
        let plan = &survey.plan;
        match plan.manner {
            ImportManner::WithIds => {}
            ImportManner::NewIds => {
                (screen.say)(&format!("{} versions are registered with new ids", plan.imports.len()));
                return self.copier.register_versions(&plan.imports, &plan.known).await;
            }
            ImportManner::Native => {
                (screen.say)(&format!("{} versions are given to the server's own import", plan.imports.len()));
                if let Some(green) = &self.plan.clusters.green.registry {
                    self.copier.import_natively(green, &plan.imports).await?;
                }
            }
        }
        if plan.probe_first {
            self.copier.try_id(both).await?;
        }
        if plan.manner == ImportManner::WithIds {
            self.copier.open_subjects(&plan.modes).await?;
            (screen.say)(&format!("{} versions are imported", plan.imports.len()));
            self.copier.import_versions(&plan.imports).await?;
        }
        let again = plan.imports.iter().filter(|i| i.leave_deleted).map(|i| (i.at.clone(), i.id));
        // What references comes before what it references: that can't be deleted while it is used.
        let all: Vec<(SubjectVersion, u32)> = due.into_iter().chain(again).rev().collect();
        self.copier.delete_again(&all).await
    }

    fn survey_contents(&self, both: &Sides<RegistryContent>) -> SchemaSurvey {
        SchemaSurvey::of_contents(Clock.now(), &both.blue, &both.green, self.looks.clone(), self.wishes)
    }

    /// Nobody agrees to ids that change without knowing what carries them.
    fn check_counted(&self, plan: &SchemaImportPlan) -> Result<(), Halt> {
        let unread = self.looks.iter().find_map(|(_, look)| match look {
            RecordLook::Unknown(why) => Some(why),
            RecordLook::NotLooked(_) | RecordLook::Read(_) => None,
        });
        match unread {
            Some(why) if plan.manner == ImportManner::NewIds && !plan.imports.is_empty() => {
                let what = format!("how many records carry the ids that would change is not known: {}", why.what);
                Err(Halt::Unknown(Trouble::new(what, why.advice.clone())))
            }
            _ => Ok(()),
        }
    }

    async fn read_contents(&self) -> Result<Sides<RegistryContent>, Halt> {
        let Sides { blue, green } = read_both(self.clients, &list_record_ids(&self.looks)).await;
        Ok(Sides { blue: blue.map_err(Halt::Unknown)?, green: green.map_err(Halt::Unknown)? })
    }
}

fn describe_halt(halt: &Halt) -> String {
    match halt {
        Halt::Refused(why) | Halt::Holds(why) | Halt::Unknown(why) => why.what.clone(),
        Halt::Interrupted => "interrupted".to_owned(),
    }
}

/// What copies to this registry left undone.
///
/// # Errors
/// Something was left at another one: its subjects may still take imports, and this plan does not lead there.
fn find_unfinished(entries: &[JournalEntry], url: &str) -> Result<UnfinishedCopy, Halt> {
    let facts = entries.iter().filter_map(|entry| match &entry.event {
        Event::SchemaCopy { fact } => Some(fact),
        _ => None,
    });
    let mut all = UnfinishedCopy::by_registry(facts);
    let own = all.remove(url).unwrap_or_default();
    match all.iter().find(|(_, of)| !of.modes.is_empty() || !of.probes.is_empty()) {
        None => Ok(own),
        Some((other, of)) => {
            let other = crate::base::sanitise::visible_text(other);
            let what =
                format!("an earlier copy to {other} did not end: {} subjects may still be IMPORT", of.modes.len());
            let advice = "let the plan name that registry once more, and copy: it puts them back first";
            Err(Halt::Holds(Trouble::new(what, advice)))
        }
    }
}

/// Versions that an earlier copy imported and died before it soft-deleted them again: live on green with that id, and
/// still soft-deleted on blue.
fn find_due_deletes(
    deletes: &BTreeMap<SubjectVersion, u32>,
    both: &Sides<RegistryContent>,
) -> Vec<(SubjectVersion, u32)> {
    let is_due = |at: &SubjectVersion, id: u32| {
        let blue = both.blue.find_version(at).and_then(|v| v.deleted);
        let green = both.green.find_version(at);
        let same = green.and_then(|v| v.content.as_told()).is_some_and(|stored| stored.id == id);
        blue == Some(true) && same && green.and_then(|v| v.deleted) == Some(false)
    };
    deletes.iter().filter(|(at, id)| is_due(at, **id)).map(|(at, id)| (at.clone(), *id)).collect()
}
