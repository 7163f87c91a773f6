//! Every screen, from fixture snapshots: what it looks like, what its keys do, and what it never does.

mod answers;
mod calendars;
mod dialogs;
mod diffs;
mod documents;
mod exposition;
mod fixture;
#[path = "../support/exposition.rs"]
mod format;
mod hard;
mod hostile;
mod keys;
mod looks;
mod parity;
mod pictures;
mod plain;
mod scenes;
mod soaks;
mod trust;
