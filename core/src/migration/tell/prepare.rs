//! What a command would do: everything a confirm dialog shows, or why it can't be done now. The same checks run again
//! when it is executed.

use crate::base::sanitise::{visible_name, visible_names};
use crate::base::{At, Side};
use crate::estate::FlagState;
use crate::migration::facts::command::{Command, Level, Prepared, Refusal, Subject};
use crate::migration::facts::event::RunKind;
use crate::migration::facts::overrides::{Accepted, GateName, HeldGate, phrase_over};
use crate::migration::rules::app;
use crate::migration::rules::context::kind_refusal;
use crate::migration::rules::cost;
use crate::migration::rules::counts;
use crate::migration::rules::group;
use crate::migration::rules::producer;
use crate::migration::rules::route;
use crate::migration::run::machine::Machine;
use crate::migration::run::runbook;

impl Machine {
    /// What would this command do? Answered from what is known, without asking anybody.
    pub fn prepare(&self, command: &Command, now: At) -> Result<Prepared, Refusal> {
        if let (Some(why), false) = (&self.session.read_only, matches!(command, Command::Estimate { .. })) {
            return Err(Refusal::refused(
                format!("this session is read-only: {why}"),
                "use the session that holds the journal, or end it and start again",
            ));
        }
        self.prepare_for_anybody(command, now)
    }

    /// The same, whatever this session may do: what stands in the way of the deed itself.
    pub(in crate::migration) fn prepare_for_anybody(&self, command: &Command, now: At) -> Result<Prepared, Refusal> {
        self.check_dry_or_real(command)?;
        self.refuse_marks_in_dry_run(command)?;
        match command {
            Command::Estimate { group, to, .. } => self.prepare_estimate(command, group, *to, now),
            Command::Hold { subject, why } => self.prepare_hold(command, subject, why),
            Command::Resume { subject } => match (self.state.own_hold(subject), &self.state.held) {
                (None, Some(all)) => Err(Refusal::refused(
                    format!("the whole migration is held by {}: {}", visible_name(&all.0), all.1),
                    "resume the migration",
                )),
                (Some((by, why)), _) => {
                    Ok(plain_dialog(command, format!("End the hold by {by}: {why}", by = visible_name(by))))
                }
                (None, None) => Err(Refusal::refused("it is not held", "nothing to do")),
            },
            _ => {
                if let Some((by, why)) = self.state.holder(&command.subject()) {
                    return Err(Refusal::holds(
                        format!("held by {by}: {why}", by = visible_name(by)),
                        "resume it first",
                    ));
                }
                let prepared = self.prepare_change(command, now)?;
                // Last: planes may only not have answered yet, and whatever else stands in the way is worth more.
                if self.needs_planes(command, now) {
                    self.rule_context(now).check_planes()?;
                }
                Ok(prepared)
            }
        }
    }

    fn prepare_change(&self, command: &Command, now: At) -> Result<Prepared, Refusal> {
        match command {
            Command::CutOver { group, .. } => self.prepare_cut_over(command, group, now),
            Command::RollBack { group, .. } => self.prepare_roll_back(command, group, now),
            Command::ResetOffsets { group, to, .. } => {
                self.check_nothing_under_way(group)?;
                if group::rests_on(self.state.groups.get(group).map(|g| &g.rest)) == *to {
                    return Err(Refusal::refused(
                        format!("{group} runs on {to}: its offsets there are its own", group = visible_name(group)),
                        format!("offsets can be set on {}, ahead of a move", to.other()),
                    ));
                }
                self.prepare_group(command, group, RunKind::ResetOffsets, *to, now)
            }
            Command::Continue { subject: Subject::Group(group) } => self.prepare_continue(command, group),
            Command::Complete { subject: Subject::Group(group), .. } => self.prepare_complete(command, group, now),
            Command::Route { producer, to, .. } => self.prepare_route(command, producer, *to, now),
            Command::HardCut { producer, .. }
            | Command::HardBack { producer, .. }
            | Command::Continue { subject: Subject::Producer(producer) }
            | Command::Complete { subject: Subject::Producer(producer), .. }
            | Command::Approve { producer } => self.prepare_hard(command, producer, now),
            Command::Continue { subject: Subject::Migration | Subject::Cluster(_) }
            | Command::Complete { subject: Subject::Migration | Subject::Cluster(_), .. } => Err(Refusal::refused(
                "only a group or a producer moves: nothing else can be continued or declared complete",
                "name one of them",
            )),
            Command::Provision => self.prepare_provision(command, now),
            Command::Estimate { .. } | Command::Hold { .. } | Command::Resume { .. } => {
                Ok(plain_dialog(command, String::new()))
            }
        }
    }

    /// Green is set up by whoever runs the controller: what would be made is no fact of the machine. Here stands whether it may
    /// be now.
    fn prepare_provision(&self, command: &Command, now: At) -> Result<Prepared, Refusal> {
        self.rule_context(now).check_trusted()?;
        if self.session.dry_run {
            return Err(Refusal::refused(
                "this session is a dry run, and how green is set up is not rehearsed",
                "this screen and `cutover provision` show what would be made; a session that is no dry run makes it",
            ));
        }
        match self.state.runs.values().find(|run| run.is_open()) {
            Some(run) => Err(Refusal::holds(
                format!("the {} of {} is under way (run {})", run.kind, run.subject.short_name(), run.id),
                "let it end first: nothing else changes green meanwhile",
            )),
            None => Ok(plain_dialog(command, "Set GREEN up as blue is".to_owned())),
        }
    }

    /// A dry run never touches a real run, and the other way round.
    fn check_dry_or_real(&self, command: &Command) -> Result<(), Refusal> {
        let run = self.state.open_run(&command.subject()).filter(|r| r.dry_run != self.session.dry_run);
        let Some(run) = run
            .filter(|_| !matches!(command, Command::Estimate { .. } | Command::Hold { .. } | Command::Resume { .. }))
        else {
            return Ok(());
        };
        let (is, session) = if run.dry_run { ("a dry run", "real") } else { ("real", "a dry run") };
        Err(Refusal::refused(
            format!("run {} is {is}, and this session is {session}", run.id),
            "end it in a session of its own kind",
        ))
    }

    /// A dry run writes nothing that a real session would act on: no mark, no answer to an alarm.
    fn refuse_marks_in_dry_run(&self, command: &Command) -> Result<(), Refusal> {
        let mark = match command {
            Command::Complete { .. } | Command::Approve { .. } | Command::Hold { .. } | Command::Resume { .. } => true,
            Command::Continue { subject } => self.state.alarm_of(subject).is_some(),
            // These measure, or begin a run that is a dry one.
            Command::Estimate { .. }
            | Command::ResetOffsets { .. }
            | Command::CutOver { .. }
            | Command::RollBack { .. }
            | Command::Route { .. }
            | Command::HardCut { .. }
            | Command::HardBack { .. }
            | Command::Provision => false,
        };
        if !(self.session.dry_run && mark) {
            return Ok(());
        }
        Err(Refusal::refused(
            "this session is a dry run, and that would stand in the journal after it",
            "do it in a session that is none",
        ))
    }

    pub(in crate::migration) fn check_nothing_under_way(&self, group: &str) -> Result<(), Refusal> {
        match self.state.open_run(&Subject::Group(group.to_string())) {
            Some(run) => Err(Refusal::refused(
                format!("the {} of {group} is under way (run {})", run.kind, run.id, group = visible_name(group)),
                "let it end, or roll back, hold or continue it",
            )),
            None => Ok(()),
        }
    }

    fn prepare_estimate(&self, command: &Command, group: &str, to: Side, now: At) -> Result<Prepared, Refusal> {
        let sight = self.rule_context(now);
        sight.check_reachable()?;
        sight.check_identities()?;
        sight.fresh_cluster(to)?;
        let id = sight.id_on(group, to.other());
        match sight.fresh_group(group, to.other())? {
            None => Err(Refusal::refused(
                format!("group {id} does not exist on {}", to.other(), id = visible_name(id)),
                "check its name",
            )),
            Some(view) => match kind_refusal(id, to.other(), view)
                .or_else(|| app::streams_refusal(&sight, group, to.other(), view).filter(|_| to == Side::Green))
            {
                Some(refusal) => Err(refusal),
                None => Ok(plain_dialog(command, format!("Measure {} to {}", visible_name(group), capitals_of(to)))),
            },
        }
    }

    fn prepare_hold(&self, command: &Command, subject: &Subject, why: &str) -> Result<Prepared, Refusal> {
        if why.trim().is_empty() {
            return Err(Refusal::refused("a hold needs a reason", "say why, for the journal"));
        }
        let known = match subject {
            Subject::Group(g) => self.settings.groups.contains_key(g),
            Subject::Producer(p) => self.settings.producers.contains_key(p),
            Subject::Migration => true,
            Subject::Cluster(_) => false,
        };
        match (known, self.state.holder(subject)) {
            (false, _) => Err(Refusal::refused("it is not in the plan", "only what the plan lists can be held")),
            (true, Some((by, why))) => {
                Err(Refusal::refused(format!("held by {by} already: {why}", by = visible_name(by)), "resume it first"))
            }
            (true, None) => Ok(plain_dialog(command, "Hold".into())),
        }
    }

    /// To go on where an alarm stands says that it was seen, and mended.
    pub(in crate::migration) fn prepare_mended(&self, command: &Command, subject: &Subject) -> Option<Prepared> {
        let (why, _) = self.state.alarm_of(subject)?;
        let title = format!("{}: seen, and mended: {why}", subject.short_name());
        Some(Prepared { level: Level::Key, ..plain_dialog(command, title) })
    }

    pub(super) fn prepare_continue(&self, command: &Command, group: &str) -> Result<Prepared, Refusal> {
        let subject = Subject::Group(group.to_owned());
        if let Some(mended) = self.prepare_mended(command, &subject) {
            return Ok(mended);
        }
        let run = self.state.open_run(&subject);
        let Some(run) = run.filter(|r| r.needs.is_some() || self.firing.counts_down(r)) else {
            return Err(Refusal::refused(
                format!("nothing of {group} waits to be continued", group = visible_name(group)),
                "nothing to do",
            ));
        };
        let steps = self.steps_of(run);
        let from = if run.no_return || !matches!(run.kind, RunKind::CutOver | RunKind::RollBack) {
            run.step
        } else {
            // The drain is proven again before anything that rests on it.
            run.step.min(2)
        };
        let group = visible_name(group);
        Ok(Prepared {
            steps: steps.iter().skip(from).map(runbook::Step::line).collect(),
            no_return_after: runbook::no_return_after(run.kind, &steps).and_then(|n| n.checked_sub(from)),
            level: if matches!(command, Command::RollBack { .. }) {
                Level::Typed(format!("blue {group}"))
            } else {
                Level::Key
            },
            max_re_read: run.max_re_read,
            facts: format!("run={} step={}", run.id, run.step),
            ..plain_dialog(command, format!("Go on with the {} of {group} to {}", run.kind, capitals_of(run.to)))
        })
    }

    fn prepare_route(&self, command: &Command, name: &str, to: FlagState, now: At) -> Result<Prepared, Refusal> {
        let sight = self.rule_context(now);
        if let Some(run) = self.state.open_run(&Subject::Producer(name.to_string())) {
            // The same command again is how one goes on with it; another is how one turns back.
            if run.needs.is_some() && run.command == *command {
                let facts = format!("run={}", run.id);
                return Ok(Prepared {
                    level: Level::Key,
                    facts,
                    ..plain_dialog(command, format!("Go on routing {} to {to}", visible_name(name)))
                });
            }
            if run.needs.is_none() || run.command == *command {
                return Err(Refusal::refused(
                    format!("{name} is being routed (run {})", run.id, name = visible_name(name)),
                    "let it end, or hold it",
                ));
            }
        }
        cost::check_only_gate(GateName::Readers, "a routing", command)?;
        let route::Routable { settings: p, from, gates } = route::check_route(&sight, name, to, command.overrides())?;
        let steps = runbook::route_steps(p, to);
        let seen = producer::observe_writing(&sight, name, p);
        let mut warnings = Vec::new();
        if let Some(d) = producer::find_disagreement(&sight, name, p) {
            warnings.push(d);
        }
        if !seen.shared.is_empty() {
            warnings.push(format!("{} shared with other producers: not attributable", visible_names(&seen.shared)));
        }
        let uneven = counts::find_uneven(&sight, &p.topics);
        warnings.extend(uneven.iter().map(|u| format!("{}: keys land on other partitions", u.describe(Side::Blue))));
        if to == FlagState::Green {
            warnings.push(format!("the way back of groups that read {} closes with this", visible_names(&p.topics)));
        }
        warnings.extend(gates.iter().map(|h| format!("this passes over the gate {}: {}", h.gate, h.why)));
        let typed = Level::Typed(phrase_over(format!("{to} {}", visible_name(name)), &gates));
        // Dual adds a side and takes none away, so a key is enough; the rest leaves one.
        let level = if to == FlagState::Dual { Level::Key } else { typed };
        Ok(Prepared {
            steps: steps.iter().map(runbook::Step::line).collect(),
            level,
            way_back: format!("set the flag back to {from}"),
            warnings,
            by_hand: Some(p.flag_words.words_for(to).to_owned()).filter(|w| !w.is_empty()).into_iter().collect(),
            facts: format!(
                "flag={from}\ntopics={}{}{}",
                visible_names(&p.topics),
                counts::list_counts(&uneven),
                passed_readers(&gates)
            ),
            gates,
            ..plain_dialog(command, format!("Route {} from {from} to {to}", visible_name(name)))
        })
    }

    /// Holds what was typed and seen against what would be done now.
    pub(in crate::migration) fn accept_confirmation(
        &self,
        command: &Command,
        typed: &str,
        facts: Option<&str>,
        now: At,
    ) -> Result<Vec<Accepted>, Refusal> {
        let prepared = self.prepare(command, now)?;
        if let Some(f) = facts.filter(|f| *f != prepared.facts) {
            return Err(Refusal::refused(
                format!("the facts changed since they were shown: {}", describe_change(f, &prepared.facts)),
                "look at the dialog again",
            ));
        }
        let mut accepted = cost::list_accepted(command, &prepared.gates);
        if let Level::Typed(phrase) = &prepared.level {
            let loss = self.typed_loss(command, &prepared.gates, typed);
            if let (Some(loss), Some(of)) = (loss, accepted.iter_mut().find(|a| a.gate == GateName::Missing)) {
                of.at_most = Some(loss);
            }
            if typed.trim() != phrase && loss.is_none() {
                return Err(Refusal::refused(
                    format!("that is not confirmed: type \"{phrase}\""),
                    "type exactly what the dialog asks for",
                ));
            }
            // Who knows the phrase may type it without having looked.
            if facts.is_none() {
                return Err(Refusal::refused("no dialog was confirmed", "look at what it would do first"));
            }
        }
        Ok(accepted)
    }
}

pub(in crate::migration) fn capitals_of(side: Side) -> String {
    side.name().to_uppercase()
}

pub(in crate::migration) fn plain_dialog(command: &Command, title: String) -> Prepared {
    Prepared {
        command: command.clone(),
        title,
        steps: Vec::new(),
        no_return_after: None,
        level: Level::None,
        max_re_read: None,
        way_back: String::new(),
        warnings: Vec::new(),
        gates: Vec::new(),
        rows: Vec::new(),
        diff: Vec::new(),
        by_hand: Vec::new(),
        facts: String::new(),
    }
}

/// A line of the facts: groups of which it can't be told whether they read what is moved, and that are passed over. It
/// is these that a person says it of, and no others.
pub(in crate::migration) fn passed_readers(gates: &[HeldGate]) -> String {
    let held = gates.iter().find(|h| h.gate == GateName::Readers);
    held.map_or_else(String::new, |h| format!("\nunknown readers={}", visible_names(&h.names)))
}

fn describe_change(then: &str, now: &str) -> String {
    let find = |text: &str, key: &str| {
        text.lines()
            .find_map(|l| l.strip_prefix(key)?.strip_prefix('=').map(str::to_string))
            .unwrap_or_else(|| "not there".into())
    };
    let keys = then.lines().chain(now.lines()).filter_map(|l| l.split_once('=').map(|(k, _)| k));
    let key = keys.into_iter().find(|k| find(then, k) != find(now, k)).unwrap_or("something");
    format!("{key} was {}, is {}", find(then, key), find(now, key))
}
