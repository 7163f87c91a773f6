//! What the brokers of a cluster say of their settings, taken together.

use std::collections::BTreeMap;

use super::rows::{Gravity, ParityArea, ParityRow, ParityState, ParitySubject, RowBook};
use super::{Compared, why_untold};
use crate::base::{Side, Trouble};
use crate::estate::inventory::{Inventory, Setting};

/// What the brokers of one cluster have for one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BrokerValue<'a> {
    /// This, on each that answered.
    Same(&'a str),
    /// None of those that answered has it.
    Absent,
    /// They have it and tell no value: it is unset, or a secret. Kafka takes each name for one that it does not know the type
    /// of, the authorizer's among them (`KafkaConfig.maybeSensitive`).
    Untold,
    /// Not the same on each: value by node id.
    Split(BTreeMap<i32, Option<&'a str>>),
}

/// The settings of one cluster's brokers.
#[derive(Debug)]
pub(super) struct BrokerSettings<'a> {
    told: Vec<(i32, &'a BTreeMap<String, Setting>)>,
    /// Why nothing, or not all, is known.
    pub(super) untold: Option<Trouble>,
}

impl<'a> BrokerSettings<'a> {
    pub(super) fn of_cluster(cluster: &'a Inventory, side: Side) -> Self {
        let told = cluster.brokers.iter().filter_map(|(id, answer)| Some((*id, answer.as_told()?))).collect();
        let part = |id: &i32| format!("the settings of broker {id}");
        let mut untold = cluster.brokers.iter().filter_map(|(id, answer)| why_untold(answer, side, &part(id)));
        let none = || Trouble::new(format!("no broker of {side} was asked for its settings"), "look again");
        let untold = if cluster.brokers.is_empty() { Some(none()) } else { untold.next() };
        Self { told, untold }
    }

    /// What they have for this setting.
    pub(super) fn value_of(&self, name: &str) -> BrokerValue<'a> {
        let has: Vec<_> = self.told.iter().map(|(id, settings)| (*id, settings.get(name))).collect();
        if has.iter().all(|(_, setting)| setting.is_none()) {
            return BrokerValue::Absent;
        }
        let values: BTreeMap<i32, Option<&str>> =
            has.into_iter().map(|(id, setting)| (id, setting.and_then(|s| s.value.as_deref()))).collect();
        let mut each = values.values();
        let first = each.next().copied().flatten();
        match first {
            _ if each.any(|value| *value != first) => BrokerValue::Split(values),
            Some(value) => BrokerValue::Same(value),
            None => BrokerValue::Untold,
        }
    }

    /// The same as a number; of several the one that `pick` chooses, so that a rule may take the worst.
    pub(super) fn number_of(&self, name: &str, pick: fn(i64, i64) -> i64) -> Option<i64> {
        match self.value_of(name) {
            BrokerValue::Same(value) => value.trim().parse().ok(),
            BrokerValue::Split(values) => {
                values.values().flatten().filter_map(|value| value.trim().parse().ok()).reduce(pick)
            }
            BrokerValue::Absent | BrokerValue::Untold => None,
        }
    }

    /// Names of settings that are not the same on all that answered, among these.
    pub(super) fn split_among<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
        names.filter(|name| matches!(self.value_of(name), BrokerValue::Split(_))).collect()
    }
}

/// Whether both are what they should be, and whether their brokers answered.
pub(super) fn compare_clusters(compared: &Compared<'_>, book: &mut RowBook) {
    let area = ParityArea::Cluster;
    let ids = compared.clusters.map(|cluster| cluster.cluster_id.as_deref());
    if ids.blue.is_some() && ids.blue == ids.green {
        let why = "blue and green are one cluster: whatever is compared is equal to itself";
        let about = (area, ParitySubject::Cluster(Side::Green));
        book.push_row(ParityRow::new(about, ParityState::Differs, Gravity::Blocks, why));
    }
    for (side, defaults) in compared.defaults.iter() {
        match &defaults.brokers.untold {
            Some(why) => {
                book.push_row(ParityRow::new_unknown(
                    (area, ParitySubject::Cluster(side)),
                    Gravity::Warns,
                    why.clone(),
                ));
            }
            None => book.count_same(area, 1),
        }
    }
}
