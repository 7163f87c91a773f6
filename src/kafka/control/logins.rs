//! What is known of the logins at one cluster. A refusal counts where accounts are locked after a few of them, and the next
//! address refuses as the first did: so one ends the round, whoever waited meanwhile is given the same answer, and as long
//! as none has worked since, addresses are tried one after the other and one a round.

use std::sync::Mutex;

use kafka_protocol::ResponseError;

use super::failure::Failure;
use crate::base::{Trouble, lock_unpoisoned};

/// The logins of one cluster's connections, over all brokers.
#[derive(Debug, Default)]
pub(super) struct LoginBook(Mutex<Logins>);

#[derive(Debug, Default)]
struct Logins {
    /// One has worked in this session.
    worked: bool,
    /// Refusals so far.
    refusals: u64,
    /// The last one, if no login has worked since.
    standing: Option<Failure>,
    /// At which of the addresses the next round begins.
    next: usize,
}

impl LoginBook {
    /// Takes in what came of a login, and puts into a refusal what is known of it here.
    pub fn judge<T>(&self, login: Result<T, Failure>) -> Result<T, Failure> {
        let mut logins = lock_unpoisoned(&self.0);
        match login {
            Ok(told) => {
                (logins.worked, logins.standing) = (true, None);
                Ok(told)
            }
            Err(failure) if failure.is_refused_login() => {
                let failure = if logins.worked { mention_restart(failure) } else { failure };
                logins.refusals += 1;
                logins.standing = Some(failure.clone());
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    /// How many were refused so far, for [`Self::refused_since`].
    pub(crate) fn count_refusals(&self) -> u64 {
        lock_unpoisoned(&self.0).refusals
    }

    /// The refusal that came since that count, if no login has worked since.
    pub(crate) fn refused_since(&self, count: u64) -> Option<Failure> {
        let logins = lock_unpoisoned(&self.0);
        logins.standing.clone().filter(|_| logins.refusals > count)
    }

    /// At which of the addresses a round begins, and whether they are tried one at a time.
    pub(crate) fn plan_round(&self) -> (usize, bool) {
        let logins = lock_unpoisoned(&self.0);
        (logins.next, logins.standing.is_some())
    }

    /// A login was refused at this of the addresses. The next round begins behind it: one broker may be out of step with
    /// the others.
    pub(crate) fn pass_over(&self, address: usize) {
        lock_unpoisoned(&self.0).next = address + 1;
    }
}

impl Failure {
    /// Whether a broker refused who logged in: another one would refuse it too.
    pub(crate) fn is_refused_login(&self) -> bool {
        self.error == Some(ResponseError::SaslAuthenticationFailed)
    }
}

/// It worked before, so the credential is probably another one now.
fn mention_restart(failure: Failure) -> Failure {
    let Trouble { what, advice, lasting, cause } = *failure.trouble;
    let advice =
        format!("{advice}; if it was changed: secrets are read when cutover starts, so a restart reads them again");
    Failure { trouble: Box::new(Trouble { lasting, cause, ..Trouble::new(what, advice) }), ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::control::failure::{Class, check_code};

    fn refused() -> Result<(), Failure> {
        check_code(58, "SASL PLAIN as `app`", "blue broker 1")
    }

    #[test]
    fn after_a_refusal_addresses_are_tried_one_at_a_time_until_a_login_works() {
        let book = LoginBook::default();
        assert_eq!(book.plan_round(), (0, false));
        let count = book.count_refusals();
        assert!(book.judge(Err::<(), _>(Failure::new(Class::Lost, "closed", ""))).is_err());
        assert!(book.refused_since(count).is_none() && !book.plan_round().1, "only a refusal counts");
        assert!(book.judge(refused()).is_err());
        book.pass_over(0);
        assert_eq!(book.plan_round(), (1, true));
        assert!(book.refused_since(count).is_some_and(|f| f.is_refused_login()));
        assert!(book.refused_since(book.count_refusals()).is_none(), "who comes later tries for itself");
        assert!(book.judge(Ok(())).is_ok());
        assert_eq!(book.plan_round(), (1, false));
        assert!(book.refused_since(count).is_none());
    }

    #[test]
    fn a_refusal_after_a_login_that_worked_says_when_secrets_are_read() {
        let book = LoginBook::default();
        let first = book.judge(refused()).unwrap_err().trouble.advice;
        assert_eq!(first, "check `sasl.username` and `sasl.password`", "a restart would read the same");
        assert!(book.judge(Ok(())).is_ok());
        let later = book.judge(refused()).unwrap_err().trouble.advice;
        assert!(later.starts_with(&first) && later.ends_with("so a restart reads them again"), "{later}");
    }
}
