//! Who may do what: each of blue's ACLs with green's names, and what green has beyond them. As Kafka's `StandardAuthorizer`
//! reads them: a denial wins, `*` as a literal name is every name, and who may read may describe.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::principals::EVERYBODY;
use super::rows::{Gravity, Mend, ParityArea, ParityRow, ParityState, ParitySubject, RowBook};
use super::settings::name_some;
use super::{Change, Compared, why_untold};
use crate::base::sanitise::visible_name;
use crate::base::{Side, Trouble};
use crate::estate::acl::{Acl, AclPattern, Operation, Permission, Resource};
use crate::estate::release::KafkaRelease;
use crate::estate::transactions::{Answer, Unavailable};

const AREA: ParityArea = ParityArea::Acls;

/// Any host, and as a literal name any name.
const ANY: &str = "*";

/// Compares who may do what.
pub(super) fn compare_acls(compared: &Compared<'_>, book: &mut RowBook) {
    use Answer::{Told, Unavailable as Not};
    use Unavailable::NoAuthorizer;
    let answers = compared.clusters.map(|cluster| &cluster.acls);
    match (answers.blue, answers.green) {
        (Told(blue), Told(green)) => compare_sets(compared, blue, green, book),
        (Not(NoAuthorizer), Not(NoAuthorizer)) => book.count_same(AREA, 1),
        (Told(blue), Not(NoAuthorizer)) => book.push_row(judge_open_green(blue)),
        (Not(NoAuthorizer), Told(green)) => book.push_row(judge_closed_green(green)),
        _ => {
            let untold = answers.iter().filter(|(_, answer)| !matches!(answer, Not(NoAuthorizer)));
            for (side, answer) in untold {
                if let Some(why) = why_untold(answer, side, "ACLs") {
                    book.push_row(ParityRow::new_unknown((AREA, ParitySubject::Cluster(side)), Gravity::Warns, why));
                }
            }
        }
    }
}

fn count_acls(acls: &BTreeSet<Acl>) -> String {
    match acls.len() {
        1 => "1 ACL".to_owned(),
        n => format!("{n} ACLs"),
    }
}

fn judge_open_green(blue: &BTreeSet<Acl>) -> ParityRow {
    // Without ACLs blue's authorizer may let everybody in as well (allow.everyone.if.no.acl.found).
    let gravity = if blue.is_empty() { Gravity::Warns } else { Gravity::Blocks };
    let why = "green enforces nothing: whoever reaches it may read, write and delete everything";
    let row = ParityRow::new((AREA, ParitySubject::Cluster(Side::Green)), ParityState::Missing, gravity, why);
    let by_hand = "configure an authorizer on green's brokers (authorizer.class.name) and its super.users";
    row.with_sides(Some(count_acls(blue)), Some("no authorizer".to_owned())).with_mend(Mend::ByHand(by_hand.to_owned()))
}

fn judge_closed_green(green: &BTreeSet<Acl>) -> ParityRow {
    let (gravity, why) = if green.is_empty() {
        (Gravity::Warns, "blue lets everybody do everything, and green lets nobody in but its super users")
    } else {
        (Gravity::Notes, "blue lets everybody do everything: what its clients need on green no ACL of blue tells")
    };
    let row = ParityRow::new((AREA, ParitySubject::Cluster(Side::Blue)), ParityState::Beyond, gravity, why);
    row.with_sides(Some("no authorizer".to_owned()), Some(count_acls(green)))
}

/// Blue's ACLs as green should have them.
#[derive(Default)]
struct WantedAcls<'a> {
    acls: BTreeSet<Acl>,
    /// Principals of green with those of blue that they stand for.
    merged: BTreeMap<String, BTreeSet<&'a str>>,
}

fn compare_sets(compared: &Compared<'_>, blue: &BTreeSet<Acl>, green: &BTreeSet<Acl>, book: &mut RowBook) {
    let mut wanted = WantedAcls::default();
    for acl in blue.difference(&compared.scope.fences) {
        if !acl.is_known() {
            book.push_row(judge_unreadable(acl, Side::Blue));
            continue;
        }
        for on_green in map_acl(compared, acl) {
            wanted.merged.entry(on_green.principal.clone()).or_default().insert(&acl.principal);
            // Of several that become one, one row tells.
            if let Some(row) =
                judge_prefix(compared, acl, &on_green, green).filter(|_| !wanted.acls.contains(&on_green))
            {
                book.push_row(row);
            }
            wanted.acls.insert(on_green);
        }
    }
    for acl in &wanted.acls {
        if green.contains(acl) {
            book.count_same(AREA, 1);
        } else {
            book.push_row(judge_missing(compared, acl, &wanted, green));
        }
    }
    for acl in green.difference(&wanted.acls) {
        let row =
            if acl.is_known() { judge_beyond(acl, &wanted.acls, green) } else { judge_unreadable(acl, Side::Green) };
        book.push_row(row);
    }
}

/// An ACL with green's names: several where a transactional id becomes several.
fn map_acl(compared: &Compared<'_>, acl: &Acl) -> Vec<Acl> {
    // A prefix is no name: whether it still reaches what it is for, `judge_prefix` says.
    let by_name = acl.pattern == AclPattern::Literal && acl.name != ANY;
    let names = if by_name {
        compared.scope.green_names(acl.resource, &acl.name)
    } else {
        vec![Cow::Borrowed(acl.name.as_str())]
    };
    let principal = compared.scope.principals.map_principal(&acl.principal);
    let renamed = names.into_iter().map(|name| Acl {
        name: name.into_owned(),
        principal: principal.clone().into_owned(),
        ..acl.clone()
    });
    renamed.collect()
}

fn judge_unreadable(acl: &Acl, side: Side) -> ParityRow {
    let what = format!("an ACL of {side} has a part that this build does not know: {acl}");
    let trouble = Trouble::new(what, "compare it by hand (kafka-acls.sh --list)");
    let row = ParityRow::new_unknown((AREA, ParitySubject::Acl(acl.clone())), Gravity::Warns, trouble);
    let words = |of: Side| (of == side).then(|| acl.to_string());
    row.with_sides(words(Side::Blue), words(Side::Green))
}

/// What is called otherwise on green leaves the prefix that an ACL was given for.
fn judge_prefix(compared: &Compared<'_>, acl: &Acl, on_green: &Acl, green: &BTreeSet<Acl>) -> Option<ParityRow> {
    if acl.pattern != AclPattern::Prefixed {
        return None;
    }
    let left = compared.scope.names_outside_prefix(acl.resource, &acl.name);
    let reached = |name: &&str| {
        let one = Acl { name: (**name).to_owned(), pattern: AclPattern::Literal, ..on_green.clone() };
        green.iter().any(|other| covers_acl(other, &one))
    };
    let left: Vec<&str> = left.into_iter().filter(|name| !reached(name)).collect();
    if left.is_empty() {
        return None;
    }
    let why = format!("it does not reach what is called otherwise on green: {}", name_some(left.iter().copied()));
    let row = ParityRow::new((AREA, ParitySubject::Acl(on_green.clone())), ParityState::Differs, Gravity::Blocks, why);
    let by_hand = format!("add the same for each of them: {}", name_some(left.iter().copied()));
    Some(row.with_sides(Some(acl.to_string()), None).with_mend(Mend::ByHand(by_hand)))
}

fn judge_missing(compared: &Compared<'_>, acl: &Acl, wanted: &WantedAcls<'_>, green: &BTreeSet<Acl>) -> ParityRow {
    let denial = acl.permission == Permission::Deny;
    let covered = green.iter().find(|other| covers_acl(other, acl));
    let (gravity, why) = match covered {
        Some(other) => (Gravity::Warns, format!("a wider one stands on green: {other}")),
        None if denial => {
            (Gravity::Blocks, format!("{} may do on green what it may not on blue", name_principal(&acl.principal)))
        }
        None => (Gravity::Blocks, format!("{} is refused on green", name_principal(&acl.principal))),
    };
    let row = ParityRow::new((AREA, ParitySubject::Acl(acl.clone())), ParityState::Missing, gravity, why);
    let row = row.with_sides(Some(acl.to_string()), None);
    if let Some((since, kip)) = first_release(acl)
        && let Some(release) = compared.clusters.green.release.filter(|release| *release < since)
    {
        let by_hand = format!("green runs Kafka {release}, and knows such ACLs since {since} ({kip})");
        return row.with_mend(Mend::ByHand(by_hand));
    }
    let merged = wanted.merged.get(&acl.principal).filter(|blue| denial && blue.len() > 1);
    if let Some(blue) = merged {
        let names = name_some(blue.iter().copied());
        let by_hand = format!("{names} of blue become one on green: this denial would hold for all of them, so decide");
        return row.with_mend(Mend::ByHand(by_hand));
    }
    row.with_mend(Mend::Change(Change::CreateAcl { acl: acl.clone() }))
}

fn judge_beyond(acl: &Acl, wanted: &BTreeSet<Acl>, green: &BTreeSet<Acl>) -> ParityRow {
    let about = (AREA, ParitySubject::Acl(acl.clone()));
    let against = wanted.iter().filter(|other| other.permission != acl.permission && acls_overlap(other, acl));
    let mut against: Vec<&Acl> = against.collect();
    // What does not stand on green can't outweigh it there.
    against.sort_by_key(|other| green.contains(*other));
    let (gravity, why) = match (acl.permission, against.first()) {
        (Permission::Allow, Some(denial)) if green.contains(*denial) => (
            Gravity::Warns,
            format!("it allows what blue denies, and only green's own denial stands against it: {denial}"),
        ),
        (Permission::Allow, Some(denial)) => (Gravity::Blocks, format!("it allows what blue denies: {denial}")),
        (Permission::Deny, Some(grant)) => (Gravity::Blocks, format!("it denies what blue allows: {grant}")),
        _ => (Gravity::Notes, "green has an ACL that blue has not".to_owned()),
    };
    let row = ParityRow::new(about, ParityState::Beyond, gravity, why).with_sides(None, Some(acl.to_string()));
    match gravity {
        Gravity::Notes => row,
        _ => row.with_mend(Mend::ByHand("if it is not meant so, remove it by hand: cutover removes none".to_owned())),
    }
}

fn name_principal(principal: &str) -> String {
    if principal == EVERYBODY { "everybody".to_owned() } else { visible_name(principal) }
}

/// The first release that takes such an ACL.
fn first_release(acl: &Acl) -> Option<(KafkaRelease, &'static str)> {
    match (acl.resource, acl.operation) {
        (_, Operation::TwoPhaseCommit) => Some((KafkaRelease::new(4, 1), "KIP-939")),
        (Resource::User, _) | (_, Operation::CreateTokens | Operation::DescribeTokens) => {
            Some((KafkaRelease::new(3, 3), "KIP-373"))
        }
        _ if acl.pattern == AclPattern::Prefixed => Some((KafkaRelease::new(2, 0), "KIP-290")),
        _ => None,
    }
}

/// Whether every name that `inner` is for is one that `outer` is for.
fn covers_names(outer: &Acl, inner: &Acl) -> bool {
    match (outer.pattern, inner.pattern) {
        (AclPattern::Literal, _) if outer.name == ANY => true,
        (AclPattern::Literal, AclPattern::Literal) => outer.name == inner.name,
        (AclPattern::Prefixed, AclPattern::Literal) => inner.name != ANY && inner.name.starts_with(&outer.name),
        (AclPattern::Prefixed, AclPattern::Prefixed) => inner.name.starts_with(&outer.name),
        _ => false,
    }
}

/// Whether one operation comes with another: all come with ALL, and a grant to use a thing is one to see it.
fn implies_operation(outer: &Acl, inner: Operation) -> bool {
    use Operation::{All, Alter, AlterConfigs, Delete, Describe, DescribeConfigs, Read, Write};
    let seen = outer.permission == Permission::Allow
        && match inner {
            Describe => matches!(outer.operation, Read | Write | Delete | Alter),
            DescribeConfigs => outer.operation == AlterConfigs,
            _ => false,
        };
    outer.operation == All || outer.operation == inner || seen
}

/// Whether whatever `inner` allows or denies `outer` allows or denies too.
fn covers_acl(outer: &Acl, inner: &Acl) -> bool {
    outer.permission == inner.permission
        && outer.resource == inner.resource
        && covers_names(outer, inner)
        && (outer.principal == inner.principal || outer.principal == EVERYBODY)
        && (outer.host == inner.host || outer.host == ANY)
        && implies_operation(outer, inner.operation)
}

/// Whether there is something that both are for.
fn acls_overlap(a: &Acl, b: &Acl) -> bool {
    let either = |a: &str, b: &str, all: &str| a == b || a == all || b == all;
    a.resource == b.resource
        && (covers_names(a, b) || covers_names(b, a))
        && either(&a.principal, &b.principal, EVERYBODY)
        && either(&a.host, &b.host, ANY)
        && (implies_operation(a, b.operation) || implies_operation(b, a.operation))
}
