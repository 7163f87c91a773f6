//! Quotas of users, client ids and addresses (KIP-546, Kafka 2.6).

use std::collections::BTreeMap;

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::{AlterClientQuotasRequest, DescribeClientQuotasRequest};
use kafka_protocol::protocol::StrBytes;

use super::ChangeOutcome;
use super::connection::Connection;
use super::entries::EntryChange;
use super::failure::check_message;
use super::router::{Cluster, Router};
use super::scatter::{Anywhere, BrokerQuestion, Replies};
use super::transactions::{offered_version, to_answer};
use crate::estate::inventory::QuotaEntity;
use crate::estate::transactions::{Answer, Since};

/// Entities in one AlterClientQuotas request.
const ENTITIES_PER_CHANGE: usize = 500;

/// Limits by entity and name (`producer_byte_rate`).
type Quotas = BTreeMap<QuotaEntity, BTreeMap<String, f64>>;

impl Cluster {
    /// Sets limits, by entity and name; no other limit is touched, and none is taken back. What came of each is said.
    /// `validate_only` changes nothing. `Done` is the controller's word: brokers show it a moment later. Needs
    /// ALTER_CONFIGS on the cluster.
    pub async fn alter_quotas(
        &self,
        changes: &BTreeMap<QuotaEntity, BTreeMap<String, f64>>,
        validate_only: bool,
    ) -> BTreeMap<QuotaEntity, BTreeMap<String, ChangeOutcome>> {
        self.inner.change_entries(changes, validate_only).await
    }
}

impl Router {
    /// Every client quota there is.
    pub(super) async fn fetch_quotas(&self) -> Answer<Quotas> {
        to_answer(self.ask_anyone(&QuotasQuestion).await, Since::V2_6)
    }
}

struct QuotasQuestion;

impl BrokerQuestion<Anywhere<()>> for QuotasQuestion {
    type Told = Quotas;
    const REPEATABLE: bool = true;
    const API: &'static str = "DescribeClientQuotas";

    async fn send(&self, connection: &Connection, _: i32, _: &[Anywhere<()>]) -> Replies<Anywhere<()>, Quotas> {
        let version = offered_version::<DescribeClientQuotasRequest>(connection, 0)?;
        // No component, and not strict: no entity is left out.
        let request = DescribeClientQuotasRequest::default().with_components(Vec::new()).with_strict(false);
        let answer = connection.call(version, &request).await?;
        check_message(answer.error_code, answer.error_message.as_deref(), "client quotas", connection.label())
            .map_err(|failure| failure.naming_right("DESCRIBE_CONFIGS on the cluster"))?;
        let mut quotas = Quotas::new();
        for entry in answer.entries.into_iter().flatten() {
            let parts = entry.entity.into_iter();
            let parts = parts.map(|p| (p.entity_type.to_string(), p.entity_name.map(|name| name.to_string())));
            let limits = entry.values.into_iter().map(|v| (v.key.to_string(), v.value));
            quotas.entry(QuotaEntity(parts.collect())).or_default().extend(limits);
        }
        Ok(vec![(Anywhere(()), Ok(quotas))])
    }
}

impl BrokerQuestion<Anywhere<QuotaEntity>> for EntryChange<QuotaEntity, f64> {
    type Told = ();
    const REPEATABLE: bool = false;
    const API: &'static str = "AlterClientQuotas";
    const MOST: usize = ENTITIES_PER_CHANGE;

    async fn send(
        &self,
        connection: &Connection,
        _: i32,
        keys: &[Anywhere<QuotaEntity>],
    ) -> Replies<Anywhere<QuotaEntity>, ()> {
        let version = connection.need_version::<AlterClientQuotasRequest>("2.6 or later")?;
        let op = |(name, value): (&String, &f64)| {
            OpData::default().with_key(StrBytes::from_string(name.clone())).with_value(*value).with_remove(false)
        };
        let entry = |key: &Anywhere<QuotaEntity>| {
            EntryData::default()
                .with_entity(parts_of(&key.0))
                .with_ops(self.entries.get(&key.0).into_iter().flatten().map(op).collect())
        };
        let request = AlterClientQuotasRequest::default()
            .with_entries(keys.iter().map(entry).collect())
            .with_validate_only(self.validate_only);
        let answer = connection.call(version, &request).await?;
        let results = answer.entries.into_iter().map(|r| {
            let parts = r.entity.into_iter();
            let parts = parts.map(|p| (p.entity_type.to_string(), p.entity_name.map(|name| name.to_string())));
            let entity = QuotaEntity(parts.collect());
            let subject = format!("quota of {entity}");
            let checked = check_message(r.error_code, r.error_message.as_deref(), subject, connection.label())
                .map_err(|failure| failure.naming_right("ALTER_CONFIGS on the cluster"));
            (Anywhere(entity), self.judge_answer(checked))
        });
        Ok(results.collect())
    }
}

fn parts_of(entity: &QuotaEntity) -> Vec<EntityData> {
    let part = |(kind, name): (&String, &Option<String>)| {
        EntityData::default()
            .with_entity_type(StrBytes::from_string(kind.clone()))
            .with_entity_name(name.clone().map(StrBytes::from_string))
    };
    entity.0.iter().map(part).collect()
}
