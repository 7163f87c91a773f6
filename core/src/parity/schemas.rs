//! What the schema registries hold, as rows: one a subject. `schemas` finds and weighs; a subject that is missing has an id
//! that is not read too, and that is one thing to a person.

use std::collections::{BTreeMap, BTreeSet};

use super::Parity;
use super::rows::{Gravity, Mend, ParityArea, ParityRow, ParityState, ParitySubject, sort_rows};
use crate::base::Trouble;
use crate::schemas::{SchemaFinding, SchemaSeverity, SchemaSurvey};

const AREA: ParityArea = ParityArea::Schemas;

/// The command that copies what green's registry lacks.
pub const SCHEMAS_VERB: &str = "cutover schemas --apply";

impl Parity {
    /// The same with what a look at both schema registries came to. One that could not be looked at is unknown.
    #[must_use]
    pub fn with_schemas(mut self, looked: &Result<SchemaSurvey, Trouble>) -> Self {
        let same = match looked {
            Ok(survey) => {
                let rows = judge_survey(survey);
                let counted = |row: &&ParityRow| row.is_unknown() || row.gravity != Gravity::Notes;
                let about: BTreeSet<&ParitySubject> = rows.iter().filter(counted).map(|row| &row.subject).collect();
                let subjects = about.iter().filter(|s| matches!(s, ParitySubject::Schemas(Some(_)))).count();
                let same = survey.parity.counts.subjects.saturating_sub(subjects);
                self.rows.extend(rows);
                same
            }
            Err(why) => {
                let about = (AREA, ParitySubject::Schemas(None));
                self.rows.push(ParityRow::new_unknown(about, Gravity::Warns, why.clone()));
                0
            }
        };
        *self.same.entry(AREA).or_default() += same;
        sort_rows(&mut self.rows);
        self
    }
}

/// A row for each subject and each weight of what was found of it: what is unknown is not hidden behind what differs.
fn judge_survey(survey: &SchemaSurvey) -> Vec<ParityRow> {
    let mut found: BTreeMap<(ParitySubject, bool), Vec<&SchemaFinding>> = BTreeMap::new();
    for finding in &survey.parity.findings {
        let unknown = finding.severity_of() == SchemaSeverity::Unknown;
        let subjects: BTreeSet<&str> = finding.list_subjects().into_iter().collect();
        if subjects.is_empty() {
            found.entry((ParitySubject::Schemas(None), unknown)).or_default().push(finding);
        }
        for subject in subjects {
            let about = ParitySubject::Schemas(Some(subject.to_owned()));
            found.entry((about, unknown)).or_default().push(finding);
        }
    }
    let imported: BTreeSet<&str> = survey.plan.imports.iter().map(|import| import.at.subject.as_str()).collect();
    let one = |((about, _), findings): ((ParitySubject, bool), Vec<&SchemaFinding>)| {
        let is_copied = matches!(&about, ParitySubject::Schemas(Some(subject)) if imported.contains(subject.as_str()));
        judge_subject(about, &findings, is_copied)
    };
    found.into_iter().map(one).collect()
}

fn judge_subject(about: ParitySubject, findings: &[&SchemaFinding], is_copied: bool) -> ParityRow {
    // They come gravest first.
    let first = findings[0];
    let more = if findings.len() > 1 { format!(" (and {} more)", findings.len() - 1) } else { String::new() };
    let (why, advice) = (first.describe_finding() + &more, first.describe_advice());
    let gravity = match first.severity_of() {
        SchemaSeverity::Grave => Gravity::Blocks,
        SchemaSeverity::Differs => Gravity::Warns,
        SchemaSeverity::Note => Gravity::Notes,
        SchemaSeverity::Unknown => {
            return ParityRow::new_unknown((AREA, about), Gravity::Warns, Trouble::new(why, advice));
        }
    };
    let state = match first.severity_of() {
        SchemaSeverity::Note => ParityState::Beyond,
        _ if findings.iter().any(|finding| finding.is_missing()) => ParityState::Missing,
        _ => ParityState::Differs,
    };
    let by_hand = (!advice.is_empty()).then_some(Mend::ByHand(advice));
    let mend = if is_copied { Some(Mend::Import) } else { by_hand };
    let versions = findings.iter().find_map(|finding| match finding {
        SchemaFinding::SubjectMissing { versions: 1, .. } => Some("1 version".to_owned()),
        SchemaFinding::SubjectMissing { versions, .. } => Some(format!("{versions} versions")),
        _ => None,
    });
    ParityRow::new((AREA, about), state, gravity, why).with_sides(versions, None).with_mend(mend)
}

#[cfg(test)]
mod tests {
    use super::super::{ParityCount, ParityVerdict};
    use super::*;
    use crate::base::{At, Side, Sides};
    use crate::schemas::{
        ParityCounts, RecordLook, RegistryKind, RegistryServer, SchemaId, SchemaImportPlan, SchemaParity,
        SubjectVersion,
    };

    fn survey(subjects: usize, findings: Vec<SchemaFinding>) -> Result<SchemaSurvey, Trouble> {
        let server = || RegistryServer { kind: RegistryKind::Confluent, version: None, grounds: String::new() };
        let counts = ParityCounts { subjects, versions: subjects, ids: subjects };
        let parity = SchemaParity { servers: Sides { blue: server(), green: server() }, counts, findings };
        let looks = Sides::from_fn(|_| RecordLook::NotLooked(String::new()));
        Ok(SchemaSurvey { at: At(1), parity, plan: SchemaImportPlan::default(), looks, record_ids: Vec::new() })
    }

    fn judge(looked: &Result<SchemaSurvey, Trouble>) -> Parity {
        Parity { rows: Vec::new(), same: Default::default(), internal: Default::default(), flags: Vec::new() }
            .with_schemas(looked)
    }

    #[test]
    fn a_subject_is_one_row_and_what_is_unknown_stays_one_of_its_own() {
        let at = SubjectVersion::new("a-value", 1);
        let found = vec![
            SchemaFinding::IdUnreadable { id: SchemaId::of_default(7), used_by: vec![at.clone()] },
            SchemaFinding::SubjectMissing { subject: "a-value".to_owned(), versions: 1 },
            SchemaFinding::MeaningUnknown { at: at.clone(), why: "a text".to_owned() },
            SchemaFinding::NotRead { side: Side::Green, what: "its mode".to_owned(), why: Trouble::new("no", "ask") },
        ];
        let parity = judge(&survey(3, found));
        let count = parity.count_area(AREA);
        assert_eq!(count, ParityCount { same: 2, blocks: 1, unknown: 2, ..ParityCount::default() });
        assert_eq!(
            (parity.rows[0].subject.to_string(), &parity.rows[0].state),
            ("a-value".to_owned(), &ParityState::Missing)
        );
        let tally = parity.tally();
        assert_eq!((tally.same, tally.differ, tally.unknown), (2, 1, 2));
    }

    #[test]
    fn a_registry_that_is_not_read_is_no_parity() {
        assert_eq!(judge(&survey(2, Vec::new())).verdict_of(AREA), ParityVerdict::Equal);
        let unread = judge(&Err(Trouble::new("green: no answer", "start it")));
        assert_eq!(unread.verdict_of(AREA), ParityVerdict::Unknown);
        assert!(unread.same.contains_key(&AREA), "it was looked at");
    }
}
