//! Changes of many subjects with several entries each (settings of topics, quotas of clients). A broker takes or refuses the
//! entries of one subject as a whole, and names one reason: here each entry has an outcome of its own, so that one setting
//! that a cluster does not know keeps no other one back.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use super::ChangeOutcome;
use super::failure::Failure;
use super::router::Router;
use super::scatter::{Anywhere, BrokerQuestion};

/// Entries by subject and name.
pub(super) type Entries<S, V> = BTreeMap<S, BTreeMap<String, V>>;

/// What came of each.
type EntryOutcomes<S> = Entries<S, ChangeOutcome>;

/// Gives entries a value. Entries that are not named stay as they are.
pub(super) struct EntryChange<S, V> {
    /// What they shall be.
    pub entries: Entries<S, V>,
    /// Nothing is changed.
    pub validate_only: bool,
}

impl<S, V> EntryChange<S, V> {
    /// What a broker's answer about one subject leaves open.
    pub(super) fn judge_answer(&self, answer: Result<(), Failure>) -> Result<(), Failure> {
        // A check alone leaves nothing behind, whatever comes of it.
        if self.validate_only { answer } else { answer.map_err(Failure::of_change) }
    }
}

impl Router {
    /// Changes entries at any broker (which passes it on to the controller), and again while that moves, never after an
    /// answer was lost. What a broker refuses as a whole is sent entry by entry.
    pub(super) async fn change_entries<S, V>(&self, wanted: &Entries<S, V>, validate_only: bool) -> EntryOutcomes<S>
    where
        S: Clone + Ord + Send + Sync,
        V: Clone + Send + Sync,
        EntryChange<S, V>: BrokerQuestion<Anywhere<S>, Told = ()>,
    {
        let mut outcomes = EntryOutcomes::new();
        let mut alone = Entries::new();
        let change = EntryChange { entries: wanted.clone(), validate_only };
        for (subject, result) in self.send_entries(&change).await {
            let Some(entries) = wanted.get(&subject) else { continue };
            if entries.len() > 1 && blames_an_entry(&result) {
                alone.insert(subject, entries.clone());
            } else {
                let outcome = ChangeOutcome::from(result);
                outcomes.insert(subject, entries.keys().map(|name| (name.clone(), outcome.clone())).collect());
            }
        }
        while !alone.is_empty() {
            tracing::info!(side = %self.side(), subjects = alone.len(), "refused as a whole: sent one by one");
            alone = self.change_one_by_one(alone, validate_only, &mut outcomes).await;
        }
        outcomes
    }

    /// Sends each entry by itself. Returns those that are worth another try: an entry can be refused for what another one
    /// was (the least compaction lag may not be above the greatest), so while some are taken those that were refused are
    /// sent again.
    async fn change_one_by_one<S, V>(
        &self,
        alone: Entries<S, V>,
        validate_only: bool,
        outcomes: &mut EntryOutcomes<S>,
    ) -> Entries<S, V>
    where
        S: Clone + Ord + Send + Sync,
        V: Clone + Send + Sync,
        EntryChange<S, V>: BrokerQuestion<Anywhere<S>, Told = ()>,
    {
        let (mut refused, mut moved) = (Entries::new(), BTreeSet::new());
        let most = alone.values().map(BTreeMap::len).max().unwrap_or(0);
        for nth in 0..most {
            let change = EntryChange { entries: pick_nth(&alone, nth), validate_only };
            for (subject, result) in self.send_entries(&change).await {
                let Some((name, value)) = change.entries.get(&subject).and_then(BTreeMap::first_key_value) else {
                    continue;
                };
                if result.is_ok() {
                    moved.insert(subject.clone());
                } else if blames_an_entry(&result) {
                    let of_subject: &mut BTreeMap<String, V> = refused.entry(subject.clone()).or_default();
                    of_subject.insert(name.clone(), value.clone());
                }
                outcomes.entry(subject).or_default().insert(name.clone(), result.into());
            }
        }
        // What is only checked stands as it stood: another try would be answered in the same way.
        refused.retain(|subject, _| !validate_only && moved.contains(subject));
        refused
    }

    async fn send_entries<S, V>(&self, change: &EntryChange<S, V>) -> Vec<(S, Result<(), Failure>)>
    where
        S: Clone + Ord + Send + Sync,
        V: Clone + Send + Sync,
        EntryChange<S, V>: BrokerQuestion<Anywhere<S>, Told = ()>,
    {
        let named = change.entries.iter().filter(|(_, entries)| !entries.is_empty());
        let subjects: Vec<Anywhere<S>> = named.map(|(subject, _)| Anywhere(subject.clone())).collect();
        self.ask_each(change, &subjects).await.into_iter().map(|(subject, result)| (subject.0, result)).collect()
    }
}

/// The nth entry of each subject that has so many.
fn pick_nth<S: Clone + Ord, V: Clone>(entries: &Entries<S, V>, nth: usize) -> Entries<S, V> {
    let one = |(subject, all): (&S, &BTreeMap<String, V>)| {
        let (name, value) = all.iter().nth(nth)?;
        Some((subject.clone(), BTreeMap::from([(name.clone(), value.clone())])))
    };
    entries.iter().filter_map(one).collect()
}

/// Whether it was refused for what an entry says, and nothing of it was written.
fn blames_an_entry(result: &Result<(), Failure>) -> bool {
    use ResponseError as E;
    result.as_ref().is_err_and(|f| {
        !f.is_in_doubt() && matches!(f.error, Some(E::InvalidConfig | E::InvalidRequest | E::PolicyViolation))
    })
}
