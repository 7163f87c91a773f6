//! What a second person agrees to, and what a dialog of a hard cutover rests on.

use super::gate::ProducerCut;
use crate::base::Side;
use crate::base::sanitise::visible_name;
use crate::migration::facts::settings::Settings;
use crate::migration::rules::gate::Gate;
use crate::migration::rules::producer;

/// FNV-1a over the plan as it is understood, in JSON: the same plan has the same number in every session and version that
/// reads it the same way. What `Debug` prints may change with the compiler, and so may the hashers of std; this number is
/// held against one in a journal.
fn plan_hash(settings: &Settings) -> u64 {
    // Plain data with string keys: that can't fail. If it could, no two plans may look the same for it.
    let text = serde_json::to_vec(settings).unwrap_or_else(|_| format!("{settings:?}").into_bytes());
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl ProducerCut<'_> {
    /// What an approval is bound to: the plan, the clusters, and what the gate says, each row by its word. What only
    /// grows older (ages, counts, the window, and the approval itself) is no part of it.
    #[must_use]
    pub(crate) fn approval_facts(&self) -> String {
        let sight = self.sight;
        let rows = [
            self.check_flag(),
            self.check_new_ids(),
            self.check_topics(),
            self.check_readers(),
            self.check_coupled(),
            self.check_permissions(),
            self.check_way_back(),
        ];
        let words: Vec<String> = rows.iter().map(|r| format!("{}:{}", r.id, gate_word(&r.gate))).collect();
        let id = |side: Side| {
            let seen = sight.estate.side(side).value().and_then(|v| v.cluster_id.clone());
            seen.map_or_else(|| "not seen".into(), |id| visible_name(&id))
        };
        let flag = producer::current_flag(sight, self.name).map_or("not known".to_owned(), |f| f.to_string());
        format!(
            "plan={:016x}\nproducer={}\nto={}\nblue cluster={}\ngreen cluster={}\nflag={flag}\nrows={}",
            plan_hash(sight.settings),
            visible_name(self.name),
            self.to,
            id(Side::Blue),
            id(Side::Green),
            words.join(" ")
        )
    }
}

fn gate_word(gate: &Gate) -> &'static str {
    // UNKNOWN may come and go with one late look, and never passes the gate itself.
    if matches!(gate, Gate::Pass | Gate::Unknown { .. }) { "ok" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_the_same_number_in_every_version() {
        let settings = Settings::of_groups(std::collections::BTreeMap::new());
        let text = r#"{"name":"test","cluster_ids":{"blue":null,"green":null},"stale_after_ms":5000,"zero_age_ms":5000,"sample_gap_ms":5000,"groups":{},"producers":{}}"#;
        assert_eq!(serde_json::to_string(&settings).unwrap(), text);
        assert_eq!(plan_hash(&settings), 0xe076_907d_48ec_2ac6);
        assert_ne!(plan_hash(&Settings { stale_after_ms: 5_001, ..settings.clone() }), plan_hash(&settings));
    }
}
