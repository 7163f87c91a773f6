//! Every screen, from fixture snapshots: what it looks like, what its keys do, and what it never does.

mod calendars;
mod dialogs;
mod diffs;
mod fixture;
mod hard;
mod keys;
mod looks;
mod pictures;
mod plain;
mod scenes;
mod soaks;
