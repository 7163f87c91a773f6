//! Scenarios as data: each `cases/*.toml` says what happens in a tiny world, what is asked, and what must follow.
//! The words of a script are in `script.rs`.

#[path = "../support/cases.rs"]
mod cases;
mod driver;
mod earlier;
mod group;
mod hard;
mod script;

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
    cases::cases("tests/scenarios/cases")
}

#[test]
fn every_case_goes_as_written() {
    let cases = cases();
    assert!(cases.len() >= 25, "only {} cases were found", cases.len());
    let mut journals = Vec::new();
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|(name, case)| {
            let run = std::panic::AssertUnwindSafe(|| if case.hard { hard::play(case) } else { group::play(case) });
            match std::panic::catch_unwind(run) {
                Ok(journal) => {
                    journals.extend(journal);
                    None
                }
                Err(e) => {
                    let why = e.downcast_ref::<String>().cloned().unwrap_or_else(|| "panicked".into());
                    Some(format!("{name} ({}): {why}", case.about))
                }
            }
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
    earlier::write_if_asked(&journals);
}
