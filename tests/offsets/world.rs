//! Two logs as dual-writing producers leave them, with the truth that no offset tool sees: which copy is of which send.

use std::collections::{BTreeMap, BTreeSet};

use cutover::base::{At, TopicPartition};
use cutover::offsets::{
    EndRead, EndSample, Log, LogPiece, Need, Params, PartitionPlan, Rec, Translation, TranslationAnswer,
};
use fastrand::Rng;

use crate::truth::{Copy, Logs};

/// What a random case is drawn from. Times in ms.
#[derive(Debug, Clone)]
pub struct Knobs {
    pub writers: usize,
    pub sends: usize,
    pub span: i64,
    pub delta: i64,
    pub skew: i64,
    pub window: i64,
    pub identical: f64,
    pub heartbeat: bool,
    pub source_fails: f64,
    pub target_fails: f64,
    pub source_retries: f64,
    pub target_retries: f64,
    pub slow: f64,
    pub gaps: f64,
    pub prehistory: usize,
    pub log_append: bool,
    /// Event time: timestamps in no order. How old a record's arrival is, only samples of the end tell then.
    pub backward: bool,
    pub compaction: bool,
    pub source_expires: usize,
    pub target_expires: usize,
    /// Enforce A2: no failed or doubled send of a payload that has a send under way to the source.
    pub honest: bool,
    pub samples: bool,
    pub quiet: bool,
    pub behind: f64,
    /// From this moment (after the start) some writers write to the target alone, and the journal says so.
    pub flip: Option<i64>,
}

impl Knobs {
    pub fn draw(rng: &mut Rng) -> Knobs {
        let some = |rng: &mut Rng, p: f64, max: f64| if rng.f64() < p { rng.f64() * max } else { 0.0 };
        let writers = rng.usize(1..=8);
        Knobs {
            writers,
            sends: rng.usize(0..90),
            span: 12_000,
            delta: 400,
            skew: 2_500,
            window: *rng.choice([0, 300, 1_500, 4_000].iter()).unwrap(),
            identical: if rng.bool() { 0.2 } else { some(rng, 0.3, 0.9) },
            heartbeat: rng.u8(0..8) == 0,
            source_fails: some(rng, 0.5, 0.15),
            target_fails: some(rng, 0.5, 0.15),
            source_retries: some(rng, 0.3, 0.1),
            target_retries: some(rng, 0.3, 0.1),
            slow: some(rng, 0.5, 0.1),
            gaps: some(rng, 0.4, 0.3),
            prehistory: if rng.u8(0..4) == 0 { rng.usize(0..30) } else { 0 },
            log_append: rng.u8(0..6) == 0,
            compaction: rng.u8(0..8) == 0,
            source_expires: if rng.u8(0..5) == 0 { rng.usize(0..20) } else { 0 },
            target_expires: if rng.u8(0..5) == 0 { rng.usize(0..20) } else { 0 },
            honest: true,
            samples: rng.bool(),
            quiet: rng.bool(),
            behind: if rng.bool() { 0.15 } else { 1.0 },
            flip: (rng.u8(0..8) == 0).then(|| rng.i64(0..12_000)),
            backward: false,
        }
        .in_some_order(rng)
    }

    /// One case in eight has event time. A flip is a moment in time, so it goes by the clock.
    fn in_some_order(mut self, rng: &mut Rng) -> Knobs {
        if rng.u8(0..8) == 0 {
            (self.backward, self.samples, self.flip) = (true, true, None);
        }
        self
    }
}

pub struct World {
    pub knobs: Knobs,
    /// Everything that ever arrives, by offset; what is visible depends on the time.
    pub source: Vec<Copy>,
    pub target: Vec<Copy>,
    pub source_start: i64,
    pub target_start: i64,
    pub committed: i64,
    /// Sends that were meant for the target alone.
    pub flipped: BTreeSet<usize>,
    /// When the translation begins to read.
    pub now: i64,
}

impl std::fmt::Display for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const T0: i64 = 1_790_000_000_000;
        writeln!(f, "{:#?}\ncommitted {}, begun at {}", self.knobs, self.committed, self.now - T0)?;
        for log in [Log::Source, Log::Target] {
            writeln!(f, "{log}: offset, send, payload, timestamp, arrival")?;
            for c in self.log(log) {
                let late = if c.arrival > self.now { " late" } else { "" };
                writeln!(f, "  {} {} {} {} {}{late}", c.offset, c.send, c.payload, c.ts - T0, c.arrival - T0)?;
            }
        }
        Ok(())
    }
}

impl World {
    pub fn draw(rng: &mut Rng, knobs: Knobs) -> World {
        let k = &knobs;
        let t0 = 1_790_000_000_000;
        let clocks: Vec<i64> = (0..k.writers).map(|_| rng.i64(-300..300)).collect();
        let now = t0 + k.span + if k.quiet { 2 * k.skew } else { 0 };
        let (mut source, mut target) = (Vec::new(), Vec::new());
        let mut flipped = BTreeSet::new();
        let mut at = t0;
        let step = k.span / (k.sends.max(1) as i64);
        let begin = t0 - 200 * k.prehistory as i64;
        for i in 0..k.prehistory {
            let payload = if rng.f64() < k.identical { rng.u64(0..5) } else { 1_000_000 + i as u64 };
            let ts = begin + 200 * i as i64;
            source.push(Copy { offset: 0, ts, arrival: ts + 5, payload, send: 10_000 + i });
        }
        for send in 0..k.sends {
            at += if k.heartbeat { step } else { rng.i64(0..=2 * step) };
            let unique = 1_000 + send as u64;
            let payload = match () {
                () if k.heartbeat => 0,
                () if rng.f64() < k.identical => rng.u64(0..5),
                () => unique,
            };
            let writer = rng.usize(0..k.writers);
            let ts = if k.backward { t0 + rng.i64(0..k.span) } else { at + clocks[writer] };
            let latency = |rng: &mut Rng| {
                if rng.f64() < k.slow { rng.i64(0..k.skew) } else { rng.i64(1..40) }
            };
            let (to_source, to_target) = (latency(rng), latency(rng));
            // the two timestamps of one send: often equal, else within A1's half
            let apart = if rng.bool() { 0 } else { rng.i64(-k.delta / 4..=k.delta / 4) };
            let one = |arrival: i64, ts: i64| Copy { offset: 0, ts, arrival, payload, send };
            let (mut on_source, mut on_target) = (vec![one(at + to_source, ts)], vec![one(at + to_target, ts + apart)]);
            match rng.f64() {
                x if x < k.source_fails => on_source.clear(),
                x if x > 1.0 - k.target_fails => on_target.clear(),
                _ => {}
            }
            for (copies, p) in [(&mut on_source, k.source_retries), (&mut on_target, k.target_retries)] {
                if rng.f64() < p && !copies.is_empty() {
                    let again = Copy { arrival: (copies[0].arrival + rng.i64(1..200)).min(at + k.skew), ..copies[0] };
                    copies.push(again);
                }
            }
            if k.flip.is_some_and(|flip| at >= t0 + flip && writer.is_multiple_of(2)) && !on_target.is_empty() {
                on_source.clear();
                on_target.truncate(1);
                flipped.insert(send);
            }
            source.append(&mut on_source);
            target.append(&mut on_target);
        }
        if k.honest {
            be_honest(now, &flipped, &mut source, &mut target);
        }
        let mut world = World { source, target, source_start: 0, target_start: 0, committed: 0, flipped, now, knobs };
        world.settle_offsets(rng);
        world
    }

    /// Log order is arrival order; markers leave gaps; a group has committed somewhere; old records are gone.
    fn settle_offsets(&mut self, rng: &mut Rng) {
        let k = self.knobs.clone();
        for log in [&mut self.source, &mut self.target] {
            log.sort_by_key(|c| c.arrival);
            let mut offset = 0;
            for c in log.iter_mut() {
                if rng.f64() < k.gaps {
                    offset += rng.i64(1..3);
                }
                c.offset = offset;
                offset += 1;
            }
        }
        if k.log_append {
            for c in &mut self.target {
                c.ts = c.arrival;
            }
        }
        let visible = self.source.iter().filter(|c| c.arrival <= self.now).count();
        let back = rng.usize(0..=((visible as f64 * k.behind) as usize));
        let at = visible - back;
        self.committed = if at < visible { self.source[at].offset } else { self.end(Log::Source, self.now) };
        let gone = k.source_expires.min(at);
        if gone > 0 {
            self.source_start = self.source[gone - 1].offset + 1;
            self.source.drain(..gone);
        }
        let arrived = self.target.iter().filter(|c| c.arrival <= self.now).count();
        let gone = k.target_expires.min(arrived);
        if gone > 0 {
            self.target_start = self.target[gone - 1].offset + 1;
            self.target.drain(..gone);
        }
        if k.compaction {
            // a payload is its own key here: older copies of it may be gone
            let last: BTreeMap<u64, i64> = self.target.iter().map(|c| (c.payload, c.offset)).collect();
            let late = self.source.iter().filter(|c| c.arrival > self.now);
            let new = self.target.iter().filter(|c| self.flipped.contains(&c.send));
            let late: BTreeSet<u64> = late.chain(new).map(|c| c.payload).collect();
            let kept = |c: &Copy| last[&c.payload] == c.offset || (k.honest && late.contains(&c.payload));
            self.target.retain(|c| kept(c) || c.arrival > self.now || rng.bool());
        }
    }

    /// Whether the two timestamps of every send are within `pair_delta` (LogAppendTime may be late by more).
    pub fn keeps_a1(&self) -> bool {
        let near =
            |s: &Copy| self.target.iter().filter(|t| t.send == s.send).all(|t| (t.ts - s.ts).abs() <= self.knobs.delta);
        self.source.iter().all(near)
    }

    /// Both logs with the truth about them.
    pub fn logs(&self) -> Logs<'_> {
        let (committed, flipped, now) = (self.committed, &self.flipped, self.now);
        Logs { source: &self.source, target: &self.target, committed, flipped, now }
    }

    pub fn log(&self, log: Log) -> &[Copy] {
        if log == Log::Source { &self.source } else { &self.target }
    }

    pub fn start(&self, log: Log) -> i64 {
        if log == Log::Source { self.source_start } else { self.target_start }
    }

    pub fn end(&self, log: Log, at: i64) -> i64 {
        let last = self.log(log).iter().filter(|c| c.arrival <= at).map(|c| c.offset + 1).max();
        last.unwrap_or(self.start(log))
    }

    pub fn params(&self, settle: bool) -> Params {
        let mut p = Params::new(TopicPartition::new("t", 0), Some(self.committed));
        p.pair_delta_ms = self.knobs.delta as u64;
        p.arrival_skew_ms = self.knobs.skew as u64;
        p.settle_timeout_ms = 800;
        p.window_ms = self.knobs.window as u64;
        p.evidence = 5;
        p.settle = settle;
        p.target_compacted = self.knobs.compaction;
        p.target_only_since = self.knobs.flip.map(|flip| At(1_790_000_000_000 + flip));
        if self.knobs.samples {
            let samples = |log| {
                (0..8).map(|i| self.now - 600 * i).map(|at| EndSample { at: At(at), end: self.end(log, at) }).collect()
            };
            (p.source_seen, p.target_seen) = (samples(Log::Source), samples(Log::Target));
        }
        p
    }

    /// Runs a translation against these logs; the clock moves with what it does.
    pub fn translate(&self, params: Params) -> (Box<PartitionPlan>, Translation) {
        let mut translation = Translation::new(params);
        let mut clock = self.now;
        for _ in 0..10_000 {
            let need = translation.next();
            let answer = match need {
                Need::Done(plan) => return (plan, translation),
                Need::Ends => {
                    let mut read = |log| {
                        let asked = At(clock);
                        clock += 3;
                        let end = self.end(log, clock);
                        clock += 2;
                        EndRead { log_start: self.start(log), end, high_watermark: end, asked, answered: At(clock) }
                    };
                    let target = read(Log::Target);
                    TranslationAnswer::Ends { target, source: read(Log::Source) }
                }
                Need::OffsetForTime { log, ts } => {
                    let end = self.end(log, clock);
                    let first = self.log(log).iter().find(|c| c.offset < end && c.ts >= ts);
                    TranslationAnswer::Offset(first.map(|c| c.offset))
                }
                Need::Read { log, from, to, .. } => {
                    // in pieces of at most 17 offsets
                    let next = to.min(from + 17);
                    let records: Vec<Rec> =
                        self.log(log).iter().filter(|c| (from..next).contains(&c.offset)).map(Copy::rec).collect();
                    let payloads = self.log(log).iter().filter(|c| (from..next).contains(&c.offset));
                    let keys = if self.knobs.compaction { payloads.map(|c| c.payload + 1).collect() } else { vec![] };
                    TranslationAnswer::Records(LogPiece { next, records, keys })
                }
                Need::Wait { ms } => {
                    clock += ms as i64;
                    TranslationAnswer::Waited
                }
            };
            clock += 1;
            translation.supply(answer, At(clock));
        }
        panic!("the translation does not end");
    }
}

/// A2: while a send is still under way to the source (or was never meant for it), no other send of its payload
/// failed or was doubled.
fn be_honest(now: i64, flipped: &BTreeSet<usize>, source: &mut Vec<Copy>, target: &mut Vec<Copy>) {
    let late = source.iter().filter(|c| c.arrival > now);
    let new = target.iter().filter(|c| flipped.contains(&c.send));
    let watched: BTreeSet<u64> = late.chain(new).map(|c| c.payload).collect();
    let count = |log: &[Copy]| {
        let mut sends: BTreeMap<usize, usize> = BTreeMap::new();
        for c in log {
            *sends.entry(c.send).or_default() += 1;
        }
        sends
    };
    let (on_source, on_target) = (count(source), count(target));
    let dishonest = |c: &Copy| {
        let count = |m: &BTreeMap<usize, usize>| m.get(&c.send).copied().unwrap_or(0);
        let plain = (count(&on_source), count(&on_target)) == (1, 1) || flipped.contains(&c.send);
        watched.contains(&c.payload) && !plain
    };
    source.retain(|c| !dishonest(c));
    target.retain(|c| !dishonest(c));
}
