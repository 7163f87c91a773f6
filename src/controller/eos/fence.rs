//! Fencing a transactional id: again while its markers are under way or another instance takes it over, bounded.

use std::ops::ControlFlow;

use crate::base::{Side, Trouble};
use crate::estate::transactions::Fencing;
use crate::kafka::control::Cluster;
use crate::session::clock::Clock;

/// How long markers that are under way are waited for, ms: a coordinator writes them in well under a second, and tries
/// again while a leader is away.
const ENDING_MS: u64 = 60_000;
/// How often an id is fenced again that another instance initialised at the same moment: a producer that starts again and
/// again is no race, and a person must stop it.
const OVERTAKEN: u32 = 5;
/// How often it is sent again when no answer came: fencing twice does no harm.
const UNANSWERED: u32 = 5;
/// Pause between two attempts, ms.
const PAUSE_MS: u64 = 250;

/// Why an id is not fenced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::controller) enum NotFenced {
    /// Nothing was fenced: refused, or a living instance keeps taking it over.
    Failed(Trouble),
    /// It may be fenced, or its transaction may still be ending.
    Unknown(Trouble),
}

/// Fences an id; returns its producer id and epoch when nothing of it is open any more.
pub(in crate::controller) async fn fence(cluster: &Cluster, id: &str) -> Result<(i64, i16), NotFenced> {
    let (watch, mut attempts) = (Clock.stopwatch(), Attempts::default());
    loop {
        let answer = cluster.fence(id).await;
        if let ControlFlow::Break(end) = attempts.take(answer, watch.elapsed_ms(), cluster.side()) {
            return end;
        }
        Clock.sleep(PAUSE_MS).await;
    }
}

/// What came of the attempts to fence one id until now.
#[derive(Debug, Default)]
struct Attempts {
    overtaken: u32,
    unanswered: u32,
    /// One may have fenced: no later answer takes that back.
    begun: bool,
}

impl Attempts {
    /// Takes in an answer: it ends here, or it is to be fenced again.
    fn take(&mut self, answer: Fencing, elapsed_ms: u64, side: Side) -> ControlFlow<Result<(i64, i16), NotFenced>> {
        match answer {
            Fencing::Done { producer_id, epoch } => return ControlFlow::Break(Ok((producer_id, epoch))),
            Fencing::Forbidden(why) | Fencing::Refused(why) => {
                return ControlFlow::Break(Err(judge_refusal(self.begun, why)));
            }
            Fencing::Overtaken(why) if self.overtaken >= OVERTAKEN => {
                let what = format!("{}; {OVERTAKEN} times in a row: an instance lives and starts again", why.what);
                let why = Trouble::new(what, "stop every instance of it, then go on");
                return ControlFlow::Break(Err(judge_refusal(self.begun, why)));
            }
            Fencing::Ending(why) if elapsed_ms >= ENDING_MS => return ControlFlow::Break(Err(NotFenced::Unknown(why))),
            Fencing::Unknown(why) if self.unanswered >= UNANSWERED => {
                return ControlFlow::Break(Err(NotFenced::Unknown(why)));
            }
            Fencing::Ending(why) => {
                self.begun = true;
                tracing::debug!(%side, why = %why.what, "its markers are under way");
            }
            Fencing::Overtaken(why) => {
                self.overtaken += 1;
                tracing::warn!(%side, attempt = self.overtaken, why = %why.what, "overtaken: fenced again");
            }
            Fencing::Unknown(why) => {
                (self.begun, self.unanswered) = (true, self.unanswered + 1);
                tracing::warn!(%side, attempt = self.unanswered, why = %why.what, "unanswered: fenced again");
            }
        }
        ControlFlow::Continue(())
    }
}

/// A refusal after an attempt that may have fenced (no answer came, or markers are under way) does not take that back.
fn judge_refusal(begun: bool, why: Trouble) -> NotFenced {
    if begun { NotFenced::Unknown(why) } else { NotFenced::Failed(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_fenced_is_never_called_unchanged() {
        let why = || Trouble::new("it said so", "");
        let end = |before: &[Fencing], last: Fencing| {
            let mut attempts = Attempts::default();
            for answer in before {
                assert!(attempts.take(answer.clone(), 0, Side::Blue).is_continue());
            }
            match attempts.take(last, 1_000, Side::Blue) {
                ControlFlow::Break(Err(NotFenced::Failed(_))) => "nothing changed",
                ControlFlow::Break(Err(NotFenced::Unknown(_))) => "unknown",
                ControlFlow::Break(Ok(_)) => "fenced",
                ControlFlow::Continue(()) => "again",
            }
        };
        for refusal in [Fencing::Refused(why()), Fencing::Forbidden(why())] {
            assert_eq!(end(&[], refusal.clone()), "nothing changed");
            assert_eq!(end(&[Fencing::Overtaken(why())], refusal.clone()), "nothing changed");
            assert_eq!(end(&[Fencing::Unknown(why())], refusal.clone()), "unknown");
            assert_eq!(end(&[Fencing::Ending(why())], refusal), "unknown", "its instances are fenced by then");
        }
        let overtaken = vec![Fencing::Overtaken(why()); OVERTAKEN as usize];
        assert_eq!(end(&overtaken, Fencing::Overtaken(why())), "nothing changed");
        let begun = [&[Fencing::Ending(why())][..], &overtaken].concat();
        assert_eq!(end(&begun, Fencing::Overtaken(why())), "unknown");
        assert_eq!(end(&[Fencing::Ending(why())], Fencing::Done { producer_id: 7, epoch: 1 }), "fenced");
    }
}
