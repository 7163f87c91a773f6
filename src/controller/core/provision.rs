//! Green set up from the parity screen: by the jobs of `cutover provision --apply` and `cutover schemas --apply`, which write
//! through this session's journal. What is made is what was shown: where a fresh look plans something else, nothing is sent.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::Core;
use super::setup::SetupPlan;
use crate::base::sanitise::visible_name;
use crate::base::{At, Person, Trouble, TroubleClass, format_plural, lock_unpoisoned};
use crate::jobs::provision::{ProvisionRequest, ProvisionUi, run_provision_with};
use crate::jobs::replay::{ReplayAnswer, Stop};
use crate::jobs::schemas::{CopyScreen, SchemaCopyRequest, find_registries, open_clients, run_schema_copy_with};
use crate::migration::facts::command::{Command, Level, Prepared, Refusal, Subject};
use crate::migration::facts::event::{Event, JournalEntry};
use crate::plan::Plan;
use crate::provision::ProvisionReport;
use crate::schemas::SchemaCopyReport;
use crate::session::clock::Clock;
use crate::session::lease::WriteLease;
use crate::session::options::Options;
use crate::session::scribe::{JournalSource, LentEntry, LentJournal};
use crate::snapshot::{PARITY_OLD_MS, PROVISION_LINES, ProvisionState, ProvisionView, Severity};

/// Facts that wait to be written: work goes on only when its last one was.
const DESK: usize = 4;

/// The provisioning under way, and what the last one came to.
pub(super) struct Provisioning {
    view: Option<ProvisionView>,
    /// The one that runs; never more.
    pub tasks: JoinSet<ProvisionEnd>,
    /// What it wants written.
    pub desk: mpsc::Receiver<LentEntry>,
    lend: mpsc::Sender<LentEntry>,
    /// What the journal has of such work.
    past: Vec<JournalEntry>,
    said: Arc<Mutex<Vec<String>>>,
    stop: Arc<Stop>,
}

/// What came of both halves.
#[derive(Default)]
pub(super) struct ProvisionEnd {
    provision: Option<ProvisionReport>,
    copy: Option<SchemaCopyReport>,
    /// What stood in the way of either beside what the reports say.
    trouble: Option<Trouble>,
}

impl Default for Provisioning {
    fn default() -> Self {
        let (lend, desk) = mpsc::channel(DESK);
        let (tasks, past) = (JoinSet::new(), Vec::new());
        Self { view: None, tasks, desk, lend, past, said: Arc::default(), stop: Arc::default() }
    }
}

impl Provisioning {
    /// Keeps what such work has to know of earlier ones.
    pub fn note_entry(&mut self, entry: &JournalEntry) {
        if matches!(entry.event, Event::Provision { .. } | Event::SchemaCopy { .. }) {
            self.past.push(entry.clone());
        }
    }

    /// Lets it end after the change that is under way.
    pub fn stop(&self) {
        self.stop.set();
    }

    fn lend_journal(&self, lease: WriteLease) -> LentJournal {
        LentJournal { entries: self.past.clone(), lease, desk: self.lend.clone() }
    }
}

impl Core {
    /// The dialog: what the last look showed, and what has to be typed.
    pub(super) fn prepare_provision(&self, now: At) -> Result<Prepared, Refusal> {
        let dialog = self.machine.prepare(&Command::Provision, now)?;
        if !self.provisioning.tasks.is_empty() {
            return Err(Refusal::holds("green is being set up already", "the parity screen (7) shows how far it is"));
        }
        let plan = self.setup.find_plan().map_err(|why| Refusal::unknown(why.what, why.advice))?;
        let age = now.since(plan.at);
        if age > PARITY_OLD_MS {
            let why = format!("what would be made rests on a look of {} min ago", age / 60_000);
            return Err(Refusal::unknown(why, "look again (g on the parity screen), and ask again"));
        }
        if plan.changes.is_empty() && !plan.has_schemas() {
            let advice = "what the parity screen shows is left to a person: each row says what to do";
            return Err(Refusal::refused("there is nothing that cutover would make", advice));
        }
        Ok(Prepared {
            level: Level::Typed(format!("provision {}", visible_name(&self.plan.name))),
            diff: plan.lines.clone(),
            way_back: "none: it adds and sets, and takes nothing away again".to_owned(),
            by_hand: list_verbs(plan),
            facts: format!("look={}", plan.at.0),
            ..dialog
        })
    }

    /// Begins what was confirmed.
    pub(super) fn start_provision(
        &mut self,
        actor: Person,
        typed: &str,
        facts: Option<&str>,
        now: At,
    ) -> Result<(), Refusal> {
        let prepared = self.prepare_provision(now)?;
        match facts {
            Some(facts) if facts == prepared.facts => {}
            Some(_) => {
                return Err(Refusal::refused(
                    "there was another look since this was shown",
                    "look at the dialog again",
                ));
            }
            None => return Err(Refusal::refused("no dialog was confirmed", "look at what it would do first")),
        }
        if let Level::Typed(phrase) = &prepared.level
            && typed.trim() != phrase
        {
            let why = format!("that is not confirmed: type \"{phrase}\"");
            return Err(Refusal::refused(why, "type exactly what the dialog asks for"));
        }
        let no_lease = || Refusal::refused("this session does not hold the journal", "use the session that holds it");
        let leases = [self.ledger.lease().ok_or_else(no_lease)?, self.ledger.lease().ok_or_else(no_lease)?];
        let shown = self.setup.find_plan().map_err(|why| Refusal::unknown(why.what, why.advice))?.clone();
        self.provisioning.said = Arc::default();
        self.provisioning.stop = Arc::default();
        self.provisioning.view =
            Some(ProvisionView { began: now, actor: actor.clone(), said: Vec::new(), state: ProvisionState::Running });
        let work = ProvisionWork {
            plan: Arc::clone(&self.plan),
            options: Options { actor, ..self.options.clone() },
            shown,
            typed: typed.trim().to_owned(),
            journals: leases.map(|lease| self.provisioning.lend_journal(lease)),
            said: Arc::clone(&self.provisioning.said),
            stop: Arc::clone(&self.provisioning.stop),
        };
        self.provisioning.tasks.spawn(work.carry_out());
        Ok(())
    }

    /// What screens see of it, with what was said by now.
    pub(super) fn provision_view(&self) -> Option<ProvisionView> {
        let mut view = self.provisioning.view.clone()?;
        view.said.clone_from(&lock_unpoisoned(&self.provisioning.said));
        Some(view)
    }

    /// Writes a fact of it, and says so.
    pub(super) async fn write_lent(&mut self, lent: LentEntry) {
        let answer = if self.write_entry(lent.actor, lent.event).await {
            Ok(())
        } else {
            let readonly = || Trouble::new("this session writes nothing", "use the session that holds the journal");
            Err(self.unwritable.clone().unwrap_or_else(readonly))
        };
        // Who is gone does nothing more.
        let _ = lent.written.send(answer);
    }

    /// It has ended: into the view, into the notices where it fell short, and both clusters are looked at again.
    pub(super) fn take_provision(&mut self, came: Result<ProvisionEnd, JoinError>) {
        let broke = |_: JoinError| Trouble::new("the provisioning broke off", "look again; this is a fault of cutover");
        let end = came.unwrap_or_else(|e| ProvisionEnd { trouble: Some(broke(e)), ..ProvisionEnd::default() });
        let (words, class, trouble) = (end.describe(), end.class(), end.first_trouble());
        if let (Some(_), Some(why)) = (class, &trouble) {
            let notice = Trouble::new(format!("provision: {words}: {}", why.what), why.advice.clone());
            self.add_notice(Severity::Warn, Subject::Migration, notice);
        }
        if let Some(view) = &mut self.provisioning.view {
            view.state = ProvisionState::Ended { at: Clock.now(), words, class, trouble };
        }
        self.look_at_setup();
    }
}

/// The verbs that do the same.
fn list_verbs(plan: &SetupPlan) -> Vec<String> {
    let provision = (!plan.changes.is_empty()).then(|| "cutover provision --apply".to_owned());
    let schemas = plan.has_schemas().then(|| crate::parity::SCHEMAS_VERB.to_owned());
    provision.into_iter().chain(schemas).collect()
}

/// All that a provisioning beside the loop needs.
struct ProvisionWork {
    plan: Arc<Plan>,
    options: Options,
    /// What was shown and confirmed.
    shown: SetupPlan,
    /// What was typed.
    typed: String,
    /// For the changes, and for the schemas.
    journals: [LentJournal; 2],
    said: Arc<Mutex<Vec<String>>>,
    stop: Arc<Stop>,
}

fn plan_moved() -> Trouble {
    let what = "a fresh look plans something else than what was shown: nothing was sent";
    Trouble::new(what, "look at the parity screen again, and ask again")
}

impl ProvisionWork {
    /// The changes of the cluster, then the schemas. Whatever falls short ends it.
    async fn carry_out(self) -> ProvisionEnd {
        let mut end = ProvisionEnd::default();
        let said = Arc::clone(&self.said);
        let mut say = |line: &str| {
            let mut said = lock_unpoisoned(&said);
            let excess = (said.len() + 1).saturating_sub(PROVISION_LINES);
            said.drain(..excess);
            said.push(crate::base::sanitise::visible_text(line));
        };
        let Self { plan, options, shown, typed, journals: [changes, schemas], stop, .. } = self;
        if !shown.changes.is_empty() {
            let wanted: Vec<String> = shown.changes.iter().map(ToString::to_string).collect();
            let mut moved = false;
            let mut confirm = |question: &crate::jobs::replay::ReplayQuestion| {
                moved = question.lines != wanted;
                if moved { ReplayAnswer::No } else { ReplayAnswer::Typed(typed.clone()) }
            };
            let mut ui = ProvisionUi { say: &mut say, confirm: &mut confirm };
            let request = ProvisionRequest { apply: true, more_partitions: false };
            let journal = JournalSource::Lent(changes);
            let report = run_provision_with(journal, &plan, &options, request, &mut ui, &stop).await;
            end.trouble = moved.then(plan_moved);
            let short = report.trouble.is_some() || report.failed().next().is_some();
            end.provision = Some(report);
            if short || moved {
                return end;
            }
        }
        if shown.has_schemas() {
            let clients = async { open_clients(find_registries(&plan)?).await };
            match clients.await {
                Ok(clients) => {
                    let confirm = &mut |question: &crate::jobs::schemas::SchemaCopyQuestion<'_>| {
                        if question.survey.plan == shown.schemas { Ok(typed.clone()) } else { Err(plan_moved()) }
                    };
                    let mut screen = CopyScreen { say: &mut say, confirm };
                    let journal = JournalSource::Lent(schemas);
                    // What was shown was planned without a look at records, and ids may not change from here.
                    let request = SchemaCopyRequest { records: 0, ids_change: false };
                    let copy =
                        run_schema_copy_with(journal, &plan, &options, clients.as_ref(), request, &mut screen, stop);
                    end.copy = Some(copy.await);
                }
                Err(why) => end.trouble = Some(why),
            }
        }
        end
    }
}

impl ProvisionEnd {
    /// In a sentence: what was made.
    fn describe(&self) -> String {
        let changes = self.provision.as_ref().map(|report| {
            let tried = || report.changes.iter().filter(|c| c.held.is_none());
            let there = tried().filter(|c| c.end.as_ref().is_some_and(crate::provision::ChangeEnd::is_there)).count();
            format!("{there} of {} are on green", format_plural(tried().count(), "change"))
        });
        let copy =
            self.copy.as_ref().map(|copy| format!("{} imported", format_plural(copy.imported.len(), "schema version")));
        let parts: Vec<String> = changes.into_iter().chain(copy).collect();
        if parts.is_empty() { "nothing was made".to_owned() } else { parts.join(", ") }
    }

    /// How it ended short of what was to be made; what is left to a person does not count.
    fn class(&self) -> Option<TroubleClass> {
        let failed = self.provision.as_ref().filter(|r| r.trouble.is_some() || r.failed().next().is_some());
        let changes = failed.map(|report| report.class.unwrap_or(TroubleClass::Unknown));
        let copy = self.copy.as_ref().and_then(|copy| copy.class);
        changes.or(copy).or(self.trouble.as_ref().map(|_| TroubleClass::Refused))
    }

    fn first_trouble(&self) -> Option<Trouble> {
        let report = self.provision.as_ref();
        let failed = || {
            let (change, end) = report?.failed().next()?;
            Some(Trouble::new(format!("{change}: {}", end.describe()), end.advice()))
        };
        let told = || report?.trouble.clone();
        let copy = || self.copy.as_ref()?.trouble.clone();
        self.trouble.clone().or_else(failed).or_else(told).or_else(copy)
    }
}
