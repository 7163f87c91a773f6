//! Logins with a token, as the Java client has them: the options of OAUTHBEARER's login module (KIP-768; since KIP-1139 they
//! are properties of their own, under librdkafka's names nearly), and Amazon's module for MSK.

use std::path::{Path, PathBuf};

use super::jaas::LoginModule;
use super::{StoreFormat, Translation};
use crate::plan::properties::SaslMechanism;
use crate::plan::properties::bearer::{
    AWS_COMMAND, CLIENT_ID, CLIENT_SECRET, ENDPOINT, HTTPS_CA_FILE, METHOD, SCOPE, TOKEN_FILE, TokenCommand,
};
use crate::plan::secrets::ClientValue;

impl Translation<'_> {
    /// What a login module that shows a token says, if this is one.
    pub(super) fn take_token_login(&mut self, module: &str, login: &LoginModule, number: usize) -> bool {
        match module {
            "OAuthBearerLoginModule" => self.take_bearer_options(login, number),
            "IAMLoginModule" => self.take_aws_profile(login),
            _ => return false,
        }
        true
    }

    fn take_bearer_options(&mut self, login: &LoginModule, number: usize) {
        let unsigned = |name: &str| name.starts_with("unsecuredLoginStringClaim_");
        if login.options.keys().any(|name| unsigned(name)) {
            let what = "`sasl.jaas.config` makes a token that nobody signed, which proves nothing";
            self.refuse(number, what, format!("write \"{METHOD}\" = \"oidc\", or a token of your own"));
            return;
        }
        if login.options.keys().any(|name| name.starts_with("extension_")) {
            let what = "`sasl.jaas.config` sends extensions (KIP-342), and the data plane's client can't";
            self.refuse(number, what, "leave them out if the cluster does without, or use another listener");
            return;
        }
        for (java, name) in [("clientId", CLIENT_ID), ("clientSecret", CLIENT_SECRET), ("scope", SCOPE)] {
            if let Some(value) = login.options.get(java) {
                self.put(name, number, value.clone());
            }
        }
        // Whom Java's client trusts as a token server; without one the JVM's authorities, as here the system's.
        let Some(store) = login.options.get("ssl.truststore.location") else { return };
        match (self.look)(Path::new(store)) {
            Ok(StoreFormat::Pem) => self.put_path(HTTPS_CA_FILE, number, store),
            _ => self.refuse(
                number,
                "`sasl.jaas.config`: the store of authorities of the token server is no PEM file",
                format!("take its option out, and give them as `{HTTPS_CA_FILE}` in PEM"),
            ),
        }
    }

    /// Java's module goes by the profiles of AWS' tools: so does the tool that prints credentials.
    fn take_aws_profile(&mut self, login: &LoginModule) {
        let Some(profile) = login.options.get("awsProfileName") else {
            self.leave_out("sasl.jaas.config", format!("AWS' variables are read, or what `{AWS_COMMAND}` prints"));
            return;
        };
        let words = ["aws", "configure", "export-credentials", "--format", "process", "--profile", profile];
        let command = TokenCommand { argv: words.map(str::to_owned).to_vec(), dir: PathBuf::new() };
        self.done.client.insert(AWS_COMMAND.to_owned(), ClientValue::Plain(command.to_property()));
    }

    /// Java asks a token server wherever one is named; librdkafka wants that said.
    pub(super) fn take_asking(&mut self) {
        let mechanism = self.lines.get("sasl.mechanism").or_else(|| self.lines.get("sasl.mechanisms"));
        let bearer =
            mechanism.and_then(|line| SaslMechanism::from_name(&line.value)) == Some(SaslMechanism::OAuthBearer);
        let said = self.lines.contains_key(METHOD);
        let Some(endpoint) = self.lines.get(ENDPOINT).filter(|_| bearer && !said) else { return };
        let number = endpoint.number;
        // Java reads a file where one is named instead of a server (KIP-768).
        if let Some(path) = endpoint.value.strip_prefix("file:") {
            let path = format!("/{}", path.trim_start_matches('/'));
            self.lines.remove(ENDPOINT);
            self.put(TOKEN_FILE, number, path);
            return;
        }
        self.put(METHOD, number, "oidc".to_owned());
    }
}
