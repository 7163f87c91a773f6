//! The loop: what comes in goes to the machine; what the machine wants is journalled, and then done.
//!
//! One task owns the machine. Pollers, effects and measurements are tasks of their own and talk to it through bounded
//! channels. Each journal entry is durable before the next action is taken, so an effect never starts before its
//! intent is on disk.

mod acts;
mod behind;
mod compare;
mod export;
mod fidelity;
mod follow;
mod look;
mod provision;
mod setup;
mod start;
mod strand;
mod tell;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use compare::CurrentDiff;
use fidelity::Fidelities;
use provision::Provisioning;
use setup::SetupLook;
use start::{Inflow, open_core};
use strand::StrandedRuns;

use super::eos::watch::EosFocus;
use super::executor::Executor;
use super::meter::Questions;
use super::notifier::Notifier;
use super::observe::{GroupFocus, Observation, TimedObservation};
use super::present::{self, Scene};
use crate::base::{At, Observed, Person, Side, Trouble, lock_unpoisoned};
use crate::estate::{Estate, WindowView};
use crate::jobs::translate::{History, Translator};
use crate::migration::facts::command::{Command, Refusal, Subject};
use crate::migration::facts::effect::Outcome;
use crate::migration::facts::event::{Event, JournalEntry};
use crate::migration::run::machine::Machine;
use crate::migration::soak::watch::KeptSamples;
use crate::migration::tell::edges::Edges;
use crate::offsets::Chosen;
use crate::offsets::verdict::GroupTranslation;
use crate::plan::{Plan, WindowPlan};
use crate::session::clock::{Clock, Stopwatch};
use crate::session::ledger::{Ledger, build_opened_event};
use crate::session::options::Options;
use crate::session::pins;
use crate::session::tools::Tools;
use crate::snapshot::journal_text::JournalText;
use crate::snapshot::{Arming, Ask, JournalLine, Notice, Reply, Severity, Snapshot};

/// Journal lines in a snapshot.
const LINES: usize = 500;
/// Notices in a snapshot.
pub(super) const NOTICES: usize = 50;
/// At least this long between two snapshots, ms (a screen draws at most four a second), and at least this many times
/// as long as one takes to make: on a huge estate pictures come slower, and the machine keeps its time.
const SNAPSHOT_PAUSE_MS: u64 = 100;
const SNAPSHOT_SHARE: u64 = 8;
/// Observations of this long reach the machine as one, ms: dozens of switches are not dozens of copies of the estate.
const OBSERVE_MS: u64 = 50;
/// At most this long between two snapshots, ms: ages count on.
const SNAPSHOT_LONGEST_MS: u64 = 1_000;
/// How long the effect under way may take to finish when the controller ends, ms. Each has its own bound; this is
/// beyond the longest that changes anything.
const LAST_EFFECT_MS: u64 = 120_000;
/// A command that was asked longer ago than this is not carried out, ms: who asked waits no longer.
const LATEST_MS: u64 = 20_000;
/// A dialog's estimate is measured again when it is this old, ms.
const ESTIMATE_AGE_MS: u64 = 8_000;
/// How often samples of soaks are kept, ms: a crash loses at most so much of the time that was counted.
const KEEP_MS: u64 = 10_000;
/// How often a session that only looks reads what the holder of the journal has written, ms.
const FOLLOW_MS: u64 = 1_000;

/// The controller's ends of the channels in a [`super::run::Handle`].
pub(super) struct ControllerEnds {
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    pub asks: mpsc::Receiver<Ask>,
    pub replies: mpsc::Sender<Reply>,
    pub stop: watch::Receiver<bool>,
}

/// How far an effect is, in words.
pub(super) struct EffectProgress {
    /// The effect's key.
    pub key: String,
    /// The words.
    pub words: String,
}

/// What a measurement brought.
type Measurement = (String, Side, Option<Chosen>, Result<GroupTranslation, Trouble>);

/// A measurement that was asked for.
type MeasurementOrder = (String, Side, Option<Chosen>, BTreeSet<String>);

/// The group whose dialog a person reads, and what that dialog is about where it is not the plan's own way.
pub(super) struct WatchedDialog {
    pub group: String,
    pub choice: Option<(Side, Option<Chosen>)>,
}

/// When the loop last did what it does from time to time.
struct Pulse {
    observed: Stopwatch,
    unobserved: bool,
    shown: Stopwatch,
    unshown: bool,
    pause_ms: u64,
    followed: Stopwatch,
    kept: Stopwatch,
}

impl Pulse {
    fn new() -> Self {
        let now = Clock.stopwatch();
        Self {
            observed: now,
            unobserved: false,
            shown: now,
            unshown: true,
            pause_ms: SNAPSHOT_PAUSE_MS,
            followed: now,
            kept: now,
        }
    }
}

struct Core {
    plan: Arc<Plan>,
    options: Options,
    machine: Machine,
    estate: Estate,
    ledger: Ledger,
    arming: Arming,
    tools: Arc<Tools>,
    history: Arc<Mutex<History>>,
    translator: Option<Translator>,
    executor: Option<Arc<dyn Executor>>,
    effects: JoinSet<(String, Outcome)>,
    /// Asked for and not started: at most one for each group, side and strategy, as the machine asks for no more.
    to_measure: Vec<MeasurementOrder>,
    measurements: JoinSet<Vec<Measurement>>,
    focus: watch::Sender<GroupFocus>,
    eos_focus: watch::Sender<EosFocus>,
    behind: behind::Behind,
    questions: watch::Sender<Questions>,
    teller: JournalText,
    lines: VecDeque<JournalLine>,
    dates: present::CalendarCache,
    notices: VecDeque<Notice>,
    progress: BTreeMap<String, String>,
    watching: Option<WatchedDialog>,
    comparing: CurrentDiff,
    setup: SetupLook,
    provisioning: Provisioning,
    fidelities: Fidelities,
    turns: Edges,
    herald: Notifier,
    ends: ControllerEnds,
    stopping: bool,
    /// Why the journal is not the whole truth: what rests on it is not known.
    unsound: Option<Trouble>,
    /// Why the journal can't be written any more: nothing is done then.
    unwritable: Option<Trouble>,
    stranding: StrandedRuns,
    seq: u64,
}

/// Runs a controller to its end.
pub(super) async fn drive(plan: Arc<Plan>, options: Options, ends: ControllerEnds) {
    let (mut core, mut inflow) = open_core(plan, options, ends).await;
    core.begin().await;
    core.run_loop(&mut inflow).await;
    inflow.pollers.shutdown().await;
    core.end(&mut inflow.heard).await;
}

impl Core {
    fn replay_entries(&mut self, entries: &[JournalEntry], samples: Vec<KeptSamples>) {
        for entry in entries {
            self.machine.fold_entry(entry);
            self.remember_entry(entry);
        }
        self.machine.restore_samples(samples);
        self.machine.interrupt_open_runs(Clock.now());
    }

    /// What every entry, old or new, is kept for besides the machine.
    fn remember_entry(&mut self, entry: &JournalEntry) {
        if let Event::Pinned { side, cluster_id } = &entry.event {
            pins::hold_to_pin(self.tools.cluster(*side), &self.plan, Some(cluster_id));
        }
        let mut history = lock_unpoisoned(&self.history);
        history.note_entry(entry);
        history.set_seams(&self.machine.state().seams);
        drop(history);
        self.fidelities.note_entry(entry);
        self.provisioning.note_entry(entry);
        let line = self.teller.entry_line(entry);
        self.turns.take_entry(entry);
        self.herald.take_entry(entry, &line.text);
        if self.lines.len() >= LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    async fn begin(&mut self) {
        self.keep_told(true).await;
        self.herald.start();
        if !matches!(self.arming, Arming::ReadOnly { .. }) {
            let opened = build_opened_event(&self.plan, &self.options);
            self.write_entry(self.options.actor.clone(), opened).await;
            self.machine.restart_countdowns(None, Clock.now());
        }
        // What needs no look (windows) is there before the first question.
        self.feed_machine();
        self.carry_out_actions().await;
        self.publish();
    }

    /// Until it is told to stop, or nobody holds the other ends any more.
    async fn run_loop(&mut self, inflow: &mut Inflow) {
        let mut pulse = Pulse::new();
        loop {
            let wake = self.wake_after_ms(&pulse);
            tokio::select! {
                biased;
                changed = self.ends.stop.changed() => {
                    if changed.is_err() || *self.ends.stop.borrow() {
                        return;
                    }
                }
                Some(ended) = self.effects.join_next() => self.effect_ended(ended),
                Some(tried) = self.stranding.tried.join_next() => self.tell_stranded(tried),
                ask = self.ends.asks.recv() => match ask {
                    Some(ask) => self.answer_ask(ask).await,
                    None => return,
                },
                Some(measured) = self.measurements.join_next() => self.take_measurements(measured),
                Some(came) = self.comparing.tasks.join_next() => self.take_diff_outcome(came).await,
                Some(came) = self.setup.tasks.join_next() => self.take_setup(came),
                Some(lent) = self.provisioning.desk.recv() => self.write_lent(lent).await,
                Some(came) = self.provisioning.tasks.join_next() => self.take_provision(came),
                Some(murmur) = inflow.heard.recv() => self.note_progress(murmur),
                Some(one) = inflow.sampled.recv() => self.take_sample(one),
                // Not in its own words, which may be made of what the clients were given.
                Some(Err(_)) = inflow.pollers.join_next() => {
                    tracing::error!("a poller broke off");
                    let what = "a poller broke off: what it looked at only grows old from here";
                    let advice = "start cutover again; this is a fault of cutover";
                    self.add_notice(Severity::Fail, Subject::Migration, Trouble::new(what, advice));
                }
                Some(sighting) = inflow.seen.recv() => {
                    self.take_observation(sighting);
                    pulse.unobserved = true;
                }
                () = Clock.sleep(wake) => {}
            }
            self.do_what_is_due(&mut pulse).await;
        }
    }

    /// What is due after anything came in, or some time passed.
    async fn do_what_is_due(&mut self, pulse: &mut Pulse) {
        if pulse.unobserved && pulse.observed.elapsed_ms() >= OBSERVE_MS {
            self.feed_machine();
            (pulse.observed, pulse.unobserved) = (Clock.stopwatch(), false);
        }
        let now = Clock.now();
        if self.machine.poll_timeout().is_some_and(|at| at <= now) {
            self.machine.handle_timeout(now);
        }
        self.carry_out_actions().await;
        self.give_stranded_back();
        self.start_measurements();
        if pulse.followed.elapsed_ms() >= FOLLOW_MS {
            pulse.followed = Clock.stopwatch();
            self.follow_journal().await;
            self.aim_sampler();
            self.journal_edges(now).await;
            self.keep_told(false).await;
            self.keep_estimate_fresh(now).await;
        }
        if pulse.kept.elapsed_ms() >= KEEP_MS || self.machine.urgent_samples() {
            pulse.kept = Clock.stopwatch();
            self.keep_samples().await;
        }
        pulse.unshown = true;
        if pulse.shown.elapsed_ms() >= pulse.pause_ms {
            pulse.shown = Clock.stopwatch();
            self.publish();
            (pulse.pause_ms, pulse.unshown) = (SNAPSHOT_PAUSE_MS.max(SNAPSHOT_SHARE * pulse.shown.elapsed_ms()), false);
        }
    }

    /// How long there is nothing to do by itself, ms.
    fn wake_after_ms(&self, pulse: &Pulse) -> u64 {
        let next = if pulse.unshown { pulse.pause_ms } else { SNAPSHOT_LONGEST_MS.max(pulse.pause_ms) };
        let snapshot = next.saturating_sub(pulse.shown.elapsed_ms());
        let observation =
            if pulse.unobserved { OBSERVE_MS.saturating_sub(pulse.observed.elapsed_ms()) } else { u64::MAX };
        let timer = self.machine.poll_timeout().map_or(u64::MAX, |at| at.since(Clock.now()));
        snapshot.min(observation).min(timer).max(1)
    }

    fn take_observation(&mut self, TimedObservation { at, what }: TimedObservation) {
        match what {
            Observation::Cluster(side, result) => {
                let result = result.map(|mut view| {
                    self.tools.names.rename_to_blue(&self.plan, side, &mut view);
                    self.keep_ends(side, &view, at.plus(view.took_ms));
                    view
                });
                present::take_look(&mut self.estate.clusters[side], result, at);
                super::blanks::drop_untellable(&mut self.estate, side);
            }
            Observation::Group(side, group, result) => {
                let result = result.map(|mut view| {
                    self.tools.names.rename_group_to_blue(side, &mut view);
                    view
                });
                let slot = self.estate.focus[side].entry(group).or_insert_with(Observed::not_yet);
                present::take_look(slot, result, at);
            }
            Observation::Switch(group, result) => {
                let slot = self.estate.switches.entry(group).or_insert_with(Observed::not_yet);
                present::take_look(slot, result, at);
            }
            Observation::Plane(side, result) => present::take_look(&mut self.estate.planes[side], result, at),
            Observation::Metric(group, side, metric, result) => {
                self.machine.handle_metric(&group, side, metric, at, result);
            }
            Observation::Past(group, side, metric, points) => {
                self.machine.handle_past(&group, side, metric, at, &points);
            }
            Observation::Flag(producer, result) => {
                let slot = self.estate.flags.entry(producer).or_insert_with(Observed::not_yet);
                present::take_look(slot, result, at);
            }
            what @ (Observation::Blank(..) | Observation::Holders(..)) => {
                behind::take_behind(&mut self.estate, what, at)
            }
            Observation::Eos(side, producer, result) => {
                let slot = self.estate.eos[side].entry(producer).or_insert_with(Observed::not_yet);
                // Two pollers look at what a run waits for, one of them more often.
                if !matches!(slot, Observed::Known { at: seen, .. } if *seen > at) {
                    present::take_look(slot, result.map(|look| *look), at);
                }
            }
        }
    }

    /// Gives the newest estate to the machine.
    fn feed_machine(&mut self) {
        let now = Clock.now();
        let focus = self.focus.borrow().clone();
        for side in Side::BOTH {
            // A look at what is no longer watched closely stands until a whole round is newer.
            let round = match self.estate.side(side) {
                Observed::Known { at, .. } => *at,
                Observed::Absent { .. } => At(i64::MIN),
            };
            let newer = |o: &Observed<_>| matches!(o, Observed::Known { at, .. } if *at > round);
            self.estate.focus[side].retain(|group, o| newer(o) || focus.contains(&(side, group.clone())));
        }
        let window = |w: &WindowPlan| WindowView {
            name: w.name.clone(),
            open_until: w.open_until(now),
            opens: w.opens_next(now),
        };
        self.estate.windows = self.plan.windows.iter().map(window).collect();
        present::infer_manual_flags(&self.plan, &self.machine, &mut self.estate, now);
        self.machine.handle_observation(self.estate.clone(), now);
    }

    async fn answer_ask(&mut self, ask: Ask) {
        let now = Clock.now();
        let reply = match ask {
            Ask::Prepare { id, command: Command::Provision } => {
                Reply::Prepared { id, result: self.prepare_provision(now).map(Box::new) }
            }
            Ask::Prepare { id, command } => {
                let room = self.check_room(&command).await;
                let result = room.and_then(|()| self.machine.prepare(&command, now)).map(Box::new);
                Reply::Prepared { id, result }
            }
            Ask::Execute { id, command, actor, typed, facts, asked } => {
                let late = refuse_if_late(&command, asked, now);
                let room = self.check_room(&command).await;
                let mut result =
                    late.and(room).and_then(|()| self.execute_command(&command, actor, &typed, facts.as_deref(), now));
                // The start of the run is durable, and in the picture, before anybody is told that it was taken.
                self.carry_out_actions().await;
                if let (Ok(_), Some(why)) = (&result, &self.unwritable) {
                    result = Err(Refusal::refused(why.what.clone(), why.advice.clone()));
                }
                self.publish();
                Reply::Executed { id, result }
            }
            Ask::Watch { group } => {
                self.watching = group.map(|group| WatchedDialog { group, choice: None });
                self.keep_estimate_fresh(now).await;
                return;
            }
            Ask::WatchChoice { group, to, chosen } => {
                self.watching = Some(WatchedDialog { group, choice: Some((to, chosen)) });
                self.keep_estimate_fresh(now).await;
                return;
            }
            Ask::Export { id, group, to, chosen } => {
                self.export_offsets(id, &group, to, chosen.as_ref());
                return;
            }
            Ask::Records { id, group, to, chosen, tp } => {
                self.look_at_cut(id, &group, to, chosen.as_ref(), &tp);
                return;
            }
            Ask::StartDiff { id, what, span, resume, actor } => {
                let result = self.start_diff(what, span, resume, actor);
                self.publish();
                Reply::Diff { id, result }
            }
            Ask::LookAtSetup => {
                self.look_at_setup();
                self.publish();
                return;
            }
            Ask::StopDiff { id } => Reply::Diff { id, result: self.stop_diff() },
        };
        if self.ends.replies.try_send(reply).is_err() {
            tracing::warn!("a reply was dropped: nobody reads them");
        }
    }

    fn execute_command(
        &mut self,
        command: &Command,
        actor: Person,
        typed: &str,
        facts: Option<&str>,
        now: At,
    ) -> Result<Option<u64>, Refusal> {
        if let (Arming::ReadOnly { why }, false) = (&self.arming, matches!(command, Command::Estimate { .. })) {
            return Err(Refusal::refused(
                format!("this session only looks: {why}"),
                "use the session that holds the journal",
            ));
        }
        if matches!(command, Command::Provision) {
            return self.start_provision(actor, typed, facts, now).map(|()| None);
        }
        self.machine.handle_command(command, &actor.into(), typed, facts, now)
    }

    fn note_progress(&mut self, murmur: EffectProgress) {
        self.progress.insert(murmur.key, murmur.words);
    }

    fn publish(&mut self) {
        self.seq += 1;
        let now = Clock.now();
        let scene = Scene {
            plan: &self.plan,
            options: &self.options,
            arming: &self.arming,
            machine: &self.machine,
            // What the machine has taken in, not what came since: links, lags and verdicts are of the same looks.
            estate: self.machine.estate(),
            progress: &self.progress,
            lines: &self.lines,
            notices: &self.notices,
            diff: self.diff_view(),
            parity: self.parity_view(),
            fidelity: self.fidelity_by_producer(),
            calendar: self.dates.at(&self.plan, now),
            unsound: self.unsound.as_ref(),
            seq: self.seq,
            now,
        };
        self.ends.snapshots.send_replace(Arc::new(present::build_snapshot(&scene)));
    }

    /// The orderly end: nothing new starts, what is under way is finished, its outcome and the end are journalled.
    async fn end(mut self, heard: &mut mpsc::Receiver<EffectProgress>) {
        self.stopping = true;
        self.measurements.abort_all();
        // It only reads: nothing of it is worth waiting for.
        self.setup.tasks.abort_all();
        self.provisioning.stop();
        if let Some(executor) = &self.executor {
            executor.wind_up();
        }
        let watch = Clock.stopwatch();
        let is_idle = |core: &Self| {
            core.effects.is_empty() && core.stranding.tried.is_empty() && core.provisioning.tasks.is_empty()
        };
        while !is_idle(&self) && watch.elapsed_ms() < LAST_EFFECT_MS {
            tokio::select! {
                Some(ended) = self.effects.join_next() => self.effect_ended(ended),
                Some(tried) = self.stranding.tried.join_next() => self.tell_stranded(tried),
                Some(lent) = self.provisioning.desk.recv() => self.write_lent(lent).await,
                Some(came) = self.provisioning.tasks.join_next() => self.take_provision(came),
                Some(murmur) = heard.recv() => self.note_progress(murmur),
                () = Clock.sleep(SNAPSHOT_LONGEST_MS) => {}
            }
            self.carry_out_actions().await;
            self.give_stranded_back();
            self.publish();
        }
        self.keep_samples().await;
        if !matches!(self.arming, Arming::ReadOnly { .. }) {
            let actor = self.options.actor.clone();
            self.write_entry(actor.clone(), Event::Closed { actor: actor.into() }).await;
        }
        self.publish();
        self.herald.end().await;
        self.keep_told(true).await;
        self.end_diff().await;
        if let Some(translator) = self.translator.take() {
            translator.close().await;
        }
        self.ledger.close().await;
    }
}

/// Who asked has given it up by then, and may have done something else since.
fn refuse_if_late(command: &Command, asked: At, now: At) -> Result<(), Refusal> {
    if now.since(asked) <= LATEST_MS || matches!(command, Command::Estimate { .. }) {
        return Ok(());
    }
    let why = format!("this was asked {} s ago: it comes too late", now.since(asked) / 1_000);
    Err(Refusal::unknown(why, "nothing was done; look again, and ask again"))
}
