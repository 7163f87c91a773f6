//! Two simulated clusters in which everything that anybody may name is named by an enemy, and a plan about them.

use std::fmt::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};
use cutover::base::Side;
use cutover::sim::state::{BatchProducer, Commit, GroupReply, JoinAsk, NewRecord, SimState, SyncAsk};
use cutover::sim::{SimCluster, SimConfig};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as Assigned;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::{Encodable as _, StrBytes};

use super::line::{self, Manner};
use super::{inert, name, text};

/// A topic with the same records on both clusters, one of blue alone, one with an open transaction on blue.
pub const READ: &str = "q01";
pub const DIFFERS: &str = "q02";
pub const HELD: &str = "q03";

/// Groups that only commit, by the tags of their names; each reads [`READ`].
pub const IDLE: &str = "q10";
pub const CARRIES: &str = "q11";
/// It has a member. Its client's id, host, instance id and assignor have tags of their own.
pub const LIVE: &str = "q12";
pub const CLIENT: &str = "q13";
pub const HOST: &str = "q14";
pub const INSTANCE: &str = "q15";
pub const ASSIGNOR: &str = "q16";
/// It speaks a protocol that nobody knows, whose name has a tag of its own.
pub const OTHER: &str = "q17";
pub const PROTOCOL: &str = "q18";
/// It waits for the transaction on [`HELD`].
pub const WAITS: &str = "q19";
/// What a commit of [`CARRIES`] carries, and what a record of [`READ`] holds.
pub const METADATA: &str = "q20";
pub const KEY: &str = "q21";
pub const VALUE: &str = "q22";
/// Nobody can ask for these by name: one holds a NUL, the other bytes that are no text.
pub const NUL: &str = "q23";
pub const STRAY: &str = "q24";
/// Groups that look alike where nothing is marked, by the ends of their names.
pub const ALIKE: &str = "q25-pay";
pub const TWINS: &[&str] = &["", " ", "\u{200d}", "\\u{200d}", "\u{301}", "\u{a0}"];

/// Names of the plan's own, in which nothing acts: they may pass for others all the same.
pub const MIGRATION: &str = "q30";
pub const CLUSTER: &str = "q31";
pub const TEAM: &str = "q32";
pub const PRODUCER: &str = "q33";
pub const WINDOW: &str = "q34";

/// What stands in the simulation for the end of a topic's name, which no broker would make.
const LEGAL: u8 = b'Z';
/// What stands there for bytes that are no UTF-8.
const NO_TEXT: (&[u8], &[u8]) = (b"YYYYYY", &[0xff, 0x9b, 0xc3, 0x28, 0xed, 0xa0]);

/// A topic as the program knows it.
pub fn topic(tag: &str) -> String {
    format!("{tag}{}", end())
}

/// The same as the simulation does.
fn legal(tag: &str) -> String {
    format!("{tag}{}", char::from(LEGAL).to_string().repeat(end().len()))
}

/// How the names of topics end, and no other names: it is what the line looks for.
fn end() -> String {
    format!("\u{1b}[31m{}", name(""))
}

/// The id of one that looks like [`ALIKE`].
pub fn twin(end: &str) -> String {
    format!("{ALIKE}{end}")
}

pub struct Estate {
    pub dir: tempfile::TempDir,
    /// Where the lines to both clusters begin.
    ports: [u16; 2],
    _clusters: [SimCluster; 2],
}

impl Estate {
    pub fn start(manner: Manner) -> Self {
        let end = end().into_bytes();
        let swaps = vec![(vec![LEGAL; end.len()], end), (NO_TEXT.0.into(), NO_TEXT.1.into())];
        let clusters = Side::BOTH.map(|side| {
            let cluster = SimCluster::start(SimConfig { brokers: 1, ..SimConfig::new(side) }).expect("a cluster");
            cluster.with_state_at(|state, now| fill(state, now, side));
            cluster
        });
        let ports = clusters.each_ref().map(|cluster| {
            let port = cluster.with_state(|s| s.brokers[&1].port);
            let port = line::lay(port, swaps.clone(), manner);
            cluster.with_state(|s| s.set_port(1, port));
            port
        });
        Self { dir: tempfile::tempdir().expect("a directory"), ports, _clusters: clusters }
    }

    pub fn bootstrap(&self, side: Side) -> String {
        format!("127.0.0.1:{}", self.ports[usize::from(side == Side::Green)])
    }

    /// A plan of both clusters and what follows; `client`: client properties of both.
    pub fn plan(&self, client: &str, more: &str) -> String {
        let mut plan = format!("[migration]\nname = {}\n", quoted(&inert(MIGRATION)));
        for side in Side::BOTH {
            let (name, at) = (quoted(&inert(CLUSTER)), self.bootstrap(side));
            let _ = writeln!(plan, "[clusters.{side}]\nname = {name}\nbootstrap = \"{at}\"\n[clusters.{side}.client]");
            // An address that nobody can have must not be waited for long.
            let _ = writeln!(plan, "\"socket.connection.setup.timeout.ms\" = \"5000\"\n{client}");
        }
        plan + more
    }

    /// The plan's groups and what else has a name in it.
    pub fn named(&self) -> String {
        let mut more = format!(
            "[[windows]]\nname = {}\ndays = [\"Mon\", \"Tue\"]\nfrom = \"00:00\"\nto = \"01:00\"\nzone = \"UTC\"\n",
            quoted(&inert(WINDOW))
        );
        let manual = "{ provider = \"manual\" }";
        let team = quoted(&inert(TEAM));
        let _ = writeln!(more, "[[producers]]\nname = {}\nteam = {team}\nflag = {manual}", quoted(&inert(PRODUCER)));
        let ids = [IDLE, CARRIES, LIVE, OTHER, WAITS].map(name);
        for id in ids.into_iter().chain(TWINS.iter().map(|end| twin(end))) {
            let _ = writeln!(more, "[[groups]]\nname = {}\nteam = {team}\nswitch = {manual}", quoted(&id));
        }
        let dated = format!("date = \"2030-01-07\"\nwindow = {}\n", quoted(&inert(WINDOW)));
        more + &dated
    }

    pub fn write_plan(&self, client: &str, more: &str) {
        let plan = self.plan(client, more);
        std::fs::write(self.dir.path().join("cutover.toml"), plan).expect("a plan");
    }
}

/// A TOML string in which nothing but ASCII is written.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c)); // writing to a String can't fail
            }
        }
    }
    out + "\""
}

fn fill(state: &mut SimState, now: i64, side: Side) {
    for tag in [READ, DIFFERS, HELD] {
        state.create_topic(&legal(tag), 1, 1, &[], false).expect("a topic");
    }
    // An hour ago by a clock that both clusters share, so that the records are settled and the same.
    let past = now / 3_600_000 * 3_600_000 - 3_600_000;
    let key = [text(KEY).as_bytes(), &[0xff, 0xfe]].concat();
    let records = [0, 1].map(|n| NewRecord::new(key.clone(), format!("{}{n}", text(VALUE)), past + n));
    state.append_records(now, &legal(READ), 0, &records, BatchProducer::PLAIN, None).expect("records");
    if side == Side::Green {
        return;
    }
    state.append_records(now, &legal(DIFFERS), 0, &records, BatchProducer::PLAIN, None).expect("records");
    let commit = |state: &mut SimState, group: &str, topic: &str, metadata: String| {
        let commit = Commit { offset: 1, leader_epoch: -1, metadata, at: now };
        state.commit_offset(group, &legal(topic), 0, commit).expect("a commit");
    };
    for group in [name(IDLE), name(LIVE), format!("{NUL}\0"), format!("{STRAY}-YYYYYY")] {
        commit(state, &group, READ, String::new());
    }
    TWINS.iter().for_each(|end| commit(state, &twin(end), READ, String::new()));
    commit(state, &name(CARRIES), READ, text(METADATA));
    commit(state, &name(WAITS), HELD, String::new());
    member(state, now, &name(LIVE), "consumer");
    member(state, now, &name(OTHER), &name(PROTOCOL));
    open_transaction(state, now);
}

/// A transaction that stays open, with something in it.
fn open_transaction(state: &mut SimState, now: i64) {
    let (topic, id) = (legal(HELD), inert("q26"));
    let plain = [NewRecord::new("k", "v", now), NewRecord::new("k", "w", now)];
    state.append_records(now, &topic, 0, &plain, BatchProducer::PLAIN, None).expect("records");
    let (producer, epoch) = state.init_producer(now, Some(&id), 600_000, (-1, -1)).expect("a producer");
    state.add_partitions(now, &id, (producer, epoch), &[(topic.clone(), 0)]).expect("a transaction");
    let writer = BatchProducer { id: producer, epoch, sequence: 0, transactional: true };
    state.append_records(now, &topic, 0, &[NewRecord::new("k", "x", now)], writer, Some(&id)).expect("a record");
}

/// A member that stays, with the one partition of [`READ`].
fn member(state: &mut SimState, now: i64, group: &str, protocol_type: &str) {
    let topic = StrBytes::from_string(legal(READ));
    let mut subscription = BytesMut::new();
    subscription.put_i16(0);
    let subscribes = ConsumerProtocolSubscription::default().with_topics(vec![topic.clone()]);
    subscribes.encode(&mut subscription, 0).expect("a subscription");
    let ask = JoinAsk {
        group: group.to_owned(),
        client_id: name(CLIENT),
        host: format!("/{}", name(HOST)),
        instance: Some(name(INSTANCE)),
        session_timeout: 1_800_000,
        rebalance_timeout: 600_000,
        protocol_type: protocol_type.to_owned(),
        protocols: vec![(name(ASSIGNOR), subscription.freeze())],
        ..JoinAsk::default()
    };
    state.join_group(now, 1, &ask);
    let Some((_, GroupReply::Join(joined))) = state.take_ready().pop() else { panic!("the only member joins at once") };
    assert_eq!(joined.error, None);
    let partition = Assigned::default().with_topic(topic.into()).with_partitions(vec![0]);
    let mut assignment = BytesMut::new();
    assignment.put_i16(1);
    let assigned = ConsumerProtocolAssignment::default().with_assigned_partitions(vec![partition]);
    assigned.encode(&mut assignment, 1).expect("an assignment");
    let assignment: Bytes = assignment.freeze();
    let sync = SyncAsk {
        group: group.to_owned(),
        generation: joined.generation,
        member: joined.member.clone(),
        instance: Some(name(INSTANCE)),
        assignments: vec![(joined.member.clone(), assignment)],
        ..SyncAsk::default()
    };
    state.sync_group(now, 2, &sync);
    state.take_ready();
}
