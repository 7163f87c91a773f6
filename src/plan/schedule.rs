//! Reads `[[triggers]]` and `[[windows]]`.

use toml::de::DeValue;

use super::model::{Arm, Metric, Trigger, TriggerComparison, TriggerMode, WindowPlan};
use super::problem::{find_nearest, format_alternatives};
use super::reader::{Field, TableReader};
use super::sections::read_positive_duration;
use crate::base::sanitise::quoted_name;

/// How long a person has to hold a trigger that fired when the plan does not say, ms.
const COUNTDOWN_MS: u64 = 60_000;

const METRICS: &[(&str, Metric)] = &[
    ("lag", Metric::Lag),
    ("time_lag", Metric::TimeLag),
    ("error_rate", Metric::ErrorRate),
    ("p99", Metric::P99),
    ("dlq_growth", Metric::DlqGrowth),
];
/// Days of the week as a plan writes them, 1 Monday to 7 Sunday.
pub(super) const DAYS: &[(&str, u8)] =
    &[("Mon", 1), ("Tue", 2), ("Wed", 3), ("Thu", 4), ("Fri", 5), ("Sat", 6), ("Sun", 7)];

pub(super) fn read_trigger(mut t: TableReader<'_>) -> Trigger {
    let name = t.required_name("name", "name = \"green-lag\"").unwrap_or_default();
    let when = match t.get("when") {
        Some(field) => read_condition(&field),
        None => {
            t.report_missing("when", "when = \"lag > 10000\"");
            None
        }
    };
    let (metric, comparison, value) = when.unwrap_or((Metric::Lag, TriggerComparison::Above, 0.0));
    if !t.has("for") {
        t.report_missing("for", "for = \"15m\"");
    }
    if !t.has("mode") {
        t.report_missing("mode", "mode = \"sustained\" (every sample) or \"any\" (one sample is enough)");
    }
    let for_ms = read_positive_duration(&mut t, "for").unwrap_or(1);
    let mode = t.get("mode").and_then(|f| f.word(&[("any", TriggerMode::Any), ("sustained", TriggerMode::Sustained)]));
    let arm = t.get("arm").and_then(|f| f.word(&[("shadow", Arm::Shadow), ("armed", Arm::Armed)]));
    let countdown_ms = t.duration("countdown").unwrap_or(COUNTDOWN_MS);
    t.report_unknown_keys();
    Trigger {
        name,
        metric,
        comparison,
        value,
        for_ms,
        mode: mode.unwrap_or(TriggerMode::Sustained),
        // Nothing is rolled back that nobody armed: without a word a trigger only says what it would do.
        arm: arm.unwrap_or(Arm::Shadow),
        countdown_ms,
    }
}

/// `lag > 10000`: one named metric, one comparison, one number.
fn read_condition(field: &Field<'_>) -> Option<(Metric, TriggerComparison, f64)> {
    let text = field.name()?;
    let hint = Some("write one metric, one comparison and one number, such as \"lag > 10000\"".to_owned());
    let Some(at) = text.find(['<', '>', '=', '!']) else {
        field.error(format!("{text} is not a condition", text = quoted_name(&text)), hint);
        return None;
    };
    let (metric, rest) = text.split_at(at);
    let metric = metric.trim();
    let Some((_, metric)) = METRICS.iter().find(|(word, _)| *word == metric) else {
        let words = METRICS.iter().map(|(w, _)| *w);
        let near = find_nearest(metric, words).map(|w| format!("did you mean {w:?}?"));
        let known: Vec<&str> = METRICS.iter().map(|(w, _)| *w).collect();
        field.error(
            format!("{metric} is not a metric (known: {})", format_alternatives(&known), metric = quoted_name(metric)),
            near.or(hint),
        );
        return None;
    };
    // The longer ones first: `>` is the beginning of `>=`.
    let comparisons = [
        (">=", TriggerComparison::AtLeast),
        ("<=", TriggerComparison::AtMost),
        (">", TriggerComparison::Above),
        ("<", TriggerComparison::Below),
    ];
    let parsed = comparisons.iter().find_map(|(word, c)| rest.strip_prefix(word).map(|n| (*c, n.trim())));
    let Some((comparison, number)) = parsed else {
        field.error(format!("{text}: the comparison must be one of >, >=, <, <=", text = quoted_name(&text)), hint);
        return None;
    };
    // `10_000`, as TOML writes numbers.
    match number.replace('_', "").parse::<f64>() {
        Ok(n) if n.is_finite() && n >= 0.0 => Some((*metric, comparison, n)),
        _ => {
            field.error(
                format!("{number} is not a number that {metric} can be compared with", number = quoted_name(number)),
                hint,
            );
            None
        }
    }
}

pub(super) fn read_window(mut t: TableReader<'_>) -> WindowPlan {
    let name = t.required_name("name", "name = \"sunday-night\"").unwrap_or_default();
    let mut days = Vec::new();
    match t.get("days") {
        Some(field) => {
            let items = field.items("a list of days such as [\"Sat\", \"Sun\"]", false).unwrap_or_default();
            if items.is_empty() && matches!(field.value, DeValue::Array(_)) {
                field.error("\"days\" must not be empty", Some("write days = [\"Sun\"]".to_owned()));
            }
            days.extend(items.iter().filter_map(|item| item.word(DAYS)));
        }
        None => t.report_missing("days", "days = [\"Sun\"]"),
    }
    days.sort_unstable();
    days.dedup();
    let (from, to) = (read_time_of_day(&mut t, "from", "02:00"), read_time_of_day(&mut t, "to", "04:00"));
    // It would be open for a whole day, and whoever looks for an open window counts on less.
    if let (Some(from), Some(to), Some(field)) = (from, to, t.get("to"))
        && from == to
    {
        field.error("the window opens and closes at the same time", None);
    }
    let zone = match t.get("zone") {
        Some(field) => field.name().unwrap_or_default(),
        None => {
            t.report_missing("zone", "zone = \"UTC\" or a name such as \"America/New_York\"");
            String::new()
        }
    };
    t.report_unknown_keys();
    WindowPlan { name, days, from_minute: from.unwrap_or(0), to_minute: to.unwrap_or(0), zone }
}

/// `HH:MM` as minutes after midnight.
fn read_time_of_day(t: &mut TableReader<'_>, key: &'static str, example: &str) -> Option<u16> {
    let Some(field) = t.get(key) else {
        t.report_missing(key, &format!("{key} = \"{example}\""));
        return None;
    };
    // TOML's own local time `02:00:00`, without quotes, is as clear
    if let DeValue::Datetime(toml::value::Datetime { date: None, time: Some(time), offset: None }) = field.value {
        return Some(u16::from(time.hour) * 60 + u16::from(time.minute));
    }
    let text = field.name()?;
    let two =
        |s: &str| (s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse::<u16>().ok()).flatten();
    let parsed = text.split_once(':').and_then(|(h, m)| Some((two(h)?, two(m)?)));
    match parsed {
        Some((h, m)) if h < 24 && m < 60 => Some(h * 60 + m),
        Some((24, 0)) => {
            field.error("\"24:00\" is \"00:00\" of the next day", Some("write \"00:00\"".to_owned()));
            None
        }
        _ => {
            field.error(
                format!("{text} is not a time of day", text = quoted_name(&text)),
                Some(format!("write HH:MM, such as \"{example}\"")),
            );
            None
        }
    }
}
