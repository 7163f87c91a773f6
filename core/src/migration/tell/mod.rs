//! What people are told: what a dialog shows, what screens are made from, what turned and who hears of it.

pub mod edges;
pub(in crate::migration) mod notices;
pub mod notifications;
pub(in crate::migration) mod prepare;
pub(in crate::migration) mod prepare_complete;
pub(in crate::migration) mod prepare_move;
pub(in crate::migration) mod view;
