//! What a screen is shown of a diff: rows in words, bounded, and what to do next.

use std::path::PathBuf;

use crate::base::sanitise::{visible_name, visible_path};
use crate::base::{Side, Trouble};
use crate::diff::build_document;
use crate::diff::{DiffCounts, DiffReport, DiffVerdict, PartitionDiff, TopicDiff};
use crate::migration::facts::command::shell_word;
use crate::plan::Plan;
use crate::session::export;
use crate::snapshot::{DIFF_RANGES, DIFF_ROWS, DiffAdvice, DiffResult, DiffRow, DiffWhat};

/// Most reasons and remarks of one topic that are written out.
const SAID: usize = 20;
/// Most letters of a subject in the document's name.
const NAME: usize = 80;

/// Writes the whole document beside the journal, over the last one of the same subject; blocking. Gives what screens
/// see.
pub(crate) fn finish_diff(plan: &Plan, what: &DiffWhat, report: &DiffReport) -> DiffResult {
    let file = write_document(plan, what, report);
    let mut result = summarise_report(report);
    result.next = advise_next(plan, report, &file);
    result.file = file.ok().map(|path| visible_path(&path));
    result
}

fn write_document(plan: &Plan, what: &DiffWhat, report: &DiffReport) -> Result<PathBuf, Trouble> {
    let path = plan.journal.with_file_name(document_name(what));
    export::write_file(&path, &build_document(report).to_string(), true).map(|()| path)
}

/// The document's name, one of each subject: a command that was copied must not come to carry the ranges of another.
fn document_name(what: &DiffWhat) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let raw = what.describe_raw();
    let name: String = raw.chars().map(|c| if is_plain(c) { c } else { '_' }).take(NAME).collect();
    // The words of several topics name only the first, and what stands for another letter, or was cut off, tells nothing.
    let whole = match what {
        DiffWhat::Group(one) | DiffWhat::Producer(one) => one.chars().all(is_plain) && raw.len() <= NAME,
        DiffWhat::Topics(topics) => topics.len() <= 1 && raw.len() <= NAME,
        DiffWhat::Plan => true,
    };
    if whole {
        return format!("diff-{name}.json");
    }
    format!("diff-{name}-{:016x}.json", xxhash_rust::xxh3::xxh3_64(format!("{what:?}").as_bytes()))
}

/// The rows: topics with something to say first, then by name; each followed by its partitions that have findings.
fn summarise_report(report: &DiffReport) -> DiffResult {
    let mut topics: Vec<&TopicDiff> = report.topics.iter().collect();
    topics.sort_by_key(|t| (t.verdict == DiffVerdict::Clean, t.topic.clone()));
    let mut rows = Vec::new();
    for t in topics {
        rows.push(row_of_topic(report, t));
        let mut some: Vec<&PartitionDiff> =
            t.partitions.iter().filter(|p| !p.describe_findings(report.source, report.target).is_empty()).collect();
        some.sort_by_key(|p| (!DiffCounts::from(*p).differs(), p.partition));
        rows.extend(some.into_iter().map(|p| row_of_partition(report, t, p)));
    }
    let left_out = rows.len().saturating_sub(DIFF_ROWS);
    rows.truncate(DIFF_ROWS);
    DiffResult {
        verdict: report.worst_verdict(),
        known: report.is_known(),
        said: report.describe_verdict(),
        found: report.total_counts(),
        read: report.read,
        bytes: report.bytes,
        ms: report.ms,
        rows,
        left_out,
        file: None,
        next: Vec::new(),
    }
}

fn row_of_topic(report: &DiffReport, t: &TopicDiff) -> DiffRow {
    let clean = t.partitions.iter().filter(|p| p.describe_findings(report.source, report.target).is_empty()).count();
    let mut lines: Vec<String> = t.unknown.iter().take(SAID).map(|why| format!("unknown: {why}")).collect();
    lines.extend((t.unknown.len() > SAID).then(|| format!("and {} more reasons", t.unknown.len() - SAID)));
    lines.extend(t.remarks.iter().take(SAID).cloned());
    if t.target_topic != t.topic {
        lines.push(format!("on green it is called {}", visible_name(&t.target_topic)));
    }
    if !t.partitions.is_empty() {
        lines.push(format!("{clean} of {} partitions without a finding", t.partitions.len()));
    }
    let (verdict, known) = (Some(t.verdict), t.unknown.is_empty());
    DiffRow { topic: t.topic.clone(), partition: None, verdict, known, found: t.found, lines }
}

fn row_of_partition(report: &DiffReport, t: &TopicDiff, p: &PartitionDiff) -> DiffRow {
    let found = DiffCounts::from(p);
    let findings = p.describe_findings(report.source, report.target);
    let lines =
        findings.iter().map(|(what, spans)| format!("{} {what}: {}", spans.count, spans.describe_ranges(DIFF_RANGES)));
    let (verdict, known) = (None, t.unknown.is_empty());
    DiffRow { topic: t.topic.clone(), partition: Some(p.partition), verdict, known, found, lines: lines.collect() }
}

/// What to do next. A command can be copied as it stands.
fn advise_next(plan: &Plan, report: &DiffReport, file: &Result<PathBuf, Trouble>) -> Vec<DiffAdvice> {
    let words = DiffAdvice::Words;
    let found = report.total_counts();
    let mut lines = Vec::new();
    let truncated = report.topics.iter().flat_map(|t| &t.partitions).any(|p| p.missing.truncated);
    match file {
        _ if found.missing == 0 => {}
        _ if !report.is_known() => {
            let one = "verify the topics that are known by themselves";
            lines.push(words(format!("a replay takes no document with something unknown: see to that, or {one}")));
        }
        _ if truncated => {
            let by_topic = "carry topic by topic, `cutover replay --topic T --from-time M`";
            lines.push(words(format!("too many ranges for a document: {by_topic}")));
        }
        Ok(path) => {
            let mut command = "cutover replay".to_owned();
            // `cutover.toml` is the plan that a verb takes by itself.
            if let Some(file) = plan.file.as_ref().filter(|f| f.as_os_str() != "cutover.toml") {
                command += &format!(" --plan {}", shell_word(&file.to_string_lossy()));
            }
            command += &format!(" --from-diff {}", shell_word(&path.to_string_lossy()));
            if report.source == Side::Green {
                command += " --from green";
            }
            lines.push(DiffAdvice::Command(command));
        }
        Err(trouble) => lines.push(words(format!("the document of the ranges was not written: {}", trouble.what))),
    }
    let beyond = found.only_target + found.duplicated_source + found.duplicated_target + found.reordered;
    if beyond > 0 {
        let target = report.target;
        lines.push(words(format!(
            "what is only on {target}, doubled or out of order no replay mends: readers meet it as it is"
        )));
    }
    if found.unsettled > 0 {
        lines.push(words(format!("{} records may still arrive: verify again once they are settled", found.unsettled)));
    }
    if lines.is_empty() {
        let nothing = report.worst_verdict() == DiffVerdict::Clean;
        let rest = if nothing { "nothing to do" } else { "see to what is unknown, and verify again" };
        lines.push(words(rest.to_owned()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_subjects_never_share_a_document() {
        let topics = |of: &[&str]| DiffWhat::Topics(of.iter().map(|t| (*t).to_owned()).collect());
        let group = |name: &str| DiffWhat::Group(name.to_owned());
        let long = "x".repeat(200);
        let all = [
            topics(&["a", "b", "c"]),
            topics(&["a", "d", "e"]),
            topics(&["a"]),
            group("a b"),
            group("a_b"),
            group("a\u{e9}b"),
            group(&long),
            group(&format!("{long}y")),
            DiffWhat::Producer("a_b".into()),
            DiffWhat::Plan,
        ];
        let names: std::collections::BTreeSet<String> = all.iter().map(document_name).collect();
        assert_eq!(names.len(), all.len(), "{names:?}");
        assert_eq!(document_name(&group("loan-audit")), "diff-group_loan-audit.json", "as it was");
        assert_eq!(document_name(&group("a b")), document_name(&group("a b")), "over the last one of the same");
    }
}
