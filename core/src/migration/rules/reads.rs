//! Which topics a group reads. What the plan lists, what it has committed, what its members subscribe to and what they
//! are assigned form the answer together: one that was never committed is read all the same, and on the other side its
//! `auto.offset.reset` would decide where. A group that has stopped has no members to ask, so what they said while it ran
//! is journalled.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::app;
use super::context::RuleContext;
use super::counts;
use super::group::{PreflightFacts, list_partitions};
use crate::base::sanitise::{visible_name, visible_names};
use crate::base::{At, Side};
use crate::estate::application;
use crate::estate::{ClusterView, GroupState, GroupView, TopicView};
use crate::migration::facts::command::Refusal;
use crate::migration::facts::event::{Event, RunId};
use crate::migration::facts::overrides::{GateName, Override};
use crate::migration::run::machine::{CONTROLLER, Machine};

/// What was remembered is corrected downwards no more often than this, ms: a subscription that flaps fills no journal.
const FORGET_MS: u64 = 600_000;

/// What a group's members read when they were last seen, beyond what it has committed and what the plan lists.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RememberedReads {
    /// Topics, by their names on blue.
    pub topics: BTreeSet<String>,
    /// Those of them that were subscribed to by name and that nobody was assigned: they may never have existed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub only_named: BTreeSet<String>,
    /// What shows that it is a Kafka Streams application, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<String>,
}

/// The topics of a run, as decided before anything was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunTopics {
    /// Those that get an offset for every partition.
    pub topics: BTreeSet<String>,
    /// Those that are left behind: by name with the confirmation, or left over and not listed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left: BTreeSet<String>,
    /// How often it commits at the latest, ms, as known before the stop: a restart forgets what was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commits_every_ms: Option<u64>,
}

/// A topic that is left out by name, and what stood in its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Its name on blue.
    pub topic: String,
    /// Why it can't go along.
    pub why: String,
}

/// Whether a group's members tell everything that it reads: they run, and no rebalance is under way.
#[must_use]
pub(crate) fn is_whole(view: &GroupView) -> bool {
    view.trouble.is_none() && view.state == GroupState::Stable && !view.members.is_empty()
}

fn topic_exists(sight: &RuleContext<'_>, side: Side, topic: &str) -> bool {
    // Of a side that was never seen nothing is known to be gone.
    sight.estate.side(side).value().is_none_or(|v| v.topics.contains_key(topic))
}

/// Whether a topic is on a side for all that is known: a list that may leave topics out says of none that it is gone.
fn topic_may_exist(sight: &RuleContext<'_>, side: Side, topic: &str) -> bool {
    topic_exists(sight, side, topic) || sight.estate.side(side).value().is_some_and(|v| v.topics_hidden().is_some())
}

fn planned_topics(sight: &RuleContext<'_>, group: &str) -> BTreeSet<String> {
    sight.settings.groups.get(group).into_iter().flat_map(|g| g.topics.iter().cloned()).collect()
}

/// What the members of a group say that they read. A topic that is assigned exists, seen or not; one that is only
/// subscribed to may never have existed.
fn announced_topics(sight: &RuleContext<'_>, view: &GroupView, side: Side) -> BTreeSet<String> {
    let assigned = view.members.iter().flat_map(|m| m.assigned.iter().map(|a| a.topic.clone()));
    let subscribed =
        view.members.iter().flat_map(|m| m.subscribed.iter().filter(|t| topic_exists(sight, side, t)).cloned());
    assigned.chain(subscribed).collect()
}

/// What a group's members read on a side: as they say, or as they said when they last ran, and what its last move took
/// along.
#[must_use]
pub(crate) fn member_topics(sight: &RuleContext<'_>, group: &str, side: Side) -> BTreeSet<String> {
    let view = sight.latest_look(group, side).and_then(|s| s.view);
    let mut all = view.map(|v| announced_topics(sight, v, side)).unwrap_or_default();
    // A whole look is all that it reads: what was remembered would only bring back what it has dropped.
    if !view.is_some_and(is_whole) {
        if let Some(known) = sight.state.groups.get(group).and_then(|g| g.reads.get(&side)) {
            let there = |t: &&String| match known.only_named.contains(*t) {
                true => topic_exists(sight, side, t),
                false => topic_may_exist(sight, side, t),
            };
            all.extend(known.topics.iter().filter(there).cloned());
        }
        all.extend(taken_along(sight, group, side));
    }
    all
}

/// What the group's last move took along: it has commits on these since, so what its members read beyond commits says
/// nothing of them any more. Members that run on the other side know better.
fn taken_along(sight: &RuleContext<'_>, group: &str, side: Side) -> BTreeSet<String> {
    let Some(state) = sight.state.groups.get(group) else { return BTreeSet::new() };
    let runs = state.run.into_iter().flat_map(|id| sight.state.run_chain(id));
    let last = runs.filter(|r| r.kind.moves() && !r.dry_run).find_map(|r| r.reading.as_ref());
    // What it dropped since on the other side does not come back with it.
    let elsewhere = sight.latest_look(group, side.other()).and_then(|s| s.view).filter(|v| is_whole(v));
    let elsewhere = elsewhere.map(|v| announced_topics(sight, v, side.other()));
    let read = |t: &&String| elsewhere.as_ref().is_none_or(|all| all.contains(*t)) && topic_may_exist(sight, side, t);
    last.map_or(&state.took, |reading| &reading.topics).iter().filter(read).cloned().collect()
}

/// Existing topics on which a group has committed.
fn committed_topics(sight: &RuleContext<'_>, group: &str, side: Side) -> BTreeSet<String> {
    let view = sight.latest_look(group, side).and_then(|s| s.view);
    view.into_iter().flat_map(|v| v.offsets.keys()).filter(|t| topic_exists(sight, side, t)).cloned().collect()
}

/// The topics a group reads on `side` (or, before it ran there, on the other side): what its members read, and what the
/// plan lists, else every existing topic that it has committed.
#[must_use]
pub fn topics_read(sight: &RuleContext<'_>, group: &str, side: Side) -> BTreeSet<String> {
    let planned = planned_topics(sight, group);
    let on = |side: Side| {
        let mut all = member_topics(sight, group, side);
        all.extend(if planned.is_empty() { committed_topics(sight, group, side) } else { planned.clone() });
        all
    };
    let here = on(side);
    if here.is_empty() { on(side.other()) } else { here }
}

/// Topics on which a group has commits, that its members don't read and the plan doesn't list.
fn left_over(sight: &RuleContext<'_>, group: &str, side: Side) -> BTreeSet<String> {
    let (asked, planned) = (member_topics(sight, group, side), planned_topics(sight, group));
    committed_topics(sight, group, side).into_iter().filter(|t| !asked.contains(t) && !planned.contains(t)).collect()
}

/// Which topics may be left out, by name.
pub enum Leave<'a> {
    /// None.
    Nothing,
    /// Whatever stands in the way: the phrase that is typed names it.
    Blocked,
    /// These.
    Named(&'a BTreeSet<String>),
}

impl<'a> Leave<'a> {
    /// What a command allows; `names` holds the names.
    pub(crate) fn from_overrides(overrides: &[Override], names: &'a mut BTreeSet<String>) -> Self {
        match overrides.iter().find(|o| o.gate == GateName::LeaveOut) {
            None => Leave::Nothing,
            Some(o) if o.names.is_empty() => Leave::Blocked,
            Some(o) => {
                names.extend(o.names.iter().cloned());
                Leave::Named(names)
            }
        }
    }

    fn allows_blocked(&self, topic: &str) -> bool {
        match self {
            Leave::Nothing => false,
            Leave::Blocked => true,
            Leave::Named(names) => names.contains(topic),
        }
    }

    fn names_topic(&self, topic: &str) -> bool {
        matches!(self, Leave::Named(names) if names.contains(topic))
    }
}

/// Why a topic can't go along now, if so. `listed`: the plan names it.
fn find_obstacle(sight: &RuleContext<'_>, topic: &str, listed: bool, from: Side) -> Option<Refusal> {
    let to = from.other();
    let (here, there) = match (sight.fresh_cluster(from), sight.fresh_cluster(to)) {
        (Ok(here), Ok(there)) => (here, there),
        (Err(stale), _) | (_, Err(stale)) => return Some(stale),
    };
    match (here.topics.get(topic), there.topics.get(topic)) {
        (Some(_), Some(_)) => None,
        (None, _) if here.hidden_topics.contains_key(topic) => Some(sight.refuse_missing_topic(topic, from, "")),
        (None, _) => {
            let why = format!(
                "topic {topic} does not exist on {from}, or is hidden from this principal",
                topic = visible_name(topic)
            );
            let advice =
                format!("allow this principal to DESCRIBE it, create it on {from}, or take it out of the plan");
            // Members are assigned it: it exists, and nobody here can say what it holds.
            Some(if listed { Refusal::refused(why, advice) } else { Refusal::unknown(why, advice) })
        }
        (_, None) => {
            let absent = format!("create it on {to}, or take it out of the plan");
            Some(sight.refuse_missing_topic(topic, to, &absent))
        }
    }
}

fn find_unreadable(topic: &str, view: &TopicView, side: Side) -> Option<Refusal> {
    // Kafka says -1 for a partition that has no leader.
    let (n, p) = view.partitions.iter().enumerate().find(|(_, p)| p.leader < 0 || p.lso.is_none())?;
    let why = p.trouble.as_ref().map(|t| format!(": {t}")).unwrap_or_default();
    Some(Refusal::unknown(
        format!("{topic}-{n} on {side} can't be read now{why}", topic = visible_name(topic)),
        "wait until it has a leader",
    ))
}

/// The way to leave a topic out, as advice.
fn or_leave(advice: &str, topic: &str) -> String {
    let topic = crate::migration::facts::command::shell_word(topic);
    format!("{advice}; or leave it out by name: --leave-out {topic} --reason TEXT")
}

/// Whatever the group reads exists on both sides and can be read, or it is left out by name. Other numbers of partitions
/// are no obstacle, but worth a word.
pub(in crate::migration) fn match_topics(
    sight: &RuleContext<'_>,
    group: &str,
    source: &GroupView,
    from: Side,
    leave: &Leave<'_>,
    facts: &mut PreflightFacts,
) -> Result<(), Refusal> {
    check_members_tell(group, source, from)?;
    let (here, there) = (sight.fresh_cluster(from)?, sight.fresh_cluster(from.other())?);
    let planned = planned_topics(sight, group);
    let all = topics_read(sight, group, from);
    if all.is_empty() {
        return Err(Refusal::unknown(
            format!(
                "{group} has committed nothing on {from} and the plan lists no topics for it",
                group = visible_name(group)
            ),
            "list its topics in the plan",
        ));
    }
    let mut found = TopicMatch { sight, group, source, from, leave, planned, all };
    found.warn_of_unseen_reads(facts);
    found.drop_left_over(facts)?;
    found.drop_blocked(facts)?;
    if found.all.is_empty() {
        return Err(Refusal::refused(
            format!("nothing that {group} reads is left to be moved", group = visible_name(group)),
            "leave fewer out",
        ));
    }
    found.check_readable(here, there)?;
    found.note_topics(here, facts);
    Ok(())
}

/// While a classic group rebalances, its coordinator tells neither subscriptions nor assignments of its members.
fn check_members_tell(group: &str, source: &GroupView, from: Side) -> Result<(), Refusal> {
    let silent = |m: &crate::estate::MemberView| m.assigned.is_empty() && m.subscribed.is_empty();
    if source.state == GroupState::Rebalancing && source.members.iter().any(silent) {
        return Err(Refusal::unknown(
            format!(
                "{group} is rebalancing on {from}: what its members read can't be seen now",
                group = visible_name(group)
            ),
            "wait until it is Stable",
        ));
    }
    Ok(())
}

/// The topics of a group while it is decided which of them go along.
struct TopicMatch<'a> {
    sight: &'a RuleContext<'a>,
    group: &'a str,
    /// The group on the side that it leaves.
    source: &'a GroupView,
    from: Side,
    leave: &'a Leave<'a>,
    planned: BTreeSet<String>,
    /// What it reads, without what was found to stay behind.
    all: BTreeSet<String>,
}

impl TopicMatch<'_> {
    /// Says so where nobody is there to tell what the group reads.
    fn warn_of_unseen_reads(&self, facts: &mut PreflightFacts) {
        let nobody = self.source.members.is_empty() && self.planned.is_empty();
        if nobody && !app::is_alone(self.sight, self.group, self.from, self.source) {
            facts.warnings.push(format!(
                "nobody runs in {group} who would tell what it reads: what it never committed and nobody saw is left out; \
                 list its topics in the plan to be sure",
                group = visible_name(self.group)
            ));
        }
    }

    /// Takes out the topics on which the group only has commits: those of them that are named, and all where the plan
    /// lists others and it can be told that nobody reads these.
    fn drop_left_over(&mut self, facts: &mut PreflightFacts) -> Result<(), Refusal> {
        for topic in left_over(self.sight, self.group, self.from) {
            if self.leave.names_topic(&topic) {
                facts.left_out.push(LeftOut { topic: topic.clone(), why: "nobody in it reads that now".into() });
            } else if self.planned.is_empty() {
                // Without a list in the plan, whatever it has committed goes along.
                continue;
            } else if is_whole(self.source) {
                facts.warnings.push(format!(
                    "{group} also has offsets on {topic}, which the plan doesn't list and none of its members reads: they \
                     are left behind",
                    group = visible_name(self.group),
                    topic = visible_name(&topic)
                ));
            } else if self.leave.allows_blocked(&topic) {
                facts.left_out.push(LeftOut { topic: topic.clone(), why: "the plan doesn't list it".into() });
            } else {
                return Err(self.refuse_left_over(&topic));
            }
            self.all.remove(&topic);
            facts.left.insert(topic);
        }
        Ok(())
    }

    /// The group has commits on a topic, and whether it reads that nobody tells.
    fn refuse_left_over(&self, topic: &str) -> Refusal {
        let advice = or_leave("list it in the plan (topics of the group), or let the group run", topic);
        Refusal::unknown(
            format!(
                "{group} also has offsets on {topic}, which the plan doesn't list, and nobody runs who would tell \
                 whether it reads that: on {} it would start there by auto.offset.reset",
                self.from.other(),
                group = visible_name(self.group),
                topic = visible_name(topic)
            ),
            advice,
        )
        .with_gate(GateName::LeaveOut)
    }

    /// Takes out the topics that can't go along, where they may be left out.
    fn drop_blocked(&mut self, facts: &mut PreflightFacts) -> Result<(), Refusal> {
        for topic in &self.all.clone() {
            let listed = self.planned.contains(topic);
            let Some(refusal) = find_obstacle(self.sight, topic, listed, self.from) else { continue };
            if listed {
                return Err(refusal);
            }
            if !self.leave.allows_blocked(topic) {
                // It is not in the plan: of the refusal's advice that part is for those that are.
                let advice = or_leave(refusal.advice.trim_end_matches(", or take it out of the plan"), topic);
                return Err(Refusal { advice, ..refusal }.with_gate(GateName::LeaveOut));
            }
            facts.left_out.push(LeftOut { topic: topic.clone(), why: refusal.why });
            facts.left.insert(topic.clone());
            self.all.remove(topic);
        }
        Ok(())
    }

    /// Every partition of what goes along can be read on both sides.
    fn check_readable(&self, here: &ClusterView, there: &ClusterView) -> Result<(), Refusal> {
        for topic in &self.all {
            let both = [(here, self.from), (there, self.from.other())];
            if let Some(r) = both.into_iter().find_map(|(v, side)| find_unreadable(topic, v.topics.get(topic)?, side)) {
                return Err(r);
            }
        }
        Ok(())
    }

    /// Puts what goes along, and what stays, among the facts.
    fn note_topics(self, here: &ClusterView, facts: &mut PreflightFacts) {
        let (all, to) = (self.all, self.from.other());
        let uneven = counts::find_uneven(self.sight, &all);
        facts.warnings.extend(uneven.iter().map(|u| counts::describe_key_order(u, to)));
        facts.partitions = list_partitions(here, &all);
        // Whatever has stayed in the set was found on both sides above.
        let count = |t: &String| format!("{}:{}", visible_name(t), here.topics[t].partitions.len());
        let there = |t: &String| uneven.iter().find(|u| u.topic == *t).map(|u| format!("->{}", u.counts[to]));
        let counts: Vec<String> = all.iter().map(|t| count(t) + &there(t).unwrap_or_default()).collect();
        facts.digest.insert("topics", counts.join(" "));
        facts.digest.insert("left out", visible_names(&facts.left));
        facts.topics = all;
    }
}

impl Machine {
    /// The topics of a run's group on the side that it leaves: as decided before the stop, and whatever it was seen to
    /// read or commit since.
    pub(in crate::migration) fn topics_of_run(&self, id: RunId, group: &str, from: Side, now: At) -> BTreeSet<String> {
        let sight = self.rule_context(now);
        let Some(reading) = self.state.runs.get(&id).and_then(|r| r.reading.as_ref()) else {
            return topics_read(&sight, group, from);
        };
        let since = member_topics(&sight, group, from).into_iter().chain(committed_topics(&sight, group, from));
        let since = since.filter(|t| !reading.left.contains(t));
        reading.topics.iter().cloned().chain(since).collect()
    }

    /// Writes down what the members of the plan's groups are seen to read beyond what the plan and commits say: once
    /// they have stopped, nobody can tell any more.
    pub(in crate::migration) fn note_reads(&mut self, now: At) {
        let mut news = Vec::new();
        let sight = self.rule_context(now);
        for group in self.settings.groups.keys() {
            for side in Side::BOTH {
                if let Some(reads) = news_of_reads(&sight, group, side) {
                    news.push((group.clone(), side, reads));
                }
            }
        }
        // After the walk: each entry changes the state that the walk reads.
        for (group, side, reads) in news {
            self.emit(CONTROLLER, Event::Reads { group, side, reads }, now);
        }
    }
}

/// What is seen of a group's members beyond what the plan and commits say.
fn observe_reads(sight: &RuleContext<'_>, group: &str, side: Side, view: &GroupView) -> RememberedReads {
    let listed = sight.settings.groups.get(group).map(|g| g.topics.as_slice()).unwrap_or_default();
    let new = |t: &&String| !listed.contains(*t) && !view.offsets.contains_key(*t);
    let assigned = view.members.iter().flat_map(|m| m.assigned.iter().map(|a| &a.topic));
    let assigned: BTreeSet<&String> = assigned.filter(new).collect();
    let named: BTreeSet<&String> = view.members.iter().flat_map(|m| &m.subscribed).filter(new).collect();
    RememberedReads {
        topics: assigned.union(&named).copied().cloned().collect(),
        only_named: named.difference(&assigned).copied().cloned().collect(),
        streams: application::streams_evidence(sight.id_on(group, side), view),
    }
}

/// What is to be written down of what a group's members read, if it is news.
fn news_of_reads(sight: &RuleContext<'_>, group: &str, side: Side) -> Option<RememberedReads> {
    let view = sight.latest_look(group, side).and_then(|s| s.view).filter(|v| is_whole(v))?;
    let state = sight.state.groups.get(group);
    let none = RememberedReads::default();
    let known = state.and_then(|g| g.reads.get(&side)).unwrap_or(&none);
    let when = state.and_then(|g| g.reads_at.get(&side)).copied();
    let seen = observe_reads(sight, group, side, view);
    let old = when.is_none_or(|at| sight.now.since(at) >= FORGET_MS);
    let assigned = |r: &RememberedReads| r.topics.difference(&r.only_named).cloned().collect::<BTreeSet<_>>();
    let more = !seen.topics.is_subset(&known.topics) || !assigned(&seen).is_subset(&assigned(known));
    let more = more || (seen.streams.is_some() && known.streams.is_none());
    // What has been committed meanwhile is known by its commits, and not gone.
    let gone = known.topics.iter().any(|t| !seen.topics.contains(t) && !view.offsets.contains_key(t));
    let unassigned = seen.only_named.iter().any(|t| known.topics.contains(t) && !known.only_named.contains(t));
    let less = gone || unassigned || (seen.streams.is_none() && known.streams.is_some());
    // What is new is written at once: the group may stop before the next look.
    if !(more || less && old) {
        return None;
    }
    let mut reads = seen;
    if !old {
        // What was once assigned exists, whoever names it now.
        reads.only_named.retain(|t| !known.topics.contains(t) || known.only_named.contains(t));
        reads.only_named.extend(known.only_named.iter().filter(|t| !reads.topics.contains(*t)).cloned());
        reads.topics.extend(known.topics.iter().cloned());
        reads.streams = reads.streams.or_else(|| known.streams.clone());
    }
    Some(reads)
}
