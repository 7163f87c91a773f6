//! Gates that a person may pass over by naming the cost, and those that nobody may.
//!
//! A translation that loses, guesses or repeats too much is never committed by itself. What it costs stands in the
//! phrase that has to be typed (so it is never the phrase of a safe move), and what was typed is the most it may cost
//! when the step comes: more than that holds again. An UNMAPPABLE partition has no offset at all: there is nothing to
//! pass over, only another strategy to choose.

use serde::{Deserialize, Serialize};

use super::command::Refusal;
use crate::base::sanitise::visible_name;
use crate::base::{Side, TopicPartition};
use crate::offsets::verdict::{GroupTranslation, PartitionPlan, Verdict};

/// A gate that may be passed over.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum GateName {
    /// Records that the group has not consumed are not on the other side: lost to it unless they are replayed.
    Missing,
    /// There is no evidence for the offset.
    Guess,
    /// Unconsumed records are not on the other side yet, and may never come.
    Unsettled,
    /// The other side has a newer commit that nobody wrote from here: it would be set back.
    NewerCommit,
    /// A rollback while green can't be seen: the group starts where it last stood for certain, and nobody can say how far
    /// it came since. Producers must have written to blue.
    Unseen,
    /// More would be read again than `max_re_read` allows. Only offsets that are set by themselves may pass it: a move
    /// over its limit is given back. Of a hard cutover: a group that is coupled with the producer would read records
    /// again, and each is a duplicate in its sink.
    ReRead,
    /// A cutover outside its window.
    Window,
    /// A hard cutover of a producer that may commit offsets of groups that the plan does not name.
    Coupled,
    /// A hard cutover although something that was asked for is hidden from this principal.
    Permissions,
    /// Topics that a group has read or committed, and that can't go along, are left out of a move by name: on the other
    /// side `auto.offset.reset` decides there, if it reads them.
    LeaveOut,
    /// A group that may be a Kafka Streams application: what it keeps beyond offsets would begin empty.
    Streams,
    /// A producer is routed, or cut over, although it can't be told whether a group reads its topics on the side that it
    /// leaves (or, of a hard cutover, on the side that it goes to).
    Readers,
    /// A rollback to where an open transaction stands: what is written behind it can't be read there before it ends. That
    /// of a writer which is well and commits every few minutes nearly always stands.
    OpenTransaction,
    /// A soak is declared complete although offsets expired before the group read them: nobody can tell any more whether
    /// records lay there or only markers of transactions.
    Expired,
}

impl GateName {
    /// Whether a move (cutover, rollback) may pass over it; setting offsets by themselves may pass over all.
    #[must_use]
    pub(crate) fn for_moves(self) -> bool {
        matches!(
            self,
            GateName::Missing
                | GateName::Guess
                | GateName::Unsettled
                | GateName::NewerCommit
                | GateName::Unseen
                | GateName::LeaveOut
                | GateName::Streams
                | GateName::Window
                | GateName::OpenTransaction
        )
    }

    /// Whether it is a fact about the group or the time, which needs no measurement.
    #[must_use]
    pub(crate) fn is_plain(self) -> bool {
        matches!(self, GateName::LeaveOut | GateName::Streams | GateName::Window | GateName::OpenTransaction)
    }

    /// Whether a producer's hard cutover or rollback may pass over it. What would lose records never may: what only the
    /// side that is left holds is carried, or its loss is a choice of its own.
    #[must_use]
    pub(crate) fn for_hard_moves(self) -> bool {
        matches!(
            self,
            GateName::ReRead | GateName::Window | GateName::Coupled | GateName::Permissions | GateName::Readers
        )
    }

    /// Whether what it costs is a number of records, where it is known.
    #[must_use]
    pub(crate) fn is_counted(self) -> bool {
        matches!(self, GateName::Missing | GateName::ReRead | GateName::Unsettled | GateName::NewerCommit)
    }

    /// Whether it is one of a translation's: setting offsets by themselves may pass over all of those.
    #[must_use]
    pub(crate) fn of_offsets(self) -> bool {
        let of_time = matches!(self, GateName::Window | GateName::OpenTransaction);
        (self.for_moves() && !of_time) || self == GateName::ReRead
    }
}

/// A gate that somebody wants to pass over, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Which gate.
    pub gate: GateName,
    /// Why, in the operator's words; it is journalled.
    pub reason: String,
    /// What it is about, where that has names (topics that are left out). Empty: whatever the phrase names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl Override {
    /// A gate to pass over, whatever it is about.
    pub fn new(gate: GateName, reason: impl Into<String>) -> Self {
        Self { gate, reason: reason.into(), names: Vec::new() }
    }
}

/// A gate that holds, and what it would cost to pass over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldGate {
    /// Which gate.
    pub gate: GateName,
    /// Records it costs: lost, set back, or read again. `None`: nobody knows.
    pub cost: Option<u64>,
    /// In a sentence.
    pub why: String,
    /// What it is about, where that has names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// A gate that was passed over when a run was confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Which gate.
    pub gate: GateName,
    /// The most it may cost, records; `None`: no bound was known.
    pub at_most: Option<u64>,
    /// Why; empty when only the phrase was typed.
    pub reason: String,
    /// What it is about, where that has names: nothing else may pass with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// A gate that a run passed over: it held, and had been accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Which gate.
    pub gate: GateName,
    /// What held, in a sentence.
    pub what: String,
    /// Who accepted it.
    pub by: String,
    /// Why; empty when only the phrase was typed.
    pub reason: String,
}

impl HeldGate {
    /// A gate, what it costs, and why it holds.
    pub fn new(gate: GateName, cost: Option<u64>, why: impl Into<String>) -> Self {
        Self { gate, cost, why: why.into(), names: Vec::new() }
    }

    /// What has to be typed for it, behind the phrase of a safe move: `lose 20`, `guess`, `rewind 40`.
    #[must_use]
    pub fn phrase(&self) -> String {
        let counted = |word: &str| match self.cost {
            Some(n) => format!("{word} {n}"),
            None => word.to_owned(),
        };
        match self.gate {
            GateName::Missing => counted("lose"),
            GateName::Guess => "guess".into(),
            GateName::Unsettled => counted("unsettled"),
            GateName::NewerCommit => counted("rewind"),
            GateName::ReRead => counted("re-read"),
            GateName::Unseen => counted("unseen"),
            GateName::Window => "outside window".into(),
            GateName::Coupled => "coupled".into(),
            GateName::Permissions => "hidden".into(),
            GateName::LeaveOut => {
                let names: Vec<String> = self.names.iter().map(|n| visible_name(n)).collect();
                format!("leave out {}", names.join(" "))
            }
            GateName::Streams => "without state".into(),
            GateName::Readers => "readers unknown".into(),
            GateName::OpenTransaction => {
                let names: Vec<String> = self.names.iter().map(|n| visible_name(n)).collect();
                format!("open transaction {}", names.join(" "))
            }
            // Its names hold numbers in brackets: they were made visible before that.
            GateName::Expired => format!("expired {}", self.names.join(" ")),
        }
    }

    /// What to do about it besides passing over it.
    #[must_use]
    pub fn advice(&self) -> String {
        let word = match self.gate {
            GateName::Missing => "replay them to that side first (the ranges: cutover offsets plan)",
            GateName::Guess => "look at the group's partitions; only PROVEN and BOUNDED are committed",
            GateName::Unsettled => "wait until they have arrived, then measure again",
            GateName::NewerCommit => "find out who did, or delete those offsets; they are never set back silently",
            GateName::Unseen => "wait until green can be seen",
            GateName::ReRead => "raise max_re_read, or wait for a quieter time",
            GateName::Window => "wait for a window",
            GateName::Coupled => "name the groups whose offsets it commits: reads = [\"...\"]",
            GateName::Permissions => "allow this principal to DESCRIBE its transactional ids and to READ its topics",
            GateName::LeaveOut => {
                let names: Vec<String> =
                    self.names.iter().map(|n| format!("--leave-out {}", super::command::shell_word(n))).collect();
                return format!("leave out by name what can't go along: {} --reason TEXT", names.join(" "));
            }
            GateName::Streams => "let it run once, so that it can be told what it is",
            GateName::Readers => {
                "see what it reads, and stop that group where it is this (one that only commits is told from what was \
                 left behind once it was watched for 10m)"
            }
            GateName::OpenTransaction => crate::migration::rules::held::ADVICE,
            GateName::Expired => {
                let what = "find out what happened to the log, and what of it was read; then let the group commit anew";
                return format!("{what}; or pass over the gate {} by name, with a reason", self.gate);
            }
        };
        format!("{word}; or pass over it: --override {} --reason TEXT", self.gate)
    }
}

/// What is typed: `head`, and behind it the words of each gate that is passed over.
pub(in crate::migration) fn phrase_over(head: String, gates: &[HeldGate]) -> String {
    gates.iter().fold(head, |phrase, held| phrase + " " + &held.phrase())
}

/// Why a plan can't be committed whatever anybody accepts.
#[must_use]
pub(crate) fn describe_impossible(plan: &GroupTranslation, to: Side) -> Option<String> {
    let none =
        |p: &&PartitionPlan| p.verdict == Verdict::Unmappable || (p.target.offset.is_none() && !p.is_source_only());
    plan.partitions.iter().find(none).map(|p| {
        let why = p.why.as_deref().unwrap_or("no offset");
        format!("{} is {} on {to}: {why}", p.tp, p.verdict)
    })
}

/// The gates of a translation that hold. `limit`: records that may be read again. `settled`: young records were waited
/// for, so that what has no twin now is a loss that may come (an estimate has always some of them).
#[must_use]
pub(crate) fn list_held_gates(plan: &GroupTranslation, to: Side, limit: Option<u64>, settled: bool) -> Vec<HeldGate> {
    let mut all = Vec::new();
    let guess = plan.partitions.iter().find(|p| p.verdict == Verdict::Guess);
    // Beside a guess, what is missing may be unknown as well: one gate says both.
    if let Some(p) = guess {
        let why = p.why.as_deref().unwrap_or("no evidence");
        all.push(HeldGate::new(GateName::Guess, None, format!("{} is {} on {to}: {why}", p.tp, p.verdict)));
    } else if plan.totals.missing.is_none() {
        all.push(HeldGate::new(GateName::Guess, None, format!("what is missing on {to} can't be told")));
    }
    let missing: u64 = plan.partitions.iter().filter_map(|p| p.missing).sum();
    if missing > 0 {
        let cost = if guess.is_some() { rounded_up(missing) } else { missing };
        // In front: what is lost is what the phrase is typed for first.
        all.insert(0, HeldGate::new(GateName::Missing, Some(cost), format!("{missing} records are MISSING on {to}")));
    }
    let young: u64 = plan.partitions.iter().map(|p| p.unsettled.unconsumed).sum();
    if settled && young > 0 {
        let why = format!("{young} records that are not consumed have not arrived on {to}, and may never");
        all.push(HeldGate::new(GateName::Unsettled, Some(young), why));
    }
    match (plan.totals.re_read, limit) {
        (Some(n), Some(limit)) if n > limit => {
            let why = format!("{n} records would be re-read, the limit is {limit}");
            let cost = if guess.is_some() { rounded_up(n) } else { n };
            all.push(HeldGate::new(GateName::ReRead, Some(cost), why));
        }
        // Whatever the limit is: a number that is not known stays below none.
        (None, _) => {
            let why = "how many records would be re-read can't be told".to_owned();
            all.push(HeldGate::new(GateName::ReRead, None, why));
        }
        (Some(_), _) => {}
    }
    all
}

/// A commit on the side that is set, ahead of what would be set there, by its partition.
#[must_use]
pub(crate) fn newer_commit_gate(group: &str, to: Side, ahead: &[(TopicPartition, i64, i64)]) -> Option<HeldGate> {
    let (tp, has, wanted) = ahead.first()?;
    let back = ahead.iter().map(|(_, has, wanted)| has.saturating_sub(*wanted).max(0).unsigned_abs()).sum();
    let why = format!(
        "{group} has {has} at {tp} on {to}, ahead of {wanted}, and nobody wrote that from here",
        group = visible_name(group)
    );
    Some(HeldGate::new(GateName::NewerCommit, Some(back), why))
}

/// What was accepted for a gate that holds, if it covers what it costs now: what a person typed is the most that may
/// happen, also where the counts are guesses. A cost that nobody knew then covers none that is known now.
pub(crate) fn find_acceptance<'a>(held: &HeldGate, accepted: &'a [Accepted]) -> Result<&'a Accepted, Option<u64>> {
    let Some(one) = accepted.iter().find(|a| a.gate == held.gate) else { return Err(None) };
    if held.names.iter().any(|name| !one.names.contains(name)) {
        return Err(None);
    }
    match (one.at_most, held.cost) {
        (Some(most), Some(cost)) if cost > most => Err(Some(most)),
        // a number was typed, and now nobody can tell: it may be more
        (Some(most), None) if held.gate.is_counted() => Err(Some(most)),
        // of what was still on its way nobody could name a number
        (None, Some(_)) if held.gate.is_counted() && held.gate != GateName::Unsettled => Err(None),
        _ => Ok(one),
    }
}

/// Every gate that holds was accepted, with the names it is about and at no less than it costs now; or why not.
pub(in crate::migration) fn check_all_covered(gates: &[HeldGate], accepted: &[Accepted]) -> Result<(), Refusal> {
    match gates.iter().find(|held| find_acceptance(held, accepted).is_err()) {
        None => Ok(()),
        Some(held) => Err(Refusal::holds(held.why.clone(), held.advice())),
    }
}

/// Rounded up to two digits: a guessed number that grows while a dialog is read would never be typed in time.
pub(in crate::migration) fn rounded_up(n: u64) -> u64 {
    let mut unit = 1;
    while n / unit >= 100 {
        unit *= 10;
    }
    n.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::At;
    use crate::offsets::verdict::TargetPosition;

    fn plan(verdict: Verdict, re_read: Option<u64>, missing: Option<u64>) -> GroupTranslation {
        let mut p = PartitionPlan::unmappable(TopicPartition::new("t", 0), "align", "why", At(0));
        (p.verdict, p.re_read, p.missing, p.target.offset) = (verdict, re_read, missing, Some(7));
        GroupTranslation::new(vec![p])
    }

    fn words(plan: &GroupTranslation) -> Vec<String> {
        list_held_gates(plan, Side::Green, Some(50), true).iter().map(HeldGate::phrase).collect()
    }

    #[test]
    fn what_holds_names_its_cost() {
        assert!(words(&plan(Verdict::Bounded, Some(50), Some(0))).is_empty());
        assert_eq!(words(&plan(Verdict::Proven, Some(51), Some(20))), ["lose 20", "re-read 51"]);
        assert_eq!(words(&plan(Verdict::Guess, Some(0), Some(1234))), ["lose 1300", "guess"]);
        assert_eq!(words(&plan(Verdict::Guess, None, None)), ["guess", "re-read"], "unknown is no 0");
        assert_eq!(words(&plan(Verdict::Bounded, None, None)), ["guess", "re-read"]);
        let mut young = plan(Verdict::Bounded, Some(0), Some(0));
        young.partitions[0].unsettled.unconsumed = 3;
        assert_eq!(words(&young), ["unsettled 3"]);
        assert!(list_held_gates(&young, Side::Green, None, false).is_empty(), "an estimate has always some");
        assert_eq!(rounded_up(99), 99);
        assert_eq!(rounded_up(1201), 1300);
    }

    #[test]
    fn what_was_typed_is_the_most_it_may_cost() {
        let missing = |n| list_held_gates(&plan(Verdict::Proven, Some(0), Some(n)), Side::Green, None, true).remove(0);
        let accept = |gate, at_most| Accepted { gate, at_most, reason: "r".into(), names: Vec::new() };
        let lose = [accept(GateName::Missing, Some(20))];
        assert!(find_acceptance(&missing(20), &lose).is_ok());
        assert_eq!(find_acceptance(&missing(21), &lose), Err(Some(20)));
        assert_eq!(find_acceptance(&missing(1), &[accept(GateName::Guess, None)]), Err(None), "another gate");
        assert_eq!(find_acceptance(&missing(1), &[accept(GateName::Missing, None)]), Err(None), "no cost was named");
        let both = [accept(GateName::Missing, Some(20)), accept(GateName::Guess, None)];
        assert_eq!(find_acceptance(&missing(25), &both), Err(Some(20)), "what was typed binds under a guess, too");
        let unsettled = |n| HeldGate::new(GateName::Unsettled, n, String::new());
        assert!(find_acceptance(&unsettled(Some(3)), &[accept(GateName::Unsettled, Some(3))]).is_ok());
        assert_eq!(find_acceptance(&unsettled(Some(4)), &[accept(GateName::Unsettled, Some(3))]), Err(Some(3)));
        assert!(
            find_acceptance(&unsettled(Some(4)), &[accept(GateName::Unsettled, None)]).is_ok(),
            "none could be named"
        );
        let again = |n| HeldGate::new(GateName::ReRead, n, String::new());
        assert!(
            find_acceptance(&again(None), &[accept(GateName::ReRead, None)]).is_ok(),
            "nobody knew, and nobody knows"
        );
        assert_eq!(find_acceptance(&again(None), &[accept(GateName::ReRead, Some(9))]), Err(Some(9)));
        assert_eq!(find_acceptance(&again(Some(9)), &[accept(GateName::ReRead, None)]), Err(None));
        let newer = HeldGate::new(GateName::NewerCommit, Some(41), String::new());
        let rewind = |n| [accept(GateName::NewerCommit, Some(n)), accept(GateName::Guess, None)];
        assert!(find_acceptance(&newer, &rewind(41)).is_ok());
        assert_eq!(find_acceptance(&newer, &rewind(40)), Err(Some(40)), "what stands there is seen, not guessed");
    }

    #[test]
    fn without_an_offset_there_is_nothing_to_pass_over() {
        assert!(describe_impossible(&plan(Verdict::Guess, None, None), Side::Green).is_none());
        let mut none = plan(Verdict::Unmappable, None, None);
        assert!(describe_impossible(&none, Side::Green).unwrap().contains("t-0 is UNMAPPABLE on green: why"));
        none.partitions[0].verdict = Verdict::Proven;
        none.partitions[0].target = TargetPosition { offset: None, log_start: 0, end: 9 };
        assert!(describe_impossible(&none, Side::Green).is_some());
        // where partition counts differ, a row may have no partition there: it only says what is missing
        none.partitions[0].target = TargetPosition::default();
        assert!(describe_impossible(&none, Side::Green).is_none());
    }
}
