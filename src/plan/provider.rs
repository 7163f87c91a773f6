//! Switches and flags as the plan names them: which provider, and what its words are. `flags` carries them out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::model::Plan;
use crate::base::redact;
use crate::base::redact::HIDDEN;
use crate::base::sanitise::{is_legible, visible_name, visible_path, visible_text};
use crate::migration::facts::command::shell_word;

/// How long one command of a provider may take when the plan does not say, ms.
pub(crate) const COMMAND_TIMEOUT_MS: u64 = 30_000;

/// Where the state of a switch or flag is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
pub enum ProviderPlan {
    /// A flagd-format JSON file.
    File {
        /// The file.
        path: PathBuf,
        /// The flag's key in it.
        key: String,
        /// The file's variant for each of our states, where they differ.
        states: BTreeMap<String, String>,
        /// Something else than flagd reads it, which knows comments and trailing commas.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        comments: bool,
    },
    /// Two commands.
    Command {
        /// Prints the state as one word.
        get: Vec<String>,
        /// Sets the state.
        set: SetCommand,
        /// Value of `{key}`.
        key: Option<String>,
        /// The commands' word for each of our states, where they differ.
        states: BTreeMap<String, String>,
        /// Bound of one command, ms.
        timeout_ms: u64,
        /// Where the commands run: the plan's directory.
        dir: PathBuf,
    },
    /// A person.
    Manual {
        /// What to tell them, with placeholders.
        ask: Option<String>,
    },
}

/// The command that sets a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SetCommand {
    /// One command for every state.
    Any(Vec<String>),
    /// One for each state.
    Each(BTreeMap<String, Vec<String>>),
}

impl SetCommand {
    /// The arguments that set a state; `None` when the plan names none for it.
    #[must_use]
    pub(crate) fn argv(&self, state: &str) -> Option<&[String]> {
        match self {
            SetCommand::Any(argv) => Some(argv),
            SetCommand::Each(by_state) => by_state.get(state).map(Vec::as_slice),
        }
    }
}

/// Whether a provider belongs to a group's switch or a producer's flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SettingKind {
    /// A consumer group's switch.
    Group,
    /// A producer's flag.
    Producer,
}

impl SettingKind {
    /// The states it may have, in our words.
    #[must_use]
    pub fn states(self) -> &'static [&'static str] {
        match self {
            SettingKind::Group => &["blue", "green", "both", "off"],
            SettingKind::Producer => &["blue", "dual", "green", "off"],
        }
    }

    /// The placeholders that its commands may use.
    #[must_use]
    pub(crate) fn placeholders(self) -> &'static [&'static str] {
        match self {
            SettingKind::Group => {
                &["state", "value", "side", "key", "group", "green_group", "team", "migration", "blue", "green"]
            }
            SettingKind::Producer => {
                &["state", "value", "side", "key", "producer", "team", "migration", "blue", "green"]
            }
        }
    }
}

/// What placeholders stand for, for one group or producer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PlaceholderValues {
    /// Switch or flag.
    pub of: SettingKind,
    /// Group id or producer name.
    pub name: String,
    /// Group id on green (groups only).
    pub green_group: String,
    /// Owning team.
    pub team: String,
    /// Name of the migration.
    pub migration: String,
    /// Blue's bootstrap addresses, `a:9092,b:9092`.
    pub blue: String,
    /// Green's.
    pub green: String,
}

impl PlaceholderValues {
    /// The names of a group; those of an unknown one carry only its id.
    #[must_use]
    pub(crate) fn for_group(plan: &Plan, name: &str) -> Self {
        let group = plan.group(name);
        let green_group = group.map_or_else(|| name.to_owned(), |g| g.green_group.clone());
        Self::new(plan, SettingKind::Group, name, green_group, group.map_or("", |g| &g.team))
    }

    /// The names of a producer.
    #[must_use]
    pub(crate) fn for_producer(plan: &Plan, name: &str) -> Self {
        Self::new(plan, SettingKind::Producer, name, String::new(), plan.producer(name).map_or("", |p| &p.team))
    }

    fn new(plan: &Plan, of: SettingKind, name: &str, green_group: String, team: &str) -> Self {
        Self {
            of,
            name: name.to_owned(),
            green_group,
            team: team.to_owned(),
            migration: plan.name.clone(),
            blue: plan.clusters.blue.bootstrap.join(","),
            green: plan.clusters.green.bootstrap.join(","),
        }
    }
}

impl ProviderPlan {
    /// The outside word for one of our states.
    #[must_use]
    pub(crate) fn outside_word<'a>(&'a self, state: &'a str) -> &'a str {
        match self {
            ProviderPlan::File { states, .. } | ProviderPlan::Command { states, .. } => {
                states.get(state).map_or(state, String::as_str)
            }
            ProviderPlan::Manual { .. } => state,
        }
    }

    /// Our state for an outside word; the word itself where the plan maps nothing to it.
    #[must_use]
    pub(crate) fn own_state<'a>(&'a self, word: &'a str) -> Option<&'a str> {
        let (ProviderPlan::File { states, .. } | ProviderPlan::Command { states, .. }) = self else {
            return Some(word);
        };
        match states.iter().find(|(_, outside)| *outside == word) {
            Some((ours, _)) => Some(ours),
            // a mapped state has one spelling only: its own name outside would be ambiguous
            None if states.contains_key(word) => None,
            None => Some(word),
        }
    }

    /// `argv` with its placeholders replaced. `state` is one of ours; in a `get` there is none.
    #[must_use]
    pub(crate) fn fill_arguments(
        &self,
        argv: &[String],
        names: &PlaceholderValues,
        state: Option<&str>,
    ) -> Vec<String> {
        argv.iter().map(|arg| expand_placeholders(arg, |word| self.placeholder_value(word, names, state))).collect()
    }

    fn placeholder_value(&self, word: &str, names: &PlaceholderValues, state: Option<&str>) -> Option<String> {
        let own_key = match self {
            ProviderPlan::File { key, .. } => Some(key.clone()),
            ProviderPlan::Command { key, .. } => key.clone(),
            ProviderPlan::Manual { .. } => None,
        };
        match word {
            "state" => state.map(str::to_owned),
            "value" => state.map(|s| self.outside_word(s).to_owned()),
            // One word for switches and flags alike: a flag's `dual` is a switch's `both`.
            "side" => state.map(|s| if s == "dual" { "both" } else { s }.to_owned()),
            "key" => own_key,
            "group" | "producer" => Some(names.name.clone()),
            "green_group" => Some(names.green_group.clone()),
            "team" => Some(names.team.clone()),
            "migration" => Some(names.migration.clone()),
            "blue" => Some(names.blue.clone()),
            "green" => Some(names.green.clone()),
            _ => None,
        }
    }

    /// What setting a state does, in words for a dialog: the command line (what looks like a secret hidden), the file
    /// and key, or what a person is asked to do. Made visible.
    #[must_use]
    pub(crate) fn describe_setting(&self, names: &PlaceholderValues, state: &str) -> String {
        let text = match self {
            ProviderPlan::File { path, key, .. } => {
                format!(
                    "set {} to {} in {}",
                    visible_name(key),
                    visible_name(self.outside_word(state)),
                    visible_path(path)
                )
            }
            ProviderPlan::Command { set, .. } => match set.argv(state) {
                Some(argv) => command_line(&self.fill_arguments(argv, names, Some(state))),
                None => format!("no command in the plan for {state}"),
            },
            ProviderPlan::Manual { ask: Some(ask) } => expand_placeholders(ask, |word| {
                self.placeholder_value(word, names, Some(state)).map(|name| visible_name(&name))
            }),
            ProviderPlan::Manual { ask: None } => describe_manual_setting(names, state),
        };
        visible_text(&text)
    }
}

fn describe_manual_setting(names: &PlaceholderValues, state: &str) -> String {
    let name = visible_name(&names.name);
    let who = if names.team.is_empty() { String::new() } else { format!(" (team {})", visible_name(&names.team)) };
    match (names.of, state) {
        (_, "off") => format!("by hand: stop {name}{who}"),
        (SettingKind::Group, "both") => format!("by hand: run {name}{who} on both clusters"),
        (SettingKind::Group, side) => format!("by hand: run {name}{who} on {side} only"),
        (SettingKind::Producer, "dual") => format!("by hand: let {name}{who} send to both clusters"),
        (SettingKind::Producer, side) => format!("by hand: let {name}{who} send to {side} only"),
    }
}

/// The placeholders in a text. `{word}` is one when it is lower-case letters and underscores; everything else in
/// braces is literal, so that `jsonpath={.spec.replicas}` and `{{.metadata.name}}` need no escapes, and neither
/// does jsonpath's `{end}`.
pub(crate) fn find_placeholders(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    scan_placeholders(text, |_| {}, |word| found.push(word));
    found
}

/// A text with its placeholders replaced; one without a value stays as it is.
pub(super) fn expand_placeholders(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let out = std::cell::RefCell::new(String::with_capacity(text.len()));
    scan_placeholders(
        text,
        |literal| out.borrow_mut().push_str(literal),
        |word| match value(word) {
            Some(v) => out.borrow_mut().push_str(&v),
            None => out.borrow_mut().push_str(&format!("{{{word}}}")),
        },
    );
    out.into_inner()
}

fn scan_placeholders<'a>(text: &'a str, mut literal: impl FnMut(&'a str), mut placeholder: impl FnMut(&'a str)) {
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        literal(before);
        // Doubled braces are another program's template (Go, Jinja): a single one begins ours.
        let run = from.bytes().take_while(|b| *b == b'{').count();
        let word_end = from[run..].find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(from.len() - run);
        let word = &from[run..run + word_end];
        if run == 1 && !word.is_empty() && word != "end" && from[run + word_end..].starts_with('}') {
            placeholder(word);
            rest = &from[run + word_end + 1..];
        } else {
            literal(&from[..run + word_end]);
            rest = &from[run + word_end..];
        }
    }
    literal(rest);
}

/// A command line one could paste into a shell, with what looks like a secret, and every known one, hidden.
#[must_use]
pub(crate) fn command_line(argv: &[String]) -> String {
    let mut before = "";
    let mut out = Vec::with_capacity(argv.len());
    for arg in argv {
        let named = before.starts_with('-') && !before.contains('=') && redact::looks_secret(before);
        // curl's way to give a name and a password
        let user = matches!(before, "-u" | "-U" | "--user" | "--proxy-user") && arg.contains(':');
        out.push(quote_argument(&if named || user { HIDDEN.to_owned() } else { hide_credentials(arg) }));
        before = arg;
    }
    out.join(" ")
}

/// Hides `--password=...` and what else holds a credential.
fn hide_credentials(arg: &str) -> String {
    if let Some((name, value)) = arg.split_once('=')
        && redact::looks_secret(name)
        && !value.is_empty()
    {
        return format!("{name}={HIDDEN}");
    }
    // Of an argument that is a header, all that follows: no text is destroyed here, and a scheme may be anything.
    const HEADER: &str = "authorization:";
    if let Some(at) = arg.as_bytes().windows(HEADER.len()).position(|b| b.eq_ignore_ascii_case(HEADER.as_bytes())) {
        return format!("{} {HIDDEN}", redact::hide_secrets(&arg[..at + HEADER.len()]));
    }
    redact::hide_secrets(arg)
}

fn quote_argument(arg: &str) -> String {
    if !is_legible(arg) {
        return shell_word(arg); // what can't be told by looking at it can be pasted all the same
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+()".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) && !arg.starts_with('(') {
        arg.to_owned()
    } else {
        format!("'{}'", arg.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: SettingKind) -> PlaceholderValues {
        PlaceholderValues {
            of,
            name: "loan-audit".to_owned(),
            green_group: "loan-audit-2".to_owned(),
            team: "loans".to_owned(),
            migration: "psc".to_owned(),
            blue: "blue-1:9092".to_owned(),
            green: "green-1:9092".to_owned(),
        }
    }

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn only_bare_words_in_single_braces_are_placeholders() {
        assert_eq!(find_placeholders("deploy/{group}-{state}"), ["group", "state"]);
        assert!(
            find_placeholders("{.spec.replicas} {{.metadata.name}} {{end}} {end} {range .x[*]} {a b} { {} }{")
                .is_empty()
        );
        assert_eq!(find_placeholders("{{state}} {sate} {über}"), ["sate"]);
    }

    #[test]
    fn fill_replaces_once_and_never_again() {
        let p = ProviderPlan::Command {
            get: vec![],
            set: SetCommand::Any(vec![]),
            key: Some("{state}".to_owned()),
            states: [("blue".to_owned(), "legacy".to_owned())].into(),
            timeout_ms: 1,
            dir: PathBuf::new(),
        };
        let filled = p.fill_arguments(
            &argv(&["{state}/{value}/{key}/{group}", "{.x}{{state}}"]),
            &names(SettingKind::Group),
            Some("blue"),
        );
        assert_eq!(filled, ["blue/legacy/{state}/loan-audit", "{.x}{{state}}"]);
        assert_eq!(p.own_state("legacy"), Some("blue"));
        assert_eq!(p.own_state("blue"), None, "a mapped state has one spelling");
        assert_eq!(p.own_state("green"), Some("green"));
    }

    #[test]
    fn words_hide_what_looks_secret_and_what_drives_a_terminal() {
        let line = command_line(&argv(&[
            "curl",
            "--token",
            "s3cr3t",
            "--password=s3cr3t",
            "-H",
            "Authorization: Bearer s3cr3t",
            "https://u:s3cr3t@host/x",
            "it's",
            "",
        ]));
        assert!(!line.contains("s3cr3t"), "{line}");
        assert!(line.contains("https://(hidden)@host/x"), "{line}");
        assert!(line.ends_with(r"'it'\''s' ''"), "{line}");
        let manual = ProviderPlan::Manual { ask: Some("call \u{1b}[31m{team} for {group}: {state}".to_owned()) };
        assert_eq!(manual.describe_setting(&names(SettingKind::Group), "off"), "call ␛[31mloans for loan-audit: off");
    }
}
