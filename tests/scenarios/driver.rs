//! Runs the machine over the tiny world as a controller would: journal first, then act; observe every second.

use std::collections::{BTreeMap, VecDeque};

use cutover::migration::command::{Command, Level, Refusal, Subject};
use cutover::migration::effect::{Answer, Outcome};
use cutover::migration::estate::{At, Estate, Side};
use cutover::migration::event::{Entry, Event};
use cutover::migration::machine::{Action, Machine, Session};
use cutover::migration::overrides::Override;
use cutover::migration::samples::Stretch;
use cutover::migration::settings::{Criteria, GroupSettings, Mode, ProducerSettings, Settings};
use cutover::migration::stage::SideState;
use cutover::migration::watch::Kept;
use cutover::offsets::Chosen;

use crate::world::{GROUP, PRODUCER, TOPIC, World, name};

pub fn settings() -> Settings {
    let group = GroupSettings {
        team: "team".into(),
        topics: vec![TOPIC.into()],
        mode: Mode::Handover,
        has_switch: true,
        switch_words: "kubectl scale deploy/audit".into(),
        green_group: GROUP.into(),
        max_re_read: 50,
        drain_still_ms: 3000,
        drain_timeout_ms: 60_000,
        stable_timeout_ms: 30_000,
        settle_timeout_ms: 10_000,
        criteria: Criteria::lag(100, 20_000),
    };
    let producer = ProducerSettings {
        team: "team".into(),
        topics: vec![TOPIC.into()],
        critical: true,
        has_flag: true,
        flag_by_hand: false,
        flag_words: "flags.json shop-cluster".into(),
        ..ProducerSettings::default()
    };
    Settings {
        name: "test".into(),
        blue_cluster_id: None,
        green_cluster_id: None,
        stale_after_ms: 5000,
        zero_age_ms: 5000,
        sample_gap_ms: 2500,
        groups: [(GROUP.to_string(), group)].into(),
        producers: [(PRODUCER.to_string(), producer)].into(),
    }
}

pub struct Driver {
    pub machine: Machine,
    pub world: World,
    pub journal: Vec<Entry>,
    pub estate: Estate,
    pub settings: Settings,
    pub session: Session,
    /// What is kept of soaks, as the store would: by group, since when, series, and beginning of the stretch.
    pub kept: BTreeMap<(String, At, String), BTreeMap<At, Stretch>>,
    /// Outcomes are delivered a second later, like real ones.
    outcomes: VecDeque<(String, Outcome)>,
    /// The process dies once the journal has this many entries.
    pub die_at: Option<usize>,
    /// ... and if the last of them is an intent, its effect happens all the same (unheard).
    pub die_after_effect: bool,
    pub dead: bool,
}

impl Driver {
    pub fn new(settings: Settings, session: Session) -> Self {
        Self {
            machine: Machine::new(settings.clone(), session.clone()),
            world: World::new(),
            journal: Vec::new(),
            estate: Estate::default(),
            settings,
            session,
            kept: BTreeMap::new(),
            outcomes: VecDeque::new(),
            die_at: None,
            die_after_effect: false,
            dead: false,
        }
    }

    fn pump(&mut self) {
        while !self.dead {
            let Some(action) = self.machine.poll() else { return };
            match action {
                Action::Journal { actor, event } => {
                    let seq = self.journal.len() as u64 + 1;
                    let intent = matches!(event, Event::Intent { .. });
                    self.journal.push(Entry { seq, at: self.world.now, actor, event });
                    if self.die_at == Some(self.journal.len()) && !(intent && self.die_after_effect) {
                        self.dead = true;
                    }
                }
                Action::Do(issued) => {
                    let intent = self
                        .journal
                        .iter()
                        .any(|e| matches!(&e.event, Event::Intent { issued: i, .. } if *i == issued));
                    assert!(intent, "{} without its intent in the journal", issued.key);
                    let outcome =
                        if self.session.dry_run { Some(self.pretend(&issued)) } else { self.world.execute(&issued) };
                    if self.die_at.is_some_and(|n| self.journal.len() >= n) {
                        self.dead = true;
                    } else if let Some(outcome) = outcome {
                        self.outcomes.push_back((issued.key, outcome));
                    }
                }
                Action::Measure { group, to, chosen } => {
                    let plan = self.world.plan(to);
                    self.machine.handle_estimate(&group, to, chosen.as_ref(), Ok(plan), self.world.now);
                }
            }
        }
    }

    /// The dry executor: reads are real, changes are words.
    fn pretend(&mut self, issued: &cutover::migration::effect::Issued) -> Outcome {
        let word = name(&issued.effect).0;
        if issued.effect.changes() {
            self.world.effects.push(format!("would {word}"));
            return Outcome::Done { result: Answer::Nothing };
        }
        self.world.execute(issued).expect("a translation answers")
    }

    /// Seconds pass.
    pub fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.world.tick();
            if self.dead {
                continue;
            }
            while let Some((key, outcome)) = self.outcomes.pop_front() {
                self.machine.handle_outcome(&key, outcome, self.world.now);
                self.pump();
                if self.dead {
                    break;
                }
            }
            if self.dead {
                continue;
            }
            self.estate = self.world.estate(&self.estate);
            self.machine.handle_observation(self.estate.clone(), self.world.now);
            self.keep();
            self.pump();
            if self.machine.poll_timeout().is_some_and(|t| t <= self.world.now) && !self.dead {
                self.machine.handle_timeout(self.world.now);
                self.pump();
            }
        }
    }

    /// Asks as a person at the dialog does: reads it, types what it wants, gives its facts back.
    pub fn ask(&mut self, command: &Command, typed: Option<&str>) -> Result<Option<u64>, Refusal> {
        let prepared = self.machine.prepare(command, self.world.now)?;
        let phrase = match (&prepared.level, typed) {
            (_, Some(t)) => t.to_string(),
            (Level::Typed(p), None) => p.clone(),
            _ => String::new(),
        };
        let result =
            self.machine.handle_command(command, "ann@bastion", &phrase, Some(&prepared.facts), self.world.now);
        self.pump();
        result
    }

    fn keep(&mut self) {
        for unsaved in self.machine.unsaved_samples() {
            let series = self.kept.entry((unsaved.group, unsaved.since, unsaved.series)).or_default();
            series.retain(|first, _| *first >= unsaved.change.keep_from && *first < unsaved.change.replace_from);
            series.extend(unsaved.change.stretches.into_iter().map(|s| (s.first, s)));
        }
    }

    fn restore(&mut self) {
        let mut kept: BTreeMap<(String, At), Kept> = BTreeMap::new();
        for ((group, since, series), stretches) in &self.kept {
            let new = || Kept { group: group.clone(), since: *since, series: BTreeMap::new() };
            let of = kept.entry((group.clone(), *since)).or_insert_with(new);
            of.series.insert(series.clone(), stretches.values().copied().collect());
        }
        self.machine.restore_samples(kept.into_values().collect());
    }

    /// The process is gone; a new one reads the journal.
    pub fn restart(&mut self) {
        self.outcomes.clear();
        self.estate = Estate::default();
        self.machine = Machine::new(self.settings.clone(), self.session.clone());
        for entry in &self.journal {
            self.machine.replay(entry);
        }
        (self.dead, self.die_at) = (false, None);
        self.restore();
        self.machine.resumed(self.world.now);
        self.pump();
    }

    pub fn open(&self) -> bool {
        self.machine.state().open_run(&Subject::Group(GROUP.into())).is_some()
    }

    pub fn needs(&self, subject: &Subject) -> Option<(String, String)> {
        match self.machine.side_state(subject, self.world.now) {
            Some(SideState::NeedsOperator { why, advice }) => Some((why, advice)),
            _ => None,
        }
    }

    pub fn stage(&self) -> String {
        self.machine.stage(GROUP).word().to_string()
    }
}

/// `cutover`, `reset green by latest: why`, `cutover over missing guess: why`.
pub fn command(words: &str) -> Command {
    let (words, reason) = words.split_once(':').map_or((words, ""), |(w, r)| (w.trim(), r.trim()));
    let (words, gates) = words.split_once(" over ").unwrap_or((words, ""));
    let (words, by) = words.split_once(" by ").map_or((words, None), |(w, by)| (w, Some(by)));
    let gate = |g: &str| Override { gate: g.parse().unwrap_or_else(|_| panic!("no gate {g}")), reason: reason.into() };
    let gates: Vec<Override> = gates.split_whitespace().map(gate).collect();
    let by = by.map(|strategy| Chosen {
        strategy: strategy.parse().unwrap_or_else(|_| panic!("no strategy {strategy}")),
        at: None,
        reason: reason.into(),
    });
    let mut command = plain(words);
    match &mut command {
        Command::CutOver { overrides, .. } | Command::RollBack { overrides, .. } => *overrides = gates,
        Command::ResetOffsets { overrides, chosen, .. } => (*overrides, *chosen) = (gates, by),
        Command::Estimate { chosen, .. } => *chosen = by,
        _ => {}
    }
    command
}

fn plain(words: &str) -> Command {
    let group = || GROUP.to_string();
    let subject = Subject::Group(group());
    match words {
        "cutover" => Command::cut_over(group()),
        "rollback" => Command::roll_back(group()),
        "continue" => Command::Continue { group: group() },
        "complete" => Command::Complete { group: group() },
        "reset green" => Command::reset_offsets(group(), Side::Green),
        "estimate green" => Command::estimate(group(), Side::Green),
        "estimate blue" => Command::estimate(group(), Side::Blue),
        "hold" => Command::Hold { subject, why: "lunch".into() },
        "resume" => Command::Resume { subject },
        "hold migration" => Command::Hold { subject: Subject::Migration, why: "freeze".into() },
        "resume migration" => Command::Resume { subject: Subject::Migration },
        _ => match words.split_once(' ') {
            Some(("route", to)) => Command::Route {
                producer: PRODUCER.into(),
                to: to.parse().unwrap_or_else(|_| panic!("no flag state {to}")),
            },
            _ => panic!("no command {words:?}"),
        },
    }
}
