//! A small estate on two cluster states: several dual-writing services, one consumer group, a switch. Everything is
//! driven by one seed and a clock of its own; every record carries its send id, so what was lost and read twice is
//! known, whatever the machine believes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{BufMut, BytesMut};
use cutover::base::{At, Observed, Side, TopicPartition, Trouble};
use cutover::estate::{Estate, FlagState, SwitchState};
use cutover::migration::facts::effect::{Effect, EffectResult as Done, Outcome};
use cutover::offsets::identity::identify_record;
use cutover::offsets::{
    EndRead, EndSample, GroupTranslation, IdentityRule, Log, LogPiece, Need, NoSchemas, Params, PartitionPlan, Rec,
    Translation, TranslationAnswer,
};
use cutover::sim::state::{
    BatchProducer, Commit, CommitAsk, GroupReply, IsolationLevel, JoinAsk, Lookup, NewRecord, SimState, SyncAsk,
};
use kafka_protocol::messages::ConsumerProtocolAssignment;
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as Assigned;
use kafka_protocol::protocol::{Encodable, StrBytes};

pub const GROUP: &str = "audit";
pub const TOPIC: &str = "orders";
pub const PRODUCER: &str = "shop";
pub const PARTITIONS: i32 = 3;
/// Length of one step of the world, ms.
pub const STEP_MS: u64 = 100;
const WRITERS: usize = 4;
const ID: &str = "id";
/// Ends that the sampler keeps, one a second.
const SAMPLES: usize = 200;

struct Consumer {
    member: String,
    generation: i32,
    positions: BTreeMap<i32, i64>,
    /// Obeys its switch only after this.
    leaves_at: Option<At>,
}

struct Flight {
    due: At,
    side: Side,
    partition: i32,
    record: NewRecord,
}

pub struct World {
    pub now: At,
    pub rng: fastrand::Rng,
    pub clusters: [SimState; 2],
    pub switch: SwitchState,
    pub flag: FlagState,
    /// Records a second that the consumer can process.
    pub pace: usize,
    /// Times each send id was processed since the mark, and ever.
    pub processed: BTreeMap<u64, u32>,
    pub re_read: u64,
    pub both_ran: bool,
    consumers: [Option<Consumer>; 2],
    flights: Vec<Flight>,
    /// When the last send of each writer to each cluster arrives: a writer keeps its own order.
    last: [[At; 2]; WRITERS],
    next_id: u64,
    sent: Vec<(u64, At)>,
    ends: BTreeMap<(Side, i32), VecDeque<EndSample>>,
    /// How the next effects end: taken but unheard of, or not taken at all.
    pub unheard: Option<bool>,
}

pub fn at(side: Side) -> usize {
    usize::from(side == Side::Green)
}

impl World {
    /// Both clusters with a past of which green has less; the group has caught up on blue.
    pub fn new(seed: u64) -> Self {
        let mut clusters = [SimState::new("blue-id", 3), SimState::new("green-id", 3)];
        for cluster in &mut clusters {
            cluster.create_topic(TOPIC, PARTITIONS, 3, &[], false).unwrap();
        }
        let mut world = Self {
            now: At(1_700_000_000_000),
            rng: fastrand::Rng::with_seed(seed),
            clusters,
            switch: SwitchState::Blue,
            flag: FlagState::Blue,
            pace: 1000,
            processed: BTreeMap::new(),
            re_read: 0,
            both_ran: false,
            consumers: [None, None],
            flights: Vec::new(),
            last: [[At(0); 2]; WRITERS],
            next_id: 1,
            sent: Vec::new(),
            ends: BTreeMap::new(),
            unheard: None,
        };
        world.run(30 + world.rng.clone().u64(0..20));
        world.flag = FlagState::Dual;
        // longer ago than any send takes to arrive on the other cluster
        world.run(200);
        world.pace = [4, 15, 1000][world.rng.usize(0..3)];
        world
    }

    /// Seconds pass in the estate alone.
    pub fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * 1000 / STEP_MS {
            self.step();
        }
    }

    pub fn step(&mut self) {
        self.now = self.now.plus(STEP_MS);
        let now = self.now.0;
        self.write();
        let (due, rest) = std::mem::take(&mut self.flights).into_iter().partition(|f| f.due <= self.now);
        self.flights = rest;
        let mut due: Vec<Flight> = due;
        due.sort_by_key(|f| f.due);
        for f in due {
            let cluster = &mut self.clusters[at(f.side)];
            cluster.append_records(f.due.0, TOPIC, f.partition, &[f.record], BatchProducer::PLAIN, None).unwrap();
        }
        for side in Side::BOTH {
            self.consume(side);
            self.clusters[at(side)].tick(now);
        }
        self.both_ran |= self.consumers.iter().all(Option::is_some);
        if now % 1000 == 0 {
            self.sample();
        }
    }

    fn write(&mut self) {
        for writer in 0..WRITERS {
            if self.rng.u8(0..100) >= 25 {
                continue;
            }
            let id = self.next_id;
            self.next_id += 1;
            self.sent.push((id, self.now));
            let partition = self.rng.i32(0..PARTITIONS);
            for side in Side::BOTH {
                let only = if side == Side::Blue { FlagState::Blue } else { FlagState::Green };
                if self.flag != FlagState::Dual && self.flag != only {
                    continue;
                }
                // now and then a cluster answers late
                let late = if self.rng.u8(0..50) == 0 { self.rng.u64(0..2000) } else { self.rng.u64(0..40) };
                let sent = self.now.plus(self.rng.u64(0..20));
                let due = self.last[writer][at(side)].max(sent.plus(late));
                self.last[writer][at(side)] = due;
                let record = NewRecord::new(format!("k{writer}"), format!("v{id}"), sent.0).header(ID, id.to_string());
                self.flights.push(Flight { due, side, partition, record });
            }
        }
    }

    fn sample(&mut self) {
        for side in Side::BOTH {
            for p in 0..PARTITIONS {
                let end = self.clusters[at(side)].log(TOPIC, p).unwrap().last_stable_offset();
                let seen = self.ends.entry((side, p)).or_default();
                seen.push_back(EndSample { at: self.now, end });
                if seen.len() > SAMPLES {
                    seen.pop_front();
                }
            }
        }
    }

    fn consume(&mut self, side: Side) {
        let now = self.now.0;
        match (self.consumers[at(side)].take(), self.switch.runs_on(side)) {
            (None, false) => {}
            (None, true) => self.consumers[at(side)] = Some(start(&mut self.clusters[at(side)], now)),
            (Some(mut c), wanted) => {
                self.process(side, &mut c);
                let cluster = &mut self.clusters[at(side)];
                let leaves = if wanted {
                    c.leaves_at = None;
                    false
                } else {
                    *c.leaves_at.get_or_insert(self.now.plus(self.rng.u64(0..3000))) <= self.now
                };
                if now % 1000 == 0 || leaves {
                    let ask = CommitAsk {
                        group: GROUP.into(),
                        generation: c.generation,
                        member: c.member.clone(),
                        instance: None,
                    };
                    cluster.check_commit(now, &ask, false).unwrap();
                    for (p, offset) in &c.positions {
                        let commit = Commit { offset: *offset, leader_epoch: 0, metadata: String::new(), at: now };
                        cluster.commit_offset(GROUP, TOPIC, *p, commit).unwrap();
                    }
                }
                if leaves {
                    cluster.leave_group(now, GROUP, &c.member, None).unwrap();
                } else {
                    self.consumers[at(side)] = Some(c);
                }
            }
        }
    }

    fn process(&mut self, side: Side, consumer: &mut Consumer) {
        let mut left = (self.pace * STEP_MS as usize).div_ceil(1000);
        for p in 0..PARTITIONS {
            let position = consumer.positions.entry(p).or_insert(0);
            let log = self.clusters[at(side)].log(TOPIC, p).unwrap();
            for record in log.stream_records(*position, IsolationLevel::ReadCommitted).take(left) {
                left -= 1;
                *position = record.offset + 1;
                let times = self.processed.entry(record.header_text(ID).unwrap().parse().unwrap()).or_default();
                *times += 1;
                self.re_read += u64::from(*times > 1);
            }
        }
    }

    /// Begins a new count of what is read twice.
    pub fn mark(&mut self) {
        self.re_read = 0;
    }

    /// Sends that are at least `age_ms` old and were never processed.
    pub fn lost(&self, age_ms: u64) -> Vec<u64> {
        let old = self.sent.iter().filter(|(_, at)| self.now.since(*at) >= age_ms);
        old.map(|(id, _)| *id).filter(|id| !self.processed.contains_key(id)).collect()
    }

    pub fn runs_on(&self) -> Vec<Side> {
        Side::BOTH.into_iter().filter(|s| self.consumers[at(*s)].is_some()).collect()
    }

    pub fn estate(&self) -> Estate {
        let mut estate = Estate::default();
        for side in Side::BOTH {
            estate.clusters[side] = Observed::seen_at(self.clusters[at(side)].view_cluster(), self.now);
            estate.planes[side] = Observed::seen_at((), self.now);
        }
        estate.switches.insert(GROUP.into(), Observed::seen_at(self.switch, self.now));
        estate.flags.insert(PRODUCER.into(), Observed::seen_at(self.flag, self.now));
        estate
    }

    /// Carries an effect out as the live executor does, or fails to hear of it.
    pub fn execute(&mut self, effect: &Effect) -> Outcome {
        let unheard = if effect.changes() { self.unheard.take() } else { None };
        let why = || Trouble::new("the line went dead", "look at the network");
        match unheard {
            Some(false) => Outcome::Unknown { why: why() },
            Some(true) => {
                self.apply(effect);
                Outcome::Unknown { why: why() }
            }
            None => Outcome::Done { result: self.apply(effect) },
        }
    }

    fn apply(&mut self, effect: &Effect) -> Done {
        match effect {
            Effect::SetSwitch { to, .. } => {
                self.switch = *to;
                Done::Switch { state: *to }
            }
            Effect::SetFlag { to, .. } => {
                self.flag = *to;
                Done::Flag { state: *to }
            }
            Effect::Translate { to, .. } => Done::Plan { plan: self.translate(*to, true) },
            Effect::CommitOffsets { side, offsets, .. } => {
                let wanted: Vec<_> = offsets.iter().map(|(tp, o)| (tp.clone(), Some(*o))).collect();
                self.commit(*side, &wanted)
            }
            Effect::RestoreOffsets { side, offsets, .. } => self.commit(*side, offsets),
            hard => panic!("{hard:?}: the group has no exactly-once producer"),
        }
    }

    /// As an administrator: the broker itself refuses while the group has members.
    fn commit(&mut self, side: Side, offsets: &[(TopicPartition, Option<i64>)]) -> Done {
        let cluster = &mut self.clusters[at(side)];
        let ask = CommitAsk { group: GROUP.into(), generation: -1, ..CommitAsk::default() };
        cluster.check_commit(self.now.0, &ask, false).unwrap_or_else(|e| panic!("a commit on {side}: {e:?}"));
        for (tp, offset) in offsets {
            match offset {
                Some(offset) => {
                    let commit = Commit { offset: *offset, leader_epoch: -1, metadata: String::new(), at: self.now.0 };
                    cluster.commit_offset(GROUP, &tp.topic, tp.partition, commit).unwrap();
                }
                None => cluster.delete_offset(GROUP, &tp.topic, tp.partition).unwrap(),
            }
        }
        let read = |tp: &TopicPartition| {
            let found = cluster.fetch_offset(GROUP, &tp.topic, tp.partition, true).offset;
            (tp.clone(), (found >= 0).then_some(found))
        };
        Done::Offsets { offsets: offsets.iter().map(|(tp, _)| read(tp)).collect() }
    }

    /// The real translation, over the real logs, while the world goes on.
    pub fn translate(&mut self, to: Side, settle: bool) -> GroupTranslation {
        let source = to.other();
        let mut jobs: Vec<Translation> = (0..PARTITIONS)
            .map(|p| {
                let found = self.clusters[at(source)].fetch_offset(GROUP, TOPIC, p, true).offset;
                let seen = |side| self.ends.get(&(side, p)).into_iter().flatten().copied().collect();
                Translation::new(Params {
                    settle,
                    source_seen: seen(source),
                    target_seen: seen(to),
                    ..Params::new(TopicPartition::new(TOPIC, p), (found >= 0).then_some(found))
                })
            })
            .collect();
        let mut plans: Vec<PartitionPlan> = Vec::new();
        for (p, job) in (0..).zip(&mut jobs) {
            loop {
                let answer = match job.next() {
                    Need::Done(plan) => {
                        plans.push(*plan);
                        break;
                    }
                    Need::Wait { ms } => {
                        for _ in 0..ms.div_ceil(STEP_MS) {
                            self.step();
                        }
                        TranslationAnswer::Waited
                    }
                    Need::Ends => {
                        let target = self.end(to, p);
                        // some time passes between the two questions
                        self.step();
                        TranslationAnswer::Ends { source: self.end(source, p), target }
                    }
                    Need::OffsetForTime { log, ts } => {
                        let side = if log == Log::Source { source } else { to };
                        let lookup = Lookup::At(ts.max(0));
                        let found =
                            self.clusters[at(side)].list_offset(TOPIC, p, lookup, IsolationLevel::ReadCommitted);
                        TranslationAnswer::Offset(Some(found.unwrap().1).filter(|o| *o >= 0))
                    }
                    Need::Read { log, from, to: until, .. } => {
                        let side = if log == Log::Source { source } else { to };
                        TranslationAnswer::Records(self.read(side, p, from, until))
                    }
                };
                job.supply(answer, self.now);
            }
        }
        GroupTranslation::new(plans)
    }

    fn end(&self, side: Side, p: i32) -> EndRead {
        let log = self.clusters[at(side)].log(TOPIC, p).unwrap();
        EndRead {
            log_start: log.start(),
            end: log.last_stable_offset(),
            high_watermark: log.high_watermark(),
            asked: self.now,
            answered: self.now,
        }
    }

    fn read(&self, side: Side, p: i32, from: i64, to: i64) -> LogPiece {
        let records =
            self.clusters[at(side)].log(TOPIC, p).unwrap().stream_records(from, IsolationLevel::ReadCommitted);
        let record = |r: cutover::sim::state::StoredRecord| {
            let id = identify_record(&IdentityRule::Content, r.key.as_deref(), r.value.as_deref(), [], &NoSchemas);
            Rec { offset: r.offset, ts: r.timestamp, id }
        };
        LogPiece { next: to, records: records.take_while(|r| r.offset < to).map(record).collect(), keys: Vec::new() }
    }

    /// Ids on a cluster, for a message when a run fails.
    pub fn ids_on(&self, side: Side) -> BTreeSet<u64> {
        let records = |p| self.clusters[at(side)].log(TOPIC, p).unwrap().records(0, IsolationLevel::ReadCommitted);
        (0..PARTITIONS).flat_map(records).map(|r| r.header_text(ID).unwrap().parse().unwrap()).collect()
    }
}

/// Joins the group as its only member, and takes every partition from what is committed, else from the start.
fn start(cluster: &mut SimState, now: i64) -> Consumer {
    let ask = JoinAsk {
        group: GROUP.into(),
        client_id: "audit-1".into(),
        host: "/10.0.0.7".into(),
        session_timeout: 30_000,
        rebalance_timeout: 30_000,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), bytes::Bytes::from_static(&[0, 0]))],
        ..JoinAsk::default()
    };
    cluster.join_group(now, 1, &ask);
    let Some((_, GroupReply::Join(joined))) = cluster.take_ready().pop() else {
        panic!("the only member joins at once")
    };
    assert_eq!(joined.error, None);
    let assigned = Assigned::default()
        .with_topic(StrBytes::from_static_str(TOPIC).into())
        .with_partitions((0..PARTITIONS).collect());
    let mut assignment = BytesMut::new();
    assignment.put_i16(1);
    ConsumerProtocolAssignment::default().with_assigned_partitions(vec![assigned]).encode(&mut assignment, 1).unwrap();
    let sync = SyncAsk {
        group: GROUP.into(),
        generation: joined.generation,
        member: joined.member.clone(),
        assignments: vec![(joined.member.clone(), assignment.freeze())],
        ..SyncAsk::default()
    };
    cluster.sync_group(now, 2, &sync);
    cluster.take_ready();
    let position = |p| (p, cluster.fetch_offset(GROUP, TOPIC, p, true).offset.max(0));
    Consumer {
        positions: (0..PARTITIONS).map(position).collect(),
        member: joined.member,
        generation: joined.generation,
        leaves_at: None,
    }
}
