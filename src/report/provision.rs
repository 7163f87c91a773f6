//! A provisioning for people, as terraform shows one, and for scripts.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::base::format_plural;
use crate::base::sanitise::visible_text;
use crate::parity::{ParityRow, ParityVerdict};
use crate::provision::{AppliedChange, ProvisionReport};

/// The version of the document that [`to_json`] makes (docs/json.md).
const SCHEMA: u32 = 1;

/// The JSON of a provisioning that ends with an exit code (docs/json.md).
#[must_use]
pub fn to_json(report: &ProvisionReport, exit_code: u8) -> Value {
    let change =
        |c: &AppliedChange| json!({"do": c.change.to_string(), "change": c.change, "held": c.held, "end": c.end});
    let row = |row: &ParityRow| {
        json!({"area": row.area, "name": row.subject.to_string(), "blue": row.blue, "green": row.green,
            "why": row.why, "do": row.describe_mend()})
    };
    json!({
        "schema": SCHEMA,
        "migration": report.migration,
        "run": report.run,
        "dry_run": report.dry_run,
        "before": report.before,
        "after": report.after,
        "changes": report.changes.iter().map(change).collect::<Vec<_>>(),
        "by_hand": report.by_hand.iter().map(row).collect::<Vec<_>>(),
        "unknown": report.unknown.iter().map(row).collect::<Vec<_>>(),
        "warnings": report.warnings,
        "exit_code": exit_code,
        "trouble": report.trouble,
    })
}

/// What is to be done, or what was: `+` is added, `~` is changed, `!` can't be done from here, `?` is not known.
#[must_use]
pub fn to_text(report: &ProvisionReport) -> String {
    let mut out = String::new();
    let Some(before) = report.before else { return out };
    let mut line = |text: String| {
        let _ = writeln!(out, "{}", visible_text(&text)); // writing to a String can't fail
    };
    report.list_lines().into_iter().for_each(&mut line);
    line(format!("{}, in {}", report.summarise(), format_plural(report.changes.len(), "change")));
    if report.run.is_some() {
        let there = report.changes.iter().filter(|c| c.end.as_ref().is_some_and(|end| end.is_there())).count();
        line(format!("made: {there} of {}", format_plural(report.changes.len(), "change")));
        for (change, end) in report.failed() {
            line(format!("  {change}: {}", end.describe()));
            if !end.advice().is_empty() {
                line(format!("    {}", end.advice()));
            }
        }
        let after = report.after.map_or("not looked at", name_verdict);
        line(format!("afterwards: {after}"));
    } else if report.dry_run && !report.changes.is_empty() {
        line("nothing was changed: add --apply".to_owned());
    } else if report.changes.is_empty() {
        line(format!("nothing to do: {}", name_verdict(before)));
    }
    for warning in &report.warnings {
        line(format!("warning: {warning}"));
    }
    out
}

fn name_verdict(verdict: ParityVerdict) -> &'static str {
    match verdict {
        ParityVerdict::Equal => "PARITY",
        ParityVerdict::Differs => "DIFFERS",
        ParityVerdict::Unknown => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::Trouble;
    use crate::parity::{Change, Gravity, Mend, ParityArea, ParityState, ParitySubject, TopicPair};
    use crate::provision::ChangeEnd;

    fn pair(name: &str) -> TopicPair {
        TopicPair { blue: name.to_owned(), green: name.to_owned() }
    }

    fn row(area: ParityArea, subject: ParitySubject, state: ParityState, mend: Option<Mend>) -> ParityRow {
        let (blue, green) = (Some("-1".to_owned()), Some("5".to_owned()));
        ParityRow { area, subject, blue, green, state, gravity: Gravity::Warns, why: "why\u{1b}".to_owned(), mend }
    }

    fn report() -> ProvisionReport {
        let set = Change::SetTopicSettings {
            topic: "a".to_owned(),
            settings: BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]),
        };
        let add = Change::AddPartitions { topic: "b".to_owned(), from: 1, to: 2 };
        let setting = ParitySubject::TopicSetting { topic: pair("a"), setting: "retention.ms".to_owned() };
        let unknown = ParityState::Unknown(Trouble::new("hidden", "grant it"));
        ProvisionReport {
            before: Some(ParityVerdict::Differs),
            mended: vec![row(ParityArea::Settings, setting, ParityState::Differs, Some(Mend::Change(set.clone())))],
            by_hand: vec![row(
                ParityArea::Users,
                ParitySubject::User("carol".to_owned()),
                ParityState::Missing,
                Some(Mend::ByHand("make her".to_owned())),
            )],
            unknown: vec![row(ParityArea::Topics, ParitySubject::Topic(pair("c")), unknown, None)],
            changes: vec![
                AppliedChange { held: None, change: set, end: None },
                AppliedChange { held: add.needs_consent(), change: add, end: None },
            ],
            ..ProvisionReport::new("loans", true)
        }
    }

    #[test]
    fn what_would_be_done_is_shown_with_what_can_t_and_why() {
        let text = to_text(&report());
        for line in [
            "~ settings a retention.ms: 5 -> -1\n",
            "! add 1 partition to topic b: 1 to 2 waits for --add-partitions: ",
            "! users carol: why\u{241b}\n    do: make her\n",
            "? topics c: why\u{241b}\n    do: grant it\n",
            "loans: 0 to add, 1 to change, 1 by hand, 1 unknown, in 2 changes\nnothing was changed: add --apply\n",
        ] {
            assert!(text.contains(line), "{line:?}: {text}");
        }
    }

    #[test]
    fn what_was_done_is_shown_with_what_failed() {
        let mut report = ProvisionReport { run: Some("7".to_owned()), dry_run: false, ..report() };
        report.changes[0].end = Some(ChangeEnd::Refused(vec![("x".to_owned(), Trouble::new("no", "ask"))]));
        report.after = Some(ParityVerdict::Differs);
        let text = to_text(&report);
        assert!(
            text.contains("made: 0 of 2 changes\n  set on topic a: retention.ms=-1: refused: no\n    ask\n"),
            "{text}"
        );
        assert!(text.ends_with("afterwards: DIFFERS\n") && !text.contains("--apply"), "{text}");
        let json = to_json(&report, 1);
        assert_eq!((&json["run"], &json["after"], &json["exit_code"]), (&"7".into(), &"differs".into(), &1.into()));
    }
}
