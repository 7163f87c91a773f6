//! Whether green's brokers are reached from where the consumers run. Nothing that runs here can tell: each is tried by a
//! command on the consumer's own machine, and a command that fails says little by itself. So the same command tries a
//! broker of blue too, which its consumers reach today: only what fails beside that is green's.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Parity;
use super::rows::{Gravity, Mend, ParityArea, ParityRow, ParityState, ParitySubject};
use crate::base::sanitise::visible_name;
use crate::base::{Side, Trouble};

const AREA: ParityArea = ParityArea::Reach;

/// What one try came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReachOutcome {
    /// The command ended well.
    Reached,
    /// It ended with an error, or with none within its time.
    Failed(Trouble),
    /// It did not run: nothing was tried.
    Untried(Trouble),
}

/// One try of an address from one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachTry {
    /// The pod or host that it was tried from.
    pub pod: String,
    /// Whose broker.
    pub side: Side,
    /// `host:port`, as the cluster advertises it.
    pub address: String,
    /// What came of it.
    pub outcome: ReachOutcome,
}

impl Parity {
    /// The same with what was tried from the consumers' machines. Blue's tries are the controls: they have no rows.
    #[must_use]
    pub fn with_reach(mut self, tries: &[ReachTry]) -> Self {
        let passed = |t: &&ReachTry| t.outcome == ReachOutcome::Reached;
        let known: BTreeSet<&str> =
            tries.iter().filter(|t| t.side == Side::Blue).filter(passed).map(|t| t.pod.as_str()).collect();
        let mut same = 0;
        for tried in tries.iter().filter(|t| t.side == Side::Green) {
            match judge_try(tried, known.contains(tried.pod.as_str())) {
                Some(row) => self.rows.push(row),
                None => same += 1,
            }
        }
        if tries.iter().any(|t| t.side == Side::Green) {
            *self.same.entry(AREA).or_default() += same;
        }
        super::rows::sort_rows(&mut self.rows);
        self
    }
}

fn judge_try(tried: &ReachTry, reaches_blue: bool) -> Option<ParityRow> {
    let (pod, address) = (visible_name(&tried.pod), visible_name(&tried.address));
    let about = (AREA, ParitySubject::Reach { pod: tried.pod.clone(), address: tried.address.clone() });
    let unknown =
        |what: String, advice: &str| ParityRow::new_unknown(about.clone(), Gravity::Warns, Trouble::new(what, advice));
    match &tried.outcome {
        ReachOutcome::Reached => None,
        ReachOutcome::Untried(why) => Some(unknown(why.what.clone(), &why.advice)),
        ReachOutcome::Failed(why) if !reaches_blue => Some(unknown(
            format!("from {pod} not even a broker of blue is reached this way: {}", why.what),
            "run it by hand there, and correct `command` of [connectivity] in the plan",
        )),
        ReachOutcome::Failed(why) => {
            let row = ParityRow::new(about, ParityState::Missing, Gravity::Blocks, why.what.clone());
            let row = row.with_sides(Some("reached".to_owned()), None);
            Some(row.with_mend(Mend::ByHand(format!(
                "let {pod} through to {address}: name, route, network policy, firewall"
            ))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ParityCount, ParityVerdict};
    use super::*;

    fn tried(pod: &str, side: Side, outcome: ReachOutcome) -> ReachTry {
        ReachTry { pod: pod.to_owned(), side, address: format!("{side}-1:9092"), outcome }
    }

    fn failed(what: &str) -> ReachOutcome {
        ReachOutcome::Failed(Trouble::new(what, "run it by hand"))
    }

    fn judge(tries: &[ReachTry]) -> Parity {
        Parity { rows: Vec::new(), same: Default::default(), internal: Default::default(), flags: Vec::new() }
            .with_reach(tries)
    }

    #[test]
    fn only_what_fails_beside_a_blue_that_is_reached_is_greens() {
        let parity = judge(&[
            tried("a", Side::Blue, ReachOutcome::Reached),
            tried("a", Side::Green, ReachOutcome::Reached),
            tried("b", Side::Blue, ReachOutcome::Reached),
            tried("b", Side::Green, failed("refused")),
            tried("c", Side::Blue, failed("no such pod")),
            tried("c", Side::Green, failed("no such pod")),
            tried("d", Side::Green, failed("refused")),
            tried("e", Side::Blue, ReachOutcome::Reached),
            tried("e", Side::Green, ReachOutcome::Untried(Trouble::new("can't start kubectl", ""))),
        ]);
        let count = parity.count_area(AREA);
        assert_eq!(count, ParityCount { same: 1, blocks: 1, unknown: 3, ..ParityCount::default() });
        let row = &parity.rows[0];
        assert_eq!((row.subject.to_string(), row.why.as_str()), ("b to green-1:9092".to_owned(), "refused"));
        let words: Vec<&str> = parity.list_unknowns().map(|(_, why)| why.what.as_str()).collect();
        assert!(words[0].starts_with("from c not even a broker of blue"), "{words:?}");
        assert!(words[1].starts_with("from d not even a broker of blue"), "{words:?}");
        assert_eq!(words[2], "can't start kubectl");
    }

    #[test]
    fn what_was_never_tried_is_no_parity() {
        assert!(!judge(&[]).same.contains_key(&AREA), "nothing is said of it");
        let none = judge(&[tried("a", Side::Green, ReachOutcome::Untried(Trouble::new("gone", "")))]);
        assert_eq!(none.verdict_of(AREA), ParityVerdict::Unknown);
        let all =
            judge(&[tried("a", Side::Blue, ReachOutcome::Reached), tried("a", Side::Green, ReachOutcome::Reached)]);
        assert_eq!(all.verdict_of(AREA), ParityVerdict::Equal);
    }
}
