//! `cutover sim` (hidden): an embedded pair as a process of its own, for tests that kill the cockpit.

use super::args::SimArgs;
use super::{Error, Exit};
use crate::sim::serve::{ServeConfig, serve_pair};

/// Serves until standard input closes.
pub fn run(args: &SimArgs) -> Result<Exit, Error> {
    let config =
        ServeConfig { dir: args.dir.clone(), scale: args.scale, seed: args.seed, ports: [Vec::new(), Vec::new()] };
    serve_pair(config, std::io::stdin().lock(), std::io::stdout().lock()).map_err(Error::Failed)?;
    Ok(Exit::DONE)
}
