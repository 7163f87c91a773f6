//! `cutover preflight`: how green is set up beside blue, and what would mend it.

use std::sync::Arc;

use super::args::GlobalArgs;
use super::{Error, Exit, load_plan, print_json, print_text, runtime};
use crate::estate::identity::Unverified;
use crate::jobs::preflight::run_preflight;
use crate::parity::ParityVerdict;
use crate::report;

/// `cutover preflight`.
pub fn run(global: &GlobalArgs) -> Result<Exit, Error> {
    let plan = Arc::new(load_plan(global)?);
    let report = runtime()?.block_on(run_preflight(&plan)).map_err(|why| match why {
        Unverified::Wrong(trouble) => Error::Failed(trouble),
        Unverified::Unknown(trouble) => Error::Unknown(trouble),
    })?;
    if global.json {
        print_json(&report::preflight::to_json(&report))?;
    } else {
        print_text(&report::preflight::to_text(&report));
    }
    Ok(exit_of(report.parity.judge_readiness()))
}

/// As `cutover diff` has it: what differs outweighs what is not known, and neither is a pass.
fn exit_of(verdict: ParityVerdict) -> Exit {
    match verdict {
        ParityVerdict::Equal => Exit::DONE,
        ParityVerdict::Differs => Exit::HOLDS,
        ParityVerdict::Unknown => Exit::UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parity_is_a_pass() {
        let verdicts = [ParityVerdict::Equal, ParityVerdict::Differs, ParityVerdict::Unknown];
        assert_eq!(verdicts.map(|verdict| exit_of(verdict).0), [0, 3, 4]);
    }
}
