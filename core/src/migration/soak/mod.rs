//! The time after a move: readings with honest holes, success criteria, rollback triggers and what they fire.

pub mod criteria;
pub mod firing;
pub(in crate::migration) mod reading;
pub mod samples;
pub mod soaking;
pub mod trigger;
pub mod watch;
