//! Soaks: the criterion over time with honest holes, and the watch over the side that was left.

use super::estate::{At, Side, TopicPartition};
use super::gate::{Gate, span};
use super::settings::Criteria;
use super::sight::Sight;
use super::{drain, group};
use std::collections::BTreeMap;

/// What a soak has shown since this controller looks at it. A hole neither counts nor resets; a violation resets.
#[derive(Debug, Clone, Default)]
pub(super) struct Soak {
    last: Option<(At, bool)>,
    good_ms: u64,
    words: String,
    /// Commits on the side that was left, for groups whose drain the journal does not have.
    left: Option<BTreeMap<TopicPartition, i64>>,
}

impl Soak {
    /// Takes the newest round on green in, if it is new.
    pub fn feed(&mut self, sight: &Sight<'_>, group: &str, criteria: Criteria) {
        let super::estate::Observed::Known { at, .. } = &sight.estate.green else { return };
        let at = *at;
        if self.last.is_some_and(|(last, _)| at <= last) {
            return;
        }
        let (good, words) = match verdict(sight, group, criteria) {
            // Not measured: the sample does not exist.
            Err(why) => {
                self.words = why;
                return;
            }
            Ok(good) => good,
        };
        match self.last {
            Some((last, true)) if good && at.since(last) <= sight.settings.sample_gap_ms => {
                self.good_ms += at.since(last)
            }
            _ => {}
        }
        if !good {
            self.good_ms = 0;
        }
        (self.last, self.words) = (Some((at, good)), words);
    }

    /// Whether the soak may be declared complete.
    pub fn gate(&self, now: At, stale_after_ms: u64, criteria: Criteria) -> Gate {
        match self.last {
            None => Gate::Unknown {
                why: if self.words.is_empty() { "not measured yet".into() } else { self.words.clone() },
            },
            Some((at, _)) if now.since(at) > stale_after_ms => {
                Gate::Unknown { why: format!("last measured {} ago", span(now.since(at))) }
            }
            Some((_, false)) => Gate::Fail { why: self.words.clone() },
            Some(_) if self.good_ms >= criteria.lag_for_ms => Gate::Pass,
            Some(_) => {
                let left_ms = criteria.lag_for_ms - self.good_ms;
                Gate::Hold {
                    left_ms,
                    why: format!("{} for {} of {}", self.words, span(self.good_ms), span(criteria.lag_for_ms)),
                }
            }
        }
    }

    /// Somebody works on the side that was left: who, in words. `None` also while it can't be told.
    pub fn intruder(&mut self, sight: &Sight<'_>, name: &str, left: Side, since: At) -> Option<String> {
        let seen = sight.seen(name, left).filter(|s| s.at > since)?;
        let view = seen.view.filter(|v| v.trouble.is_none())?;
        if let Some(m) = view.members.first() {
            return Some(format!("{} at {} is a member of {name} on {left}", m.client_id, m.host));
        }
        let now = drain::committed(Some(view));
        let proof = sight.state.groups.get(name).and_then(|g| g.drained.as_ref()).filter(|p| p.side == left);
        let before = match proof {
            Some(p) => p.committed.iter().cloned().collect(),
            None => self.left.get_or_insert_with(|| now.clone()).clone(),
        };
        // Offsets that expired or were deleted are gone, not moved.
        let moved = now.iter().find(|(tp, offset)| before.get(tp) != Some(offset))?;
        let was = before.get(moved.0).map_or("nothing".to_string(), ToString::to_string);
        Some(format!("{name} committed {} on {left} at {}, where {was} stood after the drain", moved.1, moved.0))
    }

    /// A person has seen it: what stands now must stand from here.
    pub fn forgive(&mut self) {
        self.left = None;
    }
}

/// Whether the newest sample is good, in words; an error when it can't be told.
fn verdict(sight: &Sight<'_>, name: &str, criteria: Criteria) -> Result<(bool, String), String> {
    let id = sight.id_on(name, Side::Green);
    let view = sight.fresh_group(name, Side::Green).map_err(|r| r.why)?;
    let Some(view) = view else { return Ok((false, format!("{id} does not exist on green"))) };
    // Lag is also low when nobody consumes: that is no soak.
    if group::is_empty(view) {
        return Ok((false, "nobody consumes on green".into()));
    }
    let super::estate::Observed::Known { at, .. } = &sight.estate.green else {
        return Err("green was never seen".into());
    };
    if sight.now.since(*at) > sight.settings.zero_age_ms {
        return Err(format!("the ends on green were sampled {} ago", span(sight.now.since(*at))));
    }
    let Some(lag) = sight.lag.lag(Side::Green, id) else { return Err("lag on green is not known".into()) };
    if sight.lag.stuck(Side::Green, id) {
        return Ok((false, format!("stuck: lag {lag}, and no commit moves")));
    }
    if lag < criteria.lag_below {
        Ok((true, format!("lag < {}", criteria.lag_below)))
    } else {
        Ok((false, format!("lag {lag}, not below {}", criteria.lag_below)))
    }
}
