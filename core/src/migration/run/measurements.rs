//! Translations that were asked for apart from any run: what each measured, and by what. Screens predict by them, a dialog
//! promises by them, and a run that begins takes them along.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{At, Observed, Side, Trouble};
use crate::offsets::strategy::{Chosen, Strategy};
use crate::offsets::verdict::GroupTranslation;

/// What a measurement is by: the plan's own strategies, or one that was chosen.
type ChoiceKey = Option<(Strategy, Option<At>)>;

/// What a choice comes to; the reason makes no other measurement of it.
fn choice_key(chosen: Option<&Chosen>) -> ChoiceKey {
    chosen.map(|c| (c.strategy, c.at))
}

/// What was measured of every group, by the side that its offsets are for.
#[derive(Debug, Default)]
pub(in crate::migration) struct Measurements {
    /// By the plan's own strategies.
    planned: BTreeMap<(String, Side), Observed<GroupTranslation>>,
    /// The last one by a chosen strategy: it never stands for the plan's own.
    chosen: BTreeMap<(String, Side), (Chosen, Observed<GroupTranslation>)>,
    /// Which of them came last.
    newest: BTreeMap<String, (Side, ChoiceKey)>,
    /// Asked for, and not answered yet.
    under_way: BTreeSet<(String, Side, ChoiceKey)>,
}

impl Measurements {
    /// Notes that one is asked for; false where the same is under way already.
    pub fn begin(&mut self, group: &str, to: Side, chosen: Option<&Chosen>) -> bool {
        self.under_way.insert((group.to_owned(), to, choice_key(chosen)))
    }

    /// Takes in how one ended. A failure leaves what an earlier one of the same found.
    pub fn record(
        &mut self,
        group: &str,
        to: Side,
        chosen: Option<&Chosen>,
        result: Result<GroupTranslation, Trouble>,
        now: At,
    ) {
        let (key, how) = ((group.to_owned(), to), choice_key(chosen));
        self.under_way.remove(&(group.to_owned(), to, how));
        self.newest.insert(group.to_owned(), (to, how));
        let slot = match chosen {
            None => self.planned.entry(key).or_insert_with(Observed::not_yet),
            Some(chosen) => {
                let slot = self.chosen.entry(key).or_insert_with(|| (chosen.clone(), Observed::not_yet()));
                // What another strategy found is not this one's, should this one fail.
                if choice_key(Some(&slot.0)) != how {
                    slot.1 = Observed::not_yet();
                }
                slot.0 = chosen.clone();
                &mut slot.1
            }
        };
        match result {
            Ok(plan) => *slot = Observed::seen_at(plan, now),
            Err(why) => slot.note_failure(why),
        }
    }

    /// The last one of a group to a side, by the plan's own strategies or by a chosen one.
    pub fn find(&self, group: &str, to: Side, chosen: Option<&Chosen>) -> Option<&Observed<GroupTranslation>> {
        let key = (group.to_owned(), to);
        match chosen {
            None => self.planned.get(&key),
            Some(_) => {
                let (by, found) = self.chosen.get(&key)?;
                (choice_key(Some(by)) == choice_key(chosen)).then_some(found)
            }
        }
    }

    /// The last one of a group, and the side that its offsets are for.
    pub fn find_newest(&self, group: &str) -> Option<(Side, &Observed<GroupTranslation>)> {
        let (to, how) = self.newest.get(group)?;
        let key = (group.to_owned(), *to);
        let found = match how {
            None => self.planned.get(&key)?,
            Some(_) => &self.chosen.get(&key)?.1,
        };
        Some((*to, found))
    }

    /// What the last one of a group was chosen by; `None`: the plan's own strategies.
    pub fn newest_choice(&self, group: &str) -> Option<&Chosen> {
        let (to, how) = self.newest.get(group)?;
        how.as_ref().and_then(|_| self.chosen.get(&(group.to_owned(), *to))).map(|(chosen, _)| chosen)
    }

    /// Whether one of a group is under way.
    pub fn is_under_way(&self, group: &str) -> bool {
        self.under_way.iter().any(|(of, ..)| of == group)
    }
}
