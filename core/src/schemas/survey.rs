//! Both registries in one look: how they compare, and the copy that would be made of it.

use serde::{Deserialize, Serialize};

use super::compare::compare_contents;
use super::content::RegistryContent;
use super::finding::{SchemaFinding, SchemaParity, SchemaSeverity, SchemaVerdict};
use super::import::{CopyWishes, ImportTerms, SchemaImportPlan, plan_imports};
use super::records::{RecordIdFinding, RecordLook, compare_record_ids};
use crate::base::{At, Sides};

/// Both registries in one look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchemaSurvey {
    /// When the look began.
    pub at: At,
    /// How they compare.
    pub parity: SchemaParity,
    /// What a copy to green would do, and what it would not.
    pub plan: SchemaImportPlan,
    /// What was read of both clusters' records.
    pub looks: Sides<RecordLook>,
    /// What the ids of those records read, the gravest first.
    pub record_ids: Vec<RecordIdFinding>,
}

impl SchemaSurvey {
    /// Compares, and plans before anything was tried: whether green keeps ids is what its kind is known for.
    #[must_use]
    pub fn of_contents(
        at: At,
        blue: &RegistryContent,
        green: &RegistryContent,
        looks: Sides<RecordLook>,
        wishes: CopyWishes,
    ) -> Self {
        let terms = ImportTerms::before_probe(green).with_records(&looks).with_wishes(wishes);
        let plan = plan_imports(blue, green, &terms);
        let record_ids = compare_record_ids(blue, green, &looks);
        Self { at, parity: compare_contents(blue, green), plan, looks, record_ids }
    }

    /// Whether everything could be found out, whatever it was. Records that were not to be read, or of which a part was read,
    /// say so by themselves.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let unread = self.looks.iter().any(|(_, look)| matches!(look, RecordLook::Unknown(_)));
        let mut all = self.record_ids.iter().map(RecordIdFinding::severity_of);
        !unread
            && self.list_findings(SchemaSeverity::Unknown).next().is_none()
            && !all.any(|s| s == SchemaSeverity::Unknown)
    }

    /// Whether green stands in for blue, by what the registries hold and by what the records carry. Unknown never passes.
    #[must_use]
    pub fn judge_survey(&self) -> SchemaVerdict {
        let worst = self.record_ids.iter().map(RecordIdFinding::severity_of).min();
        match (self.parity.judge_parity(), worst) {
            (SchemaVerdict::Differs, _) | (_, Some(SchemaSeverity::Grave | SchemaSeverity::Differs)) => {
                SchemaVerdict::Differs
            }
            (SchemaVerdict::Same, _) if self.is_whole() => SchemaVerdict::Same,
            _ => SchemaVerdict::Unknown,
        }
    }

    /// The findings of one weight, in their order.
    pub fn list_findings(&self, severity: SchemaSeverity) -> impl Iterator<Item = &SchemaFinding> {
        self.parity.findings.iter().filter(move |f| f.severity_of() == severity)
    }
}
