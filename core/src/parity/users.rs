//! Users with a password (SCRAM, KIP-554). No cluster tells a password or what it keeps of it, so none can be copied: what is
//! left is to say who is missing, and how to make them.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Gravity, Mend, ParityArea, ParityRow, ParityState, ParitySubject, RowBook};
use super::{Compared, why_untold};
use crate::base::{Side, shell_word};
use crate::estate::inventory::{ScramCredential, ScramMechanism};

const AREA: ParityArea = ParityArea::Users;

/// A password's mechanisms, with how many rounds of hashing each has.
type Mechanisms = BTreeMap<ScramMechanism, i32>;

/// Compares who has a password for what.
pub(super) fn compare_users(compared: &Compared<'_>, book: &mut RowBook) {
    let part = "users with passwords (SCRAM)";
    let answers = compared.clusters.map(|cluster| &cluster.scram_users);
    let (Some(blue), Some(green)) = (answers.blue.as_told(), answers.green.as_told()) else {
        for (side, answer) in answers.iter() {
            if let Some(why) = why_untold(answer, side, part) {
                book.push_row(ParityRow::new_unknown((AREA, ParitySubject::Cluster(side)), Gravity::Warns, why));
            }
        }
        return;
    };
    let mut wanted: BTreeMap<String, Mechanisms> = BTreeMap::new();
    for (name, credentials) in blue {
        // Whoever becomes a principal of another type proves himself otherwise: he has no password on green.
        if let Some(name) = compared.scope.principals.map_user(name) {
            wanted.entry(name).or_default().extend(mechanisms_of(credentials));
        }
    }
    for (name, mechanisms) in &wanted {
        match judge_user(name, mechanisms, green.get(name), green.is_empty()) {
            Some(row) => book.push_row(row),
            None => book.count_same(AREA, 1),
        }
    }
    for (name, credentials) in green.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
        let about = (AREA, ParitySubject::User(name.clone()));
        let row = ParityRow::new(about, ParityState::Beyond, Gravity::Notes, "green has a user that blue has not");
        book.push_row(row.with_sides(None, Some(describe_mechanisms(&mechanisms_of(credentials)))));
    }
}

fn mechanisms_of(credentials: &BTreeSet<ScramCredential>) -> Mechanisms {
    credentials.iter().map(|credential| (credential.mechanism, credential.iterations)).collect()
}

/// `SCRAM-SHA-256 (4096 rounds), SCRAM-SHA-512 (8192 rounds)`.
fn describe_mechanisms(mechanisms: &Mechanisms) -> String {
    let each = mechanisms.iter().map(|(mechanism, rounds)| format!("{mechanism} ({rounds} rounds)"));
    each.collect::<Vec<_>>().join(", ")
}

fn judge_user(
    name: &str,
    wanted: &Mechanisms,
    on_green: Option<&BTreeSet<ScramCredential>>,
    green_has_none: bool,
) -> Option<ParityRow> {
    let about = (AREA, ParitySubject::User(name.to_owned()));
    let blue = Some(describe_mechanisms(wanted));
    let Some(has) = on_green.map(mechanisms_of) else {
        let (gravity, why) = if green_has_none {
            (
                Gravity::Warns,
                "green has no user with a password at all: clients have to prove themselves otherwise there",
            )
        } else {
            (Gravity::Blocks, "its clients can't log in to green with their password")
        };
        let row = ParityRow::new(about, ParityState::Missing, gravity, why).with_sides(blue, None);
        return Some(row.with_mend(by_hand(name, wanted)));
    };
    let sides = (blue, Some(describe_mechanisms(&has)));
    let lacking: Mechanisms = wanted.iter().filter(|(m, _)| !has.contains_key(m)).map(|(m, r)| (*m, *r)).collect();
    if !lacking.is_empty() {
        let why = format!("clients that log in by {} are refused on green", name_mechanisms(&lacking));
        let row = ParityRow::new(about, ParityState::Differs, Gravity::Blocks, why);
        return Some(row.with_sides(sides.0, sides.1).with_mend(by_hand(name, &lacking)));
    }
    let weaker = wanted.iter().any(|(mechanism, rounds)| has[mechanism] < *rounds);
    weaker.then(|| {
        let why = "green hashes the password in fewer rounds: whoever steals its hash guesses faster";
        let row = ParityRow::new(about, ParityState::Differs, Gravity::Notes, why);
        row.with_sides(sides.0, sides.1)
    })
}

fn name_mechanisms(mechanisms: &Mechanisms) -> String {
    mechanisms.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The line that makes the user, to be run by whoever knows the password.
fn by_hand(name: &str, mechanisms: &Mechanisms) -> Mend {
    let known = mechanisms.iter().filter(|(mechanism, _)| **mechanism != ScramMechanism::Unknown);
    let configs: Vec<_> =
        known.map(|(mechanism, rounds)| format!("{mechanism}=[iterations={rounds},password=...]")).collect();
    Mend::ByHand(format!(
        "no cluster tells a password, so it can't be copied; whoever knows it runs: kafka-configs.sh --bootstrap-server {} \
         --alter --add-config '{}' --entity-type users --entity-name {}",
        Side::Green.name().to_uppercase(),
        configs.join(","),
        shell_word(name)
    ))
}
