//! Fencing a transactional id: again while its markers are under way or another instance takes it over, bounded.

use crate::base::Trouble;
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
    let watch = Clock.stopwatch();
    let (mut overtaken, mut unanswered, mut begun) = (0, 0, false);
    loop {
        match cluster.fence(id).await {
            Fencing::Done { producer_id, epoch } => return Ok((producer_id, epoch)),
            Fencing::Forbidden(why) | Fencing::Refused(why) => return Err(judge_refusal(begun || unanswered > 0, why)),
            Fencing::Ending(why) if watch.elapsed_ms() >= ENDING_MS => return Err(NotFenced::Unknown(why)),
            Fencing::Overtaken(why) if overtaken >= OVERTAKEN => {
                let what = format!("{}; {OVERTAKEN} times in a row: an instance lives and starts again", why.what);
                let why = Trouble::new(what, "stop every instance of it, then go on");
                return Err(judge_refusal(begun || unanswered > 0, why));
            }
            Fencing::Unknown(why) if unanswered >= UNANSWERED => return Err(NotFenced::Unknown(why)),
            Fencing::Ending(why) => {
                begun = true;
                tracing::debug!(side = %cluster.side(), why = %why.what, "its markers are under way")
            }
            Fencing::Overtaken(why) => {
                overtaken += 1;
                tracing::warn!(side = %cluster.side(), attempt = overtaken, why = %why.what, "overtaken: fenced again");
            }
            Fencing::Unknown(why) => {
                unanswered += 1;
                tracing::warn!(side = %cluster.side(), attempt = unanswered, why = %why.what, "unanswered: fenced again");
            }
        }
        Clock.sleep(PAUSE_MS).await;
    }
}

/// A refusal after a try that may have fenced (`begun`: its answer never came, or markers were under way) does not tell
/// what became of that one.
fn judge_refusal(begun: bool, why: Trouble) -> NotFenced {
    if begun { NotFenced::Unknown(why) } else { NotFenced::Failed(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_nothing_was_fenced_only_when_no_try_before_it_may_have() {
        let why = Trouble::new("fencing: blue broker 1 answered INVALID_REQUEST", "");
        assert_eq!(judge_refusal(false, why.clone()), NotFenced::Failed(why.clone()));
        assert_eq!(judge_refusal(true, why.clone()), NotFenced::Unknown(why));
    }
}
