//! Two schema registries compared, for people (at most 80 columns where names let it) and for scripts.

mod records;

use std::mem::{Discriminant, discriminant};

use serde_json::{Map, Value, json};
use unicode_width::UnicodeWidthStr as _;

use records::{record_ids_to_json, write_record_ids};

use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides};
use crate::schemas::{
    ImportManner, ImportObstacle, Keeping, ModeSwitch, NewId, RegistryKind, SchemaCopyReport, SchemaFinding,
    SchemaImport, SchemaImportPlan, SchemaSeverity, SchemaSurvey, SchemaVerdict, SettingWrite,
};

/// Version of the JSON.
const SCHEMA: u32 = 1;
/// Columns of the text.
const COLUMNS: usize = 80;
/// Findings of one kind, and rows of one step, that are written out; JSON has them all.
const SHOWN: usize = 12;

/// What was found of both, and the copy that would be made: first what kind of server green is, because that decides what
/// a copy can keep.
#[must_use]
pub fn to_text(survey: &SchemaSurvey) -> String {
    let mut out = String::new();
    write_servers(&mut out, survey);
    write_verdict(&mut out, survey);
    for (severity, heading) in [
        (SchemaSeverity::Grave, "GRAVE: consumers on green would decode with a wrong schema, or with none"),
        (SchemaSeverity::Differs, "DIFFERS"),
        (SchemaSeverity::Unknown, "UNKNOWN: could not be found out, and counts as no parity"),
        (SchemaSeverity::Note, "NOTED: nothing of blue is missing for it"),
    ] {
        let of: Vec<&SchemaFinding> = survey.list_findings(severity).collect();
        if !of.is_empty() {
            write_words(&mut out, "", 2, &format!("{heading} ({})", of.len()));
            let rows = of.iter().map(|f| AdvisedRow {
                kind: discriminant(*f),
                words: f.describe_finding(),
                advice: f.describe_advice(),
            });
            write_advised(&mut out, rows.collect());
        }
    }
    write_record_ids(&mut out, survey);
    write_plan(&mut out, &survey.plan);
    out
}

fn write_servers(out: &mut String, survey: &SchemaSurvey) {
    let Sides { blue, green } = &survey.parity.servers;
    write_words(out, "green: ", 7, &green.describe_server());
    for loss in green.kind.describe_losses() {
        write_words(out, "  can't keep ", 4, loss);
    }
    if green.kind == RegistryKind::Unknown {
        write_words(out, "  ", 4, "what it keeps of a copy is not known: it is none of the kinds that were tried");
    } else if green.kind.look_up_abilities().ids == Keeping::Unproven {
        write_words(out, "  ", 4, "whether it keeps ids and version numbers shows only in a write that is read back");
    }
    write_words(out, "blue:  ", 7, &blue.describe_server());
}

fn write_verdict(out: &mut String, survey: &SchemaSurvey) {
    let counts = survey.parity.counts;
    let compared = format!("{} subjects, {} versions and {} ids", counts.subjects, counts.versions, counts.ids);
    let part = if survey.is_whole() { "" } else { " Not all of it is known." };
    let words = match survey.judge_survey() {
        SchemaVerdict::Same => format!("SAME: green has all of blue's {compared}, and they mean the same."),
        SchemaVerdict::Differs => format!("DIFFERS: green does not stand in for blue ({compared} compared).{part}"),
        SchemaVerdict::Unknown => {
            format!("UNKNOWN: nothing is known to differ, and not everything is known ({compared} of blue).")
        }
    };
    write_words(out, "", 2, &words);
}

/// Something with what to do about it.
struct AdvisedRow<T> {
    kind: Discriminant<T>,
    words: String,
    advice: String,
}

/// Rows by their kind, each kind where its first one stands, its advice once behind those that share it.
fn write_advised<T>(out: &mut String, rows: Vec<AdvisedRow<T>>) {
    let mut kinds: Vec<(Discriminant<T>, Vec<AdvisedRow<T>>)> = Vec::new();
    for row in rows {
        match kinds.iter_mut().find(|(kind, _)| *kind == row.kind) {
            Some((_, of)) => of.push(row),
            None => kinds.push((row.kind, vec![row])),
        }
    }
    for (_, of) in kinds {
        let left = of.len().saturating_sub(SHOWN);
        let mut shown = of.into_iter().take(SHOWN).peekable();
        while let Some(row) = shown.next() {
            write_words(out, "  - ", 4, &row.words);
            let said_next = shown.peek().is_some_and(|next| next.advice == row.advice);
            if !row.advice.is_empty() && !said_next {
                write_words(out, "    > ", 6, &row.advice);
            }
        }
        write_left(out, left);
    }
}

fn write_left(out: &mut String, left: usize) {
    if left > 0 {
        write_words(out, "    ", 4, &format!("... and {left} more like these (--json has them all)"));
    }
}

/// The steps of a copy, and what is left out of it.
fn write_plan(out: &mut String, plan: &SchemaImportPlan) {
    let SchemaImportPlan { manner, records, probe_first, modes, imports, settings, obstacles, known: _ } = plan;
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    if *probe_first {
        let words = "try a throw-away id in a throw-away subject and read it back: does green keep ids?";
        steps.push((words.to_owned(), Vec::new()));
    }
    if !modes.is_empty() {
        let words = format!("set {} to IMPORT, and back when all is there:", count_of(modes.len(), "subject"));
        steps.push((words, modes.iter().map(describe_switch).collect()));
    }
    if !imports.is_empty() {
        let versions = count_of(imports.len(), "version");
        let words = match manner {
            ImportManner::WithIds => format!("import {versions}, what is referenced first:"),
            ImportManner::Native => {
                format!("give {versions} to the server's own import, which keeps ids and takes an empty registry only:")
            }
            ImportManner::NewIds => format!(
                "REGISTER {versions} WITH NEW IDS, what is referenced first ({}, and can't be read through green):",
                describe_carried(*records)
            ),
        };
        steps.push((words, imports.iter().map(describe_import).collect()));
    }
    if !settings.is_empty() {
        steps.push(("set on green as on blue:".to_owned(), settings.iter().map(describe_setting).collect()));
    }
    if steps.is_empty() {
        write_words(out, "", 2, "A copy would change nothing on green.");
    } else {
        write_words(out, "", 2, "A copy would do this, in this order (nothing was changed):");
    }
    for (n, (words, rows)) in steps.into_iter().enumerate() {
        write_words(out, &format!("  {}. ", n + 1), 5, &words);
        rows.iter().take(SHOWN).for_each(|row| write_words(out, "     ", 9, row));
        write_left(out, rows.len().saturating_sub(SHOWN));
    }
    if !obstacles.is_empty() {
        write_words(out, "", 2, &format!("Not copied ({}):", obstacles.len()));
        write_advised(out, obstacles.iter().map(advise_obstacle).collect());
    }
}

fn advise_obstacle(obstacle: &ImportObstacle) -> AdvisedRow<ImportObstacle> {
    let (words, advice) = (obstacle.describe_obstacle(), obstacle.describe_advice());
    AdvisedRow { kind: discriminant(obstacle), words, advice }
}

fn count_of(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

fn describe_carried(records: Option<u64>) -> String {
    match records {
        Some(1) => "1 key or value that was read carries an id of now".to_owned(),
        Some(n) => format!("{n} keys and values that were read carry the ids of now"),
        None => "how many records carry the ids of now was not counted".to_owned(),
    }
}

fn describe_switch(switch: &ModeSwitch) -> String {
    let before = switch.before.as_ref().map_or("no mode of its own".to_owned(), ToString::to_string);
    let force = if switch.force { ", by force: it has live versions" } else { "" };
    format!("{} (now {before}{force})", visible_name(&switch.subject))
}

fn describe_import(import: &SchemaImport) -> String {
    let deleted = if import.leave_deleted { ", soft-deleted again as on blue" } else { "" };
    format!("{}, id {}, {}{deleted}", import.at, import.id, import.schema.format)
}

fn describe_setting(write: &SettingWrite) -> String {
    let mut parts = Vec::new();
    if let Some(config) = &write.config {
        parts.extend(config.compatibility.as_ref().map(|word| format!("compatibility {}", visible_name(word))));
        let more = config.more.iter().map(|(key, value)| {
            let (key, value) = (visible_name(key), visible_name(&value.to_string()));
            format!("{key} {value}")
        });
        parts.extend(more);
    }
    parts.extend(write.mode.as_ref().map(|mode| format!("mode {mode}")));
    format!("{}: {}", write.scope, parts.join(", "))
}

/// Words behind `head`, broken between them before column 80; what goes on is indented by `hang`. A name that is longer than
/// a line stays whole: it is there to be copied.
fn write_words(out: &mut String, head: &str, hang: usize, words: &str) {
    let mut line = head.to_owned();
    let mut bare = true;
    for word in words.split(' ') {
        let gap = usize::from(!bare);
        if !bare && line.width() + gap + word.width() > COLUMNS {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(hang);
        } else if !bare {
            line.push(' ');
        }
        line.push_str(word);
        bare = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// What a copy came to, and what was found afterwards.
#[must_use]
pub fn copy_to_text(report: &SchemaCopyReport) -> String {
    let mut out = String::new();
    let done = format!(
        "Imported {}, soft-deleted {} of them as on blue; {} back in their own mode, {} set.",
        count_of(report.imported.len(), "version"),
        report.deleted.len(),
        count_of(report.restored.len(), "subject"),
        count_of(report.set.len(), "setting"),
    );
    write_words(&mut out, "", 2, &done);
    if !report.new_ids.is_empty() {
        write_words(&mut out, "", 2, &format!("Registered with new ids ({}):", report.new_ids.len()));
        for NewId { at, ids } in report.new_ids.iter().take(SHOWN) {
            write_words(&mut out, "  - ", 4, &format!("{at}: {} on blue, {} on green", ids.blue, ids.green));
        }
        write_left(&mut out, report.new_ids.len().saturating_sub(SHOWN));
    }
    if !report.left_out.is_empty() {
        write_words(&mut out, "", 2, &format!("Left out at the last moment ({}):", report.left_out.len()));
        write_advised(&mut out, report.left_out.iter().map(advise_obstacle).collect());
    }
    match &report.after {
        Some(after) => out += &to_text(after),
        None => write_words(&mut out, "", 2, "Not looked at afterwards: `cutover schemas` does."),
    }
    out
}

/// The JSON of a copy (docs/json.md).
#[must_use]
pub fn copy_to_json(report: &SchemaCopyReport, exit_code: u8) -> Value {
    let left_out = report.left_out.iter().map(obstacle_to_json);
    json!({
        "schema": SCHEMA,
        "exit_code": exit_code,
        "imported": report.imported,
        "new_ids": report.new_ids,
        "deleted": report.deleted,
        "restored": report.restored,
        "set": report.set,
        "left_out": left_out.collect::<Vec<Value>>(),
        "trouble": report.trouble,
        "before": report.before.as_ref().map(to_json),
        "after": report.after.as_ref().map(to_json),
    })
}

/// The JSON of a survey (docs/json.md). Schemas themselves are left out: each is read by its id.
#[must_use]
pub fn to_json(survey: &SchemaSurvey) -> Value {
    let parity = &survey.parity;
    let of_server = |side: Side| {
        let server = &parity.servers[side];
        json!({
            "kind": server.kind,
            "version": server.version,
            "grounds": server.grounds,
            "keeps": server.kind.look_up_abilities(),
            "losses": server.kind.describe_losses(),
        })
    };
    let findings = parity.findings.iter().map(|f| {
        let words = (f.describe_finding(), f.describe_advice());
        add_words(json!(f), [("severity", json!(f.severity_of()))], words)
    });
    json!({
        "schema": SCHEMA,
        "at_ms": survey.at,
        "verdict": survey.judge_survey(),
        "known": survey.is_whole(),
        "servers": { "blue": of_server(Side::Blue), "green": of_server(Side::Green) },
        "compared": parity.counts,
        "findings": findings.collect::<Vec<Value>>(),
        "records": record_ids_to_json(survey),
        "copy": plan_to_json(&survey.plan),
    })
}

fn plan_to_json(plan: &SchemaImportPlan) -> Value {
    let imports = plan.imports.iter().map(|i| {
        json!({
            "subject": i.at.subject,
            "version": i.at.version,
            "id": i.id,
            "format": i.schema.format,
            "references": i.schema.references,
            "leave_deleted": i.leave_deleted,
        })
    });
    let obstacles = plan.obstacles.iter().map(obstacle_to_json);
    json!({
        "manner": plan.manner,
        "records": plan.records,
        "probe_first": plan.probe_first,
        "modes": plan.modes,
        "imports": imports.collect::<Vec<Value>>(),
        "settings": plan.settings,
        "obstacles": obstacles.collect::<Vec<Value>>(),
    })
}

fn obstacle_to_json(obstacle: &ImportObstacle) -> Value {
    add_words(json!(obstacle), [], (obstacle.describe_obstacle(), obstacle.describe_advice()))
}

/// An object with the words for it.
fn add_words<const N: usize>(of: Value, more: [(&str, Value); N], (words, advice): (String, String)) -> Value {
    let mut members: Map<String, Value> = match of {
        Value::Object(members) => members,
        other => [("of".to_owned(), other)].into_iter().collect(),
    };
    members.extend(more.map(|(key, value)| (key.to_owned(), value)));
    members.insert("words".to_owned(), json!(words));
    members.insert("advice".to_owned(), json!(advice));
    Value::Object(members)
}
