//! The ids that records carry, for people and for scripts.

use serde_json::{Value, json};

use super::{SHOWN, count_of, write_left, write_words};
use crate::base::Sides;
use crate::schemas::{IdReading, RecordIdFinding, RecordLook, RecordShare, SchemaSeverity, SchemaSurvey};

/// How much was read of each cluster, what was found of the ids that differ, and how many read the same.
pub(super) fn write_record_ids(out: &mut String, survey: &SchemaSurvey) {
    for (side, look) in survey.looks.iter() {
        let words = match look {
            RecordLook::NotLooked(why) => format!("{side}: which ids its records carry was not looked at: {why}."),
            RecordLook::Unknown(why) => {
                format!("{side}: UNKNOWN which ids its records carry: {}. {}", why.what, why.advice)
            }
            RecordLook::Read(ids) => describe_share(&side.to_string(), &ids.share, ids.ids.len()),
        };
        write_words(out, "", 2, words.trim_end());
    }
    let same = |f: &&RecordIdFinding| f.reading == IdReading::Same;
    let told: Vec<&RecordIdFinding> = survey.record_ids.iter().filter(|f| !same(f)).collect();
    for finding in told.iter().take(SHOWN) {
        let mark = match finding.severity_of() {
            SchemaSeverity::Grave => "GRAVE: ",
            SchemaSeverity::Differs => "DIFFERS: ",
            SchemaSeverity::Unknown => "UNKNOWN: ",
            SchemaSeverity::Note => "",
        };
        write_words(out, "  - ", 4, &format!("{mark}{}", finding.describe_finding()));
    }
    write_left(out, told.len().saturating_sub(SHOWN));
    let count = survey.record_ids.iter().filter(same).count();
    if count > 0 {
        let records: u64 = survey.record_ids.iter().filter(same).map(RecordIdFinding::count_records).sum();
        write_words(out, "  - ", 4, &format!("{count} of these ids read the same on both ({records} keys and values)"));
    }
}

fn describe_share(side: &str, share: &RecordShare, ids: usize) -> String {
    let RecordShare { topics, held, read, records, unframed, in_headers, uncounted, left_out } = share;
    let part = match (share.is_whole(), *held) {
        (true, _) => format!("all {records} records"),
        (false, 0) => format!("{records} records"),
        (false, held) => {
            let percent = *read as f64 * 100.0 / held as f64;
            format!(
                "{records} records, {percent:.1}% of what its logs hold (the oldest and the newest of each partition)"
            )
        }
    };
    let mut words = format!(
        "{side}: {part} of {} were read: {} in front of keys and values, {unframed} keys and values without.",
        count_of(*topics, "topic"),
        count_of(ids, "id")
    );
    if *in_headers > 0 {
        words += &format!(" {in_headers} carry an id in a header: that is not looked up.");
    }
    if *uncounted > 0 {
        words += &format!(" {uncounted} more carry too many different ids to be counted.");
    }
    if let Some(first) = left_out.first() {
        words += &format!(" Not read: {first}");
        words += &if left_out.len() > 1 { format!(" (and {} more).", left_out.len() - 1) } else { ".".to_owned() };
    }
    words
}

/// The same as JSON (docs/json.md).
pub(super) fn record_ids_to_json(survey: &SchemaSurvey) -> Value {
    let look = |look: &RecordLook| match look {
        RecordLook::NotLooked(why) => json!({ "looked": false, "why": why }),
        RecordLook::Unknown(why) => json!({ "looked": null, "why": why }),
        RecordLook::Read(ids) => {
            let mut share = json!(ids.share);
            if let Some(share) = share.as_object_mut() {
                share.insert("looked".to_owned(), json!(true));
                share.insert("all".to_owned(), json!(ids.share.is_whole()));
            }
            share
        }
    };
    let Sides { blue, green } = survey.looks.as_ref().map(look);
    let ids = survey.record_ids.iter().map(|f| {
        let mut found = json!(f);
        if let Some(found) = found.as_object_mut() {
            found.insert("severity".to_owned(), json!(f.severity_of()));
            found.insert("words".to_owned(), json!(f.describe_finding()));
        }
        found
    });
    json!({ "blue": blue, "green": green, "ids": ids.collect::<Vec<Value>>() })
}
