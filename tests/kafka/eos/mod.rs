//! The hard cutover of an exactly-once producer, judged on real clusters with the real program.
//!
//! What became of every record is counted by the rig (`scene`), which knows nothing of how it was moved.
//! `EOS_TRIPS=20 cargo test --test kafka eos::trips -- --nocapture` makes as many round trips as the number says;
//! without, two. `EOS_SEED=N` draws the same moments again. With
//! `EOS_KILLS=all` the controller is killed at every step and not only where it changes something.

mod breaks;
mod gates;
mod ground;
mod rig;
mod scene;
mod seam;
mod trips;
mod zombies;
