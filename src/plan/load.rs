//! From a file to a plan, or to every error in it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::connectivity::ConnectivityPlan;
use super::metrics::MetricsSource;
use super::model::{ClusterPlan, ControllerPlan, DiffPlan, GroupLimits, Plan};
use super::parity::ParityPlan;
use super::problem::{PlanError, ProblemSeverity, Problems};
use super::reader::{Places, Report, TableReader, quoted_name};
use super::secrets::ClientValue;
use super::{address, properties, sections, validate};
use crate::base::sanitise::{visible_path, visible_text};
use crate::base::{Sides, redact};

/// Largest plan file, bytes: thousands of groups fit; something else that was named by mistake does not.
const MAX_PLAN: u64 = 4 * 1024 * 1024;

/// A plan that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedPlan {
    /// The plan.
    pub plan: Plan,
    /// What a person should know, in the order of the file.
    pub warnings: Vec<PlanError>,
    /// Where everything is, for checks that other rooms make.
    pub places: Places,
}

impl LoadedPlan {
    /// A warning for each file that a client property names and that can't be read here: the plan may be meant for
    /// another machine.
    fn doubt_files(&mut self) {
        let plan = &self.plan;
        let clusters = plan.clusters.iter().map(|(side, cluster)| (format!("clusters.{side}"), &cluster.client));
        let registries = plan.clusters.iter().filter_map(|(side, cluster)| {
            Some((format!("clusters.{side}.registry"), &cluster.registry.as_ref()?.client))
        });
        let metrics = plan.metrics.iter().filter_map(|m| match &m.source {
            MetricsSource::Prometheus { client, .. } | MetricsSource::NewRelic { client, .. } => {
                Some((format!("metrics.{}", m.name), client))
            }
            MetricsSource::Command { .. } => None,
        });
        let notify = plan.notify.iter().map(|n| (format!("notify.{}", n.name), &n.client));
        for (section, client) in clusters.into_iter().chain(registries).chain(metrics).chain(notify) {
            for (name, value) in client {
                // What comes from a variable or a file is judged when it is read, without being repeated.
                if let ClientValue::Plain(path) = value
                    && let Some(trouble) = properties::file_trouble(name, path)
                {
                    let at = format!("{section}.client.{name}");
                    self.warnings.push(self.places.warning(&at, trouble.what, Some(trouble.advice)));
                }
            }
        }
        self.warnings.sort_by_key(|w| (w.line, w.column));
    }
}

impl Plan {
    /// Reads a plan file.
    ///
    /// # Errors
    /// Every error in it, not only the first, each with file, line, column and a suggestion.
    pub fn load(path: &Path) -> Result<LoadedPlan, Problems> {
        let shown = visible_path(path);
        let text = read_file(path)
            .map_err(|(message, suggestion)| PlanError::without_place(shown.clone(), message, suggestion))?;
        let text = match String::from_utf8(text) {
            Ok(text) => text,
            Err(e) => {
                let valid = e.utf8_error().valid_up_to();
                let bytes = e.into_bytes();
                // Line and column are counted in what could be read up to there.
                let places = Places::new(shown, String::from_utf8_lossy(&bytes[..valid]).into_owned());
                let message = format!("not UTF-8 text (byte 0x{:02x})", bytes.get(valid).copied().unwrap_or(0));
                let hint = Some("save the file as UTF-8".to_owned());
                return Err(places.finding(Some(valid..valid), ProblemSeverity::Error, message, hint).into());
            }
        };
        let mut loaded = parse_plan(text, shown, Some(&resolve_real_path(path)))?;
        loaded.doubt_files();
        Ok(loaded)
    }

    /// Reads a plan from text, and tells the redactor of every secret it names or holds, also when it is refused. `file`
    /// names it in errors; relative paths in it are relative to `file`'s directory.
    ///
    /// # Errors
    /// As [`Plan::load`].
    pub fn parse(text: &str, file: &Path) -> Result<LoadedPlan, Problems> {
        parse_plan(text.to_owned(), visible_path(file), Some(file))
    }

    /// The smallest plan: two bootstrap addresses and no file. Everything is discovered, nothing can be acted on.
    ///
    /// # Errors
    /// What is wrong with the addresses, named by the arguments `--blue` and `--green`.
    pub fn from_bootstraps(blue: &str, green: &str) -> Result<LoadedPlan, Problems> {
        let mut problems = Vec::new();
        let mut read = |argument: &str, text: &str| {
            let (addresses, wrong) = address::parse_list(text);
            problems.extend(wrong.into_iter().map(|w| PlanError::without_place(argument, w.message, w.suggestion)));
            let bootstrap = addresses.into_iter().map(|a| a.text).collect();
            ClusterPlan { bootstrap, ..ClusterPlan::default() }
        };
        let clusters = Sides { blue: read("--blue", blue), green: read("--green", green) };
        if let Some(shared) = validate::find_shared_address(&clusters.blue.bootstrap, &clusters.green.bootstrap) {
            let message = format!("{shared} is given for blue too: both would be the same cluster");
            problems.push(PlanError::without_place(
                "--green",
                message,
                Some("give the new cluster's address".to_owned()),
            ));
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let name = "cutover".to_owned();
        let plan = Plan {
            journal: default_journal(Path::new(""), &name),
            name,
            file: None,
            approvers: Vec::new(),
            clusters,
            defaults: GroupLimits::default(),
            stale_after_ms: sections::STALE_AFTER_MS,
            triggers: Vec::new(),
            topics: Vec::new(),
            producers: Vec::new(),
            groups: Vec::new(),
            windows: Vec::new(),
            diff: DiffPlan::default(),
            metrics: Vec::new(),
            notify: Vec::new(),
            controller: ControllerPlan::default(),
            parity: ParityPlan::default(),
            connectivity: ConnectivityPlan::default(),
        };
        Ok(LoadedPlan { plan, warnings: Vec::new(), places: Places::default() })
    }
}

/// `.cutover/NAME.journal` in the plan's directory: the lease must meet everyone who uses this plan.
pub(super) fn default_journal(base: &Path, name: &str) -> PathBuf {
    let slug: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .take(60)
        .collect();
    base.join(".cutover").join(format!("{}.journal", slug.trim_start_matches('.')))
}

/// The file by the real path of its folder: it is one plan, and one journal, from wherever it is named.
fn resolve_real_path(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, (String, Option<String>)> {
    // Before it is opened: to open a named pipe would wait for somebody who writes to it.
    let meta = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => (
            "no such file".to_owned(),
            Some("write one with `cutover init --blue HOST:PORT --green HOST:PORT`, or name it with --plan".to_owned()),
        ),
        _ => explain_unreadable(&e),
    })?;
    if meta.is_dir() {
        return Err(("is a directory".to_owned(), Some("name the plan file in it".to_owned())));
    }
    if !meta.is_file() {
        return Err(("is not a regular file".to_owned(), Some("name the plan file with --plan".to_owned())));
    }
    let file = std::fs::File::open(path).map_err(|e| explain_unreadable(&e))?;
    let mut bytes = Vec::new();
    // One byte more than may be tells a file that is too long from one that is just as long.
    file.take(MAX_PLAN + 1).read_to_end(&mut bytes).map_err(|e| explain_unreadable(&e))?;
    if bytes.len() as u64 > MAX_PLAN {
        return Err((format!("is larger than {} MiB: this is no plan", MAX_PLAN >> 20), None));
    }
    Ok(bytes)
}

fn explain_unreadable(e: &std::io::Error) -> (String, Option<String>) {
    let advice = match e.kind() {
        std::io::ErrorKind::PermissionDenied => "let this user read it: `ls -l` shows whose it is",
        _ => "check the path and the disk it is on",
    };
    (format!("can't be read: {e}"), Some(advice.to_owned()))
}

/// The parser's words, and what to do about the mistakes people make most.
fn explain_syntax_error(message: &str, source: &str) -> (String, Option<String>) {
    // The words are those of the TOML parser: where it changes them, only a hint is lost.
    let hint = match message {
        "duplicate key" => "keep one of them",
        m if m.contains("basic string") => "close the quotes on the same line; a backslash is written \\\\",
        m if m.contains("recurse") => "nothing in a plan is nested that deep",
        m if m.contains("unquoted") || m.contains("string values must be quoted") => "put the text in quotes",
        _ => "one key = value a line; tables are [name], lists of tables [[name]]",
    };
    let what = if message == "duplicate key" {
        format!("duplicate key {}", quoted_name(source))
    } else {
        visible_text(message)
    };
    (what, Some(hint.to_owned()))
}

/// Tells the redactor of credentials inside of any text of a plan: of a URL, of its query, of a JAAS text.
fn learn_embedded(table: &DeTable<'_>) {
    fn learn_value(value: &DeValue<'_>) {
        match value {
            DeValue::String(text) => redact::learn_embedded(text),
            DeValue::Array(items) => items.iter().for_each(|item| learn_value(item.get_ref())),
            DeValue::Table(table) => learn_embedded(table),
            _ => {}
        }
    }
    table.iter().for_each(|(_, value)| learn_value(value.get_ref()));
}

fn parse_plan(text: String, shown: String, file: Option<&Path>) -> Result<LoadedPlan, Problems> {
    let report = Report::new(Places::new(shown, text.clone()));
    let (root, errors) = DeTable::parse_recoverable(&text);
    for e in &errors {
        let span = e.span().unwrap_or(0..0);
        let (message, hint) = explain_syntax_error(e.message(), text.get(span.clone()).unwrap_or_default());
        report.at_span(span, ProblemSeverity::Error, message, hint);
    }
    if !errors.is_empty() {
        // what could be recovered of broken TOML would only add noise
        let (mut findings, _) = report.into_parts();
        findings.truncate(20);
        return Err(Problems(findings));
    }
    learn_embedded(root.get_ref());
    let base = file.and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    let plan = sections::read_plan(TableReader::root(root.get_ref(), &report), &base, file);
    validate::validate_plan(&plan, &report);
    let (findings, places) = report.into_parts();
    if findings.iter().any(|f| f.severity == ProblemSeverity::Error) {
        return Err(Problems(findings));
    }
    Ok(LoadedPlan { plan, warnings: findings, places })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &Path) -> String {
        let text = Plan::load(path).unwrap_err().to_string();
        text.strip_prefix(&path.display().to_string()).expect("the file first").to_owned()
    }

    #[test]
    fn files_that_are_no_plan_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cutover.toml");
        assert!(said(&file).starts_with(": no such file (write one with `cutover init"), "{}", said(&file));
        assert!(said(dir.path()).starts_with(": is a directory"));
        assert!(said(Path::new("/dev/zero")).starts_with(": is not a regular file"));
        std::fs::File::create(&file).unwrap().set_len(MAX_PLAN + 1).unwrap();
        assert_eq!(said(&file), ": is larger than 4 MiB: this is no plan");
        std::fs::write(&file, b"[migration]\nname = \"\xc3\xa9\xff\"\n").unwrap();
        assert_eq!(said(&file), ":2:10: not UTF-8 text (byte 0xff) (save the file as UTF-8)");
    }

    #[test]
    fn a_hostile_plan_costs_neither_memory_nor_screen() {
        let mut text = String::new();
        for i in 0..20_000 {
            text.push_str(&format!("key{i} = 1\n"));
        }
        let problems = Plan::parse(&text, Path::new("x.toml")).unwrap_err();
        assert!(problems.0.len() <= 201, "{}", problems.0.len());
        assert!(problems.to_string().contains("and more: fix these first"));
    }

    const EXAMPLE: &str = include_str!("../../assets/example/cutover.toml");

    #[test]
    fn the_example_loads_without_a_word() {
        let loaded = Plan::parse(EXAMPLE, Path::new("cutover.toml")).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.warnings, []);
        assert_eq!(loaded.plan.topic_rule("audit-raw").green_name, "psc.audit-raw");
        assert_eq!(loaded.plan.group("loan-ledger").unwrap().limits.criteria.lag_for_ms, 4 * 3_600_000);
        let json = serde_json::to_string(&loaded.plan).unwrap();
        assert!(json.contains(r#""sasl.password":{"env":"BLUE_PASSWORD"}"#), "{json}");
    }

    #[test]
    fn a_file_that_is_not_here_is_warned_about_at_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cutover.toml");
        std::fs::write(&file, EXAMPLE).unwrap();
        let warnings = Plan::load(&file).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].message.contains("blue-ca.pem can't be read") && warnings[0].line == 22, "{warnings:?}");
        std::fs::write(dir.path().join("blue-ca.pem"), "").unwrap();
        assert_eq!(Plan::load(&file).unwrap().warnings, []);
    }

    #[test]
    fn the_documentation_names_every_key() {
        let report = Report::new(Places::default());
        let (root, _) = DeTable::parse_recoverable(EXAMPLE);
        let _ = sections::read_plan(TableReader::root(root.get_ref(), &report), Path::new(""), None);
        let docs = concat!(include_str!("../../docs/plan.md"), include_str!("../../docs/switches.md"));
        let known = report.known.borrow().clone();
        assert!(known.len() > 60, "{known:?}");
        let missing: Vec<_> = known
            .iter()
            .filter(|key| {
                let named = [
                    format!("`{key}`"),
                    format!("{key} = "),
                    format!("[[{key}]]"),
                    format!("[{key}]"),
                    format!("{key}."),
                ];
                !named.iter().any(|n| docs.contains(n))
                    && !docs.contains(&format!("{{ {key}"))
                    && !docs.contains(&format!(", {key}"))
            })
            .collect();
        assert_eq!(missing, Vec::<&&str>::new());
    }

    #[test]
    fn the_plans_in_the_documentation_load() {
        let docs = include_str!("../../docs/switches.md");
        let clusters = "[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.green]\nbootstrap = \"g:1\"\n";
        let mut seen = 0;
        for block in docs.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let section = match block {
                b if b.starts_with("switch") => "[[groups]]\nname = \"g\"\n",
                b if b.starts_with("flag") => "[[producers]]\nname = \"p\"\n",
                _ => "",
            };
            let text = format!("{clusters}{section}{block}");
            let loaded = Plan::parse(&text, Path::new("docs.toml")).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(loaded.warnings, [], "{text}");
            seen += 1;
        }
        assert_eq!(seen, 5);
    }

    #[test]
    fn a_journal_has_a_place_without_a_plan_key() {
        assert_eq!(default_journal(Path::new("/p"), "a/../b c"), Path::new("/p/.cutover/a-..-b-c.journal"));
    }
}
