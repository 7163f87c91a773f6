//! The migration calendar as a screen reads it: each move of the plan with when it is due and where it stands now. Plain
//! values; the moves themselves are those of `cutover calendar`.

use super::model::{Focus, Model, Screen};
use super::theme::Role;
use super::words;
use crate::base::At;
use crate::estate::FlagState;
use crate::migration::facts::command::Subject;
use crate::migration::facts::stage::Stage;
use crate::snapshot::calendar::{Calendar, Conflict, Due, Kind, Move};
use crate::snapshot::{ProducerRow, Snapshot};

/// A move as it is shown.
#[derive(Debug)]
pub struct Line<'a> {
    /// What the plan says.
    pub planned: &'a Move,
    /// When it is due; of no interest once it has moved.
    pub due: Due,
    /// Where it stands.
    pub standing: Standing,
    /// The state in words, as its own table has it.
    pub state: (Role, String),
    /// It moves, or has moved, while its window was closed.
    pub outside: bool,
    /// What in the plan contradicts it.
    pub conflicts: Vec<&'a Conflict>,
}

/// How far a move is, as far as the calendar cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Its run is under way.
    Moving,
    /// Not moved, or moved back.
    NotYet,
    /// On green.
    Moved,
}

/// What is to be read first: what moves, what may move now, what was missed, what comes; then what has no day, and what is
/// done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Moving,
    Now,
    Missed,
    Next,
    NoDay,
    Done,
}

impl Line<'_> {
    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        subject(self.planned)
    }

    fn rank(&self) -> Rank {
        match (self.standing, self.due) {
            (Standing::Moved, _) => Rank::Done,
            (Standing::Moving, _) => Rank::Moving,
            (Standing::NotYet, Due::Now { .. }) => Rank::Now,
            (Standing::NotYet, Due::Missed { .. }) => Rank::Missed,
            (Standing::NotYet, Due::In { .. }) => Rank::Next,
            (Standing::NotYet, Due::NoDay { .. }) => Rank::NoDay,
        }
    }
}

/// How many moves are how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// May move now, or move.
    pub now: usize,
    /// Their time is over, and they have not moved.
    pub missed: usize,
    /// Still to come.
    pub next: usize,
    /// Without a day.
    pub undated: usize,
    /// Moved.
    pub moved: usize,
}

/// What a move of the plan is about.
#[must_use]
pub fn subject(planned: &Move) -> Subject {
    match planned.kind {
        Kind::Group => Subject::Group(planned.name.clone()),
        Kind::Producer => Subject::Producer(planned.name.clone()),
    }
}

/// The moves, in the order in which they are read.
#[must_use]
pub fn lines(m: &Model) -> Vec<Line<'_>> {
    let Some(s) = m.snapshot.as_deref() else { return Vec::new() };
    let now = m.clock();
    let mut lines: Vec<Line<'_>> = s.calendar.moves.iter().map(|planned| line(s, planned, now)).collect();
    // Where the plan has one order within a rank, it stays.
    lines.sort_by_key(Line::rank);
    lines
}

/// How many of them are how far.
#[must_use]
pub fn counts(lines: &[Line<'_>]) -> Counts {
    let count = |rank: &[Rank]| lines.iter().filter(|l| rank.contains(&l.rank())).count();
    Counts {
        now: count(&[Rank::Moving, Rank::Now]),
        missed: count(&[Rank::Missed]),
        next: count(&[Rank::Next]),
        undated: count(&[Rank::NoDay]),
        moved: count(&[Rank::Done]),
    }
}

/// Index of the cursor; the first line when the chosen one is gone.
#[must_use]
pub fn index(m: &Model, lines: &[Line<'_>]) -> usize {
    m.planned.as_ref().and_then(|s| lines.iter().position(|l| l.subject() == *s)).unwrap_or(0)
}

/// What the cursor stands on, if its screen can be opened.
#[must_use]
pub fn opens(m: &Model) -> Option<Subject> {
    let lines = lines(m);
    let subject = lines.get(index(m, &lines))?.subject();
    let known = match &subject {
        Subject::Group(g) => m.group_row(g).is_some(),
        Subject::Producer(p) => m.producer_row(p).is_some(),
        Subject::Migration | Subject::Cluster(_) => false,
    };
    known.then_some(subject)
}

/// Goes to the calendar.
pub fn show(m: &mut Model) {
    m.focus = Focus::Partitions;
    if m.screen != Screen::Calendar {
        m.came_from = Some(std::mem::replace(&mut m.screen, Screen::Calendar));
    }
}

fn line<'a>(s: &'a Snapshot, planned: &'a Move, now: At) -> Line<'a> {
    let calendar: &Calendar = &s.calendar;
    let due = calendar.due(planned, now);
    let unseen = || (Standing::NotYet, (Role::Unknown, "not seen".to_owned()), None);
    let (standing, state, since) = match planned.kind {
        Kind::Group => s.groups.iter().find(|g| g.group == planned.name).map(|g| {
            let word = words::group_state(g);
            let (standing, since) = of_stage(&g.stage);
            (standing, (word.role, word.word), since)
        }),
        Kind::Producer => s.producers.iter().find(|p| p.name == planned.name).map(of_producer),
    }
    .unwrap_or_else(unseen);
    let outside = match (standing, planned.opening) {
        (Standing::Moving, Some(_)) => !matches!(due, Due::Now { .. }),
        (Standing::Moved, Some(o)) => since.is_some_and(|at| at < o.from || at >= o.to),
        _ => false,
    };
    let conflicts = calendar.conflicts.iter().filter(|c| c.concerns(planned)).collect();
    Line { planned, due, standing, state, outside, conflicts }
}

/// How far a stage is, and since when it is on green.
fn of_stage(stage: &Stage) -> (Standing, Option<At>) {
    match stage {
        Stage::OnBlue | Stage::RolledBack { .. } => (Standing::NotYet, None),
        Stage::Moving { .. } => (Standing::Moving, None),
        Stage::Soaking { since } => (Standing::Moved, Some(*since)),
        Stage::Complete { .. } => (Standing::Moved, None),
    }
}

/// A producer that is not exactly-once has moved once its flag says green.
fn of_producer(p: &ProducerRow) -> (Standing, (Role, String), Option<At>) {
    if let Some(eos) = p.eos.as_deref() {
        let word = words::producer_state(p);
        let (standing, since) = of_stage(&eos.stage);
        return (standing, (word.role, word.word), since);
    }
    match p.flag.as_ref().and_then(|f| f.value()) {
        Some(flag @ FlagState::Green) => (Standing::Moved, (words::flag_role(*flag), flag.to_string()), None),
        Some(flag) => (Standing::NotYet, (words::flag_role(*flag), format!("flag {flag}")), None),
        None => (Standing::NotYet, (Role::Unknown, "flag unknown".to_owned()), None),
    }
}
