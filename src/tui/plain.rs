//! Plain mode: a line a change, for screen readers, logs and pipes. No colours, no cursor movement, nothing to press.

use std::io::{self, Write};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::terminal::ExitReason;
use super::{text, words};
use crate::base::sanitise::{visible_cow, visible_name};
use crate::base::{Freshness, Observed};
use crate::snapshot::{Arming, DiffView, FidelityVerdict, GroupSide, SideView, Snapshot};

/// Writes a line for each change until the controller stops or a signal comes.
///
/// # Errors
/// The output can't be written to (a closed pipe).
pub(crate) async fn run_plain(
    mut rx: watch::Receiver<Arc<Snapshot>>,
    out: &mut (dyn Write + Send),
) -> io::Result<ExitReason> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut before: Option<Arc<Snapshot>> = None;
    // The newest snapshot may have come before this began: it is told as well.
    rx.mark_changed();
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(ExitReason::Signal("SIGTERM")),
            _ = interrupt.recv() => return Ok(ExitReason::Signal("SIGINT")),
            _ = hangup.recv() => return Ok(ExitReason::Signal("SIGHUP")),
            changed = rx.changed() => {
                if changed.is_err() {
                    return Ok(ExitReason::Left);
                }
                let next = Arc::clone(&rx.borrow_and_update());
                if next.seq == 0 {
                    continue;
                }
                for line in list_changes(before.as_deref(), &next) {
                    writeln!(out, "{line}")?;
                }
                out.flush()?;
                before = Some(next);
            }
        }
    }
}

/// What is to be said of a snapshot after the one before it.
#[must_use]
pub fn list_changes(before: Option<&Snapshot>, next: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    let untrusted = next.why_untrusted(next.now);
    // When it turned, and not each time that the reason is put in other words.
    let turned = |b: &Snapshot| b.why_untrusted(b.now).is_none() != untrusted.is_none();
    if before.is_none_or(|b| b.header.arming != next.header.arming || turned(b)) {
        let arming = match (&next.header.arming, &untrusted) {
            (Arming::Armed, Some(why)) => format!("armed, and not ready: {why}"),
            (Arming::Armed, None) => "armed: commands are carried out".to_owned(),
            (Arming::DryRun, _) => "dry run: nothing is changed".to_owned(),
            (Arming::ReadOnly { why }, _) => format!("read-only: {why}"),
        };
        out.push(format!("{}: {arming}", visible_name(&next.header.migration)));
    }
    for (was, now) in [(before.map(|b| &b.blue), &next.blue), (before.map(|b| &b.green), &next.green)] {
        // Each by the time of its own snapshot: by now's, all of the older one would be stale.
        let (was, now_words) = (was.map(|w| describe_side(w, before.unwrap_or(next))), describe_side(now, next));
        if was.as_ref() != Some(&now_words) {
            out.push(now_words);
        }
    }
    for p in &next.phases {
        let was = before.and_then(|b| b.phases.iter().find(|x| x.number == p.number));
        if was != Some(p) {
            out.push(format!("phase {} {}: {}", p.number, p.name, p.describe_progress()));
        }
    }
    out.extend(list_row_changes(before, next));
    let diff = |s: &Snapshot| s.diff.as_ref().map(DiffView::describe_state);
    if let Some(now) = diff(next).filter(|now| before.and_then(diff).as_ref() != Some(now)) {
        out.push(now);
    }
    for n in &next.notices {
        if before.is_none_or(|b| !b.notices.iter().any(|x| x.says_as(n))) {
            let what = words::to_sentence(&n.trouble.what, &n.trouble.advice);
            out.push(format!("notice: {}: {what}", n.subject.short_name()));
        }
    }
    let said = before.and_then(|b| b.journal.last()).map_or(0, |l| l.seq);
    // What was journalled before this began is history.
    for l in next.journal.iter().filter(|l| before.is_some() && l.seq > said) {
        out.push(format!("journal {}: {} ({})", l.seq, l.sentence(), visible_name(&l.actor)));
    }
    let stamp = text::format_clock(next.now.0);
    // One line each, whatever was said: the gate for all of them.
    out.into_iter().map(|l| format!("{stamp} {}", visible_cow(&l))).collect()
}

fn describe_side(v: &SideView, s: &Snapshot) -> String {
    let name = format!("{} {}", v.side.name(), visible_name(&v.name));
    if let Some(t) = &v.identity_trouble {
        return format!("{name}: {}", words::to_sentence(&t.what, &t.advice));
    }
    match &v.link {
        Observed::Absent { why } | Observed::Known { trouble: Some(why), .. } => {
            format!("{name}: {}", words::to_sentence(&why.what, &why.advice))
        }
        link if link.freshness(s.now, s.header.stale_after_ms) == Freshness::Stale => format!("{name}: stale"),
        Observed::Known { .. } => format!("{name}: {} of {} brokers answer", v.brokers.0, v.brokers.1),
    }
}

/// Groups and producers whose state in words changed.
fn list_row_changes(before: Option<&Snapshot>, next: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    for g in &next.groups {
        let say = |g: &crate::snapshot::GroupRow| {
            let why = words::describe_why(&g.side_state).map_or(String::new(), |w| w.1);
            format!(
                "group {}: {}, way back {}",
                visible_name(&g.group),
                words::join_why(&words::group_state(g).word, ", ", &why),
                words::describe_way_back(&g.way_back).1
            )
        };
        let was = before.and_then(|b| b.groups.iter().find(|x| x.group == g.group)).map(say);
        let now = say(g);
        if was.as_ref() != Some(&now) {
            let lag = |v: &GroupSide| {
                let lag = v.lag_now(next.now, next.header.stale_after_ms);
                lag.map_or("unknown".to_owned(), |l| l.to_string())
            };
            out.push(format!("{now}, lag blue {} green {}", lag(&g.blue), lag(&g.green)));
        }
    }
    for p in &next.producers {
        let say = |p: &crate::snapshot::ProducerRow, s: &Snapshot| {
            let flag = p.flag.as_ref().and_then(|f| f.value()).map_or("unknown".to_owned(), ToString::to_string);
            let odd = p.disagreement.as_ref().map_or(String::new(), |d| format!(", {d}"));
            // The age changes all the time; what it comes to is worth a line.
            let both = match p.fidelity.verdict(s.now) {
                FidelityVerdict::None => String::new(),
                FidelityVerdict::Verified => ", every sampled record on both clusters".to_owned(),
                FidelityVerdict::Partial => ", samples of some partitions only".to_owned(),
                FidelityVerdict::Differs => format!(", {}", p.fidelity.describe_fully()),
                FidelityVerdict::Stale => ", samples stale".to_owned(),
                FidelityVerdict::Unknown => ", samples unknown".to_owned(),
                FidelityVerdict::Idle => ", nothing written to sample".to_owned(),
            };
            format!("producer {}: flag {flag}{odd}{both}", visible_name(&p.name))
        };
        let was = before.and_then(|b| Some(say(b.producers.iter().find(|x| x.name == p.name)?, b)));
        let now = say(p, next);
        if was.as_ref() != Some(&now) {
            out.push(now);
        }
    }
    // Of what is gone nothing is known any more: silence would leave its last line standing.
    for g in before.into_iter().flat_map(|b| &b.groups).filter(|b| next.groups.iter().all(|g| g.group != b.group)) {
        out.push(format!("group {}: not shown any more", visible_name(&g.group)));
    }
    for p in before.into_iter().flat_map(|b| &b.producers).filter(|b| next.producers.iter().all(|p| p.name != b.name)) {
        out.push(format!("producer {}: not shown any more", visible_name(&p.name)));
    }
    out
}
