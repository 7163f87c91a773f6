//! The hard cutover of an exactly-once producer, judged on real clusters with the real program.
//!
//! What became of every record is counted by the rig (`scene`), which knows nothing of how it was moved.
//! `EOS_TRIPS=20 cargo test --test kafka eos::trips -- --nocapture` makes as many round trips as the number says;
//! without, three.

// The cases that use all of it come with the verbs they judge.
#![allow(dead_code)]

mod ground;
mod rig;
mod scene;
