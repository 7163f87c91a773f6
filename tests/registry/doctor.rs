//! `cutover doctor` on the registries of a plan: what they are, what may not be read, and that nothing is written.

use serde_json::Value;

use super::reading::seeded_with;
use super::verb::{run_verb, sections};
use crate::fake_registry::{FakeRegistry, Manner, http_answer};

fn row(checks: &Value, what: &str) -> (String, String) {
    let all = checks["checks"].as_array().expect("checks");
    let row = all.iter().find(|c| c["what"] == what).unwrap_or_else(|| panic!("no {what}: {checks:#}"));
    let text = |key: &str| row[key].as_str().expect("text").to_owned();
    (text("health"), format!("{} {}", text("found"), text("advice")))
}

#[test]
fn doctor_says_what_a_registry_is_and_what_may_not_be_read_and_writes_nothing() {
    let blue = FakeRegistry::start(seeded_with(Manner::Confluent, 9));
    let green = FakeRegistry::start(seeded_with(Manner::Karapace, 9));
    let doctor = |blue: &str, green: &str| -> Value {
        let output = run_verb("doctor", &sections(blue, green), &["--json"]);
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let checks = doctor(&blue.url, &green.url);
    let (health, found) = row(&checks, "registry of blue");
    assert!(health == "ok" && found.contains("Confluent's registry"), "{health} {found}");
    assert!(found.contains("29 subjects, mode READWRITE, compatibility BACKWARD"), "{found}");
    let (health, found) = row(&checks, "registry of green");
    assert!(health == "warn" && found.contains("Karapace") && found.contains("a copy to it would lose ids"), "{found}");

    blue.answer_instead(|asked| (asked == "GET /mode").then(|| http_answer(403, "", "no")));
    green.require("Basic somebody");
    let checks = doctor(&blue.url, &green.url);
    let (health, found) = row(&checks, "registry of blue");
    assert!(
        health == "unknown" && found.contains("mode unknown") && found.contains("let this user read /mode"),
        "{found}"
    );
    let (health, found) = row(&checks, "registry of green");
    assert!(health == "fail" && found.contains("answers 401"), "{health} {found}");
    for registry in [&blue, &green] {
        let asked = registry.asked();
        assert!(!asked.is_empty() && asked.iter().all(|a| a.starts_with("GET ")), "{asked:?}");
    }
}
