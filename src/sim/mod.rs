//! A Kafka in memory: a pure state machine, and a wire server that real clients talk to.
//!
//! ```no_run
//! use cutover::base::Side;
//! use cutover::sim::{SimCluster, SimConfig};
//!
//! let blue = SimCluster::start(SimConfig::new(Side::Blue)).unwrap();
//! blue.with_state(|s| s.create_topic("loan-events", 4, 3, &[], false)).unwrap();
//! println!("bootstrap.servers={}", blue.bootstrap());
//! ```

mod cluster;
pub mod registry;
pub mod serve;
pub mod state;
pub mod traffic;
pub mod wire;

pub use cluster::{SimCluster, SimConfig};
pub use traffic::{DemoConfig, DemoEstate, Incident, Traffic, Witness, WitnessReport};
