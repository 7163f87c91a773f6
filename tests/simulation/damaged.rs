//! A damaged journal and the real program: no verb writes to it, none passes it over in silence, and none takes what follows
//! from it for true. (`tests/journal.rs` does the same to the library, with a bit flipped at 200 places.)

use std::path::{Path, PathBuf};
use std::process::Command;

use cutover::base::At;
use cutover::journal::{Journal, LeaseHolder, Opened};
use cutover::migration::facts::command::Subject;
use cutover::migration::facts::event::Event;
use rusqlite::Connection;

const ENTRIES: u64 = 40;
/// Nobody answers there: what a verb says of the journal does not hang on the clusters.
const PLAN: &str = "[migration]\nname = \"m\"\njournal = \"m.journal\"\n[clusters.blue]\nbootstrap = \"127.0.0.1:1\"\n\
                    [clusters.green]\nbootstrap = \"127.0.0.1:2\"\n\
                    [[groups]]\nname = \"g\"\nswitch = { provider = \"manual\" }\n";

/// A folder with a plan and a sound journal.
fn write_whole(dir: &Path) -> PathBuf {
    std::fs::write(dir.join("cutover.toml"), PLAN).expect("a plan");
    let path = dir.join("m.journal");
    let Ok(Opened::Writer(mut journal)) = Journal::open(&path, &LeaseHolder::this_process(At(0))) else {
        panic!("no journal")
    };
    for n in 0..ENTRIES {
        let event = match n % 2 {
            0 => Event::Held { subject: Subject::Group("g".into()), why: format!("reason {n}") },
            _ => Event::Noticed { subject: Subject::Migration, what: format!("noticed {n}") },
        };
        journal.append(At(1_700_000_000_000 + i64::try_from(n).unwrap()), "ann@bastion", &event).expect("the append");
    }
    drop(journal);
    path
}

/// How a journal is damaged, in words, and the statements that do it.
fn damages() -> Vec<(String, String)> {
    let mut random = fastrand::Rng::with_seed(21);
    let mut all = Vec::new();
    for _ in 0..4 {
        let at = random.u64(2..ENTRIES);
        let flip = format!("UPDATE entries SET event = replace(event, 'o', 'p') WHERE seq = {at}");
        all.push((format!("a word of entry {at} is another one"), flip));
        let actor = format!("UPDATE entries SET actor = 'eve@bastion' WHERE seq = {at}");
        all.push((format!("somebody else is said to have written entry {at}"), actor));
    }
    all.push(("the last three entries are gone".into(), format!("DELETE FROM entries WHERE seq > {}", ENTRIES - 3)));
    let swap = "UPDATE entries SET seq = 1000 WHERE seq = 7; UPDATE entries SET seq = 7 WHERE seq = 9; \
                UPDATE entries SET seq = 9 WHERE seq = 1000";
    all.push(("two entries have changed places".into(), swap.into()));
    all
}

/// Carries statements out with the rules out of the way that keep entries as they are, and puts those back.
fn damage(path: &Path, statements: &str) {
    let db = Connection::open(path).expect("the journal");
    let mut rules = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").expect("a statement");
    let rules: Vec<(String, String)> = rules
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows")
        .map(|row| row.expect("a rule"))
        .collect();
    let drop: String = rules.iter().map(|(name, _)| format!("DROP TRIGGER {name};")).collect();
    let back: String = rules.iter().map(|(_, sql)| format!("{sql};")).collect();
    db.execute_batch(&format!("{drop}{statements};{back}")).expect("the damage");
}

fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .args(args)
        .current_dir(dir)
        .env_remove("CUTOVER_PLAN")
        .output()
        .expect("the program");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8")).concat();
    (output.status.code(), text)
}

fn entries(path: &Path) -> Vec<(i64, Vec<u8>)> {
    let db = Connection::open(path).expect("the journal");
    let mut rows = db.prepare("SELECT seq, event FROM entries ORDER BY seq").expect("a statement");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get_ref(1)?.as_bytes()?.to_vec())));
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

#[test]
fn no_verb_writes_to_a_damaged_journal_or_passes_it_over() {
    for (how, statements) in damages() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = write_whole(dir.path());
        damage(&path, &statements);
        let before = entries(&path);
        for args in [
            &["journal", "verify"][..],
            &["journal", "show"],
            &["journal", "export"],
            &["group", "hold", "g", "--reason", "lunch"],
            &["group", "resume", "g"],
            &["group", "cutover", "g", "--yes=g"],
            &["group", "rollback", "g", "--yes=g"],
            &["group", "complete", "g", "--yes=g"],
            &["status"],
            &["status", "--json"],
            &["doctor"],
        ] {
            let (code, text) = run(dir.path(), args);
            assert!(!matches!(code, None | Some(0)), "{how}: {args:?} ended with {code:?}: {text}");
            assert!(text.contains("journal"), "{how}: {args:?} says nothing of it: {text}");
            assert_eq!(entries(&path), before, "{how}: {args:?} wrote to it");
        }
    }
}
