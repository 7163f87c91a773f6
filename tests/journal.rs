//! A journal whose controller is killed: every entry that was acknowledged is there, the chain holds, the lease is free.
//! A journal that was damaged: it is refused for writing, and nobody reads over the damage. A full disk.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use cutover::base::At;
use cutover::journal::{Journal, LeaseHolder, Opened, Reader};
use cutover::migration::facts::command::Subject;
use cutover::migration::facts::event::{Event, JournalEntry};

const CHILD: &str = "CUTOVER_TEST_JOURNAL";
const SMALL: &str = "CUTOVER_TEST_SMALL_DISK";

fn writer(path: &Path) -> Journal {
    match Journal::open(path, &LeaseHolder::this_process(At(0))).expect("the journal opens") {
        Opened::Writer(journal) => journal,
        Opened::ReadOnly { holder, .. } => panic!("held by {holder:?}"),
        Opened::Damaged { why, .. } => panic!("damaged: {why:?}"),
    }
}

/// The child: appends until it is killed, and says so after each append has returned.
#[test]
fn child_appends() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut journal = writer(Path::new(&path));
    for i in 0.. {
        let what = format!("{i} {}", "x".repeat(i % 3000));
        let event = Event::Noticed { subject: Subject::Migration, what };
        let entry = journal.append(At(i as i64), "child", &event).expect("the append");
        println!("\nacknowledged {}", entry.seq);
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.journal");
    let (mut total, mut seen) = (0, 0);
    for round in 0..8_usize {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "child_appends", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the child starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut acknowledged = 0;
        // each round is killed after another number of entries, and wherever it happens to be by then
        for _ in 0..=(round * 13) {
            let seq =
                lines.by_ref().map_while(Result::ok).find_map(|l| l.strip_prefix("acknowledged ")?.parse::<u64>().ok());
            acknowledged = seq.expect("the child acknowledges");
        }
        if round == 3 {
            let Opened::ReadOnly { holder: Some(holder), .. } =
                Journal::open(&path, &LeaseHolder::this_process(At(0))).expect("it opens beside the child")
            else {
                panic!("two writers, or nobody signed")
            };
            assert_eq!(holder.pid, child.id());
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("it is gone");
        // what was still on its way through the pipe was acknowledged too
        for line in lines.map_while(Result::ok) {
            if let Some(seq) = line.strip_prefix("acknowledged ").and_then(|s| s.parse().ok()) {
                acknowledged = seq;
            }
        }
        let journal = writer(&path);
        let verified = journal.verify().expect("it can be read").expect("the chain holds");
        assert!(verified.entries >= acknowledged, "{} entries, {acknowledged} acknowledged", verified.entries);
        // one append may have been under way
        assert!(verified.entries <= acknowledged + 1, "{} entries, {acknowledged} acknowledged", verified.entries);
        assert!(acknowledged > total);
        let entries = journal.entries(total + 1).expect("the new entries");
        for (entry, i) in entries.iter().zip(0..) {
            let Event::Noticed { what, .. } = &entry.event else { panic!("{entry:?}") };
            assert_eq!(what, &format!("{i} {}", "x".repeat(i % 3000)));
            seen += 1;
        }
        total = verified.entries;
    }
    assert_eq!(seen, total);
}

/// A journal with entries of many sizes, closed in order.
fn written(path: &Path) -> Vec<JournalEntry> {
    let mut journal = writer(path);
    for i in 0..150_usize {
        let what = format!("{i} {}", "word ".repeat(i * 7 % 400));
        let event = Event::Noticed { subject: Subject::Group(format!("group-{}", i % 9)), what };
        journal.append(At(1_700_000_000_000 + i as i64), "ann@bastion", &event).expect("the append");
    }
    journal.entries(1).expect("its entries")
}

/// Copies a journal with the files beside it.
fn copy(from: &Path, to: &Path) {
    for suffix in ["", "-wal", ".head"] {
        let name = |path: &Path| std::path::PathBuf::from(format!("{}{suffix}", path.display()));
        let _ = std::fs::remove_file(name(to));
        if name(from).exists() {
            std::fs::copy(name(from), name(to)).expect("a copy");
        }
    }
    let _ = std::fs::remove_file(format!("{}-shm", to.display()));
}

/// How a damaged journal was met.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Met {
    /// It is not written to.
    Refused,
    /// What was hit is no part of what is read: every entry is as it was written.
    Whole,
}

/// Opens a damaged copy in every way there is. Whatever comes: nobody sees other entries than were written, and what is not
/// whole is not written to.
fn meet(path: &Path, truth: &[JournalEntry], how: &str) -> Met {
    let read = Reader::open(path).and_then(|r| r.entries(1));
    if let Ok(entries) = &read {
        assert!(
            entries == truth,
            "{how}: a reader sees {} entries, other than the {} written",
            entries.len(),
            truth.len()
        );
    }
    let verified = Reader::open(path).and_then(|r| r.verify());
    let sound = matches!(verified, Ok(Ok(_)));
    let before = std::fs::read(path).expect("the file");
    match Journal::open(path, &LeaseHolder::this_process(At(0))) {
        Err(trouble) => assert!(!trouble.what.is_empty() && !trouble.advice.is_empty(), "{how}: {trouble:?}"),
        Ok(Opened::Damaged { journal, why }) => {
            assert!(!why.advice.is_empty(), "{how}: {why:?}");
            assert!(!sound, "{how}: refused, and `verify` says that it holds");
            if let Ok((entries, _)) = journal.sound_entries(1) {
                assert!(truth.starts_with(&entries), "{how}: other entries before the break");
            }
        }
        Ok(Opened::ReadOnly { .. }) => panic!("{how}: nobody holds it"),
        Ok(Opened::Writer(mut journal)) => {
            assert!(sound, "{how}: written to, and `verify` refuses it: {verified:?}");
            assert!(read.is_ok_and(|entries| entries == truth), "{how}");
            let event = Event::Noticed { subject: Subject::Migration, what: "one more".into() };
            journal.append(At(1), "ann@bastion", &event).unwrap_or_else(|e| panic!("{how}: {e:?}"));
            assert_eq!(journal.verify().expect("it reads").expect("it holds").entries, truth.len() as u64 + 1, "{how}");
            return Met::Whole;
        }
    }
    assert!(before == std::fs::read(path).expect("the file"), "{how}: the damaged file was written to");
    Met::Refused
}

#[test]
fn a_flipped_bit_anywhere_is_refused_or_hits_nothing_that_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let (whole, damaged) = (dir.path().join("whole"), dir.path().join("damaged"));
    let truth = written(&whole);
    let bytes = std::fs::read(&whole).expect("the file");
    let mut rng = fastrand::Rng::with_seed(11);
    let mut refused = 0;
    for n in 0..200 {
        copy(&whole, &damaged);
        let (at, bit) = (rng.usize(0..bytes.len()), rng.u8(0..8));
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        std::fs::write(&damaged, &flipped).expect("the damaged copy");
        refused += usize::from(meet(&damaged, &truth, &format!("flip {n}: byte {at}, bit {bit}")) == Met::Refused);
    }
    // Free space in pages is not read by anybody.
    assert!(refused > 140, "{refused} of 200 were refused");
}

#[test]
fn what_was_cut_off_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let truth = written(&whole);
    let bytes = std::fs::read(&whole).expect("the file");
    for n in 0..40 {
        let len = bytes.len() * n / 40;
        copy(&whole, &cut);
        std::fs::write(&cut, &bytes[..len]).expect("the cut copy");
        assert_eq!(meet(&cut, &truth, &format!("cut at {len}")), Met::Refused, "cut at {len}");
    }
    // Entries that are in the WAL alone, as after a kill: every cut of the WAL loses some of them without a trace in the chain.
    let open = dir.path().join("open");
    let mut journal = writer(&open);
    for i in 0..60 {
        let event = Event::Noticed { subject: Subject::Migration, what: format!("{i}") };
        journal.append(At(i), "ann@bastion", &event).expect("the append");
    }
    let truth = journal.entries(1).expect("its entries");
    let wal = std::fs::read(format!("{}-wal", open.display())).expect("the WAL");
    let mut met = Vec::new();
    for n in 0..=20 {
        let len = wal.len() * n / 20;
        copy(&open, &cut);
        std::fs::write(format!("{}-wal", cut.display()), &wal[..len]).expect("the cut WAL");
        met.push(meet(&cut, &truth, &format!("WAL cut at {len}")));
    }
    assert_eq!(met.pop(), Some(Met::Whole), "nothing was cut off");
    assert!(met.iter().all(|m| *m == Met::Refused), "{met:?}");
}

#[test]
fn entries_that_were_swapped_or_rewritten_and_older_copies_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (whole, touched, older) = (dir.path().join("whole"), dir.path().join("touched"), dir.path().join("older"));
    let truth = written(&whole);
    let mut rng = fastrand::Rng::with_seed(12);
    for n in 0..20 {
        let (a, b) = (rng.u64(1..=150), rng.u64(1..=150));
        if a == b {
            continue;
        }
        copy(&whole, &touched);
        let conn = rusqlite::Connection::open(&touched).expect("the copy");
        let stay: String = conn
            .query_row("SELECT sql FROM sqlite_schema WHERE name = 'entries_stay'", [], |r| r.get(0))
            .expect("the trigger");
        conn.execute_batch(&format!(
            "DROP TRIGGER entries_stay;
             UPDATE entries SET seq = 100000 WHERE seq = {a}; UPDATE entries SET seq = {a} WHERE seq = {b};
             UPDATE entries SET seq = {b} WHERE seq = 100000; {stay};"
        ))
        .expect("the swap");
        drop(conn);
        assert_eq!(meet(&touched, &truth, &format!("swap {n}: {a} and {b}")), Met::Refused);
    }
    // Rules that are gone would let the next change through.
    copy(&whole, &touched);
    rusqlite::Connection::open(&touched)
        .expect("the copy")
        .execute_batch("DROP TRIGGER entries_last")
        .expect("dropped");
    assert_eq!(meet(&touched, &truth, "without a trigger"), Met::Refused);
    // A whole chain, and an older one: the note beside the journal knows what was written since.
    copy(&whole, &older);
    let mut journal = writer(&whole);
    let event = Event::Noticed { subject: Subject::Migration, what: "later".into() };
    journal.append(At(9), "ann@bastion", &event).expect("the append");
    drop(journal);
    std::fs::copy(&older, &whole).expect("the older copy in its place");
    assert_eq!(meet(&whole, &truth, "an older copy"), Met::Refused);
    let Opened::Damaged { why, .. } = Journal::open(&whole, &LeaseHolder::this_process(At(0))).expect("it opens")
    else {
        panic!()
    };
    assert!(why.what.contains("entry 151 was written, and the last one here is 150"), "{why:?}");
    // On purpose: the note goes, and the journal is taken as it is.
    std::fs::remove_file(format!("{}.head", whole.display())).expect("the note");
    assert_eq!(meet(&whole, &truth, "put back on purpose"), Met::Whole);
}

/// The child of the test below: fills its small disk, and says how the journal fares.
#[test]
fn child_on_a_small_disk() {
    let Some(dir) = std::env::var_os(SMALL) else { return };
    let dir = Path::new(&dir);
    let mut journal = writer(&dir.join("x.journal"));
    let big = |n: usize| Event::Noticed { subject: Subject::Migration, what: "x".repeat(n) };
    assert!(journal.look_for_room().expect("room").reserved, "the reserve is taken while there is room");
    let filler = dir.join("filler");
    let fill = || {
        let file = std::fs::File::create(&filler).expect("a file");
        let mut at = 0;
        let page = [1_u8; 4096];
        while std::os::unix::fs::FileExt::write_at(&file, &page, at).is_ok_and(|n| n == page.len()) {
            at += 4096;
        }
    };
    fill();
    // The run under way is finished in the room of the reserve: more than 2 MiB of entries.
    for n in 0..40 {
        journal.append(At(n), "ann@bastion", &big(50_000)).expect("what is under way is finished");
    }
    assert!(!journal.look_for_room().expect("room").reserved, "the reserve is in use");
    let end = (0..1_000).find_map(|n| journal.append(At(n), "ann@bastion", &big(50_000)).err()).expect("an end of it");
    assert!(end.what.ends_with("the disk is full"), "{end:?}");
    let kept = journal.verify().expect("it reads").expect("it holds").entries;
    std::fs::remove_file(&filler).expect("room again");
    let room = journal.look_for_room();
    journal.append(At(7), "ann@bastion", &big(10)).expect("it goes on");
    assert_eq!(journal.verify().expect("it reads").expect("it holds").entries, kept + 1);
    println!("\nfull after {kept} entries, then {room:?}");
}

/// On a disk of 24 MiB (a mount of its own, which the kernel grants to root, and to everybody where user namespaces are on).
#[test]
fn a_full_disk_stops_the_next_run_and_not_the_one_under_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = "mount -t tmpfs -o size=24m tmpfs \"$1\" && shift && exec \"$@\"";
    let mounted = |program: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--map-root-user", "sh", "-c", script, "sh"]).arg(dir.path()).args(program);
        unshare.env(SMALL, dir.path()).stdin(Stdio::null());
        unshare
    };
    if !mounted(&["true"]).output().is_ok_and(|o| o.status.success()) {
        println!("this user may not mount: the reserve's room is tried in the unit tests alone");
        return;
    }
    let me = std::env::current_exe().expect("this program");
    let me = me.to_str().expect("a path");
    let output = mounted(&[me, "--exact", "child_on_a_small_disk", "--nocapture"]).output().expect("the child runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("full after"), "{said}");
}
