//! Secrets of a plan: where they are, resolved only at use, never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::Plan;
use super::metrics::{Credentials, MetricsSource};
use super::properties::is_public;
use crate::migration::estate::Trouble;
use crate::redact::{self, HIDDEN};

/// Largest secret file, bytes: keys and certificates are a few KiB.
const MAX_SECRET: u64 = 256 * 1024;

/// A text that `Debug` and `Serialize` hide.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In an environment variable.
    Env(String),
    /// In a file; one newline at its end is not part of it.
    File(PathBuf),
    /// In the plan itself, which is warned about.
    Inline(Hidden),
}

impl Secret {
    /// A secret that was written into the plan.
    #[must_use]
    pub fn inline(text: String) -> Self {
        redact::learn(&text);
        Secret::Inline(Hidden(text))
    }

    /// Reads the secret, and tells the redactor of it. `what` names its use in the error, e.g. `sasl.password`.
    ///
    /// # Errors
    /// The variable is not set or empty, the file can't be read, is too large or not text: by name, never with contents.
    pub fn resolve(&self, what: &str) -> Result<String, Trouble> {
        let secret = self.read(what)?;
        redact::learn(&secret);
        Ok(secret)
    }

    /// As [`Self::resolve`], of a value that is no secret: `{ env = ... }` names a CA file, say.
    pub(super) fn read(&self, what: &str) -> Result<String, Trouble> {
        match self {
            Secret::Inline(text) => Ok(text.0.clone()),
            Secret::Env(name) => match std::env::var(name) {
                Ok(value) if !value.is_empty() => Ok(value),
                Ok(_) => Err(Trouble::new(
                    format!("{what}: the environment variable {name} is empty"),
                    format!("export {name} before starting cutover"),
                )),
                Err(std::env::VarError::NotPresent) => Err(Trouble::new(
                    format!("{what}: the environment variable {name} is not set"),
                    format!("export {name} before starting cutover"),
                )),
                Err(std::env::VarError::NotUnicode(_)) => Err(Trouble::new(
                    format!("{what}: the environment variable {name} is not UTF-8 text"),
                    "put the secret into a file and name it with { file = \"...\" }",
                )),
            },
            Secret::File(path) => read(path, what),
        }
    }

    /// What is doubtful about where the secret is kept, if anything; looks at the file's mode.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        use std::os::unix::fs::PermissionsExt as _;
        let Secret::File(path) = self else { return None };
        match std::fs::metadata(path) {
            Ok(meta) if meta.permissions().mode() & 0o004 != 0 => {
                Some(format!("everyone on this machine can read {}: chmod 600 it", path.display()))
            }
            Ok(_) => None,
            Err(e) => Some(format!("can't read {} here: {e}", path.display())),
        }
    }
}

fn read(path: &Path, what: &str) -> Result<String, Trouble> {
    let trouble = |why: String| {
        Trouble::new(
            format!("{what}: can't read the secret file {}: {why}", path.display()),
            "check that the file exists and that this user may read it",
        )
    };
    let file = std::fs::File::open(path).map_err(|e| trouble(e.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MAX_SECRET + 1).read_to_end(&mut bytes).map_err(|e| trouble(e.to_string()))?;
    if bytes.len() as u64 > MAX_SECRET {
        return Err(trouble(format!("it is larger than {MAX_SECRET} bytes")));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| trouble("it is not UTF-8 text".to_owned()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(trouble("it is empty".to_owned()));
    }
    Ok(text)
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Secret::Env(name) => map.serialize_entry("env", name)?,
            Secret::File(path) => map.serialize_entry("file", path)?,
            Secret::Inline(_) => map.serialize_entry("inline", HIDDEN)?,
        }
        map.end()
    }
}

/// The value of a client property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ClientValue {
    /// May be shown.
    Plain(String),
    /// Never shown.
    Secret(Secret),
}

impl ClientValue {
    /// The value for a client. `key` names the property in the error.
    ///
    /// # Errors
    /// As [`Secret::resolve`].
    pub fn resolve(&self, key: &str) -> Result<String, Trouble> {
        match self {
            ClientValue::Plain(text) => Ok(text.clone()),
            ClientValue::Secret(secret) if is_public(key) => secret.read(key),
            ClientValue::Secret(secret) => secret.resolve(key),
        }
    }
}

/// All of them, for a client. Hand this to a client, never to a log.
///
/// # Errors
/// As [`Secret::resolve`].
pub fn resolved(values: &BTreeMap<String, ClientValue>) -> Result<BTreeMap<String, String>, Trouble> {
    values.iter().map(|(key, value)| Ok((key.clone(), value.resolve(key)?))).collect()
}

impl Plan {
    /// Tells the redactor of every secret of the plan that can be read now: a command may print its environment, and a
    /// server repeat what another one was sent, before the secret is first used. What can't be read is passed over: its
    /// use says so. Only ordinary files are read: what a pipe holds can be read once.
    pub fn learn_secrets(&self) {
        let mut found = Vec::new();
        self.secrets(&mut |what, secret| {
            let ready = !matches!(secret, Secret::File(path) if !path.is_file());
            if let Some(value) = ready.then(|| secret.read(what).ok()).flatten() {
                found.push(value);
            }
        });
        redact::learn_all(found.iter().map(String::as_str));
        for url in self.notify.iter().filter_map(|n| n.url.read("url").ok()) {
            redact::learn_address(url.trim());
        }
    }

    /// Every secret with what it is for.
    fn secrets(&self, each: &mut dyn FnMut(&str, &Secret)) {
        let values = |values: &BTreeMap<String, ClientValue>, each: &mut dyn FnMut(&str, &Secret)| {
            for (name, value) in values {
                if let ClientValue::Secret(secret) = value
                    && !is_public(name)
                {
                    each(name, secret);
                }
            }
        };
        for cluster in [&self.blue, &self.green] {
            values(&cluster.client, each);
            if let Some(password) = cluster.registry.as_ref().and_then(|r| r.password.as_ref()) {
                each("password", password);
            }
        }
        for source in self.metrics.iter().map(|m| &m.source) {
            match source {
                MetricsSource::Prometheus { credentials, client, .. } => {
                    values(client, each);
                    match credentials {
                        Credentials::None => {}
                        Credentials::Basic { password, .. } => each("password", password),
                        Credentials::Bearer(token) => each("bearer", token),
                    }
                }
                MetricsSource::NewRelic { key, client, .. } => {
                    values(client, each);
                    each("key", key);
                }
                MetricsSource::Command { .. } => {}
            }
        }
        for target in &self.notify {
            each("url", &target.url);
            [&target.headers, &target.values, &target.client].into_iter().for_each(|v| values(v, each));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn nothing_shows_an_inline_secret() {
        let secret = Secret::inline("hunter2".to_owned());
        let value = ClientValue::Secret(secret.clone());
        assert!(!format!("{secret:?} {value:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&value).unwrap().contains("hunter2"));
        assert_eq!(value.resolve("sasl.password").unwrap(), "hunter2");
    }

    #[test]
    fn a_file_secret_loses_one_newline_and_warns_when_everyone_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pw");
        std::fs::write(&path, "hun ter2\n\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let secret = Secret::File(path.clone());
        assert_eq!(secret.resolve("x").unwrap(), "hun ter2\n");
        assert!(secret.doubt().unwrap().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(secret.doubt(), None);
        std::fs::write(&path, vec![b'x'; 300 * 1024]).unwrap();
        assert!(secret.resolve("x").unwrap_err().what.contains("larger than"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let e = Secret::Env("CUTOVER_TEST_NO_SUCH".to_owned()).resolve("sasl.password").unwrap_err();
        assert_eq!(e.what, "sasl.password: the environment variable CUTOVER_TEST_NO_SUCH is not set");
        let e = Secret::File("/no/such/file".into()).resolve("sasl.password").unwrap_err();
        assert!(e.what.contains("/no/such/file"), "{}", e.what);
    }
}
