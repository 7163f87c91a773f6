//! What is known, as screens and reports see it: one [`Snapshot`], plain values.

mod distrust;
mod groups;
mod producers;
mod sides;

use std::collections::{BTreeMap, VecDeque};

use super::core::WatchedDialog;
use crate::base::sanitise::{visible_name, visible_path};
use crate::base::{At, Cause, Observed, Side, Sides, Trouble};
use crate::estate::{Estate, FlagState};
use crate::migration::facts::command::{Command, Subject};
use crate::migration::facts::stage::{RunView, Stage};
use crate::migration::rules::producer::is_moving;
use crate::migration::run::machine::{Machine, SessionMode};
use crate::plan::calendar::Calendar;
use crate::plan::{Plan, ProviderPlan};
use crate::session::options::{Options, Want};
use crate::snapshot::{Arming, DiffView, Fidelity, Header, JournalLine, Notice, ParityView, Snapshot};

/// Why a session that has just started changes nothing yet.
pub(crate) const OPENING: &str = "the journal is being opened";
/// Layout version of the snapshot.
const SCHEMA: u32 = 1;

/// Everything a snapshot is made from.
pub(super) struct Scene<'a> {
    pub plan: &'a Plan,
    pub options: &'a Options,
    pub arming: &'a Arming,
    pub machine: &'a Machine,
    pub estate: &'a Estate,
    /// How far effects are, by key.
    pub progress: &'a BTreeMap<String, String>,
    pub lines: &'a VecDeque<JournalLine>,
    pub notices: &'a VecDeque<Notice>,
    /// The diff under way, or the last one.
    pub diff: Option<DiffView>,
    pub parity: Option<ParityView>,
    /// What samples say of producers.
    pub fidelity: BTreeMap<String, Fidelity>,
    /// What the plan moves when.
    pub calendar: Calendar,
    /// Why the journal is not the whole truth.
    pub unsound: Option<&'a Trouble>,
    pub seq: u64,
    pub now: At,
}

/// How long the calendar that was made last will do: only its next openings change with time, ms.
const CALENDAR_MS: u64 = 60_000;
/// How far ahead the openings of windows are told, ms: each opens within that time.
const AHEAD_MS: u64 = 22 * 86_400_000;

impl Scene<'_> {
    /// The run under way of a group or producer, or the last one; an effect under way speaks for its step.
    fn run_view(&self, subject: &Subject) -> Option<RunView> {
        let mut view = self.machine.run_view(subject)?;
        if let Some(run) = self.machine.state().runs.get(&view.run) {
            groups::apply_progress(&mut view, &run.effects, self.progress);
        }
        Some(view)
    }
}

/// The plan's calendar, made anew now and then: time zones cost too much for every picture.
#[derive(Debug, Default)]
pub(super) struct CalendarCache {
    made: Option<(At, Calendar)>,
}

impl CalendarCache {
    /// The calendar as it is now, within [`CALENDAR_MS`].
    pub(super) fn at(&mut self, plan: &Plan, now: At) -> Calendar {
        match &self.made {
            // After a clock stepped back it is made anew: it begins with another now.
            Some((at, calendar)) if now.since(*at) < CALENDAR_MS && *at <= now => calendar.clone(),
            _ => {
                let calendar = plan.calendar(now, now.plus(AHEAD_MS));
                self.made = Some((now, calendar.clone()));
                calendar
            }
        }
    }
}

/// The measurement that a dialog needs, when it is due: older than `age_ms`, or never made.
pub(super) fn due_measurement(machine: &Machine, watched: &WatchedDialog, now: At, age_ms: u64) -> Option<Command> {
    let group = watched.group.as_str();
    if machine.is_measuring(group) || !machine.settings().groups.contains_key(group) {
        return None;
    }
    let stage = machine.group_stage(group);
    let (to, chosen) = match (&watched.choice, stage) {
        (_, Stage::Moving { .. }) => return None,
        (Some((to, chosen)), _) => (*to, chosen.clone()),
        (None, Stage::Soaking { .. } | Stage::Complete { .. }) => (Side::Blue, None),
        (None, Stage::OnBlue | Stage::RolledBack { .. }) => (Side::Green, None),
    };
    let young = |o: &Observed<_>| o.age_ms(now).is_some_and(|age| age < age_ms);
    let measured = match (&watched.choice, machine.latest_estimate(group)) {
        // A prediction of a run counts as well.
        (None, Some((of, estimate))) => of == to && machine.estimate_chosen(group).is_none() && young(&estimate),
        _ => machine.latest_measurement(group, to, chosen.as_ref()).is_some_and(young),
    };
    (!measured).then(|| Command::Estimate { group: group.to_owned(), to, chosen })
}

/// The picture before anything was seen: names from the plan, everything else unknown.
pub(super) fn skeleton(plan: &Plan, options: &Options, now: At) -> Snapshot {
    let arming = match options.want {
        Want::ReadOnly => crate::session::options::read_only_as_asked(),
        Want::Armed | Want::DryRun => Arming::ReadOnly { why: OPENING.into() },
    };
    let machine = build_machine(plan, &arming);
    let why = Trouble::new("connecting", "").with_cause(Cause::NotYet);
    let clusters = Sides::from_fn(|_| Observed::Absent { why: why.clone() });
    let estate = Estate { clusters, ..Estate::default() };
    build_snapshot(&Scene {
        plan,
        options,
        arming: &arming,
        machine: &machine,
        estate: &estate,
        progress: &BTreeMap::new(),
        lines: &VecDeque::new(),
        notices: &VecDeque::new(),
        diff: None,
        parity: None,
        fidelity: BTreeMap::new(),
        calendar: CalendarCache::default().at(plan, now),
        unsound: None,
        seq: 0,
        now,
    })
}

/// A machine for what the session may do.
pub(super) fn build_machine(plan: &Plan, arming: &Arming) -> Machine {
    let session = match arming {
        Arming::Armed => SessionMode::default(),
        Arming::DryRun => SessionMode { dry_run: true, read_only: None },
        Arming::ReadOnly { why } => SessionMode { dry_run: false, read_only: Some(why.clone()) },
    };
    Machine::new(plan.settings(), session)
}

/// The whole picture.
pub(super) fn build_snapshot(scene: &Scene<'_>) -> Snapshot {
    let sight = scene.machine.rule_context(scene.now);
    let mut notices: Vec<Notice> = scene.machine.notices(scene.now);
    notices.extend(scene.notices.iter().cloned());
    notices.sort_by_key(|n| n.at);
    let excess = notices.len().saturating_sub(super::core::NOTICES);
    notices.drain(..excess);
    let mut snapshot = Snapshot {
        schema: SCHEMA,
        seq: scene.seq,
        now: scene.now,
        header: header(scene),
        phases: scene.machine.phases(&ParityView::setup_seen(scene.parity.as_ref()), scene.now),
        blue: sides::side_view(scene, &sight, Side::Blue),
        green: sides::side_view(scene, &sight, Side::Green),
        groups: groups::rows(scene, &sight),
        producers: producers::rows(scene),
        notices,
        countdowns: scene.machine.countdowns(),
        journal: scene.lines.iter().cloned().collect(),
        diff: scene.diff.clone(),
        parity: scene.parity.clone(),
        calendar: scene.calendar.clone(),
    };
    if let Some(why) = scene.unsound {
        distrust::distrust(&mut snapshot, why);
    }
    snapshot
}

fn header(scene: &Scene<'_>) -> Header {
    let plan = scene.plan;
    Header {
        migration: plan.name.clone(),
        arming: scene.arming.clone(),
        controller: scene.options.actor.to_string(),
        pid: std::process::id(),
        journal: visible_path(&plan.journal),
        plan: plan.file.as_ref().map_or_else(|| "(none)".to_owned(), |f| visible_path(f)),
        stale_after_ms: plan.stale_after_ms,
        journal_trouble: scene.unsound.cloned(),
    }
}

/// Flags that a person sets can't be read: what is observed at the ends of the producer's own topics stands for them.
pub(super) fn infer_manual_flags(plan: &Plan, machine: &Machine, estate: &mut Estate, now: At) {
    for producer in &plan.producers {
        if !matches!(producer.flag, Some(ProviderPlan::Manual { .. })) {
            continue;
        }
        let slot = estate.flags.entry(producer.name.clone()).or_insert_with(Observed::not_yet);
        let seen = machine.observed_writing(&producer.name, now);
        // Where others write to every topic of its, no end shows what this one does.
        let own = seen.shared.len() < producer.topics.len();
        match (seen.blue_rate.map(is_moving), seen.green_rate.map(is_moving), seen.at) {
            (Some(blue), Some(green), Some(at)) if own && (blue || green) => {
                let state = match (blue, green) {
                    (true, true) => FlagState::Dual,
                    (true, false) => FlagState::Blue,
                    _ => FlagState::Green,
                };
                *slot = Observed::seen_at(state, at);
            }
            // Nothing moves, or not long enough watched: that says nothing of a flag.
            _ => slot.note_failure(Trouble::new(
                format!("{} is set by hand, and nothing shows now where it writes", visible_name(&producer.name)),
                "wait until it writes",
            )),
        }
    }
}

/// Takes a look, or the failure of one, in: a value that could not be seen again keeps its age and gains the reason.
pub(super) fn take_look<T>(slot: &mut Observed<T>, result: Result<T, Trouble>, at: At) {
    match result {
        Ok(value) => *slot = Observed::seen_at(value, at),
        Err(why) => slot.note_failure(why),
    }
}
