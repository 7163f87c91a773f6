//! Which cluster the addresses lead to. A bootstrap list, a DNS name or a virtual address can lead to two clusters, also
//! all of a sudden: then every answer is a draw. So each connection tells its cluster id before it is used (Metadata v2
//! and later), all of them must tell the same, and the addresses that nobody happened to use are asked as well.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use kafka_protocol::messages::MetadataRequest;
use tokio::time::timeout;

use super::connection::Connection;
use super::failure::{Class, Failure};
use super::router::{Cluster, Router};
use super::transport::{Endpoint, format_limit, resolve_addresses};
use crate::base::sanitise::visible_name;
use crate::base::{Side, Trouble, host_port, lock_unpoisoned};
use crate::estate::identity::{Pin, Unverified, two_clusters};

/// How long an address is waited for when one that serves has answered: one that is silent is not used either.
const GRACE: Duration = Duration::from_secs(1);
/// How long the first answer is waited for, if the plan does not give connections more time than that: a slow line is
/// slow for all of them.
const FIRST: Duration = Duration::from_secs(5);
/// Addresses that are asked at the same time.
const AT_ONCE: usize = 24;
/// Brokers whose addresses are handed to the data plane; it learns the others from them.
const ENTRANCES: usize = 5;

/// What is known of the addresses of one cluster.
#[derive(Debug, Default)]
pub(super) struct ClusterIdentity {
    /// What it has to be.
    pin: Option<Pin<'static>>,
    /// What answered first in this session, and where.
    first: Option<(String, String)>,
    /// What the connections in use lead to, and an address that said so.
    seen: Option<(String, String)>,
    /// Addresses that lead elsewhere.
    foreign: BTreeMap<String, String>,
}

impl ClusterIdentity {
    /// Takes in what an address leads to. Errors: not to where the others lead.
    fn admit(&mut self, side: Side, at: &str, id: &str) -> Result<(), Trouble> {
        // With a pin, who answered first proves nothing: an address that was corrected must be let in.
        let stays = self.first.as_ref().filter(|_| self.pin.is_none());
        let known = self.seen.as_ref().or(stays).cloned();
        match known {
            Some((known, there)) if known != id => {
                let trouble = two_clusters(side, (&there, &known), (at, id));
                self.foreign.insert(at.to_owned(), id.to_owned());
                Err(trouble)
            }
            _ => {
                // An address that leads home again is no second cluster any more: DNS was mended.
                self.foreign.remove(at);
                let mine = || (id.to_owned(), at.to_owned());
                self.first.get_or_insert_with(mine);
                self.seen.get_or_insert_with(mine);
                Ok(())
            }
        }
    }

    /// Why nothing that is read can be told to be this cluster's.
    fn trouble(&self, side: Side) -> Option<Trouble> {
        let (at, id) = self.foreign.first_key_value()?;
        // Nothing seen since the last survey: then it was the session's first that this one was held against.
        let (known, there) = self.seen.as_ref().or(self.first.as_ref())?;
        Some(two_clusters(side, (there, known), (at, id)))
    }

    /// Errors: addresses lead to two clusters, or `told` is another one than is pinned, or nothing was told where one is.
    fn check_meant(&self, side: Side, told: Option<&str>) -> Result<(), Unverified> {
        if let Some(trouble) = self.trouble(side) {
            return Err(Unverified::Wrong(trouble));
        }
        self.pin.as_ref().map_or(Ok(()), |pin| pin.check(side, told))
    }

    /// Forgets where connections lead, so that all are asked anew.
    fn forget(&mut self) {
        self.seen = None;
        self.foreign.clear();
    }
}

/// A cluster whose addresses were all asked just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCluster {
    /// Its id; `None` from brokers that have none (before 0.10.1).
    pub cluster_id: Option<String>,
    /// `host:port` of brokers that answered as this cluster, as the cluster advertises them.
    pub entrances: Vec<String>,
}

impl Cluster {
    /// Holds every use of the data plane to a cluster id. The control plane shows what answers instead, for a person to
    /// see; what may be done then is another matter.
    pub(crate) fn hold_to(&self, pin: Pin<'_>) {
        lock_unpoisoned(&self.inner.identity).pin = Some(pin.into_owned());
    }

    /// Asks every address, those of the bootstrap list and those that the cluster advertises, where it leads, over new
    /// connections (at each address that a name has). Silent ones are passed over.
    ///
    /// # Errors
    /// They lead to two clusters, or to another one than [`Self::hold_to`] names; no broker answers where it is
    /// advertised.
    pub async fn verify(&self) -> Result<VerifiedCluster, Unverified> {
        let inner = &self.inner;
        let answer = inner.refresh_metadata(Some(&[])).await.map_err(|f| self.to_unverified(f))?;
        let known = inner.topology();
        // The bootstrap list too, though the data plane is not given it: the control plane connects by it.
        let mut endpoints = inner.seed_endpoints().map_err(|f| self.to_unverified(f))?;
        let brokers: Vec<Endpoint> = known.brokers.keys().filter_map(|node| inner.node_endpoint(*node).ok()).collect();
        endpoints.extend(brokers.iter().cloned());
        let serving: BTreeSet<String> = brokers.iter().map(host_port_of).collect();
        // Each connection is given up after its own time, so none is dropped before that.
        let Surveyed { reached, refused } =
            inner.survey_addresses(endpoints, &serving, FIRST.max(inner.setup_timeout())).await;
        let id = answer.cluster_id.map(|id| id.to_string()).filter(|id| !id.is_empty());
        // After the survey, with what it found: the pin is compared with the same look that the entrances come from.
        let meant = lock_unpoisoned(&inner.identity).check_meant(inner.side(), id.as_deref());
        meant.inspect_err(|why| tracing::error!(side = %inner.side(), ?why, "not the cluster that is meant"))?;
        let entrances: Vec<String> =
            brokers.iter().filter(|b| reached.contains(&host_port_of(b))).take(ENTRANCES).map(host_port_of).collect();
        tracing::debug!(side = %inner.side(), entrances = entrances.len(), brokers = brokers.len(), "verified");
        if entrances.is_empty() {
            return Err(Unverified::Unknown(refused.unwrap_or_else(|| self.silent_brokers(&brokers))));
        }
        Ok(VerifiedCluster { cluster_id: id, entrances })
    }

    /// No broker answers where it is advertised.
    fn silent_brokers(&self, brokers: &[Endpoint]) -> Trouble {
        let all: Vec<String> = brokers.iter().take(3).map(|b| visible_name(&host_port_of(b))).collect();
        let (side, limit) = (self.side(), format_limit(self.inner.setup_timeout()));
        Trouble::new(
            format!(
                "{side} advertises {} (advertised.listeners), which did not answer from here within {limit}",
                all.join(", ")
            ),
            "make the advertised addresses reachable from this machine, or use a listener that advertises reachable ones; \
             for a slow line raise `socket.connection.setup.timeout.ms` of this cluster",
        )
    }

    /// What a failure means: a second cluster is no matter of trying again.
    fn to_unverified(&self, failure: Failure) -> Unverified {
        match lock_unpoisoned(&self.inner.identity).trouble(self.side()) {
            Some(trouble) => Unverified::Wrong(trouble),
            None => Unverified::Unknown(failure.into()),
        }
    }
}

/// `host:port` as clients take it.
fn host_port_of(endpoint: &Endpoint) -> String {
    host_port(&endpoint.host, endpoint.port)
}

impl Router {
    /// Makes sure, once, that the whole bootstrap list leads to one cluster; and again when it did not.
    pub(crate) async fn lead_to_one(&self) -> Result<(), Failure> {
        let settled = || lock_unpoisoned(&self.identity).foreign.is_empty() && *lock_unpoisoned(&self.surveyed);
        if settled() {
            return Ok(());
        }
        let refusals = self.logins.count_refusals();
        let _turn = self.surveying.lock().await;
        if settled() {
            return Ok(());
        }
        // A login was refused while this one waited: the same would be refused to it.
        if let Some(refused) = self.logins.refused_since(refusals) {
            return Err(refused);
        }
        // Connections that are open lead to either cluster: none may answer while it is not known which.
        if !lock_unpoisoned(&self.identity).foreign.is_empty() {
            tracing::warn!(side = %self.side(), "addresses led to two clusters: all are asked anew");
            *lock_unpoisoned(&self.surveyed) = false; // whoever asks something waits for the turn
            lock_unpoisoned(&self.identity).forget();
            self.hang_up();
        }
        // One that answers first: the survey gives the others no more than a little time beside it.
        self.reach_any().await?;
        self.survey_seeds(self.seed_endpoints()?).await;
        // Also when one of them leads elsewhere: `foreign` makes the next caller ask all of them anew.
        *lock_unpoisoned(&self.surveyed) = true;
        self.check_one_cluster()
    }

    /// Errors: some address leads to another cluster.
    pub(crate) fn check_one_cluster(&self) -> Result<(), Failure> {
        let trouble = lock_unpoisoned(&self.identity).trouble(self.side());
        trouble.map_or(Ok(()), |trouble| Err(Failure::with_trouble(Class::Unreachable, trouble)))
    }

    /// Connects to every address that these have and takes in where it leads: for `first` until one of those that are
    /// `serving` has answered, and a little longer for the others.
    async fn survey_addresses(
        &self,
        endpoints: Vec<Endpoint>,
        serving: &BTreeSet<String>,
        first: Duration,
    ) -> Surveyed {
        self.ask_all(resolve_endpoints(endpoints, first).await, serving, first).await
    }

    /// The same of the bootstrap list while something is connected already: the others have a little time.
    async fn survey_seeds(&self, seeds: Vec<Endpoint>) {
        let targets = resolve_endpoints(seeds, GRACE).await;
        // What is connected can only be at the one address that there is.
        if targets.len() > 1 {
            self.ask_all(targets, &BTreeSet::new(), GRACE).await;
        }
    }

    async fn ask_all(&self, targets: Vec<NamedEndpoint>, serving: &BTreeSet<String>, first: Duration) -> Surveyed {
        let mut surveyed = Surveyed::default();
        let mut targets = targets.into_iter();
        let mut asking: FuturesUnordered<_> = targets.by_ref().take(AT_ONCE).map(|t| self.ask_address(t)).collect();
        let mut left = first;
        // The time runs anew with each answer; what ends the whole is that each connection has a limit of its own.
        while let Ok(Some((place, answered))) = timeout(left, asking.next()).await {
            match answered {
                Ok(()) => {
                    // An address of the bootstrap list may be near, and those that serve far away.
                    if serving.contains(&place) {
                        left = GRACE;
                    }
                    surveyed.reached.insert(place);
                }
                // Only of what the data plane would use: a bootstrap address that refuses keeps nobody from working.
                Err(failure) if serving.contains(&place) && !failure.nobody => {
                    surveyed.refused.get_or_insert_with(|| failure.into());
                }
                Err(failure) => tracing::debug!(%place, why = %failure.trouble.what, "passed over"),
            }
            asking.extend(targets.next().map(|next| self.ask_address(next)));
        }
        surveyed
    }

    /// Whether an address answers as the cluster that the others lead to.
    async fn ask_address(&self, (place, endpoint): NamedEndpoint) -> (String, Result<(), Failure>) {
        let connection = self.open_new(&endpoint).await;
        (place, connection.map(drop))
    }

    /// Takes in what a new connection leads to.
    pub(crate) async fn identify(
        identity: &std::sync::Mutex<ClusterIdentity>,
        side: Side,
        connection: &Connection,
    ) -> Result<(), Failure> {
        // A broker that tells no id can't be told from another: all there is against that is a pin (`check_meant`).
        let Some(id) = cluster_id(connection).await? else { return Ok(()) };
        let at = describe_address(connection.endpoint());
        lock_unpoisoned(identity).admit(side, &at, &id).map_err(|trouble| {
            tracing::error!(%side, address = %visible_name(&at), id = %visible_name(&id), "led to a second cluster");
            Failure::with_trouble(Class::Unreachable, trouble)
        })
    }
}

/// An address with the name that it is known by.
type NamedEndpoint = (String, Endpoint);

/// What became of addresses that were asked where they lead.
#[derive(Debug, Default)]
struct Surveyed {
    /// Those that answered as this cluster.
    reached: BTreeSet<String>,
    /// Why the first of those that serve was reached and is not used: a certificate, a password.
    refused: Option<Trouble>,
}

/// Each address that these have, once.
async fn resolve_endpoints(endpoints: Vec<Endpoint>, limit: Duration) -> Vec<NamedEndpoint> {
    // The bootstrap list and Metadata mostly name the same addresses.
    let places: BTreeMap<String, Endpoint> = endpoints.into_iter().map(|e| (host_port_of(&e), e)).collect();
    let found = join_all(places.iter().map(|(place, endpoint)| async move {
        // A name that does not resolve is one more silent address.
        let all = resolve_addresses(endpoint, limit).await.unwrap_or_default();
        all.into_iter().map(move |at| (place.clone(), Endpoint { only: Some(at), ..endpoint.clone() }))
    }));
    found.await.into_iter().flatten().collect()
}

/// How an address is named: with the number behind the name where it was chosen.
fn describe_address(endpoint: &Endpoint) -> String {
    let is_number = endpoint.host.parse::<std::net::IpAddr>().is_ok();
    match endpoint.only.filter(|_| !is_number) {
        Some(at) => format!("{} at {at}", host_port_of(endpoint)),
        None => host_port_of(endpoint),
    }
}

/// The cluster id that the other end of a connection tells; `None` from brokers that have none.
async fn cluster_id(connection: &Connection) -> Result<Option<String>, Failure> {
    let Some(version) = connection.common_version::<MetadataRequest>().filter(|v| *v >= 2) else { return Ok(None) };
    // Only from v4 can a broker be told not to create topics; none is named here.
    let request = MetadataRequest::default().with_topics(Some(Vec::new())).with_allow_auto_topic_creation(version < 4);
    let answer = connection.call(version, &request).await?;
    Ok(answer.cluster_id.filter(|id| !id.is_empty()).map(|id| id.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLUE: Side = Side::Blue;

    #[test]
    fn every_address_leads_to_the_cluster_that_answered_first() {
        let mut identity = ClusterIdentity::default();
        identity.admit(BLUE, "a:1", "X").unwrap();
        identity.admit(BLUE, "b:1", "X").unwrap();
        assert_eq!(identity.trouble(BLUE), None);
        let why = identity.admit(BLUE, "c:1", "Y").unwrap_err();
        assert_eq!(why.what, "the addresses of blue lead to two clusters: a:1 is cluster X, c:1 is cluster Y");
        assert_eq!(identity.trouble(BLUE), Some(why), "until it leads home");
        identity.admit(BLUE, "c:1", "X").unwrap();
        assert_eq!(identity.trouble(BLUE), None);
    }

    #[test]
    fn what_was_there_first_stays_unless_a_pin_says_what_is_right() {
        let mut identity = ClusterIdentity::default();
        identity.admit(BLUE, "a:1", "X").unwrap();
        identity.forget();
        let turned = identity.admit(BLUE, "a:1", "Y").unwrap_err();
        assert_eq!(turned.what, "the address a:1 of blue leads to two clusters: X and Y");
        // With a pin the one that is shown may be another: what may be done with it is judged by the pin.
        identity.pin = Pin::choose(Some("Y"), None);
        identity.forget();
        identity.admit(BLUE, "a:1", "Y").unwrap();
        assert_eq!(identity.trouble(BLUE), None);
    }

    #[test]
    fn who_is_pinned_has_to_tell_its_id_and_who_is_not_may_have_none() {
        let mut identity = ClusterIdentity::default();
        assert_eq!(identity.check_meant(BLUE, None), Ok(()), "brokers before 0.10.1");
        assert_eq!(identity.check_meant(BLUE, Some("X")), Ok(()));
        identity.pin = Pin::choose(Some("X"), None);
        assert_eq!(identity.check_meant(BLUE, Some("X")), Ok(()));
        let other = identity.check_meant(BLUE, Some("Y"));
        assert!(
            matches!(&other, Err(Unverified::Wrong(t)) if t.what == "blue is cluster Y, but the plan pins X"),
            "{other:?}"
        );
        let silent = identity.check_meant(BLUE, None);
        let words = "blue did not tell its cluster id, and the plan pins X";
        assert!(matches!(&silent, Err(Unverified::Unknown(t)) if t.what == words), "{silent:?}");
    }
}
