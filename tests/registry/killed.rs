//! A copy that dies at any request, and copies of 140 subjects to each kind of registry.
//!
//! What a `kill -9` leaves is taken while one copy runs through: at each request that changes something, before and after it
//! acts, the registry as it is and the journal's files as they lie on disk. From each such moment a copy is started again,
//! in this process: what died is gone, and its lock with it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use cutover::base::{Side, Sides, TroubleClass};
use cutover::jobs::replay::Stop;
use cutover::jobs::schemas::{CopyScreen, SchemaCopyRequest, run_schema_copy};
use cutover::plan::Plan;
use cutover::registry::RegistryClient;
use cutover::schemas::{ImportManner, SchemaCopyReport, SchemaVerdict};
use cutover::session::options::{Options, Want};
use serde_json::{Value, json};

use super::apply::{assert_whole, blue, changes, green};
use super::reading::{avro, seeded_with};
use crate::fake_registry::{Asked, FakeRegistry, Manner, State};

/// A plan in a directory, whose journal lies in that directory too.
fn write_plan(dir: &Path, blue: &FakeRegistry, green: &FakeRegistry) -> Plan {
    let path = dir.join("cutover.toml");
    let text = format!(
        "[migration]\nname = \"t\"\njournal = \"t.journal\"\n[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.blue.registry]\nurl = \"{}\"\n[clusters.green]\nbootstrap = \"g:1\"\n[clusters.green.registry]\nurl = \"{}\"\n",
        blue.url, green.url
    );
    std::fs::write(&path, text).expect("a plan");
    Plan::load(&path).unwrap_or_else(|e| panic!("{e:?}")).plan
}

/// Makes a copy as `--apply` does, confirmed by whoever is asked.
async fn copy(plan: &Plan, ids_change: bool) -> SchemaCopyReport {
    let open = async |side: Side| {
        let registry = plan.clusters[side].registry.as_ref().expect("a registry");
        RegistryClient::open(registry, side).await.unwrap_or_else(|e| panic!("{e}"))
    };
    let clients = Sides { blue: open(Side::Blue).await, green: open(Side::Green).await };
    let mut screen = CopyScreen { say: &mut |_| {}, confirm: &mut |asked| Ok(asked.name.to_owned()) };
    let request = SchemaCopyRequest { records: 0, ids_change };
    let options = Options::new(Want::Armed, "tester@here");
    run_schema_copy(plan, &options, clients.as_ref(), request, &mut screen, Arc::new(Stop::default())).await
}

/// What is left when it dies at a request.
struct Remains {
    /// Which request, and whether it had acted.
    at: String,
    green: State,
    journal: Vec<(std::ffi::OsString, Vec<u8>)>,
}

impl Remains {
    /// The journal's files as they lie there: what is on disk is what a killed process leaves. The lock is nobody's then, and
    /// the index of the write-ahead log is made anew.
    fn take(at: String, dir: &Path, green: State) -> Self {
        let mut journal = Vec::new();
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_owned();
            let shown = name.to_string_lossy().into_owned();
            if path.is_file() && shown.starts_with("t.journal") && !shown.ends_with(".lock") && !shown.ends_with("-shm")
            {
                journal.push((name, std::fs::read(&path).expect("a file")));
            }
        }
        Remains { at, green, journal }
    }

    fn lay_out(&self, dir: &Path) {
        for (name, bytes) in &self.journal {
            std::fs::write(dir.join(name), bytes).expect("a file");
        }
    }
}

/// Copies once, and keeps what is left at each request that changes something and that is `wanted` by its number.
async fn copy_and_keep(
    plan: &Plan,
    dir: &Path,
    green: &FakeRegistry,
    ids_change: bool,
    wanted: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (SchemaCopyReport, Vec<Remains>) {
    let kept: Arc<Mutex<(usize, Vec<Remains>)>> = Arc::default();
    let (keeps, registry, dir) = (Arc::clone(&kept), green.clone(), dir.to_owned());
    green.watch(move |asked, done| {
        if asked.starts_with("GET ") {
            return;
        }
        let mut kept = keeps.lock().expect("nobody panics with it");
        kept.0 += 1;
        if wanted(kept.0) {
            let at = format!("killed {} {asked}", if done { "after" } else { "before" });
            let state = registry.with_state(|state| state.clone());
            kept.1.push(Remains::take(at, &dir, state));
        }
    });
    let report = copy(plan, ids_change).await;
    green.watch(|_, _| {});
    let remains = std::mem::take(&mut kept.lock().expect("nobody panics with it").1);
    (report, remains)
}

/// The proof: dead before and after each request that changes something, and started again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_request_it_is_gone_on_with() {
    let (dir, blue, green) = (tempfile::tempdir().expect("a directory"), blue(), green());
    let plan = write_plan(dir.path(), &blue, &green);
    let (report, remains) = copy_and_keep(&plan, dir.path(), &green, false, |_| true).await;
    assert_eq!(report.trouble, None);
    assert_whole(&green, "after the copy");
    assert!(remains.len() >= 40, "only {} moments", remains.len());
    for left in remains {
        let dir = tempfile::tempdir().expect("a directory");
        left.lay_out(dir.path());
        green.with_state(|state| *state = left.green.clone());
        let plan = write_plan(dir.path(), &blue, &green);
        let report = copy(&plan, false).await;
        assert_eq!(report.trouble, None, "{}", left.at);
        let verdict = report.after.map(|after| after.judge_survey());
        assert_eq!(verdict, Some(SchemaVerdict::Same), "{}", left.at);
        assert_whole(&green, &left.at);
    }
}

/// 140 subjects with chains of references, soft-deleted versions, odd names, three languages, and compatibility and modes of
/// their own.
fn many(manner: Manner) -> State {
    let mut state = seeded_with(manner, 42);
    // references over six subjects, the last one first by its id
    for n in (0..6).rev() {
        let (below, id) = (n + 1, 6_000 - n);
        let references =
            json!([{ "name": format!("n.Link{below}"), "subject": format!("link/{below}"), "version": 1 }]);
        let (kind, references) =
            if n == 5 { ("int".to_owned(), Value::Null) } else { (format!("n.Link{below}"), references) };
        state.seed(&format!("link/{n}"), 1, id, "AVRO", &avro(&format!("Link{n}"), "next", &kind), references);
    }
    for (n, name) in ["50% off?", "ünïcode", "a b", "emoji-\u{1f980}", "x..y", "plus+sign"].into_iter().enumerate() {
        state.seed_avro(name, 2, 7_000 + u32::try_from(n).expect("few"), &avro(&format!("Odd{n}"), "x", "int"));
    }
    let mut set = |method, target: &str, body| {
        let (status, answer) = state.answer(&Asked::new(method, target, body));
        assert!(status == 200 || status == 405 || status == 204, "{target}: {status} {answer}");
    };
    for n in 0..10 {
        set("PUT", &format!("/config/ref-{n}"), json!({ "compatibility": "FULL" }));
    }
    if matches!(manner, Manner::Confluent | Manner::AxonOps) {
        for n in 0..5 {
            set("PUT", &format!("/mode/old-{n}"), json!({ "mode": "READONLY" }));
        }
    }
    state
}

/// Subjects that have a mode of their own, with it.
fn own_modes(of: &FakeRegistry) -> BTreeSet<(String, String)> {
    let names = of.ask("GET", "/subjects?deleted=true", Value::Null).1;
    let names = names.as_array().expect("a list").iter().filter_map(|n| n.as_str().map(str::to_owned));
    let mode = |name: &String| {
        let segment = cutover::schemas::encode_subject(name).expect("a name");
        let (status, answer) = of.ask("GET", &format!("/mode/{segment}"), Value::Null);
        (status == 200).then(|| answer["mode"].to_string())
    };
    names.filter_map(|name| mode(&name).map(|mode| (name, mode))).collect()
}

/// Copies, again, and from some of the moments between. Green holds something of its own from the beginning.
async fn copy_many(manner: Manner, ids_change: bool, every: usize) -> SchemaCopyReport {
    let (dir, blue) = (tempfile::tempdir().expect("a directory"), FakeRegistry::start(many(Manner::Confluent)));
    let mut state = State::new(manner);
    state.seed_avro("green's own", 1, 1, &avro("Own", "x", "int"));
    let green = FakeRegistry::start(state);
    let plan = write_plan(dir.path(), &blue, &green);
    let (report, remains) =
        copy_and_keep(&plan, dir.path(), &green, ids_change, move |n| every > 0 && n % every == every / 2).await;
    assert_eq!((&report.trouble, &report.left_out), (&None, &Vec::new()));
    assert_eq!(changes(&blue), Vec::<String>::new(), "blue is only read");
    let sent = changes(&green).len();
    let again = copy(&plan, ids_change).await;
    assert_eq!((again.trouble, changes(&green).len()), (None, sent), "a second copy sends nothing");
    let modes = own_modes(&green);
    for left in remains {
        let dir = tempfile::tempdir().expect("a directory");
        left.lay_out(dir.path());
        green.with_state(|state| *state = left.green.clone());
        let plan = write_plan(dir.path(), &blue, &green);
        let resumed = copy(&plan, ids_change).await;
        assert_eq!(resumed.trouble, None, "{}", left.at);
        let (before, after) = (&report.after, &resumed.after);
        let judge = |of: &Option<cutover::schemas::SchemaSurvey>| of.as_ref().map(|of| of.judge_survey());
        assert_eq!(judge(after), judge(before), "{}", left.at);
        assert_eq!(own_modes(&green), modes, "{}", left.at);
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_and_forty_subjects_are_copied_with_their_ids() {
    let report = copy_many(Manner::Confluent, false, 500).await;
    let after = report.after.expect("it was looked at");
    assert_eq!((after.parity.counts.subjects, after.judge_survey()), (140, SchemaVerdict::Same));
    assert_eq!(report.imported.len(), after.parity.counts.versions);
    assert_eq!(report.deleted.len(), 42, "soft-deleted as on blue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_of_another_kind_that_keeps_ids_gets_them_too() {
    let report = copy_many(Manner::AxonOps, false, 0).await;
    let after = report.after.expect("it was looked at");
    assert_eq!((after.parity.counts.subjects, report.imported.len()), (140, after.parity.counts.versions));
    assert_eq!(after.judge_survey(), SchemaVerdict::Same, "{:#?}", after.parity.findings.first());
}

/// Rule 12: with a word, and only then; each new id is named, reads what was meant, and none of blue's is taken.
#[tokio::test(flavor = "multi_thread")]
async fn where_ids_can_not_be_kept_they_change_with_a_word_and_are_named() {
    for (manner, every) in [(Manner::Karapace, 60), (Manner::Apicurio, 0)] {
        let report = copy_many(manner, true, every).await;
        let after = report.after.expect("it was looked at");
        assert_eq!(after.plan.manner, ImportManner::NewIds);
        assert_eq!((report.imported.len(), after.plan.imports.len()), (0, 0), "{manner:?}");
        // Live ones alone. A JSON Schema that names no dialect would not be found by its id on one of them.
        let unfound = usize::from(manner == Manner::Apicurio);
        assert_eq!(report.new_ids.len(), after.parity.counts.versions - 42 - unfound, "{manner:?}");
        assert_eq!(after.judge_survey(), SchemaVerdict::Differs, "ids differ, and that is told");
    }
}

/// Without the word nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn ids_do_not_change_without_a_word() {
    for manner in [Manner::Karapace, Manner::Apicurio] {
        let (dir, blue) = (tempfile::tempdir().expect("a directory"), blue());
        let green = FakeRegistry::start(State::new(manner));
        let plan = write_plan(dir.path(), &blue, &green);
        let report = copy(&plan, false).await;
        assert_eq!((report.trouble, report.class, changes(&green)), (None, None::<TroubleClass>, Vec::new()));
        let after = report.after.expect("it was looked at");
        let words: Vec<String> = after.plan.obstacles.iter().map(|o| o.describe_obstacle()).collect();
        assert!(words[0].contains("gives ids of its own: 6 versions would change theirs"), "{words:?}");
    }
}
