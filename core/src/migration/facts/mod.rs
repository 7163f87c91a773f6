//! What is said and what is known: commands, effects, events, and the state that is folded from them.

pub mod command;
pub mod effect;
pub mod event;
pub mod notice;
pub mod overrides;
pub mod settings;
pub mod stage;
pub mod state;

#[cfg(test)]
mod tests;
