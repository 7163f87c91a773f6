//! The edge of hard cutovers: what is looked at of exactly-once producers, and what is done to them.
//!
//! - [`look`]: one look at a producer on one side: its ids, then who writes, then where its logs end.
//! - `watch`: the pollers that look again and again, closer while a run waits for it.
//! - `fence` and `deny`: what keeps the old instances out, and what is taken back.

pub(super) mod deny;
pub(super) mod fence;
pub mod look;
pub(super) mod watch;
