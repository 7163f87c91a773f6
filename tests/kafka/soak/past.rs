//! The controller of a soak is killed, and started again after longer than a gap: what Prometheus scraped meanwhile counts,
//! what nobody measured is a hole.

use std::time::{Duration, Instant};

use cutover::migration::facts::stage::Stage;
use cutover::migration::rules::gate::Gate;
use cutover::migration::soak::criteria::{GateRow, Metric};
use cutover::snapshot::Snapshot;
use rustix::process::Signal;

use super::rig::{Estate, Look, PATIENT, row, write_plan};
use crate::support::prometheus::Prometheus;
use crate::support::workload::Cluster;
use crate::watch::{Watch, cutover};

/// A longer silence is a hole, ms.
const GAP_MS: u64 = 4_000;

fn gate<'a>(s: &'a Snapshot, group: &str, metric: Metric) -> Option<&'a GateRow> {
    let row = row(s, group);
    let soaks = matches!(row.stage, Stage::Soaking { .. });
    row.gates.iter().find(|g| soaks && g.metric == metric)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_scraped_while_the_controller_was_dead_counts() {
    let dir = tempfile::tempdir().unwrap();
    let estate = tokio::task::block_in_place(|| Estate::start(dir.path(), &["loan-audit"], 100));
    let (group, prometheus) = (estate.members[0].group.clone(), Prometheus::start(None));
    let of = |name| format!("p99_seconds{{group=\"{group}\",kafka=\"{name}\"}} 0.084\n");
    prometheus.export(&(of("legacy") + &of("psc")));
    let criteria = "criteria = { lag_below = 5000, lag_for = \"1h\", p99_within = 0.10, p99_for = \"1h\" }";
    write_plan(
        dir.path(),
        &format!(
            "{PATIENT}sample_gap = \"4s\"\n{}\
             [metrics.prom]\nprovider = \"prometheus\"\nurl = {:?}\nevery = \"1s\"\n[metrics.prom.queries]\n\
             p99 = {{ query = 'p99_seconds{{group=\"{{group}}\",kafka=\"{{cluster}}\"}}', unit = \"s\" }}\n",
            estate.toml(criteria),
            prometheus.url
        ),
    );
    let watch = Watch::start(dir.path());
    tokio::task::block_in_place(|| watch.line("armed", |v| v["arming"] == "armed"));
    let mut look = Look::at(dir.path()).await;
    look.until("a baseline", |s| !row(s, &group).baselines.is_empty()).await;
    let (code, _, err) =
        tokio::task::block_in_place(|| cutover(dir.path(), &["group", "cutover", &group, &format!("--yes={group}")]));
    assert_eq!(code, Some(0), "{err}");
    let counts =
        |s: &Snapshot| [Metric::Lag, Metric::P99].iter().all(|m| gate(s, &group, *m).is_some_and(|g| g.held_ms > 0));
    let seen = look.until("both clocks run", counts).await;
    let since = gate(&seen, &group, Metric::P99).expect("it soaks").since;
    drop(look);
    watch.signal(Signal::KILL);
    drop(watch);

    // Dead for longer than a gap, while Prometheus goes on.
    let dead = Instant::now();
    while dead.elapsed() < Duration::from_millis(3 * GAP_MS) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let watch = Watch::start(dir.path());
    tokio::task::block_in_place(|| watch.line("armed", |v| v["arming"] == "armed"));
    let mut look = Look::at(dir.path()).await;
    let again = |s: &Snapshot| {
        // what was kept before it died is older than that, and may still hold
        let young = |g: &GateRow| g.age_ms.is_some_and(|age| age < GAP_MS);
        let holds = |m| gate(s, &group, m).is_some_and(|g| matches!(g.gate, Gate::Hold { .. }) && young(g));
        holds(Metric::Lag) && holds(Metric::P99)
    };
    let seen = look.until("both are measured again", again).await;
    let (lag, p99) = (gate(&seen, &group, Metric::Lag).unwrap(), gate(&seen, &group, Metric::P99).unwrap());
    println!(
        "lag: held {} ms, holes {:?}\np99: held {} ms, holes {:?}",
        lag.held_ms, lag.holes, p99.held_ms, p99.holes
    );
    assert_eq!((lag.since, p99.since), (since, since), "it is the same soak");
    let longest = |g: &GateRow| g.holes.iter().map(|h| h.to.since(h.from)).max().unwrap_or(0);
    assert!(longest(lag) > 2 * GAP_MS, "nobody knows what the lag was: {lag:?}");
    assert!(p99.held_ms > lag.held_ms + GAP_MS, "Prometheus knows what p99 was, and it counts: {p99:?}, {lag:?}");
    drop((look, watch));
    let (_, audit) = tokio::task::block_in_place(|| estate.audits(Cluster::Green)).remove(0);
    assert_eq!(audit.lost, Vec::<u64>::new(), "{audit}");
}
