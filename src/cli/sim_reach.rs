//! `cutover sim-reach` (hidden): tries a broker as a pod of the demo would, which has no pods.

use std::path::PathBuf;

use clap::Args;

use super::{Error, Exit};
use crate::sim::traffic::try_reach;

/// `cutover sim-reach`.
#[derive(Debug, Args)]
pub(crate) struct SimReachArgs {
    /// What pods may not connect to
    pub egress: PathBuf,
    /// From where
    pub pod: String,
    /// Host of the broker
    pub host: String,
    /// Its port
    pub port: u16,
}

/// Ends well when the broker is reached.
pub fn run(args: &SimReachArgs) -> Result<Exit, Error> {
    try_reach(&args.egress, &args.pod, (&args.host, args.port)).map_err(Error::Failed)?;
    Ok(Exit::DONE)
}
