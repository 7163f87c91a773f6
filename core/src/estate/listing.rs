//! The proof that a list of topics is whole for a principal, whoever that principal is, and with denials too.
//!
//! Apache's authorizers decide about a name by the ACLs whose pattern takes that name in, and by nothing else of the name
//! (`StandardAuthorizer`, `AclAuthorizer`: literal names, `*`, prefixes by KIP-290; `super.users` and
//! `allow.everyone.if.no.acl.found` are the same for every name). So two names that the same ACLs bear on get the same
//! answer, and the names of all possible topics fall into few classes: each name that an ACL has literally, the names behind
//! each prefix that no longer prefix takes away, and all the others. Metadata tells of a name whether it may be described,
//! also where no such topic exists (TOPIC_AUTHORIZATION_FAILED or UNKNOWN_TOPIC_OR_PARTITION). One name of each class is
//! asked for: where all of them may be described, no topic can have been left out.
//!
//! What it rests on: that the list of ACLs is whole (DescribeAcls is answered wholly or refused), and that one of Apache's own
//! authorizers decides. Another one may know more than its ACLs (roles, policies, tags): of that nothing is concluded.

use std::collections::{BTreeMap, BTreeSet};

use super::acl::{Acl, AclPattern, Resource};
use crate::base::sanitise::visible_name;
use crate::base::{Side, Trouble};

/// Longest name of a topic, in characters (`Topic.validate`).
const LONGEST: usize = 249;
/// What names of topics are made of.
const LEGAL: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.";
/// The authorizers that decide by the ACLs that they list, as `authorizer.class.name` names them.
const BY_ACLS: [&str; 3] = [
    "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "kafka.security.authorizer.AclAuthorizer",
    "kafka.security.auth.SimpleAclAuthorizer",
];

/// The names that one name stands for: the same ACLs bear on all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameClass {
    /// This name alone.
    Name(String),
    /// Names that begin so, but for those that an ACL has literally or by a longer prefix.
    Prefix(String),
    /// Names that no ACL has, but for `*`.
    Others,
}

/// What was told of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameShown {
    /// It may be described, whether it exists or not.
    Yes,
    /// It may not.
    No,
    /// It was not told.
    Unknown(Trouble),
}

/// Whether an authorizer decides by nothing but the ACLs that it lists. `class`: `authorizer.class.name`.
///
/// # Errors
/// It may know more than that.
pub fn check_decides_by_acls(side: Side, class: Option<&str>) -> Result<(), Trouble> {
    let what = match class {
        Some(class) if BY_ACLS.contains(&class) => return Ok(()),
        Some("") | None => format!("{side} does not say which authorizer decides there"),
        Some(class) => {
            format!("on {side} {} decides, which may know more than the ACLs that it lists", visible_name(class))
        }
    };
    Err(Trouble::new(
        format!("{what}: whether topics are hidden can't be told"),
        "name the topics in the plan (`[parity] topics = \"listed\"`): what is asked for by name is not hidden in silence",
    ))
}

/// The names to ask for, with what each stands for. `listed`: the topics that were shown, which need no asking. `salt`: a
/// few characters that nobody can foresee, of those that topics are made of.
///
/// # Errors
/// There is an ACL whose pattern this build does not know.
pub fn list_probes(
    acls: &BTreeSet<Acl>,
    listed: impl Fn(&str) -> bool,
    salt: &str,
) -> Result<BTreeMap<String, NameClass>, Trouble> {
    let (mut names, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
    for acl in acls.iter().filter(|acl| matches!(acl.resource, Resource::Topic | Resource::Unknown)) {
        match (acl.resource, acl.pattern) {
            (Resource::Topic, AclPattern::Literal) => drop(names.insert(acl.name.as_str())),
            (Resource::Topic, AclPattern::Prefixed) => drop(prefixes.insert(acl.name.as_str())),
            _ => {
                let what = format!("there is an ACL of a kind that this build does not know: {acl}");
                return Err(Trouble::new(what, "use a newer cutover"));
            }
        }
    }
    // No topic is called so, whatever an ACL says (`*` is no name either: it bears on every one).
    let possible = |name: &&&str| name.len() <= LONGEST && name.chars().all(|c| LEGAL.contains(c));
    let mut probes: BTreeMap<String, NameClass> = BTreeMap::new();
    for name in names.iter().filter(possible).filter(|name| !name.is_empty() && !listed(name)) {
        probes.insert((*name).to_owned(), NameClass::Name((*name).to_owned()));
    }
    for prefix in std::iter::once(&"").chain(prefixes.iter().filter(possible)) {
        let class = if prefix.is_empty() { NameClass::Others } else { NameClass::Prefix((*prefix).to_owned()) };
        // `None`: longer prefixes and literal names take every name of this class away.
        if let Some(name) = name_behind(prefix, salt, &names, &prefixes) {
            probes.entry(name).or_insert(class);
        }
    }
    Ok(probes)
}

/// A name behind `prefix` that no longer prefix and no literal name takes in, and that nobody has used. `None`: there is
/// none.
fn name_behind(prefix: &str, salt: &str, names: &BTreeSet<&str>, prefixes: &BTreeSet<&str>) -> Option<String> {
    let longer = |name: &str| prefixes.iter().any(|p| p.len() > prefix.len() && name.starts_with(p));
    let free = |name: &String| !longer(name) && !names.contains(name.as_str());
    let salted = LEGAL.chars().map(|c| {
        let mut name = format!("{prefix}{c}{salt}");
        name.truncate(LONGEST);
        name
    });
    let itself = (!prefix.is_empty()).then(|| prefix.to_owned());
    // What is as long as a name may be stands for itself.
    salted.filter(|name| name.len() > prefix.len()).chain(itself).find(free)
}

/// Why topics may have been left out of a list; `None`: none can have been. `told`: of each name of [`list_probes`] what
/// came back.
#[must_use]
pub fn find_hidden_classes(
    side: Side,
    probes: &BTreeMap<String, NameClass>,
    told: &BTreeMap<String, NameShown>,
) -> Option<Trouble> {
    let mut hidden = BTreeSet::new();
    for (name, class) in probes {
        match told.get(name) {
            Some(NameShown::Yes) => {}
            Some(NameShown::No) => drop(hidden.insert(class)),
            Some(NameShown::Unknown(why)) => return Some(untold(side, why)),
            None => return Some(untold(side, &Trouble::new("a broker left out what it was asked", "look at its log"))),
        }
    }
    const GRANT: &str = "grant it DESCRIBE on the topics (`kafka-acls.sh --add --operation Describe --topic '*'`), and look for \
                         denials; `cutover doctor --acls read-only --principal User:NAME` writes the lines";
    // The widest says it all.
    if hidden.contains(&NameClass::Others) {
        return Some(Trouble::new(
            format!("this principal is shown only those topics of {side} that it may DESCRIBE"),
            GRANT,
        ));
    }
    let first = hidden.first()?;
    let words = match first {
        NameClass::Name(name) => format!("topic {}, if there is one,", visible_name(name)),
        NameClass::Prefix(prefix) => format!("topics that begin with {}", visible_name(prefix)),
        NameClass::Others => "others".to_owned(),
    };
    let more = match hidden.len() {
        1 => String::new(),
        n => format!(" (and {} more kinds of names)", n - 1),
    };
    let what =
        format!("{words} would be hidden from this principal on {side}{more}: DESCRIBE is denied or not granted");
    Some(Trouble::new(what, GRANT))
}

fn untold(side: Side, why: &Trouble) -> Trouble {
    Trouble::new(format!("whether all topics of {side} are shown can't be told: {why}"), why.advice.clone())
}

#[cfg(test)]
#[path = "tests_listing.rs"]
mod tests;
