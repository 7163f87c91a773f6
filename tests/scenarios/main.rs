//! Scenarios as data: each `cases/*.toml` says what happens in a tiny world, what is asked, and what must follow.
//! The words of a script are in `script.rs`.

mod boundaries;
mod driver;
mod hard;
mod script;
mod world;

use std::path::PathBuf;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    #[serde(default)]
    dry_run: bool,
    /// The world of an exactly-once producer.
    #[serde(default)]
    hard: bool,
    read_only: Option<String>,
    script: String,
}

fn cases() -> Vec<(String, Case)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/cases");
    let mut all: Vec<_> = std::fs::read_dir(&dir)
        .expect("the cases are there")
        .map(|f| f.expect("readable").path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .map(|p| {
            let text = std::fs::read_to_string(&p).expect("readable");
            let name = p.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let case = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            (name, case)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn every_case_goes_as_written() {
    let cases = cases();
    assert!(cases.len() >= 25, "only {} cases were found", cases.len());
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|(name, case)| {
            let run = std::panic::AssertUnwindSafe(|| if case.hard { hard::play(case) } else { script::play(case) });
            std::panic::catch_unwind(run).err().map(|e| {
                let why = e.downcast_ref::<String>().cloned().unwrap_or_else(|| "panicked".into());
                format!("{name} ({}): {why}", case.about)
            })
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}
