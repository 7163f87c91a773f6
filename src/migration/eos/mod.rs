//! Exactly-once producers: the hard cutover (02-architecture, "EOS producer").
//!
//! A transaction can't span clusters, so such a producer is never dual. It is stopped on blue, proven quiet, fenced,
//! and started on green with transactional ids that are new there; where its topics end on blue and begin on green is
//! the *seam*, journalled before any writer may target green. Groups that have read blue to the seam start at the
//! seam on green: nothing lost, nothing read again.
//!
//! - [`look`]: what is observed of such a producer on a cluster, and how long its logs have stood still.
//! - [`gate`]: the rows that must pass before it is stopped, and those that must pass before the switch.
//! - [`seam`]: where writers went from one cluster to the other, folded from the journal.

pub mod gate;
pub mod look;
pub mod seam;

pub use gate::{Row, RowId};
pub use look::{Ends, EosLook, Stillness};
pub use seam::{Seam, Seams};
