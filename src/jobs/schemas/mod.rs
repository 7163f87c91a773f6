//! A copy of schemas to green's registry: what `schemas` plans, carried out.
//!
//! The order of things: put back what an earlier copy left, look at both, ask, try whether green keeps ids, let subjects take
//! imports, import (each read before and after), soft-delete again what blue has soft-deleted, give subjects their modes back,
//! set what blue says of compatibility, look again. Each is in the journal before it is tried. A registry is believed by
//! what it reads back: so a copy that died anywhere is gone on with by starting it again, and a second one sends nothing.
//!
//! Nothing that was there before is deleted: only the throw-away subject of the trial, and versions that a copy itself
//! imported are soft-deleted where blue has them so.

mod anew;
mod copier;
mod look;
mod record_ids;
mod run;

use crate::base::Trouble;
use crate::plan::Plan;
use crate::registry::find_native_root;
use crate::schemas::{CopyWishes, SchemaSurvey};

pub(crate) use look::{find_registries, open_clients, read_survey, survey_registries};
pub use record_ids::{USUAL_RECORDS, read_record_ids};
pub use run::run_schema_copy;
pub(crate) use run::run_schema_copy_with;

/// What has to be confirmed before anything is sent.
#[derive(Debug, Clone)]
pub struct SchemaCopyQuestion<'a> {
    /// What was found, and the plan.
    pub survey: &'a SchemaSurvey,
    /// Versions that an earlier copy imported, and that are to be soft-deleted as on blue.
    pub deletes: usize,
    /// The migration's name: what `--yes=NAME` takes.
    pub name: &'a str,
}

/// What a copy is asked to do besides.
#[derive(Debug, Clone, Copy)]
pub struct SchemaCopyRequest {
    /// Records of each cluster that are read for the ids that they carry.
    pub records: u64,
    /// Where green's server gives ids of its own: they may change.
    pub ids_change: bool,
}

/// What the plan lets reach, and what is wanted.
#[must_use]
pub fn find_wishes(plan: &Plan, ids_change: bool) -> CopyWishes {
    let green = plan.clusters.green.registry.as_ref();
    CopyWishes { native: green.is_some_and(|green| find_native_root(&green.url).is_some()), ids_change }
}

/// The one who asked.
pub struct CopyScreen<'a> {
    /// A line of words.
    pub say: &'a mut (dyn FnMut(&str) + Send),
    /// Asks for a confirmation: what was typed.
    ///
    /// # Errors
    /// Not confirmed, and why.
    pub confirm: &'a mut (dyn FnMut(&SchemaCopyQuestion<'_>) -> Result<String, Trouble> + Send),
}
