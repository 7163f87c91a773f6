//! Live traffic whose truth is known: producers that write each record to blue and to green by themselves, an
//! application that is moved by a switch, and an audit of what it has processed.
//!
//! Each logical send has a hidden id (header `x-send-id`), which nothing under test looks at. The audit counts from
//! these ids and from acknowledged offsets; it shares no code with `src/offsets`.

mod application;
mod audit;
mod processor;
mod switch;
mod traffic;

pub use application::{Application, ApplicationOptions, Event};
pub use audit::{Audit, audit};
pub use processor::{ABORTED, Done, Ended, Processor, ProcessorOptions, ended};
pub use switch::{State, Switch};
pub use traffic::{Send, Traffic, TrafficOptions, Truth};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The header that carries a send's id.
pub const SEND_ID: &str = "x-send-id";

/// Blue or green, as an index too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cluster {
    Blue = 0,
    Green = 1,
}

impl Cluster {
    pub const BOTH: [Cluster; 2] = [Cluster::Blue, Cluster::Green];
}

/// A topic and a partition.
pub type Partition = (String, i32);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
