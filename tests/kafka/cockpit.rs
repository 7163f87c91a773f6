//! The whole job through a pseudo-terminal on real clusters: eight dual-writing producers, a live consumer, cutover
//! and rollback by the keys, and what was then seen held against what the journal promised after the drain.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::support::kafka::{Broker, consumer, create_topic, old_blue, pair};
use crate::support::pty::{self, Terminal, key};
use crate::support::unique;
use crate::support::workload::{
    Application, ApplicationOptions, Audit, Cluster, Switch, Traffic, TrafficOptions, audit,
};

const SOON: Duration = Duration::from_secs(120);
/// What one record takes the application.
const SLOW: Duration = Duration::from_millis(2);

/// A group to move, with everything around it alive.
pub struct Scene {
    pub group: String,
    pub traffic: Traffic,
    pub application: Application,
    /// Last: what runs looks at files in it until it has stopped.
    pub dir: tempfile::TempDir,
}

impl Scene {
    /// Eight writers at 400 records a second, and an application that hardly keeps up.
    pub fn start(blue: &Broker, green: &Broker) -> Scene {
        let (topics, group) = (vec![unique("loan-events"), unique("loan-notes")], unique("loan-audit"));
        for broker in [blue, green] {
            topics.iter().for_each(|topic| create_topic(broker, topic, 3, &[]));
        }
        let dir = tempfile::tempdir().expect("a directory");
        let switch = Switch::file(&dir.path().join("switch.json"), &group, "blue");
        let flag = Switch::file(&dir.path().join("flag.json"), "loan-api", "dual");
        let bootstrap = [blue.bootstrap.as_str(), green.bootstrap.as_str()];
        let text = format!(
            "[migration]\nname = \"real\"\n[clusters.blue]\nbootstrap = \"{}\"\n[clusters.green]\nbootstrap = \"{}\"\n\
             [defaults]\ndrain_still = \"2s\"\nsettle_timeout = \"60s\"\nmax_re_read = 5000\n\
             [[producers]]\nname = \"loan-api\"\nteam = \"loans\"\ntopics = {topics:?}\ncritical = true\nflag = {}\n\
             [[groups]]\nname = \"{group}\"\nteam = \"loans\"\ntopics = {topics:?}\nmode = \"handover\"\nswitch = {}\n",
            bootstrap[0],
            bootstrap[1],
            flag.toml(),
            switch.toml(),
        );
        std::fs::write(dir.path().join("cutover.toml"), text).expect("a plan");
        let options = TrafficOptions { rate: 400, partitions: 3, flag: Some(flag), ..TrafficOptions::default() };
        let traffic = Traffic::start(bootstrap, &topics, &options);
        let slow = ApplicationOptions { per_record: SLOW, ..ApplicationOptions::default() };
        let application = Application::start(bootstrap, &group, &topics, &switch, &slow);
        application.wait_processed(1_000, SOON);
        // A partition that the group has never committed can't be translated: wait for the first commit of each.
        let client = consumer(blue, &group, &[]);
        while (0..3).flat_map(|p| topics.iter().map(move |t| (t, p))).any(|(t, p)| !has_commit(&client, t, p)) {
            application.wait_processed(application.processed() + 100, SOON);
        }
        Scene { dir, group, traffic, application }
    }

    pub fn cockpit(&self, args: &[&str]) -> Terminal {
        let terminal = pty::cutover(args, &[], self.dir.path(), (80, 24));
        terminal.wait_for(SOON, |s| shows(s, &["GROUPS", &self.group[..8]]));
        terminal.send("/");
        terminal.send(&self.group);
        terminal.send(key::ENTER);
        terminal.wait_for(SOON, |s| shows(s, &["▸", &self.group[..8]]));
        terminal.send(key::ENTER);
        terminal.wait_for(SOON, |s| shows(s, &["verdict", "members"]));
        terminal
    }

    /// Opens the dialog with `letter`, waits for its measured estimate, types the phrase and goes on. Gives the limit
    /// that the dialog showed.
    pub fn confirm(&self, terminal: &Terminal, letter: &str, side: &str) -> u64 {
        // The footer offers the key only when it works now.
        let offered = if side == "green" { "c cut over" } else { "b roll back" };
        terminal.wait_for(SOON, |s| shows(s, &[offered]));
        terminal.send(letter);
        let phrase = format!("{side} {}", self.group);
        let again = |s: &vt100::Screen| s.contents().contains("enter asks again");
        // What could not be told is asked for again, as a person does: a coordinator may be loading.
        let mut asks = 0..60;
        let limit = loop {
            let seen = terminal.wait_for(SOON, |s| promised(s).map(Some).or_else(|| again(s).then_some(None)));
            if let Some(limit) = seen {
                break limit;
            }
            assert!(asks.next().is_some(), "it can't be told for good:\n{}", terminal.screen_text());
            terminal.send(key::ENTER);
            // It asks, or takes a key that comes at once as meant for what stood there before.
            let _ = terminal.look_for(Duration::from_secs(2), |s| (!again(s)).then_some(()));
        };
        // A dialog whose facts moved under it asks again, with nothing typed: a person looks, and types once more.
        for _ in 0..60 {
            type_phrase(terminal, &phrase);
            terminal.send(key::ENTER);
            let gone = |s: &vt100::Screen| !s.contents().contains("esc cancel");
            let answered = |s: &vt100::Screen| (gone(s) || again(s)).then_some(());
            if terminal.look_for(Duration::from_secs(5), answered).is_ok() {
                if terminal.with_screen(gone) {
                    return limit;
                }
                // A key that comes at once counts as meant for what stood there before: pressed until it is taken.
                let taken = |s: &vt100::Screen| (!again(s)).then_some(());
                let mut tries = 0..60;
                while terminal.look_for(Duration::from_secs(4), taken).is_err() && tries.next().is_some() {
                    terminal.send(key::ENTER);
                }
            }
        }
        panic!("the dialog is not taken:\n{}", terminal.screen_text());
    }

    /// Entries of the journal, as `cutover journal export` gives them.
    pub fn journal(&self) -> Vec<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
            .args(["journal", "export"])
            .current_dir(self.dir.path())
            .output()
            .expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Waits until the application has read past everything that the newest prediction covers: whatever it would read
    /// again, it has read by then.
    pub fn reads_past_the_prediction(&self, on: Cluster) {
        let entries = self.journal();
        let predicted = entries.iter().map(|e| &e["event"]).rfind(|e| e["event"] == "predicted").expect("a prediction");
        let ends = predicted["plan"]["partitions"].as_array().expect("partitions").iter().map(|p| {
            let place = (p["topic"].as_str().expect("a topic").to_owned(), p["partition"].as_i64().expect("a number"));
            (place, p["target"]["offset"].as_i64().expect("mapped"), p["target"]["end"].as_i64().expect("an end"))
        });
        let ends: Vec<_> = ends.filter(|(_, offset, end)| offset < end).collect();
        self.application.set_per_record(Duration::ZERO);
        loop {
            let events = self.application.events();
            let session = events.last().expect("it processes").session;
            let past = |place: &(String, i64), end: i64| {
                events.iter().rev().take_while(|e| e.session == session).any(|e| {
                    e.cluster == on
                        && e.partition.0 == place.0
                        && i64::from(e.partition.1) == place.1
                        && e.offset + 1 >= end
                })
            };
            if ends.iter().all(|(place, _, end)| past(place, *end)) {
                break;
            }
            self.application.wait_processed(events.len() + 20, SOON);
        }
        self.application.set_per_record(SLOW);
    }

    /// Stops the traffic, lets the application read to the end of `on`, and audits the whole story.
    pub fn audit(self, on: Cluster) -> Audit {
        let truth = self.traffic.stop();
        self.application.set_per_record(Duration::ZERO);
        self.application.wait_caught_up(on, SOON);
        audit(&truth, &self.application.stop())
    }
}

fn has_commit(client: &BaseConsumer, topic: &str, partition: i32) -> bool {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let committed = client.committed_offsets(list, SOON).expect("committed offsets");
    matches!(committed.elements()[0].offset(), Offset::Offset(_))
}

/// Whether every word stands on the screen.
pub fn shows(screen: &vt100::Screen, words: &[&str]) -> Option<()> {
    let text = screen.contents();
    words.iter().all(|word| text.contains(word)).then_some(())
}

fn number_before(line: &str, word: &str) -> Option<u64> {
    let before = &line[..line.find(word)?];
    before.split_whitespace().next_back()?.replace(['\u{202f}', '\u{a0}'], "").parse().ok()
}

/// Types into an open dialog. It drops what comes in its first moments (typed ahead), so what is not there is typed again.
fn type_phrase(terminal: &Terminal, phrase: &str) {
    for _ in 0..90 {
        terminal.send(&key::BACKSPACE.repeat(phrase.len()));
        terminal.send(phrase);
        if terminal.look_for(Duration::from_secs(1), |s| shows(s, &[&format!("> {phrase}"), "✓"])).is_ok() {
            return;
        }
    }
    panic!("the dialog does not take {phrase:?}:\n{}", terminal.screen_text());
}

/// Predictions by run, from the journal: (re-read, missing).
fn predictions(entries: &[Value]) -> Vec<(u64, u64)> {
    let event = |e: &Value| e["event"].clone();
    let predicted = entries.iter().map(event).filter(|e| e["event"] == "predicted");
    predicted
        .map(|e| {
            let totals = &e["plan"]["totals"];
            (totals["re_read"].as_u64().expect("counted"), totals["missing"].as_u64().expect("counted"))
        })
        .collect()
}

/// Partitions of the predictions that are not PROVEN without a re-read, in words.
fn inexact(entries: &[Value]) -> Vec<String> {
    let plans =
        entries.iter().map(|e| &e["event"]).filter(|e| e["event"] == "predicted").map(|e| &e["plan"]["partitions"]);
    let partitions = plans.flat_map(|p| p.as_array().expect("partitions").clone());
    let plain = |p: &Value| p["verdict"] == "proven" && p["re_read"] == 0;
    partitions
        .filter(|p| !plain(p))
        .map(|p| {
            format!(
                "{}-{} {} re_read {} why {} unsettled {} source {} target {}",
                p["topic"],
                p["partition"],
                p["verdict"],
                p["re_read"],
                p["why"],
                p["unsettled"],
                p["source"],
                p["target"]
            )
        })
        .collect()
}

/// The limit that a measured dialog shows, records read again.
fn promised(screen: &vt100::Screen) -> Option<u64> {
    let text = screen.contents();
    let measured = text.lines().any(|l| l.contains("estimate") && l.contains("re-read"));
    let limit = text.lines().find(|l| l.contains("limit 0 lost"))?;
    measured.then(|| number_before(limit, "re-read")).flatten()
}

fn there_and_back(blue: &Broker, green: &Broker, what: &str) {
    let scene = Scene::start(blue, green);
    let terminal = scene.cockpit(&[]);

    let limit_there = scene.confirm(&terminal, "c", "green");
    terminal.wait_for(SOON, |s| shows(s, &["soaking", "promised after the drain"]));
    scene.reads_past_the_prediction(Cluster::Green);

    let limit_back = scene.confirm(&terminal, "b", "blue");
    terminal.wait_for(SOON, |s| shows(s, &["rolled back"]));
    scene.reads_past_the_prediction(Cluster::Blue);

    terminal.send("q");
    let exit = terminal.wait_exit(SOON);
    assert_eq!(exit, Some(pty::Exit::Code(0)), "{}", terminal.screen_text());

    let entries = scene.journal();
    let promised = predictions(&entries);
    inexact(&entries).iter().for_each(|line| println!("{what}: {line}"));
    let seen = scene.audit(Cluster::Blue);
    let sessions: Vec<(u32, Cluster)> = seen.sessions.iter().map(|(n, c)| (*n, *c)).collect();
    let clusters: Vec<Cluster> = sessions.iter().map(|(_, c)| *c).collect();
    assert_eq!(clusters, [Cluster::Blue, Cluster::Green, Cluster::Blue], "{seen}");
    println!("{what}: {seen}");
    for (i, (name, limit)) in [("cutover", limit_there), ("rollback", limit_back)].into_iter().enumerate() {
        let (re_read, missing) = promised[i];
        let observed = seen.re_read_by_session[&sessions[i + 1].0];
        println!(
            "{what}: {name}: 0 lost promised, {missing} missing; {re_read} re-read promised, {observed} observed, limit {limit}"
        );
        assert_eq!((missing, observed), (0, re_read), "{name}: {seen}");
        assert!(observed <= limit, "{name}");
    }
    assert_eq!(seen.lost, Vec::<u64>::new(), "{seen}");
}

#[test]
fn by_the_keys_to_green_and_back() {
    let pair = pair();
    there_and_back(&pair.blue, &pair.green, "4.3.1 to 4.3.1");
}

#[test]
fn by_the_keys_from_zookeeper_times_to_green_and_back() {
    there_and_back(old_blue(), &pair().green, "2.8.2 (ZooKeeper) to 4.3.1");
}

/// A second cockpit on the same journal attaches to the first one, and sees what it does.
#[test]
fn a_second_cockpit_attaches_to_the_first() {
    let pair = pair();
    let scene = Scene::start(&pair.blue, &pair.green);
    let first = scene.cockpit(&[]);
    first.wait_for(SOON, |s| shows(s, &["ARMED"]));
    let second = pty::cutover(&[], &[], scene.dir.path(), (120, 30));
    second.wait_for(SOON, |s| shows(s, &["ARMED"]));
    let looking = pty::cutover(&["--read-only"], &[], scene.dir.path(), (120, 30));
    looking.wait_for(SOON, |s| shows(s, &["READ-ONLY"]));
    first.send("q");
    second.wait_for(SOON, |s| shows(s, &["controller has stopped"]));
}

/// The file's modes, for what holds a migration's history.
#[test]
fn the_journal_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let pair = pair();
    let scene = Scene::start(&pair.blue, &pair.green);
    let terminal = scene.cockpit(&[]);
    terminal.wait_for(SOON, |s| shows(s, &["ARMED"]));
    let dir: &Path = &scene.dir.path().join(".cutover");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(dir), 0o700);
    assert_eq!(mode(&dir.join("real.journal")), 0o600);
}
