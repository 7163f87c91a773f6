//! `[parity]`: how green is meant to be set up where it is not to be as blue is, and what `cutover preflight` compares.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::calendar::MoveKind;
use super::model::{Plan, Selector, TopicPattern};
use super::reader::{Field, TableReader, quoted_name};
use super::sections::read_positive_duration;
use crate::base::sanitise::visible_text;
use crate::base::{At, Side};
use crate::estate::inventory::Inventory;
use crate::migration::eos::denials_for;
use crate::parity::{ParityScope, PrincipalMap, TopicScope};

/// Which of blue's topics are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ComparedTopics {
    /// All but those that a cluster or a tool makes for itself.
    #[default]
    All,
    /// Those that the plan names: of `[[topics]]`, of groups, of producers.
    Listed,
}

const COMPARED: &[(&str, ComparedTopics)] = &[("all", ComparedTopics::All), ("listed", ComparedTopics::Listed)];

/// `[parity]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ParityPlan {
    /// Which topics.
    pub topics: ComparedTopics,
    /// Topics of either cluster that are left out.
    pub exclude: Vec<TopicPattern>,
    /// Replicas of each partition on green, where it is meant to have another number than blue.
    pub replication_factor: Option<i16>,
    /// Who stands on green for whom of blue.
    pub principals: PrincipalMap,
    /// How long the migration takes, ms; `None`: as long as the groups' days say.
    pub duration_ms: Option<u64>,
}

/// Reads `[parity]`.
pub(super) fn read_parity(root: &mut TableReader<'_>) -> ParityPlan {
    let mut parity = ParityPlan::default();
    let Some(mut t) = root.table("parity") else { return parity };
    parity.topics = t.get("topics").and_then(|field| field.word(COMPARED)).unwrap_or_default();
    if let Some(field) = t.get("exclude") {
        if parity.topics == ComparedTopics::Listed {
            field.error("\"exclude\" is for topics = \"all\" only", Some("take it out, or compare all".to_owned()));
        }
        let patterns = field.items("a list of patterns", false).unwrap_or_default();
        parity.exclude = patterns.iter().filter_map(read_pattern).collect();
    }
    let replicas = t.get("replication_factor").and_then(|field| field.integer(1..=i16::MAX.unsigned_abs().into()));
    parity.replication_factor = replicas.and_then(|count| i16::try_from(count).ok());
    for rule in t.tables("principals") {
        read_principal(rule, &mut parity.principals);
    }
    parity.duration_ms = read_positive_duration(&mut t, "duration");
    t.report_unknown_keys();
    parity
}

fn read_pattern(field: &Field<'_>) -> Option<TopicPattern> {
    let text = field.name()?;
    let wrong = |why: String| {
        field.error(format!("{} is not a regular expression: {}", quoted_name(&text), visible_text(&why)), None);
    };
    TopicPattern::new(&text).map_err(wrong).ok()
}

fn read_principal(mut t: TableReader<'_>, principals: &mut PrincipalMap) {
    let blue = t.required_name("blue", "blue = \"User:blue-*\"");
    let green = t.required_name("green", "green = \"User:green-*\"");
    if let (Some(blue), Some(green)) = (blue, green)
        && let Err(why) = principals.add_rule(blue, green)
        && let Some(field) = t.get("blue")
    {
        field.error(why, Some("write blue = \"User:blue-*\" and green = \"User:green-*\", or whole names".to_owned()));
    }
    t.report_unknown_keys();
}

impl Plan {
    /// What of two clusters is compared, and what is meant to differ.
    #[must_use]
    pub fn parity_scope(&self, blue: &Inventory, green: &Inventory) -> ParityScope {
        let mut principals = self.parity.principals.clone();
        for producer in &self.producers {
            if let (Some(blue), Some(green)) = (&producer.principals.blue, &producer.principals.green) {
                // One that [parity] names already is as it is there; nobody else has the name checked.
                let _ = principals.add_rule(blue.clone(), green.clone());
            }
        }
        let hard = self.producers.iter().filter(|p| !p.transactional_ids.blue.is_empty());
        let transactional_ids = hard.flat_map(|p| {
            let green: BTreeSet<String> = p.transactional_ids.green.iter().cloned().collect();
            p.transactional_ids.blue.iter().map(move |id| (id.clone(), green.clone()))
        });
        let settings = self.settings();
        let fences = settings.producers.values().flat_map(|producer| denials_for(producer, Side::Blue));
        ParityScope {
            topics: self.topic_scope(blue, green),
            principals,
            groups: self.groups.iter().map(|g| (g.name.clone(), g.green_group.clone())).collect(),
            transactional_ids: transactional_ids.collect(),
            fences: fences.collect(),
            replication_factor: self.parity.replication_factor,
            planned_ms: self.planned_ms(),
        }
    }

    fn topic_scope(&self, blue: &Inventory, green: &Inventory) -> TopicScope {
        let on_green = |name: &str| self.topic_rule(name).green_name;
        match self.parity.topics {
            ComparedTopics::Listed => {
                let groups = self.groups.iter().flat_map(|g| g.topics.iter().chain(&g.dlq));
                let producers = self.producers.iter().flat_map(|p| &p.topics);
                let rules = self.topics.iter().filter_map(|rule| match &rule.selector {
                    Selector::Name(name) => Some(name),
                    Selector::Pattern(_) => None,
                });
                let listed = groups.chain(producers).chain(rules);
                TopicScope::Listed(listed.map(|name| (name.clone(), on_green(name))).collect())
            }
            ComparedTopics::All => {
                let renamed = blue.topics.keys().map(|name| (name.clone(), on_green(name)));
                let renamed: BTreeMap<_, _> = renamed.filter(|(name, green)| name != green).collect();
                let all = blue.topics.keys().chain(green.topics.keys());
                let excluded = all.filter(|name| self.parity.exclude.iter().any(|pattern| pattern.matches(name)));
                TopicScope::All { renamed, excluded: excluded.cloned().collect() }
            }
        }
    }

    /// How long the migration takes: what the plan says, else from the first day of a group until blue is no longer kept as
    /// the last one's way back: so long the groups' offsets are wanted on both clusters. `None`: one has no day.
    fn planned_ms(&self) -> Option<u64> {
        if self.parity.duration_ms.is_some() {
            return self.parity.duration_ms;
        }
        let calendar = self.calendar(At(0), At(0));
        let groups: Vec<_> = calendar.moves.iter().filter(|m| m.kind == MoveKind::Group).collect();
        let begins: Option<Vec<At>> = groups.iter().map(|m| Some(m.opening?.from)).collect();
        let ends = groups.iter().filter_map(|m| m.blue_until).max()?;
        Some(ends.since(begins?.into_iter().min()?))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::estate::acl::{Acl, Resource};
    use crate::estate::inventory::TopicDefinition;
    use crate::estate::transactions::{Answer, Unavailable};

    fn parse_with(text: &str) -> Plan {
        let clusters = "clusters.blue.bootstrap = \"b:1\"\nclusters.green.bootstrap = \"g:1\"\n";
        Plan::parse(&format!("{clusters}{text}"), Path::new("cutover.toml")).unwrap_or_else(|e| panic!("{e}")).plan
    }

    fn with_topics(names: &[&str]) -> Inventory {
        let none = || Unavailable::NoAuthorizer;
        let topic = TopicDefinition {
            internal: false,
            partitions: 1,
            replicas: (1, 1),
            settings: Answer::Told(BTreeMap::new()),
        };
        Inventory {
            release: None,
            cluster_id: None,
            topics: names.iter().map(|name| ((*name).to_owned(), topic.clone())).collect(),
            topics_hidden: None,
            brokers: BTreeMap::new(),
            acls: Answer::Unavailable(none()),
            scram_users: Answer::Unavailable(none()),
            quotas: Answer::Unavailable(none()),
        }
    }

    const PLAN: &str = r#"
        [[topics]]
        pattern = "loan-(.*)"
        green_name = "psc.$1"
        [parity]
        exclude = ["scratch-.*"]
        replication_factor = 3
        [[parity.principals]]
        blue = "User:blue-*"
        green = "User:green-*"
        [[parity.principals]]
        blue = "User:ledger"
        green = "User:books"
        [[producers]]
        name = "ledger"
        topics = ["loan-ledger"]
        principal = { blue = "User:ledger", green = "User:other" }
        transactional_ids = { blue = ["l-1", "l-2"], green = ["g-1"] }
        [[producers]]
        name = "api"
        topics = ["loan-api"]
        principal = { blue = "User:api", green = "User:api2" }
        [[groups]]
        name = "audit"
        topics = ["loan-audit"]
        green_group = "audit-2"
        date = "2026-12-06"
        keep_blue = "48h"
        [[groups]]
        name = "late"
        topics = ["other"]
        date = "2026-12-08"
        keep_blue = "24h"
    "#;

    #[test]
    fn names_of_green_come_from_the_whole_plan() {
        let plan = parse_with(PLAN);
        let (blue, green) = (with_topics(&["loan-a", "other", "scratch-b"]), with_topics(&["psc.a", "scratch-g"]));
        let scope = plan.parity_scope(&blue, &green);
        let TopicScope::All { renamed, excluded } = &scope.topics else { panic!("{scope:?}") };
        assert_eq!(*renamed, [("loan-a".to_owned(), "psc.a".to_owned())].into());
        assert_eq!(*excluded, ["scratch-b", "scratch-g"].map(str::to_owned).into(), "of both clusters");
        assert_eq!(scope.groups["audit"], "audit-2");
        assert_eq!(scope.transactional_ids["l-2"], ["g-1".to_owned()].into());
        let principals = ["User:blue-x", "User:ledger", "User:api", "User:else"];
        let mapped = principals.map(|p| scope.principals.map_principal(p).into_owned());
        assert_eq!(mapped, ["User:green-x", "User:books", "User:api2", "User:else"], "[parity] beats a producer");
        let fence = Acl::deny_write(Resource::TransactionalId, "l-1", "User:ledger");
        assert!(scope.fences.contains(&fence), "{:?}", scope.fences);
        assert_eq!(scope.replication_factor, Some(3));
    }

    #[test]
    fn a_migration_lasts_from_its_first_day_until_blue_is_let_go() {
        let day = 86_400_000;
        let none = with_topics(&[]);
        let of = |text: &str| parse_with(text).parity_scope(&none, &none).planned_ms;
        // From the 6th to the end of the 8th, and a day; the first group's 48 h end with the 8th.
        assert_eq!(of(PLAN), Some(4 * day));
        assert_eq!(of(&PLAN.replace("date = \"2026-12-06\"", "")), None, "one without a day may be whenever");
        assert_eq!(of(""), None);
        assert_eq!(of("[parity]\nduration = \"21d\""), Some(21 * day));
    }

    #[test]
    fn listed_topics_are_those_that_the_plan_names() {
        let text = PLAN.replace("exclude = [\"scratch-.*\"]", "topics = \"listed\"");
        let none = with_topics(&["unlisted"]);
        let TopicScope::Listed(topics) = parse_with(&text).parity_scope(&none, &none).topics else { panic!("all") };
        let named: Vec<_> = topics.iter().map(|(blue, green)| (blue.as_str(), green.as_str())).collect();
        let green =
            [("loan-api", "psc.api"), ("loan-audit", "psc.audit"), ("loan-ledger", "psc.ledger"), ("other", "other")];
        assert_eq!(named, green);
    }
}
