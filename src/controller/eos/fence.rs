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
    let (mut overtaken, mut unanswered) = (0, 0);
    loop {
        match cluster.fence(id).await {
            Fencing::Done { producer_id, epoch } => return Ok((producer_id, epoch)),
            Fencing::Forbidden(why) | Fencing::Refused(why) => return Err(judge_refusal(unanswered, why)),
            Fencing::Ending(why) if watch.elapsed_ms() >= ENDING_MS => return Err(NotFenced::Unknown(why)),
            Fencing::Overtaken(why) if overtaken >= OVERTAKEN => {
                let what = format!("{}; {OVERTAKEN} times in a row: an instance lives and starts again", why.what);
                return Err(NotFenced::Failed(Trouble::new(what, "stop every instance of it, then go on")));
            }
            Fencing::Unknown(why) if unanswered >= UNANSWERED => return Err(NotFenced::Unknown(why)),
            Fencing::Ending(why) => {
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

/// A refusal after an answer that never came does not tell what became of the first.
fn judge_refusal(unanswered: u32, why: Trouble) -> NotFenced {
    if unanswered == 0 { NotFenced::Failed(why) } else { NotFenced::Unknown(why) }
}
