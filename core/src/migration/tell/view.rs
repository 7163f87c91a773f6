//! What screens and reports are made from: where everything stands, in values and words.

use crate::base::{At, Observed, Side, Trouble};
use crate::estate::FlagState;
use crate::migration::facts::command::{Command, Offer, Refusal, Subject};
use crate::migration::facts::effect::{Effect, EffectResult, Outcome};
use crate::migration::facts::event::RunEnd;
use crate::migration::facts::settings::Settings;
use crate::migration::facts::stage::{NextStep, RunOffsets, RunView, SideState, Stage, StepState, WayBack};
use crate::migration::facts::state::{Run, State};
use crate::migration::rules::group;
use crate::migration::rules::lag::LagBook;
use crate::migration::rules::phase;
use crate::migration::rules::phase::{PhaseView, SetupSeen};
use crate::migration::rules::producer;
use crate::migration::rules::producer::ObservedWriting;
use crate::migration::rules::rollback;
use crate::migration::rules::route;
use crate::migration::run::machine::{Machine, SessionMode, StepWait};
use crate::migration::run::runbook;
use crate::migration::run::runbook::StepKind;
use crate::offsets::strategy::Chosen;
use crate::offsets::verdict::GroupTranslation;

impl Machine {
    /// The plan.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the session may do.
    #[must_use]
    pub fn session(&self) -> &SessionMode {
        &self.session
    }

    /// The journal, folded.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The newest observations.
    #[must_use]
    pub fn estate(&self) -> &crate::estate::Estate {
        &self.estate
    }

    /// The samples so far.
    #[must_use]
    pub fn lag(&self) -> &LagBook {
        &self.lag
    }

    /// Where a group stands.
    #[must_use]
    pub fn group_stage(&self, group: &str) -> Stage {
        match self.state.open_run(&Subject::Group(group.to_string())) {
            Some(run) => {
                let steps = self.steps_of(run);
                let step = steps.get(run.step).or(steps.last());
                let phase = step.map_or(crate::migration::facts::stage::MovePhase::Preflight, runbook::Step::phase);
                Stage::Moving { run: run.id, kind: run.kind, phase }
            }
            None => self.state.groups.get(group).map(|g| g.rest.clone()).unwrap_or_default(),
        }
    }

    /// What keeps a group or producer where it is. A person who is needed comes first.
    #[must_use]
    pub fn side_state(&self, subject: &Subject, now: At) -> Option<SideState> {
        let needs = self.state.open_run(subject).and_then(|r| r.needs.as_ref());
        if let Some((why, advice)) = needs.or_else(|| self.state.alarm_of(subject)).cloned() {
            return Some(SideState::NeedsOperator { why, advice });
        }
        if let Some((by, why)) = self.state.holder(subject).cloned() {
            return Some(SideState::Held { by, why });
        }
        let Subject::Group(g) = subject else { return None };
        if self.state.open_run(subject).is_some() || !self.settings.groups.contains_key(g) {
            return None;
        }
        match self.state.groups.get(g).map(|g| &g.rest) {
            Some(Stage::Soaking { .. } | Stage::Complete { .. }) => None,
            // That this session only looks keeps no group where it is.
            _ => self.prepare_for_anybody(&Command::cut_over(g), now).err().map(|r| SideState::Blocked {
                why: if r.advice.is_empty() { r.why } else { format!("{}; {}", r.why, r.advice) },
            }),
        }
    }

    fn refusal_of(&self, command: &Command, now: At) -> Option<Refusal> {
        self.prepare(command, now).err()
    }

    /// The run under way of a group or producer, or the last one.
    #[must_use]
    pub fn run_view(&self, subject: &Subject) -> Option<RunView> {
        let run = self.state.last_run_of(subject)?;
        let steps = self.steps_of(run);
        Some(RunView {
            run: run.id,
            kind: run.kind,
            to: run.to,
            actor: run.actor.to_string(),
            started: run.started,
            dry_run: run.dry_run,
            no_return_after: runbook::no_return_after(run.kind, &steps),
            steps: steps.iter().enumerate().map(|(i, s)| self.step_view(run, i, s)).collect(),
            predicted_re_read: run.predicted.as_ref().and_then(|p| p.totals.re_read),
            max_re_read: run.max_re_read,
            because: self.find_because(run),
            offsets: offsets_of(run),
            passed_over: run.passed_over.clone(),
            deadline: self.live.get(&run.id).filter(|l| !l.paused && run.is_open()).and_then(|l| l.until),
        })
    }

    /// A give-back is started together with the remark that says why.
    fn find_because(&self, run: &Run) -> Option<String> {
        if !run.kind.gives_back() {
            return None;
        }
        let said = self.state.remarks.iter().rev().find(|(at, about, _)| *at == run.started && *about == run.subject);
        said.map(|(_, _, what)| what.clone())
    }

    fn step_view(&self, run: &Run, i: usize, step: &runbook::Step) -> (String, StepState) {
        let mut what = step.what.clone();
        if let Some(at) = run.done.get(&i) {
            if run.dry_run && matches!(step.kind, StepKind::Drain { .. } | StepKind::Stable { .. }) {
                what = format!("would {what}");
            }
            return (what, StepState::Done { at: *at });
        }
        if run.step != i {
            return (what, StepState::Todo);
        }
        let state = match (&run.ended, &run.needs, run.begun) {
            (Some((RunEnd::Failed(why), _)), ..) => StepState::Stuck { why: why.clone() },
            (Some((RunEnd::ReplacedBy(by), _)), ..) => StepState::Stuck { why: format!("taken over by run {by}") },
            (None, Some((why, _)), _) => StepState::Stuck { why: why.clone() },
            (None, None, Some(since)) => {
                let waiting = self.live.get(&run.id).map(|l| l.waiting.as_str().to_owned()).unwrap_or_default();
                StepState::Doing { since, waiting }
            }
            _ => StepState::Todo,
        };
        (what, state)
    }

    /// The rollback verdict of a group.
    #[must_use]
    pub fn way_back(&self, group: &str, now: At) -> WayBack {
        rollback::way_back(&self.rule_context(now), group, self.measured_with_age(group, Side::Blue, None, now))
    }

    /// The newest translation of a group and where it goes: a measurement, or the prediction of its run.
    #[must_use]
    pub fn latest_estimate(&self, group: &str) -> Option<(Side, Observed<GroupTranslation>)> {
        let predicted = self.state.last_run_of(&Subject::Group(group.to_string())).and_then(|r| {
            let at = r.predicted.as_ref()?.partitions.iter().map(|p| p.at).max().unwrap_or(r.started);
            Some((r.to, Observed::seen_at(r.predicted.clone()?, at)))
        });
        let measured = self.measurements.find_newest(group).map(|(to, found)| (to, found.clone()));
        let at = |o: &Option<(Side, Observed<GroupTranslation>)>| match o {
            Some((_, Observed::Known { at, .. })) => Some(*at),
            _ => None,
        };
        if at(&predicted) > at(&measured) || measured.is_none() { predicted } else { measured }
    }

    /// The newest measurement of a group to a side, by the plan's own strategies or by a chosen one.
    #[must_use]
    pub fn latest_measurement(
        &self,
        group: &str,
        to: Side,
        chosen: Option<&Chosen>,
    ) -> Option<&Observed<GroupTranslation>> {
        self.measurements.find(group, to, chosen)
    }

    /// The choice that the newest measurement of a group is by; `None`: the plan's own strategies.
    #[must_use]
    pub fn estimate_chosen(&self, group: &str) -> Option<&Chosen> {
        self.measurements.newest_choice(group)
    }

    /// Whether a measurement of a group is under way.
    #[must_use]
    pub fn is_measuring(&self, group: &str) -> bool {
        self.measurements.is_under_way(group)
    }

    /// Whether a group is stuck on a side: where it should run, and nowhere else.
    #[must_use]
    pub fn is_stuck(&self, group: &str, side: Side, now: At) -> bool {
        let moving = self.state.open_run(&Subject::Group(group.to_string())).is_some();
        let here = group::rests_on(self.state.groups.get(group).map(|g| &g.rest)) == side;
        let sight = self.rule_context(now);
        let held = || sight.find_wait(group, side).is_some_and(|w| w.held.stands());
        !moving && here && (self.lag.is_stuck(side, sight.id_on(group, side)) || held())
    }

    /// The next step of a group in a few words.
    #[must_use]
    pub fn next_step(&self, group: &str, now: At) -> NextStep {
        let subject = Subject::Group(group.to_string());
        if !self.settings.groups.contains_key(group) {
            return "not in the plan".into();
        }
        match self.side_state(&subject, now) {
            Some(SideState::NeedsOperator { why, .. }) => return why.into(),
            Some(SideState::Held { why, .. }) => return format!("held: {why}").into(),
            _ => {}
        }
        if let Some(run) = self.state.open_run(&subject) {
            return self.describe_waiting(run).into();
        }
        let state = self.state.groups.get(group);
        let gave_back = state.and_then(|g| g.remark.as_ref()).map(|(_, what)| what.clone());
        match state.map(|g| g.rest.clone()).unwrap_or_default() {
            Stage::Complete { .. } => "done".into(),
            Stage::Soaking { .. } => self.describe_soak(group, now).into(),
            _ => match (gave_back, self.prepare_for_anybody(&Command::cut_over(group), now).err()) {
                (Some(words), _) => words.into(),
                (None, Some(refusal)) => refusal.why.into(),
                (None, None) => NextStep::ready("ready"),
            },
        }
    }

    fn describe_waiting(&self, run: &Run) -> String {
        match self.live.get(&run.id).map(|l| &l.waiting) {
            Some(StepWait::Told(words)) if !words.is_empty() => words.clone(),
            None | Some(_) => self.steps_of(run).get(run.step).map(|s| s.what.clone()).unwrap_or_default(),
        }
    }

    /// What can be asked of a group now, each with why not.
    #[must_use]
    pub fn offers(&self, group: &str, now: At) -> Vec<Offer> {
        let group = group.to_string();
        let subject = Subject::Group(group.clone());
        let to = group::rests_on(self.state.groups.get(&group).map(|g| &g.rest)).other();
        let held = self.state.holder(&subject).is_some();
        let hold = if held {
            Command::Resume { subject: subject.clone() }
        } else {
            // The reason is typed later; the offer only asks whether a hold is possible.
            Command::Hold { subject: subject.clone(), why: "offered".into() }
        };
        let commands = [
            Command::estimate(&group, to),
            Command::reset_offsets(&group, to),
            Command::cut_over(&group),
            Command::roll_back(&group),
            Command::Continue { subject: subject.clone() },
            Command::complete(subject),
            hold,
        ];
        commands.into_iter().map(|c| self.to_offer(c, now)).collect()
    }

    /// What can be asked of a producer now, each with why not.
    #[must_use]
    pub fn producer_offers(&self, name: &str, now: At) -> Vec<Offer> {
        let subject = Subject::Producer(name.to_string());
        let hold = match self.state.holder(&subject) {
            Some(_) => Command::Resume { subject },
            None => Command::Hold { subject, why: "offered".into() },
        };
        if self
            .settings
            .producers
            .get(name)
            .is_some_and(crate::migration::facts::settings::ProducerSettings::is_exactly_once)
        {
            return self.hard_commands(name).into_iter().chain([hold]).map(|c| self.to_offer(c, now)).collect();
        }
        let routes = [FlagState::Blue, FlagState::Dual, FlagState::Green];
        let routes = routes.map(|to| Command::route(name, to));
        routes.into_iter().chain([hold]).map(|c| self.to_offer(c, now)).collect()
    }

    fn to_offer(&self, command: Command, now: At) -> Offer {
        let refused = self.refusal_of(&command, now);
        Offer { command, refused }
    }

    /// The next step of a producer in a few words.
    #[must_use]
    pub fn producer_next_step(&self, name: &str, now: At) -> NextStep {
        let subject = Subject::Producer(name.to_string());
        match self.side_state(&subject, now) {
            Some(SideState::NeedsOperator { why, .. }) => return why.into(),
            Some(SideState::Held { why, .. }) => return format!("held: {why}").into(),
            _ => {}
        }
        if let Some(run) = self.state.open_run(&subject) {
            return self.describe_waiting(run).into();
        }
        let sight = self.rule_context(now);
        let Some(p) = self.settings.producers.get(name) else { return "not in the plan".into() };
        if p.is_exactly_once() {
            return self.hard_next_step(name, now);
        }
        if let Some(d) = producer::find_disagreement(&sight, name, p) {
            return d.into();
        }
        match producer::current_flag(&sight, name) {
            _ if !p.has_flag => "no flag in the plan".into(),
            None => "its flag is not known".into(),
            Some(FlagState::Blue) => NextStep::ready("ready for dual"),
            Some(FlagState::Dual) => match route::check_route(&sight, name, FlagState::Green, &[]) {
                Ok(_) => NextStep::ready("ready for green"),
                Err(r) => format!("dual; {}", r.why).into(),
            },
            Some(FlagState::Green) => "done".into(),
            Some(FlagState::Off) => "off".into(),
        }
    }

    /// What the ends of a producer's topics show.
    #[must_use]
    pub fn observed_writing(&self, name: &str, now: At) -> ObservedWriting {
        let p = self.settings.producers.get(name);
        p.map(|p| producer::observe_writing(&self.rule_context(now), name, p)).unwrap_or_default()
    }

    /// Flag and observation contradict each other, in words.
    #[must_use]
    pub fn find_disagreement(&self, name: &str, now: At) -> Option<String> {
        producer::find_disagreement(&self.rule_context(now), name, self.settings.producers.get(name)?)
    }

    /// The phase rail. `setup`: what the newest look at how green is set up came to.
    #[must_use]
    pub fn phases(&self, setup: &SetupSeen, now: At) -> Vec<PhaseView> {
        phase::list_phases(&self.rule_context(now), setup)
    }

    /// A side is not the cluster it should be.
    #[must_use]
    pub fn identity_trouble(&self, side: Side, now: At) -> Option<Trouble> {
        self.rule_context(now).identity_trouble(side)
    }
}

/// What a run does to offsets: its prediction, and of its last commit what stood before and what was read back.
fn offsets_of(run: &Run) -> Option<RunOffsets> {
    let plan = run.predicted.clone()?;
    let commit = run.effects.iter().rev().find_map(|e| match &e.issued.effect {
        Effect::CommitOffsets { before, .. } => Some((before.clone(), &e.outcome)),
        _ => None,
    });
    let (before, after) = match commit {
        Some((before, Some((Outcome::Done { result: EffectResult::Offsets { offsets } }, _)))) => {
            (before, offsets.clone())
        }
        Some((before, _)) => (before, Vec::new()),
        None => (Vec::new(), Vec::new()),
    };
    Some(RunOffsets { side: run.to, plan, before, after })
}
