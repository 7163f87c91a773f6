//! A tiny world for the machine: one group, one topic of two partitions that is written to both clusters (green's
//! offsets are 100 lower), a switch, a flag, and the books of what the group processed, lost and read twice.

use std::collections::{BTreeMap, BTreeSet};

use cutover::base::{At, Observed, Side, TopicPartition, Trouble};
use cutover::estate::holder::{TransactionHolder, TransactionHolders as Answered};
use cutover::estate::partial::{Operations, Shown, Throttled};
use cutover::estate::{
    BrokerView, ClusterView, Committed, Estate, FlagState, GroupKind, GroupState, GroupView, MemberView, PartitionView,
    SwitchState, TopicView, WindowView,
};
use cutover::migration::facts::command::Subject;
use cutover::migration::facts::effect::{Effect, EffectResult, IssuedEffect, Outcome};
use cutover::migration::facts::settings::Settings;
use cutover::migration::run::machine::Machine;
use cutover::offsets::Unsettled;
use cutover::offsets::verdict::{GroupTranslation, PartitionPlan, SourcePosition, TargetPosition, Verdict};

use crate::driver::{self, Fate, meet, name};

pub const GROUP: &str = "audit";
pub const TOPIC: &str = "orders";
pub const PRODUCER: &str = "shop";
/// Blue's offset of a record is this much higher than green's.
const SHIFT: i64 = 100;
/// Records a second and partition.
const WRITES: i64 = 10;

/// Another topic: one partition, ten records on each side where it exists.
#[derive(Debug, Clone, Default)]
pub struct Other {
    pub on: [bool; 2],
    /// The group's members are assigned it while they run.
    pub assigned: bool,
    /// They subscribe to it by name.
    pub subscribed: bool,
    /// An open transaction holds its last record.
    pub held: bool,
    pub committed: [Option<i64>; 2],
}

/// A group on blue that is not in the plan and that nobody ever joined.
#[derive(Debug, Clone, Copy)]
pub struct Loner {
    pub committed: i64,
    /// Its commits follow the end of the log.
    pub moves: bool,
}

/// Records of another topic.
const OTHERS: i64 = 10;

#[derive(Debug, Clone)]
pub struct World {
    pub now: At,
    pub switch: SwitchState,
    pub manual: bool,
    pub flag: FlagState,
    pub flag_manual: bool,
    /// What the producer really does, when it ignores its flag.
    pub writes: Option<FlagState>,
    pub ids: [Option<String>; 2],
    pub kind: GroupKind,
    pub static_members: bool,
    pub partitions: [usize; 2],
    /// The same when time began to pass.
    began: Option<[usize; 2]>,
    pub hidden: [bool; 2],
    pub switch_hidden: bool,
    /// A side whose data plane does not answer in this session.
    pub mute: [bool; 2],
    /// A consumer that does not start on a side whatever its switch says.
    pub broken: [bool; 2],
    /// Members that no switch controls.
    pub extra: [usize; 2],
    /// Seconds the consumer takes to leave.
    pub stop_delay: u64,
    leaving: Option<(Side, At)>,
    /// What a translation costs, records per partition.
    pub cost: i64,
    pub missing: u64,
    /// Unconsumed records that have not arrived on the other side.
    pub unsettled: u64,
    /// The topic was deleted and created again on a side.
    pub recreated: [bool; 2],
    pub verdict: Verdict,
    /// A commit is answered with other offsets than asked for.
    pub misread: bool,
    pub fates: BTreeMap<&'static str, Fate>,
    /// So many effects with a fate go well first.
    pub spared: u32,
    /// Records written to each side, per partition.
    end: [i64; 2],
    pub committed: [BTreeMap<i32, i64>; 2],
    running: [bool; 2],
    /// Somebody has joined the group on a side: until then its protocol type is empty there.
    pub joined: [bool; 2],
    /// Logical position (blue's offsets) up to which everything was processed.
    processed: [i64; 2],
    pub lost: u64,
    pub re_read: u64,
    pub both_ran: bool,
    pub effects: Vec<String>,
    /// The group was deleted on a side.
    pub deleted: [bool; 2],
    /// Other topics by name.
    pub others: BTreeMap<String, Other>,
    /// Nobody joins the group: it only commits.
    pub alone: bool,
    /// Seconds between two commits.
    pub every: i64,
    /// It goes on where it ran although its switch says off.
    pub stubborn: bool,
    pub client: String,
    pub protocol: String,
    pub rebalancing: bool,
    /// Another group on blue: its protocol type.
    pub worker: Option<String>,
    pub loner: Option<Loner>,
    pub windows: Vec<WindowView>,
    /// Where an open transaction holds the log of a side.
    pub held: [Option<i64>; 2],
    /// Where the logs of a side begin.
    pub start: [i64; 2],
    /// A side does not tell its high watermarks.
    pub endless: [bool; 2],
    /// Markers of transactions behind the last record of a side: nobody reads them.
    pub markers: [i64; 2],
    /// Whose transactions are open, where their leaders say so.
    pub holder: Option<TransactionHolder>,
    /// This principal may not see the group, or the topic, on a side.
    pub barred_group: [bool; 2],
    pub barred_topic: [bool; 2],
    /// A quota slows this client down on a side.
    pub throttled: [bool; 2],
    /// This principal is shown only what it may DESCRIBE on a side.
    pub veiled: [bool; 2],
}

pub fn at(side: Side) -> usize {
    usize::from(side == Side::Green)
}

fn logical(side: Side, offset: i64) -> i64 {
    if side == Side::Blue { offset } else { offset + SHIFT }
}

/// Whose progress a partition's is: of all but the first it is one.
fn slot(partition: i32) -> usize {
    usize::try_from(partition).unwrap().min(1)
}

impl World {
    fn new() -> Self {
        Self {
            now: At(1_000_000),
            switch: SwitchState::Blue,
            manual: false,
            flag: FlagState::Dual,
            flag_manual: false,
            writes: None,
            ids: [Some("blue-id".into()), Some("green-id".into())],
            kind: GroupKind::Classic,
            static_members: false,
            partitions: [2, 2],
            began: None,
            hidden: [false; 2],
            switch_hidden: false,
            mute: [false; 2],
            broken: [false; 2],
            extra: [0; 2],
            stop_delay: 0,
            leaving: None,
            cost: 0,
            missing: 0,
            unsettled: 0,
            recreated: [false; 2],
            verdict: Verdict::Proven,
            misread: false,
            fates: BTreeMap::new(),
            spared: 0,
            end: [1000, 1000 - SHIFT],
            committed: [[(0, 1000), (1, 1000)].into(), BTreeMap::new()],
            running: [true, false],
            joined: [true, false],
            processed: [1000; 2],
            lost: 0,
            re_read: 0,
            both_ran: false,
            effects: Vec::new(),
            deleted: [false; 2],
            others: BTreeMap::new(),
            alone: false,
            every: 1,
            stubborn: false,
            client: "audit-1".into(),
            protocol: "range".into(),
            rebalancing: false,
            worker: None,
            loner: None,
            windows: Vec::new(),
            held: [None; 2],
            start: [0; 2],
            endless: [false; 2],
            markers: [0; 2],
            holder: None,
            barred_group: [false; 2],
            barred_topic: [false; 2],
            throttled: [false; 2],
            veiled: [false; 2],
        }
    }

    /// Up to where a read_committed member can read.
    fn stable(&self, side: Side) -> i64 {
        self.held[at(side)].unwrap_or(i64::MAX).min(self.end[at(side)])
    }

    /// From now on an open transaction holds a side's log.
    pub fn hold(&mut self, side: Side) {
        self.held[at(side)] = Some(self.end[at(side)]);
    }

    /// Everything on a side has expired.
    pub fn expire(&mut self, side: Side) {
        self.start[at(side)] = self.end[at(side)] + self.markers[at(side)];
    }

    /// A side's log ends there: the rest was cut off.
    pub fn cut(&mut self, side: Side, end: i64) {
        self.end[at(side)] = end;
    }

    fn begin(&mut self, side: Side) {
        self.running[at(side)] = true;
        // What was added since the world began holds nothing yet.
        let old = self.began.map_or(0, |counts| i32::try_from(counts[at(side)]).unwrap());
        for p in 0..self.count(side).min(old) {
            let done = self.processed[slot(p)];
            // Without a commit, auto.offset.reset = latest decides.
            let from = self.committed[at(side)].get(&p).copied().unwrap_or(self.end[at(side)]);
            let from = logical(side, from);
            self.lost += u64::try_from(from - done).unwrap_or(0);
            self.re_read += u64::try_from(done - from).unwrap_or(0);
        }
    }

    /// How many partitions the topic has on a side.
    fn count(&self, side: Side) -> i32 {
        i32::try_from(self.partitions[at(side)]).unwrap()
    }

    /// The sides on which the group's deployment runs.
    pub fn runs_on(&self) -> Vec<Side> {
        Side::BOTH.into_iter().filter(|s| self.running[at(*s)]).collect()
    }

    fn cluster(&self, side: Side) -> ClusterView {
        let markers = self.markers[at(side)];
        let part = PartitionView {
            leader: 1,
            replicas: 1,
            isr: 1,
            log_start: Some(self.start[at(side)]),
            lso: Some(self.stable(side) + markers),
            high_watermark: Some(self.end[at(side)] + markers).filter(|_| !self.endless[at(side)]),
            trouble: None,
        };
        let id = Some(format!("{side}-{}", if self.recreated[at(side)] { 2 } else { 1 }));
        let topic = TopicView { id, partitions: vec![part; self.partitions[at(side)]], ..Default::default() };
        let n = usize::from(self.running[at(side)]) + self.extra[at(side)];
        let n = if self.alone { 0 } else { n };
        let names = |wanted: fn(&Other) -> bool| self.others.iter().filter(move |(_, o)| wanted(o)).map(|(t, _)| t);
        let assigned = names(|o| o.assigned).map(|t| TopicPartition::new(t.as_str(), 0));
        let member = MemberView {
            client_id: self.client.clone(),
            host: "10.0.0.7".into(),
            instance_id: self.static_members.then(|| "audit-1".into()),
            assigned: match self.rebalancing {
                true => Vec::new(),
                false => std::iter::once(TopicPartition::new(TOPIC, 0)).chain(assigned).collect(),
            },
            subscribed: if self.rebalancing { Vec::new() } else { names(|o| o.subscribed).cloned().collect() },
            ..Default::default()
        };
        let offsets: BTreeMap<i32, Committed> =
            self.committed[at(side)].iter().map(|(p, o)| (*p, Committed { offset: *o, leader_epoch: -1 })).collect();
        let others = self.others.iter().filter_map(|(t, o)| {
            let offset = o.committed[at(side)]?;
            Some((t.clone(), [(0, Committed { offset, leader_epoch: -1 })].into()))
        });
        let own = (!offsets.is_empty()).then(|| (TOPIC.to_string(), offsets));
        let joined = (self.joined[at(side)] || n > 0) && !self.alone;
        let group = GroupView {
            // What only a tool has committed is a simple group, whatever its members will make of it.
            kind: if joined || self.kind != GroupKind::Consumer { self.kind } else { GroupKind::Classic },
            state: match n {
                0 => GroupState::Empty,
                _ if self.rebalancing => GroupState::Rebalancing,
                _ => GroupState::Stable,
            },
            protocol_type: match joined && self.kind != GroupKind::Consumer {
                true => "consumer".into(),
                false => String::new(),
            },
            protocol: if n > 0 { self.protocol.clone() } else { String::new() },
            coordinator: 1,
            members: vec![member; n],
            offsets: own.into_iter().chain(others).collect(),
            ..GroupView::default()
        };
        let log = |o: &Other| PartitionView {
            leader: 1,
            log_start: Some(0),
            lso: Some(OTHERS - i64::from(o.held)),
            high_watermark: Some(OTHERS),
            ..PartitionView::default()
        };
        let other = |o: &Other| TopicView { partitions: vec![log(o)], ..Default::default() };
        let other_topics = self.others.iter().filter(|(_, o)| o.on[at(side)]).map(|(t, o)| (t.clone(), other(o)));
        let loner = self.loner.filter(|_| side == Side::Blue).map(|loner| {
            let offsets = [(0, Committed { offset: loner.committed, leader_epoch: -1 })].into();
            let offsets = [(TOPIC.to_string(), offsets)].into();
            ("loner".to_string(), GroupView { state: GroupState::Empty, offsets, ..GroupView::default() })
        });
        let worker = self.worker.as_ref().filter(|_| side == Side::Blue).map(|protocol| {
            let kind = if protocol == "share" { GroupKind::Share } else { GroupKind::Other };
            let members = vec![MemberView::default(); usize::from(kind == GroupKind::Other)];
            let view = GroupView {
                kind,
                state: GroupState::Stable,
                protocol_type: protocol.clone(),
                members,
                ..GroupView::default()
            };
            ("workers".to_string(), view)
        });
        // Asked for by name, as the controller does with what the plan names.
        let refused =
            |what: &str| Trouble::new(format!("{what}: {side} broker 1 answered AUTHORIZATION_FAILED"), "grant it");
        let group = match self.barred_group[at(side)] {
            true => GroupView { trouble: Some(refused("group audit")), ..GroupView::default() },
            false => group,
        };
        let barred = self.barred_topic[at(side)];
        let throttled = self.throttled[at(side)];
        let exists = !self.deleted[at(side)] && (n > 0 || !self.committed[at(side)].is_empty());
        ClusterView {
            cluster_id: self.ids[at(side)].clone(),
            controller: 1,
            brokers: [(1, BrokerView { host: format!("{side}-1"), port: 9092, rack: None, answered: Some(Ok(())) })]
                .into(),
            topics: std::iter::once((TOPIC.to_string(), topic)).filter(|_| !barred).chain(other_topics).collect(),
            groups: exists.then(|| (GROUP.to_string(), group)).into_iter().chain(worker).chain(loner).collect(),
            hidden_topics: if barred { [(TOPIC.to_string(), refused("topic orders"))].into() } else { BTreeMap::new() },
            shown: match self.veiled[at(side)] {
                true => Shown::Operations(Operations(1 << 8)), // DESCRIBE alone
                false => Shown::default(),
            },
            left_out: self.veiled[at(side)]
                .then(|| Trouble::new(format!("some topics of {side} may be hidden"), "grant it")),
            throttled: throttled.then(|| Throttled { answers: 5, of: 6, ms: 850, who: "client-id cutover".into() }),
            took_ms: 5,
            ..ClusterView::default()
        }
    }

    fn apply(&mut self, effect: &Effect) -> EffectResult {
        match effect {
            Effect::SetSwitch { to, .. } if self.manual => {
                let _ = to;
                EffectResult::Nothing
            }
            Effect::SetSwitch { to, .. } => {
                self.switch = *to;
                EffectResult::Switch { state: *to }
            }
            Effect::SetFlag { .. } if self.flag_manual => EffectResult::Nothing,
            Effect::SetFlag { to, .. } => {
                self.flag = *to;
                EffectResult::Flag { state: *to }
            }
            Effect::Translate { to, topics, .. } => EffectResult::Plan { plan: self.plan(*to, topics) },
            Effect::CommitOffsets { side, offsets, .. } => {
                assert!(!self.running[at(*side)], "a commit on {side} while the group runs there");
                for (tp, o) in offsets {
                    match self.others.get_mut(&tp.topic) {
                        Some(other) => other.committed[at(*side)] = Some(*o),
                        None => drop(self.committed[at(*side)].insert(tp.partition, *o)),
                    }
                }
                self.read_back(*side, offsets.iter().map(|(tp, _)| tp))
            }
            Effect::RestoreOffsets { side, offsets, .. } => {
                for (tp, o) in offsets {
                    if let Some(other) = self.others.get_mut(&tp.topic) {
                        other.committed[at(*side)] = *o;
                        continue;
                    }
                    match o {
                        Some(o) => self.committed[at(*side)].insert(tp.partition, *o),
                        None => self.committed[at(*side)].remove(&tp.partition),
                    };
                }
                self.read_back(*side, offsets.iter().map(|(tp, _)| tp))
            }
            hard => panic!("{hard:?}: hard cutovers have a world of their own"),
        }
    }

    fn read_back<'a>(&self, side: Side, asked: impl Iterator<Item = &'a TopicPartition>) -> EffectResult {
        let wrong = i64::from(self.misread);
        let read = |tp: &TopicPartition| match self.others.get(&tp.topic) {
            Some(other) => other.committed[at(side)],
            None => self.committed[at(side)].get(&tp.partition).map(|o| o + wrong),
        };
        EffectResult::Offsets { offsets: asked.map(|tp| (tp.clone(), read(tp))).collect() }
    }

    /// A perfect translation, made dearer or worse as the case asks.
    fn plan(&self, to: Side, topics: &BTreeSet<String>) -> GroupTranslation {
        let from = to.other();
        let none =
            |topic: &str| PartitionPlan::unmappable(TopicPartition::new(topic, 0), "align", "no topic", self.now);
        let other = |topic: &String| {
            let Some(o) = self.others.get(topic).filter(|o| o.on == [true; 2]) else { return none(topic) };
            let committed = o.committed[at(from)];
            let ends = |offset| TargetPosition { offset: Some(offset), log_start: 0, end: OTHERS };
            PartitionPlan {
                source: SourcePosition { committed, log_start: 0, end: OTHERS },
                target: ends(committed.unwrap_or(0)),
                verdict: if committed.is_some() { Verdict::Proven } else { Verdict::Bounded },
                re_read: Some(if committed.is_some() { 0 } else { OTHERS.unsigned_abs() }),
                missing: Some(0),
                ..none(topic)
            }
        };
        let others = topics.iter().filter(|t| *t != TOPIC).map(other);
        let shift = if to == Side::Green { -SHIFT } else { SHIFT };
        let partitions: Vec<PartitionPlan> = (0..self.count(from).max(self.count(to)))
            .map(|p| {
                let at_source = |p: i32| self.committed[at(from)].get(&p).copied();
                let mapped = self.verdict != Verdict::Unmappable;
                // All partitions are alike here: one that the source lacks holds what another of its has.
                let offset = at_source(p % self.count(from)).filter(|_| mapped).map(|c| c + shift - self.cost);
                let target = TargetPosition { offset, log_start: 0, end: self.end[at(to)] };
                let source = SourcePosition { committed: at_source(p), log_start: 0, end: self.end[at(from)] };
                PartitionPlan {
                    tp: TopicPartition::new(TOPIC, p),
                    source: if p < self.count(from) { source } else { SourcePosition::default() },
                    target: if p < self.count(to) { target } else { TargetPosition::default() },
                    strategy: "align".into(),
                    verdict: self.verdict,
                    re_read: mapped.then(|| u64::try_from(self.cost).unwrap()),
                    missing: mapped.then_some(if p == 0 { self.missing } else { 0 }),
                    evidence: "content".into(),
                    unsettled: Unsettled { unconsumed: if p == 0 { self.unsettled } else { 0 }, ..Default::default() },
                    why: (!mapped).then(|| "log start".into()),
                    ..PartitionPlan::unmappable(TopicPartition::new(TOPIC, p), "align", "log start", self.now)
                }
            })
            .chain(others)
            .collect();
        GroupTranslation::new(partitions)
    }
}

impl driver::World for World {
    fn of(_: &Settings) -> Self {
        Self::new()
    }

    fn now(&self) -> At {
        self.now
    }

    /// One second passes: records are written, who runs reads them and commits.
    fn tick(&mut self) {
        self.now = self.now.plus(1000);
        self.began.get_or_insert(self.partitions);
        let writing = self.writes.unwrap_or(self.flag);
        for side in Side::BOTH {
            let only = if side == Side::Blue { FlagState::Blue } else { FlagState::Green };
            if writing == FlagState::Dual || writing == only {
                self.end[at(side)] += WRITES;
            }
        }
        for side in Side::BOTH {
            let stays = self.stubborn && self.running[at(side)];
            let told = (self.switch.runs_on(side) || stays) && !self.broken[at(side)];
            match (self.running[at(side)], told) {
                (true, false) => {
                    let since = match self.leaving {
                        Some((s, since)) if s == side => since,
                        _ => self.now,
                    };
                    self.leaving = Some((side, since));
                    if self.now.since(since) >= self.stop_delay * 1000 {
                        self.running[at(side)] = false;
                        self.leaving = None;
                    }
                }
                (false, true) => self.begin(side),
                _ => {}
            }
        }
        self.both_ran |= self.running[0] && self.running[1];
        for side in Side::BOTH.map(at) {
            self.joined[side] |= !self.alone && (self.running[side] || self.extra[side] > 0);
        }
        if let Some(loner) = self.loner.as_mut().filter(|loner| loner.moves) {
            loner.committed = self.end[0];
        }
        let due = self.now.0 / 1000 % self.every == 0;
        for side in Side::BOTH.into_iter().filter(|s| self.running[at(*s)] && due) {
            for p in 0..self.count(side) {
                let read = self.stable(side);
                let before = self.committed[at(side)].get(&p).copied().unwrap_or(0);
                self.committed[at(side)].insert(p, read.max(before));
                let reached = logical(side, read);
                let done = &mut self.processed[slot(p)];
                *done = (*done).max(reached);
            }
        }
    }

    fn estate(&self, last: &Estate) -> Estate {
        let mut e = last.clone();
        for side in Side::BOTH.into_iter().filter(|s| !self.hidden[at(*s)]) {
            e.clusters[side] = Observed::seen_at(self.cluster(side), self.now);
        }
        for side in Side::BOTH {
            match self.mute[at(side)] {
                true => e.planes[side]
                    .note_failure(cutover::base::Trouble::new("TLS handshake failed", "check security.protocol")),
                false => e.planes[side] = Observed::seen_at((), self.now),
            }
        }
        if self.manual {
            e.switches.remove(GROUP);
        } else if !self.switch_hidden {
            e.switches.insert(GROUP.into(), Observed::seen_at(self.switch, self.now));
        }
        e.windows.clone_from(&self.windows);
        for side in Side::BOTH {
            let told = self.held[at(side)].zip(self.holder.clone());
            let seen = |(open_from, h): (i64, TransactionHolder)| {
                Observed::seen_at(Answered::Told(vec![TransactionHolder { open_from, ..h }]), self.now)
            };
            e.holders[side] = told.map(seen).into_iter().map(|seen| (TopicPartition::new(TOPIC, 0), seen)).collect();
        }
        if !self.flag_manual {
            e.flags.insert(PRODUCER.into(), Observed::seen_at(self.flag, self.now));
        }
        e
    }

    fn execute(&mut self, issued: &IssuedEffect) -> Option<Outcome> {
        let (word, kind) = name(&issued.effect);
        self.effects.push(word);
        let fate = match self.fates.contains_key(kind) && self.spared > 0 {
            true => {
                self.spared -= 1;
                None
            }
            false => self.fates.remove(kind),
        };
        meet(self, fate, |world| world.apply(&issued.effect))
    }

    fn effects(&mut self) -> &mut Vec<String> {
        &mut self.effects
    }

    fn measured(&self, to: Side, topics: &BTreeSet<String>) -> Option<GroupTranslation> {
        Some(self.plan(to, topics))
    }

    fn subject() -> Subject {
        Subject::Group(GROUP.into())
    }

    fn stage(machine: &Machine) -> String {
        machine.group_stage(GROUP).word().to_string()
    }

    fn next(machine: &Machine, now: At) -> Vec<String> {
        vec![machine.next_step(GROUP, now).words, machine.producer_next_step(PRODUCER, now).words]
    }
}
