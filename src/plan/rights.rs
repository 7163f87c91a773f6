//! What a plan names on each side, for who asks which rights it takes.

use super::model::{Plan, Selector};
use super::parity::ComparedTopics;
use crate::base::Side;
use crate::rights::RightsScope;

impl Plan {
    /// What the plan names on a side, by the names there. Patterns of topics name none.
    #[must_use]
    pub fn rights_scope(&self, side: Side) -> RightsScope {
        let there = |name: &String| match side {
            Side::Blue => name.clone(),
            Side::Green => self.topic_rule(name).green_name,
        };
        let of_groups = self.groups.iter().flat_map(|g| g.topics.iter().chain(&g.dlq));
        let topics = of_groups.chain(self.producers.iter().flat_map(|p| &p.topics)).map(there).collect();
        let rules = self.topics.iter().filter_map(|rule| match &rule.selector {
            Selector::Name(name) => Some(there(name)),
            Selector::Pattern(_) => None,
        });
        RightsScope {
            compared: match self.parity.topics {
                ComparedTopics::All => None,
                ComparedTopics::Listed => Some(rules.chain(Clone::clone(&topics)).collect()),
            },
            topics,
            groups: self.groups.iter().map(|g| g.id_on(side).to_owned()).collect(),
            transactional_ids: self.producers.iter().flat_map(|p| p.transactional_ids[side].iter().cloned()).collect(),
        }
    }
}
