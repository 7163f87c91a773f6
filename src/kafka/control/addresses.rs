//! Where a cluster says that its brokers are.

use super::router::Cluster;

impl Cluster {
    /// Host and port of each broker, in the order of their ids, as the last Metadata had them; empty before the first look.
    #[must_use]
    pub(crate) fn advertised_addresses(&self) -> Vec<(String, u16)> {
        self.inner.topology().brokers.values().cloned().collect()
    }
}
