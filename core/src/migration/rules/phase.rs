//! The four phases: proven steps of all steps. What can't be told counts as not proven, and where something that a step
//! needs is not looked at at all, nothing is claimed of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::context::RuleContext;
use super::producer;
use crate::base::{At, Cause, Observed, Side, Trouble};
use crate::migration::facts::stage::Stage;
use crate::parity::{PARITY_OLD_MS, ParityTally};

/// What the newest look at how green is set up beside blue came to. A failed one keeps what was seen before, with its age.
pub type SetupSeen = Observed<ParityTally>;

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
    /// When it was looked at, where that takes a look of its own (Provision).
    #[serde(default)]
    pub at: Option<At>,
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
pub(crate) fn list_phases(sight: &RuleContext<'_>, setup: &SetupSeen) -> Vec<PhaseView> {
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
        at: None,
    };
    let proven = || s.producers.iter().filter(|(n, p)| producer::is_proven(sight, n, p)).count();
    // Where groups rest is journalled; what producers do is only observed, so out of sight nothing is claimed of it.
    vec![
        judge_provision(&PartitionCounts::of_plan(sight), setup, blind.as_ref(), sight.now),
        view(2, "Producers", blind.is_none().then(proven), s.producers.len()),
        view(3, "Consumers", Some(s.groups.keys().filter(moved).count()), s.groups.len()),
        view(4, "Soak", Some(s.groups.keys().filter(complete).count()), s.groups.len()),
    ]
}

/// Provisioning is proven by a look at how both clusters are set up, while that is young. The number of partitions, which is
/// always looked at, proves nothing; where it differs by now the look is overtaken.
fn judge_provision(counts: &PartitionCounts, setup: &SetupSeen, blind: Option<&String>, now: At) -> PhaseView {
    let none = PhaseView {
        number: 1,
        name: "Provision".into(),
        done: (counts.topics == 0).then_some(0),
        total: to_count(counts.topics),
        checked: None,
        note: None,
        at: None,
    };
    match setup {
        Observed::Absent { why } => {
            let agree = counts.agree.filter(|_| blind.is_none() && counts.topics > 0);
            let note = blind.cloned().unwrap_or_else(|| describe_unseen(why) + &counts.describe_agreement());
            PhaseView { checked: agree.map(to_count), note: Some(note).filter(|_| counts.topics > 0), ..none }
        }
        Observed::Known { value, at, trouble } => {
            let ParityTally { same, differ, unknown } = *value;
            let age = now.since(*at);
            let again = "7 shows it, g looks again";
            let doubt = match trouble {
                _ if blind.is_some() => blind.cloned(),
                Some(why) => Some(format!("the last look came to nothing: {}", why.what)),
                None if age > PARITY_OLD_MS => Some(format!("last looked {} min ago: {again}", age / 60_000)),
                None if counts.disagree() => {
                    Some(format!("changed since the look{}: {again}", counts.describe_agreement()))
                }
                None => None,
            };
            let (done, checked) = match (&doubt, blind) {
                (None, _) => (Some(to_count(same)), None),
                (Some(_), None) => (None, Some(to_count(same))),
                (Some(_), Some(_)) => (None, None),
            };
            PhaseView { done, checked, total: to_count(same + differ + unknown), note: doubt, at: Some(*at), ..none }
        }
    }
}

fn describe_unseen(why: &Trouble) -> String {
    if why.has_cause(Cause::NotYet) {
        "nobody has looked how green is set up: 7 looks".to_owned()
    } else {
        format!("the look came to nothing: {}", why.what)
    }
}

/// For how many topics of the plan both clusters have as many partitions.
struct PartitionCounts {
    topics: usize,
    /// `None`: one of the clusters is not seen.
    agree: Option<usize>,
}

impl PartitionCounts {
    fn of_plan(sight: &RuleContext<'_>) -> Self {
        let s = sight.settings;
        let topics: BTreeSet<&String> =
            s.groups.values().flat_map(|g| &g.topics).chain(s.producers.values().flat_map(|p| &p.topics)).collect();
        let agree = match (sight.fresh_cluster(Side::Blue), sight.fresh_cluster(Side::Green)) {
            (Ok(blue), Ok(green)) => {
                let same = |t: &&&String| match (blue.topics.get(**t), green.topics.get(**t)) {
                    // A topic whose partitions did not come has none on either side: 0 and 0 do not agree.
                    (Some(b), Some(g)) => !g.partitions.is_empty() && b.partitions.len() == g.partitions.len(),
                    _ => false,
                };
                Some(topics.iter().filter(same).count())
            }
            _ => None,
        };
        Self { topics: topics.len(), agree }
    }

    fn disagree(&self) -> bool {
        self.agree.is_some_and(|agree| agree < self.topics)
    }

    /// `; partition counts agree`, and for how many.
    fn describe_agreement(&self) -> String {
        match self.agree {
            None => String::new(),
            Some(agree) if agree == self.topics => "; partition counts agree".to_owned(),
            Some(agree) => format!("; partition counts agree for {agree} of {} topics", self.topics),
        }
    }
}

fn to_count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: At = At(10_000_000);

    fn seen(tally: ParityTally, age_ms: i64) -> SetupSeen {
        Observed::seen_at(tally, At(NOW.0 - age_ms))
    }

    fn judge(agree: Option<usize>, setup: &SetupSeen, blind: Option<&str>) -> PhaseView {
        let blind = blind.map(str::to_owned);
        judge_provision(&PartitionCounts { topics: 3, agree }, setup, blind.as_ref(), NOW)
    }

    const ALL: ParityTally = ParityTally { same: 40, differ: 0, unknown: 0 };

    #[test]
    fn only_a_young_look_without_a_difference_proves_it() {
        let proven = judge(Some(3), &seen(ALL, 32_000), None);
        assert!(proven.is_complete() && (proven.done, proven.total) == (Some(40), 40), "{proven:?}");
        assert_eq!(proven.at, Some(At(NOW.0 - 32_000)));
        for (differ, unknown) in [(1, 0), (0, 1)] {
            let short = judge(Some(3), &seen(ParityTally { differ, unknown, ..ALL }, 32_000), None);
            assert!(!short.is_complete() && !short.is_passed(), "{short:?}");
            assert_eq!(short.describe_progress(), "40 of 41 proven");
        }
        let edge = i64::try_from(PARITY_OLD_MS).unwrap();
        assert!(judge(Some(3), &seen(ALL, edge), None).is_complete());
        let old = judge(Some(3), &seen(ALL, edge + 1), None);
        assert!(!old.is_complete() && (old.done, old.checked) == (None, Some(40)), "{old:?}");
        assert_eq!(old.describe_progress(), "last looked 10 min ago: 7 shows it, g looks again");
    }

    #[test]
    fn partition_counts_prove_nothing_and_overtake_a_look() {
        let unseen = judge(Some(3), &Observed::not_yet(), None);
        assert!(
            !unseen.is_complete() && (unseen.done, unseen.checked, unseen.total) == (None, Some(3), 3),
            "{unseen:?}"
        );
        let words = unseen.describe_progress();
        assert_eq!(words, "nobody has looked how green is set up: 7 looks; partition counts agree");
        let changed = judge(Some(2), &seen(ALL, 5_000), None);
        assert!(!changed.is_complete() && changed.note.unwrap().contains("agree for 2 of 3 topics"));
        let hidden = judge(None, &Observed::not_yet(), Some("blue is not seen"));
        assert_eq!((hidden.done, hidden.checked, hidden.note.as_deref()), (None, None, Some("blue is not seen")));
        let hidden = judge(None, &seen(ALL, 5_000), Some("blue is another cluster"));
        assert_eq!(
            (hidden.done, hidden.checked, hidden.note.as_deref()),
            (None, None, Some("blue is another cluster"))
        );
    }

    #[test]
    fn a_look_that_failed_proves_nothing_more() {
        let mut setup = seen(ALL, 5_000);
        setup.note_failure(Trouble::new("no broker answers", ""));
        let doubted = judge(Some(3), &setup, None);
        assert!(!doubted.is_complete() && doubted.note.unwrap().contains("no broker answers"));
        let none = PartitionCounts { topics: 0, agree: Some(0) };
        assert_eq!(judge_provision(&none, &Observed::not_yet(), None, NOW).describe_progress(), "nothing planned");
    }
}
