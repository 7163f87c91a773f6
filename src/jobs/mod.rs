//! Long work beside the controller's loop. Each job takes a plan and tools, reads (a replay also writes), tells how far it is,
//! and stops within about a second when it is told to.

mod applications;
pub mod compare;
mod connectivity;
mod identities;
pub mod preflight;
pub mod provision;
pub mod replay;
pub mod schemas;
pub mod translate;
