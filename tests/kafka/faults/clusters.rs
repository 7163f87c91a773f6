//! The wrong cluster behind an address, and groups that can't be moved.

use std::time::Duration;

use super::{Desk, Move, SOON, at, plan_of, says, show};
use crate::control::{join_share_group, on};
use crate::support::kafka::{create_topic, pair, throwaway};
use crate::support::unique;
use crate::support::workload::{ApplicationOptions, Cluster};

fn group(name: &str, topic: &str) -> String {
    format!("[[groups]]\nname = \"{name}\"\ntopics = [\"{topic}\"]\nswitch = {{ provider = \"manual\" }}")
}

/// Two names of one cluster: nothing can be done, by key or by verb.
#[test]
fn both_addresses_lead_to_one_cluster() {
    let broker = &pair().blue;
    let port = broker.bootstrap.rsplit_once(':').expect("a port").1;
    let plan = plan_of(&at(&broker.bootstrap), &at(&format!("localhost:{port}")), &group("loan-audit", "loan-events"));
    let desk = Desk::new(&plan);
    let terminal = desk.cockpit();
    let words = ["blue and green are one cluster", &broker.cluster_id, "Correct the bootstrap addresses in the plan"];
    terminal.wait_for(SOON, |s| says(s, &words));
    terminal.send("/loan-audit\r");
    terminal.wait_for(SOON, |s| says(s, &["▸", "blocked"]));
    terminal.send("c");
    terminal.wait_for(SOON, |s| says(s, &["are one cluster", "blocked"]));
    show("one cluster under two names", &terminal);
    assert!(!terminal.screen_text().contains("Type"), "a dialog opened");
    drop(terminal);
    let ran = desk.run(&["group", "cutover", "loan-audit", "--yes=loan-audit"]);
    println!("{}", ran.err);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("blue and green are one cluster"), "{}", ran.err);
}

#[test]
fn another_cluster_than_the_pinned_one() {
    let pair = pair();
    let blue = format!("{}\ncluster_id = \"{}\"", at(&pair.blue.bootstrap), pair.blue.cluster_id);
    let green = format!("{}\ncluster_id = \"AAAAAAAAAAAAAAAAAAAAAA\"", at(&pair.green.bootstrap));
    let desk = Desk::new(&plan_of(&blue, &green, &group("loan-audit", "loan-events")));
    let terminal = desk.cockpit();
    let seen = format!("green is cluster {}, but the plan pins AAAAAAAAAAAAAAAAAAAAAA", pair.green.cluster_id);
    terminal.wait_for(SOON, |s| says(s, &[&seen, "Correct bootstrap or cluster_id of green in the plan"]));
    terminal.wait_for(SOON, |s| says(s, &["wrong cluster: see above"]));
    show("another cluster than pinned", &terminal);
    drop(terminal);
    let ran = desk.run(&["group", "cutover", "loan-audit", "--yes=loan-audit"]);
    println!("{}", ran.err);
    assert!(ran.code == Some(1) && ran.err.contains(&seen), "{}", ran.err);
}

#[test]
fn a_share_group_is_refused_by_name() {
    let pair = pair();
    let (topic, name) = (unique("shared"), unique("share"));
    // Of its own: what a share group reads is not told, so it would hold up the hard cutovers of other tests.
    let blue = throwaway("share", &[]);
    for broker in [&blue, &pair.green] {
        create_topic(broker, &topic, 1, &[]);
    }
    // Finds the group's coordinator, which then serves.
    on(&blue, async |cluster| drop(cluster.fetch_group(&name).await.expect("seen")));
    join_share_group(&blue, &name, &topic);
    let plan = plan_of(&at(&blue.bootstrap), &at(&pair.green.bootstrap), &group(&name, &topic));
    let desk = Desk::new(&plan);
    let terminal = desk.cockpit();
    terminal.send(&format!("/{name}\r"));
    let words = [&name as &str, "is a share group (KIP-932)"];
    terminal.wait_for(SOON, |s| says(s, &words));
    show("a share group", &terminal);
    drop(terminal);
    let ran = desk.run(&["group", "cutover", &name, &format!("--yes={name}")]);
    println!("{}", ran.err);
    assert!(ran.code == Some(1) && ran.err.contains("is a share group (KIP-932)"), "{}", ran.err);
    assert!(ran.err.contains("this version moves classic and KIP-848 consumer groups"), "{}", ran.err);
}

/// The new protocol's groups move like the classic ones.
#[test]
fn a_kip_848_group_moves() {
    let pair = pair();
    let options = ApplicationOptions {
        per_record: Duration::from_millis(1),
        properties: vec![("group.protocol".into(), "consumer".into())],
        ..ApplicationOptions::default()
    };
    let this = Move::start(&pair.blue, &pair.green, "drain_still = \"2s\"", &options);
    let ran = this.desk.run(&["group", "cutover", &this.group, &format!("--yes={}", this.group)]);
    println!("{}{}", ran.err, ran.out);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let (_, status) = this.desk.json(&["status"]);
    let row = status["groups"].as_array().expect("groups").iter().find(|g| g["group"] == this.group.as_str());
    assert!(row.is_some_and(|r| r.to_string().contains("\"consumer\"")), "{status:#}");
    let seen = this.audit(Cluster::Green);
    println!("a KIP-848 group: {seen}");
    assert_eq!(seen.lost, Vec::<u64>::new(), "{seen}");
}
