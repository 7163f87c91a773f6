//! A read-process-write pipeline that writes a topic of two partitions in transactions, on two clusters. Every record
//! has a number, in order by partition; what a log holds more than once, or not at all, shows.

use std::collections::{BTreeMap, BTreeSet};

use cutover::base::{At, Observed, Side, TopicPartition, Trouble};
use cutover::estate::acl::Acl;
use cutover::estate::exactly_once::{Ends, EosLook};
use cutover::estate::transactions::{
    Answer as Told, ProducerView, Since, TransactionState, TransactionView, Unavailable,
};
use cutover::estate::{
    BrokerView, ClusterView, Committed, Estate, FlagState, GroupState, GroupView, MemberView, PartitionView, TopicView,
    WindowView,
};
use cutover::migration::eos::{FencedId, denials_for};
use cutover::migration::facts::command::Subject;
use cutover::migration::facts::effect::{Effect, EffectResult, IssuedEffect, Outcome};
use cutover::migration::facts::settings::{ProducerSettings, Settings};
use cutover::migration::run::machine::Machine;
use cutover::offsets::verdict::{GroupTranslation, PartitionPlan, SourcePosition, TargetPosition, Verdict};

use super::{Driver, truth};
use crate::driver::{self, Fate, meet, name};

pub const PRODUCER: &str = "ledger";
pub const TOPIC: &str = "ledger-out";
pub const INPUT: &str = "ledger-in";
/// Whose offsets the producer commits in its transactions.
pub const COUPLED: &str = "ledger-app";
/// A group that reads what it writes.
pub const READER: &str = "audit";
/// The input is dual-written; blue's offset of a record is this much higher.
const SHIFT: i64 = 100;
const PARTITIONS: i32 = 2;

/// A record's number, or a transaction's marker.
pub type Slot = Option<u64>;

#[derive(Debug, Clone, Default)]
pub struct Log {
    pub slots: Vec<Slot>,
    /// Where an open transaction begins, and whose it is.
    pub open: Option<(usize, usize)>,
}

/// A transactional id on its cluster.
#[derive(Debug, Clone)]
pub struct Id {
    pub name: String,
    pub pid: i64,
    /// -1: never initialised.
    pub epoch: i16,
    pub state: TransactionState,
    pub started: At,
}

/// A group that is not in the plan and that nobody ever joined: it only commits.
#[derive(Debug, Clone, Copy)]
pub struct Loner {
    pub side: Side,
    pub committed: i64,
    /// Its commits follow the end of the log.
    pub moves: bool,
}

/// A process that writes with an id of a side, as it was initialised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instance {
    pub side: Side,
    pub epoch: i16,
}

#[derive(Debug, Clone)]
pub struct World {
    pub now: At,
    pub plan: ProducerSettings,
    pub flag: FlagState,
    pub logs: [[Log; 2]; 2],
    pub ids: [Vec<Id>; 2],
    pub acls: [Vec<Acl>; 2],
    /// Whether a cluster has an authorizer.
    pub authorizer: [bool; 2],
    /// A cluster from before Kafka 3.0.
    pub old: [bool; 2],
    pub hidden: [bool; 2],
    /// The pipeline's own process, if it runs.
    pub main: Option<Instance>,
    /// Seconds that it takes to stop.
    pub stop_delay: u64,
    stopping: Option<At>,
    /// It does not end its transaction when it stops.
    pub stuck: bool,
    /// It has a transaction open whenever it is looked at.
    pub busy: bool,
    /// It does not start on a side.
    pub broken: [bool; 2],
    /// A process of blue that was paused with its producer open, and goes on.
    pub zombie: Option<Instance>,
    pub awake: bool,
    /// A process that was restarted: it initialises again, and writes.
    pub restarted: Option<(Side, Option<Instance>)>,
    /// Somebody else writes on a side.
    pub stranger: [bool; 2],
    /// Where whoever should not write writes.
    pub rogue_partition: usize,
    pub next: [u64; 2],
    /// Position in the input, by blue's offsets.
    pub input: i64,
    pub committed: [BTreeMap<i32, i64>; 2],
    pub cost: i64,
    pub verdict: Verdict,
    pub reader: [Option<BTreeMap<i32, i64>>; 2],
    pub reader_runs: [bool; 2],
    pub loner: Option<Loner>,
    pub window: Option<WindowView>,
    pub carried: BTreeMap<String, bool>,
    /// Somebody has written at a moment of a test's own.
    pub meddled: bool,
    /// What retention has taken of a side's logs, by offset.
    pub expired: [i64; 2],
    /// A carry does not get through, and nobody knows how far it came.
    pub no_carry: bool,
    /// How often what was carried can't be read back.
    pub unread: usize,
    /// The coordinators of a side don't answer.
    pub mute: [bool; 2],
    pub fates: BTreeMap<&'static str, Fate>,
    pub effects: Vec<String>,
}

pub fn at(side: Side) -> usize {
    usize::from(side == Side::Green)
}

fn id(name: &str, pid: i64, epoch: i16) -> Id {
    Id { name: name.into(), pid, epoch, state: TransactionState::Empty, started: At(0) }
}

impl World {
    fn new(plan: ProducerSettings) -> Self {
        let blue = vec![id("ledger-1", 11, 0), id("ledger-2", 12, 0)];
        let green = vec![id("psc-1", 21, -1), id("psc-2", 22, -1)];
        Self {
            now: At(1_000_000),
            plan,
            flag: FlagState::Blue,
            logs: Default::default(),
            ids: [blue, green],
            acls: Default::default(),
            authorizer: [true; 2],
            old: [false; 2],
            hidden: [false; 2],
            main: Some(Instance { side: Side::Blue, epoch: 0 }),
            stop_delay: 0,
            stopping: None,
            stuck: false,
            busy: false,
            broken: [false; 2],
            zombie: None,
            awake: false,
            restarted: None,
            stranger: [false; 2],
            rogue_partition: 0,
            next: [0; 2],
            input: 1000,
            committed: [[(0, 1000), (1, 1000)].into(), BTreeMap::new()],
            cost: 0,
            verdict: Verdict::Proven,
            reader: [Some([(0, 0), (1, 0)].into()), None],
            reader_runs: [false; 2],
            loner: None,
            window: Some(WindowView { name: "sunday".into(), open_until: Some(At(10_000_000)), opens: None }),
            carried: BTreeMap::new(),
            meddled: false,
            expired: [0; 2],
            no_carry: false,
            unread: 0,
            mute: [false; 2],
            fates: BTreeMap::new(),
            effects: Vec::new(),
        }
    }

    fn denied(&self, side: Side) -> bool {
        !self.acls[at(side)].is_empty()
    }

    /// Initialises a side's ids, as a new instance does: `None` when it is denied.
    fn init(&mut self, side: Side) -> Option<Instance> {
        if self.denied(side) {
            return None;
        }
        self.end_open(side, None, true);
        for id in &mut self.ids[at(side)] {
            (id.epoch, id.state) = (id.epoch + 1, TransactionState::Empty);
        }
        Some(Instance { side, epoch: self.ids[at(side)][0].epoch })
    }

    fn lives(&self, instance: Instance) -> bool {
        self.ids[at(instance.side)][0].epoch == instance.epoch && !self.denied(instance.side)
    }

    /// Commits or aborts what is open on a side; of `whose` only.
    fn end_open(&mut self, side: Side, whose: Option<usize>, abort: bool) {
        let mut ended = false;
        for log in &mut self.logs[at(side)] {
            let Some((from, id)) = log.open.filter(|(_, id)| whose.is_none_or(|w| w == *id)) else { continue };
            if abort {
                log.slots[from..].iter_mut().for_each(|s| *s = None);
            }
            log.slots.push(None);
            log.open = None;
            self.ids[at(side)][id].state =
                if abort { TransactionState::CompleteAbort } else { TransactionState::CompleteCommit };
            ended = true;
        }
        if ended && !abort {
            let input = self.input;
            self.committed[at(side)] =
                (0..PARTITIONS).map(|p| (p, input - if side == Side::Green { SHIFT } else { 0 })).collect();
        }
    }

    /// Writes two records a partition in a transaction, and leaves it open or commits it.
    fn write(&mut self, side: Side, leave_open: bool) {
        for p in 0..2 {
            if self.logs[at(side)][p].open.is_none() {
                let begin = self.logs[at(side)][p].slots.len();
                self.logs[at(side)][p].open = Some((begin, 0));
                let now = self.now;
                let id = &mut self.ids[at(side)][0];
                (id.state, id.started) = (TransactionState::Ongoing, now);
            }
            for _ in 0..2 {
                let n = self.next[p];
                self.next[p] += 1;
                self.logs[at(side)][p].slots.push(Some(n));
            }
        }
        self.input += 2;
        if !leave_open {
            self.end_open(side, Some(0), false);
        }
    }

    /// Somebody writes once.
    pub fn meddle(&mut self, side: Side) {
        self.meddled = true;
        self.rogue(side);
    }

    fn rogue(&mut self, side: Side) {
        // Its records are none of the pipeline's.
        let p = self.rogue_partition;
        self.logs[at(side)][p].slots.push(Some(u64::MAX));
        self.logs[at(side)][p].slots.push(None);
    }

    /// Records of an aborted transaction are processed again: exactly once is the pipeline's own promise.
    fn rewind(&mut self, _side: Side) {
        for p in 0..2 {
            let all = self.logs.iter().flat_map(|logs| &logs[p].slots).flatten().filter(|n| **n != u64::MAX);
            self.next[p] = all.max().map_or(0, |n| n + 1);
        }
    }

    /// The coordinator ends what is open for longer than its timeout.
    fn timeouts(&mut self) {
        for side in Side::BOTH {
            let id = &self.ids[at(side)][0];
            if id.state == TransactionState::Ongoing && self.now.since(id.started) > 60_000 {
                self.ids[at(side)][0].epoch += 1;
                self.end_open(side, Some(0), true);
            }
        }
    }

    pub fn end(&self, side: Side, p: i32) -> i64 {
        i64::try_from(self.logs[at(side)][usize::try_from(p).unwrap()].slots.len()).unwrap()
    }

    pub fn stable(&self, side: Side, p: i32) -> i64 {
        let log = &self.logs[at(side)][usize::try_from(p).unwrap()];
        i64::try_from(log.open.map_or(log.slots.len(), |(from, _)| from)).unwrap()
    }

    fn look(&self, side: Side) -> EosLook {
        let partitions = || (0..PARTITIONS).map(|p| TopicPartition::new(TOPIC, p));
        let view = |id: &Id| TransactionView {
            state: id.state,
            producer_id: id.pid,
            epoch: id.epoch,
            timeout_ms: 60_000,
            started: Some(id.started),
            partitions: Vec::new(),
            coordinator: 1,
        };
        let mut ids: BTreeMap<_, _> = BTreeMap::new();
        for (of, all) in Side::BOTH.into_iter().zip(&self.ids) {
            for id in all {
                let told = Told::Told((of == side && id.epoch >= 0).then(|| view(id)));
                let mute = || Told::Unknown(Trouble::new("its coordinator did not answer", "see whether it is up"));
                let told = if self.mute[at(side)] { mute() } else { told };
                let told = if self.old[at(side)] { Told::Unavailable(Unavailable::Before(Since::V3_0)) } else { told };
                ids.insert(id.name.clone(), told);
            }
        }
        let ends = |tp: &TopicPartition| Ends {
            stable: self.stable(side, tp.partition),
            high_watermark: self.end(side, tp.partition),
        };
        let writer = |tp: &TopicPartition| {
            let open = self.logs[at(side)][usize::try_from(tp.partition).unwrap()].open;
            let id = &self.ids[at(side)][0];
            ProducerView {
                producer_id: id.pid,
                epoch: id.epoch.max(0),
                last_sequence: 0,
                last_timestamp: Some(self.now),
                coordinator_epoch: None,
                open_from: open.map(|(from, _)| i64::try_from(from).unwrap()),
            }
        };
        let stand: Vec<Acl> =
            denials_for(&self.plan, side).into_iter().filter(|a| self.acls[at(side)].contains(a)).collect();
        EosLook {
            ids,
            ends: partitions().map(|tp| (tp.clone(), ends(&tp))).collect(),
            writers: partitions().map(|tp| (tp.clone(), Told::Told(vec![writer(&tp)]))).collect(),
            denied: self.plan.principal(side).map(|_| match self.authorizer[at(side)] {
                true => Told::Told(stand),
                false => Told::Unavailable(Unavailable::NoAuthorizer),
            }),
            offsets_partitions: Some(50),
            commits: Some(Told::Told([cutover::estate::exactly_once::offsets_partition(COUPLED, 50).unwrap()].into())),
        }
    }

    fn cluster(&self, side: Side) -> ClusterView {
        let part = |lso: i64, end: i64| PartitionView {
            leader: 1,
            replicas: 1,
            isr: 1,
            log_start: Some(self.expired[at(side)]),
            lso: Some(lso),
            high_watermark: Some(end),
            trouble: None,
        };
        let out = (0..PARTITIONS).map(|p| part(self.stable(side, p), self.end(side, p))).collect();
        let input = self.input + 50 - if side == Side::Green { SHIFT } else { 0 };
        let config: BTreeMap<_, _> = [("retention.ms".to_owned(), "604800000".to_owned())].into();
        let topic = |partitions| TopicView { id: Some(format!("{side}")), partitions, config: config.clone() };
        let group = |topic: &str, offsets: &BTreeMap<i32, i64>, runs: bool| {
            let offsets: BTreeMap<_, _> =
                offsets.iter().map(|(p, o)| (*p, Committed { offset: *o, leader_epoch: -1 })).collect();
            let member = MemberView { assigned: vec![TopicPartition::new(topic, 0)], ..MemberView::default() };
            GroupView {
                state: if runs { GroupState::Stable } else { GroupState::Empty },
                protocol_type: "consumer".into(),
                coordinator: 1,
                members: vec![member; usize::from(runs)],
                offsets: if offsets.is_empty() { BTreeMap::new() } else { [(topic.to_owned(), offsets)].into() },
                ..GroupView::default()
            }
        };
        let mut groups = BTreeMap::new();
        if !self.committed[at(side)].is_empty() {
            let runs = self.main.is_some_and(|m| m.side == side);
            groups.insert(COUPLED.to_owned(), group(INPUT, &self.committed[at(side)], runs));
        }
        if let Some(read) = &self.reader[at(side)] {
            groups.insert(READER.to_owned(), group(TOPIC, read, self.reader_runs[at(side)]));
        }
        if let Some(loner) = self.loner.filter(|l| l.side == side) {
            let alone = group(TOPIC, &[(0, loner.committed)].into(), false);
            groups.insert("flink".to_owned(), GroupView { protocol_type: String::new(), ..alone });
        }
        ClusterView {
            cluster_id: Some(format!("{side}-id")),
            controller: 1,
            brokers: [(1, BrokerView { host: format!("{side}-1"), port: 9092, rack: None, answered: Some(Ok(())) })]
                .into(),
            topics: [(TOPIC.to_owned(), topic(out)), (INPUT.to_owned(), topic(vec![part(input, input); 2]))].into(),
            groups,
            took_ms: 5,
            ..ClusterView::default()
        }
    }

    fn apply(&mut self, effect: &Effect) -> EffectResult {
        match effect {
            Effect::SetFlag { to, .. } => {
                self.flag = *to;
                EffectResult::Flag { state: *to }
            }
            Effect::Fence { side, .. } => {
                self.end_open(*side, None, true);
                let fenced = self.ids[at(*side)].iter_mut().map(|id| {
                    id.epoch += 1;
                    FencedId { id: id.name.clone(), producer_id: id.pid, epoch: id.epoch }
                });
                EffectResult::Fenced { ids: fenced.collect() }
            }
            Effect::Deny { side, .. } if !self.authorizer[at(*side)] => {
                EffectResult::NotDenied { why: Trouble::new("no authorizer is configured on this cluster", "") }
            }
            Effect::Deny { side, acls, .. } => {
                let have = &mut self.acls[at(*side)];
                have.extend(acls.iter().filter(|a| !have.contains(a)).cloned().collect::<Vec<_>>());
                EffectResult::Denied
            }
            Effect::Allow { side, acls, .. } => {
                self.acls[at(*side)].retain(|a| !acls.contains(a));
                EffectResult::Allowed
            }
            Effect::Carry { replay, from, ranges, .. } => {
                let mut records = 0;
                if self.carried.insert(replay.clone(), true).is_none() {
                    for piece in ranges.pieces() {
                        let p = usize::try_from(piece.tp.partition).unwrap();
                        let (a, b) = (usize::try_from(piece.from).unwrap(), usize::try_from(piece.to).unwrap());
                        let data: Vec<Slot> =
                            self.logs[at(*from)][p].slots[a..b].iter().copied().flatten().map(Some).collect();
                        records += u64::try_from(data.len()).unwrap();
                        let target = &mut self.logs[at(from.other())][p].slots;
                        target.extend(data);
                        target.push(None);
                    }
                }
                let read = self.unread == 0;
                self.unread = self.unread.saturating_sub(1);
                EffectResult::Carried { records, verified: read.then_some(true) }
            }
            Effect::Translate { to, .. } => EffectResult::Plan { plan: self.translate(*to) },
            Effect::CommitOffsets { side, offsets, .. } => {
                assert!(self.main.is_none_or(|m| m.side != *side), "a commit on {side} while the pipeline runs there");
                for (tp, o) in offsets {
                    self.committed[at(*side)].insert(tp.partition, *o);
                }
                EffectResult::Offsets { offsets: offsets.iter().map(|(tp, o)| (tp.clone(), Some(*o))).collect() }
            }
            other => panic!("{other:?} is none of a hard cutover"),
        }
    }

    fn translate(&self, to: Side) -> GroupTranslation {
        let shift = if to == Side::Green { -SHIFT } else { SHIFT };
        let one = |p: i32| {
            let committed = self.committed[at(to.other())].get(&p).copied();
            PartitionPlan {
                source: SourcePosition { committed, log_start: 0, end: self.input + 50 },
                target: TargetPosition {
                    offset: committed.map(|c| c + shift - self.cost),
                    log_start: 0,
                    end: self.input + 50,
                },
                verdict: self.verdict,
                re_read: Some(u64::try_from(self.cost).unwrap()),
                missing: Some(0),
                why: None,
                ..PartitionPlan::unmappable(TopicPartition::new(INPUT, p), "align", "", self.now)
            }
        };
        GroupTranslation::new((0..PARTITIONS).map(one).collect())
    }

    /// The pipeline's records of a log, in order.
    pub fn records(&self, side: Side, p: usize, from: usize, to: usize) -> Vec<u64> {
        let log = &self.logs[at(side)][p];
        log.slots[from.min(log.slots.len())..to.min(log.slots.len())]
            .iter()
            .copied()
            .flatten()
            .filter(|n| *n != u64::MAX)
            .collect()
    }
}

impl driver::World for World {
    fn of(settings: &Settings) -> Self {
        Self::new(settings.producers[PRODUCER].clone())
    }

    fn now(&self) -> At {
        self.now
    }

    fn tick(&mut self) {
        self.now = self.now.plus(1000);
        let told =
            Side::BOTH.into_iter().find(|s| self.flag == FlagState::only_on(*s)).filter(|s| !self.broken[at(*s)]);
        if let Some(main) = self.main {
            if !self.lives(main) {
                self.main = None;
            } else if told != Some(main.side) {
                let since = *self.stopping.get_or_insert(self.now);
                if self.now.since(since) >= self.stop_delay * 1000 {
                    if !self.stuck {
                        self.end_open(main.side, None, false);
                    }
                    (self.main, self.stopping) = (None, None);
                }
            }
        }
        if let (None, Some(side)) = (self.main, told) {
            // A new process loses nothing: what was aborted is read and written again.
            self.rewind(side);
            self.main = self.init(side);
        }
        if let Some(main) = self.main {
            if self.busy || self.stuck {
                self.end_open(main.side, None, false);
            }
            let open = (self.busy || self.stuck) && told == Some(main.side);
            self.write(main.side, open);
        }
        self.timeouts();
        if self.awake && self.zombie.is_some_and(|z| self.lives(z)) {
            self.rogue(Side::Blue);
        }
        if let Some((side, instance)) = self.restarted {
            let instance = instance.filter(|i| self.lives(*i)).or_else(|| self.init(side));
            self.restarted = Some((side, instance));
            if instance.is_some() {
                self.rogue(side);
            }
        }
        for (n, side) in Side::BOTH.into_iter().enumerate() {
            if !self.stranger[n] {
                continue;
            }
            self.rogue(side);
        }
        for (n, side) in Side::BOTH.into_iter().enumerate() {
            if !self.reader_runs[n] {
                continue;
            }
            let read = (0..PARTITIONS).map(|p| (p, self.stable(side, p)));
            self.reader[at(side)] = Some(read.collect());
        }
        if let Some(loner) = self.loner.filter(|l| l.moves) {
            self.loner = Some(Loner { committed: self.stable(loner.side, 0), ..loner });
        }
    }

    fn estate(&self, last: &Estate) -> Estate {
        let mut e = last.clone();
        for side in Side::BOTH.into_iter().filter(|s| !self.hidden[at(*s)]) {
            e.clusters[side] = Observed::seen_at(self.cluster(side), self.now);
            e.eos[side].insert(PRODUCER.into(), Observed::seen_at(self.look(side), self.now));
        }
        e.flags.insert(PRODUCER.into(), Observed::seen_at(self.flag, self.now));
        e.switches.insert(READER.into(), Observed::seen_at(cutover::estate::SwitchState::Blue, self.now));
        e.windows = self.window.clone().into_iter().collect();
        Side::BOTH.into_iter().for_each(|side| e.planes[side] = Observed::seen_at((), self.now));
        e
    }

    fn execute(&mut self, issued: &IssuedEffect) -> Option<Outcome> {
        let (word, kind) = name(&issued.effect);
        self.effects.push(word);
        let lost = (kind == "carry" && self.no_carry).then_some(Fate::UnknownNot);
        let fate = self.fates.remove(kind).or(lost);
        meet(self, fate, |world| world.apply(&issued.effect))
    }

    fn effects(&mut self) -> &mut Vec<String> {
        &mut self.effects
    }

    fn measured(&self, _: Side, _: &BTreeSet<String>) -> Option<GroupTranslation> {
        None
    }

    fn subject() -> Subject {
        Subject::Producer(PRODUCER.into())
    }

    fn stage(machine: &Machine) -> String {
        machine.producer_stage(PRODUCER).word().to_owned()
    }

    fn next(machine: &Machine, now: At) -> Vec<String> {
        vec![machine.producer_next_step(PRODUCER, now).words]
    }

    fn sane(d: &Driver) {
        truth::sane(d);
    }
}
