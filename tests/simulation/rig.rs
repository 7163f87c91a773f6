//! A simulated cluster with the control plane's client at it.

use std::time::Duration;

use cutover::base::Side;
use cutover::kafka::control::Cluster;
use cutover::kafka::properties::ClientProperties;
use cutover::sim::SimCluster;

/// The cluster, the client, and what drives the client. Each file of tests has looks of its own at it.
pub struct Rig {
    pub sim: SimCluster,
    pub cluster: Cluster,
    runtime: tokio::runtime::Runtime,
}

impl Rig {
    /// Around a cluster that runs.
    pub fn around(side: Side, sim: SimCluster) -> Rig {
        let cluster = Cluster::new(side, &sim.bootstrap(), &ClientProperties::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Rig { sim, cluster, runtime }
    }

    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(240), future).await.expect("a bound") })
    }
}
