//! What TLS rests on: CAs, certificates and keys, read once for all connections of a cluster, on a thread that may wait.
//! A file on a share that hangs holds up nobody but who needs it, and them no longer than a connection may take.

use std::sync::Mutex;

use futures_util::future::{BoxFuture, FutureExt, Shared};
use openssl::ssl::SslConnector;

use super::failure::{Class, Failure};
use crate::base::{Side, Trouble, lock_unpoisoned};
use crate::net::tls::{Tls, build_connector};

/// What is read, or was.
type TrustReading = Shared<BoxFuture<'static, Result<SslConnector, Trouble>>>;

/// The files of one cluster's TLS.
pub(super) struct TrustKeeper {
    side: Side,
    reading: Mutex<Option<TrustReading>>,
}

impl TrustKeeper {
    pub fn new(side: Side) -> TrustKeeper {
        TrustKeeper { side, reading: Mutex::default() }
    }

    /// What the settings' files hold. A failure is not remembered, so that a corrected file is found.
    pub async fn read(&self, settings: &Tls) -> Result<SslConnector, Failure> {
        let named = |t: Trouble| Failure::new(Class::Final, format!("{}: {}", self.side, t.what), t.advice);
        self.begin_reading(settings).await.map_err(named)
    }

    fn begin_reading(&self, settings: &Tls) -> TrustReading {
        let mut slot = lock_unpoisoned(&self.reading);
        // Also one that somebody began and gave up: another thread beside one that hangs would hang too.
        if let Some(reading) = slot.as_ref().filter(|reading| !matches!(reading.peek(), Some(Err(_)))) {
            return reading.clone();
        }
        let settings = settings.clone();
        let work = tokio::task::spawn_blocking(move || build_connector(&settings));
        // Not in its own words: a panic has those of whoever it came to, and a password may be among them.
        let broken = |_| Err(Trouble::new("reading certificates broke off", "this is a fault of cutover"));
        let reading = async move { work.await.unwrap_or_else(broken) }.boxed().shared();
        *slot = Some(reading.clone());
        reading
    }
}
