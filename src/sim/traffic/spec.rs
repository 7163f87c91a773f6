//! What the demo's bank runs: topics, producers of several teams, consumer groups. Plain data, so that a test can
//! run another estate with the same engine.

use super::setup::SetupSpec;
use crate::base::Side;

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name.
    pub name: String,
    /// Number of partitions, the same on both clusters.
    pub partitions: i32,
    /// Records that blue has from before dual-writing began, and green never had.
    pub prehistory: u32,
    /// Of those, how many retention has removed from blue already.
    pub expired: u32,
    /// Records that were dual-written before the demo begins.
    pub dual_history: u32,
}

/// A producer service.
#[derive(Debug, Clone, PartialEq)]
pub struct ProducerSpec {
    /// Name; its flag's key is `NAME-cluster`.
    pub name: String,
    /// Owning team.
    pub team: String,
    /// Topics it writes, in turn.
    pub topics: Vec<String>,
    /// Passes through dual.
    pub critical: bool,
    /// Records a second.
    pub per_second: f64,
    /// Number of distinct keys.
    pub keys: u64,
    /// Its flag when the demo begins: blue, dual, green, off.
    pub initial: String,
}

impl ProducerSpec {
    /// The key of its flag.
    #[must_use]
    pub(crate) fn flag_key(&self) -> String {
        format!("{}-cluster", self.name)
    }
}

/// An exactly-once producer: blue or green, never both.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerSpec {
    /// Name; its flag's key is `NAME-cluster`.
    pub name: String,
    /// Owning team.
    pub team: String,
    /// Topic it writes.
    pub topic: String,
    /// Transactional id on blue and on green.
    pub transactional_ids: (String, String),
    /// Transactions a second.
    pub per_second: f64,
    /// Records in one.
    pub records: u32,
}

impl LedgerSpec {
    /// The key of its flag.
    #[must_use]
    pub(crate) fn flag_key(&self) -> String {
        format!("{}-cluster", self.name)
    }

    /// Its transactional id on a cluster.
    #[must_use]
    pub fn transactional_id(&self, side: Side) -> &str {
        match side {
            Side::Blue => &self.transactional_ids.0,
            Side::Green => &self.transactional_ids.1,
        }
    }
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSpec {
    /// Group id; its switch's key is `NAME-consumer`.
    pub name: String,
    /// Owning team.
    pub team: String,
    /// Topics it reads.
    pub topics: Vec<String>,
    /// Records a second it can process; `None` is as fast as it goes.
    pub per_second: Option<f64>,
    /// How often it commits, ms.
    pub commit_every_ms: u64,
    /// Where it starts: the records of the dual-written history that it has not processed yet, a topic.
    pub backlog: u32,
    /// Where its switch stands when the demo begins: blue, green, both, off.
    pub initial: String,
}

impl GroupSpec {
    /// The key of its switch.
    #[must_use]
    pub fn switch_key(&self) -> String {
        format!("{}-consumer", self.name)
    }
}

/// A whole estate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EstateSpec {
    /// Topics.
    pub topics: Vec<TopicSpec>,
    /// Producers that write to blue, green or both by their flag.
    pub producers: Vec<ProducerSpec>,
    /// Exactly-once producers.
    pub ledgers: Vec<LedgerSpec>,
    /// Consumer groups.
    pub groups: Vec<GroupSpec>,
    /// What else is set up on the clusters, and what of it green lacks.
    pub setup: SetupSpec,
}

fn topic_spec(name: &str, partitions: i32, prehistory: u32, expired: u32, dual_history: u32) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions, prehistory, expired, dual_history }
}

fn producer_spec(
    name: &str,
    team: &str,
    topics: &[&str],
    critical: bool,
    per_second: f64,
    initial: &str,
) -> ProducerSpec {
    ProducerSpec {
        name: name.to_owned(),
        team: team.to_owned(),
        topics: topics.iter().map(|t| (*t).to_owned()).collect(),
        critical,
        per_second,
        keys: 400,
        initial: initial.to_owned(),
    }
}

fn group_spec(name: &str, team: &str, topics: &[&str], per_second: Option<f64>, commit_every_ms: u64) -> GroupSpec {
    GroupSpec {
        name: name.to_owned(),
        team: team.to_owned(),
        topics: topics.iter().map(|t| (*t).to_owned()).collect(),
        per_second,
        commit_every_ms,
        backlog: 0,
        initial: "blue".to_owned(),
    }
}

impl EstateSpec {
    /// The bank of the demo: a dozen topics, nine producers of seven teams, one of them exactly-once, nine groups.
    /// Rates are multiplied by `scale`.
    #[must_use]
    pub fn bank(scale: f64) -> Self {
        let mut estate = Self {
            topics: vec![
                topic_spec("loan-events", 4, 2400, 900, 1600),
                topic_spec("loan-notes", 2, 700, 200, 500),
                topic_spec("loan-events.dlq", 1, 0, 0, 0),
                topic_spec("cust-360", 3, 1500, 300, 1200),
                topic_spec("payments", 4, 3000, 1500, 2000),
                topic_spec("card-auth", 3, 1800, 600, 1500),
                topic_spec("fraud-scores", 2, 900, 300, 700),
                topic_spec("audit-raw", 4, 3000, 2000, 20_000),
                topic_spec("ledger-postings", 3, 0, 0, 0),
                topic_spec("doc-index", 2, 1200, 400, 0),
                topic_spec("statements", 2, 600, 0, 0),
                topic_spec("fx-rates", 1, 800, 300, 0),
            ],
            producers: vec![
                producer_spec("loan-api", "loans", &["loan-events"], true, 60.0, "dual"),
                producer_spec("loan-desk", "loans", &["loan-events", "loan-notes"], false, 40.0, "dual"),
                producer_spec("cust-sync", "cust", &["cust-360"], false, 40.0, "dual"),
                producer_spec("payments-core", "payments", &["payments"], true, 80.0, "dual"),
                producer_spec("card-gateway", "cards", &["card-auth"], true, 60.0, "dual"),
                producer_spec("fraud-engine", "cards", &["fraud-scores"], false, 30.0, "dual"),
                producer_spec("audit-tap", "audit", &["audit-raw"], false, 30.0, "dual"),
                producer_spec("doc-scanner", "docs", &["doc-index", "statements"], false, 20.0, "blue"),
                producer_spec("fx-feed", "markets", &["fx-rates"], false, 10.0, "blue"),
            ],
            ledgers: vec![LedgerSpec {
                name: "ledger".to_owned(),
                team: "ledger".to_owned(),
                topic: "ledger-postings".to_owned(),
                transactional_ids: ("ledger-1".to_owned(), "ledger-psc-1".to_owned()),
                per_second: 4.0,
                records: 5,
            }],
            groups: vec![
                group_spec("loan-ledger", "loans", &["loan-events", "loan-notes"], None, 500),
                group_spec("loan-audit", "loans", &["loan-events"], Some(400.0), 1000),
                group_spec("cust-360-index", "cust", &["cust-360"], None, 500),
                group_spec("payments-settle", "payments", &["payments"], None, 500),
                group_spec("card-risk", "cards", &["card-auth", "fraud-scores"], Some(500.0), 700),
                GroupSpec { backlog: 20_000, ..group_spec("audit-archive", "audit", &["audit-raw"], Some(60.0), 1000) },
                group_spec("doc-search", "docs", &["doc-index"], Some(200.0), 1000),
                group_spec("fx-cache", "markets", &["fx-rates"], None, 500),
                group_spec("ledger-enrich", "ledger", &["ledger-postings"], None, 500),
            ],
            setup: SetupSpec::bank(),
        };
        for p in &mut estate.producers {
            p.per_second *= scale;
        }
        for g in &mut estate.groups {
            g.per_second = g.per_second.map(|r| r * scale);
        }
        estate
    }

    /// Every flag and switch with the state it has when the demo begins.
    #[must_use]
    pub(crate) fn list_flags(&self) -> Vec<(String, String, &'static [&'static str])> {
        const PRODUCER: &[&str] = &["blue", "dual", "green", "off"];
        const LEDGER: &[&str] = &["blue", "green", "off"];
        const GROUP: &[&str] = &["blue", "green", "both", "off"];
        let producers = self.producers.iter().map(|p| (p.flag_key(), p.initial.clone(), PRODUCER));
        let ledgers = self.ledgers.iter().map(|l| (l.flag_key(), "blue".to_owned(), LEDGER));
        let groups = self.groups.iter().map(|g| (g.switch_key(), g.initial.clone(), GROUP));
        producers.chain(ledgers).chain(groups).collect()
    }

    /// A topic by name.
    #[must_use]
    pub fn find_topic(&self, name: &str) -> Option<&TopicSpec> {
        self.topics.iter().find(|t| t.name == name)
    }
}
