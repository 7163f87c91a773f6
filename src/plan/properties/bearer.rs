//! Tokens (OAUTHBEARER, AWS_MSK_IAM): the names of what says where they come from, and what can be told of it without a
//! network.
//!
//! By `sasl.oauthbearer.method = "oidc"` they are asked for with librdkafka's names. Without it a token is the plan's own,
//! under names of cutover's: a text (`sasl.oauthbearer.token`), a file or what a command prints. cutover asks by itself and
//! hands both planes the one token, so what librdkafka would do with a name is not what it means here.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{PropertyFinding, PropertyValues, SaslMechanism, canonical_name, is_for_tokens};
use crate::base::Trouble;

/// `default` (the plan's own token) or `oidc` (asked for).
pub(crate) const METHOD: &str = "sasl.oauthbearer.method";
/// Where tokens are asked for.
pub(crate) const ENDPOINT: &str = "sasl.oauthbearer.token.endpoint.url";
/// As whom.
pub(crate) const CLIENT_ID: &str = "sasl.oauthbearer.client.id";
/// With what.
pub(crate) const CLIENT_SECRET: &str = "sasl.oauthbearer.client.secret";
/// For what.
pub(crate) const SCOPE: &str = "sasl.oauthbearer.scope";
/// A token itself.
pub(crate) const TOKEN: &str = "sasl.oauthbearer.token";
/// A file that holds one, and is read again before it expires.
pub(crate) const TOKEN_FILE: &str = "sasl.oauthbearer.token.file";
/// What prints one, and is run again before it expires.
pub(crate) const TOKEN_COMMAND: &str = "sasl.oauthbearer.token.command";
/// What prints AWS credentials (`aws configure export-credentials --format process`).
pub(crate) const AWS_COMMAND: &str = "sasl.aws.credentials.command";
/// Those that are commands.
pub(crate) const COMMANDS: [&str; 2] = [TOKEN_COMMAND, AWS_COMMAND];
/// The region of an MSK cluster.
pub(crate) const AWS_REGION: &str = "sasl.aws.region";
/// The CAs that the token server is trusted by.
pub(crate) const HTTPS_CA_FILE: &str = "https.ca.location";
/// The same as a text.
pub(crate) const HTTPS_CA_TEXT: &str = "https.ca.pem";

/// What only says where, or as whom, a token is asked for, whatever words its name is made of.
pub(super) const PUBLIC: &[&str] = &[
    AWS_COMMAND,
    CLIENT_ID,
    "sasl.oauthbearer.client.credentials.client.id",
    "sasl.oauthbearer.grant.type",
    METHOD,
    SCOPE,
    TOKEN_COMMAND,
    ENDPOINT,
    TOKEN_FILE,
];

/// A command without a shell that prints a token, or credentials. As a property it is JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenCommand {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Where it runs: the plan's directory.
    pub dir: PathBuf,
}

impl TokenCommand {
    /// Reads a property: a list of words (as `-X` gives it), or what a plan makes of one. `None`: it is neither.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<TokenCommand> {
        let words = || serde_json::from_str(text).ok().map(|argv| TokenCommand { argv, dir: PathBuf::new() });
        let command: TokenCommand = serde_json::from_str(text).ok().or_else(words)?;
        command.argv.first().is_some_and(|program| !program.is_empty()).then_some(command)
    }

    /// The property.
    #[must_use]
    pub(crate) fn to_property(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// Whether a property is given under any of its names; one that comes from elsewhere counts.
fn find_given<'a>(values: &PropertyValues<'a>, canonical: &str) -> Option<(&'a str, Option<&'a str>)> {
    let own = values.iter().find(|(name, _)| canonical_name(name) == canonical);
    own.map(|(name, value)| (*name, *value)).filter(|(_, value)| *value != Some(""))
}

/// What is missing, said twice or without effect. `at`: where the mechanism is named.
pub(super) fn check_tokens(
    mechanism: SaslMechanism,
    at: &str,
    values: &PropertyValues<'_>,
    found: &mut Vec<PropertyFinding>,
) {
    let asked = find_given(values, METHOD).is_some_and(|(_, v)| v.is_some_and(|v| v.eq_ignore_ascii_case("oidc")));
    let used: &[&str] = match mechanism {
        SaslMechanism::OAuthBearer if asked => {
            check_asking(at, values, found);
            &["sasl.oauthbearer.", "https.ca."]
        }
        SaslMechanism::OAuthBearer => {
            check_own_token(at, values, found);
            &["sasl.oauthbearer."]
        }
        SaslMechanism::AwsMskIam => &["sasl.aws."],
        SaslMechanism::Plain | SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 => &[],
    };
    let idle = |name: &str| match mechanism.takes_token() {
        true if matches!(name, "sasl.username" | "sasl.password") => true,
        _ => is_for_tokens(name) && !used.iter().any(|prefix| name.starts_with(prefix)),
    };
    for name in values.keys().filter(|name| idle(name) && find_given(values, canonical_name(name)).is_some()) {
        let how = if name.starts_with("https.ca.") { ", with no token server to ask over https" } else { "" };
        let what = format!("`{name}` has no effect: the mechanism is {}{how}", mechanism.name());
        found.push(PropertyFinding::new_warning(name, Trouble::new(what, "leave it out")));
    }
}

/// A token that is asked for.
fn check_asking(at: &str, values: &PropertyValues<'_>, found: &mut Vec<PropertyFinding>) {
    for name in [ENDPOINT, CLIENT_ID, CLIENT_SECRET] {
        if find_given(values, name).is_none() {
            let what = format!("SASL OAUTHBEARER by oidc needs `{name}`, and it is not set");
            found.push(PropertyFinding::new_refusal(at, Trouble::new(what, format!("set `{name}`"))));
        }
    }
    for name in [TOKEN, TOKEN_FILE, TOKEN_COMMAND].into_iter().filter(|name| find_given(values, name).is_some()) {
        let what = format!("`{name}` is set, and `{METHOD}` is oidc: which token counts is not said");
        found.push(PropertyFinding::new_refusal(name, Trouble::new(what, "leave one of them out")));
    }
    if find_given(values, HTTPS_CA_FILE).is_some() && find_given(values, HTTPS_CA_TEXT).is_some() {
        let what = format!("`{HTTPS_CA_FILE}` and `{HTTPS_CA_TEXT}` are both set");
        found.push(PropertyFinding::new_refusal(HTTPS_CA_TEXT, Trouble::new(what, "leave one of them out")));
    }
    match find_given(values, ENDPOINT).and_then(|(_, url)| url).map(judge_endpoint) {
        Some(EndpointKind::Other) => {
            let what = format!("`{ENDPOINT}` is no URL of HTTP");
            found.push(PropertyFinding::new_refusal(ENDPOINT, Trouble::new(what, "write \"https://HOST:PORT/PATH\"")));
        }
        // Not repeated: they are somebody's password.
        Some(EndpointKind::Credentials) => {
            let what = format!("`{ENDPOINT}` holds credentials");
            let advice = format!("write them as `{CLIENT_ID}` and `{CLIENT_SECRET}`");
            found.push(PropertyFinding::new_refusal(ENDPOINT, Trouble::new(what, advice)));
        }
        // RFC 6749, 3.2 asks for TLS. It is allowed as SASL_PLAINTEXT is: the line may be a tunnel.
        Some(EndpointKind::Open) => {
            let what = format!("`{ENDPOINT}` is none of TLS: everyone on the way can read the secret and the token");
            found.push(PropertyFinding::new_warning(ENDPOINT, Trouble::new(what, "write https://")));
        }
        Some(EndpointKind::Fine) | None => {}
    }
}

/// A token of the plan's own.
fn check_own_token(at: &str, values: &PropertyValues<'_>, found: &mut Vec<PropertyFinding>) {
    let own: Vec<&str> =
        [TOKEN, TOKEN_FILE, TOKEN_COMMAND].into_iter().filter(|name| find_given(values, name).is_some()).collect();
    if let [first, others @ ..] = own.as_slice() {
        for name in others {
            let what = format!("`{first}` and `{name}` are both set: which token counts is not said");
            found.push(PropertyFinding::new_refusal(name, Trouble::new(what, "leave one of them out")));
        }
    }
    let asks = [ENDPOINT, CLIENT_ID, CLIENT_SECRET, SCOPE].into_iter().find(|name| find_given(values, name).is_some());
    match (asks, own.is_empty()) {
        (Some(name), _) => {
            let what = format!("`{name}` is set, and `{METHOD}` is not oidc: no token would be asked for");
            let advice = format!("write \"{METHOD}\" = \"oidc\"");
            found.push(PropertyFinding::new_refusal(name, Trouble::new(what, advice)));
        }
        (None, true) => {
            let what = "SASL OAUTHBEARER needs a token, and nothing says where it comes from";
            let advice = format!(
                "write \"{METHOD}\" = \"oidc\" with `{ENDPOINT}`, `{CLIENT_ID}` and `{CLIENT_SECRET}`, or a token of your \
                 own: \"{TOKEN}\" = {{ file = \"PATH\" }}, {{ env = \"VARIABLE\" }} or {{ command = [\"PROGRAM\"] }}"
            );
            found.push(PropertyFinding::new_refusal(at, Trouble::new(what, advice)));
        }
        (None, false) => {}
    }
}

/// What a token server's address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndpointKind {
    /// TLS, or on this machine.
    Fine,
    /// Without TLS, over a network.
    Open,
    /// With a name and a password in it.
    Credentials,
    /// None of HTTP.
    Other,
}

fn judge_endpoint(url: &str) -> EndpointKind {
    let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return EndpointKind::Other,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let here = || host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match () {
        () if authority.contains('@') => EndpointKind::Credentials,
        () if host.is_empty() => EndpointKind::Other,
        () if secure || here() => EndpointKind::Fine,
        () => EndpointKind::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_tls_is_fine_on_this_machine_alone() {
        for (url, kind) in [
            ("https://idp.example/token", EndpointKind::Fine),
            ("http://127.0.0.1:8080/token", EndpointKind::Fine),
            ("http://[::1]:8080", EndpointKind::Fine),
            ("http://localhost", EndpointKind::Fine),
            ("http://idp.example/token", EndpointKind::Open),
            ("http://localhost.example/token", EndpointKind::Open),
            ("https://id:secret@idp.example/token", EndpointKind::Credentials),
            ("idp.example/token", EndpointKind::Other),
            ("https:///token", EndpointKind::Other),
        ] {
            assert_eq!(judge_endpoint(url), kind, "{url}");
        }
    }

    #[test]
    fn a_command_is_a_list_of_words_with_or_without_its_directory() {
        let command = TokenCommand::parse(r#"["gcloud","auth"]"#).unwrap();
        assert_eq!(
            (command.argv.as_slice(), command.dir.as_os_str().is_empty()),
            (&["gcloud", "auth"].map(String::from)[..], true)
        );
        let placed = TokenCommand { dir: "/etc/cutover".into(), ..command };
        assert_eq!(TokenCommand::parse(&placed.to_property()), Some(placed));
        for none in ["gcloud auth", "[]", "[\"\"]", "{}", "[1]"] {
            assert_eq!(TokenCommand::parse(none), None, "{none}");
        }
    }
}
