//! Sessions that end (KIP-368): a broker that says how long a login holds is shown who we are again before that time is
//! over, on the same connection. It closes one that comes too late, with whatever is under way there.

use std::sync::Arc;
use std::time::Duration;

use super::router::wait_out;
use super::wire::Wire;
use crate::kafka::properties::Sasl;

/// When a session is renewed, in thousandths of its time: as the Java client draws it, so that the connections of many
/// clients don't come at the same moment (`SaslClientAuthenticator`).
const EARLIEST: u32 = 850;
const SPREAD: u32 = 100;
/// A broker takes no second login within a second of the one before (`KafkaChannel.MIN_REAUTH_INTERVAL`).
const SOONEST: Duration = Duration::from_millis(1_100);

/// Renews the session of a connection again and again, until the broker sets no time any more or the connection ends.
pub(super) async fn keep_session(wire: Arc<Wire>, sasl: Sasl, mut lifetime: Duration) {
    loop {
        wait_out(renewal_time(lifetime, draw_share())).await;
        if wire.is_closed() {
            return;
        }
        match wire.renew_session(&sasl).await {
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

/// How long after a login the next one begins. `share`: of its lifetime, thousandths.
fn renewal_time(lifetime: Duration, share: u32) -> Duration {
    // Longer than a month is for ever: no timer has to count it.
    let lifetime = lifetime.min(Duration::from_secs(30 * 86_400));
    (lifetime * share / 1_000).max(SOONEST)
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
        let at = |ms: u64, share| renewal_time(Duration::from_millis(ms), share).as_millis();
        assert_eq!((at(10_000, EARLIEST), at(10_000, EARLIEST + SPREAD)), (8_500, 9_500));
        assert_eq!(at(500, EARLIEST), 1_100, "sooner it would be refused");
        assert_eq!(at(u64::MAX, 1_000), 30 * 86_400_000);
        let shares: Vec<u32> = (0..200).map(|_| draw_share()).collect();
        assert!(shares.iter().all(|s| (850..=950).contains(s)) && shares.iter().any(|s| *s != shares[0]));
    }
}
