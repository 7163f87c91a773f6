//! Gates that a verb passes over, and topics that it leaves out.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use strum::VariantNames as _;

use super::Error;
use crate::base::Trouble;
use crate::base::sanitise::visible_name;
use crate::migration::facts::overrides::{GateName, Override};

/// Gates to pass over.
#[derive(Debug, Args)]
pub(crate) struct OverrideArgs {
    /// Pass over a gate that holds, at the price that is shown; repeatable, needs --reason
    #[arg(long = "override", value_name = "GATE", value_parser = PossibleValuesParser::new(GateName::VARIANTS).try_map(|s| s.parse::<GateName>()))]
    pub gates: Vec<GateName>,
    /// Leave a topic out that can't go along; repeatable, needs --reason
    #[arg(long, value_name = "TOPIC")]
    pub leave_out: Vec<String>,
}

impl OverrideArgs {
    /// The overrides, each with the reason. Errors: a gate without one, a topic without a name.
    pub(crate) fn to_overrides(&self, reason: Option<&str>) -> Result<Vec<Override>, Error> {
        let unnamed = self.gates.contains(&GateName::LeaveOut) && self.leave_out.is_empty();
        match reason.map(str::trim).filter(|r| !r.is_empty()) {
            _ if unnamed => Err(Error::Usage(Trouble::new(
                "--override leave-out without a topic's name",
                "name what is left out: --leave-out TOPIC",
            ))),
            None if self.gates.is_empty() && self.leave_out.is_empty() => Ok(Vec::new()),
            None if self.gates.is_empty() => Err(Error::Usage(Trouble::new(
                format!("--leave-out {} without a reason", visible_name(&self.leave_out[0])),
                "say why with --reason TEXT: it is journalled",
            ))),
            None => Err(Error::Usage(Trouble::new(
                format!("--override {} without a reason", self.gates[0]),
                "say why with --reason TEXT: it is journalled",
            ))),
            Some(reason) => {
                let plain = self.gates.iter().filter(|gate| **gate != GateName::LeaveOut);
                let mut all: Vec<Override> = plain.map(|gate| Override::new(*gate, reason)).collect();
                if !self.leave_out.is_empty() {
                    let names = self.leave_out.clone();
                    all.push(Override { names, ..Override::new(GateName::LeaveOut, reason) });
                }
                Ok(all)
            }
        }
    }
}
