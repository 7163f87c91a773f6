//! The producers of the plan.

use std::collections::BTreeMap;

use super::families as f;
use super::{Family, HINDRANCES, Page, STAGES, epoch_seconds, hindrance_word, number, stage_word};
use crate::estate::FlagState;
use crate::migration::eos::EosView;
use crate::migration::rules::gate::Gate;
use crate::report::words::{GATES, gate_word};
use crate::snapshot::{Fidelity, FidelityFigure, FidelityVerdict, ProducerRow, Snapshot};

pub(super) fn write(page: &mut Page, s: &Snapshot) {
    let (now, stale_ms) = (page.now, page.stale_ms);
    let flag = |p: &ProducerRow| p.flag.as_ref().and_then(|o| o.fresh_value(now, stale_ms).copied());
    let flags = s.producers.iter().map(|p| ([p.name.as_str()], flag(p).map(flag_word)));
    page.add_states(&f::PRODUCER_FLAG, &["blue", "dual", "green", "off"], flags);
    let rates = s.producers.iter().flat_map(|p| {
        [([p.name.as_str(), "blue"], p.observed.blue_rate), ([p.name.as_str(), "green"], p.observed.green_rate)]
    });
    page.add(&f::PRODUCER_WRITTEN, rates);
    // That nothing contradicts is known only of what was looked at on both sides.
    let looked = |p: &ProducerRow| p.observed.blue_rate.is_some() && p.observed.green_rate.is_some();
    let disagrees = |p: &ProducerRow| match &p.disagreement {
        Some(_) => Some(1.0),
        None => (flag(p).is_some() && looked(p)).then_some(0.0),
    };
    page.add(&f::PRODUCER_DISAGREES, s.producers.iter().map(|p| ([&p.name], disagrees(p))));
    let held = s.producers.iter().map(|p| ([p.name.as_str()], Some(hindrance_word(p.side_state.as_ref()))));
    page.add_states(&f::PRODUCER_HINDRANCE, HINDRANCES, held);
    write_fidelity(page, s);
    write_exactly_once(page, s);
}

fn flag_word(flag: FlagState) -> &'static str {
    match flag {
        FlagState::Blue => "blue",
        FlagState::Dual => "dual",
        FlagState::Green => "green",
        FlagState::Off => "off",
    }
}

fn verdict_word(verdict: FidelityVerdict) -> &'static str {
    match verdict {
        FidelityVerdict::None => "none",
        FidelityVerdict::Stale => "stale",
        FidelityVerdict::Unknown => "unknown",
        FidelityVerdict::Idle => "idle",
        FidelityVerdict::Partial => "partial",
        FidelityVerdict::Verified => "verified",
        FidelityVerdict::Differs => "differs",
    }
}

fn write_fidelity(page: &mut Page, s: &Snapshot) {
    let words = &["none", "stale", "unknown", "idle", "partial", "verified", "differs"];
    let verdict = |p: &ProducerRow| p.fidelity.verdict(s.now);
    let verdicts = s.producers.iter().map(|p| ([p.name.as_str()], Some(verdict_word(verdict(p)))));
    page.add_states(&f::FIDELITY, words, verdicts);
    let figures: Vec<(&ProducerRow, &FidelityFigure)> = s
        .producers
        .iter()
        .filter_map(|p| if let Fidelity::Sampled(figure) = &p.fidelity { Some((p, figure)) } else { None })
        .collect();
    let ages: Vec<_> = figures.iter().map(|(p, of)| ([&p.name], Some(page.age(of.at)))).collect();
    page.add(&f::FIDELITY_AGE, ages);
    let mut add = |family: &Family, of: fn(&FidelityFigure) -> Option<f64>| {
        let young = figures.iter().filter(|(p, _)| verdict(p) != FidelityVerdict::Stale);
        page.add(family, young.map(|(p, figure)| ([&p.name], of(figure))));
    };
    add(&f::FIDELITY_RATIO, FidelityFigure::share);
    add(&f::FIDELITY_MISSING, |of| Some(number(of.missing)));
    add(&f::FIDELITY_ONLY, |of| Some(number(of.only_green)));
    add(&f::FIDELITY_DOUBLED, |of| Some(number(of.doubled)));
}

/// Exactly-once producers.
fn write_exactly_once(page: &mut Page, s: &Snapshot) {
    let hard: Vec<(&str, &EosView)> =
        s.producers.iter().filter_map(|p| Some((p.name.as_str(), p.eos.as_deref()?))).collect();
    page.add_states(&f::HARD_STAGE, STAGES, hard.iter().map(|(p, e)| ([*p], Some(stage_word(&e.stage)))));
    page.add_states(&f::HARD_GATE, GATES, hard.iter().map(|(p, e)| ([*p, e.to.name()], Some(gate_word(&e.gate)))));
    let mut rows: BTreeMap<(&str, &str, String), Gate> = BTreeMap::new();
    for (p, e) in &hard {
        for row in e.live.iter().chain(&e.after) {
            // a series may be there only once: of rows alike the worst speaks
            let slot = rows.entry((p, e.to.name(), row.id.to_string())).or_insert(Gate::Pass);
            *slot = slot.clone().and(row.gate.clone());
        }
    }
    page.add_states(
        &f::HARD_ROW,
        GATES,
        rows.iter().map(|((p, to, row), is)| ([*p, *to, row.as_str()], Some(gate_word(is)))),
    );
    page.add(&f::HARD_GREEN_ONLY, hard.iter().map(|(p, e)| ([p], e.green_only.map(number))));
    page.add(&f::HARD_KEPT, hard.iter().map(|(p, e)| ([p], e.kept_until.map(epoch_seconds))));
}
