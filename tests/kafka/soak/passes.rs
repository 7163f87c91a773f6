//! A soak at compressed times: HOLD, a hole that is UNKNOWN and counts nothing, PASS in time, and complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use cutover::base::TroubleClass;
use cutover::migration::facts::command::{Command, Prepared, Refusal, Subject};
use cutover::migration::facts::stage::Stage;
use cutover::migration::rules::gate::Gate;
use cutover::migration::soak::criteria::{GateRow, Metric};
use cutover::migration::soak::samples::SampleMark;
use cutover::snapshot::{Ask, GroupRow, Reply};

use super::rig::{Estate, Look, PATIENT, SOON, events, journal, row, write_plan};
use crate::support::kafka::{create_topic, pair};
use crate::support::patience::in_time;
use crate::support::prometheus::Prometheus;
use crate::support::unique;
use crate::support::workload::Cluster;
use crate::watch::{Watch, cutover};

/// How long each criterion has to hold, ms.
const NEEDED_MS: u64 = 8_000;
/// A longer silence is a hole, ms.
const GAP_MS: u64 = 3_000;
/// Scrapes that see the application on green before its exporter falls silent: half of what is needed.
const SCRAPES: i32 = 8;

/// The exporter of the application: counters of what it has really processed, its latency as it would measure it (a
/// little slower on green), both for the clusters where it has worked.
struct Exporter {
    /// Scrapes until it falls silent, counted from the first that sees the application on green.
    left: Arc<AtomicI32>,
    /// It answers again, whatever is left.
    mended: Arc<AtomicBool>,
}

impl Exporter {
    fn start(prometheus: &Prometheus, group: &str, processed: impl Fn() -> [u64; 2] + Send + 'static) -> Exporter {
        let exporter = Exporter { left: Arc::new(AtomicI32::new(SCRAPES)), mended: Arc::default() };
        let (left, mended, group) = (Arc::clone(&exporter.left), Arc::clone(&exporter.mended), group.to_owned());
        prometheus.export_from(move || {
            let processed = processed();
            let silent = processed[1] > 0 && left.fetch_sub(1, Ordering::Relaxed) <= 0;
            if silent && !mended.load(Ordering::Relaxed) {
                return String::new();
            }
            let of = |(name, n, p99): (&str, u64, f64)| {
                format!(
                    "records_total{{group=\"{group}\",kafka=\"{name}\"}} {n}\n\
                     failed_total{{group=\"{group}\",kafka=\"{name}\"}} 0\n\
                     p99_seconds{{group=\"{group}\",kafka=\"{name}\"}} {p99}\n"
                )
            };
            let sides = [("legacy", processed[0], 0.08), ("psc", processed[1], 0.084)];
            sides.into_iter().filter(|(_, n, _)| *n > 0).map(of).collect()
        });
        exporter
    }
}

fn gate(group: &GroupRow, metric: Metric) -> &GateRow {
    group.gates.iter().find(|g| g.metric == metric).unwrap_or_else(|| panic!("{metric} is watched: {:?}", group.gates))
}

fn soaks(group: &GroupRow) -> bool {
    matches!(group.stage, Stage::Soaking { .. }) && !group.gates.is_empty()
}

fn passed(group: &GroupRow) -> bool {
    soaks(group) && group.gates.iter().filter(|g| g.judged).all(|g| g.gate == Gate::Pass)
}

/// The dialog of a command, or why there is none.
async fn dialog(look: &mut Look, id: u64, command: Command) -> Result<Box<Prepared>, Refusal> {
    look.0.asks.send(Ask::Prepare { id, command }).await.expect("the controller lives");
    match look.0.replies.recv().await.expect("the controller lives") {
        Reply::Prepared { result, .. } => result,
        other => panic!("{other:?}"),
    }
}

/// Waits until the dialog of the cutover says what the soak will be compared with.
async fn wait_for_the_baseline(look: &mut Look, group: &str) {
    let measured = |p: &Prepared| p.warnings.iter().any(|w| w.starts_with("its soak compares p99 with 80ms, "));
    let asked = async {
        for id in 1.. {
            if dialog(look, id, Command::cut_over(group)).await.is_ok_and(|p| measured(&p)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    in_time(SOON, asked).await.expect("p99 is measured on blue before the cutover");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soak_passes_in_its_time_and_a_silent_exporter_is_a_hole() {
    let dir = tempfile::tempdir().unwrap();
    let dlq = unique("dead-letters");
    let estate = tokio::task::block_in_place(|| {
        create_topic(&pair().green, &dlq, 1, &[]);
        Estate::start(dir.path(), &["loan-audit"], 200)
    });
    let (group, prometheus) = (estate.members[0].group.clone(), Prometheus::start(None));
    let exporter = Exporter::start(&prometheus, &group, estate.members[0].application.counter());
    let span = |ms: u64| format!("{}s", ms / 1_000);
    let (needed, gap) = (span(NEEDED_MS), span(GAP_MS));
    let criteria = format!(
        "dlq = {dlq:?}\ncriteria = {{ lag_below = 5000, lag_for = {needed:?}, error_rate_below = 0.001, \
         error_rate_for = {needed:?}, p99_within = 0.10, p99_for = {needed:?}, dlq_growth = 0 }}"
    );
    write_plan(
        dir.path(),
        &format!(
            "{PATIENT}sample_gap = {gap:?}\n{}\
             [metrics.prom]\nprovider = \"prometheus\"\nurl = {:?}\nevery = \"1s\"\n[metrics.prom.queries]\n\
             error_rate = 'sum(rate(failed_total{{group=\"{{group}}\",kafka=\"{{cluster}}\"}}[5s])) / \
             sum(rate(records_total{{group=\"{{group}}\",kafka=\"{{cluster}}\"}}[5s]))'\n\
             p99 = {{ query = 'p99_seconds{{group=\"{{group}}\",kafka=\"{{cluster}}\"}}', unit = \"s\" }}\n",
            estate.toml(&criteria),
            prometheus.url
        ),
    );
    let watch = Watch::start(dir.path());
    tokio::task::block_in_place(|| watch.line("armed", |v| v["arming"] == "armed"));
    let mut look = Look::at(dir.path()).await;
    wait_for_the_baseline(&mut look, &group).await;
    let run = |args: &[&str]| tokio::task::block_in_place(|| cutover(dir.path(), args));
    let (code, _, err) = run(&["group", "cutover", &group, &format!("--yes={group}")]);
    assert_eq!(code, Some(0), "{err}");

    // What was measured on blue is what it is compared with.
    let seen =
        look.until("a first p99", |s| soaks(row(s, &group)) && gate(row(s, &group), Metric::P99).value.is_some());
    let seen = seen.await;
    let p99 = gate(row(&seen, &group), Metric::P99);
    assert!(p99.baseline.is_some_and(|b| (b - 80.0).abs() < 1e-6), "{p99:?}");
    println!("{}: {:?}", p99.words, p99.gate);

    // The exporter falls silent half way: UNKNOWN, drawn, and nothing is complete.
    let hole = |g: &GateRow| {
        g.line.iter().any(|(.., m)| *m == SampleMark::Good) && g.holes.last().is_some_and(|h| h.to > g.since)
    };
    let unknown = |s: &cutover::snapshot::Snapshot| {
        let g = row(s, &group);
        let p99 = gate(g, Metric::P99);
        assert!(!passed(g), "it passes only after the hole: {:?}", g.gates);
        soaks(g)
            && hole(p99)
            && matches!(p99.gate, Gate::Unknown { .. })
            // far longer than a gap: what Prometheus still knows of its edges is filled in afterwards
            && p99.holes.last().is_some_and(|h| h.to == s.now && h.to.since(h.from) > 2 * GAP_MS)
    };
    let seen = look.until("a hole", unknown).await;
    let p99 = gate(row(&seen, &group), Metric::P99).clone();
    let held_before = p99.held_ms;
    println!("{:?}, held {held_before} ms, holes {:?}", p99.gate, p99.holes);
    assert!(held_before > 0 && held_before < NEEDED_MS, "{p99:?}");
    let refused = dialog(&mut look, 0, Command::complete(Subject::Group(group.clone()))).await.unwrap_err();
    println!("{refused}");
    assert_eq!(refused.class, TroubleClass::Unknown, "{refused:?}");

    // It answers again: the clock goes on from where it stood, and the silence is not part of it.
    exporter.mended.store(true, Ordering::Relaxed);
    let seen = look.until("HOLD after the hole", |s| {
        let p99 = gate(row(s, &group), Metric::P99);
        !matches!(p99.gate, Gate::Unknown { .. })
    });
    let seen = seen.await;
    println!("{:?}", gate(row(&seen, &group), Metric::P99).gate);
    let seen = look.until("PASS", |s| passed(row(s, &group))).await;
    let p99 = gate(row(&seen, &group), Metric::P99);
    let silent: u64 = p99.holes.iter().map(|h| h.to.since(h.from)).sum();
    let watched = seen.now.since(p99.since);
    println!("PASS: watched {watched} ms, held {} ms, holes {silent} ms", p99.held_ms);
    assert!(silent > GAP_MS && p99.held_ms >= NEEDED_MS && watched >= NEEDED_MS + silent, "{p99:?}");
    let (code, _, err) = run(&["group", "complete", &group, &format!("--yes={group}")]);
    assert_eq!(code, Some(0), "{err}");

    let entries = journal(dir.path());
    let baselines = events(&entries, "baselined");
    let p99 = baselines.iter().find(|e| e["event"]["metric"] == "p99").expect("journalled");
    assert!((p99["event"]["value"].as_f64().unwrap() - 80.0).abs() < 1e-6, "{p99}");
    let cut = events(&entries, "completed");
    assert_eq!(cut.len(), 1);
    drop(look);
    let (_, audit) = tokio::task::block_in_place(|| estate.audits(Cluster::Green)).remove(0);
    println!("{audit}");
    assert_eq!(audit.lost, Vec::<u64>::new(), "{audit}");
}
