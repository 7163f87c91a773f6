//! `cutover init`: a commented plan from what was found on both clusters. Deterministic, and it loads again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::model::ClusterPlan;
use super::properties::bearer::{self, TokenCommand};
use super::secrets::{ClientValue, Secret};
use crate::base::redact;
use crate::base::sanitise::{is_inert, is_legible, visible_name, visible_text};
use crate::base::{Side, format_plural};
use crate::estate::application;
use crate::estate::{ClusterView, GroupKind, GroupView, TopicView};

/// Members of a group that are named in a comment; the rest is counted.
const MEMBERS_SHOWN: usize = 8;
/// Longest name the loader takes, bytes.
const LONGEST_NAME: usize = 1024;

/// One cluster as `init` found it.
#[derive(Debug, Clone, Copy)]
pub struct FoundCluster<'a> {
    /// How it was reached: written into the plan, inline secrets excepted.
    pub plan: &'a ClusterPlan,
    /// What was seen.
    pub view: &'a ClusterView,
}

/// A commented `cutover.toml` for two clusters. The same views give the same text; [`super::Plan::parse`] takes it.
#[must_use]
pub fn generate_plan(name: &str, blue: FoundCluster<'_>, green: FoundCluster<'_>) -> String {
    let mut out = PlanWriter(String::with_capacity(16 * 1024));
    write_head(&mut out, name, blue.view, green.view);
    write_cluster(&mut out, Side::Blue, blue);
    write_cluster(&mut out, Side::Green, green);
    out.push_raw(DEFAULTS);
    write_topics(&mut out, blue.view, green.view);
    out.push_raw(PRODUCERS);
    write_groups(&mut out, blue.view, green.view);
    out.push_raw(WINDOWS);
    out.0
}

const DEFAULTS: &str = r#"
# What applies to every group; each key can be set again in a [[groups]]. These are the values without it.
# [defaults]
# criteria = { lag_below = 100, lag_for = "4h", error_rate_below = 0.0001, error_rate_for = "48h", p99_within = 0.10, dlq_growth = 0 }
# max_re_read = 500          # most records a cutover or rollback may read twice
# drain_still = "15s"        # commits stand still this long before a drain is proven
# drain_timeout = "2m"
# stable_timeout = "2m"
# settle_timeout = "10s"
# keep_blue = "48h"

# [[triggers]]
# name = "green-lag"
# when = "lag > 10000"
# for = "15m"
# mode = "sustained"         # sustained: every sample; any: one sample is enough
# arm = "shadow"             # shadow: say what it would do; armed: do it
"#;

const PRODUCERS: &str = r#"
# Producers. Kafka can't name the writers of a topic: catalogue them, one [[producers]] each.
#
# [[producers]]
# name = "loan-api"
# team = "loans"
# topics = ["loan-events"]
# critical = true            # must pass through dual
# flag = { provider = "file", path = "flags.json", key = "loan-api-cluster" }   # its states: blue, dual, green, off
#
# Exactly-once: new transactional ids on green, a hard cutover, never dual.
# [[producers]]
# name = "ledger"
# topics = ["ledger"]
# transactional_ids = { blue = ["ledger-1"], green = ["ledger-psc-1"] }
# reads = []   # the groups whose offsets it commits in its transactions
"#;

const WINDOWS: &str = r#"
# [[windows]]
# name = "sunday-night"
# days = ["Sun"]
# from = "02:00"
# to = "04:00"
# zone = "America/New_York"
"#;

const SWITCHES: &str = r#"
# Groups. One without a switch is shown and can be planned for, not moved. A switch is one of
#   switch = { provider = "manual" }
#   switch = { provider = "file", path = "flags.json", key = "loan-audit-cluster" }
#   switch = { provider = "command", get = ["./switch", "get", "{group}"], set = ["./switch", "set", "{group}", "{state}"] }
# Its states: blue, green, both, off.
"#;

struct PlanWriter(String);

impl PlanWriter {
    fn push_raw(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn push_line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// A comment: whatever the text holds, it stays on its line.
    fn push_comment(&mut self, text: &str) {
        let _ = writeln!(self.0, "# {}", visible_text(&redact::hide_cow(text)));
    }
}

/// A TOML string, in which everything can be seen: the rest is written as `\uXXXX`.
pub(super) fn quote_toml(text: &str) -> String {
    if is_legible(text) {
        return toml::Value::String(text.to_owned()).to_string();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            ' '..='~' => write!(out, "{c}"),
            c if u32::from(c) > 0xffff => write!(out, "\\U{:08x}", u32::from(c)),
            c => write!(out, "\\u{:04x}", u32::from(c)),
        };
    }
    out + "\""
}

fn format_list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.into_iter().map(quote_toml).collect();
    format!("[{}]", items.join(", "))
}

/// Whether the loader would take it as a name.
fn is_usable_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= LONGEST_NAME && is_inert(name)
}

/// Whether the loader would take it as the id of a group.
fn is_usable_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST_NAME && !id.contains('\0')
}

/// The beginning of a foreign name, for a comment.
fn shorten_name(name: &str) -> String {
    let shown: String = name.chars().take(200).collect();
    visible_name(&shown)
}

fn write_head(out: &mut PlanWriter, name: &str, blue: &ClusterView, green: &ClusterView) {
    out.push_line("# A plan for cutover, written by `cutover init` from what it found.");
    out.push_line(
        "# What is not listed here is shown too, and can't be acted on. `cutover plan check` checks this file.",
    );
    for (side, view) in [("blue", blue), ("green", green)] {
        let (topics, groups) = (format_plural(view.topics.len(), "topic"), format_plural(view.groups.len(), "group"));
        out.push_comment(&format!(
            "found on {side}: {}, {topics}, {groups}",
            format_plural(view.brokers.len(), "broker")
        ));
    }
    out.push_line("\n[migration]");
    out.push_line(&format!("name = {}", quote_toml(if is_usable_name(name) { name } else { "migration" })));
    out.push_line("# approvers = [\"anna\", \"ben\"]");
    out.push_line("# journal = \".cutover/NAME.journal\"     # on a local disk; everyone who uses this plan shares it");
}

fn write_cluster(out: &mut PlanWriter, side: Side, found: FoundCluster<'_>) {
    let plan = found.plan;
    out.push_line(&format!("\n[clusters.{side}]"));
    if let Some(name) = plan.name.as_deref().filter(|n| is_usable_name(n)) {
        out.push_line(&format!("name = {}", quote_toml(name)));
    }
    out.push_line(&format!("bootstrap = {}", quote_toml(&plan.bootstrap.join(","))));
    match found.view.cluster_id.as_deref().or(plan.cluster_id.as_deref()) {
        Some(id) if is_usable_name(id) => {
            out.push_line(&format!(
                "cluster_id = {}     # pinned: another cluster at this address is refused",
                quote_toml(id)
            ));
        }
        _ => out.push_line("# cluster_id = \"...\"     # the cluster told none"),
    }
    if let Some(registry) = &plan.registry {
        out.push_line(&format!("registry = {{ url = {} }}", quote_toml(&registry.url)));
    } else {
        out.push_line("# registry = { url = \"https://...\" }");
    }
    if plan.client.is_empty() {
        out.push_line(&format!("# [clusters.{side}.client]     # client properties under librdkafka's names"));
        out.push_line("# \"security.protocol\" = \"SASL_SSL\"");
        out.push_line("# \"sasl.mechanisms\" = \"PLAIN\"");
        out.push_line("# \"sasl.username\" = \"cutover\"");
        out.push_line(&format!("# \"sasl.password\" = {{ env = \"{}_PASSWORD\" }}", side.name().to_uppercase()));
        return;
    }
    out.push_line(&format!("\n[clusters.{side}.client]"));
    for (key, value) in &plan.client {
        let written = match value {
            ClientValue::Plain(text) if !is_kept_out(value) => match bearer::COMMANDS.contains(&key.as_str()) {
                true => quote_command(text),
                false => quote_toml(text),
            },
            ClientValue::Secret(Secret::Env(name)) => format!("{{ env = {} }}", quote_toml(name)),
            ClientValue::Secret(Secret::File(path)) => format!("{{ file = {} }}", quote_toml(&path.to_string_lossy())),
            ClientValue::Secret(Secret::Command(command)) => {
                let words: Vec<String> = command.argv.iter().map(|word| quote_toml(word)).collect();
                format!("{{ command = [{}] }}", words.join(", "))
            }
            // a secret that was typed is not written down, under whatever name
            ClientValue::Plain(_) | ClientValue::Secret(Secret::Inline(_)) => {
                format!("{{ env = \"{}\" }}", variable_of(side, key))
            }
        };
        out.push_line(&format!("{} = {written}", quote_toml(key)));
    }
}

/// A command as a plan has it: a list.
fn quote_command(property: &str) -> String {
    match TokenCommand::parse(property) {
        Some(command) => format!("[{}]", command.argv.iter().map(|w| quote_toml(w)).collect::<Vec<_>>().join(", ")),
        None => quote_toml(property),
    }
}

/// The environment variable from which a written plan reads a secret that was typed.
#[must_use]
pub fn variable_of(side: Side, key: &str) -> String {
    format!("{}_{}", side.name().to_uppercase(), key.replace(['.', '-'], "_").to_uppercase())
}

/// Whether a value is not written into a plan, but read from [`variable_of`] it.
#[must_use]
pub fn is_kept_out(value: &ClientValue) -> bool {
    match value {
        ClientValue::Plain(text) => matches!(redact::hide_cow(text), Cow::Owned(_)),
        ClientValue::Secret(secret) => matches!(secret, Secret::Inline(_)),
    }
}

/// Topics that belong to a machinery, with what to do instead of moving them as such.
fn explain_machinery(name: &str) -> Option<&'static str> {
    match name {
        "_schemas" => Some("the schema registry's own: replicate the registry instead"),
        _ if name.starts_with("_confluent") => Some("Confluent's own"),
        _ if name.starts_with("mm2-") && name.ends_with(".internal") => Some("MirrorMaker 2's own"),
        _ if name.ends_with(".checkpoints.internal") || name == "heartbeats" => Some("MirrorMaker 2's own"),
        _ => None,
    }
}

fn write_topics(out: &mut PlanWriter, blue: &ClusterView, green: &ClusterView) {
    out.push_line("\n# Topics of blue. An exact name beats a pattern, the first pattern wins; `auto` takes the strongest evidence there is.");
    if blue.topics.is_empty() {
        out.push_line("# (none found)");
    }
    let mut left_out = Vec::new();
    for (name, topic) in &blue.topics {
        if !is_usable_name(name) {
            left_out.push(format!("\"{}\" (its name can't be written in a plan)", shorten_name(name)));
            continue;
        }
        if let Some(why) = explain_machinery(name) {
            left_out.push(format!("{} ({why})", shorten_name(name)));
            continue;
        }
        out.push_line("\n[[topics]]");
        out.push_line(&format!("name = {}", quote_toml(name)));
        out.push_comment(&describe_partitions(topic, green.topics.get(name)));
        if ["-changelog", "-repartition"].iter().any(|end| name.ends_with(end)) {
            out.push_line("# looks like a Kafka Streams internal topic: the application makes its own on green");
        }
        let open: Vec<String> = topic
            .partitions
            .iter()
            .enumerate()
            .filter(|(_, p)| matches!((p.lso, p.high_watermark), (Some(lso), Some(hw)) if lso < hw))
            .map(|(i, _)| i.to_string())
            .take(MEMBERS_SHOWN)
            .collect();
        if !open.is_empty() {
            out.push_comment(&format!(
                "a transaction was open on partition {}: a transactional producer writes here, which can't be dual-written",
                open.join(", ")
            ));
        }
    }
    write_left_out(out, &left_out);
    let only_green: Vec<&str> =
        green.topics.keys().filter(|t| !blue.topics.contains_key(*t)).map(String::as_str).collect();
    if !only_green.is_empty() {
        out.push_line("");
        let shown: Vec<String> = only_green.iter().take(20).map(|t| shorten_name(t)).collect();
        let more = only_green.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        out.push_comment(&format!("on green only: {}{more}", shown.join(", ")));
    }
}

fn write_left_out(out: &mut PlanWriter, what: &[String]) {
    if !what.is_empty() {
        out.push_line("");
    }
    for one in what {
        out.push_comment(&format!("left out: {one}"));
    }
}

fn describe_partitions(blue: &TopicView, green: Option<&TopicView>) -> String {
    let n = blue.partitions.len();
    match green.map(|g| g.partitions.len()) {
        None => format!("{}; MISSING on green", format_plural(n, "partition")),
        Some(g) if g == n => format!("{} on both", format_plural(n, "partition")),
        Some(g) => format!("PARTITIONS DIFFER: {n} on blue, {g} on green"),
    }
}

fn write_groups(out: &mut PlanWriter, blue: &ClusterView, green: &ClusterView) {
    out.push_raw(SWITCHES);
    if blue.groups.is_empty() {
        out.push_line("# (none found)");
    }
    let mut left_out = Vec::new();
    for (name, group) in &blue.groups {
        let refused = match group.kind {
            GroupKind::Classic | GroupKind::Consumer => None,
            GroupKind::Share => Some("a share group: it has no offsets to move"),
            GroupKind::Streams => Some("a streams group (KIP-1071): not supported"),
            GroupKind::Other => {
                Some("of another protocol, such as Kafka Connect's workers: its offsets are not a consumer's")
            }
        };
        let streams = application::streams_evidence(name, group);
        if let Some(why) = refused {
            left_out.push(format!("{} ({why})", shorten_name(name)));
        } else if let Some(why) = streams {
            let name = shorten_name(name);
            left_out.push(format!("{name} (a Kafka Streams application: {why}; its state does not move with offsets)"));
        } else if is_usable_id(name) {
            write_group(out, name, group, (blue, green));
        } else {
            left_out.push(format!("\"{}\" (its name can't be written in a plan)", shorten_name(name)));
        }
    }
    write_left_out(out, &left_out);
}

fn write_group(out: &mut PlanWriter, name: &str, group: &GroupView, (blue, green): (&ClusterView, &ClusterView)) {
    out.push_line("\n[[groups]]");
    out.push_line(&format!("name = {}", quote_toml(name)));
    out.push_comment(&format!("{} on blue, {}", group.state, format_plural(group.members.len(), "member")));
    // one line a host and client id, however many threads
    let mut members: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for member in &group.members {
        *members.entry((&member.client_id, &member.host)).or_default() += 1;
    }
    for ((client, host), n) in members.iter().take(MEMBERS_SHOWN) {
        let times = if *n > 1 { format!(" ({n} members)") } else { String::new() };
        out.push_comment(&format!("  client id {client} at {}{times}", host.trim_start_matches('/')));
    }
    if members.len() > MEMBERS_SHOWN {
        out.push_comment(&format!("  and {} more", members.len() - MEMBERS_SHOWN));
    }
    if group.members.iter().any(|m| m.instance_id.is_some()) {
        out.push_line("# static members: they do not leave when they stop, so a drain waits for the session timeout");
    }
    if let Some(trouble) = &group.trouble {
        out.push_comment(&format!("could not be read as a whole: {}", trouble.what));
    }
    let made = application::streams_topics(name, blue.topics.keys());
    if !made.is_empty() {
        out.push_comment(&format!(
            "looks like a Kafka Streams application, whose state does not move: {}",
            made.into_iter().map(shorten_name).collect::<Vec<_>>().join(", ")
        ));
    }
    if application::only_commits(group) {
        out.push_line(
            "# only commits (assign()): nobody is in it who could be seen to stop, so say how often it commits",
        );
        out.push_line("# commit_interval = \"20s\"");
    }
    let assigned = group.members.iter().flat_map(|m| &m.assigned).map(|tp| tp.topic.as_str());
    let subscribed = group.members.iter().flat_map(|m| &m.subscribed).map(String::as_str);
    let subscribed = subscribed.filter(|t| blue.topics.contains_key(*t));
    let topics: BTreeSet<&str> = group.offsets.keys().map(String::as_str).chain(assigned).chain(subscribed).collect();
    let missing: Vec<&str> = topics.iter().filter(|t| !green.topics.contains_key(**t)).copied().collect();
    if !missing.is_empty() {
        let missing: Vec<String> = missing.into_iter().map(shorten_name).collect();
        out.push_comment(&format!("MISSING on green: {}", missing.join(", ")));
    }
    if green.groups.get(name).is_some_and(|g| !g.offsets.is_empty()) {
        out.push_line("# has committed offsets on green already");
    }
    out.push_line("# team = \"\"");
    out.push_line(&format!("topics = {}", format_list(topics.into_iter().filter(|t| is_usable_name(t)))));
    out.push_line("# mode = \"handover\"");
    out.push_line("# switch = { provider = \"manual\" }");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::{Plan, ProblemSeverity};
    use super::*;
    use crate::base::{TopicPartition, Trouble};
    use crate::estate::{BrokerView, Committed, GroupState, MemberView, PartitionView};

    fn view(topics: &[(&str, usize)], groups: &[(&str, GroupView)]) -> ClusterView {
        let partition = |i: usize| PartitionView {
            lso: Some(if i == 5 { 3 } else { 10 }),
            high_watermark: Some(10),
            ..PartitionView::default()
        };
        ClusterView {
            cluster_id: Some("qDm3vN3pTbCq5wqUuKZ6nQ".into()),
            brokers: [(1, BrokerView { host: "b".into(), port: 9092, rack: None, answered: None })].into(),
            topics: topics
                .iter()
                .map(|(t, n)| {
                    ((*t).into(), TopicView { partitions: (0..*n).map(partition).collect(), ..Default::default() })
                })
                .collect(),
            groups: groups.iter().map(|(g, v)| ((*g).into(), v.clone())).collect(),
            ..ClusterView::default()
        }
    }

    fn member(client: &str, host: &str, instance: Option<&str>) -> MemberView {
        MemberView {
            client_id: client.into(),
            host: host.into(),
            instance_id: instance.map(Into::into),
            assigned: vec![TopicPartition::new("loan-notes", 0)],
            ..MemberView::default()
        }
    }

    fn estate() -> (ClusterView, ClusterView) {
        let offsets = [("loan-events".to_owned(), [(0, Committed { offset: 5, leader_epoch: -1 })].into())];
        let audit = GroupView {
            state: GroupState::Stable,
            members: vec![
                member("audit-1", "/10.0.0.1", None),
                member("audit-1", "/10.0.0.1", None),
                member("evil\n[[groups]]\u{1b}[2J", "/10.0.0.2", Some("static-1")),
            ],
            offsets: offsets.into(),
            ..GroupView::default()
        };
        let kind = |kind| GroupView { kind, ..GroupView::default() };
        let broken = GroupView { trouble: Some(Trouble::new("coordinator of b:1 not reachable", "")), ..audit.clone() };
        let blue = view(
            &[("loan-events", 6), ("loan-notes", 3), ("audit-raw", 1), ("_schemas", 1), ("app-x-changelog", 1)],
            &[
                ("loan-audit", audit.clone()),
                ("half", broken),
                ("share", kind(GroupKind::Share)),
                ("connect-x", kind(GroupKind::Other)),
                ("", kind(GroupKind::Classic)),
                ("bad\u{202e}name", kind(GroupKind::Classic)),
                ("a \"quoted\" \\ name", kind(GroupKind::Consumer)),
            ],
        );
        let mut green = view(&[("loan-events", 6), ("loan-notes", 4), ("new", 1)], &[("loan-audit", audit)]);
        green.cluster_id = None;
        (blue, green)
    }

    fn clusters() -> (ClusterPlan, ClusterPlan) {
        let mut blue = ClusterPlan { bootstrap: vec!["blue-1:9092".into()], ..ClusterPlan::default() };
        let green = ClusterPlan { bootstrap: vec!["green-1:9092".into(), "green-2:9092".into()], ..blue.clone() };
        blue.client.insert("security.protocol".into(), ClientValue::Plain("SASL_SSL".into()));
        blue.client.insert("sasl.mechanism".into(), ClientValue::Plain("PLAIN".into()));
        blue.client.insert("sasl.username".into(), ClientValue::Plain("app".into()));
        blue.client.insert("sasl.password".into(), ClientValue::Secret(Secret::inline("hunter2".into())));
        (blue, green)
    }

    fn text(name: &str, blue: &ClusterView, green: &ClusterView) -> String {
        let (b, g) = clusters();
        let green =
            ClusterView { cluster_id: green.cluster_id.as_ref().map(|id| format!("{id}-green")), ..green.clone() };
        generate_plan(name, FoundCluster { plan: &b, view: blue }, FoundCluster { plan: &g, view: &green })
    }

    #[test]
    fn what_is_found_is_written_and_loads_again() {
        let (blue, green) = estate();
        let text = text("loans-psc", &blue, &green);
        insta::assert_snapshot!(text);
        assert!(!text.contains("hunter2"));
        let loaded = Plan::parse(&text, Path::new("cutover.toml")).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(loaded.plan.name, "loans-psc");
        assert_eq!(loaded.plan.clusters.blue.cluster_id.as_deref(), Some("qDm3vN3pTbCq5wqUuKZ6nQ"));
        let groups: Vec<&str> = loaded.plan.groups.iter().map(|g| g.name.as_str()).collect();
        assert_eq!(groups, ["a \"quoted\" \\ name", "bad\u{202e}name", "half", "loan-audit"]);
        assert_eq!(loaded.plan.groups[3].topics, ["loan-events", "loan-notes"]);
        assert_eq!(loaded.plan.topics.len(), 4);
        // the only thing to warn about is what a person has to add
        assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
        assert!(loaded.warnings[0].message.contains("no switch"));
    }

    #[test]
    fn a_command_is_written_as_the_list_that_a_plan_has() {
        let (blue, green) = estate();
        let (mut b, g) = clusters();
        b.client = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "AWS_MSK_IAM"),
            (bearer::AWS_COMMAND, "[\"a b\",\"c\"]"),
        ]
        .map(|(name, value)| (name.to_owned(), ClientValue::Plain(value.to_owned())))
        .into();
        let text = generate_plan("x", FoundCluster { plan: &b, view: &blue }, FoundCluster { plan: &g, view: &green });
        assert!(text.contains("\"sasl.aws.credentials.command\" = [\"a b\", \"c\"]\n"), "{text}");
        let plan = Plan::parse(&text, Path::new("cutover.toml")).unwrap_or_else(|e| panic!("{e}")).plan;
        let ClientValue::Plain(command) = &plan.clusters.blue.client[bearer::AWS_COMMAND] else { panic!("no secret") };
        assert_eq!(TokenCommand::parse(command).unwrap().argv, ["a b", "c"]);
    }

    #[test]
    fn a_secret_that_was_typed_twice_is_written_down_under_neither_name() {
        let (blue, green) = estate();
        let (mut b, g) = clusters();
        let secret = "c4nary-that-was-typed";
        b.client.insert("sasl.password".into(), ClientValue::Secret(Secret::inline(secret.into())));
        for name in ["sasl.username", "client.id"] {
            b.client.insert(name.into(), ClientValue::Plain(secret.into()));
        }
        let text = generate_plan("x", FoundCluster { plan: &b, view: &blue }, FoundCluster { plan: &g, view: &green });
        assert!(!text.contains("c4nary"), "{text}");
        for variable in ["BLUE_SASL_USERNAME", "BLUE_CLIENT_ID", "BLUE_SASL_PASSWORD"] {
            assert!(text.contains(&format!("{{ env = \"{variable}\" }}")), "{variable} in\n{text}");
        }
    }

    #[test]
    fn its_examples_are_right() {
        // every commented example, without its `# `, must be accepted where it stands
        let (blue, green) = (view(&[], &[]), view(&[], &[]));
        let text = text("x", &blue, &green);
        let mut uncommented = String::new();
        for line in text.lines() {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            let key = bare.split(['=', ' ', '.']).next().unwrap_or_default();
            let is_key = bare.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || "_\"".contains(c));
            if bare.starts_with("[[") || bare.starts_with("[defaults]") || (is_key && !bare.starts_with("  ")) {
                uncommented.push_str(bare);
                uncommented.push('\n');
            } else if !line.starts_with('#') {
                uncommented.push_str(line);
                uncommented.push('\n');
            }
        }
        // the other cluster's client table has its real head commented out
        let uncommented: String = uncommented
            .lines()
            .filter(|l| !l.starts_with("\"sasl") && !l.starts_with("\"security") && !l.contains("https://..."))
            .fold(String::new(), |text, line| text + line + "\n");
        let found = match Plan::parse(&uncommented, Path::new("x.toml")) {
            Ok(loaded) => {
                assert_eq!(
                    (loaded.plan.triggers.len(), loaded.plan.producers.len(), loaded.plan.windows.len()),
                    (1, 2, 1)
                );
                loaded.warnings
            }
            Err(problems) => problems.0,
        };
        assert!(found.iter().all(|f| f.severity == ProblemSeverity::Warning), "{found:#?}\n{uncommented}");
        assert_eq!(
            Plan::parse(&uncommented, Path::new("x.toml")).unwrap().plan.defaults,
            crate::plan::model::GroupLimits::default(),
            "the defaults it shows are the defaults"
        );
    }

    proptest! {
        #[test]
        fn whatever_the_brokers_say_it_loads(
            name in ".*",
            topics in proptest::collection::vec(("[a-zA-Z0-9._-]{1,20}", 0..4_usize), 0..6),
            groups in proptest::collection::vec((".*", ".*", ".*"), 0..6),
        ) {
            let topics: Vec<(&str, usize)> =
                topics.iter().filter(|(t, _)| t != "." && t != "..").map(|(t, n)| (t.as_str(), *n)).collect();
            let groups: Vec<(&str, GroupView)> = groups
                .iter()
                .map(|(g, client, host)| {
                    (g.as_str(), GroupView { members: vec![member(client, host, None)], ..GroupView::default() })
                })
                .collect();
            let text = text(&name, &view(&topics, &groups), &view(&topics[topics.len() / 2..], &[]));
            let loaded = Plan::parse(&text, Path::new("x.toml"));
            prop_assert!(loaded.is_ok(), "{}\n{text}", loaded.unwrap_err());
            prop_assert!(crate::base::sanitise::is_clean(&text.replace('\n', "")), "{text:?}");
            let loaded = loaded.unwrap_or_else(|e| panic!("{e}")).plan;
            let ids: std::collections::BTreeSet<&str> = loaded.groups.iter().map(|g| g.name.as_str()).collect();
            for (id, _) in groups.iter().filter(|(id, _)| is_usable_id(id)) {
                prop_assert!(ids.contains(id), "{id:?} is not in\n{text}");
            }
        }
    }
}
