//! The groups of the plan: where each stands, on both sides.

use super::families as f;
use super::{HINDRANCES, Page, count, hindrance_word, number, one_if, seconds, stage_word};
use crate::base::{Observed, Side};
use crate::estate::SwitchState;
use crate::migration::facts::stage::{Stage, WayBack};
use crate::offsets::verdict::{GroupTranslation, Verdict};
use crate::snapshot::{GroupPlace, GroupRow, GroupSide, Snapshot};

/// Where a group of the plan can stand: as its stages, and found on green without having been moved.
const GROUP_STAGES: &[&str] = &["on_blue", "on_green", "moving", "soaking", "complete", "rolled_back"];

pub(super) fn write(page: &mut Page, s: &Snapshot) {
    let listed = || s.groups.iter().filter(|g| g.listed);
    let one = |g: &'_ GroupRow| -> [String; 1] { [g.group.clone()] };
    page.add_states(&f::GROUP_STAGE, GROUP_STAGES, listed().map(|g| ([g.group.as_str()], Some(group_stage(g)))));
    let sides = &["blue", "green"];
    page.add_states(&f::GROUP_HOME, sides, listed().map(|g| ([g.group.as_str()], Some(home_side(g)))));
    let held = listed().map(|g| ([g.group.as_str()], Some(hindrance_word(g.side_state.as_ref()))));
    page.add_states(&f::GROUP_HINDRANCE, HINDRANCES, held);
    let (now, stale_ms) = (page.now, page.stale_ms);
    let switch = listed().map(|g| {
        let known = g.switch.as_ref().and_then(|o| o.fresh_value(now, stale_ms));
        ([g.group.as_str()], known.map(switch_word))
    });
    page.add_states(&f::GROUP_SWITCH, &["blue", "green", "both", "off"], switch);
    write_both_sides(page, s);
    let way_back = |g: &GroupRow| match *s.way_back_of(g) {
        WayBack::Exact => "exact",
        WayBack::Bounded { .. } => "bounded",
        WayBack::Closed { .. } => "closed",
        WayBack::Unknown { .. } => "unknown",
    };
    let verdicts = &["exact", "bounded", "closed", "unknown"];
    page.add_states(&f::GROUP_WAY_BACK, verdicts, listed().map(|g| ([g.group.as_str()], Some(way_back(g)))));
    let re_read = |g: &GroupRow| match *s.way_back_of(g) {
        WayBack::Bounded { re_read } => Some(number(re_read)),
        _ => None,
    };
    page.add(&f::GROUP_WAY_BACK_RE_READ, listed().map(|g| (one(g), re_read(g))));
    write_offsets(page, s);
}

/// Where it stands; one that was never moved and is found on green only is not on blue.
fn group_stage(row: &GroupRow) -> &'static str {
    if row.found_on() == Some(GroupPlace::OnGreen) { "on_green" } else { stage_word(&row.stage) }
}

fn home_side(row: &GroupRow) -> &'static str {
    match &row.stage {
        Stage::OnBlue if row.found_on() == Some(GroupPlace::OnGreen) => "green",
        Stage::OnBlue | Stage::RolledBack { .. } => "blue",
        Stage::Soaking { .. } | Stage::Complete { .. } => "green",
        Stage::Moving { .. } => "",
    }
}

fn switch_word(state: &SwitchState) -> &'static str {
    match state {
        SwitchState::Blue => "blue",
        SwitchState::Green => "green",
        SwitchState::Both => "both",
        SwitchState::Off => "off",
    }
}

fn write_both_sides(page: &mut Page, s: &Snapshot) {
    let sides: Vec<([&str; 2], &GroupSide)> = s
        .groups
        .iter()
        .filter(|g| g.listed)
        .flat_map(|g| Side::BOTH.map(|of| ([g.group.as_str(), of.name()], g.on_side(of))))
        .collect();
    let ages: Vec<_> = sides.iter().map(|(l, v)| (*l, v.at.map(|at| page.age(at)))).collect();
    page.add(&f::GROUP_AGE, ages);
    let fresh: Vec<_> = sides.into_iter().filter(|(_, v)| v.at.is_some_and(|at| page.is_fresh(at))).collect();
    let mut add = |family, of: fn(&GroupSide) -> Option<f64>| {
        page.add(family, fresh.iter().map(|(l, v)| (*l, of(v))));
    };
    add(&f::GROUP_TROUBLE, |v| Some(one_if(v.trouble.is_some())));
    // Of a group that is known not to be there it is 0, and no unknown.
    add(&f::GROUP_MEMBERS, |v| (v.members_known() || v.is_absent()).then(|| count(v.members.len())));
    add(&f::GROUP_LAG, |v| v.lag.map(number));
    add(&f::GROUP_LAG_STABLE, |v| v.lag_stable.map(number));
    add(&f::GROUP_WAITS, |v| v.lag.is_some().then(|| one_if(v.waits.is_some())));
    add(&f::GROUP_TIME_LAG, |v| v.time_lag_ms.map(seconds));
    add(&f::GROUP_CONSUMED, |v| v.rate);
    // whether commits move is known of what has a lag; that it is stuck is also said of a group that is gone
    add(&f::GROUP_STUCK, |v| (v.stuck || v.lag.is_some()).then(|| one_if(v.stuck)));
}

/// The newest translation of each group, and where to.
fn write_offsets(page: &mut Page, s: &Snapshot) {
    let measured: Vec<([&str; 2], &GroupTranslation, f64)> = s
        .groups
        .iter()
        .filter(|g| g.listed)
        .filter_map(|g| {
            let Some(Observed::Known { value, at, .. }) = &g.estimate else { return None };
            Some(([g.group.as_str(), g.estimate_to?.name()], value, page.age(*at)))
        })
        .collect();
    let verdict = |p: &GroupTranslation| {
        p.worst_verdict().map(|v| match v {
            Verdict::Proven => "proven",
            Verdict::Bounded => "bounded",
            Verdict::Guess => "guess",
            Verdict::Unmappable => "unmappable",
        })
    };
    let verdicts = &["proven", "bounded", "guess", "unmappable"];
    page.add_states(&f::GROUP_VERDICT, verdicts, measured.iter().map(|(l, p, _)| (*l, verdict(p))));
    page.add(&f::GROUP_OFFSETS_AGE, measured.iter().map(|(l, _, age)| (*l, Some(*age))));
    page.add(&f::GROUP_RE_READ, measured.iter().map(|(l, p, _)| (*l, p.totals.re_read.map(number))));
    page.add(&f::GROUP_MISSING, measured.iter().map(|(l, p, _)| (*l, p.totals.missing.map(number))));
}
