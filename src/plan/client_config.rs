//! A file of client properties as people have it lying about: the Java client's `client.properties`, or librdkafka's
//! words as kcat takes them. What it says of the connection is put into librdkafka's words; what is no part of a
//! connection is left out and named. No finding repeats a value that may be a secret.
//!
//! The format is Java's (`java.util.Properties.load`). Kafka's tools read it as ISO 8859-1 (`Utils.loadProps`), whatever
//! the editor wrote: a letter beyond ASCII is another one there, and is refused here rather than guessed at.

mod bearer;
mod jaas;
mod stores;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use java_properties::{LineContent, PropertiesIter};

use super::problem::{PlanError, Problems};
use super::properties;
use super::secrets::{ClientValue, Secret};
use crate::base::Trouble;
use crate::base::redact;
use crate::base::sanitise::visible_name;
pub(crate) use stores::{StoreFormat, read_store_format};

/// Largest file of properties, bytes: one with certificates in it has some tens of KiB.
pub(crate) const MAX_FILE: u64 = 256 * 1024;

/// Names that librdkafka has and the Java client has not: a file with one of them is written in librdkafka's words.
const ONLY_LIBRDKAFKA: [&str; 10] = [
    "metadata.broker.list",
    "sasl.mechanisms",
    "sasl.password",
    "sasl.username",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.key.location",
    "ssl.key.pem",
];

/// What a file of client properties says.
#[derive(Debug, Default)]
pub(crate) struct ClientConfig {
    /// The connection's properties, under librdkafka's names.
    pub client: BTreeMap<String, ClientValue>,
    /// `bootstrap.servers`, where it stands there.
    pub bootstrap: Option<String>,
    /// What is not taken over, and why: the name of a property and one sentence.
    pub left_out: Vec<(String, String)>,
}

/// Puts the text of a file into librdkafka's words. `file` is its name in errors; `look` tells what kind of store of keys
/// lies at a path.
///
/// # Errors
/// Everything that can't be read, or can't be done here, each with its line and what to write instead.
pub(crate) fn translate_config(
    file: &str,
    text: &[u8],
    look: &dyn Fn(&Path) -> Result<StoreFormat, String>,
) -> Result<ClientConfig, Problems> {
    let lines = read_lines(file, text)?;
    let mut translation = Translation { file, look, lines, done: ClientConfig::default(), problems: Vec::new() };
    translation.take_login();
    translation.take_asking();
    translation.take_trust();
    translation.take_identity();
    translation.take_rest();
    match translation.problems.is_empty() {
        true => Ok(translation.done),
        false => Err(Problems(translation.problems)),
    }
}

/// A value and where it stands.
struct PropertyLine {
    /// From 1; 0 where it is not known.
    number: usize,
    value: String,
}

/// A file on its way into librdkafka's words. Each step takes what is its own out of the lines.
struct Translation<'a> {
    file: &'a str,
    look: &'a dyn Fn(&Path) -> Result<StoreFormat, String>,
    lines: BTreeMap<String, PropertyLine>,
    done: ClientConfig,
    problems: Vec<PlanError>,
}

impl Translation<'_> {
    fn refuse(&mut self, number: usize, what: impl Into<String>, advice: impl Into<String>) {
        self.problems.push(problem_at(self.file, number, Trouble::new(what, advice)));
    }

    fn leave_out(&mut self, name: &str, why: impl Into<String>) {
        self.done.left_out.push((visible_name(name), why.into()));
    }

    /// What a property becomes under a name of librdkafka.
    fn put(&mut self, name: &str, number: usize, value: String) {
        if value.is_empty() && name == properties::ALGORITHM {
            // Java's word for no check of host names.
            self.done.client.insert(name.to_owned(), ClientValue::Plain("none".to_owned()));
            return;
        }
        match parse_placeholder(&value) {
            _ if value.is_empty() => self.leave_out(name, "it is empty"),
            Some(Ok(variable)) => {
                self.done.client.insert(name.to_owned(), ClientValue::Secret(Secret::Env(variable)));
            }
            Some(Err(provider)) => self.refuse(
                number,
                format!("`{name}` comes from a config provider ({}), and none runs here", visible_name(&provider)),
                "write the value, or give it with -X or in the plan as { env = \"VARIABLE\" } or { file = \"PATH\" }",
            ),
            None => {
                self.done.client.insert(name.to_owned(), ClientValue::of_typed(name, value));
            }
        }
    }

    /// Name and password: Java's client has them in the text of its login module.
    fn take_login(&mut self) {
        let Some(line) = self.lines.remove("sasl.jaas.config") else { return };
        redact::learn_embedded(&line.value);
        if parse_placeholder(&line.value).is_some() {
            let what = "`sasl.jaas.config` comes from a config provider, and none runs here";
            self.refuse(line.number, what, "write `sasl.username` and `sasl.password` instead");
            return;
        }
        let login = match jaas::parse_jaas(&line.value) {
            Ok(login) => login,
            Err(why) => {
                let what = format!("`sasl.jaas.config`: {why}");
                self.refuse(line.number, what, "write `sasl.username` and `sasl.password` instead");
                return;
            }
        };
        let module = login.module.rsplit('.').next().unwrap_or_default().to_owned();
        // A delegation token logs in by SCRAM with an extension that librdkafka does not send (KIP-48).
        if login.options.get("tokenauth").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
            let what = "`sasl.jaas.config` logs in with a delegation token, and librdkafka can't";
            self.refuse(line.number, what, "use a user with a password of its own");
            return;
        }
        if self.take_token_login(&module, &login, line.number) {
            return;
        }
        match (login.options.get("username"), login.options.get("password")) {
            (Some(user), Some(password)) => {
                self.put("sasl.username", line.number, user.clone());
                self.put("sasl.password", line.number, password.clone());
            }
            // Which mechanism it is for is refused, or not, by what both planes speak.
            _ => self.leave_out(
                "sasl.jaas.config",
                format!("its login module {} has no username and password", visible_name(&module)),
            ),
        }
    }

    /// The authorities that are trusted.
    fn take_trust(&mut self) {
        if let Some(line) = self.lines.remove("ssl.truststore.certificates") {
            self.put("ssl.ca.pem", line.number, line.value);
        }
        let Some(line) = self.lines.remove("ssl.truststore.location").filter(|l| !l.value.is_empty()) else { return };
        for name in ["ssl.truststore.password", "ssl.truststore.type"] {
            self.lines.remove(name);
        }
        let advice = |format: &str| {
            format!(
                "write its certificates as PEM: `keytool -list -rfc -keystore STORE -storetype {format} > ca.pem`, and \
                 `ssl.ca.location` with that file instead"
            )
        };
        match (self.look)(Path::new(&line.value)) {
            Ok(StoreFormat::Pem) => self.put_path("ssl.ca.location", line.number, &line.value),
            Ok(StoreFormat::Pkcs12) => {
                self.refuse(
                    line.number,
                    "`ssl.truststore.location` is a PKCS#12 store, and PEM is needed",
                    advice("PKCS12"),
                );
            }
            Ok(StoreFormat::Jks) => {
                self.refuse(
                    line.number,
                    "`ssl.truststore.location` is a store of Java's own format (JKS)",
                    advice("JKS"),
                );
            }
            Err(why) => self.refuse(
                line.number,
                format!("`ssl.truststore.location`: {why}"),
                "check the path, or give the PEM file of the authorities as `ssl.ca.location`",
            ),
        }
    }

    /// The client's own certificate and key.
    fn take_identity(&mut self) {
        for (java, name) in
            [("ssl.keystore.key", "ssl.key.pem"), ("ssl.keystore.certificate.chain", "ssl.certificate.pem")]
        {
            if let Some(line) = self.lines.remove(java) {
                self.put(name, line.number, line.value);
            }
        }
        let Some(line) = self.lines.remove("ssl.keystore.location").filter(|l| !l.value.is_empty()) else { return };
        self.lines.remove("ssl.keystore.type");
        let password = self.lines.remove("ssl.keystore.password");
        match (self.look)(Path::new(&line.value)) {
            // One file holds both, as Kafka has it (KIP-651); its password is the key's.
            Ok(StoreFormat::Pem) => {
                self.put_path("ssl.certificate.location", line.number, &line.value);
                self.put_path("ssl.key.location", line.number, &line.value);
            }
            Ok(StoreFormat::Pkcs12) => {
                self.put_path("ssl.keystore.location", line.number, &line.value);
                if let Some(password) = password {
                    self.put("ssl.keystore.password", password.number, password.value);
                }
            }
            Ok(StoreFormat::Jks) => self.refuse(
                line.number,
                "`ssl.keystore.location` is a key store of Java's own format (JKS), and PKCS#12 is needed",
                "make one of it: `keytool -importkeystore -srckeystore OLD -destkeystore NEW -deststoretype pkcs12`",
            ),
            Err(why) => {
                self.refuse(
                    line.number,
                    format!("`ssl.keystore.location`: {why}"),
                    "check the path and its permissions",
                );
            }
        }
    }

    /// A path as the plan can have it: a file of properties has them relative to where the program was started, a plan to
    /// itself.
    fn put_path(&mut self, name: &str, number: usize, path: &str) {
        let path = std::path::absolute(path).map_or_else(|_| path.to_owned(), |p| p.to_string_lossy().into_owned());
        self.put(name, number, path);
    }

    fn take_rest(&mut self) {
        for (name, line) in std::mem::take(&mut self.lines) {
            let canonical = properties::canonical_name(&name).to_owned();
            if canonical == "metadata.broker.list" {
                self.done.bootstrap = Some(line.value);
            } else if let Some(why) = properties::explain_left_out(&name) {
                self.leave_out(&name, why);
            } else if properties::names_file(&name) && is_path(&line.value) {
                self.put_path(&name, line.number, &line.value);
            } else if properties::is_known(&name) {
                self.put(&name, line.number, line.value);
            } else if let Some(near) = properties::guess_meant_name(&name) {
                self.refuse(
                    line.number,
                    format!("`{}` is not a client property", visible_name(&name)),
                    format!("did you mean `{near}`?"),
                );
            } else {
                self.leave_out(&name, "neither client has a property of this name");
            }
        }
    }
}

fn problem_at(file: &str, number: usize, trouble: Trouble) -> PlanError {
    let mut problem = PlanError::without_place(file, trouble.what, Some(trouble.advice));
    if number > 0 {
        (problem.line, problem.column) = (number, 1);
    }
    problem
}

/// The properties of a file by name; of one that stands there twice the last counts, as in Java.
fn read_lines(file: &str, text: &[u8]) -> Result<BTreeMap<String, PropertyLine>, Problems> {
    let refuse = |number: usize, what: String, advice: &str| {
        Problems(vec![problem_at(file, number, Trouble::new(what, advice))])
    };
    if text.len() as u64 > MAX_FILE {
        return Err(refuse(0, format!("it is larger than {MAX_FILE} bytes"), "name a file of client properties"));
    }
    if let Some(at) = text.iter().position(|b| !b.is_ascii() || *b == 0) {
        let number = text.iter().take(at).filter(|b| **b == b'\n').count() + 1;
        let what = "a character here is not ASCII: Kafka's tools read another one there".to_owned();
        return Err(refuse(number, what, "write it as \\uXXXX"));
    }
    let text = String::from_utf8_lossy(text);
    // librdkafka's examples and kcat know no escapes: a backslash in a password is a backslash there.
    let text = if is_for_librdkafka(&text) { text.replace('\\', "\\\\") } else { text.into_owned() };
    let mut lines = BTreeMap::new();
    for line in PropertiesIter::new(text.as_bytes()) {
        // The library's own words may repeat the text.
        let line = line.map_err(|e| {
            let what = "it can't be read as properties".to_owned();
            refuse(e.line_number().unwrap_or(0), what, "write NAME=VALUE, and a backslash as \\\\")
        })?;
        let number = line.line_number();
        if let LineContent::KVPair(name, value) = line.consume_content() {
            // Kafka takes the blanks at both ends away (`ConfigDef.parseType`).
            lines.insert(name, PropertyLine { number, value: value.trim().to_owned() });
        }
    }
    Ok(lines)
}

fn is_for_librdkafka(text: &str) -> bool {
    let name = |line: &str| line.trim_start().split(['=', ':', ' ', '\t']).next().unwrap_or_default().to_owned();
    text.lines().any(|line| ONLY_LIBRDKAFKA.contains(&name(line).as_str()))
}

/// Whether the value of a property that names a file is a path: not a placeholder, nor librdkafka's word for what the
/// system trusts.
fn is_path(value: &str) -> bool {
    !value.is_empty() && value != "probe" && parse_placeholder(value).is_none()
}

/// What Java's client would have asked a config provider for: `${env:NAME}` (KIP-887) is a variable here too; every other
/// one is named. `None`: it is no such thing.
fn parse_placeholder(value: &str) -> Option<Result<String, String>> {
    let inner = value.strip_prefix("${")?.strip_suffix('}')?;
    let (provider, rest) = inner.split_once(':')?;
    let name = rest.rsplit(':').next().unwrap_or_default();
    match provider == "env" && !name.is_empty() {
        true => Some(Ok(name.to_owned())),
        false => Some(Err(provider.to_owned())),
    }
}
