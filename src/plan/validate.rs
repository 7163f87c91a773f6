//! What can only be checked on a whole plan: names that must be unique, things that must differ, what is likely a slip.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Metric, Plan, ProducerPlan, Selector};
use super::problem::find_nearest;
use super::reader::Report;
use crate::base::Side;
use crate::base::sanitise::quoted_name;
use crate::migration::facts::settings::Mode;

pub(super) fn validate_plan(plan: &Plan, report: &Report) {
    check_clusters(plan, report);
    check_unique(report, "triggers", plan.triggers.iter().map(|t| t.name.as_str()));
    check_unique(report, "producers", plan.producers.iter().map(|p| p.name.as_str()));
    check_unique(report, "groups", plan.groups.iter().map(|g| g.name.as_str()));
    check_unique(report, "windows", plan.windows.iter().map(|w| w.name.as_str()));
    check_topics(plan, report);
    check_producers(plan, report);
    check_groups(plan, report);
    check_green_names(plan, report);
    check_windows(plan, report);
    super::calendar::check_appointments(plan, report);
    check_measured(plan, report);
    super::notify::check_targets(plan, report);
    warn_of_ignored_keys(plan, report);
}

/// A criterion that the plan spells out, or a trigger, and no way to measure it.
fn check_measured(plan: &Plan, report: &Report) {
    const KEYS: &[(Metric, &[&str])] =
        &[(Metric::ErrorRate, &["error_rate_below", "error_rate_for"]), (Metric::P99, &["p99_within", "p99_for"])];
    let asked = |metric: Metric| plan.metrics.iter().any(|m| m.queries.contains_key(&metric));
    let hint = |metric: Metric| Some(format!("add [metrics.NAME.queries] with {metric} = \"...\""));
    for (metric, keys) in KEYS.iter().filter(|(metric, _)| !asked(*metric)) {
        let sections = (0..plan.groups.len()).map(|i| format!("groups[{i}]")).chain(["defaults".to_owned()]);
        let named = sections.flat_map(|s| keys.iter().map(move |k| format!("{s}.criteria.{k}")));
        if let Some(path) = named.into_iter().find(|path| report.has_path(path)) {
            report.warning(&path, format!("nothing in the plan asks for {metric}: it is not judged"), hint(*metric));
        }
    }
    for (i, trigger) in plan.triggers.iter().enumerate() {
        let path = format!("triggers[{i}].when");
        if trigger.metric.is_asked_for() && !asked(trigger.metric) {
            let text = format!("nothing in the plan asks for {}: this trigger can never fire", trigger.metric);
            report.warning(&path, text, hint(trigger.metric));
        }
        if trigger.metric == Metric::DlqGrowth && plan.groups.iter().all(|g| g.dlq.is_none()) {
            let hint = "add dlq = \"TOPIC\" to the groups it is for".to_owned();
            report.warning(&path, "no group has a dead-letter topic: this trigger can never fire", Some(hint));
        }
    }
    for (i, source) in plan.metrics.iter().enumerate() {
        let gap = plan.groups.iter().map(|g| g.limits.sample_gap_ms).chain([plan.defaults.sample_gap_ms]).min();
        if gap.is_some_and(|gap| source.every_ms >= gap) {
            let path = format!("metrics.{}.every", plan.metrics[i].name);
            let text = "the time between two queries must be shorter than sample_gap: every pause would be a hole";
            report.error(&path, text, Some("shorten it, or lengthen sample_gap".to_owned()));
        }
    }
}

/// What is read and checked, and not acted on by this version: nobody may rely on it without a word.
fn warn_of_ignored_keys(plan: &Plan, report: &Report) {
    let flags =
        plan.producers.iter().enumerate().map(|(i, p)| (format!("producers[{i}].registry_flag"), &p.registry_flag));
    let groups = plan.groups.iter().enumerate().flat_map(|(i, g)| {
        [
            (format!("groups[{i}].registry_flag"), &g.registry_flag),
            (format!("groups[{i}].group_id_flag"), &g.group_id_flag),
        ]
    });
    for (path, _) in flags.chain(groups).filter(|(_, flag)| flag.is_some()) {
        let key = path.rsplit('.').next().unwrap_or_default();
        report.warning(&path, format!("\"{key}\" is not acted on by this version"), Some("set it by hand".to_owned()));
    }
}

/// The first address that both lists name.
pub(super) fn find_shared_address<'a>(blue: &'a [String], green: &[String]) -> Option<&'a str> {
    // Names of hosts have no case (RFC 4343).
    blue.iter().find(|b| green.iter().any(|g| g.eq_ignore_ascii_case(b))).map(String::as_str)
}

fn check_clusters(plan: &Plan, report: &Report) {
    if let Some(shared) = find_shared_address(&plan.clusters.blue.bootstrap, &plan.clusters.green.bootstrap) {
        report.error(
            "clusters.green.bootstrap",
            format!("{shared} is named for blue too: both would be the same cluster"),
            Some("give the new cluster's address".to_owned()),
        );
    }
    if let (Some(blue), Some(green)) = (&plan.clusters.blue.cluster_id, &plan.clusters.green.cluster_id)
        && blue == green
    {
        report.error("clusters.green.cluster_id", "blue and green have the same cluster id", None);
    }
    let url = |side: Side| plan.clusters[side].registry.as_ref().map(|r| r.url.to_ascii_lowercase());
    if let (Some(blue), Some(green)) = (url(Side::Blue), url(Side::Green))
        && blue == green
    {
        let message = "blue has the same registry: it is compared with itself, and nothing is copied";
        let hint = "give green's registry, if it has one of its own".to_owned();
        report.warning("clusters.green.registry.url", message, Some(hint));
    }
}

fn check_unique<'a>(report: &Report, section: &str, names: impl Iterator<Item = &'a str>) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    // One without a name was told so where it was read.
    for (i, name) in names.enumerate().filter(|(_, n)| !n.is_empty()) {
        if let Some(first) = seen.get(name) {
            let place = report.line_of(&format!("{section}[{first}].name"));
            report.error(
                &format!("{section}[{i}].name"),
                format!("{name} is in [[{section}]] twice", name = quoted_name(name)),
                Some(format!("the first is on line {place}")),
            );
        } else {
            seen.insert(name, i);
        }
    }
}

fn topic_name_problem(name: &str) -> Option<&'static str> {
    // org.apache.kafka.common.internals.Topic.validate
    match name {
        "." | ".." => Some("is not a topic name"),
        _ if name.len() > 249 => Some("is longer than the 249 characters of a topic name"),
        _ if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) => {
            Some("is not a topic name: letters, digits, \".\", \"_\" and \"-\" are allowed")
        }
        _ => None,
    }
}

fn check_topic(report: &Report, path: &str, name: &str) {
    if let Some(why) = topic_name_problem(name) {
        let pattern = name.contains(['*', '+', '|', '(', '[']);
        let hint = pattern.then(|| "patterns are for [[topics]] only: list the names here".to_owned());
        report.error(path, format!("{name} {why}", name = quoted_name(name)), hint);
    }
}

fn check_topics(plan: &Plan, report: &Report) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut green: BTreeMap<&str, &str> = BTreeMap::new();
    for (i, rule) in plan.topics.iter().enumerate() {
        let (key, text) = match &rule.selector {
            Selector::Name(name) if name.is_empty() => continue,
            Selector::Name(name) => ("name", name.as_str()),
            Selector::Pattern(pattern) => ("pattern", pattern.as_str()),
        };
        let path = format!("topics[{i}].{key}");
        if let Some(first) = seen.insert(text, i) {
            let (message, place) = (
                format!("{text} is in [[topics]] twice", text = quoted_name(text)),
                report.line_of(&format!("topics[{first}].{key}")),
            );
            report.error(&path, message, Some(format!("the first is on line {place}")));
        }
        if key == "name" {
            let hint = text
                .contains(['*', '|', '(', '['])
                .then(|| format!("did you mean pattern = {text}?", text = quoted_name(text)));
            if let Some(why) = topic_name_problem(text) {
                report.error(&path, format!("{text} {why}", text = quoted_name(text)), hint);
            }
        }
        let Some(name) = &rule.green_name else { continue };
        let path = format!("topics[{i}].green_name");
        if key == "name" {
            if let Some(why) = topic_name_problem(name) {
                report.error(&path, format!("{name} {why}", name = quoted_name(name)), None);
            } else if let Some(other) = green.insert(name, text) {
                report.error(
                    &path,
                    format!(
                        "{other} has the green name {name} too",
                        other = quoted_name(other),
                        name = quoted_name(name)
                    ),
                    None,
                );
            }
        } else if !name.contains('$') {
            report.error(
                &path,
                format!("every topic of the pattern would be {name} on green", name = quoted_name(name)),
                Some("use $0 for the whole name, or $1 for a part in brackets".to_owned()),
            );
        }
    }
}

/// Topics of the plan that would be one on green: the log of one would count as the other's.
fn check_green_names(plan: &Plan, report: &Report) {
    let lists = |section: &'static str, i: usize, topics: &'static str, names: &[String]| {
        let of = |(j, name): (usize, &String)| (format!("{section}[{i}].{topics}[{j}]"), name.clone());
        names.iter().enumerate().map(of).collect::<Vec<_>>()
    };
    let groups = plan.groups.iter().enumerate().flat_map(|(i, g)| {
        let dlq = g.dlq.iter().map(move |name| (format!("groups[{i}].dlq"), name.clone()));
        lists("groups", i, "topics", &g.topics).into_iter().chain(dlq)
    });
    let producers = plan.producers.iter().enumerate().flat_map(|(i, p)| lists("producers", i, "topics", &p.topics));
    let rules = plan.topics.iter().enumerate().filter_map(|(i, rule)| match &rule.selector {
        Selector::Name(name) if !name.is_empty() => Some((format!("topics[{i}].name"), name.clone())),
        _ => None,
    });
    // Two rules that give one name are told where the rules are.
    let ruled = |name: &str| {
        plan.topics.iter().any(|r| r.green_name.is_some() && matches!(&r.selector, Selector::Name(n) if n == name))
    };
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut said = BTreeSet::new();
    for (path, name) in rules.chain(groups).chain(producers) {
        let green = plan.topic_rule(&name).green_name;
        let owner = owners.entry(green.clone()).or_insert_with(|| name.clone());
        if *owner == name || (ruled(owner) && ruled(&name)) || !said.insert(name.clone()) {
            continue;
        }
        let (name, owner, green) = (quoted_name(&name), quoted_name(owner), quoted_name(&green));
        let message = format!("{name} and {owner} would both be {green} on green");
        report.error(&path, message, Some("give one of them another green_name".to_owned()));
    }
}

/// Names a topic that no rule knows but one nearly does: likely a slip, certainly not an error.
fn warn_of_slip(plan: &Plan, report: &Report, path: &str, topic: &str) {
    let matched = plan.topics.iter().any(|rule| match &rule.selector {
        Selector::Name(name) => name == topic,
        Selector::Pattern(pattern) => pattern.matches(topic),
    });
    let names = plan.topics.iter().filter_map(|rule| match &rule.selector {
        Selector::Name(name) if !name.is_empty() => Some(name.as_str()),
        _ => None,
    });
    if !matched && let Some(near) = find_nearest(topic, names) {
        report.warning(
            path,
            format!("no [[topics]] rule is for {topic}: defaults apply to it", topic = quoted_name(topic)),
            Some(format!("did you mean {near}?", near = quoted_name(near))),
        );
    }
}

fn check_topic_list(plan: &Plan, report: &Report, path: &str, topics: &[String]) {
    let mut seen = BTreeSet::new();
    for (i, topic) in topics.iter().enumerate() {
        let path = format!("{path}.topics[{i}]");
        check_topic(report, &path, topic);
        warn_of_slip(plan, report, &path, topic);
        if !seen.insert(topic) {
            report.warning(&path, format!("{topic} is listed twice", topic = quoted_name(topic)), None);
        }
    }
}

fn check_producers(plan: &Plan, report: &Report) {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (i, producer) in plan.producers.iter().enumerate() {
        let path = format!("producers[{i}]");
        check_topic_list(plan, report, &path, &producer.topics);
        check_transactional_ids(producer, report, &path, &mut owners);
        check_hard_cutover(producer, report, &path);
    }
    let bare =
        // A flag that could not be read is there all the same, and was told.
        plan.producers.iter().enumerate().filter(|(i, p)| {
            p.flag.is_none() && !p.name.is_empty() && !report.has_path(&format!("producers[{i}].flag"))
        });
    let bare: Vec<(usize, &str)> = bare.map(|(i, p)| (i, p.name.as_str())).collect();
    warn_of_missing_setting(
        report,
        "producers",
        &bare,
        "flag",
        ["it is shown, and can't be routed", "they are shown, and can't be routed"],
    );
}

/// Each transactional id is one producer's on one cluster. `owners`: whose those are that came before.
fn check_transactional_ids<'p>(
    producer: &'p ProducerPlan,
    report: &Report,
    path: &str,
    owners: &mut BTreeMap<&'p str, &'p str>,
) {
    let ids = &producer.transactional_ids;
    if let Some(shared) = ids.blue.iter().find(|id| ids.green.contains(id)) {
        report.error(
            &format!("{path}.transactional_ids.green"),
            format!("transactional id {shared} is on blue and on green", shared = quoted_name(shared)),
            Some("give green new ids: an id is fenced on one cluster only".to_owned()),
        );
    }
    for id in ids.blue.iter().chain(&ids.green) {
        if let Some(other) = owners.insert(id, &producer.name)
            && other != producer.name
        {
            report.error(
                &format!("{path}.transactional_ids"),
                format!(
                    "transactional id {id} belongs to {other} too",
                    id = quoted_name(id),
                    other = quoted_name(other)
                ),
                None,
            );
        }
    }
}

/// A producer with transactional ids never writes to both clusters.
fn check_hard_cutover(producer: &ProducerPlan, report: &Report, path: &str) {
    let ids = &producer.transactional_ids;
    let transactional = !ids.blue.is_empty() || !ids.green.is_empty();
    if transactional && producer.critical {
        report.error(
            &format!("{path}.critical"),
            format!(
                "{} is transactional: it can't pass through dual, as a critical producer must",
                quoted_name(&producer.name)
            ),
            Some("leave out critical: an exactly-once producer is cut over hard, on a seam".to_owned()),
        );
    }
    if transactional && has_dual_state(producer.flag.as_ref()) {
        report.error(
            &format!("{path}.flag"),
            format!(
                "{} is transactional and its flag has a dual state: a transaction can't span clusters",
                quoted_name(&producer.name)
            ),
            Some("leave out dual".to_owned()),
        );
    }
}

/// Whether the plan itself spells out a dual state for a flag.
fn has_dual_state(flag: Option<&super::provider::ProviderPlan>) -> bool {
    use super::provider::{ProviderPlan, SetCommand};
    match flag {
        Some(ProviderPlan::File { states, .. }) => states.contains_key("dual"),
        Some(ProviderPlan::Command { states, set, .. }) => {
            states.contains_key("dual") || matches!(set, SetCommand::Each(each) if each.contains_key("dual"))
        }
        Some(ProviderPlan::Manual { .. }) | None => false,
    }
}

fn check_groups(plan: &Plan, report: &Report) {
    let mut green: BTreeMap<&str, &str> = BTreeMap::new();
    for (i, group) in plan.groups.iter().enumerate().filter(|(_, g)| !g.name.is_empty()) {
        let path = format!("groups[{i}]");
        check_topic_list(plan, report, &path, &group.topics);
        if let Some(other) = green.insert(&group.green_group, &group.name)
            && other != group.name
        {
            report.error(
                &format!("{path}.green_group"),
                format!(
                    "{other} is the group {} on green too",
                    quoted_name(&group.green_group),
                    other = quoted_name(other)
                ),
                Some("two groups can't share their offsets".to_owned()),
            );
        }
        if let Some(dlq) = &group.dlq {
            check_topic(report, &format!("{path}.dlq"), dlq);
            if group.topics.contains(dlq) {
                report.error(
                    &format!("{path}.dlq"),
                    format!("{dlq} is one of the topics that the group reads", dlq = quoted_name(dlq)),
                    None,
                );
            }
        }
        if group.limits.mode == Mode::Overlap {
            // The mode may come from the defaults, and has no line in the group then.
            let path =
                if report.has_path(&format!("{path}.mode")) { format!("{path}.mode") } else { format!("{path}.name") };
            let message =
                format!("{} overlaps: every record is processed on both sides for a while", quoted_name(&group.name));
            report.warning(&path, message, Some("only for idempotent processing; \"handover\" otherwise".to_owned()));
        }
    }
    // What commits its offsets in the transactions of a producer moves with that one, and has no switch of its own.
    let coupled = |name: &String| plan.producers.iter().filter_map(|p| p.reads.as_ref()).any(|r| r.contains(name));
    let bare = plan.groups.iter().enumerate().filter(|(i, g)| {
        let unsaid = g.switch.is_none() && !report.has_path(&format!("groups[{i}].switch"));
        unsaid && !g.name.is_empty() && !coupled(&g.name)
    });
    let bare: Vec<(usize, &str)> = bare.map(|(i, g)| (i, g.name.as_str())).collect();
    let so = ["it is shown and can be planned for, not moved", "they are shown and can be planned for, not moved"];
    warn_of_missing_setting(report, "groups", &bare, "switch", so);
}

/// One warning for everything that has no switch or flag: a plan from `init` has none at first.
fn warn_of_missing_setting(report: &Report, section: &str, bare: &[(usize, &str)], key: &str, so: [&str; 2]) {
    let Some((first, name)) = bare.first() else { return };
    let message = match bare.len() {
        1 => format!("{name} has no {key}: {}", so[0], name = quoted_name(name)),
        n => {
            let names: Vec<String> = bare.iter().take(3).map(|(_, name)| quoted_name(name)).collect();
            let more = if n > 3 { ", ..." } else { "" };
            format!("{n} {section} have no {key} ({}{more}): {}", names.join(", "), so[1])
        }
    };
    let hint = format!("add {key} = {{ provider = \"manual\" }} at least");
    report.warning(&format!("{section}[{first}].name"), message, Some(hint));
}

fn check_windows(plan: &Plan, report: &Report) {
    for (i, window) in plan.windows.iter().enumerate().filter(|(_, w)| !w.zone.is_empty()) {
        let zone = &window.zone;
        if jiff::tz::TimeZone::get(zone).is_ok() {
            continue;
        }
        let path = format!("windows[{i}].zone");
        let db = jiff::tz::db();
        let known: Vec<String> = db.available().map(|n| n.as_str().to_owned()).collect();
        // A database has hundreds: so few are what is known without one.
        if known.len() < 3 {
            let hint = "install the package tzdata, or use zone = \"UTC\"".to_owned();
            report.error(
                &path,
                format!("this machine has no time zone database to look up {zone}", zone = quoted_name(zone)),
                Some(hint),
            );
            continue;
        }
        // people write the city, or the wrong continent
        let city = |name: &str| name.rsplit('/').next().unwrap_or(name).to_lowercase();
        let near = find_nearest(zone, known.iter().map(String::as_str))
            .or_else(|| known.iter().map(String::as_str).find(|n| city(n) == city(&zone.replace(' ', "_"))));
        let hint = near.map_or_else(
            || "write an IANA name such as \"America/New_York\" or \"UTC\"".to_owned(),
            |n| format!("did you mean {n}?", n = quoted_name(n)),
        );
        report.error(&path, format!("{zone} is not a time zone", zone = quoted_name(zone)), Some(hint));
    }
}
