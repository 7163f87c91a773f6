//! A journal whose controller is killed: every entry that was acknowledged is there, the chain holds, the lease is free.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use cutover::journal::{Holder, Journal, Opened};
use cutover::migration::command::Subject;
use cutover::migration::estate::At;
use cutover::migration::event::Event;

const CHILD: &str = "CUTOVER_TEST_JOURNAL";

fn writer(path: &Path) -> Journal {
    match Journal::open(path, &Holder::me(At(0))).expect("the journal opens") {
        Opened::Writer(journal) => journal,
        Opened::ReadOnly { holder, .. } => panic!("held by {holder:?}"),
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
                Journal::open(&path, &Holder::me(At(0))).expect("it opens beside the child")
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
