//! `cutover.toml`: model, load (spanned errors), validate, secrets, settings.
//!
//! [`Plan::load`] reads a file and reports every error in it with file, line, column and a suggestion;
//! [`Plan::from_bootstraps`] makes the smallest plan without a file. [`Plan::settings`] and [`Plan::topic`] are what
//! the machine and the translation take from it.

pub mod address;
pub mod calendar;
mod clusters;
mod digest;
pub mod duration;
pub mod generate;
pub mod listen;
mod load;
pub mod metrics;
mod model;
pub mod notify;
pub mod problem;
pub mod properties;
pub mod provider;
mod providers;
mod reader;
mod schedule;
pub mod secrets;
mod sections;
mod settings;
pub mod size;
mod validate;
mod windows;

pub use load::Loaded;
pub use model::{
    ARRIVAL_SKEW_MS, Arm, BaselinePlan, ClusterPlan, Comparison, ControllerPlan, CriteriaPlan, DiffPlan, GroupLimits,
    GroupPlan, Metric, PAIR_DELTA_MS, Pattern, Plan, ProducerPlan, RegistryPlan, SeamPlan, Selector, TopicPlan,
    TransactionalIds, Trigger, TriggerMode, WindowPlan,
};
pub use problem::{PlanError, Problems, Severity};
pub use provider::{Names, Of, ProviderPlan, SetCommand};
pub use reader::Places;
pub use settings::TopicRule;
pub use windows::Opening;

pub use crate::offsets::strategy::{Chosen, Strategy};
