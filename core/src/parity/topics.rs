//! Topics: whether green has them, with as many partitions and replicas.

use super::change::{Change, KEY_ORDER, count_things};
use super::couples::TopicCouple;
use super::rows::{Gravity, Mend, ParityArea, ParityRow, ParityState, ParitySubject, RowBook, TopicPair};
use super::settings::{name_some, plan_new_settings};
use super::{Compared, why_untold};
use crate::base::sanitise::{quoted_name, visible_name};
use crate::base::{Side, Trouble};
use crate::estate::inventory::TopicDefinition;

const AREA: ParityArea = ParityArea::Topics;

/// Compares which topics there are, and their sizes.
pub(super) fn compare_topics(compared: &Compared<'_>, book: &mut RowBook) {
    push_hidden(compared, book);
    for (pair, on_green) in &compared.topics.absent {
        book.push_row(judge_absent(compared, pair, *on_green));
    }
    for (green, blue) in &compared.topics.merged {
        let names = name_some(blue.iter().copied());
        let pair = TopicPair { blue: blue[0].to_owned(), green: (*green).to_owned() };
        let why = format!("{names} of blue would be one topic on green");
        let row = ParityRow::new((AREA, ParitySubject::Topic(pair)), ParityState::Differs, Gravity::Blocks, why);
        let by_hand = "give all but one of them another green_name in the plan";
        book.push_row(row.with_mend(Mend::ByHand(by_hand.to_owned())));
    }
    for couple in &compared.topics.couples {
        match couple.green {
            Some(green) => compare_sizes(compared, couple, green, book),
            None => book.push_row(judge_missing(compared, couple)),
        }
    }
    for (name, topic) in &compared.topics.beyond {
        let pair = TopicPair { blue: (*name).to_owned(), green: (*name).to_owned() };
        let about = (AREA, ParitySubject::Topic(pair));
        let row = ParityRow::new(about, ParityState::Beyond, Gravity::Notes, "green has a topic that blue has not");
        book.push_row(row.with_sides(None, Some(describe_size(topic))));
    }
}

/// That topics may be hidden matters where all are meant, or where one of those that are meant is not to be seen.
fn push_hidden(compared: &Compared<'_>, book: &mut RowBook) {
    let all = matches!(compared.scope.topics, super::TopicScope::All { .. });
    for (side, cluster) in compared.clusters.iter() {
        if let Some(why) = cluster.topics_hidden.as_ref().filter(|_| all) {
            let about = (AREA, ParitySubject::Cluster(side));
            book.push_row(ParityRow::new_unknown(about, Gravity::Warns, why.clone()));
        }
    }
}

/// A topic of the plan that is not among blue's.
fn judge_absent(compared: &Compared<'_>, pair: &TopicPair, on_green: bool) -> ParityRow {
    let about = (AREA, ParitySubject::Topic(pair.clone()));
    if let Some(why) = &compared.clusters.blue.topics_hidden {
        let what = format!("whether blue has {} can't be told: {why}", visible_name(&pair.blue));
        return ParityRow::new_unknown(about, Gravity::Warns, Trouble::new(what, why.advice.clone()));
    }
    if on_green {
        let why = "blue has no such topic: nothing of it can be moved";
        return ParityRow::new(about, ParityState::Beyond, Gravity::Notes, why);
    }
    let row = ParityRow::new(about, ParityState::Missing, Gravity::Warns, "neither cluster has a topic of this name");
    row.with_mend(Mend::ByHand("take it out of the plan, or mend its name there".to_owned()))
}

fn describe_replicas(topic: &TopicDefinition) -> String {
    match topic.replicas {
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least} to {most} (a reassignment runs)"),
    }
}

/// `12 partitions of 3 replicas`.
fn describe_size(topic: &TopicDefinition) -> String {
    let partitions = count_things(topic.partitions, "partition");
    match topic.replicas {
        (least, most) if least == most => format!("{partitions} of {}", count_things(least.into(), "replica")),
        _ => format!("{partitions}, replicas {}", describe_replicas(topic)),
    }
}

fn judge_missing(compared: &Compared<'_>, couple: &TopicCouple<'_>) -> ParityRow {
    let about = (AREA, ParitySubject::Topic(couple.pair.clone()));
    let blue = Some(describe_size(couple.blue));
    if let Some(why) = &compared.clusters.green.topics_hidden {
        let what = format!("whether green has {} can't be told: {why}", visible_name(&couple.pair.green));
        let trouble = Trouble::new(what, why.advice.clone());
        return ParityRow::new_unknown(about, Gravity::Warns, trouble).with_sides(blue, None);
    }
    let why = "its producers and consumers find no such topic on green";
    let row = ParityRow::new(about, ParityState::Missing, Gravity::Blocks, why).with_sides(blue, None);
    row.with_mend(plan_topic(compared, couple))
}

/// How green gets a topic that it has not.
fn plan_topic(compared: &Compared<'_>, couple: &TopicCouple<'_>) -> Mend {
    let name = &couple.pair.green;
    if let Some(other) = find_collision(compared, name) {
        // Kafka's Topic.hasCollision: metrics' names know no dots.
        return Mend::ByHand(format!(
            "Kafka takes {} and {} for one name: call one of them otherwise",
            quoted_name(name),
            quoted_name(other)
        ));
    }
    let brokers = i16::try_from(compared.clusters.green.brokers.len()).unwrap_or(i16::MAX);
    let replicas = compared.replicas_wanted(couple);
    if brokers > 0 && replicas > brokers {
        return Mend::ByHand(format!(
            "green has {}, so {} is the most there can be: start more brokers, or say in the plan how many replicas green is to have",
            count_things(brokers.into(), "broker"),
            count_things(brokers.into(), "replica")
        ));
    }
    let Some(new) = plan_new_settings(compared, couple) else {
        let why = why_untold(&couple.blue.settings, Side::Blue, &format!("the settings of {}", couple.pair));
        let why = why.map_or(String::new(), |why| why.what);
        return Mend::ByHand(format!("{why}: grant DESCRIBE_CONFIGS on the topic, and look again"));
    };
    Mend::Change(Change::CreateTopic {
        topic: name.clone(),
        partitions: couple.blue.partitions,
        replication_factor: replicas,
        settings: new.settings,
    })
}

/// A topic that green has, or is to get, of which Kafka can't tell this one.
fn find_collision<'a>(compared: &Compared<'a>, name: &str) -> Option<&'a str> {
    let unified = |name: &str| name.replace('.', "_");
    let wanted = unified(name);
    let there = compared.clusters.green.topics.keys().map(String::as_str);
    let named = compared.clusters.blue.topics.keys().map(|blue| compared.scope.topics.green_topic(blue));
    there.chain(named.filter(|_| name.contains(['.', '_']))).find(|other| *other != name && unified(other) == wanted)
}

fn compare_sizes(compared: &Compared<'_>, couple: &TopicCouple<'_>, green: &TopicDefinition, book: &mut RowBook) {
    let partitions = judge_partitions(couple, green);
    let replicas = judge_replicas(compared, couple, green);
    if partitions.is_none() && replicas.is_none() {
        book.count_same(AREA, 1);
    }
    partitions.into_iter().chain(replicas).for_each(|row| book.push_row(row));
}

fn judge_partitions(couple: &TopicCouple<'_>, green: &TopicDefinition) -> Option<ParityRow> {
    let (from, to) = (green.partitions, couple.blue.partitions);
    let about = (AREA, ParitySubject::Partitions(couple.pair.clone()));
    let sides = (Some(to.to_string()), Some(from.to_string()));
    let row = match from.cmp(&to) {
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Less => {
            let row = ParityRow::new(about, ParityState::Differs, Gravity::Warns, format!("more of them: {KEY_ORDER}"));
            row.with_mend(Mend::Change(Change::AddPartitions { topic: couple.pair.green.clone(), from, to }))
        }
        std::cmp::Ordering::Greater => {
            let why = "keys share partitions otherwise than on blue; groups can move all the same, and no partition can be taken \
                       away";
            ParityRow::new(about, ParityState::Differs, Gravity::Notes, why)
        }
    };
    Some(row.with_sides(sides.0, sides.1))
}

fn judge_replicas(compared: &Compared<'_>, couple: &TopicCouple<'_>, green: &TopicDefinition) -> Option<ParityRow> {
    let (wanted, has) = (compared.replicas_wanted(couple), green.replicas.0);
    if has == wanted {
        return None;
    }
    let about = (AREA, ParitySubject::Replicas(couple.pair.clone()));
    let sides = (Some(describe_replicas(couple.blue)), Some(describe_replicas(green)));
    let brokers = compared.clusters.green.brokers.len();
    let row = if has > wanted {
        ParityRow::new(about, ParityState::Differs, Gravity::Notes, "green holds more copies than blue")
    } else {
        let why = "fewer brokers of green may fail before records are lost";
        let row = ParityRow::new(about, ParityState::Differs, Gravity::Warns, why);
        let possible = match i16::try_from(brokers) {
            Ok(brokers) if brokers > 0 && brokers < wanted => {
                let most = count_things(brokers.into(), "replica");
                format!("green has {}: {most} at most", count_things(brokers.into(), "broker"))
            }
            _ => format!("give each partition {}", count_things(wanted.into(), "replica")),
        };
        row.with_mend(Mend::ByHand(format!(
            "{possible}; a reassignment copies whole logs, so run it by hand and throttled: kafka-reassign-partitions.sh"
        )))
    };
    Some(row.with_sides(sides.0, sides.1))
}
