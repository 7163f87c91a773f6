//! Client quotas and SCRAM users. Both are kept and told; neither slows a client down or lets one in.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use super::{SimRefusal, SimState};
use crate::estate::inventory::{QuotaEntity, ScramCredential};

/// What can be limited of users and client ids.
const OF_CLIENTS: [&str; 4] =
    ["consumer_byte_rate", "controller_mutation_rate", "producer_byte_rate", "request_percentage"];
/// What can be limited of addresses.
const OF_ADDRESSES: [&str; 1] = ["connection_creation_rate"];

impl SimState {
    /// Limits by entity and name.
    #[must_use]
    pub fn quotas(&self) -> &BTreeMap<QuotaEntity, BTreeMap<String, f64>> {
        &self.quotas
    }

    /// Sets limits of one entity, all or none of them; `None` takes one away.
    ///
    /// # Errors
    /// INVALID_REQUEST.
    pub(crate) fn alter_quota(
        &mut self,
        entity: &QuotaEntity,
        changes: &[(&str, Option<f64>)],
        validate_only: bool,
    ) -> Result<(), SimRefusal> {
        let known = quota_names(entity)?;
        for (name, value) in changes {
            if !known.contains(name) {
                return Err(invalid(format!("Invalid configuration key {name}")));
            }
            if value.is_some_and(|value| value <= 0.0) {
                return Err(invalid(format!("Quota {name} must be greater than 0")));
            }
        }
        if validate_only {
            return Ok(());
        }
        let limits = self.quotas.entry(entity.clone()).or_default();
        for (name, value) in changes {
            match value {
                Some(value) => drop(limits.insert((*name).to_owned(), *value)),
                None => drop(limits.remove(*name)),
            }
        }
        // An entity without limits is forgotten, as in Kafka.
        self.quotas.retain(|_, limits| !limits.is_empty());
        Ok(())
    }

    /// SCRAM users by name.
    #[must_use]
    pub fn scram_users(&self) -> &BTreeMap<String, BTreeSet<ScramCredential>> {
        &self.scram_users
    }

    /// Keeps a password for a user, who may have one for each mechanism.
    pub fn add_scram_user(&mut self, name: &str, credential: ScramCredential) {
        let credentials = self.scram_users.entry(name.to_owned()).or_default();
        credentials.retain(|c| c.mechanism != credential.mechanism);
        credentials.insert(credential);
    }
}

fn invalid(why: String) -> SimRefusal {
    (ResponseError::InvalidRequest, why)
}

/// What can be limited of this entity.
fn quota_names(entity: &QuotaEntity) -> Result<&'static [&'static str], SimRefusal> {
    if let Some(kind) = entity.0.keys().find(|kind| !matches!(kind.as_str(), "user" | "client-id" | "ip")) {
        return Err(invalid(format!("Unhandled client quota entity type: {kind}")));
    }
    if let Some((kind, _)) = entity.0.iter().find(|(_, name)| name.as_deref() == Some("")) {
        return Err(invalid(format!("Empty {kind} not supported")));
    }
    match (entity.0.len(), entity.0.contains_key("ip")) {
        (0, _) => Err(invalid("Invalid empty client quota entity".to_owned())),
        (1, true) => Ok(&OF_ADDRESSES),
        (_, true) => Err(invalid("An IP entity can not be combined with user or client-id".to_owned())),
        (_, false) => Ok(&OF_CLIENTS),
    }
}
