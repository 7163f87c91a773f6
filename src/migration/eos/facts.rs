//! What a second person agrees to, and what a dialog of a hard cutover rests on.

use std::fmt::Write as _;

use super::gate::ProducerCut;
use crate::base::Side;
use crate::base::sanitise::visible_name;
use crate::migration::rules::context::RuleContext;
use crate::migration::rules::gate::Gate;
use crate::migration::rules::producer;

/// FNV-1a over the plan as it is understood: the same plan has the same number in every session and version that reads
/// it the same way.
fn plan_hash(sight: &RuleContext<'_>) -> u64 {
    struct Fnv(u64);
    impl std::fmt::Write for Fnv {
        fn write_str(&mut self, s: &str) -> std::fmt::Result {
            for byte in s.bytes() {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            Ok(())
        }
    }
    // The hashers of std may change with the compiler, and this number is held against one in a journal.
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    // Fnv takes every write.
    let _ = write!(hash, "{:?}", sight.settings);
    hash.0
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
            plan_hash(sight),
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
