//! Setting a switch or flag: read, set, read back. What the provider says of itself is never believed alone.

use std::fmt::Display;
use std::sync::Arc;

use super::{done, failed};
use crate::base::Trouble;
use crate::estate::{FlagState, SwitchState};
use crate::migration::facts::effect::{Answer, Outcome};
use crate::session::clock::Clock;
use crate::session::tools::{NotSet, Tools};

/// How long a setting may take to be read back as set: flag servers answer a second or so behind, ms.
const READ_BACK_MS: u64 = 10_000;
/// How long a refusal is tried again, ms.
const REFUSED_MS: u64 = 2_000;
/// Pause between two reads, or two attempts, ms.
const PAUSE_MS: u64 = 250;

/// Something with a state that can be read and set.
trait Knob: Sync {
    type State: Copy + PartialEq + Display + Send;
    /// What it is called.
    fn what(&self) -> String;
    fn read(&self) -> impl Future<Output = Result<Self::State, Trouble>> + Send;
    fn write(&self, to: Self::State) -> impl Future<Output = Result<(), NotSet>> + Send;
}

struct Switch(Arc<Tools>, String);

impl Knob for Switch {
    type State = SwitchState;
    fn what(&self) -> String {
        format!("the switch of {}", self.1)
    }
    async fn read(&self) -> Result<SwitchState, Trouble> {
        self.0.read_switch(&self.1).await
    }
    async fn write(&self, to: SwitchState) -> Result<(), NotSet> {
        self.0.set_switch(&self.1, to).await
    }
}

struct Flag(Arc<Tools>, String);

impl Knob for Flag {
    type State = FlagState;
    fn what(&self) -> String {
        format!("the flag of {}", self.1)
    }
    async fn read(&self) -> Result<FlagState, Trouble> {
        self.0.read_flag(&self.1).await
    }
    async fn write(&self, to: FlagState) -> Result<(), NotSet> {
        self.0.set_flag(&self.1, to).await
    }
}

/// Sets a group's switch.
pub(super) async fn switch(tools: Arc<Tools>, group: String, to: SwitchState) -> Outcome {
    if tools.by_hand_switch(&group) {
        return done(Answer::Nothing); // a person is asked; only what is observed counts
    }
    set(&Switch(tools, group), to).await.map_or_else(|o| o, |state| done(Answer::Switch { state }))
}

/// Sets a producer's flag.
pub(super) async fn flag(tools: Arc<Tools>, producer: String, to: FlagState) -> Outcome {
    if tools.by_hand_flag(&producer) {
        return done(Answer::Nothing);
    }
    set(&Flag(tools, producer), to).await.map_or_else(|o| o, |state| done(Answer::Flag { state }))
}

async fn set<K: Knob>(knob: &K, to: K::State) -> Result<K::State, Outcome> {
    let what = knob.what();
    let before = match knob.read().await {
        Ok(state) if state == to => return Ok(state),
        Ok(state) => state,
        // What can't be read can't be read back either.
        Err(why) => {
            return Err(failed(Trouble::new(
                format!("{what} can't be read, so it was not set: {}", why.what),
                why.advice,
            )));
        }
    };
    let watch = Clock.stopwatch();
    let mut why = loop {
        match knob.write(to).await {
            Ok(()) => return Ok(to), // read back by the provider
            Err(NotSet::Unknown(why)) => break why,
            // Nothing was changed, so trying again is safe: another plan's controller may just hold the flag file.
            Err(NotSet::Refused(_)) if watch.ms() < REFUSED_MS => Clock.sleep(PAUSE_MS).await,
            Err(NotSet::Refused(why)) => return Err(failed(why)),
        }
    };
    // Some take a moment until what was set is read, and some answer with an error and do it all the same.
    let watch = Clock.stopwatch();
    while watch.ms() < READ_BACK_MS {
        match knob.read().await {
            Ok(state) if state == to => return Ok(state),
            Ok(_) => {}
            Err(unread) => why = unread,
        }
        Clock.sleep(PAUSE_MS).await;
    }
    why.what = format!("{what} was {before}, and was not seen as {to} within {} s: {}", READ_BACK_MS / 1000, why.what);
    Err(Outcome::Unknown { why })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Reads as the sequence says (the last one again and again), and answers to a write with the result.
    struct Played {
        reads: Vec<Option<SwitchState>>,
        next: AtomicUsize,
        written: Result<(), NotSet>,
    }

    impl Knob for Played {
        type State = SwitchState;
        fn what(&self) -> String {
            "the switch of g".into()
        }
        async fn read(&self) -> Result<SwitchState, Trouble> {
            let i = self.next.fetch_add(1, Ordering::Relaxed).min(self.reads.len() - 1);
            self.reads[i].ok_or_else(|| Trouble::new("no answer", "look"))
        }
        async fn write(&self, _: SwitchState) -> Result<(), NotSet> {
            self.written.clone()
        }
    }

    async fn run(reads: &[Option<SwitchState>], written: Result<(), NotSet>) -> Result<SwitchState, Outcome> {
        set(&Played { reads: reads.to_vec(), next: AtomicUsize::new(0), written }, SwitchState::Off).await
    }

    #[tokio::test]
    async fn refused_is_failed_and_an_unknown_that_moved_is_believed() {
        use SwitchState::{Blue, Off};
        let refused = || Err(NotSet::Refused(Trouble::new("exit 1", "")));
        let unknown = || Err(NotSet::Unknown(Trouble::new("timed out", "")));
        assert_eq!(run(&[Some(Blue)], Ok(())).await, Ok(Off));
        assert_eq!(run(&[Some(Off)], refused()).await, Ok(Off), "it was there already: nothing is set");
        assert_eq!(run(&[Some(Blue), Some(Blue), Some(Off)], unknown()).await, Ok(Off), "it took, later");
        assert!(matches!(run(&[Some(Blue), Some(Blue)], refused()).await, Err(Outcome::Failed { .. })));
        assert!(matches!(run(&[None], Ok(())).await, Err(Outcome::Failed { .. })), "unreadable: not even tried");
    }
}
