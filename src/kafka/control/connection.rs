//! One connection to one broker: set up, then a [`Wire`] until it breaks. One whose session ends (KIP-368) authenticates
//! again before it does (`relogin`).

use std::ops::Deref;
use std::sync::Arc;

use openssl::ssl::SslConnector;
use tokio::time::timeout;

use super::failure::{Class, Failure};
use super::throttle::ThrottleBook;
use super::transport::{Endpoint, dial, format_limit};
use super::wire::{TaskSet, Wire};
use super::{relogin, sasl};
use crate::kafka::properties::ControlProperties;

/// An open connection. Dropping it closes it.
pub(super) struct Connection {
    /// Shared with the task that authenticates again.
    wire: Arc<Wire>,
    endpoint: Endpoint,
    _tasks: TaskSet,
}

/// Whatever is asked of a broker is asked by its wire.
impl Deref for Connection {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.wire.hang_up();
    }
}

impl Connection {
    /// Connects, negotiates versions and authenticates; all of it within the setup time limit.
    pub async fn open(
        endpoint: &Endpoint,
        properties: &ControlProperties,
        connector: Option<&SslConnector>,
        book: &Arc<ThrottleBook>,
    ) -> Result<Connection, Failure> {
        let limit = properties.setup_timeout;
        let opened = match timeout(limit, Self::set_up(endpoint, properties, connector, book)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::nobody_there(
                format!("{}: connecting took longer than {}", endpoint.label, format_limit(limit)),
                "the port accepts connections but does not answer as a Kafka broker in time: check the port and \
                 `security.protocol`, and the broker's load",
            )),
        };
        match &opened {
            Ok(_) => tracing::debug!(broker = %endpoint.label, "connected"),
            Err(f) => {
                tracing::warn!(broker = %endpoint.label, class = ?f.class, why = %f.trouble.what, "not connected")
            }
        }
        opened
    }

    async fn set_up(
        endpoint: &Endpoint,
        properties: &ControlProperties,
        connector: Option<&SslConnector>,
        book: &Arc<ThrottleBook>,
    ) -> Result<Connection, Failure> {
        let secure = connector.zip(properties.tls.as_ref());
        let stream = dial(endpoint, secure, properties.setup_timeout).await?;
        let (mut wire, mut tasks) = Wire::start_tasks(stream, &endpoint.label, properties, book);
        // Whatever breaks before the connection is ready: nothing of the caller's was sent.
        let unsent = |f: Failure| match f.class {
            Class::Lost => Failure { class: Class::Unreachable, ..f },
            _ => f,
        };
        wire.versions = wire.negotiate().await.map_err(unsent)?;
        let session = match &properties.sasl {
            Some(sasl) => sasl::authenticate(&wire, sasl).await.map_err(unsent)?,
            None => None,
        };
        wire.limit = properties.request_timeout;
        let wire = Arc::new(wire);
        if let Some((sasl, lifetime)) = properties.sasl.clone().zip(session) {
            tasks.0.push(tokio::spawn(relogin::keep_session(Arc::clone(&wire), sasl, lifetime)));
        }
        Ok(Connection { wire, endpoint: endpoint.clone(), _tasks: tasks })
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}
