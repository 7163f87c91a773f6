//! Quotas (KIP-546): who is slowed down, and from where on.

use std::collections::BTreeMap;

use super::rows::{Gravity, Mend, ParityArea, ParityRow, ParityState, ParitySubject, RowBook};
use super::{Change, Compared, why_untold};
use crate::base::Trouble;
use crate::base::sanitise::visible_name;
use crate::estate::inventory::QuotaEntity;
use crate::estate::release::KafkaRelease;

const AREA: ParityArea = ParityArea::Quotas;

/// One limit on green.
type QuotaKey = (QuotaEntity, String);

/// Limits that not every release knows: the request that sets one of them is refused by older ones.
const LIMIT_RELEASES: &[(&str, KafkaRelease, &str)] = &[
    ("controller_mutation_rate", KafkaRelease::new(2, 7), "KIP-599"),
    ("connection_creation_rate", KafkaRelease::new(2, 8), "KIP-612"),
];

/// Compares who is slowed down.
pub(super) fn compare_quotas(compared: &Compared<'_>, book: &mut RowBook) {
    let answers = compared.clusters.map(|cluster| &cluster.quotas);
    let (Some(blue), Some(green)) = (answers.blue.as_told(), answers.green.as_told()) else {
        for (side, answer) in answers.iter() {
            if let Some(why) = why_untold(answer, side, "quotas") {
                book.push_row(ParityRow::new_unknown((AREA, ParitySubject::Cluster(side)), Gravity::Warns, why));
            }
        }
        return;
    };
    let mut wanted: BTreeMap<QuotaKey, Vec<f64>> = BTreeMap::new();
    for (entity, limits) in blue {
        let mapped = map_entity(compared, entity);
        for (limit, value) in limits {
            match &mapped {
                Some(entity) => wanted.entry((entity.clone(), limit.clone())).or_default().push(*value),
                None => book.push_row(judge_unmapped(entity, limit, *value)),
            }
        }
    }
    for ((entity, limit), values) in &wanted {
        let has = green.get(entity).and_then(|limits| limits.get(limit));
        match judge_limit(compared, (entity, limit), values, has.copied()) {
            Some(row) => book.push_row(row),
            None => book.count_same(AREA, 1),
        }
    }
    for (entity, limits) in green {
        for (limit, value) in limits {
            if !wanted.contains_key(&(entity.clone(), limit.clone())) {
                let why = "green slows down whom blue does not";
                let row = ParityRow::new(about_limit(entity, limit), ParityState::Beyond, Gravity::Notes, why);
                book.push_row(row.with_sides(None, Some(value.to_string())));
            }
        }
    }
}

fn about_limit(entity: &QuotaEntity, limit: &str) -> (ParityArea, ParitySubject) {
    (AREA, ParitySubject::Quota { entity: entity.clone(), limit: limit.to_owned() })
}

/// The entity on green; `None` where a user becomes a principal that has no quotas.
fn map_entity(compared: &Compared<'_>, entity: &QuotaEntity) -> Option<QuotaEntity> {
    let parts = entity.0.iter().map(|(kind, name)| match name {
        Some(user) if kind == "user" => Some((kind.clone(), Some(compared.scope.principals.map_user(user)?))),
        name => Some((kind.clone(), name.clone())),
    });
    parts.collect::<Option<_>>().map(QuotaEntity)
}

fn judge_unmapped(entity: &QuotaEntity, limit: &str, value: f64) -> ParityRow {
    let why = "its user becomes a principal of another type on green: quotas are for principals of type User alone";
    let row = ParityRow::new(about_limit(entity, limit), ParityState::Missing, Gravity::Warns, why);
    let by_hand = "set a quota for its client ids on green, if it needs one";
    row.with_sides(Some(value.to_string()), None).with_mend(Mend::ByHand(by_hand.to_owned()))
}

/// Values come as doubles on both sides, and some brokers keep them as whole numbers.
fn is_same_rate(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

fn judge_limit(
    compared: &Compared<'_>,
    (entity, limit): (&QuotaEntity, &str),
    values: &[f64],
    has: Option<f64>,
) -> Option<ParityRow> {
    let wanted = *values.first()?;
    let row = |state, why: &str| {
        let row = ParityRow::new(about_limit(entity, limit), state, Gravity::Warns, why);
        row.with_sides(Some(wanted.to_string()), has.map(|value| value.to_string()))
    };
    if let Some(other) = values.iter().find(|value| !is_same_rate(**value, wanted)) {
        let why = format!("several of blue's users become this one, and their limits differ ({wanted} and {other})");
        let state = if has.is_some() { ParityState::Differs } else { ParityState::Missing };
        return Some(row(state, &why).with_mend(Mend::ByHand("decide on one limit, and set it on green".to_owned())));
    }
    let row = match has {
        Some(has) if is_same_rate(has, wanted) => return None,
        Some(has) if has < wanted => row(ParityState::Differs, "green slows its clients down earlier than blue"),
        Some(_) => row(ParityState::Differs, "green slows its clients down later than blue: others may feel them"),
        None => row(ParityState::Missing, "nothing slows its clients down on green: others may feel them"),
    };
    if let Some(kind) = entity.0.keys().find(|kind| !QuotaEntity::KINDS.contains(&kind.as_str())) {
        let what = format!("{} is a kind of quota that this build does not know", visible_name(kind));
        let unknown = ParityRow::new_unknown(
            about_limit(entity, limit),
            Gravity::Warns,
            Trouble::new(what, "compare it by hand"),
        );
        return Some(unknown.with_sides(row.blue, row.green));
    }
    let since = LIMIT_RELEASES.iter().find(|(name, ..)| *name == limit);
    if let (Some((_, since, kip)), Some(green)) = (since, compared.clusters.green.release)
        && green < *since
    {
        let by_hand = format!("green runs Kafka {green}, and knows this limit since {since} ({kip})");
        return Some(row.with_mend(Mend::ByHand(by_hand)));
    }
    let quotas = [(limit.to_owned(), wanted)].into();
    Some(row.with_mend(Mend::Change(Change::SetQuotas { entity: entity.clone(), quotas })))
}
