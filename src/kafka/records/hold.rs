//! What a reader is held to: one cluster, and records that librdkafka understands.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;

use super::super::librdkafka;
use super::{ReadError, ReadRange, RecordReader};

/// Who knows the cluster otherwise, and is asked before each read. Blocking.
pub(crate) trait Warden: Send + Sync {
    /// Whether these windows may be read: that the addresses still lead to the same cluster (asked anew where the client
    /// was left alone for a while), and that librdkafka understands what the windows hold.
    fn admit(&self, ranges: &[ReadRange]) -> Result<(), ReadError>;
}

/// A reader's cluster and warden.
pub(super) struct ReaderHold {
    cluster_id: Option<String>,
    warden: Arc<dyn Warden>,
}

impl RecordReader {
    /// Holds it to a cluster: its client must have been told this id (`None`: the cluster has none), and `warden` is asked
    /// before each read.
    #[must_use]
    pub(crate) fn held_to(mut self, cluster_id: Option<String>, warden: Arc<dyn Warden>) -> Self {
        self.hold = Some(ReaderHold { cluster_id, warden });
        self
    }

    /// The cluster's id, as this client was told it. Errors: nobody tells, or it is another than it is held to.
    pub(crate) fn tell_cluster_id(&self) -> Result<Option<String>, ReadError> {
        self.check_home(self.patience)?;
        Ok(self.consumer.client().fetch_cluster_id(self.patience))
    }

    /// Errors: the client is at another cluster than it is held to, or nobody tells. librdkafka keeps the id that it was
    /// told last, and says when that was another one before.
    pub(super) fn check_home(&self, within: Duration) -> Result<(), ReadError> {
        // Brokers before 0.10.1 have no id: there is nothing to hold such a client to.
        let Some(held) = self.hold.as_ref().and_then(|h| h.cluster_id.as_deref()) else { return Ok(()) };
        let told = self.consumer.client().fetch_cluster_id(within);
        // After the id: that it was another one meanwhile is heard only when the client is polled.
        self.serve_events();
        // Silence is not another cluster: it may pass, so it is told as a wait that was too long and bars nothing.
        if told.is_none() && self.consumer.context().second_cluster().is_none() {
            return Err(self.stalled_error("asking for the cluster id", None));
        }
        librdkafka::check_told_id(&self.bootstrap, held, told.as_deref(), self.consumer.context())
            .map_err(ReadError::Barred)
    }

    /// Asks the warden before these ranges are read.
    pub(super) fn check_admitted(&self, ranges: &[ReadRange]) -> Result<(), ReadError> {
        let Some(hold) = &self.hold else { return Ok(()) };
        hold.warden.admit(ranges)?;
        // After the warden, who may have waited long: the client's own word is as young as can be.
        self.check_home(self.patience)
    }
}
