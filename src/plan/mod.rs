//! `cutover.toml`: model, load (spanned errors), validate, secrets, settings.
//!
//! [`Plan::load`] reads a file and reports every error in it with file, line, column and a suggestion;
//! [`Plan::from_bootstraps`] makes the smallest plan without a file. [`Plan::settings`] and `Plan::topic_rule`
//! are what the machine and the translation take from it.

pub mod address;
pub mod calendar;
pub(crate) mod client_config;
mod clusters;
pub mod connectivity;
mod digest;
pub mod duration;
pub mod generate;
pub mod listen;
mod load;
pub mod metrics;
mod model;
pub mod notify;
pub mod parity;
pub mod problem;
pub mod properties;
pub mod provider;
mod providers;
mod reader;
mod rights;
mod schedule;
pub mod secrets;
mod sections;
mod settings;
pub mod size;
mod validate;
mod windows;

pub(crate) use load::LoadedPlan;
pub use model::RegistryPlan;
pub use model::{Arm, Metric, Plan, Trigger, TriggerComparison, TriggerMode};
pub(crate) use model::{ClusterPlan, GroupPlan, ProducerPlan, WindowPlan};
pub(crate) use problem::{PlanError, ProblemSeverity, Problems};
pub(crate) use provider::{PlaceholderValues, ProviderPlan};
pub use reader::Places;

pub use crate::offsets::strategy::{Chosen, Strategy};
