//! `cutover doctor`: everything that a migration will need, tried once, changing nothing.
//!
//! A check that could not be made is Unknown, and says so: there is no tick for it.

mod cluster;
mod formats;
mod rights;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Serialize;

use crate::base::format_duration;
use crate::base::redact;
use crate::base::sanitise::{visible_name, visible_path};
use crate::base::{Side, Sides, Trouble};
use crate::estate::ClusterView;
use crate::jobs::registries::{RegistryLook, look_at_registries};
use crate::journal::{Reader, check_writable};
use crate::kafka::control::SnapshotOptions;
use crate::metrics::{MetricSubject, MetricsProvider, WRONG_QUERY, list_providers};
use crate::migration::soak::criteria::Metric;
use crate::migration::tell::notifications::Notification;
use crate::notify::queue::Message;
use crate::notify::{NotSent, Retry};
use crate::plan::Plan;
use crate::rights::RightHeld;
use crate::session::clock::Clock;
use crate::session::names::TopicNames;
use crate::session::planes;
use crate::session::tools::Tools;
use crate::session::tools::too_long;

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
        Self { what: what.into(), health, found: redact::hide_secrets(&found.into()), advice: String::new() }
    }

    fn advised(self, advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), ..self }
    }

    fn failed(what: impl Into<String>, health: Health, why: Trouble) -> Self {
        Self { what: what.into(), health, found: why.what, advice: why.advice }
    }
}

/// Everything that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// One row for each thing.
    pub checks: Vec<Check>,
    /// Each right of each verb on each cluster that answered, and whether this session has it.
    pub rights: Vec<RightHeld>,
}

/// Tries everything once. Bounded: each look, query and command has its own limit. `send`: each target of notifications
/// gets a test message; otherwise it is only connected to, and the message is shown.
pub(crate) async fn examine(plan: Plan, send: bool) -> Examined {
    let plan = Arc::new(plan);
    let tools = Tools::new(&plan, Arc::new(TopicNames::new(&plan)));
    let (mut clusters, settings, metrics, told, registries) = tokio::join!(
        ask_both(|side| look_at_cluster(&tools, side)),
        check_settings(&tools),
        check_metrics(&plan),
        check_targets(&plan, send),
        look_at_registries(&plan)
    );
    for side in Side::BOTH {
        if let Ok(view) = &mut clusters[side] {
            tools.names.rename_to_blue(&plan, side, view); // blue first: it teaches the names
        }
    }
    // After the names are known on both sides.
    let doors = ask_both(|side| check_data_plane(&plan, &tools, side)).await;
    let mut checks = Vec::new();
    let views = clusters.as_ref().map(|seen| seen.as_ref().ok());
    // Who can't be reached is not asked what it allows.
    let (of, asked, seen) = (&plan, &tools, &views);
    let asked = ask_both(|side| async move {
        match seen[side] {
            Some(view) => Some(rights::ask_rights(of, asked, side, view).await),
            None => None,
        }
    });
    let asked = asked.await;
    let mut held = Vec::new();
    for (side, seen) in clusters.iter() {
        match (seen, &asked[side]) {
            (Ok(view), Some(asked)) => {
                checks.extend(cluster::check_cluster(&plan, &tools, side, view, asked));
                let of_side = rights::list_rights(&plan.rights_scope(side), side, &asked.look);
                checks.extend(rights::check_rights(side, view, &asked.look, &of_side));
                held.extend(of_side);
            }
            (Ok(_), None) => {}
            (Err(why), _) => checks.push(Check::failed(side.name(), Health::Fail, why.clone())),
        }
    }
    checks.push(check_identities(&views));
    checks.extend([doors.blue, doors.green]);
    let wanted = formats::list_wanted_topics(&plan, &views);
    let formats = ask_both(|side| formats::check_formats(&wanted, &tools, side, views[side])).await;
    checks.extend([formats.blue, formats.green]);
    checks.extend(registries.iter().filter_map(|(side, look)| Some(check_registry(side, look.as_ref()?))));
    checks.extend(settings);
    checks.extend(metrics);
    checks.extend(told);
    checks.extend(plan.windows.iter().map(check_window));
    let path = plan.journal.clone();
    let journal = tokio::task::spawn_blocking(move || check_journal(&path)).await;
    checks.push(journal.unwrap_or_else(|e| Check::new("journal", Health::Unknown, e.to_string())));
    Examined { checks, rights: held }
}

/// One registry of the plan. Nothing is written, so whether it may be written to is not told.
fn check_registry(side: Side, look: &Result<RegistryLook, Trouble>) -> Check {
    let what = format!("registry of {side}");
    let look = match look {
        Ok(look) => look,
        Err(why) => return Check::failed(what, Health::Fail, why.clone()),
    };
    let words = |of: &[Trouble]| of.iter().map(|t| format!("; {}", t.what)).collect::<String>();
    let found = format!("{}{}{}", look.found, words(&look.unread), words(&look.doubts));
    let health = match (look.unread.is_empty(), look.doubts.is_empty()) {
        (false, _) => Health::Unknown,
        (true, false) => Health::Warn,
        (true, true) => Health::Ok,
    };
    let advice = look.unread.first().or(look.doubts.first()).map(|t| t.advice.clone());
    Check::new(what, health, found).advised(advice.unwrap_or_default())
}

/// The clients that will read and write records: what `cutover` stops, they have to bring to an end.
async fn check_data_plane(plan: &Plan, tools: &Tools, side: Side) -> Check {
    let what = format!("data plane of {side}");
    match planes::try_data_plane(plan, tools, side).await {
        Err(why) => Check::failed(what, Health::Fail, why),
        Ok(probed) => {
            let id = probed
                .cluster_id
                .map_or("its cluster has no id".to_owned(), |id| format!("cluster {id}", id = visible_name(&id)));
            let read = match probed.read {
                Some(tp) => format!("the end of {tp} was read"),
                None => {
                    probed.unread.map_or("there was no record of the plan's topics to read".to_owned(), |why| why.what)
                }
            };
            let at = probed.entrances.join(", ");
            Check::new(what, Health::Ok, format!("{id} at {at}; {read}; a transactional producer can be made"))
        }
    }
}

async fn look_at_cluster(tools: &Tools, side: Side) -> Result<ClusterView, Trouble> {
    if let Some(why) = tools.why_unreachable(side) {
        return Err(why.clone());
    }
    let watch = Clock.stopwatch();
    let cluster = tools.cluster(side);
    let options = SnapshotOptions { named: tools.named_on(side), ..SnapshotOptions::default() };
    let seen = tokio::time::timeout(LOOK, cluster.snapshot(&options)).await;
    let mut view = seen.map_err(|_| too_long(cluster, "looking at the whole cluster", LOOK))??;
    view.took_ms = watch.elapsed_ms();
    Ok(view)
}

/// The same of both, at the same time.
pub(super) async fn ask_both<T, F: Future<Output = T>>(of: impl Fn(Side) -> F) -> Sides<T> {
    let (blue, green) = tokio::join!(of(Side::Blue), of(Side::Green));
    Sides { blue, green }
}

fn check_identities(views: &Sides<Option<&ClusterView>>) -> Check {
    let what = "two clusters";
    let ids = views.map(|view| view.and_then(|view| view.cluster_id.as_deref()));
    match (ids.blue, ids.green) {
        (Some(b), Some(g)) if b == g => {
            Check::new(what, Health::Fail, format!("blue and green are one cluster ({})", visible_name(b)))
                .advised("correct the bootstrap addresses")
        }
        (Some(_), Some(_)) => Check::new(what, Health::Ok, "blue and green are different clusters"),
        _ => Check::new(what, Health::Unknown, "not both told their cluster ids"),
    }
}

/// Every switch and flag that can be read.
async fn check_settings(tools: &Tools) -> Vec<Check> {
    let switches = tools.readable_switches().map(|(name, _)| (true, name));
    let all: Vec<(bool, &str)> = switches.chain(tools.readable_flags().map(|(name, _)| (false, name))).collect();
    let read = all.into_iter().map(|(switch, name)| async move {
        let what = format!("{} of {name}", if switch { "switch" } else { "flag" }, name = visible_name(name));
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
async fn check_metrics(plan: &Plan) -> Vec<Check> {
    let all: Vec<MetricsProvider> = list_providers(plan).collect();
    let mut asked: Vec<(&MetricsProvider, Metric, &str, Side)> = Vec::new();
    for provider in &all {
        for metric in provider.metrics() {
            for group in plan.groups.iter().take(GROUPS) {
                asked.extend(Side::BOTH.map(|side| (provider, metric, group.name.as_str(), side)));
            }
        }
    }
    let answers: Vec<(String, Option<i64>, Check)> =
        stream::iter(asked.into_iter().map(|a| check_metric(plan, a))).buffered(AT_ONCE).collect().await;
    let mut checks: Vec<Check> = answers.iter().map(|(_, _, check)| check.clone()).collect();
    for provider in all.iter().filter(|p| answers.iter().any(|(name, ..)| name == p.name())) {
        let skews = answers.iter().filter(|(name, ..)| name == provider.name()).filter_map(|(_, skew, _)| *skew);
        let what = format!("clock of {}", visible_name(provider.name()));
        checks.push(match skews.max_by_key(|s| s.unsigned_abs()) {
            None => Check::new(what, Health::Unknown, "it told no time"),
            Some(ms) if ms.unsigned_abs() > SKEW_MS => {
                let word = if ms > 0 { "ahead of" } else { "behind" };
                Check::new(what, Health::Warn, format!("{} {word} this machine", format_duration(ms.unsigned_abs())))
                    .advised("synchronise both machines' clocks (chronyc tracking)")
            }
            Some(ms) => {
                Check::new(what, Health::Ok, format!("within {} of this machine", format_duration(ms.unsigned_abs())))
            }
        });
    }
    checks
}

async fn check_metric(
    plan: &Plan,
    (provider, metric, group, side): (&MetricsProvider, Metric, &str, Side),
) -> (String, Option<i64>, Check) {
    let about = MetricSubject::of_group(plan, group, side);
    let what =
        format!("{metric} of {group} on {side} ({})", visible_name(provider.name()), group = visible_name(group));
    let now = Clock.now();
    let answer = provider.ask(metric, &about, now).await;
    let skew = answer.as_ref().ok().and_then(|a| a.at).map(|at| at.0 - now.0);
    let check = match answer {
        Ok(a) => Check::new(what, Health::Ok, metric.format_value(a.value)),
        // Before a group runs there, nobody knows a number: it must be there when it soaks.
        Err(why) => {
            let question = provider.describe_question(metric, &about).unwrap_or_default();
            let found = format!("{}; asked: {question}", why.what);
            // What a provider does not take as a query is never answered, however long one waits.
            let health = if why.advice == WRONG_QUERY { Health::Fail } else { Health::Unknown };
            Check::failed(what, health, Trouble::new(found, why.advice))
        }
    };
    (provider.name().to_owned(), skew, check)
}

/// Every target of notifications, and when the controller reached it last, as far as the journal says.
async fn check_targets(plan: &Plan, send: bool) -> Vec<Check> {
    let (path, now) = (plan.journal.clone(), Clock.now());
    let read = move || Reader::open(&path).and_then(|r| r.told()).unwrap_or_default(); // the journal has its own check
    let told = if plan.notify.is_empty() || !plan.journal.exists() {
        Vec::new()
    } else {
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    };
    let targets = crate::notify::list_targets(plan);
    let tried = targets.iter().map(|target| async {
        let what = format!("notify {}", visible_name(&target.plan().name));
        let message = Message { news: Notification::test(now, "cutover doctor"), missed: 0 };
        let tried = match send {
            true => target.send(&message).await.map(|status| format!("took a test message: {status}")),
            false => target
                .try_connect()
                .await
                .map(|host| {
                    format!("{host} answers; would send {}", target.preview_body(&message), host = visible_name(&host))
                })
                .map_err(|trouble| NotSent { trouble, again: Retry::Never }),
        };
        match tried {
            Ok(found) => Check::new(what, Health::Ok, found),
            Err(NotSent { trouble, .. }) => Check::failed(what, Health::Fail, trouble),
        }
    });
    let mut checks: Vec<Check> = stream::iter(tried).buffered(AT_ONCE).collect().await;
    // What is kept may still name a target that the plan no longer has.
    for told in told.iter().filter(|t| plan.notify.iter().any(|n| n.name == t.target)) {
        if let Some((since, trouble)) = &told.failing {
            let found = format!(
                "nothing the controller sent was taken for {}: {}",
                format_duration(now.since(*since)),
                trouble.what
            );
            let what = format!("notify {} so far", visible_name(&told.target));
            checks.push(Check::new(what, Health::Warn, found).advised(trouble.advice.clone()));
        }
    }
    checks
}

fn check_window(window: &crate::plan::WindowPlan) -> Check {
    let now = Clock.now();
    let what = format!("window {}", visible_name(&window.name));
    match (window.open_until(now), window.opens_next(now)) {
        (Some(until), _) => {
            Check::new(what, Health::Ok, format!("open for {} more", format_duration(until.since(now))))
        }
        (None, Some(opens)) => Check::new(what, Health::Ok, format!("opens in {}", format_duration(opens.since(now)))),
        (None, None) => {
            Check::new(what, Health::Unknown, format!("nothing tells when it opens in {}", visible_name(&window.zone)))
                .advised("install the package tzdata")
        }
    }
}

fn check_journal(path: &std::path::Path) -> Check {
    let what = "journal";
    if !path.exists() {
        let made = format!("{} is made when a controller first opens the plan", visible_path(path));
        return match check_writable(path, false) {
            Ok(()) => Check::new(what, Health::Ok, made),
            Err(why) => Check::new(what, Health::Fail, format!("{made}; {}", why.what)).advised(why.advice),
        };
    }
    let read = Reader::open(path).and_then(|r| Ok((r.verify()?, r.holder(), r.warnings())));
    match read {
        Err(why) => Check::failed(what, Health::Fail, why),
        Ok((Err(broken), ..)) => Check::new(what, Health::Fail, format!("{}: {broken}", visible_path(path)))
            .advised("somebody changed it: `cutover journal verify`, and restore it"),
        Ok((Ok(v), holder, warnings)) => {
            let writable = check_writable(path, holder.is_some());
            let held = holder.map_or_else(|| "nobody holds it".to_owned(), |h| format!("held by {h}"));
            let found = format!("{} entries, the chain holds, {held}", v.entries);
            match (writable, warnings.first()) {
                (Err(why), _) => Check::new(what, Health::Fail, format!("{found}; {}", why.what)).advised(why.advice),
                (Ok(()), None) => Check::new(what, Health::Ok, found),
                (Ok(()), Some(warning)) => Check::new(what, Health::Warn, format!("{found}; {warning}")),
            }
        }
    }
}
