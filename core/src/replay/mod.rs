//! PURE. The replay: which records are carried from one cluster to the other, what has been carried, and what that
//! does to the order of keys. No clock, no I/O: `jobs::replay` reads, writes and journals.
//!
//! A replay carries exact ranges of source offsets. Its progress is committed on the target in the same transactions
//! that hold the records ([`progress`]), so a process that dies anywhere goes on where the last transaction ended, and
//! a read_committed consumer sees each record exactly once. Topics go by blue's names, as everywhere; the names on the
//! clusters are put in at the edge.

pub mod batch;
pub mod census;
pub mod mark;
pub mod order;
pub mod progress;
pub mod ranges;
pub mod report;
pub mod route;
pub mod spec;

pub use batch::{Batch, BatchLimits, Throttle};
pub use census::{Census, TargetTopic};
pub use order::{KeyBook, Reordered};
pub use progress::{ProgressSlot, ProgressSlots};
pub use ranges::{Piece, Ranges};
pub use report::ReplayReport;
pub use route::Routes;
pub use route::{By, Route};
pub use spec::{ReplayEnd, ReplaySpec};
