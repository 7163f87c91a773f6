//! Runs the machine over the pipeline's world as a controller would: journal first, then act; observe every second.

use std::collections::VecDeque;

use cutover::migration::command::{Command, Level, Refusal, Subject};
use cutover::migration::effect::{Answer, Outcome};
use cutover::migration::eos::GreenOnly;
use cutover::migration::estate::{Estate, Side};
use cutover::migration::event::{Entry, Event};
use cutover::migration::machine::{Action, Machine, Session};
use cutover::migration::overrides::Override;
use cutover::migration::settings::{GroupSettings, ProducerSettings, Settings};

use super::world::{COUPLED, INPUT, PRODUCER, READER, TOPIC, World, at, name};

pub fn settings() -> Settings {
    let mut settings = crate::driver::settings();
    let group = settings.groups.values().next().cloned().unwrap();
    let of = |name: &str, topic: &str, has_switch| GroupSettings {
        topics: vec![topic.into()],
        green_group: name.into(),
        has_switch,
        ..group.clone()
    };
    settings.groups =
        [(COUPLED.to_owned(), of(COUPLED, INPUT, false)), (READER.to_owned(), of(READER, TOPIC, true))].into();
    let producer = ProducerSettings {
        team: "ledger".into(),
        topics: vec![TOPIC.into()],
        has_flag: true,
        flag_words: "flags.json ledger-cluster".into(),
        transactional_blue: vec!["ledger-1".into(), "ledger-2".into()],
        transactional_green: vec!["psc-1".into(), "psc-2".into()],
        reads: Some(vec![COUPLED.into()]),
        principals: [Some("User:ledger".into()), Some("User:psc".into())],
        still_ms: 5000,
        drain_timeout_ms: 90_000,
        commit_timeout_ms: 60_000,
        keep_blue_ms: 259_200_000,
        ..ProducerSettings::default()
    };
    settings.producers = [(PRODUCER.to_owned(), producer)].into();
    settings
}

pub struct Driver {
    pub machine: Machine,
    pub world: World,
    pub journal: Vec<Entry>,
    pub estate: Estate,
    pub settings: Settings,
    pub session: Session,
    outcomes: VecDeque<(String, Outcome)>,
    /// The process dies once the journal has this many entries.
    pub die_at: Option<usize>,
    /// ... and if the last of them is an intent, its effect happens all the same (unheard).
    pub die_after_effect: bool,
    pub dead: bool,
    pub actor: String,
}

impl Driver {
    pub fn new(settings: Settings, session: Session) -> Self {
        Self {
            machine: Machine::new(settings.clone(), session.clone()),
            world: World::new(settings.producers[PRODUCER].clone()),
            journal: Vec::new(),
            estate: Estate::default(),
            settings,
            session,
            outcomes: VecDeque::new(),
            die_at: None,
            die_after_effect: false,
            dead: false,
            actor: "ann@bastion".into(),
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
                    let dry = self.session.dry_run && issued.effect.changes();
                    let outcome = match dry {
                        true => {
                            self.world.effects.push(format!("would {}", name(&issued.effect).0));
                            Some(Outcome::Done { result: Answer::Nothing })
                        }
                        false => self.world.execute(&issued),
                    };
                    if self.die_at.is_some_and(|n| self.journal.len() >= n) {
                        self.dead = true;
                    } else if let Some(outcome) = outcome {
                        self.outcomes.push_back((issued.key, outcome));
                    }
                }
                Action::Measure { .. } => {}
            }
        }
    }

    /// Seconds pass.
    pub fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.world.tick();
            while let Some((key, outcome)) = self.outcomes.pop_front().filter(|_| !self.dead) {
                self.machine.handle_outcome(&key, outcome, self.world.now);
                self.pump();
            }
            if self.dead {
                continue;
            }
            self.estate = self.world.estate(&self.estate);
            self.machine.handle_observation(self.estate.clone(), self.world.now);
            self.pump();
            if self.machine.poll_timeout().is_some_and(|t| t <= self.world.now) && !self.dead {
                self.machine.handle_timeout(self.world.now);
                self.pump();
            }
            self.sane();
        }
    }

    /// What holds at every moment.
    fn sane(&self) {
        if let Some(run) = self.machine.state().open_run(&Self::subject()).filter(|r| !r.dry_run) {
            let writes = self.world.main.map(|m| m.side);
            // Before its point of no silent return nothing of a run ever starts the other side.
            if run.kind.moves_hard() && !run.no_return {
                assert_ne!(writes, Some(run.to), "it writes on {} before the point of no silent return", run.to);
            }
            let seamed = run.seam.as_ref().filter(|_| run.no_return && run.kind.moves_hard());
            for seam in seamed.into_iter().flat_map(|(_, seams)| seams) {
                let quiet = self.world.restarted.is_none() && self.world.zombie.is_none();
                let end = self.world.end(run.to.other(), seam.tp.partition);
                let clean = quiet && !self.world.meddled && self.world.stranger == [false; 2];
                assert!(!clean || end == seam.source, "{} ends at {end} after its seam {}", seam.tp, seam.source);
            }
        }
    }

    pub fn subject() -> Subject {
        Subject::Producer(PRODUCER.into())
    }

    /// Asks as a person at the dialog does: reads it, types what it wants, gives its facts back.
    pub fn ask(&mut self, command: &Command) -> Result<Option<u64>, Refusal> {
        self.ask_typing(command, None)
    }

    pub fn ask_typing(&mut self, command: &Command, typed: Option<&str>) -> Result<Option<u64>, Refusal> {
        let prepared = self.machine.prepare(command, self.world.now)?;
        let phrase = match (&prepared.level, typed) {
            (_, Some(typed)) => typed.to_owned(),
            (Level::Typed(p), None) => p.clone(),
            _ => String::new(),
        };
        let actor = self.actor.clone();
        let result = self.machine.handle_command(command, &actor, &phrase, Some(&prepared.facts), self.world.now);
        self.pump();
        result
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
        self.machine.resumed(self.world.now);
        self.pump();
    }

    pub fn open(&self) -> bool {
        self.machine.state().open_run(&Self::subject()).is_some()
    }

    pub fn stage(&self) -> String {
        self.machine.producer_stage(PRODUCER).word().to_owned()
    }

    /// Whether every record stands where it should, each once and in order: on blue alone, or across the seam.
    pub fn exact(&self) -> Result<(), String> {
        let seams = &self.machine.state().seams;
        for p in 0..2_usize {
            let tp = cutover::migration::estate::TopicPartition::new(TOPIC, i32::try_from(p).unwrap());
            let all = usize::MAX;
            let found = match seams.to(Side::Green, &tp) {
                Some((_, seam)) => {
                    let (source, target) = (seam.source.try_into().unwrap(), seam.target.try_into().unwrap());
                    let mut found = self.world.records(Side::Blue, p, 0, source);
                    found.extend(self.world.records(Side::Green, p, target, all));
                    found
                }
                None => self.world.records(Side::Blue, p, 0, all),
            };
            let wanted: Vec<u64> = (0..found.len() as u64).collect();
            let written =
                self.world.logs.iter().map(|l| l[p].slots.iter().flatten().filter(|n| **n != u64::MAX).count()).max();
            if found != wanted || found.len() < written.unwrap_or(0) {
                let odd = found.iter().zip(&wanted).position(|(a, b)| a != b).unwrap_or(found.len().min(wanted.len()));
                let around = &found[odd.saturating_sub(3)..found.len().min(odd + 4)];
                let written = written.unwrap_or(0);
                return Err(format!("partition {p}, {} of {written}: at {odd} it reads .. {around:?} ..", found.len()));
            }
        }
        Ok(())
    }

    pub fn writes_on(&self) -> &'static str {
        match self.world.main {
            Some(main) => main.side.name(),
            None => "nowhere",
        }
    }

    pub fn committed(&self, side: Side) -> String {
        format!("{:?}", self.world.committed[at(side)].values().collect::<Vec<_>>())
    }
}

/// `cut over window: why`, `back carry`, `back lose`, `continue`, `complete`, `approve`.
pub fn command(words: &str) -> Command {
    let (words, reason) = words.split_once(':').map_or((words, ""), |(w, r)| (w.trim(), r.trim()));
    let (words, gates) = words.split_once(" over ").unwrap_or((words, ""));
    let gate = |g: &str| Override { gate: g.parse().unwrap_or_else(|_| panic!("no gate {g}")), reason: reason.into() };
    let gates: Vec<Override> = gates.split_whitespace().map(gate).collect();
    let producer = PRODUCER.to_owned();
    let group = READER.to_owned();
    let mut command = match words {
        "cut" => Command::hard_cut(producer),
        "back carry" => Command::hard_back(producer, GreenOnly::Carry),
        "back lose" => Command::hard_back(producer, GreenOnly::Lose),
        "continue" => Command::ContinueProducer { producer },
        "complete" => Command::CompleteProducer { producer },
        "approve" => Command::Approve { producer },
        "hold" => Command::Hold { subject: Driver::subject(), why: "lunch".into() },
        "resume" => Command::Resume { subject: Driver::subject() },
        "reader cut" => Command::cut_over(group),
        "reader back" => Command::roll_back(group),
        "coupled cut" => Command::cut_over(COUPLED),
        "route green" => Command::Route { producer, to: cutover::migration::estate::FlagState::Green },
        other => panic!("no command {other:?}"),
    };
    if let Command::HardCut { overrides, .. } | Command::HardBack { overrides, .. } = &mut command {
        *overrides = gates;
    }
    command
}
