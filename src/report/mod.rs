//! The same state as the cockpit's, as text and as JSON: everything is read from one snapshot.

pub mod calendar;
pub mod diff;
pub mod json;
pub mod log;
pub mod offsets;
pub mod outcome;
pub mod preflight;
pub mod prometheus;
pub mod provision;
pub mod replay;
pub mod schemas;
pub mod text;
pub mod words;

#[cfg(test)]
mod tests;
