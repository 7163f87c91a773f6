//! A broker dies under the standing cockpit, and comes back.

use super::{Desk, SOON, at, half, plan_of, says, show};
use crate::support::kafka::{commit, consumer, create_topic, pair, throwaway};
use crate::support::patience::until;
use crate::support::{pty::key, unique};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use std::time::Duration;

/// A member joins, commits one offset and leaves: a group appears that may be moved (one that only commits may not,
/// before it is known how often).
fn appears(broker: &crate::support::kafka::Broker, group: &str, topic: &str) {
    let member = consumer(broker, group, &[]);
    member.subscribe(&[topic]).expect("subscribed");
    until(SOON, "the member's partitions", || {
        let _ = member.poll(Duration::from_millis(100));
        member.assignment().is_ok_and(|list| list.count() > 0)
    });
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(0)).expect("an offset");
    commit(&member, &list);
}

#[test]
fn blues_broker_dies_and_returns() {
    let (blue, green) = (throwaway("mortal", &[]), &pair().green);
    let (topic, old, new) = (unique("loan-events"), unique("aa-old"), unique("ab-new"));
    for broker in [&blue, green] {
        create_topic(broker, &topic, 1, &[]);
    }
    appears(&blue, &old, &topic);
    let group = format!("[[groups]]\nname = \"{old}\"\ntopics = [\"{topic}\"]\nswitch = {{ provider = \"manual\" }}");
    let more = format!("[defaults]\nstale_after = \"10s\"\n{group}");
    let desk = Desk::new(&plan_of(&at(&blue.bootstrap), &at(&green.bootstrap), &more));
    let terminal = desk.cockpit();
    let both = |s: &vt100::Screen| [false, true].into_iter().all(|g| half(s, g).contains("brokers 1/1")).then_some(());
    terminal.wait_for(SOON, both);
    terminal.wait_for(SOON, |s| says(s, &[&old, "c cut over"]));

    blue.kill();
    let words = [&blue.bootstrap as &str, "refused the connection. Check the port, and that the broker runs"];
    terminal.wait_for(SOON, |s| says(s, &words));
    show("blue's broker has just died", &terminal);
    terminal.wait_for(SOON, |s| says(s, &["STALE", "numbers are old: see above"]));
    terminal.wait_for(SOON, |s| half(s, false).contains("STALE").then_some(()));
    assert!(!terminal.with_screen(|s| half(s, true)).contains("STALE"), "green is stale too");
    show("blue's broker is dead", &terminal);
    // Green lives: what appears there is seen. And the keys: what can't be done is refused with the reason.
    appears(green, &new, &topic);
    terminal.wait_for(SOON, |s| says(s, &[&new]));
    terminal.send("c");
    terminal.wait_for(SOON, |s| says(s, &["blue was last seen", "ago"]));
    show("a key meanwhile", &terminal);
    terminal.send("?");
    terminal.wait_for(SOON, |s| says(s, &["Keys"]));
    terminal.send(key::ESC);

    blue.restart();
    terminal.wait_for(SOON, |s| both(s).filter(|()| !s.contents().contains("STALE")));
    terminal.wait_for(SOON, |s| (!s.contents().contains("refused the connection")).then_some(()));
    terminal.wait_for(SOON, |s| says(s, &["c cut over"]));
    show("blue's broker is back", &terminal);
}
