//! Secrets of a plan: where they are. They are read when the plan is read, for the redactor to know them before anything
//! is said (a command may print its environment, a server repeat what another one was sent), and again at use; never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::properties::{self, is_public};
use super::provider::command_line;
use crate::base::Trouble;
use crate::base::redact;
use crate::base::redact::HIDDEN;
use crate::base::sanitise::{visible_name, visible_path};

/// Largest secret file, bytes: keys and certificates are a few KiB.
const MAX_SECRET: u64 = 256 * 1024;

/// A text that `Debug` and `Serialize` hide.
#[derive(Clone, PartialEq, Eq)]
pub struct HiddenText(String);

impl fmt::Debug for HiddenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// A command that prints a secret, and nothing else, on standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretCommand {
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
    /// Where it runs: the plan's directory.
    pub dir: PathBuf,
    /// How long it may take, ms.
    pub timeout_ms: u64,
}

/// Who runs such a command: what it printed, or why it did not, without anything that it said.
pub type SecretRunner = fn(&SecretCommand) -> Result<Vec<u8>, Trouble>;

/// Set once, when the process starts: a plan knows no processes.
static RUNNER: OnceLock<SecretRunner> = OnceLock::new();

/// From here on secrets that commands print can be read. The first one stays.
pub fn run_commands_by(runner: SecretRunner) {
    RUNNER.get_or_init(|| runner);
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In an environment variable.
    Env(String),
    /// In a file; one newline at its end is not part of it.
    File(PathBuf),
    /// A command prints it; one newline at its end is not part of it.
    Command(SecretCommand),
    /// In the plan itself, which is warned about.
    Inline(HiddenText),
}

impl Secret {
    /// A secret that was written into the plan.
    #[must_use]
    pub fn inline(text: String) -> Self {
        redact::learn_secret(&text);
        Secret::Inline(HiddenText(text))
    }

    /// Reads the secret, and tells the redactor of it. `what` names its use in the error, e.g. `sasl.password`.
    ///
    /// # Errors
    /// The variable is not set or empty, the file can't be read, is too large or not text, the command failed: by name, never
    /// with contents.
    pub fn resolve(&self, what: &str) -> Result<String, Trouble> {
        let secret = self.read_unlearned(what)?;
        // Each time: it may have been rotated since the plan was read.
        redact::learn_secret(&secret);
        Ok(secret)
    }

    /// As [`Self::resolve`], without telling the redactor.
    fn read_unlearned(&self, what: &str) -> Result<String, Trouble> {
        match self {
            Secret::Inline(text) => Ok(text.0.clone()),
            Secret::Env(name) => match std::env::var(name) {
                // Exported without a value it is a script's slip, and would log in with an empty password.
                Ok(value) if !value.is_empty() => Ok(value),
                Ok(_) => Err(Trouble::new(
                    format!("{what}: the environment variable {} is empty", visible_name(name)),
                    format!("export {} before starting cutover", visible_name(name)),
                )),
                Err(std::env::VarError::NotPresent) => Err(Trouble::new(
                    format!("{what}: the environment variable {} is not set", visible_name(name)),
                    format!("export {} before starting cutover", visible_name(name)),
                )),
                Err(std::env::VarError::NotUnicode(_)) => Err(Trouble::new(
                    format!("{what}: the environment variable {} is not UTF-8 text", visible_name(name)),
                    "put the secret into a file and name it with { file = \"...\" }",
                )),
            },
            Secret::File(path) => read_file(path, what),
            Secret::Command(command) => run_command(command, what),
        }
    }

    /// As [`Self::read_unlearned`], for a look before it is used; `None` where that would say why not: its use says so. Only ordinary
    /// files are read: what a pipe holds can be read once, and one that nobody writes to is waited for for ever. No command is
    /// run for it: a plan is checked without doing anything.
    pub(super) fn peek(&self, what: &str) -> Option<String> {
        let ready = match self {
            Secret::File(path) => path.is_file(),
            Secret::Command(_) => false,
            Secret::Env(_) | Secret::Inline(_) => true,
        };
        ready.then(|| self.read_unlearned(what).ok()).flatten()
    }

    /// Tells the redactor of what can be read of it now. `public`: the property under whose name it stands holds no secret.
    pub(super) fn tell_redactor(&self, what: &str, public: bool) {
        match self.peek(what) {
            Some(value) if public => learn_elsewhere(what, &value),
            Some(value) => redact::learn_secret(&value),
            None => {}
        }
    }

    /// What is doubtful about where the secret is kept, if anything; looks at the file's mode.
    #[must_use]
    pub(crate) fn describe_doubt(&self) -> Option<String> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = match self {
            Secret::File(path) => path,
            // Whoever may change it is told the secret, and runs as this user.
            Secret::Command(command) => {
                let program = command.program_path()?;
                let mode = std::fs::metadata(&program).ok()?.permissions().mode();
                let what = || format!("everyone on this machine can change {}: chmod o-w it", visible_path(&program));
                return (mode & 0o002 != 0).then(what);
            }
            Secret::Env(_) | Secret::Inline(_) => return None,
        };
        match std::fs::metadata(path) {
            Ok(meta) if meta.permissions().mode() & 0o004 != 0 => {
                Some(format!("everyone on this machine can read {}: chmod 600 it", visible_path(path)))
            }
            Ok(_) => None,
            Err(e) => Some(format!("can't read {} here: {e}", visible_path(path))),
        }
    }
}

fn read_file(path: &Path, what: &str) -> Result<String, Trouble> {
    let trouble = |why: String| {
        Trouble::new(
            format!("{what}: can't read the secret file {}: {why}", visible_path(path)),
            "check that the file exists and that this user may read it",
        )
    };
    let file = std::fs::File::open(path).map_err(|e| trouble(e.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MAX_SECRET + 1).read_to_end(&mut bytes).map_err(|e| trouble(e.to_string()))?;
    if bytes.len() as u64 > MAX_SECRET {
        return Err(trouble(format!("it is larger than {MAX_SECRET} bytes")));
    }
    take_text(bytes).map_err(|why| trouble(why.to_owned()))
}

/// A secret without the newline at its end. Errors: it is no text, or empty.
fn take_text(bytes: Vec<u8>) -> Result<String, &'static str> {
    let mut text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text")?;
    if text.ends_with('\n') {
        text.pop();
        // An editor of another system ends the line with two characters.
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() { Err("it is empty") } else { Ok(text) }
}

fn run_command(command: &SecretCommand, what: &str) -> Result<String, Trouble> {
    let named = |why: Trouble| Trouble::new(format!("{what}: {}", why.what), why.advice);
    let Some(run) = RUNNER.get() else {
        return Err(named(Trouble::new("no command is run here to read a secret", "name it by { env } or { file }")));
    };
    let printed = run(command).map_err(named)?;
    take_text(printed).map_err(|why| {
        let line = command_line(&command.argv);
        let advice = "let it print the secret, and nothing else, on standard output";
        named(Trouble::new(format!("what {line} printed is no secret: {why}"), advice))
    })
}

impl SecretCommand {
    /// The program's file, where it is named by a path.
    fn program_path(&self) -> Option<PathBuf> {
        let program = self.argv.first().filter(|program| program.contains('/'))?;
        Some(self.dir.join(program))
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Secret::Env(name) => map.serialize_entry("env", name)?,
            Secret::File(path) => map.serialize_entry("file", path)?,
            Secret::Command(command) => map.serialize_entry("command", &command_line(&command.argv))?,
            Secret::Inline(_) => map.serialize_entry("inline", HIDDEN)?,
        }
        map.end()
    }
}

/// Tells the redactor of a value that comes from a variable or a file under the name of a property that is no secret:
/// another secret than was meant may stand there. What is one of the few words that its property takes is none.
fn learn_elsewhere(name: &str, value: &str) {
    if !properties::is_foreseen(name, value) {
        redact::learn_whole(value);
    }
}

/// The value of a client property. `Debug` shows no secret, under whatever name it stands.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ClientValue {
    /// May be shown.
    Plain(String),
    /// Never shown.
    Secret(Secret),
}

impl fmt::Debug for ClientValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientValue::Plain(text) => f.debug_tuple("Plain").field(&redact::hide_cow(text)).finish(),
            ClientValue::Secret(secret) => f.debug_tuple("Secret").field(secret).finish(),
        }
    }
}

impl ClientValue {
    /// A value that somebody gave as text under this name: what may be a secret is never shown.
    #[must_use]
    pub(crate) fn of_typed(name: &str, value: String) -> Self {
        if properties::means_secret(name) {
            return ClientValue::Secret(Secret::inline(value));
        }
        redact::learn_embedded(&value);
        ClientValue::Plain(value)
    }

    /// The value for whoever needs it. `key` names it in the error.
    ///
    /// # Errors
    /// As [`Secret::resolve`].
    pub fn resolve(&self, key: &str) -> Result<String, Trouble> {
        match self {
            ClientValue::Plain(text) => Ok(text.clone()),
            ClientValue::Secret(secret) => secret.resolve(key),
        }
    }

    /// The value of a client property. Another secret than was meant may stand where it comes from, so it is judged here,
    /// where that is still known.
    fn resolve_property(&self, name: &str) -> Result<String, Trouble> {
        let ClientValue::Secret(secret) = self else { return self.resolve(name) };
        if !is_public(name) {
            let value = secret.resolve(name)?;
            // Clients are written in C and take texts that end with one; OpenSSL's binding breaks off with the text in its
            // words, as numbers, which nobody would know for a secret.
            return match value.contains('\0') {
                true => Err(properties::nul_trouble(name)),
                false => Ok(value),
            };
        }
        let value = secret.read_unlearned(name)?;
        learn_elsewhere(name, &value);
        match properties::check_elsewhere(name, &value) {
            Some(trouble) => Err(trouble),
            None => Ok(value),
        }
    }
}

/// Texts of any kind (headers, values of a template) for whoever sends them.
///
/// # Errors
/// As [`Secret::resolve`].
pub(crate) fn resolve_all(values: &BTreeMap<String, ClientValue>) -> Result<BTreeMap<String, String>, Trouble> {
    values.iter().map(|(key, value)| Ok((key.clone(), value.resolve(key)?))).collect()
}

/// Client properties for a client, as they are meant. Hand this to a client, never to a log.
///
/// # Errors
/// As [`Secret::resolve`]; or what comes from a variable or a file is none that its property takes.
pub(crate) fn client_properties(client: &BTreeMap<String, ClientValue>) -> Result<BTreeMap<String, String>, Trouble> {
    let values = client.iter().map(|(name, value)| value.resolve_property(name).map(|value| (name.clone(), value)));
    values.collect::<Result<_, Trouble>>().map(properties::normalise_values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
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
        assert!(secret.describe_doubt().unwrap().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(secret.describe_doubt(), None);
        std::fs::write(&path, vec![b'x'; 300 * 1024]).unwrap();
        assert!(secret.resolve("x").unwrap_err().what.contains("larger than"));
    }

    /// A file that holds a secret, for its owner alone.
    fn kept(dir: &Path, name: &str, text: &str) -> ClientValue {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        ClientValue::Secret(Secret::File(path))
    }

    #[test]
    fn a_secret_under_the_name_of_another_property_is_repeated_by_nobody() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["sasl.mechanism", "security.protocol", "socket.timeout.ms", "ssl.ca.location"] {
            let client: BTreeMap<_, _> = [(name.to_owned(), kept(dir.path(), "blue.pw", "c4nary-of-blue"))].into();
            let trouble = client_properties(&client).unwrap_err();
            assert!(trouble.what.contains(name) && !format!("{trouble:?}").contains("c4nary"), "{trouble:?}");
            let plan = format!(
                "[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.blue.client]\n\"security.protocol\" = \"SASL_SSL\"\n\
                 \"sasl.username\" = \"a\"\n\"sasl.password\" = {{ env = \"X\" }}\n{name:?} = {{ file = \"blue.pw\" }}\n\
                 [clusters.green]\nbootstrap = \"g:1\"\n"
            );
            let plan = match name {
                "security.protocol" => plan.replace("\"security.protocol\" = \"SASL_SSL\"\n", ""),
                _ => plan,
            };
            let said = match Plan::parse(&plan, &dir.path().join("x.toml")) {
                Ok(loaded) => format!("{:?}", loaded.warnings),
                Err(problems) => problems.to_string(),
            };
            assert!(!said.contains("c4nary"), "{said}");
            assert!(name == "ssl.ca.location" || said.contains(name), "{said}");
        }
        let good = [("security.protocol".to_owned(), kept(dir.path(), "protocol", "SSL\n"))].into();
        assert_eq!(client_properties(&good).unwrap()["security.protocol"], "SSL");
    }

    #[test]
    fn what_comes_from_elsewhere_under_a_public_name_is_hidden_from_the_first_look_on() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in
            [("user", "c4nary-of-a-user"), ("protocol", "SASL_SSL\n"), ("mechanism", "PLAIN"), ("pw", "c4nary-of-a-pw")]
        {
            kept(dir.path(), name, text);
        }
        let plan = "[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.blue.client]\n\
                    \"security.protocol\" = { file = \"protocol\" }\n\"sasl.mechanism\" = { file = \"mechanism\" }\n\
                    \"sasl.username\" = { file = \"user\" }\n\"sasl.password\" = { file = \"pw\" }\n\
                    \"client.id\" = \"c4nary-of-a-pw\"\n[clusters.green]\nbootstrap = \"g:1\"\n";
        let plan = Plan::parse(plan, &dir.path().join("x.toml")).unwrap_or_else(|e| panic!("{e}")).plan;
        assert_eq!(redact::hide_secrets("SASL PLAIN as `c4nary-of-a-user`"), "SASL PLAIN as `(hidden)`");
        assert_eq!(
            redact::hide_secrets("c4nary-of-a-user-events"),
            "c4nary-of-a-user-events",
            "a user name is part of others"
        );
        assert_eq!(redact::hide_secrets("id c4nary-of-a-pw"), "id (hidden)");
        let words = "use a SASL_SSL listener, or `PLAIN`";
        assert_eq!(redact::hide_secrets(words), words, "what a property foresees is nobody's secret");
        assert!(!format!("{plan:?}").contains("c4nary"), "{plan:?}");
        assert_eq!(client_properties(&plan.clusters.blue.client).unwrap()["sasl.username"], "c4nary-of-a-user");
    }

    #[test]
    fn a_secret_that_is_named_further_down_is_in_no_finding_above() {
        let dir = tempfile::tempdir().unwrap();
        // a canary for each case: one that an earlier case had learnt would prove nothing
        for (n, green) in [
            "\"sasl.password\" = { file = \"CANARY\" }",
            "\"sasl.pasword\" = \"CANARY\"",
            "\"client.id\" = \"https://u:CANARY@h/\"",
            "\"client.id\" = \"login password='CANARY';\"",
        ]
        .into_iter()
        .enumerate()
        {
            let canary = format!("c4nary-{n}-further-down");
            kept(dir.path(), &canary, &canary);
            let plan = format!(
                "[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.blue.client]\n\"security.protocol\" = {canary:?}\n\
                 [clusters.green]\nbootstrap = \"g:1\"\n[clusters.green.client]\n{}\n",
                green.replace("CANARY", &canary)
            );
            let said = Plan::parse(&plan, &dir.path().join("x.toml")).unwrap_err().to_string();
            assert!(said.contains("`security.protocol` is `(hidden)`") && !said.contains("c4nary"), "{green}: {said}");
        }
    }

    #[test]
    fn a_look_at_a_plan_neither_waits_for_a_pipe_nor_takes_what_it_holds() {
        use rustix::fs::{CWD, Mode, mkfifoat};
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        mkfifoat(CWD, pipe.as_path(), Mode::RUSR | Mode::WUSR).unwrap();
        let plan = "[clusters.blue]\nbootstrap = \"b:1\"\n[clusters.blue.client]\n\"security.protocol\" = \"SASL_SSL\"\n\
                    \"sasl.username\" = \"a\"\n\"sasl.password\" = { file = \"pipe\" }\n\
                    \"sasl.mechanism\" = { file = \"pipe\" }\n\"ssl.ca.location\" = \"pipe\"\n\
                    [clusters.green]\nbootstrap = \"g:1\"\n\
                    [notify.ops]\nkind = \"webhook\"\nurl = { file = \"pipe\" }\n";
        let file = dir.path().join("cutover.toml");
        std::fs::write(&file, plan).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let loaded = Plan::load(&file).map(drop).map_err(|problems| problems.to_string());
            let ca = properties::file_trouble("ssl.ca.location", &pipe.to_string_lossy());
            let _ = tell.send((loaded, ca)); // who waited may have given up
        });
        let (loaded, ca) = told.recv_timeout(std::time::Duration::from_secs(20)).expect("nobody waits for the pipe");
        assert_eq!(loaded, Ok(()));
        assert!(ca.is_some_and(|t| t.what.ends_with("it is no ordinary file")), "each plane reads it for itself");
    }

    #[test]
    fn a_secret_with_a_nul_is_refused_without_being_repeated() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem"] {
            let client = [(name.to_owned(), kept(dir.path(), "pw", "c4na\0ry\n"))].into();
            let refused = client_properties(&client).unwrap_err();
            assert_eq!(refused.what, format!("`{name}` holds a NUL character"));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let e = Secret::Env("CUTOVER_TEST_NO_SUCH".to_owned()).resolve("sasl.password").unwrap_err();
        assert_eq!(e.what, "sasl.password: the environment variable CUTOVER_TEST_NO_SUCH is not set");
        let e = Secret::File("/no/such/file".into()).resolve("sasl.password").unwrap_err();
        assert!(e.what.contains("/no/such/file"), "{}", e.what);
    }
}
