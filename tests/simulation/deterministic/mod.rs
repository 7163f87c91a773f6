//! The deterministic simulation: the pure machine and the real translation over two cluster states, on a clock of
//! its own. A seed decides interleavings, latencies, the consumer's pace, where the process dies and which outcomes
//! are never heard of. A seed that fails once fails always.

mod full_disk;
mod world;

use std::collections::VecDeque;

use cutover::base::{Side, Sides};
use cutover::migration::facts::command::{Command, Level, Subject};
use cutover::migration::facts::effect::Outcome;
use cutover::migration::facts::event::{Event, JournalEntry};
use cutover::migration::facts::settings::{Criteria, GroupSettings, Mode, ProducerSettings, Settings};
use cutover::migration::run::machine::{Action, Machine, SessionMode};
use world::{GROUP, PRODUCER, TOPIC, World};

const LIMIT: u64 = 500;

/// `CUTOVER_SEEDS=20 cargo test --test simulation deterministic` runs twenty times as many.
fn seeds(first: u64, count: u64) -> std::ops::Range<u64> {
    let times = std::env::var("CUTOVER_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1u64);
    first..first + count * times
}

fn settings() -> Settings {
    let group = GroupSettings {
        team: "team".into(),
        topics: vec![TOPIC.into()],
        mode: Mode::Handover,
        has_switch: true,
        switch_words: "flags.json".into(),
        green_group: GROUP.into(),
        max_re_read: LIMIT,
        drain_still_ms: 3000,
        drain_timeout_ms: 60_000,
        stable_timeout_ms: 30_000,
        settle_timeout_ms: 10_000,
        criteria: Criteria::lag_below(100, 20_000),
        ..GroupSettings::default()
    };
    let producer = ProducerSettings {
        team: "team".into(),
        topics: vec![TOPIC.into()],
        critical: true,
        has_flag: true,
        flag_by_hand: false,
        flag_words: "flags.json".into(),
        ..ProducerSettings::default()
    };
    Settings {
        name: "test".into(),
        cluster_ids: Sides::from_fn(|side| Some(format!("{side}-id"))),
        stale_after_ms: 5000,
        zero_age_ms: 5000,
        sample_gap_ms: 5000,
        groups: [(GROUP.to_owned(), group)].into(),
        producers: [(PRODUCER.to_owned(), producer)].into(),
    }
}

struct Run {
    world: World,
    machine: Machine,
    journal: Vec<JournalEntry>,
    outcomes: VecDeque<(String, Outcome)>,
    /// The process dies when its journal has this many entries.
    die_at: Option<usize>,
    dead: bool,
    /// The journal's disk is full once it has this many entries.
    full_at: Option<usize>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut run = Self {
            world: World::new(seed),
            machine: Machine::new(settings(), SessionMode::default()),
            journal: Vec::new(),
            outcomes: VecDeque::new(),
            die_at: None,
            dead: false,
            full_at: None,
        };
        run.seconds(10);
        run
    }

    fn pump(&mut self) {
        while !self.dead {
            let Some(action) = self.machine.poll() else { return };
            match action {
                Action::Journal { event, .. } if self.full_at.is_some_and(|n| self.journal.len() >= n) => {
                    self.machine.freeze("the journal can't be written: the disk is full", &event);
                }
                Action::Journal { actor, event, .. } => {
                    let seq = self.journal.len() as u64 + 1;
                    self.journal.push(JournalEntry { seq, at: self.world.now, actor, event });
                }
                Action::Do(issued) => {
                    let outcome = self.world.execute(&issued.effect);
                    self.outcomes.push_back((issued.key, outcome));
                }
                Action::Measure { group, to, chosen, .. } => {
                    let plan = self.world.translate(to, false);
                    self.machine.handle_estimate(&group, to, chosen.as_ref(), Ok(plan), self.world.now);
                }
            }
            self.dead = self.die_at.is_some_and(|n| self.journal.len() >= n);
        }
    }

    fn seconds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.world.run(1);
            if self.dead {
                continue;
            }
            if let Some((key, outcome)) = self.outcomes.pop_front() {
                self.machine.handle_outcome(&key, outcome, self.world.now);
                self.pump();
            }
            if !self.dead {
                self.machine.handle_observation(self.world.estate(), self.world.now);
                self.pump();
            }
            if !self.dead && self.machine.poll_timeout().is_some_and(|t| t <= self.world.now) {
                self.machine.handle_timeout(self.world.now);
                self.pump();
            }
        }
    }

    /// Asks as a person at the dialog does; whether it was taken.
    fn ask(&mut self, command: &Command) -> bool {
        let Ok(prepared) = self.machine.prepare(command, self.world.now) else { return false };
        let typed = if let Level::Typed(phrase) = &prepared.level { phrase.clone() } else { String::new() };
        let taken =
            self.machine.handle_command(command, &"ann@bastion".into(), &typed, Some(&prepared.facts), self.world.now);
        self.pump();
        taken.is_ok()
    }

    fn open(&self) -> bool {
        self.machine.state().open_run(&Subject::Group(GROUP.into())).is_some()
    }

    /// Lets a run end; whoever is asked answers.
    fn finish(&mut self, prefer: &Command) {
        for _ in 0..30 {
            self.seconds(10);
            if self.dead {
                self.restart();
            }
            if !self.open() {
                return;
            }
            let go_on = Command::Continue { subject: Subject::Group(GROUP.into()) };
            let back = Command::roll_back(GROUP);
            let asks_a_person = self.machine.side_state(&Subject::Group(GROUP.into()), self.world.now).is_some();
            if asks_a_person {
                let _ = self.ask(prefer) || self.ask(&go_on) || self.ask(&back);
            }
        }
        panic!("still open: {}", self.story());
    }

    /// A new process reads the journal, some seconds later.
    fn restart(&mut self) {
        self.outcomes.clear();
        self.machine = Machine::new(settings(), SessionMode::default());
        for entry in &self.journal {
            self.machine.fold_entry(entry);
        }
        (self.dead, self.die_at) = (false, None);
        self.machine.interrupt_open_runs(self.world.now);
        self.pump();
        self.seconds(3);
    }

    /// What the last run promised after its drain.
    fn promised(&self) -> Option<u64> {
        self.journal.iter().rev().find_map(|e| match &e.event {
            Event::Predicted { plan, .. } => plan.totals.re_read,
            _ => None,
        })
    }

    fn story(&self) -> String {
        let short = |e: &JournalEntry| format!("{:?}", e.event).chars().take(160).collect::<String>();
        let skip = self.journal.len().saturating_sub(25);
        let lines: Vec<String> = self.journal.iter().skip(skip).map(short).collect();
        lines.join("\n")
    }

    fn check(&mut self, seed: u64, on: &[Side]) {
        // a slow group needs its time to read on
        self.world.pace = 1000;
        self.seconds(20);
        let lost = self.world.lost(6000);
        let green = self.world.ids_on(Side::Green);
        let there = lost.iter().filter(|id| green.contains(id)).count();
        assert!(lost.is_empty(), "seed {seed}: {} lost, {there} of them on green\n{}", lost.len(), self.story());
        assert!(!self.world.both_ran, "seed {seed}: both sides ran\n{}", self.story());
        let runs = self.world.runs_on();
        assert!(runs.len() == 1 && on.contains(&runs[0]), "seed {seed}: runs on {runs:?}\n{}", self.story());
    }
}

fn cut_over() -> Command {
    Command::cut_over(GROUP)
}

fn roll_back() -> Command {
    Command::roll_back(GROUP)
}

#[test]
fn there_and_back_loses_nothing_and_re_reads_what_was_promised() {
    for seed in seeds(0, 10) {
        let mut run = Run::new(seed);
        for (command, side) in [(cut_over(), Side::Green), (roll_back(), Side::Blue)] {
            run.world.mark();
            assert!(run.ask(&command), "seed {seed}: {command:?} is refused\n{}", run.story());
            run.finish(&command);
            run.check(seed, &[side]);
            assert_eq!(Some(run.world.re_read), run.promised(), "seed {seed} to {side}\n{}", run.story());
        }
    }
}

#[test]
fn a_process_that_dies_anywhere_loses_nothing() {
    for seed in seeds(10_000, 16) {
        let mut run = Run::new(seed);
        let at_all = run.journal.len() + 1 + run.world.rng.usize(0..22);
        run.die_at = Some(at_all);
        run.world.mark();
        run.ask(&cut_over());
        let prefer =
            if seed % 2 == 0 { Command::Continue { subject: Subject::Group(GROUP.into()) } } else { roll_back() };
        run.finish(&prefer);
        run.check(seed, &Side::BOTH);
        assert!(run.world.re_read <= LIMIT, "seed {seed}: {} re-read\n{}", run.world.re_read, run.story());
    }
}

#[test]
fn effects_that_are_never_heard_of_lose_nothing() {
    for seed in seeds(20_000, 12) {
        let mut run = Run::new(seed);
        run.world.mark();
        assert!(run.ask(&cut_over()), "seed {seed}");
        // at some moment of the run
        let after = run.world.rng.u64(0..20);
        run.seconds(after);
        run.world.unheard = Some(run.world.rng.bool());
        run.finish(&Command::Continue { subject: Subject::Group(GROUP.into()) });
        run.check(seed, &Side::BOTH);
        assert!(run.world.re_read <= LIMIT, "seed {seed}: {} re-read\n{}", run.world.re_read, run.story());
    }
}
