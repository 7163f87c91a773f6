//! Soaks and rollback triggers on two real clusters with a real Prometheus, by the real program: `cutover watch` keeps
//! the clock, consumers that count per record are moved, stalled and brought back, terminals close and controllers die.

mod doctor;
mod held;
mod night;
mod passes;
mod past;
pub(crate) mod rig;
