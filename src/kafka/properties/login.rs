//! How a cluster's clients log in.

use std::sync::Arc;

use crate::kafka::control::ScramHash;
use crate::kafka::token::TokenSource;
use crate::plan::properties::SaslMechanism;

/// How the client proves who it is.
#[derive(Clone)]
pub(crate) enum Sasl {
    /// RFC 4616: name and password as they are, so only inside TLS.
    Plain {
        /// `sasl.username`.
        username: String,
        /// `sasl.password`.
        password: String,
    },
    /// RFC 5802: the password is proven and never sent, and the broker proves that it knows its credential.
    Scram {
        /// `sasl.mechanism`.
        hash: ScramHash,
        /// `sasl.username`.
        username: String,
        /// `sasl.password`.
        password: String,
    },
    /// RFC 7628: a token is shown, which the source has for both planes.
    Bearer {
        /// OAUTHBEARER or AWS_MSK_IAM.
        mechanism: SaslMechanism,
        /// Where it comes from.
        tokens: Arc<TokenSource>,
    },
}

impl Sasl {
    /// As brokers know it.
    #[must_use]
    pub(crate) fn mechanism(&self) -> SaslMechanism {
        match self {
            Sasl::Plain { .. } => SaslMechanism::Plain,
            Sasl::Scram { hash: ScramHash::Sha256, .. } => SaslMechanism::ScramSha256,
            Sasl::Scram { hash: ScramHash::Sha512, .. } => SaslMechanism::ScramSha512,
            Sasl::Bearer { mechanism, .. } => *mechanism,
        }
    }

    /// Who authenticates, as it was written. `None`: only a token tells.
    #[must_use]
    pub(crate) fn username(&self) -> Option<&str> {
        match self {
            Sasl::Plain { username, .. } | Sasl::Scram { username, .. } => Some(username),
            Sasl::Bearer { tokens, .. } => tokens.client_name(),
        }
    }
}
