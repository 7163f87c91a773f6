//! The four phases: proven steps of all steps. What can't be told counts as not proven, and where something that a step
//! needs is not looked at at all, nothing is claimed of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::context::RuleContext;
use super::producer;
use crate::base::Side;
use crate::migration::facts::stage::Stage;

/// One phase of the rail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseView {
    /// 1..4.
    pub number: u8,
    /// `Provision`, `Producers`, `Consumers`, `Soak`.
    pub name: String,
    /// Proven steps; `None`: not known, as `note` says.
    pub done: Option<u32>,
    /// All steps; 0 when nothing of the plan belongs to it, which is shown as `–`, never as done.
    pub total: u32,
    /// Steps of which all that is looked at agrees, where that is not enough to prove them.
    #[serde(default)]
    pub checked: Option<u32>,
    /// What was looked at and what was not, or why nothing is known now: stands where a tick would.
    #[serde(default)]
    pub note: Option<String>,
}

impl PhaseView {
    /// Whether every step is proven, by what is known now.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.total > 0 && self.note.is_none() && self.done.is_some_and(|done| done >= self.total)
    }

    /// Whether it is behind us as far as anything is looked at: what comes next is worth a look.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.total == 0 || self.done.or(self.checked).is_some_and(|done| done >= self.total)
    }

    /// Where it stands in words: `2 of 3 proven`, what was looked at, or why that is not known.
    #[must_use]
    pub fn describe_progress(&self) -> String {
        match (self.total, self.done, &self.note) {
            (0, ..) => "nothing planned".to_owned(),
            (total, Some(done), None) => format!("{done} of {total} proven"),
            (total, Some(done), Some(note)) => format!("{done} of {total} proven as far as the journal says; {note}"),
            (total, None, note) => match (self.checked, note) {
                (Some(_), Some(note)) => note.clone(),
                (_, note) => format!("of {total} not known: {}", note.as_deref().unwrap_or("nobody looked")),
            },
        }
    }
}

/// All four, in order.
#[must_use]
pub(crate) fn list_phases(sight: &RuleContext<'_>) -> Vec<PhaseView> {
    let s = sight.settings;
    let stage = |g: &String| sight.state.groups.get(g).map(|g| &g.rest);
    let moved = |g: &&String| matches!(stage(g), Some(Stage::Soaking { .. } | Stage::Complete { .. }));
    let complete = |g: &&String| matches!(stage(g), Some(Stage::Complete { .. }));
    let blind = sight.check_trusted().err().map(|r| r.why);
    let view = |number, name: &str, done: Option<usize>, total: usize| PhaseView {
        number,
        name: name.into(),
        done: done.map(to_count),
        total: to_count(total),
        checked: None,
        // With nothing planned there is nothing that could be known or not.
        note: blind.clone().filter(|_| total > 0),
    };
    let proven = || s.producers.iter().filter(|(n, p)| producer::is_proven(sight, n, p)).count();
    // Where groups rest is journalled; what producers do is only observed, so out of sight nothing is claimed of it.
    vec![
        provision_phase(sight, blind.as_ref()),
        view(2, "Producers", blind.is_none().then(proven), s.producers.len()),
        view(3, "Consumers", Some(s.groups.keys().filter(moved).count()), s.groups.len()),
        view(4, "Soak", Some(s.groups.keys().filter(complete).count()), s.groups.len()),
    ]
}

/// Of provisioning only the number of partitions is looked at: that proves no topic.
fn provision_phase(sight: &RuleContext<'_>, blind: Option<&String>) -> PhaseView {
    let s = sight.settings;
    let topics: BTreeSet<&String> =
        s.groups.values().flat_map(|g| &g.topics).chain(s.producers.values().flat_map(|p| &p.topics)).collect();
    let agree = match (sight.fresh_cluster(Side::Blue), sight.fresh_cluster(Side::Green)) {
        (Ok(blue), Ok(green)) if blind.is_none() => {
            let same = |t: &&&String| match (blue.topics.get(**t), green.topics.get(**t)) {
                // A topic whose partitions did not come has none on either side: 0 and 0 do not agree.
                (Some(b), Some(g)) => !g.partitions.is_empty() && b.partitions.len() == g.partitions.len(),
                _ => false,
            };
            Some(topics.iter().filter(same).count())
        }
        _ => None,
    };
    let looked = |agree: usize| match agree == topics.len() {
        true => "partition counts agree; configs, ACLs, schemas not compared".to_owned(),
        false => format!(
            "partition counts agree for {agree} of {} topics; configs, ACLs, schemas not compared",
            topics.len()
        ),
    };
    PhaseView {
        number: 1,
        name: "Provision".into(),
        // Equal counts prove no topic provisioned, so none is ever done here.
        done: topics.is_empty().then_some(0),
        total: to_count(topics.len()),
        checked: agree.filter(|_| !topics.is_empty()).map(to_count),
        note: agree.map(looked).or_else(|| blind.cloned()).filter(|_| !topics.is_empty()),
    }
}

fn to_count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
