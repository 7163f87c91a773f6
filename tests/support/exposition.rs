//! Reads Prometheus' text format 0.0.4 strictly: what a scrape would forgive is an error here.

use std::collections::{BTreeMap, BTreeSet};

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its family.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// Every sample of a page.
pub struct Page {
    /// In the order of the page.
    pub samples: Vec<Sample>,
    /// Families by name, with their type.
    pub families: BTreeMap<String, String>,
}

impl Page {
    /// The value of the one sample with these labels, among others.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |s: &&Sample| {
            s.name == name && labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|found| found == v))
        };
        let mut found = self.samples.iter().filter(has);
        let first = found.next();
        assert!(found.next().is_none(), "{name}{labels:?} is one sample");
        first.map(|s| s.value)
    }

    /// The state that is 1.
    pub fn state(&self, name: &str, labels: &[(&str, &str)], state: &str) -> Option<String> {
        let has = |s: &&Sample| {
            s.name == name && labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|found| found == v))
        };
        self.samples.iter().filter(has).find(|s| s.value > 0.5).map(|s| s.labels[state].clone())
    }
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Reads a page, or says what is wrong with it.
pub fn parse(text: &str) -> Result<Page, String> {
    if !text.ends_with('\n') {
        return Err("the last line does not end".into());
    }
    let mut page = Page { samples: Vec::new(), families: BTreeMap::new() };
    let mut help: Option<&str> = None;
    let mut open: Option<&str> = None;
    let mut seen = BTreeSet::new();
    for (n, line) in text.lines().enumerate() {
        let bad = |why: &str| Err(format!("line {}: {why}: {line}", n + 1));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').ok_or(format!("no help: {line}"))?;
            if page.families.contains_key(name) || !is_name(name) || words.is_empty() {
                return bad("a family once, with a plain name and its help");
            }
            help = Some(name);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or(format!("no type: {line}"))?;
            let counts = name.ends_with("_total");
            if help != Some(name) || (kind == "counter") != counts || !["gauge", "counter"].contains(&kind) {
                return bad("a type behind its help, and _total for counters only");
            }
            if open.is_some_and(|o| !page.samples.iter().any(|s| s.name == o)) {
                return bad("the family before it has no sample");
            }
            page.families.insert(name.into(), kind.into());
            open = Some(name);
        } else {
            let sample = sample(line).map_err(|why| format!("line {}: {why}: {line}", n + 1))?;
            if open != Some(sample.name.as_str()) {
                return bad("not in its family");
            }
            let alike = page.samples.iter().rev().find(|s| s.name == sample.name);
            if alike.is_some_and(|a| !a.labels.keys().eq(sample.labels.keys())) {
                return bad("the labels of a family are the same in all its samples");
            }
            if !seen.insert(format!("{} {:?}", sample.name, sample.labels)) {
                return bad("there twice");
            }
            page.samples.push(sample);
        }
    }
    Ok(page)
}

fn sample(line: &str) -> Result<Sample, String> {
    let (head, value) = line.rsplit_once(' ').ok_or("no value")?;
    let value: f64 = value.parse().map_err(|e| format!("{value}: {e}"))?;
    if !value.is_finite() {
        return Err("no number".into());
    }
    let (name, labels) = match head.split_once('{') {
        None => (head, BTreeMap::new()),
        Some((name, rest)) => (name, read_labels(rest)?),
    };
    if is_name(name) { Ok(Sample { name: name.into(), labels, value }) } else { Err("no name".into()) }
}

fn read_labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().ok_or("a value without an end")? {
                (i, '"') => break i,
                (_, '\\') => match chars.next().ok_or("an escape without an end")?.1 {
                    '\\' => value.push('\\'),
                    '"' => value.push('"'),
                    'n' => value.push('\n'),
                    other => return Err(format!("no escape: {other}")),
                },
                // Prometheus takes a NUL for the end of the page
                (_, c) if c.is_control() => return Err(format!("{c:?} in a value")),
                (_, c) => value.push(c),
            }
        };
        if !is_name(name) || labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("the label {name}"));
        }
        rest = &after[end + 1..];
        if rest == "}" {
            return Ok(labels);
        }
        rest = rest.strip_prefix(',').ok_or("no comma between labels")?;
    }
}
