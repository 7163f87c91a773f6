//! Dual-writing producers that go wrong as told: what each case draws, and the threads that write it.

use std::sync::{Barrier, Mutex};
use std::time::Duration;

use cutover::base::Side;
use fastrand::Rng;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::logs::HIDDEN;
use super::on;
use crate::support::kafka::{Pair, producer};
use crate::support::unique;

const PATIENCE: Duration = Duration::from_secs(120);
/// Threads, each with a producer a cluster.
const WRITERS: usize = 8;
/// Between two sends of a partition, ms of its timestamps.
const STEP: i64 = 100;
/// The writers are this many sends of a partition apart at most.
const APART: usize = 400;
/// Sends in a transaction.
const TRANSACTION: usize = 60;

/// One partition's traffic. Shares are of the sends.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    /// At most [`WRITERS`].
    pub writers: usize,
    pub sends: usize,
    /// Sends to blue alone, before the writers wrote to both.
    pub before: usize,
    /// Sends with one of a few payloads.
    pub identical: f64,
    pub blue_fails: f64,
    pub green_fails: f64,
    /// Sends that arrive twice on a side.
    pub retries: f64,
    /// Sends of which one copy is written up to 40 sends later.
    pub late: f64,
    /// Written in transactions, some of which are aborted, and some of those written again.
    pub transactions: bool,
    /// Timestamps in no order.
    pub backward: bool,
    /// How long ago it was written, ms; 0: now, with the clients' own timestamps.
    pub ago: i64,
    /// Shares of either log's records that expire, blue's first.
    pub expire: (f64, f64),
}

impl Case {
    /// One writer and nothing wrong, three hours ago.
    pub const PLAIN: Case = Case {
        name: "one writer",
        writers: 1,
        sends: 8_500,
        before: 0,
        identical: 0.0,
        blue_fails: 0.0,
        green_fails: 0.0,
        retries: 0.0,
        late: 0.0,
        transactions: false,
        backward: false,
        ago: 3 * 3_600_000,
        expire: (0.0, 0.0),
    };
}

/// A record as it is sent.
struct Send {
    /// `None`: the moment of sending.
    ts: Option<i64>,
    /// How much later green's timestamp is, ms.
    apart: i64,
    key: Option<String>,
    value: Option<String>,
}

/// What is written to one partition, by each writer in its order.
struct Script {
    topic: String,
    partition: i32,
    sends: Vec<Send>,
    steps: Vec<Vec<Step>>,
}

/// A copy that is written: when, in sends of the partition; where; and of which send.
#[derive(Debug, Clone, Copy)]
struct Step {
    when: usize,
    side: Side,
    send: usize,
}

impl Script {
    fn draw(case: &Case, topic: &str, partition: i32, now: i64, rng: &mut Rng) -> Script {
        let mut sends = Vec::with_capacity(case.before + case.sends);
        let mut steps: Vec<Vec<Step>> = vec![Vec::new(); WRITERS];
        for i in 0..case.before + case.sends {
            let writer = rng.usize(0..case.writers);
            sends.push(Send::draw(case, i, now, rng));
            if i < case.before {
                steps[writer].push(Step { when: i, side: Side::Blue, send: i });
                continue;
            }
            let (fails, late) = (rng.f64(), rng.f64() < case.late);
            let late_side = *rng.choice(Side::BOTH.iter()).unwrap();
            for side in Side::BOTH {
                let failed = match side {
                    Side::Blue => fails < case.blue_fails,
                    Side::Green => fails > 1.0 - case.green_fails,
                };
                let times = if failed { 0 } else { 1 + usize::from(rng.f64() < case.retries) };
                let put_off = if late && side == late_side { rng.usize(1..40) } else { 0 };
                for n in 0..times {
                    let when = i + put_off + if n == 0 { 0 } else { rng.usize(0..20) };
                    steps[writer].push(Step { when, side, send: i });
                }
            }
        }
        steps.iter_mut().for_each(|s| s.sort_by_key(|step| step.when));
        Script { topic: topic.to_owned(), partition, sends, steps }
    }

    /// How many records each cluster shall hold.
    fn written(&self) -> (usize, usize) {
        let on = |side| self.steps.iter().flatten().filter(|s| s.side == side).count();
        (on(Side::Blue), on(Side::Green))
    }

    /// What a writer writes before all wait for each other again.
    fn rounds(&self, writer: usize) -> impl Iterator<Item = &[Step]> {
        let count = self.sends.len().div_ceil(APART) + 1;
        let steps = &self.steps[writer];
        let up_to = |round: usize| steps.partition_point(|s| s.when < round * APART);
        (0..count)
            .map(move |round| &steps[up_to(round)..if round + 1 == count { steps.len() } else { up_to(round + 1) }])
    }

    fn send(&self, producer: &BaseProducer, side: Side, number: usize) {
        let send = &self.sends[number];
        let hidden = number.to_string();
        let trace = format!("{side}-{number}");
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(&self.topic).partition(self.partition).headers(
            OwnedHeaders::new()
                .insert(Header { key: HIDDEN, value: Some(&hidden) })
                .insert(Header { key: "traceparent", value: Some(&trace) }),
        );
        (record.key, record.payload) = (send.key.as_deref(), send.value.as_deref());
        record.timestamp = send.ts.map(|ts| ts + if side == Side::Green { send.apart } else { 0 });
        producer.send(record).map_err(|(e, _)| e).expect("the queue holds a partition's records");
    }
}

impl Send {
    fn draw(case: &Case, i: usize, now: i64, rng: &mut Rng) -> Send {
        let base = now - case.ago + STEP * i as i64;
        let ts = match () {
            () if case.ago == 0 => None,
            () if case.backward && rng.u8(0..50) == 0 => Some(base - rng.i64(0..400_000)),
            () if case.backward => Some(base - rng.i64(0..10_000)),
            () => Some(base + rng.i64(0..STEP)),
        };
        let apart = if rng.u8(0..4) == 0 { rng.i64(0..300) } else { 0 };
        let of_pool = rng.f64() < case.identical;
        let (key, value) = match rng.u8(0..40) {
            _ if of_pool => (Some("pool".to_owned()), Some(format!("state {}", rng.u32(0..60)))),
            0 => (Some(format!("gone-{i}")), None),
            1 => (None, Some(format!("no key {i}"))),
            _ => (Some(format!("account-{}", rng.u32(0..500))), Some(format!("event {i}, {:060}", rng.u64(..)))),
        };
        Send { ts, apart, key, value }
    }
}

/// Writes a case to each of these partitions, eight threads at a time. How many visible records each then holds, on
/// blue and green.
pub fn write(pair: &Pair, cases: &[(&Case, &str, i32)], seed: u64) -> Vec<(usize, usize)> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let mut rng = Rng::with_seed(seed);
    let scripts: Vec<Script> =
        cases.iter().map(|(case, topic, partition)| Script::draw(case, topic, *partition, now, &mut rng)).collect();
    let mut written: Vec<(usize, usize)> = scripts.iter().map(Script::written).collect();
    let barrier = Barrier::new(WRITERS);
    // One that panicked would leave the others at the barrier for ever.
    let refused = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let batches = rng.usize(1..40).to_string();
            let (scripts, barrier, refused) = (&scripts, &barrier, &refused);
            scope.spawn(move || {
                let of = |side| producer(on(pair, side), &[("batch.num.messages", &batches)]);
                let producers = Side::BOTH.map(of);
                for (script, (case, ..)) in scripts.iter().zip(cases) {
                    if case.transactions {
                        continue;
                    }
                    for steps in script.rounds(writer) {
                        barrier.wait();
                        for step in steps {
                            script.send(&producers[usize::from(step.side == Side::Green)], step.side, step.send);
                        }
                        // Flushed before the lock is taken: the writers do it side by side.
                        let failed: Vec<_> = producers.iter().filter_map(|p| p.flush(PATIENCE).err()).collect();
                        refused.lock().expect("no writer panics").extend(failed);
                        // Nobody writes between the two: all of them see the same, and end together.
                        barrier.wait();
                        if !refused.lock().expect("no writer panics").is_empty() {
                            return;
                        }
                    }
                }
            });
        }
        for (i, (script, (case, ..))) in
            scripts.iter().zip(cases).enumerate().filter(|(_, (_, (c, ..)))| c.transactions)
        {
            assert_eq!(case.writers, 1, "one transactional writer a partition");
            written[i] = write_transactions(pair, script, &mut rng);
        }
    });
    assert_eq!(refused.into_inner().expect("no writer panics"), Vec::new(), "written");
    written
}

/// A transactional dual writer: a transaction of each cluster of its own, some aborted and written again, some not.
fn write_transactions(pair: &Pair, script: &Script, rng: &mut Rng) -> (usize, usize) {
    let id = unique("dual");
    let producers = Side::BOTH.map(|side| producer(on(pair, side), &[("transactional.id", &id)]));
    for producer in &producers {
        producer.init_transactions(PATIENCE).expect("a producer id");
    }
    let mut visible = [0, 0];
    for chunk in script.steps[0].chunks(TRANSACTION * 2) {
        for (i, side) in Side::BOTH.into_iter().enumerate() {
            let (aborts, gives_up) = (rng.u8(0..6) == 0, rng.u8(0..4) == 0);
            let attempts: &[bool] = match (aborts, gives_up) {
                (false, _) => &[true],
                (true, false) => &[false, true],
                (true, true) => &[false],
            };
            for commits in attempts {
                producers[i].begin_transaction().expect("begun");
                let mine = chunk.iter().filter(|s| s.side == side);
                visible[i] += mine.clone().count() * usize::from(*commits);
                mine.for_each(|step| script.send(&producers[i], side, step.send));
                producers[i].flush(PATIENCE).expect("in the log");
                let ended = match commits {
                    true => producers[i].commit_transaction(PATIENCE),
                    false => producers[i].abort_transaction(PATIENCE),
                };
                ended.expect("ended");
            }
        }
    }
    (visible[0], visible[1])
}
