//! The four phases: proven steps of all steps. What can't be told counts as not proven.

use serde::{Deserialize, Serialize};

use super::estate::Side;
use super::producer;
use super::sight::Sight;
use super::stage::Stage;

/// One phase of the rail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseView {
    /// 1..4.
    pub number: u8,
    /// `Provision`, `Producers`, `Consumers`, `Soak`.
    pub name: String,
    /// Proven steps.
    pub done: u32,
    /// All steps; 0 when nothing of the plan belongs to it, which is shown as `–`, never as done.
    pub total: u32,
}

/// All four, in order.
#[must_use]
pub fn phases(sight: &Sight<'_>) -> Vec<PhaseView> {
    let s = sight.settings;
    let stage = |g: &String| sight.state.groups.get(g).map(|g| &g.rest);
    let moved = |g: &&String| matches!(stage(g), Some(Stage::Soaking { .. } | Stage::Complete { .. }));
    let complete = |g: &&String| matches!(stage(g), Some(Stage::Complete { .. }));
    let topics: std::collections::BTreeSet<&String> =
        s.groups.values().flat_map(|g| &g.topics).chain(s.producers.values().flat_map(|p| &p.topics)).collect();
    let provisioned = |t: &&&String| match (sight.fresh(Side::Blue), sight.fresh(Side::Green)) {
        (Ok(b), Ok(g)) => match (b.topics.get(**t), g.topics.get(**t)) {
            (Some(b), Some(g)) => !g.partitions.is_empty() && b.partitions.len() == g.partitions.len(),
            _ => false,
        },
        _ => false,
    };
    let view = |number, name: &str, done: usize, total: usize| PhaseView {
        number,
        name: name.into(),
        done: u32::try_from(done).unwrap_or(u32::MAX),
        total: u32::try_from(total).unwrap_or(u32::MAX),
    };
    vec![
        view(1, "Provision", topics.iter().filter(provisioned).count(), topics.len()),
        view(
            2,
            "Producers",
            s.producers.iter().filter(|(n, p)| producer::proven(sight, n, p)).count(),
            s.producers.len(),
        ),
        view(3, "Consumers", s.groups.keys().filter(moved).count(), s.groups.len()),
        view(4, "Soak", s.groups.keys().filter(complete).count(), s.groups.len()),
    ]
}
