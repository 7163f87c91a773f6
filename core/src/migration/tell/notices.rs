//! What should be read now: every standing trouble as a notice, in one order.

use crate::base::sanitise::visible_name;
use crate::base::{At, Observed, Side, Trouble};
use crate::migration::facts::command::Subject;
use crate::migration::facts::effect::Outcome;
use crate::migration::facts::notice::{Notice, Severity};
use crate::migration::rules::context::RuleContext;
use crate::migration::rules::group;
use crate::migration::rules::held;
use crate::migration::rules::lag::Astray;
use crate::migration::rules::producer;
use crate::migration::run::machine::Machine;
use crate::migration::soak::trigger::Arm;

/// Notices shown at most.
const NOTICES: usize = 50;

impl Machine {
    /// What should be read now, newest last.
    #[must_use]
    pub fn notices(&self, now: At) -> Vec<Notice> {
        let sight = self.rule_context(now);
        let mut all: Vec<Notice> = Vec::new();
        for (at, subject, what) in &self.state.remarks {
            let trouble = Trouble::new(what.clone(), "");
            all.push(Notice { at: *at, severity: Severity::Warn, subject: subject.clone(), trouble });
        }
        self.add_disagreements(&sight, &mut all);
        for group in self.settings.groups.keys() {
            self.add_stuck_sides(&sight, group, &mut all);
            self.add_astray_commits(&sight, group, &mut all);
        }
        self.add_run_troubles(now, &mut all);
        self.add_alarms(now, &mut all);
        self.add_countdowns(now, &mut all);
        for side in Side::BOTH {
            self.add_cluster_troubles(&sight, side, &mut all);
        }
        // Stable: what is of one moment stays in the order in which it was added.
        all.sort_by_key(|n| n.at);
        all.split_off(all.len().saturating_sub(NOTICES))
    }

    /// Flags that say something else than what is observed.
    fn add_disagreements(&self, sight: &RuleContext<'_>, all: &mut Vec<Notice>) {
        for (name, p) in &self.settings.producers {
            if let Some(d) = producer::find_disagreement(sight, name, p) {
                let trouble = Trouble::new(d, "see where it writes, and whether it reads its flag");
                all.push(build_warning(sight.now, Subject::Producer(name.clone()), trouble));
            }
        }
    }

    /// Sides on which a group does not get on.
    fn add_stuck_sides(&self, sight: &RuleContext<'_>, group: &str, all: &mut Vec<Notice>) {
        for side in Side::BOTH.into_iter().filter(|s| self.is_stuck(group, *s, sight.now)) {
            let trouble = match sight.find_wait(group, side).filter(|w| w.held.stands()) {
                Some(waits) => {
                    let what = format!(
                        "{group} is stuck on {side}: {}",
                        sight.describe_wait(side, &waits),
                        group = visible_name(group)
                    );
                    Trouble::new(what, held::ADVICE)
                }
                None => Trouble::new(
                    format!(
                        "{group} is stuck on {side}: something to read, and no commit moves",
                        group = visible_name(group)
                    ),
                    "see what its members do",
                ),
            };
            all.push(build_warning(sight.now, Subject::Group(group.to_owned()), trouble));
        }
    }

    /// Commits of a group that lie outside its logs, on the side where it rests.
    fn add_astray_commits(&self, sight: &RuleContext<'_>, group: &str, all: &mut Vec<Notice>) {
        for side in Side::BOTH {
            let here = group::rests_on(self.state.groups.get(group).map(|g| &g.rest)) == side;
            let Some(astray) = self.lag.astray(side, sight.id_on(group, side)).filter(|_| here) else { continue };
            let advice = "find out what happened to the log; where its members read on is their auto.offset.reset's \
                          choice";
            let trouble = Trouble::new(
                format!("{group}: {}", astray.describe_position(side), group = visible_name(group)),
                advice,
            );
            let severity = if matches!(astray, Astray::Beyond { .. }) { Severity::Fail } else { Severity::Warn };
            all.push(Notice { at: sight.now, severity, subject: Subject::Group(group.to_owned()), trouble });
        }
    }

    /// What open runs wait for a person with, and effects of theirs of which nobody knows how they ended.
    fn add_run_troubles(&self, now: At, all: &mut Vec<Notice>) {
        for run in self.state.runs.values().filter(|r| r.is_open() && !self.is_replaced(r)) {
            if let Some(needs) = &run.needs {
                all.push(build_alarm(now, run.subject.clone(), needs));
            }
            let unknown = run.effects.iter().rev().find_map(|e| match &e.outcome {
                Some((Outcome::Unknown { why }, at)) => Some((*at, why.clone())),
                _ => None,
            });
            if let Some((at, why)) = unknown {
                all.push(build_warning(at, run.subject.clone(), why));
            }
        }
    }

    /// What alarms while no run is under way.
    fn add_alarms(&self, now: At, all: &mut Vec<Notice>) {
        for (group, state) in &self.state.groups {
            all.extend(state.alarm.iter().map(|why| build_alarm(now, Subject::Group(group.clone()), why)));
        }
        for (producer, state) in &self.state.producers {
            all.extend(state.alarm.iter().map(|why| build_alarm(now, Subject::Producer(producer.clone()), why)));
        }
    }

    /// Triggers that fired.
    fn add_countdowns(&self, now: At, all: &mut Vec<Notice>) {
        for c in self.countdowns() {
            let severity = if c.arm == Arm::Armed { Severity::Fail } else { Severity::Warn };
            let advice = if c.acts_at.is_some() { "hold the group to stop it" } else { "" };
            let trouble = Trouble::new(c.describe_standing(), advice);
            all.push(Notice { at: now, severity, subject: Subject::Group(c.group.clone()), trouble });
        }
    }

    /// A side that is another cluster, or out of sight, or slow on purpose. One that was never seen is no news.
    fn add_cluster_troubles(&self, sight: &RuleContext<'_>, side: Side, all: &mut Vec<Notice>) {
        let subject = Subject::Cluster(side);
        if let Some(trouble) = sight.identity_trouble(side) {
            all.push(Notice { at: sight.now, severity: Severity::Fail, subject: subject.clone(), trouble });
        } else if let (Err(r), false) =
            (sight.fresh_cluster(side), matches!(self.estate.side(side), Observed::Absent { .. }))
        {
            all.push(build_warning(sight.now, subject.clone(), Trouble::new(r.why, r.advice)));
        }
        if let Some(slow) = self.estate.side(side).value().and_then(|v| v.throttled.as_ref()) {
            all.push(build_warning(sight.now, subject, slow.to_trouble(side)));
        }
    }
}

/// Something that holds.
fn build_warning(at: At, subject: Subject, trouble: Trouble) -> Notice {
    Notice { at, severity: Severity::Warn, subject, trouble }
}

/// A person is needed: why, and what can be done.
fn build_alarm(at: At, subject: Subject, (why, advice): &(String, String)) -> Notice {
    Notice { at, severity: Severity::Fail, subject, trouble: Trouble::new(why.clone(), advice.clone()) }
}
