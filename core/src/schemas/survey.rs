//! Both registries in one look: how they compare, and the copy that would be made of it.

use serde::{Deserialize, Serialize};

use super::compare::compare_contents;
use super::content::RegistryContent;
use super::finding::{SchemaFinding, SchemaParity, SchemaSeverity};
use super::import::{ImportTerms, SchemaImportPlan, plan_imports};
use crate::base::At;

/// Both registries in one look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchemaSurvey {
    /// When the look began.
    pub at: At,
    /// How they compare.
    pub parity: SchemaParity,
    /// What a copy to green would do, and what it would not.
    pub plan: SchemaImportPlan,
}

impl SchemaSurvey {
    /// Compares, and plans before anything was tried: whether green keeps ids is what its kind is known for.
    #[must_use]
    pub fn of_contents(at: At, blue: &RegistryContent, green: &RegistryContent) -> Self {
        let plan = plan_imports(blue, green, &ImportTerms::before_probe(green));
        Self { at, parity: compare_contents(blue, green), plan }
    }

    /// Whether everything could be found out, whatever it was.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.list_findings(SchemaSeverity::Unknown).next().is_none()
    }

    /// The findings of one weight, in their order.
    pub fn list_findings(&self, severity: SchemaSeverity) -> impl Iterator<Item = &SchemaFinding> {
        self.parity.findings.iter().filter(move |f| f.severity_of() == severity)
    }
}
