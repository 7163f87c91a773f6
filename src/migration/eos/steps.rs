//! Carrying out the steps of a hard cutover up to the seam: quiet, fenced, denied, still.

use crate::migration::estate::At;
use crate::migration::event::RunId;
use crate::migration::machine::Machine;
use crate::migration::runbook::Step;
use crate::migration::steps::{Next, fail};

use super::Row;

impl Machine {
    pub(in crate::migration) fn perform_hard(&mut self, _id: RunId, _step: &Step, _now: At) -> Next {
        fail("the hard cutover is not in this version", "")
    }

    /// The gate after the stop, of a run that is past it.
    pub(super) fn after_rows(&self, _name: &str, _now: At) -> Vec<Row> {
        Vec::new()
    }
}
