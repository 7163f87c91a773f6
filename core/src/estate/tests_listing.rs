use super::*;
use crate::estate::acl::{Operation, Permission};

const SALT: &str = "q7w3e9r1t5";

fn acl(name: &str, pattern: AclPattern, permission: Permission, operation: Operation, who: &str) -> Acl {
    Acl { pattern, permission, operation, ..Acl::deny_write(Resource::Topic, name, who) }
}

/// Apache's rule, word for word: a denial that bears on the name wins, then a grant; without any ACL on the resource the
/// default decides. `me`: the principals that this session goes by.
fn authorizes(acls: &BTreeSet<Acl>, me: &[&str], superuser: bool, everyone: bool, name: &str) -> bool {
    if superuser {
        return true;
    }
    let on: Vec<&Acl> = acls.iter().filter(|a| a.bears_on(name)).collect();
    let mine = |a: &&&Acl| me.contains(&a.principal.as_str());
    let denies =
        |a: &&Acl| a.permission == Permission::Deny && matches!(a.operation, Operation::Describe | Operation::All);
    if on.iter().filter(mine).any(denies) {
        return false;
    }
    let implies = |a: &&Acl| {
        use Operation as O;
        a.permission == Permission::Allow
            && matches!(a.operation, O::All | O::Describe | O::Read | O::Write | O::Delete | O::Alter)
    };
    if on.iter().filter(mine).any(implies) {
        return true;
    }
    on.is_empty() && everyone
}

fn conclude(acls: &BTreeSet<Acl>, listed: &BTreeSet<String>, of: &dyn Fn(&str) -> bool) -> Option<Trouble> {
    let probes = list_probes(acls, |name| listed.contains(name), SALT).unwrap();
    let told = |name: &String| (name.clone(), if of(name) { NameShown::Yes } else { NameShown::No });
    find_hidden_classes(Side::Blue, &probes, &probes.keys().map(told).collect())
}

/// Random ACLs, random topics, any principal: where it is said that nothing is hidden, nothing is; where no name at all could
/// be hidden, it is said.
#[test]
fn nothing_is_hidden_where_it_is_said_and_it_is_said_wherever_it_is_so() {
    let mut rng = fastrand::Rng::with_seed(13);
    let letters = ["a", "b", "ab", "abc", "b.", "ba", "", "*", "a*"];
    let (mut whole, mut partial) = (0, 0);
    for _ in 0..20_000 {
        let mut acls = BTreeSet::new();
        for _ in 0..rng.usize(0..5) {
            let pattern = if rng.bool() { AclPattern::Literal } else { AclPattern::Prefixed };
            let permission = if rng.usize(0..4) == 0 { Permission::Deny } else { Permission::Allow };
            let operation = [Operation::Describe, Operation::All, Operation::Read, Operation::Write][rng.usize(0..4)];
            let name = letters[rng.usize(0..letters.len())];
            if pattern == AclPattern::Prefixed && name.is_empty() {
                continue; // Kafka refuses an empty name
            }
            acls.insert(acl(name, pattern, permission, operation, ["User:me", "User:*", "User:x"][rng.usize(0..3)]));
        }
        let (superuser, everyone) = (rng.usize(0..12) == 0, rng.bool());
        let may = |name: &str| authorizes(&acls, &["User:me", "User:*"], superuser, everyone, name);
        let universe = ["a", "b", "ab", "abc", "abcd", "b.", "b.x", "ba", "bax", "zz", "A"];
        let topics: Vec<&str> = universe.into_iter().filter(|_| rng.bool()).collect();
        let listed: BTreeSet<String> = topics.iter().filter(|t| may(t)).map(|t| (*t).to_owned()).collect();
        match conclude(&acls, &listed, &may) {
            None => {
                whole += 1;
                assert_eq!(listed.len(), topics.len(), "{topics:?} {acls:?} {superuser} {everyone}");
            }
            Some(_) => {
                partial += 1;
                let names = universe.into_iter().chain(["Q", "a.Q", "ab.Q", "abc.Q", "b.Q", "baQ"]);
                let hidden = names.filter(|n| !may(n)).count();
                assert!(hidden > 0, "{topics:?} {acls:?} {superuser} {everyone}");
            }
        }
    }
    assert!(whole > 1_000 && partial > 1_000, "{whole} {partial}");
}

#[test]
fn what_would_be_hidden_is_named() {
    let star = acl("*", AclPattern::Literal, Permission::Allow, Operation::Describe, "User:me");
    let denied = acl("loan-", AclPattern::Prefixed, Permission::Deny, Operation::All, "User:me");
    let acls = BTreeSet::from([star.clone(), denied]);
    let why = conclude(&acls, &BTreeSet::new(), &|name| !name.starts_with("loan-")).unwrap();
    assert!(why.what.contains("topics that begin with loan- would be hidden"), "{why:?}");
    let one = acl("payroll", AclPattern::Literal, Permission::Deny, Operation::Describe, "User:me");
    let acls = BTreeSet::from([star, one]);
    let why = conclude(&acls, &BTreeSet::new(), &|name| name != "payroll").unwrap();
    assert!(why.what.contains("topic payroll, if there is one, would be hidden"), "{why:?}");
    assert_eq!(
        conclude(&acls, &BTreeSet::from(["payroll".to_owned()]), &|name| name != "payroll"),
        None,
        "it is shown"
    );
    let why = conclude(&BTreeSet::new(), &BTreeSet::new(), &|_| false).unwrap();
    assert!(why.what.contains("only those topics of blue that it may DESCRIBE"), "{why:?}");
}

#[test]
fn what_was_not_told_proves_nothing() {
    let probes = list_probes(&BTreeSet::new(), |_| false, SALT).unwrap();
    assert_eq!(probes.len(), 1);
    let why = find_hidden_classes(Side::Blue, &probes, &BTreeMap::new()).unwrap();
    assert!(why.what.contains("can't be told"), "{why:?}");
    let name = probes.keys().next().unwrap().clone();
    let told = BTreeMap::from([(name, NameShown::Unknown(Trouble::new("it hung up", "")))]);
    let why = find_hidden_classes(Side::Blue, &probes, &told).unwrap();
    assert!(why.what.contains("it hung up"), "{why:?}");
    let odd = acl("x", AclPattern::Unknown, Permission::Allow, Operation::All, "User:me");
    assert!(list_probes(&BTreeSet::from([odd]), |_| false, SALT).is_err());
}

#[test]
fn only_apaches_own_authorizers_are_taken_at_their_acls() {
    assert_eq!(check_decides_by_acls(Side::Blue, Some(BY_ACLS[0])), Ok(()));
    let other = check_decides_by_acls(Side::Blue, Some("com.example.Roles")).unwrap_err();
    assert!(other.what.contains("com.example.Roles decides"), "{other:?}");
    assert!(check_decides_by_acls(Side::Green, None).unwrap_err().what.contains("does not say"));
}

#[test]
fn a_prefix_of_the_longest_name_is_asked_for_itself() {
    let long = "p".repeat(LONGEST);
    let acls = BTreeSet::from([acl(&long, AclPattern::Prefixed, Permission::Allow, Operation::Describe, "User:x")]);
    let probes = list_probes(&acls, |_| false, SALT).unwrap();
    assert_eq!(probes.get(&long), Some(&NameClass::Prefix(long.clone())));
    assert!(probes.keys().all(|name| name.len() <= LONGEST));
    let impossible = acl("a b", AclPattern::Literal, Permission::Deny, Operation::All, "User:me");
    assert_eq!(list_probes(&BTreeSet::from([impossible]), |_| false, SALT).unwrap().len(), 1, "no topic is called so");
}
