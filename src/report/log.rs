//! The log of `cutover watch --json`: one JSON object a line, for what changed between two snapshots.
//!
//! Each has `at_ms` (the controller's clock) and `kind`: `controller`, `cluster`, `group`, `producer`, `notice`,
//! `journal`. Keys may be added.

use serde_json::{Value, json};

use crate::controller::snapshot::{Arming, GroupRow, Notice, ProducerRow, SideView, Snapshot};
use crate::migration::estate::{Freshness, Observed};

/// The lines for what changed. The journal as it stood at the first look is not repeated.
#[must_use]
pub fn json(before: Option<&Snapshot>, next: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    if before.is_none_or(|b| b.header.arming != next.header.arming) {
        let (arming, why) = match &next.header.arming {
            Arming::Armed => ("armed", None),
            Arming::DryRun => ("dry_run", None),
            Arming::ReadOnly { why } => ("read_only", Some(why)),
        };
        let h = &next.header;
        out.push(json!({"kind": "controller", "migration": h.migration, "controller": h.controller, "pid": h.pid,
            "arming": arming, "why": why}));
    }
    for (was, is) in [(before.map(|b| &b.blue), &next.blue), (before.map(|b| &b.green), &next.green)] {
        let was = was.zip(before).map(|(v, b)| cluster(v, b));
        out.extend(changed(was, cluster(is, next)));
    }
    for g in &next.groups {
        let was = before.and_then(|b| b.groups.iter().find(|x| x.group == g.group)).map(group);
        out.extend(changed(was, group(g)));
    }
    for p in &next.producers {
        let was = before.and_then(|b| b.producers.iter().find(|x| x.name == p.name)).map(producer);
        out.extend(changed(was, producer(p)));
    }
    let said = |n: &Notice| before.is_some_and(|b| b.notices.iter().any(|x| x.says_as(n)));
    for n in next.notices.iter().filter(|n| !said(n)) {
        out.push(json!({"kind": "notice", "severity": n.severity, "subject": n.subject, "what": n.trouble.what,
            "advice": n.trouble.advice}));
    }
    let said = before.map(|b| b.journal.last().map_or(0, |l| l.seq));
    for l in next.journal.iter().filter(|l| said.is_some_and(|said| l.seq > said)) {
        out.push(json!({"kind": "journal", "seq": l.seq, "actor": l.actor, "subject": l.subject, "text": l.text}));
    }
    let stamped = |mut line: Value| {
        line["at_ms"] = json!(next.now.0);
        line.to_string()
    };
    out.into_iter().map(stamped).collect()
}

fn changed(was: Option<Value>, is: Value) -> Option<Value> {
    (was.as_ref() != Some(&is)).then_some(is)
}

fn cluster(v: &SideView, s: &Snapshot) -> Value {
    let state = match &v.link {
        _ if v.identity_trouble.is_some() => "another_cluster",
        Observed::Absent { .. } | Observed::Known { trouble: Some(_), .. } => "unreachable",
        link if link.freshness(s.now, s.header.stale_after_ms) == Freshness::Stale => "stale",
        Observed::Known { .. } => "reachable",
    };
    let trouble = v.identity_trouble.as_ref().or(match &v.link {
        Observed::Absent { why } | Observed::Known { trouble: Some(why), .. } => Some(why),
        Observed::Known { .. } => None,
    });
    json!({"kind": "cluster", "side": v.side, "state": state, "why": trouble,
        "brokers_up": v.brokers.0, "brokers": v.brokers.1})
}

fn group(g: &GroupRow) -> Value {
    // Its numbers move with every record: the word is what changes.
    let way_back = serde_json::to_value(&g.way_back).map(|v| v["way_back"].clone()).unwrap_or_default();
    json!({"kind": "group", "group": g.group, "stage": g.stage, "side_state": g.side_state, "way_back": way_back})
}

fn producer(p: &ProducerRow) -> Value {
    let flag = p.flag.as_ref().and_then(|f| f.value());
    json!({"kind": "producer", "producer": p.name, "flag": flag, "disagreement": p.disagreement,
        "side_state": p.side_state})
}
