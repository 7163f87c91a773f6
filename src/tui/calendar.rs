//! The migration calendar as a screen reads it: each move of the plan with when it is due and where it stands now. Plain
//! values; the moves themselves are those of `cutover calendar`.

use super::model::{Model, Screen, ScreenFocus};
use super::theme::Role;
use super::words;
use crate::base::At;
use crate::estate::FlagState;
use crate::migration::facts::command::Subject;
use crate::migration::facts::stage::Stage;
use crate::snapshot::calendar::{Calendar, Conflict, Move, MoveKind, MoveTiming};
use crate::snapshot::{ProducerRow, Snapshot};

/// A move as it is shown.
#[derive(Debug)]
pub struct CalendarLine<'a> {
    /// What the plan says.
    pub planned: &'a Move,
    /// When it is due; of no interest once it has moved.
    pub due: MoveTiming,
    /// Where it stands.
    pub standing: MoveStanding,
    /// The state in words, as its own table has it.
    pub state: (Role, String),
    /// It moves, or has moved, while its window was closed.
    pub outside: bool,
    /// What in the plan contradicts it.
    pub conflicts: Vec<&'a Conflict>,
}

/// How far a move is, as far as the calendar cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MoveStanding {
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

impl CalendarLine<'_> {
    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        subject_of(self.planned)
    }

    fn rank(&self) -> Rank {
        match (self.standing, self.due) {
            (MoveStanding::Moved, _) => Rank::Done,
            (MoveStanding::Moving, _) => Rank::Moving,
            (MoveStanding::NotYet, MoveTiming::Now { .. }) => Rank::Now,
            (MoveStanding::NotYet, MoveTiming::Missed { .. }) => Rank::Missed,
            (MoveStanding::NotYet, MoveTiming::In { .. }) => Rank::Next,
            (MoveStanding::NotYet, MoveTiming::NoDay { .. }) => Rank::NoDay,
        }
    }
}

/// How many moves are how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MoveCounts {
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
pub(crate) fn subject_of(planned: &Move) -> Subject {
    match planned.kind {
        MoveKind::Group => Subject::Group(planned.name.clone()),
        MoveKind::Producer => Subject::Producer(planned.name.clone()),
    }
}

/// The moves, in the order in which they are read.
#[must_use]
pub fn list_lines(m: &Model) -> Vec<CalendarLine<'_>> {
    let Some(s) = m.snapshot.as_deref() else { return Vec::new() };
    let now = m.clock();
    let mut lines: Vec<CalendarLine<'_>> = s.calendar.moves.iter().map(|planned| line_of(s, planned, now)).collect();
    // Where the plan has one order within a rank, it stays.
    lines.sort_by_key(CalendarLine::rank);
    lines
}

/// How many of them are how far.
#[must_use]
pub fn count_moves(lines: &[CalendarLine<'_>]) -> MoveCounts {
    let count = |rank: &[Rank]| lines.iter().filter(|l| rank.contains(&l.rank())).count();
    MoveCounts {
        now: count(&[Rank::Moving, Rank::Now]),
        missed: count(&[Rank::Missed]),
        next: count(&[Rank::Next]),
        undated: count(&[Rank::NoDay]),
        moved: count(&[Rank::Done]),
    }
}

/// Index of the cursor; the first line when the chosen one is gone.
#[must_use]
pub(crate) fn cursor_index(m: &Model, lines: &[CalendarLine<'_>]) -> usize {
    m.planned.as_ref().and_then(|s| lines.iter().position(|l| l.subject() == *s)).unwrap_or(0)
}

/// What the cursor stands on, if its screen can be opened.
#[must_use]
pub(crate) fn subject_to_open(m: &Model) -> Option<Subject> {
    let lines = list_lines(m);
    let subject = lines.get(cursor_index(m, &lines))?.subject();
    let known = match &subject {
        Subject::Group(g) => m.group_row(g).is_some(),
        Subject::Producer(p) => m.producer_row(p).is_some(),
        Subject::Migration | Subject::Cluster(_) => false,
    };
    known.then_some(subject)
}

/// Goes to the calendar.
pub(crate) fn go_to_calendar(m: &mut Model) {
    m.focus = ScreenFocus::Partitions;
    // Asked for while it is open, it must not lead back to itself.
    if m.screen != Screen::Calendar {
        m.came_from = Some(std::mem::replace(&mut m.screen, Screen::Calendar));
    }
}

fn line_of<'a>(s: &'a Snapshot, planned: &'a Move, now: At) -> CalendarLine<'a> {
    let calendar: &Calendar = &s.calendar;
    let due = calendar.timing_of(planned, now);
    let unseen = || (MoveStanding::NotYet, (Role::Unknown, "not seen".to_owned()), None);
    let (standing, state, since) = match planned.kind {
        MoveKind::Group => s.groups.iter().find(|g| g.group == planned.name).map(|g| {
            let word = words::group_state(g);
            let (standing, since) = standing_of_stage(&g.stage);
            (standing, (word.role, word.word.into_owned()), since)
        }),
        MoveKind::Producer => s.producers.iter().find(|p| p.name == planned.name).map(standing_of_producer),
    }
    .unwrap_or_else(unseen);
    let outside = match (standing, planned.opening) {
        (MoveStanding::Moving, Some(_)) => !matches!(due, MoveTiming::Now { .. }),
        (MoveStanding::Moved, Some(o)) => since.is_some_and(|at| at < o.from || at >= o.to),
        _ => false,
    };
    let conflicts = calendar.conflicts.iter().filter(|c| c.concerns(planned)).collect();
    CalendarLine { planned, due, standing, state, outside, conflicts }
}

/// How far a stage is, and since when it is on green.
fn standing_of_stage(stage: &Stage) -> (MoveStanding, Option<At>) {
    match stage {
        Stage::OnBlue | Stage::RolledBack { .. } => (MoveStanding::NotYet, None),
        Stage::Moving { .. } => (MoveStanding::Moving, None),
        Stage::Soaking { since } => (MoveStanding::Moved, Some(*since)),
        // When it moved is not told any more once its soak is over: nothing is said of its window.
        Stage::Complete { .. } => (MoveStanding::Moved, None),
    }
}

/// A producer that is not exactly-once has moved once its flag says green.
fn standing_of_producer(p: &ProducerRow) -> (MoveStanding, (Role, String), Option<At>) {
    if let Some(eos) = p.eos.as_deref() {
        let word = words::producer_state(p);
        let (standing, since) = standing_of_stage(&eos.stage);
        return (standing, (word.role, word.word.into_owned()), since);
    }
    match p.flag.as_ref().and_then(|f| f.value()) {
        Some(flag @ FlagState::Green) => (MoveStanding::Moved, (words::flag_role(*flag), flag.to_string()), None),
        Some(flag) => (MoveStanding::NotYet, (words::flag_role(*flag), format!("flag {flag}")), None),
        None => (MoveStanding::NotYet, (Role::Unknown, "flag unknown".to_owned()), None),
    }
}
