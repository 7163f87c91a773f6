//! Least privilege on two secured clusters of real Kafka: who has exactly the rights of the table can do what a verb does, who
//! lacks one is told which; the lines that `cutover doctor --acls` prints are enough; and what a list of topics proves.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cutover::base::Side;
use cutover::estate::acl::{Acl, AclFilter, AclPattern, Operation, Permission, Resource};
use cutover::kafka::control::{Cluster, in_force};
use cutover::kafka::properties::ClientProperties;
use cutover::rights::table::{Weight, needs_of};
use cutover::rights::{Grants, Need, Principal, RightsScope, Subject, Verb};
use serde_json::Value;

use crate::faults::{Desk, Ran};
use crate::inventory::run;
use crate::offsets::ground::{fill_from, hours_ago};
use crate::support::kafka::{Broker, HeldPort, commit_offsets, connect_as, create_topic, start_guarded, tool};

const TOPIC: &str = "loans";
const GROUP: &str = "loan-audit";
/// Users of SASL that a test may grant rights to.
const USERS: usize = 40;

/// A cluster with an authorizer, whose users may do nothing but what a test grants.
struct Node {
    broker: Broker,
    sasl: HeldPort,
}

impl Node {
    fn start(side: Side) -> Node {
        let users: Vec<String> = (0..USERS).map(|n| format!("u{n}")).collect();
        let (broker, sasl) = start_guarded(&format!("least-{side}"), false, &users);
        Node { broker, sasl }
    }

    fn admin(&self, side: Side) -> Cluster {
        Cluster::new(side, &self.broker.bootstrap, &ClientProperties::default())
    }

    /// The cluster as a user sees it.
    fn user(&self, side: Side, name: &str) -> Cluster {
        connect_as(side, &self.sasl, name)
    }

    /// Makes ACLs and waits until they are enforced.
    fn add_acls(&self, acls: &BTreeSet<Acl>) {
        let admin = self.admin(Side::Blue);
        let made = run(admin.create_acls(acls));
        assert!(made.values().all(cutover::kafka::control::ChangeOutcome::is_done), "{made:?}");
        loop {
            let found = run(admin.describe_acls(&AclFilter::default())).unwrap();
            if acls.iter().all(|acl| in_force(&found, acl)) {
                return;
            }
        }
    }
}

struct World {
    blue: Node,
    green: Node,
}

impl World {
    /// The same 40 records on both, and a group that has read 10 of them on blue.
    fn start() -> World {
        let world = World { blue: Node::start(Side::Blue), green: Node::start(Side::Green) };
        let begin = hours_ago();
        for node in [&world.blue, &world.green] {
            create_topic(&node.broker, TOPIC, 1, &[]);
            fill_from(&node.broker, TOPIC, 0, begin, (0..40).map(|n| format!("value {n}").into_bytes()));
            // So that both have the topic that keeps groups.
            commit_offsets(&node.broker, "somebody", TOPIC, &[40]);
        }
        commit_offsets(&world.blue.broker, GROUP, TOPIC, &[10]);
        // Whoever may DESCRIBE the cluster is shown a group outside the plan: of that one all may be known, too.
        let somebody = (Resource::Group, "somebody");
        let seen = acl("*", Permission::Allow, Operation::Describe, AclPattern::Literal, somebody);
        world.nodes().iter().for_each(|(_, node)| node.add_acls(&BTreeSet::from([seen.clone()])));
        world
    }

    fn nodes(&self) -> [(Side, &Node); 2] {
        [(Side::Blue, &self.blue), (Side::Green, &self.green)]
    }

    /// A desk whose plan goes by a user on both clusters.
    fn desk(&self, user: &str) -> Desk {
        let cluster = |(side, node): (Side, &Node)| {
            format!(
                "[clusters.{side}]\nbootstrap = \"127.0.0.1:{}\"\n[clusters.{side}.client]\n\
                 \"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"PLAIN\"\n\
                 \"sasl.username\" = {user:?}\n\"sasl.password\" = \"secret\"\n",
                node.sasl.number
            )
        };
        Desk::new(&format!(
            "[migration]\nname = \"least\"\n{}[[topics]]\nname = {TOPIC:?}\narrival_skew = \"1s\"\n\
             [[groups]]\nname = {GROUP:?}\ntopics = [{TOPIC:?}]\n",
            self.nodes().map(cluster).concat()
        ))
    }
}

fn scope() -> RightsScope {
    RightsScope {
        topics: [TOPIC.to_owned()].into(),
        compared: None,
        groups: [GROUP.to_owned()].into(),
        transactional_ids: BTreeSet::new(),
    }
}

/// A verb, without a right or with all of them, by a user of its own.
struct Case {
    verb: Verb,
    user: String,
    without: Option<&'static Need>,
}

/// What a verb is granted, the same on both clusters so that they stay alike.
fn grants(verb: Verb, without: Option<&Need>) -> Grants {
    let kept = |need: &&Need| without.is_none_or(|gone| (gone.on, gone.operation) != (need.on, need.operation));
    Grants::of_needs(Side::BOTH.into_iter().flat_map(|side| needs_of(verb, side)).filter(kept), &scope())
}

/// Whether a right is gone with its need, and not implied by another one that is still granted.
fn is_gone(verb: Verb, need: &Need) -> bool {
    let all = grants(verb, None);
    let left = grants(verb, Some(need));
    all.operations.iter().any(|(named, operations)| {
        let still = left.operations.get(named);
        operations.contains(&need.operation)
            && named.0 == need.on.resource()
            && !still.is_some_and(|s| {
                s.iter().any(|o| *o == need.operation || cutover::rights::grant::implies(*o, need.operation))
            })
    })
}

/// The verbs that can be run again and again, those that write to green last.
const RUN: [Verb; 6] = [Verb::Look, Verb::OffsetsPlan, Verb::Diff, Verb::Preflight, Verb::Move, Verb::Replay];

fn list_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |verb, without| {
        let user = format!("u{}", cases.len());
        cases.push(Case { verb, user, without });
    };
    for verb in RUN {
        let mut seen = BTreeSet::new();
        for need in Side::BOTH.into_iter().flat_map(|side| needs_of(verb, side)) {
            let whole = need.weight == Weight::Whole;
            if whole && seen.insert((need.on, need.operation)) && is_gone(verb, need) {
                add(verb, Some(need));
            }
        }
        add(verb, None);
    }
    assert!((15..=USERS - 8).contains(&cases.len()), "{} cases", cases.len());
    cases
}

fn run_verb(verb: Verb, desk: &Desk) -> Ran {
    let yes = format!("--yes={GROUP}");
    let arguments = match verb {
        Verb::Look => vec!["lag", "--json"],
        Verb::OffsetsPlan => vec!["offsets", "plan", "--group", GROUP, "--json"],
        Verb::Diff => vec!["diff", "--json"],
        Verb::Preflight => vec!["preflight", "--json"],
        Verb::Move => vec!["offsets", "apply", "--group", GROUP, &yes],
        Verb::Replay => vec!["replay", "--range", "loans:0:0-5", "--accept-reorder", "--yes", TOPIC],
        other => panic!("{other} is not run here"),
    };
    desk.run(&arguments)
}

/// Exactly the rights of the table are enough for each verb; without one of them it refuses or says UNKNOWN, and why.
#[test]
fn each_right_of_the_table_is_needed_and_all_of_them_are_enough() {
    let world = World::start();
    let cases = list_cases();
    let mut acls = BTreeSet::new();
    for Case { verb, user, without } in &cases {
        let principal: Principal = format!("User:{user}").parse().unwrap();
        acls.extend(grants(*verb, *without).to_acls(&principal));
    }
    acls.extend(hiding_acls());
    world.nodes().iter().for_each(|(_, node)| node.add_acls(&acls));
    lists_are_whole_only_where_it_is_proven(&world);
    let mut wrong = Vec::new();
    for Case { verb, user, without } in &cases {
        let ran = run_verb(*verb, &world.desk(user));
        let said = format!("{}{}", ran.out, ran.err);
        let right = without.map(|need| format!("{} on {}", need.operation.to_string().to_uppercase(), need.on));
        println!("{verb} without {right:?}: {:?}", ran.code);
        let named = |need: &Need| {
            said.contains("AUTHORIZATION_FAILED") || said.contains(&need.operation.to_string().to_uppercase())
        };
        // Known gap: librdkafka purges its queue when the transaction is aborted, and that is what is told.
        let purged = |need: &Need| (need.on, need.operation) == (Subject::Topics, Operation::Write);
        let well = match without {
            None => ran.code == Some(0),
            Some(need) if purged(need) => ran.code == Some(1) && said.contains("Purged in queue"),
            Some(need) => matches!(ran.code, Some(1 | 3 | 4)) && named(need),
        };
        if !well {
            wrong.push(format!("{verb} without {right:?} as {user}: {:?}\n{said}", ran.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn acl(user: &str, permission: Permission, operation: Operation, pattern: AclPattern, on: (Resource, &str)) -> Acl {
    Acl { permission, operation, pattern, ..Acl::deny_write(on.0, on.1, format!("User:{user}")) }
}

/// Users who may describe all topics but for some, or all of the cluster and no topic.
fn hiding_acls() -> BTreeSet<Acl> {
    use AclPattern::{Literal, Prefixed};
    use Operation as O;
    use Permission::{Allow, Deny};
    let cluster = (Resource::Cluster, "kafka-cluster");
    let mut acls = BTreeSet::new();
    for user in ["u35", "u36", "u37", "u38"] {
        acls.insert(acl(user, Allow, O::Describe, Literal, (Resource::Topic, "*")));
        acls.insert(acl(user, Allow, O::Describe, Literal, cluster));
        acls.insert(acl(user, Allow, O::DescribeConfigs, Literal, cluster));
    }
    acls.insert(acl("u36", Deny, O::Describe, Literal, (Resource::Topic, "payroll")));
    acls.insert(acl("u37", Deny, O::All, Prefixed, (Resource::Topic, "secret-")));
    // A denial to write hides nothing.
    acls.insert(acl("u38", Deny, O::Write, Literal, (Resource::Topic, TOPIC)));
    acls.insert(acl("u39", Allow, O::All, Literal, cluster));
    acls
}

fn lists_are_whole_only_where_it_is_proven(world: &World) {
    for name in ["payroll", "secret-plans"] {
        create_topic(&world.blue.broker, name, 1, &[]);
        create_topic(&world.green.broker, name, 1, &[]);
    }
    let look = |user: &str| run(world.blue.user(Side::Blue, user).take_inventory()).unwrap();
    for user in ["u35", "u38"] {
        let found = look(user);
        assert_eq!((found.topics_hidden, found.topics.len()), (None, 4), "{user}");
    }
    for (user, hidden, words) in
        [("u36", "payroll", "topic payroll, if there is one"), ("u37", "secret-plans", "begin with secret-")]
    {
        let found = look(user);
        let why = found.topics_hidden.unwrap_or_else(|| panic!("{user} is not shown {hidden}"));
        assert!(why.what.contains(words) && !found.topics.contains_key(hidden), "{user}: {why:?}");
    }
    // Everything may be done with the cluster, and no topic be seen: no list of topics is whole by that.
    let nothing = look("u39");
    assert!(nothing.topics.is_empty() && nothing.topics_hidden.is_some(), "{nothing:?}");
}

/// Runs what `cutover doctor --acls` printed, in a real shell, by Kafka's own tool.
fn run_lines(world: &World, role: &str, user: &str) {
    let desk = world.desk(user);
    let (code, printed) = desk.json(&["doctor", "--acls", role, "--principal", &format!("User:{user}")]);
    assert_eq!(code, Some(0), "{printed:#}");
    for (side, node) in world.nodes() {
        let of_side = printed["acls"].as_array().unwrap().iter().find(|s| s["side"] == side.name()).unwrap();
        for line in of_side["lines"].as_array().unwrap() {
            let line = line.as_str().unwrap();
            println!("{side}: {line}");
            // The plan's address is the user's own; an administrator has another.
            let split = line.replacen("kafka-acls.sh", "printf '%s\\0'", 1);
            let split = Command::new("sh").arg("-c").arg(split).output().unwrap().stdout;
            let words: Vec<&str> = std::str::from_utf8(&split).unwrap().split_terminator('\0').collect();
            let arguments = [&["--bootstrap-server", node.broker.bootstrap.as_str()][..], &words[4..]].concat();
            assert_eq!(words[2], "--command-config");
            tool("org.apache.kafka.tools.AclCommand", &arguments);
        }
    }
}

fn held_of(doctor: &Value) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut held: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for right in doctor["rights"].as_array().unwrap() {
        let text = |key: &str| right[key].as_str().unwrap().to_owned();
        held.entry((text("verb"), text("side"))).or_default().insert(text("held"));
    }
    held
}

/// Who got exactly the lines of a role runs its verbs, and nothing is hidden that these rights cover.
#[test]
fn the_printed_lines_are_enough_for_their_role() {
    let world = World::start();
    create_topic(&world.blue.broker, "only-blue", 2, &[("segment.ms", "3600000")]);
    run_lines(&world, "read-only", "u0");
    run_lines(&world, "operator", "u1");
    let (reader, operator) = (world.desk("u0"), world.desk("u1"));

    let (code, doctor) = reader.json(&["doctor"]);
    assert_ne!(code, Some(1), "{doctor:#}");
    let held = held_of(&doctor);
    for (verb, side) in held.keys().filter(|(verb, _)| {
        ["lag, status, cockpit", "doctor", "preflight", "offsets plan", "diff"].contains(&verb.as_str())
    }) {
        let of = &held[&(verb.clone(), side.clone())];
        assert_eq!(of, &["yes".to_owned()].into(), "{verb} on {side}: {:#}", doctor["rights"]);
    }
    assert!(held.iter().any(|((verb, _), of)| verb == "replay" && of.contains("no")), "{held:?}");

    let (code, lag) = reader.json(&["lag"]);
    assert_eq!(code, Some(0), "{lag:#}");
    for side in ["blue", "green"] {
        assert_eq!(lag["clusters"][side]["groups_hidden"], Value::Null, "{lag:#}");
    }
    let (code, status) = reader.json(&["status"]);
    assert!(matches!(code, Some(0 | 4)) && !status.to_string().contains("AUTHORIZATION_FAILED"), "{status:#}");
    let (code, preflight) = reader.json(&["preflight"]);
    let unknown: Vec<&Value> =
        preflight["rows"].as_array().unwrap().iter().filter(|row| row["state"] == "unknown").collect();
    assert!(code == Some(3) && unknown.is_empty(), "{code:?} {unknown:#?}");
    assert!(preflight.to_string().contains("only-blue"), "{preflight:#}");
    assert_eq!(reader.run(&["diff", "--json"]).code, Some(0));
    assert_eq!(run_verb(Verb::OffsetsPlan, &reader).code, Some(0));
    for verb in [Verb::Move, Verb::Replay] {
        let ran = run_verb(verb, &reader);
        assert!(matches!(ran.code, Some(1 | 3 | 4)), "{verb}: {}{}", ran.out, ran.err);
    }

    for verb in [Verb::Move, Verb::Replay] {
        let ran = run_verb(verb, &operator);
        assert_eq!(ran.code, Some(0), "{verb}: {}{}", ran.out, ran.err);
    }
    let ran = operator.run(&["provision", "--apply", "--yes", "least", "--json"]);
    assert!(!ran.out.contains("AUTHORIZATION_FAILED"), "{}{}", ran.out, ran.err);
    let green = run(world.green.admin(Side::Green).take_inventory()).unwrap();
    assert!(green.topics.contains_key("only-blue"), "{}{}", ran.out, ran.err);
}
