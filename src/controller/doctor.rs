//! `cutover doctor`: everything that a migration will need, tried once, changing nothing.
//!
//! A check that could not be made is Unknown, and says so: there is no tick for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use serde::Serialize;

use super::clock::Clock;
use super::meter::{about, providers};
use super::names::TopicNames;
use super::tools::Tools;
use crate::journal::Reader;
use crate::kafka::control::SnapshotOptions;
use crate::metrics::{Provider, WRONG_QUERY};
use crate::migration::criteria::Metric;
use crate::migration::estate::{ClusterView, GroupState, Side, Trouble};
use crate::migration::gate::span;
use crate::migration::news::News;
use crate::notify::queue::Message;
use crate::notify::{Again, NotSent};
use crate::plan::Plan;
use crate::redact;

/// The longest look at one cluster.
const LOOK: Duration = Duration::from_secs(30);
/// Queries and settings tried at once.
const AT_ONCE: usize = 8;
/// Groups whose queries are tried; of more the first, by the order of the plan.
const GROUPS: usize = 200;
/// Clocks that differ by more than this are worth a word, ms.
const SKEW_MS: u64 = 2_000;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "UPPERCASE")]
pub enum Health {
    /// As it should be.
    Ok,
    /// It works, and a person should know.
    Warn,
    /// It could not be checked.
    Unknown,
    /// It will not work.
    Fail,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `blue`, `switch of loan-audit`, `error_rate of loan-audit on green`.
    pub what: String,
    /// How it went.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do; empty when there is nothing to do.
    pub advice: String,
}

impl Check {
    fn new(what: impl Into<String>, health: Health, found: impl Into<String>) -> Self {
        // What others said is in there, and so may be a secret that they repeat.
        Self { what: what.into(), health, found: redact::hide(&found.into()), advice: String::new() }
    }

    fn advised(self, advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), ..self }
    }

    fn failed(what: impl Into<String>, health: Health, why: Trouble) -> Self {
        Self { what: what.into(), health, found: why.what, advice: why.advice }
    }
}

/// Tries everything once. Bounded: each look, query and command has its own limit. `send`: each target of notifications
/// gets a test message; otherwise it is only connected to, and the message is shown.
pub async fn examine(plan: Plan, send: bool) -> Vec<Check> {
    let plan = Arc::new(plan);
    let tools = Tools::new(&plan, Arc::new(TopicNames::new(&plan)));
    let (mut clusters, settings, metrics, told) = tokio::join!(
        join_all(Side::BOTH.map(|s| look(&tools, s))),
        settings(&tools),
        metrics(&plan),
        notify(&plan, send)
    );
    for (side, seen) in Side::BOTH.into_iter().zip(&mut clusters) {
        if let Ok(view) = seen {
            tools.names.inward(&plan, side, view); // blue first: it teaches the names
        }
    }
    let mut checks = Vec::new();
    let views: Vec<Option<&ClusterView>> = clusters.iter().map(|c| c.as_ref().ok()).collect();
    for (side, seen) in Side::BOTH.into_iter().zip(&clusters) {
        match seen {
            Ok(view) => cluster(&plan, side, view, &mut checks),
            Err(why) => checks.push(Check::failed(side.name(), Health::Fail, why.clone())),
        }
    }
    checks.push(identities(&views));
    checks.extend(settings);
    checks.extend(metrics);
    checks.extend(told);
    checks.extend(plan.windows.iter().map(window));
    let path = plan.journal.clone();
    let journal = tokio::task::spawn_blocking(move || journal(&path)).await;
    checks.push(journal.unwrap_or_else(|e| Check::new("journal", Health::Unknown, e.to_string())));
    checks
}

async fn look(tools: &Tools, side: Side) -> Result<ClusterView, Trouble> {
    if let Some(why) = tools.unreachable(side) {
        return Err(why.clone());
    }
    let watch = Clock.stopwatch();
    let seen = tokio::time::timeout(LOOK, tools.cluster(side).snapshot(&SnapshotOptions::default())).await;
    let mut view = seen.map_err(|_| {
        Trouble::new(format!("{side} did not answer whole within {} s", LOOK.as_secs()), "check its brokers")
    })??;
    view.took_ms = watch.ms();
    Ok(view)
}

/// What one cluster shows of itself, and of what the plan names on it.
fn cluster(plan: &Plan, side: Side, view: &ClusterView, checks: &mut Vec<Check>) {
    let took = span(view.took_ms);
    let silent: Vec<String> =
        view.brokers.values().filter_map(|b| b.answered.as_ref()?.as_ref().err().map(|t| t.what.clone())).collect();
    let (all, topics, groups) = (view.brokers.len(), view.topics.len(), view.groups.len());
    let found = format!("{all} brokers, {topics} topics, {groups} groups, seen in {took}");
    checks.push(match silent.first() {
        None => Check::new(side.name(), Health::Ok, found),
        Some(first) => {
            Check::new(side.name(), Health::Fail, format!("{found}; {} brokers are silent: {first}", silent.len()))
                .advised("groups and partitions on them can't be moved: get them back first")
        }
    });
    let id = format!("cluster id of {side}");
    checks.push(match (&view.cluster_id, &plan.cluster(side).cluster_id) {
        (Some(seen), Some(pin)) if seen == pin => Check::new(id, Health::Ok, format!("{seen}, as the plan pins it")),
        (Some(seen), Some(pin)) => Check::new(id, Health::Fail, format!("{seen}, and the plan pins {pin}"))
            .advised("correct bootstrap or cluster_id: it is another cluster"),
        (Some(seen), None) => Check::new(id, Health::Warn, format!("{seen}, not pinned"))
            .advised(format!("add cluster_id = {seen:?} to [clusters.{side}]")),
        (None, _) => Check::new(id, Health::Unknown, "the cluster did not tell it"),
    });
    let wanted: BTreeSet<&String> = plan
        .groups
        .iter()
        .flat_map(|g| g.topics.iter().chain(&g.dlq))
        .chain(plan.producers.iter().flat_map(|p| &p.topics))
        .collect();
    let missing: Vec<&str> = wanted.iter().filter(|t| !view.topics.contains_key(**t)).map(|t| t.as_str()).collect();
    let unread = |t: &&&String| {
        view.topics.get(**t).is_some_and(|v| v.partitions.iter().any(|p| p.lso.is_none() || p.high_watermark.is_none()))
    };
    let unread: Vec<&str> = wanted.iter().filter(unread).map(|t| t.as_str()).collect();
    let what = format!("topics of the plan on {side}");
    let some = |names: &[&str]| names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    checks.push(if !missing.is_empty() {
        let found = format!(
            "{} of {} are missing, or hidden from this principal: {}",
            missing.len(),
            wanted.len(),
            some(&missing)
        );
        Check::new(what, Health::Fail, found).advised("create them, or allow Describe on them")
    } else if !unread.is_empty() {
        let found = format!("the ends of {} can't be read: {}", unread.len(), some(&unread));
        Check::new(what, Health::Fail, found).advised("see that each partition has a leader, and allow Describe")
    } else {
        Check::new(what, Health::Ok, format!("{} are there and can be read", wanted.len()))
    });
    for group in &plan.groups {
        let id = if side == Side::Green { &group.green_group } else { &group.name };
        let what = format!("group {id} on {side}");
        match view.groups.get(id) {
            Some(v) => checks.push(match &v.trouble {
                Some(t) => Check::failed(what, Health::Fail, t.clone()),
                None => Check::new(what, Health::Ok, format!("{:?}, {} members", v.state, v.members.len())),
            }),
            // before its cutover a group is not on green
            None if side == Side::Green => {}
            None => checks.push(
                Check::new(
                    what,
                    Health::Warn,
                    format!("not there ({:?}), or hidden from this principal", GroupState::Dead),
                )
                .advised("check its name, and allow Describe on the group"),
            ),
        }
    }
}

fn identities(views: &[Option<&ClusterView>]) -> Check {
    let what = "two clusters";
    match views {
        [Some(ClusterView { cluster_id: Some(b), .. }), Some(ClusterView { cluster_id: Some(g), .. })] if b == g => {
            Check::new(what, Health::Fail, format!("blue and green are one cluster ({b})"))
                .advised("correct the bootstrap addresses")
        }
        [Some(ClusterView { cluster_id: Some(_), .. }), Some(ClusterView { cluster_id: Some(_), .. })] => {
            Check::new(what, Health::Ok, "blue and green are different clusters")
        }
        _ => Check::new(what, Health::Unknown, "not both told their cluster ids"),
    }
}

/// Every switch and flag that can be read.
async fn settings(tools: &Tools) -> Vec<Check> {
    let switches = tools.readable_switches().map(|(name, _)| (true, name));
    let all: Vec<(bool, &str)> = switches.chain(tools.readable_flags().map(|(name, _)| (false, name))).collect();
    let read = all.into_iter().map(|(switch, name)| async move {
        let what = format!("{} of {name}", if switch { "switch" } else { "flag" });
        let state = if switch {
            tools.read_switch(name).await.map(|s| s.to_string())
        } else {
            tools.read_flag(name).await.map(|s| s.to_string())
        };
        match state {
            Ok(state) => Check::new(what, Health::Ok, format!("reads {state}")),
            Err(why) => Check::failed(what, Health::Fail, why),
        }
    });
    stream::iter(read).buffered(AT_ONCE).collect().await
}

/// Every query, for every group and side, once; and the clock of whoever answers with one.
async fn metrics(plan: &Plan) -> Vec<Check> {
    let all: Vec<Provider> = providers(plan).collect();
    let mut asked: Vec<(&Provider, Metric, &str, Side)> = Vec::new();
    for provider in &all {
        for metric in provider.metrics() {
            for group in plan.groups.iter().take(GROUPS) {
                asked.extend(Side::BOTH.map(|side| (provider, metric, group.name.as_str(), side)));
            }
        }
    }
    let answers: Vec<(String, Option<i64>, Check)> =
        stream::iter(asked.into_iter().map(|a| ask(plan, a))).buffered(AT_ONCE).collect().await;
    let mut checks: Vec<Check> = answers.iter().map(|(_, _, check)| check.clone()).collect();
    for provider in all.iter().filter(|p| answers.iter().any(|(name, ..)| name == p.name())) {
        let skews = answers.iter().filter(|(name, ..)| name == provider.name()).filter_map(|(_, skew, _)| *skew);
        let what = format!("clock of {}", provider.name());
        checks.push(match skews.max_by_key(|s| s.unsigned_abs()) {
            None => Check::new(what, Health::Unknown, "it told no time"),
            Some(ms) if ms.unsigned_abs() > SKEW_MS => {
                let word = if ms > 0 { "ahead of" } else { "behind" };
                Check::new(what, Health::Warn, format!("{} {word} this machine", span(ms.unsigned_abs())))
                    .advised("synchronise both machines' clocks (chronyc tracking)")
            }
            Some(ms) => Check::new(what, Health::Ok, format!("within {} of this machine", span(ms.unsigned_abs()))),
        });
    }
    checks
}

async fn ask(
    plan: &Plan,
    (provider, metric, group, side): (&Provider, Metric, &str, Side),
) -> (String, Option<i64>, Check) {
    let about = about(plan, group, side);
    let what = format!("{metric} of {group} on {side} ({})", provider.name());
    let now = Clock.now();
    let answer = provider.ask(metric, &about, now).await;
    let skew = answer.as_ref().ok().and_then(|a| a.at).map(|at| at.0 - now.0);
    let check = match answer {
        Ok(a) => Check::new(what, Health::Ok, metric.show(a.value)),
        // Before a group runs there, nobody knows a number: it must be there when it soaks.
        Err(why) => {
            let question = provider.question(metric, &about).unwrap_or_default();
            let found = format!("{}; asked: {question}", why.what);
            let health = if why.advice == WRONG_QUERY { Health::Fail } else { Health::Unknown };
            Check::failed(what, health, Trouble::new(found, why.advice))
        }
    };
    (provider.name().to_owned(), skew, check)
}

/// Every target of notifications, and when the controller reached it last, as far as the journal says.
async fn notify(plan: &Plan, send: bool) -> Vec<Check> {
    let (path, now) = (plan.journal.clone(), Clock.now());
    let read = move || Reader::open(&path).and_then(|r| r.told()).unwrap_or_default(); // the journal has its own check
    let told = if plan.notify.is_empty() || !plan.journal.exists() {
        Vec::new()
    } else {
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    };
    let targets = crate::notify::targets(plan);
    let tried = targets.iter().map(|target| async {
        let what = format!("notify {}", target.plan().name);
        let message = Message { news: News::test(now, "cutover doctor"), missed: 0 };
        let tried = match send {
            true => target.send(&message).await.map(|status| format!("took a test message: {status}")),
            false => target
                .reach()
                .await
                .map(|host| format!("{host} answers; would send {}", target.body(&message)))
                .map_err(|trouble| NotSent { trouble, again: Again::Never }),
        };
        match tried {
            Ok(found) => Check::new(what, Health::Ok, found),
            Err(NotSent { trouble, .. }) => Check::failed(what, Health::Fail, trouble),
        }
    });
    let mut checks: Vec<Check> = stream::iter(tried).buffered(AT_ONCE).collect().await;
    for told in told.iter().filter(|t| plan.notify.iter().any(|n| n.name == t.target)) {
        if let Some((since, trouble)) = &told.failing {
            let found =
                format!("nothing the controller sent was taken for {}: {}", span(now.since(*since)), trouble.what);
            let what = format!("notify {} so far", told.target);
            checks.push(Check::new(what, Health::Warn, found).advised(trouble.advice.clone()));
        }
    }
    checks
}

fn window(window: &crate::plan::WindowPlan) -> Check {
    let now = Clock.now();
    let what = format!("window {}", window.name);
    match (window.open_until(now), window.opens(now)) {
        (Some(until), _) => Check::new(what, Health::Ok, format!("open for {} more", span(until.since(now)))),
        (None, Some(opens)) => Check::new(what, Health::Ok, format!("opens in {}", span(opens.since(now)))),
        (None, None) => Check::new(what, Health::Unknown, format!("nothing tells when it opens in {}", window.zone))
            .advised("install the package tzdata"),
    }
}

fn journal(path: &std::path::Path) -> Check {
    let what = "journal";
    if !path.exists() {
        return Check::new(
            what,
            Health::Ok,
            format!("{} is made when a controller first opens the plan", path.display()),
        );
    }
    let read = Reader::open(path).and_then(|r| Ok((r.verify()?, r.holder(), r.warnings())));
    match read {
        Err(why) => Check::failed(what, Health::Fail, why),
        Ok((Err(broken), ..)) => Check::new(what, Health::Fail, format!("{}: {broken}", path.display()))
            .advised("somebody changed it: `cutover journal verify`, and restore it"),
        Ok((Ok(v), holder, warnings)) => {
            let held = holder.map_or_else(|| "nobody holds it".to_owned(), |h| format!("held by {h}"));
            let found = format!("{} entries, the chain holds, {held}", v.entries);
            match warnings.first() {
                None => Check::new(what, Health::Ok, found),
                Some(warning) => Check::new(what, Health::Warn, format!("{found}; {warning}")),
            }
        }
    }
}
