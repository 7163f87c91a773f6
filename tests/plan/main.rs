//! Plans, and the schema registries that they name (`tests/registry`): no Kafka, so few things to build.
//!
//! Bad plans as data: for each `bad/NAME.toml` what a person reads is in `bad/NAME.txt`.
//! After a deliberate change, `CUTOVER_BLESS=1 cargo test --test plan` writes them anew: read the difference.

#[path = "../support/registry/mod.rs"]
mod fake_registry;
#[path = "../registry/mod.rs"]
mod registry;

use std::fmt::Write as _;
use std::path::Path;

use cutover::plan::Plan;

fn said(file: &Path) -> String {
    // the name alone: where the checkout lies is nobody's business
    let text = std::fs::read_to_string(file).expect("a test plan");
    let name = Path::new(file.file_name().expect("a name"));
    match Plan::parse(&text, name) {
        Ok(loaded) => {
            let mut out = String::from("loads\n");
            for warning in loaded.warnings {
                let _ = writeln!(out, "{warning}");
            }
            out
        }
        Err(problems) => format!("{problems}\n"),
    }
}

fn files(dir: &str) -> Vec<std::path::PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan").join(dir);
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .expect("the directory of test plans")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

fn compare(dir: &str, loads: bool) -> usize {
    let files = files(dir);
    let mut wrong = String::new();
    for file in &files {
        let said = said(file);
        let expected = file.with_extension("txt");
        if std::env::var_os("CUTOVER_BLESS").is_some() {
            std::fs::write(&expected, &said).expect("writing the expectation");
        }
        let should = std::fs::read_to_string(&expected).unwrap_or_default();
        if said != should {
            let _ = writeln!(wrong, "--- {}\nexpected:\n{should}\nsaid:\n{said}", file.display());
        }
        assert_eq!(said.starts_with("loads\n"), loads, "{}:\n{said}", file.display());
    }
    assert!(wrong.is_empty(), "{wrong}");
    files.len()
}

#[test]
fn bad_plans_say_what_is_wrong_and_where() {
    assert!(compare("bad", false) >= 20);
}

#[test]
fn good_plans_load_and_warn() {
    assert!(compare("good", true) >= 3);
}
