//! The log of `cutover watch --json`: one JSON object a line, for what changed between two snapshots.
//!
//! Each has `at_ms` (the controller's clock) and `kind`: `controller`, `cluster`, `group`, `gate`, `trigger`,
//! `countdown`, `producer`, `notice`, `journal`, `metrics` (once: where it is scraped). Keys may be added.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::json::{fresh_value, stage_json};
use super::words;
use crate::base::Observed;
use crate::base::redact::hide_json;
use crate::base::sanitise::ascii_json;
use crate::snapshot::{Arming, Countdown, GateRow, GroupRow, Notice, ProducerRow, SideView, Snapshot, TriggerRow};

/// The lines for what changed. The journal as it stood at the first look is not repeated.
#[must_use]
pub fn change_lines(before: Option<&Snapshot>, next: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    // What it may do is worth little while it can't be told what it would do.
    let untrusted = |s: &Snapshot| s.why_untrusted(s.now);
    let turned = |b: &Snapshot| untrusted(b).is_none() != untrusted(next).is_none();
    if before.is_none_or(|b| b.header.arming != next.header.arming || turned(b)) {
        let (arming, why) = match &next.header.arming {
            Arming::Armed => ("armed", None),
            Arming::DryRun => ("dry_run", None),
            Arming::ReadOnly { why } => ("read_only", Some(why)),
        };
        let h = &next.header;
        out.push(json!({"kind": "controller", "migration": h.migration, "controller": h.controller, "pid": h.pid,
            "arming": arming, "why": why, "trusted": untrusted(next).is_none(), "untrusted": untrusted(next)}));
    }
    for (was, is) in [(before.map(|b| &b.blue), &next.blue), (before.map(|b| &b.green), &next.green)] {
        let was = was.zip(before).map(|(v, b)| cluster_line(v, b));
        out.extend(only_if_changed(was, cluster_line(is, next)));
    }
    for g in &next.groups {
        let was = before.and_then(|b| b.groups.iter().find(|x| x.group == g.group));
        out.extend(only_if_changed(was.zip(before).map(|(g, b)| group_line(g, b)), group_line(g, next)));
        out.extend(soak_lines(was, g));
    }
    for p in &next.producers {
        let was = before.and_then(|b| b.producers.iter().find(|x| x.name == p.name));
        out.extend(only_if_changed(was.zip(before).map(|(p, b)| producer_line(p, b)), producer_line(p, next)));
    }
    out.extend(gone_lines(before, next));
    out.extend(countdown_lines(before.map_or(&[], |b| &b.countdowns), &next.countdowns));
    let said = |n: &Notice| before.is_some_and(|b| b.notices.iter().any(|x| x.says_as(n)));
    for n in next.notices.iter().filter(|n| !said(n)) {
        out.push(json!({"kind": "notice", "severity": n.severity, "subject": n.subject, "what": n.trouble.what,
            "advice": n.trouble.advice}));
    }
    let said = before.map(|b| b.journal.last().map_or(0, |l| l.seq));
    for l in next.journal.iter().filter(|l| said.is_some_and(|said| l.seq > said)) {
        out.push(json!({"kind": "journal", "seq": l.seq, "actor": l.actor, "subject": l.subject, "text": l.text}));
    }
    // Stamped only now: two lines are the same whenever they were made.
    let stamped = |mut line: Value| {
        line["at_ms"] = json!(next.now.0);
        format_line(line)
    };
    out.into_iter().map(stamped).collect()
}

/// The line that says where Prometheus may scrape.
#[must_use]
pub(crate) fn metrics_line(address: SocketAddr, s: &Snapshot) -> String {
    format_line(json!({"kind": "metrics", "address": address.to_string(), "at_ms": s.now.0}))
}

/// A line as it leaves: without a secret, and in ASCII.
fn format_line(mut line: Value) -> String {
    // Secrets first: escaped, one with an odd letter in it would be another text.
    hide_json(&mut line);
    ascii_json(&line.to_string()).into_owned()
}

fn only_if_changed(was: Option<Value>, is: Value) -> Option<Value> {
    (was.as_ref() != Some(&is)).then_some(is)
}

fn cluster_line(v: &SideView, s: &Snapshot) -> Value {
    let state = words::cluster_word(v, s);
    let trouble = v.identity_trouble.as_ref().or(match &v.link {
        Observed::Absent { why } | Observed::Known { trouble: Some(why), .. } => Some(why),
        Observed::Known { .. } => None,
    });
    // Of a cluster that was never seen, or not recently, or that is another one, there is no number.
    let seen = v.why_untrusted(s.now, s.header.stale_after_ms).is_none();
    let slow = v.throttled.as_ref().map(|t| &t.trouble);
    json!({"kind": "cluster", "side": v.side, "state": state, "why": trouble,
        "brokers_up": seen.then_some(v.brokers.0), "brokers": seen.then_some(v.brokers.1),
        "groups_hidden": v.groups_hidden, "throttled": slow})
}

fn group_line(g: &GroupRow, s: &Snapshot) -> Value {
    // Its numbers move with every record: the word is what changes.
    let way_back = serde_json::to_value(s.way_back_of(g)).map(|v| v["way_back"].clone()).unwrap_or_default();
    json!({"kind": "group", "group": g.group, "stage": stage_json(g, s), "side_state": g.side_state, "way_back": way_back})
}

/// Groups and producers that the picture does not show any more.
fn gone_lines(before: Option<&Snapshot>, next: &Snapshot) -> Vec<Value> {
    let Some(before) = before else { return Vec::new() };
    let groups = before.groups.iter().filter(|b| next.groups.iter().all(|g| g.group != b.group));
    let producers = before.producers.iter().filter(|b| next.producers.iter().all(|p| p.name != b.name));
    let groups = groups.map(|g| json!({"kind": "group", "group": g.group, "shown": false}));
    groups.chain(producers.map(|p| json!({"kind": "producer", "producer": p.name, "shown": false}))).collect()
}

/// What changed of a group's gates and triggers: their words; their numbers move with every sample.
fn soak_lines(was: Option<&GroupRow>, is: &GroupRow) -> Vec<Value> {
    let gate = |r: &GateRow| {
        let before = was.and_then(|w| w.gates.iter().find(|x| x.metric == r.metric)).map(|x| words::gate_word(&x.gate));
        let now = words::gate_word(&r.gate);
        (before != Some(now)).then(|| {
            json!({"kind": "gate", "group": is.group, "gate": r.metric, "from": before, "to": now, "value": r.value,
                "limit": r.limit, "held_ms": r.held_ms, "needed_ms": r.needed_ms, "judged": r.judged,
                "why": r.gate.why()})
        })
    };
    let trigger = |t: &TriggerRow| {
        let name = &t.trigger.name;
        let before = was.and_then(|w| w.triggers.iter().find(|x| x.trigger.name == *name));
        let (before, now) = (before.map(|x| words::trigger_word(&x.state)), words::trigger_word(&t.state));
        (before != Some(now)).then(|| {
            json!({"kind": "trigger", "group": is.group, "trigger": name, "arm": t.trigger.arm, "from": before,
                "to": now, "why": words::trigger_why(&t.state)})
        })
    };
    is.gates.iter().filter_map(gate).chain(is.triggers.iter().filter_map(trigger)).collect()
}

/// Countdowns that began, changed or are over.
fn countdown_lines(was: &[Countdown], is: &[Countdown]) -> Vec<Value> {
    let line = |c: &Countdown, state: &str| {
        let held = c.held.as_ref().map(|(by, reason)| json!({"by": by, "reason": reason}));
        json!({"kind": "countdown", "group": c.group, "trigger": c.trigger, "arm": c.arm, "state": state,
            "acts_at_ms": c.acts_at, "held": held, "why": c.why})
    };
    let same = |a: &&Countdown, b: &Countdown| a.group == b.group && a.trigger == b.trigger;
    let new =
        is.iter().filter(|c| was.iter().find(|w| same(w, c)) != Some(*c)).map(|c| line(c, words::countdown_word(c)));
    let over = was.iter().filter(|w| !is.iter().any(|c| same(&c, w)));
    // What is over acts at no time any more.
    new.chain(over.map(|w| line(&Countdown { acts_at: None, ..w.clone() }, "over"))).collect()
}

fn producer_line(p: &ProducerRow, s: &Snapshot) -> Value {
    let flag = p.flag.as_ref().and_then(|f| fresh_value(f, s));
    json!({"kind": "producer", "producer": p.name, "flag": flag, "disagreement": p.disagreement,
        "side_state": p.side_state})
}
