//! Journal entries as lines of words: for the cockpit's journal, `journal show`, and logs.

mod families;

use std::collections::BTreeMap;

use families::{describe_reads, describe_replay, describe_run_event, describe_session_event, describe_soak_event};

use super::JournalLine;
use crate::base::redact::hide_secrets;
use crate::base::sanitise::{visible_name, visible_names, visible_text};
use crate::base::{Actor, TopicPartition};
use crate::estate::acl::Acl;
use crate::migration::eos::PartitionSeam;
use crate::migration::facts::command::{Command, Subject};
use crate::migration::facts::effect::{Effect, EffectResult, Outcome};
use crate::migration::facts::event::{ComparedCounts, DrainProof, Event, JournalEntry, RunId, RunKind};
use crate::migration::facts::overrides::{Accepted, GateName};
use crate::migration::tell::edges::describe_phase_turn;
use crate::offsets::verdict::GroupTranslation;
use crate::provision::ProvisionStep;

/// Tells entries in words. It remembers which run is about what, so entries go in by number, from the first.
#[derive(Debug, Clone, Default)]
pub(crate) struct JournalText {
    runs: BTreeMap<RunId, (RunKind, Subject)>,
    /// What stood before a commit whose end was not told yet, by its key.
    before: BTreeMap<String, BTreeMap<TopicPartition, Option<i64>>>,
}

impl JournalText {
    /// The entry in one line. Strings that people typed are made visible; its actor is as it is, as every key.
    pub(crate) fn entry_line(&mut self, entry: &JournalEntry) -> JournalLine {
        if let Event::RunStarted { run, kind, subject, .. } = &entry.event {
            self.runs.insert(*run, (*kind, subject.clone()));
        }
        JournalLine {
            seq: entry.seq,
            at: entry.at,
            actor: entry.actor.to_string(),
            subject: self.subject_of(&entry.event),
            // An earlier version may have journalled a secret, and a person's reason may hold one.
            text: visible_text(&hide_secrets(&self.describe_event(&entry.event))),
            act: self.describe_act(entry).map(|act| visible_text(&hide_secrets(&act))),
        }
    }

    /// The command that an entry carries, in a few words; `None` where nobody asked for anything.
    fn describe_act(&self, entry: &JournalEntry) -> Option<String> {
        if entry.actor == Actor::Controller {
            return None;
        }
        Some(match &entry.event {
            Event::RunStarted { kind, subject, command, dry_run, .. } => {
                let dry = if *dry_run { "dry run: " } else { "" };
                format!("{dry}{}", describe_request(*kind, &bare_name(subject), command))
            }
            Event::Continued { run } => match self.runs.get(run) {
                Some((_, subject)) => format!("continue {}", bare_name(subject)),
                None => format!("continue run {run}"),
            },
            Event::Completed { subject } => format!("declare {} complete", bare_name(subject)),
            Event::Approved { producer, .. } => {
                format!("agree to the hard cutover of {producer}", producer = visible_name(producer))
            }
            Event::Held { subject, .. } => format!("hold {}", bare_name(subject)),
            Event::Resumed { subject } => format!("resume {}", bare_name(subject)),
            Event::ReplayStarted { replay, .. } => format!("replay {}", visible_name(replay)),
            Event::ReplayResumed { replay } => format!("go on with replay {}", visible_name(replay)),
            Event::Provision { step: ProvisionStep::Started { .. }, .. } => "provision green".to_owned(),
            _ => return None,
        })
    }

    /// What an entry says of single partitions, a line each: what a commit sets and what stood before, and what was
    /// read back. Entries go in by number here too, after [`JournalText::entry_line`].
    pub(crate) fn detail_lines(&mut self, entry: &JournalEntry) -> Vec<String> {
        match &entry.event {
            Event::Intent { issued, .. } => {
                let (changes, old) = match &issued.effect {
                    Effect::CommitOffsets { offsets, before, .. } => {
                        (offsets.iter().map(|(tp, o)| (tp.clone(), Some(*o))).collect(), before.clone())
                    }
                    Effect::RestoreOffsets { offsets, .. } => (offsets.clone(), Vec::new()),
                    _ => return Vec::new(),
                };
                let before: BTreeMap<_, _> = old.into_iter().collect();
                let line = |(tp, to): &(TopicPartition, Option<i64>)| match before.get(tp) {
                    Some(was) => format!("{}: {} -> {}", tp, format_offset(*was), format_offset(*to)),
                    None => format!("{}: -> {}", tp, format_offset(*to)),
                };
                let lines = changes.iter().map(line).collect();
                self.before.insert(issued.key.clone(), before);
                lines
            }
            Event::Result { key, outcome: Outcome::Done { result: EffectResult::Offsets { offsets } }, .. } => {
                let before = self.before.remove(key).unwrap_or_default();
                let line = |(tp, is): &(TopicPartition, Option<i64>)| match before.get(tp) {
                    Some(was) => {
                        format!("{}: was {}, reads {}", tp, format_offset(*was), format_offset(*is))
                    }
                    None => format!("{}: reads {}", tp, format_offset(*is)),
                };
                offsets.iter().map(line).collect()
            }
            _ => Vec::new(),
        }
    }

    fn subject_of(&self, event: &Event) -> Option<Subject> {
        match event {
            Event::Pinned { side, .. } => Some(Subject::Cluster(*side)),
            Event::RunStarted { subject, .. }
            | Event::Completed { subject }
            | Event::Held { subject, .. }
            | Event::Resumed { subject }
            | Event::Compared { subject, .. }
            | Event::Noticed { subject, .. } => Some(subject.clone()),
            Event::Baselined { group, .. }
            | Event::Reads { group, .. }
            | Event::GateTurned { group, .. }
            | Event::TriggerFired { group, .. }
            | Event::TriggerCleared { group, .. } => Some(Subject::Group(group.clone())),
            Event::Approved { producer, .. } => Some(Subject::Producer(producer.clone())),
            Event::Opened { .. }
            | Event::Closed { .. }
            | Event::PhaseTurned { .. }
            | Event::ReplayStarted { .. }
            | Event::ReplayResumed { .. }
            | Event::ReplayEnded { .. }
            | Event::Provision { .. }
            | Event::SchemaCopy { .. } => Some(Subject::Migration),
            _ => event.run().and_then(|run| self.runs.get(&run)).map(|(_, subject)| subject.clone()),
        }
    }

    /// `run 7 (cutover)`, or the bare number of a run that began before what was told.
    fn describe_run(&self, run: RunId) -> String {
        match self.runs.get(&run) {
            Some((kind, _)) => format!("run {run} ({})", kind),
            None => format!("run {run}"),
        }
    }

    fn describe_event(&self, event: &Event) -> String {
        match event {
            Event::Opened { .. } | Event::Closed { .. } | Event::Pinned { .. } => describe_session_event(event),
            Event::RunStarted { .. } => self.describe_start(event),
            Event::StepStarted { run, .. }
            | Event::StepDone { run, .. }
            | Event::Intent { run, .. }
            | Event::Result { run, .. }
            | Event::Reading { run, .. }
            | Event::Drained { run, .. }
            | Event::Predicted { run, .. }
            | Event::PassedOver { run, .. }
            | Event::PointOfNoReturn { run }
            | Event::NeedsOperator { run, .. }
            | Event::Continued { run }
            | Event::RunEnded { run, .. }
            | Event::Coupled { run, .. }
            | Event::Seamed { run, .. } => format!("{}: {}", self.describe_run(*run), describe_run_event(event)),
            Event::Reads { group, side, reads } => describe_reads(group, *side, reads),
            Event::Completed { subject } => format!("{} declared complete", bare_name(subject)),
            Event::Approved { producer, .. } => {
                format!("the hard cutover of {producer} is agreed to", producer = visible_name(producer))
            }
            Event::TriggerFired { .. }
            | Event::TriggerCleared { .. }
            | Event::Baselined { .. }
            | Event::GateTurned { .. } => describe_soak_event(event),
            Event::PhaseTurned { number, name, done, total } => describe_phase_turn(*number, name, *done, *total),
            Event::Held { subject, why } => format!("{subject} held: {why}"),
            Event::Resumed { subject } => format!("{subject} resumed"),
            Event::Compared { what, verdict, counts, .. } => {
                format!("compared {what}: {verdict}; {}", describe_counts(counts))
            }
            Event::SchemaCopy { fact } => format!("schemas: {}", fact.describe_fact()),
            Event::Noticed { subject, what } => format!("{subject}: {what}"),
            Event::Provision { provision, step } => {
                format!("provisioning {}: {}", visible_name(provision), step.describe())
            }
            Event::ReplayStarted { .. } | Event::ReplayResumed { .. } | Event::ReplayEnded { .. } => {
                describe_replay(event)
            }
        }
    }

    fn describe_start(&self, event: &Event) -> String {
        let Event::RunStarted { run, subject, command, confirmed, estimate, max_re_read, dry_run, accepted, .. } =
            event
        else {
            return String::new();
        };
        let mut words = format!("{} of {subject} starts", self.describe_run(*run));
        if *dry_run {
            words.push_str(", dry run");
        }
        if !confirmed.is_empty() {
            words.push_str(&format!(", confirmed with \"{confirmed}\""));
        }
        if let Some(plan) = estimate {
            words.push_str(&format!("; estimate {}", describe_budget(plan)));
        }
        if let Some(limit) = max_re_read {
            words.push_str(&format!("; limit {limit} re-read"));
        }
        if let Some(chosen) = command.chosen() {
            let at = chosen.at.map(|at| format!(" {} ms", at.0)).unwrap_or_default();
            words.push_str(&format!("; by {}{at}: {}", chosen.strategy, chosen.reason));
        }
        for gate in accepted {
            let most = gate.at_most.map(|n| format!(" at most {n}")).unwrap_or_default();
            let names = if gate.names.is_empty() { String::new() } else { format!(" ({})", accepted_names(gate)) };
            // Earlier versions took one without a reason.
            let why = if gate.reason.is_empty() { String::new() } else { format!(": {}", gate.reason) };
            words.push_str(&format!("; accepts {}{names}{most}{why}", gate.gate));
        }
        words
    }
}

/// What was asked for, as an order: `roll back loan-audit`.
fn describe_request(kind: RunKind, name: &str, command: &Command) -> String {
    match (kind, command) {
        (RunKind::Route, Command::Route { to, .. }) => format!("route {name} to {to}"),
        (RunKind::Route, _) => format!("route {name}"),
        (RunKind::CutOver, _) => format!("cut over {name}"),
        (RunKind::RollBack, _) => format!("roll back {name}"),
        (RunKind::ResetOffsets, _) => format!("set offsets of {name}"),
        (RunKind::HardCut, _) => format!("hard cut over {name}"),
        (RunKind::HardBack, _) => format!("hard roll back {name}"),
        (RunKind::GiveBack | RunKind::HardGiveBack, _) => format!("take {name} back"),
    }
}

/// What an order is about, in a sentence: a group's or a producer's name alone.
fn bare_name(subject: &Subject) -> String {
    match subject {
        Subject::Group(_) | Subject::Producer(_) => subject.short_name(),
        Subject::Migration | Subject::Cluster(_) => subject.to_string(),
    }
}

/// What a person agreed to leave out or to pass over, by name. Those of offsets that expired hold numbers in brackets, and
/// were made visible before that.
fn accepted_names(gate: &Accepted) -> String {
    if gate.gate == GateName::Expired { gate.names.join(", ") } else { visible_names(&gate.names) }
}

/// `0 lost, 37 re-read`. Unknown is said, never shown as 0.
#[must_use]
pub(crate) fn describe_budget(plan: &GroupTranslation) -> String {
    let count = |n: Option<u64>| n.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    let pending = match plan.count_unsettled() {
        0 => String::new(),
        n => format!(", {n} not settled"),
    };
    format!("{} lost{pending}, {} re-read", count(plan.totals.missing), count(plan.totals.re_read))
}

/// An effect as something that will be done: `set the switch of loan-ledger to off`.
#[must_use]
pub(crate) fn describe_effect(effect: &Effect) -> String {
    match effect {
        Effect::SetSwitch { group, to } => format!("set the switch of {group} to {to}", group = visible_name(group)),
        Effect::Translate { group, to, chosen, .. } => {
            let by = chosen.as_ref().map(|c| format!(" by {}", c.strategy)).unwrap_or_default();
            format!("translate the offsets of {group} to {to}{by}", group = visible_name(group))
        }
        Effect::CommitOffsets { group, side, offsets, .. } => {
            format!("commit {} partitions of {group} on {side}", offsets.len(), group = visible_name(group))
        }
        Effect::RestoreOffsets { group, side, offsets, .. } => {
            format!(
                "restore the old offsets of {} partitions of {group} on {side}",
                offsets.len(),
                group = visible_name(group)
            )
        }
        Effect::SetFlag { producer, to } => {
            format!("set the flag of {producer} to {to}", producer = visible_name(producer))
        }
        Effect::Fence { producer, side, ids } => {
            format!(
                "fence {} transactional ids of {producer} on {side}: {}",
                ids.len(),
                ids.iter().map(|id| visible_name(id)).collect::<Vec<_>>().join(", "),
                producer = visible_name(producer)
            )
        }
        Effect::Deny { side, acls, .. } => format!("on {side}: {}", describe_acls("make", acls)),
        Effect::Allow { side, acls, .. } => format!("on {side}: {}", describe_acls("remove", acls)),
        Effect::Carry { producer, replay, from, ranges } => format!(
            "carry {} offsets that only {from} holds of {producer} to {}, replay {replay}",
            ranges.count_offsets(),
            from.other(),
            replay = visible_name(replay),
            producer = visible_name(producer)
        ),
    }
}

fn describe_acls(verb: &str, acls: &[Acl]) -> String {
    match acls {
        [] => "nothing to do".to_owned(),
        [one] => format!("{verb} {one}"),
        [one, ..] => format!("{verb} {one}, and {} more", acls.len() - 1),
    }
}

/// `ledger-0 4711 -> 12, ledger-1 0 -> 0`: where one side ends, and the other begins.
fn describe_seams(seams: &[PartitionSeam]) -> String {
    seams.iter().map(|s| format!("{} {} -> {}", s.tp, s.source, s.target)).collect::<Vec<_>>().join(", ")
}

/// What a diff counted, without what there is none of.
pub(crate) fn describe_counts(c: &ComparedCounts) -> String {
    let parts = [
        (c.missing, "missing"),
        (c.only_target, "only on the target"),
        (c.duplicated, "doubled"),
        (c.reordered, "out of order"),
        (c.unsettled, "unsettled"),
    ];
    let mut words = vec![format!("{} equal", c.equal)];
    words.extend(parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    words.extend((c.unknown_topics > 0).then(|| format!("{} topics with something unknown", c.unknown_topics)));
    words.join(", ")
}

fn describe_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done { result } => match result {
            EffectResult::Nothing => "done".into(),
            EffectResult::Switch { state } => format!("done, the switch reads {state}"),
            EffectResult::Flag { state } => format!("done, the flag reads {state}"),
            EffectResult::Plan { plan } => {
                format!("translated {} partitions: {}", plan.partitions.len(), describe_budget(plan))
            }
            EffectResult::Offsets { offsets } => format!("done, {} offsets read back", offsets.len()),
            EffectResult::Fenced { ids } => {
                let each =
                    ids.iter().map(|f| format!("{} pid {} epoch {}", visible_name(&f.id), f.producer_id, f.epoch));
                format!("fenced: {}", each.collect::<Vec<_>>().join(", "))
            }
            EffectResult::Denied => "done, the denials are in force".into(),
            EffectResult::NotDenied { why } => format!("not denied, only current instances are kept out: {}", why.what),
            EffectResult::Allowed => "done, the denials are gone".into(),
            EffectResult::Carried { records, verified } => {
                let read = match verified {
                    Some(true) => ", read back: each once",
                    Some(false) => ", READ BACK: NOT EACH ONCE",
                    None => "",
                };
                format!("{records} records carried{read}")
            }
        },
        Outcome::Failed { why } => format!("failed, nothing changed: {}", why.what),
        Outcome::Unknown { why } => format!("outcome unknown: {}", why.what),
    }
}

/// A committed offset in words.
fn format_offset(at: Option<i64>) -> String {
    at.map_or_else(|| "none".to_owned(), |at| at.to_string())
}

fn describe_drain(proof: &DrainProof) -> String {
    format!(
        "drained on {}: switch off, Empty, and {} commits still for at least {} ms in {} looks",
        proof.side,
        proof.committed.len(),
        proof.still_needed_ms,
        proof.samples,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::At;
    use crate::estate::SwitchState;
    use crate::migration::facts::effect::IssuedEffect;

    fn entry(seq: u64, event: Event) -> JournalEntry {
        JournalEntry { seq, at: At(1), actor: "ada@bastion".into(), event }
    }

    #[test]
    fn an_entry_of_a_run_is_about_what_the_run_is_about() {
        let mut teller = JournalText::default();
        let group = Subject::Group("loan-ledger".into());
        let command = Command::cut_over("loan-ledger");
        let start = Event::RunStarted {
            run: 7,
            kind: RunKind::CutOver,
            subject: group.clone(),
            command,
            confirmed: "green loan-ledger".into(),
            estimate: None,
            max_re_read: Some(500),
            dry_run: false,
            accepted: Vec::new(),
        };
        let line = teller.entry_line(&entry(1, start));
        assert_eq!(
            line.text,
            "run 7 (cutover) of group loan-ledger starts, confirmed with \"green loan-ledger\"; limit 500 re-read"
        );
        assert_eq!(line.act.as_deref(), Some("cut over loan-ledger"));
        let effect = Effect::SetSwitch { group: "loan-ledger".into(), to: SwitchState::Off };
        let line = teller
            .entry_line(&entry(2, Event::Intent { run: 7, issued: IssuedEffect { key: "7/0/1".into(), effect } }));
        assert_eq!(line.subject, Some(group));
        assert_eq!(line.text, "run 7 (cutover): will set the switch of loan-ledger to off [7/0/1]");
    }

    #[test]
    fn each_event_has_words_in_its_family() {
        // Of earlier versions one entry of every shape is kept; beside them what those never wrote.
        let kept = include_str!("../../tests/scenarios/entries-0.1.jsonl").lines();
        let others = [
            r#"{"event":{"event":"opened","actor":"ada@bastion","pid":7,"version":"1","clusters":["b",null]}}"#,
            r#"{"event":{"event":"closed","actor":"ada@bastion"}}"#,
            r#"{"event":{"event":"gate_turned","group":"audit","metric":null,"gate":{"gate":"pass"}}}"#,
            r#"{"event":{"event":"replay_resumed","replay":"r1"}}"#,
        ];
        for line in kept.chain(others) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let event: Event = serde_json::from_value(line["event"].clone()).unwrap();
            let text = JournalText::default().entry_line(&entry(1, event)).text;
            assert!(!text.is_empty() && !text.ends_with(": "), "{text:?} for {line}");
        }
    }

    #[test]
    fn what_was_asked_for_names_no_consequence_and_nothing_of_the_controller() {
        let mut teller = JournalText::default();
        let mut said = |actor: &str, event: Event| {
            let entry = JournalEntry { actor: actor.into(), ..entry(1, event) };
            teller.entry_line(&entry).act
        };
        let start = |kind, command| Event::started(7, kind, command);
        let back = start(RunKind::RollBack, Command::roll_back("loan-audit"));
        assert_eq!(said("trigger green-lag", back.clone()).as_deref(), Some("roll back loan-audit"));
        assert_eq!(said("controller", back), None, "what the controller begins by itself nobody asked for");
        assert_eq!(said("ada@bastion", Event::Continued { run: 7 }).as_deref(), Some("continue loan-audit"));
        let route = Command::route("loan-api", crate::estate::FlagState::Dual);
        let routed = said("ada@bastion", start(RunKind::Route, route));
        assert_eq!(routed.as_deref(), Some("route loan-api to dual"));
        let held = Event::Held { subject: Subject::Group("g\u{1b}[2J".into()), why: "w".into() };
        assert!(said("ada@bastion", held).is_some_and(|a| a.starts_with("hold g") && !a.contains('\u{1b}')));
        let opened = Event::Closed { actor: "ada@bastion".into() };
        assert_eq!(said("ada@bastion", opened), None, "to open and to close is no command");
        assert_eq!(said("ada@bastion", Event::PointOfNoReturn { run: 7 }), None);
    }

    #[test]
    fn what_people_typed_cannot_move_the_cursor() {
        let held = Event::Held { subject: Subject::Group("g".into()), why: "wait\u{1b}[2J\u{202e}".into() };
        let text = JournalText::default().entry_line(&entry(1, held)).text;
        assert!(text.starts_with("group g held: wait"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }
}
