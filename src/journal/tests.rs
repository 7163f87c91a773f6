use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;
use crate::base::At;
use crate::migration::facts::command::Subject;
use crate::migration::facts::event::Event;

fn me() -> LeaseHolder {
    LeaseHolder {
        user: "anna".into(),
        host: "bastion".into(),
        pid: 7,
        version: "0.1.0".into(),
        since: At(1_700_000_000_000),
    }
}

fn noticed(what: &str) -> Event {
    Event::Noticed { subject: Subject::Group("loan-audit".into()), what: what.into() }
}

fn writer(path: &Path) -> Journal {
    match Journal::open(path, &me()).unwrap() {
        Opened::Writer(journal) => journal,
        Opened::ReadOnly { holder, .. } => panic!("held by {holder:?}"),
        Opened::Damaged { why, .. } => panic!("damaged: {why:?}"),
    }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".cutover/x.journal");
    (dir, path)
}

#[test]
fn entries_come_back_as_they_were_written() {
    let (_dir, path) = place();
    let mut journal = writer(&path);
    assert_eq!(journal.entries(0).unwrap(), []);
    assert_eq!(journal.append(At(1), "anna@bastion", &noticed("one")).unwrap().seq, 1);
    let two = journal.append_all(At(2), "controller", &[noticed("two"), noticed("\u{1b}[31m\0")]).unwrap();
    assert_eq!(two.iter().map(|e| e.seq).collect::<Vec<_>>(), [2, 3]);
    drop(journal);
    let journal = writer(&path);
    let entries = journal.entries(2).unwrap();
    assert_eq!(entries, two);
    let verified = journal.verify().unwrap().unwrap();
    assert_eq!(verified.entries, 3);
    let mut out = Vec::new();
    assert_eq!(journal.export(&mut out).unwrap(), 3);
    let lines: Vec<serde_json::Value> =
        String::from_utf8(out).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[2]["hash"], verified.head.as_str());
    assert_eq!(lines[2]["prev"], lines[1]["hash"]);
    assert_eq!(lines[0]["event"]["what"], "one");
}

#[test]
fn the_file_is_its_owners_alone_and_synced_at_every_commit() {
    let (_dir, path) = place();
    let mut journal = writer(&path);
    journal.append(At(1), "a", &noticed("x")).unwrap();
    let pragma = |name: &str| journal.conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(pragma("synchronous"), 2, "FULL");
    for suffix in ["", "-wal", ".lock", ".head", ".reserve"] {
        let file = format!("{}{suffix}", path.display());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
    assert!(journal.warnings().is_empty());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(journal.warnings()[0].contains("mode 640"), "{:?}", journal.warnings());
}

#[test]
fn a_second_process_reads_only_and_says_who_holds_it() {
    let (_dir, path) = place();
    let mut first = writer(&path);
    first.append(At(1), "a", &noticed("x")).unwrap();
    let Opened::ReadOnly { journal, holder } = Journal::open(&path, &me()).unwrap() else { panic!("two writers") };
    assert_eq!(holder, Some(me()));
    assert_eq!(me().to_string(), "anna@bastion (pid 7, cutover 0.1.0, since 2023-11-14 22:13 UTC)");
    // readers follow along
    assert_eq!(journal.entries(0).unwrap().len(), 1);
    first.append(At(2), "a", &noticed("y")).unwrap();
    assert_eq!(journal.entries(0).unwrap().len(), 2);
    assert_eq!(journal.holder(), Some(me()));
    // a link to it is the same journal
    let link = path.with_file_name("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(Journal::open(&link, &me()).unwrap(), Opened::ReadOnly { .. }));
    drop(first);
    assert_eq!(journal.holder(), None);
    assert!(matches!(Journal::open(&path, &me()).unwrap(), Opened::Writer(_)));
}

#[test]
fn nobody_passes_for_a_trigger_by_his_user_name() {
    let named = |user: &str| LeaseHolder { user: user.into(), ..me() }.actor().to_string();
    assert!(
        named("trigger green-stalls").starts_with("user trigger green-stalls@"),
        "{}",
        named("trigger green-stalls")
    );
    assert!(!crate::base::Actor::from(named("trigger green-stalls")).is_trigger());
    assert!(named("triggerhappy").starts_with("triggerhappy@"));
}

#[test]
fn what_someone_left_in_the_lock_file_is_no_obstacle() {
    let (_dir, path) = place();
    drop(writer(&path));
    for left in ["{\"user\":\"bob\"", "", "\0\0\0", &"x".repeat(100_000)] {
        std::fs::write(lease::lock_path(&path), left).unwrap();
        drop(writer(&path));
    }
}

#[test]
fn a_removed_lock_file_stops_the_writer() {
    let (_dir, path) = place();
    let mut first = writer(&path);
    std::fs::remove_file(lease::lock_path(&path)).unwrap();
    let e = first.append(At(1), "a", &noticed("x")).unwrap_err();
    assert!(e.what.contains("was removed or replaced"), "{}", e.what);
    let mut second = writer(&path);
    second.append(At(1), "b", &noticed("y")).unwrap();
    assert!(first.append(At(2), "a", &noticed("z")).is_err());
    assert_eq!(second.entries(0).unwrap().len(), 1);
}

#[test]
fn verify_names_the_first_entry_that_was_touched() {
    let (dir, path) = place();
    let mut journal = writer(&path);
    for i in 0..6 {
        journal.append(At(i), "a", &noticed(&format!("n{i}"))).unwrap();
    }
    drop(journal);
    let cases = [
        ("UPDATE entries SET event = replace(event, 'n2', 'n9') WHERE seq = 3", 3, "content was changed"),
        ("UPDATE entries SET at = at + 1 WHERE seq = 5", 5, "content was changed"),
        ("DELETE FROM entries WHERE seq = 2", 2, "missing"),
        ("DELETE FROM entries WHERE seq = 1", 1, "missing"),
        ("UPDATE entries SET hash = zeroblob(32) WHERE seq = 4", 4, "content was changed"),
        ("UPDATE entries SET prev = zeroblob(32) WHERE seq = 4", 4, "does not follow"),
    ];
    for (i, (sql, seq, why)) in cases.into_iter().enumerate() {
        let copy = dir.path().join(format!("copy-{i}"));
        std::fs::copy(&path, &copy).unwrap();
        let conn = rusqlite::Connection::open(&copy).unwrap();
        let refused = conn.execute(sql, []).unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
        conn.execute_batch(&format!("DROP TRIGGER entries_stay; DROP TRIGGER entries_last; {sql};")).unwrap();
        drop(conn);
        let broken = Reader::open(&copy).unwrap().verify().unwrap().unwrap_err();
        assert_eq!(broken.seq, seq, "{sql}: {broken}");
        assert!(broken.why.contains(why), "{sql}: {broken}");
    }
}

#[test]
fn a_journal_whose_note_tells_nothing_is_not_written_on() {
    let (_dir, path) = place();
    let note = head::note_path(&path);
    let mut journal = writer(&path);
    journal.append(At(1), "a", &noticed("one")).unwrap();
    drop(journal);
    let cut_off = std::fs::read(&path).unwrap();
    let mut journal = writer(&path);
    journal.append(At(2), "a", &noticed("two")).unwrap();
    drop(journal);
    // The last entry goes, and with one flipped byte the note that would tell.
    std::fs::write(&path, cut_off).unwrap();
    let mut flipped = std::fs::read(&note).unwrap();
    flipped[3] ^= 1;
    std::fs::write(&note, &flipped).unwrap();
    let Opened::Damaged { journal, why } = Journal::open(&path, &me()).unwrap() else { panic!("written on") };
    assert!(why.what.ends_with(".head can't be read: whether entries were cut off at the end is not known"), "{why:?}");
    assert!(why.advice.contains("remove it once `cutover journal verify`"), "{why:?}");
    assert_eq!(journal.entries(0).unwrap().len(), 1, "what is there can be read");
    assert_eq!(std::fs::read(&note).unwrap(), flipped, "and the note is left as it is");
    // An emptied one tells as little; one that a person removed says that he knows.
    std::fs::write(&note, "").unwrap();
    assert!(matches!(Journal::open(&path, &me()).unwrap(), Opened::Damaged { .. }));
    std::fs::remove_file(&note).unwrap();
    drop(writer(&path));
    // Who was killed before the first entry has lost nothing.
    let (_dir, path) = place();
    drop(writer(&path));
    std::fs::write(head::note_path(&path), "").unwrap();
    drop(writer(&path));
}

#[test]
fn a_write_without_the_lease_is_noticed() {
    let (_dir, path) = place();
    let mut journal = writer(&path);
    journal.append(At(1), "a", &noticed("x")).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("INSERT INTO entries VALUES (2, 2, 'mallory', '{}', zeroblob(32), zeroblob(32))", []).unwrap();
    let e = journal.append(At(2), "a", &noticed("y")).unwrap_err();
    assert!(e.what.contains("does not hold its lease"), "{}", e.what);
    assert_eq!(journal.verify().unwrap().unwrap_err().seq, 2);
    let e = journal.entries(0).unwrap_err();
    assert!(e.what.contains("entry 2"), "{}", e.what);
    let mut out = Vec::new();
    let e = journal.export(&mut out).unwrap_err();
    assert!(e.what.contains("entry 2"), "{}", e.what);
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 1, "what stands before the break");
}

#[test]
fn an_export_gives_the_chain_as_it_is_and_nothing_behind_its_break() {
    let (dir, path) = place();
    let mut journal = writer(&path);
    for i in 0..4 {
        journal.append(At(i), "a", &noticed(&format!("n{i}"))).unwrap();
    }
    drop(journal);
    let exported = |path: &Path| {
        let mut out = Vec::new();
        let count = Reader::open(path).unwrap().export(&mut out).map_err(|t| t.what);
        (count, String::from_utf8(out).unwrap().lines().count())
    };
    assert_eq!(exported(&path), (Ok(4), 4));
    let changed = "UPDATE entries SET event = replace(event, 'n2', 'n9') WHERE seq = 3";
    let removed = "DELETE FROM entries WHERE seq = 3";
    let broken = [(changed, "entry 3: its content was changed"), (removed, "entry 3: missing")];
    for (n, (sql, why)) in broken.into_iter().enumerate() {
        let copy = dir.path().join(format!("copy-{n}"));
        std::fs::copy(&path, &copy).unwrap();
        let conn = rusqlite::Connection::open(&copy).unwrap();
        conn.execute_batch(&format!("DROP TRIGGER entries_stay; DROP TRIGGER entries_last; {sql};")).unwrap();
        drop(conn);
        let (count, lines) = exported(&copy);
        assert!(count.is_err_and(|e| e.contains(why)) && lines == 2, "{sql}: {lines} lines");
    }
    // An event of a later version is part of the chain, whatever it means.
    let conn = rusqlite::Connection::open(&path).unwrap();
    let prev: chain::Hash = conn.query_row("SELECT hash FROM entries WHERE seq = 4", [], |r| r.get(0)).unwrap();
    let event = r#"{"new":1}"#;
    let next = chain::hash_entry(&prev, 5, At(9), "later", event);
    conn.execute("INSERT INTO entries VALUES (5, 9, 'later', ?1, ?2, ?3)", (event, prev, next)).unwrap();
    drop(conn);
    assert_eq!(exported(&path), (Ok(5), 5));
}

#[test]
fn a_reserve_that_was_removed_is_not_called_reserved() {
    let (_dir, path) = place();
    let mut journal = writer(&path);
    let reserve = PathBuf::from(format!("{}.reserve", path.display()));
    assert!(journal.look_for_room().unwrap().reserved && reserve.exists());
    std::fs::remove_file(&reserve).unwrap();
    assert!(journal.look_for_room().unwrap().reserved && reserve.exists(), "it was taken anew");
    // Where it can't be, that is said.
    std::fs::remove_file(&reserve).unwrap();
    std::fs::create_dir(&reserve).unwrap();
    assert!(!journal.look_for_room().unwrap().reserved);
}

#[test]
fn a_full_disk_says_so_and_the_journal_goes_on_when_there_is_space() {
    let (_dir, path) = place();
    let mut journal = writer(&path);
    journal.append(At(1), "a", &noticed("x")).unwrap();
    let pages: i64 = journal.conn.pragma_query_value(None, "page_count", |r| r.get(0)).unwrap();
    let limit = |n: i64| journal.conn.query_row(&format!("PRAGMA max_page_count = {n}"), [], |_| Ok(())).unwrap();
    limit(pages);
    let e = journal.append(At(2), "a", &noticed(&"y".repeat(100_000))).unwrap_err();
    assert!(e.what.ends_with("the disk is full"), "{}", e.what);
    journal.conn.query_row("PRAGMA max_page_count = 1000000", [], |_| Ok(())).unwrap();
    assert_eq!(journal.append(At(3), "a", &noticed("z")).unwrap().seq, 2);
    assert_eq!(journal.verify().unwrap().unwrap().entries, 2);
}

#[test]
fn what_is_no_journal_is_refused_and_left_alone() {
    let (dir, path) = place();
    let refused = |path: &Path| Journal::open(path, &me()).unwrap_err();

    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "my notes\n".repeat(1000)).unwrap();
    assert!(refused(&text).what.ends_with("is not a journal"), "{}", refused(&text).what);
    assert_eq!(std::fs::read_to_string(&text).unwrap().len(), 9000);

    let foreign = dir.path().join("other.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    assert!(refused(&foreign).what.ends_with("is a database of another program"));

    drop(writer(&path));
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA user_version = 9").unwrap();
    drop(conn);
    assert!(refused(&path).what.contains("newer cutover (schema 9"), "{}", refused(&path).what);

    assert!(Reader::open(&dir.path().join("none")).unwrap_err().what.starts_with("there is no journal"));
}

#[test]
fn a_damaged_file_is_a_trouble_not_a_panic() {
    let (dir, path) = place();
    let mut journal = writer(&path);
    for i in 0..600 {
        journal.append(At(i), "a", &noticed(&"n".repeat(200))).unwrap();
    }
    drop(journal);
    let whole = std::fs::read(&path).unwrap();
    let mut troubles = 0;
    for i in 0..40 {
        let mut bytes = whole.clone();
        let at = 100 + i * (bytes.len() - 100) / 40;
        let end = (at + 300).min(bytes.len());
        bytes[at..end].fill(0xa5);
        let copy = dir.path().join(format!("damaged-{i}"));
        std::fs::write(&copy, &bytes).unwrap();
        let sound = Reader::open(&copy).and_then(|r| r.verify()).is_ok_and(|v| v.is_ok());
        troubles += usize::from(!sound);
    }
    // damage in pages that hold no entry (the triggers' text, free space, samples) may go unseen by the chain
    assert!(troubles >= 34, "{troubles} of 40 damaged files were noticed");
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(Journal::open(&path, &me()), Err(_) | Ok(Opened::Damaged { .. })));
}

#[test]
fn samples_lie_beside_the_chain_and_outlive_a_restart() {
    use crate::migration::soak::samples::{SampleMark, SampleStretch, SeriesChange};
    use crate::migration::soak::watch::UnsavedSeries;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.journal");
    let open = || match Journal::open(&path, &LeaseHolder::this_process(At(1))).unwrap() {
        Opened::Writer(journal) => journal,
        Opened::ReadOnly { .. } | Opened::Damaged { .. } => panic!("nobody else holds it, and it is whole"),
    };
    let piece = |first: i64, last: i64| SampleStretch {
        first: At(first),
        last: At(last),
        min: 1.0,
        max: 3.5,
        value: 2.0,
        mark: SampleMark::Good,
    };
    let change = |since: i64, keep_from: i64, replace_from: i64, stretches: Vec<SampleStretch>| UnsavedSeries {
        group: "a'b\u{202e}".into(),
        since: At(since),
        series: "trigger:x".into(),
        change: SeriesChange { keep_from: At(keep_from), replace_from: At(replace_from), stretches },
    };
    let mut journal = open();
    journal.keep_samples(&[change(5, 10, 10, vec![piece(10, 20), piece(30, 40)])]).unwrap();
    journal.keep_samples(&[change(5, 10, 30, vec![piece(30, 55), piece(60, 60)])]).unwrap();
    assert!(journal.verify().unwrap().is_ok(), "no entry of the chain");
    drop(journal);
    let mut journal = open();
    let kept = Reader::open(&path).unwrap().samples().unwrap();
    assert_eq!((kept.len(), kept[0].since, kept[0].group.as_str()), (1, At(5), "a'b\u{202e}"));
    assert_eq!(kept[0].series["trigger:x"], [piece(10, 20), piece(30, 55), piece(60, 60)]);
    // the oldest were given up, then another soak began
    journal.keep_samples(&[change(5, 30, 60, vec![piece(60, 70)])]).unwrap();
    assert_eq!(journal.samples().unwrap()[0].series["trigger:x"], [piece(30, 55), piece(60, 70)]);
    journal.keep_samples(&[change(90, 95, 95, vec![piece(95, 99)])]).unwrap();
    let kept = journal.samples().unwrap();
    assert_eq!((kept.len(), kept[0].since), (1, At(90)));
    journal.drop_old_samples(At(i64::MAX)).unwrap();
    assert_eq!(journal.samples().unwrap(), []);
}

#[test]
fn a_damaged_sample_is_a_hole_and_one_of_an_earlier_version_counts() {
    use crate::migration::soak::samples::{SampleMark, SampleStretch, SeriesChange};
    use crate::migration::soak::watch::UnsavedSeries;
    let (_dir, path) = place();
    let mut journal = writer(&path);
    let piece = |first: i64| SampleStretch {
        first: At(first),
        last: At(first + 5),
        min: 1.0,
        max: 3.5,
        value: 2.0,
        mark: SampleMark::Good,
    };
    let stretches = vec![piece(10), piece(20), piece(30)];
    let change = SeriesChange { keep_from: At(10), replace_from: At(10), stretches };
    journal.keep_samples(&[UnsavedSeries { group: "g".into(), since: At(5), series: "lag".into(), change }]).unwrap();
    drop(journal);
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch(
        "UPDATE samples SET high = 3.0 WHERE first = 20;
         UPDATE samples SET mark = substr(mark, 1, instr(mark, ' ') - 1) WHERE first = 30;",
    )
    .unwrap();
    drop(conn);
    let kept = Reader::open(&path).unwrap().samples().unwrap();
    assert_eq!(kept[0].series["lag"], [piece(10), piece(30)]);
}

#[test]
fn a_journal_of_an_earlier_version_has_no_samples_and_gets_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.journal");
    drop(Journal::open(&path, &LeaseHolder::this_process(At(1))).unwrap());
    rusqlite::Connection::open(&path).unwrap().execute_batch("DROP TABLE samples").unwrap();
    assert_eq!(Reader::open(&path).unwrap().samples().unwrap(), []);
    let Opened::Writer(mut journal) = Journal::open(&path, &LeaseHolder::this_process(At(1))).unwrap() else {
        panic!()
    };
    journal.keep_samples(&[]).unwrap();
    assert_eq!(journal.samples().unwrap(), []);
}

#[test]
fn how_far_each_target_was_told_survives_and_is_no_part_of_the_chain() {
    use crate::migration::tell::notifications::DeliveryProgress;

    let (_dir, path) = place();
    let mut journal = writer(&path);
    assert_eq!(journal.told().unwrap(), []);
    journal.append(At(1), "anna@bastion", &noticed("one")).unwrap();
    let head = journal.verify().unwrap().unwrap();
    let trouble = Trouble::new("hooks.example.com: can't connect", "check it");
    let ops = DeliveryProgress { target: "ops".into(), seq: 1, failing: Some((At(9), trouble)) };
    let pager = DeliveryProgress { target: "pager".into(), seq: 1, failing: None };
    journal.keep_told(&[ops.clone(), pager.clone()]).unwrap();
    drop(journal);
    let mut journal = writer(&path);
    assert_eq!(journal.told().unwrap(), [ops, pager.clone()]);
    assert_eq!(Reader::open(&path).unwrap().told().unwrap().len(), 2, "who only looks sees it too");
    journal.keep_told(std::slice::from_ref(&pager)).unwrap();
    assert_eq!(journal.told().unwrap(), [pager], "a target that is gone is forgotten");
    let ahead = DeliveryProgress { target: "pager".into(), seq: 99, failing: None };
    journal.keep_told(std::slice::from_ref(&ahead)).unwrap();
    assert_eq!(journal.told().unwrap(), [], "nobody was told of what was never written");
    assert_eq!(journal.verify().unwrap().unwrap(), head);
}
