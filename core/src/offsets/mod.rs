//! Offset translation with proof: pure. Record identities in, a verdict out; no I/O, no clock.
//!
//! The question, for one partition of one group: where on the *target* log must the group start so that
//! nothing it has not processed on the *source* log is skipped, and as little as possible is read again?
//! A cutover translates from blue to green, a rollback from green to blue: the code only knows source and target.
//!
//! - [`identity`]: what makes two records the same record (a 128-bit hash; key and value by default).
//! - [`window`]: the stretch of a log that was loaded, 24 bytes a record.
//! - [`arrival`]: records whose timestamps lie ahead.
//! - [`align`]: the definition of a safe offset, and the algorithm that finds the largest one.
//! - [`translate`]: a sans-I/O driver that says what has to be read next, and ends in a [`PartitionPlan`].
//! - [`strategy`]: the strategies by name, an operator's choice, and those that need no alignment.
//! - [`verdict`]: how far the answer can be trusted, for one partition and for a group.
//!
//! # How to run it
//! ```
//! # use cutover_core::offsets::{Need, Translation, TranslationAnswer};
//! # use cutover_core::base::At;
//! # fn run(mut translation: Translation, mut ask: impl FnMut(&Need) -> (TranslationAnswer, At)) -> Box<cutover_core::offsets::PartitionPlan> {
//! loop {
//!     match translation.next() {
//!         Need::Done(plan) => return plan,
//!         need => {
//!             let (answer, at) = ask(&need); // the caller's I/O, and its clock
//!             translation.supply(answer, at);
//!         }
//!     }
//! }
//! # }
//! ```

pub mod align;
pub mod arrival;
pub mod identity;
pub mod reset_file;
pub mod strategy;
pub mod translate;
pub mod verdict;
pub mod window;

pub use align::{Axioms, Unsettled, align_windows};
pub use identity::{Identity, IdentityRule, NoSchemas};
pub use strategy::{Chosen, Strategy};
pub use translate::{Log, LogPiece, Need, Params, Translation, TranslationAnswer};
pub use verdict::{Cut, CutRecord, GroupTranslation, PartitionPlan, SourcePosition, TargetPosition, Totals, Verdict};
pub use window::Filling;
pub use window::{EndRead, EndSample, LogWindow, Rec};
