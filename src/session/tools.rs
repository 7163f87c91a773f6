//! What reaches the outside: the two clusters' control planes, and the switches and flags of the plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::names::TopicNames;
use super::pins;
use crate::base::sanitise::visible_name;
use crate::base::{Side, Sides, Trouble};
use crate::estate::{FlagState, SwitchState};
use crate::flags::{Provider, ProviderReading, SetResult};
use crate::kafka::control::{Cluster, ConfigValue, Named};
use crate::kafka::properties::ClientProperties;
use crate::plan::{ClusterPlan, PlaceholderValues, Plan, ProviderPlan};

/// How often a switch or flag is read: a file costs nothing, a command (kubectl) starts a process, ms.
const FILE_MS: u64 = 1_000;
const COMMAND_MS: u64 = 5_000;

/// Why a setting was not confirmed by its provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotSet {
    /// Nothing was changed.
    Refused(Trouble),
    /// It may or may not have happened: a command ran out of time, or another state is read back.
    Unknown(Trouble),
}

/// How far ahead of its clock a topic takes records' timestamps, ms; `None` for no limit, or where it stamps them itself.
/// Before Kafka 3.6 one limit holds in both directions (KIP-937).
pub(crate) fn after_max_ms(config: &BTreeMap<String, ConfigValue>) -> Option<u64> {
    let value = |key: &str| config.get(key).and_then(|v| v.value.as_deref());
    // "No limit" is the greatest number there is.
    let limit = |key: &str| value(key)?.parse::<u64>().ok().filter(|n| *n < i64::MAX.unsigned_abs());
    let stamps_itself = value("message.timestamp.type") == Some("LogAppendTime");
    // A broker that knows both takes the older one where the newer is left at its default (KIP-937).
    let max = limit("message.timestamp.after.max.ms").or_else(|| limit("message.timestamp.difference.max.ms"));
    max.filter(|_| !stamps_itself)
}

/// Everything outside, for one plan. Reading needs nothing more; changing needs a `lease::WriteLease`.
pub struct Tools {
    clusters: Sides<Cluster>,
    /// Why a side can't even be asked (a secret that can't be read).
    unreachable: Sides<Option<Trouble>>,
    /// Names on both sides.
    pub(crate) names: Arc<TopicNames>,
    /// What the plan names, by blue's names: it must not go missing in silence.
    wanted: Named,
    switches: BTreeMap<String, Setting>,
    flags: BTreeMap<String, Setting>,
}

/// A switch or flag with its provider.
struct Setting {
    provider: Provider,
    by_hand: bool,
    interval_ms: u64,
}

impl Tools {
    /// No I/O. A side whose client properties can't be resolved is `unreachable`: it is never asked anything,
    /// and everything else stays alive.
    #[must_use]
    pub fn new(plan: &Plan, names: Arc<TopicNames>) -> Self {
        let mut unreachable = Sides::default();
        let clusters = Sides::from_fn(|side| {
            let properties = client_properties(plan.cluster(side)).unwrap_or_else(|trouble| {
                // A file or a variable that is not there does not come by waiting: verbs end at once.
                unreachable[side] = Some(trouble.mark_lasting());
                // Only so that there is a value: nothing is ever asked over a side that is unreachable.
                ClientProperties::default()
            });
            let cluster = Cluster::new(side, &plan.cluster(side).bootstrap.join(","), &properties);
            pins::hold_to_pin(&cluster, plan, None);
            cluster
        });
        let switches = plan.groups.iter().filter_map(|g| {
            Some((g.name.clone(), Setting::new(g.switch.as_ref()?, PlaceholderValues::for_group(plan, &g.name))))
        });
        let flags = plan.producers.iter().filter_map(|p| {
            Some((p.name.clone(), Setting::new(p.flag.as_ref()?, PlaceholderValues::for_producer(plan, &p.name))))
        });
        let listed = plan.groups.iter().flat_map(|g| g.topics.iter().chain(&g.dlq));
        let wanted = Named {
            topics: listed.chain(plan.producers.iter().flat_map(|p| &p.topics)).cloned().collect(),
            groups: plan.groups.iter().map(|g| g.name.clone()).collect(),
        };
        Self { clusters, unreachable, names, wanted, switches: switches.collect(), flags: flags.collect() }
    }

    /// What the plan names, by its names on a side: of what no list shows it is asked by name whether it is hidden.
    #[must_use]
    pub(crate) fn named_on(&self, side: Side) -> Named {
        Named {
            topics: self.wanted.topics.iter().map(|t| self.names.topic_on(side, t)).collect(),
            groups: self.wanted.groups.iter().map(|g| self.names.group_on(g, side)).collect(),
        }
    }

    /// The control plane of a side.
    #[must_use]
    pub fn cluster(&self, side: Side) -> &Cluster {
        &self.clusters[side]
    }

    /// Both control planes.
    #[must_use]
    pub fn clusters(&self) -> &Sides<Cluster> {
        &self.clusters
    }
}

impl Tools {
    /// Why a side can't even be asked.
    #[must_use]
    pub(crate) fn why_unreachable(&self, side: Side) -> Option<&Trouble> {
        self.unreachable[side].as_ref()
    }

    /// Groups whose switch can be read, with how often, ms.
    pub(crate) fn readable_switches(&self) -> impl Iterator<Item = (&str, u64)> {
        self.switches.iter().filter(|(_, s)| !s.by_hand).map(|(name, s)| (name.as_str(), s.interval_ms))
    }

    /// Producers whose flag can be read, with how often, ms.
    pub(crate) fn readable_flags(&self) -> impl Iterator<Item = (&str, u64)> {
        self.flags.iter().filter(|(_, s)| !s.by_hand).map(|(name, s)| (name.as_str(), s.interval_ms))
    }

    /// Whether a person is the group's switch.
    #[must_use]
    pub(crate) fn is_switch_by_hand(&self, group: &str) -> bool {
        self.switches.get(group).is_some_and(|s| s.by_hand)
    }

    /// Whether a person is the producer's flag.
    #[must_use]
    pub(crate) fn is_flag_by_hand(&self, producer: &str) -> bool {
        self.flags.get(producer).is_some_and(|s| s.by_hand)
    }

    /// Reads a group's switch.
    pub(crate) async fn read_switch(&self, group: &str) -> Result<SwitchState, Trouble> {
        let reading = read_setting(self.switches.get(group), "switch", group).await?;
        reading.switch_state().ok_or_else(|| unreadable_trouble(reading, "switch", group))
    }

    /// Reads a producer's flag.
    pub(crate) async fn read_flag(&self, producer: &str) -> Result<FlagState, Trouble> {
        let reading = read_setting(self.flags.get(producer), "flag", producer).await?;
        reading.flag_state().ok_or_else(|| unreadable_trouble(reading, "flag", producer))
    }

    /// Sets a group's switch. Only the live executor calls it.
    pub(crate) async fn set_switch(&self, group: &str, to: SwitchState) -> Result<(), NotSet> {
        apply_setting(self.switches.get(group), "switch", group, &to.to_string()).await
    }

    /// Sets a producer's flag. Only the live executor calls it.
    pub(crate) async fn set_flag(&self, producer: &str, to: FlagState) -> Result<(), NotSet> {
        apply_setting(self.flags.get(producer), "flag", producer, &to.to_string()).await
    }
}

/// A cluster's client properties, secrets resolved and everything checked that can be without a network. Errors: a secret
/// that can't be read, or a property that one of the planes can't use.
pub(crate) fn client_properties(cluster: &ClusterPlan) -> Result<ClientProperties, Trouble> {
    let mut properties = cluster.client_properties()?;
    properties.remove("bootstrap.servers"); // both planes get the addresses apart from the properties
    let bootstrap = cluster.bootstrap.join(",");
    let properties = ClientProperties::for_cluster(properties, &bootstrap, || Clock.now());
    match properties.check().into_iter().next() {
        // Neither plane goes without the other: a name that one of them passes over may be the one that encrypts.
        Some((_, trouble)) => Err(trouble),
        None => Ok(properties),
    }
}

impl Setting {
    fn new(plan: &ProviderPlan, names: PlaceholderValues) -> Self {
        let interval_ms = if matches!(plan, ProviderPlan::File { .. }) { FILE_MS } else { COMMAND_MS };
        let by_hand = matches!(plan, ProviderPlan::Manual { .. });
        Self { provider: Provider::from_plan(plan, names), by_hand, interval_ms }
    }
}

async fn read_setting(setting: Option<&Setting>, what: &str, name: &str) -> Result<ProviderReading, Trouble> {
    match setting {
        None => Err(no_setting_trouble(what, name)),
        Some(setting) => {
            let read = setting.provider.get().await;
            read.inspect_err(|why| tracing::info!(what, name = %visible_name(name), why = %why.what, "not read"))
        }
    }
}

async fn apply_setting(setting: Option<&Setting>, what: &str, name: &str, to: &str) -> Result<(), NotSet> {
    let Some(setting) = setting else { return Err(NotSet::Refused(no_setting_trouble(what, name))) };
    let set = match setting.provider.set(to).await {
        Ok(SetResult::Done(_)) => Ok(()),
        // A person was asked, and that is no word of their having done it.
        Ok(SetResult::Asked { instruction }) => Err(NotSet::Unknown(Trouble::new(instruction, ""))),
        Ok(SetResult::Unknown(why)) => Err(NotSet::Unknown(why)),
        Err(why) => Err(NotSet::Refused(why)),
    };
    tracing::info!(what, name = %visible_name(name), to, ?set, "set");
    set
}

fn unreadable_trouble(reading: ProviderReading, what: &str, name: &str) -> Trouble {
    match reading {
        ProviderReading::CannotRead { why } => Trouble::new(why, ""),
        ProviderReading::Known { state, .. } => Trouble::new(
            format!("the {what} of {name} reads {state:?}, which is no state of it", name = visible_name(name)),
            "correct it by hand",
        ),
    }
}

fn no_setting_trouble(what: &str, name: &str) -> Trouble {
    Trouble::new(format!("{name} has no {what} in the plan", name = visible_name(name)), "give it one")
}

/// A look that took longer than it may; why, where the brokers said that they slow this client down.
pub(crate) fn too_long(cluster: &Cluster, what: &str, limit: Duration) -> Trouble {
    let side = cluster.side();
    tracing::warn!(%side, look = %what, ms = limit.as_millis(), throttled = cluster.throttled().is_some(), "took too long");
    let what = format!("{side}: {what} took longer than {} s", limit.as_secs());
    match cluster.throttled() {
        Some(slow) => Trouble::new(format!("{what}: {}", slow.describe_throttling(side)), slow.to_trouble(side).advice),
        None => Trouble::new(what, "the brokers are overloaded or the line is slow; cutover goes on trying"),
    }
}
