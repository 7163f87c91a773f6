//! What is true of a group, a producer, a phase, and what may happen to it next: each rule reads a [`context`] and says why.

pub mod app;
pub mod context;
pub(in crate::migration) mod cost;
pub(in crate::migration) mod counts;
pub(in crate::migration) mod drain;
mod ends;
pub(in crate::migration) mod expired;
pub mod gate;
pub mod group;
pub mod held;
pub mod lag;
pub mod phase;
pub mod producer;
pub mod reads;
pub mod rollback;
pub(in crate::migration) mod route;
pub(in crate::migration) mod slot;
pub(in crate::migration) mod unread;
pub(in crate::migration) mod writers;
