//! States in words, with the role each is shown in. One place, so that every region says the same thing.

use std::borrow::Cow;

use super::model::Tone;
use super::text;
use super::theme::{Glyph, Role};
use crate::base::sanitise::visible_name;
use crate::base::{At, Side};
use crate::estate::{FlagState, GroupKind, GroupState};
use crate::migration::eos::EosView;
use crate::migration::facts::event::RunKind;
use crate::migration::facts::stage::{MovePhase, SideState, Stage, WayBack};
use crate::migration::rules::rollback::ESTIMATE_AGE_MS;
use crate::offsets::verdict::{PartitionPlan, Verdict};
use crate::snapshot::{Fidelity, FidelityVerdict, GroupPlace, GroupRow, GroupSide, ProducerRow};

/// A state as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// In words.
    pub word: Cow<'static, str>,
    /// How it looks.
    pub role: Role,
    /// The mark before the row, if it deserves one.
    pub mark: Option<Glyph>,
}

impl Word {
    fn new(word: impl Into<Cow<'static, str>>, role: Role, mark: Option<Glyph>) -> Self {
        Self { word: word.into(), role, mark }
    }
}

/// Foreign names in one line, each made visible.
#[must_use]
pub(crate) fn join_names(names: &[String]) -> String {
    names.iter().map(|name| visible_name(name)).collect::<Vec<_>>().join(" ")
}

/// A state and why, with `between` where both are there. Where the reason begins with the state it is not said twice.
#[must_use]
pub(crate) fn join_why(state: &str, between: &str, why: &str) -> String {
    match (state, why) {
        (state, "") => state.to_owned(),
        (state, why) if why.starts_with(state) => why.to_owned(),
        (state, why) => format!("{state}{between}{why}"),
    }
}

/// A group's state.
#[must_use]
pub fn group_state(g: &GroupRow) -> Word {
    match &g.side_state {
        Some(SideState::NeedsOperator { .. }) => return Word::new("needs you", Role::Fail, Some(Glyph::Alert)),
        Some(SideState::Blocked { .. }) => return Word::new("blocked", Role::Hold, Some(Glyph::Blocked)),
        Some(SideState::Held { .. }) => return Word::new("held", Role::Hold, Some(Glyph::Held)),
        None => {}
    }
    if matches!(g.kind, GroupKind::Share | GroupKind::Streams | GroupKind::Other) {
        return Word::new(format!("{} group", g.kind), Role::Dim, None);
    }
    match &g.stage {
        Stage::OnBlue if !g.listed => Word::new("not in plan", Role::Dim, None),
        // Nobody has moved it: where it is found, as status and metrics have it.
        Stage::OnBlue => match g.found_on() {
            Some(GroupPlace::OnGreen) => Word::new("on green", Role::Text, None),
            Some(GroupPlace::OnBoth) => Word::new("on both", Role::Text, None),
            Some(GroupPlace::OnBlue) | None => Word::new("on blue", Role::Text, None),
        },
        Stage::Moving { kind, phase, .. } => Word::new(describe_move(*kind, *phase), Role::Strong, Some(Glyph::Moving)),
        Stage::Soaking { .. } => Word::new("soaking", Role::Text, Some(Glyph::Soaking)),
        Stage::Complete { .. } => Word::new("complete", Role::Ok, Some(Glyph::Check)),
        Stage::RolledBack { .. } => Word::new("rolled back", Role::Hold, None),
    }
}

/// What a run does now, in at most eleven cells: the way back says so.
fn describe_move(kind: RunKind, phase: MovePhase) -> &'static str {
    let back = kind == RunKind::RollBack || kind == RunKind::HardBack || kind.gives_back();
    match (kind, phase, back) {
        (RunKind::ResetOffsets, _, _) => "resetting",
        (RunKind::Route, _, _) => "routing",
        (_, MovePhase::Preflight, _) => "preflight",
        (_, MovePhase::Draining, false) => "draining",
        (_, MovePhase::Draining, true) => "back: drain",
        (_, MovePhase::Fenced, false) => "fenced",
        (_, MovePhase::Fenced, true) => "back: fence",
        (_, MovePhase::Seamed, false) => "seamed",
        (_, MovePhase::Seamed, true) => "back: seam",
        (_, MovePhase::Planned, false) => "planned",
        (_, MovePhase::Planned, true) => "back: plan",
        (_, MovePhase::Committed, false) => "committed",
        (_, MovePhase::Committed, true) => "back: set",
        (_, MovePhase::Switched, false) => "switched",
        (_, MovePhase::Switched, true) => "back: start",
    }
}

/// A producer's state: what its flag says, and what keeps it.
#[must_use]
pub(crate) fn producer_state(p: &ProducerRow) -> Word {
    match &p.side_state {
        Some(SideState::NeedsOperator { .. }) => Word::new("needs you", Role::Fail, Some(Glyph::Alert)),
        Some(SideState::Blocked { .. }) => Word::new("blocked", Role::Hold, Some(Glyph::Blocked)),
        Some(SideState::Held { .. }) => Word::new("held", Role::Hold, Some(Glyph::Held)),
        None if p.eos.is_some() => p.eos.as_deref().map(hard_state).unwrap_or_else(|| Word::new("", Role::Text, None)),
        None if p.disagreement.is_some() => Word::new("disagrees", Role::Hold, Some(Glyph::Alert)),
        None => Word::new("", Role::Text, None),
    }
}

/// Where an exactly-once producer stands.
fn hard_state(eos: &EosView) -> Word {
    match &eos.stage {
        Stage::OnBlue => Word::new("on blue", Role::Text, None),
        Stage::Moving { kind, phase, .. } => Word::new(describe_move(*kind, *phase), Role::Strong, Some(Glyph::Moving)),
        Stage::Soaking { .. } => Word::new("soaking", Role::Text, Some(Glyph::Soaking)),
        Stage::Complete { .. } => Word::new("complete", Role::Ok, Some(Glyph::Check)),
        Stage::RolledBack { .. } => Word::new("rolled back", Role::Hold, None),
    }
}

/// Why a row is where it is: the sentence under the table.
#[must_use]
pub(crate) fn describe_why(state: &Option<SideState>) -> Option<(Role, String)> {
    Some(match state.as_ref()? {
        SideState::Held { by, why } => (Role::Hold, format!("held by {}: {why}", visible_name(by))),
        SideState::Blocked { why } => (Role::Hold, format!("blocked: {why}")),
        SideState::NeedsOperator { why, advice } => (Role::Fail, to_sentence(why, advice)),
    })
}

/// What happened and what to do about it, in one line.
#[must_use]
pub(crate) fn to_sentence(what: &str, advice: &str) -> String {
    let what = what.trim_end_matches('.');
    if advice.is_empty() { format!("{what}.") } else { format!("{what}. {}", capitalise_advice(advice.trim())) }
}

/// With a capital letter, unless it begins with a name that has none (`ssl.ca.location`, `kafka-acls`, the key `b`).
fn capitalise_advice(advice: &str) -> String {
    let first = advice.split([' ', ',', ':']).next().unwrap_or_default();
    match advice.chars().next() {
        Some(c) if first.len() > 1 && first.chars().all(|c| c.is_ascii_alphabetic()) => {
            format!("{}{}", c.to_ascii_uppercase(), &advice[c.len_utf8()..])
        }
        _ => advice.to_owned(),
    }
}

/// The way back in a word, and how it looks.
#[must_use]
pub fn describe_way_back(w: &WayBack) -> (Role, String) {
    match w {
        WayBack::Exact => (Role::Ok, "EXACT".into()),
        WayBack::Bounded { re_read } => (Role::Ok, format!("BOUNDED {}", text::format_count(*re_read))),
        WayBack::Closed { .. } => (Role::Fail, "CLOSED".into()),
        WayBack::Unknown { .. } => (Role::Unknown, "UNKNOWN".into()),
    }
}

/// Where a group would go next: to the side on which it does not rest.
#[must_use]
pub(crate) fn next_side(g: &GroupRow) -> Side {
    match g.stage {
        Stage::Soaking { .. } | Stage::Complete { .. } => Side::Blue,
        // It was never moved, and rests on green all the same.
        Stage::OnBlue if g.found_on() == Some(GroupPlace::OnGreen) => Side::Blue,
        Stage::OnBlue | Stage::Moving { .. } | Stage::RolledBack { .. } => Side::Green,
    }
}

/// Whether what lies unread on a side says anything of the group's health: it runs there, or moves. Where it has left
/// nobody reads, and dual writing lets the distance grow.
#[must_use]
pub(crate) fn lag_counts(g: &GroupRow, side: Side) -> bool {
    matches!(g.stage, Stage::Moving { .. })
        || next_side(g) != side
        || g.found_on() == Some(GroupPlace::OnBoth)
        || !g.on_side(side).members.is_empty()
}

/// How many members a group has on a side, if somebody told that, and lately.
#[must_use]
pub(crate) fn members_now(v: &GroupSide, now: At, stale_after_ms: u64) -> Option<usize> {
    (v.members_known() && v.is_fresh(now, stale_after_ms)).then_some(v.members.len())
}

/// The way back of a group as its row shows it: after the end nobody misses it, and who is not in the plan has none.
#[must_use]
pub(crate) fn describe_way_back_of(g: &GroupRow) -> (Role, String) {
    match (&g.stage, g.listed) {
        (_, false) => (Role::Dim, String::new()),
        (Stage::Complete { .. }, _) => (Role::Dim, describe_way_back(&g.way_back).1),
        _ => describe_way_back(&g.way_back),
    }
}

/// Why the way back is closed or unknown.
#[must_use]
pub(crate) fn way_back_why(w: &WayBack) -> Option<&str> {
    match w {
        WayBack::Closed { why } | WayBack::Unknown { why } => Some(why),
        WayBack::Exact | WayBack::Bounded { .. } => None,
    }
}

/// A group's state on a side in Kafka's words.
#[must_use]
pub(crate) fn kafka_state(s: Option<GroupState>) -> (Role, String) {
    match s {
        None => (Role::Unknown, "unseen".into()),
        Some(GroupState::Stable) => (Role::Ok, "Stable".into()),
        Some(GroupState::Rebalancing) => (Role::Hold, "Rebalancing".into()),
        Some(GroupState::Empty) => (Role::Dim, "Empty".into()),
        Some(GroupState::Dead) => (Role::Dim, "no such group".into()),
        Some(GroupState::Unknown) => (Role::Unknown, "Unknown".into()),
    }
}

/// How a verdict looks.
#[must_use]
pub(crate) fn verdict_role(v: Verdict) -> Role {
    match v {
        Verdict::Proven => Role::Ok,
        Verdict::Bounded => Role::Text,
        Verdict::Guess => Role::Hold,
        Verdict::Unmappable => Role::Fail,
    }
}

/// Whether a partition would lose something: that takes the place of its verdict.
#[must_use]
pub fn loses(p: &PartitionPlan) -> bool {
    p.missing.is_some_and(|n| n > 0)
}

/// A partition's verdict as shown: a loss takes its place, and what was not measured has none.
#[must_use]
pub(crate) fn describe_verdict(plan: Option<&PartitionPlan>) -> (Role, String) {
    match plan {
        None => (Role::Dim, "not measured".into()),
        Some(PartitionPlan { missing: Some(n @ 1..), .. }) => {
            (Role::Fail, format!("MISSING {}", text::format_count(*n)))
        }
        Some(p) => (verdict_role(p.verdict), p.verdict.to_string()),
    }
}

/// How old a measurement is: amber and then STALE when no rule would believe it any more.
#[must_use]
pub(crate) fn describe_measured_age(now: At, at: At) -> (Role, String) {
    describe_age(now, at, ESTIMATE_AGE_MS)
}

/// How loud a message looks.
#[must_use]
pub(crate) fn tone_role(tone: Tone) -> Role {
    match tone {
        Tone::Plain => Role::Strong,
        Tone::Hold => Role::Hold,
        Tone::Fail => Role::Fail,
    }
}

/// A flag state in the identity of where it writes.
#[must_use]
pub(crate) fn flag_role(f: FlagState) -> Role {
    match f {
        FlagState::Blue => Role::Blue,
        FlagState::Green => Role::Green,
        FlagState::Dual => Role::Strong,
        FlagState::Off => Role::Hold,
    }
}

/// An age, and how it looks: plain, amber from half of what is stale, then `STALE`.
#[must_use]
pub(crate) fn describe_age(now: At, at: At, stale_after_ms: u64) -> (Role, String) {
    let ms = now.since(at);
    // A time so far ahead is another clock's: it says nothing of an age.
    if ms > stale_after_ms || at.since(now) > stale_after_ms {
        (Role::Fail, format!("STALE {}", text::format_age(ms)))
    } else if ms > stale_after_ms / 2 {
        (Role::Hold, text::format_age(ms))
    } else {
        (Role::Dim, text::format_age(ms))
    }
}

/// What samples say of a producer that writes to both clusters: `100 % 12s`, `3 missing 8s`, `stale 4m`.
#[must_use]
pub(crate) fn describe_fidelity(f: &Fidelity, now: At) -> (Role, String) {
    let role = match f.verdict(now) {
        FidelityVerdict::None | FidelityVerdict::Idle => Role::Dim,
        FidelityVerdict::Stale => Role::Hold,
        FidelityVerdict::Unknown => Role::Unknown,
        FidelityVerdict::Partial => Role::Unknown,
        FidelityVerdict::Verified => Role::Ok,
        FidelityVerdict::Differs => Role::Fail,
    };
    (role, f.describe_briefly(now, text::format_age))
}
