//! Reads `[clusters.blue]` and `[clusters.green]`: addresses, registry, client properties, secrets.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::DeValue;

use super::metrics::{self, Credentials};
use super::model::{ClusterPlan, RegistryPlan};
use super::properties::bearer::{self, TokenCommand};
use super::providers::read_argv_checked;
use super::reader::{Field, TableReader};
use super::secrets::{ClientValue, Secret, SecretCommand};
use super::sections::read_positive_duration;
use super::{address, properties};
use crate::base::sanitise::{quoted_name, visible_name};
use crate::base::{Sides, redact};

/// How long a request to a schema registry may take when the plan does not say, ms.
const REGISTRY_TIMEOUT_MS: u64 = 10_000;

pub(super) fn read_clusters(root: &mut TableReader<'_>, base: &Path) -> Sides<ClusterPlan> {
    let Some(mut both) = root.table("clusters") else {
        if !root.has("clusters") {
            root.report_missing(
                "clusters",
                "[clusters.blue] and [clusters.green], each with bootstrap = \"HOST:PORT\"",
            );
        }
        return Sides::default();
    };
    let clusters = Sides::from_fn(|side| {
        let key = side.name();
        if !both.has(key) {
            both.report_missing(key, &format!("[clusters.{key}] with bootstrap = \"HOST:PORT\""));
        }
        both.table(key).map(|t| read_cluster(t, base)).unwrap_or_default()
    });
    both.report_unknown_keys();
    clusters
}

fn read_cluster(mut t: TableReader<'_>, base: &Path) -> ClusterPlan {
    let bootstrap = match t.get("bootstrap") {
        Some(field) => read_bootstrap(&field),
        None => {
            t.report_missing("bootstrap", "bootstrap = \"HOST:PORT\"");
            Vec::new()
        }
    };
    let cluster = ClusterPlan {
        name: t.name("name"),
        bootstrap,
        cluster_id: t.name("cluster_id"),
        registry: t.table("registry").and_then(|r| read_registry(r, base)),
        client: t.table("client").map(|c| read_checked_client(&c, base)).unwrap_or_default(),
    };
    t.report_unknown_keys();
    cluster
}

fn read_bootstrap(field: &Field<'_>) -> Vec<String> {
    let Some(items) = field.items("a text such as \"host-1:9092,host-2:9092\", or a list of them", true) else {
        return Vec::new();
    };
    if items.is_empty() {
        field.error("\"bootstrap\" must not be empty", Some("write \"HOST:PORT\"".to_owned()));
    }
    let mut all = Vec::new();
    for item in items {
        let Some(text) = item.string() else { continue };
        let (addresses, wrong) = address::parse_list(&text);
        wrong.into_iter().for_each(|w| item.error(w.message, w.suggestion));
        all.extend(addresses.into_iter().map(|a| a.text));
    }
    all
}

fn read_registry(mut t: TableReader<'_>, base: &Path) -> Option<RegistryPlan> {
    let url = t.get("url");
    if url.is_none() {
        t.report_missing("url", "url = \"https://HOST\"");
    }
    let address = url.as_ref().and_then(self::read_url);
    let credentials = metrics::read_credentials(&mut t, base);
    let client = metrics::read_tls_client(&mut t, base);
    let timeout_ms = metrics::read_bounded_duration(&mut t, "timeout", REGISTRY_TIMEOUT_MS, 100..=300_000);
    t.report_unknown_keys();
    if let (Some(field), Some(address)) = (&url, &address)
        && credentials != Credentials::None
        && address.starts_with("http://")
    {
        let hint = Some("write https://, if the registry has it".to_owned());
        field.warning("everyone on the way can read these credentials: the URL is not one of TLS", hint);
    }
    address.map(|url| RegistryPlan { url, credentials, client, timeout_ms })
}

/// A base URL of HTTP, without credentials and without a slash at its end.
pub(super) fn read_url(f: &Field<'_>) -> Option<String> {
    let text = f.name()?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        // Only in front of the path: there an `@` is a letter like any other.
        Some(rest) if rest.split('/').next().unwrap_or_default().contains('@') => refuse_credentials(f),
        None if text.contains('@') => refuse_credentials(f),
        None | Some("") => {
            f.error(
                format!("{text} is not a URL", text = quoted_name(&text)),
                Some("write \"https://HOST:PORT/PATH\"".to_owned()),
            );
            None
        }
        Some(_) => Some(text.trim_end_matches('/').to_owned()),
    }
}

/// A URL with somebody's password in it: not repeated.
fn refuse_credentials(f: &Field<'_>) -> Option<String> {
    let hint = "use username = \"...\" and password = { env = \"...\" }".to_owned();
    f.error("the URL holds credentials", Some(hint));
    None
}

/// How long a command that prints a secret may take when the plan does not say, ms.
const SECRET_TIMEOUT_MS: u64 = 10_000;

/// A secret: `{ env = "X" }`, `{ file = "..." }`, `{ command = [...] }`, or text, which is warned about. The redactor knows it from here on.
pub(super) fn read_secret(field: &Field<'_>, base: &Path) -> Option<Secret> {
    let secret = read_unlearned_secret(field, base)?;
    secret.tell_redactor(&field.label, false);
    Some(secret)
}

/// As [`read_secret`], of what may be none.
fn read_unlearned_secret(field: &Field<'_>, base: &Path) -> Option<Secret> {
    let text = match field.value {
        DeValue::String(_) => Some(field.string()?),
        // A password of digits without quotes is meant as it stands;
        // one in another base would not come out as it was typed.
        DeValue::Integer(i) if i.radix() == 10 => Some(i.as_str().to_owned()),
        DeValue::Boolean(b) => Some(b.to_string()),
        _ => None,
    };
    if let Some(text) = text {
        field.warning(
            format!("{} stands in the plan for everyone to read", field.label),
            Some("write { env = \"VARIABLE\" } or { file = \"PATH\" }".to_owned()),
        );
        return Some(Secret::inline(text));
    }
    let DeValue::Table(_) = field.value else {
        // what stands there may be the secret: it is not repeated
        let hint = "write { env = \"VARIABLE\" } or { file = \"PATH\" }".to_owned();
        field.error(format!("\"{}\" must be a text in quotes, or say where it is", field.label), Some(hint));
        return None;
    };
    let mut t = field.table()?;
    let env = t.get("env");
    let file = t.get("file");
    let command = t.get("command");
    let timeout_ms = command.as_ref().and_then(|_| read_positive_duration(&mut t, "timeout"));
    let secret = match (env, file, command) {
        (Some(env), None, None) => env.name().map(Secret::Env),
        (None, None, Some(command)) => read_argv_checked(&command, &|_, _| {}).map(|argv| {
            let timeout_ms = timeout_ms.unwrap_or(SECRET_TIMEOUT_MS);
            let secret = Secret::Command(SecretCommand { argv, dir: base.to_owned(), timeout_ms });
            if let Some(doubt) = secret.describe_doubt() {
                command.warning(doubt, None);
            }
            secret
        }),
        (None, Some(file), None) => file.name().map(|path| {
            let secret = Secret::File(base.join(path));
            if let Some(doubt) = secret.describe_doubt() {
                file.warning(doubt, None);
            }
            secret
        }),
        _ => {
            field.error(
                "a secret is named by exactly one of \"env\", \"file\" and \"command\"",
                Some("write { env = \"VARIABLE\" } or { file = \"PATH\" }".to_owned()),
            );
            None
        }
    };
    t.report_unknown_keys();
    secret
}

/// A cluster's client properties, each finding of theirs at its place.
fn read_checked_client(t: &TableReader<'_>, base: &Path) -> BTreeMap<String, ClientValue> {
    let client = read_client(t, base);
    // A value that is no secret can be looked at wherever it comes from, if it is there now.
    let known = |name: &String, value: &ClientValue| match value {
        ClientValue::Plain(text) => Some(text.clone()),
        ClientValue::Secret(secret) if properties::is_public(name) => secret.peek(name),
        ClientValue::Secret(_) => None,
    };
    let values: BTreeMap<&str, Option<String>> = client.iter().map(|(n, v)| (n.as_str(), known(n, v))).collect();
    let from_elsewhere = client.iter().filter(|(_, value)| matches!(value, ClientValue::Secret(_)));
    let elsewhere = from_elsewhere.map(|(name, _)| name.as_str()).collect();
    let at = |name: &str| format!("{}.{name}", t.path);
    let shown = values.iter().map(|(n, v)| (*n, v.as_deref())).collect();
    for finding in properties::check_with(&shown, &elsewhere) {
        let (what, advice) = (finding.trouble.what, Some(finding.trouble.advice));
        if finding.refused {
            t.report.error(&at(&finding.name), what, advice);
        } else {
            t.report.warning(&at(&finding.name), what, advice);
        }
    }
    client
}

pub(super) fn read_client(t: &TableReader<'_>, base: &Path) -> BTreeMap<String, ClientValue> {
    let mut out = BTreeMap::new();
    // `sasl.password = ...` without quotes makes nested tables: meant all the same
    let mut open: Vec<(String, Field<'_>)> = t.all();
    // They are popped from the end: findings come in the order of the plan.
    open.reverse();
    while let Some((mut key, mut field)) = open.pop() {
        field.label = visible_name(&key);
        let value = match field.value {
            DeValue::Table(inner) => {
                let mut keys = inner.iter().map(|(k, _)| k.get_ref().as_ref());
                let is_named = keys.any(|k| matches!(k, "env" | "file" | "command"));
                let is_secret = properties::is_secret(&key) || is_named;
                // All of `sasl.oauthbearer.` counts as secret by its beginning;
                // a table in it that only leads on to further names is none.
                if !is_secret || (!is_named && properties::is_prefix(&key)) {
                    if let Some(nested) = field.table() {
                        open.extend(nested.all().into_iter().rev().map(|(k, f)| (format!("{key}.{k}"), f)));
                    }
                    continue;
                }
                let value = read_unlearned_secret(&field, base);
                value.iter().for_each(|v| v.tell_redactor(&key, properties::is_public(&key)));
                if let (bearer::TOKEN, Some(Secret::File(path))) = (key.as_str(), &value) {
                    // Not its text: it is read again before the token in it expires.
                    key = bearer::TOKEN_FILE.to_owned();
                    Some(ClientValue::Plain(path.to_string_lossy().into_owned()))
                } else {
                    value.map(ClientValue::Secret)
                }
            }
            DeValue::Array(_) if bearer::COMMANDS.contains(&key.as_str()) => Some(read_command(&field, base)),
            _ if properties::is_secret(&key) => read_secret(&field, base).map(ClientValue::Secret),
            DeValue::Boolean(b) => Some(ClientValue::Plain(b.to_string())),
            DeValue::Integer(i) if i.radix() == 10 => Some(ClientValue::Plain(i.as_str().to_owned())),
            // what stands under a name that nobody knows may be a secret: it is not repeated, and refused by its name
            _ if !properties::is_known(&key) => {
                if let DeValue::String(text) = field.value
                    && properties::means_secret(&key)
                {
                    redact::learn_secret(text);
                }
                Some(ClientValue::Secret(Secret::inline(String::new())))
            }
            _ => field.string().map(|s| ClientValue::Plain(resolve_property_path(&key, s, base))),
        };
        if matches!(key.as_str(), "bootstrap.servers" | "metadata.broker.list") {
            field.error(
                format!("{} has its own key", visible_name(&key)),
                Some("write bootstrap = \"HOST:PORT\" beside client".to_owned()),
            );
            continue;
        }
        if let Some(value) = value {
            out.insert(key, value);
        }
    }
    out
}

/// A program and its arguments, without a shell, run in the plan's directory.
fn read_command(field: &Field<'_>, base: &Path) -> ClientValue {
    let words = field.items("a list: [\"PROGRAM\", \"ARGUMENT\"]", false).unwrap_or_default();
    let argv = words.iter().filter_map(Field::string).collect();
    ClientValue::Plain(TokenCommand { argv, dir: base.to_owned() }.to_property())
}

/// Properties that name files are relative to the plan, as every path in it.
fn resolve_property_path(key: &str, value: String, base: &Path) -> String {
    let is_path = key.ends_with(".location") || matches!(key, "sasl.kerberos.keytab" | bearer::TOKEN_FILE);
    // librdkafka's own word for "look in the usual places"
    if !is_path || value.is_empty() || value == "probe" {
        return value;
    }
    base.join(&value).to_string_lossy().into_owned()
}
