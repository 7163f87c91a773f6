//! Nouns that know no neighbour: times, sides, partitions, what was observed of something and why it was not, and the
//! gates that every string from outside passes.

mod actor;
mod count;
mod observed;
mod poison;
pub mod quiet;
pub mod redact;
pub mod sanitise;
mod shell;
mod side;
mod time;
mod topic;
mod trouble;

pub use actor::{Actor, Person};
pub use count::format_plural;
pub use observed::Freshness;
pub use observed::Observed;
pub use poison::{ignore_poison, lock_unpoisoned};
pub use shell::shell_word;
pub use side::{Side, Sides};
pub use time::{At, format_duration};
pub use topic::TopicPartition;
pub use topic::host_port;
pub use trouble::Cause;
pub use trouble::{Trouble, TroubleClass};
