//! Reads `switch = { provider = ... }` and `flag = { provider = ... }`.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::DeValue;

use super::problem::{find_nearest, format_alternatives};
use super::provider::{COMMAND_TIMEOUT_MS, ProviderPlan, SetCommand, SettingKind, find_placeholders};
use super::reader::{Field, TableReader};
use crate::base::sanitise::quoted_name;

#[derive(Clone, Copy)]
enum ProviderKind {
    File,
    Command,
    Manual,
}

pub(super) fn read_provider(mut t: TableReader<'_>, of: SettingKind, base: &Path) -> Option<ProviderPlan> {
    let Some(field) = t.get("provider") else {
        t.report_missing("provider", "provider = \"file\", \"command\" or \"manual\"");
        return None;
    };
    let kind = field.word(&[
        ("file", ProviderKind::File),
        ("command", ProviderKind::Command),
        ("manual", ProviderKind::Manual),
    ])?;
    let provider = match kind {
        ProviderKind::File => {
            let path = t.required_name("path", "path = \"flags.json\"");
            let key = t.required_name("key", "key = \"FLAG-KEY\"");
            let states = read_states(&mut t, of);
            let comments = t.get("comments").and_then(|f| f.boolean()).unwrap_or(false);
            path.zip(key).map(|(path, key)| ProviderPlan::File { path: base.join(path), key, states, comments })
        }
        ProviderKind::Command => read_command(&mut t, of, base),
        ProviderKind::Manual => {
            let ask = t.get("ask");
            let text = ask.as_ref().and_then(Field::string);
            if let (Some(field), Some(text)) = (&ask, &text) {
                check_placeholders(field, text, of, true);
            }
            Some(ProviderPlan::Manual { ask: text })
        }
    };
    t.report_unknown_keys();
    provider
}

fn read_command(t: &mut TableReader<'_>, of: SettingKind, base: &Path) -> Option<ProviderPlan> {
    let get = match t.get("get") {
        Some(field) => read_argv(&field, of, false),
        None => {
            t.report_missing("get", "get = [\"PROGRAM\", \"ARGUMENT\"]: it prints the state as one word");
            None
        }
    };
    let set = match t.get("set") {
        Some(field) => match field.value {
            DeValue::Table(_) => read_set_commands(&field, of),
            _ => read_argv(&field, of, true).map(|argv| {
                let uses = |name: &str| argv.iter().any(|a| find_placeholders(a).contains(&name));
                if !uses("state") && !uses("value") && !uses("side") {
                    field.error(
                        "\"set\" does the same for every state",
                        Some("use {state} in it, or write set = { blue = [...], off = [...] }".to_owned()),
                    );
                }
                SetCommand::Any(argv)
            }),
        },
        None => {
            t.report_missing("set", "set = [\"PROGRAM\", \"{state}\"]");
            None
        }
    };
    let key = t.name("key");
    let states = read_states(t, of);
    let timeout = t.get("timeout");
    let timeout_ms = timeout.as_ref().and_then(Field::duration).unwrap_or(COMMAND_TIMEOUT_MS);
    if let Some(field) = timeout
        && !(100..=600_000).contains(&timeout_ms)
    {
        field.error("\"timeout\" must be from 100ms to 10m", None);
    }
    // What is missing ends it here, after all the other keys were looked at.
    Some(ProviderPlan::Command { get: get?, set: set?, key, states, timeout_ms, dir: base.to_owned() })
}

fn read_set_commands(field: &Field<'_>, of: SettingKind) -> Option<SetCommand> {
    let mut by_state = BTreeMap::new();
    for (state, field) in field.table()?.all() {
        if check_state(&state, &field, of)
            && let Some(argv) = read_argv(&field, of, true)
        {
            by_state.insert(state, argv);
        }
    }
    // without `off` nothing can be drained, and without a side nothing started again
    for needed in ["blue", "green", "off"] {
        if !field.table()?.has(needed) {
            field.error(
                format!("\"set\" has no command for {needed}"),
                Some(format!("add {needed} = [\"PROGRAM\", ...]")),
            );
        }
    }
    Some(SetCommand::Each(by_state))
}

/// A program and its arguments; no shell reads them.
fn read_argv(field: &Field<'_>, of: SettingKind, setting: bool) -> Option<Vec<String>> {
    read_argv_checked(field, &|item, arg| check_placeholders(item, arg, of, setting))
}

/// The same with a check of each of its words.
pub(super) fn read_argv_checked(field: &Field<'_>, check: &dyn Fn(&Field<'_>, &str)) -> Option<Vec<String>> {
    if let DeValue::String(_) = field.value {
        let words = field.string()?;
        let parts: Vec<String> = words.split_whitespace().map(quoted_name).collect();
        let suggestion = if parts.len() <= 12 { Some(format!("write [{}]", parts.join(", "))) } else { None };
        field.error("a command is a list of the program and its arguments: no shell reads it", suggestion);
        return None;
    }
    let items = field.items("a list of the program and its arguments", false)?;
    let args: Vec<String> = items.iter().filter_map(Field::string).collect();
    for (item, arg) in items.iter().zip(&args) {
        check(item, arg);
    }
    // One of them is no text, and was told so where it stands.
    if args.len() < items.len() {
        return None;
    }
    if args.first().is_none_or(|program| program.trim().is_empty()) {
        field.error("a command needs a program", Some("write [\"PROGRAM\", \"ARGUMENT\"]".to_owned()));
        return None;
    }
    Some(args)
}

fn check_placeholders(field: &Field<'_>, text: &str, of: SettingKind, setting: bool) {
    for word in find_placeholders(text) {
        if !check_placeholder(field, word, of.placeholders()) {
            continue;
        }
        if !setting && matches!(word, "state" | "value" | "side") {
            field.error(
                format!("{{{word}}} has no value in \"get\": it is what get finds out"),
                Some("print the state as one word".to_owned()),
            );
        }
    }
}

/// Whether a placeholder is one of those known here; if not it is said.
pub(super) fn check_placeholder(field: &Field<'_>, word: &str, known: &[&str]) -> bool {
    if known.contains(&word) {
        return true;
    }
    let near = find_nearest(word, known.iter().copied()).map(|w| format!("did you mean {{{w}}}?"));
    let list: Vec<String> = known.iter().map(|w| format!("{{{w}}}")).collect();
    let all = format!("known here: {}", list.join(" "));
    field.error(format!("unknown placeholder {{{word}}}"), Some(near.unwrap_or(all)));
    false
}

fn check_state(state: &str, field: &Field<'_>, of: SettingKind) -> bool {
    let known = of.states();
    if known.contains(&state) {
        return true;
    }
    let near = find_nearest(state, known.iter().copied()).map(|w| format!("did you mean {w:?}?"));
    field.error(format!("{} is not a state (known: {})", quoted_name(state), format_alternatives(known)), near);
    false
}

fn read_states(t: &mut TableReader<'_>, of: SettingKind) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    let Some(table) = t.table("states") else { return out };
    for (state, field) in table.all() {
        if !check_state(&state, &field, of) {
            continue;
        }
        let Some(word) = field.name() else { continue };
        let word = word.trim().to_owned();
        if let Some((other, _)) = out.iter().find(|(_, w)| **w == word) {
            field.error(
                format!("{word} already stands for {other}", word = quoted_name(&word)),
                Some("give each state its own word".to_owned()),
            );
        }
        out.insert(state, word);
    }
    out
}
