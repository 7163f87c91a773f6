//! Which of these rights a principal holds, as far as brokers tell without being changed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::RightsScope;
use super::table::{Need, Subject, Verb, Weight, needs_of};
use crate::base::sanitise::visible_names;
use crate::base::{Cause, Side, Trouble};
use crate::estate::acl::Operation;
use crate::estate::partial::Operations;

/// Whether a right is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "held", rename_all = "snake_case")]
pub enum Held {
    /// A broker said so.
    Yes,
    /// A broker said that it is not, on these.
    No {
        /// On which names; empty where it is on no name.
        names: Vec<String>,
    },
    /// No broker says that, however it is asked.
    Untold {
        /// Why.
        why: Trouble,
    },
    /// It could not be asked, or was not answered.
    Unknown {
        /// Why.
        why: Trouble,
    },
}

/// What was told by a name: operations (KIP-430), or why they were not.
pub type ByName = BTreeMap<String, Result<Operations, Trouble>>;

/// What was asked of a cluster, and changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsLook {
    /// Every broker said that no authorizer is configured: everybody may do everything.
    pub open: bool,
    /// What may be done with the cluster.
    pub cluster: Result<Operations, Trouble>,
    /// With topics, by their names there.
    pub topics: ByName,
    /// With groups.
    pub groups: ByName,
    /// With a group that a replay might have.
    pub replay_group: Result<Operations, Trouble>,
    /// Why topics may be hidden; `None`: none is.
    pub topics_hidden: Option<Trouble>,
}

/// One right of one verb on one side, and whether it is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RightHeld {
    /// Which cluster.
    pub side: Side,
    /// Which verb.
    pub verb: Verb,
    /// On what.
    pub on: Subject,
    /// The operation.
    pub operation: Operation,
    /// How much hangs on it.
    pub weight: Weight,
    /// What happens without it.
    pub without: &'static str,
    /// Whether it is held.
    #[serde(flatten)]
    pub held: Held,
}

/// Which rights a principal holds of those that a verb needs on a side. What the plan names nothing for is left out.
#[must_use]
pub fn judge_rights(verb: Verb, side: Side, scope: &RightsScope, look: &RightsLook) -> Vec<RightHeld> {
    let wanted = needs_of(verb, side).filter(|need| is_wanted(need.on, scope));
    let judged = wanted.map(|need| RightHeld {
        side,
        verb,
        on: need.on,
        operation: need.operation,
        weight: need.weight,
        without: need.without,
        held: judge_need(need, side, scope, look),
    });
    judged.collect()
}

fn is_wanted(on: Subject, scope: &RightsScope) -> bool {
    match on {
        Subject::Topics => !scope.topics.is_empty(),
        Subject::Groups => !scope.groups.is_empty(),
        Subject::TransactionalIds => !scope.transactional_ids.is_empty(),
        Subject::Compared => scope.compared.as_ref().is_none_or(|names| !names.is_empty()),
        Subject::Cluster | Subject::GroupsTopic | Subject::ReplayGroups | Subject::ReplayIds => true,
    }
}

fn judge_need(need: &Need, side: Side, scope: &RightsScope, look: &RightsLook) -> Held {
    if look.open {
        return Held::Yes;
    }
    match need.on {
        Subject::Cluster => judge_one(&look.cluster, need.operation),
        Subject::ReplayGroups => judge_one(&look.replay_group, need.operation),
        Subject::Topics => judge_names(&scope.topics, &look.topics, need.operation),
        Subject::Groups => judge_names(&scope.groups, &look.groups, need.operation),
        Subject::GroupsTopic => judge_names(&["__consumer_offsets".to_owned()].into(), &look.topics, need.operation),
        Subject::Compared => match (&scope.compared, &look.topics_hidden) {
            (Some(names), _) => judge_names(names, &look.topics, need.operation),
            // Of topics that are hidden nothing is told, and there may be none.
            (None, Some(why)) => Held::Unknown { why: why.clone() },
            (None, None) if need.operation == Operation::Describe => Held::Yes,
            (None, None) => judge_names(&look.topics.keys().cloned().collect(), &look.topics, need.operation),
        },
        Subject::TransactionalIds | Subject::ReplayIds => Held::Untold {
            why: Trouble::new(
                format!("no broker of {side} says what a principal may do with a transactional id (KIP-430 has none)"),
                "`kafka-acls.sh --list --transactional-id` as an administrator tells",
            ),
        },
    }
}

fn judge_one(told: &Result<Operations, Trouble>, operation: Operation) -> Held {
    match told {
        Ok(may) if may.allows_operation(operation) => Held::Yes,
        Ok(_) => Held::No { names: Vec::new() },
        Err(why) => judge_refusal(why, operation, None),
    }
}

/// Who may not even see something may not DESCRIBE it. A denial of DESCRIBE alone leaves other rights as they are: of those
/// nothing is known.
fn judge_refusal(why: &Trouble, operation: Operation, name: Option<&str>) -> Held {
    match why.cause {
        Some(Cause::NotAllowed) if operation == Operation::Describe => {
            Held::No { names: name.map(str::to_owned).into_iter().collect() }
        }
        // Rights on what does not exist yet: brokers tell none.
        Some(Cause::NoSuchTopic) => Held::Untold { why: why.clone() },
        _ => Held::Unknown { why: why.clone() },
    }
}

/// The gravest of all names: not held, then not known, then not to be told.
fn judge_names(names: &BTreeSet<String>, told: &ByName, operation: Operation) -> Held {
    let (mut lacking, mut unknown, mut untold) = (Vec::new(), None, None);
    for name in names {
        match told.get(name) {
            Some(Ok(may)) if may.allows_operation(operation) => {}
            Some(Ok(_)) => lacking.push(name.clone()),
            Some(Err(why)) => match judge_refusal(why, operation, Some(name)) {
                Held::No { names } => lacking.extend(names),
                Held::Untold { why } => drop(untold.get_or_insert(why)),
                Held::Unknown { why } => drop(unknown.get_or_insert(why)),
                Held::Yes => {}
            },
            None => drop(unknown.get_or_insert(Trouble::new("a broker left out what it was asked", "look at its log"))),
        }
    }
    match (lacking.is_empty(), unknown, untold) {
        (false, ..) => Held::No { names: lacking },
        (true, Some(why), _) => Held::Unknown { why },
        (true, None, Some(why)) => Held::Untold { why },
        (true, None, None) => Held::Yes,
    }
}

impl RightHeld {
    /// What it is, with the names that lack it: `WRITE on topics of the plan (loans, audit and 3 more)`.
    #[must_use]
    pub fn describe_right(&self) -> String {
        const NAMED: usize = 3;
        let right = format!("{} on {}", self.operation.to_string().to_uppercase(), self.on);
        let Held::No { names } = &self.held else { return right };
        match names.len() {
            0 => right,
            n => {
                let some = visible_names(names.iter().take(NAMED));
                let more = if n > NAMED { format!(" and {} more", n - NAMED) } else { String::new() };
                format!("{right} ({some}{more})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(operations: &[Operation]) -> Operations {
        Operations(operations.iter().fold(0, |bits, o| bits | (1 << *o as i8)))
    }

    fn look() -> RightsLook {
        let refused = || Trouble::new("GROUP_AUTHORIZATION_FAILED", "grant it").with_cause(Cause::NotAllowed);
        RightsLook {
            open: false,
            cluster: Ok(may(&[Operation::Describe])),
            topics: [
                ("loans".to_owned(), Ok(may(&[Operation::Describe, Operation::Read]))),
                ("audit".to_owned(), Ok(may(&[Operation::Describe]))),
                ("new".to_owned(), Err(Trouble::new("there is none", "").with_cause(Cause::NoSuchTopic))),
            ]
            .into(),
            groups: [("g".to_owned(), Err(refused()))].into(),
            replay_group: Err(Trouble::new("it hung up", "")),
            topics_hidden: Some(Trouble::new("some may be hidden", "grant it")),
        }
    }

    fn held(verb: Verb, on: Subject, operation: Operation, scope: &RightsScope, look: &RightsLook) -> Held {
        let all = judge_rights(verb, Side::Green, scope, look);
        let found = all.into_iter().find(|r| r.on == on && r.operation == operation);
        found.unwrap_or_else(|| panic!("{verb} needs no {operation} on {on}")).held
    }

    fn scope(topics: &[&str]) -> RightsScope {
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
        RightsScope { topics: names(topics), compared: None, groups: names(&["g"]), transactional_ids: names(&["t"]) }
    }

    #[test]
    fn a_right_is_held_not_held_or_not_known_and_never_none() {
        use Operation as O;
        use Subject as S;
        let (look, all) = (look(), scope(&["loans", "audit"]));
        let of = |verb, on, operation| held(verb, on, operation, &all, &look);
        assert_eq!(of(Verb::Look, S::Topics, O::Describe), Held::Yes);
        assert_eq!(of(Verb::Diff, S::Topics, O::Read), Held::No { names: vec!["audit".to_owned()] });
        assert_eq!(of(Verb::Look, S::Cluster, O::Describe), Held::Yes);
        assert_eq!(of(Verb::Preflight, S::Cluster, O::DescribeConfigs), Held::No { names: vec![] });
        assert_eq!(of(Verb::Look, S::Groups, O::Describe), Held::No { names: vec!["g".to_owned()] });
        assert!(
            matches!(of(Verb::Move, S::Groups, O::Read), Held::Unknown { .. }),
            "a denial of DESCRIBE would look so too"
        );
        assert!(matches!(of(Verb::Replay, S::ReplayGroups, O::Read), Held::Unknown { .. }));
        assert!(matches!(of(Verb::Replay, S::ReplayIds, O::Write), Held::Untold { .. }));
        assert!(
            matches!(of(Verb::Preflight, S::Compared, O::Describe), Held::Unknown { .. }),
            "what is hidden is no yes"
        );
        let new = held(Verb::Replay, S::Topics, O::Write, &scope(&["new"]), &look);
        assert!(matches!(new, Held::Untold { .. }), "{new:?}");
        assert!(matches!(held(Verb::Replay, S::Topics, O::Write, &scope(&["other"]), &look), Held::Unknown { .. }));
    }

    #[test]
    fn without_an_authorizer_everybody_may() {
        let open = RightsLook { open: true, ..look() };
        let all = judge_rights(Verb::HardCutover, Side::Blue, &scope(&["x"]), &open);
        assert!(!all.is_empty() && all.iter().all(|r| r.held == Held::Yes), "{all:?}");
    }

    #[test]
    fn what_the_plan_names_nothing_for_is_not_asked_for() {
        let all = judge_rights(Verb::Look, Side::Blue, &RightsScope::default(), &look());
        assert!(all.iter().all(|r| !matches!(r.on, Subject::Topics | Subject::Groups)), "{all:?}");
    }
}
