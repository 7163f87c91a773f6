//! Long work beside the controller's loop. Each job takes a plan and tools, reads (a replay also writes), tells how far it is,
//! and stops within about a second when it is told to.

mod applications;
pub mod compare;
mod connectivity;
mod identities;
pub mod preflight;
pub mod provision;
pub mod registries;
pub mod replay;
pub mod schemas;
pub mod translate;

/// From here on a secret of a plan may be what a command prints: plans know no processes.
pub fn let_commands_tell_secrets() {
    crate::plan::secrets::run_commands_by(crate::net::process::run_secret_command);
}
