//! Which broker to ask: bootstrap, Metadata, leaders and coordinators, a connection a broker, bounded retries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::time::timeout;

use super::connection::{Connection, SharedBooks};
use super::failure::{Class, Failure, check_message, log_retry};
use super::identity::ClusterIdentity;
use super::logins::LoginBook;
use super::throttle::{ThrottleBook, ThrottleMark};
use super::transport::Endpoint;
use super::trust::TrustKeeper;
use super::wire::Speech;
use crate::base::sanitise::visible_name;
use crate::base::{Side, Trouble, host_port, lock_unpoisoned};
use crate::estate::partial::Throttled;
use crate::kafka::properties::{ClientProperties, ControlProperties};
use crate::plan::address;

/// How often something is asked in all when brokers answer "come back later". With [`back_off`] that is 3.6 s of waiting:
/// longer than an election (about 3 s), shorter than a person's patience.
pub(super) const ATTEMPTS: u32 = 8;
/// The same where no connection could be made: each attempt already has a time limit.
pub(super) const CONNECT_ATTEMPTS: u32 = 2;
/// Bootstrap addresses that are tried at the same time.
const SEEDS_AT_ONCE: usize = 3;
/// How long one waits for a broker that could not be reached last time. Connecting goes on behind.
const SUSPECT_WAIT: Duration = Duration::from_secs(1);
/// The control plane of one cluster. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Cluster {
    pub(super) inner: Arc<Router>,
}

pub(super) struct Router {
    side: Side,
    seeds: Result<Vec<(String, u16)>, Trouble>,
    properties: Result<ControlProperties, Trouble>,
    trust: Arc<TrustKeeper>,
    pub(super) logins: Arc<LoginBook>,
    pool: Mutex<HashMap<Peer, PeerSlot>>,
    topology: Mutex<Arc<Topology>>,
    pub(super) coordinators: Mutex<HashMap<(KeyType, String), i32>>,
    /// Addresses that answered in this session: one that did not answer once may never have been reachable from here.
    reached: Arc<Mutex<HashSet<(String, u16)>>>,
    /// What brokers said of throttling, and where that stood when the last look at the whole cluster began.
    pub(super) throttling: Arc<ThrottleBook>,
    pub(super) look_began: Mutex<ThrottleMark>,
    pub(super) identity: Arc<Mutex<ClusterIdentity>>,
    /// The bootstrap list is known to lead to one cluster; whoever finds that out has the turn.
    pub(super) surveyed: Mutex<bool>,
    pub(super) surveying: tokio::sync::Mutex<()>,
    /// As they were given, for the data plane.
    pub(super) given: ClientProperties,
}

/// Whom a connection leads to: a bootstrap address by position, or a broker by node id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Peer {
    Seed(usize),
    Node(i32),
}

type ConnectionAttempt = Shared<BoxFuture<'static, Result<Arc<Connection>, Failure>>>;

/// A connection, or the attempt to make one, which all who need it share.
#[derive(Clone)]
struct PeerSlot {
    endpoint: Endpoint,
    opening: ConnectionAttempt,
    /// Why the attempt before this one failed, or its connection got stuck.
    suspect: Option<Failure>,
}

/// What is coordinated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum KeyType {
    Group = 0,
    Transaction = 1,
}

/// Brokers and leaders as the last Metadata answers had them.
#[derive(Debug, Clone, Default)]
pub(super) struct Topology {
    pub controller: i32,
    pub brokers: BTreeMap<i32, (String, u16)>,
    /// Leaders by topic and partition; -1 is none.
    pub leaders: HashMap<String, Vec<i32>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("side", &self.inner.side).finish_non_exhaustive()
    }
}

impl Cluster {
    /// The control plane of the cluster at `bootstrap` ("host:port,host:port"). Does no I/O: mistakes in the
    /// addresses or properties are the answer to the first request.
    #[must_use]
    pub fn new(side: Side, bootstrap: &str, properties: &ClientProperties) -> Cluster {
        Cluster {
            inner: Arc::new(Router {
                side,
                seeds: address::parse_hosts(bootstrap),
                properties: properties.to_control(),
                trust: Arc::new(TrustKeeper::new(side)),
                logins: Arc::default(),
                pool: Mutex::default(),
                topology: Mutex::default(),
                coordinators: Mutex::default(),
                reached: Arc::default(),
                throttling: Arc::default(),
                look_began: Mutex::default(),
                identity: Arc::default(),
                surveyed: Mutex::default(),
                surveying: tokio::sync::Mutex::default(),
                given: properties.clone(),
            }),
        }
    }

    /// The client properties that it was made with.
    pub(in crate::kafka) fn inner_properties(&self) -> ClientProperties {
        self.inner.given.clone()
    }

    /// Which of the two clusters this is.
    #[must_use]
    pub fn side(&self) -> Side {
        self.inner.side
    }

    /// The cluster's own id, asked now. `None` from brokers that have none (before 0.10.1).
    pub async fn cluster_id(&self) -> Result<Option<String>, Trouble> {
        Ok(self.inner.refresh_metadata(Some(&[])).await?.cluster_id.as_ref().map(ToString::to_string))
    }

    /// How brokers slowed this client down since the last look at the whole cluster began; `None`: not at all.
    #[must_use]
    pub fn throttled(&self) -> Option<Throttled> {
        self.inner.throttled()
    }

    /// What each broker says of itself: by node id.
    pub(crate) async fn ask_speech(&self) -> Result<BTreeMap<i32, Result<Speech, Trouble>>, Trouble> {
        self.inner.refresh_metadata(Some(&[])).await?;
        let nodes: Vec<i32> = self.inner.topology().brokers.keys().copied().collect();
        Ok(self.inner.ask_speech(&nodes).await)
    }
}

/// Waits between two attempts: 50 ms doubling to 1 s.
pub(super) async fn back_off(attempt: u32) {
    let wait = Duration::from_millis((50u64 << attempt.min(5)).min(1000));
    #[allow(clippy::disallowed_methods, reason = "backing off between bounded attempts is part of the I/O")]
    tokio::time::sleep(wait).await;
}

/// Waits as long as a broker asks this client to.
pub(super) async fn wait_out(time: Duration) {
    #[allow(clippy::disallowed_methods, reason = "how long is the broker's wish, and bounded by who asks for it")]
    tokio::time::sleep(time).await;
}

impl Router {
    pub fn side(&self) -> Side {
        self.side
    }

    pub fn throttled(&self) -> Option<Throttled> {
        self.throttling.since(*lock_unpoisoned(&self.look_began), &self.describe_client())
    }

    /// Whom quotas mean, as far as this side knows: brokers name neither the quota nor the principal.
    fn describe_client(&self) -> String {
        self.properties.as_ref().map(ControlProperties::describe_client).unwrap_or_default()
    }

    pub(crate) fn topology(&self) -> Arc<Topology> {
        Arc::clone(&lock_unpoisoned(&self.topology))
    }

    /// Asks for Metadata of these topics (`None`: all, `[]`: brokers only), remembers it, and returns the answer.
    pub(crate) async fn refresh_metadata(&self, topics: Option<&[String]>) -> Result<MetadataResponse, Failure> {
        let mut attempt = 0;
        loop {
            match self.ask_metadata(topics, false).await {
                Ok(answer) => {
                    self.remember(&answer, topics.is_none());
                    return Ok(answer);
                }
                Err(f) if f.class != Class::Final && attempt + 1 < CONNECT_ATTEMPTS => {
                    attempt += 1;
                    log_retry(self.side, "Metadata", attempt, &f);
                    back_off(attempt - 1).await;
                }
                Err(f) => return Err(f),
            }
        }
    }

    /// Metadata of these topics, as [`Self::refresh_metadata`], asked once and not remembered. `operations`: with what this
    /// principal may do with each (v8, Kafka 2.3).
    pub(crate) async fn ask_metadata(
        &self,
        topics: Option<&[String]>,
        operations: bool,
    ) -> Result<MetadataResponse, Failure> {
        let connection = self.connect_any().await?;
        let version = connection.need_version::<MetadataRequest>("0.10 or later")?;
        let named = |name: &String| {
            let name = TopicName(StrBytes::from_string(name.clone()));
            MetadataRequestTopic::default().with_name(Some(name))
        };
        let request = MetadataRequest::default()
            .with_topics(topics.map(|t| t.iter().map(named).collect()))
            // Only from v4 can a broker be told not to create what it is asked about.
            .with_allow_auto_topic_creation(version < 4)
            .with_include_topic_authorized_operations(operations && version >= 8);
        let answer = connection.call(version, &request).await?;
        check_message(answer.error_code, None, "Metadata", connection.label())?;
        self.adopt(&connection, &answer);
        Ok(answer)
    }

    fn remember(&self, answer: &MetadataResponse, everything: bool) {
        let mut slot = lock_unpoisoned(&self.topology);
        // Metadata of some topics says nothing of the others.
        let mut leaders = if everything { HashMap::new() } else { slot.leaders.clone() };
        for topic in &answer.topics {
            let Some(name) = &topic.name else { continue };
            let count = topic.partitions.iter().map(|p| p.partition_index.saturating_add(1)).max().unwrap_or(0);
            // No longer than what came: one index that makes no sense must not take memory for 2^31 partitions.
            let mut by_partition = vec![-1; usize::try_from(count).unwrap_or(0).min(topic.partitions.len())];
            for partition in &topic.partitions {
                let place = usize::try_from(partition.partition_index).ok().and_then(|i| by_partition.get_mut(i));
                if let Some(leader) = place {
                    *leader = partition.leader_id.0;
                }
            }
            // Deleted, or not to be seen: an old leader would be asked in vain.
            if topic.partitions.is_empty() {
                leaders.remove(name.as_str());
            } else {
                leaders.insert(name.to_string(), by_partition);
            }
        }
        let broker = |b: &kafka_protocol::messages::metadata_response::MetadataResponseBroker| {
            Some((b.node_id.0, (b.host.to_string(), u16::try_from(b.port).ok()?)))
        };
        let found = Topology {
            controller: answer.controller_id.0,
            brokers: answer.brokers.iter().filter_map(broker).collect(),
            leaders,
        };
        log_moves(self.side, &slot, &found);
        *slot = Arc::new(found);
    }

    /// A bootstrap connection that turns out to lead to a broker's advertised address serves as that broker's.
    fn adopt(&self, connection: &Arc<Connection>, answer: &MetadataResponse) {
        let endpoint = connection.endpoint();
        let same = |b: &&kafka_protocol::messages::metadata_response::MetadataResponseBroker| {
            b.host.as_str() == endpoint.host && b.port == i32::from(endpoint.port)
        };
        let Some(broker) = answer.brokers.iter().find(same) else { return };
        let ready: BoxFuture<'static, _> = std::future::ready(Ok(Arc::clone(connection))).boxed();
        let slot = PeerSlot { endpoint: endpoint.clone(), opening: ready.shared(), suspect: None };
        // Polled once, so that `peek` sees the connection.
        let _ = slot.opening.clone().now_or_never();
        // A connection that was made to the broker itself stays.
        lock_unpoisoned(&self.pool).entry(Peer::Node(broker.node_id.0)).or_insert(slot);
    }

    /// A connection to any broker of a cluster that all addresses lead to: one that is open, else the first bootstrap
    /// address (or known broker) that answers.
    pub(crate) async fn connect_any(&self) -> Result<Arc<Connection>, Failure> {
        self.lead_to_one().await?;
        self.reach_any().await
    }

    pub(super) async fn reach_any(&self) -> Result<Arc<Connection>, Failure> {
        // Whichever is open: every broker answers Metadata, and a connect costs a handshake.
        let open = lock_unpoisoned(&self.pool).values().filter_map(PeerSlot::ready_connection).next();
        if let Some(connection) = open {
            return Ok(connection);
        }
        let seeds = self.seeds.as_ref().map_err(|t| Failure::with_trouble(Class::Final, t.clone()))?;
        let mut peers: Vec<_> = (0..seeds.len()).map(Peer::Seed).collect();
        let known = self.topology();
        peers.extend(known.brokers.keys().map(|n| Peer::Node(*n)));
        let mut order: Vec<(usize, Peer)> = peers.into_iter().enumerate().collect();
        let (first, one_by_one) = self.logins.plan_round();
        let first = first.checked_rem(order.len()).unwrap_or(0);
        order.rotate_left(first);
        let mut failures = Vec::new();
        for some in order.chunks(if one_by_one { 1 } else { SEEDS_AT_ONCE }) {
            let connect = |&(place, peer): &(usize, Peer)| async move { (place, self.connect(peer).await) };
            let mut racing: FuturesUnordered<_> = some.iter().map(connect).collect();
            while let Some((place, result)) = racing.next().await {
                match result {
                    // The others go on connecting behind: their slots are there when they are needed.
                    Ok(connection) => return Ok(connection),
                    // The others would refuse as well, and each refusal counts where accounts are locked after some.
                    Err(failure) if failure.is_refused_login() => {
                        self.logins.pass_over(place);
                        tracing::error!(side = %self.side, why = %failure.trouble.what, "the login is refused");
                        return Err(failure);
                    }
                    Err(failure) => failures.push(failure),
                }
            }
        }
        let failure = none_answered(self.side, seeds.len(), failures);
        tracing::error!(side = %self.side, seeds = seeds.len(), why = %failure.trouble.what, "no broker answers");
        Err(failure)
    }

    /// The connection to a broker.
    /// What these brokers said of themselves when they were connected to.
    pub(super) async fn ask_speech(&self, nodes: &[i32]) -> BTreeMap<i32, Result<Speech, Trouble>> {
        let ask = |node| async move {
            (node, self.connect_node(node).await.map(|c| c.speech().clone()).map_err(Trouble::from))
        };
        join_all(nodes.iter().map(|node| ask(*node))).await.into_iter().collect()
    }

    pub(crate) async fn connect_node(&self, id: i32) -> Result<Arc<Connection>, Failure> {
        self.lead_to_one().await?;
        self.connect(Peer::Node(id)).await
    }

    async fn connect(&self, peer: Peer) -> Result<Arc<Connection>, Failure> {
        let slot = self.slot(peer)?;
        let Some(before) = slot.suspect else { return slot.opening.await };
        // Whoever looks now is told what was found out last, not that nothing new is known yet.
        match timeout(SUSPECT_WAIT, slot.opening).await {
            Ok(result) => result,
            Err(_) => {
                tracing::debug!(side = %self.side, ?peer, ms = SUSPECT_WAIT.as_millis(), "connecting goes on behind");
                // A login is not asked for again at once: the attempt behind is another one already.
                let login = before.passes || before.is_refused_login();
                let class = if login { before.class } else { Class::Unreachable };
                Err(Failure { class, ..before })
            }
        }
    }

    /// The slot of a peer, with a new attempt under way if there is no connection to use.
    fn slot(&self, peer: Peer) -> Result<PeerSlot, Failure> {
        let endpoint = self.endpoint(peer)?;
        let mut pool = lock_unpoisoned(&self.pool);
        let before = pool.get(&peer).filter(|s| s.endpoint.host == endpoint.host && s.endpoint.port == endpoint.port);
        let suspect = match before.map(|slot| (slot, slot.opening.peek())) {
            Some((slot, None)) => return Ok(slot.clone()),
            Some((slot, Some(Ok(connection)))) if !connection.is_closed() => return Ok(slot.clone()),
            Some((_, Some(Err(failure)))) => Some(failure.clone()),
            // Closed by who was asked and said nothing: the next one may be as silent, and is waited for briefly.
            Some((_, Some(Ok(connection)))) => {
                connection.was_stuck().map(|why| Failure::with_trouble(Class::Unreachable, why))
            }
            None => None,
        };
        if before.is_some() {
            tracing::info!(broker = %endpoint.label, suspect = suspect.is_some(), "connecting anew");
        }
        let opening = self.open_new(&endpoint);
        // A task of its own: it goes on when those who wait lose patience.
        let task = tokio::spawn(opening);
        let (label, address) = (endpoint.label.clone(), (endpoint.host.clone(), endpoint.port));
        let (reached, only_advertised) = (Arc::clone(&self.reached), self.only_advertised(peer, &endpoint));
        let opening = async move {
            let stopped = |_| Failure::new(Class::Unreachable, format!("{label}: connecting was interrupted"), "");
            match task.await.map_err(stopped)? {
                Ok(connection) => {
                    lock_unpoisoned(&reached).insert(address);
                    Ok(Arc::new(connection))
                }
                Err(failure) if only_advertised && !lock_unpoisoned(&reached).contains(&address) => {
                    Err(not_from_here(&address, failure))
                }
                Err(failure) => Err(failure),
            }
        };
        let slot = PeerSlot { endpoint, opening: opening.boxed().shared(), suspect };
        pool.insert(peer, slot.clone());
        Ok(slot)
    }

    /// Whether an address is known from the cluster's own metadata alone: nobody wrote it into the plan.
    fn only_advertised(&self, peer: Peer, endpoint: &Endpoint) -> bool {
        let written = |(host, port): &(String, u16)| *host == endpoint.host && *port == endpoint.port;
        matches!(peer, Peer::Node(_)) && self.seeds.as_ref().is_ok_and(|seeds| !seeds.iter().any(written))
    }

    /// A new connection, which leads to this cluster.
    pub(super) fn open_new(
        &self,
        endpoint: &Endpoint,
    ) -> impl Future<Output = Result<Connection, Failure>> + Send + use<> {
        let properties = self.properties.as_ref().map_err(|t| Failure::with_trouble(Class::Final, t.clone())).cloned();
        let (identity, side, to) = (Arc::clone(&self.identity), self.side, endpoint.clone());
        let books = SharedBooks {
            throttling: Arc::clone(&self.throttling),
            logins: Arc::clone(&self.logins),
            trust: Arc::clone(&self.trust),
        };
        async move {
            let connection = Connection::open(&to, &properties?, &books).await?;
            Self::identify(&identity, side, &connection).await?;
            Ok(connection)
        }
    }

    /// Lets go of every connection: the next are made anew.
    pub(super) fn hang_up(&self) {
        lock_unpoisoned(&self.pool).clear();
    }

    /// How long the setup of one connection may take.
    pub(super) fn setup_timeout(&self) -> Duration {
        self.properties.as_ref().map_or(Duration::ZERO, |properties| properties.setup_timeout)
    }

    /// The bootstrap addresses.
    pub(super) fn seed_endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        let seeds = self.seeds.as_ref().map_err(|t| Failure::with_trouble(Class::Final, t.clone()))?;
        (0..seeds.len()).map(|index| self.endpoint(Peer::Seed(index))).collect()
    }

    /// Where a broker is advertised.
    pub(super) fn node_endpoint(&self, id: i32) -> Result<Endpoint, Failure> {
        self.endpoint(Peer::Node(id))
    }

    fn endpoint(&self, peer: Peer) -> Result<Endpoint, Failure> {
        let side = self.side;
        match peer {
            Peer::Seed(index) => {
                let seeds = self.seeds.as_ref().map_err(|t| Failure::with_trouble(Class::Final, t.clone()))?;
                let (host, port) = seeds[index].clone();
                let label = format!("{side} broker {}", visible_name(&host_port(&host, port)));
                Ok(Endpoint { label, host, port, only: None })
            }
            Peer::Node(id) => match self.topology().brokers.get(&id) {
                Some((host, port)) => Ok(Endpoint {
                    label: format!("{side} broker {id} ({})", visible_name(&host_port(host, port))),
                    host: host.clone(),
                    port: *port,
                    only: None,
                }),
                None => Err(Failure::new(
                    Class::Retry,
                    format!("{side} broker {id} is not in the cluster's metadata"),
                    "it may be starting or gone: look at the cluster's brokers",
                )),
            },
        }
    }
}

impl PeerSlot {
    fn ready_connection(&self) -> Option<Arc<Connection>> {
        self.opening.peek()?.as_ref().ok().filter(|c| !c.is_closed()).cloned()
    }
}

/// Logs which brokers and leaders are others than before.
fn log_moves(side: Side, before: &Topology, found: &Topology) {
    // Who reads no log does not pay for the comparison of a large estate.
    if !tracing::enabled!(tracing::Level::INFO) {
        return;
    }
    if before.brokers != found.brokers {
        let nodes = |topology: &Topology| topology.brokers.keys().copied().collect::<Vec<_>>();
        tracing::info!(%side, before = ?nodes(before), nodes = ?nodes(found), "brokers");
    }
    let others = found.leaders.iter().filter_map(|(topic, all)| {
        let was = before.leaders.get(topic)?;
        (was != all).then_some((topic, was, all))
    });
    let mut moved = others.flat_map(|(topic, was, all)| {
        let pairs = was.iter().zip(all).enumerate().filter(|(_, (from, to))| from != to);
        pairs.map(move |(partition, (from, to))| (topic, partition, *from, *to))
    });
    if let Some((topic, partition, from, to)) = moved.next() {
        let more = moved.count();
        tracing::info!(%side, topic = %visible_name(topic), partition, from, to, more, "leaders moved");
    }
}

/// The cluster answers, and leads clients to an address where nobody does: the listener is to blame, not the broker. Who
/// answers there and is not trusted, not let in or another cluster was reached: what is wrong then is said as it is.
fn not_from_here((host, port): &(String, u16), failure: Failure) -> Failure {
    if failure.class != Class::Unreachable || !failure.nobody {
        return failure;
    }
    let address = visible_name(&host_port(host, *port));
    let what = format!(
        "the cluster advertises {address} (advertised.listeners), which does not answer from here: {}",
        failure.trouble.what
    );
    let advice = format!(
        "make {address} reachable from this machine (route, tunnel, DNS or /etc/hosts), or name a listener in `bootstrap` \
         whose advertised.listeners are; if it is reachable, look at the broker"
    );
    let lasting = failure.trouble.lasting;
    Failure { trouble: Box::new(Trouble { lasting, ..Trouble::new(what, advice) }), ..failure }
}

/// One trouble for a cluster of which no address answers.
fn none_answered(side: Side, seeds: usize, mut failures: Vec<Failure>) -> Failure {
    // A refusal to authenticate, or TLS settings that can't work, is the same everywhere and is said first.
    failures.sort_by_key(|f| f.class != Class::Final);
    let Some(first) = failures.first().cloned() else {
        return Failure::new(
            Class::Final,
            format!("{side} has no bootstrap address"),
            "set `bootstrap` of the cluster",
        );
    };
    // Of a single address the node behind it says the same once more.
    if failures.len() == 1 || seeds == 1 || first.class == Class::Final {
        return first;
    }
    let mut reasons: Vec<_> = failures.iter().map(|f| f.trouble.what.as_str()).collect();
    // Neighbours alone: a bootstrap address and the node behind it say the same one after the other.
    reasons.dedup();
    let what = format!("none of the {seeds} bootstrap addresses of {side} answers: {}", reasons.join("; "));
    let lasting = failures.iter().all(|f| f.trouble.lasting);
    // Where one of them leads elsewhere, that is what it is, whatever the others say.
    let cause = failures.iter().find_map(|f| f.trouble.cause);
    Failure::with_trouble(first.class, Trouble { lasting, cause, ..Trouble::new(what, first.trouble.advice.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Cause;
    use crate::estate::identity::two_clusters;

    #[test]
    fn a_partition_number_that_makes_no_sense_is_passed_over() {
        use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
        let cluster = Cluster::new(Side::Blue, "127.0.0.1:1", &ClientProperties::default());
        let partition =
            |index| MetadataResponsePartition::default().with_partition_index(index).with_leader_id(2.into());
        let topic = MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str("t"))))
            .with_partitions(vec![partition(0), partition(i32::MAX), partition(-1)]);
        cluster.inner.remember(&MetadataResponse::default().with_topics(vec![topic]), true);
        assert_eq!(cluster.inner.topology().leaders["t"], [2, -1, -1]);
    }

    #[test]
    fn an_advertised_address_is_to_blame_only_where_nobody_answers() {
        let address = ("broker-1.example".to_owned(), 9093);
        let blamed =
            not_from_here(&address, Failure::nobody_there("blue broker 1 refused the connection", "check the port"));
        assert!(blamed.trouble.what.contains("broker-1.example:9093 (advertised.listeners), which does not answer"));
        assert!(blamed.trouble.what.ends_with("blue broker 1 refused the connection") && !blamed.trouble.lasting);
        assert_eq!(blamed.class, Class::Unreachable);
        let foreign = two_clusters(Side::Blue, ("a:1", "X"), ("broker-1.example:9093", "Y"));
        for trouble in [
            Trouble::new("TLS failed: the certificate has expired", "renew it").mark_lasting(),
            Trouble::new("closed the connection right after the TLS handshake", "set `ssl.certificate.location`"),
            foreign,
        ] {
            let said = not_from_here(&address, Failure::with_trouble(Class::Unreachable, trouble.clone()));
            assert_eq!(*said.trouble, trouble, "somebody answered there");
        }
    }

    #[test]
    fn an_ipv6_address_keeps_its_brackets_in_what_is_said_of_it() {
        let cluster = Cluster::new(Side::Blue, "[::1]:19092", &ClientProperties::default());
        let seed = cluster.inner.endpoint(Peer::Seed(0)).map_err(|f| f.trouble.what).unwrap();
        assert_eq!((seed.label.as_str(), seed.host.as_str()), ("blue broker [::1]:19092", "::1"));
        let blamed = not_from_here(&("::1".to_owned(), 19_092), Failure::nobody_there("no answer", "wait"));
        assert!(blamed.trouble.what.contains("advertises [::1]:19092 ("), "{}", blamed.trouble.what);
    }

    #[test]
    fn one_trouble_for_all_addresses_is_still_of_the_kind_that_one_of_them_had() {
        let silent = Failure::nobody_there("blue bootstrap b:1 refused the connection", "check the port");
        let foreign = two_clusters(Side::Blue, ("a:1", "X"), ("a:1", "Y"));
        let all =
            none_answered(Side::Blue, 2, vec![silent.clone(), Failure::with_trouble(Class::Unreachable, foreign)]);
        assert!(all.trouble.what.contains("refused") && all.trouble.has_cause(Cause::TwoClusters), "{all:?}");
        assert_eq!(none_answered(Side::Blue, 2, vec![silent.clone(), silent]).trouble.cause, None);
    }
}
