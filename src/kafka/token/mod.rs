//! The tokens of one cluster's clients (OAUTHBEARER, AWS_MSK_IAM): asked for once for both planes and all connections, kept
//! until 80 % of their time is over, as librdkafka and the Java client do, and told to the redactor.
//!
//! librdkafka would ask by itself (`sasl.oauthbearer.method = oidc`), with a trust and words of its own, and a second token
//! beside the control plane's; it is handed the one token instead.

mod aws;
mod claims;
mod oidc;
mod origin;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared};
use tokio::time::timeout;

use crate::base::{At, Trouble, format_duration, lock_unpoisoned, redact};
use claims::TokenClaims;
use origin::{ObtainedToken, TokenOrigin};

/// Reads the wall clock: tokens expire by it, and AWS' are signed with it.
pub type TokenClock = fn() -> At;

/// How long a failure stands before the same is asked again, ms: each connection needs a token, and a server that refuses
/// locks clients that ask too often.
const FAILURE_STANDS_MS: u64 = 1_000;
/// How long a token counts whose end nobody told, to a client that has to be told one, ms. It is asked for at each login.
const UNTOLD_MS: u64 = 300_000;
/// Tokens that stay hidden wherever they stand. Who gets a new one each minute has forgotten what expired long ago.
const REMEMBERED: usize = 32;

/// A token, and what it says of itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    value: String,
    claims: TokenClaims,
    obtained: At,
    /// `None`: nobody told.
    expires: Option<At>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("claims", &self.claims).field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Token {
    /// The token itself. Hand it to a broker, never to a log.
    #[must_use]
    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// Whom it names, if it tells.
    #[must_use]
    pub(crate) fn subject(&self) -> Option<&str> {
        self.claims.subject.as_deref()
    }

    /// What it says of itself, for whoever has to find out why it is refused; `None`: it is not for reading.
    #[must_use]
    pub(crate) fn describe(&self) -> Option<String> {
        self.claims.describe()
    }

    /// Until when it may be shown; of one whose end nobody told, for a while.
    #[must_use]
    pub(crate) fn usable_until(&self) -> At {
        self.expires.unwrap_or(self.obtained.plus(UNTOLD_MS))
    }

    /// Whether it need not be asked for again yet.
    fn is_fresh(&self, now: At) -> bool {
        let Some(expires) = self.expires else { return false };
        // A clock that stepped back says nothing of how old it is.
        now >= self.obtained && now.since(self.obtained) < expires.since(self.obtained) / 5 * 4
    }

    fn is_valid(&self, now: At) -> bool {
        self.expires.is_some_and(|expires| now < expires)
    }
}

/// Asking for a token, by all who need it.
type TokenFetch = Shared<BoxFuture<'static, Result<Arc<Token>, Trouble>>>;

/// Where the tokens of one cluster come from, and the one that there is.
pub(crate) struct TokenSource {
    origin: TokenOrigin,
    /// Bound of asking for one.
    limit: Duration,
    clock: TokenClock,
    book: Mutex<TokenBook>,
}

#[derive(Default)]
struct TokenBook {
    current: Option<Arc<Token>>,
    fetching: Option<TokenFetch>,
    failed: Option<(At, Trouble)>,
    /// What the redactor was told, oldest first.
    told: VecDeque<String>,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("origin", &self.origin.describe()).finish_non_exhaustive()
    }
}

impl TokenSource {
    /// What properties say of tokens; `bootstrap` names the region of an MSK cluster. `None`: the mechanism takes none.
    ///
    /// # Errors
    /// What is missing, with the name of its property.
    pub(crate) fn from_properties(
        entries: &BTreeMap<String, String>,
        bootstrap: &str,
        limit: Duration,
        clock: TokenClock,
    ) -> Result<Option<Arc<TokenSource>>, (&'static str, Trouble)> {
        let origin = TokenOrigin::from_properties(entries, bootstrap)?;
        Ok(origin.map(|origin| Arc::new(TokenSource { origin, limit, clock, book: Mutex::default() })))
    }

    /// Who logs in, as far as it is known without a token.
    #[must_use]
    pub(crate) fn client_name(&self) -> Option<&str> {
        self.origin.client_name()
    }

    /// A token that has not expired: the one that there is, or a new one. One that is nearly over is still good when no
    /// other is to be had.
    ///
    /// # Errors
    /// Why there is none, and what to do; without the secret, whoever repeats it.
    pub(crate) async fn fetch_token(self: &Arc<Self>) -> Result<Arc<Token>, Trouble> {
        let now = (self.clock)();
        let fetch = {
            let mut book = lock_unpoisoned(&self.book);
            if let Some(token) = book.current.as_ref().filter(|token| token.is_fresh(now)) {
                return Ok(Arc::clone(token));
            }
            let stands = |at: &At| now >= *at && now.since(*at) < FAILURE_STANDS_MS;
            match (&book.fetching, &book.failed) {
                // Of one that a runtime took with it nobody is told any more: the next who asks begins anew.
                (Some(fetch), _) if fetch.peek().is_none() => fetch.clone(),
                (_, Some((at, why))) if stands(at) => {
                    let why = why.clone();
                    return book.current.clone().filter(|token| token.is_valid(now)).ok_or(why);
                }
                _ => book.fetching.insert(self.begin_fetch()).clone(),
            }
        };
        match fetch.await {
            Ok(token) => Ok(token),
            Err(why) => {
                let current = lock_unpoisoned(&self.book).current.clone();
                current.filter(|token| token.is_valid((self.clock)())).ok_or(why)
            }
        }
    }

    /// Forgets a token that a broker refused: the next login asks for another one.
    pub(crate) fn discard_token(&self, refused: &Token) {
        let mut book = lock_unpoisoned(&self.book);
        if book.current.as_ref().is_some_and(|token| token.value == refused.value) {
            book.current = None;
        }
    }

    /// A task of its own: who asked first may give up, and others wait for the same.
    fn begin_fetch(self: &Arc<Self>) -> TokenFetch {
        let source = Arc::clone(self);
        let task = tokio::spawn(async move { source.fetch_anew().await });
        // Not in its own words: a panic has those of whoever it came to, and a secret may be among them.
        let broken = |_| Err(Trouble::new("asking for a token broke off", "try again"));
        async move { task.await.unwrap_or_else(broken) }.boxed().shared()
    }

    async fn fetch_anew(&self) -> Result<Arc<Token>, Trouble> {
        let result = match timeout(self.limit * 2, self.origin.obtain((self.clock)(), self.limit)).await {
            Ok(obtained) => obtained,
            Err(_) => Err(self.late_trouble()),
        };
        let now = (self.clock)();
        let result = result.and_then(|obtained| self.admit(obtained, now));
        let mut book = lock_unpoisoned(&self.book);
        book.fetching = None;
        match result {
            Ok(token) => {
                let token = Arc::new(token);
                tracing::debug!(from = %self.origin.describe(), expires = ?token.expires, "a token");
                book.tell_redactor(&token.value);
                (book.current, book.failed) = (Some(Arc::clone(&token)), None);
                Ok(token)
            }
            Err(why) => {
                tracing::warn!(from = %self.origin.describe(), why = %why.what, "no token");
                book.failed = Some((now, why.clone()));
                Err(why)
            }
        }
    }

    fn late_trouble(&self) -> Trouble {
        let limit = format_duration(u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX));
        Trouble::new(
            format!("{}: no token within {limit}", self.origin.describe()),
            "look at why that takes so long; `socket.connection.setup.timeout.ms` is the limit",
        )
    }

    /// What was obtained as a token, if it can be one.
    fn admit(&self, obtained: ObtainedToken, now: At) -> Result<Token, Trouble> {
        let from = self.origin.describe();
        let value = obtained.value.trim().to_owned();
        redact::learn_secret(&value);
        // RFC 6750, 2.1: what is no b64token would end the message that it stands in, or be another one.
        let odd = |c: char| !(c.is_ascii_alphanumeric() || "-._~+/=".contains(c));
        if value.is_empty() || value.contains(odd) {
            let what = format!("{from}: what came is no token (RFC 6750)");
            return Err(
                Trouble::new(what, "let it give the token alone, without quotes or words around it").mark_lasting()
            );
        }
        let claims = TokenClaims::read(&value);
        let told = obtained.expires_in_s.map(|s| now.plus(s.saturating_mul(1_000)));
        let expires = [told, obtained.expires, claims.expires].into_iter().flatten().min();
        if let Some(over) = expires.filter(|expires| *expires <= now) {
            let what = format!("{from}: the token expired {} ago", format_duration(now.since(over)));
            return Err(Trouble::new(what, self.origin.advise_expired()).mark_lasting());
        }
        Ok(Token { value, claims, obtained: now, expires })
    }
}

impl TokenBook {
    fn tell_redactor(&mut self, value: &str) {
        // It was learnt before it was judged.
        if self.told.iter().any(|told| told == value) {
            return;
        }
        self.told.push_back(value.to_owned());
        if self.told.len() > REMEMBERED
            && let Some(oldest) = self.told.pop_front()
        {
            redact::forget_secret(&oldest);
        }
    }
}
