//! Reads typed values out of a spanned TOML tree, and remembers every problem with its place.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{PlanError, ProblemSeverity, find_nearest, format_alternatives};
use super::{duration, size};
use crate::base::redact;
use crate::base::sanitise::{is_inert, visible_name, visible_text};

/// At most this many findings are kept: a hostile file must not fill the memory or the screen.
const MAX_FINDINGS: usize = 200;

/// Where everything of a plan file is, by path (`groups[2].switch.get`): byte ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    file: String,
    lines: Vec<usize>,
    text: String,
    spans: BTreeMap<String, Range<usize>>,
}

impl Places {
    pub(super) fn new(file: String, text: String) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        Self { file, lines, text, spans: BTreeMap::new() }
    }

    /// Line and column of a byte offset, both from 1, the column in characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        (line, self.text[start..offset].chars().count() + 1)
    }

    pub(super) fn finding(
        &self,
        span: Option<Range<usize>>,
        severity: ProblemSeverity,
        message: String,
        suggestion: Option<String>,
    ) -> PlanError {
        let (line, column) = span.map_or((0, 0), |s| self.position(s.start));
        // what stands in the wrong place of a plan may be a secret
        let (message, suggestion) = (redact::hide_secrets(&message), suggestion.map(|s| redact::hide_secrets(&s)));
        PlanError { file: self.file.clone(), line, column, severity, message, suggestion }
    }

    /// The span of a path, or of its nearest parent that has one.
    fn span(&self, path: &str) -> Option<Range<usize>> {
        let mut path = path;
        loop {
            if let Some(span) = self.spans.get(path) {
                return Some(span.clone());
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// An error about the value at a path such as `clusters.blue.client.sasl.password`, for checks that other
    /// rooms make (unknown client properties, say). A path that is not in the file points at its nearest parent.
    #[must_use]
    pub fn error(&self, path: &str, message: impl Into<String>, suggestion: Option<String>) -> PlanError {
        self.finding(self.span(path), ProblemSeverity::Error, message.into(), suggestion)
    }

    /// As [`Places::error`], a warning.
    #[must_use]
    pub fn warning(&self, path: &str, message: impl Into<String>, suggestion: Option<String>) -> PlanError {
        self.finding(self.span(path), ProblemSeverity::Warning, message.into(), suggestion)
    }
}

/// Findings so far, and the places of everything read.
pub(super) struct Report {
    places: RefCell<Places>,
    findings: RefCell<Vec<PlanError>>,
    /// Every key that was asked for: the documentation must name them all.
    #[cfg(test)]
    pub(super) known: RefCell<std::collections::BTreeSet<&'static str>>,
}

impl Report {
    pub(super) fn new(places: Places) -> Self {
        Self {
            places: RefCell::new(places),
            findings: RefCell::new(Vec::new()),
            #[cfg(test)]
            known: RefCell::default(),
        }
    }

    pub(super) fn at_span(
        &self,
        span: Range<usize>,
        severity: ProblemSeverity,
        message: String,
        suggestion: Option<String>,
    ) {
        let finding = self.places.borrow().finding(Some(span), severity, message, suggestion);
        self.push(finding);
    }

    /// What is written at a place of the file.
    fn source(&self, span: Range<usize>) -> Option<String> {
        self.places.borrow().text.get(span).map(str::to_owned)
    }

    pub(super) fn error(&self, path: &str, message: impl Into<String>, suggestion: Option<String>) {
        let finding = self.places.borrow().error(path, message, suggestion);
        self.push(finding);
    }

    pub(super) fn warning(&self, path: &str, message: impl Into<String>, suggestion: Option<String>) {
        let finding = self.places.borrow().warning(path, message, suggestion);
        self.push(finding);
    }

    fn push(&self, finding: PlanError) {
        let mut findings = self.findings.borrow_mut();
        match findings.len() {
            n if n < MAX_FINDINGS => findings.push(finding),
            MAX_FINDINGS => findings.push(PlanError {
                message: "and more: fix these first".to_owned(),
                suggestion: None,
                ..finding
            }),
            _ => {}
        }
    }

    /// The line of a path.
    pub(super) fn line_of(&self, path: &str) -> usize {
        let places = self.places.borrow();
        places.span(path).map_or(0, |span| places.position(span.start).0)
    }

    /// Whether the file has this very path.
    pub(super) fn has_path(&self, path: &str) -> bool {
        self.places.borrow().spans.contains_key(path)
    }

    fn note_place(&self, path: &str, span: Range<usize>) {
        self.places.borrow_mut().spans.insert(path.to_owned(), span);
    }

    /// Everything found, in the order of the file, and the places.
    pub(super) fn into_parts(self) -> (Vec<PlanError>, Places) {
        let mut findings = self.findings.into_inner();
        // what stands under a public name may be said to be a secret further down
        for finding in &mut findings {
            finding.message = redact::hide_secrets(&finding.message);
            finding.suggestion = finding.suggestion.as_deref().map(redact::hide_secrets);
        }
        findings.sort_by_key(|f| (f.line, f.column, f.severity));
        findings.dedup();
        (findings, self.places.into_inner())
    }
}

/// A value with its path and place.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub(super) value: &'a DeValue<'a>,
    pub(super) path: String,
    /// What errors call it: its key.
    pub(super) label: String,
    pub(super) span: Range<usize>,
    report: &'a Report,
}

/// What a value is, for "expected X, found Y".
fn describe_value(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(s) if s.chars().count() > 40 => "a long text".to_owned(),
        DeValue::String(s) => format!("the text {}", quoted_name(s)),
        DeValue::Integer(i) => format!("the number {}", shorten_number(i.as_str())),
        DeValue::Float(f) => format!("the number {}", shorten_number(f.as_str())),
        DeValue::Boolean(b) => b.to_string(),
        DeValue::Datetime(_) => "a date or time without quotes".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn shorten_number(text: &str) -> String {
    if text.len() > 30 { format!("{}...", text.chars().take(27).collect::<String>()) } else { text.to_owned() }
}

/// `groups[3]` as people write it, `[[groups]]`; `groups[3].switch` as `[groups.switch]`.
fn format_heading(path: &str) -> String {
    let mut out = String::new();
    for part in path.split(']') {
        out.push_str(part.split('[').next().unwrap_or_default());
    }
    if path.ends_with(']') { format!("[[{out}]]") } else { format!("[{out}]") }
}

pub(super) use crate::base::sanitise::quoted_name;

impl<'a> Field<'a> {
    pub(super) fn error(&self, message: impl Into<String>, suggestion: Option<String>) {
        self.report.at_span(self.span.clone(), ProblemSeverity::Error, message.into(), suggestion);
    }

    pub(super) fn warning(&self, message: impl Into<String>, suggestion: Option<String>) {
        self.report.at_span(self.span.clone(), ProblemSeverity::Warning, message.into(), suggestion);
    }

    fn report_expected(&self, what: &str, suggestion: Option<String>) {
        self.error(format!("\"{}\" must be {what}, found {}", self.label, describe_value(self.value)), suggestion);
    }

    pub(super) fn string(&self) -> Option<String> {
        match self.value {
            DeValue::String(s) if s.contains('\0') => {
                self.error(format!("\"{}\" holds a NUL character", self.label), None);
                None
            }
            DeValue::String(s) => Some(s.to_string()),
            DeValue::Array(a) if a.len() == 1 => {
                self.report_expected("a text", Some("write it without the brackets".to_owned()));
                None
            }
            other => {
                let hint = match other {
                    DeValue::Integer(i) => Some(format!("write it in quotes: {:?}", shorten_number(i.as_str()))),
                    DeValue::Float(i) => Some(format!("write it in quotes: {:?}", shorten_number(i.as_str()))),
                    DeValue::Boolean(b) => Some(format!("write it in quotes: \"{b}\"")),
                    DeValue::Datetime(d) => Some(format!("write it in quotes: \"{d}\"")),
                    _ => None,
                };
                self.report_expected("a text", hint);
                None
            }
        }
    }

    /// A name: text that is not empty, holds nothing hidden, and is not unreasonably long.
    pub(super) fn name(&self) -> Option<String> {
        let s = self.string()?;
        let key = &self.label;
        if s.trim().is_empty() {
            self.error(format!("\"{key}\" must not be empty"), None);
        } else if s.len() > 1024 {
            self.error(format!("\"{key}\" is {} bytes long; 1024 is the most", s.len()), None);
        } else if !is_inert(&s) {
            self.error(format!("\"{key}\" holds characters that can't be seen: {}", quoted_name(&s)), None);
        } else {
            return Some(s);
        }
        None
    }

    /// A group's id: whatever Kafka took, as long as the file shows it: what can't be seen is written as `\u200b`.
    pub(super) fn group_id(&self) -> Option<String> {
        let s = self.string()?;
        let key = &self.label;
        if s.is_empty() {
            self.error(format!("\"{key}\" must not be empty"), None);
        } else if s.len() > 1024 {
            self.error(format!("\"{key}\" is {} bytes long; 1024 is the most", s.len()), None);
        } else if !self.report.source(self.span.clone()).is_some_and(|written| is_inert(&written)) {
            let message = format!("\"{key}\" holds characters that can't be seen: {}", quoted_name(&s));
            self.error(message, Some(format!("write it as {}", super::generate::quote_toml(&s))));
        } else {
            return Some(s);
        }
        None
    }

    /// Whether it is this text.
    pub(super) fn is_text(&self, text: &str) -> bool {
        matches!(self.value, DeValue::String(s) if s.as_ref() == text)
    }

    pub(super) fn duration(&self) -> Option<u64> {
        match self.value {
            DeValue::String(s) => match duration::parse_duration(s) {
                Ok(ms) => Some(ms),
                Err((message, suggestion)) => {
                    self.error(visible_text(&message), suggestion.map(|s| visible_text(&s)));
                    None
                }
            },
            DeValue::Integer(i) => {
                self.report_expected(
                    "a duration such as \"15s\"",
                    Some(format!("write \"{}s\" for seconds", shorten_number(i.as_str()))),
                );
                None
            }
            _ => {
                self.report_expected("a duration such as \"15s\"", None);
                None
            }
        }
    }

    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let DeValue::Integer(i) = self.value else {
            let hint = match self.value {
                DeValue::String(s) if s.parse::<u64>().is_ok() => {
                    Some(format!("write it without quotes: {}", visible_name(s)))
                }
                _ => None,
            };
            self.report_expected("a whole number", hint);
            return None;
        };
        match i128::from_str_radix(i.as_str(), i.radix()).ok().and_then(|n| u64::try_from(n).ok()) {
            Some(n) if range.contains(&n) => Some(n),
            _ => {
                self.report_expected(&format!("a whole number from {} to {}", range.start(), range.end()), None);
                None
            }
        }
    }

    /// Bytes.
    pub(super) fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let text = self.string()?;
        match size::parse_size(&text) {
            Ok(bytes) if range.contains(&bytes) => Some(bytes),
            Ok(_) => {
                let (least, most) = (size::format_size(*range.start()), size::format_size(*range.end()));
                self.error(format!("\"{}\" must be from {least} to {most}", self.label), None);
                None
            }
            Err(why) => {
                self.error(visible_text(&why), None);
                None
            }
        }
    }

    /// Bytes a second.
    pub(super) fn rate(&self) -> Option<u64> {
        let text = self.string()?;
        size::parse_rate(&text).map_err(|why| self.error(visible_text(&why), None)).ok()
    }

    pub(super) fn float(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let number = match self.value {
            DeValue::Float(f) => f.as_str().parse::<f64>().ok(),
            DeValue::Integer(i) if i.radix() == 10 => i.as_str().parse::<f64>().ok(),
            _ => {
                self.report_expected("a number", None);
                return None;
            }
        };
        match number {
            Some(n) if range.contains(&n) => Some(n),
            _ => {
                self.report_expected(&format!("a number from {} to {}", range.start(), range.end()), None);
                None
            }
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(b) => Some(*b),
            DeValue::String(s) if matches!(s.as_ref(), "true" | "false") => {
                self.report_expected("true or false", Some(format!("write it without quotes: {}", visible_name(s))));
                None
            }
            _ => {
                self.report_expected("true or false", None);
                None
            }
        }
    }

    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let s = self.string()?;
        if let Some((_, value)) = words.iter().find(|(w, _)| *w == s) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
        let suggestion = find_nearest(&s, known.iter().copied()).map(|w| format!("did you mean {w:?}?"));
        let shown = if s.chars().count() > 40 { "(a long text)".to_owned() } else { quoted_name(&s) };
        let known = format_alternatives(&known);
        self.error(format!("unknown value {shown} for \"{}\" (known: {known})", self.label), suggestion);
        None
    }

    /// The items of a list; a single item stands for a list of one where `one` says so.
    pub(super) fn items(&self, what: &str, one: bool) -> Option<Vec<Field<'a>>> {
        match self.value {
            DeValue::Array(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| {
                        let path = format!("{}[{i}]", self.path);
                        // its label is visible already
                        Field {
                            label: self.label.clone(),
                            ..make_field(self.report, path, String::new(), item, item.span())
                        }
                    })
                    .collect(),
            ),
            _ if one => Some(vec![self.clone()]),
            DeValue::String(s) if s.chars().count() < 60 => {
                self.report_expected(what, Some(format!("write it as a list: [{}]", quoted_name(s))));
                None
            }
            _ => {
                self.report_expected(what, None);
                None
            }
        }
    }

    pub(super) fn table(&self) -> Option<TableReader<'a>> {
        match self.value {
            DeValue::Table(table) => Some(TableReader {
                table,
                path: self.path.clone(),
                span: self.span.clone(),
                asked: Vec::new(),
                report: self.report,
            }),
            _ => {
                self.report_expected("a table", None);
                None
            }
        }
    }
}

fn make_field<'a>(
    report: &'a Report,
    path: String,
    label: String,
    value: &'a Spanned<DeValue<'a>>,
    span: Range<usize>,
) -> Field<'a> {
    report.note_place(&path, span.clone());
    Field { value: value.get_ref(), path, label: visible_name(&label), span, report }
}

/// A table whose keys are asked for one by one; what nobody asked for is an unknown key.
pub(super) struct TableReader<'a> {
    table: &'a DeTable<'a>,
    pub(super) path: String,
    pub(super) span: Range<usize>,
    asked: Vec<&'static str>,
    pub(super) report: &'a Report,
}

impl<'a> TableReader<'a> {
    pub(super) fn root(table: &'a DeTable<'a>, report: &'a Report) -> Self {
        Self { table, path: String::new(), span: 0..0, asked: Vec::new(), report }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn get(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.asked.push(key);
        #[cfg(test)]
        self.report.known.borrow_mut().insert(key);
        let (_, value) = self.table.iter().find(|(k, _)| k.get_ref() == key)?;
        Some(make_field(self.report, self.path_of(key), key.to_owned(), value, value.span()))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.iter().any(|(k, _)| k.get_ref() == key)
    }

    /// Every key, for tables whose keys are data (client properties, states).
    pub(super) fn all(&self) -> Vec<(String, Field<'a>)> {
        self.table
            .iter()
            .map(|(k, v)| {
                let key = k.get_ref().to_string();
                (key.clone(), make_field(self.report, self.path_of(&key), key, v, k.span()))
            })
            .collect()
    }

    /// A required name; its absence is an error at the table.
    pub(super) fn required_name(&mut self, key: &'static str, example: &str) -> Option<String> {
        match self.get(key) {
            Some(f) => f.name(),
            None => {
                self.report_missing(key, example);
                None
            }
        }
    }

    /// A required group id; its absence is an error at the table.
    pub(super) fn required_group_id(&mut self, key: &'static str, example: &str) -> Option<String> {
        match self.get(key) {
            Some(f) => f.group_id(),
            None => {
                self.report_missing(key, example);
                None
            }
        }
    }

    pub(super) fn report_missing(&self, key: &str, example: &str) {
        let shown =
            if self.path.is_empty() { "the plan".to_owned() } else { visible_name(&format_heading(&self.path)) };
        let message = format!("{shown} has no \"{key}\"");
        self.report.at_span(self.span.clone(), ProblemSeverity::Error, message, Some(format!("add {example}")));
    }

    pub(super) fn name(&mut self, key: &'static str) -> Option<String> {
        self.get(key)?.name()
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<u64> {
        self.get(key)?.duration()
    }

    pub(super) fn names(&mut self, key: &'static str) -> Vec<String> {
        let Some(field) = self.get(key) else { return Vec::new() };
        let items = field.items("a list of texts", false).unwrap_or_default();
        items.iter().filter_map(Field::name).collect()
    }

    pub(super) fn group_ids(&mut self, key: &'static str) -> Vec<String> {
        let Some(field) = self.get(key) else { return Vec::new() };
        let items = field.items("a list of texts", false).unwrap_or_default();
        items.iter().filter_map(Field::group_id).collect()
    }

    pub(super) fn table(&mut self, key: &'static str) -> Option<TableReader<'a>> {
        self.get(key)?.table()
    }

    /// The tables of `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<TableReader<'a>> {
        let Some(field) = self.get(key) else { return Vec::new() };
        if let DeValue::Table(_) = field.value {
            field.error(format!("\"{key}\" must be a list of tables"), Some(format!("write [[{key}]]")));
            return Vec::new();
        }
        let items = field.items("a list of tables", false).unwrap_or_default();
        items.iter().filter_map(Field::table).collect()
    }

    /// Reports the keys nobody asked for.
    pub(super) fn report_unknown_keys(self) {
        let shown = if self.path.is_empty() {
            String::new()
        } else {
            format!(" in {}", visible_name(&format_heading(&self.path)))
        };
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let known = self.asked.iter().copied();
            let suggestion = find_nearest(name, known).map(|k| format!("did you mean \"{k}\"?"));
            let suggestion = suggestion.or_else(|| {
                let mut known: Vec<&str> = self.asked.clone();
                known.sort_unstable();
                known.dedup();
                Some(format!("known here: {}", known.join(", ")))
            });
            let name = if name.chars().count() > 60 { "(a very long one)".to_owned() } else { visible_name(name) };
            let message = format!("unknown key \"{name}\"{shown}");
            self.report.at_span(key.span(), ProblemSeverity::Error, message, suggestion);
        }
    }
}
