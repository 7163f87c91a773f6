//! Gates and triggers as data: each `cases/*.toml` says what is measured of one group over hours of a fake clock, and
//! how each criterion and trigger must stand. The words of a script are in `script.rs`.

#[path = "../support/cases.rs"]
mod cases;
mod script;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    script: String,
}

fn cases() -> Vec<(String, Case)> {
    cases::cases("tests/gates/cases")
}

#[test]
fn every_case_goes_as_written() {
    let cases = cases();
    assert!(cases.len() >= 50, "only {} cases were found", cases.len());
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|(name, case)| script::play(&case.script).err().map(|e| format!("{name} ({}): {e}", case.about)))
        .collect();
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// Every criterion has a case of each kind.
#[test]
fn every_gate_is_tried_in_every_way() {
    let names: Vec<String> = cases().into_iter().map(|(name, _)| name).collect();
    let mut missing = Vec::new();
    for gate in ["lag", "time-lag", "error-rate", "p99", "dlq"] {
        for way in ["pass", "hold", "fail", "unknown", "hole", "restart", "flap"] {
            let name = format!("{gate}-{way}");
            if !names.contains(&name) {
                missing.push(name);
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}
