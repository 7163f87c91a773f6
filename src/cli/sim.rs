//! `cutover sim` (hidden): an embedded pair as a process of its own, for tests that kill the cockpit.

use std::path::PathBuf;

use clap::Args;

use super::{Error, Exit};
use crate::sim::serve::{ServeConfig, serve_pair};

/// `cutover sim`.
#[derive(Debug, Args)]
pub(crate) struct SimArgs {
    /// Directory for the flag file and the plan
    #[arg(long)]
    pub dir: PathBuf,
    /// Traffic; 0 is two empty clusters
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,
    /// Seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Serves until standard input closes.
pub fn run(args: &SimArgs) -> Result<Exit, Error> {
    let config = ServeConfig {
        dir: args.dir.clone(),
        scale: args.scale,
        seed: args.seed,
        ports: [Vec::new(), Vec::new()],
        program: std::env::current_exe().ok(),
    };
    serve_pair(config, std::io::stdin().lock(), std::io::stdout().lock()).map_err(Error::Failed)?;
    Ok(Exit::DONE)
}
