//! Logs that an open transaction holds. What lies beyond a last stable offset is written, and no read_committed member
//! can read it (KIP-98): a lag that is counted to there says 0 while the group starves. So the last stable offset is held
//! against the high watermark, and against the time for which it has not moved; whose transaction it is the partition's
//! leader and the coordinators tell (KIP-664), where this principal may ask them.

use std::collections::BTreeSet;

use super::context::RuleContext;
use super::group::PreflightFacts;
use crate::base::format_duration;
use crate::base::sanitise::visible_name;
use crate::base::{At, Observed, Side, TopicPartition};
use crate::estate::GroupView;
use crate::estate::transactions::Answer;
use crate::migration::facts::command::Refusal;
use crate::migration::facts::event::RunKind;
use crate::migration::facts::overrides;
use crate::migration::facts::overrides::GateName;
use crate::migration::run::machine::Machine;

/// A last stable offset that has not moved for this long is held, ms: as long as a group's commits have to stand before
/// it is stuck. Transactions that live longer are named while they do.
pub(crate) const HELD_MS: u64 = 15_000;
/// Partitions whose holders are asked for at once.
const ASKED_AT_ONCE: usize = 64;

/// A partition whose last stable offset lies below its high watermark, as the rounds saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldPartition {
    /// Last stable offset.
    pub stable: i64,
    /// High watermark in the newest round.
    pub end: i64,
    /// Since when the last stable offset stands there, as far as it was watched.
    pub since: At,
    /// Whether it was seen to come there. If not, it may have stood there for any time.
    pub begun: bool,
    /// The newest round.
    pub seen: At,
}

impl HeldPartition {
    /// Whether it has been watched to stand for [`HELD_MS`].
    #[must_use]
    pub fn stands(&self) -> bool {
        self.seen.since(self.since) >= HELD_MS
    }

    /// Whether it may stand for good: it does for long, or nobody saw it come.
    #[must_use]
    pub(crate) fn may_stand(&self) -> bool {
        !self.begun || self.stands()
    }
}

/// The last stable offset of one partition over time.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::migration) struct StableOffsetWatch {
    held: Option<HeldPartition>,
    /// The round before was seen too.
    watched: bool,
}

impl StableOffsetWatch {
    /// Takes a round in.
    pub fn feed(&mut self, at: At, stable: i64, end: i64) {
        self.held = match self.held {
            // The last stable offset is asked for after the high watermark, so a log that grows may show it beyond.
            _ if stable >= end => None,
            // It never goes back: standing at the same place on both sides of a hole it stood there all the time.
            Some(held) if held.stable == stable => Some(HeldPartition { end, seen: at, ..held }),
            // At first, and after a hole, nobody knows when it came to stand here, so it may have been long ago.
            _ => Some(HeldPartition { stable, end, since: at, begun: self.watched, seen: at }),
        };
        self.watched = true;
    }

    /// A round was missed.
    pub(crate) fn miss(&mut self) {
        self.watched = false;
    }

    pub fn held(&self) -> Option<HeldPartition> {
        self.held
    }
}

/// A group that has something to read behind an open transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionWait {
    /// The first partition of those that stand longest.
    pub tp: TopicPartition,
    /// How it stands.
    pub held: HeldPartition,
    /// Offsets that are held, over all such partitions.
    pub records: u64,
    /// Such partitions.
    pub partitions: usize,
}

impl TransactionWait {
    /// Nobody saw it begin, nor stand for long: it may be over soon. The words stay the same from look to look.
    #[must_use]
    pub(crate) fn not_yet(&self, side: Side) -> Refusal {
        let why = format!(
            "an open transaction holds {} on {side} at {}, and was not watched for long enough to tell whether it ends",
            self.tp, self.held.stable
        );
        Refusal::unknown(why, "wait for another look: it may be over soon")
    }

    /// Those that stand, or may stand.
    pub(in crate::migration) fn from_held(
        all: impl Iterator<Item = (TopicPartition, HeldPartition)>,
    ) -> Option<TransactionWait> {
        let mut found: Option<TransactionWait> = None;
        for (tp, held) in all.filter(|(_, held)| held.may_stand()) {
            let records = held.end.abs_diff(held.stable);
            match &mut found {
                None => found = Some(TransactionWait { tp, held, records, partitions: 1 }),
                Some(all) => {
                    (all.records, all.partitions) = (all.records + records, all.partitions + 1);
                    // On a tie the first stays: a person types these words, so they must not change from look to look.
                    if held.since < all.held.since {
                        (all.tp, all.held) = (tp, held);
                    }
                }
            }
        }
        found
    }
}

impl RuleContext<'_> {
    /// The partitions of a group that an open transaction holds, or may hold.
    #[must_use]
    pub(crate) fn find_wait(&self, group: &str, side: Side) -> Option<TransactionWait> {
        let view = self.latest_look(group, side)?.view?;
        self.lag.find_wait(side, view)
    }

    /// What of these topics an open transaction holds, or may hold, whoever reads them.
    #[must_use]
    pub(crate) fn find_topics_wait(&self, topics: &BTreeSet<String>, side: Side) -> Option<TransactionWait> {
        let view = self.estate.side(side).value()?;
        let all = super::group::list_partitions(view, topics);
        TransactionWait::from_held(
            all.into_iter().filter_map(|tp| self.lag.held_partition(side, &tp).map(|held| (tp, held))),
        )
    }

    /// Whose transaction is open on a partition: `an open transaction of producer 4711 (ledger-1), open for 12m03s`.
    #[must_use]
    pub(crate) fn describe_holder(&self, side: Side, tp: &TopicPartition, held: HeldPartition) -> String {
        // Transactions follow each other: whose the last look saw need not be whose this one is.
        let told = self.estate.holders[side].get(tp).filter(|seen| self.is_fresh(seen));
        let whose = match told {
            Some(Observed::Known { value: Answer::Told(holders), .. }) => match holders.first() {
                Some(h) => {
                    let name = h
                        .transactional_id
                        .as_ref()
                        .map(|id| format!(" ({id})", id = visible_name(id)))
                        .unwrap_or_default();
                    let since = h.since.map_or_else(
                        || ", of which no coordinator says since when".to_owned(),
                        |at| format!(", open for {}", format_duration(self.now.since(at))),
                    );
                    return format!("an open transaction of producer {}{name}{since},", h.producer_id,);
                }
                None => "its leader names no producer".to_owned(),
            },
            Some(Observed::Known { value, .. }) => value
                .to_trouble()
                .map_or_else(|| "whose is not known".into(), |t| format!("whose is not known: {}", t.what)),
            Some(Observed::Absent { why }) => format!("whose is not known: {}", why.what),
            None => "whose is not known yet".to_owned(),
        };
        format!("an open transaction ({whose}), seen for {},", format_duration(self.now.since(held.since)))
    }

    /// Whose transaction is open on a partition, in a word or two that stay the same while it is: a person types them.
    #[must_use]
    pub(crate) fn holder_name(&self, side: Side, tp: &TopicPartition) -> String {
        let told = self.estate.holders[side].get(tp).filter(|seen| self.is_fresh(seen));
        let first = match told {
            Some(Observed::Known { value: Answer::Told(holders), .. }) => holders.first(),
            _ => None,
        };
        match first {
            Some(h) => h.transactional_id.clone().unwrap_or_else(|| format!("producer {}", h.producer_id)),
            // as it is: what shows it marks it
            None => format!("{}-{}", tp.topic, tp.partition),
        }
    }

    /// What a group waits for, in a sentence.
    #[must_use]
    pub fn describe_wait(&self, side: Side, waits: &TransactionWait) -> String {
        let who = self.describe_holder(side, &waits.tp, waits.held);
        let more = match waits.partitions {
            0 | 1 => String::new(),
            n => format!(" (and {} more partitions)", n - 1),
        };
        format!(
            "{who} holds {} on {side} at {}{more}: {} offsets behind it can't be read",
            waits.tp, waits.held.stable, waits.records
        )
    }
}

/// What to do about a transaction that stays open.
pub(crate) const ADVICE: &str = "let its producer end it, or end it: kafka-transactions.sh find-hanging, then abort; \
                          its records can't be read until then";

impl Machine {
    /// Partitions of which it has to be known who holds them: of groups of the plan, where an open transaction stands.
    #[must_use]
    pub fn wanted_holders(&self, now: At) -> BTreeSet<(Side, TopicPartition)> {
        let sight = self.rule_context(now);
        let mut wanted = BTreeSet::new();
        for side in Side::BOTH {
            for group in self.settings.groups.keys() {
                let Some(view) = sight.latest_look(group, side).and_then(|s| s.view) else { continue };
                for (tp, _) in self.lag.held_partitions(side, view) {
                    // Each is asked of its leader (DescribeProducers, KIP-664); the rest is asked for once some of
                    // these have ended.
                    if wanted.len() >= ASKED_AT_ONCE {
                        return wanted;
                    }
                    wanted.insert((side, tp));
                }
            }
        }
        wanted
    }
}

/// No group is moved to where it would starve, nor away from where records that it has not read can't be seen: whether
/// the other side has them is not known. Back from green it may go all the same: that is what a starving group needs. And
/// what stands open on blue may be the transaction of a writer that is well and commits every few minutes: whoever knows
/// that may go back by naming it, because a way back that waits for such a writer would never be open.
pub(in crate::migration) fn check_may_move(
    sight: &RuleContext<'_>,
    group: &str,
    kind: RunKind,
    to: Side,
    facts: &mut PreflightFacts,
) -> Result<(), Refusal> {
    for side in Side::BOTH {
        let waits = sight.find_topics_wait(&facts.topics, side).filter(|_| kind == RunKind::CutOver || side == to);
        let Some(waits) = waits else { continue };
        let why = match side == to {
            true => {
                format!(
                    "{}: {group} would starve there",
                    sight.describe_wait(side, &waits),
                    group = visible_name(group)
                )
            }
            false => format!("{}, and whether {to} has them is not known", sight.describe_wait(side, &waits)),
        };
        match (waits.held.stands(), kind) {
            // It may end in a moment, which another look shows: nothing that a person has to decide.
            (false, _) => return Err(waits.not_yet(side)),
            (true, RunKind::RollBack) => {
                let names = vec![sight.holder_name(side, &waits.tp)];
                facts.gates.push(overrides::HeldGate {
                    names,
                    ..overrides::HeldGate::new(GateName::OpenTransaction, None, why)
                });
            }
            (true, _) => return Err(Refusal::holds(why, ADVICE)),
        }
    }
    Ok(())
}

/// The partitions of a group that are held, with how: only those where it waits for the last stable offset. A commit
/// beyond it is one of a read_uncommitted member, whom nothing holds.
pub(in crate::migration) fn held_partitions<'a>(
    view: &'a GroupView,
    held: impl Fn(&str, i32) -> Option<HeldPartition> + 'a,
) -> impl Iterator<Item = (TopicPartition, HeldPartition)> + 'a {
    let of = move |(topic, partition, at): (&str, i32, i64)| {
        let held = held(topic, partition).filter(|h| at <= h.stable)?;
        Some((TopicPartition::new(topic, partition), held))
    };
    let all = view.offsets.iter().flat_map(|(t, ps)| ps.iter().map(move |(p, c)| (t.as_str(), *p, c.offset)));
    all.filter_map(of)
}

#[cfg(test)]
mod tests {
    use super::super::lag::{Astray, LagBook};
    use super::*;
    use crate::estate::{ClusterView, Committed, Estate, GroupState, PartitionView, TopicView};

    /// A round: `(stable, end, committed)`; the log begins at 0.
    fn round(at: i64, (stable, end, committed): (i64, i64, i64)) -> Estate {
        let part = PartitionView {
            lso: Some(stable),
            high_watermark: Some(end),
            log_start: Some(0),
            ..PartitionView::default()
        };
        let group = GroupView {
            state: GroupState::Stable,
            offsets: [("t".into(), [(0, Committed { offset: committed, leader_epoch: -1 })].into())].into(),
            ..GroupView::default()
        };
        let view = ClusterView {
            topics: [("t".into(), TopicView { partitions: vec![part], ..TopicView::default() })].into(),
            groups: [("g".into(), group)].into(),
            ..ClusterView::default()
        };
        let mut estate = Estate::default();
        estate.clusters.blue = Observed::seen_at(view, At(at));
        estate
    }

    struct Seen {
        book: LagBook,
        last: Estate,
    }

    impl Seen {
        fn of(rounds: &[(i64, i64, i64)]) -> Seen {
            let mut seen = Seen { book: LagBook::default(), last: Estate::default() };
            for (second, round_of) in (0..).zip(rounds) {
                seen.last = round(second * 1_000, *round_of);
                seen.book.observe(&seen.last, At(second * 1_000), 3_000, &BTreeSet::new());
            }
            seen
        }

        fn lags(&self) -> (Option<u64>, Option<u64>) {
            (self.book.group_lag(Side::Blue, "g"), self.book.readable(Side::Blue, "g"))
        }

        /// Records that it waits for, and whether the log stands.
        fn waits(&self) -> Option<(u64, bool)> {
            let view = &self.last.clusters.blue.value()?.groups["g"];
            self.book.find_wait(Side::Blue, view).map(|w| (w.records, w.held.stands()))
        }
    }

    #[test]
    fn a_group_behind_an_open_transaction_is_not_caught_up() {
        let mut rounds = vec![(100, 100, 100)];
        rounds.extend((0..20).map(|n| (100, 110 + n, 100)));
        let early = Seen::of(&rounds[..10]);
        assert_eq!((early.lags(), early.waits()), ((Some(18), Some(0)), None), "it was seen to begin, and is young");
        let late = Seen::of(&rounds);
        assert_eq!((late.lags(), late.waits()), ((Some(29), Some(0)), Some((29, true))));
        assert!(!late.book.is_stuck(Side::Blue, "g"), "that is the log's fault");
        let view = &late.last.clusters.blue.value().unwrap().groups["g"];
        assert_eq!(late.book.time_lag_ms(Side::Blue, view), Some(19_900), "since the first of them was written");
        rounds.push((130, 130, 130));
        assert_eq!((Seen::of(&rounds).lags(), Seen::of(&rounds).waits()), ((Some(0), Some(0)), None));
    }

    #[test]
    fn what_was_open_at_the_first_look_may_stand_for_any_time() {
        assert_eq!(Seen::of(&[(100, 110, 100)]).waits(), Some((10, false)));
        assert_eq!(Seen::of(&[(100, 110, 100), (105, 120, 105)]).waits(), None, "it was seen to move");
        assert_eq!(Seen::of(&[(100, 110, 100), (110, 110, 110), (110, 111, 110)]).waits(), None);
    }

    #[test]
    fn who_reads_uncommitted_waits_for_nobody() {
        let rounds: Vec<_> = (0..20).map(|n| (100, 200 + n, 150 + n)).collect();
        assert_eq!((Seen::of(&rounds).waits(), Seen::of(&rounds).lags()), (None, (Some(50), Some(0))));
    }

    #[test]
    fn a_hole_in_the_looks_moves_no_transaction() {
        let mut book = LagBook::default();
        for at in [0, 60_000] {
            book.observe(&round(at, (100, 110, 100)), At(at), 3_000, &BTreeSet::new());
        }
        let held = book.held_partition(Side::Blue, &TopicPartition::new("t", 0)).unwrap();
        assert!(held.stands(), "it stood there on both sides of the hole: {held:?}");
    }

    #[test]
    fn what_holds_no_record_is_nothing_to_read() {
        use crate::estate::blank::Blank;
        let mut book = LagBook::default();
        let tp = TopicPartition::new("t", 0);
        let mut told = Vec::new();
        for second in 0..40 {
            let mut estate = round(second * 1_000, (101, 101, 100));
            if second >= 20 {
                let blank = Blank { from: 100, to: 101, topic_id: None };
                estate.blanks.blue.insert(tp.clone(), blank);
            }
            book.observe(&estate, At(second * 1_000), 3_000, &BTreeSet::new());
            let seen =
                (book.group_lag(Side::Blue, "g"), book.stands_still(Side::Blue, "g"), book.is_stuck(Side::Blue, "g"));
            told.push(seen);
        }
        assert_eq!((told[1], told[3]), ((Some(1), false, false), (Some(1), true, false)));
        assert_eq!((told[19], told[20]), ((Some(1), true, true), (Some(0), false, false)), "only a marker lies there");
        let other = Blank { from: 100, to: 101, topic_id: Some("another".into()) };
        let mut estate = round(41_000, (101, 101, 100));
        estate.blanks.blue.insert(tp, other);
        book.observe(&estate, At(41_000), 3_000, &BTreeSet::new());
        assert_eq!(book.group_lag(Side::Blue, "g"), Some(1), "that was another log");
    }

    #[test]
    fn a_position_beyond_the_log_is_no_lag_of_zero() {
        let first = Seen::of(&[(100, 100, 150)]);
        assert_eq!((first.lags().0, first.book.astray(Side::Blue, "g")), (None, None), "it may have read on meanwhile");
        let reading = Seen::of(&[(100, 100, 90), (100, 100, 120)]);
        assert_eq!(reading.lags().0, Some(0), "it read on while the round was made");
        let cut = Seen::of(&[(200, 200, 150), (100, 100, 150), (100, 100, 150)]);
        assert_eq!(cut.lags().0, None);
        let tp = TopicPartition::new("t", 0);
        let beyond = Astray::Beyond { tp: tp.clone(), committed: 150, end: 100 };
        assert_eq!(cut.book.astray(Side::Blue, "g"), Some(&beyond));
        let below = Seen::of(&[(200, 200, -1)]);
        let expired = Astray::Expired { tp, committed: -1, start: 0 };
        assert_eq!(below.book.astray(Side::Blue, "g"), Some(&expired));
    }
}
