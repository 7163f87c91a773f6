//! ACLs, users and quotas under other names on green.

use std::collections::{BTreeMap, BTreeSet};

use super::tests_kit::*;
use super::*;
use crate::estate::acl::{Acl, AclPattern, Operation, Permission, Resource};
use crate::estate::inventory::QuotaEntity;
use crate::estate::release::KafkaRelease;

/// Both clusters with these ACLs and nothing else that differs.
fn compare_acls(blue: &[Acl], green: &[Acl], scope: &ParityScope) -> Parity {
    compare_acls_on(None, blue, green, scope)
}

/// The same where green runs this release.
fn compare_acls_on(release: Option<KafkaRelease>, blue: &[Acl], green: &[Acl], scope: &ParityScope) -> Parity {
    let mut clusters = Sides::from_fn(cluster);
    for side in Side::BOTH {
        clusters[side].scram_users = Answer::Told(BTreeMap::new());
        clusters[side].quotas = Answer::Told(BTreeMap::new());
    }
    clusters.blue.acls = Answer::Told(blue.iter().cloned().collect());
    clusters.green.acls = Answer::Told(green.iter().cloned().collect());
    clusters.green.release = release;
    compare_inventories(&clusters.blue, &clusters.green, scope)
}

fn created(parity: &Parity) -> Vec<String> {
    plan_changes(parity).iter().map(ToString::to_string).collect()
}

fn named(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(blue, green)| ((*blue).to_owned(), (*green).to_owned())).collect()
}

#[test]
fn acls_are_made_with_greens_names() {
    let scope = ParityScope {
        principals: principals(&[("User:blue-*", "User:green-*"), ("User:blue-x", "User:x")]),
        topics: all_topics(named(&[("orders", "shop.orders")])),
        groups: named(&[("ledger", "ledger-2")]),
        transactional_ids: [("tx".to_owned(), ["g-tx-1".to_owned(), "g-tx-2".to_owned()].into())].into(),
        ..scope()
    };
    let of = |resource, acl: Acl| Acl { resource, ..acl };
    let blue = [
        allow("orders", "User:blue-app", Operation::Write),
        allow("*", "User:blue-x", Operation::Read),
        of(Resource::Group, allow("ledger", "User:blue-app", Operation::Read)),
        of(Resource::TransactionalId, allow("tx", "User:blue-app", Operation::Write)),
        of(Resource::User, allow("User:blue-app", "User:blue-x", Operation::CreateTokens)),
        Acl { pattern: AclPattern::Prefixed, ..allow("pay", "User:*", Operation::Describe) },
        of(Resource::DelegationToken, allow("t1", "User:blue-app", Operation::Describe)),
    ];
    let parity = compare_acls(&blue, &[], &scope);
    let mut said = created(&parity);
    said.retain(|change| change.contains("ACL"));
    assert_eq!(
        said,
        [
            "add ACL: allow create_tokens on user User:green-app (literal) to User:x from *",
            "add ACL: allow describe on delegation_token t1 (literal) to User:green-app from *",
            "add ACL: allow describe on topic pay (prefixed) to User:* from *",
            "add ACL: allow read on group ledger-2 (literal) to User:green-app from *",
            "add ACL: allow read on topic * (literal) to User:x from *",
            "add ACL: allow write on topic shop.orders (literal) to User:green-app from *",
            "add ACL: allow write on transactional_id g-tx-1 (literal) to User:green-app from *",
            "add ACL: allow write on transactional_id g-tx-2 (literal) to User:green-app from *",
        ]
    );
}

#[test]
fn a_prefix_that_no_longer_reaches_its_topics_is_told() {
    let scope = ParityScope { topics: all_topics(named(&[("orders", "shop.orders")])), ..scope() };
    let prefixed = Acl { pattern: AclPattern::Prefixed, ..allow("ord", "User:app", Operation::Write) };
    let rows = |green: &[Acl]| {
        let parity = compare_acls(std::slice::from_ref(&prefixed), green, &scope);
        parity.rows_of(ParityArea::Acls).cloned().collect::<Vec<_>>()
    };
    let found = rows(std::slice::from_ref(&prefixed));
    let [row] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((row.gravity, &row.state), (Gravity::Blocks, &ParityState::Differs));
    assert!(row.why.contains("shop.orders"), "{row:?}");
    // Once it is done by hand it is no longer told.
    let by_hand = allow("shop.orders", "User:app", Operation::Write);
    let found = rows(&[prefixed.clone(), by_hand]);
    assert!(found.iter().all(|row| row.gravity == Gravity::Notes), "{found:#?}");
}

#[test]
fn denials_that_the_migration_made_stay_on_blue() {
    let fence = Acl::deny_write(Resource::Topic, "orders", "User:app");
    let scope = ParityScope { fences: [fence.clone()].into(), ..scope() };
    let parity = compare_acls(std::slice::from_ref(&fence), &[], &scope);
    assert_eq!(parity.rows, [], "on green it would stop the producer that has just moved");
    let kept = compare_acls(&[fence], &[], &super::tests_kit::scope());
    assert_eq!(created(&kept).len(), 1);
}

#[test]
fn a_denial_for_one_of_two_that_become_one_is_for_a_person_to_decide() {
    let scope = ParityScope { principals: principals(&[("User:a", "User:c"), ("User:b", "User:c")]), ..scope() };
    let blue = [allow("orders", "User:a", Operation::Write), Acl::deny_write(Resource::Topic, "orders", "User:b")];
    let parity = compare_acls(&blue, &[], &scope);
    assert_eq!(created(&parity), ["add ACL: allow write on topic orders (literal) to User:c from *"]);
    let by_hand = parity.rows.iter().find_map(|row| match &row.mend {
        Some(Mend::ByHand(words)) => Some(words.as_str()),
        _ => None,
    });
    assert!(by_hand.unwrap().contains("User:a, User:b of blue become one"), "{by_hand:?}");
}

#[test]
fn a_grant_of_green_that_blue_denies_and_green_does_not_blocks() {
    let denial = Acl::deny_write(Resource::Topic, "orders", "User:guest");
    let grant = Acl { pattern: AclPattern::Prefixed, ..allow("ord", "User:guest", Operation::All) };
    let gravities = |green: &[Acl]| {
        let parity = compare_acls(std::slice::from_ref(&denial), green, &scope());
        parity.rows.iter().map(|row| (row.subject.to_string(), row.gravity)).collect::<BTreeMap<_, _>>()
    };
    let alone = gravities(std::slice::from_ref(&grant));
    assert_eq!(alone[&grant.to_string()], Gravity::Blocks);
    assert_eq!(alone[&denial.to_string()], Gravity::Blocks);
    let beside = gravities(&[grant.clone(), denial.clone()]);
    assert_eq!(beside, [(grant.to_string(), Gravity::Warns)].into());
}

#[test]
fn what_covers_an_acl_does() {
    let read = |name: &str| allow(name, "User:app", Operation::Read);
    let prefixed = |name: &str| Acl { pattern: AclPattern::Prefixed, ..read(name) };
    for (outer, covered, wider) in [
        (read("*"), read("orders"), true),
        (read("orders"), read("*"), false),
        (read("*"), prefixed("ord"), true),
        (prefixed("ord"), read("orders"), true),
        (prefixed("ord"), prefixed("or"), false),
        (prefixed("or"), prefixed("ord"), true),
        (prefixed("*"), read("orders"), false),
        (allow("orders", "User:*", Operation::Read), read("orders"), true),
        (allow("orders", "User:app", Operation::All), read("orders"), true),
        (read("orders"), allow("orders", "User:app", Operation::Describe), true),
        (
            allow("orders", "User:app", Operation::AlterConfigs),
            allow("orders", "User:app", Operation::DescribeConfigs),
            true,
        ),
        (read("orders"), allow("orders", "User:app", Operation::Write), false),
        (Acl { host: "10.0.0.1".to_owned(), ..read("orders") }, read("orders"), false),
        (read("orders"), Acl { host: "10.0.0.1".to_owned(), ..read("orders") }, true),
        (Acl { permission: Permission::Deny, ..read("*") }, read("orders"), false),
        (
            Acl { permission: Permission::Deny, ..read("*") },
            Acl { permission: Permission::Deny, ..allow("orders", "User:app", Operation::Describe) },
            false,
        ),
    ] {
        let parity = compare_acls(std::slice::from_ref(&covered), std::slice::from_ref(&outer), &scope());
        let row = parity.rows.iter().find(|row| row.state == ParityState::Missing).unwrap();
        assert_eq!(row.gravity == Gravity::Warns, wider, "{outer} and {covered}: {row:?}");
        assert!(matches!(row.mend, Some(Mend::Change(_))), "it is added all the same: {row:?}");
    }
}

#[test]
fn an_acl_that_green_does_not_know_is_not_made() {
    for (acl, release, known) in [
        (allow("t", "User:a", Operation::TwoPhaseCommit), (4, 0), false),
        (allow("t", "User:a", Operation::TwoPhaseCommit), (4, 1), true),
        (Acl { resource: Resource::User, ..allow("User:b", "User:a", Operation::CreateTokens) }, (3, 2), false),
        (Acl { resource: Resource::User, ..allow("User:b", "User:a", Operation::CreateTokens) }, (3, 3), true),
    ] {
        let green = Some(KafkaRelease::new(release.0, release.1));
        let parity = compare_acls_on(green, std::slice::from_ref(&acl), &[], &scope());
        assert_eq!(created(&parity).len(), usize::from(known), "{acl} on {release:?}: {:?}", parity.rows);
        assert_eq!(parity.verdict(), ParityVerdict::Differs);
    }
}

#[test]
fn without_an_authorizer_on_both_there_is_nothing_to_compare() {
    let mut clusters = Sides::from_fn(cluster);
    for side in Side::BOTH {
        clusters[side].acls = Answer::Unavailable(Unavailable::NoAuthorizer);
    }
    let parity = compare_inventories(&clusters.blue, &clusters.green, &scope());
    assert_eq!((parity.verdict(), parity.same[&ParityArea::Acls]), (ParityVerdict::Equal, 1));
    // One that can't be asked is not one without: what the other has is not known to be enough.
    clusters.blue.acls = Answer::Unknown(trouble());
    assert_eq!(compare_inventories(&clusters.blue, &clusters.green, &scope()).verdict(), ParityVerdict::Unknown);
    // Green lets nobody in: that is more than a note.
    clusters.blue.acls = Answer::Unavailable(Unavailable::NoAuthorizer);
    clusters.green.acls = Answer::Told(BTreeSet::new());
    assert_eq!(compare_inventories(&clusters.blue, &clusters.green, &scope()).verdict(), ParityVerdict::Differs);
}

#[test]
fn users_are_made_by_hand_with_a_line_to_run() {
    let (mut blue, green) = (cluster(Side::Blue), cluster(Side::Green));
    let both = users_of(&mut blue)["app"].clone();
    users_of(&mut blue).insert("o'neill; rm".to_owned(), both);
    let parity = compare_inventories(&blue, &green, &scope());
    let [row] = parity.rows.as_slice() else { panic!("{:#?}", parity.rows) };
    let Some(Mend::ByHand(line)) = &row.mend else { panic!("{row:?}") };
    let config =
        "--add-config 'SCRAM-SHA-256=[iterations=4096,password=...],SCRAM-SHA-512=[iterations=8192,password=...]'";
    assert!(line.contains(config) && line.ends_with(r"--entity-type users --entity-name 'o'\''neill; rm'"), "{line}");
    // Whoever proves himself otherwise on green needs no password there.
    let scope = ParityScope { principals: principals(&[("User:o'neill; rm", "Cert:o")]), ..scope() };
    assert_eq!(compare_inventories(&blue, &green, &scope).rows_of(ParityArea::Users).count(), 0);
}

#[test]
fn green_without_any_password_may_know_its_users_otherwise() {
    let (blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    users_of(&mut green).clear();
    let parity = compare_inventories(&blue, &green, &scope());
    assert!(parity.rows.iter().all(|row| row.gravity == Gravity::Warns), "{:#?}", parity.rows);
    assert_eq!(parity.rows.len(), 2);
}

#[test]
fn quotas_go_by_greens_users() {
    let scope =
        ParityScope { principals: principals(&[("User:app", "User:app2"), ("User:role-*", "Role:*")]), ..scope() };
    let (mut blue, mut green) = (cluster(Side::Blue), cluster(Side::Green));
    let limit = |value: f64| [("producer_byte_rate".to_owned(), value)].into();
    quotas_of(&mut blue).insert(user_quota(Some("role-x")), limit(5.0));
    let two = QuotaEntity([("user".to_owned(), Some("app".to_owned())), ("client-id".to_owned(), None)].into());
    quotas_of(&mut blue).insert(two, limit(7.5));
    quotas_of(&mut green).clear();
    let parity = compare_inventories(&blue, &green, &scope);
    let quotas = plan_changes(&parity).into_iter().filter(|change| matches!(change, Change::SetQuotas { .. }));
    let said: Vec<_> = quotas.map(|change| change.to_string()).collect();
    assert_eq!(
        said,
        [
            "set quota of client-id batch: producer_byte_rate=65536",
            "set quota of default user: consumer_byte_rate=2097152",
            "set quota of user app2, default client-id: producer_byte_rate=7.5",
            "set quota of user app2: producer_byte_rate=1048576, request_percentage=12.5",
        ]
    );
    let row = parity.rows_of(ParityArea::Quotas).find(|row| row.subject.to_string().contains("role-x")).unwrap();
    assert!(matches!(&row.mend, Some(Mend::ByHand(_))) && row.why.contains("another type"), "{row:?}");
}

#[test]
fn limits_of_users_that_become_one_are_for_a_person_to_decide() {
    let scope = ParityScope { principals: principals(&[("User:a", "User:c"), ("User:b", "User:c")]), ..scope() };
    let (mut blue, green) = (cluster(Side::Blue), cluster(Side::Green));
    for (user, value) in [("a", 1.0), ("b", 2.0)] {
        quotas_of(&mut blue).insert(user_quota(Some(user)), [("producer_byte_rate".to_owned(), value)].into());
    }
    let parity = compare_inventories(&blue, &green, &scope);
    let [row] = parity.rows.as_slice() else { panic!("{:#?}", parity.rows) };
    assert!(matches!(&row.mend, Some(Mend::ByHand(_))) && row.why.contains("1 and 2"), "{row:?}");
    quotas_of(&mut blue).insert(user_quota(Some("b")), [("producer_byte_rate".to_owned(), 1.0)].into());
    assert_eq!(plan_changes(&compare_inventories(&blue, &green, &scope)).len(), 1, "the same limit is none to decide");
}

#[test]
fn a_limit_that_green_does_not_know_is_not_set() {
    let (mut blue, green) = (cluster(Side::Blue), cluster(Side::Green));
    quotas_of(&mut blue).insert(user_quota(Some("a")), [("controller_mutation_rate".to_owned(), 10.0)].into());
    for (release, changes) in [(Some((2, 6)), 0), (Some((2, 7)), 1), (None, 1)] {
        let green =
            Inventory { release: release.map(|(major, minor)| KafkaRelease::new(major, minor)), ..green.clone() };
        assert_eq!(plan_changes(&compare_inventories(&blue, &green, &scope())).len(), changes, "{release:?}");
    }
}
