//! One provisioning from the look to the outcome.

use std::sync::Arc;

use super::apply::{look_again, send_change};
use super::{ProvisionRequest, ProvisionUi};
use crate::base::sanitise::{quoted_name, visible_name};
use crate::base::{Side, Sides, Trouble, TroubleClass};
use crate::estate::inventory::Inventory;
use crate::jobs::preflight::look_at_both;
use crate::jobs::replay::{Halt, ReplayAnswer, ReplayQuestion, Stop};
use crate::kafka::control::Cluster;
use crate::migration::facts::command::shell_word;
use crate::migration::facts::event::{Event, JournalEntry};
use crate::parity::{Change, Parity, ParityVerdict, compare_inventories, plan_changes};
use crate::plan::Plan;
use crate::provision::{ChangeEnd, ProvisionReport, ProvisionStep, Standing, Verdict, judge_change};
use crate::session::clock::Clock;
use crate::session::crash::{Boundary, abort_if_at};
use crate::session::lease::WriteLease;
use crate::session::names::TopicNames;
use crate::session::options::{Options, Want};
use crate::session::pins;
use crate::session::scribe::{JournalSource, Scribe, WorkJournal};
use crate::session::tools::Tools;

/// How often green is looked at afterwards while it does not show yet what it confirmed: the controller's word reaches
/// brokers one by one.
const LOOKS_AFTER: u32 = 10;
/// Between two of these looks, ms. With the looks themselves that is several seconds; a quota shows within one.
const BETWEEN_MS: u64 = 300;
/// What a crash point names a change by, before its number from 0 (tests only).
pub(super) const CRASH_KEY: &str = "provision/";

/// Sets green up as blue is, or says what that would take. Never fails: what stood in the way is in the report. `stop` ends
/// it in order after the change that is under way.
pub async fn run_provision(
    plan: &Arc<Plan>,
    options: &Options,
    request: ProvisionRequest,
    ui: &mut ProvisionUi<'_>,
    stop: &Stop,
) -> ProvisionReport {
    run_provision_with(JournalSource::Open, plan, options, request, ui, stop).await
}

/// The same, with the journal of a session that runs already.
pub(crate) async fn run_provision_with(
    journal: JournalSource,
    plan: &Arc<Plan>,
    options: &Options,
    request: ProvisionRequest,
    ui: &mut ProvisionUi<'_>,
    stop: &Stop,
) -> ProvisionReport {
    let dry_run = !request.apply || options.want != Want::Armed;
    let mut report = ProvisionReport::new(plan.name.clone(), dry_run);
    let tools = Tools::new(plan, Arc::new(TopicNames::new(plan)));
    let ended = match look_and_compare(plan, &tools).await {
        Ok((green, parity)) => {
            report.set_plan(&parity, plan_changes(&parity), request.more_partitions);
            let work = ProvisionSession { plan, options, tools: &tools, planned: &green, stop };
            if dry_run || report.pending().next().is_none() {
                Ok(())
            } else {
                work.apply_changes(journal, ui, &mut report).await
            }
        }
        Err(halt) => Err(halt),
    };
    match ended {
        Ok(()) => report.class = class_of_end(&report),
        Err(halt) => {
            let (class, trouble) = halt.into_parts();
            (report.class, report.trouble) = (Some(class), trouble);
        }
    }
    report
}

/// How it ended, as a shell is told: by what is left. What failed outweighs what is left to a person.
fn class_of_end(report: &ProvisionReport) -> Option<TroubleClass> {
    if report.failed().next().is_some() {
        let unknown = report.failed().any(|(_, end)| matches!(end, ChangeEnd::Unknown(_) | ChangeEnd::Unread(_)));
        return Some(if unknown { TroubleClass::Unknown } else { TroubleClass::Refused });
    }
    let verdict = if report.run.is_some() { report.after } else { report.before };
    match verdict {
        Some(ParityVerdict::Equal) => None,
        Some(ParityVerdict::Differs) => Some(TroubleClass::Held),
        Some(ParityVerdict::Unknown) | None => Some(TroubleClass::Unknown),
    }
}

/// Both clusters compared, with the look at green that the plan rests on.
async fn look_and_compare(plan: &Arc<Plan>, tools: &Tools) -> Result<(Inventory, Parity), Halt> {
    pins::identify_clusters(plan, tools).await?;
    let Sides { blue, green } = look_at_both(tools).await?;
    let scope = plan.parity_scope(&blue, &green);
    let parity = compare_inventories(&blue, &green, &scope);
    Ok((green, parity))
}

struct ProvisionSession<'a> {
    plan: &'a Arc<Plan>,
    options: &'a Options,
    tools: &'a Tools,
    /// Green as it was when the changes were planned.
    planned: &'a Inventory,
    stop: &'a Stop,
}

/// What is written while changes are made.
struct Journalled<'a> {
    scribe: Scribe,
    options: &'a Options,
    lease: WriteLease,
    /// Id of this provisioning.
    run: String,
}

impl Journalled<'_> {
    async fn append(&mut self, event: Event) -> Result<(), Halt> {
        self.scribe.append(self.options.actor.clone(), event).await.map_err(Halt::Refused)
    }

    async fn append_step(&mut self, step: ProvisionStep) -> Result<(), Halt> {
        let provision = self.run.clone();
        self.append(Event::Provision { provision, step }).await
    }
}

impl ProvisionSession<'_> {
    fn green(&self) -> &Cluster {
        self.tools.cluster(Side::Green)
    }

    async fn apply_changes(
        &self,
        journal: JournalSource,
        ui: &mut ProvisionUi<'_>,
        report: &mut ProvisionReport,
    ) -> Result<(), Halt> {
        let opened = WorkJournal::open(journal, self.plan, self.options, "provisioned").await;
        let WorkJournal { scribe, lease, entries, troubles } = opened.map_err(Halt::Refused)?;
        report.warnings.extend(troubles.into_iter().map(|t| t.what));
        if let Some(earlier) = find_unfinished(&entries) {
            (ui.say)(&format!("provisioning {} was cut off: what it left is among these", visible_name(&earlier)));
        }
        let mut journalled = Journalled { scribe, options: self.options, lease, run: provision_id() };
        let ended = self.run_to_end(&mut journalled, ui, report).await;
        report.warnings.extend(journalled.scribe.close(self.options).await.map(|why| why.what));
        ended?;
        if report.run.is_some() {
            self.look_afterwards(report).await;
        }
        Ok(())
    }

    async fn run_to_end(
        &self,
        journalled: &mut Journalled<'_>,
        ui: &mut ProvisionUi<'_>,
        report: &mut ProvisionReport,
    ) -> Result<(), Halt> {
        let confirmed = self.ask_confirmation(ui, report)?;
        // A person may have taken an hour over it: what the addresses lead to by now is what counts.
        pins::identify_clusters(self.plan, self.tools).await?;
        let pending: Vec<(usize, Change)> = report
            .changes
            .iter()
            .enumerate()
            .filter(|(_, c)| c.held.is_none())
            .map(|(at, c)| (at, c.change.clone()))
            .collect();
        let changes = pending.iter().map(|(_, change)| change.clone()).collect();
        journalled.append_step(ProvisionStep::Started { changes, confirmed }).await?;
        report.run = Some(journalled.run.clone());
        let mut why = None;
        for (number, (at, change)) in pending.iter().enumerate() {
            if self.stop.is_set() {
                why = Some("it was told to stop".to_owned());
                break;
            }
            let end = self.make_change(journalled, number, change).await?;
            (ui.say)(&format!("{}/{} {change}: {}", number + 1, pending.len(), end.describe()));
            let over = matches!(end, ChangeEnd::Unknown(_) | ChangeEnd::Unread(_));
            if over {
                // Whoever does not answer once would be waited for at every change.
                why = Some(end.describe());
            }
            report.changes[*at].end = Some(end);
            if over {
                break;
            }
        }
        let there = report.changes.iter().filter(|c| c.end.as_ref().is_some_and(ChangeEnd::is_there)).count();
        let failed = report.failed().count();
        journalled.append_step(ProvisionStep::Finished { there, failed, why: why.clone() }).await?;
        if self.stop.is_set() { Err(Halt::Interrupted) } else { Ok(()) }
    }

    /// Looks again, writes the intent, sends, writes the end. Errors: the journal can't be written, and nothing more is sent.
    async fn make_change(
        &self,
        journalled: &mut Journalled<'_>,
        number: usize,
        change: &Change,
    ) -> Result<ChangeEnd, Halt> {
        let key = format!("{CRASH_KEY}{number}");
        let crash = |boundary| abort_if_at(self.options.crash_at.as_ref(), boundary, &key);
        let now = look_again(self.green(), change).await;
        let verdict = match (Standing::of_inventory(change, self.planned), now) {
            (Ok(planned), Ok(now)) => judge_change(change, &planned, &now),
            (Err(why), _) | (_, Err(why)) => Verdict::Unread(why),
        };
        let end = match verdict {
            Verdict::AlreadyThere => ChangeEnd::AlreadyThere,
            Verdict::Overtaken(why) => ChangeEnd::Overtaken(why),
            Verdict::Unread(why) => ChangeEnd::Unread(why),
            Verdict::Send(sent) => {
                crash(Boundary::Before);
                journalled.append_step(ProvisionStep::Sending { change: number, sent: sent.clone() }).await?;
                crash(Boundary::AfterIntent);
                let end = send_change(&journalled.lease, self.green(), &sent).await;
                crash(Boundary::AfterEffect);
                end
            }
        };
        journalled.append_step(ProvisionStep::Ended { change: number, end: end.clone() }).await?;
        Ok(end)
    }

    /// Shows what is going to happen and asks.
    fn ask_confirmation(&self, ui: &mut ProvisionUi<'_>, report: &ProvisionReport) -> Result<String, Halt> {
        let name = &self.plan.name;
        let phrase = format!("provision {}", visible_name(name));
        let lines = report.pending().map(|c| c.change.to_string()).collect();
        let question = ReplayQuestion { lines, phrase, name: name.clone(), reorders: false };
        let advice = format!("type \"{}\", or add --yes={}", question.phrase, shell_word(name));
        match (ui.confirm)(&question) {
            ReplayAnswer::Typed(text) if text.trim() == question.phrase => Ok(text),
            ReplayAnswer::Yes(given) if given == *name || given == visible_name(name) => Ok(visible_name(name)),
            ReplayAnswer::Typed(given) | ReplayAnswer::Yes(given) => Err(Halt::Refused(Trouble::new(
                format!("not confirmed: {} is not what was asked for", quoted_name(&given)),
                advice,
            ))),
            ReplayAnswer::No => Err(Halt::Refused(Trouble::new("not confirmed", advice))),
        }
    }

    /// Looks at both once more, and again while green does not show yet what it confirmed.
    async fn look_afterwards(&self, report: &mut ProvisionReport) {
        for look in 1..=LOOKS_AFTER {
            let parity = match look_and_compare(self.plan, self.tools).await {
                Ok((_, parity)) => parity,
                Err(halt) => {
                    let why = halt.into_parts().1.map_or_else(String::new, |why| format!(": {}", why.what));
                    report.warnings.push(format!("what came of it could not be looked at{why}"));
                    return;
                }
            };
            let left = plan_changes(&parity);
            let done =
                |change: &Change| report.changes.iter().any(|c| c.change == *change && c.end == Some(ChangeEnd::Done));
            let unseen = left.iter().filter(|change| done(change)).count();
            report.after = Some(parity.verdict());
            if unseen == 0 {
                return;
            }
            if look == LOOKS_AFTER {
                report.warnings.push(format!("{unseen} changes were confirmed, and green does not show them yet"));
                return;
            }
            Clock.sleep(BETWEEN_MS).await;
        }
    }
}

/// The last provisioning of the journal, where it did not end in order.
fn find_unfinished(entries: &[JournalEntry]) -> Option<String> {
    let mut open = None;
    for entry in entries {
        match &entry.event {
            Event::Provision { provision, step: ProvisionStep::Started { .. } } => open = Some(provision.clone()),
            Event::Provision { step: ProvisionStep::Finished { .. }, .. } => open = None,
            _ => {}
        }
    }
    open
}

/// An id that no other provisioning has: when, and which process. They sort by time.
fn provision_id() -> String {
    let now = Clock.now();
    let when = jiff::Timestamp::from_millisecond(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{}-{:03}{:x}", when.strftime("%Y%m%d-%H%M%S"), now.0.rem_euclid(1_000), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::At;
    use crate::provision::AppliedChange;

    #[test]
    fn nothing_but_parity_is_a_pass() {
        let mut report = ProvisionReport::new("loans", true);
        assert_eq!(class_of_end(&report), Some(TroubleClass::Unknown), "nothing was looked at");
        for (verdict, class) in [
            (ParityVerdict::Equal, None),
            (ParityVerdict::Differs, Some(TroubleClass::Held)),
            (ParityVerdict::Unknown, Some(TroubleClass::Unknown)),
        ] {
            report.before = Some(verdict);
            assert_eq!(class_of_end(&report), class);
        }
        // What was started is judged by the look after it.
        (report.run, report.before) = (Some("7".to_owned()), Some(ParityVerdict::Equal));
        assert_eq!(class_of_end(&report), Some(TroubleClass::Unknown));
        report.after = Some(ParityVerdict::Equal);
        assert_eq!(class_of_end(&report), None);
        let change = Change::AddPartitions { topic: "a".to_owned(), from: 1, to: 2 };
        let end = |end| vec![AppliedChange { change: change.clone(), held: None, end: Some(end) }];
        report.changes = end(ChangeEnd::Overtaken(Trouble::new("it is 3 by now", "")));
        assert_eq!(class_of_end(&report), Some(TroubleClass::Refused));
        report.changes = end(ChangeEnd::Unknown(Trouble::new("no answer", "")));
        assert_eq!(class_of_end(&report), Some(TroubleClass::Unknown));
    }

    #[test]
    fn what_was_cut_off_is_told() {
        let step = |id: &str, step| JournalEntry {
            seq: 1,
            at: At(0),
            actor: "ada".into(),
            event: Event::Provision { provision: id.to_owned(), step },
        };
        let started = || ProvisionStep::Started { changes: Vec::new(), confirmed: String::new() };
        let finished = || ProvisionStep::Finished { there: 0, failed: 0, why: None };
        assert_eq!(find_unfinished(&[step("1", started())]).as_deref(), Some("1"));
        assert_eq!(find_unfinished(&[step("1", started()), step("1", finished())]), None);
        let written = serde_json::to_string(&step("1", started())).unwrap();
        assert_eq!(serde_json::from_str::<JournalEntry>(&written).unwrap(), step("1", started()));
    }
}
