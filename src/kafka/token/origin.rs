//! Where a token comes from: the plan, a file, a command, a token server, or AWS' credentials.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

use super::aws::MskSigner;
use super::oidc::{OidcClient, trust_of};
use crate::base::sanitise::visible_path;
use crate::base::{At, Trouble};
use crate::net::process::CommandRun;
use crate::plan::properties::bearer::{
    CLIENT_ID, CLIENT_SECRET, ENDPOINT, METHOD, SCOPE, TOKEN, TOKEN_COMMAND, TOKEN_FILE, TokenCommand,
};
use crate::plan::properties::{SaslMechanism, canonical_name};
use crate::plan::secrets::Secret;

/// A text that should be a token, and what is told of its time.
#[derive(Debug)]
pub(super) struct ObtainedToken {
    pub value: String,
    /// For how long from now on, s.
    pub expires_in_s: Option<u64>,
    /// Until when.
    pub expires: Option<At>,
}

impl From<String> for ObtainedToken {
    fn from(value: String) -> Self {
        Self { value, expires_in_s: None, expires: None }
    }
}

/// Where tokens come from.
pub(super) enum TokenOrigin {
    /// The plan, or a variable: there is this one alone.
    Given(String),
    /// A file that somebody else keeps current.
    File(PathBuf),
    /// What prints one.
    Command(TokenCommand),
    /// A token server.
    Server(OidcClient),
    /// A signature with AWS' credentials.
    Msk(MskSigner),
}

impl TokenOrigin {
    /// What properties say. `bootstrap` names the region of an MSK cluster. `None`: the mechanism takes no token.
    pub fn from_properties(
        entries: &BTreeMap<String, String>,
        bootstrap: &str,
    ) -> Result<Option<TokenOrigin>, (&'static str, Trouble)> {
        let find = |name: &str| {
            let own = entries.iter().find(|(key, _)| canonical_name(key) == name);
            own.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
        };
        let missing =
            |name: &'static str| (name, Trouble::new(format!("`{name}` is not set"), format!("set `{name}`")));
        let need = |name: &'static str| find(name).map(str::to_owned).ok_or_else(|| missing(name));
        match find("sasl.mechanisms").and_then(SaslMechanism::from_name) {
            Some(SaslMechanism::AwsMskIam) => Ok(Some(TokenOrigin::Msk(MskSigner::from_properties(find, bootstrap)))),
            Some(SaslMechanism::OAuthBearer) if find(METHOD).is_some_and(|m| m.eq_ignore_ascii_case("oidc")) => {
                Ok(Some(TokenOrigin::Server(OidcClient {
                    url: need(ENDPOINT)?,
                    id: need(CLIENT_ID)?,
                    secret: need(CLIENT_SECRET)?,
                    scope: find(SCOPE).map(str::to_owned),
                    trust: trust_of(entries),
                })))
            }
            Some(SaslMechanism::OAuthBearer) => {
                let command = || find(TOKEN_COMMAND).and_then(TokenCommand::parse).map(TokenOrigin::Command);
                let file = || find(TOKEN_FILE).map(|path| TokenOrigin::File(path.into()));
                let given = find(TOKEN).map(|token| TokenOrigin::Given(token.to_owned()));
                given.or_else(file).or_else(command).map(Some).ok_or_else(|| missing(TOKEN))
            }
            Some(SaslMechanism::Plain | SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512) | None => Ok(None),
        }
    }

    /// A token, asked for now. `limit`: of what is waited for.
    pub async fn obtain(&self, now: At, limit: Duration) -> Result<ObtainedToken, Trouble> {
        match self {
            TokenOrigin::Given(token) => Ok(token.clone().into()),
            TokenOrigin::File(path) => read_file(path.clone(), limit).await,
            TokenOrigin::Command(command) => {
                let run = run_of(command, limit);
                Ok(run.read_word("the token").await.map_err(|t| asking(&t))?.into())
            }
            TokenOrigin::Server(client) => client.ask(limit).await,
            TokenOrigin::Msk(signer) => signer.sign(now, limit).await,
        }
    }

    /// Who logs in, as far as it is known without a token.
    pub fn client_name(&self) -> Option<&str> {
        match self {
            TokenOrigin::Server(client) => Some(&client.id),
            _ => None,
        }
    }

    /// Where tokens come from, for a sentence.
    pub fn describe(&self) -> String {
        match self {
            TokenOrigin::Given(_) => format!("`{TOKEN}`"),
            TokenOrigin::File(path) => format!("the token file {}", visible_path(path)),
            TokenOrigin::Command(command) => {
                format!("the token command {}", run_of(command, Duration::ZERO).visible_command())
            }
            TokenOrigin::Server(client) => client.describe(),
            TokenOrigin::Msk(signer) => signer.describe(),
        }
    }

    /// What to do about a token that is over when it comes.
    pub fn advise_expired(&self) -> &'static str {
        match self {
            TokenOrigin::Given(_) => {
                "name a file or a command that is asked again, \"sasl.oauthbearer.token\" = { file = \"PATH\" }, or start \
                 cutover with a newer one"
            }
            TokenOrigin::File(_) => "look at what writes that file: it must be renewed before the token expires",
            TokenOrigin::Command(_) | TokenOrigin::Msk(_) | TokenOrigin::Server(_) => {
                "check this machine's clock, and that of whoever makes the token"
            }
        }
    }
}

/// A command of the plan, bounded in time.
pub(super) fn run_of(command: &TokenCommand, limit: Duration) -> CommandRun<'_> {
    let timeout_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    CommandRun { argv: command.argv.clone(), dir: &command.dir, timeout_ms }
}

/// The same in the words of who wants a token.
pub(super) fn asking(trouble: &Trouble) -> Trouble {
    let what = format!("asking for a token: {}", trouble.what);
    Trouble { lasting: trouble.lasting, cause: trouble.cause, ..Trouble::new(what, trouble.advice.clone()) }
}

/// Files may lie on a share that hangs.
async fn read_file(path: PathBuf, limit: Duration) -> Result<ObtainedToken, Trouble> {
    let shown = visible_path(&path);
    let reading = tokio::task::spawn_blocking(move || Secret::File(path).resolve(TOKEN_FILE));
    match timeout(limit, reading).await {
        Ok(Ok(read)) => Ok(read?.into()),
        // Not in its own words: a panic has those of whoever it came to, and the token may be among them.
        Ok(Err(_)) => Err(Trouble::new("reading the token file broke off", "this is a fault of cutover")),
        Err(_) => {
            Err(Trouble::new(format!("reading the token file {shown} takes too long"), "check the disk or the share"))
        }
    }
}
