//! Sessions that end (KIP-368): a broker that says how long a login holds is shown who we are again before that time is
//! over, on the same connection. It closes one that comes too late, with whatever is under way there.

use std::sync::Arc;
use std::time::Duration;

use super::logins::LoginBook;
use super::router::wait_out;
use super::sasl::prepare_login;
use super::wire::Wire;
use crate::kafka::properties::Sasl;

/// When a session is renewed, in thousandths of its time: as the Java client draws it, so that the connections of many
/// clients don't come at the same moment (`SaslClientAuthenticator`).
const EARLIEST: u32 = 850;
const SPREAD: u32 = 100;
/// A broker takes no second login within a second of the one before (`KafkaChannel.MIN_REAUTH_INTERVAL`).
const SOONEST: Duration = Duration::from_millis(1_100);

/// Renews the session of a connection again and again, until the broker sets no time any more or the connection ends.
pub(super) async fn keep_session(wire: Arc<Wire>, sasl: Sasl, mut lifetime: Duration, logins: Arc<LoginBook>) {
    loop {
        let (wait, renewed) = plan_renewal(lifetime, draw_share());
        wait_out(wait).await;
        if wire.is_closed() {
            return;
        }
        if !renewed {
            return wire.end_session().await;
        }
        // Before anybody's turn on the connection is taken: a token may have to be asked for.
        let login = match prepare_login(&sasl).await {
            Ok(login) => login,
            Err(failure) => {
                tracing::warn!(broker = %wire.label(), why = %failure.trouble.what, "session not renewed");
                return wire.end_session().await;
            }
        };
        match logins.judge(wire.renew_session(&login).await) {
            Ok(Some(next)) => {
                tracing::debug!(broker = %wire.label(), ms = next.as_millis(), "session renewed");
                lifetime = next;
            }
            Ok(None) => return,
            // The connection is closed with the reason: whoever asks next connects anew, and is told what is wrong then.
            Err(failure) => {
                tracing::warn!(broker = %wire.label(), why = %failure.trouble.what, "session not renewed");
                return;
            }
        }
    }
}

/// How long after a login the next one begins, and whether it does: a session that ends sooner than a broker takes the
/// next login is let go of by then, or the broker would close it with whatever is under way. `share`: of its lifetime,
/// thousandths.
fn plan_renewal(lifetime: Duration, share: u32) -> (Duration, bool) {
    // Longer than a month is for ever: no timer has to count it.
    let lifetime = lifetime.min(Duration::from_secs(30 * 86_400));
    let wait = lifetime * share / 1_000;
    if lifetime > SOONEST { (wait.max(SOONEST), true) } else { (wait, false) }
}

fn draw_share() -> u32 {
    let mut byte = [0];
    // Without a random number it is the earliest: that is a spread of its own.
    let _ = openssl::rand::rand_bytes(&mut byte);
    EARLIEST + SPREAD * u32::from(byte[0]) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_renewed_before_it_ends_and_not_too_soon_for_the_broker() {
        let at = |ms: u64, share| {
            let (wait, renewed) = plan_renewal(Duration::from_millis(ms), share);
            (wait.as_millis(), renewed)
        };
        assert_eq!((at(10_000, EARLIEST), at(10_000, EARLIEST + SPREAD)), ((8_500, true), (9_500, true)));
        assert_eq!(at(1_200, EARLIEST), (1_100, true), "sooner it would be refused");
        assert_eq!(at(1_100, EARLIEST), (935, false), "it ends before a login is taken");
        assert_eq!(at(u64::MAX, 1_000), (30 * 86_400_000, true));
        let shares: Vec<u32> = (0..200).map(|_| draw_share()).collect();
        assert!(shares.iter().all(|s| (850..=950).contains(s)) && shares.iter().any(|s| *s != shares[0]));
    }
}
