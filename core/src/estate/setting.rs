//! What switches of groups and flags of producers say.

use serde::{Deserialize, Serialize};

use crate::base::Side;

/// Where a consumer group's deployment runs, as its switch says.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum SwitchState {
    /// Runs against blue.
    Blue,
    /// Runs against green.
    Green,
    /// Runs against both (overlap).
    Both,
    /// Stopped.
    Off,
}

impl SwitchState {
    /// The switch state in which a group runs on `side` alone.
    #[must_use]
    pub fn only_on(side: Side) -> Self {
        match side {
            Side::Blue => SwitchState::Blue,
            Side::Green => SwitchState::Green,
        }
    }

    /// Whether the deployment is meant to run on `side`.
    #[must_use]
    pub fn runs_on(self, side: Side) -> bool {
        self == SwitchState::Both || self == SwitchState::only_on(side)
    }
}

/// Where a producer writes, as its flag says.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum FlagState {
    /// Writes to blue only.
    Blue,
    /// Sends each record to blue and to green.
    Dual,
    /// Writes to green only.
    Green,
    /// Stopped.
    Off,
}

impl FlagState {
    /// The flag of a producer that writes to `side` alone.
    #[must_use]
    pub fn only_on(side: Side) -> Self {
        match side {
            Side::Blue => FlagState::Blue,
            Side::Green => FlagState::Green,
        }
    }
}
