//! How a controller begins: pollers look from the first moment on, the journal is opened meanwhile, and the loop's state is made
//! from what is in it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::behind::Behind;
use super::compare::CurrentDiff;
use super::fidelity::Fidelities;
use super::provision::Provisioning;
use super::setup::SetupLook;
use super::strand::StrandedRuns;
use super::{ControllerEnds, Core, EffectProgress};
use crate::controller::eos::look::WatchedProducer as EosWatched;
use crate::controller::eos::watch::EosFocus;
use crate::controller::meter::{self, Questions};
use crate::controller::notifier::Notifier;
use crate::controller::observe::{self, GroupFocus, TimedObservation};
use crate::controller::{executor, present};
use crate::estate::Estate;
use crate::jobs::compare::sample;
use crate::jobs::compare::sample::Sampled;
use crate::jobs::translate::{History, Translator};
use crate::migration::facts::command::Subject;
use crate::migration::tell::edges::Edges;
use crate::plan::Plan;
use crate::session::clock::Clock;
use crate::session::ledger::{Access, Ledger};
use crate::session::names::TopicNames;
use crate::session::options::{Options, Want};
use crate::session::tools::Tools;
use crate::snapshot::Severity;
use crate::snapshot::journal_text::JournalText;

/// Observations that may wait for the machine; pollers wait beyond it.
const SIGHTINGS: usize = 256;
/// Lines of progress that may wait; beyond it the newest are dropped, they are only words.
const MURMURS: usize = 64;

/// What comes in beside what is asked for: from pollers, from samples of both logs, from effects under way.
pub(super) struct Inflow {
    pub seen: mpsc::Receiver<TimedObservation>,
    pub sampled: mpsc::Receiver<Sampled>,
    pub heard: mpsc::Receiver<EffectProgress>,
    pub pollers: JoinSet<()>,
}

/// Where pollers are told what to look at.
struct PollerAims {
    focus: watch::Sender<GroupFocus>,
    eos_focus: watch::Sender<EosFocus>,
    behind: Behind,
    questions: watch::Sender<Questions>,
    fidelities: Fidelities,
}

/// Starts what looks, opens the journal, and makes the loop's state of what is in it.
pub(super) async fn open_core(plan: Arc<Plan>, mut options: Options, ends: ControllerEnds) -> (Core, Inflow) {
    let names = Arc::new(TopicNames::new(&plan));
    let history = Arc::new(Mutex::new(History::default()));
    let tools = Arc::new(Tools::new(&plan, Arc::clone(&names)));
    let (murmurs, heard) = mpsc::channel(MURMURS);
    let (aims, inflow) = start_pollers(&plan, &options, &tools, heard);
    let access = Ledger::open(&plan, &options, Clock.now()).await;
    let translator = Translator::new(Arc::clone(&plan), names, tools.clusters().clone(), Arc::clone(&history));
    let (translator, unreadable) = match translator {
        Ok(translator) => (Some(translator), None),
        Err(trouble) => (None, Some(trouble)),
    };
    let Access { ledger, entries, samples, told, arming, troubles, unsound } = access;
    tracing::info!(?arming, entries = entries.len(), samples = samples.len(), "controller");
    let said = std::mem::take(&mut options.said);
    let world = executor::World { plan: Arc::clone(&plan), tools: Arc::clone(&tools), history: Arc::clone(&history) };
    let executor = executor::build_executor(world, translator.clone(), ledger.lease(), &arming, murmurs);
    let mut core = Core {
        machine: present::build_machine(&plan, &arming),
        estate: Estate::default(),
        herald: Notifier::new(&plan, &arming, &told, entries.last().map_or(0, |e| e.seq)),
        ledger,
        arming,
        tools,
        history,
        translator,
        executor,
        effects: JoinSet::new(),
        to_measure: Vec::new(),
        measurements: JoinSet::new(),
        focus: aims.focus,
        eos_focus: aims.eos_focus,
        behind: aims.behind,
        questions: aims.questions,
        teller: JournalText::default(),
        lines: VecDeque::new(),
        dates: present::CalendarCache::default(),
        notices: VecDeque::new(),
        progress: BTreeMap::new(),
        watching: None,
        comparing: CurrentDiff::default(),
        setup: SetupLook::default(),
        provisioning: Provisioning::default(),
        fidelities: aims.fidelities,
        turns: Edges::default(),
        ends,
        stopping: false,
        unsound,
        unwritable: None,
        stranding: StrandedRuns::default(),
        seq: 0,
        plan,
        options,
    };
    for trouble in troubles.into_iter().chain(unreadable).chain(said) {
        core.add_notice(Severity::Warn, Subject::Migration, trouble);
    }
    core.replay_entries(&entries, samples);
    (core, inflow)
}

/// Starts everything that looks at clusters, settings and metrics.
fn start_pollers(
    plan: &Arc<Plan>,
    options: &Options,
    tools: &Arc<Tools>,
    heard: mpsc::Receiver<EffectProgress>,
) -> (PollerAims, Inflow) {
    let (sightings, seen) = mpsc::channel(SIGHTINGS);
    let (focus, focus_rx) = watch::channel(GroupFocus::new());
    let (eos_focus, eos_focus_rx) = watch::channel(EosFocus::new());
    let (questions, questions_rx) = watch::channel(Questions::new());
    let mut pollers = JoinSet::new();
    let (fidelities, targets) = Fidelities::new();
    let (looked, sampled) = mpsc::channel(SIGHTINGS);
    pollers.spawn(sample::sample_targets(Arc::clone(plan), Arc::clone(tools), targets, looked));
    let behind = Behind::start_pollers(&mut pollers, tools, options.poll_ms, &sightings);
    meter::ask_all(&mut pollers, plan, &questions_rx, &sightings);
    if options.want != Want::ReadOnly {
        observe::watch_planes(&mut pollers, plan, tools, options.poll_ms, &sightings);
    }
    let (pace, focuses) = ((options.poll_ms, options.focus_ms), (&focus_rx, &eos_focus_rx));
    observe::watch_all(&mut pollers, tools, EosWatched::all_of_settings(&plan.settings()), pace, focuses, sightings);
    let aims = PollerAims { focus, eos_focus, behind, questions, fidelities };
    (aims, Inflow { seen, sampled, heard, pollers })
}
