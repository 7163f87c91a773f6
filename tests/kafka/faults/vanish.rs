//! Topics and groups that vanish under a move.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use super::{DRAINS_LONG, Move, SOON, open_dialog, says, show};
use crate::support::kafka::admin::{delete_group, delete_topic};
use crate::support::kafka::{commit, consumer, pair};
use crate::support::pty::key;
use crate::support::workload::{ApplicationOptions, Cluster};

fn slow() -> ApplicationOptions {
    ApplicationOptions { per_record: Duration::from_millis(2), ..ApplicationOptions::default() }
}

/// Before: refused, with the reason. Between drain and translation: given back to blue, with the reason.
#[test]
fn the_topic_vanishes_on_green() {
    let pair = pair();
    let this = Move::start(&pair.blue, &pair.green, DRAINS_LONG, &slow());
    // Whoever writes to a topic that is gone can't be waited for.
    this.traffic.set_rate(0);
    let terminal = this.cockpit();
    this.confirm(&terminal, "c", "c cut over", "green");
    terminal.wait_for(SOON, |s| says(s, &["commits still"]));
    delete_topic(&pair.green, &this.topic);
    terminal.wait_for(SOON, |s| says(s, &["given back to blue", &this.topic[..11]]));
    show("the topic vanished while draining", &terminal);
    this.application.wait_running(Cluster::Blue, true, SOON);
    terminal.wait_for(SOON, |s| says(s, &["does not exist on green; create it on green"]));
    show("a cutover without the topic", &terminal);
    drop(terminal);
    let ran = this.desk.run(&["group", "cutover", &this.group, &format!("--yes={}", this.group)]);
    println!("{}", ran.err);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let seen = this.audit(Cluster::Blue);
    println!("{seen}");
    assert_eq!(seen.lost, Vec::<u64>::new(), "{seen}");
}

/// Its offsets are gone with it: a person decides, and is told where they stood.
#[test]
fn the_group_is_deleted_on_blue_while_draining() {
    let pair = pair();
    let this = Move::start(&pair.blue, &pair.green, DRAINS_LONG, &slow());
    let terminal = this.cockpit();
    this.confirm(&terminal, "c", "c cut over", "green");
    terminal.wait_for(SOON, |s| says(s, &["Empty, commits still"]));
    delete_group(&pair.blue, &this.group);
    terminal.wait_for(SOON, |s| {
        says(
            s,
            &[
                "was deleted on blue, and its offsets with it",
                "Set them again before anything starts it",
                "it stood at",
            ],
        )
    });
    show("the group was deleted on blue", &terminal);
    // Where it stood is in the journal: set as it says, the run goes on to its end.
    let stood = this.stood();
    let client = consumer(&pair.blue, &this.group, &[]);
    commit(&client, &stood);
    terminal.wait_for(SOON, |s| says(s, &["■ B Empty"]));
    open_dialog(&terminal, "g", &["Go on with"]);
    // What comes in a dialog's first moments is dropped.
    let closed = |s: &vt100::Screen| (!s.contents().contains("Go on with")).then_some(());
    let taken = (0..20).any(|_| {
        terminal.send(&key::BACKSPACE.repeat(3));
        terminal.send("yes");
        terminal.send(key::ENTER);
        terminal.look_for(Duration::from_secs(1), closed).is_ok()
    });
    assert!(taken, "{}", terminal.screen_text());
    terminal.wait_for(SOON, |s| says(s, &["soaking"]));
    show("and went on", &terminal);
    drop(terminal);
    let seen = this.audit(Cluster::Green);
    println!("{seen}");
    assert_eq!(seen.lost, Vec::<u64>::new(), "{seen}");
}

impl Move {
    /// Where the journal says that the group stood when it was deleted.
    fn stood(&self) -> TopicPartitionList {
        let ran = self.desk.run(&["journal", "export"]);
        let line = ran.out.lines().rfind(|l| l.contains("it stood at")).expect("an entry");
        let mut list = TopicPartitionList::new();
        for partition in 0..3 {
            let named = format!("{}-{partition} ", self.topic);
            let rest = &line[line.find(&named).expect("the partition") + named.len()..];
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let offset = Offset::Offset(digits.parse().expect("an offset"));
            list.add_partition_offset(&self.topic, partition, offset).expect("added");
        }
        list
    }
}

/// The application is stopped on green and its group deleted: that is no soak, and says so.
#[test]
fn the_group_is_deleted_on_green_while_soaking() {
    let pair = pair();
    let this = Move::start(&pair.blue, &pair.green, "drain_still = \"2s\"", &slow());
    let terminal = this.cockpit();
    this.confirm(&terminal, "c", "c cut over", "green");
    terminal.wait_for(SOON, |s| says(s, &["soaking", "▲ G Stable"]));
    this.switch.set("off");
    this.application.wait_running(Cluster::Green, false, SOON);
    terminal.wait_for(SOON, |s| says(s, &["▲ G Empty"]));
    let mut stood = TopicPartitionList::new();
    stood.add_partition_range(&this.topic, 0, 2);
    let client = consumer(&pair.green, &this.group, &[]);
    let stood = client.committed_offsets(stood, SOON).expect("committed offsets");
    delete_group(&pair.green, &this.group);
    terminal.wait_for(SOON, |s| says(s, &["▲ G no such group", "does not exist on green any more"]));
    show("the group was deleted on green while soaking", &terminal);
    terminal.send("d");
    terminal.wait_for(SOON, |s| says(s, &["does not exist on green"]));
    show("a soak without a group is not complete", &terminal);
    // Set again where it stood, and started: it soaks on.
    commit(&client, &stood);
    this.switch.set("green");
    terminal.wait_for(SOON, |s| says(s, &["soaking", "▲ G Stable"]));
    drop(terminal);
    let seen = this.audit(Cluster::Green);
    println!("{seen}");
    assert_eq!(seen.lost, Vec::<u64>::new(), "{seen}");
}

/// What stood on blue is gone: the way back commits every partition there anyway.
#[test]
fn the_group_is_deleted_on_blue_while_soaking() {
    let pair = pair();
    let this = Move::start(&pair.blue, &pair.green, "drain_still = \"2s\"", &slow());
    let terminal = this.cockpit();
    this.confirm(&terminal, "c", "c cut over", "green");
    terminal.wait_for(SOON, |s| says(s, &["soaking"]));
    delete_group(&pair.blue, &this.group);
    terminal.wait_for(SOON, |s| says(s, &["no such group"]));
    show("the group was deleted on blue while soaking", &terminal);
    this.confirm(&terminal, "b", "b roll back", "blue");
    terminal.wait_for(SOON, |s| says(s, &["rolled back"]));
    show("rolled back all the same", &terminal);
    drop(terminal);
    let seen = this.audit(Cluster::Blue);
    println!("{seen}");
    assert_eq!(seen.lost, Vec::<u64>::new(), "{seen}");
}
