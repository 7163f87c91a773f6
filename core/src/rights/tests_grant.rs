use super::*;

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|n| (*n).to_owned()).collect()
}

fn scope() -> RightsScope {
    RightsScope {
        topics: names(&["loans", "audit"]),
        compared: Some(names(&["loans", "audit"])),
        groups: names(&["loan-audit"]),
        transactional_ids: BTreeSet::new(),
    }
}

fn lines(role: Role, side: Side, scope: &RightsScope) -> Vec<String> {
    let principal = "User:cutover".parse().unwrap();
    RoleLines::write(side, "b:9092", &Grants::of_role(role, side, scope), &principal).lines
}

#[test]
fn a_role_that_looks_is_granted_nothing_that_changes() {
    for side in Side::BOTH {
        let grants = Grants::of_role(Role::ReadOnly, side, &scope());
        for ((resource, _, name), operations) in &grants.operations {
            let reads = |o: &Operation| matches!(o, Operation::Describe | Operation::DescribeConfigs | Operation::Read);
            assert!(operations.iter().all(reads), "{resource} {name}: {operations:?}");
            assert!(*resource != Resource::Group || !operations.contains(&Operation::Read), "READ lets it commit");
        }
    }
}

#[test]
fn lines_are_one_a_kind_and_say_nothing_twice() {
    assert_eq!(
        lines(Role::ReadOnly, Side::Blue, &scope()),
        [
            "kafka-acls.sh --bootstrap-server b:9092 --command-config admin.properties --add --allow-principal=User:cutover \
             --operation=Read --operation=DescribeConfigs --topic=audit --topic=loans",
            "kafka-acls.sh --bootstrap-server b:9092 --command-config admin.properties --add --allow-principal=User:cutover \
             --operation=Describe --topic=__consumer_offsets",
            "kafka-acls.sh --bootstrap-server b:9092 --command-config admin.properties --add --allow-principal=User:cutover \
             --operation=Describe --group=loan-audit",
            "kafka-acls.sh --bootstrap-server b:9092 --command-config admin.properties --add --allow-principal=User:cutover \
             --operation=Describe --operation=DescribeConfigs --cluster",
        ]
    );
    let all = RightsScope { compared: None, ..scope() };
    let wide = lines(Role::ReadOnly, Side::Green, &all);
    assert!(
        wide.iter().any(|l| l.ends_with("--operation=Describe --operation=DescribeConfigs --topic='*'")),
        "{wide:#?}"
    );
    assert!(wide.iter().any(|l| l.ends_with("--operation=Read --topic=audit --topic=loans")), "{wide:#?}");
    assert!(!wide.iter().any(|l| l.contains("__consumer_offsets")), "it is one of all: {wide:#?}");
}

#[test]
fn an_operator_writes_to_green_alone_and_fences_only_where_the_plan_has_such_producers() {
    let (blue, green) = (lines(Role::Operator, Side::Blue, &scope()), lines(Role::Operator, Side::Green, &scope()));
    assert!(!blue.iter().any(|l| l.contains("Write") || l.contains("transactional")), "{blue:#?}");
    assert!(
        green.iter().any(|l| l.contains("--transactional-id=cutover-replay- --resource-pattern-type=prefixed")),
        "{green:#?}"
    );
    let hard = RightsScope { transactional_ids: names(&["ledger-1"]), ..scope() };
    let blue = lines(Role::Operator, Side::Blue, &hard);
    assert!(blue.iter().any(|l| l.ends_with("--operation=Write --transactional-id=ledger-1")), "{blue:#?}");
}

/// Every hostile name is one argument of its line, and what can't be granted alone is granted to nobody.
#[test]
fn hostile_names_are_one_argument_each() {
    let hostile =
        ["-x", "a b", "$(reboot)", "it's", "a\nb", "`id`; rm -rf ~", "\u{1b}]0;x\u{7}", "команда", "=", "--all"];
    let scope = RightsScope { groups: names(&hostile), ..scope() };
    let grants = Grants::of_role(Role::ReadOnly, Side::Blue, &scope);
    let principal: Principal = "User:it's $me".parse().unwrap();
    let line = RoleLines::write(Side::Blue, "b:1", &grants, &principal).lines;
    let line = line.iter().find(|l| l.contains("--group")).unwrap();
    let script = line.replacen("kafka-acls.sh", "printf '%s\\0'", 1);
    let out = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap().stdout;
    let told: Vec<&str> = std::str::from_utf8(&out).unwrap().split('\0').collect();
    for name in hostile {
        assert!(told.contains(&format!("--group={name}").as_str()), "{name:?}: {told:?}");
    }
    assert!(told.contains(&"--allow-principal=User:it's $me"), "{told:?}");
    let odd = RightsScope { groups: names(&["*", "", " padded", "plain"]), ..RightsScope::default() };
    let grants = Grants::of_role(Role::ReadOnly, Side::Blue, &odd);
    assert_eq!(grants.left_out.len(), 3, "{grants:?}");
    let granted = grants.operations.keys().filter(|(r, ..)| *r == Resource::Group);
    assert_eq!(granted.map(|(_, _, name)| name.as_str()).collect::<Vec<_>>(), ["plain"]);
}

#[test]
fn a_principal_is_named_with_its_kind_and_is_not_everybody() {
    for text in ["User:cutover", "User:CN=cutover,O=Bank", "Group:ops", "User:a:b"] {
        assert_eq!(text.parse::<Principal>().unwrap().as_str(), text);
    }
    for text in ["cutover", "User:", ":x", "User:*", " User:x", "User:x ", ""] {
        assert!(text.parse::<Principal>().is_err(), "{text:?}");
    }
}
