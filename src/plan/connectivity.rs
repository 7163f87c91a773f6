//! `[connectivity]`: how green's brokers are tried from where the consumers run.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::address;
use super::provider::{expand_placeholders, find_placeholders};
use super::providers::{check_placeholder, read_argv_checked};
use super::reader::{Field, TableReader};
use super::sections::read_positive_duration;

/// How a pod tries an address when the plan does not say.
const COMMAND: [&str; 8] = ["kubectl", "exec", "{pod}", "--", "nc", "-zv", "{host}", "{port}"];
/// What stands in a command for what is tried.
const PLACEHOLDERS: &[&str] = &["pod", "host", "port"];
/// How long one try may take when the plan does not say, ms.
const TIMEOUT_MS: u64 = 10_000;

/// `[connectivity]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectivityPlan {
    /// Pods or hosts that consumers run on; none: nothing is tried.
    pub pods: Vec<String>,
    /// The program and its arguments; exit code 0 means that the address is reached.
    pub command: Vec<String>,
    /// `host:port` of green that consumers use besides what cutover itself is told of (another listener).
    pub also: Vec<String>,
    /// How long one try may take, ms.
    pub timeout_ms: u64,
    /// Where the command runs: the plan's directory.
    pub dir: PathBuf,
}

impl Default for ConnectivityPlan {
    fn default() -> Self {
        let command = COMMAND.map(str::to_owned).to_vec();
        Self { pods: Vec::new(), command, also: Vec::new(), timeout_ms: TIMEOUT_MS, dir: PathBuf::new() }
    }
}

impl ConnectivityPlan {
    /// The command that tries an address from a pod.
    #[must_use]
    pub(crate) fn fill_command(&self, pod: &str, host: &str, port: u16) -> Vec<String> {
        let value = |word: &str| match word {
            "pod" => Some(pod.to_owned()),
            "host" => Some(host.to_owned()),
            "port" => Some(port.to_string()),
            _ => None,
        };
        self.command.iter().map(|arg| expand_placeholders(arg, value)).collect()
    }
}

/// Reads `[connectivity]`.
pub(super) fn read_connectivity(root: &mut TableReader<'_>, base: &Path) -> ConnectivityPlan {
    let mut plan = ConnectivityPlan { dir: base.to_owned(), ..ConnectivityPlan::default() };
    let Some(mut t) = root.table("connectivity") else { return plan };
    match t.get("pods") {
        Some(field) => {
            let items = field.items("a list of pods or hosts", false).unwrap_or_default();
            plan.pods = items.iter().filter_map(Field::name).collect();
            // A name that begins like an option would be one to the program that is run.
            for (item, pod) in items.iter().zip(&plan.pods) {
                if pod.starts_with('-') {
                    item.error("a pod's name can't begin with -", None);
                }
            }
        }
        None => t.report_missing("pods", "pods = [\"loans-0\", \"ledger-0\"]"),
    }
    if let Some(field) = t.get("command") {
        let check = |item: &Field<'_>, text: &str| {
            for word in find_placeholders(text) {
                check_placeholder(item, word, PLACEHOLDERS);
            }
        };
        if let Some(command) = read_argv_checked(&field, &check) {
            let uses = |name: &str| command.iter().any(|arg| find_placeholders(arg).contains(&name));
            for (name, needed) in [("host", true), ("pod", plan.pods.len() > 1)] {
                if needed && !uses(name) {
                    field.error(
                        format!("the command has no {{{name}}}: it would try the same each time"),
                        Some(format!(
                            "write [\"kubectl\", \"exec\", \"{{pod}}\", ...], with {{{name}}} where it belongs"
                        )),
                    );
                }
            }
            plan.command = command;
        }
    }
    if let Some(field) = t.get("also") {
        let items = field.items("a list of \"host:port\"", true).unwrap_or_default();
        plan.also = items.iter().filter_map(read_address).collect();
    }
    plan.timeout_ms = read_positive_duration(&mut t, "timeout").unwrap_or(plan.timeout_ms);
    t.report_unknown_keys();
    plan
}

fn read_address(field: &Field<'_>) -> Option<String> {
    let text = field.string()?;
    let (addresses, wrong) = address::parse_list(&text);
    for problem in wrong {
        field.error(problem.message, problem.suggestion);
    }
    addresses.into_iter().next().map(|a| a.text)
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use super::*;

    fn parse(text: &str) -> Result<ConnectivityPlan, String> {
        let clusters = "clusters.blue.bootstrap = \"b:1\"\nclusters.green.bootstrap = \"g:1\"\n";
        let loaded = Plan::parse(&format!("{clusters}{text}"), Path::new("cutover.toml"));
        loaded.map(|loaded| loaded.plan.connectivity).map_err(|e| e.to_string())
    }

    #[test]
    fn each_pod_tries_each_address_with_the_command_of_the_plan() {
        let plan = parse("[connectivity]\npods = [\"loans-0\"]\n").unwrap();
        let default = ["kubectl", "exec", "loans-0", "--", "nc", "-zv", "green-1", "9093"];
        assert_eq!(plan.fill_command("loans-0", "green-1", 9093), default);
        let text = "[connectivity]\npods = [\"a\", \"b\"]\nalso = [\"g:9094\"]\ntimeout = \"3s\"\n\
                    command = [\"ssh\", \"{pod}\", \"openssl s_client -connect {host}:{port} -servername {host}\"]\n";
        let plan = parse(text).unwrap();
        let words = plan.fill_command("b", "g", 1);
        assert_eq!(words, ["ssh", "b", "openssl s_client -connect g:1 -servername g"]);
        assert_eq!((plan.also, plan.timeout_ms), (vec!["g:9094".to_owned()], 3_000));
        assert!(parse("").unwrap().pods.is_empty());
    }

    #[test]
    fn a_command_that_tries_nothing_is_refused() {
        for (text, words) in [
            ("command = [\"true\"]\npods = [\"a\"]", "no {host}"),
            ("command = [\"nc\", \"{host}\", \"{port}\"]\npods = [\"a\", \"b\"]", "no {pod}"),
            ("command = [\"nc\", \"{hots}\"]\npods = [\"a\"]", "did you mean {host}?"),
            ("timeout = \"1s\"", "pods"),
            ("pods = [\"-it\"]", "can't begin with -"),
            ("pods = [\"a\"]\nalso = [\"x\"]", "has no port"),
        ] {
            let said = parse(&format!("[connectivity]\n{text}\n")).unwrap_err();
            assert!(said.contains(words), "{text}: {said}");
        }
        assert!(parse("[connectivity]\npods = [\"a\"]\ncommand = [\"nc\", \"{host}\", \"{port}\"]\n").is_ok());
    }
}
