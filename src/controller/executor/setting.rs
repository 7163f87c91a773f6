//! Setting a switch or flag: read, set, read back. What the provider says of itself is never believed alone.

use std::fmt::Display;
use std::sync::Arc;

use super::{done, failed};
use crate::base::Trouble;
use crate::base::sanitise::visible_name;
use crate::estate::{FlagState, SwitchState};
use crate::migration::facts::effect::{EffectResult, Outcome};
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
    type KnobState: Copy + PartialEq + Display + Send;
    /// What it is called.
    fn describe_knob(&self) -> String;
    fn read(&self) -> impl Future<Output = Result<Self::KnobState, Trouble>> + Send;
    fn write(&self, to: Self::KnobState) -> impl Future<Output = Result<(), NotSet>> + Send;
}

struct SwitchKnob(Arc<Tools>, String);

impl Knob for SwitchKnob {
    type KnobState = SwitchState;
    fn describe_knob(&self) -> String {
        format!("the switch of {}", self.1)
    }
    async fn read(&self) -> Result<SwitchState, Trouble> {
        self.0.read_switch(&self.1).await
    }
    async fn write(&self, to: SwitchState) -> Result<(), NotSet> {
        self.0.set_switch(&self.1, to).await
    }
}

struct FlagKnob(Arc<Tools>, String);

impl Knob for FlagKnob {
    type KnobState = FlagState;
    fn describe_knob(&self) -> String {
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
pub(super) async fn set_switch(tools: Arc<Tools>, group: String, to: SwitchState) -> Outcome {
    if tools.is_switch_by_hand(&group) {
        return done(EffectResult::Nothing); // a person is asked; only what is observed counts
    }
    set_knob(&SwitchKnob(tools, group), to).await.map_or_else(|o| o, |state| done(EffectResult::Switch { state }))
}

/// Sets a producer's flag.
pub(super) async fn set_flag(tools: Arc<Tools>, producer: String, to: FlagState) -> Outcome {
    if tools.is_flag_by_hand(&producer) {
        return done(EffectResult::Nothing);
    }
    set_knob(&FlagKnob(tools, producer), to).await.map_or_else(|o| o, |state| done(EffectResult::Flag { state }))
}

async fn set_knob<K: Knob>(knob: &K, to: K::KnobState) -> Result<K::KnobState, Outcome> {
    let what = knob.describe_knob();
    let before = match knob.read().await {
        // Also after a crash between the deed and its entry: what stands already is not done twice.
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
            Err(NotSet::Refused(why)) if watch.elapsed_ms() < REFUSED_MS => {
                tracing::info!(what = %visible_name(&what), %to, why = %why.what, "refused: tried again");
                Clock.sleep(PAUSE_MS).await;
            }
            Err(NotSet::Refused(why)) => return Err(failed(why)),
        }
    };
    // Some take a moment until what was set is read, and some answer with an error and do it all the same.
    let watch = Clock.stopwatch();
    while watch.elapsed_ms() < READ_BACK_MS {
        match knob.read().await {
            Ok(state) if state == to => return Ok(state),
            Ok(_) => {}
            Err(unread) => why = unread,
        }
        Clock.sleep(PAUSE_MS).await;
    }
    tracing::warn!(what = %visible_name(&what), %to, ms = READ_BACK_MS, why = %why.what, "not read back as set");
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
        type KnobState = SwitchState;
        fn describe_knob(&self) -> String {
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
        set_knob(&Played { reads: reads.to_vec(), next: AtomicUsize::new(0), written }, SwitchState::Off).await
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
